//! The contract of [`Journals`].

use bytes::Bytes;
use protocol::id::{Generation, RoomId};

use crate::journals::{Checkpoints, JournalInfo, Journals, MAX_ENTRIES, MAX_ENTRY, Seq, Written};
use crate::leases::Incarnation;
use crate::{BoxFuture, EngineError};

/// Runs every check over `journals`, of which there is none.
pub async fn all(journals: &dyn Journals) {
    type Check = for<'a> fn(&'a dyn Journals, Incarnation) -> BoxFuture<'a, ()>;
    let checks: [Check; 16] = [
        |journals, who| Box::pin(what_is_appended_is_inherited(journals, who)),
        |journals, who| Box::pin(an_append_that_is_repeated_changes_nothing(journals, who)),
        |journals, who| Box::pin(a_hole_is_refused(journals, who)),
        |journals, who| Box::pin(an_unknown_journal_is_missing(journals, who)),
        |journals, who| Box::pin(opening_again_keeps_what_is_there(journals, who)),
        |journals, who| Box::pin(a_lost_journal_begins_where_it_is_opened(journals, who)),
        |journals, who| Box::pin(a_journal_that_ends_too_early_begins_anew(journals, who)),
        |journals, who| Box::pin(checkpoints_replace_and_trim(journals, who)),
        |journals, who| Box::pin(a_checkpoint_ahead_of_the_entries_is_refused(journals, who)),
        |journals, who| Box::pin(a_late_checkpoint_changes_nothing(journals, who)),
        |journals, who| Box::pin(a_checkpoint_call_that_was_lost_is_noticed(journals, who)),
        |journals, who| Box::pin(a_sealed_journal_refuses_its_owner(journals, who)),
        |journals, who| Box::pin(sealing_again_gives_the_first_seal(journals, who)),
        |journals, who| Box::pin(journals_are_listed_until_they_are_retired(journals, who)),
        |journals, who| Box::pin(a_large_estate_comes_whole(journals, who)),
        |journals, who| Box::pin(what_is_too_large_is_refused(journals, who)),
    ];
    for (number, check) in (0..).zip(checks) {
        let who = incarnation(&format!("owner-{number}"), 1 + u64::MAX / 3);
        check(journals, who.clone()).await;
        journals.retire(&who).await.expect("a journal is retired");
    }
    assert_eq!(journals.list().await.expect("a list"), []);
    let lineage = journals.lineage().await.expect("a lineage");
    assert!(!lineage.is_empty());
    assert_eq!(journals.lineage().await.expect("a lineage"), lineage);
}

async fn what_is_appended_is_inherited(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    // Bytes as they are, whatever is in them.
    let all_bytes: Vec<u8> = (0..=255).collect();
    let entries = [Bytes::from(all_bytes), Bytes::new(), entry(3)];
    assert_eq!(append(journals, &who, 1, &entries).await, Written::Done);
    assert_eq!(append(journals, &who, 4, &[entry(4)]).await, Written::Done);
    let checkpoints = Checkpoints {
        call: 1,
        rooms: vec![(RoomId(u64::MAX), Bytes::from_static(b"\0\xff"))],
        last: Seq(4),
        keep_from: Seq(1),
        ..Checkpoints::default()
    };
    assert_eq!(
        checkpoint(journals, &who, &checkpoints).await,
        Written::Done
    );
    let seal = seal(journals, &who).await.expect("it is there");
    assert_eq!((seal.by, seal.last), (claimant(), Seq(4)));
    assert!(!seal.is_suspect, "nothing was lost");
    let estate = journals.estate(&who).await.expect("an estate");
    let numbered: Vec<_> = (1..).map(Seq).zip(entries).collect();
    assert_eq!(estate.entries[..3], numbered);
    assert_eq!(estate.entries[3..], [(Seq(4), entry(4))]);
    assert_eq!(estate.checkpoints, checkpoints.rooms);
}

