//! PixelRush processes for tests. Each binds a free port and says where it is; a process is
//! killed when its handle is dropped, and its log is told if it does not start.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use client::address::Address;
use rustix::process::{Pid, Signal, kill_process};

/// Longest from the start of a process to its word where it is.
const DEADLINE: Duration = Duration::from_secs(30);

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
    /// It ended, or let the time pass, without saying where it is.
    #[error("{program} did not say where it is; its log:\n{log}")]
    Silent {
        /// Which program.
        program: String,
        /// What it logged.
        log: String,
    },
    /// It did not end well when it was told to drain.
    #[error("{program} ended with {status}; its log:\n{log}")]
    BadEnd {
        /// Which program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it logged.
        log: String,
    },
    /// It is there and did not become ready in time.
    #[error("{program} is not ready: {answer}; its log:\n{log}")]
    NotReady {
        /// Which program.
        program: String,
        /// What it said last when asked.
        answer: String,
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
        match announced(output) {
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

    /// Its private port, as its log names it.
    pub fn private_address(&self) -> Option<SocketAddr> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("\"private port\""))?;
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line.get("address")?.as_str()?.parse().ok()
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

    /// How it has ended; `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// As the system reports.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
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

/// The address that a process says it is at.
fn announced(output: impl Read + Send + 'static) -> Option<SocketAddr> {
    let (tell, told) = mpsc::sync_channel(1);
    // Ends with the process, whose output it reads.
    std::thread::spawn(move || {
        let lines = BufReader::new(output).lines().map_while(Result::ok);
        for line in lines {
            if let Some(address) = address_in(&line) {
                // The first word counts, and only while it is waited for.
                let _ = tell.try_send(address);
            }
        }
    });
    told.recv_timeout(DEADLINE).ok()
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))?;
    url.trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .ok()
}
