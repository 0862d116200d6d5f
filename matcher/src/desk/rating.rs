//! What the desk knows of how good players are.
//!
//! A player's ratings are asked for when the player comes, and again when a match has ended, by
//! when its result is recorded. Who wants to queue meanwhile waits for the answer: milliseconds, or
//! as long as [`ratings`](crate::ratings) has patience. Then it goes by what is known: the last
//! answer, or what the login states.

use std::collections::BTreeMap;

use engine::{PlayerRating, Rating};
use protocol::control::QueueJoin;
use protocol::id::PlayerId;

use super::Desk;
use crate::config::ModeName;
use crate::event::MatchEvent;
use crate::ratings::Rated;

/// How good a player is.
#[derive(Debug)]
pub(super) struct Ratings {
    /// As the login states: where it begins in every mode, and how far off that may be.
    first: (i32, u32),
    /// By mode, as the database said last; none before its first answer.
    known: Option<BTreeMap<String, PlayerRating>>,
    question: Question,
}

/// Whether the database is being asked.
#[derive(Debug)]
enum Question {
    /// No, and what is known holds.
    None,
    /// Yes; and what the client wants as soon as there is an answer.
    Asked(Option<Box<QueueJoin>>),
    /// It did not answer: ask again when it matters.
    Unanswered,
}

impl Ratings {
    /// Of who comes with a login that states `first`: a rating, and how far off it may be.
    pub(super) fn new(first: (i32, u32)) -> Self {
        Self {
            first,
            known: None,
            question: Question::None,
        }
    }

    /// The login states another one.
    pub(super) fn begins_at(&mut self, first: (i32, u32)) {
        self.first = first;
    }

    /// What the login states.
    pub(super) fn stated(&self) -> (i32, u32) {
        self.first
    }

    /// The rating to match by, and how far off it may be. A player whom the database does not know,
    /// or of whom it says nothing, is as uncertain as anybody. Where no ratings are kept, the login is
    /// believed.
    pub(super) fn of(&self, mode: &ModeName) -> (i32, u32) {
        let new = (self.first.0, Rating::FIRST.spread());
        match (&self.known, &self.question) {
            (None, Question::None) => self.first,
            (None, _) => new,
            (Some(known), _) => known
                .get(mode.as_str())
                .map_or(new, |known| (known.rating.points(), known.rating.spread())),
        }
    }

    /// Takes an answer in; gives what has changed since the one before.
    fn learn(&mut self, ratings: Vec<PlayerRating>) -> Vec<PlayerRating> {
        let new: BTreeMap<String, PlayerRating> = ratings
            .into_iter()
            .map(|rating| (rating.mode.clone(), rating))
            .collect();
        let before = self.known.replace(new.clone());
        let Some(before) = before else {
            return Vec::new(); // nothing to compare with
        };
        let is_news = |rating: &PlayerRating| {
            let known = before.get(&rating.mode);
            known.is_none_or(|known| known.version < rating.version)
        };
        new.into_values().filter(is_news).collect()
    }
}

impl Desk {
    /// Asks for the ratings of a player, unless that is under way.
    pub(super) fn ask_ratings(&mut self, id: PlayerId) {
        let Some(asking) = self.parts.ratings.clone() else {
            return; // none are kept
        };
        if let Some(player) = self.roster.player_mut(id)
            && !player.bot
            && !matches!(player.ratings.question, Question::Asked(_))
        {
            player.ratings.question = match asking.ask(id) {
                true => Question::Asked(None),
                false => Question::Unanswered,
            };
        }
    }

    /// Whether a wish to queue waits for the player's ratings; it is taken up when they are here.
    pub(super) fn waits_for_ratings(&mut self, id: PlayerId, join: &QueueJoin) -> bool {
        let unanswered = self
            .roster
            .player(id)
            .is_some_and(|player| matches!(player.ratings.question, Question::Unanswered));
        if unanswered {
            self.ask_ratings(id);
        }
        let player = self.roster.player_mut(id);
        let Some(Question::Asked(waiting)) = player.map(|player| &mut player.ratings.question)
        else {
            return false;
        };
        *waiting = Some(Box::new(join.clone()));
        true
    }

    /// The client does not want to queue any more.
    pub(super) fn forget_waiting_join(&mut self, id: PlayerId) {
        if let Some(player) = self.roster.player_mut(id)
            && let Question::Asked(waiting) = &mut player.ratings.question
        {
            *waiting = None;
        }
    }

    /// The database has answered, or will not.
    pub(super) async fn rated(&mut self, rated: Rated) {
        let is_answered = rated.ratings.is_some();
        let mut by_player: BTreeMap<PlayerId, Vec<PlayerRating>> = BTreeMap::new();
        for rating in rated.ratings.into_iter().flatten() {
            by_player.entry(rating.player).or_default().push(rating);
        }
        for id in rated.players {
            let Some(player) = self.roster.player_mut(id) else {
                continue;
            };
            let question = match is_answered {
                true => Question::None,
                false => Question::Unanswered,
            };
            let question = std::mem::replace(&mut player.ratings.question, question);
            if is_answered {
                let ratings = by_player.remove(&id).unwrap_or_default();
                for rating in player.ratings.learn(ratings) {
                    self.tell_rating(id, &rating);
                }
            }
            if let Question::Asked(Some(join)) = question {
                self.join_rated(id, &join).await;
            }
        }
        self.flush_joins().await;
    }

    /// A join that waited for the player's ratings, as far as they are known by now.
    async fn join_rated(&mut self, id: PlayerId, join: &QueueJoin) {
        if let Err(error) = self.try_join(id, join).await {
            self.refuse_join(id, error);
        }
        self.touch(id);
    }

    fn tell_rating(&mut self, id: PlayerId, rating: &PlayerRating) {
        let event = MatchEvent::Rating {
            match_id: rating.last_match,
            mode: &rating.mode,
            before: rating.before.points(),
            after: rating.rating.points(),
            deviation: rating.rating.spread(),
            games: rating.games,
        };
        self.notify(id, &event);
    }
}
