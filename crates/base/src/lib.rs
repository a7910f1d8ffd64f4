//! The ground every other crate stands on: stamps and the hybrid logical clock, byte codecs, key
//! slots, limits, and containers that grow without holding anybody up.
//!
//! Invariant: no I/O, no threads, no knowledge of Redis commands, Raft or the store. Time and
//! randomness come in as parameters; only seeds of hash tables do not.

pub mod clock;
pub mod codec;
pub mod glob;
pub mod hlc;
mod inplace;
pub mod limits;
mod parted;
pub mod peer;
mod segments;
pub mod slot;

pub use clock::{Clock, ManualClock, SteadyClock, SystemClock};
pub use hlc::{Hlc, Stamp};
pub use inplace::InPlace;
pub use parted::PartedMap;
pub use segments::Segments;
