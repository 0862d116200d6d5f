//! What holds for every queue, against brute force where it is small.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use protocol::id::{PlayerId, TicketId};
use protocol::time::Timestamp;

use super::*;
use crate::config::{ModeOptions, PlayerRange, RatingWindow, RegionRule, Role};
use crate::ticket::Member;

pub(super) const NOW: Timestamp = Timestamp(1_000_000_000);

#[derive(Debug, Clone)]
struct Wish {
    rating: i32,
    size: u8,
    bot: bool,
    waited_s: u64,
    regions: BTreeMap<Region, u32>,
    deviation: u32,
    /// 0 is none.
    version: u8,
    chat: bool,
    /// Of each member in turn, by place in [`WANTED`].
    roles: usize,
}

/// What members may play; the roles are those of [`modes`].
const WANTED: [&[&str]; 6] = [
    &[],
    &["a"],
    &["b", "a"],
    &["c"],
    &["c", "b"],
    &["a", "b", "c"],
];

fn role(name: &str) -> Role {
    name.parse().unwrap()
}

fn ticket(number: u64, wish: &Wish) -> Arc<Ticket> {
    let size = if wish.bot { 1 } else { wish.size };
    let members = (0..size)
        .map(|member| Member {
            player: PlayerId(number * 100 + u64::from(member)),
            name: String::new(),
            rating: wish.rating,
            deviation: wish.deviation,
            roles: WANTED[(wish.roles + usize::from(member)) % WANTED.len()]
                .iter()
                .copied()
                .map(role)
                .collect(),
            bot: wish.bot,
        })
        .collect();
    Arc::new(Ticket {
        id: TicketId(number),
        mode: "test".parse().unwrap(),
        members,
        regions: if wish.bot {
            BTreeMap::new()
        } else {
            wish.regions.clone()
        },
        party: None,
        private: None,
        version: (wish.version > 0 && !wish.bot)
            .then(|| format!("1.{}", wish.version).parse().unwrap()),
        attributes: if wish.chat && !wish.bot {
            BTreeMap::from([("chat".parse().unwrap(), "on".parse().unwrap())])
        } else {
            BTreeMap::new()
        },
        enqueued_at: NOW - Duration::from_secs(wish.waited_s),
    })
}

pub(super) fn tickets(most: usize, parties: bool) -> impl Strategy<Value = Vec<Arc<Ticket>>> {
    let region = |name: &str| -> Region { name.parse().unwrap() };
    let (east, west) = (region("east"), region("west"));
    let regions = prop_oneof![
        3 => Just(BTreeMap::new()),
        1 => (0_u32..250).prop_map({
            let east = east.clone();
            move |latency| BTreeMap::from([(east.clone(), latency)])
        }),
        1 => (0_u32..250, 0_u32..250).prop_map(move |(a, b)| {
            BTreeMap::from([(east.clone(), a), (west.clone(), b)])
        }),
    ];
    let largest = if parties { 4_u8 } else { 1 };
    let wish = (
        1300_i32..1700,
        1..=largest,
        prop::bool::weighted(0.2),
        0_u64..30,
        regions,
        prop_oneof![2 => Just(0_u32), 1 => 0_u32..150],
        prop_oneof![4 => Just(0_u8), 1 => 1_u8..=2],
        prop::bool::weighted(0.1),
        0..WANTED.len(),
    )
        .prop_map(
            |(rating, size, bot, waited_s, regions, deviation, version, chat, roles)| Wish {
                rating,
                size,
                bot,
                waited_s,
                regions,
                deviation,
                version,
                chat,
                roles,
            },
        );
    prop::collection::vec(wish, 0..=most).prop_map(|wishes| {
        (1..)
            .zip(&wishes)
            .map(|(number, wish)| ticket(number, wish))
            .collect()
    })
}

pub(super) fn modes() -> impl Strategy<Value = Mode> {
    let some = prop::bool::weighted(0.4);
    let sizes = (1_u8..=3, 1_u8..=2, 0_u8..=2, any::<bool>(), some);
    sizes.prop_map(|(teams, smallest, more, bots, with_roles)| {
        let size = smallest + more;
        let smallest = if with_roles { size } else { smallest };
        let more = size - smallest;
        let roles: &[(&str, u8)] = match size {
            _ if !with_roles => &[],
            1 => &[("a", 1)],
            2 => &[("a", 1), ("b", 1)],
            3 => &[("a", 1), ("b", 2)],
            _ => &[("a", 1), ("b", 1), ("c", 2)],
        };
        Mode::new(ModeOptions {
            teams,
            players: PlayerRange {
                min: teams * smallest,
                max: teams * (smallest + more),
            },
            roles: roles
                .iter()
                .map(|(name, count)| (role(name), *count))
                .collect(),
            window: RatingWindow {
                start: 20,
                widen_per_second: 10,
                cap: 200,
                deviation_percent: 50,
            },
            region: RegionRule {
                start_ms: 50,
                widen_ms_per_second: 5,
                cap_ms: 120,
            },
            early_start_after: Duration::from_secs(15),
            bots,
            bots_after: Duration::from_secs(5),
            ..ModeOptions::default()
        })
        .unwrap()
    })
}

