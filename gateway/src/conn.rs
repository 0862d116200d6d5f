//! One WebSocket connection: drives a [`Handler`] over a socket.
//!
//! All that is owed to a client at one moment leaves with one flush. While the socket takes
//! nothing, reading goes on, so that a slow reader's heartbeats count and its snapshots coalesce.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, Stream};
use protocol::close::CloseCode;
use protocol::time::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

/// What a socket is read by at a time. It stays allocated with every idle connection.
const READ_BUFFER: usize = 1024;

/// Bytes that are gathered before they are written. The buffer grows to what was gathered and
/// never shrinks, so this is what a busy connection keeps for good.
const WRITE_CHUNK: usize = 4 * 1024;

/// Messages that are read before others get their turn.
const READ_BUDGET: usize = 64;

/// How long a peer has to answer a close, and to read it.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// Most that is read and thrown away from a peer that goes on sending after a close.
const CLOSE_DISCARD: usize = 1024 * 1024;

/// What a connection does with its messages. Called from one task.
pub(crate) trait Handler: Unpin {
    /// A text or binary message came.
    fn handle_message(&mut self, now: Timestamp, message: Message);

    /// A WebSocket ping or pong came: a sign of life.
    fn handle_alive(&mut self, now: Timestamp);

    /// The handler's deadline has come.
    fn handle_timeout(&mut self, now: Timestamp);

    /// The next message to send.
    fn poll_transmit(&mut self, now: Timestamp) -> Option<Message>;

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
pub(crate) async fn open<S>(socket: S, early: Vec<u8>, limits: ConnLimits) -> WebSocketStream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_CHUNK)
        .max_write_buffer_size(limits.message_size + 16 * WRITE_CHUNK)
        .max_message_size(Some(limits.message_size))
        .max_frame_size(Some(limits.message_size));
    if early.is_empty() {
        WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await
    } else {
        WebSocketStream::from_partially_read(socket, early, Role::Server, Some(config)).await
    }
}

/// Runs a connection to its end.
pub(crate) async fn run<S, H>(
    mut ws: WebSocketStream<S>,
    handler: &mut H,
    limits: ConnLimits,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    let sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(3600)));
    let mut driver = Driver {
        sleep,
        armed: None,
        unflushed: 0,
        blocked_since: None,
        limits,
    };
    let ended = poll_fn(|cx| driver.poll(Pin::new(&mut ws), handler, cx)).await;
    // Rare and large: kept out of the future that every idle connection holds.
    match ended {
        Ended::ByUs(code) => Box::pin(say_goodbye(ws, Some(code))).await,
        Ended::ByPeer => Box::pin(say_goodbye(ws, None)).await,
        Ended::Broken => {}
    }
    ended
}

struct Driver<'a> {
    sleep: Pin<&'a mut Sleep>,
    armed: Option<Timestamp>,
    unflushed: usize,
    blocked_since: Option<Timestamp>,
    limits: ConnLimits,
}

impl Driver<'_> {
    fn poll<S, H>(
        &mut self,
        mut ws: Pin<&mut WebSocketStream<S>>,
        handler: &mut H,
        cx: &mut Context<'_>,
    ) -> Poll<Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        handler.register(cx);
        let now = Timestamp(chassis::clock::now());
        if handler
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            handler.handle_timeout(now);
        }
        let budget_left = match read(ws.as_mut(), handler, now, cx) {
            Ok(budget_left) => budget_left,
            Err(ended) => {
                // What was owed before, answers to what came first among it, still goes out.
                let _ = self.write(ws, handler, now, cx);
                return Poll::Ready(ended);
            }
        };
        match self.write(ws, handler, now, cx) {
            Poll::Ready(Err(())) => return Poll::Ready(Ended::Broken),
            Poll::Ready(Ok(())) => self.blocked_since = None,
            Poll::Pending => {
                let since = *self.blocked_since.get_or_insert(now);
                if now.since(since) >= self.limits.write_stall {
                    return Poll::Ready(Ended::ByUs(CloseCode::SlowConsumer));
                }
            }
        }
        if let Some(code) = handler.poll_close() {
            return Poll::Ready(Ended::ByUs(code));
        }
        if budget_left == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_sleep(handler, now, cx);
        Poll::Pending
    }

    /// Writes what the handler owes. Pending while the socket takes no more.
    fn write<S, H>(
        &mut self,
        mut ws: Pin<&mut WebSocketStream<S>>,
        handler: &mut H,
        now: Timestamp,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        loop {
            ready!(ws.as_mut().poll_ready(cx)).map_err(drop)?;
            if self.unflushed >= WRITE_CHUNK {
                ready!(ws.as_mut().poll_flush(cx)).map_err(drop)?;
                self.unflushed = 0;
            }
            let Some(message) = handler.poll_transmit(now) else {
                break;
            };
            self.unflushed += message.len() + 4;
            ws.as_mut().start_send(message).map_err(drop)?;
        }
        if self.unflushed > 0 {
            ready!(ws.as_mut().poll_flush(cx)).map_err(drop)?;
            self.unflushed = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// Arms the one timer for the nearest deadline. A timer that fires too early costs one
    /// wake-up; moving it for every message would cost more.
    fn poll_sleep<H: Handler>(&mut self, handler: &H, now: Timestamp, cx: &mut Context<'_>) {
        let stall = self
            .blocked_since
            .map(|since| since + self.limits.write_stall);
        let Some(deadline) = [handler.poll_timeout(), stall].into_iter().flatten().min() else {
            return;
        };
        if self
            .armed
            .is_some_and(|armed| now < armed && armed <= deadline)
        {
            return;
        }
        self.armed = Some(deadline);
        self.sleep
            .as_mut()
            .reset(Instant::now() + deadline.since(now));
        if self.sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

/// Reads what is there, up to the budget, and gives what is left of it.
fn read<S, H>(
    mut ws: Pin<&mut WebSocketStream<S>>,
    handler: &mut H,
    now: Timestamp,
    cx: &mut Context<'_>,
) -> Result<usize, Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    for left in (0..READ_BUDGET).rev() {
        match ws.as_mut().poll_next(cx) {
            Poll::Pending => return Ok(left + 1),
            Poll::Ready(None | Some(Ok(Message::Close(_)))) => return Err(Ended::ByPeer),
            Poll::Ready(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => handler.handle_alive(now),
            Poll::Ready(Some(Ok(message))) => handler.handle_message(now, message),
            Poll::Ready(Some(Err(error))) => return Err(ended_by(&error)),
        }
    }
    Ok(0)
}

fn ended_by(error: &Error) -> Ended {
    match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ended::Broken,
        Error::Protocol(_) => Ended::ByUs(CloseCode::Protocol),
        Error::Utf8(_) => Ended::ByUs(CloseCode::InvalidText),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Ended::ByUs(CloseCode::TooBig),
        _ => Ended::Broken,
    }
}

/// Sends the close frame and gives the peer time to read it: a socket that is closed with unread
/// bytes in it resets the connection, and the peer would never learn why.
async fn say_goodbye<S>(mut ws: WebSocketStream<S>, code: Option<CloseCode>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = code.map(|code| CloseFrame {
        code: code.code().into(),
        reason: code.reason().into(),
    });
    let goodbye = async {
        // With no code of ours this flushes the answer to the peer's close.
        let _ = ws.close(frame).await;
        let mut socket = ws.into_inner();
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
