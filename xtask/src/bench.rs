//! Benchmarks: built in release mode, run by the e2e crate's `bench` binary.

use crate::run::{Failed, cargo};

pub(crate) fn run(which: &[&str]) -> Result<(), Failed> {
    cargo(&[
        "build",
        "--release",
        "--package",
        "pixelrush",
        "--package",
        "pixelrush-e2e",
    ])?;
    let mut arguments = vec![
        "run",
        "--release",
        "--package",
        "pixelrush-e2e",
        "--bin",
        "bench",
        "--",
    ];
    arguments.extend(which);
    cargo(&arguments)
}
