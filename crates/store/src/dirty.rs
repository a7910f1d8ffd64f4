//! Which records are dirty, in the order they were written and, when somebody asks, in key order.
//!
//! Writers only append to a short list. The price of an order is paid by those who read ranges:
//! the first of them sorts what was appended since. Where nobody reads ranges, nothing is sorted.
//! Tags have lists of their own, so that a look at the expiry index does not sort the keys.

mod journal;

use std::collections::BTreeMap;
use std::ops::Bound;

use base::Stamp;
use parking_lot::{Mutex, MutexGuard};

use self::journal::Journal;
use crate::keys;
use crate::record::RowKey;
use crate::table::Keep;

/// A listed write: the record's first one in its batch.
#[derive(Clone, Debug)]
pub struct Listing {
    pub batch: u64,
    pub stamp: Stamp,
    pub key: RowKey,
}

/// Lists: keys, expiry index and, in front of them, the rest; then elements, by collection.
const LISTS: usize = 3 + ELEMENT_LISTS;
/// Elements are many, and ranges of them lie within one collection: who reads one does not sort what
/// is written to the others.
const ELEMENT_LISTS: usize = 16;

#[derive(Default)]
pub struct Dirty {
    lists: [List; LISTS],
}

#[derive(Default)]
struct List {
    /// Appended under the sequencer's lock, so this lock is only ever held for a moment.
    fresh: Mutex<Journal>,
    settled: Mutex<Settled>,
}

#[derive(Default)]
struct Settled {
    /// By batch, oldest first.
    journal: Journal,
    /// How much of the journal's front is in `ordered`.
    indexed: usize,
    /// Each key with the stamp of its last listing.
    ordered: BTreeMap<RowKey, Stamp>,
    /// Listings up to this batch have been forgotten early: nobody can tell what was written since.
    forgotten: u64,
}

impl Settled {
    /// Forgets a listing that left the journal.
    fn forget(&mut self, listing: &Listing) {
        if self.ordered.get(&listing.key) == Some(&listing.stamp) {
            self.ordered.remove(&listing.key);
        }
    }

    /// Forgets what no view sees, though somebody may want to know that it was written.
    fn forget_early(&mut self, seen: Stamp, stored: Stamp) {
        self.index();
        for listing in self.journal.drain() {
            if listing.stamp > seen && listing.stamp <= stored {
                self.forgotten = self.forgotten.max(listing.batch);
                self.forget(&listing);
            } else {
                self.journal.push(listing);
            }
        }
        self.indexed = self.journal.len();
    }

    fn index(&mut self) {
        while !self.index_some() {}
    }

    /// Sorts some more; says whether that is all.
    fn index_some(&mut self) -> bool {
        let end = self.journal.len().min(self.indexed + INDEX_SLICE);
        for listing in self.journal.from(self.indexed).take(INDEX_SLICE) {
            self.ordered.insert(listing.key.clone(), listing.stamp);
        }
        self.indexed = end;
        end == self.journal.len()
    }
}

/// Listings kept for the validation of transactions that last. What lasts longer is run once more.
const LISTINGS_MAX: usize = 1 << 20;
/// Listings sorted at a time: whoever validates, in the section, waits for the lock.
const INDEX_SLICE: usize = 1024;
/// Listings pruned at a time, so that nobody waits long for the lock.
const PRUNE_SLICE: usize = 4096;

impl Dirty {
    /// The list of a record's tag. A range lies within one tag.
    fn of(&self, key: &[u8]) -> &List {
        let [others, ..] = &self.lists;
        self.lists.get(list_of(key)).unwrap_or(others)
    }

    pub fn list(&self, listing: Listing) {
        self.of(&listing.key).fresh.lock().push(listing);
    }

    /// Listings that a reader of a range beginning here would have to sort first.
    pub fn unsorted(&self, from: &[u8]) -> usize {
        let list = self.of(from);
        let settled = list.settled.lock();
        settled.journal.len() - settled.indexed + list.fresh.lock().len()
    }

