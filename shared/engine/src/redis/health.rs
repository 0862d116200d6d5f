//! Whether Redis answers, for operators: a metric, and a condition of readiness.

use std::time::Duration;

use chassis::readiness::Condition;
use metrics::{describe_gauge, gauge};
use tokio::time::{MissedTickBehavior, interval};

use super::Redis;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// So many looks in a row without a working connection, and Redis counts as away: one that is made
/// anew is none.
const LOOKS: u32 = 4;

/// What a process is without Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// Of no use: it is not ready.
    Useless,
    /// Of use, less what the text says: it stays ready, and says so.
    Impaired(&'static str),
}

impl Redis {
    /// Shows on `condition`, and by the gauge `engine_up`, whether every part of Redis answers.
    /// For ever: drop it to stop.
    pub async fn show_health(&self, condition: &Condition, without: Without) {
        describe_gauge!("engine_up", "1 while every part of Redis answers, else 0");
        let up = gauge!("engine_up");
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut missing = 0;
        loop {
            look.tick().await;
            missing = if self.is_reachable() { 0 } else { missing + 1 };
            match missing {
                0 => {
                    up.set(1.0);
                    condition.ready();
                }
                LOOKS.. => {
                    up.set(0.0);
                    match without {
                        Without::Useless => condition.unready("Redis does not answer"),
                        Without::Impaired(less) => {
                            condition.impaired(format!("Redis does not answer: {less}"));
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
