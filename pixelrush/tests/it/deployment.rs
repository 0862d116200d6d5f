//! Two gateways, one matcher and one syncd as four processes with static addresses and one key.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use client::address::Address;
use e2e::process::Process;

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pixelrush"))
}

/// No settings by environment.
pub(crate) const NONE: [(&str, &str); 0] = [];

/// Four processes.
pub(crate) struct Deployment {
    pub(crate) gateways: Vec<Process>,
    pub(crate) matcher: Process,
    pub(crate) syncd: Process,
    _folder: tempfile::TempDir,
}

impl Deployment {
    /// Starts the processes, each after those that it needs to know.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_path_buf();
        let key = path.join("signing.key");
        std::fs::write(&key, [7; 32]).expect("written");
        let mut config = format!("[secrets]\nsigning_key_file = {key:?}\n");
        config.push_str("[syncd]\nnode = \"syncd-1\"\nlisten = \"127.0.0.1:0\"\n");
        let syncd = start(&path, "syncd", &config);
        let _ = write!(
            config,
            "[matcher]\nnode = \"matcher-1\"\nlisten = \"127.0.0.1:0\"\n\
             nodes = [{{ name = \"syncd-1\", endpoint = \"{}\" }}]\n{MODES}",
            syncd.url()
        );
        let matcher = start(&path, "matcher", &config);
        let gateways = ["gateway-1", "gateway-2"]
            .map(|node| {
                let own = format!(
                    "{config}[gateway]\nnode = \"{node}\"\nlisten = \"127.0.0.1:0\"\n\
                     matcher = {{ name = \"matcher-1\", endpoint = \"{}\" }}\n\
                     rooms = [{{ name = \"syncd-1\", endpoint = \"{}\" }}]\n",
                    matcher.url(),
                    syncd.url()
                );
                start_as(&path, node, "gateway", &own)
            })
            .into();
        Self {
            gateways,
            matcher,
            syncd,
            _folder: folder,
        }
    }

    /// The gateways' public addresses.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        self.gateways
            .iter()
            .map(|gateway| address(&gateway.url()))
            .collect()
    }

    /// What the processes logged, for a test that fails.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for (name, process) in [("matcher", &self.matcher), ("syncd", &self.syncd)] {
            let _ = writeln!(text, "--- {name}\n{}", process.log());
        }
        for gateway in &self.gateways {
            let _ = writeln!(text, "--- gateway\n{}", gateway.log());
        }
        text
    }
}

/// A mode of eight humans and one lap, so that a test is short.
const MODES: &str = r#"
[matcher.modes.race]
game = "race"
players = { min = 8, max = 8 }
bots = false
settings = { laps = 1, countdown = "1s" }
"#;

pub(crate) fn address(url: &str) -> Address {
    url.parse().expect("a process says its address")
}

fn start(folder: &Path, service: &str, config: &str) -> Process {
    start_as(folder, service, service, config)
}

fn start_as(folder: &Path, name: &str, service: &str, config: &str) -> Process {
    let file = write(folder, name, config);
    let log = folder.join(format!("{name}.log"));
    let arguments = [service, "--config", file.to_str().expect("a path in UTF-8")];
    Process::start(binary(), &arguments, NONE, &log).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn write(folder: &Path, name: &str, config: &str) -> PathBuf {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, config).expect("written");
    file
}
