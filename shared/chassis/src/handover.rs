//! Hands listening sockets over to the process that replaces this one on the same host, so that
//! no connect is refused in between: the sockets are the same ones before, during and after.
//!
//! ```text
//! successor                                    predecessor
//!   | connects to the control socket ------------> |   both of one user
//!   | <------------------- names, and the sockets  |   SCM_RIGHTS (unix(7))
//!   | accepts connections on them                  |   still accepts, too
//!   | READY -------------------------------------> |   within its patience, else it goes on
//!   | <-------------------------------------- DONE |   accepts no more, and drains
//!   | offers the sockets at the same path          |
//! ```
//! Whoever goes away in the middle leaves the other one as it was.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::backoff::Backoff;
use crate::telemetry::Chain;

/// Most sockets that are handed over.
pub const MAX_SOCKETS: usize = 8;

/// First line of what comes with the sockets. A later release that says something else is not
/// understood, and its predecessor goes on.
const HEADER: &str = "handover 1";

/// Longest message with the names.
const MAX_NAMES: usize = 512;

const READY: [u8; 6] = *b"READY\n";
const DONE: [u8; 5] = *b"DONE\n";

/// Longest that one step of the conversation may take, other than getting ready.
const STEP: Duration = Duration::from_secs(5);

/// Why sockets were not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The control socket cannot be made.
    #[error("cannot offer sockets at {}", path.display())]
    Offer {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There are more sockets than one message carries.
    #[error("{0} sockets are more than {MAX_SOCKETS}")]
    TooMany(usize),
    /// The other process cannot be talked to.
    #[error("talking to the other process failed")]
    Talk(#[source] io::Error),
    /// It did not do its part in time.
    #[error("the other process does not answer in time")]
    Silent,
    /// It is another user's.
    #[error("the other process is of user {0}")]
    Stranger(u32),
    /// It says something that this release does not know.
    #[error("the other process does not speak as this one does")]
    Unknown,
}

/// Sockets that a successor can have.
#[derive(Debug)]
pub struct Offer {
    control: UnixListener,
    names: String,
    sockets: Vec<OwnedFd>,
    patience: Duration,
}

/// Sockets that a predecessor gave.
#[derive(Debug)]
pub struct Inherited {
    conversation: UnixStream,
    sockets: BTreeMap<String, OwnedFd>,
}

impl Offer {
    /// Offers `sockets`, by name, at `path`, in place of whoever offered any there before. A
    /// successor has `patience` to become ready.
    ///
    /// The sockets stay open while they are offered: drop this when they are to be closed.
    ///
    /// # Errors
    /// [`HandoverError::Offer`], [`HandoverError::TooMany`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        path: &Path,
        sockets: Vec<(String, OwnedFd)>,
        patience: Duration,
    ) -> Result<Self, HandoverError> {
        if sockets.len() > MAX_SOCKETS {
            return Err(HandoverError::TooMany(sockets.len()));
        }
        let control = listen_at(path).map_err(|source| HandoverError::Offer {
            path: path.to_path_buf(),
            source,
        })?;
        let (names, sockets): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
        Ok(Self {
            control,
            names: format!("{HEADER}\n{}\n", names.join("\n")),
            sockets,
            patience,
        })
    }

    /// Waits until a successor has taken over: it accepts, and this process is to stop. One that
    /// fails is logged, and the wait goes on. Cancel safe.
    pub async fn taken(&self) {
        loop {
            let conversation = match self.control.accept().await {
                Ok((conversation, _)) => conversation,
                Err(error) => {
                    tracing::error!(%error, "no successor can come");
                    return std::future::pending().await;
                }
            };
            match self.hand_over(conversation).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "no successor yet: this process goes on");
                }
            }
        }
    }

    async fn hand_over(&self, mut conversation: UnixStream) -> Result<(), HandoverError> {
        let peer = conversation.peer_cred().map_err(HandoverError::Talk)?;
        if peer.uid() != rustix::process::geteuid().as_raw() {
            return Err(HandoverError::Stranger(peer.uid()));
        }
        tracing::info!(successor = peer.pid(), "handing the sockets over");
        step(self.give(&conversation)).await?;
        let mut said = [0; READY.len()];
        let hearing = timeout(self.patience, conversation.read_exact(&mut said));
        match hearing.await {
            Err(_) => return Err(HandoverError::Silent),
            Ok(Err(error)) => return Err(HandoverError::Talk(error)),
            Ok(Ok(_)) if said != READY => return Err(HandoverError::Unknown),
            Ok(Ok(_)) => {}
        }
        step(conversation.write_all(&DONE)).await
    }

    async fn give(&self, conversation: &UnixStream) -> io::Result<()> {
        let sockets: Vec<BorrowedFd<'_>> = self.sockets.iter().map(AsFd::as_fd).collect();
        loop {
            conversation.writable().await?;
            let sent = conversation.try_io(Interest::WRITABLE, || {
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                let fits = control.push(SendAncillaryMessage::ScmRights(&sockets));
                debug_assert!(fits, "there is space for all");
                let names = [IoSlice::new(self.names.as_bytes())];
                Ok(sendmsg(
                    conversation,
                    &names,
                    &mut control,
                    SendFlags::NOSIGNAL,
                )?)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) if count < self.names.len() => {
                    return Err(io::Error::from(io::ErrorKind::WriteZero));
                }
                sent => return sent.map(drop),
            }
        }
    }
}

