//! The contract of [`Players`], and of what [`Results::record`] does to them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use protocol::id::{MatchId, PlayerId, RoomId};

use crate::players::{FORGOTTEN, MAX_ASKED, STILL_FORGOTTEN};
use crate::results::{MatchResult, Recorded, Results, Standing};
use crate::{BoxFuture, EngineError, Leader, Played, PlayerRating, Players, Rating};

/// Both ends of one store: what is recorded, and what is read.
#[derive(Clone, Copy)]
struct Store<'a> {
    results: &'a dyn Results,
    players: &'a dyn Players,
}

/// Runs every check over a store, which is empty: `players` reads what `results` records.
pub async fn all(results: &dyn Results, players: &dyn Players) {
    let store = Store { results, players };
    a_result_changes_the_ratings_of_its_people_once(store).await;
    modes_are_rated_apart(store).await;
    a_match_delivered_twice_at_once_counts_once(store).await;
    overlapping_matches_recorded_at_once_all_count(store).await;
    matches_that_share_nobody_give_the_same_in_any_order(store).await;
    the_leaderboard_is_by_score_and_shows_a_player_among_neighbours(store).await;
    who_has_the_same_score_shares_a_place(store).await;
    a_history_is_read_in_pages_and_shows_what_changed(store).await;
    the_last_name_is_kept_whatever_comes_late(store).await;
    a_player_is_forgotten_and_begins_anew(store).await;
    a_match_under_way_does_not_bring_a_forgotten_player_back(store).await;
    too_many_players_at_once_are_refused(store).await;
}

async fn a_result_changes_the_ratings_of_its_people_once(store: Store<'_>) {
    let mut first = result(1, "once", 1_000, &[1, 2, 3]);
    first.standings[2].bot = true;
    store.record(&first).await;
    let [winner, loser] = store.ratings(&[1, 2, 3, 4]).await.try_into().expect("two");
    assert_eq!((winner.games, winner.wins, winner.version), (1, 1, 1));
    assert_eq!((loser.games, loser.wins), (1, 0));
    assert_eq!(winner.before, Rating::FIRST);
    assert_eq!(winner.last_match, MatchId(1));
    assert!(winner.rating.mean > 1_500.0 && loser.rating.mean < winner.rating.mean);
    assert!(winner.rating.deviation < Rating::FIRST.deviation);

    assert_eq!(
        store.results.record(&first).await.expect("stored"),
        Recorded::AlreadyThere
    );
    assert_eq!(
        store.ratings(&[1]).await,
        std::slice::from_ref(&winner),
        "once"
    );
    store.record(&result(2, "once", 2_000, &[2, 1])).await;
    let [again] = store.ratings(&[1]).await.try_into().expect("one");
    assert_eq!((again.games, again.wins, again.version), (2, 1, 2));
    assert_eq!(again.before, winner.rating, "it goes on from there");
    assert!(again.rating.mean < winner.rating.mean);
}

async fn modes_are_rated_apart(store: Store<'_>) {
    store.record(&result(10, "drift", 1_000, &[10, 11])).await;
    store.record(&result(11, "sprint", 1_000, &[11, 10])).await;
    let of = store.ratings(&[10]).await;
    let won: BTreeSet<(&str, u64)> = of.iter().map(|r| (r.mode.as_str(), r.wins)).collect();
    assert_eq!(won, BTreeSet::from([("drift", 1), ("sprint", 0)]));
}

async fn a_match_delivered_twice_at_once_counts_once(store: Store<'_>) {
    let result = result(20, "twice", 1_000, &[20, 21]);
    let deliveries = (0..4).map(|_| store.results.record(&result));
    let outcomes = join_all(deliveries).await;
    let new = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Ok(Recorded::New)));
    assert_eq!(new.count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert!(store.ratings(&[20, 21]).await.iter().all(|r| r.games == 1));
}

