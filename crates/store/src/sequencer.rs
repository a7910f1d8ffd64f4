//! The sequencer: the critical section that orders a group's writes, and what happens to them
//! until they are committed.
//!
//! Inside the section a write gets its stamp and joins the open batch. One batch is in flight at a
//! time; the next is taken when it is durable. An *epoch* is one stretch of leading without a
//! failure: what an epoch sequenced and did not commit vanishes as a whole when it ends.

mod batch;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::limits;
use base::{Hlc, Stamp};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::dirty::{Dirty, Listing};
use crate::effects::{self, Change, CountDelta};
use crate::keys::{HashSeed, Space};
use crate::pins::Pins;
use crate::record::{RowKey, Value};
use crate::reserve::Reserved;
use crate::runs::Runs;
use crate::table::{Hashed, Listed, Place, Table};
use crate::waiters::Waiters;
use crate::watches::Watches;
pub use batch::Batch;
use batch::OpenBatch;

/// Keys of a space: how many, and how many of them expire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub keys: i64,
    pub expires: i64,
}

/// The group's catalog as the section keeps it at hand.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub seed: Option<HashSeed>,
    pub spaces: [Space; limits::DATABASES],
    pub next_space: u32,
}

impl Default for Catalog {
    fn default() -> Self {
        let spaces = std::array::from_fn(|database| Space(database as u32));
        Self { seed: None, spaces, next_space: limits::DATABASES as u32 }
    }
}

/// What a write set hands to the section.
pub struct Write<'a> {
    pub key: &'a [u8],
    pub hash: u64,
    pub place: Place,
    pub change: Change,
    /// Of counters that are added to: the sum.
    pub total: Option<Value>,
    /// Whether the log may say what changes in the record. IMPORTANT: only of records that no replica ever
    /// deletes by itself: of what a list no longer holds it is not known whether it is still there.
    pub by_splice: bool,
}

impl Write<'_> {
    /// What the record holds then.
    fn value(&self) -> Option<Value> {
        match &self.change {
            Change::Put(value) => Some(value.clone()),
            Change::Delete => None,
            Change::Add(_) => {
                debug_assert!(self.total.is_some(), "counters are settled before they are written");
                self.total.clone()
            }
        }
    }
}

/// What the lock protects.
pub struct Section {
    /// The epoch being sequenced; `None` while nobody may write here.
    open: Option<u64>,
    hlc: Hlc,
    batch: OpenBatch,
    closed: VecDeque<OpenBatch>,
    closed_bytes: usize,
    pub counts: HashMap<Space, Counts>,
    pub catalog: Catalog,
    /// When the catalog last changed.
    pub catalog_version: Stamp,
    pub reserved: Reserved,
    pub waiters: Waiters,
    pub watches: Watches,
    pub(crate) runs: Runs,
}

impl Section {
    pub fn epoch(&self) -> Option<u64> {
        self.open
    }

    pub fn last(&self) -> Stamp {
        self.hlc.last()
    }

    /// How many keys a space holds.
    pub fn count(&self, space: Space) -> Counts {
        self.counts.get(&space).copied().unwrap_or_default()
    }

    /// The batch that the next write joins.
    pub fn batch_id(&self) -> u64 {
        self.batch.id
    }
}

/// How an epoch ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub epoch: u64,
    /// Everything up to here was committed; what came later is uncertain or refused.
    pub committed: Stamp,
    pub refused: Option<Arc<str>>,
}

/// What became of a write, or of what a read saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Pending,
    Committed,
    Uncertain,
    Refused(Arc<str>),
}

/// Ended epochs remembered. A reply that waits longer than this many fail-overs is uncertain.
const ENDED_MAX: usize = 32;

/// Waiters look again after this long even if nobody calls them: a cancelled one has to notice.
const RELEASE_POLL: Duration = Duration::from_millis(50);

