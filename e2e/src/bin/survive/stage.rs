//! What most measurements stand on: a fleet, its Redis, a crowd under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::Engine;
use pixelrush_e2e::crowd::{Crowd, CrowdPlan};
use pixelrush_e2e::fleet::{Fleet, FleetOptions, NodeRef};
use pixelrush_e2e::history::{History, Run, Strike, What, check};
use pixelrush_e2e::store::{Store, StoreKind};
use protocol::id::RoomId;
use tokio::task::block_in_place;

/// Longest until everyone races.
const FIRST: Duration = Duration::from_secs(120);

/// Longest until the last races are over.
const LAST: Duration = Duration::from_secs(240);

/// Beyond everything that is measured here: the histories are checked for what is lost, not for
/// how long it took.
const WELL_BY: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) fleet: Fleet,
    pub(crate) engine: Engine,
    _store: Store,
}

impl Stage {
    /// A fleet on a single Redis that has every write on disk.
    pub(crate) async fn set(
        name: &str,
        options: impl FnOnce(FleetOptions) -> FleetOptions,
    ) -> Result<Self, String> {
        let folder = folder(name)?;
        let store = block_in_place(|| Store::start(StoreKind::Single));
        let options = options(FleetOptions::new(store.config_text()));
        let fleet = block_in_place(|| Fleet::start(&binary()?, &folder, options).map_err(text))?;
        Ok(Self {
            fleet,
            engine: store.engine().await.map_err(text)?,
            _store: store,
        })
    }

    /// A crowd, once everyone is under way.
    pub(crate) async fn crowd(&self, players: u64) -> Result<Crowd, String> {
        let targets = self.fleet.targets();
        crowd(players, targets).await
    }

    /// The node that runs each room that somebody is in, and how many players it has.
    pub(crate) async fn rooms(&self, crowd: &Crowd) -> Result<Vec<(RoomId, NodeRef)>, String> {
        let phases = crowd.phases();
        let mut rooms: Vec<RoomId> = phases.iter().filter_map(|(_, room)| *room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        let names: BTreeMap<String, NodeRef> = self
            .fleet
            .names()
            .into_iter()
            .map(|name| (name.to_string(), name))
            .collect();
        let mut found = Vec::new();
        // A store takes so many at once.
        for part in rooms.chunks(100) {
            let placements = self.engine.placements.find(part).await.map_err(text)?;
            for (room, placement) in part.iter().zip(placements) {
                let owner = placement.map(|placement| placement.owner.node.to_string());
                if let Some(node) = owner.and_then(|owner| names.get(&owner).copied()) {
                    found.push((*room, node));
                }
            }
        }
        Ok(found)
    }

    /// Lets the races come to their end, and checks that nobody lost anything by the fault.
    pub(crate) async fn finish(
        &self,
        crowd: Crowd,
        fault: &str,
        at: Duration,
    ) -> Result<Vec<History>, String> {
        finish(crowd, fault, at).await
    }
}

/// Players of the mode `race`, once everyone is under way.
pub(crate) async fn crowd(
    players: u64,
    targets: Vec<client::address::Address>,
) -> Result<Crowd, String> {
    let crowd = Crowd::start(&CrowdPlan {
        targets,
        mode: "race".to_owned(),
        players,
        races: None,
        seed: 1,
    });
    crowd.until_racing(FIRST).await.map_err(text)?;
    Ok(crowd)
}

/// Lets the races come to their end, and checks that nobody lost anything by the fault.
pub(crate) async fn finish(
    crowd: Crowd,
    fault: &str,
    at: Duration,
) -> Result<Vec<History>, String> {
    let (ended, histories) = crowd.finish(LAST).await;
    let run = Run {
        strikes: vec![Strike {
            fault: fault.to_owned(),
            at,
            well_by: ended.max(at + WELL_BY),
            loses: Default::default(),
        }],
        ..Run::new(ended)
    };
    match check(&histories, &run).as_slice() {
        [] => Ok(histories),
        [first, ..] => Err(format!("{}: {}", first.rule, first.text)),
    }
}

/// The server beside this program.
pub(crate) fn binary() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(text)?;
    Ok(program.with_file_name("pixelrush"))
}

/// An empty folder for a measurement's files.
pub(crate) fn folder(name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(text)?;
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    let folder = target.join("survive").join(name);
    // Files of an earlier run.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(text)?;
    Ok(folder)
}

/// The gateway that each player is on.
pub(crate) fn gateway_of(history: &History) -> Option<&str> {
    let entries = history.entries.iter().rev();
    entries
        .filter_map(|entry| match &entry.what {
            What::Welcome { node, .. } => Some(node.as_str()),
            _ => None,
        })
        .next()
}

/// The room that a player was in at a time.
pub(crate) fn room_at(history: &History, at: Duration) -> Option<RoomId> {
    let before = history.entries.iter().take_while(|entry| entry.at <= at);
    let mut room = None;
    for entry in before {
        match &entry.what {
            What::Attached {
                room: Some(new), ..
            } => room = Some(*new),
            What::Left { .. } => room = None,
            _ => {}
        }
    }
    room
}

/// Each history's longest freeze that lasted at `at` or began within `within` after it.
pub(crate) fn freezes<'a>(
    histories: impl IntoIterator<Item = &'a History>,
    at: Duration,
    within: Duration,
) -> Vec<Duration> {
    let mut freezes: Vec<Duration> = histories
        .into_iter()
        .filter_map(|history| {
            let hit = history
                .freezes()
                .filter(|(from, lasted)| *from + *lasted >= at && *from <= at + within);
            hit.map(|(_, lasted)| lasted).max()
        })
        .collect();
    freezes.sort_unstable();
    freezes
}

/// One row of a table of times.
pub(crate) fn row(name: &str, mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        return format!("| {name} | 0 | | | |");
    };
    let at = |share: f64| times[(last as f64 * share).round() as usize];
    format!(
        "| {name} | {} | {} ms | {} ms | {} ms |",
        times.len(),
        at(0.5).as_millis(),
        at(0.99).as_millis(),
        at(1.0).as_millis()
    )
}

pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
