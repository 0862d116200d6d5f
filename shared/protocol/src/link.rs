//! One end of one connection: heartbeat, liveness, round-trip time, clock offset,
//! acknowledgement.
//!
//! The client beats, the server answers. Any inbound message counts as life. While a room is
//! attached both run at their active pace, so that a client notices a dead gateway in about a
//! second; otherwise a heartbeat every 25 seconds costs next to nothing.

use std::time::Duration;

use crate::frame::{Ack, Acks, Beat, Frame};
use crate::id::Channel;
use crate::random::Random;
use crate::time::Timestamp;
use crate::timer::Timers;

/// How often to beat, and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two heartbeats, give or take 10 %. Only the client beats.
    pub interval: Duration,
    /// A peer that says nothing for this long is dead.
    pub silence: Duration,
}

/// The paces of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkConfig {
    /// While no room is attached.
    pub idle: Pace,
    /// While a room is attached.
    pub active: Pace,
}

/// Longest that an acknowledgement waits for others to share its frame, or for an input.
pub const ACK_DELAY: Duration = Duration::from_millis(150);

/// Jitter of the heartbeat, in percent of the interval, either way.
pub const HEARTBEAT_JITTER: u32 = 10;

/// What a link has to say to whoever drives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEvent {
    /// The peer has everything up to here. What an ack frame says is always told, for it answers
    /// events that came, also those that came again; what a heartbeat says only if it is new.
    Acked(Ack),
    /// The peer was silent for the deadline. Told once.
    Silent,
}

const HEARTBEAT: usize = 0;
const SILENCE: usize = 1;
const ACK: usize = 2;

/// One end of one connection.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    beats: bool,
    active: bool,
    timers: Timers<3>,
    random: Random,
    last_heard: Timestamp,
    silent: bool,
    /// The last beat that came in, and when: echoed in the next one that goes out.
    heard_beat: Option<(u32, Timestamp)>,
    rtt: Option<Duration>,
    clock: ClockOffset,
    answer_due: bool,
    ping_due: bool,
    ack_due: bool,
    /// Client: whether an ack frame has to go out for a channel, by its index.
    unsaid: [bool; Channel::COUNT],
    /// Client: what to acknowledge. Server: what the peer acknowledged last.
    acks: Acks,
    /// Server: acknowledgements not told yet.
    news: Acks,
}

impl Link {
    /// The client's end: it beats and acknowledges.
    pub fn client(config: LinkConfig, seed: u64, now: Timestamp) -> Self {
        let mut link = Self::new(config, true, seed, now);
        link.ping_due = true; // the first beat measures the clock at once
        link.arm_heartbeat(now);
        link
    }

    /// The server's end: it answers beats and collects acknowledgements.
    pub fn server(config: LinkConfig, now: Timestamp) -> Self {
        Self::new(config, false, 0, now)
    }

    fn new(config: LinkConfig, beats: bool, seed: u64, now: Timestamp) -> Self {
        let mut link = Self {
            config,
            beats,
            active: false,
            timers: Timers::default(),
            random: Random::new(seed),
            last_heard: now,
            silent: false,
            heard_beat: None,
            rtt: None,
            clock: ClockOffset::default(),
            answer_due: false,
            ping_due: false,
            ack_due: false,
            unsaid: [false; Channel::COUNT],
            acks: Acks::default(),
            news: Acks::default(),
        };
        link.timers.set(SILENCE, now + config.idle.silence);
        link
    }

    /// Takes note of an inbound message, whatever it is.
    pub fn handle_heard(&mut self, now: Timestamp) {
        self.last_heard = now;
    }

    /// Takes an inbound binary frame. Frames that are not the link's own only count as life.
    pub fn handle_frame(&mut self, now: Timestamp, frame: &Frame) {
        self.handle_heard(now);
        match frame {
            Frame::Ping(beat, acks) => {
                self.handle_beat(now, *beat);
                self.handle_acks(acks, false);
                self.answer_due = true;
            }
            Frame::Pong(beat) => self.handle_beat(now, *beat),
            Frame::Ack(acks) => self.handle_acks(acks, true),
            Frame::Input(_) | Frame::Snapshot(_) | Frame::Event(_) => {}
        }
    }

