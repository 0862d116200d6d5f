//! Attaches of players who are not known here, while the ticket store is away: what they are to be
//! told only the store knows, so they wait for it.

use std::collections::BTreeMap;

use protocol::id::SessionId;
use rpc::inbound::AttachRequest;
use rpc::origin::StreamId;

/// Who waits. The desk bounds it: those who wait count as players.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    waiting: BTreeMap<SessionId, Vec<Newcomer>>,
    len: usize,
    /// Of the next one.
    number: u64,
}

/// One attach.
#[derive(Debug)]
pub(super) struct Newcomer {
    number: u64,
    pub(super) stream: StreamId,
    pub(super) request: AttachRequest,
}

impl Lobby {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Lets an attach wait.
    pub(super) fn enter(&mut self, stream: StreamId, request: AttachRequest) {
        let newcomer = Newcomer {
            number: self.number,
            stream,
            request,
        };
        self.number += 1;
        self.len += 1;
        let session = newcomer.request.claim.session;
        self.waiting.entry(session).or_default().push(newcomer);
    }

    /// Whether a session waits, by this stream.
    pub(super) fn has(&self, session: SessionId, stream: StreamId) -> bool {
        let waiting = self.waiting.get(&session);
        waiting.is_some_and(|waiting| waiting.iter().any(|one| one.stream == stream))
    }

    /// A connection has gone.
    pub(super) fn leave(&mut self, session: SessionId, stream: StreamId, attempt: u32) {
        let Some(waiting) = self.waiting.get_mut(&session) else {
            return;
        };
        let before = waiting.len();
        waiting.retain(|one| one.stream != stream || one.request.claim.attempt != attempt);
        self.len -= before - waiting.len();
        if waiting.is_empty() {
            self.waiting.remove(&session);
        }
    }

    /// A stream has ended.
    pub(super) fn stream_ended(&mut self, stream: StreamId) {
        self.waiting.retain(|_, waiting| {
            waiting.retain(|one| one.stream != stream);
            !waiting.is_empty()
        });
        self.len = self.waiting.values().map(Vec::len).sum();
    }

    /// Everyone, in the order in which they came.
    pub(super) fn take(&mut self) -> Vec<Newcomer> {
        self.len = 0;
        let waiting = std::mem::take(&mut self.waiting);
        let mut all: Vec<Newcomer> = waiting.into_values().flatten().collect();
        all.sort_unstable_by_key(|one| one.number);
        all
    }
}
