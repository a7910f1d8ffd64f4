//! The service: every call of `Control`, over any [`Store`].
//!
//! - `rpc` takes requests apart; `atespaces`, `actors` and `lifecycle` do what they want; `workers` finds,
//!   claims and frees workers, which `search` looks for and `directory` remembers; `all` lists and clears.
//! - `records` changes one record without losing anything; `transition` and `selector` decide, purely.
//!
//! A call may fail or be given up anywhere. What it leaves in the store is such that the same call, made
//! again here or on another replica, goes on from there. Replicas share nothing but the store.

mod actors;
mod all;
mod atespaces;
mod directory;
mod error;
mod lifecycle;
mod mark;
mod records;
mod rpc;
pub mod runtime;
mod search;
mod selector;
#[cfg(test)]
mod tests;
mod transition;
mod workers;

pub use error::{Error, Result};
pub use rpc::Deadline;
pub use runtime::{Acknowledge, WorkerRuntime};

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use self::directory::Directory;
use self::records::Records;
use self::search::Search;
use crate::listing::{self, Lister, TokenKey};
use crate::store::Store;

/// What the service is allowed to do.
#[derive(Clone)]
pub struct Options {
    /// Whether DebugClear deletes everything, or is refused.
    pub allow_debug_clear: bool,
    /// Who is refused is told this: how it would be allowed, by whoever runs the service.
    pub clear_refusal: &'static str,
    /// What page tokens are made with.
    pub token_key: TokenKey,
}

impl Default for Options {
    fn default() -> Self {
        let clear_refusal = "this server does not allow it";
        Self { allow_debug_clear: false, clear_refusal, token_key: TokenKey::Stored }
    }
}

pub struct Service<S, W = Acknowledge> {
    records: Arc<Records<S>>,
    lister: Lister<S>,
    runtime: W,
    directory: Arc<Directory>,
    search: Search<S>,
    /// Held by the calls that move an actor from one state to another, so that two of them on the same
    /// replica do not work at it at once.
    moves: records::Turns,
    options: Options,
}

/// What the service counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub lost_races: u64,
    pub repeated_writes: u64,
    pub unusable_records: u64,
    pub store_retries: u64,
    pub worker_walks: u64,
    pub workers_known: u64,
    pub workers_seemingly_free: u64,
}

impl<S: Store, W: WorkerRuntime> Service<S, W> {
    pub fn new(store: Arc<S>, runtime: W, options: Options) -> Self {
        let (records, directory) = (Arc::new(Records::new(Arc::clone(&store))), Arc::default());
        Self {
            lister: Lister::new(store, options.token_key.clone()),
            search: Search::new(Arc::clone(&records), Arc::clone(&directory)),
            records,
            runtime,
            directory,
            moves: records::Turns::default(),
            options,
        }
    }

    pub fn store(&self) -> &Arc<S> {
        &self.records.store
    }

    pub fn listing(&self) -> &Arc<listing::Counters> {
        self.lister.counters()
    }

    pub fn counts(&self) -> Counts {
        let (known, free) = self.directory.counts();
        Counts {
            lost_races: self.records.stats.lost_races.load(Relaxed),
            repeated_writes: self.records.stats.repeated_writes.load(Relaxed),
            unusable_records: self.records.stats.unusable.load(Relaxed),
            store_retries: self.records.store.retries(),
            worker_walks: self.search.begun(),
            workers_known: known as u64,
            workers_seemingly_free: free as u64,
        }
    }
}
