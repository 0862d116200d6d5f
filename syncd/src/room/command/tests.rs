use proptest::prelude::*;
use protocol::frame::Steps;
use protocol::id::{Channel, InputSeq, InstanceId, Offset, Position, SessionId, Tick};

use super::*;
use crate::game::{load, store};

fn seat() -> impl Strategy<Value = Seat> {
    any::<u16>().prop_map(Seat)
}

fn attach() -> impl Strategy<Value = Command> {
    let position = (any::<u32>(), any::<u32>()).prop_map(|(epoch, offset)| Position {
        epoch: Epoch(epoch),
        offset: Offset(offset),
    });
    let mode = prop_oneof![
        Just(log::Attach::Fresh),
        Just(log::Attach::Continue),
        position.prop_map(log::Attach::Resume),
    ];
    let claim = (any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>());
    let claim = claim.prop_map(|(session, instance, attempt, login)| Claim {
        session: SessionId(session),
        instance: InstanceId(instance),
        attempt,
        login,
    });
    (any::<u64>(), claim, mode, any::<u32>()).prop_map(|(player, claim, mode, epoch)| {
        Command::Attach(Attach {
            player: PlayerId(player),
            claim,
            mode,
            epoch: Epoch(epoch),
        })
    })
}

fn input() -> impl Strategy<Value = Command> {
    let steps = (
        1u8..=32,
        prop::collection::vec(any::<u32>(), 1..=Steps::MAX),
    );
    let steps = steps.prop_map(|(width, values)| {
        let mut steps = Steps::new(width);
        values.iter().for_each(|value| assert!(steps.push(*value)));
        steps
    });
    let head = (any::<u32>(), any::<u32>(), any::<u32>(), 1..u32::MAX - 15);
    (seat(), head, steps).prop_map(|(seat, (epoch, offset, snapshot, first), steps)| {
        let input = InputFrame {
            epoch: Epoch(epoch),
            offset: Offset(offset),
            snapshot: Tick(snapshot),
            first: InputSeq(first),
            steps,
        };
        Command::Input { seat, input }
    })
}

fn command() -> impl Strategy<Value = Command> {
    let channel = prop_oneof![Just(Channel::Match), Just(Channel::Room)];
    let ack = (channel, any::<u32>(), any::<u32>(), any::<bool>());
    let ack = ack.prop_map(|(channel, epoch, offset, resend)| Ack {
        channel,
        epoch: Epoch(epoch),
        offset: Offset(offset),
        resend,
    });
    let data = any::<String>().prop_map(|text| {
        let text: String = text.chars().take(100).collect();
        Data::parse(&serde_json::json!({ "said": text }).to_string()).expect("short JSON")
    });
    prop_oneof![
        attach(),
        (seat(), any::<u32>()).prop_map(|(seat, attempt)| Command::Detach { seat, attempt }),
        (seat(), any::<u32>()).prop_map(|(seat, attempt)| Command::Leave { seat, attempt }),
        (seat(), ack).prop_map(|(seat, ack)| Command::Ack { seat, ack }),
        input(),
        (seat(), prop::option::of(seat()), data).prop_map(|(seat, to, data)| Command::Say {
            seat,
            to,
            data
        }),
    ]
}

proptest! {
    #[test]
    fn a_command_reads_back_what_was_written(command in command()) {
        prop_assert_eq!(&load::<Command>("a command", &store(&command)).unwrap(), &command);
        let text = serde_json::to_string(&command).unwrap();
        prop_assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command);
    }

    #[test]
    fn bytes_that_are_no_command_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = load::<Command>("a command", &bytes);
    }
}

#[test]
fn an_input_takes_few_bytes() {
    let mut steps = Steps::new(8);
    (0..3).for_each(|step| assert!(steps.push(step)));
    let input = InputFrame {
        epoch: Epoch(u32::MAX),
        offset: Offset(20),
        snapshot: Tick(10_000),
        first: InputSeq(10_000),
        steps,
    };
    let command = Command::Input {
        seat: Seat(7),
        input,
    };
    let bytes = store(&command).len();
    assert!(bytes <= 20, "{bytes} bytes");
}