    /// Up to `limit` dirty keys in `[from, to)`, in order.
    pub fn range(&self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Vec<RowKey> {
        debug_assert!(self.is_within_one_tag(from, to));
        if to.is_some_and(|to| to <= from) {
            return Vec::new();
        }
        let mut settled = self.of(from).settle();
        while !settled.index_some() {
            MutexGuard::bump(&mut settled);
        }
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        settled
            .ordered
            .range::<[u8], _>((Bound::Included(from), upper))
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The last dirty keys in `[from, to)`, at most `limit`, from the last one to the first.
    pub fn range_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<RowKey> {
        debug_assert!(self.is_within_one_tag(from, Some(to)));
        if to <= from {
            return Vec::new();
        }
        let mut settled = self.of(from).settle();
        while !settled.index_some() {
            MutexGuard::bump(&mut settled);
        }
        let range = settled.ordered.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        range.rev().take(limit).map(|(key, _)| key.clone()).collect()
    }

    fn is_within_one_tag(&self, from: &[u8], to: Option<&[u8]>) -> bool {
        let next = from.first().map(|tag| [tag + 1]);
        next.is_some_and(|next| to.is_some_and(|to| to <= &next[..]))
    }

    /// Whether `wanted` holds for any key listed in `batch` or later, or nobody can tell. Looks at some lists only:
    /// in the others there is nothing that is wanted.
    pub fn since(&self, batch: u64, among: Among, mut wanted: impl FnMut(&[u8]) -> bool) -> bool {
        self.lists.iter().enumerate().filter(|(at, _)| among.has(*at)).any(|(_, list)| {
            let settled = list.settle();
            if settled.forgotten >= batch {
                return true;
            }
            let mut newest_first =
                settled.journal.newest_first().take_while(|listing| listing.batch >= batch);
            newest_first.any(|listing| wanted(&listing.key))
        })
    }

    /// The keys in `[from, to)`, all of one collection, that were listed in `batch` or later. `None` if
    /// nobody can tell, or not at once: somebody may be sorting what he is about to read.
    pub fn listed_since(&self, batch: u64, from: &[u8], to: &[u8]) -> Option<Vec<RowKey>> {
        debug_assert!(self.is_within_one_tag(from, Some(to)));
        let list = self.of(from);
        let mut settled = list.settled.try_lock()?;
        settled.journal.append(std::mem::take(&mut *list.fresh.lock()));
        if settled.forgotten >= batch {
            return None;
        }
        let newest_first = settled.journal.newest_first().take_while(|listing| listing.batch >= batch);
        let within = newest_first.filter(|listing| *listing.key >= *from && *listing.key < *to);
        Some(within.map(|listing| listing.key.clone()).collect())
    }

    /// Forgets what the store and every snapshot of it hold by now.
    pub fn prune(&self, keep: Keep) {
        for list in &self.lists {
            list.prune(keep.everywhere);
            if let Some((_, seen)) = keep.views {
                let mut settled = list.settle();
                if settled.journal.len() > LISTINGS_MAX {
                    settled.forget_early(seen, keep.stored);
                }
            }
        }
    }

    pub fn clear(&self) {
        for list in &self.lists {
            *list.settle() = Settled::default();
        }
    }
}

fn list_of(key: &[u8]) -> usize {
    match key.first() {
        Some(&keys::KEY) => 1,
        Some(&keys::EXPIRY) => 2,
        Some(&keys::ELEMENT) => {
            let number = keys::home_of(key).map_or(0, |home| home.cid.seq);
            LISTS - ELEMENT_LISTS + number as usize % ELEMENT_LISTS
        }
        _ => 0,
    }
}

/// Some of the lists. What somebody builds aside may be more than what its list keeps; who reads nothing of it need
/// not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Among(u32);

const _: () = assert!(LISTS <= u32::BITS as usize);

impl Among {
    /// Those that have these keys, or ranges that begin with them.
    pub fn of<'k>(keys: impl Iterator<Item = &'k [u8]>) -> Self {
        Self(keys.fold(0, |among, key| among | 1 << list_of(key)))
    }

    fn has(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }
}

impl List {
    fn prune(&self, upto: Stamp) {
        loop {
            let mut settled = self.settle();
            for _ in 0..PRUNE_SLICE {
                let Some(oldest) = settled.journal.front() else { return };
                if oldest.stamp > upto {
                    return;
                }
                let Some(oldest) = settled.journal.pop() else { return };
                if settled.indexed > 0 {
                    settled.indexed -= 1;
                    settled.forget(&oldest);
                }
            }
        }
    }

