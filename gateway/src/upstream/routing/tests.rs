use protocol::id::SessionId;

use super::*;
use crate::upstream::lobby::Refused;

const NOW: Timestamp = Timestamp(60_000_000);
const ROOM: RoomId = RoomId(7);

fn ms(millis: u64) -> Timestamp {
    NOW + Duration::from_millis(millis)
}

fn seat(session: u64) -> Seat {
    let channel = protocol::id::Channel::Room;
    Seat {
        session: SessionId(session),
        channel,
        attempt: 1,
    }
}

fn node(number: u64) -> NodeId {
    format!("syncd-{number}").parse().unwrap()
}

fn incarnation(number: u64, generation: u64) -> Incarnation {
    let generation = Generation(generation);
    Incarnation {
        node: node(number),
        generation,
    }
}

/// Room nodes that are linked, each as its first incarnation and by the link of its number.
fn linked(numbers: &[u64]) -> Nodes {
    let room = |number: &u64| (node(*number), (Generation(1), LinkId(*number)));
    Nodes {
        matchers: Vec::new(),
        rooms: numbers.iter().map(room).collect(),
        stages: numbers
            .iter()
            .map(|number| (node(*number), LinkId(*number)))
            .collect(),
    }
}

/// Somebody who wants to watch the room.
fn watcher(who: u64, cause: Cause, spell: Spell) -> Case<u64> {
    Case {
        wish: Wish::Watch(ROOM),
        spell,
        cause,
        ..newcomer(who)
    }
}

#[test]
fn a_room_is_watched_at_the_node_that_all_choose_then_at_the_next() {
    let mut routing = Routing::new(true);
    routing.set_nodes(linked(&[1, 2, 3]));
    let mut spell = Spell::default();
    let mut tried = Vec::new();
    for _ in 0..3 {
        let cause = match tried.last() {
            None => Cause::Asked,
            Some(link) => Cause::Unknown(incarnation(*link, 1)),
        };
        let at = Timestamp(NOW.0 + 1_000_000 * tried.len() as u64);
        routing.enter(at, seat(1), watcher(1, cause, spell));
        assert_eq!(routing.rooms_to_ask(at), [], "a tape is nobody's");
        let later = Timestamp(at.0 + 500_000);
        let (link, again) = attached(&routing.poll(later)).unwrap();
        assert!(!tried.contains(&link));
        tried.push(link);
        spell = again;
    }
    let cause = Cause::Unknown(incarnation(tried[2], 1));
    routing.enter(NOW, seat(1), watcher(1, cause, spell));
    assert_eq!(routing.poll(NOW), [Order::Refuse(1, Why::NotShown)]);
}

/// Somebody who was in the room, which began on node 1.
fn standing(who: u64, cause: Cause) -> Case<u64> {
    Case {
        who,
        wish: Wish::Room {
            room: ROOM,
            named: node(1),
        },
        spell: Spell::default(),
        cause,
        is_standing: true,
    }
}

/// Somebody who comes into the room for the first time.
fn newcomer(who: u64) -> Case<u64> {
    Case {
        is_standing: false,
        ..standing(who, Cause::Asked)
    }
}

fn by_placement(nodes: Nodes) -> Routing<u64> {
    let mut routing = Routing::new(true);
    routing.set_nodes(nodes);
    routing
}

/// Asks what is due and answers it.
fn answer(routing: &mut Routing<u64>, now: Timestamp, answer: &Answer) {
    for room in routing.rooms_to_ask(now) {
        routing.answer(room, answer);
    }
}

fn at(number: u64) -> Answer {
    Answer::At(incarnation(number, 1))
}

/// Where the one order but `TellLost` says to attach.
fn attached(orders: &[Order<u64>]) -> Option<(u64, Spell)> {
    let attaches = orders.iter().filter_map(|order| match order {
        Order::Attach(_, link, spell) => Some((link.0, spell.clone())),
        Order::Refuse(..) | Order::TellLost(..) => None,
    });
    let attaches: Vec<_> = attaches.collect();
    assert!(attaches.len() <= 1, "{orders:?}");
    attaches.into_iter().next()
}

