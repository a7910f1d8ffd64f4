//! Counters of the node, and the signal that ends its background threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::table::{Entry, table};

/// Statistics of one command.
#[derive(Default)]
pub struct CommandStats {
    pub calls: AtomicU64,
}

/// Ends background threads.
#[derive(Default)]
pub struct Stopped {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stopped {
    /// Waits for a while; says whether it is time to end.
    pub fn wait(&self, period: Duration) -> bool {
        let mut stopped = self.stopped.lock();
        if !*stopped {
            self.changed.wait_for(&mut stopped, period);
        }
        *stopped
    }

    fn stop(&self) {
        *self.stopped.lock() = true;
        self.changed.notify_all();
    }
}

pub struct Stats {
    pub commands: Vec<CommandStats>,
    expired: AtomicU64,
    stopped: Arc<Stopped>,
}

impl Stats {
    pub fn new() -> Self {
        let commands = table().entries().iter().map(|_| CommandStats::default()).collect();
        Self { commands, expired: AtomicU64::new(0), stopped: Arc::default() }
    }

    /// Runs one command and counts it.
    pub fn measure<T>(&self, entry: &Entry, run: impl FnOnce() -> T) -> T {
        if let Some(stats) = self.commands.get(entry.id) {
            stats.calls.fetch_add(1, Ordering::Relaxed);
        }
        run()
    }

    pub fn expired(&self, keys: u64) {
        self.expired.fetch_add(keys, Ordering::Relaxed);
    }

    pub fn stopped(&self) -> Arc<Stopped> {
        self.stopped.clone()
    }

    pub fn stop(&self) {
        self.stopped.stop();
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new()
    }
}
