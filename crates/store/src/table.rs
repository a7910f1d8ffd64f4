//! The pending table: the sequenced writes that the store does not hold yet, and at the same time
//! the row cache. A point look-up costs what a hash map costs.
//!
//! A row is *dirty* while its version is above what the store holds, else *clean*: nothing marks
//! it, the comparison says so. Clean rows are evicted (CLOCK) when the table outgrows its bound;
//! a row with no value says that the record does not exist. Older versions of a row are kept only
//! while a pinned snapshot may ask for them.

use std::hash::BuildHasher;

use base::Stamp;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::record::{RowKey, Value};
use crate::small::Small;
use crate::splice::WHOLE_BYTES_MAX;
use rows::{CHUNK, Rows};

/// Shards keep threads off each other's locks; a power of two.
const SHARDS: usize = 64;
/// What a row costs, beside what is kept elsewhere: its place, and its index entry.
const ROW_OVERHEAD_BYTES: usize = 144;
/// What shared bytes have in front of them: their counts.
const SHARED_HEADER_BYTES: usize = 16;
/// The allocator has so many sizes between a power of two and the next, and rounds up to one of them: a chunk of a long
/// string takes a quarter more than it holds.
const SIZES_PER_DOUBLING: usize = 4;
// Two cache lines.
const _: () = assert!(size_of::<Option<Row>>() == 128);

/// A record key with its hash, computed once per access, and where its row was last seen.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    pub key: &'a [u8],
    pub hash: u64,
    pub place: Place,
}

/// Where in its shard a row is: a guess, checked before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

impl Place {
    pub const UNKNOWN: Self = Self(u32::MAX);
}

/// What a look-up found. `version` is zero for what was loaded from the store.
#[derive(Clone, Debug)]
pub struct Seen {
    pub version: Stamp,
    pub value: Option<Value>,
    pub place: Place,
}

struct Older {
    seen: Seen,
    older: Option<Box<Older>>,
}

#[repr(align(64))]
struct Row {
    key: RowKey,
    hash: u64,
    newest: Seen,
    older: Option<Box<Older>>,
    /// Where the open batch lists this row, if it does.
    listed: Listed,
    /// Set by a look-up, cleared by the CLOCK hand.
    referenced: bool,
}

impl Row {
    fn bytes(&self) -> usize {
        ROW_OVERHEAD_BYTES + elsewhere(&self.key) + value_bytes(&self.newest)
    }

    /// Drops the older versions that no view can ask for any more: all below the one that the
    /// oldest view sees. Says how many bytes that frees.
    fn prune_older(&mut self, keep: Keep) -> usize {
        let mut last = &mut self.older;
        if let Some((oldest, _)) = keep.views {
            while last.as_ref().is_some_and(|older| older.seen.version > oldest) {
                match last {
                    Some(older) => last = &mut older.older,
                    None => return 0,
                }
            }
            // This one is seen by the oldest view, unless that finds it, or what replaced it, in its
            // snapshot: versions that are there leave no row here, so what is below them must go too.
            if last.as_ref().is_some_and(|older| older.seen.version > keep.everywhere) {
                match last {
                    Some(seen) => last = &mut seen.older,
                    None => return 0,
                }
            }
        }
        let mut freed = 0;
        let mut next = last.take();
        while let Some(mut older) = next {
            freed += value_bytes(&older.seen);
            next = older.older.take();
        }
        freed
    }
}

/// What is replaced, if it may be worth to say only what changes in it: half of the new value has to be in
/// it. Nothing else is kept for that.
fn spliced(replaced: &Seen, new_len: usize) -> Option<Value> {
    if new_len <= WHOLE_BYTES_MAX {
        return None;
    }
    replaced.value.as_ref().filter(|value| value.len() >= new_len / 2).cloned()
}

fn value_bytes(seen: &Seen) -> usize {
    seen.value.as_ref().map_or(0, elsewhere)
}