impl Inherited {
    /// Asks whoever offers sockets at `path` for them; `None` if nobody does.
    ///
    /// # Errors
    /// [`HandoverError`]; whoever offers them goes on.
    pub async fn take(path: &Path) -> Result<Option<Self>, HandoverError> {
        let deadline = Instant::now() + STEP;
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        loop {
            let Some(conversation) = connect(path).await? else {
                return Ok(None);
            };
            let taken = timeout_at(deadline, receive(&conversation)).await;
            match taken.map_err(|_| HandoverError::Silent)? {
                Ok(sockets) => {
                    return Ok(Some(Self {
                        conversation,
                        sockets,
                    }));
                }
                // One that has just handed over to another one: that offers them soon.
                Err(HandoverError::Talk(error))
                    if error.kind() == io::ErrorKind::UnexpectedEof
                        && Instant::now() < deadline =>
                {
                    sleep(backoff.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket of that name, to accept on.
    ///
    /// # Errors
    /// What the predecessor gave is no listening socket.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn listener(&mut self, name: &str) -> io::Result<Option<TcpListener>> {
        let Some(socket) = self.sockets.remove(name) else {
            return Ok(None);
        };
        let listener = std::net::TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Some)
    }

    /// This process accepts: tells the predecessor to stop.
    ///
    /// # Errors
    /// [`HandoverError`]: the predecessor goes on, and this process should not.
    pub async fn take_over(mut self) -> Result<(), HandoverError> {
        step(self.conversation.write_all(&READY)).await?;
        let mut said = [0; DONE.len()];
        step(self.conversation.read_exact(&mut said)).await?;
        match said == DONE {
            true => Ok(()),
            false => Err(HandoverError::Unknown),
        }
    }
}

/// Listens at `path`, which belongs to this process from then on, for its own user alone.
fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let mut own = path.as_os_str().to_owned();
    own.push(format!(".{}", std::process::id()));
    let own = PathBuf::from(own);
    match std::fs::remove_file(&own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let control = UnixListener::bind(&own)?;
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&own, path)?;
    Ok(control)
}

async fn connect(path: &Path) -> Result<Option<UnixStream>, HandoverError> {
    use io::ErrorKind::{ConnectionRefused, NotFound};
    match timeout(STEP, UnixStream::connect(path)).await {
        Err(_) => Err(HandoverError::Silent),
        Ok(Ok(conversation)) => Ok(Some(conversation)),
        // What a process that ended has left behind answers nobody.
        Ok(Err(error)) if matches!(error.kind(), NotFound | ConnectionRefused) => Ok(None),
        Ok(Err(error)) => Err(HandoverError::Talk(error)),
    }
}

async fn receive(conversation: &UnixStream) -> Result<BTreeMap<String, OwnedFd>, HandoverError> {
    loop {
        conversation.readable().await.map_err(HandoverError::Talk)?;
        let received = conversation.try_io(Interest::READABLE, || Ok(receive_now(conversation)?));
        let (text, sockets) = match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            received => received.map_err(HandoverError::Talk)?,
        };
        if text.is_empty() {
            let ended = io::Error::from(io::ErrorKind::UnexpectedEof);
            return Err(HandoverError::Talk(ended));
        }
        let text = String::from_utf8(text).map_err(|_| HandoverError::Unknown)?;
        let mut lines = text.lines();
        if lines.next() != Some(HEADER) || lines.clone().count() != sockets.len() {
            return Err(HandoverError::Unknown);
        }
        return Ok(lines.map(str::to_owned).zip(sockets).collect());
    }
}

fn receive_now(conversation: &UnixStream) -> rustix::io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut text = vec![0; MAX_NAMES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        conversation,
        &mut [IoSliceMut::new(&mut text)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    text.truncate(received.bytes);
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            sockets.extend(rights);
        }
    }
    Ok((text, sockets))
}