#[test]
fn a_room_is_followed_to_the_node_that_its_placement_names() {
    let mut routing = by_placement(linked(&[2]));
    routing.enter(NOW, seat(1), standing(1, Cause::Lost("node_silent")));
    assert_eq!(routing.poll(NOW), [Order::TellLost(1, "node_silent")]);
    answer(&mut routing, NOW, &at(1));
    assert_eq!(routing.poll(NOW), [], "the old owner, which is down");
    answer(&mut routing, ms(100), &at(2));
    let (link, spell) = attached(&routing.poll(ms(100))).unwrap();
    assert_eq!((link, spell.since, spell.told), (2, Some(NOW), true));
    assert_eq!(routing.len(), 0);
}

#[test]
fn an_older_incarnation_of_the_node_is_not_taken_for_the_owner() {
    let mut routing = by_placement(linked(&[2]));
    routing.enter(NOW, seat(1), standing(1, Cause::Lost("node_gone")));
    answer(&mut routing, NOW, &Answer::At(incarnation(2, 2)));
    assert_eq!(attached(&routing.poll(NOW)), None);
    let mut nodes = linked(&[2]);
    nodes.rooms.insert(node(2), (Generation(2), LinkId(9)));
    routing.set_nodes(nodes);
    assert_eq!(attached(&routing.poll(ms(1))).unwrap().0, 9);
}

#[test]
fn each_room_is_asked_for_once_and_then_every_so_often() {
    let mut routing = by_placement(linked(&[]));
    for session in 1..=3 {
        routing.enter(NOW, seat(session), standing(session, Cause::Asked));
    }
    assert_eq!(routing.rooms_to_ask(NOW), [ROOM]);
    assert_eq!(routing.rooms_to_ask(ms(50)), []);
    // One that comes in between does not wait for the others.
    routing.enter(ms(50), seat(4), standing(4, Cause::Asked));
    assert_eq!(routing.rooms_to_ask(ms(50)), [ROOM]);
    routing.poll(ms(50));
    assert_eq!(routing.poll_timeout(ms(50), false), Some(ms(150)));
    assert_eq!(routing.poll_timeout(ms(50), true), None);
    assert_eq!(routing.rooms_to_ask(ms(150)), [ROOM]);
}

#[test]
fn a_room_that_nobody_runs_is_over() {
    let mut routing = by_placement(linked(&[1]));
    routing.enter(NOW, seat(1), standing(1, Cause::Lost("node_gone")));
    answer(&mut routing, NOW, &Answer::Nowhere);
    let orders = routing.poll(NOW);
    assert_eq!(orders[1..], [Order::Refuse(1, Why::Over)]);
}

#[test]
fn while_the_store_is_silent_the_node_that_is_known_has_to_do() {
    let mut routing = by_placement(linked(&[1]));
    routing.enter(NOW, seat(1), newcomer(1));
    answer(&mut routing, NOW, &Answer::Silence);
    assert_eq!(attached(&routing.poll(NOW)).unwrap().0, 1);
    // But not one that has said that it does not have the room.
    let unknown = Cause::Unknown(incarnation(1, 1));
    routing.enter(NOW, seat(1), standing(1, unknown));
    answer(&mut routing, NOW, &Answer::Silence);
    assert_eq!(attached(&routing.poll(ms(1_000))), None);
    answer(&mut routing, ms(1_000), &at(1));
    assert_eq!(attached(&routing.poll(ms(1_000))).unwrap().0, 1);
}

#[test]
fn a_failing_store_is_left_alone_for_a_while() {
    let mut routing = by_placement(linked(&[]));
    routing.enter(NOW, seat(1), standing(1, Cause::Asked));
    assert_eq!(routing.rooms_to_ask(NOW), [ROOM]);
    routing.ask_not_before(ms(400));
    routing.poll(NOW);
    assert_eq!(routing.rooms_to_ask(ms(399)), []);
    assert_eq!(routing.poll_timeout(ms(399), false), Some(ms(400)));
    assert_eq!(routing.rooms_to_ask(ms(400)), [ROOM]);
}

