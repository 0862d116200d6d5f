//! Guards that can be taken away, to see that the simulation would notice.
//!
//! One is not here: that nothing is asked by a view that is older than `VIEW_LASTS`. Without it
//! 20,000 worlds hold, as a seal that got no answer waits for the next view anyway. It is kept
//! because it needs no reasoning about what a node saw before it stood still.

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
    /// The store takes a checkpoint call although it has lost the one before.
    LostCall,
    /// A journal that is forgotten is not known to have been sealed.
    ForgottenSeal,
    /// Placements are said again by a node that may have been sealed.
    SayUnproved,
    /// A node that may have been sealed, in a store that does not know any more, goes on at once.
    NoSettle,
    /// A claim that got no answer counts as refused.
    GiveUpClaim,
}

impl Mutation {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
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
        Self::LostCall,
        Self::ForgottenSeal,
        Self::SayUnproved,
        Self::NoSettle,
        Self::GiveUpClaim,
    ];

    /// Where the search begins: shortly before the seed that finds it, where that is a late one.
    pub(crate) fn first_seed(self) -> u64 {
        match self {
            Self::LateCheckpoint => 1_150,
            Self::SayUnproved => 2_540,
            Self::LostCall => 1_870,
            Self::ForgottenSeal => 310,
            Self::ThawByLookUp | Self::NoSettle => 140,
            _ => 0,
        }
    }
}
