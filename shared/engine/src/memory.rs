//! Stores in this process's memory, for what is rebuilt by whoever comes back.

mod leases;
mod placements;

pub use leases::MemoryLeases;
pub use placements::MemoryPlacements;