#[test]
fn moved_to_a_linked_node_is_followed_without_asking_or_telling() {
    let mut routing = by_placement(linked(&[1, 2]));
    let moved = Cause::Moved(Some(incarnation(2, 1)));
    routing.enter(NOW, seat(1), standing(1, moved));
    let orders = routing.poll(NOW);
    assert_eq!((orders.len(), attached(&orders).unwrap().0), (1, 2));
}

#[test]
fn moved_to_nowhere_in_particular_goes_by_the_placement() {
    for to in [None, Some(incarnation(3, 1)), Some(incarnation(2, 9))] {
        let mut routing = by_placement(linked(&[1, 2]));
        routing.enter(NOW, seat(1), standing(1, Cause::Moved(to)));
        assert_eq!(routing.poll(NOW), [Order::TellLost(1, MOVED)]);
        answer(&mut routing, NOW, &at(2));
        assert_eq!(attached(&routing.poll(NOW)).unwrap().0, 2);
    }
}

#[test]
fn rooms_that_go_round_in_circles_are_followed_slowly() {
    let mut routing = by_placement(linked(&[1, 2]));
    let mut spell = Spell::default();
    let mut now = NOW;
    for round in 0..6 {
        let moved = Cause::Moved(Some(incarnation(1 + round % 2, 1)));
        let case = Case {
            spell,
            ..standing(1, moved)
        };
        routing.enter(now, seat(1), case);
        if round > 0 {
            assert_eq!(attached(&routing.poll(now)), None);
            now = routing.poll_timeout(now, true).unwrap();
        }
        spell = attached(&routing.poll(now)).unwrap().1;
    }
    assert_eq!(now, NOW + BOUNCE_PAUSE * 5);
}

#[test]
fn an_owner_that_does_not_have_the_room_yet_is_asked_again_after_a_pause() {
    let mut routing = by_placement(linked(&[2]));
    let unknown = Cause::Unknown(incarnation(2, 1));
    routing.enter(NOW, seat(1), standing(1, unknown));
    answer(&mut routing, NOW, &at(2));
    assert_eq!(attached(&routing.poll(NOW)), None);
    let again = NOW + BOUNCE_PAUSE;
    assert_eq!(routing.poll_timeout(NOW, true), Some(again));
    assert_eq!(attached(&routing.poll(again)).unwrap().0, 2);
}

#[test]
fn an_owner_that_never_gets_the_room_is_believed_in_the_end() {
    let mut routing = by_placement(linked(&[2]));
    let refused = |first: Timestamp, last| Spell {
        since: Some(NOW),
        bounces: 90,
        refused: Some(Refused {
            by: incarnation(2, 1),
            first,
            last,
        }),
        told: true,
        ..Spell::default()
    };
    let enter = |routing: &mut Routing<u64>, now, spell| {
        let unknown = Cause::Unknown(incarnation(2, 1));
        let case = Case {
            spell,
            ..standing(1, unknown)
        };
        routing.enter(now, seat(1), case);
        answer(routing, now, &at(2));
    };
    let late = NOW + BOUNCE_LIMIT;
    enter(&mut routing, late, refused(NOW, late));
    let after = late + BOUNCE_PAUSE;
    assert_eq!(routing.poll(after), [Order::Refuse(1, Why::Unknown)]);
    // A search may have lasted for as long before the owner was found.
    enter(&mut routing, late, refused(late, late));
    assert!(attached(&routing.poll(after)).is_some());
}

#[test]
fn an_owner_is_tried_at_once_after_another_node_refused() {
    let mut routing = by_placement(linked(&[1, 2]));
    let unknown = Cause::Unknown(incarnation(1, 1));
    routing.enter(NOW, seat(1), standing(1, unknown));
    answer(&mut routing, NOW, &at(2));
    assert_eq!(attached(&routing.poll(NOW)).unwrap().0, 2);
}

