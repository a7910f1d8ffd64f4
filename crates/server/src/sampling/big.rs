//! The largest keys that somebody has come across.

use base::limits::{BIG_KEY_RECORDS_MIN, BIG_KEYS_KEPT};
use store::{KeySize, ValueSize};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BigKey {
    pub database: u8,
    pub key: Box<[u8]>,
    pub size: ValueSize,
    /// When that was so, and when it was last looked at again, whatever came of it.
    pub seen_ms: u64,
    looked_ms: u64,
}

#[derive(Debug, Default)]
pub struct BigKeys(Vec<BigKey>);

impl BigKeys {
    /// Somebody has seen how large a key is.
    pub fn note(&mut self, database: u8, key: &[u8], size: KeySize, seen_ms: u64) {
        let size = match size {
            KeySize::Unknown => return,
            KeySize::Gone => None,
            KeySize::Holds(size) => (size.records >= BIG_KEY_RECORDS_MIN).then_some(size),
        };
        let known = self.0.iter().position(|big| big.database == database && *big.key == *key);
        match (known, size) {
            (Some(at), None) => drop(self.0.swap_remove(at)),
            (Some(at), Some(size)) => {
                if let Some(big) = self.0.get_mut(at) {
                    (big.size, big.seen_ms) = (size, seen_ms);
                }
            }
            (None, Some(size)) => {
                self.add(BigKey { database, key: key.into(), size, seen_ms, looked_ms: seen_ms });
            }
            (None, None) => {}
        }
    }

    fn add(&mut self, new: BigKey) {
        if self.0.len() < BIG_KEYS_KEPT {
            return self.0.push(new);
        }
        let least = self.0.iter_mut().min_by_key(|big| big.size.records);
        if let Some(least) = least.filter(|least| least.size.records < new.size.records) {
            *least = new;
        }
    }

    /// The one that is to be looked at again: each has its turn.
    pub fn next(&mut self, now_ms: u64) -> Option<BigKey> {
        let next = self.0.iter_mut().min_by_key(|big| big.looked_ms)?;
        next.looked_ms = now_ms;
        Some(next.clone())
    }

    /// The largest first.
    pub fn all(&self) -> Vec<BigKey> {
        let mut all = self.0.clone();
        all.sort_by_key(|big| std::cmp::Reverse(big.size.records));
        all
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::Kind;

    use super::*;

    fn holds(records: u64) -> KeySize {
        KeySize::Holds(ValueSize { kind: Kind::Hash, records, bytes: None })
    }

    #[test]
    fn what_has_shrunk_or_is_gone_is_forgotten() {
        let mut keys = BigKeys::default();
        for size in [holds(1), KeySize::Gone, KeySize::Unknown, holds(BIG_KEY_RECORDS_MIN - 1)] {
            keys.note(0, b"a", size, 1);
            assert_eq!(keys.all(), []);
            keys.note(0, b"a", holds(1_000), 2);
            keys.note(1, b"a", holds(2_000), 3);
            keys.note(0, b"a", KeySize::Unknown, 4);
            let sizes: Vec<_> =
                keys.all().iter().map(|big| (big.database, big.size.records, big.seen_ms)).collect();
            assert_eq!(sizes, [(1, 2_000, 3), (0, 1_000, 2)]);
            keys.note(0, b"a", KeySize::Gone, 5);
            keys.note(1, b"a", holds(2), 5);
            assert_eq!(keys.all(), []);
        }
    }

    #[test]
    fn all_are_looked_at_by_turns() {
        let mut keys = BigKeys::default();
        (0..3).for_each(|database| keys.note(database, b"a", holds(1_000), 1));
        let mut turns: Vec<_> = (2..8).map(|now_ms| keys.next(now_ms).unwrap().database).collect();
        assert_eq!(turns[..3], turns[3..]);
        turns.truncate(3);
        turns.sort_unstable();
        assert_eq!(turns, [0, 1, 2]);
        assert_eq!(BigKeys::default().next(0), None);
    }

    proptest! {
        #[test]
        fn the_largest_stay(mut sizes in prop::collection::vec(BIG_KEY_RECORDS_MIN..10_000, 0..100)) {
            let mut keys = BigKeys::default();
            for (n, records) in sizes.iter().enumerate() {
                keys.note(0, &n.to_be_bytes(), holds(*records), 0);
            }
            sizes.sort_unstable_by(|a, b| b.cmp(a));
            sizes.truncate(BIG_KEYS_KEPT);
            let kept: Vec<_> = keys.all().iter().map(|big| big.size.records).collect();
            prop_assert_eq!(kept, sizes);
        }
    }
}
