//! Guards that can be taken away, to see that the simulation would notice.

/// A guard that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// A sealed journal takes entries.
    AppendToSealed,
    /// Output leaves before its tick is confirmed.
    ReleaseEarly,
    /// A claim does not compare whom it takes the room from.
    InexactClaim,
    /// Rooms are taken from journals that are not sealed.
    NoSeal,
    /// A checkpoint call undoes a later one.
    LateCheckpoint,
    /// Nobody pauses after a change of primary.
    NoPause,
    /// An owner that is told of lost writes goes on as if there were none.
    NoRepair,
    /// Gateways take what comes, whoever it is from.
    NoFence,
    /// Seals and claims are confirmed without the replica.
    NotDurable,
    /// Histories are continued whatever the seal says.
    NoSuspicion,
    /// A giver that gets no answer goes on if the placement still names it.
    ThawByLookUp,
    /// A room is told before it is written down.
    ToldUnwritten,
}

impl Mutation {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::AppendToSealed,
        Self::ReleaseEarly,
        Self::InexactClaim,
        Self::NoSeal,
        Self::LateCheckpoint,
        Self::NoPause,
        Self::NoRepair,
        Self::NoFence,
        Self::NotDurable,
        Self::NoSuspicion,
        Self::ThawByLookUp,
        Self::ToldUnwritten,
    ];
}
