//! A race that is watched by somebody who has no seat in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::address::Address;
use client::room::RoomView;
use client::{Client, Options, login};
use e2e::crowd::{Crowd, CrowdPlan};
use e2e::fleet::{Fleet, FleetOptions, NodeRef};
use e2e::process::Process;
use e2e::racer::{Change, INPUT_EVERY, Racer};
use e2e::store::{Store, StoreKind};
use protocol::control::{ClientMessage, QueueJoin};
use protocol::id::{Channel, RoomId};
use protocol::session::SessionEvent;
use protocol::snapshot::View;

use crate::binary;

const PATIENCE: Duration = Duration::from_secs(90);

/// From what happens to when it is shown, if the mode does not say otherwise.
const DELAY: Duration = Duration::from_secs(5);

/// Somebody who looks at a room, and keeps all that it saw.
struct Eye {
    client: Client,
    room: Option<RoomView>,
    seen: BTreeMap<u32, (View, Instant)>,
    /// How often the channel stood anew.
    attaches: usize,
    closed: bool,
}

impl Eye {
    async fn open(targets: &[Address], name: &str) -> Self {
        let device = format!("device of {name}");
        let login = login::guest(&targets[0], &device, name).await;
        let login = login.expect("a guest may log in");
        Self {
            client: Client::connect(Options::new(targets.to_vec(), login.token)),
            room: None,
            seen: BTreeMap::new(),
            attaches: 0,
            closed: false,
        }
    }

    /// The next thing that the session tells.
    async fn next(&mut self) -> SessionEvent {
        let event = tokio::time::timeout(PATIENCE, self.client.next()).await;
        let event = event.expect("something in time").expect("a session");
        match &event {
            SessionEvent::Channel(attached) if attached.ch == Channel::Room => {
                self.room = Some(RoomView::new(attached).expect("a room's state"));
                self.attaches += 1;
            }
            SessionEvent::Snapshot(snapshot) => {
                let room = self.room.as_mut().expect("attached first");
                let view = room.handle_snapshot(snapshot).expect("it can be read");
                let now = Instant::now();
                self.seen.insert(snapshot.head.tick.0, (view.clone(), now));
            }
            SessionEvent::ChannelClosed(closed) if closed.ch == Channel::Room => self.closed = true,
            SessionEvent::Refused(error) => panic!("{error}"),
            _ => {}
        }
        event
    }

    fn newest(&self) -> u32 {
        self.seen.last_key_value().map_or(0, |(tick, _)| *tick)
    }

    /// Looks until it saw what happened with `tick`.
    async fn until(&mut self, tick: u32) {
        while self.newest() < tick {
            self.next().await;
        }
    }
}