pub struct Sequencer {
    section: Mutex<Section>,
    /// The running epoch, open or not yet.
    epoch: AtomicU64,
    /// The epoch that the section is open for; zero while it is not.
    open_epoch: AtomicU64,
    /// The last stamp whose writes are all in the table.
    published: AtomicU64,
    committed: AtomicU64,
    in_flight: AtomicBool,
    /// Whether there is anything to take: read without the lock.
    waiting: AtomicBool,
    ended: Mutex<VecDeque<Ended>>,
    /// Signalled when a reservation is given back.
    released: Condvar,
    /// Signalled when the store has caught up.
    room: (Mutex<()>, Condvar),
    /// Sequenced, and not submitted yet.
    waiting_bytes: AtomicU64,
    /// A [`Stamp`]: what is submitted.
    submitted: AtomicU64,
    /// Submitted or handed over, and not in the store yet.
    dirty_bytes: AtomicU64,
    dirty_bytes_max: u64,
    /// The list of a batch that is on its way, empty by now: memory that was used before costs less.
    spare: Mutex<Vec<(RowKey, Change)>>,
    table: Arc<Table>,
    dirty: Arc<Dirty>,
    pins: Arc<Pins>,
}

/// A longer list is given back.
const SPARE_EFFECTS_MAX: usize = 1 << 16;

