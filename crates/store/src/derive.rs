//! What follows from a write set. Pure: states of keys before and after go in, further effects and
//! counts come out. No command does any of this by hand.

use crate::effects::{CountDelta, merge_count};
use crate::keys::{self, Home, KeyRecord, Unreachable};
use crate::record::{Record, Value};
use crate::scratch::Fresh;

/// An effect that nobody asked for by name.
pub type DerivedEffect = (Vec<u8>, Option<Value>);

#[derive(Default)]
pub struct Derived {
    pub counts: Vec<CountDelta>,
    /// The earliest expiry that a key was given.
    pub earliest_expiry_ms: Option<u64>,
    effects: Vec<DerivedEffect>,
    /// Collections that a key no longer names, and those that a key names newly: a rename does both.
    dropped: Vec<Home>,
    named: Vec<Home>,
}

impl Derived {
    /// Takes note of one written key.
    pub fn change(&mut self, record_key: &[u8], before: Option<&Record>, after: Option<&Record>) {
        let Ok(KeyRecord { space, .. }) = KeyRecord::decode(record_key) else { return };
        let expiry = |record: Option<&Record>| record.and_then(|r| r.expiry_ms);
        let (old, new) = (expiry(before), expiry(after));
        let delta = CountDelta {
            space,
            keys: i64::from(after.is_some()) - i64::from(before.is_some()),
            expires: i64::from(new.is_some()) - i64::from(old.is_some()),
        };
        if delta.keys != 0 || delta.expires != 0 {
            merge_count(&mut self.counts, delta);
        }
        if old != new {
            let mut index = |at: u64, value| {
                let mut key = Vec::new();
                keys::expiry_record(&mut key, at, record_key);
                self.effects.push((key, value));
            };
            if let Some(old) = old {
                index(old, None);
            }
            if let Some(new) = new {
                index(new, Some(empty()));
                self.earliest_expiry_ms = Some(self.earliest_expiry_ms.map_or(new, |at| at.min(new)));
            }
        }
        // A record that cannot be decoded names nothing that could be reclaimed.
        let home = |record: Option<&Record>| record.and_then(|record| record.home().ok()).flatten();
        let (old, new) = (home(before), home(after));
        if old != new {
            self.dropped.extend(old);
            self.named.extend(new);
        }
    }

    /// The effects that follow from everything noted, and from the collections that were made.
    pub fn take_effects(&mut self, fresh: &[Fresh]) -> Vec<DerivedEffect> {
        self.dropped.extend(fresh.iter().map(|fresh| fresh.home));
        for home in self.dropped.drain(..) {
            if !self.named.contains(&home) {
                self.effects.push((Unreachable::Collection(home).encode(), Some(empty())));
            }
        }
        let built = fresh.iter().filter(|fresh| fresh.aside.is_some());
        self.effects.extend(built.map(|fresh| (keys::building(fresh.home), None)));
        std::mem::take(&mut self.effects)
    }
}

fn empty() -> Value {
    Value::from(&[][..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Cid, HashSeed, Space};
    use crate::record::{Chunks, Encoding, Kind};

    fn record(expiry_ms: Option<u64>) -> Record {
        Record::decode(Record::encode(Kind::String, Encoding::Plain, expiry_ms, b"v")).unwrap()
    }

    fn home(seq: u32) -> Home {
        Home { slot: 1, cid: Cid { stamp: 9, seq } }
    }

    fn chunked(seq: u32) -> Record {
        let chunks = Chunks { home: home(seq), len: 5 };
        Record::decode(Record::encode(Kind::String, Encoding::Chunked, None, &chunks.encode())).unwrap()
    }

    fn key(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        keys::key_record(&mut out, HashSeed(1, 2), Space(3), name.as_bytes());
        out
    }

    fn check(before: Option<Record>, after: Option<Record>, keys: i64, expires: i64, index: &[(u64, bool)]) {
        let mut derived = Derived::default();
        derived.change(&key("k"), before.as_ref(), after.as_ref());
        let effects = derived.take_effects(&[]);
        let count = derived.counts.first().map_or((0, 0), |c| (c.keys, c.expires));
        assert_eq!(count, (keys, expires));
        let found: Vec<_> = effects
            .iter()
            .map(|(key, value)| (keys::decode_expiry(key).unwrap().0, value.is_some()))
            .collect();
        assert_eq!(found, index);
    }

    #[test]
    fn counts_and_the_expiry_index_follow_the_key() {
        check(None, Some(record(None)), 1, 0, &[]);
        check(None, Some(record(Some(5))), 1, 1, &[(5, true)]);
        check(Some(record(Some(5))), Some(record(Some(5))), 0, 0, &[]);
        check(Some(record(Some(5))), Some(record(Some(6))), 0, 0, &[(5, false), (6, true)]);
        check(Some(record(Some(5))), Some(record(None)), 0, -1, &[(5, false)]);
        check(Some(record(Some(5))), None, -1, -1, &[(5, false)]);
    }

    #[test]
    fn a_collection_becomes_unreachable_unless_another_key_takes_it() {
        let mut derived = Derived::default();
        derived.change(&key("a"), Some(&chunked(1)), None);
        derived.change(&key("b"), Some(&chunked(2)), Some(&chunked(1)));
        let effects = derived.take_effects(&[]);
        let gone = Unreachable::Collection(home(2));
        assert_eq!(effects.iter().map(|e| e.0.clone()).collect::<Vec<_>>(), [gone.encode()]);
    }

    #[test]
    fn a_collection_that_was_made_is_named_or_given_up() {
        let fresh = |seq, aside| Fresh { home: home(seq), aside };
        let mut derived = Derived::default();
        derived.change(&key("a"), None, Some(&chunked(1)));
        let effects = derived.take_effects(&[fresh(1, Some(7)), fresh(2, Some(0)), fresh(3, None)]);
        let gone = |seq| (Unreachable::Collection(home(seq)).encode(), true);
        let built = |seq| (keys::building(home(seq)), false);
        let found: Vec<_> = effects.into_iter().map(|(key, value)| (key, value.is_some())).collect();
        assert_eq!(found, [gone(2), gone(3), built(1), built(2)]);
    }
}
