//! What leaves a room, put into the batches of the streams that its players come by.
//!
//! Events and the end of a room are held until their tick is written down. The rest may go at
//! once: snapshots are corrected by the next one, and that a channel stands tells nothing new.

use bytes::Bytes;
use protocol::id::{RoomId, SessionId};
use rpc::origin::StreamId;

use super::lines::Lines;
use crate::game::Seat;
use crate::meters::Meters;
use crate::room::{Output, SnapshotTarget};

/// Puts an output into the batches of the streams that its players come by.
pub(super) fn deliver(
    lines: &mut Lines,
    (room, attached): (RoomId, &[Option<(StreamId, SessionId)>]),
    output: Output,
    meters: &Meters,
) {
    let stream = |seat: Seat| attached[seat.index()].map(|(stream, _)| stream);
    match output {
        Output::Attached {
            seat,
            session,
            attempt,
            attached,
            state,
        } => {
            if let Some(batch) = stream(seat).and_then(|stream| lines.batch_of(stream, room)) {
                batch.attached(session, attempt, attached, state);
            }
        }
        Output::Event {
            seat,
            session,
            event,
        } => {
            if let Some(batch) = stream(seat).and_then(|stream| lines.reliable_of(stream, room)) {
                batch.event(session, &event);
            }
        }
        Output::CloseConnection {
            seat,
            session,
            attempt,
            code,
        } => {
            if let Some(batch) = stream(seat).and_then(|stream| lines.batch_of(stream, room)) {
                batch.close_connection(session, attempt, code);
            }
        }
        Output::CloseChannel {
            seat,
            session,
            attempt,
            reason,
        } => {
            if let Some(batch) = stream(seat).and_then(|stream| lines.reliable_of(stream, room)) {
                batch.close_channel(session, attempt, reason.as_str());
            }
        }
        // The worker keeps it.
        Output::Segment { .. } => {}
        Output::InputsLost { range, .. } => {
            meters
                .inputs_lost
                .increment(u64::from(range.to.0 - range.from.0) + 1);
        }
        Output::Snapshot { body, targets } => {
            meters.snapshots_encoded.increment(1);
            meters.snapshots_sent.increment(targets.len() as u64);
            let bytes = body.len() * targets.len();
            meters.snapshot_bytes.increment(bytes as u64);
            let size = body.len() as f64;
            meters.client_bytes.record_many(size, targets.len());
            fan_out(lines, room, &body, targets, stream);
        }
    }
}

/// One body for each stream that has any of the targets.
fn fan_out(
    lines: &mut Lines,
    room: RoomId,
    body: &Bytes,
    mut targets: Vec<SnapshotTarget>,
    stream: impl Fn(Seat) -> Option<StreamId>,
) {
    targets.sort_by_key(|(seat, _, _)| (stream(*seat), *seat));
    for group in targets.chunk_by(|one, other| stream(one.0) == stream(other.0)) {
        if let Some(batch) = stream(group[0].0).and_then(|stream| lines.batch_of(stream, room)) {
            let targets = group.iter().map(|(_, session, head)| (*session, *head));
            batch.fanout(body.clone(), targets);
        }
    }
}
