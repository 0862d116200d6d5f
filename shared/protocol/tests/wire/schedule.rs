//! What happens in a case, as a value that proptest makes and shrinks.

use proptest::prelude::*;
use protocol::id::Channel;
use protocol::log::LogLimits;

use super::pipe::Mischief;

/// A whole case.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    pub(super) log: LogLimits,
    pub(super) steps: Vec<Step>,
}

/// One step. Numbers choose among what there is at that time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The origin of a channel makes events.
    Emit(Channel, u8),
    /// The player makes steps of input.
    Push(u8),
    /// One pipe delivers up to so many messages.
    Deliver(usize, u8),
    /// One pipe delivers nothing any more while time passes.
    Stall(usize),
    /// The pipe that stalled first goes on.
    Release,
    /// Time passes, and nothing arrives.
    Wait(u16),
    /// Time passes, and everything arrives at once but for what is stalled.
    Run(u16),
    /// Something happens to a frame on its way.
    Disturb(usize, usize, Mischief),
    /// The client's connection breaks.
    CutSocket,
    /// The client's connection goes silent.
    HoleSocket,
    /// A stream between gateway and origin breaks.
    CutStream(usize),
    /// A stream between gateway and origin goes silent.
    HoleStream(usize),
    /// The room's node dies; another one goes on from what was durable.
    TakeOver,
    /// A gateway dies; a fresh one of the same name takes its place.
    Replace(usize),
    /// A gateway stops; what is sent to it waits.
    Freeze(usize),
    /// A stopped gateway goes on as if nothing had been.
    Wake(usize),
}

pub(super) fn schedules() -> impl Strategy<Value = Schedule> {
    let limits = prop_oneof![
        3 => Just(LogLimits { events: 200, bytes: 64 * 1024 }),
        1 => Just(LogLimits { events: 6, bytes: 64 * 1024 }),
    ];
    (any::<u64>(), limits, prop::collection::vec(steps(), 0..70))
        .prop_map(|(seed, log, steps)| Schedule { seed, log, steps })
}

fn steps() -> impl Strategy<Value = Step> {
    let channel = prop_oneof![Just(Channel::Match), Just(Channel::Room)];
    let mischief = prop_oneof![
        Just(Mischief::Lose),
        Just(Mischief::Repeat),
        Just(Mischief::Swap)
    ];
    let any_index = || 0usize..1_000;
    prop_oneof![
        6 => (channel, 1u8..5).prop_map(|(channel, count)| Step::Emit(channel, count)),
        6 => (1u8..20).prop_map(Step::Push),
        12 => (any_index(), 1u8..6).prop_map(|(pipe, count)| Step::Deliver(pipe, count)),
        4 => any_index().prop_map(Step::Stall),
        2 => Just(Step::Release),
        4 => (0u16..400).prop_map(Step::Wait),
        1 => (400u16..6_000).prop_map(Step::Wait),
        8 => (0u16..300).prop_map(Step::Run),
        2 => (300u16..3_000).prop_map(Step::Run),
        10 => (any_index(), any_index(), mischief)
            .prop_map(|(pipe, index, mischief)| Step::Disturb(pipe, index, mischief)),
        2 => Just(Step::CutSocket),
        1 => Just(Step::HoleSocket),
        2 => any_index().prop_map(Step::CutStream),
        1 => any_index().prop_map(Step::HoleStream),
        1 => Just(Step::TakeOver),
        2 => (0usize..2).prop_map(Step::Replace),
        2 => (0usize..2).prop_map(Step::Freeze),
        2 => (0usize..2).prop_map(Step::Wake),
    ]
}
