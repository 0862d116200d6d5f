//! One seat of a room: who is there, what it does, what it has been told.

use bytes::Bytes;
use protocol::attach::{Claim, Holder};
use protocol::frame::{Ack, InputFrame, SnapshotHead};
use protocol::id::{Channel, Epoch, InputSeq, Tick};
use protocol::input::{InputQueue, InputRange};
use protocol::log::{self, Attached, EventLog, LOG_LIMITS, SavedLog};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::command::Attach;
use super::durable::Trail;
use super::say::Pace;
use crate::game::{Departure, SeatInput};
use crate::viewer::Viewer;

/// Whether the player is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Presence {
    /// Has never been.
    Expected,
    /// Is connected.
    Present,
    /// Was, and may be back.
    Away,
    /// Left for good.
    Left,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) presence: Presence,
    /// Which attachment counts, or counted last.
    pub(super) holder: Holder,
    pub(super) log: EventLog,
    pub(super) viewer: Viewer,
    /// Lost since the last step.
    pub(super) lost: Option<InputRange>,
    /// The client is to be told with the next step that it is attached.
    pub(super) attached: Option<Attached>,
    /// The log was full since the last step.
    pub(super) overflowed: bool,
    pub(super) said: Pace,
    /// Whether somebody attached to this very room: not so in one that was restored, whose
    /// players may be present nevertheless.
    reachable: bool,
    pub(super) trail: Trail,
    inputs: InputQueue,
    held: u32,
    held_for: u32,
    /// So many ticks late came the input of this step. For metrics.
    pub(super) late: Option<u32>,
}

/// What of a [`Member`] is written down. The rest is about an attachment, and whoever attaches
/// next begins without it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedMember {
    presence: Presence,
    holder: Holder,
    log: SavedLog,
    lost: Option<InputRange>,
    said: Pace,
    inputs: InputQueue,
    held: u32,
    held_for: u32,
}

impl Member {
    pub(super) fn new(input_limit: usize) -> Self {
        Self {
            presence: Presence::Expected,
            holder: Holder::default(),
            // The first attach begins the first history that anybody sees.
            log: EventLog::new(Channel::Room, Epoch(1), LOG_LIMITS),
            viewer: Viewer::default(),
            lost: None,
            attached: None,
            overflowed: false,
            said: Pace::default(),
            reachable: false,
            trail: Trail::default(),
            inputs: InputQueue::new(input_limit),
            held: 0,
            held_for: 0,
            late: None,
        }
    }

    pub(super) fn save(&self) -> SavedMember {
        SavedMember {
            presence: self.presence,
            holder: self.holder.clone(),
            log: self.log.save(),
            lost: self.lost,
            said: self.said.clone(),
            inputs: self.inputs.clone(),
            held: self.held,
            held_for: self.held_for,
        }
    }

    /// `None` if no member can be like that.
    pub(super) fn restore(saved: SavedMember) -> Option<Self> {
        let SavedMember {
            presence,
            holder,
            log,
            lost,
            said,
            inputs,
            held,
            held_for,
        } = saved;
        if presence == Presence::Present && holder.current().is_none() {
            return None;
        }
        Some(Self {
            presence,
            holder,
            log: EventLog::restore(Channel::Room, LOG_LIMITS, log)?,
            viewer: Viewer::default(),
            lost,
            attached: None,
            overflowed: false,
            said,
            reachable: false,
            trail: Trail::default(),
            inputs,
            held,
            held_for,
            late: None,
        })
    }

    /// Tells nothing more until somebody attaches. Presence stays.
    pub(super) fn hang_up(&mut self) {
        self.reachable = false;
        self.attached = None;
        self.viewer.reset();
    }

    pub(super) fn is_present(&self) -> bool {
        self.presence == Presence::Present
    }

    /// The attachment that counts, while there is one.
    pub(super) fn present_claim(&self) -> Option<Claim> {
        self.holder.current().copied().filter(|_| self.is_present())
    }

