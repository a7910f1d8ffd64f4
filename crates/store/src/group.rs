//! A group's store: table, dirty index, pins, sequencer and disk, and the three ways to run a
//! transaction on them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use base::{Clock, Stamp, SteadyClock, limits};
use parking_lot::Mutex;

use crate::apply::Queue;
use crate::aside::{Building, give_up};
use crate::collection::Shapes;
use crate::counters;
use crate::dirty::Dirty;
use crate::disk::{DiskError, GroupDisk};
use crate::effects::Change;
use crate::keys::{self, Cid, HashSeed, Home, Space};
use crate::lanes::Leave;
use crate::moving::Moves;
use crate::onlooker::Onlooker;
use crate::pins::Pins;
use crate::record::Value;
use crate::scratch::Scratch;
use crate::sequencer::{Catalog, Counts, Section, Sequencer, Write};
use crate::table::{Hashed, Place, Seen, Table};
use crate::tidings::Tidings;
use crate::txn::Budget;
use crate::txn::{Begin, Stop};
use crate::view::Cancel;

/// Settings of a group's store.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Bound of the pending table when everything in it is clean.
    pub cache_bytes: usize,
    /// Sequenced writes that the store does not hold yet: above it writers wait for the store, which follows when
    /// half of it has come.
    pub dirty_bytes_max: u64,
    /// Seeds what must not be foreseeable: the table's hash, and the hash of a new group's keys.
    pub seed: u64,
}

impl GroupOptions {
    pub fn new(cache_bytes: usize, seed: u64) -> Self {
        Self { cache_bytes, dirty_bytes_max: limits::DIRTY_BYTES_MAX as u64, seed }
    }
}

pub struct Group {
    pub table: Arc<Table>,
    pub dirty: Arc<Dirty>,
    pub pins: Arc<Pins>,
    pub sequencer: Sequencer,
    pub disk: GroupDisk,
    /// Up to which size collections are packed.
    pub shapes: Shapes,
    /// What a transaction may touch on a network thread.
    pub budget: Budget,
    clock: Arc<dyn Clock>,
    steady: Mutex<SteadyClock>,
    /// The steady clock's last reading: looked at by every transaction, set by whoever turns it.
    now_ms: AtomicU64,
    /// The wall clock's last reading: for stamps, which need not be told the time exactly.
    wall_ms: AtomicU64,
    seed: u64,
    cid_stamp: AtomicU64,
    cid_seq: AtomicU64,
    catalog: Mutex<(Catalog, Stamp)>,
    /// Mirrors the version in `catalog`.
    catalog_version: AtomicU64,
    /// No key expires before this: where the expiry index is read from.
    pub(crate) expiry_head_ms: AtomicU64,
    random: AtomicU64,
    pump: OnceLock<Pump>,
    /// What waiters are served with, in the section.
    pub(crate) serving: Mutex<Scratch>,
    /// The way to the apply thread, once there is one.
    pub(crate) queue: OnceLock<Arc<Queue>>,
    /// The collections whose members are to be moved.
    pub moves: Moves,
    /// What is being built aside.
    pub building: Building,
    /// What others are told of transactions once they are committed.
    pub(crate) tidings: Tidings,
    pub(crate) onlooker: OnceLock<Arc<dyn Onlooker>>,
}

/// How often somebody who waits for the apply thread looks whether he still has to.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// Submits the next batch, if none is in flight: called by whoever adds more than one batch.
pub type Pump = Box<dyn Fn() + Send + Sync>;

impl Group {
    pub fn new(disk: GroupDisk, options: &GroupOptions, clock: Arc<dyn Clock>) -> Self {
        let table = Arc::new(Table::new(options.cache_bytes, options.seed));
        let dirty = Arc::new(Dirty::default());
        let pins = Arc::new(Pins::default());
        let sequencer = Sequencer::new(table.clone(), dirty.clone(), pins.clone(), options.dirty_bytes_max);
        let (wall_ms, steady_ms) = (clock.wall_ms(), clock.steady_ms());
        Self {
            table,
            dirty,
            pins,
            sequencer,
            disk,
            shapes: Shapes::default(),
            budget: Budget::default(),
            clock,
            steady: Mutex::new(SteadyClock::new(wall_ms, steady_ms)),
            now_ms: AtomicU64::new(wall_ms),
            wall_ms: AtomicU64::new(wall_ms),
            seed: options.seed,
            cid_stamp: AtomicU64::new(0),
            cid_seq: AtomicU64::new(0),
            catalog: Mutex::new((Catalog::default(), Stamp::ZERO)),
            catalog_version: AtomicU64::new(0),
            expiry_head_ms: AtomicU64::new(0),
            random: AtomicU64::new(options.seed),
            pump: OnceLock::new(),
            serving: Mutex::default(),
            queue: OnceLock::new(),
            moves: Moves::default(),
            building: Building::default(),
            tidings: Tidings::default(),
            onlooker: OnceLock::new(),
        }
    }

