//! The contract of [`Results`].

use protocol::id::{MatchId, PlayerId, RoomId};

use crate::EngineError;
use crate::results::{MAX_RECENT, MAX_STANDINGS, MatchResult, Recorded, Results, Standing};

/// Runs every check over `results`, which is empty.
pub async fn all(results: &dyn Results) {
    a_result_is_read_back_as_it_was_recorded(results).await;
    a_second_record_of_a_match_changes_nothing(results).await;
    records_of_one_match_at_once_make_one_result(results).await;
    recent_matches_come_newest_first_up_to_the_limit(results).await;
    a_match_with_too_many_seats_is_refused(results).await;
}

async fn a_result_is_read_back_as_it_was_recorded(results: &dyn Results) {
    assert_eq!(count(results).await, 0);
    let result = result(1, 1_000, &[10, 11, 12]);
    assert_eq!(record(results, &result).await, Recorded::New);
    assert_eq!(recent(results, 11, 10).await, [result]);
    assert_eq!(recent(results, 99, 10).await, [], "a stranger has none");
    assert_eq!(count(results).await, 1);
}

async fn a_second_record_of_a_match_changes_nothing(results: &dyn Results) {
    let first = result(2, 1_000, &[20, 21]);
    let other = result(2, 2_000, &[22]);
    assert_eq!(record(results, &first).await, Recorded::New);
    let before = count(results).await;
    assert_eq!(record(results, &first).await, Recorded::AlreadyThere);
    assert_eq!(record(results, &other).await, Recorded::AlreadyThere);
    assert_eq!(count(results).await, before);
    assert_eq!(recent(results, 20, 10).await, [first]);
    assert_eq!(recent(results, 22, 10).await, []);
}

async fn records_of_one_match_at_once_make_one_result(results: &dyn Results) {
    let result = result(3, 1_000, &[30]);
    let (a, b, c) = tokio::join!(
        record(results, &result),
        record(results, &result),
        record(results, &result),
    );
    let new = [a, b, c].iter().filter(|r| **r == Recorded::New).count();
    assert_eq!(new, 1, "one of them records it");
    assert_eq!(recent(results, 30, 10).await, [result]);
}

async fn recent_matches_come_newest_first_up_to_the_limit(results: &dyn Results) {
    let finished = |number: u64| result(100 + number, 10_000 + number, &[40]);
    let all = MAX_RECENT as u64 + 5;
    // Recorded in another order than they ended in.
    for number in (0..all).rev() {
        record(results, &finished(number)).await;
    }
    let newest: Vec<_> = (0..all).rev().map(finished).collect();
    assert_eq!(recent(results, 40, 3).await, newest[..3]);
    assert_eq!(recent(results, 40, 0).await, []);
    let most = recent(results, 40, usize::MAX).await;
    assert_eq!(
        most,
        newest[..MAX_RECENT],
        "the store has a limit of its own"
    );
}

async fn a_match_with_too_many_seats_is_refused(results: &dyn Results) {
    let players: Vec<u64> = (0..=MAX_STANDINGS as u64).collect();
    let before = count(results).await;
    let refused = results.record(&result(5, 1_000, &players)).await;
    assert!(
        matches!(refused, Err(EngineError::TooLarge { .. })),
        "too many seats are refused: {refused:?}"
    );
    assert_eq!(count(results).await, before);
}

fn result(number: u64, finished_at_ms: u64, players: &[u64]) -> MatchResult {
    let standing = |(place, player): (u32, &u64)| Standing {
        player: PlayerId(*player),
        name: format!("Zoë '{player}'"),
        bot: player % 2 == 1,
        place,
        ticks: (place != 2).then_some(place * 1_000),
        team: 0,
        rating: 1_500,
    };
    MatchResult {
        match_id: MatchId(number),
        room: RoomId(u64::MAX - number),
        mode: "race".to_owned(),
        finished_at_ms,
        standings: (1..).zip(players).map(standing).collect(),
    }
}

async fn record(results: &dyn Results, result: &MatchResult) -> Recorded {
    let recorded = results.record(result).await;
    recorded.expect("the store records results")
}

async fn recent(results: &dyn Results, player: u64, limit: usize) -> Vec<MatchResult> {
    let recent = results.recent(PlayerId(player), limit).await;
    recent.expect("the store reads results")
}

async fn count(results: &dyn Results) -> u64 {
    results.count().await.expect("the store counts results")
}
