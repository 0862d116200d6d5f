//! Checks what a client sends against RFC 6455, byte by byte, before it is parsed.
//!
//! The parser behind it waits for whole frames. A peer that breaks the protocol in a header, or
//! sends text that is no UTF-8, is to be failed at that byte (RFC 6455, sections 5 and 8.1), and
//! nothing should be kept waiting, or be allocated, for a frame that will be refused.

use protocol::close::CloseCode;

use super::utf8::Utf8Check;

/// Longest header: two bytes, an 8-byte length, a mask.
const LONGEST_HEADER: usize = 14;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a client did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Violation {
    #[error("{0}")]
    Protocol(&'static str),
    #[error("a text message is not UTF-8")]
    Text,
    #[error("a message is longer, or in more fragments, than {0} allows")]
    TooBig(usize),
}

/// Follows one client's bytes.
#[derive(Debug)]
pub(super) struct FrameCheck {
    /// Most bytes of a message, and most fragments: empty ones must not go on for ever.
    limit: usize,
    header: [u8; LONGEST_HEADER],
    header_len: u8,
    frame: Option<Frame>,
    message: Option<Message>,
    violation: Option<Violation>,
}

/// A frame whose header has come.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: u64,
    mask: [u8; 4],
    /// How far into the mask the payload is.
    turn: u8,
    control: bool,
    last: bool,
}

/// A message under way, between and within its frames.
#[derive(Debug, Clone, Copy)]
struct Message {
    len: usize,
    fragments: usize,
    text: Option<Utf8Check>,
}

impl Violation {
    /// How the connection is closed for it.
    pub(super) fn close_code(self) -> CloseCode {
        match self {
            Self::Protocol(_) => CloseCode::Protocol,
            Self::Text => CloseCode::InvalidText,
            Self::TooBig(_) => CloseCode::TooBig,
        }
    }
}

