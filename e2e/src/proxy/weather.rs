//! What a network does.

use std::time::Duration;

use protocol::random::Random;
use tokio::time::Instant;

/// What the network does, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Carries everything.
    Fair,
    /// Carries nothing; connections stay up, new ones are accepted and lead nowhere.
    BlackHole,
    /// Resets every connection, and each new one.
    Cut,
}

/// What the network does, in detail. The default carries everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// From the clients to the target.
    pub up: Flow,
    /// From the target to the clients.
    pub down: Flow,
    /// What becomes of new connections.
    pub door: Door,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// How long everything takes. It bounds the rate of a connection to
    /// [`WINDOW`](super::WINDOW) in this time.
    pub latency: Duration,
    /// How much longer it may take, drawn evenly. Order is kept: what is early waits.
    pub jitter: Duration,
    /// What becomes of what is sent.
    pub fate: Fate,
}

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It arrives.
    #[default]
    Carry,
    /// It waits, as behind lost packets, and the sender's window fills.
    Hold,
    /// It is taken and thrown away, and the sender knows nothing of it: with one direction of two
    /// the connection is half open.
    Swallow,
}

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Door {
    /// They are accepted.
    #[default]
    Open,
    /// They are accepted and reset.
    Reset,
    /// They are refused, as where nobody listens.
    Refuse,
}

/// What all connections see.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sky {
    pub(super) conditions: Conditions,
    pub(super) stalled_until: Option<Instant>,
    /// Times that everything was reset.
    pub(super) cuts: u64,
}

impl Weather {
    pub(super) fn conditions(self) -> Conditions {
        let fate = match self {
            Self::Fair | Self::Cut => Fate::Carry,
            Self::BlackHole => Fate::Hold,
        };
        let door = match self {
            Self::Fair | Self::BlackHole => Door::Open,
            Self::Cut => Door::Reset,
        };
        let flow = Flow {
            fate,
            ..Flow::default()
        };
        Conditions {
            up: flow,
            down: flow,
            door,
        }
    }
}

impl Conditions {
    /// Both directions with this latency and jitter.
    pub fn slow(latency: Duration, jitter: Duration) -> Self {
        let flow = Flow {
            latency,
            jitter,
            fate: Fate::Carry,
        };
        Self {
            up: flow,
            down: flow,
            door: Door::Open,
        }
    }

    /// Conditions drawn for a test that wants bad luck: mostly slow, sometimes held or half open,
    /// now and then closed for new connections. The same generator draws the same again.
    pub fn drawn(random: &mut Random) -> Self {
        Self {
            up: Flow::drawn(random),
            down: Flow::drawn(random),
            door: match random.below(10) {
                0 => Door::Refuse,
                1 => Door::Reset,
                _ => Door::Open,
            },
        }
    }
}

impl Flow {
    fn drawn(random: &mut Random) -> Self {
        let mut millis = |bound| Duration::from_millis(random.below(bound));
        Self {
            latency: millis(200),
            jitter: millis(100),
            fate: match random.below(10) {
                0 => Fate::Hold,
                1 => Fate::Swallow,
                _ => Fate::Carry,
            },
        }
    }
}