/// Queues for a duel and drives; gives the room, then what was seen until told to stop.
async fn duel(
    mut eye: Eye,
    found: tokio::sync::oneshot::Sender<RoomId>,
    mut stop: tokio::sync::oneshot::Receiver<()>,
) -> Eye {
    let mut racer = Racer::new(7);
    let mut found = Some(found);
    let mut beat = tokio::time::interval(INPUT_EVERY);
    let join = QueueJoin {
        mode: "duel".to_owned(),
        ..QueueJoin::default()
    };
    loop {
        let event = tokio::select! {
            _ = &mut stop => return eye,
            _ = beat.tick() => {
                if racer.is_racing() {
                    eye.client.input(racer.steps()).await;
                }
                continue;
            }
            event = eye.next() => event,
        };
        if let SessionEvent::Welcome(_) = &event {
            eye.client.say(ClientMessage::QueueJoin(join.clone())).await;
        }
        match racer.handle(&event) {
            Change::Found(ticket) => eye.client.join_room(ticket).await,
            Change::Over => panic!("a duel takes longer"),
            Change::None => {}
        }
        if let Some(room) = racer.room()
            && let Some(found) = found.take()
        {
            let _ = found.send(room.state().room);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_sees_what_the_racers_saw_five_seconds_ago() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = [
        ("PIXELRUSH_GATEWAY__LISTEN", "127.0.0.1:0"),
        ("PIXELRUSH_ADMIN__LISTEN", "127.0.0.1:0"),
        // Rooms differ in which ticks they show; of every one there is something to compare.
        ("PIXELRUSH_SYNCD__SNAPSHOT_EVERY", "1"),
    ];
    let log = folder.path().join("single.log");
    let server = Process::start(binary(), &[], settings, &log);
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let targets: Vec<Address> = vec![server.url().parse().expect("an address")];

    let mut racers = Vec::new();
    let mut rooms = Vec::new();
    for name in ["Ada", "Bob"] {
        let (told, room) = tokio::sync::oneshot::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let eye = Eye::open(&targets, name).await;
        racers.push((stop, tokio::spawn(duel(eye, told, stopped))));
        rooms.push(room);
    }
    let room = rooms.remove(0).await.expect("a duel is found");
    let mut watcher = Eye::open(&targets, "Eve").await;
    watcher.client.watch_room(room, None).await;
    let looked = tokio::time::timeout(Duration::from_secs(40), watcher.until(400));
    assert!(
        looked.await.is_ok(),
        "{:?}\n{}",
        watcher.seen.len(),
        server.log()
    );
    let state = watcher.room.as_ref().expect("attached").state();
    assert_eq!((state.room, state.seat), (room, None));
    assert_eq!(state.watch.and_then(|watch| watch.delay_ms), Some(5_000));
    assert_eq!(watcher.attaches, 1);

    watcher.client.leave_room().await;
    let (stop, racer) = racers.remove(0);
    let _ = stop.send(());
    let racer = racer.await.expect("it drove");
    let mut compared = 0;
    for (tick, (view, shown)) in &watcher.seen {
        if let Some((played, seen)) = racer.seen.get(tick) {
            assert!(view == played, "tick {tick} differs");
            let late = shown.duration_since(*seen);
            // A racer's own snapshot is some milliseconds on its way.
            assert!(
                late + Duration::from_millis(100) >= DELAY,
                "{tick}: {late:?}"
            );
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} of {}", watcher.seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_goes_on_watching_when_its_syncd_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::start(StoreKind::Single);
    let options = FleetOptions::new(store.config_text());
    let fleet = Fleet::start(binary(), folder.path(), options);
    let mut fleet = fleet.unwrap_or_else(|error| panic!("{error}"));
    let crowd = Crowd::start(&CrowdPlan {
        targets: fleet.targets(),
        mode: "race".to_owned(),
        players: 8,
        races: Some(1),
        seed: 1,
    });
    let racing = crowd.until_racing(PATIENCE).await;
    racing.unwrap_or_else(|error| panic!("{error}\n{}", fleet.logs()));
    let (_, room) = crowd.phases()[0];
    let room = room.expect("everyone is in a room");
    let mut watcher = Eye::open(&fleet.targets(), "Eve").await;
    watcher.client.watch_room(room, None).await;
    while watcher.attaches == 0 {
        watcher.next().await;
    }
    watcher.until(watcher.newest() + 60).await;
    let engine = store.engine().await.expect("Redis is there");
    let placed = engine.placements.find(&[room]).await.expect("an answer");
    let owner = placed[0]
        .as_ref()
        .expect("it is placed")
        .owner
        .node
        .to_string();
    let syncds = || (0..3).map(NodeRef::syncd);
    let runs = syncds().find(|node| node.to_string() == owner);
    fleet.kill(runs.expect("a node of this fleet"));
    watcher.until(watcher.newest() + 240).await;

    let attaches = watcher.attaches;
    let is_showing = |node: &NodeRef| {
        let metrics = fleet.metrics(*node).unwrap_or_default();
        metrics.lines().any(|line| line == "syncd_watchers 1")
    };
    let shows = syncds().find(is_showing).expect("a node shows the race");
    fleet.kill(shows);
    while watcher.attaches == attaches {
        watcher.next().await;
    }
    watcher.until(watcher.newest() + 60).await;
    assert!(!watcher.closed, "{}", fleet.logs());
}