async fn an_append_that_is_repeated_changes_nothing(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    let entries = [entry(1), entry(2)];
    let other = [Bytes::from_static(b"other"), entry(2), entry(3)];
    assert_eq!(append(journals, &who, 1, &entries).await, Written::Done);
    assert_eq!(append(journals, &who, 1, &entries).await, Written::Done);
    // What is there stays, and what is new is added.
    assert_eq!(append(journals, &who, 1, &other).await, Written::Done);
    assert_eq!(append(journals, &who, 2, &[entry(2)]).await, Written::Done);
    assert_eq!(append(journals, &who, 1, &[]).await, Written::Done);
    assert_eq!(numbers(journals, &who).await, [1, 2, 3]);
    let estate = journals.estate(&who).await.expect("an estate");
    assert_eq!(estate.entries[0].1, entry(1));
}

async fn a_hole_is_refused(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    assert_eq!(
        append(journals, &who, 2, &[entry(2)]).await,
        Written::Gap(Seq(0))
    );
    assert_eq!(append(journals, &who, 1, &[entry(1)]).await, Written::Done);
    assert_eq!(
        append(journals, &who, 3, &[entry(3)]).await,
        Written::Gap(Seq(1))
    );
    assert_eq!(numbers(journals, &who).await, [1]);
}

async fn an_unknown_journal_is_missing(journals: &dyn Journals, who: Incarnation) {
    assert_eq!(
        append(journals, &who, 1, &[entry(1)]).await,
        Written::Missing
    );
    let checkpoints = Checkpoints {
        call: 1,
        ..Checkpoints::default()
    };
    assert_eq!(
        checkpoint(journals, &who, &checkpoints).await,
        Written::Missing
    );
    assert_eq!(seal(journals, &who).await, None);
    assert_eq!(journals.list().await.expect("a list"), []);
}

async fn opening_again_keeps_what_is_there(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1), entry(2)]).await;
    open(journals, &who, 0).await;
    open(journals, &who, 2).await;
    assert_eq!(numbers(journals, &who).await, [1, 2]);
}

async fn a_lost_journal_begins_where_it_is_opened(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 7).await;
    assert_eq!(
        append(journals, &who, 9, &[entry(9)]).await,
        Written::Gap(Seq(7))
    );
    assert_eq!(append(journals, &who, 8, &[entry(8)]).await, Written::Done);
    assert_eq!(append(journals, &who, 9, &[entry(9)]).await, Written::Done);
    assert_eq!(numbers(journals, &who).await, [8, 9]);
}

async fn a_journal_that_ends_too_early_begins_anew(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1)]).await;
    let old = of_room(1, 4, "old", 1, 1);
    assert_eq!(checkpoint(journals, &who, &old).await, Written::Done);
    open(journals, &who, 4).await;
    assert_eq!(append(journals, &who, 5, &[entry(5)]).await, Written::Done);
    // Calls are counted anew, too.
    let new = of_room(1, 5, "new", 5, 5);
    assert_eq!(checkpoint(journals, &who, &new).await, Written::Done);
    assert_eq!(numbers(journals, &who).await, [5]);
    let estate = journals.estate(&who).await.expect("an estate");
    assert_eq!(estate.checkpoints, new.rooms);
}

async fn checkpoints_replace_and_trim(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    let entries: Vec<Bytes> = (1..=6).map(entry).collect();
    append(journals, &who, 1, &entries).await;
    let mut first = of_room(1, 10, "ten", 6, 1);
    first.rooms.extend(of_room(1, 11, "eleven", 6, 1).rooms);
    assert_eq!(checkpoint(journals, &who, &first).await, Written::Done);
    let mut second = of_room(2, 10, "ten again", 6, 5);
    second.gone = vec![RoomId(11), RoomId(12)];
    assert_eq!(checkpoint(journals, &who, &second).await, Written::Done);
    // Entries that are gone are not written again, and the numbers go on.
    assert_eq!(append(journals, &who, 1, &entries).await, Written::Done);
    assert_eq!(append(journals, &who, 7, &[entry(7)]).await, Written::Done);
    let everything = Checkpoints {
        call: 3,
        last: Seq(7),
        keep_from: Seq(8),
        ..Checkpoints::default()
    };
    assert_eq!(checkpoint(journals, &who, &everything).await, Written::Done);
    assert_eq!(append(journals, &who, 8, &[entry(8)]).await, Written::Done);
    assert_eq!(numbers(journals, &who).await, [8]);
    let estate = journals.estate(&who).await.expect("an estate");
    assert_eq!(estate.checkpoints, second.rooms);
}

