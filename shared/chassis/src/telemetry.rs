//! Logs and metrics.
//!
//! Logs go to standard error, so that what a command prints for its user stays clean: as JSON,
//! one object a line with `timestamp`, `level`, `target`, `message`, the event's own fields, and
//! `spans` from the outermost in; or as text for a terminal. Do not name an event's field like
//! one of those, nor a span's field `name`.
//!
//! Metrics are recorded by the `metrics` macros or, where it is hot, by handles that are kept,
//! and rendered for Prometheus by [`Telemetry::render`]. A histogram's unit is the end of its
//! name: `_seconds` and `_bytes` have buckets of their own, others count things.

mod chain;
mod process;

pub use chain::Chain;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// What to log, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Least level, for all or by module: `info`, `warn,pixelrush_gateway=debug`. Changes while running.
    pub level: String,
    /// Shape of a line.
    pub format: LogFormat,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Text,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Json,
        }
    }
}

/// Why telemetry is not as asked.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is no filter.
    #[error(
        "`{level}` is not a log level: expected one like `info` or `warn,pixelrush_gateway=debug`"
    )]
    Level {
        /// What was asked for.
        level: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// [`init`] ran before in this process.
    #[error("telemetry is already installed in this process")]
    AlreadyInstalled,
    /// Somebody else installed a log subscriber.
    #[error("cannot install the log subscriber")]
    Logs(#[source] TryInitError),
    /// Somebody else installed a metrics recorder.
    #[error("cannot install the metrics recorder")]
    Metrics(#[source] BuildError),
    /// The thread that keeps metrics small did not start.
    #[error("cannot start the thread that folds metrics")]
    Upkeep(#[source] std::io::Error),
    /// The log subscriber is gone.
    #[error("cannot change the log level")]
    Reload(#[source] reload::Error),
}

/// The process's telemetry. Clones are the same.
#[derive(Debug, Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    filter: reload::Handle<EnvFilter, Registry>,
    metrics: PrometheusHandle,
    started_ms: u64,
}

/// From 10 us, a step of a room, to a minute, a wait in a queue.
const SECONDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
const BYTES: &[f64] = &[
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    16_777_216.0,
];
const THINGS: &[f64] = &[
    0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0, 4096.0, 16_384.0,
];

/// The exporter keeps every histogram sample until it is folded into its bucket: once a second
/// bounds that memory by a second's samples.
const UPKEEP: Duration = Duration::from_secs(1);

static INSTALLED: Mutex<Option<Telemetry>> = Mutex::new(None);

/// Installs logs and metrics for this process.
///
/// # Errors
/// See [`TelemetryError`]; in particular the second call fails.
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let mut installed = INSTALLED.lock();
    if installed.is_some() {
        return Err(TelemetryError::AlreadyInstalled);
    }
    let telemetry = install(config)?;
    *installed = Some(telemetry.clone());
    Ok(telemetry)
}

/// The telemetry that is installed, or else a quiet one (`warn`, text): for tests, many of which
/// share a process.
///
/// # Errors
/// See [`TelemetryError`].
pub fn installed_or_quiet() -> Result<Telemetry, TelemetryError> {
    let mut installed = INSTALLED.lock();
    if let Some(telemetry) = &*installed {
        return Ok(telemetry.clone());
    }
    let telemetry = install(&TelemetryConfig {
        level: "warn".to_owned(),
        format: LogFormat::Text,
    })?;
    *installed = Some(telemetry.clone());
    Ok(telemetry)
}

impl Telemetry {
    /// Changes what is logged from now on.
    ///
    /// # Errors
    /// The level is no filter; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        let filter = parse_level(level)?;
        let reloaded = self.inner.filter.reload(filter);
        reloaded.map_err(TelemetryError::Reload)
    }

    /// Every metric, and what the process costs, in Prometheus' text format. It reads files
    /// under `/proc` and may take milliseconds: call it off the async threads.
    pub fn render(&self) -> String {
        let mut text = self.inner.metrics.render();
        process::render(self.inner.started_ms, &mut text);
        text
    }
}

fn install(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let (filter, handle) = reload::Layer::new(parse_level(&config.level)?);
    let lines = match config.format {
        LogFormat::Json => json_lines(std::io::stderr).boxed(),
        LogFormat::Text => fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    subscriber.try_init().map_err(TelemetryError::Logs)?;

    let metrics = install_recorder().map_err(TelemetryError::Metrics)?;
    fold_every_second(metrics.clone()).map_err(TelemetryError::Upkeep)?;
    Ok(Telemetry {
        inner: Arc::new(Inner {
            filter: handle,
            metrics,
            started_ms: crate::clock::unix_ms(),
        }),
    })
}

fn json_lines<S, W>(writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(writer)
}

fn install_recorder() -> Result<PrometheusHandle, BuildError> {
    let buckets = |unit: &str| Matcher::Suffix(unit.to_owned());
    PrometheusBuilder::new()
        .set_buckets(THINGS)?
        .set_buckets_for_metric(buckets("_seconds"), SECONDS)?
        .set_buckets_for_metric(buckets("_bytes"), BYTES)?
        .install_recorder()
}

/// A thread, not a task: it must go on while the runtime is too busy to run tasks, which is when
/// samples pile up. It ends with the process, as the recorder does.
fn fold_every_second(metrics: PrometheusHandle) -> std::io::Result<()> {
    let fold = move || {
        loop {
            std::thread::sleep(UPKEEP);
            metrics.run_upkeep();
        }
    };
    let thread = std::thread::Builder::new().name("metrics-upkeep".to_owned());
    thread.spawn(fold).map(drop)
}

fn parse_level(level: &str) -> Result<EnvFilter, TelemetryError> {
    let parsed = EnvFilter::builder().parse(level);
    parsed.map_err(|source| TelemetryError::Level {
        level: level.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_json_line_has_the_fields_that_log_pipelines_rely_on() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let writer = File::create(file.path()).expect("open");
        let subscriber = Registry::default().with(json_lines(writer));
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("conn", session = "se_1").entered();
            tracing::warn!(room = "rm_1", "no answer");
        });
        let text = std::fs::read_to_string(file.path()).expect("read");
        let line: Value = serde_json::from_str(&text).expect("one object");
        assert!(line["timestamp"].is_string(), "{line}");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "no answer");
        assert_eq!(line["room"], "rm_1");
        assert_eq!(line["spans"][0]["name"], "conn");
        assert_eq!(line["spans"][0]["session"], "se_1");
    }

    #[test]
    fn metrics_are_rendered_with_buckets_of_their_unit() {
        let telemetry = installed_or_quiet().expect("telemetry");
        metrics::histogram!("test_wait_seconds").record(0.003);
        metrics::histogram!("test_frame_bytes").record(100.0);
        metrics::counter!("test_things_total").increment(2);
        let text = telemetry.render();
        for line in [
            "test_wait_seconds_bucket{le=\"0.005\"} 1",
            "test_frame_bytes_bucket{le=\"256\"} 1",
            "test_things_total 2",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_second_install_is_refused_and_tests_share_the_first() {
        installed_or_quiet().expect("telemetry");
        let again = init(&TelemetryConfig::default());
        assert!(matches!(again, Err(TelemetryError::AlreadyInstalled)));
        installed_or_quiet().expect("the same");
    }

    #[test]
    fn a_level_changes_while_running_and_a_bad_one_is_refused() {
        let telemetry = installed_or_quiet().expect("telemetry");
        assert!(telemetry.set_level("warn,chassis=error").is_ok());
        let error = telemetry.set_level("chassis=loud").expect_err("refused");
        assert!(error.to_string().contains("chassis=loud"), "{error}");
    }
}