    fn settle(&self) -> MutexGuard<'_, Settled> {
        let mut settled = self.settled.lock();
        let fresh = std::mem::take(&mut *self.fresh.lock());
        settled.journal.append(fresh);
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(batch: u64, stamp: u64, key: &str) -> Listing {
        Listing { batch, stamp: Stamp(stamp), key: RowKey::from(format!("K{key}").as_bytes()) }
    }

    fn stored(upto: u64) -> Keep {
        Keep { views: None, everywhere: Stamp(upto), stored: Stamp(upto) }
    }

    fn keys(dirty: &Dirty, from: &str, to: Option<&str>) -> Vec<String> {
        let (from, to) = (format!("K{from}"), to.map_or("L".into(), |to| format!("K{to}")));
        let found = dirty.range(from.as_bytes(), Some(to.as_bytes()), 100);
        found.iter().map(|k| String::from_utf8_lossy(&k[1..]).into_owned()).collect()
    }

    #[test]
    fn ranges_are_in_order_and_pruned_by_stamp() {
        let dirty = Dirty::default();
        for (batch, stamp, key) in [(1, 1, "c"), (1, 2, "a"), (2, 3, "b"), (2, 4, "c")] {
            dirty.list(listing(batch, stamp, key));
        }
        assert_eq!(keys(&dirty, "a", None), ["a", "b", "c"]);
        assert_eq!(keys(&dirty, "b", Some("c")), ["b"]);
        dirty.prune(stored(2));
        assert_eq!(keys(&dirty, "", None), ["b", "c"], "c was listed again by batch 2");
        dirty.list(listing(3, 5, "a"));
        assert_eq!(keys(&dirty, "", None), ["a", "b", "c"]);
        dirty.prune(stored(5));
        assert_eq!(keys(&dirty, "", None), Vec::<String>::new());
    }

    #[test]
    fn since_sees_the_batch_and_what_came_after() {
        let dirty = Dirty::default();
        for (batch, stamp, key) in [(1, 1, "c"), (2, 2, "a"), (3, 3, "b")] {
            dirty.list(listing(batch, stamp, key));
        }
        let mut seen = Vec::new();
        let among = Among::of([&b"K"[..]].into_iter());
        dirty.since(2, among, |key| {
            seen.push(key.to_vec());
            false
        });
        assert_eq!(seen, [b"Kb".to_vec(), b"Ka".to_vec()]);
        assert!(dirty.since(1, among, |key| key == b"Kc"));
        assert!(!dirty.since(2, among, |key| key == b"Kc"));
    }

    #[test]
    fn a_view_that_lasts_does_not_keep_every_listing() {
        let dirty = Dirty::default();
        let count = LISTINGS_MAX as u64 + 10;
        for at in 0..count {
            dirty.list(listing(at, at, if at == 7 { "seen" } else { "k" }));
        }
        let keep = Keep { views: Some((Stamp(8), Stamp(8))), everywhere: Stamp(5), stored: Stamp(count - 5) };
        dirty.prune(keep);
        assert_eq!(keys(&dirty, "", None), ["k", "seen"]);
        assert!(dirty.of(b"K").settle().journal.len() < 10);
        let among = Among::of([&b"K"[..]].into_iter());
        assert!(dirty.since(9, among, |_| false), "nobody can tell");
        assert!(!dirty.since(count - 3, among, |_| false));
        // Who has read something else does not ask.
        assert!(!dirty.since(9, Among::of([&b"T"[..], b"C", b"E"].into_iter()), |_| false));
    }
}
