//! What listings have done since the process began: for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Pages that were returned, and those of them that were empty.
    pub pages: AtomicU64,
    pub empty_pages: AtomicU64,
    /// Steps of scans, batches of values, and times that a shard was asked who it is.
    pub scans: AtomicU64,
    pub batches: AtomicU64,
    pub looks: AtomicU64,
    /// Keys that scans have given.
    pub keys: AtomicU64,
    /// Keys that were dropped: twice in a step, of a page before, of slots that are done or are another shard's.
    pub dropped: AtomicU64,
    /// Actors that were returned.
    pub records: AtomicU64,
    /// Records that were not understood, and records that were gone when they were to be read.
    pub unparsable: AtomicU64,
    pub vanished: AtomicU64,
    /// Walks through a shard that had to begin anew, because it was restarted or replaced.
    pub restarts: AtomicU64,
    /// Times that a call went back to where it had entered a shard, or had to choose another one, because slots
    /// had moved.
    pub disturbances: AtomicU64,
    /// Tokens that were refused.
    pub refused_tokens: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
