//! PixelRush processes for tests. Each binds a free port and says where it is; a process is
//! killed when its handle is dropped, and its log is told if it does not start.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use client::address::Address;
use rustix::process::{Pid, Signal, kill_process};

/// A running process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// Why a process did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It could not be run at all.
    #[error("cannot run {program}")]
    Run {
        /// Which program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ended without saying where it is.
    #[error("{program} ended without saying where it is; its log:\n{log}")]
    Silent {
        /// Which program.
        program: String,
        /// What it logged.
        log: String,
    },
}

impl Process {
    /// Starts `program` with `arguments` and settings by environment, logging to `log`, and waits
    /// until it says where it is.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start<I, K, V>(
        program: &Path,
        arguments: &[&str],
        environment: I,
        log: &Path,
    ) -> Result<Self, StartError>
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let name = format!("{} {}", program.display(), arguments.join(" "));
        let failed = |source| StartError::Run {
            program: name.clone(),
            source,
        };
        let file = std::fs::File::create(log).map_err(failed)?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(failed)?;
        let output = child.stdout.take().expect("stdout is piped");
        let address = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                let url = line
                    .split_whitespace()
                    .find(|word| word.starts_with("http://"))?;
                url.trim_start_matches("http://")
                    .trim_end_matches('/')
                    .parse()
                    .ok()
            });
        match address {
            Some(address) => Ok(Self {
                child,
                address,
                log: log.to_path_buf(),
            }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                let log = std::fs::read_to_string(log).unwrap_or_default();
                Err(StartError::Silent { program: name, log })
            }
        }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its address as clients take it.
    pub fn address_for_clients(&self) -> Address {
        Address::from(self.address)
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // One that has ended already is as good.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// As the system reports.
    pub fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL also ends one that is stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
