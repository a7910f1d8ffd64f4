//! The apply thread: takes committed entries in log order, keeps the last effect per record, and
//! writes them to the store in sorted batches, up to a second or 64 MiB behind. Between batches it folds
//! deltas and reclaims what is unreachable. Of records it reads only those that a splice changes.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::codec::{Reader, Write as _};
use base::{Stamp, limits};
use bytes::Bytes;
use parking_lot::MutexGuard;

use crate::disk::DiskError;
use crate::effects::{Change, Entry};
use crate::fold::Folder;
use crate::group::{Group, decode_count, encode_count};
use crate::keys::{self, Home, Space};
use crate::parts::{Assembled, Assembler};
use crate::reclaim::Reclaimer;
use crate::record::Value;
use crate::sequencer::Counts;

mod collected;
mod queue;
mod upkeep;

use collected::Collected;
pub use queue::Queue;
use queue::{Job, QUEUE_BYTES_CALLED, QueueState};

/// Where the log stands that the store has followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Applied {
    pub term: u64,
    pub index: u64,
    /// The greatest stamp up to there.
    pub last: Stamp,
}

impl Applied {
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        out.put_u64(self.term);
        out.put_u64(self.index);
        out.put_u64(self.last.0);
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let applied =
            Self { term: reader.u64().ok()?, index: reader.u64().ok()?, last: Stamp(reader.u64().ok()?) };
        reader.finish().ok()?;
        Some(applied)
    }
}

/// A committed entry.
pub struct Committed {
    pub term: u64,
    pub index: u64,
    /// Effects; empty for an entry that has none.
    pub payload: Bytes,
    /// The consensus layer's own state, to be kept with the position when it changed.
    pub membership: Option<Bytes>,
    /// Given back when the entry is in the store.
    pub permit: Option<Box<dyn Any + Send>>,
}

/// What the apply thread has done, for metrics.
#[derive(Default)]
pub struct Stats {
    pub entries: AtomicU64,
    pub effects: AtomicU64,
    pub batches: AtomicU64,
    pub records: AtomicU64,
    pub write_us: AtomicU64,
    pub reclaimed: AtomicU64,
    pub folded: AtomicU64,
}

/// Told about the progress and the failure of a group's store.
pub trait Watch: Send + Sync {
    /// The store has caught up; writers that waited for room may go on.
    fn progress(&self);
    /// The store failed: nothing more will be applied.
    fn failed(&self, error: &DiskError);
    /// Whether the disk has room for writing so many bytes.
    fn has_room(&self, _bytes: u64) -> bool {
        true
    }
}

/// The apply thread's state.
pub struct Applier {
    group: Arc<Group>,
    queue: Arc<Queue>,
    watch: Arc<dyn Watch>,
    stats: Arc<Stats>,
    applied: Applied,
    /// The last entry that came.
    handed: u64,
    assembler: Assembler,
    /// What the store holds of `applied`.
    stored: Applied,
    counts: HashMap<Space, Counts>,
    counts_changed: Vec<Space>,
    membership: Option<Bytes>,
    membership_changed: bool,
    entries: Vec<Committed>,
    collected: Collected,
    bytes: usize,
    since: Option<Instant>,
    failed: Option<DiskError>,
    reclaimer: Reclaimer,
    folder: Folder,
    /// Slices of folding and reclaiming that the next turn may take.
    slices: u32,
}

/// What the store holds when a node starts.
pub struct Recovered {
    pub applied: Option<Applied>,
    pub membership: Option<Bytes>,
}

