//! The newest count that this client has seen of each event. Older ones, which another matcher or
//! a slow push may bring, are dropped.

use std::collections::BTreeMap;

use crate::control::{EventList, EventsListed};

/// Most events that are remembered: far more than are shown. A server that names more gets those
/// behind it forgotten.
const EVENTS: usize = 1024;

/// Most events in one question: gateways pass 2 KiB on.
const ASKED: usize = 24;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Whether a count is not older than what was seen, which it then is.
    pub(super) fn is_newer(&mut self, event: &str, version: u64) -> bool {
        match self.0.get_mut(event) {
            Some(seen) if *seen > version => return false,
            Some(seen) => *seen = version,
            None => {
                if self.0.len() >= EVENTS {
                    self.0.clear();
                }
                self.0.insert(event.to_owned(), version);
            }
        }
        true
    }

    /// Takes counts out of a list that are older than what was seen.
    pub(super) fn keep_newer(&mut self, listed: &mut EventsListed) {
        for event in &mut listed.events {
            let version = event.version.unwrap_or_default();
            if event.free.is_some() && !self.is_newer(&event.event, version) {
                (event.free, event.version) = (None, None);
            }
        }
    }

    /// The question for events, with what was seen of as many as a message can name.
    pub(super) fn ask(&self) -> EventList {
        let have = self.0.iter().take(ASKED);
        EventList {
            have: have
                .map(|(event, version)| (event.clone(), *version))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::EventInfo;

    #[test]
    fn a_client_never_shows_an_older_count_than_it_saw() {
        let mut counts = Counts::default();
        assert!(counts.is_newer("a", 5));
        assert!(counts.is_newer("a", 5));
        assert!(!counts.is_newer("a", 4));
        let info = |version, free| EventInfo {
            event: "a".to_owned(),
            title: "A".to_owned(),
            opens_at_ms: 0,
            closes_at_ms: 1,
            seats: 9,
            free,
            version,
        };
        let mut listed = EventsListed {
            events: vec![info(Some(3), Some(9)), info(Some(6), Some(2))],
            server_time_ms: 0,
        };
        counts.keep_newer(&mut listed);
        assert_eq!(listed.events, [info(None, None), info(Some(6), Some(2))]);
        assert_eq!(counts.ask().have["a"], 6);
    }
}
