use super::*;

fn open() -> OwnJournal {
    let mut journal = OwnJournal::new(1_000);
    let open = journal.poll_request().expect("it is to be opened");
    journal.handle_reply(&open, Some(Written::Done));
    assert_eq!(journal.poll_request(), None, "nothing to write");
    journal
}

fn entry(byte: u8) -> Bytes {
    Bytes::from(vec![byte])
}

fn appended(journal: &mut OwnJournal) -> Option<Vec<Bytes>> {
    match journal.poll_request()? {
        Request::Append { entries, .. } => Some(entries),
        other => panic!("{other:?}"),
    }
}

#[test]
fn entries_that_nobody_waits_for_go_with_the_next_one() {
    let mut journal = open();
    assert_eq!(journal.gather(entry(1)), Seq(1));
    assert_eq!(journal.gather(entry(2)), Seq(2));
    assert_eq!(journal.poll_request(), None);
    journal.push(entry(3));
    let entries = appended(&mut journal);
    assert_eq!(entries, Some([1, 2, 3].map(entry).to_vec()));
}

#[test]
fn entries_that_were_not_taken_are_written_again_though_nobody_waits() {
    let mut journal = open();
    journal.push(entry(1));
    let request = journal.poll_request().expect("somebody waits");
    journal.handle_reply(&request, None);
    assert_eq!(appended(&mut journal), Some(vec![entry(1)]));
}

#[test]
fn a_checkpoint_takes_the_entries_before_it_along() {
    let mut journal = open();
    let at = journal.gather(entry(1));
    journal.checkpoint(RoomId(1), at, entry(9));
    let request = journal.poll_request().expect("the entry first");
    assert!(matches!(request, Request::Append { .. }), "{request:?}");
    journal.handle_reply(&request, Some(Written::Done));
    let request = journal.poll_request().expect("then the checkpoint");
    assert!(matches!(request, Request::Checkpoint(_)), "{request:?}");
}

/// Lets the store take everything that is asked of it.
fn settle(journal: &mut OwnJournal) {
    while let Some(request) = journal.poll_request() {
        journal.handle_reply(&request, Some(Written::Done));
    }
}

#[test]
fn a_room_that_waits_for_its_result_keeps_no_entries() {
    let mut journal = OwnJournal::new(1024);
    let (steps, waits) = (RoomId(1), RoomId(2));
    for round in 0..100_u64 {
        let at = journal.push(Bytes::from_static(b"a tick of a worker"));
        journal.checkpoint(steps, at, Bytes::from_static(b"steps"));
        if round == 0 {
            journal.park(waits, at, Bytes::from_static(b"waits"));
        }
        settle(&mut journal);
    }
    assert!(journal.kept_bytes() < 100, "{}", journal.kept_bytes());
    assert!(journal.is_written(waits));
    journal.forget(steps);
    journal.push(Bytes::from_static(b"a tick of a worker"));
    settle(&mut journal);
    assert_eq!(journal.kept_bytes(), 0);
}
