//! Which server has which keys, and the task that keeps up with it.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Topology;
use super::config::{Address, Settings};
use super::discovery::{self, Range};
use super::link::Node;
use super::script::SLOTS;

/// How often the layout is looked at when nothing is wrong. A primary that was replaced while it
/// was cut off is found out by this.
const PERIOD: Duration = Duration::from_secs(2);

/// Waits between looks while something is wrong.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(250));

/// Servers by the hash slots that they have.
pub(super) struct Layout {
    /// By address.
    nodes: Vec<Arc<Node>>,
    /// By slot, and the index of their node.
    ranges: Vec<(Range, usize)>,
}

impl Layout {
    /// Who has a slot.
    pub(super) fn node_of(&self, slot: u16) -> Option<&Arc<Node>> {
        let next = self.ranges.partition_point(|(range, _)| range.from <= slot);
        let (range, node) = &self.ranges[next.checked_sub(1)?];
        (slot <= range.to).then(|| &self.nodes[*node])
    }

    /// Who is at an address.
    pub(super) fn node_at(&self, address: &Address) -> Option<&Arc<Node>> {
        self.nodes.iter().find(|node| node.address == *address)
    }

    /// The primaries, in the order of their slots.
    pub(super) fn nodes(&self) -> Vec<Arc<Node>> {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for (_, index) in &self.ranges {
            let node = &self.nodes[*index];
            if !nodes.iter().any(|known| known.address == node.address) {
                nodes.push(Arc::clone(node));
            }
        }
        nodes
    }

    /// The same with other ranges. Nodes that stay keep their connections.
    fn with(&self, ranges: Vec<Range>, settings: &Settings, trouble: &Arc<Notify>) -> Self {
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        let mut place = |address: &Address| {
            let known = nodes.iter().position(|node| node.address == *address);
            known.unwrap_or_else(|| {
                let node = self.node_at(address).cloned();
                let start = || Node::start(address.clone(), settings, Arc::clone(trouble));
                nodes.push(node.unwrap_or_else(start));
                nodes.len() - 1
            })
        };
        let place = |range: Range| {
            let node = place(&range.node);
            (range, node)
        };
        let ranges = ranges.into_iter().map(place).collect();
        Self { nodes, ranges }
    }

    fn is(&self, ranges: &[Range]) -> bool {
        self.ranges.iter().map(|(range, _)| range).eq(ranges)
    }
}

/// The layout as it is now.
pub(super) struct Watched {
    layout: watch::Receiver<Arc<Layout>>,
    trouble: Arc<Notify>,
    keeper: Option<AbortHandle>,
}

impl Watched {
    /// Begins to find out.
    pub(super) fn start(settings: &Settings) -> Self {
        let trouble = Arc::new(Notify::new());
        let mut layout = Layout {
            nodes: Vec::new(),
            ranges: Vec::new(),
        };
        if let (Topology::Single, [only, ..]) = (settings.topology, &settings.seeds[..]) {
            let all = Range {
                from: 0,
                to: SLOTS - 1,
                node: only.clone(),
            };
            layout = layout.with(vec![all], settings, &trouble);
        }
        let (sender, layout) = watch::channel(Arc::new(layout));
        let keeper = (settings.topology != Topology::Single).then(|| {
            trouble.notify_one();
            let keeper = keep(settings.clone(), sender, Arc::clone(&trouble));
            tokio::spawn(keeper).abort_handle()
        });
        Self {
            layout,
            trouble,
            keeper,
        }
    }

    pub(super) fn now(&self) -> Arc<Layout> {
        Arc::clone(&self.layout.borrow())
    }

    /// Something does not fit: have another look soon.
    pub(super) fn doubt(&self) {
        self.trouble.notify_one();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(keeper) = &self.keeper {
            keeper.abort();
        }
    }
}

async fn keep(settings: Settings, layout: watch::Sender<Arc<Layout>>, trouble: Arc<Notify>) {
    let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
    loop {
        if timeout(PERIOD, trouble.notified()).await.is_err() {
            backoff.reset();
        }
        let known: Vec<Address> = {
            let layout = layout.borrow();
            layout
                .nodes
                .iter()
                .map(|node| node.address.clone())
                .collect()
        };
        match discovery::discover(&settings, &known).await {
            Ok(ranges) => {
                layout.send_if_modified(|layout| {
                    let is_new = !layout.is(&ranges);
                    if is_new {
                        tracing::info!(primaries = ?addresses(&ranges), "Redis has changed its layout");
                        *layout = Arc::new(layout.with(ranges, &settings, &trouble));
                    }
                    is_new
                });
            }
            Err(error) => {
                tracing::debug!(%error, "nobody tells the layout of Redis");
                trouble.notify_one();
            }
        }
        sleep(backoff.next()).await;
    }
}

fn addresses(ranges: &[Range]) -> Vec<String> {
    let mut all: Vec<String> = ranges.iter().map(|range| range.node.to_string()).collect();
    all.dedup();
    all
}