impl FrameCheck {
    /// For messages of up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            header: [0; LONGEST_HEADER],
            header_len: 0,
            frame: None,
            message: None,
            violation: None,
        }
    }

    /// What the client did wrong, once it did.
    pub(super) fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Takes the next bytes and gives how many of them may be parsed: those before the one that
    /// breaks the protocol. No frame that is at fault is ever complete in them.
    pub(super) fn accept(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && self.violation.is_none() {
            let taken = match self.frame {
                None => self.take_header(bytes[at]).map(|()| 1),
                Some(frame) => self.take_payload(frame, &bytes[at..]),
            };
            match taken {
                Ok(count) => at += count,
                Err(violation) => self.violation = Some(violation),
            }
        }
        at
    }

    fn take_header(&mut self, byte: u8) -> Result<(), Violation> {
        let at = usize::from(self.header_len);
        self.header[at] = byte;
        self.header_len += 1;
        let length_end = match (at, self.header[1] & 0x7f) {
            (0, _) => return self.check_first(byte),
            (_, 126) => 4,
            (_, 127) => 10,
            _ => 2,
        };
        if at == 1 {
            self.check_second(byte)?;
        }
        if at + 1 == length_end {
            self.check_length(length_end)?;
        }
        if at + 1 == length_end + 4 {
            self.begin_payload(length_end)?;
        }
        Ok(())
    }

    fn check_first(&self, byte: u8) -> Result<(), Violation> {
        let (last, opcode) = (byte & 0x80 != 0, byte & 0x0f);
        let fault = match opcode {
            _ if byte & 0x70 != 0 => "a reserved bit is set",
            CONTINUATION if self.message.is_none() => "a continuation of nothing",
            TEXT | BINARY if self.message.is_some() => "a message within a fragmented message",
            CLOSE | PING | PONG if !last => "a fragmented control frame",
            CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG => return Ok(()),
            _ => "a reserved opcode",
        };
        Err(Violation::Protocol(fault))
    }

    fn check_second(&self, byte: u8) -> Result<(), Violation> {
        let (control, len) = (self.header[0] & 0x08 != 0, byte & 0x7f);
        let fault = match len {
            _ if byte & 0x80 == 0 => "an unmasked frame",
            126.. if control => "a control frame of more than 125 bytes",
            1 if self.header[0] & 0x0f == CLOSE => "a close frame with half a code",
            _ => return Ok(()),
        };
        Err(Violation::Protocol(fault))
    }

    /// Before the mask has come: memory is not set aside for what will be refused.
    fn check_length(&self, end: usize) -> Result<(), Violation> {
        let len = self.declared_length(end);
        let shortest = match end {
            4 => 126,
            10 => 1 << 16,
            _ => 0,
        };
        if len < shortest {
            return Err(Violation::Protocol(
                "a length that is not in its shortest form",
            ));
        }
        if len >> 63 == 1 {
            return Err(Violation::Protocol("a length of more than 63 bits"));
        }
        let before = self.message.map_or(0, |message| message.len);
        let room = self.limit.saturating_sub(before) as u64;
        let control = self.header[0] & 0x08 != 0;
        if !control && len > room {
            return Err(Violation::TooBig(self.limit));
        }
        Ok(())
    }

    fn declared_length(&self, end: usize) -> u64 {
        match end {
            2 => u64::from(self.header[1] & 0x7f),
            _ => self.header[2..end]
                .iter()
                .fold(0, |len, byte| len << 8 | u64::from(*byte)),
        }
    }

    fn begin_payload(&mut self, length_end: usize) -> Result<(), Violation> {
        let (opcode, last) = (self.header[0] & 0x0f, self.header[0] & 0x80 != 0);
        let left = self.declared_length(length_end);
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.header[length_end..length_end + 4]);
        let control = opcode & 0x08 != 0;
        if !control {
            let message = self.message.get_or_insert(Message {
                len: 0,
                fragments: 0,
                text: (opcode == TEXT).then(Utf8Check::default),
            });
            message.len += left as usize; // within the limit
            message.fragments += 1;
            if message.fragments > self.limit {
                return Err(Violation::TooBig(self.limit));
            }
        }
        let frame = Frame {
            left,
            mask,
            turn: 0,
            control,
            last,
        };
        self.header_len = 0;
        self.frame = Some(frame);
        if left == 0 {
            self.end_frame(frame)
        } else {
            Ok(())
        }
    }

    /// Takes payload up to the frame's end. At a fault in the text nothing of `bytes` counts as
    /// taken, except the text before it.
    fn take_payload(&mut self, mut frame: Frame, bytes: &[u8]) -> Result<usize, Violation> {
        let len = usize::try_from(frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if !frame.control
            && let Some(text) = self
                .message
                .as_mut()
                .and_then(|message| message.text.as_mut())
        {
            text.push_masked(&bytes[..len], frame.mask, frame.turn)
                .map_err(|_| Violation::Text)?;
        }
        frame.left -= len as u64;
        frame.turn = ((usize::from(frame.turn) + len) % 4) as u8;
        self.frame = Some(frame);
        if frame.left == 0 {
            self.end_frame(frame)?;
        }
        Ok(len)
    }

    fn end_frame(&mut self, frame: Frame) -> Result<(), Violation> {
        self.frame = None;
        if frame.control || !frame.last {
            return Ok(());
        }
        match self.message.take().and_then(|message| message.text) {
            Some(text) if !text.is_complete() => Err(Violation::Text),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes pass, and what is wrong with the next.
    fn check(limit: usize, bytes: &[u8]) -> (usize, Option<Violation>) {
        let mut whole = FrameCheck::new(limit);
        let passed = whole.accept(bytes);
        let mut single = FrameCheck::new(limit);
        let passed_singly = bytes
            .iter()
            .take_while(|byte| single.accept(&[**byte]) == 1)
            .count();
        assert_eq!(whole.violation(), single.violation());
        // Of text that breaks within a piece, the good bytes before it are held back with it.
        assert!(passed <= passed_singly);
        (passed_singly, whole.violation())
    }

    fn protocol(bytes: &[u8]) -> usize {
        let (passed, violation) = check(1_000, bytes);
        assert!(
            matches!(violation, Some(Violation::Protocol(_))),
            "{violation:?}"
        );
        passed
    }

    #[test]
    fn good_frames_pass_whole() {
        let hello = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
        let fragments = [
            0x02, 0x81, 0, 0, 0, 0, 7, 0x89, 0x80, 0, 0, 0, 0, 0x80, 0x80, 0, 0, 0, 0,
        ];
        for bytes in [&hello[..], &fragments] {
            assert_eq!(check(1_000, bytes), (bytes.len(), None));
        }
    }

    #[test]
    fn a_header_is_refused_at_the_byte_that_is_wrong() {
        assert_eq!(protocol(&[0xc1, 0x80]), 0, "reserved bit");
        assert_eq!(protocol(&[0x83, 0x80]), 0, "reserved opcode");
        assert_eq!(protocol(&[0x80, 0x80]), 0, "continuation of nothing");
        assert_eq!(protocol(&[0x09, 0x80]), 0, "fragmented ping");
        assert_eq!(protocol(&[0x81, 0x05]), 1, "unmasked");
        assert_eq!(protocol(&[0x89, 0xfe, 0, 126]), 1, "oversize ping");
        assert_eq!(protocol(&[0x88, 0x81]), 1, "close with half a code");
        assert_eq!(
            protocol(&[0x82, 0xfe, 0, 125]),
            3,
            "length not in its shortest form"
        );
        assert_eq!(
            protocol(&[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            9,
            "64-bit length"
        );
    }

    #[test]
    fn a_message_over_the_limit_is_refused_before_its_mask_has_come() {
        let declared = [0x82, 0xfe, 0x03, 0xe9];
        assert_eq!(check(1_000, &declared), (3, Some(Violation::TooBig(1_000))));
        let second = [0x02, 0x81, 0, 0, 0, 0, 7, 0x80, 0x83];
        assert_eq!(check(3, &second), (8, Some(Violation::TooBig(3))));
    }

    #[test]
    fn empty_fragments_do_not_go_on_for_ever() {
        let mut bytes = vec![0x01, 0x80, 0, 0, 0, 0];
        (0..10).for_each(|_| bytes.extend([0x00, 0x80, 0, 0, 0, 0]));
        let (_, violation) = check(10, &bytes);
        assert_eq!(violation, Some(Violation::TooBig(10)));
    }

    #[test]
    fn text_is_refused_at_the_byte_that_is_wrong() {
        let bad = [0x81, 0x84, 0, 0, 0, 0, b'a', 0xc0, 0xaf, b'b'];
        assert_eq!(check(1_000, &bad), (7, Some(Violation::Text)));
        let truncated = [0x81, 0x81, 0, 0, 0, 0, 0xe2];
        assert_eq!(check(1_000, &truncated), (6, Some(Violation::Text)));
        let truncated_by_empty = [0x01, 0x81, 0, 0, 0, 0, 0xe2, 0x80, 0x80, 0, 0, 0, 0];
        assert_eq!(
            check(1_000, &truncated_by_empty),
            (12, Some(Violation::Text))
        );
    }
}
