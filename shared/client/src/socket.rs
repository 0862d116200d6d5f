//! A WebSocket to a gateway.

use std::io;

use protocol::SUBPROTOCOL;
use tokio::net::TcpStream;
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
pub(crate) async fn connect(address: Address) -> Result<Socket, Error> {
    let stream = TcpStream::connect(address.authority()).await?;
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
