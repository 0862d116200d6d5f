//! A WebSocket on an asynchronous socket that one task both reads and writes.
//!
//! tokio-tungstenite's own stream lets two tasks share a socket. For that it keeps two wakers, with
//! which every call registers anew. Here one task does both, and registers once a turn; what that
//! saves is in `docs/BENCHMARKS.md`.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite;
use tungstenite::error::{Error, Result};
use tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::socket::Socket;

/// The server's end of a WebSocket. Whatever would block gives `Pending`, and wakes the task that
/// was registered last.
pub(crate) struct WebSocket<S> {
    inner: tungstenite::WebSocket<Socket<S>>,
    /// The last message went into the write buffer, but that has to be flushed before the next.
    clogged: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// `early` is what came behind the request and has been checked.
    pub(super) fn new(socket: Socket<S>, early: Vec<u8>, config: WebSocketConfig) -> Self {
        let inner = if early.is_empty() {
            tungstenite::WebSocket::from_raw_socket(socket, Role::Server, Some(config))
        } else {
            tungstenite::WebSocket::from_partially_read(socket, early, Role::Server, Some(config))
        };
        Self {
            inner,
            clogged: false,
        }
    }

    /// Has the task of `cx` woken; to be called first thing in each of its turns.
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        self.inner.get_mut().register(cx);
    }

    /// The next message; pings have been answered. After an error there is no other.
    pub(super) fn poll_next(&mut self) -> Poll<Result<Message>> {
        unless_blocked(self.inner.read())
    }

    /// Whether another message may be sent.
    pub(super) fn poll_ready(&mut self) -> Poll<Result<()>> {
        if self.clogged {
            self.poll_flush()
        } else {
            Poll::Ready(Ok(()))
        }
    }

    /// Puts a message into the write buffer, once the WebSocket is ready for it.
    pub(super) fn start_send(&mut self, message: Message) -> Result<()> {
        match unless_blocked(self.inner.write(message)) {
            Poll::Ready(written) => written,
            Poll::Pending => {
                self.clogged = true; // the message is in the buffer all the same
                Ok(())
            }
        }
    }

    /// Writes the buffer out.
    pub(super) fn poll_flush(&mut self) -> Poll<Result<()>> {
        let flushed = unless_blocked(self.inner.flush());
        self.clogged &= flushed.is_pending();
        flushed.map(|flushed| match flushed {
            // It ended with what was flushed.
            Err(Error::ConnectionClosed) => Ok(()),
            other => other,
        })
    }

    /// Sends a close frame behind what is in the buffer; without one, the answer to the peer's.
    pub(super) async fn close(&mut self, mut frame: Option<CloseFrame>) -> Result<()> {
        poll_fn(|cx| {
            self.register(cx);
            if frame.is_some() {
                ready!(self.poll_ready())?;
                self.start_send(Message::Close(frame.take()))?;
            }
            self.poll_flush()
        })
        .await
    }

    pub(super) fn socket(&self) -> &Socket<S> {
        self.inner.get_ref()
    }

    pub(super) fn socket_mut(&mut self) -> &mut Socket<S> {
        self.inner.get_mut()
    }

    pub(super) fn into_socket(self) -> Socket<S> {
        self.inner.into_inner()
    }
}

fn unless_blocked<T>(result: Result<T>) -> Poll<Result<T>> {
    match result {
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
