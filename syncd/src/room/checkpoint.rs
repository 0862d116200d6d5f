//! A room written down, and restored.
//!
//! A checkpoint holds everything that a later step depends on, so that the restored room takes
//! the same commands to the same bytes. It holds nothing of who listens: nobody is told anything
//! by a restored room until they attach to it, which sends them what they lack and a whole
//! snapshot.
//!
//! Layout: a byte of the [`FORMAT`], 8 bytes of SHA-256 of the rest, then the rest in postcard.

use std::borrow::Cow;

use protocol::id::{Epoch, Tick};
use serde::{Deserialize, Serialize};

use super::member::{Member, SavedMember};
use super::tape::{Recent, Tape};
use super::{EndReason, Room, RoomSetup};
use crate::game::{DIGEST, RestoreError, Seat, digest, load, store};
use crate::games::Games;

/// Of a checkpoint, raised when its layout changes.
const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Saved<'a> {
    game: Cow<'a, str>,
    simulation: u32,
    setup: Cow<'a, RoomSetup>,
    tick: Tick,
    last_present: Tick,
    over_at: Option<Tick>,
    ended: Option<EndReason>,
    state: Vec<u8>,
    members: Vec<SavedMember>,
    tape: Option<Cow<'a, Tape>>,
    recent: Vec<(Tick, Vec<u8>)>,
}

impl Room {
    /// The room as it is now, for [`restore`](Self::restore): some kilobytes, and up to 256 KiB
    /// more for each player who acknowledges nothing.
    pub fn checkpoint(&self) -> Vec<u8> {
        let body = store(&Saved {
            game: Cow::Borrowed(self.kind.name),
            simulation: self.kind.version,
            setup: Cow::Borrowed(&self.setup),
            tick: self.tick,
            last_present: self.last_present,
            over_at: self.over_at,
            ended: self.ended,
            state: self.game.save(),
            members: self.members.iter().map(Member::save).collect(),
            tape: self.tape.as_ref().map(Cow::Borrowed),
            recent: self.recent.save(),
        });
        let mut bytes = Vec::with_capacity(1 + DIGEST + body.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&digest(&body));
        bytes.extend_from_slice(&body);
        bytes
    }

    /// The room of a checkpoint. Any bytes may come.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(games: &Games, bytes: &[u8]) -> Result<Self, RestoreError> {
        let Some((format, rest)) = bytes.split_first() else {
            return Err(RestoreError::Damaged("a checkpoint without bytes"));
        };
        if *format != FORMAT {
            return Err(RestoreError::Format {
                theirs: *format,
                ours: FORMAT,
            });
        }
        match rest.split_first_chunk() {
            Some((sum, body)) if *sum == digest(body) => Self::restore_body(games, body),
            _ => Err(RestoreError::Damaged("a checkpoint and its digest")),
        }
    }

    fn restore_body(games: &Games, body: &[u8]) -> Result<Self, RestoreError> {
        let saved: Saved<'_> = load("a checkpoint", body)?;
        let kind = games.find_as(&saved.game, saved.simulation)?;
        let setup = saved.setup.into_owned();
        let seats = setup.game.seats.len();
        let is_past = |tick: Tick| tick <= saved.tick;
        let in_time = is_past(saved.last_present) && saved.over_at.is_none_or(is_past);
        let tape_fits = |tape: &Tape| tape.fits(seats, saved.tick);
        let fits = saved.members.len() == seats && saved.tape.as_deref().is_none_or(tape_fits);
        if !fits || !in_time || setup.rules.snapshot_every == 0 {
            return Err(RestoreError::Damaged("a room's state"));
        }
        let members = saved.members.into_iter().map(Member::restore);
        let members = members.collect::<Option<_>>();
        Ok(Self {
            schema: (kind.schema)(),
            kind: *kind,
            game: (kind.restore)(&setup.game, &saved.state)?,
            members: members.ok_or(RestoreError::Damaged("a member"))?,
            tick: saved.tick,
            last_present: saved.last_present,
            over_at: saved.over_at,
            ended: saved.ended,
            confirmed: None,
            tape: saved.tape.map(Cow::into_owned),
            recent: Recent::restore(saved.recent, saved.tick)
                .ok_or(RestoreError::Damaged("segments of a tape"))?,
            inputs: Vec::new(),
            events: Vec::new(),
            setup,
        })
    }

    /// Nobody is told anything until they attach. That is so after [`restore`](Self::restore);
    /// commands that are run again after it may hold attaches, which reach nobody either.
    pub fn hang_up(&mut self) {
        self.members.iter_mut().for_each(Member::hang_up);
    }

    /// Ends the histories of these seats: whoever attaches next, in whatever way, gets a new one
    /// and whole state. For a room that may lack the end of what was told. `epoch` draws a new
    /// name for each.
    pub fn break_histories(
        &mut self,
        breaks: impl Fn(Seat) -> bool,
        mut epoch: impl FnMut() -> Epoch,
    ) {
        for (index, member) in self.members.iter_mut().enumerate() {
            if breaks(Seat(index as u16)) {
                member.hang_up();
                member.log.end_history(epoch());
            }
        }
    }
}

#[cfg(test)]
mod tests;