    /// Says how batches are submitted.
    pub fn connect(&self, pump: Pump) {
        let first = self.pump.set(pump).is_ok();
        debug_assert!(first, "a store is connected once");
    }

    /// Has the deltas of a collection folded, and waits for it: one folder, whoever asks. The apply
    /// thread may be waiting itself, for room on the disk, and a client may not want to know any more.
    pub(crate) fn fold_now(&self, home: Home, cancel: &Cancel) -> Result<(), Leave> {
        let queue = self.queue.get().ok_or(Leave::Closed)?;
        let (done, wait) = mpsc::sync_channel(1);
        queue.barrier(move |applier| {
            let _ = done.send(applier.fold(home));
        });
        loop {
            match wait.recv_timeout(CANCEL_POLL) {
                Ok(folded) => return folded.map_err(Leave::Disk),
                Err(RecvTimeoutError::Disconnected) => return Err(Leave::Closed),
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => return Err(Leave::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    pub(crate) fn pump(&self) {
        if let Some(pump) = self.pump.get() {
            pump();
        }
    }

    /// SplitMix64 over a counter.
    pub(crate) fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Turns the clock that expiry goes by. Cheap, but not for every command: network threads call
    /// it once a round.
    pub fn turn_clock(&self) -> u64 {
        let wall_ms = self.clock.wall_ms();
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
        let now = self.steady.lock().now_ms(wall_ms, self.clock.steady_ms());
        self.now_ms.store(now, Ordering::Relaxed);
        now
    }

    /// The time that transactions live at.
    pub fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn new_cid(&self) -> Cid {
        // The stamp is the one at which the running epoch opened: above everything in the log, so
        // no other epoch whose collections can ever be seen has it. What outgrows the number goes to
        // the next stamp: nobody makes that many in the time that one stamp stands for.
        let stamp = self.cid_stamp.load(Ordering::SeqCst);
        let number = self.cid_seq.fetch_add(1, Ordering::SeqCst);
        Cid { stamp: stamp + (number >> 32), seq: number as u32 }
    }

    /// A space's counts as sequenced.
    pub fn counts(&self, space: Space) -> Counts {
        self.sequencer.lock().counts.get(&space).copied().unwrap_or_default()
    }

    /// The counts of every database.
    pub fn database_counts(&self) -> [Counts; limits::DATABASES] {
        let section = self.sequencer.lock();
        section.catalog.spaces.map(|space| section.counts.get(&space).copied().unwrap_or_default())
    }

    /// Reads a record from the store and remembers it.
    pub(crate) fn load(&self, at: Hashed<'_>) -> Result<Seen, Stop> {
        let generation = self.pins.generation();
        let value: Option<Value> = if at.key.first() == Some(&keys::COUNTERS) {
            counters::read(&self.disk.snapshot(), at.key, limits::DELTAS_READ_MAX)?
        } else {
            self.disk.get(at.key)?.map(|value| (&*value).into())
        };
        // Unless the store begins to write now, what was read is no newer than this.
        let version = self.pins.applying();
        let still = || self.pins.generation() == generation;
        let seen = Seen { version, value, place: Place::UNKNOWN };
        self.table.fill(at, &seen, self.pins.keep(), still);
        Ok(seen)
    }

    /// Brings the row cache back to its bound if something made it outgrow it.
    pub fn trim(&self) {
        self.table.trim(self.pins.keep());
    }

    /// Has the row cache give back half of its bound.
    pub fn shrink(&self) {
        self.table.shrink(self.pins.keep());
    }

    /// What a transaction outside the section begins with.
    pub(crate) fn begin(&self) -> Option<Begin> {
        let epoch = self.sequencer.open_epoch()?;
        let catalog = self.catalog.lock();
        Some(begin(&catalog.0, catalog.1, epoch, self.now_ms()))
    }

    /// What a transaction in the section begins with.
    pub(crate) fn begin_section(&self, section: &Section) -> Option<Begin> {
        let epoch = section.epoch().filter(|epoch| *epoch == self.sequencer.epoch())?;
        Some(begin(&section.catalog, section.catalog_version, epoch, self.now_ms()))
    }

    pub(crate) fn catalog_version(&self) -> Stamp {
        Stamp(self.catalog_version.load(Ordering::SeqCst))
    }

    /// Keeps the section's and the readers' catalog up with a committed write set.
    pub(crate) fn note_catalog(&self, section: &mut Section, stamp: Stamp, changes: &[(Vec<u8>, Value)]) {
        if changes.is_empty() {
            return;
        }
        for (key, value) in changes {
            apply_catalog(&mut section.catalog, key, value);
        }
        section.catalog_version = stamp;
        self.publish_catalog(section);
    }

    pub(crate) fn publish_catalog(&self, section: &Section) {
        *self.catalog.lock() = (section.catalog.clone(), section.catalog_version);
        self.catalog_version.store(section.catalog_version.0, Ordering::SeqCst);
    }

    /// Opens the group for writing as `epoch`, after [`Sequencer::reset`]. `last` is the greatest
    /// stamp handed over. Everything handed over must be in the store.
    pub fn open(&self, epoch: u64, last: Stamp) -> Result<bool, DiskError> {
        self.open_with(epoch, last, true)
    }

    /// Like [`Self::open`], but writes nothing of its own: for a group that takes no writes any more.
    pub fn open_for_reading(&self, epoch: u64, last: Stamp) -> Result<bool, DiskError> {
        self.open_with(epoch, last, false)
    }

    fn open_with(&self, epoch: u64, last: Stamp, writes: bool) -> Result<bool, DiskError> {
        let snapshot = self.disk.snapshot();
        let mut counts = HashMap::new();
        let end = base::codec::prefix_end(keys::META_COUNT_PREFIX);
        for pair in snapshot.range(keys::META_COUNT_PREFIX, end.as_deref()) {
            let (key, value) = pair?;
            if let Some((space, count)) = decode_count(&key, &value) {
                counts.insert(space, count);
            }
        }
        let mut catalog = Catalog::default();
        let end = base::codec::prefix_end(keys::CATALOG_PREFIX);
        for pair in snapshot.range(keys::CATALOG_PREFIX, end.as_deref()) {
            let (key, value) = pair?;
            apply_catalog(&mut catalog, &key, &value);
        }
        // Whoever was building is gone with its epoch: nothing will ever name these.
        let unfinished = self.unfinished(&snapshot)?;
        let has_seed = catalog.seed.is_some();
        let seed = catalog.seed.unwrap_or_else(|| fresh_seed(self.seed, last));
        catalog.seed = Some(seed);
        self.turn_clock();
        if !self.sequencer.open(epoch, last, self.wall_ms(), counts, catalog) {
            return Ok(false);
        }
        let mut section = self.sequencer.lock();
        self.cid_stamp.store(section.last().0, Ordering::SeqCst);
        self.cid_seq.store(0, Ordering::SeqCst);
        self.publish_catalog(&section);
        let mut first: Vec<(Vec<u8>, Option<Value>)> = give_up(&unfinished);
        if !has_seed {
            let mut value = seed.0.to_be_bytes().to_vec();
            value.extend_from_slice(&seed.1.to_be_bytes());
            first.push((keys::CATALOG_SEED.to_vec(), Some(Value::from(value))));
        }
        if writes && !first.is_empty() {
            self.sequence(&mut section, &first);
        }
        Ok(true)
    }

    /// Sequences records as they are, in a section that is open.
    pub(crate) fn sequence(&self, section: &mut Section, records: &[(Vec<u8>, Option<Value>)]) -> Stamp {
        let writes = records.iter().map(|(key, value)| {
            let hash = self.table.hash(key).hash;
            let change = value.clone().map_or(Change::Delete, Change::Put);
            Write { key, hash, place: Place::UNKNOWN, change, total: None, by_splice: false }
        });
        self.sequencer.commit(section, self.wall_ms(), writes, &[])
    }
}

fn begin(catalog: &Catalog, catalog_version: Stamp, epoch: u64, now_ms: u64) -> Begin {
    let seed = catalog.seed.unwrap_or_default();
    Begin { now_ms, seed, spaces: catalog.spaces, catalog_version, epoch }
}

fn fresh_seed(seed: u64, last: Stamp) -> HashSeed {
    let mix = |text: &[u8]| HashSeed(seed, last.0).hash48(text);
    HashSeed(seed ^ (mix(b"first") << 16), mix(b"second") << 16 ^ seed.rotate_left(31))
}

/// Takes a catalog record into the catalog; ignores what it does not know.
fn apply_catalog(catalog: &mut Catalog, key: &[u8], value: &[u8]) {
    let number = <[u8; 4]>::try_from(value).ok().map(u32::from_be_bytes);
    match (key, number) {
        (keys::CATALOG_NEXT_SPACE, Some(next)) => catalog.next_space = next,
        (keys::CATALOG_SEED, _) => {
            if let Some((first, second)) = value.split_first_chunk::<8>()
                && let Ok(second) = <[u8; 8]>::try_from(second)
            {
                catalog.seed = Some(HashSeed(u64::from_be_bytes(*first), u64::from_be_bytes(second)));
            }
        }
        (key, Some(space)) => {
            let database = keys::database_of(key).map(usize::from);
            if let Some(mapped) = database.and_then(|database| catalog.spaces.get_mut(database)) {
                *mapped = Space(space);
            }
        }
        _ => {}
    }
}

pub(crate) fn encode_count(count: Counts) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&count.keys.to_be_bytes());
    out[8..].copy_from_slice(&count.expires.to_be_bytes());
    out
}

pub(crate) fn decode_count(key: &[u8], value: &[u8]) -> Option<(Space, Counts)> {
    let space = key.strip_prefix(keys::META_COUNT_PREFIX)?.try_into().ok().map(u32::from_be_bytes)?;
    let (keys, expires) = value.split_first_chunk::<8>()?;
    let expires = <[u8; 8]>::try_from(expires).ok()?;
    let count = Counts { keys: i64::from_be_bytes(*keys), expires: i64::from_be_bytes(expires) };
    Some((Space(space), count))
}