async fn a_checkpoint_ahead_of_the_entries_is_refused(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1)]).await;
    let ahead = of_room(1, 10, "ahead", 2, 1);
    assert_eq!(
        checkpoint(journals, &who, &ahead).await,
        Written::Gap(Seq(1))
    );
    append(journals, &who, 2, &[entry(2)]).await;
    assert_eq!(checkpoint(journals, &who, &ahead).await, Written::Done);
    seal(journals, &who).await;
    let estate = journals.estate(&who).await.expect("an estate");
    assert_eq!(estate.checkpoints, ahead.rooms);
}

async fn a_late_checkpoint_changes_nothing(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1), entry(2)]).await;
    let newer = of_room(2, 10, "newer", 2, 2);
    let late = of_room(1, 10, "late", 2, 3);
    assert_eq!(checkpoint(journals, &who, &newer).await, Written::Done);
    assert_eq!(checkpoint(journals, &who, &late).await, Written::Done);
    let again = of_room(2, 10, "again", 2, 3);
    assert_eq!(checkpoint(journals, &who, &again).await, Written::Done);
    assert_eq!(numbers(journals, &who).await, [2]);
    let estate = journals.estate(&who).await.expect("an estate");
    assert_eq!(estate.checkpoints, newer.rooms);
}

async fn a_checkpoint_call_that_was_lost_is_noticed(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1), entry(2)]).await;
    let first = of_room(1, 10, "first", 1, 1);
    assert_eq!(checkpoint(journals, &who, &first).await, Written::Done);
    let third = Checkpoints {
        after: 2,
        ..of_room(3, 10, "third", 2, 3)
    };
    assert_eq!(
        checkpoint(journals, &who, &third).await,
        Written::Gap(Seq(2)),
        "the second call is not there"
    );
    let third = Checkpoints { after: 1, ..third };
    assert_eq!(checkpoint(journals, &who, &third).await, Written::Done);
}

async fn a_sealed_journal_refuses_its_owner(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1)]).await;
    let unsealed = journals.estate(&who).await;
    assert!(
        matches!(unsealed, Err(EngineError::Store { .. })),
        "what may still change is no estate: {unsealed:?}"
    );
    assert_eq!(numbers(journals, &who).await, [1]);
    assert_eq!(
        append(journals, &who, 2, &[entry(2)]).await,
        Written::Sealed
    );
    assert_eq!(
        append(journals, &who, 9, &[entry(9)]).await,
        Written::Sealed
    );
    let checkpoints = of_room(1, 10, "ten", 1, 2);
    assert_eq!(
        checkpoint(journals, &who, &checkpoints).await,
        Written::Sealed
    );
    for after in [0, 9] {
        let opened = journals.open(&who, Seq(after)).await.expect("an answer");
        assert_eq!(opened, Written::Sealed);
    }
    assert_eq!(numbers(journals, &who).await, [1]);
}

async fn sealing_again_gives_the_first_seal(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    append(journals, &who, 1, &[entry(1)]).await;
    let first = seal(journals, &who).await;
    assert_eq!(seal(journals, &who).await, first);
    let other = incarnation("other", 2);
    let other = journals.seal(&who, &other).await.expect("an answer");
    assert_eq!(other, first);
}

async fn journals_are_listed_until_they_are_retired(journals: &dyn Journals, who: Incarnation) {
    let before = Incarnation {
        node: who.node.clone(),
        generation: Generation(3),
    };
    open(journals, &who, 0).await;
    open(journals, &before, 0).await;
    seal(journals, &before).await;
    let info = |who: &Incarnation, sealed| JournalInfo {
        who: who.clone(),
        sealed,
    };
    let both = [info(&before, true), info(&who, false)];
    assert_eq!(journals.list().await.expect("a list"), both);
    journals.retire(&before).await.expect("retired");
    journals.retire(&before).await.expect("it is gone already");
    let one = [info(&who, false)];
    assert_eq!(journals.list().await.expect("a list"), one);
    let gone = journals.estate(&before).await.expect("an estate");
    assert!(gone.entries.is_empty() && gone.checkpoints.is_empty());
}

