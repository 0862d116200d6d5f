//! Journals in memory: for several nodes in one process, which is how tests kill nodes.

use std::collections::BTreeMap;
use std::future::ready;

use bytes::Bytes;
use parking_lot::Mutex;
use protocol::id::RoomId;

use crate::journals::{
    Checkpoints, Estate, JournalInfo, Journals, Seal, Seq, Written, check_limits, not_sealed,
};
use crate::leases::Incarnation;
use crate::{BoxFuture, EngineError};

/// Journals in memory.
#[derive(Debug, Default)]
pub struct MemoryJournals {
    journals: Mutex<BTreeMap<Incarnation, Journal>>,
}

#[derive(Debug, Default)]
struct Journal {
    last: Seq,
    entries: BTreeMap<Seq, Bytes>,
    checkpoints: BTreeMap<RoomId, Bytes>,
    sealed_by: Option<Incarnation>,
    /// The newest checkpoint call.
    call: u64,
}

impl MemoryJournals {
    /// There is none.
    pub fn new() -> Self {
        Self::default()
    }

    fn open_now(&self, who: &Incarnation, after: Seq) -> Written {
        let mut journals = self.journals.lock();
        let journal = journals.entry(who.clone()).or_insert_with(|| Journal {
            last: after,
            ..Journal::default()
        });
        if journal.sealed_by.is_some() {
            return Written::Sealed;
        }
        if journal.last < after {
            *journal = Journal {
                last: after,
                ..Journal::default()
            };
        }
        Written::Done
    }

    fn with(
        &self,
        who: &Incarnation,
        work: impl FnOnce(&mut Journal) -> Written,
    ) -> BoxFuture<'static, Result<Written, EngineError>> {
        let written = match self.journals.lock().get_mut(who) {
            Some(journal) => work(journal),
            None => Written::Missing,
        };
        Box::pin(ready(Ok(written)))
    }

    fn seal_now(&self, who: &Incarnation, by: &Incarnation) -> Option<Seal> {
        let mut journals = self.journals.lock();
        let journal = journals.get_mut(who)?;
        let by = journal.sealed_by.get_or_insert_with(|| by.clone()).clone();
        Some(Seal {
            by,
            last: journal.last,
            is_suspect: false,
        })
    }

    fn estate_now(&self, who: &Incarnation) -> Result<Estate, EngineError> {
        let journals = self.journals.lock();
        let Some(journal) = journals.get(who) else {
            return Ok(Estate::default());
        };
        if journal.sealed_by.is_none() {
            return Err(not_sealed(who));
        }
        let checkpoints = journal.checkpoints.iter();
        let entries = journal.entries.iter();
        Ok(Estate {
            checkpoints: checkpoints
                .map(|(room, bytes)| (*room, bytes.clone()))
                .collect(),
            entries: entries.map(|(seq, bytes)| (*seq, bytes.clone())).collect(),
        })
    }
}

impl Journal {
    /// Why nothing can be written by an owner who knows everything up to `last` to be there.
    fn check(&self, last: Seq) -> Option<Written> {
        if self.sealed_by.is_some() {
            return Some(Written::Sealed);
        }
        (self.last < last).then_some(Written::Gap(self.last))
    }

    fn append(&mut self, first: Seq, entries: &[Bytes]) -> Written {
        if let Some(refused) = self.check(Seq(first.0.saturating_sub(1))) {
            return refused;
        }
        for (seq, entry) in (first.0..).map(Seq).zip(entries) {
            if seq > self.last {
                self.entries.insert(seq, entry.clone());
                self.last = seq;
            }
        }
        Written::Done
    }

    fn checkpoint(&mut self, checkpoints: &Checkpoints) -> Written {
        if let Some(refused) = self.check(checkpoints.last) {
            return refused;
        }
        if checkpoints.after > self.call {
            return Written::Gap(self.last);
        }
        if checkpoints.call <= self.call {
            return Written::Done; // late: a newer one has been here
        }
        self.call = checkpoints.call;
        self.checkpoints.extend(checkpoints.rooms.iter().cloned());
        for room in &checkpoints.gone {
            self.checkpoints.remove(room);
        }
        self.entries = self.entries.split_off(&checkpoints.keep_from);
        Written::Done
    }
}

impl Journals for MemoryJournals {
    fn open<'a>(
        &'a self,
        who: &'a Incarnation,
        after: Seq,
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        Box::pin(ready(Ok(self.open_now(who, after))))
    }

    fn append<'a>(
        &'a self,
        who: &'a Incarnation,
        first: Seq,
        entries: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        if let Err(refused) = check_limits(entries) {
            return Box::pin(ready(Err(refused)));
        }
        self.with(who, |journal| journal.append(first, entries))
    }

    fn checkpoint<'a>(
        &'a self,
        who: &'a Incarnation,
        checkpoints: &'a Checkpoints,
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        self.with(who, |journal| journal.checkpoint(checkpoints))
    }

    fn seal<'a>(
        &'a self,
        who: &'a Incarnation,
        by: &'a Incarnation,
    ) -> BoxFuture<'a, Result<Option<Seal>, EngineError>> {
        Box::pin(ready(Ok(self.seal_now(who, by))))
    }

    fn estate<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<Estate, EngineError>> {
        Box::pin(ready(self.estate_now(who)))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<JournalInfo>, EngineError>> {
        let journals = self.journals.lock();
        let info = |(who, journal): (&Incarnation, &Journal)| JournalInfo {
            who: who.clone(),
            sealed: journal.sealed_by.is_some(),
        };
        Box::pin(ready(Ok(journals.iter().map(info).collect())))
    }

    fn retire<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<(), EngineError>> {
        self.journals.lock().remove(who);
        Box::pin(ready(Ok(())))
    }

    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        Box::pin(ready(Ok("memory".to_owned())))
    }
}
