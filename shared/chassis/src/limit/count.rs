//! How many at once, by key.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use parking_lot::Mutex;

/// At most so many live permits a key, such as connections an address. Clones share the count.
///
/// Memory follows the live permits: a key without one is not kept. Over the limit is refused at
/// once; nobody waits.
#[derive(Debug)]
pub struct CountLimit<K> {
    limit: u32,
    held: Arc<Mutex<HashMap<K, NonZeroU32>>>,
}

/// One of a key's places; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit<K: Hash + Eq> {
    key: K,
    held: Arc<Mutex<HashMap<K, NonZeroU32>>>,
}

impl<K: Hash + Eq + Clone> CountLimit<K> {
    /// At most `limit` at once for each key; 0 refuses everyone.
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            held: Arc::default(),
        }
    }

    /// A place for `key`, or none if all are taken.
    pub fn acquire(&self, key: K) -> Option<Permit<K>> {
        let mut held = self.held.lock();
        let count = held.get(&key).map_or(0, |count| count.get());
        if count >= self.limit {
            return None;
        }
        held.insert(key.clone(), NonZeroU32::MIN.saturating_add(count));
        Some(Permit {
            key,
            held: Arc::clone(&self.held),
        })
    }

    /// How many places `key` has now.
    pub fn held(&self, key: &K) -> u32 {
        self.held.lock().get(key).map_or(0, |count| count.get())
    }

    /// How many keys have a place now.
    pub fn keys(&self) -> usize {
        self.held.lock().len()
    }
}

impl<K> Clone for CountLimit<K> {
    fn clone(&self) -> Self {
        Self {
            limit: self.limit,
            held: Arc::clone(&self.held),
        }
    }
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        let Some(count) = held.get_mut(&self.key) else {
            return;
        };
        match NonZeroU32::new(count.get() - 1) {
            Some(left) => *count = left,
            None => {
                held.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_for_each_key_on_its_own() {
        let limit = CountLimit::new(2);
        let first = limit.acquire("a").expect("first");
        let _second = limit.acquire("a").expect("second");
        assert!(limit.acquire("a").is_none());
        assert!(limit.acquire("b").is_some());
        drop(first);
        assert!(limit.acquire("a").is_some());
    }

    #[test]
    fn a_key_without_permits_is_forgotten() {
        let limit = CountLimit::new(10);
        let permits: Vec<_> = (0..5).map(|_| limit.acquire(7)).collect();
        assert_eq!((limit.held(&7), limit.keys()), (5, 1));
        drop(permits);
        assert_eq!((limit.held(&7), limit.keys()), (0, 0));
    }
}
