//! What can be set about a syncd. Nothing changes while running: a new value waits for a restart.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use chassis::config::ByteSize;
use protocol::id::NodeId;
use serde::{Deserialize, Serialize};

use crate::room::{Rules, ticks};

/// A syncd's settings.
///
/// Worst-case memory: `capacity` rooms of about 16 KiB and 2 KiB a player, and for each player
/// out of reach an event log of at most 256 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of this syncd in the deployment.
    pub node: NodeId,
    /// Where gateways and matchers reach it.
    pub listen: SocketAddr,
    /// Where others reach it, `http://host:port`, if that is not `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
    /// The region that it is in, as clients name it when they measure. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Most bytes of journal entries that wait for the store. Over it rooms stand still until the
    /// store takes them.
    pub journal_limit: ByteSize,
    /// Tasks that step rooms; 0: one for each core.
    pub workers: usize,
    /// Most rooms at once. Over it new ones are refused.
    pub capacity: NonZeroUsize,
    /// New rooms are refused while the busiest worker uses more than this share of the time for its
    /// steps, or is about to: ticks slip at 1. A node without rooms takes one all the same.
    pub max_load: Share,
    /// The same for rooms of nodes that drain or are gone, which are better late than nowhere. If
    /// every node is over it, rooms of nodes that are gone are taken all the same.
    pub rescue_load: Share,
    /// A snapshot every so many ticks of 1/60 s: 3 is 20 a second, 2 is 30.
    pub snapshot_every: NonZeroU32,
    /// Most bytes of a snapshot's body. What does not fit waits, the least needed longest.
    pub snapshot_bytes: ByteSize,
    /// Most steps of input (1/60 s each) that wait for a player. Over it the oldest are dropped
    /// and reported.
    pub input_limit: NonZeroUsize,
    /// How long a player's last input is held when no other has come.
    #[serde(with = "chassis::config::duration")]
    pub hold_input: Duration,
    /// Longest from the end of a game to the end of its room, which stays for players who are out
    /// of reach to fetch the result. Without such it ends after 10 s. It counts for `capacity`.
    #[serde(with = "chassis::config::duration")]
    pub linger: Duration,
    /// A room in which nobody is present for this long is ended.
    #[serde(with = "chassis::config::duration")]
    pub abandon_after: Duration,
    /// Items from gateways that may wait for one worker. Over it the gateways' streams are not
    /// read until it has caught up.
    pub mailbox: NonZeroUsize,
    /// How long a room's tape is kept after its last second: what its game took in, some 20 KiB a
    /// race, from which `pixelrush replay` runs it again. 0: not at all.
    #[serde(with = "chassis::config::duration")]
    pub keep_tapes: Duration,
    /// Most who watch by this node at once, without a seat in what they watch. 0: nobody may.
    pub watchers: usize,
    /// Most races that are run again for them at once: who watches the same one, with the same
    /// delay, watches one of these. Each costs about a fifth of a room, and 64 KiB.
    pub shows: usize,
    /// How long a drain waits for rooms to end by themselves, and for results to be recorded.
    #[serde(with = "chassis::config::duration")]
    pub drain_deadline: Duration,
}

/// A part of a whole, above 0 and at most 1, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

/// Why a number is no [`Share`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is no share: it has to be above 0 and at most 1")]
pub struct ShareError(f64);

impl Share {
    /// In thousandths.
    pub fn permille(self) -> u32 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(share: f64) -> Result<Self, ShareError> {
        let permille = (share * 1000.0).round();
        match (1.0..=1000.0).contains(&permille) {
            true => Ok(Self(permille as u32)),
            false => Err(ShareError(share)),
        }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / 1000.0
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "syncd-1".parse().expect("a DNS label"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7300)),
            advertise: None,
            region: None,
            journal_limit: ByteSize(256 * 1024 * 1024),
            workers: 0,
            capacity: NonZeroUsize::new(2_000).expect("not zero"),
            max_load: Share(700),
            rescue_load: Share(900),
            snapshot_every: NonZeroU32::new(3).expect("not zero"),
            snapshot_bytes: ByteSize(512),
            input_limit: NonZeroUsize::new(30).expect("not zero"),
            hold_input: Duration::from_millis(250),
            linger: Duration::from_secs(60),
            abandon_after: Duration::from_secs(60),
            mailbox: NonZeroUsize::new(16_384).expect("not zero"),
            keep_tapes: Duration::from_secs(3600),
            watchers: 2_000,
            shows: 200,
            drain_deadline: Duration::from_secs(180),
        }
    }
}

impl Config {
    /// The rules for a room. Its snapshot phase is set where it is hosted.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            snapshot_every: self.snapshot_every.get(),
            snapshot_phase: 0,
            snapshot_bytes: self.snapshot_bytes.0,
            input_limit: self.input_limit.get(),
            hold_ticks: ticks(self.hold_input),
            linger_ticks: ticks(self.linger),
            abandon_ticks: ticks(self.abandon_after),
        }
    }

    /// How many workers there are to be.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            workers => workers,
        }
    }
}
