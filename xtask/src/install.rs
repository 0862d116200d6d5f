//! Installs what tests need and the machine lacks, on Debian and Ubuntu.

use crate::run::{Failed, command, is_there, path_of, root};

/// A program by any of its names, and the package that brings it.
const PROGRAMS: [(&[&str], &str); 7] = [
    (&["redis-server"], "redis-server"),
    (&["pg_createcluster"], "postgresql"),
    (&["pgbouncer", "/usr/sbin/pgbouncer"], "pgbouncer"),
    (&["openssl"], "openssl"),
    (&["node"], "nodejs"),
    (&["npm"], "npm"),
    (&BROWSERS, "chromium"),
];

/// Browsers that the browser test can drive, by preference.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The browser that is there.
pub(crate) fn browser() -> Result<String, Failed> {
    let found = BROWSERS.iter().find_map(|name| path_of(name));
    found.ok_or_else(|| {
        Failed(format!(
            "no browser; install one of {}",
            BROWSERS.join(", ")
        ))
    })
}

/// Installs the programs that are missing.
pub(crate) fn programs() -> Result<(), Failed> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(names, _)| !names.iter().any(|name| is_there(name)))
        .map(|(_, package)| *package)
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

/// Oldest Node.js that the tests run on; older Debian releases ship an older one.
const NODE: u32 = 20;

/// The value of `PATH` under which `node` is new enough, for the steps that run it.
pub(crate) fn node_path() -> Result<String, Failed> {
    let path = std::env::var("PATH").unwrap_or_default();
    if node_version().is_some_and(|version| version >= NODE) {
        return Ok(path);
    }
    let tools = root().join("target/tools");
    let prefix = tools.to_string_lossy();
    command(
        "npm",
        &[
            "install",
            "--prefix",
            &prefix,
            "--no-audit",
            "--no-fund",
            "node@22",
        ],
    )
    .run()?;
    Ok(format!("{prefix}/node_modules/node/bin:{path}"))
}

fn node_version() -> Option<u32> {
    let output = std::process::Command::new("node")
        .arg("--version")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
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
