//! Seats under a crowd and under faults: never oversold, one a player, confirmed ones never lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use chassis::drain::Drain;
use chassis::postgres::PostgresConfig;
use engine::postgres::PostgresSeats;
use engine::redis::Topology;
use engine::sqlite::SqliteSeats;
use engine::{Booking, SeatLedger};
use parking_lot::Mutex;
use pixelrush_matcher::Config;
use pixelrush_matcher::config::{Event, EventName, EventOptions};
use pixelrush_matcher::seats::office::{Answered, Asked, Outcome, Parts, Window, Wish, open};
use pixelrush_matcher::seats::store::{MemorySeats, RedisSeats, Sale, SeatStore, Told};
use pixelrush_matcher::seats::{Counts, Released, Reserved};
use protocol::id::{PlayerId, SeatNumber};
use servers::{PostgresServer, RedisServer};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::seats_faults::{Fault, POINTS, Side, Way};
use crate::seats_redis::connect;

/// Longest that anything takes, but for what is held up on purpose.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a taker waits for an office that may be dead.
const TRIES_ANOTHER: Duration = Duration::from_secs(2);

/// After how long a seat in writing is in doubt here.
const WRITING: Duration = Duration::from_millis(1500);

/// One matcher's office.
struct Office {
    window: Window<u64>,
    waiting: Arc<Mutex<BTreeMap<u64, oneshot::Sender<Outcome>>>>,
    way: Arc<Way>,
    stop: CancellationToken,
}

struct World {
    offices: Vec<Office>,
    store: Arc<dyn SeatStore>,
    ledger: Arc<dyn SeatLedger>,
    event: EventName,
    sale: Sale,
    config: Arc<Config>,
    callers: AtomicU64,
    /// What players were told for good.
    told: Mutex<BTreeMap<PlayerId, SeatNumber>>,
    /// Greatest version seen by anybody.
    _config: watch::Sender<Arc<Config>>,
}

fn event(seats: u32) -> Event {
    let closes_at = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    Event::new(EventOptions {
        title: "Opening night".to_owned(),
        opens_at: UNIX_EPOCH,
        closes_at,
        seats,
        hold: Duration::from_secs(1),
    })
    .unwrap()
}

impl World {
    /// Offices, of which the first has the fault.
    fn new(
        store: Arc<dyn SeatStore>,
        ledger: Arc<dyn SeatLedger>,
        seats: u32,
        offices: usize,
        fault: Option<Fault>,
    ) -> Arc<Self> {
        let name: EventName = "opening-night".parse().unwrap();
        let event = event(seats);
        let sale = Sale::new(&name, &event);
        let mut config = Config::default();
        config.events.insert(name.clone(), event);
        let config = Arc::new(config);
        let (sender, receiver) = watch::channel(Arc::clone(&config));
        let mut world = Self {
            offices: Vec::new(),
            store,
            ledger,
            event: name,
            sale,
            config,
            callers: AtomicU64::new(0),
            told: Mutex::default(),
            _config: sender,
        };
        for number in 0..offices {
            let fault = fault.filter(|_| number == 0);
            let way = Way::new(world.store.clone(), world.ledger.clone(), fault);
            world.offices.push(Office::open(way, receiver.clone()));
        }
        Arc::new(world)
    }

