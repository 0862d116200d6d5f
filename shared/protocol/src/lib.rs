//! The PixelRush session protocol: what a game client and the server say to each other, and the
//! state machines that say it.
//!
//! Nothing here does I/O or reads a clock: bytes go in by `handle_*`, bytes come out by `poll_*`,
//! and time is an argument. The server, the Rust client, the bots, the load generator and the
//! tests therefore all run the same code. The wire is specified in `docs/PROTOCOL.md`; vectors
//! that a client in another language can check itself against are in `vectors.json` beside this
//! crate's manifest.
//!
//! - [`id`]: every identifier, as a type of its own
//! - [`control`]: text frames, JSON, low rate
//! - [`frame`]: binary frames, bit-packed, real time; [`bits`] packs them
//! - [`close`]: close codes, whose range says what a client does next
//! - [`link`]: heartbeat, round-trip time, clock offset, acknowledgement; one for each end
//! - [`log`]: the origin's side of resume: events that a client has not acknowledged
//! - [`cursor`]: the client's side of resume: what took effect, once and in order
//! - [`input`]: inputs that must be applied or reported, both ends
//! - [`attach`]: which of a player's attachments counts
//! - [`snapshot`]: the bodies of snapshots: schema, view, delta
//! - [`session`]: the client as a whole: connect, log in, resume, fail over
//! - [`time`], [`timer`], [`random`]: a clock that is handed in, deadlines, jitter

pub mod attach;
pub mod bits;
pub mod close;
pub mod control;
pub mod cursor;
pub mod frame;
pub mod id;
pub mod input;
pub mod link;
pub mod log;
pub mod random;
pub mod session;
pub mod snapshot;
pub mod time;
pub mod timer;

/// The version of the wire that this build speaks. A client that asks for another one is told
/// `upgrade_required`.
pub const VERSION: u16 = 1;

/// The WebSocket subprotocol of version 1.
pub const SUBPROTOCOL: &str = "pixelrush.v1";

/// Largest text or binary message that either side sends, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;
