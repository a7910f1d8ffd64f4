//! What the service asks of a store: keys and bytes on the shards of a cluster. No meaning of records.
//!
//! [`redis`] is the one for real servers; `sim` is a simulated cluster for tests (feature `sim`).

mod error;
pub mod redis;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod slots;
mod topology;

pub use error::{Error, Result};
pub use slots::SlotSet;
pub use topology::{Address, NodeId, Owner, Shard, Topology};

use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use tokio::time::Instant;

/// What became of a change to a record that its maker has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    Done,
    /// It is no longer what was read; nothing was changed.
    Changed,
    /// It is no longer there.
    Missing,
}

/// A step of a scan.
#[derive(Debug, Clone, Copy)]
pub struct Scan<'a> {
    /// 0 to begin, then what the step before gave.
    pub cursor: u64,
    /// Which keys, as a glob.
    pub pattern: &'a str,
    /// How much the server looks at, roughly: the bound of its work, and of the keys that it gives.
    pub count: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// 0 when the scan is complete.
    pub cursor: u64,
    /// There may be none, and some may come again later.
    pub keys: Vec<Bytes>,
}

/// A Redis-compatible store: one server, or the shards of a cluster.
///
/// Every call ends by its deadline. Dropping a call's future gives it up: a write may have been made then.
///
/// Changes are compare-and-set on the bytes that were read, in one step on the shard. The bytes hold the
/// record's version, so this is at least as strict as comparing versions, and it needs no understanding
/// of texts that another implementation may format in its own way.
pub trait Store: Send + Sync + 'static {
    /// How often it has sent something again so far: after a redirect, a break, or 'not now'.
    fn retries(&self) -> u64 {
        0
    }

    /// The value of a key, from whichever shard has it.
    fn get(&self, key: &str, deadline: Instant) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// Sets a key that is not there. `false`: it is there, and nothing was changed.
    fn create(&self, key: &str, value: &[u8], deadline: Instant)
    -> impl Future<Output = Result<bool>> + Send;

    /// Sets a key if its value is `old`.
    fn replace(
        &self,
        key: &str,
        old: &[u8],
        new: &[u8],
        deadline: Instant,
    ) -> impl Future<Output = Result<Swap>> + Send;

    /// Deletes a key if its value is `old`.
    fn delete(&self, key: &str, old: &[u8], deadline: Instant) -> impl Future<Output = Result<Swap>> + Send;

    /// Who owns which slots, as far as is known. It is kept, and asked for anew once a server, or a
    /// [`Store::shard`], has said otherwise.
    fn topology(&self, deadline: Instant) -> impl Future<Output = Result<Arc<Topology>>> + Send;

    /// What a shard says about itself now. [`Error::Stale`]: it owns nothing any more, and no slots are on
    /// their way to it; or it is gone.
    fn shard(&self, node: &NodeId, deadline: Instant) -> impl Future<Output = Result<Shard>> + Send;

    /// A step of a scan of one shard, by the very process that `shard` describes.
    ///
    /// [`Error::Stale`]: that process is gone, or no longer a primary, or cut off from its cluster. Slots
    /// that come or go during a scan are *not* noticed here: compare what [`Store::shard`] says before the
    /// first step and after the last one.
    fn scan(
        &self,
        shard: &Shard,
        scan: Scan<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Scanned>> + Send;

    /// The values of many keys of one shard, in one round trip, each with its own outcome. Keys that
    /// have moved meanwhile are fetched from where they are. `Ok(None)`: it is gone. Of a value of more than
    /// `bytes_max` hardly more than that is sent, and it is [`Error::TooLarge`].
    fn mget(
        &self,
        shard: &Shard,
        keys: &[Bytes],
        bytes_max: usize,
        deadline: Instant,
    ) -> impl Future<Output = Result<Vec<Result<Option<Bytes>>>>> + Send;
}
