//! Two gateways, one matcher and one syncd as four processes with static addresses and one key.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use client::address::Address;
use rustix::process::Signal;

use crate::process::{Process, StartError};

/// Four processes, which end with this value.
#[derive(Debug)]
pub struct Deployment {
    /// `gateway-1` and `gateway-2`.
    pub gateways: Vec<Process>,
    matcher: Process,
    syncd: Process,
    binary: PathBuf,
    folder: PathBuf,
}

/// The gateways' names.
const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];

/// What makes a race short and people's alone: eight players, one lap, a second's countdown.
fn modes(laps: u32) -> String {
    format!(
        r#"
[matcher.modes.race]
game = "race"
players = {{ min = 8, max = 8 }}
bots = false
settings = {{ laps = {laps}, countdown = "1s" }}
"#
    )
}

/// No settings by environment.
pub const NO_ENVIRONMENT: [(&str, &str); 0] = [];

impl Deployment {
    /// Starts the processes out of `binary`, each after those whose addresses it needs.
    /// Configuration and logs go to `folder`.
    ///
    /// # Errors
    /// [`StartError`], with the log of the process that did not start.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self, StartError> {
        Self::with_laps(binary, folder, 1)
    }

    /// The same with races of so many laps.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn with_laps(binary: &Path, folder: &Path, laps: u32) -> Result<Self, StartError> {
        let starter = Starter { binary, folder };
        let key = folder.join("signing.key");
        write(&key, &[7; 32])?;
        let mut config = format!("[secrets]\nsigning_key_file = {key:?}\n");
        config.push_str("[syncd]\nnode = \"syncd-1\"\nlisten = \"127.0.0.1:0\"\n");
        let syncd = starter.start("syncd", "syncd", &config)?;
        let _ = write!(
            config,
            "[matcher]\nnode = \"matcher-1\"\nlisten = \"127.0.0.1:0\"\n\
             nodes = [{{ name = \"syncd-1\", endpoint = \"{}\" }}]\n{}",
            syncd.url(),
            modes(laps)
        );
        let matcher = starter.start("matcher", "matcher", &config)?;
        let mut gateways = Vec::new();
        for node in GATEWAYS {
            let own = format!(
                "{config}[gateway]\nnode = \"{node}\"\nlisten = \"127.0.0.1:0\"\n\
                 matcher = {{ name = \"matcher-1\", endpoint = \"{}\" }}\n\
                 rooms = [{{ name = \"syncd-1\", endpoint = \"{}\" }}]\n",
                matcher.url(),
                syncd.url()
            );
            gateways.push(starter.start(node, "gateway", &own)?);
        }
        Ok(Self {
            gateways,
            matcher,
            syncd,
            binary: binary.to_path_buf(),
            folder: folder.to_path_buf(),
        })
    }

    /// Drains a gateway, waits until it has ended, and starts another one in its place. Blocks
    /// for the seconds that this takes.
    ///
    /// # Errors
    /// [`StartError`], also if the one that drained did not end well.
    pub fn roll_gateway(&mut self, index: usize) -> Result<(), StartError> {
        let node = GATEWAYS[index];
        let gateway = &mut self.gateways[index];
        gateway.signal(Signal::TERM);
        let ended = gateway.wait().map_err(|source| StartError::Run {
            program: format!("(waiting for {node})"),
            source,
        })?;
        if !ended.success() {
            let (program, log) = (node.to_owned(), gateway.log());
            return Err(StartError::Silent { program, log });
        }
        let listen = [("PIXELRUSH_GATEWAY__LISTEN", gateway.address().to_string())];
        let file = self.folder.join(format!("{node}.toml"));
        let log = self.folder.join(format!("{node}-again.log"));
        let arguments = ["gateway", "--config", &file.to_string_lossy()];
        *gateway = Process::start(&self.binary, &arguments, listen, &log)?;
        Ok(())
    }

    /// The gateways' public addresses.
    pub fn addresses(&self) -> Vec<Address> {
        self.gateways
            .iter()
            .map(Process::address_for_clients)
            .collect()
    }

    /// The only syncd.
    pub fn syncd(&self) -> &Process {
        &self.syncd
    }

    /// What the processes logged, for a test that fails.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let services = [("matcher", &self.matcher), ("syncd", &self.syncd)];
        let gateways = self.gateways.iter().map(|gateway| ("gateway", gateway));
        for (name, process) in services.into_iter().chain(gateways) {
            let _ = writeln!(text, "--- {name}\n{}", process.log());
        }
        text
    }
}

struct Starter<'a> {
    binary: &'a Path,
    folder: &'a Path,
}

impl Starter<'_> {
    fn start(&self, name: &str, service: &str, config: &str) -> Result<Process, StartError> {
        let file: PathBuf = self.folder.join(format!("{name}.toml"));
        write(&file, config.as_bytes())?;
        let log = self.folder.join(format!("{name}.log"));
        let file = file.to_string_lossy();
        Process::start(
            self.binary,
            &[service, "--config", &file],
            NO_ENVIRONMENT,
            &log,
        )
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    std::fs::write(path, bytes).map_err(|source: io::Error| StartError::Run {
        program: format!("(writing {})", path.display()),
        source,
    })
}
