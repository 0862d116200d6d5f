//! Limits: how fast ([`TokenBucket`] for one owner, [`Keyed`] by key) and how many at once
//! ([`CountLimit`]).
//!
//! Time is an argument, in microseconds of one monotonic clock (usually
//! [`clock::now`](crate::clock::now)).

mod bucket;
mod count;
mod keyed;

use std::time::Duration;

pub use bucket::{Rate, RateError, TokenBucket};
pub use count::{CountLimit, Permit};
pub use keyed::Keyed;

/// A limit is reached; the same request will pass after this long, if nobody else takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("limit reached, retry after {} ms", self.millis())]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// The wait in whole milliseconds, rounded up, so that a client that waits it will pass.
    pub fn millis(self) -> u64 {
        let millis = self.0.as_micros().div_ceil(1000);
        u64::try_from(millis).unwrap_or(u64::MAX)
    }
}
