//! One WebSocket connection: drives a [`Handler`] over a socket.
//!
//! All that is owed to a client at one moment leaves with one flush. While the socket takes
//! nothing, reading goes on if the handler wants it, so that a slow reader's heartbeats count and
//! its snapshots coalesce.
//!
//! - `driver`: what is read and written when
//! - `check`, `utf8`: RFC 6455 as the client's bytes come, without I/O
//! - `socket`: the client's socket, which applies it; `websocket`: tungstenite on top of that

use std::future::poll_fn;
use std::task::Context;
use std::time::Duration;

use protocol::close::CloseCode;
use protocol::time::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};

use check::FrameCheck;
use driver::{Driver, WRITE_CHUNK};
use socket::Socket;
use websocket::WebSocket;

mod check;
mod driver;
mod socket;
mod utf8;
mod websocket;

/// What the parser takes from a socket at a time. Room for that, or for the largest message so
/// far, stays allocated with every idle connection; a heartbeat has 25 bytes, an input 40.
const READ_BUFFER: usize = 256;

/// How long a peer has to answer a close, and to read it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Most that is read and thrown away from a peer that goes on sending after a close.
const CLOSE_DISCARD: usize = 1024 * 1024;

/// What a connection does with its messages. Called from one task.
pub(crate) trait Handler: Unpin {
    /// A text or binary message came. `wire` is how many bytes came for it, headers and
    /// fragments and all, give or take those of its neighbours.
    fn handle_message(&mut self, now: Timestamp, message: Message, wire: usize);

    /// A WebSocket ping or pong came: a sign of life.
    fn handle_alive(&mut self, now: Timestamp, wire: usize);

    /// The handler's deadline has come.
    fn handle_timeout(&mut self, now: Timestamp);

    /// The next message to send: text or binary, of any size.
    fn poll_transmit(&mut self, now: Timestamp) -> Option<Message>;

    /// Whether to go on reading while the socket takes nothing of what is owed.
    fn reads_while_blocked(&self) -> bool;

    /// Whether to end the connection, and how. Asked after everything else.
    fn poll_close(&mut self) -> Option<CloseCode>;

    /// When to call `handle_timeout` next.
    fn poll_timeout(&self) -> Option<Timestamp>;

    /// Has the task of `cx` woken when something comes from elsewhere.
    fn register(&mut self, cx: &Context<'_>);
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer closed it properly.
    ByPeer,
    /// We closed it.
    ByUs(CloseCode),
    /// The socket broke.
    Broken,
}

/// Bounds of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnLimits {
    pub(crate) message_size: usize,
    pub(crate) write_stall: Duration,
}

/// Takes over a socket after the upgrade. `early` is what came with the request.
pub(crate) fn open<S>(socket: S, mut early: Vec<u8>, limits: ConnLimits) -> WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Nothing bounds the write buffer but the way it is filled: see `Driver::fill`.
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_CHUNK)
        .max_message_size(Some(limits.message_size))
        .max_frame_size(Some(limits.message_size));
    let mut check = FrameCheck::new(limits.message_size);
    early.truncate(check.accept(&early));
    WebSocket::new(Socket::new(socket, check), early, config)
}

/// Runs a connection until it ends, or is to end: then [`say_goodbye`].
pub(crate) async fn run<S, H>(ws: &mut WebSocket<S>, handler: &mut H, limits: ConnLimits) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(3600)));
    let mut driver = Driver::new(sleep, limits.write_stall);
    poll_fn(|cx| driver.poll(ws, handler, cx)).await
}

fn ended_by(error: &Error) -> Ended {
    match error {
        Error::Io(error) => match socket::violation_in(error) {
            Some(violation) => {
                tracing::debug!(%violation, "a client breaks RFC 6455");
                Ended::ByUs(violation.close_code())
            }
            None => Ended::Broken,
        },
        Error::ConnectionClosed | Error::AlreadyClosed => Ended::ByPeer,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ended::Broken,
        Error::Protocol(_) => Ended::ByUs(CloseCode::Protocol),
        Error::Utf8(_) => Ended::ByUs(CloseCode::InvalidText),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::ByUs(CloseCode::TooBig),
        _ => Ended::Broken,
    }
}

/// Sends the close frame, or the answer to the peer's, and gives the peer time to read it: a
/// socket that is closed with unread bytes in it resets the connection, and the peer would never
/// learn why.
pub(crate) async fn say_goodbye<S>(mut ws: WebSocket<S>, ended: Ended)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = match ended {
        Ended::Broken => return,
        Ended::ByPeer => None,
        Ended::ByUs(code) => Some(CloseFrame {
            code: code.code().into(),
            reason: code.reason().into(),
        }),
    };
    let goodbye = async {
        let _ = ws.close(frame).await;
        let mut socket = ws.into_socket().into_io();
        socket.shutdown().await?;
        let mut discarded = 0;
        let mut buffer = [0; 1024];
        while discarded < CLOSE_DISCARD {
            match socket.read(&mut buffer).await? {
                0 => break,
                count => discarded += count,
            }
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(CLOSE_PATIENCE, goodbye).await;
}
