use super::*;
use proptest::prelude::*;

fn beats() -> impl Strategy<Value = Beat> {
    any::<(u32, u32, u16)>().prop_map(|(time, echo, hold)| Beat { time, echo, hold })
}

fn all_acks() -> impl Strategy<Value = Acks> {
    prop::collection::vec(any::<(bool, bool, u32, u32)>(), 0..4).prop_map(|list| {
        let mut acks = Acks::default();
        for (room, resend, epoch, offset) in list {
            let channel = if room { Channel::Room } else { Channel::Match };
            acks.set(Ack {
                channel,
                resend,
                epoch: Epoch(epoch),
                offset: Offset(offset),
            });
        }
        acks
    })
}

fn inputs() -> impl Strategy<Value = InputFrame> {
    let steps = (
        1u8..=32,
        prop::collection::vec(any::<u32>(), 1..=Steps::MAX),
    );
    (any::<(u32, u32, u32)>(), 1u32..u32::MAX - 15, steps).prop_map(
        |((epoch, offset, snapshot), first, (width, values))| {
            let mut steps = Steps::new(width);
            values
                .into_iter()
                .for_each(|value| assert!(steps.push(value)));
            InputFrame {
                epoch: Epoch(epoch),
                offset: Offset(offset),
                snapshot: Tick(snapshot),
                first: InputSeq(first),
                steps,
            }
        },
    )
}

fn frames() -> impl Strategy<Value = Frame> {
    let payload = || prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
    prop_oneof![
        (beats(), all_acks()).prop_map(|(beat, acks)| Frame::Ping(beat, acks)),
        beats().prop_map(Frame::Pong),
        all_acks().prop_map(Frame::Ack),
        inputs().prop_map(Frame::Input),
        (any::<(u32, u32, u32, u32)>(), 0u8..=15, payload()).prop_map(
            |((tick, distance, processed, durable_lag), queued, body)| {
                Frame::Snapshot(Snapshot {
                    head: SnapshotHead {
                        tick: Tick(tick),
                        distance,
                        processed: InputSeq(processed),
                        durable_lag,
                        queued,
                    },
                    body,
                })
            }
        ),
        (any::<(bool, u32, u32)>(), payload()).prop_map(|((room, epoch, offset), payload)| {
            let channel = if room { Channel::Room } else { Channel::Match };
            Frame::Event(Event {
                channel,
                epoch: Epoch(epoch),
                offset: Offset(offset),
                payload,
            })
        }),
    ]
}

proptest! {
    #[test]
    fn every_frame_reads_back(frame in frames()) {
        prop_assert_eq!(Frame::decode(&Bytes::from(frame.encode())), Ok(frame));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Frame::decode(&Bytes::from(bytes));
    }

    #[test]
    fn a_frame_cut_short_is_refused_or_shorter(frame in frames(), cut in any::<prop::sample::Index>()) {
        let whole = frame.encode();
        let part = Bytes::copy_from_slice(&whole[..cut.index(whole.len())]);
        prop_assert_ne!(Frame::decode(&part), Ok(frame));
    }
}

#[test]
fn errors_name_kind_and_field() {
    let error = Frame::decode(&Bytes::from_static(&[INPUT, 0, 0])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "binary frame of kind 4: field epoch ends inside a value"
    );
    let error = Frame::decode(&Bytes::from_static(&[99])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "binary frame kind 99 is unknown; kinds are 1 to 6"
    );
}
