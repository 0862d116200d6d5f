//! Every rule finds what breaks it, in histories that are made up, and nothing in a good one.

use std::time::Duration;

use engine::Standing;
use protocol::id::{Channel, Epoch, InputSeq, MatchId, Offset, PlayerId, RoomId};
use serde_json::json;

use super::*;
use crate::history::{Phase, SeatIn};

const MATCH: MatchId = MatchId(1);
const ROOM: RoomId = RoomId(2);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn id_of(number: u64) -> PlayerId {
    PlayerId(100 + number)
}

/// Writes a history by hand.
struct Pen {
    history: History,
    at: Duration,
    offsets: BTreeMap<Epoch, u32>,
}

impl Pen {
    fn new(number: u64) -> Self {
        let mut history = History::new(number);
        history.player = Some(id_of(number));
        Self {
            history,
            at: s(0),
            offsets: BTreeMap::new(),
        }
    }

    fn add(mut self, what: What) -> Self {
        let at = self.at;
        self.history.entries.push(Entry { at, what });
        self.history.progress = at;
        self
    }

    fn at(mut self, seconds: u64) -> Self {
        self.at = s(seconds);
        self
    }

    fn attach(self, room: Option<RoomId>, epoch: u32, recovered: bool) -> Self {
        let channel = room.map_or(Channel::Match, |_| Channel::Room);
        let offset = match recovered {
            true => self.offsets.get(&Epoch(epoch)).copied().unwrap_or_default(),
            false => 0,
        };
        self.add(What::Attached {
            channel,
            room,
            epoch: Epoch(epoch),
            offset: Offset(offset),
            recovered,
            seat: None,
        })
    }

    fn event(mut self, room: Option<RoomId>, epoch: u32, payload: serde_json::Value) -> Self {
        let offset = self.offsets.entry(Epoch(epoch)).or_default();
        *offset += 1;
        let offset = *offset;
        self.event_at(room, epoch, offset, &payload)
    }

    fn event_at(
        self,
        room: Option<RoomId>,
        epoch: u32,
        offset: u32,
        payload: &serde_json::Value,
    ) -> Self {
        self.add(What::Event {
            channel: room.map_or(Channel::Match, |_| Channel::Room),
            room,
            epoch: Epoch(epoch),
            offset: Offset(offset),
            payload: payload.to_string(),
        })
    }

    fn found(self, match_id: MatchId, room: RoomId) -> Self {
        let found = json!({ "e": "match.found", "match": match_id, "room": room });
        self.event(None, 7, found)
    }

    fn start(self) -> Self {
        self.event(Some(ROOM), 9, json!({ "e": "race.start", "tick": 60 }))
    }

    fn lap(self, seat: u8, tick: u32) -> Self {
        let lap = json!({ "e": "race.lap", "seat": seat, "lap": 1, "tick": tick });
        self.event(Some(ROOM), 9, lap)
    }

    fn end(self) -> Self {
        self.event(Some(ROOM), 9, ended(900)).leave()
    }

    fn leave(self) -> Self {
        self.add(What::Left { room: ROOM })
    }

    fn done(mut self) -> History {
        self.history.is_done = true;
        self.history
    }
}

fn standings(ticks: u32) -> Vec<Standing> {
    (0..2)
        .map(|number| Standing {
            player: id_of(number),
            name: "Racer".to_owned(),
            bot: false,
            place: number as u32 + 1,
            ticks: Some(ticks + number as u32),
            team: 0,
            rating: 1_500,
        })
        .collect()
}

fn ended(ticks: u32) -> serde_json::Value {
    json!({ "e": "room.ended", "result": { "standings": standings(ticks) } })
}

/// A player on its way into the race.
fn entered(number: u64) -> Pen {
    Pen::new(number)
        .attach(None, 7, false)
        .add(What::Queued)
        .at(1)
        .found(MATCH, ROOM)
        .attach(Some(ROOM), 9, false)
}

fn good(number: u64) -> History {
    entered(number)
        .start()
        .at(20)
        .lap(0, 800)
        .lap(1, 801)
        .end()
        .done()
}

fn broken(histories: &[History]) -> Vec<&'static str> {
    broken_in(histories, &Run::new(s(30)))
}

fn broken_in(histories: &[History], run: &Run) -> Vec<&'static str> {
    let mut rules: Vec<_> = check(histories, run)
        .iter()
        .map(|found| found.rule)
        .collect();
    rules.dedup();
    rules
}

fn strike(at: u64, well_by: u64, loses: Loses) -> Strike {
    Strike {
        fault: "fault".to_owned(),
        at: s(at),
        well_by: s(well_by),
        loses,
    }
}

#[test]
fn a_good_run_breaks_no_rule() {
    assert_eq!(check(&[good(0), good(1)], &Run::new(s(30))), []);
}

