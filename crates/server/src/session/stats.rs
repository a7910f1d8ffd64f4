//! Counters of the node: what commands cost and how they ended, and the signal that ends background
//! threads.
//!
//! Counting must cost next to nothing: a command pays for one reading of the clock and two counters
//! that its thread rarely shares with another.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use command::Lane;
use parking_lot::{Condvar, Mutex};

use super::histogram::{Histogram, Latencies};
use super::latency::LatencyMonitor;
use crate::table::{Entry, Handler, table};

/// Threads are spread over so many sets of counters.
pub const SHARDS: usize = 8;
/// Error codes counted by name, as in Redis; a client may invent more through scripts.
const ERROR_CODES_MAX: usize = 128;
/// Longer codes are not codes.
const ERROR_CODE_BYTES_MAX: usize = 32;

/// One thread's share of a command's statistics.
#[derive(Default)]
struct CommandShard {
    latencies: OnceLock<Box<Histogram>>,
    nanos: AtomicU64,
    failed: AtomicU64,
    rejected: AtomicU64,
    /// Of the latencies, those of the heavy pool.
    heavy: OnceLock<Box<Histogram>>,
}

/// What is known about one command.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    pub calls: u64,
    pub usec: u64,
    pub failed: u64,
    pub rejected: u64,
    pub latencies: Latencies,
    /// Of the calls that ran in the heavy pool.
    pub heavy: Latencies,
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

