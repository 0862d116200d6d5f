//! How services reach each other: gRPC over TCP, or over memory inside one process. Both carry
//! the same HTTP/2, so there is one code path above.
//!
//! A name is resolved by the process's [`Resolver`], if one is given: each address of it has a
//! channel of its own, and only addresses that answered a probe are used. Without one the system
//! resolves names, at each connect.

mod named;
mod names;
mod set;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chassis::resolve::Resolver;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::transport::{Channel, Endpoint as TonicEndpoint};

pub use named::Named;
pub use names::Names;
pub use set::EndpointSet;

/// Bytes that each direction of an in-memory connection buffers.
const MEMORY_BUFFER: usize = 256 * 1024;

/// In-memory connections that may wait to be accepted.
const MEMORY_BACKLOG: usize = 64;

/// Largest gRPC message: a batch for a full node of players.
pub const MAX_RPC_MESSAGE: usize = 16 * 1024 * 1024;

/// Where a service can be reached.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// `http://host:port`.
    Tcp(Arc<str>),
    /// `http://host:port` or `http://_service._tcp.domain`, whose addresses are followed. Made by
    /// [`Endpoint::resolved_by`].
    Named(Named),
    /// A service in this process.
    Memory(MemoryConnector),
}

/// Why a service cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is no URI.
    #[error("{0:?} is not an address; it should look like http://host:port")]
    Address(Arc<str>),
    /// Nothing within the deadline.
    #[error("no connection to {endpoint} within {deadline:?}")]
    Late {
        /// Where to.
        endpoint: String,
        /// How long it had.
        deadline: Duration,
    },
    /// No address of the name took a probe within the deadline, or there is none.
    #[error("no address of {endpoint} answers")]
    NoAddress {
        /// Where to.
        endpoint: String,
    },
    /// The connection failed, or was refused.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

impl Endpoint {
    /// An endpoint from its text form, `http://host:port`.
    pub fn tcp(address: &str) -> Self {
        Self::Tcp(address.into())
    }

    /// The same endpoint, with its host resolved by `resolver`, if it is a name. An address, a
    /// local name and what is in this process stay as they are.
    #[must_use]
    pub fn resolved_by(self, resolver: &Resolver) -> Self {
        let named = match &self {
            Self::Tcp(address) => Named::of(address, resolver),
            Self::Named(_) | Self::Memory(_) => None,
        };
        named.map_or(self, Self::Named)
    }

    /// Every place that this endpoint stands for: one for each healthy address of a name, or
    /// else itself.
    pub fn all(&self) -> EndpointSet {
        EndpointSet::of(self)
    }

    /// Connects within `deadline`; to one address of a name, another one after each failure.
    ///
    /// # Errors
    /// [`ConnectError`], with the address.
    pub async fn connect(&self, deadline: Duration) -> Result<Channel, ConnectError> {
        match self {
            Self::Tcp(address) => {
                let to = TonicEndpoint::from_shared(address.to_string())
                    .map_err(|_| ConnectError::Address(address.clone()))?;
                dial(to, address, deadline).await
            }
            Self::Named(named) => named.connect(deadline).await,
            Self::Memory(connector) => {
                let connector = connector.clone();
                TonicEndpoint::from_static("http://memory")
                    .connect_timeout(deadline)
                    .connect_with_connector(tower::service_fn(move |_| {
                        let connector = connector.clone();
                        async move { connector.connect().await.map(TokioIo::new) }
                    }))
                    .await
                    .map_err(|source| ConnectError::Connect {
                        endpoint: self.to_string(),
                        source,
                    })
            }
        }
    }
}

/// Connects to `to`, which errors call `endpoint`. The deadline is for all of it, not for the
/// socket alone.
async fn dial(
    to: TonicEndpoint,
    endpoint: &str,
    deadline: Duration,
) -> Result<Channel, ConnectError> {
    let to = to
        .connect_timeout(deadline)
        .tcp_nodelay(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(1 << 22);
    match timeout(deadline, to.connect()).await {
        Ok(connected) => connected.map_err(|source| ConnectError::Connect {
            endpoint: endpoint.to_owned(),
            source,
        }),
        Err(_) => Err(ConnectError::Late {
            endpoint: endpoint.to_owned(),
            deadline,
        }),
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Named(named) => f.write_str(named.address()),
            Self::Memory(_) => f.write_str("memory"),
        }
    }
}

/// Makes the two ends of an in-memory service.
pub fn memory() -> (MemoryConnector, MemoryIncoming) {
    let (sender, receiver) = mpsc::channel(MEMORY_BACKLOG);
    (MemoryConnector { sender }, MemoryIncoming { receiver })
}

/// The client's end of an in-memory service.
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    sender: mpsc::Sender<io::Result<DuplexStream>>,
}

impl MemoryConnector {
    /// Opens a connection.
    ///
    /// # Errors
    /// `ConnectionRefused` if the service is gone or does not accept.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(MEMORY_BUFFER);
        self.sender
            .try_send(Ok(theirs))
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(ours)
    }
}

/// The server's end of an in-memory service, for `serve_with_incoming`.
#[derive(Debug)]
pub struct MemoryIncoming {
    receiver: mpsc::Receiver<io::Result<DuplexStream>>,
}

impl Stream for MemoryIncoming {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(cx)
    }
}

/// Where a service listens.
#[derive(Debug)]
pub enum Incoming {
    /// On a bound TCP socket.
    Tcp(tokio::net::TcpListener),
    /// Inside this process.
    Memory(MemoryIncoming),
}

impl Incoming {
    /// Serves `routes` until `stop` completes, then lets calls under way end.
    ///
    /// # Errors
    /// What the transport reports.
    pub async fn serve(
        self,
        routes: tonic::service::Routes,
        stop: impl Future<Output = ()>,
    ) -> Result<(), tonic::transport::Error> {
        let router = tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(1 << 22)
            .add_routes(routes);
        match self {
            Self::Tcp(listener) => {
                let incoming =
                    tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
                router.serve_with_incoming_shutdown(incoming, stop).await
            }
            Self::Memory(incoming) => router.serve_with_incoming_shutdown(incoming, stop).await,
        }
    }
}
