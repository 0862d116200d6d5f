//! A WebSocket client that says exactly what a test wants, right or wrong. No WebSocket library:
//! what it sends and expects is written here from RFC 6455.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::web::{self, Response};

/// Longest that a test waits for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame to send.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) last: bool,
    pub(crate) reserved: u8,
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: Length,
    pub(crate) payload: Vec<u8>,
}

/// How the length of a frame is written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Length {
    /// As the RFC asks.
    Shortest,
    /// In two bytes, whatever it is.
    Two,
    /// In eight bytes, whatever it is.
    Eight,
    /// In eight bytes, and not the payload's.
    Declared(u64),
}

/// What came from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) last: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer has been taken.
    taken: usize,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            last: true,
            reserved: 0,
            opcode,
            mask: Some([0x37, 0xfa, 0x21, 0x3d]),
            length: Length::Shortest,
            payload: payload.into(),
        }
    }

    pub(crate) fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(TEXT, payload)
    }

    pub(crate) fn binary(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(BINARY, payload)
    }

    pub(crate) fn ping(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(PING, payload)
    }

    /// A close frame with a code and a reason.
    pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
    }

    /// The same, with more to follow.
    pub(crate) fn more(mut self) -> Self {
        self.last = false;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let first = u8::from(self.last) << 7 | self.reserved << 4 | self.opcode;
        let masked = u8::from(self.mask.is_some()) << 7;
        let len = self.payload.len() as u64;
        let mut bytes = vec![first];
        match (self.length, len) {
            (Length::Shortest, 0..=125) => bytes.push(masked | len as u8),
            (Length::Shortest, 126..=0xffff) | (Length::Two, _) => {
                bytes.push(masked | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            (Length::Shortest | Length::Eight, _) => {
                bytes.push(masked | 127);
                bytes.extend(len.to_be_bytes());
            }
            (Length::Declared(declared), _) => {
                bytes.push(masked | 127);
                bytes.extend(declared.to_be_bytes());
            }
        }
        let mask = self.mask.unwrap_or_default();
        bytes.extend(self.mask.iter().flatten());
        let payload = self.payload.iter().zip(mask.into_iter().cycle());
        bytes.extend(payload.map(|(byte, mask)| byte ^ mask));
        bytes
    }
}

/// The bytes of frames, one after the other.
pub(crate) fn bytes_of(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

impl Raw {
    /// A TCP connection, nothing more.
    pub(crate) async fn dial(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("connect"))
    }

    /// The same with a small receive buffer, so that not reading shows soon.
    pub(crate) async fn dial_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        Self::over(socket.connect(address).await.expect("connect"))
    }

    /// The same from another address of this machine.
    pub(crate) async fn dial_from(source: &str, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(SocketAddr::new(source.parse().unwrap(), 0))
            .unwrap();
        Self::over(socket.connect(address).await.expect("connect"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// A WebSocket at `path`.
    pub(crate) async fn open(address: SocketAddr, path: &str) -> Self {
        let mut raw = Self::dial(address).await;
        raw.upgrade(path).await;
        raw
    }

    /// The handshake, which must succeed.
    pub(crate) async fn upgrade(&mut self, path: &str) {
        self.send_bytes(web::handshake(path, &[]).as_bytes()).await;
        let response = self.response().await;
        assert_eq!(response.status, 101, "{response:?}");
    }

    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.send_bytes(&frame.bytes()).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        let sent = timeout(DEADLINE, self.stream.write_all(bytes)).await;
        sent.expect("the server takes it in time").expect("send");
    }

    /// Sends as much as the server takes. `false` once it has ended the connection.
    pub(crate) async fn push(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(DEADLINE, self.stream.write_all(bytes)).await;
        sent.expect("the server takes it, or ends the connection")
            .is_ok()
    }

    /// Sends in pieces, each of them a write of its own.
    pub(crate) async fn send_chopped(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send_bytes(piece).await;
            tokio::task::yield_now().await;
        }
    }

    /// The response to an HTTP request.
    pub(crate) async fn response(&mut self) -> Response {
        loop {
            if let Some((response, len)) = Response::parse(&self.buffer[self.taken..]) {
                self.taken += len;
                return response;
            }
            assert!(self.receive().await, "closed instead of a response");
        }
    }

    /// The next frame; `None` when the server has closed the connection in order.
    pub(crate) async fn frame(&mut self) -> Option<Got> {
        loop {
            if let Some(got) = self.parse() {
                return Some(got);
            }
            if !self.receive().await {
                assert_eq!(self.taken, self.buffer.len(), "closed within a frame");
                return None;
            }
        }
    }

    /// The next message, put together, with its opcode.
    pub(crate) async fn message(&mut self) -> (u8, Vec<u8>) {
        let (opcode, payload) = self.piece().await;
        assert!([TEXT, BINARY].contains(&opcode), "{opcode} {payload:?}");
        (opcode, payload)
    }

    /// The next message or control frame, put together.
    pub(crate) async fn piece(&mut self) -> (u8, Vec<u8>) {
        let mut got = self.frame().await.expect("a frame");
        let (opcode, mut payload) = (got.opcode, std::mem::take(&mut got.payload));
        while !got.last {
            got = self.frame().await.expect("the rest of a message");
            assert_eq!(got.opcode, CONTINUATION);
            payload.append(&mut got.payload);
        }
        (opcode, payload)
    }

    pub(crate) async fn expect_message(&mut self, opcode: u8, payload: &[u8]) {
        let (got, echoed) = self.message().await;
        assert_eq!((got, echoed.len()), (opcode, payload.len()));
        assert!(echoed == payload, "the message came back changed");
    }

    pub(crate) async fn expect_pong(&mut self, payload: &[u8]) {
        let got = self.frame().await.expect("a pong");
        assert_eq!((got.opcode, &got.payload[..]), (PONG, payload));
    }

    /// The server closes with `code` as the next thing that it says, and then ends the
    /// connection itself.
    pub(crate) async fn expect_close(&mut self, code: u16) -> String {
        let got = self.frame().await.expect("a close frame");
        assert_eq!(got.opcode, CLOSE, "{got:?}");
        let (head, reason) = got.payload.split_at_checked(2).expect("a code");
        let told = u16::from_be_bytes(head.try_into().unwrap());
        let reason = String::from_utf8(reason.to_vec()).expect("a reason in UTF-8");
        assert_eq!(told, code, "{reason}");
        self.expect_end().await;
        reason
    }

    pub(crate) async fn expect_end(&mut self) {
        assert_eq!(self.frame().await, None);
    }

    /// Waits until the connection is gone, however, and gives how much came until then.
    pub(crate) async fn drain(&mut self) -> usize {
        let mut count = self.buffer.len() - self.taken;
        let mut piece = vec![0; 64 * 1024];
        loop {
            let read = timeout(DEADLINE, self.stream.read(&mut piece)).await;
            match read.expect("the server ends it in time") {
                Ok(0) | Err(_) => return count,
                Ok(more) => count += more,
            }
        }
    }

    /// Reads more. `false` at the end of the stream.
    async fn receive(&mut self) -> bool {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
        }
        self.buffer.reserve(64 * 1024);
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.buffer)).await;
        read.expect("an answer in time").expect("receive") > 0
    }

    /// Takes a frame out of the buffer. The server's frames have to be right in every respect.
    fn parse(&mut self) -> Option<Got> {
        let bytes = &self.buffer[self.taken..];
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        assert_eq!(first & 0x70, 0, "a reserved bit");
        assert_eq!(second & 0x80, 0, "a masked frame from the server");
        let (head, len) = match second {
            126 => (
                4,
                u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())),
            ),
            127 => (
                10,
                u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()),
            ),
            len => (2, u64::from(len)),
        };
        assert!(head == 2 || len > 125, "a length not in its shortest form");
        assert!(
            head != 10 || len > 0xffff,
            "a length not in its shortest form"
        );
        assert!(
            first & 0x08 == 0 || (len <= 125 && first & 0x80 != 0),
            "a bad control frame"
        );
        let end = head + usize::try_from(len).unwrap();
        let got = Got {
            last: first & 0x80 != 0,
            opcode: first & 0x0f,
            payload: bytes.get(head..end)?.to_vec(),
        };
        self.taken += end;
        Some(got)
    }
}
