//! The apply thread: takes committed entries in log order, keeps the last effect per record, and
//! writes them to the store in sorted batches, up to a second or 64 MiB behind. Between batches it
//! reclaims what is unreachable. It reads no record: replicas apply blindly.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::codec::{Reader, Write as _};
use base::{Stamp, limits};
use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use parking_lot::{Condvar, Mutex};

use crate::disk::DiskError;
use crate::effects::Entry;
use crate::group::{Group, decode_count, encode_count};
use crate::keys::{self, Space};
use crate::parts::{Assembled, Assembler};
use crate::reclaim::Reclaimer;
use crate::sequencer::Counts;

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

type Task = Box<dyn FnOnce(&mut Applier) + Send>;

enum Job {
    Apply(Committed),
    /// Runs once everything queued before it is in the store.
    Barrier(Task),
}

/// The way into the apply thread. Entries are bounded by their permits.
#[derive(Default)]
pub struct Queue {
    jobs: Mutex<QueueState>,
    arrived: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    stopping: bool,
}

impl Queue {
    pub fn apply(&self, entry: Committed) {
        self.push(Job::Apply(entry));
    }

    /// Runs `task` on the apply thread once everything queued before it is in the store.
    pub fn barrier(&self, task: impl FnOnce(&mut Applier) + Send + 'static) {
        self.push(Job::Barrier(Box::new(task)));
    }

    /// Ends the apply thread once the queue is empty.
    pub fn stop(&self) {
        self.jobs.lock().stopping = true;
        self.arrived.notify_one();
    }

    fn push(&self, job: Job) {
        let mut state = self.jobs.lock();
        state.jobs.push_back(job);
        // A burst needs one call: whoever is awake takes everything.
        if state.jobs.len() == 1 {
            self.arrived.notify_one();
        }
    }