impl Sequencer {
    pub fn new(table: Arc<Table>, dirty: Arc<Dirty>, pins: Arc<Pins>, dirty_bytes_max: u64) -> Self {
        let section = Section {
            open: None,
            hlc: Hlc::default(),
            batch: OpenBatch { id: 1, ..OpenBatch::default() },
            closed: VecDeque::new(),
            closed_bytes: 0,
            counts: HashMap::new(),
            catalog: Catalog::default(),
            catalog_version: Stamp::ZERO,
            reserved: Reserved::default(),
            waiters: Waiters::default(),
            watches: Watches::default(),
            runs: Runs::default(),
        };
        Self {
            dirty_bytes_max,
            section: Mutex::new(section),
            epoch: AtomicU64::new(1),
            open_epoch: AtomicU64::new(0),
            published: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            in_flight: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            ended: Mutex::new(VecDeque::new()),
            released: Condvar::new(),
            room: (Mutex::new(()), Condvar::new()),
            waiting_bytes: AtomicU64::new(0),
            submitted: AtomicU64::new(0),
            dirty_bytes: AtomicU64::new(0),
            spare: Mutex::default(),
            table,
            dirty,
            pins,
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Section> {
        self.section.lock()
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub fn committed(&self) -> Stamp {
        Stamp(self.committed.load(Ordering::SeqCst))
    }

    /// Bytes sequenced or handed over that the store does not hold yet.
    pub fn dirty_bytes(&self) -> u64 {
        self.dirty_bytes.load(Ordering::Relaxed) + self.waiting_bytes()
    }

    /// Bytes sequenced that wait for their turn to be submitted.
    pub fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// What has a stamp up to this one does not wait to be submitted any more.
    pub fn submitted(&self) -> Stamp {
        Stamp(self.submitted.load(Ordering::Relaxed))
    }

    pub fn add_dirty_bytes(&self, bytes: u64) {
        self.dirty_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn sub_dirty_bytes(&self, bytes: u64) {
        let less = |now: u64| Some(now.saturating_sub(bytes));
        let _ = self.dirty_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        self.room.1.notify_all();
    }

    /// Whether writers have to wait for the store.
    pub fn is_stalled(&self) -> bool {
        self.dirty_bytes() > self.dirty_bytes_max
    }

    /// How far the store may be behind the log: half of what makes writers wait for it.
    pub fn apply_bytes_max(&self) -> usize {
        limits::APPLY_BYTES_MAX.min((self.dirty_bytes_max / 2) as usize)
    }

    /// Waits a moment for the store, or the log, to catch up.
    pub fn wait_for_room(&self) {
        let mut guard = self.room.0.lock();
        self.room.1.wait_for(&mut guard, RELEASE_POLL);
    }

    /// Stamps a write set and makes it part of the open batch. The section is held by the caller,
    /// who has checked that it is open.
    pub fn commit<'a>(
        &self,
        section: &mut Section,
        wall_ms: u64,
        writes: impl Iterator<Item = Write<'a>>,
        counts: &[CountDelta],
    ) -> Stamp {
        let mut writes = writes.peekable();
        if writes.peek().is_none() && counts.iter().all(CountDelta::is_zero) {
            // IMPORTANT: what leaves nothing behind is in no batch: nobody would ever commit a stamp of its own.
            return section.last();
        }
        let stamp = section.hlc.tick(wall_ms);
        let keep = self.pins.keep();
        let batch = &mut section.batch;
        for write in writes {
            let at = Hashed { key: write.key, hash: write.hash, place: write.place };
            let listed = Listed { batch: batch.id, at: batch.effects.len() as u32 };
            let mut written = self.table.write(at, stamp, write.value(), listed, keep);
            if written.listed.batch == batch.id {
                if let Some((_, change)) = batch.effects.get_mut(written.listed.at as usize) {
                    batch.bytes -= change.bytes();
                    *change = std::mem::replace(change, Change::Delete).then(write.change);
                    batch.bytes += change.bytes();
                }
            } else {
                batch.bytes += write.key.len() + write.change.bytes();
                self.dirty.list(Listing { batch: batch.id, stamp, key: written.key.clone() });
                if let Some(base) = written.replaced.take().filter(|_| write.by_splice) {
                    batch.keep_base(listed.at, base);
                }
                batch.effects.push((written.key, write.change));
            }
        }
        for &delta in counts {
            effects::merge_count(&mut batch.counts, delta);
            let total = section.counts.entry(delta.space).or_default();
            total.keys += delta.keys;
            total.expires += delta.expires;
        }
        batch.last = stamp;
        batch.transactions += 1;
        if batch.bytes >= limits::BATCH_FULL_BYTES {
            section.close(self.take_spare());
        }
        self.waiting_bytes.store(section.waiting_bytes(), Ordering::Relaxed);
        // The rows were written under their shards' locks, before this.
        self.published.store(stamp.0, Ordering::Release);
        // It changes under the section's lock only: no need to say again what is said.
        if !self.waiting.load(Ordering::Relaxed) {
            self.waiting.store(true, Ordering::SeqCst);
        }
        stamp
    }

    /// The newest stamp whose writes can all be seen.
    pub fn published(&self) -> Stamp {
        Stamp(self.published.load(Ordering::Acquire))
    }

    /// Waits for a transaction that is writing its records right now.
    pub fn wait_published(&self, stamp: Stamp) {
        if stamp > self.published() {
            drop(self.lock());
        }
    }

    /// Waits until a reservation is given back.
    pub fn wait_released(&self, section: &mut MutexGuard<'_, Section>) {
        self.released.wait_for(section, RELEASE_POLL);
    }

    pub fn notify_released(&self) {
        self.released.notify_all();
    }

    /// The next batch, if there is one and none is in flight. Whoever gets it submits it and
    /// reports its fate by [`Self::on_committed`] or [`Self::end_epoch`].
    pub fn take_batch(&self) -> Option<Batch> {
        if !self.waiting.load(Ordering::SeqCst) || self.in_flight.load(Ordering::SeqCst) {
            return None;
        }
        let mut section = self.section.lock();
        let epoch = section.open?;
        if self.in_flight.load(Ordering::SeqCst) {
            return None;
        }
        if section.closed.is_empty() {
            section.close(self.take_spare());
        }
        let batch = section.closed.pop_front();
        section.closed_bytes -= batch.as_ref().map_or(0, |batch| batch.bytes);
        self.waiting_bytes.store(section.waiting_bytes(), Ordering::Relaxed);
        let more = !section.closed.is_empty() || !section.batch.effects.is_empty();
        self.waiting.store(more, Ordering::SeqCst);
        let batch = batch?;
        self.in_flight.store(true, Ordering::SeqCst);
        self.submitted.store(batch.last.0, Ordering::Relaxed);
        drop(section);
        let mut batch = batch;
        let encoded = batch.encode(epoch);
        self.add_dirty_bytes(encoded.bytes as u64);
        self.room.1.notify_all();
        batch.effects.clear();
        if batch.effects.capacity() <= SPARE_EFFECTS_MAX {
            *self.spare.lock() = batch.effects;
        }
        Some(encoded)
    }

    fn take_spare(&self) -> Vec<(RowKey, Change)> {
        std::mem::take(&mut *self.spare.lock())
    }

    /// The batch in flight is committed. Called on a raft thread: two stores and no section lock.
    pub fn on_committed(&self, epoch: u64, last: Stamp) {
        let ended = self.ended.lock();
        if self.epoch() == epoch {
            self.committed.fetch_max(last.0, Ordering::SeqCst);
            self.in_flight.store(false, Ordering::SeqCst);
        }
        drop(ended);
    }

    /// Ends the running epoch: what it sequenced and did not commit is void. Whoever waits for it
    /// learns that from [`Self::fate`]. The section opens again with [`Self::open`].
    pub fn end_epoch(&self, epoch: u64, refused: Option<Arc<str>>) -> bool {
        let mut ended = self.ended.lock();
        if self.epoch() != epoch {
            return false;
        }
        ended.push_back(Ended { epoch, committed: self.committed(), refused });
        while ended.len() > ENDED_MAX {
            ended.pop_front();
        }
        self.epoch.store(epoch + 1, Ordering::SeqCst);
        self.open_epoch.store(0, Ordering::SeqCst);
        true
    }

    /// Empties the section and the table after an epoch ended. Everything handed over must be in
    /// the store by now.
    pub fn reset(&self) {
        let mut section = self.section.lock();
        section.open = None;
        let id = section.batch.id + 1;
        section.batch = OpenBatch { id, ..OpenBatch::default() };
        section.closed.clear();
        section.closed_bytes = 0;
        section.reserved.clear();
        section.waiters.clear();
        section.runs.clear();
        section.watches.break_all();
        self.notify_released();
        self.table.clear();
        self.dirty.clear();
        self.waiting.store(false, Ordering::SeqCst);
        self.in_flight.store(false, Ordering::SeqCst);
        self.waiting_bytes.store(0, Ordering::Relaxed);
        self.dirty_bytes.store(0, Ordering::Relaxed);
    }

    /// Opens the section for the running epoch, with what the store holds. Stamps go on above
    /// `last`, the greatest stamp in the log.
    pub fn open(
        &self,
        epoch: u64,
        last: Stamp,
        wall_ms: u64,
        counts: HashMap<Space, Counts>,
        catalog: Catalog,
    ) -> bool {
        let mut section = self.section.lock();
        let ended = self.ended.lock();
        if self.epoch() != epoch {
            return false;
        }
        section.hlc.observe(last);
        section.counts = counts;
        section.catalog = catalog;
        section.catalog_version = Stamp::ZERO;
        let start = section.hlc.tick(wall_ms);
        self.committed.fetch_max(start.0, Ordering::SeqCst);
        self.published.store(start.0, Ordering::SeqCst);
        section.open = Some(epoch);
        self.open_epoch.store(epoch, Ordering::SeqCst);
        drop(ended);
        true
    }

    /// The epoch that the section is open for.
    pub fn open_epoch(&self) -> Option<u64> {
        let open = self.open_epoch.load(Ordering::SeqCst);
        (open != 0 && open == self.epoch()).then_some(open)
    }

    /// Whether what was sequenced at `stamp` in `epoch` is committed by now.
    pub fn fate(&self, epoch: u64, stamp: Stamp) -> Fate {
        if stamp <= self.committed() && epoch == self.epoch() {
            return Fate::Committed;
        }
        let ended = self.ended.lock();
        if epoch == self.epoch() {
            return if stamp <= self.committed() { Fate::Committed } else { Fate::Pending };
        }
        match ended.iter().find(|ended| ended.epoch == epoch) {
            Some(found) if stamp <= found.committed => Fate::Committed,
            Some(Ended { refused: Some(why), .. }) => Fate::Refused(why.clone()),
            _ => Fate::Uncertain,
        }
    }
}

impl Section {
    /// Closes the open batch; the next one lists its effects in `effects`.
    fn close(&mut self, effects: Vec<(RowKey, Change)>) {
        if self.batch.effects.is_empty() {
            return;
        }
        let id = self.batch.id + 1;
        let batch = std::mem::replace(&mut self.batch, OpenBatch { id, effects, ..OpenBatch::default() });
        self.closed_bytes += batch.bytes;
        self.closed.push_back(batch);
    }

    fn waiting_bytes(&self) -> u64 {
        (self.closed_bytes + self.batch.bytes) as u64
    }
}
