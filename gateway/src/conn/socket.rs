//! A client's socket, with the client's frames checked and the traffic counted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::check::{FrameCheck, Violation};

/// A socket that gives no byte past the one that breaks RFC 6455, and then the [`Violation`] as
/// an error.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    io: S,
    check: FrameCheck,
    received: usize,
    written: u64,
}

impl<S> Socket<S> {
    pub(super) fn new(io: S, check: FrameCheck) -> Self {
        Self {
            io,
            check,
            received: 0,
            written: 0,
        }
    }

    /// Bytes that came since this was asked last.
    pub(super) fn take_received(&mut self) -> usize {
        std::mem::take(&mut self.received)
    }

    /// Bytes that the socket took so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn into_io(self) -> S {
        self.io
    }
}

/// The violation in an error that a [`Socket`] gave.
pub(super) fn violation_in(error: &io::Error) -> Option<Violation> {
    error.get_ref()?.downcast_ref().copied()
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.check.violation().is_none() {
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
            let fresh = &buf.filled()[before..];
            this.received += fresh.len();
            let (good, all) = (this.check.accept(fresh), fresh.len());
            buf.set_filled(before + good);
            if good > 0 || all == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Ready(match this.check.violation() {
            Some(violation) => Err(io::Error::other(violation)),
            None => Ok(()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.written += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
