//! What a connection reads and writes when: one turn reads up to a budget, writes what is owed,
//! and flushes once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use protocol::close::CloseCode;
use protocol::time::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::socket::Socket;
use super::websocket::WebSocket;
use super::{Ended, Handler, ended_by};

/// Bytes that are gathered before they are written, and the largest fragment that a message is
/// sent in. The write buffer never shrinks, so twice this is what a busy connection keeps for
/// good.
pub(super) const WRITE_CHUNK: usize = 4 * 1024;

/// Messages that are read before others get their turn.
const READ_BUDGET: usize = 64;

/// Reads, writes and keeps the time of one connection.
pub(super) struct Driver<'a> {
    sleep: Pin<&'a mut Sleep>,
    armed: Option<Timestamp>,
    /// What is left of a message whose first fragments have gone.
    rest: Bytes,
    unflushed: usize,
    blocked: Option<Blocked>,
    write_stall: Duration,
}

/// The socket takes nothing.
#[derive(Debug, Clone, Copy)]
struct Blocked {
    since: Timestamp,
    /// Bytes that it had taken by then.
    written: u64,
}

/// Where the reading of one turn stopped.
enum Read {
    /// Nothing more has come, or nothing more is wanted now.
    Dry,
    /// The budget is spent: there may be more.
    Budget,
}

impl<'a> Driver<'a> {
    /// `sleep` is the connection's one timer.
    pub(super) fn new(sleep: Pin<&'a mut Sleep>, write_stall: Duration) -> Self {
        Self {
            sleep,
            armed: None,
            rest: Bytes::new(),
            unflushed: 0,
            blocked: None,
            write_stall,
        }
    }

    /// Does what there is to do; ready when the connection is to end.
    pub(super) fn poll<S, H>(
        &mut self,
        ws: &mut WebSocket<S>,
        handler: &mut H,
        cx: &mut Context<'_>,
    ) -> Poll<Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        handler.register(cx);
        ws.register(cx);
        let now = Timestamp(chassis::clock::now());
        if handler
            .poll_timeout()
            .is_some_and(|deadline| deadline <= now)
        {
            handler.handle_timeout(now);
        }
        let read = match self.exchange(ws, handler, now) {
            Ok(read) => read,
            Err(ended) => return Poll::Ready(ended),
        };
        match self.flush(ws, handler, now) {
            Poll::Ready(Err(())) => return Poll::Ready(Ended::Broken),
            Poll::Ready(Ok(())) => self.blocked = None,
            Poll::Pending => {
                if self.is_stalled(ws.socket(), now) {
                    return Poll::Ready(Ended::ByUs(CloseCode::SlowConsumer));
                }
            }
        }
        if let Some(code) = handler.poll_close() {
            return Poll::Ready(Ended::ByUs(code));
        }
        match read {
            Read::Budget => cx.waker().wake_by_ref(),
            Read::Dry => self.poll_sleep(handler, now, cx),
        }
        Poll::Pending
    }

    /// Reads what is there, up to the budget. What is owed for one message goes into the write
    /// buffer before the next is read: a close is answered by tungstenite itself, at once, and
    /// nothing can be sent behind that answer.
    fn exchange<S, H>(
        &mut self,
        ws: &mut WebSocket<S>,
        handler: &mut H,
        now: Timestamp,
    ) -> Result<Read, Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        for _ in 0..READ_BUDGET {
            match self.fill(ws, handler, now) {
                Poll::Ready(Err(())) => return Err(Ended::Broken),
                Poll::Pending if !handler.reads_while_blocked() => return Ok(Read::Dry),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            let message = match ws.poll_next() {
                Poll::Pending => return Ok(Read::Dry),
                Poll::Ready(Ok(Message::Close(_))) => return Err(Ended::ByPeer),
                Poll::Ready(Err(error)) => return Err(ended_by(&error)),
                Poll::Ready(Ok(message)) => message,
            };
            let wire = ws.socket_mut().take_received();
            match message {
                Message::Ping(_) | Message::Pong(_) => handler.handle_alive(now, wire),
                message => handler.handle_message(now, message, wire),
            }
        }
        Ok(Read::Budget)
    }

    /// Moves what the handler owes into the write buffer. Pending while the socket takes no more:
    /// then the buffer holds one chunk and one fragment at most, and a pong.
    fn fill<S, H>(
        &mut self,
        ws: &mut WebSocket<S>,
        handler: &mut H,
        now: Timestamp,
    ) -> Poll<Result<(), ()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        loop {
            ready!(ws.poll_ready()).map_err(drop)?;
            if self.unflushed >= WRITE_CHUNK {
                ready!(ws.poll_flush()).map_err(drop)?;
                self.unflushed = 0;
            }
            let Some(message) = self.next_piece(handler, now) else {
                return Poll::Ready(Ok(()));
            };
            self.unflushed += message.len() + 4;
            ws.start_send(message).map_err(drop)?;
        }
    }

    /// Writes everything that the handler owes.
    fn flush<S, H>(
        &mut self,
        ws: &mut WebSocket<S>,
        handler: &mut H,
        now: Timestamp,
    ) -> Poll<Result<(), ()>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        H: Handler,
    {
        ready!(self.fill(ws, handler, now))?;
        if self.unflushed > 0 {
            ready!(ws.poll_flush()).map_err(drop)?;
            self.unflushed = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// The next message, or fragment of one that is larger than the write buffer should become.
    fn next_piece<H: Handler>(&mut self, handler: &mut H, now: Timestamp) -> Option<Message> {
        if !self.rest.is_empty() {
            return Some(self.fragment(Data::Continue));
        }
        let message = handler.poll_transmit(now)?;
        if message.len() <= WRITE_CHUNK {
            return Some(message);
        }
        let data = if message.is_text() {
            Data::Text
        } else {
            Data::Binary
        };
        self.rest = message.into_data();
        Some(self.fragment(data))
    }

    fn fragment(&mut self, data: Data) -> Message {
        let part = self.rest.split_to(self.rest.len().min(WRITE_CHUNK));
        let last = self.rest.is_empty();
        if last {
            self.rest = Bytes::new(); // an empty slice would keep the message
        }
        Message::Frame(Frame::message(part, OpCode::Data(data), last))
    }

    /// Whether the socket, which takes no more just now, has taken nothing for too long.
    fn is_stalled<S>(&mut self, socket: &Socket<S>, now: Timestamp) -> bool {
        let written = socket.written();
        let blocked = self
            .blocked
            .filter(|blocked| blocked.written == written)
            .unwrap_or(Blocked {
                since: now,
                written,
            });
        self.blocked = Some(blocked);
        now.since(blocked.since) >= self.write_stall
    }

    /// Arms the one timer for the nearest deadline. A timer that fires too early costs one
    /// wake-up; moving it for every message would cost more.
    fn poll_sleep<H: Handler>(&mut self, handler: &H, now: Timestamp, cx: &mut Context<'_>) {
        let stall = self.blocked.map(|blocked| blocked.since + self.write_stall);
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
