//! The conformance suites over Postgres and through pgbouncer, and results through its crashes.

use chassis::postgres::PostgresConfig;
use pixelrush_engine::{Engine, EngineError, MatchResult, Recorded, Standing, conformance};
use protocol::id::{MatchId, PlayerId, RoomId};
use servers::{Pgbouncer, PostgresServer};
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) server: PostgresServer,
    folder: TempDir,
}

impl Rig {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("password"), PostgresServer::PASSWORD).expect("a file");
        let server = PostgresServer::start();
        Self { server, folder }
    }

    pub(crate) fn config(&self, url: String) -> PostgresConfig {
        PostgresConfig {
            url,
            password_file: Some(self.folder.path().join("password")),
            ..PostgresConfig::default()
        }
    }

    async fn engine(&self, url: String) -> Engine {
        let engine = Engine::embedded(None).expect("an engine");
        let engine = engine.lasting_in(&self.config(url)).await;
        engine.expect("Postgres is there")
    }
}

fn result(number: u64) -> MatchResult {
    let seat = |place| Standing {
        player: PlayerId(u64::from(place)),
        name: format!("player {place}\0"),
        bot: false,
        place,
        ticks: Some(place),
        team: 0,
        rating: 1_500,
    };
    MatchResult {
        match_id: MatchId(number),
        room: RoomId(number),
        mode: "race".to_owned(),
        finished_at_ms: number,
        standings: (1..=4).map(seat).collect(),
    }
}

#[tokio::test]
async fn results_in_postgres_conform() {
    let rig = Rig::start();
    let engine = rig.engine(rig.server.url()).await;
    conformance::results::all(&*engine.results).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_in_postgres_conform_also_among_nodes() {
    let rig = Rig::start();
    let (writer, reader) = (
        rig.engine(rig.server.url()).await,
        rig.engine(rig.server.url()).await,
    );
    conformance::players::all(&*writer.results, &*reader.players.expect("players")).await;
}

#[tokio::test]
async fn players_through_pgbouncer_conform() {
    let rig = Rig::start();
    let bouncer = Pgbouncer::start(&rig.server, 2);
    let engine = rig.engine(bouncer.url()).await;
    conformance::players::all(&*engine.results, &*engine.players.expect("players")).await;
}

#[tokio::test]
async fn results_through_pgbouncer_conform() {
    let rig = Rig::start();
    let bouncer = Pgbouncer::start(&rig.server, 2);
    let engine = rig.engine(bouncer.url()).await;
    conformance::results::all(&*engine.results).await;
}

#[tokio::test]
async fn a_name_that_postgres_cannot_hold_does_not_keep_a_result_out() {
    let rig = Rig::start();
    let engine = rig.engine(rig.server.url()).await;
    engine.results.record(&result(1)).await.expect("recorded");
    let stored = engine.results.recent(PlayerId(1), 1).await.expect("read");
    assert_eq!(stored[0].standings[0].name, "player 1\u{fffd}");
}

/// What release N-1 writes into the schema of this one.
#[tokio::test]
async fn a_result_that_the_release_before_has_written_is_read_and_stays_unrated() {
    let rig = Rig::start();
    let engine = rig.engine(rig.server.url()).await;
    let old = result(1);
    rig.server.query(&format!(
        "INSERT INTO matches (match_id, room, mode, finished_at_ms)
         VALUES ('{}', '{}', 'race', 1)",
        old.match_id, old.room
    ));
    rig.server.query(&format!(
        "INSERT INTO standings
             (match_id, position, player, name, bot, place, ticks, finished_at_ms)
         VALUES ('{}', 0, '{}', 'Ada', FALSE, 1, 60, 1)",
        old.match_id,
        PlayerId(1)
    ));
    let again = engine.results.record(&old).await.expect("asked");
    assert_eq!(again, Recorded::AlreadyThere);
    let read = engine.results.recent(PlayerId(1), 1).await.expect("read");
    assert_eq!((read[0].standings.len(), read[0].standings[0].team), (1, 0));
    let players = engine.players.expect("players");
    let played = players.history(PlayerId(1), None, 1).await.expect("read");
    assert_eq!((played[0].change, played[0].seats), (None, 1));
    assert_eq!(players.ratings(&[PlayerId(1)]).await.expect("read"), []);
}

/// Two nodes deliver every result until it is confirmed, as syncd does, while Postgres crashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_delivered_twice_through_crashes_are_one_row_each_and_none_is_lost() {
    const RESULTS: u64 = 400;
    let mut rig = Rig::start();
    let nodes = [
        rig.engine(rig.server.url()).await,
        rig.engine(rig.server.url()).await,
    ];
    let (progress, mut seen) = tokio::sync::watch::channel(0_u64);
    let deliver = |engine: Engine| {
        let progress = progress.clone();
        async move {
            let mut new = 0_u64;
            for number in 0..RESULTS {
                let result = result(number);
                new += loop {
                    match engine.results.record(&result).await {
                        Ok(recorded) => break u64::from(recorded == Recorded::New),
                        Err(EngineError::Damaged { .. } | EngineError::TooLarge { .. }) => {
                            panic!("that is for good")
                        }
                        Err(_) => {}
                    }
                };
                progress.send_modify(|done| *done = number.max(*done));
            }
            new
        }
    };
    let delivering = nodes.clone().map(|engine| tokio::spawn(deliver(engine)));
    for at in [100, 250] {
        seen.wait_for(|done| *done >= at)
            .await
            .expect("they deliver");
        rig.server.kill();
        rig.server.restart();
    }
    let mut new = 0;
    for node in delivering {
        new += node.await.expect("delivered");
    }
    assert!(new <= RESULTS, "nobody is told twice that it is new");
    assert_eq!(nodes[0].results.count().await.expect("counted"), RESULTS);
    let seats = rig.server.query("SELECT count(*) FROM standings");
    assert_eq!(seats.trim(), (RESULTS * 4).to_string());
    let players = nodes[0].players.as_ref().expect("players");
    for player in (1..=4).map(PlayerId) {
        let ratings = players.ratings(&[player]).await.expect("read");
        assert_eq!(ratings[0].games, RESULTS, "each result changed it once");
    }
}

#[tokio::test]
async fn a_postgres_that_comes_late_is_waited_for() {
    let mut rig = Rig::start();
    rig.server.kill();
    let config = rig.config(rig.server.url());
    let opening = tokio::spawn(async move {
        let engine = Engine::embedded(None).expect("an engine");
        engine.lasting_in(&config).await
    });
    rig.server.restart();
    let engine = opening.await.expect("no panic").expect("it came");
    assert_eq!(engine.results.count().await.expect("counted"), 0);
}
