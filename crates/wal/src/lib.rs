//! The node's log file: one write-ahead log shared by all of a node's Raft groups, so that an
//! fdatasync is paid per node and not per group.
//!
//! It offers group commit into pre-zeroed, recycled segments, recovery that tells a torn tail (which
//! is cut off) from corruption (which is refused), and reads of recent entries from memory and older
//! ones from disk.
//!
//! Invariant: this crate knows bytes, group numbers and indexes only. No Raft types, no store, no
//! commands.

mod blocks;
mod bounds;
mod desk;
mod error;
mod files;
mod index;
pub mod inspect;
mod ledger;
mod options;
mod prep;
mod queue;
mod read;
mod record;
mod recovery;
mod scan;
mod segment;
mod stats;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod wal;
mod writer;

pub use error::WalError;
pub use files::{DiskFiles, File, Files};
pub use options::{Fsync, Options};
pub use stats::{HISTOGRAM_BUCKETS, Stats};
pub use wal::{Done, GroupState, Recovered, Wal};
