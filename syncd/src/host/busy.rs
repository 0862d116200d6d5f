//! How busy a node is, and how busy it may be.

use std::sync::atomic::Ordering;

use rpc::pb;

use super::{Host, WorkerIndex};
use crate::config::Share;
use crate::load::Load;

/// How busy the busiest worker may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadLimits {
    /// For a room that begins.
    pub(crate) begin: Share,
    /// For one that was another node's.
    pub(crate) rescue: Share,
}

impl Host {
    /// A worker says how busy it is.
    pub(crate) fn set_load(&self, worker: WorkerIndex, load: Load) {
        self.loads.lock()[worker] = load;
    }

    /// How busy the busiest worker is, in thousandths of the time for its steps: now, and as is to be
    /// expected with all rooms that are on it and one more. A node without rooms expects nothing:
    /// what keeps it busy is not its rooms, and to refuse them would not help.
    pub(super) fn busyness(&self, rooms_on: &[usize]) -> (u32, u32) {
        let has_rooms = rooms_on.iter().any(|rooms| *rooms > 0);
        let loads = self.loads.lock();
        let each = loads.iter().zip(rooms_on);
        let each = each.map(|(load, rooms)| {
            let expected = if has_rooms {
                load.expected(rooms + 1)
            } else {
                0.0
            };
            (permille(load.busy()), permille(expected))
        });
        each.fold((0, 0), |worst, one| {
            (worst.0.max(one.0), worst.1.max(one.1))
        })
    }

    /// How busy the node is, if a room of another node would make it late.
    pub(crate) fn is_exhausted(&self) -> Option<u32> {
        let rooms_on = self.directory.lock().rooms_on.clone();
        let (_, expected) = self.busyness(&rooms_on);
        (expected > self.limits.rescue.permille()).then_some(expected)
    }

    /// The limits that this node has.
    pub(crate) fn limits(&self) -> LoadLimits {
        self.limits
    }

    /// How busy the node is.
    pub(crate) fn load(&self) -> pb::NodeLoad {
        let rooms_on = self.directory.lock().rooms_on.clone();
        let (busy, expected) = self.busyness(&rooms_on);
        let players = self
            .players
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        pb::NodeLoad {
            rooms: *self.rooms.borrow() as u32,
            players: players.sum::<usize>() as u32,
            capacity: self.capacity as u32,
            draining: self.drain.is_draining(),
            busy,
            overloaded: expected > self.limits.begin.permille(),
        }
    }
}

fn permille(share: f64) -> u32 {
    (share * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chassis::drain::Drain;
    use protocol::id::{Generation, RoomId};
    use tokio::sync::mpsc;

    use super::*;
    use crate::games::Games;
    use crate::host::{Admission, HostParts, OpenError};
    use crate::room::TICK_HZ;

    fn host() -> Arc<Host> {
        let config = crate::Config::default();
        let mailboxes = (0..2).map(|_| mpsc::channel(1).0).collect();
        Arc::new(Host::new(HostParts {
            node: config.node.clone(),
            generation: Generation(1),
            tenure: None,
            drain: Drain::new(),
            tapes: mpsc::channel(1).0,
            stage: mpsc::channel(1).0,
            games: Games::default(),
            rules: config.rules(),
            capacity: config.capacity.get(),
            limits: LoadLimits {
                begin: config.max_load,
                rescue: config.rescue_load,
            },
            mailboxes,
        }))
    }

    /// A worker that needs so much of each tick for its rooms, for a while now.
    fn load(share: f64, rooms: usize) -> Load {
        let mut load = Load::default();
        let spent = Duration::from_secs_f64(share / f64::from(TICK_HZ));
        (0..20 * TICK_HZ).for_each(|_| load.note(spent, 1, rooms));
        load
    }

    fn begin(host: &Host, room: u64) -> Result<(), OpenError> {
        let placed = host.place(RoomId(room), Generation(1), Admission::New);
        placed.map(|_| ())
    }

    #[test]
    fn the_busiest_worker_decides_whether_rooms_begin_here() {
        let host = host();
        assert!(begin(&host, 1).is_ok());
        host.set_load(0, load(0.3, 1));
        host.set_load(1, load(0.75, 1));
        assert!(matches!(begin(&host, 2), Err(OpenError::Overloaded(_))));
        let told = host.load();
        assert!(
            told.overloaded && (740..=760).contains(&told.busy),
            "{told:?}"
        );
        assert_eq!(host.is_exhausted(), None, "rooms of others are still taken");
        let rescued = host.place(RoomId(3), Generation(2), Admission::Adopted);
        assert!(rescued.is_ok());

        host.set_load(1, load(0.95, 1));
        assert!(host.is_exhausted().is_some_and(|busy| busy > 900));
        host.set_load(1, load(0.5, 1));
        assert!(begin(&host, 2).is_ok() && !host.load().overloaded);
    }

    #[test]
    fn a_node_without_rooms_takes_one_whatever_keeps_it_busy() {
        let host = host();
        host.set_load(0, load(0.95, 0));
        assert!(!host.load().overloaded && host.is_exhausted().is_none());
        assert!(begin(&host, 1).is_ok());
        assert!(host.load().overloaded);
    }

    #[test]
    fn a_rush_is_refused_before_its_rooms_cost_anything() {
        let host = host();
        (0..20).for_each(|room| begin(&host, room).unwrap());
        host.set_load(0, load(0.35, 10));
        host.set_load(1, load(0.35, 10));
        let begun = (20..100).take_while(|room| begin(&host, *room).is_ok());
        // As many again would need 0.7.
        assert!((18..=20).contains(&begun.count()));
        assert!(host.load().overloaded && host.load().busy < 400);
    }
}