#[test]
fn a_history_that_goes_on_after_a_fault_breaks_no_rule() {
    let moved = entered(0)
        .start()
        .add(What::Lost { code: None })
        .attach(Some(ROOM), 9, true)
        .at(20)
        .lap(0, 800)
        .lap(1, 801)
        .end()
        .done();
    assert_eq!(check(&[moved, good(1)], &Run::new(s(30))), []);
}

#[test]
fn an_event_that_is_missing_is_found() {
    let pen = entered(0).start().at(20);
    let lap = json!({ "e": "race.lap", "seat": 0, "lap": 1, "tick": 800 });
    let history = pen.event_at(Some(ROOM), 9, 3, &lap).done();
    assert!(broken(&[history]).contains(&"order"));
}

#[test]
fn an_event_that_comes_twice_is_found() {
    let again = json!({ "e": "race.start", "tick": 60 });
    let history = entered(0).start().event_at(Some(ROOM), 9, 1, &again).done();
    assert!(broken(&[history]).contains(&"order"));
}

#[test]
fn an_event_of_a_history_that_is_not_attached_is_found() {
    let history = entered(0)
        .event(Some(ROOM), 8, json!({ "e": "race.start" }))
        .done();
    assert!(broken(&[history]).contains(&"order"));
}

#[test]
fn a_room_whose_history_breaks_off_is_found_unless_the_fault_may_cost_it() {
    let history = || entered(0).start().at(20).attach(Some(ROOM), 10, false);
    let history = || history().event(Some(ROOM), 10, ended(900)).leave().done();
    let histories = [history(), good(1)];
    assert_eq!(broken(&histories), ["history"]);
    let loses = Loses {
        histories: true,
        ..Loses::default()
    };
    let mut run = Run::new(s(30));
    run.strikes.push(strike(19, 21, loses));
    assert_eq!(broken_in(&histories, &run), [""; 0]);
}

#[test]
fn a_history_that_goes_on_from_nowhere_is_found() {
    let history = entered(0)
        .start()
        .attach(Some(ROOM), 11, true)
        .at(20)
        .end()
        .done();
    assert!(broken(&[history, good(1)]).contains(&"history"));
}

#[test]
fn another_word_for_the_same_event_is_found() {
    let other = entered(1)
        .start()
        .at(20)
        .lap(0, 799)
        .lap(1, 801)
        .end()
        .done();
    assert_eq!(broken(&[good(0), other]), ["agreement"]);
}

#[test]
fn another_order_is_found() {
    let other = entered(1)
        .start()
        .at(20)
        .lap(1, 801)
        .lap(0, 800)
        .end()
        .done();
    assert_eq!(broken(&[good(0), other]), ["agreement"]);
}

#[test]
fn an_event_that_only_one_was_told_is_found() {
    let other = entered(1).start().at(20).lap(1, 801).end().done();
    assert_eq!(broken(&[good(0), other]), ["agreement"]);
}

#[test]
fn who_comes_later_need_not_have_seen_the_start() {
    let late = entered(1).at(20).lap(0, 800).lap(1, 801).end().done();
    assert_eq!(broken(&[good(0), late]), [""; 0]);
}

#[test]
fn an_event_told_again_under_a_new_number_is_found() {
    let twice = entered(0)
        .start()
        .start()
        .at(20)
        .lap(0, 800)
        .lap(1, 801)
        .end()
        .done();
    assert!(broken(&[twice, good(1)]).contains(&"agreement"));
}

#[test]
fn a_match_with_two_rooms_is_found() {
    let other = RoomId(3);
    let elsewhere = entered(1).found(MATCH, other).at(20).end().done();
    assert!(broken(&[good(0), elsewhere]).contains(&"one room"));
}

#[test]
fn a_match_without_a_result_is_found_unless_the_fault_may_cost_it() {
    let history = |number| entered(number).start().at(20).leave().done();
    let histories = [history(0), history(1)];
    assert_eq!(broken(&histories), ["one result"]);
    let loses = Loses {
        matches: true,
        ..Loses::default()
    };
    let mut run = Run::new(s(30));
    run.strikes.push(strike(10, 21, loses));
    assert_eq!(broken_in(&histories, &run), [""; 0]);
    run.strikes[0].loses = Loses::default();
    assert_eq!(broken_in(&histories, &run), ["one result"]);
}

#[test]
fn two_results_of_a_match_are_found() {
    let pen = entered(1).start().at(20).lap(0, 800).lap(1, 801);
    let other = pen.event(Some(ROOM), 9, ended(901)).leave().done();
    assert!(broken(&[good(0), other]).contains(&"one result"));
}

