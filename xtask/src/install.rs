//! Installs what tests need and the machine lacks, on Debian and Ubuntu.

use crate::run::{Failed, command, is_there};

/// A program, and the packages that bring it.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("node", &["nodejs"]),
    ("npm", &["npm"]),
    ("chromium", &["chromium"]),
];

/// Installs the programs that are missing.
pub(crate) fn programs() -> Result<(), Failed> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .flat_map(|(_, packages)| packages.iter().copied())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_there("apt-get") {
        return Err(Failed(format!("please install {}", missing.join(", "))));
    }
    apt(&["update", "--quiet"])?;
    let mut install = vec!["install", "--yes", "--quiet", "--no-install-recommends"];
    install.extend(&missing);
    apt(&install)
}

/// The packages that the browser test uses, as its lock file names them.
pub(crate) fn node_packages() -> Result<(), Failed> {
    command("npm", &["ci", "--no-audit", "--no-fund"])
        .inside("web/tests")
        .run()
}

fn apt(arguments: &[&str]) -> Result<(), Failed> {
    let is_root = std::process::Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.starts_with(b"0"));
    let step = if is_root {
        command("apt-get", arguments)
    } else {
        let mut whole = vec!["apt-get"];
        whole.extend(arguments);
        command("sudo", &whole)
    };
    step.env("DEBIAN_FRONTEND", "noninteractive").run()
}
