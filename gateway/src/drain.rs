//! How a gateway goes away: unready, no new connections, then each client is told at a moment of
//! its own, so that the other gateways are not stormed.

use std::collections::VecDeque;
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
    let mut told: VecDeque<(Instant, Arc<Outbox>)> = VecDeque::new();
    for (index, outbox) in outboxes.into_iter().enumerate() {
        let moment = began + step * u32::try_from(index).unwrap_or(u32::MAX);
        close_due(&mut told, moment).await;
        sleep_until(moment).await;
        let goaway = GoAway {
            reason: "drain".to_owned(),
            within_ms: NOTICE.as_millis() as u32,
        };
        outbox.reliable(Item::Text(ServerMessage::GoAway(goaway).to_text()));
        told.push_back((Instant::now() + NOTICE, outbox));
    }
    let last = Instant::now() + NOTICE;
    close_due(&mut told, last).await;
    // Those whose hello was being answered when the drain began.
    for outbox in edge.registry.outboxes() {
        outbox.close(CloseCode::Draining);
    }
}

/// Closes those whose notice ends by `until`, each at its time.
async fn close_due(told: &mut VecDeque<(Instant, Arc<Outbox>)>, until: Instant) {
    while let Some((due, outbox)) = told.pop_front_if(|(due, _)| *due <= until) {
        sleep_until(due).await;
        outbox.close(CloseCode::Draining);
    }
}
