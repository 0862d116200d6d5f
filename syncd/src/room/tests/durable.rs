use super::*;

/// What the last snapshot says of a player's inputs: processed, and not durable.
fn inputs_told(out: &[Output]) -> (u32, u32) {
    let head = out.iter().rev().find_map(|output| match output {
        Output::Snapshot { targets, .. } => Some(targets[0].2),
        _ => None,
    });
    let head = head.expect("a snapshot");
    (head.processed.0, head.durable_lag)
}

#[test]
fn inputs_are_durable_once_their_ticks_are_confirmed() {
    let mut room = room(1);
    enter(&mut room, 0);
    input(&mut room, 0, 101, 1, &[1; 15]);
    assert_eq!(inputs_told(&steps(&mut room, 3)), (3, 0), "all at once");
    room.set_unconfirmed();
    assert_eq!(inputs_told(&steps(&mut room, 6)), (9, 6));
    room.confirm(Tick(5));
    assert_eq!(inputs_told(&steps(&mut room, 3)), (12, 7));
    room.confirm(Tick(4));
    room.confirm(Tick(99));
    assert_eq!(inputs_told(&steps(&mut room, 3)), (15, 3));
    attach(&mut room, 0, claim(0, 2), log::Attach::Fresh);
    input(&mut room, 0, 102, 1, &[1; 2]);
    room.confirm(Tick(15));
    assert_eq!(inputs_told(&steps(&mut room, 3)), (2, 2));
    room.confirm(Tick(18));
    assert_eq!(inputs_told(&steps(&mut room, 3)), (2, 0));
}

#[test]
fn a_result_is_in_the_state_once_the_end_is_confirmed_and_is_told_until_then_by_an_event() {
    let mut room = room(1);
    enter(&mut room, 0);
    room.set_unconfirmed();
    input(&mut room, 0, 101, 1, &[255]);
    steps(&mut room, 1);
    let arrive = |room: &mut Room, attempt| {
        attach(room, 0, claim(0, attempt), log::Attach::Fresh);
        let out = steps(room, 1);
        let Some(Output::Attached { state, .. }) = out.first() else {
            panic!("{out:?}");
        };
        let told = events(&out, 0)
            .iter()
            .any(|event| event.contains("room.ended"));
        (state.contains(r#""result":"#), told)
    };
    assert_eq!(arrive(&mut room, 2), (false, true));
    room.confirm(Tick(1));
    assert_eq!(arrive(&mut room, 3), (true, true));
}