fn elsewhere<const N: usize>(bytes: &Small<N>) -> usize {
    bytes.shared().map_or(0, |bytes| allocated(SHARED_HEADER_BYTES + bytes.len()))
}

/// What the allocator takes for so many bytes.
fn allocated(bytes: usize) -> usize {
    let step = bytes.next_power_of_two() / 2 / SIZES_PER_DOUBLING;
    bytes.next_multiple_of(step.max(SHARED_HEADER_BYTES))
}

/// A row's place in a batch's list.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Listed {
    pub batch: u64,
    pub at: u32,
}

#[derive(Default)]
struct Shard {
    index: HashTable<u32>,
    rows: Rows,
    free: Vec<u32>,
    hand: usize,
    bytes: usize,
}

/// What the store and the snapshots in use hold, and what they still need.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Stamps of the oldest and newest pinned views; versions visible to one in between stay.
    pub views: Option<(Stamp, Stamp)>,
    /// Everything up to here is in every snapshot of the store that is in use, and in the store.
    pub everywhere: Stamp,
    /// Everything up to here is in the store.
    pub stored: Stamp,
}

impl Keep {
    /// Whether a version that is about to be replaced may be asked for: a view sees it, and finds it
    /// nowhere else.
    fn needs(self, replaced: Stamp, by: Stamp) -> bool {
        let seen = self.views.is_some_and(|(oldest, newest)| newest >= replaced && oldest < by);
        seen && replaced > self.everywhere
    }

    /// Whether a row may go: everybody who could ask for its newest version finds it in the store, and
    /// those whose view is older find theirs in their snapshot.
    fn lets_go(self, row: &Row) -> bool {
        let version = row.newest.version;
        let is_newer = self.views.is_none_or(|(_, newest)| version > newest);
        version <= self.everywhere || (version <= self.stored && is_newer && row.older.is_none())
    }
}

pub struct Table {
    shards: Box<[Mutex<Shard>]>,
    hasher: FixedState,
    shard_bytes_max: usize,
}

/// What writing a row told.
pub struct Written {
    /// The row's key, to be shared by whoever lists it.
    pub key: RowKey,
    /// Where the row stood in the batch before this write.
    pub listed: Listed,
    /// What a large record held before, if the batch has not written it yet, and it may be worth to compare.
    pub replaced: Option<Value>,
}

