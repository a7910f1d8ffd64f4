//! A set of hash slots.

use base::slot::SLOTS;
use std::fmt;
use std::ops::RangeInclusive;

const BITS: u16 = u64::BITS as u16;
const WORDS: usize = (SLOTS / BITS) as usize;

/// One bit a slot: 2 KiB, whatever is in it. What is above the last slot is never in it.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl SlotSet {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    pub fn insert(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot / BITS)) {
            *word |= 1 << (slot % BITS);
        }
    }

    pub fn insert_range(&mut self, slots: RangeInclusive<u16>) {
        slots.for_each(|slot| self.insert(slot));
    }

    pub fn remove(&mut self, slot: u16) {
        if let Some(word) = self.0.get_mut(usize::from(slot / BITS)) {
            *word &= !(1 << (slot % BITS));
        }
    }

    pub fn contains(&self, slot: u16) -> bool {
        self.0.get(usize::from(slot / BITS)).is_some_and(|word| word >> (slot % BITS) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn first(&self) -> Option<u16> {
        self.iter().next()
    }

    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0..SLOTS).filter(|&slot| self.contains(slot))
    }

    /// Adds what is in `other`.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, |ours, theirs| ours | theirs);
    }

    /// Takes out what is in `other`.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, |ours, theirs| ours & !theirs);
    }

    /// Keeps what is in `other` as well.
    pub fn retain(&mut self, other: &Self) {
        self.combine(other, |ours, theirs| ours & theirs);
    }

    fn combine(&mut self, other: &Self, of: impl Fn(u64, u64) -> u64) {
        for (ours, theirs) in self.0.iter_mut().zip(other.0.iter()) {
            *ours = of(*ours, *theirs);
        }
    }

    /// It as ranges, from and to, both inclusive.
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }
}

impl FromIterator<u16> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u16>>(slots: I) -> Self {
        let mut set = Self::new();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.ranges().iter().map(|(first, last)| first..=last)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(
            ours in proptest::collection::btree_set(0..SLOTS, 0..50),
            theirs in proptest::collection::btree_set(0..SLOTS, 0..50),
        ) {
            let set: SlotSet = ours.iter().copied().collect();
            let other: SlotSet = theirs.iter().copied().collect();
            let with = |change: fn(&mut SlotSet, &SlotSet)| {
                let mut set = set.clone();
                change(&mut set, &other);
                set.iter().collect::<BTreeSet<u16>>()
            };
            prop_assert_eq!(set.len(), ours.len());
            prop_assert_eq!(set.first(), ours.first().copied());
            prop_assert_eq!(with(SlotSet::add), &ours | &theirs);
            prop_assert_eq!(with(SlotSet::subtract), &ours - &theirs);
            prop_assert_eq!(with(SlotSet::retain), &ours & &theirs);
            let mut again = SlotSet::new();
            set.ranges().into_iter().for_each(|(first, last)| again.insert_range(first..=last));
            prop_assert_eq!(again, set);
        }
    }

    #[test]
    fn no_slot_is_above_the_last() {
        let mut set = SlotSet::all();
        assert_eq!((set.len(), set.ranges()), (usize::from(SLOTS), vec![(0, SLOTS - 1)]));
        set.insert(SLOTS);
        set.remove(u16::MAX);
        set.remove(3);
        assert_eq!((set.len(), set.contains(SLOTS), set.contains(3)), (usize::from(SLOTS) - 1, false, false));
        assert_eq!(format!("{set:?}"), "{0..=2, 4..=16383}");
    }
}
