//! What gateways ask about players: leaderboards, histories, and to forget somebody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::telemetry::Chain;
use engine::players::{Cursor, MAX_HISTORY, MAX_LEADERS};
use engine::{EngineError, Leader, Played, PlayerRating, Players, Rating, SeatLedger};
use protocol::id::PlayerId;
use rpc::pb;
use rpc::pb::players_server::{Players as Service, PlayersServer};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::config::{Config, ModeName};

/// A leaderboard is read again after this long at the earliest, however many ask.
const FRESH: Duration = Duration::from_secs(1);

/// Most neighbours on either side.
const MAX_SIDE: usize = 25;

/// Answers gateways.
pub(crate) struct Directory {
    players: Option<Arc<dyn Players>>,
    /// Who has which seat of an event.
    ledger: Option<Arc<dyn SeatLedger>>,
    config: watch::Receiver<Arc<Config>>,
    /// The desk, which sends forgotten players away.
    forget: mpsc::Sender<PlayerId>,
    boards: Mutex<BTreeMap<ModeName, Arc<Mutex<Board>>>>,
}

/// The best of a mode, as they were read last.
#[derive(Default)]
struct Board {
    leaders: Arc<Vec<Leader>>,
    read_at: Option<Instant>,
}

impl Directory {
    pub(crate) fn new(
        players: Option<Arc<dyn Players>>,
        ledger: Option<Arc<dyn SeatLedger>>,
        config: watch::Receiver<Arc<Config>>,
        forget: mpsc::Sender<PlayerId>,
    ) -> Self {
        Self {
            players,
            ledger,
            config,
            forget,
            boards: Mutex::default(),
        }
    }

    pub(crate) fn service(self) -> PlayersServer<Self> {
        PlayersServer::new(self)
    }

    fn players(&self) -> Result<&Arc<dyn Players>, Status> {
        let text = "no ratings are kept: that takes Postgres, or the embedded engine";
        let none = || Status::failed_precondition(text);
        self.players.as_ref().ok_or_else(none)
    }

    /// A mode that there is: so there are only so many leaderboards.
    fn mode(&self, name: &str) -> Result<ModeName, Status> {
        let mode = name.parse::<ModeName>().ok();
        let known = mode.filter(|mode| self.config.borrow().modes.contains_key(mode));
        known.ok_or_else(|| Status::not_found("there is no such mode"))
    }

    /// The player's seats of the events that there are.
    async fn seats_of(&self, player: PlayerId) -> Result<Vec<pb::SeatRow>, Status> {
        let Some(ledger) = &self.ledger else {
            return Ok(Vec::new());
        };
        let config = Arc::clone(&self.config.borrow());
        let mut rows = Vec::new();
        for event in config.events.keys() {
            let seats = ledger.seats_of(event.as_str(), &[player]).await;
            let seat = seats.map_err(|error| failed(&error))?.first().copied();
            rows.extend(seat.flatten().map(|seat| pb::SeatRow {
                event: event.to_string(),
                seat: seat.0,
            }));
        }
        Ok(rows)
    }

    /// The best of a mode. Of many who ask at once, one reads and the others wait for it.
    async fn board(&self, mode: ModeName) -> Result<Arc<Vec<Leader>>, Status> {
        let players = self.players()?;
        let board = Arc::clone(self.boards.lock().await.entry(mode.clone()).or_default());
        let mut board = board.lock().await;
        if board.read_at.is_none_or(|at| at.elapsed() >= FRESH) {
            let leaders = players.leaders(mode.as_str(), MAX_LEADERS).await;
            board.leaders = Arc::new(leaders.map_err(|error| failed(&error))?);
            board.read_at = Some(Instant::now());
        }
        Ok(Arc::clone(&board.leaders))
    }
}

#[tonic::async_trait]
impl Service for Directory {
    async fn leaders(
        &self,
        request: Request<pb::AskLeaders>,
    ) -> Result<Response<pb::Leaderboard>, Status> {
        let asked = request.into_inner();
        let leaders = self.board(self.mode(&asked.mode)?).await?;
        let rows = leaders.iter().take(asked.limit as usize).map(leader);
        Ok(Response::new(pb::Leaderboard {
            rows: rows.collect(),
        }))
    }

