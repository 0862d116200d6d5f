//! Why a store did not do what it was asked.

use std::error::Error;
use std::path::PathBuf;

use protocol::id::Generation;

/// Why a store did not do what it was asked. Nothing was changed, except where a variant says
/// that this is unknown.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A newer owner is known. The caller has been replaced: it stops, it does not retry.
    #[error("{subject} has generation {held}; {offered} is refused")]
    Fenced {
        /// The node or room.
        subject: String,
        /// The generation that is known.
        held: Generation,
        /// The generation that was offered.
        offered: Generation,
    },
    /// What was offered is larger than the store takes. Repeating will not help.
    #[error("too many {what}: the limit is {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The documented limit.
        limit: usize,
    },
    /// The store holds, or is asked, as much as it may be. Retry later.
    #[error("no room for more {what}: the limit is {limit}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The documented limit.
        limit: usize,
    },
    /// The store did not answer in time. Whether the change took effect is unknown: read, or
    /// repeat it where repeating is harmless.
    #[error("{operation} did not finish in time")]
    Deadline {
        /// What was asked.
        operation: &'static str,
    },
    /// The store failed. Whether a change took effect is unknown.
    #[error("{operation} failed")]
    Store {
        /// What was asked.
        operation: &'static str,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store's primary did it, and fewer of its replicas than it takes to be safe said in time
    /// that they have it. Repeat it: it counts once enough of them have it.
    #[error("{operation} is on {acknowledged} replicas in time; it takes {wanted}")]
    NotReplicated {
        /// What was asked.
        operation: &'static str,
        /// How many replicas it takes.
        wanted: u32,
        /// How many have it.
        acknowledged: u32,
    },
    /// The store cannot be reached as configured.
    #[error("cannot use Redis at {address}: {remedy}")]
    Connect {
        /// Where it should be; without a password.
        address: String,
        /// What to look at.
        remedy: &'static str,
        /// What the system or the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Settings that cannot be right.
    #[error("[{section}] is no good")]
    Invalid {
        /// The section of the configuration.
        section: &'static str,
        /// Names the setting, and the remedy.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store holds what no release has written: somebody else did, or the disk lies.
    #[error("{operation} met damaged data: {detail}")]
    Damaged {
        /// What was asked.
        operation: &'static str,
        /// What is wrong, without the data itself.
        detail: String,
    },
    /// The store cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Its file or folder.
        path: PathBuf,
        /// What the system or the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A newer release has written the store; this one would damage it.
    #[error("the database has schema {found}; this release knows up to {known}: use a newer one")]
    SchemaTooNew {
        /// The schema that is there.
        found: i64,
        /// The newest that this release knows.
        known: i64,
    },
}
