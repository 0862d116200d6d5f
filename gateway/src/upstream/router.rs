//! The task that knows where everything is: it follows leases, shares players out over matchers,
//! and gives channels without a home a new one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chassis::backoff::Backoff;
use chassis::readiness::Condition;
use chassis::telemetry::Chain;
use engine::placements::SETTLED;
use engine::{EngineError, NodeRecord, Placement, Placements};
use metrics::{Counter, Gauge, counter, gauge};
use protocol::control::{ErrorCode, ErrorMessage};
use protocol::id::{Channel, NodeId, PlayerId, RoomId};
use protocol::time::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::binding::Binding;
use super::links::{Linker, Links};
use super::lobby::{Cause, Lobby, Newcomer, Seat};
use super::matchers::{Owners, owner};
use super::node::NodeLink;
use super::routing::{Answer, Case, Nodes, Order, Routing, Why, Wish};
use crate::outbox::LinkId;
use crate::registry::Registry;

/// Longest that the placements may take to answer.
const ASK: Duration = Duration::from_millis(500);

/// A room without a node for so long is told to operators: maybe none that is there can run it.
const HOMELESS: Duration = Duration::from_secs(10);

/// What the router says, for connections that look for a home themselves.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// The nodes that run rooms.
    pub(crate) rooms: ArcSwap<BTreeMap<NodeId, NodeLink>>,
}

/// The matchers that players are shared out over.
#[derive(Debug, Default)]
pub(crate) struct Matchers {
    list: Vec<(NodeId, LinkId)>,
    links: BTreeMap<LinkId, NodeLink>,
}

/// The stores that say where nodes and rooms are.
pub(super) struct Stores {
    pub(super) matchers: watch::Receiver<Arc<Vec<NodeRecord>>>,
    pub(super) rooms: watch::Receiver<Arc<Vec<NodeRecord>>>,
    pub(super) placements: Arc<dyn Placements>,
    /// Watching ends with it.
    pub(super) _leases: Arc<dyn engine::Leases>,
}

/// Where everything is.
pub(super) struct Router {
    stores: Option<Stores>,
    linker: Linker,
    matchers: Links,
    rooms: Links,
    owners: Owners,
    routing: Routing<Arc<Binding>>,
    published: Arc<Published>,
    lobby: Arc<Lobby>,
    registry: Arc<Registry>,
    /// Holds while a matcher is linked.
    condition: Condition,
    question: Option<Question>,
    backoff: Backoff,
    /// The placements do not answer, and that has been logged.
    is_silent: bool,
    /// A room has no node for long, and that has been logged.
    is_homeless: bool,
    meters: Meters,
}

type Answers = Result<Vec<Option<Placement>>, AskError>;
type Question = Pin<Box<dyn Future<Output = (Vec<RoomId>, Answers)> + Send>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("the placements do not answer within {ASK:?}")]
    Silent,
    #[error("the placements cannot be asked")]
    Store(#[source] EngineError),
}

struct Meters {
    homeless: Gauge,
    rehomed: [Counter; Channel::COUNT],
    up: [Gauge; Channel::COUNT],
}

impl Matchers {
    /// The matcher that a player belongs to.
    pub(crate) fn owner(&self, player: PlayerId) -> Option<&NodeLink> {
        self.links.get(&owner(&self.list, player)?)
    }
}

