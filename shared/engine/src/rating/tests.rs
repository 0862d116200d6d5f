use protocol::random::Random;

use super::*;

fn seat(player: u64, place: u32) -> Standing {
    Standing {
        player: PlayerId(player),
        name: "Ada".to_owned(),
        bot: false,
        place,
        ticks: Some(place * 100),
        team: 0,
        rating: 1_500,
    }
}

fn race(players: u64) -> Vec<Standing> {
    (1..=players)
        .map(|player| seat(player, player as u32))
        .collect()
}

fn means(rated: &BTreeMap<PlayerId, Rating>) -> Vec<i32> {
    rated.values().map(Rating::points).collect()
}

#[test]
fn who_comes_in_earlier_gains_more_and_everyone_is_more_certain() {
    let rated = rate(&race(8), &BTreeMap::new());
    let means = means(&rated);
    assert!(means.is_sorted_by(|a, b| a > b), "{means:?}");
    assert!((1_700..1_850).contains(&means[0]), "{means:?}");
    let sum: i32 = means.iter().sum();
    assert!(
        (sum - 8 * 1_500).abs() <= 8,
        "equals take from each other: {means:?}"
    );
    let first = Rating::FIRST.deviation;
    assert!(rated.values().all(|rating| rating.deviation < first));
}

#[test]
fn a_large_field_moves_nobody_further_than_a_small_one() {
    let duel = means(&rate(&race(2), &BTreeMap::new()))[0];
    let field = means(&rate(&race(256), &BTreeMap::new()))[0];
    assert!(field < 2 * (duel - 1_500) + 1_501, "{duel} {field}");
    assert!(field > duel);
}

#[test]
fn seats_that_did_not_finish_share_the_last_rank() {
    let mut standings = race(4);
    standings[2].ticks = None;
    standings[3].ticks = None;
    let means = means(&rate(&standings, &BTreeMap::new()));
    assert_eq!(means[2], means[3]);
    assert!(means[1] > means[2]);
}

#[test]
fn a_bot_is_an_opponent_that_is_never_rated() {
    let mut standings = race(2);
    standings[1].bot = true;
    let rated = rate(&standings, &BTreeMap::new());
    assert_eq!(rated.keys().collect::<Vec<_>>(), [&PlayerId(1)]);
    assert!(rated[&PlayerId(1)].mean > 1_500.0);
}

#[test]
fn beating_bots_again_and_again_brings_less_and_less() {
    let mut standings = race(8);
    standings[1..].iter_mut().for_each(|seat| seat.bot = true);
    let mut known = BTreeMap::new();
    let mut gains = Vec::new();
    for _ in 0..200 {
        let before = known.get(&PlayerId(1)).copied().unwrap_or(Rating::FIRST);
        known = rate(&standings, &known);
        gains.push(known[&PlayerId(1)].mean - before.mean);
    }
    assert!(
        gains[0] > 100.0 && gains[199] < 3.0 && gains[199] > 0.0,
        "{gains:?}"
    );
}

#[test]
fn alone_or_twice_in_a_match_nothing_is_won() {
    assert!(rate(&race(1), &BTreeMap::new()).is_empty());
    assert!(rate(&[], &BTreeMap::new()).is_empty());
    let twice = [seat(1, 1), seat(1, 2)];
    assert!(rate(&twice, &BTreeMap::new()).is_empty());
    assert!(!is_win(&race(1), PlayerId(1)));
}

#[test]
fn a_team_gains_together_and_the_less_certain_member_more() {
    let mut standings = race(4);
    for (seat, team) in standings.iter_mut().zip([1, 2, 1, 2]) {
        seat.team = team;
    }
    let certain = Rating {
        mean: 1_500.0,
        deviation: 100.0,
    };
    let rated = rate(&standings, &BTreeMap::from([(PlayerId(1), certain)]));
    // Places 1 and 3 against 2 and 4.
    let gain = |player| rated[&PlayerId(player)].mean - 1_500.0;
    assert!(gain(1) > 0.0 && gain(3) > gain(1), "{rated:?}");
    assert!(gain(2) < 0.0 && gain(4) < 0.0, "{rated:?}");
    assert!(is_win(&standings, PlayerId(3)) && !is_win(&standings, PlayerId(2)));
}

#[test]
fn a_first_rating_begins_where_the_login_says() {
    let mut standings = race(2);
    standings[0].rating = 2_000;
    let rated = rate(&standings, &BTreeMap::new());
    assert!(rated[&PlayerId(1)].mean > 2_000.0);
    assert!(rated[&PlayerId(2)].mean < 1_500.0);
}

#[test]
fn the_first_rating_scores_nothing() {
    assert_eq!(Rating::FIRST.score(), 0);
}

/// Whether it works at all: people of known skill race, grouped at random, and are to be found in
/// the order of their skill. The spread shows whether a point means what it says.
#[test]
fn ratings_find_the_skill_of_a_population() {
    const PLAYERS: usize = 120;
    let mut random = Random::new(7);
    // Uniform, so that what is expected can be worked out: a deviation of 400.
    let mut even = |spread: f64| (random.below(2_000_001) as f64 / 1e6 - 1.0) * spread;
    let skill: Vec<f64> = (0..PLAYERS).map(|_| 1_500.0 + even(693.0)).collect();
    let mut known = BTreeMap::new();
    for _ in 0..60 {
        let mut order: Vec<(f64, usize)> = (0..PLAYERS).map(|who| (even(1.0), who)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        for field in order.chunks(8) {
            let mut runs: Vec<(f64, usize)> = field
                .iter()
                .map(|(_, who)| (skill[*who] + even(780.0), *who))
                .collect();
            runs.sort_by(|a, b| b.0.total_cmp(&a.0));
            let standings: Vec<Standing> = (1..)
                .zip(&runs)
                .map(|(place, (_, who))| seat(*who as u64, place))
                .collect();
            known.append(&mut rate(&standings, &known));
        }
    }
    let off = |who: usize| known[&PlayerId(who as u64)].mean - skill[who];
    let error = ((0..PLAYERS).map(|who| off(who).powi(2)).sum::<f64>() / PLAYERS as f64).sqrt();
    let within =
        (0..PLAYERS).filter(|who| off(*who).abs() < 2.0 * known[&PlayerId(*who as u64)].deviation);
    let share = within.count() as f64 / PLAYERS as f64;
    assert!(error < 220.0, "off by {error} points");
    assert!(share > 0.75, "the deviation covers {share} of the players");
}
