//! Events of one history come once, in order, without a gap; a room's history never breaks off.

use std::collections::BTreeMap;

use protocol::id::{Channel, Epoch, Offset, RoomId};

use super::{Run, Violation};
use crate::history::{Entry, History, What};

pub(super) fn check(histories: &[History], run: &Run, found: &mut Vec<Violation>) {
    for history in histories {
        let mut reader = Reader::default();
        for entry in &history.entries {
            if let Err((rule, text)) = reader.read(entry, run) {
                let text = format!("at {:?}: {text}", entry.at);
                found.push(Violation::new(rule, vec![history.number], text));
            }
        }
    }
}

/// Where one player's channels stand.
#[derive(Default)]
struct Reader {
    /// The history that counts, and its last event.
    current: BTreeMap<Channel, (Option<RoomId>, Epoch, Offset)>,
    /// How far each history ever got.
    known: BTreeMap<(Channel, Option<RoomId>, Epoch), Offset>,
}

type Broken = (&'static str, String);

impl Reader {
    fn read(&mut self, entry: &Entry, run: &Run) -> Result<(), Broken> {
        match &entry.what {
            What::Attached {
                channel,
                room,
                epoch,
                offset,
                recovered,
                ..
            } => self.attached(entry, run, (*channel, *room, *epoch), *offset, *recovered),
            What::Event {
                channel,
                room,
                epoch,
                offset,
                payload,
            } => self
                .event((*channel, *room, *epoch), *offset)
                .map_err(|(rule, text)| (rule, format!("{text}: {payload}"))),
            _ => Ok(()),
        }
    }

    fn attached(
        &mut self,
        entry: &Entry,
        run: &Run,
        (channel, room, epoch): (Channel, Option<RoomId>, Epoch),
        offset: Offset,
        recovered: bool,
    ) -> Result<(), Broken> {
        let before = self.current.get(&channel).copied();
        let goes_on = before.is_some_and(|(was, at, _)| was == room && at == epoch);
        if recovered {
            return match goes_on {
                true => Ok(()),
                false => Err((
                    "history",
                    format!("{channel:?} {epoch} of {room:?} goes on, but {before:?} was there"),
                )),
            };
        }
        self.current.insert(channel, (room, epoch, offset));
        let same_room = before.is_some_and(|(was, ..)| was == room);
        let excused = run.excuses(entry.at, entry.at, |loses| loses.histories);
        match channel == Channel::Room && same_room && !excused {
            true => Err((
                "history",
                format!("{room:?} broke off and began again as {epoch}, after {before:?}"),
            )),
            false => Ok(()),
        }
    }

    fn event(
        &mut self,
        (channel, room, epoch): (Channel, Option<RoomId>, Epoch),
        offset: Offset,
    ) -> Result<(), Broken> {
        let known = self.known.entry((channel, room, epoch)).or_default();
        let repeated = offset <= *known;
        *known = offset.max(*known);
        let Some((_, current, last)) = self
            .current
            .get_mut(&channel)
            .filter(|(in_room, ..)| *in_room == room)
        else {
            let text = format!("{channel:?} {epoch}/{offset} of {room:?} without an attach");
            return Err(("order", text));
        };
        if *current != epoch {
            let text = format!("{channel:?} {epoch}/{offset}, but {current} is attached");
            return Err(("order", text));
        }
        let expected = Offset(last.0 + 1);
        *last = offset;
        match (repeated, offset == expected) {
            (true, _) => Err(("order", format!("{channel:?} {epoch}/{offset} came twice"))),
            (false, false) => Err((
                "order",
                format!("{channel:?} {epoch}/{offset} came in place of {expected}"),
            )),
            (false, true) => Ok(()),
        }
    }
}
