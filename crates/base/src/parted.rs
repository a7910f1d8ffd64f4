//! A map that grows without holding anybody up: a hash table moves all of its entries when it is full, and that of a million of
//! them takes some tens of milliseconds, in which whoever holds the lock around it keeps all others waiting.

use std::hash::{BuildHasher, Hash};

use foldhash::{fast, quality};
use hashbrown::{Equivalent, HashMap};

/// Each of them grows by itself, so it takes so much less.
const PARTS: usize = 256;

type Part<K, V> = HashMap<K, V, fast::RandomState>;

/// A hash map in many parts.
pub struct PartedMap<K, V> {
    /// None before there is an entry.
    parts: Vec<Part<K, V>>,
    len: usize,
    /// Not that of the parts: in which of them a key is says nothing of its place there. Any bits of it are good.
    hasher: quality::RandomState,
}

impl<K, V> Default for PartedMap<K, V> {
    fn default() -> Self {
        Self { parts: Vec::new(), len: 0, hasher: quality::RandomState::default() }
    }
}

impl<K: Eq + Hash, V> PartedMap<K, V> {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In which part a key is. The first ones have twice as many entries as the last ones, and those between from the one to the other:
    /// parts of one size would grow at one time.
    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        let share = f64::from(self.hasher.hash_one(key) as u32) / 2f64.powi(32);
        // Nearly 2^share - 1.
        let at = share * (0.6565 + 0.3435 * share);
        (at * PARTS as f64) as usize
    }

    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The key as it is kept, and its value.
    pub fn get_key_value<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<(&K, &V)> {
        if self.is_empty() {
            return None;
        }
        self.parts.get(self.place(key))?.get_key_value(key)
    }

    pub fn get_mut<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        if self.is_empty() {
            return None;
        }
        let place = self.place(key);
        self.parts.get_mut(place)?.get_mut(key)
    }

    /// The value of a key, which it has from now on if it had none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let place = self.place(&key);
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, Part::default);
        }
        let entry = self.parts[place].entry(key);
        if matches!(entry, hashbrown::hash_map::Entry::Vacant(_)) {
            self.len += 1;
        }
        entry.or_default()
    }

    pub fn remove<Q: Hash + Equivalent<K> + ?Sized>(&mut self, key: &Q) -> Option<V> {
        if self.is_empty() {
            return None;
        }
        let place = self.place(key);
        let removed = self.parts.get_mut(place)?.remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flatten()
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn clear(&mut self) {
        (self.parts, self.len) = (Vec::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Add(u16, u32),
        Remove(u16),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            60 => (0u16..2_000, any::<u32>()).prop_map(|(key, value)| Step::Add(key, value)),
            30 => (0u16..2_000).prop_map(Step::Remove),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_any_map_does(steps in prop::collection::vec(step(), 0..2_000)) {
            let (mut map, mut model) = (PartedMap::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Add(key, value) => {
                        *map.get_or_default(key) = value;
                        model.insert(key, value);
                    }
                    Step::Remove(key) => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    Step::Clear => {
                        map.clear();
                        model.clear();
                    }
                }
                prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            }
            for key in 0..2_000 {
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.get_key_value(&key), model.get_key_value(&key));
                prop_assert_eq!(map.get_mut(&key), model.get_mut(&key));
            }
            let mut all: Vec<_> = map.iter().collect();
            all.sort_unstable();
            prop_assert_eq!(all, model.iter().collect::<Vec<_>>());
            prop_assert_eq!(map.keys().count(), model.len());
        }
    }

    #[test]
    fn no_part_has_much_more_than_its_share() {
        let mut map = PartedMap::<u32, ()>::default();
        (0..100_000).for_each(|key| *map.get_or_default(key) = ());
        let most = map.parts.iter().map(HashMap::len).max();
        assert!(most < Some(2 * 100_000 / PARTS), "{most:?}");
    }

    #[test]
    fn few_parts_grow_at_one_time() {
        const WINDOW: u32 = 1_000;
        let mut map = PartedMap::<u32, ()>::default();
        let mut capacities = vec![0; PARTS];
        let (mut most, mut all) = (0, 0);
        for key in 0..262 * WINDOW {
            *map.get_or_default(key) = ();
            if key % WINDOW == 0 {
                let now: Vec<_> = map.parts.iter().map(HashMap::capacity).collect();
                let grown = now.iter().zip(&capacities).filter(|(now, before)| now > before).count();
                if key > 131 * WINDOW {
                    (most, all) = (grown.max(most), all + grown);
                }
                capacities = now;
            }
        }
        assert!((200..300).contains(&all) && most <= 16, "{most} of {all}");
    }
}
