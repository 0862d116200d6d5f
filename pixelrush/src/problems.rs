//! What is wrong with settings that can be read but cannot work. All of it is told at once.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::postgres::PostgresConfig;
use client::address::Address;
use syncd::games::race;

use crate::secrets::{Secrets, SecretsError};
use crate::settings::Settings;

/// Ticks of the matcher below this would only burn the processor.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// With less time for an answer from the network there would be none.
const SHORTEST_ANSWER: Duration = Duration::from_millis(10);

impl Settings {
    /// Everything that could never work, each with the key at fault and the remedy.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.check_addresses(&mut problems);
        self.check_resolve(&mut problems);
        self.check_heartbeat(&mut problems);
        self.check_matcher(&mut problems);
        self.check_secrets(&mut problems);
        self.check_postgres(&mut problems);
        problems
    }

    fn check_addresses(&self, problems: &mut Vec<String>) {
        let matcher = &self.gateway.matcher;
        let rooms = self
            .gateway
            .rooms
            .iter()
            .map(|room| ("gateway.rooms", &room.endpoint));
        let nodes = self
            .matcher
            .nodes
            .iter()
            .map(|node| ("matcher.nodes", &node.endpoint));
        let endpoints = std::iter::once(("gateway.matcher", &matcher.endpoint));
        for (key, endpoint) in endpoints.chain(rooms).chain(nodes) {
            if let Err(error) = endpoint.parse::<Address>() {
                problems.push(format!("{key}: {error}"));
            }
        }
        let mut known = BTreeSet::new();
        for room in &self.gateway.rooms {
            if !known.insert(&room.name) {
                problems.push(format!("gateway.rooms names {} twice", room.name));
            }
        }
        // A file for a matcher alone may leave the gateways' part out.
        let missing =
            |node: &&matcher::config::NodeConfig| !known.is_empty() && !known.contains(&node.name);
        for node in self.matcher.nodes.iter().filter(missing) {
            problems.push(format!(
                "matcher.nodes names {}, which gateway.rooms does not: no gateway could reach its rooms",
                node.name
            ));
        }
    }

    fn check_resolve(&self, problems: &mut Vec<String>) {
        for (key, limit) in [
            ("timeout", self.resolve.timeout),
            ("probe", self.resolve.probe),
        ] {
            if limit < SHORTEST_ANSWER {
                problems.push(format!(
                    "resolve.{key} must be at least {SHORTEST_ANSWER:?}"
                ));
            }
        }
    }

    fn check_heartbeat(&self, problems: &mut Vec<String>) {
        let beat = &self.gateway.heartbeat;
        for (key, interval, deadline) in [
            ("interval", beat.interval, beat.deadline),
            (
                "active_interval",
                beat.active_interval,
                beat.active_deadline,
            ),
        ] {
            if interval < Duration::from_millis(50) || deadline < interval * 2 {
                problems.push(format!(
                    "gateway.heartbeat.{key} must be at least 50ms and at most half its deadline"
                ));
            }
        }
    }

    fn check_matcher(&self, problems: &mut Vec<String>) {
        if !self.matcher.events.is_empty()
            && self.engine.redis.is_some()
            && self.engine.postgres.is_none()
            && self.engine.data_dir.is_none()
        {
            problems.push(
                "matcher.events needs engine.postgres, or engine.data_dir, a folder that all \
                 matchers share: confirmed seats are kept there, as Redis may lose what it has \
                 confirmed"
                    .to_owned(),
            );
        }
        if self.matcher.tick < SHORTEST_TICK {
            problems.push(format!("matcher.tick must be at least {SHORTEST_TICK:?}"));
        }
        if self.matcher.modes.is_empty() {
            problems.push("matcher.modes is empty; leave it out for the defaults".to_owned());
        }
        for (name, mode) in &self.matcher.modes {
            if mode.game == race::KIND.name && usize::from(mode.players.max) > race::CARS {
                problems.push(format!(
                    "matcher.modes.{name}.players.max is {}; a race has room for {}",
                    mode.players.max,
                    race::CARS
                ));
            }
        }
    }

    fn check_postgres(&self, problems: &mut Vec<String>) {
        let checked = self.engine.postgres.iter().map(PostgresConfig::check);
        problems.extend(
            checked
                .filter_map(Result::err)
                .map(|invalid| format!("engine.postgres.{invalid}")),
        );
    }

    fn check_secrets(&self, problems: &mut Vec<String>) {
        for key in &self.gateway.api_keys {
            let hash = &key.sha256;
            if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                problems.push(format!(
                    "gateway.api_keys: the sha256 of {} is not 64 hexadecimal digits",
                    key.id
                ));
            }
        }
        match Secrets::read(self) {
            Ok(_) | Err(SecretsError::NotSet) => {}
            Err(error) => problems.push(format!("secrets: {}", chassis::telemetry::Chain(&error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problems() {
        assert_eq!(Settings::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_told_with_its_key() {
        let mut settings = Settings::default();
        settings.gateway.matcher.endpoint = "somewhere".to_owned();
        settings.gateway.heartbeat.interval = Duration::ZERO;
        settings.gateway.api_keys.push(gateway::config::ApiKey {
            id: "studio".to_owned(),
            sha256: "secret".to_owned(),
        });
        settings.resolve.probe = Duration::ZERO;
        settings.matcher.tick = Duration::ZERO;
        settings.matcher.modes.clear();
        settings.secrets.signing_key_file = Some("/no/such/file".into());
        let mut database = PostgresConfig::default();
        database.pool.max = 0;
        settings.engine.postgres = Some(database);
        let problems = settings.problems();
        for key in [
            "gateway.matcher",
            "gateway.heartbeat.interval",
            "gateway.api_keys",
            "resolve.probe",
            "matcher.tick",
            "matcher.modes",
            "secrets",
            "engine.postgres.pool.max",
        ] {
            let named = problems
                .iter()
                .filter(|problem| problem.starts_with(key))
                .count();
            assert_eq!(named, 1, "{key} in {problems:?}");
        }
    }
}
