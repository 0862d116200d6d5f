use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
struct Service {
    node: String,
    limits: Limits,
    admin: Admin,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Limits {
    connections: u32,
    frame: ByteSize,
    #[serde(with = "duration")]
    handshake: Duration,
    origins: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
struct Admin {
    listen: Option<SocketAddr>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100,
            frame: ByteSize::kib(16),
            handshake: Duration::from_secs(10),
            origins: Vec::new(),
        }
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("temporary file");
    file.write_all(text.as_bytes()).expect("write");
    file
}

fn from_file(text: &str) -> Result<Service, ConfigError> {
    load(Some(file(text).path()), std::iter::empty())
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Service, ConfigError> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    load(None, variables.iter().map(owned))
}

#[test]
fn nothing_set_gives_the_defaults() {
    assert_eq!(from_environment(&[]).expect("load"), Service::default());
}

#[test]
fn a_file_states_only_what_differs() {
    let text = "[limits]\nframe = \"64KiB\"\nhandshake = \"250ms\"\n";
    let config = from_file(text).expect("load");
    assert_eq!(config.limits.frame, ByteSize::kib(64));
    assert_eq!(config.limits.handshake, Duration::from_millis(250));
    assert_eq!(config.limits.connections, 100);
}

#[test]
fn the_environment_wins_over_the_file() {
    let file = file("node = \"a\"\n[limits]\nconnections = 1\n");
    let variables = [
        ("PIXELRUSH_LIMITS__CONNECTIONS", "2"),
        ("PIXELRUSH_LIMITS__ORIGINS", "[\"x\", \"y\"]"),
        ("PIXELRUSH_ADMIN__LISTEN", "127.0.0.1:9000"),
        ("PIXELRUSH_NODE", "7"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config: Service = load(Some(file.path()), variables.into_iter()).expect("load");
    assert_eq!(config.limits.connections, 2);
    assert_eq!(config.limits.origins, ["x", "y"]);
    assert_eq!(config.admin.listen, "127.0.0.1:9000".parse().ok());
    assert_eq!(config.node, "7", "a name may look like a number");
}

#[test]
fn variables_that_an_orchestrator_injects_are_left_alone() {
    let variables = [
        ("PIXELRUSH_SERVICE_HOST", "10.0.0.1"),
        ("PIXELRUSH_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("PATH", "/bin"),
    ];
    assert!(from_environment(&variables).is_ok());
}

#[test]
fn every_unknown_key_is_refused_with_the_nearest_name() {
    let error = from_file("nod = \"a\"\n[limits]\nconections = 1\nlisten = 2\nzzz = 3\n");
    let Err(ConfigError::Unknown(mut keys)) = error else {
        panic!("accepted: {error:?}");
    };
    keys.sort_by(|a, b| a.key.cmp(&b.key));
    let found: Vec<_> = keys
        .iter()
        .map(|unknown| (unknown.key.as_str(), unknown.nearest.as_deref()))
        .collect();
    let expected = [
        ("limits.conections", Some("limits.connections")),
        ("limits.listen", Some("admin.listen")),
        ("limits.zzz", None),
        ("nod", Some("node")),
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_unknown_variable_is_refused_by_its_own_name() {
    let error = from_environment(&[("PIXELRUSH_LIMITS__CONECTIONS", "1")]).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("PIXELRUSH_LIMITS__CONECTIONS"), "{text}");
    assert!(text.contains("limits.connections"), "{text}");
}

#[test]
fn a_wrong_type_names_the_key_and_the_file() {
    let file = file("[limits]\nconnections = \"many\"\n");
    let error = load::<Service>(Some(file.path()), std::iter::empty()).expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("limits.connections"), "{text}");
    assert!(text.contains(&file.path().display().to_string()), "{text}");
    assert!(text.contains("u32"), "{text}");
}

#[test]
fn a_wrong_unit_says_what_is_expected() {
    let text = from_file("[limits]\nframe = \"64KB\"\n")
        .expect_err("refused")
        .to_string();
    assert!(
        text.contains("limits.frame") && text.contains("KiB"),
        "{text}"
    );
}

#[test]
fn a_syntax_error_names_the_place_and_not_the_value() {
    let text = from_file("node = \"a\"\nkey = \"hunter2\" x\n")
        .expect_err("refused")
        .to_string();
    assert!(text.contains(":2:"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_variable_below_a_value_is_refused() {
    let error = from_environment(&[("PIXELRUSH_NODE", "a"), ("PIXELRUSH_NODE__NAME", "b")]);
    assert!(
        matches!(error, Err(ConfigError::NotASection { .. })),
        "{error:?}"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = load::<Service>(Some(Path::new("/nowhere/x.toml")), std::iter::empty());
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("/nowhere/x.toml")
    );
}

#[test]
fn changes_name_what_differs_by_dotted_path() {
    let old = Service::default();
    let mut new = old.clone();
    assert_eq!(changes(&old, &new), Vec::<String>::new());
    new.node = "b".to_owned();
    new.limits.origins.push("x".to_owned());
    new.admin.listen = "127.0.0.1:1".parse().ok();
    assert_eq!(
        changes(&old, &new),
        ["admin.listen", "limits.origins", "node"]
    );
}
