//! Resident memory of a gateway for each idle session that is logged in, attached to the matcher
//! and has beaten.

use crate::BenchError;
use crate::server::{Launcher, Memory, Placing, settled_memory};
use crate::session::Session;
use crate::wire::Dialer;

/// Sessions at which memory is read. One process opens at most 20,000 files here.
const SIZES: [usize; 3] = [2_000, 10_000, 19_000];

/// Sessions before the first look: code and tables that are touched once are no cost of a
/// session.
const WARM_UP: usize = 100;

/// Whole runs, each with new processes.
const RUNS: usize = 3;

/// What one run saw.
#[derive(Debug)]
pub(crate) struct Run {
    /// Without any session, warmed up.
    pub(crate) empty: Memory,
    /// With so many.
    pub(crate) levels: Vec<(usize, Memory)>,
}

/// Runs it.
pub(crate) fn measure(launcher: &Launcher) -> Result<Vec<Run>, BenchError> {
    (1..=RUNS)
        .map(|number| {
            eprintln!("memory: run {number} of {RUNS}");
            run(launcher)
        })
        .collect()
}

fn run(launcher: &Launcher) -> Result<Run, BenchError> {
    let gateway = launcher.gateway(Placing::AllCores)?;
    let mut dialer = Dialer::default();
    let largest = SIZES[SIZES.len() - 1];
    for index in 0..WARM_UP {
        // Players of their own, so that no one counts as a second login.
        Session::open(&gateway, &mut dialer, largest + index)?.beat(1)?;
    }
    let empty = settled_memory(gateway.process())?;
    let (mut sessions, mut levels) = (Vec::new(), Vec::new());
    for size in SIZES {
        while sessions.len() < size {
            sessions.push(Session::open(&gateway, &mut dialer, sessions.len())?);
        }
        // Everybody, so that those of the level before have not been silent for too long.
        for session in &mut sessions {
            session.beat(1)?;
        }
        levels.push((size, settled_memory(gateway.process())?));
        eprintln!("memory: {size} sessions");
    }
    for session in &mut sessions {
        session.beat(2)?; // all of them are still there
    }
    Ok(Run { empty, levels })
}