async fn step<T>(work: impl Future<Output = io::Result<T>>) -> Result<(), HandoverError> {
    match timeout(STEP, work).await {
        Err(_) => Err(HandoverError::Silent),
        Ok(done) => done.map(drop).map_err(HandoverError::Talk),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpStream;

    use super::*;
    use crate::listen::{ListenOptions, bind};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn socket() -> (TcpListener, SocketAddr) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = bind(any, &ListenOptions::default()).expect("a port");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    fn offer(path: &Path, listener: &TcpListener, patience: Duration) -> Offer {
        let socket = listener.as_fd().try_clone_to_owned().expect("a file");
        let sockets = vec![("public".to_owned(), socket)];
        Offer::open(path, sockets, patience).expect("an offer")
    }

    #[tokio::test]
    async fn a_successor_accepts_on_the_same_socket_and_the_predecessor_stops() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let (listener, address) = socket();
        let offer = offer(&path, &listener, PATIENCE);
        let successor = async {
            let taken = Inherited::take(&path).await.expect("an answer");
            let mut inherited = taken.expect("an offer");
            let listener = inherited.listener("public").expect("a listener");
            assert!(inherited.listener("private").expect("none").is_none());
            inherited.take_over().await.expect("done");
            listener.expect("a socket")
        };
        let ((), successor) = tokio::join!(offer.taken(), successor);
        drop((offer, listener));
        let (connected, accepted) = tokio::join!(TcpStream::connect(address), successor.accept());
        assert!(connected.is_ok() && accepted.is_ok());
    }

    #[tokio::test]
    async fn where_nobody_offers_anything_there_is_nothing_to_take() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        assert!(Inherited::take(&path).await.expect("an answer").is_none());
        let (listener, _) = socket();
        drop(offer(&path, &listener, PATIENCE));
        assert!(path.exists(), "left behind");
        assert!(Inherited::take(&path).await.expect("an answer").is_none());
    }

    #[tokio::test]
    async fn a_successor_that_fails_leaves_the_predecessor_to_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let (listener, _) = socket();
        let offer = offer(&path, &listener, Duration::from_millis(50));
        let take = async || {
            let taken = Inherited::take(&path).await.expect("an answer");
            taken.expect("an offer")
        };
        let successors = async {
            drop(take().await);
            // One that says nothing within the patience finds that it is too late.
            let late = take().await;
            let next = take().await;
            assert!(late.take_over().await.is_err());
            next.take_over().await
        };
        let ((), done) = tokio::join!(offer.taken(), successors);
        assert!(done.is_ok(), "{done:?}");
    }

    #[tokio::test]
    async fn a_later_offer_takes_the_place_of_an_earlier_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control");
        let ((first, _), (second, second_address)) = (socket(), socket());
        let earlier = offer(&path, &first, PATIENCE);
        let later = offer(&path, &second, PATIENCE);
        let successor = async {
            let mut inherited = Inherited::take(&path).await.unwrap().unwrap();
            let listener = inherited.listener("public").unwrap().unwrap();
            inherited.take_over().await.unwrap();
            listener.local_addr().unwrap()
        };
        let ((), address) = tokio::join!(later.taken(), successor);
        assert_eq!(address, second_address);
        drop(earlier);
    }
}