impl Applier {
    pub fn new(group: Arc<Group>, queue: Arc<Queue>, watch: Arc<dyn Watch>) -> Result<Self, DiskError> {
        let snapshot = group.disk.snapshot();
        let mut counts = HashMap::new();
        let end = base::codec::prefix_end(keys::META_COUNT_PREFIX);
        for pair in snapshot.range(keys::META_COUNT_PREFIX, end.as_deref()) {
            let (key, value) = pair?;
            counts.extend(decode_count(&key, &value));
        }
        let Recovered { applied, membership } = recovered(&group)?;
        let applied = applied.unwrap_or_default();
        group.pins.set_applying(applied.last);
        group.pins.set_applied(applied.last);
        let reclaimer = Reclaimer::new(&group)?;
        // The second time it is there already: after an image was installed.
        let _ = group.queue.set(queue.clone());
        Ok(Self {
            group,
            queue,
            watch,
            stats: Arc::default(),
            applied,
            handed: applied.index,
            assembler: Assembler::default(),
            stored: applied,
            counts,
            counts_changed: Vec::new(),
            membership,
            membership_changed: false,
            entries: Vec::new(),
            collected: Collected::default(),
            bytes: 0,
            since: None,
            failed: None,
            reclaimer,
            folder: Folder::new(),
            slices: 1,
        })
    }

    pub fn stats(&self) -> Arc<Stats> {
        self.stats.clone()
    }

    /// What the store holds: everything up to here, for sure once it is persisted.
    pub fn stored(&self) -> Applied {
        self.stored
    }

    pub fn membership(&self) -> Option<Bytes> {
        self.membership.clone()
    }

    pub fn group(&self) -> &Arc<Group> {
        &self.group
    }

    pub fn failure(&self) -> Option<&DiskError> {
        self.failed.as_ref()
    }

    /// The thread: until the queue is stopped and empty.
    pub fn run(mut self) {
        while let Some(jobs) = self.wait() {
            for job in jobs {
                match job {
                    Job::Apply(entry) => self.collect(entry),
                    Job::Barrier(task) => {
                        self.flush();
                        task(&mut self);
                    }
                }
                if self.bytes >= self.group.sequencer.apply_bytes_max() || self.collected.is_full() {
                    self.flush();
                }
            }
            if self.since.is_some_and(|since| since.elapsed() >= APPLY_DELAY) {
                self.flush();
            }
            self.upkeep();
        }
        self.flush();
    }

    /// Waits for jobs, or until it is time to look for them, to flush or to reclaim. `None` at the
    /// end.
    fn wait(&self) -> Option<VecDeque<Job>> {
        let mut state = self.queue.jobs.lock();
        let is_urgent = |state: &QueueState| {
            state.stopping
                || state.bytes >= QUEUE_BYTES_CALLED
                || state.jobs.iter().any(|job| matches!(job, Job::Barrier(_)))
        };
        if !is_urgent(&state) {
            let timeout = match self.since {
                Some(since) => APPLY_DELAY.saturating_sub(since.elapsed()).min(COLLECT_PAUSE),
                None if self.has_upkeep() => RECLAIM_PAUSE,
                None if state.jobs.is_empty() => {
                    state.asleep = true;
                    IDLE
                }
                None => COLLECT_PAUSE,
            };
            self.queue.arrived.wait_for(&mut state, timeout);
        }
        state.asleep = false;
        if state.ends() {
            return None;
        }
        state.bytes = 0;
        Some(std::mem::take(&mut state.jobs))
    }

    fn collect(&mut self, mut entry: Committed) {
        if self.failed.is_some() {
            return;
        }
        debug_assert!(entry.index > self.handed || self.handed == 0, "entries come in order, once");
        self.handed = entry.index;
        self.stats.entries.fetch_add(1, Ordering::Relaxed);
        if entry.payload.is_empty() {
            // Of another leader, or about membership: nothing can follow on unfinished parts.
            self.assembler.clear();
        }
        match self.assembler.take(entry.payload) {
            Ok(Assembled::Whole(payload)) => entry.payload = payload,
            // IMPORTANT: the position stays below the first part, so that after a restart they are
            // all read again. Their permits go back at once: a transaction may be larger than what
            // the queue may hold, and its own bound is that of a command.
            Ok(Assembled::Incomplete) => return,
            Ok(Assembled::Stray) => entry.payload = Bytes::new(),
            Err(why) => return self.fail(malformed(why)),
        }
        self.since.get_or_insert_with(Instant::now);
        self.applied = Applied { term: entry.term, index: entry.index, last: self.applied.last };
        if let Some(membership) = &entry.membership {
            self.membership = Some(membership.clone());
            self.membership_changed = true;
        }
        if let Err(why) = self.collect_effects(&entry) {
            return self.fail(malformed(why));
        }
        self.bytes += entry.payload.len() + ENTRY_OVERHEAD_BYTES;
        self.entries.push(entry);
    }

