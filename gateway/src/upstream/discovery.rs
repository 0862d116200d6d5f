//! What to do about links when leases change. Pure.
//!
//! A lease may be lost while its node is well, by a fail-over of the store: a link that is up
//! stays. One that is down and without a lease goes to nobody.

use std::collections::BTreeMap;

use engine::NodeRecord;
use protocol::id::{Generation, NodeId};

use super::node::LinkState;

/// A link as discovery knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// What the lease said that the link was made for.
    pub(super) generation: Generation,
    pub(super) endpoint: String,
    pub(super) state: LinkState,
}

/// What is to be done about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Link it, in place of any link to its name.
    Start(NodeRecord),
    /// Give its link up.
    Retire(NodeId),
}

/// What follows from the leases of one kind of node.
pub(super) fn reconcile(known: &BTreeMap<NodeId, Known>, leases: &[NodeRecord]) -> Vec<Step> {
    let mut steps = Vec::new();
    for lease in leases.iter().filter(|lease| !lease.endpoint.is_empty()) {
        match known.get(&lease.node) {
            Some(link) if !link.is_replaced_by(lease) => {}
            _ => steps.push(Step::Start(lease.clone())),
        }
    }
    for (node, link) in known {
        let has_lease = leases.iter().any(|lease| lease.node == *node);
        if !has_lease && matches!(link.state, LinkState::Down(_)) {
            steps.push(Step::Retire(node.clone()));
        }
    }
    steps
}

impl Known {
    fn is_replaced_by(&self, lease: &NodeRecord) -> bool {
        if self.endpoint != lease.endpoint {
            return lease.generation >= self.generation;
        }
        // A node that came back at its old address may be linked before its lease says so.
        let linked = self.state == LinkState::Up(lease.generation);
        lease.generation > self.generation && !linked
    }
}

#[cfg(test)]
mod tests {
    use engine::{Load, NodeKind};

    use super::*;

    fn lease(generation: u64, endpoint: &str) -> NodeRecord {
        NodeRecord {
            node: "syncd-1".parse().unwrap(),
            kind: NodeKind::Syncd,
            generation: Generation(generation),
            endpoint: endpoint.to_owned(),
            load: Load::default(),
            build: String::new(),
            simulation: String::new(),
            region: String::new(),
        }
    }

    fn link(state: LinkState) -> BTreeMap<NodeId, Known> {
        let known = Known {
            generation: Generation(5),
            endpoint: "http://a:1".to_owned(),
            state,
        };
        BTreeMap::from([("syncd-1".parse().unwrap(), known)])
    }

    const UP: LinkState = LinkState::Up(Generation(5));
    const DOWN: LinkState = LinkState::Down("node_gone");

    #[test]
    fn a_node_with_a_lease_is_linked_once() {
        let lease = lease(5, "http://a:1");
        let steps = reconcile(&BTreeMap::new(), std::slice::from_ref(&lease));
        assert_eq!(steps, [Step::Start(lease.clone())]);
        assert_eq!(reconcile(&link(UP), std::slice::from_ref(&lease)), []);
        assert_eq!(reconcile(&link(DOWN), &[lease]), []);
    }

    #[test]
    fn a_newer_incarnation_or_another_address_replaces_the_link() {
        for lease in [lease(6, "http://a:1"), lease(5, "http://b:1")] {
            let steps = reconcile(&link(UP), std::slice::from_ref(&lease));
            assert_eq!(steps, [Step::Start(lease)]);
        }
    }

    #[test]
    fn an_older_incarnation_does_not_replace_the_link() {
        assert_eq!(reconcile(&link(UP), &[lease(4, "http://b:1")]), []);
        assert_eq!(reconcile(&link(DOWN), &[lease(4, "http://a:1")]), []);
    }

    #[test]
    fn a_node_that_is_linked_as_what_its_lease_says_now_keeps_its_link() {
        let linked = link(LinkState::Up(Generation(6)));
        assert_eq!(reconcile(&linked, &[lease(6, "http://a:1")]), []);
    }

    #[test]
    fn without_a_lease_a_link_stays_while_it_is_up() {
        assert_eq!(reconcile(&link(UP), &[]), []);
        let node = "syncd-1".parse().unwrap();
        assert_eq!(reconcile(&link(DOWN), &[]), [Step::Retire(node)]);
    }

    #[test]
    fn a_node_without_an_address_is_not_linked() {
        assert_eq!(reconcile(&BTreeMap::new(), &[lease(1, "")]), []);
    }
}
