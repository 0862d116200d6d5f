//! The proxy between real sockets.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test waits for what must not come.
const SILENCE: Duration = Duration::from_millis(100);

/// A client and the server that it reached through the proxy.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

struct Setup {
    proxy: Proxy,
    target: TcpListener,
}

impl Setup {
    async fn new() -> Self {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = target.local_addr().unwrap();
        let proxy = Proxy::seeded(address, 42).await.unwrap();
        Self { proxy, target }
    }

    async fn connect(&self) -> Pair {
        let client = TcpStream::connect(self.proxy.address()).await.unwrap();
        let (server, _) = soon(self.target.accept()).await.unwrap();
        Pair { client, server }
    }

    fn fates(&self, up: Fate, down: Fate) {
        let mut conditions = Conditions::default();
        conditions.up.fate = up;
        conditions.down.fate = down;
        self.proxy.shape(conditions);
    }

    async fn until_connections(&self, count: usize) {
        soon(async {
            while self.proxy.connections() != count {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

async fn hears(socket: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    soon(socket.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, text.as_bytes());
}

async fn hears_nothing(socket: &mut TcpStream) {
    let heard = timeout(SILENCE, socket.read(&mut [0; 16])).await;
    assert!(heard.is_err(), "{heard:?}");
}

async fn is_reset(socket: &mut TcpStream) {
    let error = soon(socket.read(&mut [0; 16])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn fair_weather_carries_both_ways_and_each_end_on_its_own() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    pair.client.write_all(b"up").await.unwrap();
    hears(&mut pair.server, "up").await;
    pair.client.shutdown().await.unwrap();
    assert_eq!(soon(pair.server.read(&mut [0; 1])).await.unwrap(), 0);
    pair.server.write_all(b"down").await.unwrap();
    hears(&mut pair.client, "down").await;
    assert_eq!(setup.proxy.connections(), 1);
    drop(pair.server);
    assert_eq!(soon(pair.client.read(&mut [0; 1])).await.unwrap(), 0);
    setup.until_connections(0).await;
}

#[tokio::test]
async fn latency_is_for_each_direction_and_keeps_order() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    let mut conditions = Conditions::default();
    conditions.up.latency = Duration::from_millis(150);
    conditions.up.jitter = Duration::from_millis(50);
    setup.proxy.shape(conditions);
    let start = Instant::now();
    for piece in ["1", "2", "3", "4"] {
        pair.client.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    hears(&mut pair.server, "1234").await;
    assert!(start.elapsed() >= Duration::from_millis(150));

    let start = Instant::now();
    pair.server.write_all(b"back").await.unwrap();
    hears(&mut pair.client, "back").await;
    assert!(
        start.elapsed() < Duration::from_millis(150),
        "no delay down"
    );
}

#[tokio::test]
async fn a_stall_ends_by_itself_and_loses_nothing() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    let start = Instant::now();
    setup.proxy.stall(Duration::from_millis(300));
    pair.client.write_all(b"late").await.unwrap();
    hears(&mut pair.server, "late").await;
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_black_hole_is_silent_takes_new_connections_and_gives_all_back() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    setup.proxy.set(Weather::BlackHole);
    let mut late = setup.connect().await;
    pair.client.write_all(b"lost?").await.unwrap();
    late.client.write_all(b"new").await.unwrap();
    hears_nothing(&mut pair.server).await;
    hears_nothing(&mut late.server).await;
    setup.proxy.set(Weather::Fair);
    hears(&mut pair.server, "lost?").await;
    hears(&mut late.server, "new").await;
}

#[tokio::test]
async fn a_half_open_connection_hears_one_way_and_is_reset_when_it_would_heal() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    setup.fates(Fate::Swallow, Fate::Carry);
    pair.client.write_all(b"into the void").await.unwrap();
    pair.server.write_all(b"still here").await.unwrap();
    hears(&mut pair.client, "still here").await;
    hears_nothing(&mut pair.server).await;
    setup.fates(Fate::Carry, Fate::Carry);
    is_reset(&mut pair.client).await;
    is_reset(&mut pair.server).await;
}

#[tokio::test]
async fn a_direction_that_swallowed_nothing_goes_on() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    setup.fates(Fate::Swallow, Fate::Swallow);
    hears_nothing(&mut pair.server).await;
    setup.fates(Fate::Carry, Fate::Carry);
    pair.client.write_all(b"whole").await.unwrap();
    hears(&mut pair.server, "whole").await;
}

#[tokio::test]
async fn a_cut_resets_what_there_is_and_lets_new_connections_in() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    setup.proxy.cut();
    is_reset(&mut pair.client).await;
    is_reset(&mut pair.server).await;
    let mut pair = setup.connect().await;
    pair.client.write_all(b"again").await.unwrap();
    hears(&mut pair.server, "again").await;
}

#[tokio::test]
async fn cut_weather_resets_new_connections_too() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    setup.proxy.set(Weather::Cut);
    is_reset(&mut pair.client).await;
    let mut client = TcpStream::connect(setup.proxy.address()).await.unwrap();
    is_reset(&mut client).await;
    setup.proxy.set(Weather::Fair);
    setup.connect().await;
}

#[tokio::test]
async fn a_door_that_refuses_leaves_old_connections_and_opens_again() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    let refuse = Conditions {
        door: Door::Refuse,
        ..Conditions::default()
    };
    setup.proxy.shape(refuse);
    let refused = soon(async {
        loop {
            let tried = TcpStream::connect(setup.proxy.address()).await;
            // One that comes while the door is being closed may be reset.
            if tried.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    refused.await;
    pair.client.write_all(b"old").await.unwrap();
    hears(&mut pair.server, "old").await;

    setup.proxy.set(Weather::Fair);
    soon(async {
        while TcpStream::connect(setup.proxy.address()).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_the_writer() {
    let setup = Setup::new().await;
    let mut pair = setup.connect().await;
    let conditions = Conditions::slow(Duration::from_secs(3600), Duration::ZERO);
    setup.proxy.shape(conditions);
    let piece = vec![7; 64 * 1024];
    let mut written = 0;
    // Until the window and the buffers of the system are full.
    while let Ok(count) = timeout(SILENCE * 5, pair.client.write(&piece)).await {
        written += count.unwrap();
        assert!(written < 64 * 1024 * 1024, "nothing stops the writer");
    }
    assert!(written >= WINDOW);
}

#[tokio::test]
async fn many_connections_carry_at_once() {
    let setup = Setup::new().await;
    let jitter = Duration::from_millis(20);
    setup.proxy.shape(Conditions::slow(jitter, jitter));
    let echo = tokio::spawn(async move {
        loop {
            let (mut socket, _) = setup.target.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
            });
        }
    });
    let address = setup.proxy.address();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..500_u32 {
        clients.spawn(async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            for round in 0..5 {
                let text = format!("{number} {round}");
                client.write_all(text.as_bytes()).await.unwrap();
                hears(&mut client, &text).await;
            }
        });
    }
    while let Some(client) = soon(clients.join_next()).await {
        client.expect("an echo");
    }
    echo.abort();
}

#[test]
fn a_seed_draws_the_same_weather_again() {
    let draw = |seed| {
        let mut random = Random::new(seed);
        let drawn = std::iter::repeat_with(|| Conditions::drawn(&mut random));
        drawn.take(20).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}