impl Table {
    pub fn new(bytes_max: usize, seed: u64) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect();
        Self { shards, hasher: FixedState::with_seed(seed), shard_bytes_max: bytes_max / SHARDS }
    }

    pub fn hash<'a>(&self, key: &'a [u8]) -> Hashed<'a> {
        Hashed { key, hash: self.hasher.hash_one(key), place: Place::UNKNOWN }
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    /// The newest state of a record; `None` if the table does not know it.
    pub fn newest(&self, at: Hashed<'_>) -> Option<Seen> {
        let mut shard = self.shard(at.hash).lock();
        let place = shard.place(at)?;
        let row = shard.rows.get_mut(place.0)?;
        row.referenced = true;
        Some(Seen { place, ..row.newest.clone() })
    }

    /// The state of a record as of `view`; `None` if the table does not know it.
    pub fn as_of(&self, at: Hashed<'_>, view: Stamp) -> Option<Seen> {
        let mut shard = self.shard(at.hash).lock();
        let row = shard.find_mut(at)?;
        if row.newest.version <= view {
            return Some(row.newest.clone());
        }
        let mut next = row.older.as_deref();
        while let Some(older) = next {
            if older.seen.version <= view {
                return Some(older.seen.clone());
            }
            next = older.older.as_deref();
        }
        // Every version here is newer: the view's is in its snapshot of the store.
        None
    }

    /// The version of a record's newest write, if the table knows it.
    pub fn version(&self, at: Hashed<'_>) -> Option<Stamp> {
        self.shard(at.hash).lock().find_mut(at).map(|row| row.newest.version)
    }

    /// Remembers what the store holds, unless something newer is known by now. `still` is asked
    /// under the shard's lock: what was read may have been replaced and evicted since. IMPORTANT: the
    /// version is one that the value may have, not less: a view that is older must not take it for
    /// its own.
    pub fn fill(&self, at: Hashed<'_>, seen: &Seen, keep: Keep, still: impl FnOnce() -> bool) {
        let mut shard = self.shard(at.hash).lock();
        if shard.find_mut(at).is_some() || !still() {
            return;
        }
        let newest = seen.clone();
        let slot = shard.insert(Row {
            key: RowKey::from(at.key),
            hash: at.hash,
            newest,
            older: None,
            listed: Listed::default(),
            referenced: false,
        });
        shard.evict(self.shard_bytes_max, keep, Some(slot));
    }

    /// Makes `value` the newest version of a record. `listed` says where the open batch will list
    /// it if it does not yet.
    pub fn write(
        &self,
        at: Hashed<'_>,
        version: Stamp,
        value: Option<Value>,
        listed: Listed,
        keep: Keep,
    ) -> Written {
        let new_len = value.as_ref().map_or(0, |value| value.len());
        let mut shard = self.shard(at.hash).lock();
        let newest = Seen { version, value, place: Place::UNKNOWN };
        let written = if let Some(row) = shard.find_mut(at) {
            let before = row.listed;
            if before.batch != listed.batch {
                row.listed = listed;
            }
            let (old_bytes, new_bytes) = (value_bytes(&row.newest), value_bytes(&newest));
            let replaced = std::mem::replace(&mut row.newest, newest);
            let base = if before.batch == listed.batch { None } else { spliced(&replaced, new_len) };
            let mut freed = row.prune_older(keep);
            if keep.needs(replaced.version, version) {
                row.older = Some(Box::new(Older { seen: replaced, older: row.older.take() }));
            } else {
                freed += old_bytes;
            }
            row.referenced = true;
            let key = row.key.clone();
            shard.bytes = shard.bytes + new_bytes - freed.min(shard.bytes + new_bytes);
            Written { key, listed: before, replaced: base }
        } else {
            let key = RowKey::from(at.key);
            shard.insert(Row {
                key: key.clone(),
                hash: at.hash,
                newest,
                older: None,
                listed,
                // Hot is what is used again: a large value that is written once drives out nothing.
                referenced: false,
            });
            Written { key, listed: Listed::default(), replaced: None }
        };
        shard.evict(self.shard_bytes_max, keep, None);
        written
    }

    /// Brings the table back to its bound after rows had to stay for a while; a part of the way if it
    /// is long.
    pub fn trim(&self, keep: Keep) {
        self.trim_to(self.shard_bytes_max, keep);
    }

    /// Gives back half of what it may hold, as far as rows may go; a part of the way if it is long.
    pub fn shrink(&self, keep: Keep) {
        self.trim_to(self.shard_bytes_max / 2, keep);
    }

    fn trim_to(&self, shard_bytes_max: usize, keep: Keep) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            for _ in 0..TRIM_TURNS {
                if shard.bytes <= shard_bytes_max {
                    break;
                }
                shard.evict(shard_bytes_max, keep, None);
            }
            shard.close_up();
        }
    }

    /// Forgets everything: what it held may not be what a quorum holds.
    pub fn clear(&self) {
        for shard in &self.shards {
            *shard.lock() = Shard::default();
        }
    }

    /// Rows and bytes held, clean and dirty.
    pub fn size(&self) -> (usize, usize) {
        self.shards.iter().map(|shard| shard.lock().size()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }
}

impl Shard {
    fn size(&self) -> (usize, usize) {
        (self.index.len(), self.bytes + self.free.len() * size_of::<Option<Row>>())
    }

