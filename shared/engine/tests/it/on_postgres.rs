//! The conformance suites over Postgres and through pgbouncer, and results through its crashes.

use chassis::postgres::PostgresConfig;
use pixelrush_engine::{
    Booked, Booking, Engine, EngineError, MatchResult, Recorded, Standing, conformance,
};
use protocol::id::{MatchId, PlayerId, RoomId, SeatNumber};
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
async fn seats_in_postgres_conform() {
    let rig = Rig::start();
    let engine = rig.engine(rig.server.url()).await;
    conformance::seats::all(&*engine.seats.expect("a ledger")).await;
}

#[tokio::test]
async fn seats_through_pgbouncer_conform() {
    let rig = Rig::start();
    let bouncer = Pgbouncer::start(&rig.server, 2);
    let engine = rig.engine(bouncer.url()).await;
    conformance::seats::all(&*engine.seats.expect("a ledger")).await;
}

/// Four matchers book the same seats for different players, and the same players on different
/// seats, in orders of their own, until each is told, while Postgres crashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_booked_by_many_at_once_through_crashes_are_sold_once_and_as_told() {
    const SEATS: u32 = 300;
    let mut rig = Rig::start();
    let (progress, mut seen) = tokio::sync::watch::channel(0_u32);
    let mut selling = Vec::new();
    for matcher in 0..4_u32 {
        let ledger = rig.engine(rig.server.url()).await.seats.expect("a ledger");
        let progress = progress.clone();
        selling.push(tokio::spawn(async move {
            let mut told = Vec::new();
            for from in (0..SEATS).step_by(10) {
                let mut wanted: Vec<Booking> = (from..from + 10)
                    .map(|number| Booking {
                        seat: SeatNumber(number + 1),
                        player: PlayerId(u64::from((number * 7 + matcher) % SEATS)),
                    })
                    .collect();
                if matcher % 2 == 1 {
                    wanted.reverse();
                }
                let booked = loop {
                    match ledger.book("gala", &wanted, 1).await {
                        Ok(booked) => break booked,
                        Err(EngineError::Damaged { .. } | EngineError::TooLarge { .. }) => {
                            panic!("that is for good")
                        }
                        Err(_) => {}
                    }
                };
                for (wanted, booked) in wanted.iter().zip(booked) {
                    if let Booked::Yours(seat) = booked {
                        told.push((wanted.player, seat));
                    }
                }
                progress.send_modify(|done| *done = from.max(*done));
            }
            told
        }));
    }
    for at in [80, 200] {
        let sold = seen.wait_for(|done| *done >= at).await;
        sold.expect("they sell");
        rig.server.kill();
        rig.server.restart();
    }
    let ledger = rig.engine(rig.server.url()).await.seats.expect("a ledger");
    let booked = ledger.booked("gala", SeatNumber(0), 512).await;
    let booked = booked.expect("read");
    assert!(booked.len() <= SEATS as usize, "never oversold");
    for told in selling {
        for (player, seat) in told.await.expect("no panic") {
            let now = ledger.seats_of("gala", &[player]).await.expect("read");
            assert_eq!(now, [Some(seat)], "{player} keeps what it was told");
        }
    }
    let rows = rig
        .server
        .query("SELECT count(*), count(DISTINCT seat), count(DISTINCT player) FROM seats");
    let rows: Vec<&str> = rows.trim().split('|').map(str::trim).collect();
    assert!(rows.iter().all(|count| *count == rows[0]), "{rows:?}");
}

#[tokio::test]
async fn a_seat_that_a_person_took_by_hand_is_taken() {
    let rig = Rig::start();
    let ledger = rig.engine(rig.server.url()).await.seats.expect("a ledger");
    let guest = PlayerId(9);
    rig.server.query(&format!(
        "INSERT INTO seats VALUES ('gala', 1, '{guest}', 1)"
    ));
    let booking = Booking {
        seat: SeatNumber(1),
        player: PlayerId(1),
    };
    let booked = ledger.book("gala", &[booking], 1).await.expect("an answer");
    assert_eq!(booked, [Booked::Taken { by: guest }]);
    rig.server.query("UPDATE seats SET player = 'nobody'");
    let damaged = ledger.book("gala", &[booking], 1).await;
    assert!(
        matches!(damaged, Err(EngineError::Damaged { .. })),
        "{damaged:?}"
    );
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
