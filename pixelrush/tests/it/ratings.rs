//! Results and ratings among real processes: matchers that work the queue off are killed, and a
//! gateway tells what came of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chassis::postgres::PostgresConfig;
use e2e::crowd::{Crowd, CrowdPlan};
use e2e::fleet::{Fleet, FleetOptions};
use e2e::probe::get;
use e2e::process::Process;
use engine::redis::RedisConfig;
use engine::{Engine, MatchResult, Results, conformance};
use protocol::id::PlayerId;
use rustix::process::Signal;
use servers::{PostgresServer, RedisServer};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::binary;

/// Longest that anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

const RESULTS: u64 = 300;

/// Players of a race.
const RACERS: usize = 3;

struct Stores {
    redis: RedisServer,
    postgres: PostgresServer,
    folder: tempfile::TempDir,
}

impl Stores {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), [7; 32]).expect("a file");
        let password = folder.path().join("password");
        std::fs::write(password, PostgresServer::PASSWORD).expect("a file");
        let (redis, postgres) = (RedisServer::start(), PostgresServer::start());
        Self {
            redis,
            postgres,
            folder,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn process(&self, service: &str, name: &str, log: &str) -> Process {
        let settings = [
            ("PIXELRUSH_SECRETS__SIGNING_KEY_FILE", self.path("key")),
            ("PIXELRUSH_ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("PIXELRUSH_GATEWAY__LISTEN", "127.0.0.1:0".to_owned()),
            ("PIXELRUSH_MATCHER__LISTEN", "127.0.0.1:0".to_owned()),
            ("PIXELRUSH_MATCHER__NODE", name.to_owned()),
            (
                "PIXELRUSH_ENGINE__REDIS__URLS",
                format!("[{:?}]", self.redis.url()),
            ),
            ("PIXELRUSH_ENGINE__POSTGRES__URL", self.postgres.url()),
            (
                "PIXELRUSH_ENGINE__POSTGRES__PASSWORD_FILE",
                self.path("password"),
            ),
        ];
        let log = self.path(log);
        let started = Process::start(binary(), &[service], settings, Path::new(&log));
        started.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What a syncd records by.
    async fn syncd(&self) -> Engine {
        let redis = RedisConfig {
            urls: vec![self.redis.url()],
            ..RedisConfig::default()
        };
        let postgres = PostgresConfig {
            url: self.postgres.url(),
            password_file: Some(self.path("password").into()),
            ..PostgresConfig::default()
        };
        let engine = Engine::redis(&redis).await.expect("Redis is there");
        let engine = engine.lasting_in(&postgres).await;
        engine.expect("Postgres is there").recording_by_queue()
    }
}

fn result(number: u64) -> MatchResult {
    conformance::players::result(number, "race", 1_000 + number, &[1, 2, 3])
}

/// Delivers each result until it is done, as syncd does, several at once.
async fn deliver(results: Arc<dyn Results>, progress: watch::Sender<u64>) {
    let mut shares = JoinSet::new();
    for first in 0..8 {
        let (results, progress) = (results.clone(), progress.clone());
        shares.spawn(async move {
            for number in (first..RESULTS).step_by(8) {
                while results.record(&result(number)).await.is_err() {}
                progress.send_modify(|done| *done += 1);
            }
        });
    }
    shares.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_count_once_though_matchers_are_killed_and_the_leaderboard_has_them() {
    let stores = Stores::start();
    let first = stores.process("matcher", "matcher-1", "first.log");
    let second = stores.process("matcher", "matcher-2", "second.log");
    let engine = stores.syncd().await;
    let (progress, mut seen) = watch::channel(0_u64);
    let killing = async {
        seen.wait_for(|done| *done >= RESULTS / 4)
            .await
            .expect("they are delivered");
        first.signal(Signal::KILL);
        seen.wait_for(|done| *done >= RESULTS / 2)
            .await
            .expect("they are delivered");
        let again = stores.process("matcher", "matcher-1", "again.log");
        second.signal(Signal::KILL);
        again
    };
    let delivering = deliver(engine.results.clone(), progress);
    let (again, ()) = tokio::join!(killing, delivering);

    assert_eq!(engine.results.count().await.expect("counted"), RESULTS);
    let players = engine.players.as_ref().expect("players");
    let all = [1, 2, 3].map(PlayerId);
    for rating in players.ratings(&all).await.expect("read") {
        assert_eq!(rating.games, RESULTS, "one change a match: {rating:?}");
    }

    let gateway = stores.process("gateway", "matcher-1", "gateway.log");
    let until = Instant::now() + PATIENCE;
    // It finds the matcher that is left by its lease; the dead one's has to end first.
    let told = loop {
        let told = get(gateway.address(), "/v1/leaderboard/race");
        match told {
            Ok(told) if told.status == 200 => break told.body,
            other => assert!(Instant::now() < until, "{other:?}\n{}", gateway.log()),
        }
        sleep(Duration::from_millis(50)).await;
    };
    let board: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(board["rows"][0]["name"], "player 1");
    assert_eq!(board["rows"][0]["games"], RESULTS);
    assert_eq!(board["rows"].as_array().map(Vec::len), Some(3));
    drop(again);
}

/// A whole race by gateway, matcher and syncd, whose database is away when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_that_ends_while_the_database_is_away_changes_ratings_once_it_is_back() {
    let mut stores = Stores::start();
    let environment = [
        ("PIXELRUSH_ENGINE__POSTGRES__URL", stores.postgres.url()),
        (
            "PIXELRUSH_ENGINE__POSTGRES__PASSWORD_FILE",
            stores.path("password"),
        ),
    ];
    let options = FleetOptions {
        gateways: 1,
        matchers: 1,
        syncds: 1,
        race: RACERS,
        environment: environment
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        ..FleetOptions::new(format!("urls = [{:?}]\n", stores.redis.url()))
    };
    let fleet = Fleet::start(binary(), stores.folder.path(), options);
    let fleet = fleet.unwrap_or_else(|error| panic!("{error}"));
    let engine = stores.syncd().await;
    let crowd = Crowd::start(&CrowdPlan {
        targets: fleet.targets(),
        mode: "race".to_owned(),
        players: RACERS as u64,
        races: Some(1),
        seed: 1,
    });
    let racing = crowd.until_racing(PATIENCE).await;
    racing.unwrap_or_else(|error| panic!("{error}\n{}", fleet.logs()));
    stores.postgres.kill();
    let over = |crowd: &Crowd| crowd.histories().iter().all(|history| history.is_done);
    let ended = crowd.until("the race is over", 2 * PATIENCE, over).await;
    ended.unwrap_or_else(|error| panic!("{error}\n{}", fleet.logs()));
    stores.postgres.restart();

    let histories = crowd.histories();
    let players: Vec<PlayerId> = histories.iter().filter_map(|one| one.player).collect();
    assert_eq!(players.len(), RACERS);
    let until = Instant::now() + PATIENCE;
    let directory = engine.players.as_ref().expect("players");
    let ratings = loop {
        match directory.ratings(&players).await {
            Ok(ratings) if ratings.len() == RACERS => break ratings,
            other => assert!(Instant::now() < until, "{other:?}\n{}", fleet.logs()),
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert!(
        ratings.iter().all(|rating| rating.games == 1),
        "{ratings:?}"
    );
    assert_eq!(engine.results.count().await.expect("counted"), 1);
    let change: f64 = ratings
        .iter()
        .map(|rating| rating.rating.mean - rating.before.mean)
        .sum();
    assert!(
        change.abs() < 1.0,
        "equals take from each other: {ratings:?}"
    );
}