#[test]
fn a_match_that_is_called_lost_is_found() {
    let lost = json!({ "e": "match.ended", "match": MATCH, "room": ROOM, "reason": "lost" });
    let history = entered(0).start().at(20).lap(0, 800).lap(1, 801).end();
    let history = history.event(None, 7, lost).done();
    assert_eq!(broken(&[history, good(1)]), ["one result"]);
}

#[test]
fn a_seat_of_someone_who_was_not_told_is_found() {
    let elsewhere = Pen::new(1).attach(None, 7, false).done();
    assert_eq!(broken(&[good(0), elsewhere]), ["seats"]);
}

#[test]
fn a_player_in_two_matches_is_found() {
    let (other, room) = (MatchId(5), RoomId(6));
    let state = What::Attached {
        channel: Channel::Match,
        room: None,
        epoch: Epoch(8),
        offset: Offset(0),
        recovered: false,
        seat: Some(SeatIn {
            match_id: other,
            room,
        }),
    };
    let history = entered(0).add(state).done();
    assert!(broken(&[history, good(1)]).contains(&"one match"));
}

#[test]
fn silence_that_outlasts_the_recovery_time_is_found() {
    let silence = What::Silence {
        lasted: s(15),
        phase: Phase::Race,
    };
    let pen = entered(0)
        .start()
        .at(20)
        .add(silence)
        .lap(0, 800)
        .lap(1, 801);
    let histories = [pen.end().done(), good(1)];
    assert_eq!(broken(&histories), ["progress"]);
    let mut run = Run::new(s(30));
    run.strikes.push(strike(6, 16, Loses::default()));
    assert_eq!(broken_in(&histories, &run), [""; 0]);
    run.strikes[0].well_by = s(14);
    assert_eq!(broken_in(&histories, &run), ["progress"]);
}

#[test]
fn who_does_not_come_to_rest_is_found() {
    let pen = entered(0).start().at(20).lap(0, 800).lap(1, 801).end();
    assert!(broken(&[pen.history, good(1)]).contains(&"progress"));
}

#[test]
fn a_wait_for_a_match_without_end_is_found() {
    let history = Pen::new(0).attach(None, 7, false).add(What::Queued);
    let history = history
        .at(200)
        .found(MATCH, ROOM)
        .attach(Some(ROOM), 9, false);
    let history = history.start().lap(0, 800).lap(1, 801).end().done();
    assert_eq!(
        broken_in(&[history, good(1)], &Run::new(s(300))),
        ["progress"]
    );
}

#[test]
fn what_ends_a_session_or_takes_back_inputs_is_found() {
    let undone = What::Undone {
        durable: InputSeq(9),
        processed: InputSeq(8),
    };
    let given_up = What::GivenUp {
        from: InputSeq(1),
        to: InputSeq(2),
    };
    let refused = |code: &str| What::Refused {
        re: Some("room.join".to_owned()),
        code: code.to_owned(),
        message: String::new(),
        retry: false,
    };
    let why = "Closed".to_owned();
    for (what, rule) in [
        (What::Ended { why }, "session"),
        (undone, "durable"),
        (given_up, "inputs"),
        (refused("room_unknown"), "refused"),
    ] {
        let pen = entered(0).start().add(what).at(20).lap(0, 800).lap(1, 801);
        assert_eq!(broken(&[pen.end().done(), good(1)]), [rule]);
    }
    let asked = entered(0).start().add(refused("already_in_match"));
    let asked = asked.at(20).lap(0, 800).lap(1, 801).end().done();
    assert_eq!(broken(&[asked, good(1)]), [""; 0]);
}

#[test]
fn the_store_has_what_the_players_saw() {
    let result = |ticks| MatchResult {
        match_id: MATCH,
        room: ROOM,
        mode: "race".to_owned(),
        finished_at_ms: 1,
        standings: standings(ticks),
    };
    let run = |results: &[MatchResult], count| {
        let of = |number| (id_of(number), results.to_vec());
        let results = [of(0), of(1)].into();
        Run {
            stored: Some(Stored { count, results }),
            ..Run::new(s(30))
        }
    };
    let histories = [good(0), good(1)];
    assert_eq!(broken_in(&histories, &run(&[result(900)], 1)), [""; 0]);
    assert_eq!(broken_in(&histories, &run(&[], 0)), ["stored"]);
    assert_eq!(broken_in(&histories, &run(&[result(900)], 2)), ["stored"]);
    assert_eq!(broken_in(&histories, &run(&[result(901)], 1)), ["stored"]);
    let twice = [result(900), result(900)];
    assert_eq!(broken_in(&histories, &run(&twice, 1)), ["stored"]);
    let phantom = MatchResult {
        match_id: MatchId(77),
        ..result(900)
    };
    assert_eq!(
        broken_in(&histories, &run(&[result(900), phantom], 2)),
        ["stored"]
    );
}
