//! WebSocket by hand, as little of RFC 6455 as a benchmark needs: heads of handshakes, whole
//! frames of up to 64 KiB, one at a time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// Opcodes.
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;

/// Any key will do, but zero: masking with it would be no work.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What ends the head of a request or response.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Source addresses, from 127.0.0.2, and ports of each, below those that the kernel gives away.
const ADDRESSES: usize = 50;
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 20_000;

/// A frame within received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameAt {
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    /// Where the payload begins, and where it ends.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A request for a WebSocket at `path`, with the headers that the RFC asks for and no others.
pub(crate) fn request(path: &str, subprotocol: Option<&str>) -> Vec<u8> {
    let subprotocol = subprotocol.map_or(String::new(), |name| {
        format!("Sec-WebSocket-Protocol: {name}\r\n")
    });
    let text = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{subprotocol}\r\n"
    );
    text.into_bytes()
}

/// Where the head ends, if all of it is there.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes
        .windows(HEAD_END.len())
        .position(|window| window == HEAD_END)?;
    Some(at + HEAD_END.len())
}

/// Whether a response head switches protocols.
pub(crate) fn is_switched(head: &[u8]) -> bool {
    head.starts_with(b"HTTP/1.1 101 ")
}

/// A whole frame as a client sends it.
pub(crate) fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 8);
    head(opcode, 0x80, payload.len(), &mut frame);
    frame.extend_from_slice(&MASK);
    let start = frame.len();
    frame.extend_from_slice(payload);
    apply(MASK, &mut frame[start..]);
    frame
}

/// Appends a whole frame as a server sends it.
pub(crate) fn unmasked(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    head(opcode, 0, payload.len(), out);
    out.extend_from_slice(payload);
}

/// The first frame of `bytes`, if all of it is there.
pub(crate) fn first_frame(bytes: &[u8]) -> Option<FrameAt> {
    let (opcode, short) = (bytes.first()? & 0x0f, bytes.get(1)? & 0x7f);
    let (len, mut start) = match short {
        126 => (
            usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])),
            4,
        ),
        short => (usize::from(short), 2),
    };
    let mut mask = None;
    if bytes[1] & 0x80 != 0 {
        mask = Some(bytes.get(start..start + 4)?.try_into().ok()?);
        start += 4;
    }
    let end = start + len;
    (bytes.len() >= end).then_some(FrameAt {
        opcode,
        mask,
        start,
        end,
    })
}

/// Masks or unmasks.
pub(crate) fn apply(mask: [u8; 4], payload: &mut [u8]) {
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[index % 4];
    }
}

/// Connects from source addresses and ports of its own choosing: the kernel's search for a free
/// port takes longer than the handshake when thousands have just been closed.
#[derive(Debug, Default)]
pub(crate) struct Dialer {
    dialled: usize,
}

impl Dialer {
    /// Connects. A pair of address and port comes back after a million connections.
    pub(crate) fn connect(&mut self, target: SocketAddr) -> io::Result<TcpStream> {
        loop {
            let source = self.next_source();
            let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
            socket.set_reuse_address(true)?; // of a connection in TIME_WAIT
            match socket.bind(&source.into()) {
                // Somebody listens on that port on all addresses.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                bound => bound?,
            }
            socket.connect(&target.into())?;
            socket.set_tcp_nodelay(true)?;
            return Ok(socket.into());
        }
    }

    fn next_source(&mut self) -> SocketAddr {
        let number = self.dialled;
        self.dialled += 1;
        let address = Ipv4Addr::new(127, 0, 0, 2 + (number % ADDRESSES) as u8);
        let port = FIRST_PORT + (number / ADDRESSES % usize::from(PORTS)) as u16;
        SocketAddr::new(IpAddr::V4(address), port)
    }
}

fn head(opcode: u8, mask_bit: u8, len: usize, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match u8::try_from(len) {
        Ok(short) if short < 126 => out.push(mask_bit | short),
        _ => {
            let len = u16::try_from(len).expect("frames of a benchmark are short");
            out.push(mask_bit | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_both_ends_are_found_and_unmasked() {
        for len in [0, 5, 125, 126, 3_000] {
            let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut bytes = masked(BINARY, &payload);
            assert_eq!(first_frame(&bytes[..bytes.len() - 1]), None);
            let frame = first_frame(&bytes).expect("whole");
            assert_eq!((frame.opcode, frame.end), (BINARY, bytes.len()));
            apply(
                frame.mask.expect("masked"),
                &mut bytes[frame.start..frame.end],
            );
            assert_eq!(&bytes[frame.start..], payload);

            let mut bytes = Vec::new();
            unmasked(TEXT, &payload, &mut bytes);
            let frame = first_frame(&bytes).expect("whole");
            assert_eq!((frame.opcode, frame.mask), (TEXT, None));
            assert_eq!(&bytes[frame.start..frame.end], payload);
        }
    }

    #[test]
    fn a_head_ends_at_the_empty_line() {
        let bytes = request("/v1/ws", None);
        assert_eq!(head_end(&bytes), Some(bytes.len()));
        assert_eq!(head_end(&bytes[..bytes.len() - 1]), None);
    }
}
