//! What a viewer is shown: all of it where that fits, else what it needs most.
//!
//! Each entity gathers its priority for every snapshot that it has to wait, so that what matters
//! little is late but never starved (Fiedler: "State Synchronization", gafferongames.com, 2015).

use std::sync::Arc;

use protocol::snapshot::{self, View};

use crate::delta::SharedBodies;
use crate::game::Priority;
use crate::viewer::Viewer;

/// Shown before all else: that an entity is gone costs two bits, and a ghost confuses.
const GONE: u32 = u32::MAX;

/// The state to send to `viewer`: the room's own where nothing is hidden and its body has at most
/// `budget` bytes. Otherwise a view of the viewer's own, in which an entity that was not chosen
/// is as in the baseline, and one without priority is not there. Globals are always sent, and at
/// least one entity, so that a budget that is too small slows a client but never stops it.
pub(crate) fn view_for(
    bodies: &mut SharedBodies<'_>,
    viewer: &mut Viewer,
    budget: usize,
    priority: impl Fn(usize) -> Option<Priority>,
) -> Arc<View> {
    let full = Arc::clone(bodies.full());
    let capacity = bodies.schema().capacity();
    let baseline = viewer.baseline().cloned();
    let slots = 0..capacity;
    let hidden = |slot: &usize| full.entity(*slot).is_some() && priority(*slot).is_none();
    let hides = slots.clone().any(|slot| hidden(&slot));
    if !hides && bodies.len(baseline.as_ref(), &full) <= budget {
        viewer.waiting(capacity).fill(0);
        return full;
    }
    let mut wanted = View::clone(&full);
    slots.filter(hidden).for_each(|slot| wanted.remove(slot));
    let priority = |slot| priority(slot).map_or(0, |Priority(priority)| u32::from(priority));
    choose(
        bodies,
        baseline.as_deref(),
        wanted,
        viewer,
        budget,
        priority,
    )
}

fn choose(
    bodies: &SharedBodies<'_>,
    baseline: Option<&View>,
    wanted: View,
    viewer: &mut Viewer,
    budget: usize,
    priority: impl Fn(usize) -> u32,
) -> Arc<View> {
    let schema = bodies.schema();
    let waiting = viewer.waiting(schema.capacity());
    let was = |slot| baseline.and_then(|baseline| baseline.entity(slot));
    let mut changed: Vec<usize> = (0..schema.capacity())
        .filter(|slot| was(*slot) != wanted.entity(*slot))
        .collect();
    for slot in &changed {
        waiting[*slot] = match wanted.entity(*slot) {
            None => GONE,
            Some(_) => waiting[*slot].saturating_add(priority(*slot)),
        };
    }
    changed.sort_by_key(|slot| (std::cmp::Reverse(waiting[*slot]), *slot));

    let mut chosen = match baseline {
        Some(baseline) => baseline.clone(),
        None => View::new(schema),
    };
    chosen.copy_globals(&wanted);
    let unchanged = schema.capacity() as u32;
    let mut bits = snapshot::globals_cost(schema, baseline, &wanted) + unchanged;
    let mut first = true;
    for slot in changed {
        // One bit of a slot's cost is in the sum already.
        let cost = snapshot::slot_cost(schema, baseline, &wanted, slot) - 1;
        if first || bits + cost <= budget as u32 * 8 {
            bits += cost;
            chosen.copy_slot(slot, &wanted);
            waiting[slot] = 0;
            first = false;
        }
    }
    Arc::new(chosen)
}

#[cfg(test)]
mod tests {
    use protocol::id::Tick;
    use protocol::snapshot::{Field, Schema};

    use super::*;

    const CAPACITY: usize = 10;

    fn schema() -> Schema {
        Schema::new(CAPACITY, vec![], vec![Field::new("x", 16, 0)]).unwrap()
    }

    fn state(schema: &Schema, value: u32) -> Arc<View> {
        let mut view = View::new(schema);
        (0..CAPACITY).for_each(|slot| view.put(slot, &[value]));
        Arc::new(view)
    }

    /// Sends `count` snapshots of an ever-changing state, all acknowledged; gives which slots
    /// were right in each.
    fn send(budget: usize, count: u32, priority: fn(usize) -> Option<Priority>) -> Vec<Vec<usize>> {
        let schema = schema();
        let mut viewer = Viewer::default();
        let mut fresh = Vec::new();
        for tick in 1..=count {
            let mut bodies = SharedBodies::new(&schema, state(&schema, tick));
            let view = view_for(&mut bodies, &mut viewer, budget, priority);
            let len = bodies.len(viewer.baseline(), &view);
            assert!(len <= budget, "{len} bytes");
            viewer.sent(Tick(tick), Arc::clone(&view));
            viewer.acknowledge(Tick(tick));
            let right = |slot: &usize| view.entity(*slot) == Some(&[tick]);
            fresh.push((0..CAPACITY).filter(right).collect());
        }
        fresh
    }

    #[test]
    fn everything_is_shown_where_it_fits() {
        let all: Vec<usize> = (0..CAPACITY).collect();
        assert!(
            send(100, 5, |_| Some(Priority(1)))
                .iter()
                .all(|shown| *shown == all)
        );
    }

    #[test]
    fn under_a_budget_the_needed_come_first_and_nobody_starves() {
        let priority = |slot| Some(Priority(if slot == 7 { 20 } else { 1 }));
        let shown = send(10, 40, priority);
        assert!(shown.iter().all(|shown| shown.contains(&7)));
        for slot in 0..CAPACITY {
            let times = shown.iter().filter(|shown| shown.contains(&slot)).count();
            assert!(times >= 8, "slot {slot} was shown {times} times of 40");
        }
    }

    #[test]
    fn what_is_never_needed_is_not_there() {
        let priority = |slot| (slot != 3).then_some(Priority(1));
        let shown = send(100, 3, priority);
        assert!(
            shown
                .iter()
                .all(|shown| !shown.contains(&3) && shown.len() == 9)
        );
    }

    #[test]
    fn viewers_with_the_same_baseline_share_the_view_and_the_bytes() {
        let schema = schema();
        let mut bodies = SharedBodies::new(&schema, state(&schema, 1));
        let (mut one, mut other) = (Viewer::default(), Viewer::default());
        let first = view_for(&mut bodies, &mut one, 100, |_| Some(Priority(1)));
        let second = view_for(&mut bodies, &mut other, 100, |_| Some(Priority(9)));
        assert!(Arc::ptr_eq(&first, &second));
    }
}
