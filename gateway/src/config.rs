//! What can be set about a gateway.
//!
//! The most memory that one connection can take follows from [`Limits`]:
//!
//! | what | bytes | when |
//! | --- | --- | --- |
//! | task, state, small buffers | 4 to 6 Ki | always |
//! | the largest message that came so far | `message_size` | it stays |
//! | write buffer | 16 Ki | once a message of 4 KiB or more was sent; it stays |
//! | fragments before the one that comes in, and the whole | 2 × `message_size` | while it does |
//! | what came and was not parsed yet | 4 Ki | likewise |
//! | reliable messages that wait | `outbox` | while the client reads slowly |
//! | one snapshot that waits | its size, less than 16 Ki | likewise |
//! | refusals that wait | 32 × 0.5 Ki | likewise |
//!
//! With the defaults that is 4 to 6 KiB for a quiet client and about 800 KiB for the worst
//! there can be. The kernel takes its own: what is under way to the client and 16 KiB more, and what the
//! client has sent and the gateway not read (`net.ipv4.tcp_wmem`, `tcp_rmem`). An HTTP connection
//! that is no WebSocket takes 16 KiB of head and 4 KiB of body.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chassis::config::ByteSize;
use chassis::limit::Rate;
use protocol::id::{Channel, NodeId};
use protocol::log::LOG_LIMITS;
use serde::{Deserialize, Serialize};

/// Default of [`Limits::outbox`]: two full logs, with what each event takes beside its payload,
/// and some control messages. With less, a client whose log is full would be closed as soon as it
/// resumes, for ever.
pub const OUTBOX: usize = Channel::COUNT * (LOG_LIMITS.bytes + LOG_LIMITS.events * 128) + 64 * 1024;

/// A gateway's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Name of this gateway in the deployment.
    pub node: NodeId,
    /// The public address: page, login, WebSocket.
    pub listen: SocketAddr,
    /// The matcher.
    pub matcher: OriginConfig,
    /// The nodes that run rooms.
    pub rooms: Vec<OriginConfig>,
    /// How alive connections have to be.
    pub heartbeat: Heartbeat,
    /// Limits for clients from elsewhere. Can change while running.
    pub limits: Limits,
    /// Limits for clients on the loopback interface: bots, load tests on one machine. Can change
    /// while running. A proxy on the same machine makes all of its clients such ones: set these
    /// to what `limits` says then.
    pub loopback_limits: Limits,
    /// How long tokens are good for.
    pub tokens: Tokens,
    /// How a gateway goes away.
    pub drain: DrainConfig,
    /// Keys for `POST /v1/login/api`. Can change while running.
    pub api_keys: Vec<ApiKey>,
    /// A control socket by which the process that replaces this one on the same host takes the
    /// listening sockets over, so that no connect is refused. None: there is no handover.
    pub handover: Option<PathBuf>,
    /// Switches `/debug/echo` on at the private port.
    pub debug_echo: bool,
}

/// A node behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginConfig {
    /// Its name.
    pub name: NodeId,
    /// Where it is: `http://host:port`.
    pub endpoint: String,
}

/// How alive connections have to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heartbeat {
    /// How often a client beats while not in a room.
    #[serde(with = "chassis::config::duration")]
    pub interval: Duration,
    /// How often while in a room.
    #[serde(with = "chassis::config::duration")]
    pub active_interval: Duration,
    /// A client that says nothing for this long is closed.
    #[serde(with = "chassis::config::duration")]
    pub deadline: Duration,
    /// The same while in a room.
    #[serde(with = "chassis::config::duration")]
    pub active_deadline: Duration,
}

/// What a client may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Connections on this node.
    pub connections: usize,
    /// Connections from one address (IPv4) or /64 network (IPv6).
    pub connections_per_address: usize,
    /// Longest that an HTTP request's head may take, and then the `hello` of a WebSocket.
    #[serde(with = "chassis::config::duration")]
    pub handshake: Duration,
    /// Largest WebSocket frame and message from a client.
    pub message_size: ByteSize,
    /// Messages from one connection.
    pub messages: Rate,
    /// Bytes of messages from one connection.
    pub bytes: Rate,
    /// Refused messages (over a limit, malformed) after which a connection is closed; each good
    /// second forgives one.
    pub strikes: u32,
    /// Logins, and `hello`s that fail, from one address or /64 network.
    pub logins: Rate,
    /// Requests about players from one address or /64 network: leaderboards, histories.
    pub requests: Rate,
    /// Bytes of reliable messages that may wait for one client that reads slowly. Over it the
    /// client is closed and resumes, so this has to hold what its two origins then send at once:
    /// see [`OUTBOX`].
    pub outbox: ByteSize,
    /// A client that takes nothing at all for this long is closed.
    #[serde(with = "chassis::config::duration")]
    pub write_stall: Duration,
}

/// How long tokens are good for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// An access token, from login to first `hello`.
    #[serde(with = "chassis::config::duration")]
    pub access: Duration,
    /// A resume token: how long a session can be away.
    #[serde(with = "chassis::config::duration")]
    pub resume: Duration,
}

/// How a gateway goes away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrainConfig {
    /// Clients are told to go at moments spread over this long.
    #[serde(with = "chassis::config::duration")]
    pub spread: Duration,
    /// The process exits after this long at the latest.
    #[serde(with = "chassis::config::duration")]
    pub deadline: Duration,
}

/// A key for the login API, kept as a hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Names the key in logs.
    pub id: String,
    /// SHA-256 of the key, in hexadecimal.
    pub sha256: String,
}

impl Config {
    /// These settings with all of `new` that can change while running: limits, for connections to
    /// come, and API keys.
    #[must_use]
    pub fn with_live(&self, new: &Self) -> Self {
        Self {
            limits: new.limits,
            loopback_limits: new.loopback_limits,
            api_keys: new.api_keys.clone(),
            ..self.clone()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node: "gateway-1".parse().expect("a node name"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7777)),
            matcher: OriginConfig {
                name: "matcher-1".parse().expect("a node name"),
                endpoint: "http://127.0.0.1:7200".to_owned(),
            },
            rooms: Vec::new(),
            heartbeat: Heartbeat::default(),
            limits: Limits::default(),
            loopback_limits: Limits::loopback(),
            tokens: Tokens::default(),
            drain: DrainConfig::default(),
            api_keys: Vec::new(),
            handover: None,
            debug_echo: false,
        }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(25),
            active_interval: Duration::from_millis(400),
            deadline: Duration::from_secs(60),
            active_deadline: Duration::from_secs(10),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            connections_per_address: 100,
            handshake: Duration::from_secs(5),
            message_size: ByteSize(protocol::MAX_MESSAGE),
            messages: Rate::per_second(120, 60),
            bytes: Rate::per_second(64 * 1024, 32 * 1024),
            strikes: 100,
            logins: Rate::per_second(60, 2),
            requests: Rate::per_second(120, 20),
            outbox: ByteSize(OUTBOX),
            write_stall: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Limits under which a load test on one machine works.
    pub fn loopback() -> Self {
        Self {
            connections_per_address: 100_000,
            logins: Rate::per_second(100_000, 100_000),
            requests: Rate::per_second(100_000, 100_000),
            ..Self::default()
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access: Duration::from_secs(3600),
            resume: Duration::from_secs(24 * 3600),
        }
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self {
            spread: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
        }
    }
}
