//! A client's socket as the WebSocket above sees it: one that would block rather than wait, with
//! the client's frames checked and the traffic counted.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::check::{FrameCheck, Violation};

/// Most that is read with one system call.
const READ: usize = 4 * 1024;

thread_local! {
    /// What every socket of a thread reads into first: it stays in the processor's cache, and no
    /// connection keeps memory for what might come.
    static SHARED: RefCell<[u8; READ]> = const { RefCell::new([0; READ]) };
}

/// A socket that gives no byte past the one that breaks RFC 6455, and then the [`Violation`] as
/// an error.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    io: S,
    /// Of the one task that reads and writes.
    waker: Waker,
    check: FrameCheck,
    /// What came in one piece with more than the parser asked for: at most [`READ`], and nothing
    /// is allocated while it is empty.
    ahead: Bytes,
    received: usize,
    written: u64,
}

impl<S> Socket<S> {
    pub(super) fn new(io: S, check: FrameCheck) -> Self {
        Self {
            io,
            waker: Waker::noop().clone(),
            check,
            ahead: Bytes::new(),
            received: 0,
            written: 0,
        }
    }

    /// Has the task of `cx` woken when the socket can go on.
    pub(super) fn register(&mut self, cx: &Context<'_>) {
        self.waker.clone_from(cx.waker());
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

impl<S: AsyncRead + Unpin> Socket<S> {
    /// Reads what there is, gives what fits into `target`, and keeps the rest for later.
    fn read_fresh(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if let Some(violation) = self.check.violation() {
            return Err(io::Error::other(violation));
        }
        SHARED.with_borrow_mut(|shared| {
            let mut fresh = ReadBuf::new(shared);
            let mut cx = Context::from_waker(&self.waker);
            now(Pin::new(&mut self.io).poll_read(&mut cx, &mut fresh))?;
            let good = self.check.accept(fresh.filled());
            if let (0, Some(violation)) = (good, self.check.violation()) {
                return Err(io::Error::other(violation));
            }
            let (given, ahead) = fresh.filled()[..good].split_at(good.min(target.len()));
            target[..given.len()].copy_from_slice(given);
            if !ahead.is_empty() {
                self.ahead = Bytes::copy_from_slice(ahead);
            }
            Ok(given.len())
        })
    }

    fn read_ahead(&mut self, target: &mut [u8]) -> usize {
        let count = self.ahead.len().min(target.len());
        self.ahead.copy_to_slice(&mut target[..count]);
        if self.ahead.is_empty() {
            self.ahead = Bytes::new(); // an empty slice would keep the piece
        }
        count
    }
}

impl<S: AsyncRead + Unpin> Read for Socket<S> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let count = if self.ahead.is_empty() {
            self.read_fresh(target)?
        } else {
            self.read_ahead(target)
        };
        self.received += count;
        Ok(count)
    }
}

impl<S: AsyncWrite + Unpin> Write for Socket<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut cx = Context::from_waker(&self.waker);
        let count = now(Pin::new(&mut self.io).poll_write(&mut cx, bytes))?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut cx = Context::from_waker(&self.waker);
        now(Pin::new(&mut self.io).poll_flush(&mut cx))
    }
}

/// What cannot be done now would block; the waker has been registered.
fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn socket(limit: usize) -> (DuplexStream, Socket<DuplexStream>) {
        let (client, ours) = duplex(64 * 1024);
        (client, Socket::new(ours, FrameCheck::new(limit)))
    }

    #[tokio::test]
    async fn what_the_parser_did_not_ask_for_yet_comes_next_and_in_order() {
        let (mut client, mut socket) = socket(10_000);
        let mut frame = vec![0x82, 0xfe, 0x17, 0x70, 0, 0, 0, 0]; // 6,000 bytes
        frame.extend((0..6_000).map(|index| index as u8));
        client.write_all(&frame).await.unwrap();
        let (mut got, mut target) = (Vec::new(), [0; 100]);
        while let Ok(count) = socket.read(&mut target) {
            got.extend_from_slice(&target[..count]);
        }
        assert_eq!(got, frame);
        assert_eq!(socket.take_received(), frame.len());
        assert!(socket.ahead.is_empty());
    }

    #[tokio::test]
    async fn good_bytes_come_before_the_violation_behind_them() {
        let (mut client, mut socket) = socket(10_000);
        let bytes = [0x82, 0x82, 0, 0, 0, 0, 7, 8, 0xff, 0xff];
        client.write_all(&bytes).await.unwrap();
        let mut target = [0; 5];
        assert_eq!(socket.read(&mut target).unwrap(), 5);
        assert_eq!(socket.read(&mut target).unwrap(), 3);
        let error = socket.read(&mut target).unwrap_err();
        assert!(matches!(violation_in(&error), Some(Violation::Protocol(_))));
    }

    #[tokio::test]
    async fn a_socket_with_nothing_to_give_would_block_and_then_ends() {
        let (client, mut socket) = socket(10_000);
        let error = socket.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(client);
        assert_eq!(socket.read(&mut [0; 8]).unwrap(), 0);
    }
}
