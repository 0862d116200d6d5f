//! A WebSocket to a gateway.

use std::io;
use std::net::IpAddr;

use protocol::SUBPROTOCOL;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::address::Address;

/// A client of which there may be thousands in one process keeps its buffers small.
const BUFFER: usize = 4 * 1024;

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// Connects; the caller sets the deadline.
pub(crate) async fn connect(address: Address, local: Option<IpAddr>) -> Result<Socket, Error> {
    let stream = match local {
        Some(local) => connect_from(local, &address.authority()).await?,
        None => TcpStream::connect(address.authority()).await?,
    };
    stream.set_nodelay(true)?;
    let mut request = format!("ws://{}/v1/ws", address.authority()).into_client_request()?;
    let subprotocol = http::HeaderValue::from_static(SUBPROTOCOL);
    request
        .headers_mut()
        .insert(http::header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(64 * BUFFER)
        .max_message_size(Some(1024 * 1024));
    let (socket, response) =
        tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
    let agreed = response.headers().get(http::header::SEC_WEBSOCKET_PROTOCOL);
    if agreed.is_none_or(|agreed| agreed != SUBPROTOCOL) {
        let text = "the server does not speak the subprotocol";
        return Err(Error::Io(io::Error::new(io::ErrorKind::InvalidData, text)));
    }
    Ok(socket)
}

/// The first address of the host that can be reached from `local`.
async fn connect_from(local: IpAddr, authority: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "the host has no address of the family of the local one",
    );
    let found = lookup_host(authority).await?;
    for remote in found.filter(|remote| remote.is_ipv4() == local.is_ipv4()) {
        let socket = match local {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind((local, 0).into())?;
        match socket.connect(remote).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
