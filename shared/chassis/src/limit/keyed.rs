//! Token buckets by key, in bounded memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use parking_lot::Mutex;

use super::{Rate, RetryAfter, TokenBucket};

/// Enough that a full scan of one shard is short, whoever waits behind it.
const SHARDS: usize = 16;

/// A full shard is scanned at most this often, in microseconds, so that a flood of new keys does
/// not buy a scan each.
const SCAN_EVERY: u64 = 100_000;

/// A [`TokenBucket`] for each key, such as an address.
///
/// Bound: about `max_keys` buckets of 64 bytes and the key. Beyond it, keys that are not yet
/// known share one bucket for each of 16 shards until old ones can be forgotten: a flood of
/// invented addresses slows down newcomers, not those who are here.
///
/// Nothing iterates in the map's order, except to forget, where order does not show.
#[derive(Debug)]
pub struct Keyed<K> {
    rate: Rate,
    shard_limit: usize,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<K>>]>,
}

#[derive(Debug)]
struct Shard<K> {
    buckets: HashMap<K, TokenBucket>,
    overflow: TokenBucket,
    scanned_at: u64,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    /// No keys yet; every bucket will have `rate`.
    pub fn new(rate: Rate, max_keys: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                buckets: HashMap::new(),
                overflow: TokenBucket::new(rate, 0),
                scanned_at: 0,
            })
        };
        Self {
            rate,
            shard_limit: max_keys.div_ceil(SHARDS).max(1),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    /// Takes one token of `key`.
    ///
    /// # Errors
    /// [`RetryAfter`] says when there will be one.
    pub fn check(&self, key: &K, now: u64) -> Result<(), RetryAfter> {
        self.check_n(key, 1, now)
    }

    /// Takes `n` tokens of `key`, or none.
    ///
    /// # Errors
    /// [`RetryAfter`] says when there will be enough.
    pub fn check_n(&self, key: &K, n: u32, now: u64) -> Result<(), RetryAfter> {
        let mut shard = self.shard(key).lock();
        if let Some(bucket) = shard.buckets.get_mut(key) {
            return bucket.take(n, now);
        }
        if shard.buckets.len() >= self.shard_limit {
            shard.forget_idle_sometimes(now);
        }
        if shard.buckets.len() >= self.shard_limit {
            return shard.overflow.take(n, now);
        }
        let mut bucket = TokenBucket::new(self.rate, now);
        let taken = bucket.take(n, now);
        shard.buckets.insert(key.clone(), bucket);
        taken
    }

    /// Forgets every key whose bucket is full again. Call it now and then (once a minute) to
    /// return memory; limits hold without it.
    pub fn prune(&self, now: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.forget_idle(now);
            shard.buckets.shrink_to_fit();
        }
    }

    /// How many keys are known now.
    pub fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().buckets.len())
            .sum()
    }

    /// Whether no key is known now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: &K) -> &Mutex<Shard<K>> {
        // The high bits: the maps inside use the low ones, with seeds of their own.
        let hash = self.hasher.hash_one(key) >> 32;
        &self.shards[hash as usize % SHARDS]
    }
}

impl<K: Hash + Eq> Shard<K> {
    fn forget_idle_sometimes(&mut self, now: u64) {
        if now.saturating_sub(self.scanned_at) >= SCAN_EVERY || self.scanned_at == 0 {
            self.forget_idle(now);
        }
    }

    fn forget_idle(&mut self, now: u64) {
        self.scanned_at = now.max(1);
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn one_key_over_its_limit_leaves_the_others_alone() {
        let limit = Keyed::new(Rate::per_second(1, 1), 1000);
        assert!(limit.check(&"a", 0).is_ok());
        assert!(limit.check(&"a", 0).is_err());
        assert!(limit.check(&"b", 0).is_ok());
        assert!(limit.check(&"a", SECOND).is_ok());
    }

    #[test]
    fn keys_stay_bounded_and_known_ones_keep_their_tokens() {
        let limit = Keyed::new(Rate::per_second(2, 1), 160);
        assert!(limit.check(&u32::MAX, 0).is_ok());
        let refused = (0..100_000)
            .filter(|key| limit.check(key, 1).is_err())
            .count();
        assert!(limit.len() <= 160);
        assert!(
            refused > 99_000,
            "unknown keys share what is left: {refused}"
        );
        assert!(
            limit.check(&u32::MAX, 1).is_ok(),
            "the one who was here passes"
        );
    }

    #[test]
    fn idle_keys_make_room_for_new_ones() {
        let limit = Keyed::new(Rate::per_second(1, 1), 1600);
        for key in 0..50_000 {
            let _ = limit.check(&key, 0);
        }
        assert_eq!(limit.len(), 1600, "full");
        let newcomers = 50_000..50_010;
        let passed = newcomers.filter(|key| limit.check(key, 2 * SECOND).is_ok());
        assert_eq!(passed.count(), 10);
    }

    #[test]
    fn pruning_forgets_who_has_a_full_bucket() {
        let limit = Keyed::new(Rate::per_second(1, 1), 1000);
        for key in 0..100 {
            let _ = limit.check(&key, 0);
        }
        limit.prune(SECOND / 2);
        assert_eq!(limit.len(), 100);
        limit.prune(SECOND);
        assert!(limit.is_empty());
    }
}
