//! How a gateway goes away: unready, no new connections, then each client is told at a moment of
//! its own, so that the other gateways are not stormed.

use std::sync::Arc;
use std::time::Duration;

use protocol::close::CloseCode;
use protocol::control::{GoAway, ServerMessage};
use tokio::time::{Instant, sleep_until};

use crate::edge::Edge;
use crate::outbox::{Item, Outbox};

/// From `goaway` to the close: what is on its way to the client arrives, and a well-made client
/// has connected elsewhere.
const NOTICE: Duration = Duration::from_millis(250);

/// Tells all clients to go, over the configured spread.
pub(crate) async fn dismiss(edge: Arc<Edge>) {
    let spread = edge.config.load().drain.spread;
    let outboxes = edge.registry.outboxes();
    let step = spread / u32::try_from(outboxes.len()).unwrap_or(u32::MAX).max(1);
    tracing::info!(sessions = outboxes.len(), spread = ?spread, "telling clients to go");
    let began = Instant::now();
    let mut told: std::collections::VecDeque<(Instant, Arc<Outbox>)> = Default::default();
    for (index, outbox) in outboxes.into_iter().enumerate() {
        sleep_until(began + step * u32::try_from(index).unwrap_or(u32::MAX)).await;
        let goaway = GoAway {
            reason: "drain".to_owned(),
            within_ms: NOTICE.as_millis() as u32,
        };
        outbox.reliable(Item::Text(ServerMessage::GoAway(goaway).to_text()));
        told.push_back((Instant::now() + NOTICE, outbox));
        while told.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            if let Some((_, outbox)) = told.pop_front() {
                outbox.close(CloseCode::Draining);
            }
        }
    }
    for (due, outbox) in told {
        sleep_until(due).await;
        outbox.close(CloseCode::Draining);
    }
    // Those whose hello was being answered when the drain began.
    for outbox in edge.registry.outboxes() {
        outbox.close(CloseCode::Draining);
    }
}
