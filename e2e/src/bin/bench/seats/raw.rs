//! The bare script, by one connection on which calls are pipelined.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const PRELUDE: &str = include_str!("../../../../../matcher/src/seats/store/lua/prelude.lua");
const RESERVE: &str = include_str!("../../../../../matcher/src/seats/store/lua/reserve.lua");
const REBUILD: &str = include_str!("../../../../../matcher/src/seats/store/lua/rebuild.lua");

/// Calls under way at most.
const DEPTH: u64 = 256;

/// Longest that Redis may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Raw {
    stream: TcpStream,
    replies: BufReader<TcpStream>,
}

impl Raw {
    pub(super) fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let replies = BufReader::with_capacity(64 * 1024, stream.try_clone()?);
        Ok(Self { stream, replies })
    }

    /// Opens an event and has so many players ask for a seat. Gives how long that took.
    pub(super) fn reserve(&mut self, seats: u64, players: u64) -> io::Result<Duration> {
        let seats = seats.to_string();
        let event = [
            "1",
            "pr:{seats:bare}:",
            &seats,
            "3786912000000",
            "pr:seats",
            "bare",
        ];
        let rebuild = PRELUDE.to_owned() + REBUILD;
        let mut open = vec!["EVAL", rebuild.as_str()];
        open.extend(event);
        open.extend(["1", "0", "1"]);
        self.call(&open)?;
        let hash = self.call(&["SCRIPT", "LOAD", &(PRELUDE.to_owned() + RESERVE)])?;
        let hash = hash.first().cloned().unwrap_or_default();
        let times = ["0", "3786912000000", "300000"];
        let began = Instant::now();
        let (mut sent, mut answered, mut held) = (0, 0, 0);
        let mut frame = Vec::new();
        while answered < players {
            frame.clear();
            while sent < players && sent - answered < DEPTH {
                let player = format!("pl_{sent:016x}");
                let mut call = vec!["EVALSHA", hash.as_str()];
                call.extend(event);
                call.extend(times);
                call.push(&player);
                write(&mut frame, &call);
                sent += 1;
            }
            self.stream.write_all(&frame)?;
            // Half of what is under way, so that Redis is never without work.
            let until = if sent == players {
                players
            } else {
                sent - DEPTH / 2
            };
            while answered < until {
                let reply = self.reply()?;
                held += u64::from(reply.last().is_some_and(|last| last.starts_with("held")));
                answered += 1;
            }
        }
        let took = began.elapsed();
        if held.to_string() != seats {
            return Err(io::Error::other(format!(
                "{held} of {seats} seats were given"
            )));
        }
        Ok(took)
    }

    fn call(&mut self, words: &[&str]) -> io::Result<Vec<String>> {
        let mut frame = Vec::new();
        write(&mut frame, words);
        self.stream.write_all(&frame)?;
        self.reply()
    }

    /// A text, or a list of texts.
    fn reply(&mut self) -> io::Result<Vec<String>> {
        let head = self.line()?;
        let count = |text: &str| text.parse::<usize>().map_err(io::Error::other);
        match head.split_at_checked(1) {
            Some(("*", many)) => (0..count(many)?).map(|_| self.text()).collect(),
            Some(("$", length)) => Ok(vec![self.bulk(count(length)?)?]),
            _ => Err(io::Error::other(format!("Redis answers {head}"))),
        }
    }

    fn text(&mut self) -> io::Result<String> {
        let head = self.line()?;
        let length = head
            .strip_prefix('$')
            .and_then(|length| length.parse().ok());
        self.bulk(length.ok_or_else(|| io::Error::other(format!("no text: {head}")))?)
    }

    fn bulk(&mut self, length: usize) -> io::Result<String> {
        let mut bytes = vec![0; length + 2];
        self.replies.read_exact(&mut bytes)?;
        bytes.truncate(length);
        String::from_utf8(bytes).map_err(io::Error::other)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

fn write(frame: &mut Vec<u8>, words: &[&str]) {
    frame.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        frame.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        frame.extend_from_slice(word.as_bytes());
        frame.extend_from_slice(b"\r\n");
    }
}