pub(super) fn people(proposal: &Proposal) -> Vec<&Arc<Ticket>> {
    proposal
        .tickets
        .iter()
        .map(|seated| &seated.ticket)
        .filter(|ticket| !ticket.is_bot())
        .collect()
}

/// Whether `set` of people's tickets, with up to `bots` bots, is a match by the letter of the
/// rules. Its own code throughout: nothing of the search is used.
pub(super) fn is_match(mode: &Mode, set: &[&Arc<Ticket>], bots: usize, now: Timestamp) -> bool {
    let reach = |ticket: &Ticket| {
        let seconds = ticket.waited(now).as_millis() as u64;
        let squares: f64 = ticket
            .members
            .iter()
            .map(|one| f64::from(one.deviation).powi(2))
            .sum();
        let deviation = (squares.sqrt() / f64::from(ticket.size())) as u64;
        let reach = 20 + deviation / 2 + seconds / 100;
        u32::try_from(reach.min(200)).unwrap()
    };
    let same = set
        .iter()
        .all(|one| one.version == set[0].version && one.attributes == set[0].attributes);
    let windows = set.iter().all(|a| {
        set.iter()
            .all(|b| a.rating().abs_diff(b.rating()) <= reach(a))
    });
    let Some(waited) = set.iter().map(|ticket| ticket.waited(now)).max() else {
        return false;
    };
    let bots = if mode.bots && waited >= mode.bots_after {
        bots
    } else {
        0
    };
    let short = waited >= mode.early_start_after || mode.bots && waited >= mode.bots_after;
    let sizes = if short {
        mode.smallest_team()..=mode.largest_team()
    } else {
        mode.largest_team()..=mode.largest_team()
    };
    same && windows
        && has_region(mode, set, now)
        && sizes.into_iter().any(|size| {
            let team = Team {
                free: size,
                roles: mode.roles.clone(),
            };
            fits(mode, set, &mut vec![team; usize::from(mode.teams)], bots)
        })
}

/// Free places of a team.
#[derive(Clone)]
struct Team {
    free: u8,
    roles: BTreeMap<Role, u8>,
}

fn has_region(mode: &Mode, set: &[&Arc<Ticket>], now: Timestamp) -> bool {
    let measured: Vec<_> = set.iter().filter(|t| !t.regions.is_empty()).collect();
    let near = |ticket: &Ticket, region: &Region| {
        let limit = mode.region.reach_ms(ticket.waited(now));
        ticket.regions.get(region).is_some_and(|ms| *ms <= limit)
    };
    measured.is_empty()
        || ["east", "west"].into_iter().any(|region| {
            let region = region.parse().unwrap();
            measured.iter().all(|ticket| near(ticket, &region))
        })
}

fn fits(mode: &Mode, set: &[&Arc<Ticket>], teams: &mut Vec<Team>, bots: usize) -> bool {
    let Some((first, rest)) = set.split_first() else {
        return teams
            .iter()
            .map(|team| usize::from(team.free))
            .sum::<usize>()
            <= bots;
    };
    (0..teams.len()).any(|team| {
        if teams[team].free < first.size() {
            return false;
        }
        let before = teams[team].clone();
        teams[team].free -= first.size();
        let fits = plays(mode, &first.members, team, teams, &mut |teams| {
            fits(mode, rest, teams, bots)
        });
        teams[team] = before;
        fits
    })
}

/// Whether the members can be given roles of a team so that the rest is possible.
fn plays(
    mode: &Mode,
    members: &[Member],
    team: usize,
    teams: &mut Vec<Team>,
    rest: &mut dyn FnMut(&mut Vec<Team>) -> bool,
) -> bool {
    let Some((first, others)) = members.split_first().filter(|_| !mode.roles.is_empty()) else {
        return rest(teams);
    };
    let takes = |role: &Role| first.roles.contains(role);
    let any = !mode.roles.keys().any(takes);
    mode.roles.keys().any(|role| {
        if !any && !takes(role) || teams[team].roles[role] == 0 {
            return false;
        }
        let before = teams[team].roles.clone();
        *teams[team].roles.get_mut(role).unwrap() -= 1;
        let fits = plays(mode, others, team, teams, rest);
        teams[team].roles = before;
        fits
    })
}

