//! Why PixelRush does not run.

use crate::secrets::SecretsError;

/// Why PixelRush does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot take signals over")]
    Signals(#[source] std::io::Error),
    #[error("the configuration is no good")]
    Config(#[from] chassis::config::ConfigError),
    #[error("the configuration is no good: {0}")]
    Settings(String),
    #[error("cannot log")]
    Telemetry(#[from] chassis::telemetry::TelemetryError),
    #[error("cannot find hosts by name")]
    Resolve(#[from] chassis::resolve::ResolveError),
    #[error("no keys")]
    Secrets(#[from] SecretsError),
    #[error("cannot open the engine")]
    Engine(#[from] engine::EngineError),
    #[error("cannot listen")]
    Listen(#[from] std::io::Error),
    #[error("no handover")]
    Handover(#[from] chassis::handover::HandoverError),
    #[error("not ready within {0:?}; the process before this one goes on")]
    NotReady(std::time::Duration),
    #[error("{0}")]
    Replay(String),
    #[error("cannot build the matcher")]
    Matcher(#[from] matcher::BuildError),
    #[error("syncd ended by itself")]
    Syncd(#[from] syncd::Failed),
}