    /// Acts on deadlines that have come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                HEARTBEAT => {
                    self.ping_due = true;
                    self.arm_heartbeat(now);
                }
                SILENCE => {
                    // Armed lazily: hearing something moves `last_heard`, not the timer.
                    let deadline = self.last_heard + self.pace().silence;
                    if deadline <= now {
                        self.silent = true;
                    } else {
                        self.timers.set(SILENCE, deadline);
                    }
                }
                ACK => self.ack_due = true,
                _ => unreachable!("three timers"),
            }
        }
    }

    /// Switches between the idle and the active pace.
    pub fn set_active(&mut self, now: Timestamp, active: bool) {
        if self.active == active {
            return;
        }
        self.active = active;
        // A deadline of the new pace must not count the old pace's silence.
        self.last_heard = now;
        self.timers.set(SILENCE, now + self.pace().silence);
        if self.beats {
            self.ping_due = true;
            self.arm_heartbeat(now);
        }
    }

    /// Client: remembers an acknowledgement, to send in an ack frame within [`ACK_DELAY`], at once
    /// if it asks to resend, and with every heartbeat from now on.
    pub fn acknowledge(&mut self, now: Timestamp, ack: Ack) {
        self.acks.set(keep_request(&self.acks, ack));
        self.unsaid[ack.channel.index()] = true;
        if ack.resend {
            self.ack_due = true;
        } else {
            self.timers.set_if_unarmed(ACK, now + ACK_DELAY);
        }
    }

    /// Client: an input frame just carried the room's acknowledgement.
    pub fn acknowledged_by_input(&mut self) {
        self.unsaid[Channel::Room.index()] = false;
        if !self.unsaid.contains(&true) {
            self.timers.stop(ACK);
        }
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self, now: Timestamp) -> Option<Frame> {
        if std::mem::take(&mut self.answer_due) {
            return Some(Frame::Pong(self.beat(now)));
        }
        if std::mem::take(&mut self.ping_due) {
            // An ack frame that is due still goes out: the peer passes on what a heartbeat
            // carries only if it is new, and the origin may not have got what it passed on.
            return Some(Frame::Ping(self.beat(now), self.sent_acks()));
        }
        if std::mem::take(&mut self.ack_due) {
            self.timers.stop(ACK);
            self.unsaid = [false; Channel::COUNT];
            return Some(Frame::Ack(self.sent_acks()));
        }
        None
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<LinkEvent> {
        if let Some(ack) = self.news.iter().next() {
            self.news.remove(ack.channel);
            return Some(LinkEvent::Acked(ack));
        }
        std::mem::take(&mut self.silent).then_some(LinkEvent::Silent)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// The last measured round trip.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// When anything was heard last.
    pub fn last_heard(&self) -> Timestamp {
        self.last_heard
    }

    /// The peer's clock minus ours in milliseconds, by the best of the last samples; error is at
    /// most half its round trip.
    pub fn clock_offset_ms(&self) -> Option<i32> {
        self.clock.best()
    }

    fn pace(&self) -> Pace {
        if self.active {
            self.config.active
        } else {
            self.config.idle
        }
    }

    fn arm_heartbeat(&mut self, now: Timestamp) {
        let interval = self.random.jitter(self.pace().interval, HEARTBEAT_JITTER);
        self.timers.set(HEARTBEAT, now + interval);
    }

    fn beat(&self, now: Timestamp) -> Beat {
        let (echo, hold) = match self.heard_beat {
            Some((time, at)) => (
                time,
                u16::try_from(now.since(at).as_millis()).unwrap_or(u16::MAX),
            ),
            None => (0, 0),
        };
        Beat {
            time: now.wire_millis(),
            echo,
            hold,
        }
    }

    fn handle_beat(&mut self, now: Timestamp, beat: Beat) {
        self.heard_beat = Some((beat.time, now));
        if beat.echo == 0 || beat.hold == u16::MAX {
            return;
        }
        let round = now
            .wire_millis()
            .wrapping_sub(beat.echo)
            .wrapping_sub(u32::from(beat.hold));
        // A wrong echo gives a round of days: not a measurement.
        if round < 60_000 {
            self.rtt = Some(Duration::from_millis(u64::from(round)));
            let peer_now = beat.time.wrapping_add(round / 2);
            self.clock
                .add(round, peer_now.wrapping_sub(now.wire_millis()) as i32);
        }
    }

    fn handle_acks(&mut self, acks: &Acks, always: bool) {
        for ack in acks.iter() {
            let known = self.acks.iter().any(|known| known == ack);
            if always || !known || ack.resend {
                self.acks.set(Ack {
                    resend: false,
                    ..ack
                });
                self.news.set(keep_request(&self.news, ack));
            }
        }
    }

    /// What is acknowledged now; a wish to resend is said once.
    fn sent_acks(&mut self) -> Acks {
        let sent = self.acks;
        for ack in sent.iter() {
            self.acks.set(Ack {
                resend: false,
                ..ack
            });
        }
        sent
    }
}

/// A wish to resend is not covered up by a later acknowledgement of the same place.
fn keep_request(before: &Acks, ack: Ack) -> Ack {
    let asked = Ack {
        resend: true,
        ..ack
    };
    if before.iter().any(|before| before == asked) {
        asked
    } else {
        ack
    }
}

/// The clock offset by the sample with the shortest round trip among the last eight, which is
/// the one that queueing distorted least (NTP's clock filter, RFC 5905 section 10).
#[derive(Debug, Default)]
struct ClockOffset {
    samples: [Option<(u32, i32)>; 8],
    next: u8,
}

impl ClockOffset {
    fn add(&mut self, round: u32, offset: i32) {
        self.samples[usize::from(self.next)] = Some((round, offset));
        self.next = (self.next + 1) % 8;
    }

    fn best(&self) -> Option<i32> {
        self.samples
            .iter()
            .flatten()
            .min_by_key(|(round, _)| *round)
            .map(|(_, offset)| *offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Epoch, Offset};

    const CONFIG: LinkConfig = LinkConfig {
        idle: Pace {
            interval: Duration::from_secs(25),
            silence: Duration::from_secs(60),
        },
        active: Pace {
            interval: Duration::from_millis(400),
            silence: Duration::from_secs(1),
        },
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp(millis * 1000)
    }

    fn ack(offset: u32, resend: bool) -> Ack {
        Ack {
            channel: Channel::Match,
            epoch: Epoch(5),
            offset: Offset(offset),
            resend,
        }
    }

    #[test]
    fn both_ends_measure_the_round_trip_and_the_client_the_clock() {
        // The server's clock runs 5,000 ms ahead; each way takes 30 ms; the server dwells 10 ms.
        let mut client = Link::client(CONFIG, 1, at(1_000));
        let mut server = Link::server(CONFIG, at(6_000));
        let ping = client.poll_transmit(at(1_000)).unwrap();
        server.handle_frame(at(6_030), &ping);
        let pong = server.poll_transmit(at(6_040)).unwrap();
        client.handle_frame(at(1_070), &pong);
        assert_eq!(client.rtt(), Some(Duration::from_millis(60)));
        assert_eq!(client.clock_offset_ms(), Some(5_000));
        client.set_active(at(1_100), true);
        let ping = client.poll_transmit(at(1_100)).unwrap();
        server.handle_frame(at(6_130), &ping);
        assert_eq!(server.rtt(), Some(Duration::from_millis(60)));
    }

    #[test]
    fn any_inbound_message_counts_as_life() {
        let mut link = Link::server(CONFIG, at(0));
        link.handle_heard(at(30_000));
        link.handle_timeout(at(60_000));
        assert_eq!(link.poll_event(), None);
        assert_eq!(link.poll_timeout(), Some(at(90_000)));
        link.handle_timeout(at(90_000));
        assert_eq!(link.poll_event(), Some(LinkEvent::Silent));
        assert_eq!(link.poll_event(), None);
    }

    #[test]
    fn heartbeats_are_jittered_and_carry_acknowledgements() {
        let mut client = Link::client(CONFIG, 3, at(0));
        let _first = client.poll_transmit(at(0));
        client.acknowledge(at(10), ack(4, false));
        let due = client.poll_timeout().unwrap();
        assert_eq!(due, at(10) + ACK_DELAY);
        client.handle_timeout(due);
        let Some(Frame::Ack(acks)) = client.poll_transmit(due) else {
            panic!("no ack")
        };
        assert_eq!(acks.iter().collect::<Vec<_>>(), [ack(4, false)]);
        let beat = client.poll_timeout().unwrap();
        assert!((at(22_500)..=at(27_500)).contains(&beat), "{beat:?}");
        client.handle_timeout(beat);
        let Some(Frame::Ping(_, acks)) = client.poll_transmit(beat) else {
            panic!("no ping")
        };
        assert_eq!(acks.iter().collect::<Vec<_>>(), [ack(4, false)]);
        assert_eq!(client.poll_transmit(beat), None);
    }

    #[test]
    fn a_heartbeats_acknowledgement_is_told_once_but_an_ack_frames_always() {
        let mut server = Link::server(CONFIG, at(0));
        for resend in [false, false, true, true] {
            let mut acks = Acks::default();
            acks.set(ack(4, resend));
            server.handle_frame(at(1), &Frame::Ack(acks));
        }
        assert_eq!(server.poll_event(), Some(LinkEvent::Acked(ack(4, true))));
        assert_eq!(server.poll_event(), None);
        let mut acks = Acks::default();
        acks.set(ack(4, true));
        server.handle_frame(at(2), &Frame::Ack(acks));
        assert_eq!(server.poll_event(), Some(LinkEvent::Acked(ack(4, true))));
        let mut acks = Acks::default();
        acks.set(ack(4, false));
        server.handle_frame(at(3), &Frame::Ping(Beat::default(), acks));
        assert_eq!(server.poll_event(), None);
        server.handle_frame(at(4), &Frame::Ack(acks));
        assert_eq!(server.poll_event(), Some(LinkEvent::Acked(ack(4, false))));
    }

    #[test]
    fn a_heartbeat_does_not_take_an_ack_frames_place() {
        let mut client = Link::client(CONFIG, 3, at(0));
        client.acknowledge(at(0), ack(4, false));
        assert!(matches!(
            client.poll_transmit(at(0)),
            Some(Frame::Ping(_, acks)) if !acks.is_empty()
        ));
        client.handle_timeout(at(0) + ACK_DELAY);
        assert!(matches!(
            client.poll_transmit(at(0) + ACK_DELAY),
            Some(Frame::Ack(_))
        ));
    }

    #[test]
    fn a_wrong_echo_is_no_measurement() {
        let mut server = Link::server(CONFIG, at(100_000));
        let beat = Beat {
            time: 1,
            echo: 0xffff_0000,
            hold: 3,
        };
        server.handle_frame(at(100_000), &Frame::Ping(beat, Acks::default()));
        assert_eq!(server.rtt(), None);
    }
}
