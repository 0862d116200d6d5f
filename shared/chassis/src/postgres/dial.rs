//! Connects to Postgres. Each connection is driven by a task of its own, which holds the limiter's
//! socket until Postgres has closed its end: only then does Postgres count one less.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_postgres::tls::{MakeTlsConnect, NoTls, TlsConnect};
use tokio_postgres::{Client, Connection};

use super::config::Login;
use super::limiter::{Seat, Socket};

/// Longest that reaching Postgres takes, and then logging in.
pub const CONNECT: Duration = Duration::from_secs(3);

/// Longest that a connection which is given up is still counted.
const CLOSE: Duration = Duration::from_secs(5);

/// A peer that vanished without a word is noticed after about half a minute.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No server there.
    #[error("cannot reach {address}")]
    Reach {
        /// Host and port.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something is there, and does not let us in.
    #[error("cannot log in to {address}")]
    Login {
        /// Host and port.
        address: String,
        /// What it said.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Something is there, and says nothing.
    #[error("{address} did not answer within {CONNECT:?}")]
    Silent {
        /// Host and port.
        address: String,
    },
    /// The pool shrank meanwhile.
    #[error("there are too many connections by now")]
    Displaced,
    /// The pool is gone, or has another login by now.
    #[error("the login was replaced")]
    Replaced,
}

/// A connection that is logged in.
pub(super) struct Dialled {
    pub(super) client: Client,
    pub(super) seat: Seat,
    /// Told when a statement is given up: the task cancels it.
    pub(super) given_up: Arc<Notify>,
}

/// Connects. The attempt goes on if this is dropped, and what it made is closed again.
pub(super) async fn dial(login: Arc<Login>, socket: Socket) -> Result<Dialled, DialError> {
    let seat = socket.seat();
    let given_up = Arc::new(Notify::new());
    let (ready, outcome) = oneshot::channel();
    let told = Arc::clone(&given_up);
    tokio::spawn(async move {
        match login.tls.clone() {
            None => drive(&login, || Some(NoTls), socket, ready, &told).await,
            Some(mut tls) => {
                let host = login.host.clone();
                let make = move || MakeTlsConnect::<Wire>::make_tls_connect(&mut tls, &host).ok();
                drive(&login, make, socket, ready, &told).await;
            }
        }
    });
    let client = outcome.await.map_err(|_| DialError::Replaced)??;
    Ok(Dialled {
        client,
        seat,
        given_up,
    })
}

async fn drive<T>(
    login: &Login,
    mut tls: impl FnMut() -> Option<T>,
    socket: Socket,
    ready: oneshot::Sender<Result<Client, DialError>>,
    given_up: &Notify,
) where
    T: TlsConnect<Wire>,
{
    let (wire, returned) = match reach(login).await {
        Ok(stream) => Wire::new(stream),
        Err(error) => {
            drop(socket);
            let _ = ready.send(Err(error));
            return;
        }
    };
    let address = || address(login);
    let seat = socket.seat();
    let opened = match tls() {
        Some(tls) => {
            // Logging in takes a while at a busy server, and a pool that shrinks need not wait.
            let opening = timeout(CONNECT, login.config.connect_raw(wire, tls));
            tokio::select! {
                opened = opening => Some(opened),
                () = seat.displaced() => None,
            }
        }
        None => {
            let source = io::Error::new(io::ErrorKind::InvalidInput, "its name is not for TLS");
            let address = address();
            let _ = ready.send(Err(DialError::Reach { address, source }));
            return;
        }
    };
    match opened {
        None => {
            let _ = ready.send(Err(DialError::Displaced));
        }
        Some(Ok(Ok((client, connection)))) => {
            let cancel = client.cancel_token();
            // Without a receiver the client is dropped here, and that ends the connection.
            let _ = ready.send(Ok(client));
            let cancelled = async {
                given_up.notified().await;
                if let (Ok(stream), Some(tls)) = (reach(login).await, tls()) {
                    let asked = cancel.cancel_query_raw(Wire::new(stream).0, tls);
                    let _ = timeout(CONNECT, asked).await;
                }
            };
            attend(connection, cancelled).await;
        }
        Some(Ok(Err(source))) => {
            let address = address();
            let _ = ready.send(Err(DialError::Login { address, source }));
        }
        Some(Err(_)) => {
            let address = address();
            let _ = ready.send(Err(DialError::Silent { address }));
        }
    }
    if let Ok(stream) = returned.await {
        let _ = timeout(CLOSE, until_closed(stream)).await;
    }
    drop(socket);
}

/// Runs the connection to its end; once its statement is given up, for [`CLOSE`] at most.
async fn attend<T>(connection: Connection<Wire, T>, cancelled: impl Future<Output = ()>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                tracing::debug!(error = %crate::telemetry::Chain(&error), "a connection to Postgres broke");
            }
        }
        () = cancelled => {
            let _ = timeout(CLOSE, connection).await;
        }
    }
}

async fn reach(login: &Login) -> Result<TcpStream, DialError> {
    let failed = |source| DialError::Reach {
        address: address(login),
        source,
    };
    let connecting = TcpStream::connect((login.host.as_str(), login.port));
    let stream = match timeout(CONNECT, connecting).await {
        Ok(connected) => connected.map_err(failed)?,
        Err(_) => {
            let address = address(login);
            return Err(DialError::Silent { address });
        }
    };
    stream.set_nodelay(true).map_err(failed)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(2);
    let options = SockRef::from(&stream);
    options.set_tcp_keepalive(&keepalive).map_err(failed)?;
    Ok(stream)
}

fn address(login: &Login) -> String {
    format!("{}:{}", login.host, login.port)
}

/// Reads until the other end is closed: a server process closes it when it is gone.
async fn until_closed(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut ignored = [0; 512];
    while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
}

/// A stream that comes back when its user drops it.
struct Wire {
    stream: Option<TcpStream>,
    back: Option<oneshot::Sender<TcpStream>>,
}

impl Wire {
    fn new(stream: TcpStream) -> (Self, oneshot::Receiver<TcpStream>) {
        let (back, returned) = oneshot::channel();
        let wire = Self {
            stream: Some(stream),
            back: Some(back),
        };
        (wire, returned)
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        let stream = self.get_mut().stream.as_mut();
        Pin::new(stream.expect("it is taken when this is dropped"))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            let _ = back.send(stream);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }
}