impl Router {
    pub(super) fn new(
        stores: Option<Stores>,
        (linker, matchers, rooms): (Linker, Links, Links),
        published: Arc<Published>,
        condition: Condition,
    ) -> Self {
        Self {
            routing: Routing::new(stores.is_some()),
            stores,
            lobby: linker.lobby.clone(),
            registry: linker.registry.clone(),
            linker,
            matchers,
            rooms,
            owners: Owners::default(),
            published,
            condition,
            question: None,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(1)),
            is_silent: false,
            is_homeless: false,
            meters: Meters::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = Timestamp(chassis::clock::now());
            self.look_around(now);
            self.take_in(now);
            self.carry_out(now);
            self.ask(now);
            self.wait(now, &stop).await;
        }
    }

    /// Brings the links in line with the leases, and what others go by in line with the links.
    fn look_around(&mut self, now: Timestamp) {
        if let Some(stores) = &mut self.stores {
            let leases = stores.matchers.borrow_and_update().clone();
            self.matchers.follow(&mut self.linker, &leases);
            let leases = stores.rooms.borrow_and_update().clone();
            if self.rooms.follow(&mut self.linker, &leases) {
                self.publish_rooms();
            }
        }
        let (going, staying): (Vec<_>, Vec<_>) = self
            .matchers
            .up()
            .map(|(node, link, _)| (node.clone(), link.id()))
            .partition(|(node, _)| self.matchers.is_draining(node));
        let offered = if staying.is_empty() { going } else { staying };
        if self.owners.offer(now, offered) {
            self.share_out();
        }
        let rooms = self.rooms.up();
        let stages = self
            .rooms
            .up()
            .map(|(node, link, _)| (node.clone(), link.id()));
        self.routing.set_nodes(Nodes {
            stages: stages
                .filter(|(node, _)| !self.rooms.is_draining(node))
                .collect(),
            matchers: self.owners.shown().to_vec(),
            rooms: rooms
                .map(|(node, link, generation)| (node.clone(), (generation, link.id())))
                .collect(),
        });
        let up = [self.matchers.up().count(), self.rooms.up().count()];
        match up[0] {
            0 => self.condition.unready(self.matchers.trouble()),
            _ => self.condition.ready(),
        }
        for (gauge, count) in self.meters.up.iter().zip(up) {
            gauge.set(count as f64);
        }
    }

    pub(super) fn publish_rooms(&self) {
        self.published.rooms.store(Arc::new(self.rooms.all()));
    }

    fn share_out(&self) {
        let list = self.owners.shown().to_vec();
        tracing::info!(
            matchers = ?list.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>(),
            "players are shared out"
        );
        let links = self.matchers.up().map(|(_, link, _)| link);
        let links = links.map(|link| (link.id(), link.clone())).collect();
        let matchers = Arc::new(Matchers { list, links });
        self.linker.matchers.send_replace(matchers);
    }

    fn take_in(&mut self, now: Timestamp) {
        for (seat, newcomer) in self.lobby.take() {
            self.enter(now, seat, newcomer);
        }
        let registry = &self.registry;
        self.routing.retain(|seat, binding| {
            let here = registry.find_attempt(seat.session, seat.attempt);
            here.is_some() && !binding.is_over()
        });
    }

    fn enter(&mut self, now: Timestamp, seat: Seat, newcomer: Newcomer) {
        let Newcomer {
            binding,
            spell,
            cause,
        } = newcomer;
        let wish = match (binding.room(), binding.last_home()) {
            (Some(room), _) if binding.is_watch() => Wish::Watch(room),
            (Some(room), Some(named)) => Wish::Room {
                room,
                named: named.clone(),
            },
            _ => Wish::Match(binding.player()),
        };
        let case = Case {
            is_standing: binding.is_standing(),
            who: binding,
            wish,
            spell,
            cause,
        };
        self.routing.enter(now, seat, case);
    }

    fn carry_out(&mut self, now: Timestamp) {
        for order in self.routing.poll(now) {
            match order {
                Order::TellLost(binding, reason) => binding.tell_lost(reason),
                Order::Refuse(binding, why) => binding.refuse(&refusal(why)),
                Order::Attach(binding, link, spell) => {
                    let known = self.link(binding.channel(), link);
                    let attached = known.is_some_and(|link| {
                        let attached = binding.attach_at(link, spell.clone());
                        attached.is_ok()
                    });
                    if attached {
                        if binding.is_standing() {
                            self.meters.rehomed[binding.channel().index()].increment(1);
                        }
                        continue;
                    }
                    let newcomer = Newcomer {
                        binding,
                        spell,
                        cause: Cause::Full,
                    };
                    self.enter(now, Seat::of(&newcomer.binding), newcomer);
                }
            }
        }
        self.meters.homeless.set(self.routing.len() as f64);
        self.tell_homeless(now);
    }

    /// Players wait for as long as it takes: operators are to know that they do.
    fn tell_homeless(&mut self, now: Timestamp) {
        let longest = self.routing.longest(now);
        let Some((room, waited)) = longest.filter(|(_, waited)| *waited >= HOMELESS) else {
            self.is_homeless = false;
            return;
        };
        if !std::mem::replace(&mut self.is_homeless, true) {
            tracing::warn!(
                %room, ?waited, channels = self.routing.len(),
                "rooms have no node; is there one of their simulation?"
            );
        }
    }

    fn link(&self, channel: Channel, id: LinkId) -> Option<&NodeLink> {
        let links = match channel {
            Channel::Match => &self.matchers,
            Channel::Room => &self.rooms,
        };
        links
            .up()
            .map(|(_, link, _)| link)
            .find(|link| link.id() == id)
    }

    /// Asks where rooms are, one question at a time.
    fn ask(&mut self, now: Timestamp) {
        let Some(stores) = &self.stores else { return };
        if self.question.is_some() {
            return;
        }
        let rooms = self.routing.rooms_to_ask(now);
        if rooms.is_empty() {
            return;
        }
        let placements = stores.placements.clone();
        self.question = Some(Box::pin(async move {
            let found = match timeout(ASK, placements.find(&rooms)).await {
                Ok(found) => found.map_err(AskError::Store),
                Err(_) => Err(AskError::Silent),
            };
            (rooms, found)
        }));
    }

    fn answered(&mut self, now: Timestamp, rooms: &[RoomId], answers: Answers) {
        self.question = None;
        match answers {
            Ok(found) => {
                self.is_silent = false;
                self.backoff.reset();
                let are_settled = self.stores.as_ref().is_none_or(Stores::are_settled);
                for (room, placement) in rooms.iter().zip(found) {
                    let answer = match placement {
                        Some(placement) => Answer::At(placement.owner),
                        None if are_settled => Answer::Nowhere,
                        // Its owner is about to say it again, if there is one.
                        None => Answer::Silence,
                    };
                    self.routing.answer(*room, &answer);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_silent, true) {
                    tracing::warn!(error = %Chain(&error), "rooms cannot be looked up");
                }
                for room in rooms {
                    self.routing.answer(*room, &Answer::Silence);
                }
                self.routing.ask_not_before(now + self.backoff.next());
            }
        }
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, now: Timestamp, stop: &CancellationToken) {
        let next = [
            self.owners.poll_timeout(),
            self.routing.poll_timeout(now, self.question.is_some()),
        ];
        let next = next.into_iter().flatten().min();
        let until = next.map(|next| Instant::now() + next.since(now));
        let timer = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let answer = async {
            match &mut self.question {
                Some(question) => question.await,
                None => std::future::pending().await,
            }
        };
        let leases = async {
            match &mut self.stores {
                Some(stores) => stores.changed().await,
                None => std::future::pending().await,
            }
        };
        let answer = tokio::select! {
            () = stop.cancelled() => None,
            () = self.lobby.woken() => None,
            () = leases => None,
            () = timer => None,
            answer = answer => Some(answer),
        };
        if let Some((rooms, answers)) = answer {
            self.answered(Timestamp(chassis::clock::now()), &rooms, answers);
        }
    }
}

