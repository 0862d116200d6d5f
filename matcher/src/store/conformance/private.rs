//! Private rooms.

use std::sync::Arc;

use protocol::id::{MatchId, PlayerId, TicketId};

use super::{Checked, LONG, checks, incarnation, member, mode, record, sighting, ticket};
use crate::store::{Changed, Entered, Entering, PrivateChange, PrivateRoom, Standing, Start};
use crate::ticket::PartyCode;

checks![
    a_room_is_opened_and_entered_by_its_code,
    who_does_not_fit_into_a_room_is_told_why,
    the_next_one_leads_when_the_leader_leaves,
    who_is_sent_away_does_not_come_back,
    a_match_begins_with_everyone_who_is_there_and_ready,
    a_match_that_fails_brings_its_members_back_to_the_room,
    a_match_that_stands_ends_the_room,
];

fn entering(code: &str, player: u64, open: bool) -> Entering {
    Entering {
        code: PartyCode::new(code),
        open: open.then(|| (mode("race"), 3)),
        member: member(player),
    }
}

async fn enter(store: Checked<'_>, code: &str, player: u64, open: bool) -> Entered {
    let entering = entering(code, player, open);
    let entered = store
        .0
        .enter_private(&entering, &sighting("matcher-1"))
        .await;
    entered.expect("the store answers")
}

/// A room of these players.
async fn room(store: Checked<'_>, code: &str, players: &[u64]) {
    for (place, player) in players.iter().enumerate() {
        let entered = enter(store, code, *player, place == 0).await;
        assert!(matches!(entered, Entered::In(_)), "{entered:?}");
    }
}

async fn change(store: Checked<'_>, player: u64, change: PrivateChange) -> Changed {
    let changed = store.0.change_private(PlayerId(player), change).await;
    changed.expect("the store answers")
}

/// Who is in the room of a player, and who of them is ready.
async fn members(store: Checked<'_>, player: u64) -> Vec<(u64, bool)> {
    match store.standing(player).await {
        Standing::Private(room) => who(&room),
        other => panic!("{other:?}"),
    }
}

fn who(room: &PrivateRoom) -> Vec<(u64, bool)> {
    let members = room.members.iter();
    members
        .map(|one| (one.member.player.0, one.ready))
        .collect()
}

/// The start of the match of a room; the tickets have the players' numbers and a hundred more.
async fn start(
    store: Checked<'_>,
    code: &str,
    match_id: u64,
    players: &[u64],
    bots: &[u64],
) -> bool {
    let tickets = players.iter().map(|player| {
        let mut ticket = ticket(player + 100, "race", &[*player], 50);
        ticket.private = Some(PartyCode::new(code));
        Arc::new(ticket)
    });
    let start = Start {
        code: PartyCode::new(code),
        match_id: MatchId(match_id),
        tickets: tickets.collect(),
        bots: bots.iter().copied().map(TicketId).collect(),
    };
    let started = store
        .0
        .start_private(&start, &incarnation("matcher-1"), LONG)
        .await;
    started.expect("the store answers")
}

async fn a_room_is_opened_and_entered_by_its_code(store: Checked<'_>) {
    assert_eq!(enter(store, "ABCD", 2001, false).await, Entered::Unknown);
    for _ in 0..2 {
        let Entered::In(room) = enter(store, "ABCD", 2001, true).await else {
            panic!("it is opened");
        };
        assert_eq!(room.code, PartyCode::new("ABCD"));
        assert_eq!((room.mode, room.most), (mode("race"), 3));
        assert_eq!(room.members[0].member, member(2001));
    }
    assert!(matches!(
        enter(store, "ABCD", 2002, false).await,
        Entered::In(_)
    ));
    assert_eq!(members(store, 2001).await, [(2001, false), (2002, false)]);
    for ready in [true, true, false] {
        let Changed::Room(room) = change(store, 2002, PrivateChange::Ready(ready)).await else {
            panic!("it is there");
        };
        assert_eq!(who(&room), [(2001, false), (2002, ready)]);
    }
    assert!(store.waiting("race").await.is_empty(), "it is no queue");
    store.remove_all([2001, 2002]).await;
    assert_eq!(enter(store, "ABCD", 2001, false).await, Entered::Unknown);
    assert_eq!(
        change(store, 2001, PrivateChange::Ready(true)).await,
        Changed::NotThere
    );
}

async fn who_does_not_fit_into_a_room_is_told_why(store: Checked<'_>) {
    room(store, "FULL", &[2011, 2012, 2013]).await;
    assert_eq!(enter(store, "FULL", 2014, false).await, Entered::Full);
    store.add_all([2014]).await;
    let kept = enter(store, "FULL", 2014, true).await;
    assert!(
        matches!(kept, Entered::Kept(Standing::Ticket(_))),
        "{kept:?}"
    );
    let kept = store.add(ticket(2019, "race", &[2011], 1)).await;
    assert!(
        matches!(kept, crate::store::Added::Kept(Standing::Private(_))),
        "{kept:?}"
    );
    store.remove_all(2011..=2014).await;
}