#[test]
fn a_newcomer_hears_something_in_time_and_who_was_there_waits() {
    let mut routing = by_placement(linked(&[]));
    routing.enter(NOW, seat(1), newcomer(1));
    routing.enter(NOW, seat(2), standing(2, Cause::Asked));
    answer(&mut routing, NOW, &at(1));
    assert_eq!(
        routing.poll(NOW),
        [
            Order::TellLost(1, UNREACHABLE),
            Order::TellLost(2, UNREACHABLE)
        ]
    );
    let late = NOW + JOIN_LIMIT;
    assert_eq!(routing.poll_timeout(NOW, true), Some(late));
    assert_eq!(routing.poll(late), [Order::Refuse(1, Why::TooLate)]);
    assert_eq!(routing.poll(late + JOIN_LIMIT * 100), []);
    assert_eq!(routing.len(), 1);
}

#[test]
fn a_node_whose_queue_is_full_is_tried_again() {
    let mut routing = by_placement(linked(&[1]));
    routing.enter(NOW, seat(1), standing(1, Cause::Full));
    answer(&mut routing, NOW, &at(1));
    assert_eq!(routing.poll(NOW), []);
    assert_eq!(attached(&routing.poll(NOW + FULL_PAUSE)).unwrap().0, 1);
}

#[test]
fn who_is_gone_needs_no_home() {
    let mut routing = by_placement(linked(&[1]));
    routing.enter(NOW, seat(1), standing(1, Cause::Asked));
    routing.enter(NOW, seat(2), standing(2, Cause::Asked));
    routing.retain(|_, who| *who == 2);
    answer(&mut routing, NOW, &at(1));
    assert_eq!(
        routing.poll(NOW),
        [Order::Attach(
            2,
            LinkId(1),
            Spell {
                since: Some(NOW),
                ..Spell::default()
            }
        )]
    );
}

#[test]
fn with_static_origins_a_room_stays_where_its_ticket_says() {
    let mut routing = Routing::new(false);
    routing.enter(NOW, seat(1), standing(1, Cause::Lost("node_gone")));
    assert_eq!(routing.poll(NOW), [Order::TellLost(1, "node_gone")]);
    assert_eq!(routing.rooms_to_ask(NOW), []);
    assert_eq!(routing.poll_timeout(NOW, false), None);
    routing.set_nodes(linked(&[2]));
    assert_eq!(routing.poll(ms(1)), []);
    routing.set_nodes(linked(&[1, 2]));
    assert_eq!(attached(&routing.poll(ms(2))).unwrap().0, 1);
}

#[test]
fn a_player_goes_to_the_matcher_that_has_it() {
    let mut routing = Routing::new(true);
    let case = Case {
        wish: Wish::Match(PlayerId(5)),
        ..standing(1, Cause::Rehomed)
    };
    routing.enter(NOW, seat(1), case);
    assert_eq!(routing.poll(NOW), [Order::TellLost(1, MOVED)]);
    assert_eq!(routing.rooms_to_ask(NOW), []);
    assert_eq!(routing.poll_timeout(NOW, false), None);
    let matchers: Vec<_> = (1..4)
        .map(|number| (format!("m-{number}").parse().unwrap(), LinkId(number)))
        .collect();
    routing.set_nodes(Nodes {
        matchers,
        ..Nodes::default()
    });
    assert_eq!(attached(&routing.poll(NOW)).unwrap().0, 1);
}

#[test]
fn a_room_that_no_node_has_waits_on_and_it_is_known_for_how_long() {
    let mut routing = by_placement(linked(&[1, 2]));
    assert_eq!(routing.longest(NOW), None);
    let gone = Cause::Lost("node_gone");
    routing.enter(NOW, seat(1), standing(1, gone.clone()));
    routing.enter(ms(500), seat(2), standing(2, gone));
    let late = ms(600_000);
    // Placed on a node that is not there: no other one runs its simulation.
    answer(&mut routing, late, &at(9));
    assert_eq!(attached(&routing.poll(late)), None);
    assert_eq!(routing.len(), 2, "nobody is sent away");
    assert_eq!(
        routing.longest(late),
        Some((ROOM, Duration::from_secs(600)))
    );
}
