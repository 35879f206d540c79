//! Seams: disk and clock behind small traits, so that whole nodes run under the seeded simulator with
//! faults (`tests/simulator`), and the real versions stay short.

mod clock;
mod disk;
mod scratch;
mod simulated_disk;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, DiskFile, RealDisk, create_file, write_file};
pub use scratch::ScratchDisk;
pub use simulated_disk::{DiskFault, HeldSyncs, SimulatedDisk};
