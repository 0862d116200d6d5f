//! How what goes wrong is done to a world.

use std::time::Duration;

use protocol::time::Timestamp;

use crate::faults::Fault;
use crate::hosted::Stage;
use crate::wire::Event;
use crate::world::World;

impl World {
    /// Something goes wrong.
    pub(crate) fn strike(&mut self, fault: Fault) {
        self.wire.trace(|| format!("{fault:?}"));
        let now = self.wire.now;
        let until = now + fault.lasts();
        self.trouble(&fault, until);
        match fault {
            Fault::Crash(node, down) => self.crash(node, down),
            Fault::Pause(node, _) => {
                let node_now = &mut self.nodes[node];
                if node_now.host.is_some() && !node_now.is_paused {
                    node_now.is_paused = true;
                    self.wire.push(until, Event::Wake(node));
                }
            }
            Fault::Cut(node, _) => self.wire.cut[node] = until,
            Fault::Isolate(node, _) => self.wire.isolated[node] = until,
            Fault::Lossy(loss, _) => self.until_calm(until).wire.loss = loss,
            Fault::Slow(longest, _) => {
                self.until_calm(until).wire.longest = longest.as_micros() as u64;
            }
            Fault::Lag(lag, _) => self.until_calm(until).store.lag = lag,
            Fault::Down(_) => self.store.up_from = until,
            Fault::FailOver(down, stuck, _) => {
                let old_lives = !stuck.is_empty();
                if old_lives {
                    let old = self.store.primary();
                    stuck
                        .into_iter()
                        .for_each(|node| self.wire.stuck[node] = Some(old));
                    self.wire.push(until, Event::StopOld);
                } else {
                    self.store.up_from = now + down;
                }
                self.wire.push(now, Event::Promote { old_lives });
            }
            Fault::Wipe(down) => {
                self.store.up_from = now + down;
                self.wire.push(now, Event::Wiped);
            }
            Fault::HandOver(from, to) => self.hand_over(from, to),
            Fault::Drain(node, time) => {
                if let Some(host) = &mut self.nodes[node].host {
                    host.drains = !time.is_zero();
                    if host.drains {
                        let stays = Fault::Drain(node, Duration::ZERO);
                        self.wire.push(until, Event::Fault(stays));
                    }
                }
            }
            Fault::Calm => {
                self.wire.loss = 0;
                self.wire.longest = 4_000;
                self.store.lag = self.lag;
            }
        }
    }

    fn until_calm(&mut self, until: Timestamp) -> &mut Self {
        self.wire.push(until, Event::Fault(Fault::Calm));
        self
    }

    /// Who is disturbed, and until when.
    fn trouble(&mut self, fault: &Fault, until: Timestamp) {
        match fault {
            Fault::Pause(node, _) | Fault::Cut(node, _) => {
                let node = &mut self.nodes[*node];
                node.troubled = node.troubled.max(until);
            }
            Fault::FailOver(_, stuck, _) if !stuck.is_empty() => {
                for node in stuck {
                    self.nodes[*node].troubled = self.nodes[*node].troubled.max(until);
                }
            }
            Fault::Crash(..)
            | Fault::Isolate(..)
            | Fault::Drain(..)
            | Fault::HandOver(..)
            | Fault::Calm => {}
            _ => self.troubled = self.troubled.max(until),
        }
    }

    fn crash(&mut self, index: usize, down: Duration) {
        let Some(host) = self.nodes[index].host.take() else {
            return;
        };
        self.check_left(&host, true);
        let node = &mut self.nodes[index];
        node.is_paused = false;
        node.inbox.clear();
        self.wire.after(down, Event::Restart(index));
    }

    fn hand_over(&mut self, from: usize, to: usize) {
        let Some(host) = &mut self.nodes[from].host else {
            return;
        };
        let mut rooms = host.rooms.values_mut();
        if let Some(hosted) = rooms.find(|hosted| hosted.stage == Stage::Runs) {
            hosted.stage = Stage::Stopping(to);
        }
    }

    pub(crate) fn wake(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if !std::mem::take(&mut node.is_paused) {
            return;
        }
        let inbox = std::mem::take(&mut node.inbox);
        // What it does first is the scheduler's choice.
        let (clock, rest): (Vec<_>, Vec<_>) = inbox
            .into_iter()
            .partition(|event| matches!(event, Event::Tick(..)));
        let events = match self.wire.chance(500) {
            true => clock.into_iter().chain(rest),
            false => rest.into_iter().chain(clock),
        };
        events.for_each(|event| self.node_event(index, event));
    }
}

impl Fault {
    /// How long it is felt.
    pub(crate) fn lasts(&self) -> Duration {
        match self {
            Self::Crash(_, time)
            | Self::Pause(_, time)
            | Self::Cut(_, time)
            | Self::Isolate(_, time)
            | Self::Drain(_, time)
            | Self::Lossy(_, time)
            | Self::Slow(_, time)
            | Self::Lag(_, time)
            | Self::Down(time)
            | Self::Wipe(time) => *time,
            Self::FailOver(down, _, stuck) => *down.max(stuck),
            Self::HandOver(..) => Duration::from_secs(3),
            Self::Calm => Duration::ZERO,
        }
    }
}
