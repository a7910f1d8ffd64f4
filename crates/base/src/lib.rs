//! The ground every other crate stands on: stamps and the hybrid logical clock, byte codecs, key
//! slots, limits.
//!
//! Invariant: no I/O, no threads, no knowledge of Redis commands, Raft or the store. Time and
//! randomness come in as parameters.

pub mod clock;
pub mod codec;
pub mod glob;
pub mod hlc;
mod inplace;
pub mod limits;
pub mod peer;
pub mod slot;

pub use clock::{Clock, ManualClock, SteadyClock, SystemClock};
pub use hlc::{Hlc, Stamp};
pub use inplace::InPlace;
