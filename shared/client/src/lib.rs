//! The PixelRush client in Rust: [`protocol::session::Session`] over a real WebSocket. Bots, the
//! smoke suite, tests and the load generator are built on it.
//!
//! - [`Client`]: a session that keeps itself alive, on a task of its own
//! - [`login`]: tokens over HTTP
//! - [`room`]: what a room's snapshots say
//! - [`address`]: where a deployment is
//!
//! ```no_run
//! # async fn play() -> Result<(), Box<dyn std::error::Error>> {
//! use pixelrush_client::{Client, Options, address::Address, login};
//! use protocol::control::{ClientMessage, QueueJoin};
//!
//! let address: Address = "http://127.0.0.1:7777".parse()?;
//! let login = login::guest(&address, "a-device-id", "Ada").await?;
//! let mut client = Client::connect(Options::new(vec![address], login.token));
//! while let Some(event) = client.next().await {
//!     println!("{event:?}");
//! }
//! # Ok(())
//! # }
//! ```

pub mod address;
mod driver;
pub mod login;
pub mod room;
mod socket;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::control::{ClientMessage, RoomWatch};
use protocol::id::RoomId;
use protocol::session::{SessionConfig, SessionEvent};
use protocol::time::Timestamp;
use tokio::sync::mpsc;

use address::Address;

/// Events that wait for whoever plays. While it is full snapshots are dropped, and for anything
/// else the session waits.
const EVENTS: usize = 256;

/// Commands that wait for the session.
const COMMANDS: usize = 256;

/// How to connect.
#[derive(Debug, Clone)]
pub struct Options {
    /// Gateways, any of which will do.
    pub addresses: Vec<Address>,
    /// An access token.
    pub token: String,
    /// How the session behaves; the number of addresses is filled in.
    pub session: SessionConfig,
    /// The address of this host to connect from; any if `None`. Between two addresses there are
    /// some 28,000 ports by default, and long before the last one is taken connecting is slow.
    pub local: Option<IpAddr>,
}

/// A session that keeps itself alive until it is dropped or over.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<SessionEvent>,
}

#[derive(Debug)]
enum Command {
    Say(ClientMessage),
    JoinRoom(String),
    WatchRoom(RoomWatch),
    LeaveRoom,
    Input(Vec<u32>),
    LogIn(String),
    Cut,
    Close,
}

impl Options {
    /// Default behaviour at these addresses.
    pub fn new(addresses: Vec<Address>, token: String) -> Self {
        let client = concat!("pixelrush-rust/", env!("CARGO_PKG_VERSION")).to_owned();
        Self {
            addresses,
            token,
            session: SessionConfig {
                client,
                ..SessionConfig::default()
            },
            local: None,
        }
    }
}

impl Client {
    /// Starts a session on a task of its own. What comes of it is told by [`next`](Self::next).
    pub fn connect(options: Options) -> Self {
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (event_queue, events) = mpsc::channel(EVENTS);
        tokio::spawn(driver::Driver::new(options, command_queue, event_queue).run());
        Self { commands, events }
    }

    /// The next thing to know; `None` once the session is over and all is told.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        self.events.recv().await
    }

    /// Sends a control message. It is dropped if there is no connection just then: ask again
    /// after `Restored`. Only `queue.leave` is remembered and said as soon as it can be.
    pub async fn say(&self, message: ClientMessage) {
        self.command(Command::Say(message)).await;
    }

    /// Enters a room, and stays in it through reconnects.
    pub async fn join_room(&self, ticket: String) {
        self.command(Command::JoinRoom(ticket)).await;
    }

    /// Watches a room without a seat in it, `delay` or, if it is later, as much later as the room's
    /// mode says: from where it is, or, if it is over, from its start. What is told is as for who
    /// plays. It goes on through reconnects until the room is over, or
    /// [`leave_room`](Self::leave_room).
    pub async fn watch_room(&self, room: RoomId, delay: Option<Duration>) {
        let millis = |delay: Duration| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        let delay_ms = delay.map(millis);
        self.command(Command::WatchRoom(RoomWatch { room, delay_ms }))
            .await;
    }

    /// Leaves the room for good, as soon as there is a connection; or watches it no more.
    pub async fn leave_room(&self) {
        self.command(Command::LeaveRoom).await;
    }

    /// Sends steps of input in one frame.
    pub async fn input(&self, steps: Vec<u32>) {
        self.command(Command::Input(steps)).await;
    }

    /// Goes on with a new access token after `Ended(LoginNeeded)`.
    pub async fn log_in(&self, token: String) {
        self.command(Command::LogIn(token)).await;
    }

    /// Drops the connection without a word, as a network does; the session goes on by itself.
    pub async fn cut(&self) {
        self.command(Command::Cut).await;
    }

    /// Ends the session with a normal close.
    pub async fn close(&self) {
        self.command(Command::Close).await;
    }

    async fn command(&self, command: Command) {
        // A session that is over takes nothing; `next` has told so.
        let _ = self.commands.send(command).await;
    }
}

/// This process's monotonic clock.
pub fn now() -> Timestamp {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(Instant::now);
    // Never 0, which the wire takes for "no time yet".
    Timestamp((start.elapsed() + Duration::from_secs(1)).as_micros() as u64)
}

/// A seed that no other client of this process or of another one has.
fn seed() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mixed = (nanos as u64) ^ (u64::from(std::process::id()) << 40) ^ count.rotate_left(20);
    protocol::random::Random::new(mixed).next_u64()
}
