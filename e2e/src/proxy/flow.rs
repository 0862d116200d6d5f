//! One direction of one connection.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use protocol::random::Random;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::weather::{Conditions, Fate, Flow, Sky};

/// Most bytes on their way in one direction of a connection.
pub const WINDOW: usize = 256 * 1024;

/// Most pieces on their way: small ones cost more than their bytes.
const PIECES: usize = 1024;

/// Largest piece that is read.
const PIECE: usize = 16 * 1024;

/// Which direction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// From the client to the target.
    Up,
    /// From the target to the client.
    Down,
}

/// The connection cannot go on: both ends are to be reset.
#[derive(Debug)]
pub(super) struct Broken;

/// Carries what one end sends to the other.
pub(super) struct Direction<'a> {
    way: Way,
    from: &'a TcpStream,
    to: &'a TcpStream,
    forecast: watch::Receiver<Sky>,
    cuts: u64,
    delays: Delays,
    pieces: VecDeque<Piece>,
    /// Bytes in `pieces`.
    held: usize,
    /// The source has ended.
    ended: bool,
    /// Something was swallowed.
    lossy: bool,
}

struct Piece {
    bytes: Vec<u8>,
    sent: usize,
    due: Instant,
}

/// Draws when each piece arrives.
struct Delays {
    random: Random,
    last: Option<Instant>,
}

/// What a direction may do at a moment.
struct Step {
    read: bool,
    /// When the first piece may be written, if at all.
    write: Option<Instant>,
    /// When a stall ends.
    wake: Option<Instant>,
}

impl<'a> Direction<'a> {
    pub(super) fn new(
        way: Way,
        from: &'a TcpStream,
        to: &'a TcpStream,
        (forecast, cuts): (watch::Receiver<Sky>, u64),
        random: Random,
    ) -> Self {
        Self {
            way,
            from,
            to,
            forecast,
            cuts,
            delays: Delays { random, last: None },
            pieces: VecDeque::new(),
            held: 0,
            ended: false,
            lossy: false,
        }
    }

    /// Carries until the source has ended and the other end was told.
    pub(super) async fn run(&mut self) -> Result<(), Broken> {
        loop {
            let sky = *self.forecast.borrow_and_update();
            let flow = self.way.of(&sky.conditions);
            let now = Instant::now();
            let step = self.step(&sky, flow, now)?;
            if self.ended
                && self.pieces.is_empty()
                && flow.fate == Fate::Carry
                && step.wake.is_none()
            {
                let told = SockRef::from(self.to).shutdown(Shutdown::Write);
                return told.map_err(|_| Broken);
            }
            let due = step.write.filter(|due| *due > now);
            tokio::select! {
                changed = self.forecast.changed() => changed.map_err(|_| Broken)?,
                ready = self.to.writable(), if step.write.is_some() && due.is_none() => {
                    ready.map_err(|_| Broken)?;
                    self.write()?;
                }
                ready = self.from.readable(), if step.read => {
                    ready.map_err(|_| Broken)?;
                    self.read(flow)?;
                }
                () = until(due) => {}
                () = until(step.wake) => {}
            }
        }
    }

    /// What may be done now; swallows what is on its way, if that is its fate.
    fn step(&mut self, sky: &Sky, flow: Flow, now: Instant) -> Result<Step, Broken> {
        if sky.cuts != self.cuts {
            return Err(Broken);
        }
        let wake = sky.stalled_until.filter(|until| *until > now);
        let stopped = Step {
            read: false,
            write: None,
            wake,
        };
        match flow.fate {
            Fate::Hold => Ok(stopped),
            _ if wake.is_some() => Ok(stopped),
            Fate::Swallow => {
                self.lossy |= !self.pieces.is_empty();
                self.pieces.clear();
                self.held = 0;
                let read = !self.ended;
                Ok(Step { read, ..stopped })
            }
            Fate::Carry if self.lossy => Err(Broken),
            Fate::Carry => Ok(Step {
                read: !self.ended && self.held < WINDOW && self.pieces.len() < PIECES,
                write: self.pieces.front().map(|piece| piece.due),
                wake: None,
            }),
        }
    }

    fn read(&mut self, flow: Flow) -> Result<(), Broken> {
        // On the stack, and never across an await: idle connections hold no buffer.
        let mut buffer = [0; PIECE];
        let room = PIECE.min(WINDOW - self.held);
        let count = match self.from.try_read(&mut buffer[..room]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Broken),
        };
        self.ended = count == 0;
        if flow.fate == Fate::Swallow {
            // An end that is swallowed is a loss too.
            self.lossy = true;
        } else if count > 0 {
            self.held += count;
            self.pieces.push_back(Piece {
                bytes: buffer[..count].to_vec(),
                sent: 0,
                due: self.delays.arrival(flow, Instant::now()),
            });
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Broken> {
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(());
        };
        match self.to.try_write(&piece.bytes[piece.sent..]) {
            Ok(count) => {
                piece.sent += count;
                self.held -= count;
                if piece.sent == piece.bytes.len() {
                    self.pieces.pop_front();
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Broken),
        }
    }
}

impl Way {
    fn of(self, conditions: &Conditions) -> Flow {
        match self {
            Self::Up => conditions.up,
            Self::Down => conditions.down,
        }
    }
}

impl Delays {
    /// When what is read at `now` arrives: never before what was read earlier.
    fn arrival(&mut self, flow: Flow, now: Instant) -> Instant {
        let jitter = u64::try_from(flow.jitter.as_micros()).unwrap_or(u64::MAX);
        let drawn = self.random.below(jitter.saturating_add(1));
        let due = now + flow.latency + Duration::from_micros(drawn);
        let due = self.last.map_or(due, |last| last.max(due));
        self.last = Some(due);
        due
    }
}

/// Waits until then; for ever without a time.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_delays_again_and_order_is_kept() {
        let now = Instant::now();
        let flow = Flow {
            latency: Duration::from_millis(50),
            jitter: Duration::from_millis(30),
            fate: Fate::Carry,
        };
        let draw = |seed| {
            let mut delays = Delays {
                random: Random::new(seed),
                last: None,
            };
            let arrivals = (0..100).map(|n| delays.arrival(flow, now + Duration::from_millis(n)));
            arrivals.collect::<Vec<_>>()
        };
        let arrivals = draw(7);
        assert_eq!(arrivals, draw(7));
        assert_ne!(arrivals, draw(8));
        assert!(arrivals.is_sorted());
        assert!(arrivals[0] >= now + flow.latency);
        assert!(arrivals[0] <= now + flow.latency + flow.jitter);
    }
}
