//! Running other programs, loudly.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A step that did not work.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A program to run.
#[derive(Debug)]
pub(crate) struct Step {
    text: String,
    command: Command,
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

pub(crate) fn command(program: &str, arguments: &[&str]) -> Step {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    Step {
        text: format!("{program} {}", arguments.join(" ")),
        command,
    }
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<(), Failed> {
    command("cargo", arguments).run()
}

impl Step {
    /// Runs it in a folder of the workspace.
    pub(crate) fn inside(mut self, folder: &str) -> Self {
        self.command.current_dir(root().join(folder));
        self
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Result<(), Failed> {
        println!("$ {}", self.text);
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failed(format!("`{}` failed: {status}", self.text))),
            Err(error) => Err(Failed(format!("cannot run `{}`: {error}", self.text))),
        }
    }

    /// Starts it and leaves it running.
    pub(crate) fn spawn(mut self) -> Result<std::process::Child, Failed> {
        println!("$ {} &", self.text);
        self.command.stdout(std::process::Stdio::piped());
        self.command
            .spawn()
            .map_err(|error| Failed(format!("cannot run `{}`: {error}", self.text)))
    }
}

/// Whether a program can be found.
pub(crate) fn is_there(program: &str) -> bool {
    path_of(program).is_some()
}

/// Where a program is.
pub(crate) fn path_of(program: &str) -> Option<String> {
    let output = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .ok()?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(path)
}