async fn the_next_one_leads_when_the_leader_leaves(store: Checked<'_>) {
    room(store, "LEAD", &[2021, 2022, 2023]).await;
    change(store, 2023, PrivateChange::Ready(true)).await;
    store.remove_all([2021]).await;
    assert!(store.is_nowhere(2021).await);
    assert_eq!(members(store, 2023).await, [(2022, false), (2023, true)]);
    let not_leader = change(store, 2023, PrivateChange::SendAway(PlayerId(2022))).await;
    assert_eq!(not_leader, Changed::NotLeader);
    // Who comes back is the last.
    enter(store, "LEAD", 2021, false).await;
    assert_eq!(
        members(store, 2022).await,
        [(2022, false), (2023, true), (2021, false)]
    );
    store.remove_all(2021..=2023).await;
}

async fn who_is_sent_away_does_not_come_back(store: Checked<'_>) {
    room(store, "KICK", &[2031, 2032]).await;
    let Changed::Room(left) = change(store, 2031, PrivateChange::SendAway(PlayerId(2032))).await
    else {
        panic!("the leader may");
    };
    assert_eq!(who(&left), [(2031, false)]);
    assert!(store.is_nowhere(2032).await);
    assert_eq!(enter(store, "KICK", 2032, true).await, Entered::SentAway);
    for nobody in [2031, 2032, 2039] {
        let Changed::Room(left) =
            change(store, 2031, PrivateChange::SendAway(PlayerId(nobody))).await
        else {
            panic!("the leader may");
        };
        assert_eq!(who(&left), [(2031, false)]);
    }
    store.remove_all([2031]).await;
}

async fn a_match_begins_with_everyone_who_is_there_and_ready(store: Checked<'_>) {
    room(store, "GO", &[2041, 2042]).await;
    store.add_all([2049]).await;
    assert!(
        !start(store, "GO", 2040, &[2041, 2042], &[2049]).await,
        "not ready"
    );
    change(store, 2042, PrivateChange::Ready(true)).await;
    assert!(
        !start(store, "GO", 2040, &[2041], &[2049]).await,
        "one is missing"
    );
    assert!(
        !start(store, "GO", 2040, &[2042, 2041], &[2049]).await,
        "another leads"
    );
    assert!(
        !start(store, "GO", 2040, &[2041, 2042], &[2048]).await,
        "no such bot"
    );
    assert!(
        !start(store, "NO", 2040, &[2041, 2042], &[]).await,
        "no such room"
    );
    assert_eq!(store.waiting("race").await, [2049], "half of it was done");
    for _ in 0..2 {
        assert!(start(store, "GO", 2040, &[2041, 2042], &[2049]).await);
    }
    assert!(store.waiting("race").await.is_empty());
    assert_eq!(store.found(2041).await, Some((2141, Some(2040))));
    assert_eq!(store.found(2049).await, Some((2049, Some(2040))));
    assert_eq!(enter(store, "GO", 2043, true).await, Entered::Unknown);
    store.give_back(2040).await;
    store.remove_all([2041, 2042, 2049]).await;
}

async fn a_match_that_fails_brings_its_members_back_to_the_room(store: Checked<'_>) {
    room(store, "BACK", &[2051, 2052, 2053]).await;
    store.add_all([2059]).await;
    for player in [2052, 2053] {
        change(store, player, PrivateChange::Ready(true)).await;
    }
    assert!(start(store, "BACK", 2050, &[2051, 2052, 2053], &[2059]).await);
    // The leader leaves while the room is looked for.
    let left = store.remove(2051).await;
    assert_eq!(left, crate::store::Removed::Claimed(MatchId(2050)));
    store.give_back(2050).await;
    assert!(store.is_nowhere(2051).await);
    assert_eq!(members(store, 2052).await, [(2052, true), (2053, true)]);
    assert_eq!(
        store.waiting("race").await,
        [2059],
        "the bot waits again, and no one else"
    );
    store.remove_all([2059, 2052, 2053]).await;
}

async fn a_match_that_stands_ends_the_room(store: Checked<'_>) {
    room(store, "END", &[2061, 2062]).await;
    change(store, 2062, PrivateChange::Ready(true)).await;
    assert!(start(store, "END", 2060, &[2061, 2062], &[]).await);
    let mut record = record(2060, &[2161, 2162]);
    record.players = vec![member(2061), member(2062)];
    assert!(store.settle(&record).await);
    assert_eq!(store.playing(2062).await, Some(2060));
    assert_eq!(enter(store, "END", 2063, false).await, Entered::Unknown);
    store.end(2060, 2060).await;
    assert!(store.is_nowhere(2061).await);
}
