//! Which records are dirty, in the order they were written and, when somebody asks, in key order.
//!
//! Writers only append to a short list. The price of an order is paid by those who read ranges:
//! the first of them sorts what was appended since. Where nobody reads ranges, nothing is sorted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use base::Stamp;
use parking_lot::Mutex;

/// A listed write: the record's first one in its batch.
#[derive(Clone, Debug)]
pub struct Listing {
    pub batch: u64,
    pub stamp: Stamp,
    pub key: Arc<[u8]>,
}

#[derive(Default)]
pub struct Dirty {
    /// Appended under the sequencer's lock, so this lock is only ever held for a moment.
    fresh: Mutex<Vec<Listing>>,
    settled: Mutex<Settled>,
}

#[derive(Default)]
struct Settled {
    /// By batch, oldest first.
    journal: VecDeque<Listing>,
    /// How much of the journal's front is in `ordered`.
    indexed: usize,
    /// Each key with the stamp of its last listing.
    ordered: BTreeMap<Arc<[u8]>, Stamp>,
}

impl Settled {
    fn index(&mut self) {
        for listing in self.journal.range(self.indexed..) {
            self.ordered.insert(listing.key.clone(), listing.stamp);
        }
        self.indexed = self.journal.len();
    }
}

/// Listings pruned at a time, so that nobody waits long for the lock.
const PRUNE_SLICE: usize = 4096;

impl Dirty {
    pub fn list(&self, listing: Listing) {
        self.fresh.lock().push(listing);
    }

    /// Listings that a range reader would have to sort first.
    pub fn unsorted(&self) -> usize {
        let settled = self.settled.lock();
        settled.journal.len() - settled.indexed + self.fresh.lock().len()
    }

    /// Up to `limit` dirty keys in `[from, to)`, in order.
    pub fn range(&self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Vec<Arc<[u8]>> {
        if to.is_some_and(|to| to <= from) {
            return Vec::new();
        }
        let mut settled = self.settle();
        settled.index();
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        settled
            .ordered
            .range::<[u8], _>((Bound::Included(from), upper))
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Up to `limit` dirty keys in `[from, to)`, from the greatest down.
    pub fn range_back(&self, from: &[u8], to: Option<&[u8]>, limit: usize) -> Vec<Arc<[u8]>> {
        if to.is_some_and(|to| to <= from) {
            return Vec::new();
        }
        let mut settled = self.settle();
        settled.index();
        let upper = to.map_or(Bound::Unbounded, Bound::Excluded);
        settled
            .ordered
            .range::<[u8], _>((Bound::Included(from), upper))
            .rev()
            .take(limit)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Calls `found` for the keys listed in `batch` and later ones, newest first, until it says
    /// to stop.
    pub fn since(&self, batch: u64, mut found: impl FnMut(&[u8]) -> bool) -> bool {
        let settled = self.settle();
        let mut newest_first = settled.journal.iter().rev().take_while(|listing| listing.batch >= batch);
        newest_first.any(|listing| found(&listing.key))
    }

    /// Forgets what the store holds by now.
    pub fn prune(&self, upto: Stamp) {
        loop {
            let mut settled = self.settle();
            for _ in 0..PRUNE_SLICE {
                let Some(oldest) = settled.journal.front() else { return };
                if oldest.stamp > upto {
                    return;
                }
                let Some(oldest) = settled.journal.pop_front() else { return };
                if settled.indexed > 0 {
                    settled.indexed -= 1;
                    if settled.ordered.get(&oldest.key) == Some(&oldest.stamp) {
                        settled.ordered.remove(&oldest.key);
                    }
                }
            }
        }
    }

    pub fn clear(&self) {
        let mut settled = self.settle();
        *settled = Settled::default();
    }

    fn settle(&self) -> parking_lot::MutexGuard<'_, Settled> {
        let mut settled = self.settled.lock();
        let fresh = std::mem::take(&mut *self.fresh.lock());
        settled.journal.extend(fresh);
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(batch: u64, stamp: u64, key: &str) -> Listing {
        Listing { batch, stamp: Stamp(stamp), key: Arc::from(key.as_bytes()) }
    }

    fn keys(dirty: &Dirty, from: &str, to: Option<&str>) -> Vec<String> {
        let found = dirty.range(from.as_bytes(), to.map(str::as_bytes), 100);
        found.iter().map(|k| String::from_utf8_lossy(k).into_owned()).collect()
    }

    #[test]
    fn ranges_are_in_order_and_pruned_by_stamp() {
        let dirty = Dirty::default();
        for (batch, stamp, key) in [(1, 1, "c"), (1, 2, "a"), (2, 3, "b"), (2, 4, "c")] {
            dirty.list(listing(batch, stamp, key));
        }
        assert_eq!(keys(&dirty, "a", None), ["a", "b", "c"]);
        assert_eq!(keys(&dirty, "b", Some("c")), ["b"]);
        dirty.prune(Stamp(2));
        assert_eq!(keys(&dirty, "", None), ["b", "c"], "c was listed again by batch 2");
        dirty.list(listing(3, 5, "a"));
        assert_eq!(keys(&dirty, "", None), ["a", "b", "c"]);
        dirty.prune(Stamp(5));
        assert_eq!(keys(&dirty, "", None), Vec::<String>::new());
    }

    #[test]
    fn since_sees_the_batch_and_what_came_after() {
        let dirty = Dirty::default();
        for (batch, stamp, key) in [(1, 1, "c"), (2, 2, "a"), (3, 3, "b")] {
            dirty.list(listing(batch, stamp, key));
        }
        let mut seen = Vec::new();
        dirty.since(2, |key| {
            seen.push(key.to_vec());
            false
        });
        assert_eq!(seen, [b"b".to_vec(), b"a".to_vec()]);
        assert!(dirty.since(1, |key| key == b"c"));
        assert!(!dirty.since(2, |key| key == b"c"));
    }
}