/// Everyone is in several matches that are recorded at once, each twice, in orders that would
/// wait for each other if players were locked in the order of their seats.
async fn overlapping_matches_recorded_at_once_all_count(store: Store<'_>) {
    const MATCHES: u64 = 24;
    let results: Vec<MatchResult> = (0..MATCHES)
        .map(|number| {
            let mut players: Vec<u64> = (0..6).map(|seat| 300 + (number + seat) % 8).collect();
            if number % 2 == 1 {
                players.reverse();
            }
            result(300 + number, "crowd", 1_000 + number, &players)
        })
        .collect();
    let twice = results.iter().chain(&results);
    let outcomes = join_all(twice.map(|result| store.results.record(result))).await;
    let failed: Vec<_> = outcomes.iter().filter(|o| o.is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let ratings = store.ratings(&(300..308).collect::<Vec<_>>()).await;
    let games: u64 = ratings.iter().map(|rating| rating.games).sum();
    assert_eq!(games, MATCHES * 6, "every seat counts once");
    assert_eq!(ratings.iter().map(|r| r.wins).sum::<u64>(), MATCHES);
    for rating in &ratings {
        assert_eq!(rating.version, rating.games);
        let mut changes: Vec<(Rating, Rating)> = store
            .history(rating.player, None, 100)
            .await
            .iter()
            .map(|played| played.change.expect("rated"))
            .collect();
        assert_eq!(changes.len() as u64, rating.games);
        // Whatever the order was, it was one: each change goes on from where another one ended.
        let mut at = Rating::FIRST;
        while !changes.is_empty() {
            let next = changes.iter().position(|(before, _)| *before == at);
            let next = next.expect("a change was lost, or made from an old rating");
            at = changes.swap_remove(next).1;
        }
        assert_eq!(at, rating.rating);
    }
}

async fn matches_that_share_nobody_give_the_same_in_any_order(store: Store<'_>) {
    let of = |mode: &str, base: u64| -> Vec<MatchResult> {
        let duel = |number: u64| {
            let players = [base + 2 * number, base + 2 * number + 1];
            result(base + number, mode, 1_000 + number, &players)
        };
        (0..5).map(duel).collect()
    };
    for result in of("forth", 400) {
        store.record(&result).await;
    }
    for result in of("back", 420).iter().rev() {
        store.record(result).await;
    }
    for number in 0..10 {
        let forth = store.ratings(&[400 + number]).await;
        let back = store.ratings(&[420 + number]).await;
        assert_eq!(forth[0].rating, back[0].rating);
    }
}

async fn the_leaderboard_is_by_score_and_shows_a_player_among_neighbours(store: Store<'_>) {
    let all: Vec<u64> = (500..520).collect();
    store.record(&result(500, "board", 1_000, &all)).await;
    let leaders = store.leaders("board", 5).await;
    assert_eq!(ids(&leaders), all[..5]);
    assert_eq!(places(&leaders), [1, 2, 3, 4, 5]);
    assert_eq!(leaders[0].name, "player 500");
    let around = store.around("board", 510, 2).await;
    assert_eq!(ids(&around), [508, 509, 510, 511, 512]);
    assert_eq!(places(&around), [9, 10, 11, 12, 13]);
    let first = store.around("board", 500, 1).await;
    assert_eq!(ids(&first), [500, 501]);
    let last = store.around("board", 519, 1).await;
    assert_eq!((ids(&last), places(&last)), (vec![518, 519], vec![19, 20]));
    assert_eq!(store.around("board", 99, 2).await, [], "a stranger");
    assert_eq!(store.leaders("nothing", 5).await, []);
}

async fn who_has_the_same_score_shares_a_place(store: Store<'_>) {
    let mut lost = result(530, "ties", 1_000, &[530, 531, 532, 533]);
    for seat in &mut lost.standings[1..] {
        seat.ticks = None;
    }
    store.record(&lost).await;
    store.record(&result(531, "ties", 1_000, &[534, 535])).await;
    let leaders = store.leaders("ties", 10).await;
    let places: Vec<(u64, u64)> = leaders
        .iter()
        .map(|l| (l.rating.player.0, l.place))
        .collect();
    let of = |player| {
        places
            .iter()
            .find(|(who, _)| *who == player)
            .expect("there")
            .1
    };
    assert_eq!(of(531), of(532));
    assert_eq!(of(532), of(533));
    let around = store.around("ties", 533, 0).await;
    assert_eq!(around[0].place, of(533), "the same alone");
    let behind = leaders
        .iter()
        .filter(|l| l.place > of(533))
        .map(|l| l.place);
    assert!(
        behind.min().is_none_or(|next| next == of(533) + 3),
        "{places:?}"
    );
}

async fn a_history_is_read_in_pages_and_shows_what_changed(store: Store<'_>) {
    for number in 0..7 {
        // Two of them ended in the same millisecond.
        let at = 1_000 + number / 2;
        store
            .record(&result(600 + number, "pages", at, &[600, 601, 602]))
            .await;
    }
    let all = store.history(PlayerId(600), None, 100).await;
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by_key(|played| std::cmp::Reverse(played.finished_at_ms)));
    let mut paged = Vec::new();
    let mut from = None;
    loop {
        let page = store.history(PlayerId(600), from, 3).await;
        let Some(last) = page.last() else { break };
        from = Some(last.cursor());
        paged.extend(page);
    }
    assert_eq!(paged, all);
    let newest = &all[0];
    assert_eq!((newest.place, newest.seats), (1, 3));
    assert_eq!(newest.ticks, Some(1_000));
    let (before, after) = newest.change.expect("rated");
    assert!(after.mean > before.mean);
    // Of players that nobody knows, and of a match of one, nothing changed.
    store.record(&result(610, "pages", 1, &[609])).await;
    let alone = store.history(PlayerId(609), None, 1).await;
    assert_eq!(alone[0].change, None);
    assert_eq!(store.ratings(&[609]).await, []);
}

