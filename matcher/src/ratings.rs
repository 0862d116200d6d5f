//! How good players are, asked of the database by a task of its own: nobody waits for it but who
//! wants to queue, and that not for long.
//!
//! What is asked while a call is under way goes into the next one. A database that does not answer
//! is let be for [`PAUSE`]: meanwhile everybody is told at once that nothing is known.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::telemetry::Chain;
use engine::players::MAX_ASKED;
use engine::{PlayerRating, Players};
use metrics::counter;
use protocol::id::PlayerId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Players who may wait to be asked for. Over it the answer is at once that nothing is known.
const QUEUE: usize = 8192;

/// Answers that may wait for the desk. Over it the task stands still.
const ANSWERS: usize = 64;

/// Longest that the database is waited for.
const DEADLINE: Duration = Duration::from_secs(1);

/// After a failure it is not asked for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Where ratings are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asking(mpsc::Sender<PlayerId>);

/// The answer to several questions.
#[derive(Debug)]
pub(crate) struct Rated {
    /// Who was asked for.
    pub(crate) players: BTreeSet<PlayerId>,
    /// Their ratings, those that there are; none if the database did not answer.
    pub(crate) ratings: Option<Vec<PlayerRating>>,
}

impl Asking {
    /// Asks for a player's ratings. False: too much is waiting, and there will be no answer.
    pub(crate) fn ask(&self, player: PlayerId) -> bool {
        self.0.try_send(player).is_ok()
    }
}

/// Starts the task, which ends with `stop`.
pub(crate) fn start(
    players: Arc<dyn Players>,
    stop: CancellationToken,
) -> (Asking, mpsc::Receiver<Rated>) {
    let (asking, asked) = mpsc::channel(QUEUE);
    let (answers, rated) = mpsc::channel(ANSWERS);
    let task = run(players, asked, answers);
    tokio::spawn(async move { stop.run_until_cancelled(task).await });
    (Asking(asking), rated)
}

async fn run(
    players: Arc<dyn Players>,
    mut asked: mpsc::Receiver<PlayerId>,
    answers: mpsc::Sender<Rated>,
) {
    let (known, unknown) = (
        counter!("matcher_ratings_total", "outcome" => "known"),
        counter!("matcher_ratings_total", "outcome" => "unknown"),
    );
    let mut batch = Vec::new();
    let mut failed_at: Option<Instant> = None;
    while asked.recv_many(&mut batch, MAX_ASKED).await > 0 {
        let wanted: BTreeSet<PlayerId> = batch.drain(..).collect();
        let pauses = failed_at.is_some_and(|at| at.elapsed() < PAUSE);
        let answer = match pauses {
            true => None,
            false => ask(&*players, &wanted, &mut failed_at).await,
        };
        let count = wanted.len() as u64;
        match &answer {
            Some(_) => known.increment(count),
            None => unknown.increment(count),
        }
        let rated = Rated {
            players: wanted,
            ratings: answer,
        };
        if answers.send(rated).await.is_err() {
            return; // the desk has ended
        }
    }
}

async fn ask(
    players: &dyn Players,
    wanted: &BTreeSet<PlayerId>,
    failed_at: &mut Option<Instant>,
) -> Option<Vec<PlayerRating>> {
    let list: Vec<PlayerId> = wanted.iter().copied().collect();
    let error = match timeout(DEADLINE, players.ratings(&list)).await {
        Ok(Ok(ratings)) => {
            if failed_at.take().is_some() {
                tracing::info!("the database tells ratings again");
            }
            return Some(ratings);
        }
        Ok(Err(error)) => Chain(&error).to_string(),
        Err(_) => format!("no answer within {DEADLINE:?}"),
    };
    if failed_at.replace(Instant::now()).is_none() {
        tracing::warn!(
            error,
            "ratings cannot be read; players are matched by what their login says"
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use engine::Engine;
    use engine::conformance::players::{Broken, result};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_gathers_is_asked_together_and_told() {
        let engine = Engine::embedded(None).expect("an engine");
        let recorded = engine.results.record(&result(1, "race", 1, &[1, 2])).await;
        recorded.expect("recorded");
        let players = engine.players.expect("players");
        let (asking, mut rated) = start(players, CancellationToken::new());
        for player in [1, 2, 3, 1] {
            assert!(asking.ask(PlayerId(player)));
        }
        let answer = rated.recv().await.expect("an answer");
        assert_eq!(answer.players, BTreeSet::from([1, 2, 3].map(PlayerId)));
        assert_eq!(answer.ratings.expect("known").len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_fails_is_let_be_and_asked_again_later() {
        let broken = Arc::new(Broken::default());
        let (asking, mut rated) = start(broken.clone(), CancellationToken::new());
        for _ in 0..5 {
            asking.ask(PlayerId(1));
            let answer = rated.recv().await.expect("an answer");
            assert!(answer.ratings.is_none());
        }
        assert_eq!(broken.calls(), 1, "one call in all that time");
        tokio::time::advance(PAUSE).await;
        asking.ask(PlayerId(1));
        rated.recv().await.expect("an answer");
        assert_eq!(broken.calls(), 2);
    }
}
