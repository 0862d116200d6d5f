//! Inputs: the room's queue and the client's window.

use protocol::id::{Epoch, InputSeq, Offset, Tick};
use protocol::input::{InputQueue, InputWindow, RESEND_INPUT_AFTER};
use protocol::time::Timestamp;
use serde_json::{Value, json};

enum Room {
    Accept(u32, &'static [u32]),
    Take,
}
use Room::{Accept, Take};

pub(super) fn queue() -> Vec<Value> {
    let rows: [(&str, usize, &[Room]); 6] = [
        (
            "once and in order",
            10,
            &[
                Accept(1, &[10, 11]),
                Take,
                Accept(1, &[10, 11, 12]),
                Take,
                Take,
                Take,
                Accept(2, &[11, 12]),
            ],
        ),
        (
            "a gap is reported with what waits before it",
            10,
            &[Accept(1, &[1, 2]), Take, Accept(6, &[6, 7]), Take],
        ),
        (
            "the oldest over the limit are reported",
            3,
            &[Accept(1, &[1, 2, 3, 4, 5]), Take],
        ),
        (
            "a gap and the limit at once",
            2,
            &[Accept(4, &[4, 5, 6]), Take, Take],
        ),
        (
            "a late step is not applied behind a later one",
            10,
            &[Accept(3, &[3]), Accept(1, &[1, 2, 3, 4]), Take, Take],
        ),
        (
            "the last numbers",
            3,
            &[Accept(u32::MAX - 1, &[1]), Take, Accept(1, &[5])],
        ),
    ];
    rows.into_iter()
        .map(|(name, limit, steps)| queue_row(name, limit, steps))
        .collect()
}

fn queue_row(name: &str, limit: usize, steps: &[Room]) -> Value {
    let mut queue = InputQueue::new(limit);
    let mut told = Vec::new();
    for step in steps {
        let mut row = match step {
            Accept(first, steps) => {
                let lost = queue.accept(InputSeq(*first), steps);
                json!({"accept": {"first": first, "steps": steps}, "lost": lost})
            }
            Take => json!({"take": queue.take()}),
        };
        row["processed"] = json!(queue.processed());
        row["queued"] = json!(queue.queued());
        told.push(row);
    }
    json!({"name": name, "limit": limit, "steps": told})
}

enum Client {
    Push(u32),
    Transmit,
    /// Up to where steps are applied, and durable.
    Snapshot(u32, u32),
    Attach(Option<u32>),
    Wait(u64),
}
use Client::{Attach, Push, Snapshot, Transmit, Wait};

pub(super) fn window() -> Vec<Value> {
    let resend = RESEND_INPUT_AFTER.as_millis() as u64;
    let rows: [(&str, usize, &[Client]); 9] = [
        (
            "steps go out once",
            100,
            &[
                Push(1),
                Push(2),
                Push(3),
                Transmit,
                Transmit,
                Push(4),
                Transmit,
            ],
        ),
        (
            "at most fifteen a frame",
            100,
            &[
                Push(1),
                Push(2),
                Push(3),
                Push(4),
                Push(5),
                Push(6),
                Push(7),
                Push(8),
                Push(9),
                Push(10),
                Push(11),
                Push(12),
                Push(13),
                Push(14),
                Push(15),
                Push(16),
                Transmit,
                Transmit,
                Transmit,
            ],
        ),
        (
            "what is not durable goes out again to a room that does not say what it has",
            100,
            &[
                Push(1),
                Push(2),
                Push(3),
                Transmit,
                Snapshot(3, 2),
                Attach(None),
                Transmit,
            ],
        ),
        (
            "a room that says what it has gets the rest",
            100,
            &[
                Push(1),
                Push(2),
                Push(3),
                Transmit,
                Snapshot(2, 0),
                Attach(Some(2)),
                Transmit,
            ],
        ),
        (
            "a room that fell back gets it again, but nothing that was durable",
            100,
            &[
                Push(1),
                Push(2),
                Push(3),
                Transmit,
                Snapshot(3, 1),
                Attach(Some(2)),
                Transmit,
                Attach(Some(0)),
                Transmit,
                Attach(Some(9)),
                Transmit,
            ],
        ),
        (
            "what the room has is not sent again while it is not durable",
            100,
            &[
                Push(1),
                Push(2),
                Push(3),
                Transmit,
                Snapshot(2, 0),
                Wait(resend),
                Transmit,
                Snapshot(3, 0),
                Wait(resend),
                Transmit,
                Snapshot(3, 3),
            ],
        ),
        (
            "what nobody confirms goes out again",
            100,
            &[
                Push(1),
                Push(2),
                Transmit,
                Wait(resend - 1),
                Transmit,
                Wait(1),
                Transmit,
                Snapshot(1, 1),
                Wait(resend),
                Transmit,
                Snapshot(2, 2),
                Wait(resend),
                Transmit,
            ],
        ),
        (
            "the oldest over the limit is given up",
            2,
            &[Push(1), Push(2), Push(3), Transmit],
        ),
        (
            "a confirmation of what was never pushed is ignored",
            100,
            &[
                Push(1),
                Transmit,
                Snapshot(2, 2),
                Snapshot(0, 0),
                Attach(None),
                Transmit,
            ],
        ),
    ];
    rows.into_iter()
        .map(|(name, limit, steps)| window_row(name, limit, steps))
        .collect()
}

fn window_row(name: &str, limit: usize, steps: &[Client]) -> Value {
    let mut window = InputWindow::new(8, limit);
    let mut now = Timestamp(0);
    let mut told = Vec::new();
    for step in steps {
        let mut row = match *step {
            Push(step) => {
                let (seq, given_up) = window.push(step);
                json!({"push": step, "seq": seq, "given_up": given_up})
            }
            Transmit => {
                let frame = window.poll_transmit(now, Epoch(1), Offset(0), Tick(0));
                let sent = frame
                    .map(|frame| json!({"first": frame.first, "steps": frame.steps.as_slice()}));
                json!({"transmit": sent})
            }
            Snapshot(processed, durable) => {
                window.handle_snapshot(now, InputSeq(processed), InputSeq(durable));
                json!({"processed": processed, "durable": durable})
            }
            Attach(processed) => {
                window.handle_attached(processed.map(InputSeq));
                json!({"attach": processed})
            }
            Wait(millis) => {
                now = now + std::time::Duration::from_millis(millis);
                window.handle_timeout(now);
                json!({"wait_ms": millis})
            }
        };
        row["unsettled"] = json!(window.unsettled().count());
        told.push(row);
    }
    json!({"name": name, "limit": limit, "steps": told})
}
