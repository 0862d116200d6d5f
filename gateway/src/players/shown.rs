//! What matchers answer, as clients see it.

use protocol::id::{MatchId, PlayerId, RoomId};
use rpc::pb;
use serde_json::{Value, json};

/// A leaderboard. Others see of a player what they see in a race: id, name, rating.
pub(super) fn board(rows: &[pb::LeaderRow]) -> Vec<Value> {
    let shown = |row: &pb::LeaderRow| {
        let rating = row.rating.clone().unwrap_or_default();
        let mut shown = of_rating(&rating);
        shown["place"] = row.place.into();
        shown["name"] = row.name.clone().into();
        shown["player"] = PlayerId(rating.player).to_string().into();
        shown
    };
    rows.iter().map(shown).collect()
}

/// Ratings by mode.
pub(super) fn rating_rows(rows: &[pb::RatingRow]) -> Vec<Value> {
    let shown = |row: &pb::RatingRow| {
        let mut shown = of_rating(row);
        shown["mode"] = row.mode.clone().into();
        shown
    };
    rows.iter().map(shown).collect()
}

fn of_rating(row: &pb::RatingRow) -> Value {
    json!({
        "rating": row.rating,
        "deviation": row.deviation,
        "score": row.score,
        "games": row.games,
        "wins": row.wins,
    })
}

/// Seats of events.
pub(super) fn seat_rows(rows: &[pb::SeatRow]) -> Vec<Value> {
    let shown = |row: &pb::SeatRow| json!({ "event": row.event, "seat": row.seat });
    rows.iter().map(shown).collect()
}

/// A page of a history.
pub(super) fn matches(rows: &[pb::PlayedMatch]) -> Vec<Value> {
    rows.iter().map(of_match).collect()
}

/// A match in an export: with the name that was shown, too.
pub(super) fn own_match(row: &pb::PlayedMatch) -> Value {
    let mut shown = of_match(row);
    shown["name"] = row.name.clone().into();
    shown
}

fn of_match(row: &pb::PlayedMatch) -> Value {
    let change = row.change.as_ref().map(|change| {
        json!({
            "before": change.before,
            "after": change.after,
            "deviation_before": change.deviation_before,
            "deviation_after": change.deviation_after,
        })
    });
    json!({
        "match": MatchId(row.r#match),
        "room": RoomId(row.room),
        "mode": row.mode,
        "finished_at_ms": row.finished_at_ms,
        "place": row.place,
        "seats": row.seats,
        "ticks": row.ticks,
        "rating": change,
    })
}