    pub fn len(&self) -> usize {
        self.jobs.lock().jobs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
}

/// An effect, by where it lies in its entry's payload.
struct Collected {
    /// The first bytes of its key as a number: sorting seldom needs more.
    order: u128,
    entry: u32,
    key: (u32, u32),
    value: Option<(u32, u32)>,
}

/// Told about the progress and the failure of a group's store.
pub trait Watch: Send + Sync {
    /// The store has caught up; writers that waited for room may go on.
    fn progress(&self);
    /// The store failed: nothing more will be applied.
    fn failed(&self, error: &DiskError);
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
    collected: Vec<Collected>,
    index: HashTable<u32>,
    hasher: FixedState,
    bytes: usize,
    since: Option<Instant>,
    failed: Option<DiskError>,
    reclaimer: Reclaimer,
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
            collected: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(0x5eed),
            bytes: 0,
            since: None,
            failed: None,
            reclaimer,
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
                if self.bytes >= limits::APPLY_BYTES_MAX {
                    self.flush();
                }
            }
            if self.since.is_some_and(|since| since.elapsed() >= APPLY_DELAY) {
                self.flush();
            }
            self.reclaim();
        }
        self.flush();
    }

    /// Waits for jobs, or until it is time to flush or to reclaim. `None` at the end.
    fn wait(&self) -> Option<VecDeque<Job>> {
        let mut state = self.queue.jobs.lock();
        if state.jobs.is_empty() && !state.stopping {
            let timeout = match self.since {
                Some(since) => APPLY_DELAY.saturating_sub(since.elapsed()),
                None if self.reclaimer.has_work() => RECLAIM_PAUSE,
                None => IDLE,
            };
            self.queue.arrived.wait_for(&mut state, timeout);
        }
        if state.jobs.is_empty() && state.stopping {
            return None;
        }
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
        let offset = |part: &[u8]| {
            let start = part.as_ptr() as usize - payload.as_ptr() as usize;
            (start as u32, part.len() as u32)
        };
        let decoded = Entry::decode(payload)?;
        self.applied.last = self.applied.last.max(decoded.last);
        for delta in &decoded.counts {
            let count = self.counts.entry(delta.space).or_default();
            count.keys += delta.keys;
            count.expires += delta.expires;
            if !self.counts_changed.contains(&delta.space) {
                self.counts_changed.push(delta.space);
            }
        }
        let at = self.entries.len() as u32;
        for effect in decoded {
            let effect = effect?;
            let hash = self.hasher.hash_one(effect.key);
            let order = prefix(effect.key);
            let item =
                Collected { order, entry: at, key: offset(effect.key), value: effect.value.map(offset) };
            let (collected, entries) = (&self.collected, &self.entries);
            let key_at = |i: u32| {
                let item = &collected[i as usize];
                // The entry being read is not in the list yet.
                let payload = entries.get(item.entry as usize).map_or(payload, |entry| &entry.payload);
                slice(payload, item.key)
            };
            let same = |&i: &u32| key_at(i) == effect.key;
            match self.index.find(hash, same).copied() {
                Some(found) => self.collected[found as usize] = item,
                None => {
                    let hasher = &self.hasher;
                    let rehash = |&i: &u32| hasher.hash_one(key_at(i));
                    self.index.insert_unique(hash, collected.len() as u32, rehash);
                    self.collected.push(item);
                }
            }
            self.stats.effects.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Writes what was collected as one sorted batch, together with the position it brings the
    /// store to.
    fn flush(&mut self) {
        if self.failed.is_some() || self.since.is_none() {
            return;
        }
        let started = Instant::now();
        self.group.pins.set_applying(self.applied.last);
        if let Err(error) = self.write() {
            self.fail(error);
            return;
        }
        self.stored = self.applied;
        self.group.pins.set_applied(self.applied.last);
        let keep = self.group.pins.keep();
        self.group.dirty.prune(keep.evictable);
        self.group.sequencer.sub_dirty_bytes(self.entries.iter().map(|e| e.payload.len() as u64).sum());
        self.reclaimer.note(&self.collected_unreachable());
        self.stats.batches.fetch_add(1, Ordering::Relaxed);
        self.stats.records.fetch_add(self.collected.len() as u64, Ordering::Relaxed);
        self.stats.write_us.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.entries.clear();
        self.collected.clear();
        self.index.clear();
        self.counts_changed.clear();
        self.membership_changed = false;
        self.bytes = 0;
        self.since = None;
        self.watch.progress();
    }

    fn write(&mut self) -> Result<(), DiskError> {
        let entries = &self.entries;
        let payload = |item: &Collected| entries.get(item.entry as usize).map_or(&[][..], |e| &e.payload);
        let mut order: Vec<&Collected> = self.collected.iter().collect();
        order.sort_unstable_by(|a, b| {
            let rest = || slice(payload(a), a.key).cmp(slice(payload(b), b.key));
            a.order.cmp(&b.order).then_with(rest)
        });
        let position = self.applied.encode();
        let counts: Vec<_> = (self.counts_changed.iter())
            .map(|space| {
                (keys::meta_count(*space), encode_count(self.counts.get(space).copied().unwrap_or_default()))
            })
            .collect();
        let membership = self.membership.as_deref().filter(|_| self.membership_changed);
        let records = order.into_iter().map(|item| {
            let payload = payload(item);
            (slice(payload, item.key), item.value.map(|at| slice(payload, at)))
        });
        let meta = std::iter::once((keys::META_APPLIED, Some(&position[..])))
            .chain(counts.iter().map(|(key, value)| (&key[..], Some(&value[..]))))
            .chain(membership.map(|membership| (keys::META_MEMBERSHIP, Some(membership))));
        self.group.disk.write(records.chain(meta))
    }

    fn collected_unreachable(&self) -> Vec<Vec<u8>> {
        (self.collected.iter())
            .filter(|item| item.value.is_some())
            .filter_map(|item| Some(slice(&self.entries.get(item.entry as usize)?.payload, item.key)))
            .filter(|key| key.first() == Some(&keys::UNREACHABLE))
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn reclaim(&mut self) {
        // Between batches only: what is collected but not written may not be passed by.
        if self.failed.is_some() || self.since.is_some() || !self.reclaimer.has_work() {
            return;
        }
        match self.reclaimer.slice(&self.group, &mut self.counts) {
            Ok(records) => {
                self.stats.reclaimed.fetch_add(records, Ordering::Relaxed);
            }
            Err(error) => self.fail(error),
        }
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

fn malformed(why: base::codec::DecodeError) -> DiskError {
    DiskError::Corrupt { key: b"log entry".to_vec(), why: why.to_string() }
}

const APPLY_DELAY: Duration = Duration::from_millis(limits::APPLY_DELAY_MS_MAX);
/// Between two slices of reclaiming, so that it never takes a core.
const RECLAIM_PAUSE: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_secs(10);
/// What an entry costs in memory beside its payload.
const ENTRY_OVERHEAD_BYTES: usize = 96;

fn prefix(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = key.len().min(16);
    bytes[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(bytes)
}

fn slice(payload: &[u8], (start, len): (u32, u32)) -> &[u8] {
    payload.get(start as usize..(start + len) as usize).unwrap_or_default()
}