    /// Where many places are free, moves the last rows to some of them, and gives up those that they had: a part of the
    /// way if it is long.
    fn close_up(&mut self) {
        let (len, free) = (self.rows.len(), self.free.len());
        if free < 2 * CHUNK || free < len / FREE_PART {
            return;
        }
        let most = len.saturating_sub(CLOSE_UP_MAX).next_multiple_of(CHUNK);
        let end = (len - free).next_multiple_of(CHUNK).max(most);
        if end >= len {
            return;
        }
        self.free.retain(|slot| (*slot as usize) < end);
        for from in end as u32..len as u32 {
            let Some(row) = self.rows.take(from) else { continue };
            // There are: what is below the end has room for all rows.
            let Some(to) = self.free.pop() else { unreachable!("fewer places than rows") };
            if let Some(slot) = self.index.find_mut(row.hash, |slot| *slot == from) {
                *slot = to;
            }
            self.rows.put(to, row);
        }
        self.rows.truncate(end);
        self.hand = self.hand.min(end.saturating_sub(1));
    }

    fn find_mut(&mut self, at: Hashed<'_>) -> Option<&mut Row> {
        let place = self.place(at)?;
        self.rows.get_mut(place.0)
    }

    fn place(&self, at: Hashed<'_>) -> Option<Place> {
        let is_it =
            |slot: u32| self.rows.get(slot).is_some_and(|row| row.hash == at.hash && *row.key == *at.key);
        if at.place != Place::UNKNOWN && is_it(at.place.0) {
            return Some(at.place);
        }
        self.index.find(at.hash, |&slot| is_it(slot)).map(|&slot| Place(slot))
    }

    fn insert(&mut self, row: Row) -> u32 {
        self.bytes += row.bytes();
        let hash = row.hash;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.rows.put(slot, row);
                slot
            }
            None => self.rows.push(row),
        };
        let rows = &self.rows;
        self.index.insert_unique(hash, slot, |&slot| rows.get(slot).map_or(0, |row| row.hash));
        slot
    }

    /// CLOCK: turns the hand until the bound is met, or once and a bit around if what is left may
    /// not go.
    /// `spared` has just been loaded, and is about to be looked at.
    fn evict(&mut self, bytes_max: usize, keep: Keep, spared: Option<u32>) {
        let mut steps = if self.bytes > bytes_max { 2 * self.rows.len() } else { 0 };
        // A write pays for a few steps only: rows that must stay would be looked at again and again.
        steps = steps.min(EVICT_STEPS_MAX);
        while self.bytes > bytes_max && steps > 0 {
            steps -= 1;
            self.hand = (self.hand + 1) % self.rows.len();
            let slot = self.hand as u32;
            if spared == Some(slot) {
                continue;
            }
            let Some(row) = self.rows.get_mut(slot) else { continue };
            if std::mem::take(&mut row.referenced) {
                continue;
            }
            // IMPORTANT: older versions stay as they are. `keep` may be older than a view that needs them;
            // only writers, who hold the section, know that there is none.
            if !keep.lets_go(row) {
                continue;
            }
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        let Some(mut row) = self.rows.take(slot) else { return };
        let freed =
            row.bytes() + row.prune_older(Keep { views: None, everywhere: Stamp::ZERO, stored: Stamp::ZERO });
        self.bytes -= freed.min(self.bytes);
        if let Ok(entry) = self.index.find_entry(row.hash, |&found| found == slot) {
            entry.remove();
        }
        self.free.push(slot);
    }
}

/// How far one access turns the CLOCK hand at most.
const EVICT_STEPS_MAX: usize = 64;
/// How many accesses' worth one [`Table::trim`] does in a shard.
const TRIM_TURNS: usize = 64;
/// From which part of the places on that are free it is worth to close up.
const FREE_PART: usize = 4;
/// Places that are given up at a time in a shard: others wait for its lock for less than a tenth of a millisecond.
const CLOSE_UP_MAX: usize = 1024;

mod rows;
#[cfg(test)]
mod tests;