    fn collect_effects(&mut self, entry: &Committed) -> Result<(), base::codec::DecodeError> {
        if entry.payload.is_empty() {
            return Ok(());
        }
        let payload: &[u8] = &entry.payload;
        let mut decoded = Entry::decode(payload)?;
        self.applied.last = self.applied.last.max(decoded.last);
        for delta in &decoded.counts {
            let count = self.counts.entry(delta.space).or_default();
            count.keys += delta.keys;
            count.expires += delta.expires;
            if !self.counts_changed.contains(&delta.space) {
                self.counts_changed.push(delta.space);
            }
        }
        let entry = self.entries.len() as u32;
        let mut at = decoded.position(payload);
        let mut effects = 0;
        while let Some(effect) = decoded.next() {
            self.bytes += self.collected.push(&effect?, entry, at)?;
            at = decoded.position(payload);
            effects += 1;
        }
        self.stats.effects.fetch_add(effects, Ordering::Relaxed);
        Ok(())
    }

    /// Writes what was collected as one sorted batch, together with the position it brings the
    /// store to.
    fn flush(&mut self) {
        if self.failed.is_some() || self.since.is_none() {
            return;
        }
        if !self.wait_for_room() {
            tracing::warn!("stopped without room on the disk for the store; the log has it all");
            self.failed = Some(DiskError::NoRoom);
            return;
        }
        let started = Instant::now();
        self.group.pins.set_applying(self.applied.last);
        let unreachable = match self.write() {
            Ok(written) => written,
            Err(error) => return self.fail(error),
        };
        self.stored = self.applied;
        self.group.pins.set_applied(self.applied.last);
        let keep = self.group.pins.keep();
        self.group.dirty.prune(keep);
        self.group.sequencer.sub_dirty_bytes(self.entries.iter().map(|e| e.payload.len() as u64).sum());
        self.reclaimer.note(&unreachable);
        let batches = self.stats.batches.fetch_add(1, Ordering::Relaxed);
        if batches.is_multiple_of(SWEEP_BATCHES) {
            self.folder.sweep();
        }
        self.stats.records.fetch_add(self.collected.len() as u64, Ordering::Relaxed);
        self.stats.write_us.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.entries.clear();
        self.collected.clear();
        let sequencer = &self.group.sequencer;
        let is_far_behind = sequencer.dirty_bytes() > sequencer.apply_bytes_max() as u64;
        self.slices = upkeep::slices_after_batch(is_far_behind);
        self.counts_changed.clear();
        self.membership_changed = false;
        self.bytes = 0;
        self.since = None;
        self.watch.progress();
    }

    /// Waits until the disk has room; in vain if the queue is stopped. IMPORTANT: the engine never works
    /// again after a write that failed, so it is not asked for one that would.
    fn wait_for_room(&self) -> bool {
        let bytes = self.bytes as u64;
        if self.watch.has_room(bytes) {
            return true;
        }
        tracing::warn!(bytes, "no room on the disk for the store: it waits");
        let mut jobs = self.queue.jobs.lock();
        while !jobs.stopping {
            // Nobody calls when there is room, and who calls for other reasons waits as well.
            self.queue.arrived.wait_for(&mut jobs, ROOM_POLL);
            let has_room = MutexGuard::unlocked(&mut jobs, || self.watch.has_room(bytes));
            if has_room {
                tracing::info!("the store has room again");
                return true;
            }
        }
        false
    }