async fn a_large_estate_comes_whole(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    let large = |number: u64| Bytes::from(vec![number as u8; 1 + 20_000 * (number % 7) as usize]);
    let entries: Vec<Bytes> = (0..300).map(large).collect();
    for (number, entries) in entries.chunks(50).enumerate() {
        let first = number as u64 * 50 + 1;
        assert_eq!(append(journals, &who, first, entries).await, Written::Done);
    }
    let rooms: Vec<_> = (0..300)
        .map(|number| (RoomId(number), large(number)))
        .collect();
    for (call, rooms) in (1..).zip(rooms.chunks(100)) {
        let checkpoints = Checkpoints {
            call,
            rooms: rooms.to_vec(),
            last: Seq(300),
            ..Checkpoints::default()
        };
        assert_eq!(
            checkpoint(journals, &who, &checkpoints).await,
            Written::Done
        );
    }
    seal(journals, &who).await;
    let estate = journals.estate(&who).await.expect("an estate");
    assert!(estate.checkpoints == rooms, "every checkpoint, by room");
    let numbered: Vec<_> = (1..).map(Seq).zip(entries).collect();
    assert!(estate.entries == numbered, "every entry, in order");
}

async fn what_is_too_large_is_refused(journals: &dyn Journals, who: Incarnation) {
    open(journals, &who, 0).await;
    let most = vec![Bytes::new(); MAX_ENTRIES];
    assert_eq!(append(journals, &who, 1, &most).await, Written::Done);
    let many = vec![Bytes::new(); MAX_ENTRIES + 1];
    let large = [Bytes::from(vec![0; MAX_ENTRY + 1])];
    for entries in [&many[..], &large] {
        let refused = journals
            .append(&who, Seq(MAX_ENTRIES as u64 + 1), entries)
            .await;
        assert!(
            matches!(refused, Err(EngineError::TooLarge { .. })),
            "{} entries are refused: {refused:?}",
            entries.len()
        );
    }
}

fn incarnation(node: &str, generation: u64) -> Incarnation {
    Incarnation {
        node: node.parse().expect("a node's name"),
        generation: Generation(generation),
    }
}

fn claimant() -> Incarnation {
    incarnation("claimant", 1)
}

fn entry(number: u64) -> Bytes {
    Bytes::from(format!("entry {number}"))
}

fn of_room(call: u64, room: u64, state: &'static str, last: u64, keep_from: u64) -> Checkpoints {
    Checkpoints {
        call,
        after: 0,
        rooms: vec![(RoomId(room), Bytes::from_static(state.as_bytes()))],
        gone: Vec::new(),
        last: Seq(last),
        keep_from: Seq(keep_from),
    }
}

async fn open(journals: &dyn Journals, who: &Incarnation, after: u64) {
    let opened = journals.open(who, Seq(after)).await;
    assert_eq!(opened.expect("an answer"), Written::Done);
}

async fn append(
    journals: &dyn Journals,
    who: &Incarnation,
    first: u64,
    entries: &[Bytes],
) -> Written {
    let appended = journals.append(who, Seq(first), entries).await;
    appended.expect("the store appends")
}

async fn checkpoint(
    journals: &dyn Journals,
    who: &Incarnation,
    checkpoints: &Checkpoints,
) -> Written {
    let written = journals.checkpoint(who, checkpoints).await;
    written.expect("the store writes checkpoints")
}

async fn seal(journals: &dyn Journals, who: &Incarnation) -> Option<crate::Seal> {
    let sealed = journals.seal(who, &claimant()).await;
    sealed.expect("the store seals")
}

/// Seals the journal, and gives the numbers of the entries in it.
async fn numbers(journals: &dyn Journals, who: &Incarnation) -> Vec<u64> {
    let seal = seal(journals, who).await.expect("it is there");
    let estate = journals.estate(who).await.expect("an estate");
    let numbers: Vec<u64> = estate.entries.iter().map(|(seq, _)| seq.0).collect();
    if let Some(last) = numbers.last() {
        assert_eq!(seal.last, Seq(*last));
    }
    numbers
}
