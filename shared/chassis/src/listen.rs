//! Sockets with the options that long-lived connections need.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;

use crate::config::duration;

/// How to listen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenOptions {
    /// Connections that the kernel completes while nobody accepts; it drops further SYNs, and
    /// clients retry after a second. The kernel caps it at `net.core.somaxconn`.
    pub backlog: u32,
    /// An IPv6 address takes no IPv4 connections. If off, they arrive as `::ffff:a.b.c.d`: use
    /// `IpAddr::to_canonical` before counting by address.
    pub v6only: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            v6only: false,
        }
    }
}

/// How to treat an accepted or opened connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SocketOptions {
    /// Send small writes at once. Writers batch by themselves.
    pub nodelay: bool,
    /// Silence before the kernel asks whether the peer is there. 30 s is below the shortest
    /// idle time-out of the NATs in common use.
    #[serde(with = "duration")]
    pub keepalive_time: Duration,
    /// Between two such questions.
    #[serde(with = "duration")]
    pub keepalive_interval: Duration,
    /// How many may go unanswered before the connection counts as dead.
    pub keepalive_retries: u32,
    /// How long sent data may go unacknowledged before the connection counts as dead
    /// (`TCP_USER_TIMEOUT`, Linux only). While it is set the kernel judges unanswered
    /// keepalives by it too, in place of the count of retries.
    #[serde(with = "duration")]
    pub user_timeout: Duration,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive_time: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(10),
            keepalive_retries: 3,
            user_timeout: Duration::from_secs(30),
        }
    }
}

/// Listens on `address`. A port that the last run left in TIME_WAIT can be taken again at once.
///
/// # Errors
/// The text names the address and, for a port that is taken or not permitted, the remedy.
///
/// # Panics
/// Outside a tokio runtime.
pub fn bind(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    open(address, options).map_err(|error| explain(address, &error))
}

/// Sets the options of one connection, or those that a listener's connections inherit: six
/// system calls once, and not for each connection. Calls nothing that blocks.
///
/// # Errors
/// The kernel refused one of them, for instance because the peer is already gone.
pub fn tune(socket: &impl AsFd, options: &SocketOptions) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(options.nodelay)?;
    let keepalive = TcpKeepalive::new()
        .with_time(options.keepalive_time)
        .with_interval(options.keepalive_interval)
        .with_retries(options.keepalive_retries);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(options.user_timeout))?;
    Ok(())
}

fn open(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(options.v6only)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}

fn explain(address: SocketAddr, error: &io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another process has that port: stop it, or configure another port (0 takes any)"
        }
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need CAP_NET_BIND_SERVICE: configure a higher port"
        }
        _ => "",
    };
    let text = format!("cannot listen on {address}: {error}{remedy}");
    io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_remedy() {
        let first = bind(any_port(), &ListenOptions::default()).expect("any port");
        let address = first.local_addr().expect("address");
        let error = bind(address, &ListenOptions::default()).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let text = error.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("another port"), "{text}");
    }

    #[tokio::test]
    async fn connections_inherit_the_options_of_a_tuned_listener() {
        let listener = bind(any_port(), &ListenOptions::default()).expect("any port");
        let options = SocketOptions::default();
        tune(&listener, &options).expect("tune");
        let address = listener.local_addr().expect("address");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (_client, (accepted, _)) = (client.expect("connect"), accepted.expect("accept"));
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().expect("nodelay"));
        assert!(socket.keepalive().expect("keepalive"));
        #[cfg(target_os = "linux")]
        {
            let time = socket.tcp_keepalive_time().expect("keepalive time");
            assert_eq!(time, options.keepalive_time);
            let interval = socket.tcp_keepalive_interval().expect("keepalive interval");
            assert_eq!(interval, options.keepalive_interval);
            let timeout = socket.tcp_user_timeout().expect("user timeout");
            assert_eq!(timeout, Some(options.user_timeout));
        }
    }
}
