//! The service: built out of its parts, then run on a listener.

use std::sync::Arc;

use chassis::drain::Drain;
use chassis::readiness::Readiness;
use engine::{Placements, Players, SeatLedger};
use protocol::id::{Channel, Generation, NodeId};
use rpc::origin::{self, OriginIdentity};
use rpc::token::Signer;
use rpc::transport::Incoming;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::desk::{Desk, Inputs, Parts};
use crate::grpc::Gateways;
use crate::nodes::{NodeSource, Nodes, Watches};
use crate::players::Directory;
use crate::ratings;
use crate::seats::office;
use crate::seats::store::SeatStore;
use crate::store::TicketStore;

/// News of syncd nodes that may wait for the desk. Over it the nodes' streams are not read.
const NEWS_QUEUE: usize = 1024;

/// Answers of the box office that may wait for the desk. Over it the office stands still.
const ANSWERS: usize = 4096;

/// Players who were forgotten and wait for the desk. Over it, forgetting one takes longer.
const FORGOTTEN: usize = 64;

/// What a matcher needs from outside.
pub struct Dependencies {
    /// Where tickets are.
    pub store: Arc<dyn TicketStore>,
    /// Where seats of events are; needed if there are any.
    pub seats: Option<Seats>,
    /// Who played, and how good they are; none where that is not kept.
    pub players: Option<Arc<dyn Players>>,
    /// The nodes that rooms are made on.
    pub nodes: NodeSource,
    /// Where rooms are, if they may move to another node: then a match is lost only when its room
    /// is placed nowhere. `None`: it is lost with its node.
    pub placements: Option<Arc<dyn Placements>>,
    /// Signs room tickets, with the deployment's key.
    pub signer: Signer,
    /// This incarnation: higher after each start.
    pub generation: Generation,
    /// The matcher leaves when this drain begins: no more joins and matches, rooms under way are
    /// still found, clients acknowledge what they can within 3 s.
    pub drain: Drain,
    /// Gets the condition `matcher.rooms`: some syncd node takes rooms.
    pub readiness: Readiness,
}

/// Where seats of events are.
pub struct Seats {
    /// The book that all matchers share.
    pub store: Arc<dyn SeatStore>,
    /// What decides who has which seat.
    pub ledger: Arc<dyn SeatLedger>,
}

/// Why a matcher cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There is nothing to play.
    #[error("no modes are configured")]
    NoModes,
    /// There is nowhere to play.
    #[error("no syncd nodes are configured; set [[matcher.nodes]]")]
    NoNodes,
    /// Seats could be sold that nothing remembers.
    #[error(
        "matcher.events needs a ledger that all matchers share, which Redis is not: set \
         engine.data_dir to a folder on the one host that they run on, or remove the events"
    )]
    NoLedger,
    /// Two nodes have one name.
    #[error("two syncd nodes are named {0}")]
    TwoNodes(NodeId),
}

/// Why a matcher ended early.
#[derive(Debug, thiserror::Error)]
#[error("the matcher's gRPC server failed")]
pub struct ServeError(#[source] tonic::transport::Error);

/// A matcher, ready to run.
pub struct Matcher {
    config: watch::Receiver<Arc<Config>>,
    dependencies: Dependencies,
    nodes: Nodes,
}

/// Builds a matcher. What is sent on `config` later takes effect at the next tick, as far as the
/// [configuration](crate::config) is live.
///
/// # Errors
/// [`BuildError`] if nothing could ever be played.
pub fn build(
    config: watch::Receiver<Arc<Config>>,
    dependencies: Dependencies,
) -> Result<Matcher, BuildError> {
    if config.borrow().modes.is_empty() {
        return Err(BuildError::NoModes);
    }
    if dependencies.seats.is_none() && !config.borrow().events.is_empty() {
        return Err(BuildError::NoLedger);
    }
    if let NodeSource::Static(nodes) = &dependencies.nodes {
        if nodes.is_empty() {
            return Err(BuildError::NoNodes);
        }
        for (index, node) in nodes.iter().enumerate() {
            if nodes[..index].iter().any(|other| other.name == node.name) {
                return Err(BuildError::TwoNodes(node.name.clone()));
            }
        }
    }
    let ready = dependencies.readiness.condition("matcher.rooms");
    let nodes = Nodes::new(ready);
    Ok(Matcher {
        config,
        dependencies,
        nodes,
    })
}

impl Matcher {
    /// Serves gateways on `incoming` until the drain that it was built with has begun and there is
    /// nothing left to wait for.
    ///
    /// # Errors
    /// [`ServeError`] if the listener fails.
    pub async fn run(self, incoming: Incoming) -> Result<(), ServeError> {
        let Self {
            config,
            dependencies,
            nodes,
        } = self;
        let drain = dependencies.drain;
        let _guard = drain.guard();
        let (own, mailbox) = {
            let config = config.borrow();
            (config.node.clone(), config.mailbox.max(1))
        };
        // Ends everything: the desk cancels it once it has drained, and so does leaving here.
        let stop = CancellationToken::new();
        let _stop_on_return = stop.clone().drop_guard();

        let (news_sender, news) = mpsc::channel(NEWS_QUEUE);
        let watches = Watches {
            nodes: nodes.clone(),
            own: own.clone(),
            config: config.clone(),
            news: news_sender,
            drain: drain.clone(),
            stop: stop.clone(),
        };
        watches.start(dependencies.nodes);
        let (mail_sender, mailbox) = mpsc::channel(mailbox);
        let (answers, seats_answered) = mpsc::channel(ANSWERS);
        let ledger = dependencies
            .seats
            .as_ref()
            .map(|seats| seats.ledger.clone());
        let seats = dependencies.seats.map(|seats| {
            let parts = office::Parts {
                config: config.clone(),
                store: seats.store,
                ledger: seats.ledger,
                writing: office::WRITING,
                drain: drain.clone(),
                stop: stop.clone(),
            };
            office::open(parts, answers)
        });
        let (ratings, rated) = match dependencies.players.clone() {
            Some(players) => {
                let (asking, rated) = ratings::start(players, stop.clone());
                (Some(asking), rated)
            }
            None => (None, mpsc::channel(1).1),
        };
        let (forget, forgotten) = mpsc::channel(FORGOTTEN);
        let directory = Directory::new(dependencies.players, ledger, config.clone(), forget);
        let (desk, returns) = Desk::new(Parts {
            config,
            seats,
            ratings,
            store: dependencies.store,
            placements: dependencies.placements,
            nodes,
            generation: dependencies.generation,
            signer: dependencies.signer,
            drain: drain.clone(),
        });
        let inputs = Inputs {
            mailbox,
            news,
            seats: seats_answered,
            ratings: rated,
            forgotten,
        };
        let desk = desk.run(inputs, returns, stop.clone());
        // A desk that panicked takes the service with it: gateways must not talk to nobody.
        let stop_with_desk = stop.clone().drop_guard();
        drain.spawn("desk", async move {
            let _stop_with_desk = stop_with_desk;
            desk.await;
        });

        let identity = OriginIdentity {
            node: own,
            generation: Arc::new(move || dependencies.generation),
            channel: Channel::Match,
            build: env!("CARGO_PKG_VERSION"),
        };
        let gateways = Arc::new(Gateways::new(mail_sender));
        let origin = origin::service(identity, gateways, stop.clone());
        let routes = tonic::service::Routes::new(origin).add_service(directory.service());
        incoming
            .serve(routes, stop.cancelled_owned())
            .await
            .map_err(ServeError)
    }
}