thread_local! {
    /// When the last command of a connection's turn ended: the next one begins there.
    static LAP: Cell<Option<Instant>> = const { Cell::new(None) };
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

/// Which of them is this thread's.
pub fn shard() -> usize {
    let shard = SHARD.get();
    if shard != usize::MAX {
        return shard;
    }
    let shard = NEXT_SHARD.fetch_add(1, Relaxed) % SHARDS;
    SHARD.set(shard);
    shard
}

/// A network thread turns to another connection, or has waited: the next command reads the clock anew.
pub fn begin_turn() {
    LAP.set(None);
}

/// Whether the latest command of this turn ended at that time or later.
pub fn reached(until: Instant) -> bool {
    LAP.get().is_some_and(|ended| ended >= until)
}

/// When a command began, and when it ended.
#[derive(Clone, Copy, Debug)]
pub struct Lap {
    began: Instant,
    ended: Option<Instant>,
}

impl Lap {
    /// A lap begins where the previous one of the turn ended: one look at the clock a command.
    pub fn start() -> Self {
        Self { began: LAP.get().unwrap_or_else(Instant::now), ended: None }
    }

    /// The lap's end, which is now at the first call.
    pub fn end(&mut self) -> Instant {
        *self.ended.get_or_insert_with(|| {
            let now = Instant::now();
            LAP.set(Some(now));
            now
        })
    }

    pub fn took(&mut self) -> Duration {
        self.end().saturating_duration_since(self.began)
    }
}

/// One thread's share of the counters.
struct Shard {
    commands: Vec<CommandShard>,
    keyspace_hits: AtomicU64,
    keyspace_misses: AtomicU64,
}

impl Shard {
    fn new() -> Self {
        Self {
            commands: table().entries().iter().map(|_| CommandShard::default()).collect(),
            keyspace_hits: AtomicU64::new(0),
            keyspace_misses: AtomicU64::new(0),
        }
    }
}

pub struct Stats {
    shards: Vec<Shard>,
    errors: Mutex<BTreeMap<String, u64>>,
    error_replies: AtomicU64,
    /// Of these, those with the code OOM, since the start.
    oom: AtomicU64,
    expired: AtomicU64,
    pub input_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
    pub reads: AtomicU64,
    pub writes: AtomicU64,
    /// Commands that had to wait because the store was too far behind.
    pub stalled: AtomicU64,
    /// Whether keys are expired before somebody asks for them: DEBUG SET-ACTIVE-EXPIRE.
    active_expiry: AtomicBool,
    /// What took long.
    pub latency: LatencyMonitor,
    stopped: Arc<Stopped>,
}

impl Stats {
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            errors: Mutex::default(),
            error_replies: AtomicU64::new(0),
            oom: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            active_expiry: AtomicBool::new(true),
            latency: LatencyMonitor::default(),
            stopped: Arc::default(),
        }
    }

    fn shard(&self, entry: &Entry) -> Option<&CommandShard> {
        self.shards.get(shard())?.commands.get(entry.id)
    }

    /// A reading command looked keys up.
    pub fn looked_up(&self, (hits, misses): (u32, u32)) {
        let Some(shard) = self.shards.get(shard()) else { return };
        if hits > 0 {
            shard.keyspace_hits.fetch_add(hits.into(), Relaxed);
        }
        if misses > 0 {
            shard.keyspace_misses.fetch_add(misses.into(), Relaxed);
        }
    }

    /// Look-ups that found their key, and those that did not.
    pub fn keyspace_lookups(&self) -> (u64, u64) {
        let shards = self.shards.iter();
        let each = shards.map(|s| (s.keyspace_hits.load(Relaxed), s.keyspace_misses.load(Relaxed)));
        each.fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1))
    }

    /// A command came to its end.
    pub fn ran(&self, entry: &Entry, took: Duration) {
        let Some(shard) = self.shard(entry) else { return };
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        shard.nanos.fetch_add(nanos, Relaxed);
        shard.latencies.get_or_init(Box::default).record(nanos / 1000);
    }

    /// It ran in the heavy pool.
    pub fn ran_heavy(&self, entry: &Entry, took: Duration) {
        if let Some(shard) = self.shard(entry) {
            let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            shard.heavy.get_or_init(Box::default).record(us);
        }
    }

    /// Commands on data that ended in the read lane and in the inline lane.
    pub fn light_lanes(&self) -> (u64, u64) {
        let mut lanes = (0, 0);
        for (entry, stats) in self.commands().filter(|(entry, _)| matches!(entry.row.run, Handler::Data(_))) {
            let light = stats.calls.saturating_sub(stats.heavy.count());
            match entry.row.lane() {
                Lane::Read => lanes.0 += light,
                Lane::Inline => lanes.1 += light,
                Lane::Heavy => {}
            }
        }
        lanes
    }

    /// It ended with an error.
    pub fn failed(&self, entry: &Entry) {
        if let Some(shard) = self.shard(entry) {
            shard.failed.fetch_add(1, Relaxed);
        }
    }

    /// It was refused before it began.
    pub fn rejected(&self, entry: &Entry) {
        if let Some(shard) = self.shard(entry) {
            shard.rejected.fetch_add(1, Relaxed);
        }
    }

    /// An error was answered: counts it by its code.
    pub fn error(&self, code: &[u8]) {
        self.error_replies.fetch_add(1, Relaxed);
        if code == b"OOM" {
            self.oom.fetch_add(1, Relaxed);
        }
        if code.is_empty() || code.len() > ERROR_CODE_BYTES_MAX || !code.iter().all(u8::is_ascii_graphic) {
            return;
        }
        let code = String::from_utf8_lossy(code);
        let mut errors = self.errors.lock();
        if let Some(count) = errors.get_mut(&*code) {
            *count += 1;
        } else if errors.len() < ERROR_CODES_MAX {
            errors.insert(code.into_owned(), 1);
        }
    }

    /// Error replies in all, and by code.
    pub fn errors(&self) -> (u64, BTreeMap<String, u64>) {
        (self.error_replies.load(Relaxed), self.errors.lock().clone())
    }

    /// Commands told OOM since the start.
    pub fn oom(&self) -> u64 {
        self.oom.load(Relaxed)
    }

    pub fn command(&self, entry: &Entry) -> CommandStats {
        let mut sum = CommandStats::default();
        let mut nanos = 0;
        for shard in self.shards.iter().filter_map(|shard| shard.commands.get(entry.id)) {
            nanos += shard.nanos.load(Relaxed);
            sum.failed += shard.failed.load(Relaxed);
            sum.rejected += shard.rejected.load(Relaxed);
            if let Some(latencies) = shard.latencies.get() {
                latencies.add_to(&mut sum.latencies);
            }
            if let Some(heavy) = shard.heavy.get() {
                heavy.add_to(&mut sum.heavy);
            }
        }
        sum.calls = sum.latencies.count();
        sum.usec = nanos / 1000;
        sum
    }

    /// The commands that were called or refused, with their statistics.
    pub fn commands(&self) -> impl Iterator<Item = (&'static Entry, CommandStats)> {
        let all = table().entries().iter().map(|entry| (entry, self.command(entry)));
        all.filter(|(_, stats)| stats.calls > 0 || stats.rejected > 0)
    }

    pub fn expired(&self, keys: u64) {
        self.expired.fetch_add(keys, Relaxed);
    }

    pub fn expired_keys(&self) -> u64 {
        self.expired.load(Relaxed)
    }

    /// CONFIG RESETSTAT: what Redis counts as well. What only we count goes on.
    pub fn reset(&self) {
        for shard in &self.shards {
            shard.keyspace_hits.store(0, Relaxed);
            shard.keyspace_misses.store(0, Relaxed);
        }
        for shard in self.shards.iter().flat_map(|shard| &shard.commands) {
            for counter in [&shard.nanos, &shard.failed, &shard.rejected] {
                counter.store(0, Relaxed);
            }
            for histogram in [&shard.latencies, &shard.heavy] {
                if let Some(histogram) = histogram.get() {
                    histogram.reset();
                }
            }
        }
        self.errors.lock().clear();
        for counter in [
            &self.error_replies,
            &self.expired,
            &self.input_bytes,
            &self.output_bytes,
            &self.reads,
            &self.writes,
        ] {
            counter.store(0, Relaxed);
        }
    }

    pub fn read_bytes(&self, bytes: usize) {
        self.reads.fetch_add(1, Relaxed);
        self.input_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub fn wrote_bytes(&self, bytes: usize) {
        if bytes > 0 {
            self.writes.fetch_add(1, Relaxed);
            self.output_bytes.fetch_add(bytes as u64, Relaxed);
        }
    }

    pub fn expires_actively(&self) -> bool {
        self.active_expiry.load(Relaxed)
    }

    pub fn set_active_expiry(&self, active: bool) {
        self.active_expiry.store(active, Relaxed);
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