impl Stores {
    /// Whether a room that is not placed is over.
    fn are_settled(&self) -> bool {
        self.placements.steady_for() >= SETTLED
    }

    /// Waits until leases have changed. Cancel safe.
    async fn changed(&mut self) {
        tokio::select! {
            () = changed(&mut self.matchers) => {}
            () = changed(&mut self.rooms) => {}
        }
    }
}

/// A store that is gone changes nothing any more.
async fn changed(leases: &mut watch::Receiver<Arc<Vec<NodeRecord>>>) {
    if leases.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Meters {
    fn new() -> Self {
        let name = |channel| match channel {
            Channel::Match => "match",
            Channel::Room => "room",
        };
        let rehomed = |channel| counter!("gateway_rehomed_total", "channel" => name(channel));
        let up = |channel| gauge!("gateway_links_up", "channel" => name(channel));
        Self {
            homeless: gauge!("gateway_homeless"),
            rehomed: Channel::ALL.map(rehomed),
            up: Channel::ALL.map(up),
        }
    }
}

fn refusal(why: Why) -> ErrorMessage {
    match why {
        Why::Over => ErrorMessage::new(ErrorCode::RoomUnknown, "the room is over"),
        Why::Unknown => {
            let text = "the room is not on the node that it should be on, or is over";
            ErrorMessage::new(ErrorCode::RoomUnknown, text)
        }
        Why::NotShown => {
            let text = "there is no such room, or nothing of it is kept any more";
            ErrorMessage::new(ErrorCode::RoomUnknown, text)
        }
        Why::TooLate => {
            let text = "the room's node is out of reach for the moment; try again";
            ErrorMessage::new(ErrorCode::Unavailable, text).retry_after_ms(1_000)
        }
    }
}