    async fn around(
        &self,
        request: Request<pb::AskAround>,
    ) -> Result<Response<pb::Leaderboard>, Status> {
        let asked = request.into_inner();
        let mode = self.mode(&asked.mode)?;
        let side = (asked.side as usize).min(MAX_SIDE);
        let around = self
            .players()?
            .around(mode.as_str(), PlayerId(asked.player), side);
        let leaders = around.await.map_err(|error| failed(&error))?;
        Ok(Response::new(pb::Leaderboard {
            rows: leaders.iter().map(leader).collect(),
        }))
    }

    async fn profile(
        &self,
        request: Request<pb::AskProfile>,
    ) -> Result<Response<pb::PlayerProfile>, Status> {
        let asked = request.into_inner();
        let player = PlayerId(asked.player);
        let players = self.players()?;
        let seats = match asked.with_seats {
            true => self.seats_of(player).await?,
            false => Vec::new(),
        };
        let profile = players.profile(player).await.map_err(|e| failed(&e))?;
        let ids = [player];
        let ratings = players.ratings(&ids).await.map_err(|e| failed(&e))?;
        let answer = pb::PlayerProfile {
            is_known: profile.is_some(),
            ratings: ratings.iter().map(rating).collect(),
            seats,
            ..pb::PlayerProfile::default()
        };
        Ok(Response::new(match profile {
            Some(profile) => pb::PlayerProfile {
                name: profile.name,
                first_seen_ms: profile.first_seen_ms,
                last_seen_ms: profile.last_seen_ms,
                ..answer
            },
            None => answer,
        }))
    }

    async fn history(
        &self,
        request: Request<pb::AskHistory>,
    ) -> Result<Response<pb::PlayedMatches>, Status> {
        let asked = request.into_inner();
        let from: Option<Cursor> = match asked.from.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| Status::invalid_argument("`from` is no place in a history"))?,
            ),
        };
        let limit = (asked.limit as usize).clamp(1, MAX_HISTORY);
        let history = self.players()?.history(PlayerId(asked.player), from, limit);
        let matches = history.await.map_err(|error| failed(&error))?;
        let next = matches
            .last()
            .filter(|_| matches.len() == limit)
            .map(|last| last.cursor().to_string());
        Ok(Response::new(pb::PlayedMatches {
            next: next.unwrap_or_default(),
            matches: matches.iter().map(played).collect(),
        }))
    }

    async fn forget(
        &self,
        request: Request<pb::ForgetPlayer>,
    ) -> Result<Response<pb::PlayerForgotten>, Status> {
        let player = PlayerId(request.into_inner().player);
        let now = chassis::clock::unix_ms();
        let forgotten = self.players()?.forget(player, now).await;
        forgotten.map_err(|error| failed(&error))?;
        tracing::info!(%player, "a player was forgotten");
        // Other matchers may show the name for as long as they remember a leaderboard.
        self.boards.lock().await.clear();
        // An error means that the desk has ended, and every connection with it.
        let _ = self.forget.send(player).await;
        Ok(Response::new(pb::PlayerForgotten {}))
    }
}

fn failed(error: &EngineError) -> Status {
    tracing::warn!(error = %Chain(error), "a question about players was not answered");
    Status::unavailable("the database does not answer")
}

fn leader(leader: &Leader) -> pb::LeaderRow {
    pb::LeaderRow {
        place: leader.place,
        name: leader.name.clone(),
        rating: Some(rating(&leader.rating)),
    }
}

fn rating(rating: &PlayerRating) -> pb::RatingRow {
    pb::RatingRow {
        player: rating.player.0,
        mode: rating.mode.clone(),
        rating: rating.rating.points(),
        deviation: rating.rating.spread(),
        score: rating.rating.score(),
        games: rating.games,
        wins: rating.wins,
    }
}

fn played(played: &Played) -> pb::PlayedMatch {
    let change = |(before, after): (Rating, Rating)| pb::RatingChange {
        before: before.points(),
        after: after.points(),
        deviation_before: before.spread(),
        deviation_after: after.spread(),
    };
    pb::PlayedMatch {
        r#match: played.match_id.0,
        room: played.room.0,
        mode: played.mode.clone(),
        finished_at_ms: played.finished_at_ms,
        name: played.name.clone(),
        place: played.place,
        seats: played.seats,
        ticks: played.ticks,
        change: played.change.map(change),
    }
}
