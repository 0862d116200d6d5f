//! Stores in this process's memory, for what is rebuilt by whoever comes back.

mod journals;
mod leases;
mod placements;
mod tapes;

pub use journals::MemoryJournals;
pub use leases::MemoryLeases;
pub use placements::MemoryPlacements;
pub use tapes::MemoryTapes;
