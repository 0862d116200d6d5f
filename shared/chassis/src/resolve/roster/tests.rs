use super::*;

const PACE: Pace = Pace {
    refresh: Duration::from_secs(5),
    recheck: Duration::from_secs(10),
};

fn address(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7300))
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn answer(numbers: &[u8], ttl: u64) -> Answer {
    Answer {
        addresses: numbers.iter().map(|n| (address(*n), 0)).collect(),
        ttl: seconds(ttl),
        partial: false,
    }
}

/// A roster, and the time that its test is at.
struct World {
    roster: Roster,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            roster: Roster::new(PACE, now),
            now,
        }
    }

    fn answer(&mut self, answer: Answer) {
        self.roster.handle_answer(answer, self.now);
    }

    /// Ends every probe that is due: addresses in `up` accept, others refuse.
    fn probe(&mut self, up: &[u8]) -> Vec<SocketAddr> {
        let mut probed = Vec::new();
        while let Some(address) = self.roster.poll_probe(self.now) {
            probed.push(address);
        }
        for found in &probed {
            let accepts = up.iter().any(|n| address(*n) == *found);
            let probe = if accepts {
                Probe::Accepted
            } else {
                Probe::Refused
            };
            self.roster.handle_probe(*found, probe, self.now);
        }
        probed
    }

    fn offered(&self) -> Vec<SocketAddr> {
        self.roster.endpoints().healthy().to_vec()
    }
}

/// The wait until the next question after an answer with this time to live.
fn wait_after(ttl: Duration) -> Duration {
    let mut world = World::new();
    assert!(world.roster.poll_question(world.now));
    assert!(!world.roster.poll_question(world.now), "one at a time");
    let answer = Answer {
        ttl,
        ..answer(&[1], 0)
    };
    world.answer(answer);
    world.roster.question_due().expect("due") - world.now
}

#[test]
fn a_name_is_asked_for_when_it_expires_but_within_a_second_and_the_refresh() {
    assert_eq!(wait_after(seconds(300)), seconds(5));
    assert_eq!(wait_after(seconds(3)), seconds(3));
    assert_eq!(wait_after(Duration::ZERO), seconds(1));
}

#[test]
fn an_address_is_offered_once_its_probe_was_accepted() {
    let mut world = World::new();
    assert!(!world.roster.endpoints().is_settled());
    world.answer(answer(&[2, 1, 3], 60));
    assert_eq!(world.offered(), []);
    assert!(!world.roster.endpoints().is_settled());
    assert_eq!(world.probe(&[1, 3]).len(), 3);
    assert_eq!(world.offered(), [address(1), address(3)]);
    let endpoints = world.roster.endpoints();
    assert_eq!((endpoints.known(), endpoints.is_settled()), (3, true));
}

#[test]
fn known_addresses_are_probed_again_at_a_slow_pace() {
    let mut world = World::new();
    world.answer(answer(&[1, 2], 60));
    world.probe(&[1]);
    world.now += seconds(9);
    assert_eq!(world.probe(&[]), []);
    world.now += seconds(1);
    assert_eq!(world.probe(&[2]), [address(1), address(2)]);
    assert_eq!(world.offered(), [address(2)]);
}

#[test]
fn one_silent_probe_of_a_healthy_address_is_checked_before_it_is_believed() {
    let mut world = World::new();
    world.answer(answer(&[1], 60));
    world.probe(&[1]);
    world.now += seconds(10);
    for (probe, offered) in [(Probe::Silent, 1), (Probe::Silent, 0)] {
        assert_eq!(world.roster.poll_probe(world.now), Some(address(1)));
        world.roster.handle_probe(address(1), probe, world.now);
        assert_eq!(world.offered().len(), offered);
    }
    assert_eq!(world.roster.poll_probe(world.now), None, "back to the pace");
}

