//! Readiness: named conditions that must all hold before a load balancer sends traffic.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// All conditions of a process. Ready while each of them is; with none, ready.
#[derive(Debug, Clone)]
pub struct Readiness {
    conditions: Arc<watch::Sender<Conditions>>,
}

type Conditions = BTreeMap<String, Standing>;

/// How a condition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Holds,
    /// It holds, but something is wrong.
    Impaired(String),
    Fails(String),
}

/// One condition: a latch that its owner turns either way. Clones are the same latch.
#[derive(Debug, Clone)]
pub struct Condition {
    name: String,
    conditions: Arc<watch::Sender<Conditions>>,
}

/// A condition as `/readyz` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConditionState {
    /// What must hold.
    pub name: String,
    /// Whether it does.
    pub ready: bool,
    /// Why not, if it does not; what is wrong all the same, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Readiness {
    /// No conditions yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition, which does not hold until its owner says so. Asking for the same name
    /// again gives the same latch, as it stands.
    pub fn condition(&self, name: impl Into<String>) -> Condition {
        let name = name.into();
        self.conditions.send_modify(|conditions| {
            let starting = || Standing::Fails("starting".to_owned());
            conditions.entry(name.clone()).or_insert_with(starting);
        });
        Condition {
            name,
            conditions: Arc::clone(&self.conditions),
        }
    }

    /// Whether every condition holds.
    pub fn is_ready(&self) -> bool {
        all_hold(&self.conditions.borrow())
    }

    /// Every condition, by name.
    pub fn conditions(&self) -> Vec<ConditionState> {
        let conditions = self.conditions.borrow();
        let states = conditions.iter().map(|(name, standing)| ConditionState {
            name: name.clone(),
            ready: standing.holds(),
            reason: match standing {
                Standing::Holds => None,
                Standing::Impaired(reason) | Standing::Fails(reason) => Some(reason.clone()),
            },
        });
        states.collect()
    }

    /// Waits until every condition holds. Cancel safe; callers bring the deadline.
    pub async fn ready(&self) {
        let mut conditions = self.conditions.subscribe();
        let waited = conditions.wait_for(all_hold).await;
        debug_assert!(waited.is_ok(), "self keeps the sender alive");
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self {
            conditions: Arc::new(watch::Sender::new(Conditions::new())),
        }
    }
}

impl Condition {
    /// The condition holds.
    pub fn ready(&self) {
        self.set(Standing::Holds);
    }

    /// The condition holds, so that the process stays in service, but something is wrong:
    /// operators read what.
    pub fn impaired(&self, reason: impl Into<String>) {
        self.set(Standing::Impaired(reason.into()));
    }

    /// The condition does not hold, for `reason`, which operators read.
    pub fn unready(&self, reason: impl Into<String>) {
        self.set(Standing::Fails(reason.into()));
    }

    fn set(&self, standing: Standing) {
        self.conditions.send_if_modified(|conditions| {
            let was = conditions.insert(self.name.clone(), standing.clone());
            was != Some(standing)
        });
    }
}

impl Standing {
    fn holds(&self) -> bool {
        !matches!(self, Self::Fails(_))
    }
}

fn all_hold(conditions: &Conditions) -> bool {
    conditions.values().all(Standing::holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unready_condition_makes_the_process_unready() {
        let readiness = Readiness::new();
        let matcher = readiness.condition("matcher");
        let syncd = readiness.condition("syncd");
        assert!(!readiness.is_ready(), "conditions start unready");
        matcher.ready();
        syncd.ready();
        assert!(readiness.is_ready());
        syncd.unready("no node answers");
        assert!(!readiness.is_ready());
        let reasons: Vec<_> = readiness
            .conditions()
            .into_iter()
            .map(|c| c.reason)
            .collect();
        assert_eq!(reasons, [None, Some("no node answers".to_owned())]);
    }

    #[test]
    fn what_is_impaired_is_told_and_keeps_nobody_from_service() {
        let readiness = Readiness::new();
        readiness
            .condition("engine")
            .impaired("Redis does not answer");
        assert!(readiness.is_ready());
        let state = readiness.conditions().remove(0);
        assert!(state.ready);
        assert_eq!(state.reason.as_deref(), Some("Redis does not answer"));
    }

    #[test]
    fn asking_again_for_a_condition_keeps_its_state() {
        let readiness = Readiness::new();
        readiness.condition("engine").ready();
        readiness.condition("engine");
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn waiting_ends_when_the_last_condition_holds() {
        let readiness = Readiness::new();
        let listener = readiness.condition("listener");
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        listener.ready();
        waiting.await.expect("ready");
    }
}