/// The oldest ticket that is in any match at all.
pub(super) fn oldest_matchable(
    mode: &Mode,
    waiting: &[Arc<Ticket>],
    now: Timestamp,
) -> Option<TicketId> {
    let bots = waiting.iter().filter(|ticket| ticket.is_bot()).count();
    let people: Vec<_> = waiting.iter().filter(|ticket| !ticket.is_bot()).collect();
    (1_u32..1 << people.len())
        .map(|bits| {
            (0..people.len())
                .filter(|place| bits & (1 << place) != 0)
                .map(|place| people[place])
                .collect::<Vec<_>>()
        })
        .filter(|set| is_match(mode, set, bots, now))
        .filter_map(|set| set.iter().map(|ticket| ticket.age()).min())
        .min()
        .map(|(_, id)| id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_ticket_is_doubled_or_made_up(mode in modes(), waiting in tickets(60, true)) {
        let known: BTreeSet<_> = waiting.iter().map(|ticket| ticket.id).collect();
        let mut seen = BTreeSet::new();
        for proposal in pair(&mode, &waiting, NOW, usize::MAX) {
            for seated in &proposal.tickets {
                prop_assert!(known.contains(&seated.ticket.id));
                prop_assert!(seen.insert(seated.ticket.id));
            }
        }
    }

    #[test]
    fn every_match_keeps_to_the_rules(mode in modes(), waiting in tickets(60, true)) {
        for proposal in pair(&mode, &waiting, NOW, usize::MAX) {
            let people = people(&proposal);
            let bots = proposal.tickets.len() - people.len();
            prop_assert!(is_match(&mode, &people, bots, NOW), "{proposal:?}");
            let ratings = || people.iter().map(|ticket| ticket.rating());
            let spread = ratings().max().unwrap() - ratings().min().unwrap();
            prop_assert_eq!(proposal.spread, spread.unsigned_abs());
            prop_assert!(proposal.spread <= mode.window.cap);
        }
    }

    #[test]
    fn teams_are_equal_and_parties_stay_together(mode in modes(), waiting in tickets(60, true)) {
        for proposal in pair(&mode, &waiting, NOW, usize::MAX) {
            let mut players: BTreeMap<u8, u8> = BTreeMap::new();
            for seated in &proposal.tickets {
                *players.entry(seated.team).or_default() += seated.ticket.size();
            }
            let total: u8 = players.values().sum();
            prop_assert!((mode.players.min..=mode.players.max).contains(&total));
            if mode.teams == 1 {
                prop_assert!(players.keys().eq([&0]));
            } else {
                prop_assert!(players.keys().copied().eq(1..=mode.teams));
            }
            prop_assert!(players.values().all(|players| *players == total / mode.teams));
        }
    }

    #[test]
    fn each_team_has_its_roles_and_everyone_one_that_they_take(
        mode in modes(),
        waiting in tickets(60, true),
    ) {
        for proposal in pair(&mode, &waiting, NOW, usize::MAX) {
            let mut played: BTreeMap<u8, BTreeMap<Role, u8>> = BTreeMap::new();
            for seated in &proposal.tickets {
                if mode.roles.is_empty() {
                    prop_assert!(seated.roles.is_empty());
                    continue;
                }
                prop_assert_eq!(seated.roles.len(), seated.ticket.members.len());
                for (member, role) in seated.ticket.members.iter().zip(&seated.roles) {
                    let takes = |role: &Role| member.roles.contains(role);
                    prop_assert!(takes(role) || !mode.roles.keys().any(takes) || member.bot);
                    *played.entry(seated.team).or_default().entry(role.clone()).or_default() += 1;
                }
            }
            prop_assert!(played.values().all(|roles| *roles == mode.roles), "{played:?}");
        }
    }

    #[test]
    fn the_oldest_that_can_be_matched_is_in_the_first_match(
        mode in modes(),
        waiting in tickets(8, true),
    ) {
        let first = pair(&mode, &waiting, NOW, usize::MAX).into_iter().next();
        let oldest = first.map(|first| {
            people(&first).iter().map(|ticket| ticket.age()).min().unwrap().1
        });
        prop_assert_eq!(oldest, oldest_matchable(&mode, &waiting, NOW));
    }

    #[test]
    fn what_a_pass_leaves_cannot_be_matched(mode in modes(), waiting in tickets(9, true)) {
        let mut left = waiting.clone();
        for proposal in pair(&mode, &waiting, NOW, usize::MAX) {
            left.retain(|ticket| proposal.tickets.iter().all(|seated| seated.ticket.id != ticket.id));
        }
        prop_assert_eq!(oldest_matchable(&mode, &left, NOW), None);
    }

    #[test]
    fn the_order_of_arrival_within_a_pass_does_not_matter(
        mode in modes(),
        (waiting, shuffled) in tickets(40, true)
            .prop_flat_map(|waiting| (Just(waiting.clone()), Just(waiting).prop_shuffle())),
    ) {
        prop_assert_eq!(
            pair(&mode, &waiting, NOW, usize::MAX),
            pair(&mode, &shuffled, NOW, usize::MAX)
        );
    }

    #[test]
    fn a_limited_pass_forms_the_first_of_a_whole_one(
        mode in modes(),
        waiting in tickets(40, false),
        most in 0_usize..4,
    ) {
        let mut whole = pair(&mode, &waiting, NOW, usize::MAX);
        whole.truncate(most);
        prop_assert_eq!(pair(&mode, &waiting, NOW, most), whole);
    }
}

fn solo(number: u64, rating: i32, waited_s: u64, bot: bool) -> Arc<Ticket> {
    ticket(
        number,
        &Wish {
            rating,
            size: 1,
            bot,
            waited_s,
            regions: BTreeMap::new(),
            deviation: 0,
            version: 0,
            chat: false,
            roles: 0,
        },
    )
}

fn race() -> Mode {
    Mode::new(ModeOptions::default()).unwrap()
}

fn ids(proposal: &Proposal) -> Vec<u64> {
    proposal
        .tickets
        .iter()
        .map(|seated| seated.ticket.id.0)
        .collect()
}

#[test]
fn a_full_match_does_not_wait() {
    let waiting: Vec<_> = (1..=8).map(|number| solo(number, 1500, 0, false)).collect();
    assert_eq!(pair(&race(), &waiting, NOW, 9).len(), 1);
    assert_eq!(pair(&race(), &waiting[..7], NOW, 9).len(), 0);
}

#[test]
fn bots_join_after_the_wait_and_whatever_their_rating() {
    let mut waiting = vec![solo(1, 2900, 2, false)];
    waiting.extend((2..=9).map(|number| solo(number, 1500, 60, true)));
    assert!(pair(&race(), &waiting, NOW, 9).is_empty(), "too early");
    waiting[0] = solo(1, 2900, 3, false);
    let proposals = pair(&race(), &waiting, NOW, 9);
    assert_eq!(ids(&proposals[0]), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(proposals.len(), 1, "bots alone make no match");
}

#[test]
fn a_person_in_reach_is_preferred_to_a_bot() {
    let mut waiting = vec![solo(1, 1500, 3, false), solo(20, 1600, 0, false)];
    waiting.extend((2..=9).map(|number| solo(number, 1500, 60, true)));
    let proposals = pair(&race(), &waiting, NOW, 9);
    assert_eq!(ids(&proposals[0]), [1, 20, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn people_do_not_wait_for_bots_that_are_not_there() {
    let waiting = [solo(1, 1500, 3, false), solo(2, 1500, 0, false)];
    assert_eq!(ids(&pair(&race(), &waiting, NOW, 9)[0]), [1, 2]);
}

#[test]
fn both_sides_have_to_accept() {
    let duel = Mode::new(ModeOptions {
        players: PlayerRange { min: 2, max: 2 },
        bots: false,
        window: RatingWindow {
            start: 150,
            widen_per_second: 75,
            cap: 1000,
            deviation_percent: 50,
        },
        ..ModeOptions::default()
    })
    .unwrap();
    // 150 at first, 75 more each second: the one who has just come does not reach 300.
    let mut waiting = [solo(1, 1500, 10, false), solo(2, 1800, 0, false)];
    assert!(pair(&duel, &waiting, NOW, 9).is_empty());
    waiting[1] = solo(2, 1800, 2, false);
    assert_eq!(pair(&duel, &waiting, NOW, 9).len(), 1);
}

#[test]
fn a_crowd_is_paired_by_nearness() {
    let duel = Mode::new(ModeOptions {
        players: PlayerRange { min: 2, max: 2 },
        bots: false,
        ..ModeOptions::default()
    })
    .unwrap();
    let waiting: Vec<_> = (0..400)
        .map(|number| {
            solo(
                number,
                1000 + i32::try_from(number).unwrap() * 7 % 1000,
                1,
                false,
            )
        })
        .collect();
    let proposals = pair(&duel, &waiting, NOW, usize::MAX);
    assert_eq!(proposals.len(), 200);
    let near = proposals.iter().filter(|one| one.spread <= 5).count();
    assert!(
        near > 100,
        "only {near} of 200 within five points, out of 1000"
    );
}