#[test]
fn a_failure_keeps_the_last_good_answer_and_waits() {
    let mut world = World::new();
    world.answer(answer(&[1, 2], 5));
    world.probe(&[1, 2]);
    world.now += seconds(5);
    assert!(world.roster.poll_question(world.now));
    world.roster.handle_failure(seconds(2), world.now);
    assert_eq!(world.offered().len(), 2);
    assert!(world.roster.is_stale());
    assert_eq!(world.roster.answer_age(world.now), Some(seconds(5)));
    assert_eq!(world.roster.question_due(), Some(world.now + seconds(2)));
    world.now += seconds(2);
    world.answer(answer(&[1], 5));
    assert!(!world.roster.is_stale());
    assert_eq!(world.offered(), [address(1)]);
}

#[test]
fn an_address_that_left_is_dropped_and_one_that_stays_is_not_probed_anew() {
    let mut world = World::new();
    world.answer(answer(&[1, 2], 5));
    world.probe(&[1, 2]);
    world.answer(answer(&[2, 3], 5));
    assert_eq!(world.offered(), [address(2)]);
    assert_eq!(world.probe(&[3]), [address(3)]);
    assert_eq!(world.offered(), [address(2), address(3)]);
}

#[test]
fn an_answer_that_replaces_everything_takes_over_when_its_addresses_were_probed() {
    let mut world = World::new();
    world.answer(answer(&[1], 5));
    world.probe(&[1]);
    world.answer(answer(&[2, 3], 5));
    assert_eq!(world.offered(), [address(1)]);
    world.probe(&[3]);
    assert_eq!(world.offered(), [address(3)]);

    world.answer(answer(&[4], 5));
    world.probe(&[]);
    assert_eq!(world.offered(), [], "what DNS has withdrawn is not kept");
}

#[test]
fn a_partial_answer_drops_nobody() {
    let mut world = World::new();
    world.answer(answer(&[1, 2], 5));
    world.probe(&[1, 2]);
    world.answer(Answer {
        partial: true,
        ..answer(&[2, 3], 5)
    });
    world.probe(&[3]);
    assert_eq!(world.offered(), [address(1), address(2), address(3)]);
}

#[test]
fn the_best_priority_with_a_healthy_address_is_offered() {
    let mut world = World::new();
    let mut ranked = answer(&[], 5);
    ranked.addresses = [(address(1), 20), (address(2), 10), (address(3), 10)].into();
    world.answer(ranked);
    world.probe(&[1, 2, 3]);
    assert_eq!(world.offered(), [address(2), address(3)]);
    world.now += seconds(10);
    world.probe(&[1]);
    assert_eq!(world.offered(), [address(1)]);
}

#[test]
fn a_probe_that_ends_after_its_address_left_changes_nothing() {
    let mut world = World::new();
    world.answer(answer(&[1], 5));
    assert_eq!(world.roster.poll_probe(world.now), Some(address(1)));
    world.answer(answer(&[2], 5));
    world
        .roster
        .handle_probe(address(1), Probe::Accepted, world.now);
    assert_eq!(world.offered(), []);
}

#[test]
fn fixed_addresses_are_probed_and_never_asked_for() {
    let now = Instant::now();
    let mut roster = Roster::fixed(PACE, vec![address(1)], now);
    assert!(!roster.poll_question(now + seconds(3600)));
    assert_eq!(roster.question_due(), None);
    assert_eq!(roster.poll_probe(now), Some(address(1)));
    roster.handle_probe(address(1), Probe::Accepted, now);
    assert_eq!(roster.endpoints().healthy(), [address(1)]);
    assert_eq!(roster.answer_age(now), None);
}

#[test]
fn more_addresses_than_the_limit_are_cut_in_order() {
    let mut world = World::new();
    let numbers: Vec<u8> = (0..=255).rev().collect();
    world.answer(answer(&numbers, 5));
    let probed = world.probe(&numbers);
    assert_eq!(probed.len(), MAX_ADDRESSES);
    assert_eq!(
        (probed[0], probed[MAX_ADDRESSES - 1]),
        (address(0), address(63))
    );
}