    /// Says which of the records written say that something is unreachable.
    fn write(&mut self) -> Result<Vec<Vec<u8>>, DiskError> {
        self.collected.settle(&self.entries, &self.group.disk)?;
        let position = self.applied.encode();
        let counts: Vec<_> = (self.counts_changed.iter())
            .map(|space| {
                (keys::meta_count(*space), encode_count(self.counts.get(space).copied().unwrap_or_default()))
            })
            .collect();
        let membership = self.membership.as_deref().filter(|_| self.membership_changed);
        let mut unreachable = Vec::new();
        let records = self.collected.records(&self.entries).map(|(key, value)| {
            if key.first() == Some(&keys::UNREACHABLE) && value.is_some() {
                unreachable.push(key.to_vec());
            }
            (key, value)
        });
        let counters: Vec<_> =
            self.collected.counters().map(|counted| counter_record(counted, self.applied.last)).collect();
        let counters = counters.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        let meta = std::iter::once((keys::META_APPLIED, Some(&position[..])))
            .chain(counts.iter().map(|(key, value)| (&key[..], Some(&value[..]))))
            .chain(membership.map(|membership| (keys::META_MEMBERSHIP, Some(membership))));
        self.group.disk.write(records.chain(counters).chain(meta))?;
        for (home, change) in self.collected.counters() {
            if matches!(change, Change::Add(_)) {
                self.folder.note(home);
            }
        }
        Ok(unreachable)
    }

    fn fail(&mut self, error: DiskError) {
        tracing::error!(%error, "the store failed; nothing more is applied");
        self.watch.failed(&error);
        self.failed = Some(error);
    }

    /// Starts over from what is on disk, after an image was installed.
    pub fn reload(&mut self) -> Result<(), DiskError> {
        let fresh = Self::new(self.group.clone(), self.queue.clone(), self.watch.clone())?;
        *self = Self { stats: self.stats.clone(), ..fresh };
        Ok(())
    }
}

/// What the store held when it was last written.
pub fn recovered(group: &Group) -> Result<Recovered, DiskError> {
    let corrupt = |key: &[u8]| DiskError::Corrupt { key: key.to_vec(), why: "it is malformed".into() };
    let applied = match group.disk.get(keys::META_APPLIED)? {
        Some(bytes) => Some(Applied::decode(&bytes).ok_or_else(|| corrupt(keys::META_APPLIED))?),
        None => None,
    };
    let membership = group.disk.get(keys::META_MEMBERSHIP)?;
    Ok(Recovered { applied, membership: membership.map(|bytes| Bytes::copy_from_slice(&bytes)) })
}

/// What is written of counters: a delta of its own for what is added, so that nothing has to be read.
fn counter_record((home, change): (Home, &Change), last: Stamp) -> (Vec<u8>, Option<Value>) {
    let mut key = Vec::new();
    match change {
        Change::Add(delta) => {
            keys::delta_record(&mut key, home, last.0);
            (key, Some(delta.encode()))
        }
        Change::Put(base) => {
            keys::counters_record(&mut key, home);
            (key, Some(base.clone()))
        }
        Change::Delete => {
            keys::counters_record(&mut key, home);
            (key, None)
        }
    }
}

fn malformed(why: base::codec::DecodeError) -> DiskError {
    DiskError::corrupt(b"log entry", why)
}

/// Entries are looked for this often while there are some, unless there are many.
const COLLECT_PAUSE: Duration = Duration::from_millis(20);
const APPLY_DELAY: Duration = Duration::from_millis(limits::APPLY_DELAY_MS_MAX);
/// Between two slices of reclaiming, so that it never takes a core.
const RECLAIM_PAUSE: Duration = Duration::from_millis(2);
/// While the disk is full, how often it is looked at.
const ROOM_POLL: Duration = Duration::from_millis(100);
const IDLE: Duration = Duration::from_secs(10);
/// Every so many batches, few deltas are folded as well.
const SWEEP_BATCHES: u64 = 64;
/// What an entry costs in memory beside its payload.
const ENTRY_OVERHEAD_BYTES: usize = 96;
