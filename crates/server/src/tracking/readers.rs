//! Who has read which key since it changed.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::limits;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::Reader;

/// Readers of different keys seldom meet.
const SHARDS: usize = 16;

#[derive(Default)]
struct Shard {
    keys: BTreeMap<Arc<[u8]>, Vec<Reader>>,
    /// The key that was forgotten last for want of room: the next one is behind it.
    forgotten: Arc<[u8]>,
}

/// How much may be noted.
pub(super) struct Bounds {
    keys: AtomicUsize,
    bytes: usize,
    reads: usize,
}

impl Bounds {
    pub fn of_keys(keys: usize) -> Self {
        Self { keys: keys.into(), bytes: limits::TRACKED_BYTES_MAX, reads: limits::TRACKED_READS_MAX }
    }
}

pub(super) struct Readers {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    bounds: Bounds,
    keys: AtomicUsize,
    bytes: AtomicUsize,
    reads: AtomicUsize,
}

/// What became of a note.
#[derive(Default)]
pub(super) struct Noted {
    pub is_new: bool,
    /// What was forgotten in its place.
    pub forgotten: Vec<(Arc<[u8]>, Vec<Reader>)>,
}

impl Readers {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::default(),
            bounds,
            keys: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
        }
    }

    #[allow(clippy::indexing_slicing)] // below the length
    fn shard(&self, key: &[u8]) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(key) as usize % SHARDS]
    }

    /// A client is about to read a key.
    pub fn add(&self, key: &[u8], reader: Reader) -> Noted {
        let mut shard = self.shard(key).lock();
        if let Some(readers) = shard.keys.get_mut(key) {
            let Err(place) = readers.binary_search(&reader) else { return Noted::default() };
            readers.insert(place, reader);
        } else {
            shard.keys.insert(key.into(), vec![reader]);
            self.keys.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(key.len(), Ordering::Relaxed);
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut forgotten = Vec::new();
        while self.is_over() {
            let Some(more) = self.forget_one(&mut shard, key) else { break };
            forgotten.push(more);
        }
        Noted { is_new: true, forgotten }
    }

    fn is_over(&self) -> bool {
        let keys_max = match self.keys_max() {
            // As in Redis: as many as there is room for.
            0 => usize::MAX,
            keys => keys,
        };
        self.keys.load(Ordering::Relaxed) > keys_max
            || self.bytes.load(Ordering::Relaxed) > self.bounds.bytes
            || self.reads.load(Ordering::Relaxed) > self.bounds.reads
    }

    /// Forgets a key, but not the one that was just noted.
    fn forget_one(&self, shard: &mut Shard, but: &[u8]) -> Option<(Arc<[u8]>, Vec<Reader>)> {
        let behind = (Bound::Excluded(&*shard.forgotten), Bound::Unbounded);
        let is_other = |(key, _): &(&Arc<[u8]>, &Vec<Reader>)| &***key != but;
        let next = shard.keys.range::<[u8], _>(behind).find(is_other);
        let key = next.or_else(|| shard.keys.iter().find(is_other))?.0.clone();
        let readers = shard.keys.remove(&key)?;
        shard.forgotten = key.clone();
        self.forgot(&key, readers.len());
        Some((key, readers))
    }

    fn forgot(&self, key: &[u8], readers: usize) {
        self.keys.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(key.len(), Ordering::Relaxed);
        self.reads.fetch_sub(readers, Ordering::Relaxed);
    }

    /// A key has changed: who has read it, each for the last time.
    pub fn take(&self, key: &[u8]) -> Vec<Reader> {
        let Some(readers) = self.shard(key).lock().keys.remove(key) else { return Vec::new() };
        self.forgot(key, readers.len());
        readers
    }

    pub fn clear(&self) {
        for shard in &self.shards {
            for (key, readers) in std::mem::take(&mut shard.lock().keys) {
                self.forgot(&key, readers.len());
            }
        }
    }

    /// How many keys, and how many readers of all of them.
    pub fn counts(&self) -> (usize, usize) {
        (self.keys.load(Ordering::Relaxed), self.reads.load(Ordering::Relaxed))
    }

    pub fn keys_max(&self) -> usize {
        self.bounds.keys.load(Ordering::Relaxed)
    }

    pub fn set_keys_max(&self, keys: usize) {
        self.bounds.keys.store(keys, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Reader = Reader { client: 1, thread: 0 };
    const YOU: Reader = Reader { client: 2, thread: 1 };

    #[test]
    fn who_has_read_a_key_is_known_until_it_changes() {
        let readers = Readers::new(Bounds::of_keys(100));
        assert!(readers.add(b"k", ME).is_new && readers.add(b"k", YOU).is_new);
        assert!(!readers.add(b"k", ME).is_new);
        readers.add(b"other", ME);
        assert_eq!(readers.counts(), (2, 3));
        assert_eq!(readers.take(b"k"), [ME, YOU]);
        assert_eq!(readers.take(b"k"), []);
        assert_eq!(readers.counts(), (1, 1));
        assert!(readers.add(b"k", ME).is_new);
        readers.clear();
        assert_eq!((readers.counts(), readers.bytes.load(Ordering::Relaxed)), ((0, 0), 0));
    }

    #[test]
    fn some_are_forgotten_where_there_is_no_room() {
        let check = |bounds: Bounds, kept: usize| {
            let readers = Readers::new(bounds);
            let mut forgotten = Vec::new();
            for n in 0..1_000 {
                let key = format!("key {n:03}");
                let noted = readers.add(key.as_bytes(), ME);
                assert!(noted.is_new);
                forgotten.extend(noted.forgotten.into_iter().map(|(key, _)| key));
                assert!(readers.counts().0 <= kept + SHARDS);
            }
            // Each that is not there any more was given back, once.
            forgotten.sort();
            let count = forgotten.len();
            forgotten.dedup();
            assert_eq!(forgotten.len(), count);
            assert_eq!(count + readers.counts().0, 1_000);
            assert!(forgotten.iter().all(|key| readers.take(key).is_empty()));
        };
        check(Bounds::of_keys(50), 50);
        check(Bounds { bytes: 700, ..Bounds::of_keys(1_000) }, 100);
        check(Bounds { reads: 80, ..Bounds::of_keys(1_000) }, 80);
    }
}