async fn the_last_name_is_kept_whatever_comes_late(store: Store<'_>) {
    let named = |number, at, name: &str| {
        let mut result = result(number, "names", at, &[620, 621]);
        result.standings[0].name = name.to_owned();
        result
    };
    store.record(&named(620, 5_000, "New")).await;
    store.record(&named(621, 4_000, "Old")).await;
    let profile = store.players.profile(PlayerId(620)).await.expect("read");
    let profile = profile.expect("known");
    assert_eq!(profile.name, "New");
    assert_eq!(
        (profile.first_seen_ms, profile.last_seen_ms),
        (4_000, 5_000)
    );
    assert_eq!(
        store.players.profile(PlayerId(99)).await.expect("read"),
        None
    );
}

async fn a_player_is_forgotten_and_begins_anew(store: Store<'_>) {
    let now = 10_000_000;
    store
        .record(&result(700, "gone", now - 1, &[700, 701]))
        .await;
    for _ in 0..2 {
        let forgotten = store.players.forget(PlayerId(700), now).await;
        forgotten.expect("repeating is harmless");
    }
    assert_eq!(store.ratings(&[700]).await, []);
    assert_eq!(store.history(PlayerId(700), None, 10).await, []);
    assert_eq!(
        store.players.profile(PlayerId(700)).await.expect("read"),
        None
    );
    assert_eq!(ids(&store.leaders("gone", 10).await), [701]);
    let others = store.results.recent(PlayerId(701), 10).await.expect("read");
    let seat = &others[0].standings[0];
    assert_eq!(
        (seat.player, seat.name.as_str(), seat.place),
        (FORGOTTEN, "", 1)
    );
    assert_eq!(
        store.ratings(&[701]).await[0].games,
        1,
        "the others keep theirs"
    );

    let later = now + STILL_FORGOTTEN.as_millis() as u64 + 1;
    store.record(&result(701, "gone", later, &[700, 701])).await;
    let anew = store.ratings(&[700]).await;
    assert_eq!((anew[0].games, anew[0].before), (1, Rating::FIRST));
}

async fn a_match_under_way_does_not_bring_a_forgotten_player_back(store: Store<'_>) {
    let now = 20_000_000;
    store
        .players
        .forget(PlayerId(710), now)
        .await
        .expect("forgotten");
    store
        .record(&result(710, "late", now + 1, &[710, 711]))
        .await;
    assert_eq!(
        store.players.profile(PlayerId(710)).await.expect("read"),
        None
    );
    assert_eq!(store.ratings(&[710]).await, []);
    assert_eq!(store.ratings(&[711]).await.len(), 1);
    // Also if both happen at once.
    for number in 0..10 {
        let player = PlayerId(720 + number);
        let result = result(720 + number, "late", now, &[player.0, 799]);
        let (recorded, forgotten) = tokio::join!(
            store.results.record(&result),
            store.players.forget(player, now)
        );
        recorded.expect("recorded");
        forgotten.expect("forgotten");
        assert_eq!(store.players.profile(player).await.expect("read"), None);
        assert_eq!(store.history(player, None, 1).await, []);
    }
}