    /// Whom to send to, while there is somebody.
    pub(super) fn listener(&self) -> Option<Claim> {
        self.present_claim().filter(|_| self.reachable)
    }

    /// Gives whether the client goes on with what it had.
    pub(super) fn attach(&mut self, attach: &Attach, input_limit: usize) -> bool {
        let mode = match self.presence {
            Presence::Expected => log::Attach::Fresh,
            _ => attach.mode,
        };
        let attached = self.log.attach(mode, attach.epoch);
        if !attached.recovered {
            // The client numbers its inputs anew.
            self.inputs = InputQueue::new(input_limit);
            self.trail.restart(InputSeq(0));
            self.lost = None;
            self.overflowed = false;
        }
        self.holder.accept(attach.claim);
        self.presence = Presence::Present;
        self.reachable = true;
        self.viewer.reset();
        self.attached = Some(attached);
        attached.recovered
    }

    pub(super) fn detach(&mut self, departure: Departure) {
        self.presence = match departure {
            Departure::Lost => Presence::Away,
            Departure::Left => Presence::Left,
        };
        self.viewer.reset();
        self.attached = None;
        self.held = 0;
    }

    /// Appends an event, if the player has ever been here; else the first state tells it. If the
    /// log is full its history ends, and the client has to come back for whole state.
    pub(super) fn append(&mut self, payload: Bytes) {
        if matches!(self.presence, Presence::Present | Presence::Away) {
            self.overflowed |= self.log.append(payload).is_err();
        }
    }

    /// Takes an input frame; `false` if it is of another history or of an absent player.
    pub(super) fn accept(&mut self, now: Timestamp, input: &InputFrame, bits: u8) -> bool {
        if !self.is_present() || input.epoch != self.log.epoch() {
            return false;
        }
        let ack = Ack {
            channel: Channel::Room,
            epoch: input.epoch,
            offset: input.offset,
            resend: false,
        };
        self.log.handle_ack(now, ack);
        self.viewer.acknowledge(input.snapshot);
        let mask = ((1u64 << bits) - 1) as u32;
        let mut steps = [0; protocol::frame::Steps::MAX];
        let given = input.steps.as_slice();
        for (step, given) in steps.iter_mut().zip(given) {
            *step = given & mask;
        }
        if let Some(lost) = self.inputs.accept(input.first, &steps[..given.len()]) {
            let from = self.lost.map_or(lost.from, |earlier| earlier.from);
            self.lost = Some(InputRange { from, to: lost.to });
        }
        true
    }

    /// The input for the next step.
    pub(super) fn next_input(&mut self, hold_ticks: u32) -> SeatInput {
        let present = self.is_present();
        match self.inputs.take() {
            Some(step) => {
                self.held = step;
                self.late = (self.held_for > 0 && present).then_some(self.held_for);
                self.held_for = 0;
            }
            None if self.held_for < hold_ticks => self.held_for += 1,
            None => self.held = 0,
        }
        let bits = if present { self.held } else { 0 };
        SeatInput { bits, present }
    }

    /// The last input that was applied or reported.
    pub(super) fn processed(&self) -> InputSeq {
        self.inputs.processed()
    }

    /// Remembers what was processed with the step of `tick`, until it is confirmed.
    pub(super) fn note_processed(&mut self, tick: Tick) {
        self.trail.note(tick, self.inputs.processed());
    }

    /// Everything that was processed so far is durable.
    pub(super) fn confirm_all(&mut self) {
        self.trail.restart(self.inputs.processed());
    }

    /// The head of the snapshot at `tick`, in a room that waits for confirmation or in one in
    /// which everything is durable at once.
    pub(super) fn head(&self, tick: Tick, confirms: bool) -> SnapshotHead {
        let distance = self
            .viewer
            .baseline_tick()
            .map_or(0, |baseline| tick.0 - baseline.0);
        let processed = self.inputs.processed();
        SnapshotHead {
            tick,
            distance,
            processed,
            durable_lag: match confirms {
                true => self.trail.lag(processed),
                false => 0,
            },
            queued: self.inputs.queued().min(15) as u8,
        }
    }
}
