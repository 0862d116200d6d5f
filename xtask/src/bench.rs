//! Benchmarks: programs of the e2e crate, beside the server that they measure, in release mode.

use crate::run::{Failed, cargo};

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), Failed> {
    cargo(&[
        "build",
        "--release",
        "--package",
        "pixelrush",
        "--package",
        "pixelrush-e2e",
    ])?;
    let mut run = vec![
        "run",
        "--release",
        "--package",
        "pixelrush-e2e",
        "--bin",
        program,
        "--",
    ];
    run.extend(arguments);
    cargo(&run)
}
