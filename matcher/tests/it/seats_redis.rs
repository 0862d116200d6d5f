//! Books of seats on real servers: one Redis, and a Cluster.

use std::sync::Arc;

use engine::redis::{Redis, RedisConfig, Topology};
use pixelrush_matcher::seats::store::{
    MemorySeats, Part, RedisSeats, Sale, SeatStore, Told, conformance,
};
use pixelrush_matcher::seats::{Begun, Counts, Released, Reserved};
use protocol::id::{PlayerId, SeatNumber};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use servers::{Cluster, RedisServer};
use std::time::Duration;

pub(crate) async fn connect(urls: Vec<String>, topology: Topology) -> Redis {
    let config = RedisConfig {
        urls,
        topology,
        ..RedisConfig::default()
    };
    Redis::connect(&config).await.expect("Redis is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_redis_conforms() {
    let server = RedisServer::start();
    let redis = connect(vec![server.url()], Topology::Single).await;
    conformance::all(Arc::new(RedisSeats::new(redis))).await;
    let mut keys = redis::cmd("KEYS");
    keys.arg("*");
    for key in server.query::<Vec<String>>(&keys) {
        let left: i64 = server.query(redis::cmd("PTTL").arg(&key));
        assert!(left > 0, "{key} would stay for ever");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_conforms() {
    let cluster = Cluster::start();
    let redis = connect(cluster.urls(), Topology::Cluster).await;
    conformance::all(Arc::new(RedisSeats::new(redis))).await;
}

/// What both stores have to answer the same, but for times.
#[derive(Debug, PartialEq)]
enum Answer {
    Reserved(Vec<(u8, u32)>),
    Begun(Vec<Begun>),
    Released(Vec<Released>),
    Doubtful(Vec<(PlayerId, SeatNumber)>),
    Nothing,
}

#[derive(Debug, Clone)]
enum Step {
    Reserve(Vec<PlayerId>, Duration),
    Begin(Vec<PlayerId>, Duration),
    Settle(PlayerId, SeatNumber),
    Undo(PlayerId, SeatNumber),
    Release(PlayerId),
    Sweep,
    Seats(u32),
    Rebuild(Vec<(PlayerId, SeatNumber)>),
}

/// Redis does what the pure book does, whatever comes in whichever order. Reservations end at once
/// or never, so that both clocks say the same.
#[tokio::test]
async fn redis_answers_as_the_book_does() {
    let server = RedisServer::start();
    let redis = connect(vec![server.url()], Topology::Single).await;
    let (real, model) = (RedisSeats::new(redis), MemorySeats::new());
    for seed in 0..60 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut sale = conformance::sale(&format!("seed-{seed}"), 4);
        for number in 0..150 {
            let step = step(&mut random);
            if let Step::Seats(seats) = step {
                sale.terms.seats = seats;
            }
            let (real, real_counts) = run(&real, &sale, &step).await;
            let (model, model_counts) = run(&model, &sale, &step).await;
            assert_eq!(real, model, "seed {seed}, step {number}: {step:?}");
            let stand =
                |counts: Option<Counts>| counts.map(|c| (c.reserved, c.confirmed, c.free()));
            assert_eq!(
                stand(real_counts),
                stand(model_counts),
                "seed {seed}, step {number}: {step:?}"
            );
        }
    }
}

fn step(random: &mut StdRng) -> Step {
    let player = PlayerId(random.random_range(1..9));
    let seat = SeatNumber(random.random_range(1..9));
    let never = random.random_bool(0.7);
    let time = Duration::from_secs(if never { 3600 } else { 0 });
    let players = (0..random.random_range(1..5)).map(|_| PlayerId(random.random_range(1..9)));
    // What ends at once ends within a call, too: then the next player of it finds it free or not.
    let players: Vec<PlayerId> = players.take(if never { 5 } else { 1 }).collect();
    match random.random_range(0..16) {
        0..6 => Step::Reserve(players, time),
        6..9 => Step::Begin(players, time),
        9..11 => Step::Settle(player, seat),
        11 => Step::Undo(player, seat),
        12 => Step::Release(player),
        13 => Step::Sweep,
        14 => Step::Seats(seat.0),
        _ => Step::Rebuild(vec![(player, seat)]),
    }
}

async fn run(store: &dyn SeatStore, sale: &Sale, step: &Step) -> (Answer, Option<Counts>) {
    let mut sale = sale.clone();
    match step {
        Step::Reserve(players, hold) => {
            sale.terms.hold = *hold;
            let told = store.reserve(&sale, players).await.expect("an answer");
            known(told, |outcomes| {
                Answer::Reserved(outcomes.into_iter().map(kind).collect())
            })
        }
        Step::Begin(players, within) => {
            let told = store
                .begin(&sale, players, *within)
                .await
                .expect("an answer");
            known(told, Answer::Begun)
        }
        Step::Release(player) => {
            let told = store.release(&sale, &[*player]).await.expect("an answer");
            known(told, Answer::Released)
        }
        Step::Sweep => {
            let told = store.sweep(&sale, 0).await.expect("an answer");
            known(told, |mut swept| {
                swept.doubtful.sort_unstable();
                Answer::Doubtful(swept.doubtful)
            })
        }
        Step::Settle(player, seat) => {
            store
                .settle(&sale, &[(*player, *seat)])
                .await
                .expect("settled");
            (Answer::Nothing, None)
        }
        Step::Undo(player, seat) => {
            store
                .undo(&sale, &[(*player, *seat)])
                .await
                .expect("undone");
            (Answer::Nothing, None)
        }
        Step::Rebuild(seats) => {
            let part = Part {
                token: 1,
                index: 0,
                is_last: true,
                seats: seats.clone(),
            };
            store.rebuild(&sale, &part).await.expect("rebuilt");
            (Answer::Nothing, None)
        }
        Step::Seats(_) => (Answer::Nothing, None),
    }
}

fn known<T>(told: Told<T>, answer: impl FnOnce(T) -> Answer) -> (Answer, Option<Counts>) {
    match told {
        Told::Cold => (Answer::Nothing, None),
        Told::Known(value, counts) => (answer(value), Some(counts)),
    }
}

fn kind(outcome: Reserved) -> (u8, u32) {
    match outcome {
        Reserved::Held(seat, _) => (0, seat.0),
        Reserved::Writing(seat) => (1, seat.0),
        Reserved::Confirmed(seat) => (2, seat.0),
        Reserved::Full(Some(_)) => (3, 0),
        Reserved::Full(None) => (4, 0),
        Reserved::NotOpen(_) => (5, 0),
        Reserved::Closed => (6, 0),
    }
}
