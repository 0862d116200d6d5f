//! What goes wrong, and when: drawn from the seed.

use std::time::Duration;

use protocol::random::Random;
use protocol::time::Timestamp;

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A process dies; another one of the name starts after a while.
    Crash(usize, Duration),
    /// A process stands still. Time goes on.
    Pause(usize, Duration),
    /// A node does not reach the store.
    Cut(usize, Duration),
    /// Nobody but the store reaches a node.
    Isolate(usize, Duration),
    /// So many calls in a thousand are lost.
    Lossy(u64, Duration),
    /// Everything takes up to so long.
    Slow(Duration, Duration),
    /// The replica is so far behind.
    Lag(Duration, Duration),
    /// The store serves nobody.
    Down(Duration),
    /// The replica becomes the primary after this time. With nodes: these stay with the old one
    /// for so long.
    FailOver(Duration, Vec<usize>, Duration),
    /// The store comes back with nothing after this time.
    Wipe(Duration),
    /// A node takes nothing new.
    Drain(usize, Duration),
    /// A room goes from one node to another as planned.
    HandOver(usize, usize),
    /// The network is as usual.
    Calm,
}

/// What a world may meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nodes die, stand still, are cut off; the store is slow or away but forgets nothing.
    Nodes,
    /// The store loses its last writes, or all of them, too.
    Store,
}

/// Faults come within this time, from the start.
const WITHIN: u64 = 24_000;

/// The faults of a world, in order.
pub(crate) fn plan(random: &mut Random, level: Level, nodes: usize) -> Vec<(Timestamp, Fault)> {
    let count = 1 + random.below(5);
    let is_burst = random.below(2) == 0;
    let burst = 3_000 + random.below(WITHIN - 6_000);
    let mut faults: Vec<(Timestamp, Fault)> = (0..count)
        .map(|_| {
            let at = match is_burst {
                true => burst + random.below(4_000),
                false => 2_000 + random.below(WITHIN),
            };
            (
                Timestamp(at * 1000 + random.below(1000)),
                fault(random, level, nodes),
            )
        })
        .collect();
    if level == Level::Store && random.below(2) == 0 {
        faults.extend(fall(random, nodes));
    }
    for _ in 0..random.below(3) {
        let at = Timestamp((2_000 + random.below(WITHIN)) * 1000);
        faults.push((at, hand_over(random, nodes)));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

/// The primary dies when its replica is behind, and somebody else has trouble just then.
fn fall(random: &mut Random, nodes: usize) -> [(Timestamp, Fault); 3] {
    let at = 4_000 + random.below(WITHIN - 6_000);
    let lag = 50 + random.below(2_000);
    let node = random.below(nodes as u64) as usize;
    let down = millis(random, 0, 1_500);
    let trouble = match random.below(3) {
        0 => Fault::Crash(node, millis(random, 200, 4_000)),
        1 => Fault::Pause(node, millis(random, 1_000, 9_000)),
        _ => Fault::Cut(node, millis(random, 1_000, 9_000)),
    };
    let fall = match random.below(4) {
        0 => Fault::Wipe(down),
        _ => Fault::FailOver(down, Vec::new(), Duration::ZERO),
    };
    let meanwhile = at - 1_000 + random.below(4_000);
    let time = |millis: u64, random: &mut Random| Timestamp(millis * 1000 + random.below(1000));
    [
        (
            time(at - lag, random),
            Fault::Lag(Duration::from_millis(lag), Duration::from_millis(lag)),
        ),
        (time(at, random), fall),
        (time(meanwhile, random), trouble),
    ]
}

fn fault(random: &mut Random, level: Level, nodes: usize) -> Fault {
    let node = random.below(nodes as u64) as usize;
    let long = match random.below(30) {
        // Longer than a sealed journal is kept.
        0 => millis(random, 62_000, 72_000),
        _ => millis(random, 100, 14_000),
    };
    let kinds = match level {
        Level::Nodes => 10,
        Level::Store => 16,
    };
    match random.below(kinds) {
        0 | 1 => Fault::Crash(node, millis(random, 200, 9_000)),
        2 => Fault::Pause(node, long),
        3 => Fault::Cut(node, long),
        4 => Fault::Isolate(node, long),
        5 => Fault::Lossy(20 + random.below(300), long),
        6 => Fault::Slow(millis(random, 10, 600), long),
        7 => Fault::Down(millis(random, 100, 12_000)),
        8 => hand_over(random, nodes),
        9 => Fault::Drain(node, long),
        10 => Fault::Lag(millis(random, 20, 2_000), long),
        11 => Fault::Wipe(millis(random, 0, 4_000)),
        12 => {
            let stuck = (0..nodes).filter(|_| random.below(2) == 0).collect();
            Fault::FailOver(millis(random, 0, 3_000), stuck, millis(random, 500, 9_000))
        }
        _ => Fault::FailOver(millis(random, 0, 3_000), Vec::new(), Duration::ZERO),
    }
}

fn hand_over(random: &mut Random, nodes: usize) -> Fault {
    let from = random.below(nodes as u64) as usize;
    let to = (from + 1 + random.below(nodes as u64 - 1) as usize) % nodes;
    Fault::HandOver(from, to)
}

fn millis(random: &mut Random, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + random.below(to - from + 1))
}
