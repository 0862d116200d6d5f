//! A server's process that cannot outlive the test's.
//!
//! A shell stands between: it holds one end of a pipe whose other end only the test's process
//! has, and kills the server when that closes. So a server in a `static`, which is never dropped,
//! and a test that is killed leave nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

const GUARD: &str =
    r#""$@" & server=$!; echo $server; read -r _; kill -KILL $server; wait $server"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Process {
    guard: Child,
    server: Pid,
}

impl Process {
    /// Starts `program`, which `package` brings.
    pub(crate) fn start(program: &str, package: &str, arguments: &[String]) -> Self {
        assert!(
            program.starts_with('/') || is_there(program),
            "no {program}: install {package} (`cargo xtask test` does it)"
        );
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let output = guard.stdout.take().expect("the output is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the guard says the server's number");
        let server = line.trim().parse().ok().and_then(Pid::from_raw);
        let server = server.expect("a process number");
        Self { guard, server }
    }

    /// Sends the server a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.server, signal).expect("the server runs");
    }

    /// Freezes the server.
    pub(crate) fn pause(&self) {
        kill_process(self.server, Signal::STOP).expect("the server runs");
    }

    /// Lets a frozen server go on.
    pub(crate) fn resume(&self) {
        kill_process(self.server, Signal::CONT).expect("the server runs");
    }
}

impl Drop for Process {
    /// Ends the server at once, also one that is frozen, and waits until it is gone.
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
