//! The conformance suites over the embedded engine, and what is special about it.

use std::time::Duration;

use pixelrush_engine::{Booked, Booking, Engine, EngineError, MatchResult, Recorded, conformance};
use protocol::id::{MatchId, PlayerId, RoomId, SeatNumber};

fn embedded() -> Engine {
    Engine::embedded(None).expect("an engine in memory")
}

fn result(number: u64) -> MatchResult {
    MatchResult {
        match_id: MatchId(number),
        room: RoomId(1),
        mode: "race".to_owned(),
        finished_at_ms: 1,
        standings: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn leases_in_memory_conform() {
    let engine = embedded();
    conformance::leases::all(&*engine.leases, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn placements_in_memory_conform() {
    conformance::placements::all(&*embedded().placements).await;
}

#[tokio::test]
async fn journals_in_memory_conform() {
    conformance::journals::all(&*embedded().journals).await;
}

#[tokio::test(start_paused = true)]
async fn tapes_in_memory_conform() {
    conformance::tapes::all(&*embedded().tapes, Duration::from_secs(5)).await;
}

#[tokio::test]
async fn results_in_memory_conform() {
    conformance::results::all(&*embedded().results).await;
}

#[tokio::test]
async fn results_in_a_file_conform() {
    let folder = tempfile::tempdir().expect("folder");
    let engine = Engine::embedded(Some(folder.path())).expect("an engine on disk");
    conformance::results::all(&*engine.results).await;
}

#[tokio::test]
async fn players_in_memory_conform() {
    let engine = embedded();
    conformance::players::all(&*engine.results, &*engine.players.expect("players")).await;
}

#[tokio::test]
async fn players_in_a_file_that_two_engines_share_conform() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || Engine::embedded(Some(folder.path())).expect("an engine on disk");
    let (writer, reader) = (open(), open());
    conformance::players::all(&*writer.results, &*reader.players.expect("players")).await;
}

#[tokio::test]
async fn seats_in_memory_conform() {
    conformance::seats::all(&*embedded().seats.expect("a ledger")).await;
}

#[tokio::test]
async fn seats_in_a_file_conform_and_outlive_the_engine() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || {
        let engine = Engine::embedded(Some(folder.path())).expect("an engine on disk");
        engine.seats.expect("a ledger")
    };
    let ledger = open();
    conformance::seats::all(&*ledger).await;
    let before = ledger.booked("a", SeatNumber(0), 10).await.expect("read");
    drop(ledger);
    let after = open().booked("a", SeatNumber(0), 10).await.expect("read");
    assert_eq!(after, before);
    assert!(!after.is_empty());
}

#[tokio::test]
async fn two_engines_on_one_file_sell_a_seat_once() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || Engine::embedded(Some(folder.path())).expect("engine");
    let [first, second] = [open(), open()].map(|engine| engine.seats.expect("a ledger"));
    for number in 1..=50 {
        let booking = |player| Booking {
            seat: SeatNumber(number),
            player: PlayerId(player),
        };
        let (a, b) = (
            [booking(1_000 + u64::from(number))],
            [booking(number.into())],
        );
        let (a, b) = tokio::join!(first.book("a", &a, 1), second.book("a", &b, 1));
        let (a, b) = (a.expect("first"), b.expect("second"));
        let yours = [a[0], b[0]];
        let yours = yours.iter().filter(|b| matches!(b, Booked::Yours(_)));
        assert_eq!(yours.count(), 1, "{a:?} {b:?}");
    }
}

#[tokio::test]
async fn results_outlive_the_engine() {
    let folder = tempfile::tempdir().expect("folder");
    let data_dir = folder.path().join("made/on/the/way");
    let engine = Engine::embedded(Some(&data_dir)).expect("first");
    let recorded = engine.results.record(&result(1)).await.expect("record");
    assert_eq!(recorded, Recorded::New);
    drop(engine);

    let engine = Engine::embedded(Some(&data_dir)).expect("second");
    assert_eq!(engine.results.count().await.expect("count"), 1);
    let recorded = engine.results.record(&result(1)).await.expect("record");
    assert_eq!(recorded, Recorded::AlreadyThere);
}

#[tokio::test]
async fn two_engines_on_one_file_record_a_match_once() {
    let folder = tempfile::tempdir().expect("folder");
    let open = || Engine::embedded(Some(folder.path())).expect("engine");
    let (first, second) = (open(), open());
    for number in 0..50 {
        let result = result(number);
        let (a, b) = tokio::join!(
            first.results.record(&result),
            second.results.record(&result)
        );
        let (a, b) = (a.expect("first"), b.expect("second"));
        assert_ne!(a, b, "one records, the other finds it there");
    }
    assert_eq!(second.results.count().await.expect("count"), 50);
}

#[tokio::test]
async fn damaged_data_is_told_from_a_failing_store() {
    let folder = tempfile::tempdir().expect("folder");
    let engine = Engine::embedded(Some(folder.path())).expect("engine");
    let other = rusqlite::Connection::open(folder.path().join("pixelrush.db")).expect("open");
    let player = PlayerId(1).to_string();
    other
        .execute_batch(&format!(
            "INSERT INTO matches VALUES ('not an id', 'rm_0000000000000001', 'race', 1);
             INSERT INTO standings
                 (match_id, position, player, name, bot, place, ticks, finished_at_ms)
             VALUES ('not an id', 0, '{player}', 'A', 0, 1, NULL, 1);"
        ))
        .expect("write");
    let read = engine.results.recent(PlayerId(1), 1).await;
    assert!(matches!(read, Err(EngineError::Damaged { .. })), "{read:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("occupied");
    std::fs::write(&file, "text").expect("write");
    let refused = Engine::embedded(Some(&file)).err().expect("refused");
    assert!(refused.to_string().contains("occupied"), "{refused}");

    std::fs::write(folder.path().join("pixelrush.db"), "x".repeat(5000)).expect("write");
    let refused = Engine::embedded(Some(folder.path()))
        .err()
        .expect("refused");
    assert!(refused.to_string().contains("pixelrush.db"), "{refused}");
}
