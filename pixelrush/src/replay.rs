//! `pixelrush replay ROOM`: runs a race again from its tape and compares it with what was played.

use std::process::ExitCode;
use std::time::Duration;

use engine::Engine;
use protocol::id::{RoomId, Tick};
use syncd::games::Games;
use syncd::replay::Replay;

use crate::failure::Failure;
use crate::service::say;
use crate::settings::Settings;

/// Longest that reading the tape may take.
const READ: Duration = Duration::from_secs(10);

/// Reads the tape of `room` from the store that the settings name, and runs it.
pub(crate) async fn run(settings: &Settings, room: RoomId) -> Result<ExitCode, Failure> {
    let Some(redis) = &settings.engine.redis else {
        let text = "tapes of a process on the embedded engine end with it; name a file with engine.redis by --config";
        return Err(Failure::Settings(text.to_owned()));
    };
    let engine = Engine::redis(redis).await?;
    let reading = tokio::time::timeout(READ, engine.tapes.read(room, Tick(0))).await;
    let segments = reading
        .map_err(|_| Failure::Replay(format!("the tape of {room} could not be read in time")))??;
    let Some((first, rest)) = segments.split_first() else {
        let text = format!("there is no tape of {room}; they are kept for syncd.keep_tapes");
        return Err(Failure::Replay(text));
    };
    let failed = |error| Failure::Replay(format!("the tape of {room} cannot be run: {error}"));
    let mut replay = Replay::new(&Games::default(), &first.bytes).map_err(failed)?;
    for segment in rest {
        replay.push(&segment.bytes).map_err(failed)?;
    }
    let (mut events, mut told) = (Vec::new(), 0);
    while replay.step(&mut events) {
        told += events.drain(..).count();
    }
    let end = if replay.is_whole() {
        "to its end"
    } else {
        "as far as the tape reaches"
    };
    say(&format!(
        "{room}: {}, {} seats, {} ticks {end}, {} segments, {told} events",
        replay.game(),
        replay.setup().seats.len(),
        replay.tick(),
        segments.len(),
    ));
    for result in replay.result().unwrap_or_default() {
        let seat = &replay.setup().seats[result.seat.index()];
        let time = result.ticks.map_or("did not finish".to_owned(), |ticks| {
            format!("{:.2} s", f64::from(ticks) / 60.0)
        });
        say(&format!("  {}. {} ({time})", result.place, seat.name));
    }
    match replay.diverged() {
        None => {
            say("every segment ends in the same bytes as when it was played");
            Ok(ExitCode::SUCCESS)
        }
        Some(tick) => {
            say(&format!(
                "DIVERGED: the state at tick {tick} is not what was played"
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}
