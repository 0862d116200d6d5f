//! The reference: a WebSocket echo on an epoll loop, one thread, with nothing around it.
//!
//! Left out, and so not paid for: fragmented messages, UTF-8 checks, back-pressure (a peer that
//! does not read is dropped), limits, time-outs, metrics. What remains is what no server can do
//! without: the system calls, the handshake's hash, unmasking.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::net::{SocketFlags, accept_with};
use socket2::{Domain, Protocol, Socket, Type};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::poller::Poller;
use crate::wire::{self, BINARY, CLOSE, TEXT};

/// Token of the listener; connections have their index.
const LISTENER: usize = usize::MAX;

const BACKLOG: i32 = 4096;

/// One buffer for all connections: between two reads it is empty.
const READ: usize = 16 * 1024;

struct Peer {
    stream: TcpStream,
    upgraded: bool,
    /// What came of a frame or head that is not whole yet.
    held: Vec<u8>,
}

/// Serves until killed, and says where on standard output.
pub(crate) fn serve() -> io::Result<()> {
    let listener = listen()?;
    println!("bare epoll at http://{}", listener.local_addr()?);
    let mut poller = Poller::new()?;
    poller.add(&listener, LISTENER)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let (mut ready, mut buffer, mut out) = (Vec::new(), vec![0; READ], Vec::new());
    loop {
        poller.wait(None, &mut ready)?;
        for &token in &ready {
            if token == LISTENER {
                accept(&listener, &poller, &mut peers, &mut free)?;
            } else if let Some(peer) = &mut peers[token]
                && peer.turn(&mut buffer, &mut out).is_err()
            {
                peers[token] = None; // closes it
                free.push(token);
            }
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::IPV4,
        Type::STREAM.cloexec().nonblocking(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?; // inherited by what it accepts
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn accept(
    listener: &TcpListener,
    poller: &Poller,
    peers: &mut Vec<Option<Peer>>,
    free: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => socket,
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(rustix::io::Errno::CONNABORTED) => continue,
            Err(error) => return Err(error.into()),
        };
        let token = free.pop().unwrap_or_else(|| {
            peers.push(None);
            peers.len() - 1
        });
        let stream = TcpStream::from(socket);
        poller.add(&stream, token)?;
        peers[token] = Some(Peer {
            stream,
            upgraded: false,
            held: Vec::new(),
        });
    }
}

impl Peer {
    /// Reads once, and writes all that follows from it at once. An error ends the connection.
    fn turn(&mut self, buffer: &mut [u8], out: &mut Vec<u8>) -> io::Result<()> {
        let count = self.stream.read(buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.clear();
        let closing = if self.held.is_empty() {
            let (used, closing) = self.take(&mut buffer[..count], out);
            self.held.extend_from_slice(&buffer[used..count]);
            closing
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(&buffer[..count]);
            let (used, closing) = self.take(&mut held, out);
            held.drain(..used);
            self.held = held;
            closing
        };
        if !out.is_empty() && self.stream.write(out)? < out.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if closing {
            Err(io::ErrorKind::ConnectionAborted.into())
        } else {
            Ok(())
        }
    }

    /// Answers all that is whole. Gives how many bytes that was, and whether the peer closes.
    fn take(&mut self, bytes: &mut [u8], out: &mut Vec<u8>) -> (usize, bool) {
        let mut used = 0;
        if !self.upgraded {
            let Some(end) = wire::head_end(bytes) else {
                return (0, false);
            };
            let Some(key) = key(&bytes[..end]) else {
                return (end, true);
            };
            let accept = derive_accept_key(key);
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\nSec-WebSocket-Accept: ";
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(accept.as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
            self.upgraded = true;
            used = end;
        }
        while let Some(frame) = wire::first_frame(&bytes[used..]) {
            let payload = &mut bytes[used + frame.start..used + frame.end];
            if let Some(mask) = frame.mask {
                wire::apply(mask, payload);
            }
            used += frame.end;
            match frame.opcode {
                TEXT | BINARY => wire::unmasked(frame.opcode, payload, out),
                CLOSE => {
                    wire::unmasked(CLOSE, payload, out);
                    return (used, true);
                }
                _ => return (used, true),
            }
        }
        (used, false)
    }
}

fn key(head: &[u8]) -> Option<&[u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(b"Sec-WebSocket-Key:".len())?;
        name.eq_ignore_ascii_case(b"Sec-WebSocket-Key:")
            .then(|| value.trim_ascii())
    })
}
