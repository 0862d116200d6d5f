//! The one-process mode: what a newcomer runs first.

use e2e::process::Process;
use rustix::process::Signal;
use std::process::Command;

use crate::binary;

const FREE_PORTS: [(&str, &str); 2] = [
    ("PIXELRUSH_GATEWAY__LISTEN", "127.0.0.1:0"),
    ("PIXELRUSH_ADMIN__LISTEN", "127.0.0.1:0"),
];

#[test]
fn the_smoke_suite_passes_against_the_main_job_and_it_drains_on_sigterm() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("single.log");
    let mut server =
        Process::start(binary(), &[], FREE_PORTS, &log).unwrap_or_else(|error| panic!("{error}"));
    let junit = folder.path().join("junit.xml");
    let output = Command::new(binary())
        .args(["smoke", "--target", &server.url(), "--junit"])
        .arg(&junit)
        .output()
        .expect("the binary runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", server.log());
    let report = std::fs::read_to_string(&junit).expect("a report");
    assert!(report.contains("failures=\"0\""), "{report}");
    server.signal(Signal::TERM);
    assert!(
        server.wait().expect("it ends").success(),
        "{}",
        server.log()
    );
    assert!(server.log().contains("drained"), "{}", server.log());
}

#[test]
fn the_smoke_suite_fails_where_nothing_listens() {
    let output = Command::new(binary())
        .args(["smoke", "--target", "http://127.0.0.1:1", "--patience", "5"])
        .output()
        .expect("the binary runs");
    assert!(!output.status.success());
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("0 passed"),
        "{output:?}"
    );
}
