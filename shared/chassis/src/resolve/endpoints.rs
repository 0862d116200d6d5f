//! What a followed name offers.

use std::net::SocketAddr;

/// The addresses of a service that answered their last probe, in a fixed order: of SRV records
/// those of the best priority that has any, then by address, IPv4 first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    pub(super) healthy: Box<[SocketAddr]>,
    pub(super) known: usize,
    pub(super) settled: bool,
}

impl Endpoints {
    /// The addresses to use.
    pub fn healthy(&self) -> &[SocketAddr] {
        &self.healthy
    }

    /// How many addresses the name has, healthy or not.
    pub fn known(&self) -> usize {
        self.known
    }

    /// Whether the first question was answered, or failed, and every address was probed: until
    /// then there may be more to come.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// The address with the least `load`, the first of them if several have it; none if no
    /// address is healthy.
    pub fn choose(&self, load: impl Fn(SocketAddr) -> u64) -> Option<SocketAddr> {
        let addresses = self.healthy.iter().copied();
        addresses.min_by_key(|address| load(*address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_is_chosen_and_the_first_of_equals() {
        let [a, b, c] = [1, 2, 3].map(|n| SocketAddr::from(([10, 0, 0, n], 7300)));
        let endpoints = Endpoints {
            healthy: [a, b, c].into(),
            known: 3,
            settled: true,
        };
        let busy_a = |address| if address == a { 5 } else { 2 };
        assert_eq!(endpoints.choose(busy_a), Some(b));
        assert_eq!(endpoints.choose(|_| 0), Some(a));
        assert_eq!(Endpoints::default().choose(|_| 0), None);
    }
}