async fn too_many_players_at_once_are_refused(store: Store<'_>) {
    let many = vec![PlayerId(1); MAX_ASKED + 1];
    let refused = store.players.ratings(&many).await;
    assert!(
        matches!(refused, Err(EngineError::TooLarge { .. })),
        "{refused:?}"
    );
}

/// A result; the players come in in this order.
pub fn result(number: u64, mode: &str, finished_at_ms: u64, players: &[u64]) -> MatchResult {
    let standing = |(place, player): (u32, &u64)| Standing {
        player: PlayerId(*player),
        name: format!("player {player}"),
        bot: false,
        place,
        ticks: Some(place * 1_000),
        team: 0,
        rating: 1_500,
    };
    MatchResult {
        match_id: MatchId(number),
        room: RoomId(number),
        mode: mode.to_owned(),
        finished_at_ms,
        standings: (1..).zip(players).map(standing).collect(),
    }
}

fn ids(leaders: &[Leader]) -> Vec<u64> {
    leaders
        .iter()
        .map(|leader| leader.rating.player.0)
        .collect()
}

fn places(leaders: &[Leader]) -> Vec<u64> {
    leaders.iter().map(|leader| leader.place).collect()
}

impl Store<'_> {
    async fn record(self, result: &MatchResult) {
        let recorded = self.results.record(result).await;
        assert_eq!(recorded.expect("the store records results"), Recorded::New);
    }

    /// Sorted by player and mode.
    async fn ratings(self, players: &[u64]) -> Vec<PlayerRating> {
        let players: Vec<PlayerId> = players.iter().copied().map(PlayerId).collect();
        let ratings = self.players.ratings(&players).await;
        let mut ratings = ratings.expect("the store reads ratings");
        ratings.sort_by(|a, b| (a.player, &a.mode).cmp(&(b.player, &b.mode)));
        ratings
    }

    async fn leaders(self, mode: &str, limit: usize) -> Vec<Leader> {
        let leaders = self.players.leaders(mode, limit).await;
        leaders.expect("the store reads leaderboards")
    }

    async fn around(self, mode: &str, player: u64, side: usize) -> Vec<Leader> {
        let leaders = self.players.around(mode, PlayerId(player), side).await;
        leaders.expect("the store reads leaderboards")
    }

    async fn history(
        self,
        player: PlayerId,
        from: Option<crate::players::Cursor>,
        limit: usize,
    ) -> Vec<Played> {
        let history = self.players.history(player, from, limit).await;
        history.expect("the store reads histories")
    }
}

/// Players that cannot be asked: a database that is away.
#[derive(Debug, Default)]
pub struct Broken {
    calls: AtomicU64,
    hangs: bool,
}

impl Broken {
    /// One that does not even say so.
    pub fn hanging() -> Self {
        let hangs = true;
        Self {
            hangs,
            ..Self::default()
        }
    }

    /// How often somebody tried.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn fail<T: Send + 'static>(&self) -> BoxFuture<'static, Result<T, EngineError>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.hangs {
            return Box::pin(std::future::pending());
        }
        let operation = "asking a broken store";
        Box::pin(std::future::ready(Err(EngineError::Deadline { operation })))
    }
}

impl Players for Broken {
    fn ratings<'a>(
        &'a self,
        _: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<PlayerRating>, EngineError>> {
        self.fail()
    }

    fn leaders<'a>(
        &'a self,
        _: &'a str,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>> {
        self.fail()
    }

    fn around<'a>(
        &'a self,
        _: &'a str,
        _: PlayerId,
        _: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>> {
        self.fail()
    }

    fn history(
        &self,
        _: PlayerId,
        _: Option<crate::players::Cursor>,
        _: usize,
    ) -> BoxFuture<'_, Result<Vec<Played>, EngineError>> {
        self.fail()
    }

    fn profile(
        &self,
        _: PlayerId,
    ) -> BoxFuture<'_, Result<Option<crate::players::Profile>, EngineError>> {
        self.fail()
    }

    fn forget(&self, _: PlayerId, _: u64) -> BoxFuture<'_, Result<(), EngineError>> {
        self.fail()
    }
}