    /// Asks an office; `None` if it does not answer in time.
    async fn ask(&self, office: usize, player: PlayerId, wish: Wish) -> Option<Outcome> {
        let office = &self.offices[office % self.offices.len()];
        let caller = self.callers.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        office.waiting.lock().insert(caller, sender);
        let asked = Asked {
            caller,
            player,
            event: self.event.clone(),
            wish,
        };
        if office.window.ask(asked).is_err() {
            return Some(Outcome::Away);
        }
        match timeout(TRIES_ANOTHER, receiver).await {
            Ok(Ok(outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// A player who wants a seat until told that all are sold, and goes from office to office.
    /// Some take one and walk away, once.
    async fn take(self: Arc<Self>, player: u64, walks_away: bool) {
        let (id, mut office, mut walks_away) = (PlayerId(player), player as usize, walks_away);
        let mut wish = Wish::Reserve;
        loop {
            let Some(outcome) = self.ask(office, id, wish).await else {
                office += 1;
                continue;
            };
            match outcome {
                Outcome::Reserved(Reserved::Held(..)) if walks_away => {
                    walks_away = false;
                    if player.is_multiple_of(2) {
                        wish = Wish::Release;
                    } else {
                        sleep(Duration::from_millis(1500)).await;
                        wish = Wish::Confirm; // too late, most of the time
                    }
                }
                Outcome::Reserved(Reserved::Held(..) | Reserved::Writing(_)) => {
                    wish = Wish::Confirm;
                }
                Outcome::Reserved(Reserved::Confirmed(seat)) | Outcome::Confirmed(seat) => {
                    let before = self.told.lock().insert(id, seat);
                    assert!(
                        before.is_none_or(|before| before == seat),
                        "{before:?}, {seat}"
                    );
                    // Asking again, anywhere, is harmless, as far as anybody answers.
                    let again = self.ask(office + 1, id, Wish::Confirm).await;
                    assert!(
                        matches!(again, None | Some(Outcome::Away))
                            || again == Some(Outcome::Confirmed(seat)),
                        "{again:?} after {seat}"
                    );
                    return;
                }
                Outcome::Reserved(Reserved::Full(None)) => return,
                Outcome::Reserved(Reserved::Full(Some(after))) => {
                    sleep(after.min(Duration::from_millis(500))).await;
                }
                Outcome::Lapsed | Outcome::Released(Released::Released | Released::Nothing) => {
                    wish = Wish::Reserve;
                }
                Outcome::Released(Released::Writing(_) | Released::Confirmed(_)) => {
                    wish = Wish::Confirm;
                }
                Outcome::Away => {
                    sleep(Duration::from_millis(50)).await;
                    office += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// All of them at about once.
    fn crowd(self: &Arc<Self>, players: u64) -> JoinSet<()> {
        let mut crowd = JoinSet::new();
        for player in 1..=players {
            let taker = Arc::clone(self).take(player, player.is_multiple_of(5));
            crowd.spawn(async move {
                // Not all in one call: offices have several to die at.
                sleep(Duration::from_millis(player % 16)).await;
                taker.await;
            });
        }
        crowd
    }

    async fn booked(&self) -> Vec<Booking> {
        let booked = self.ledger.booked(self.event.as_str(), SeatNumber(0), 500);
        booked.await.unwrap()
    }

    /// Serves the crowd until so many seats are booked.
    async fn until_booked(&self, crowd: &mut JoinSet<()>, booked: usize) {
        while self.booked().await.len() < booked {
            let taker = timeout(Duration::from_millis(20), crowd.join_next());
            if let Ok(Some(taker)) = taker.await {
                taker.unwrap();
            }
        }
    }

    async fn counts(&self) -> Option<Counts> {
        match self.store.sweep(&self.sale, 0).await {
            Ok(Told::Known(_, counts)) => Some(counts),
            _ => None,
        }
    }

    /// Whatever happened, this holds once all are served.
    async fn check(&self, what: &str) {
        let seats = self.config.events[&self.event].seats;
        let booked = self.booked().await;
        assert_eq!(
            booked.len(),
            seats as usize,
            "{what}: every seat is sold, once"
        );
        assert!(
            booked.iter().all(|b| b.seat.0 <= seats),
            "{what}: {booked:?}"
        );
        let of: BTreeMap<PlayerId, SeatNumber> =
            booked.iter().map(|b| (b.player, b.seat)).collect();
        assert_eq!(of.len(), booked.len(), "{what}: one seat a player");
        let told = self.told.lock().clone();
        for (player, seat) in &told {
            assert_eq!(of.get(player), Some(seat), "{what}: {player} was told");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let counts = self.counts().await;
            if counts.is_some_and(|c| c.confirmed == seats && c.reserved == 0) {
                return;
            }
            assert!(Instant::now() < until, "{what}: {counts:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Office {
    fn open(way: Arc<Way>, config: watch::Receiver<Arc<Config>>) -> Self {
        let stop = CancellationToken::new();
        let (sender, mut answers) = mpsc::channel::<Answered<u64>>(1024);
        let parts = Parts {
            config,
            store: way.clone(),
            ledger: way.clone(),
            writing: WRITING,
            drain: Drain::new(),
            stop: stop.clone(),
        };
        let (window, _) = open(parts, sender);
        let waiting: Arc<Mutex<BTreeMap<u64, oneshot::Sender<Outcome>>>> = Arc::default();
        let answering = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(answered) = answers.recv().await {
                if let Some(waits) = answering.lock().remove(&answered.asked.caller) {
                    let _ = waits.send(answered.outcome);
                }
            }
        });
        Self {
            window,
            waiting,
            way,
            stop,
        }
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn ledger() -> Arc<SqliteSeats> {
    Arc::new(SqliteSeats::in_memory().unwrap())
}

async fn served(mut crowd: JoinSet<()>) {
    while let Some(taker) = crowd.join_next().await {
        taker.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_office_that_dies_between_any_two_steps_loses_and_doubles_nothing() {
    for point in POINTS {
        for side in [Side::Before, Side::After] {
            for call in [1, 2, 5] {
                let fault = Fault { point, side, call };
                let world = World::new(Arc::new(MemorySeats::new()), ledger(), 8, 3, Some(fault));
                served(world.crowd(40)).await;
                world.check(&format!("{fault:?}")).await;
                // How often a step is taken depends on how many wishes come together; these are
                // taken always.
                let is_rare = ["release", "undo", "seats_of"].contains(&point);
                let died = world.offices[0].way.is_dead();
                assert!(died || is_rare || call > 1, "{fault:?} did not happen");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_emptied_again_and_again_sells_nothing_twice() {
    for every in [1, 7, 60, 400, 1300] {
        let store = Arc::new(MemorySeats::new());
        let world = World::new(store.clone(), ledger(), 8, 3, None);
        let crowd = world.crowd(40);
        let emptying = async {
            for _ in 0..10 {
                sleep(Duration::from_millis(every)).await;
                store.clear();
            }
        };
        tokio::join!(served(crowd), emptying);
        world.check(&format!("emptied every {every} ms")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_loses_its_last_writes_sells_nothing_twice() {
    for every in [1, 7, 60, 400, 1300] {
        let store = Arc::new(MemorySeats::new());
        let world = World::new(store.clone(), ledger(), 8, 3, None);
        let crowd = world.crowd(40);
        let losing = async {
            for _ in 0..10 {
                let before = store.snapshot();
                sleep(Duration::from_millis(every)).await;
                store.go_back_to(before);
            }
        };
        tokio::join!(served(crowd), losing);
        world.check(&format!("back every {every} ms")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn confirmed_seats_are_there_again_before_any_is_sold() {
    let (store, ledger) = (Arc::new(MemorySeats::new()), ledger());
    let world = World::new(store.clone(), ledger.clone(), 2, 1, None);
    served(world.crowd(1)).await;
    drop(world);
    store.clear();
    let world = World::new(store, ledger, 2, 2, None);
    let other = world.ask(0, PlayerId(2), Wish::Reserve).await;
    assert!(
        matches!(
            other,
            Some(Outcome::Reserved(Reserved::Held(SeatNumber(2), _)))
        ),
        "{other:?}"
    );
    let first = world.ask(1, PlayerId(1), Wish::Reserve).await;
    assert_eq!(
        first,
        Some(Outcome::Reserved(Reserved::Confirmed(SeatNumber(1))))
    );
}

#[tokio::test(start_paused = true)]
async fn who_confirms_too_late_is_told_and_an_unknown_event_is_named() {
    let world = World::new(Arc::new(MemorySeats::new()), ledger(), 1, 1, None);
    let (first, second) = (PlayerId(1), PlayerId(2));
    let held = Outcome::Reserved(Reserved::Held(SeatNumber(1), Duration::from_secs(1)));
    assert_eq!(world.ask(0, first, Wish::Reserve).await, Some(held));
    sleep(Duration::from_millis(1001)).await;
    assert_eq!(world.ask(0, second, Wish::Reserve).await, Some(held));
    assert_eq!(
        world.ask(0, first, Wish::Confirm).await,
        Some(Outcome::Lapsed)
    );
    let confirmed = Some(Outcome::Confirmed(SeatNumber(1)));
    assert_eq!(world.ask(0, second, Wish::Confirm).await, confirmed);
    assert_eq!(world.ask(0, second, Wish::Confirm).await, confirmed);
    let kept = Some(Outcome::Released(Released::Confirmed(SeatNumber(1))));
    assert_eq!(world.ask(0, second, Wish::Release).await, kept);

    let (sender, receiver) = oneshot::channel();
    let office = &world.offices[0];
    office.waiting.lock().insert(u64::MAX, sender);
    let asked = Asked {
        caller: u64::MAX,
        player: first,
        event: "nowhere".parse().unwrap(),
        wish: Wish::Reserve,
    };
    office.window.ask(asked).unwrap();
    assert_eq!(receiver.await.unwrap(), Outcome::Unknown);
}

/// Four matchers on one real Redis that is restarted empty and then forgets everything, while one
/// of them dies in the middle of a confirmation.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_matchers_on_a_redis_that_fails_sell_every_seat_once() {
    let mut server = RedisServer::start();
    let redis = connect(vec![server.url()], Topology::Single).await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteSeats::open(&folder.path().join("seats.db")).unwrap();
    let fault = Fault {
        point: "book",
        side: Side::After,
        call: 2,
    };
    let store = Arc::new(RedisSeats::new(redis));
    let world = World::new(store, Arc::new(ledger), 100, 4, Some(fault));
    let mut crowd = world.crowd(3000);
    world.until_booked(&mut crowd, 10).await;
    server.restart_empty();
    world.until_booked(&mut crowd, 40).await;
    let mut flush = redis::cmd("FLUSHALL");
    let _: String = server.query(flush.arg("SYNC"));
    served(crowd).await;
    world.check("Redis lost everything twice").await;
}

/// The ledger in Postgres, which crashes as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_matchers_on_a_redis_and_a_postgres_that_fail_sell_every_seat_once() {
    let mut server = RedisServer::start();
    let mut database = PostgresServer::start();
    let redis = connect(vec![server.url()], Topology::Single).await;
    let fault = Fault {
        point: "book",
        side: Side::After,
        call: 2,
    };
    let store = Arc::new(RedisSeats::new(redis));
    let folder = tempfile::tempdir().unwrap();
    let ledger = in_postgres(&database, &folder).await;
    let world = World::new(store, ledger, 100, 4, Some(fault));
    let mut crowd = world.crowd(1500);
    world.until_booked(&mut crowd, 10).await;
    database.kill();
    database.restart();
    world.until_booked(&mut crowd, 40).await;
    server.restart_empty();
    world.until_booked(&mut crowd, 70).await;
    database.kill();
    database.restart();
    served(crowd).await;
    world.check("both were lost").await;
    let rows = "SELECT count(*), count(DISTINCT seat), count(DISTINCT player) FROM seats";
    assert_eq!(database.query(rows).trim(), "100|100|100");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_office_that_dies_beside_postgres_loses_and_doubles_nothing() {
    let database = PostgresServer::start();
    let folder = tempfile::tempdir().unwrap();
    let ledger = in_postgres(&database, &folder).await;
    let mut died = 0;
    for (point, side) in [
        ("begin", Side::After),
        ("book", Side::Before),
        ("book", Side::After),
        ("settle", Side::Before),
    ] {
        database.query("DELETE FROM seats");
        let call = 1;
        let fault = Fault { point, side, call };
        let store = Arc::new(MemorySeats::new());
        let world = World::new(store, ledger.clone(), 8, 3, Some(fault));
        served(world.crowd(40)).await;
        world.check(&format!("{fault:?}")).await;
        died += usize::from(world.offices[0].way.is_dead());
    }
    assert!(died >= 2, "faults happen: {died}");
}

async fn in_postgres(server: &PostgresServer, folder: &TempDir) -> Arc<dyn SeatLedger> {
    let file = folder.path().join("password");
    std::fs::write(&file, PostgresServer::PASSWORD).unwrap();
    let config = PostgresConfig {
        url: server.url(),
        password_file: Some(file),
        ..PostgresConfig::default()
    };
    let pool = engine::postgres::open(&config).await.unwrap();
    Arc::new(PostgresSeats::new(pool))
}
