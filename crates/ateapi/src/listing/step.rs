//! The keys of one step of a scan: which of them are wanted, and in which order they are taken. Pure.

use crate::names::Key;
use crate::store::SlotSet;
use base::slot;
use bytes::Bytes;

/// The keys that are wanted of those that a step gave, each once, in their order: a step that is left in the
/// middle can be taken up again after the last key that was taken.
pub(super) fn wanted(mut keys: Vec<Bytes>, slots: &SlotSet, atespace: &str) -> Vec<Bytes> {
    keys.retain(|key| is_wanted(key, atespace) && slots.contains(slot::of(key)));
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn is_wanted(key: &[u8], of: &str) -> bool {
    match Key::parse(key) {
        Some(Key::Actor { atespace, .. }) => of.is_empty() || of == atespace,
        _ => false,
    }
}

/// A step that is being taken, key by key.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) count: u32,
    /// The cursor after it.
    pub(super) end: u64,
    keys: Vec<Bytes>,
    taken: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    One(Bytes),
    /// Nothing is left of the step.
    Last,
}

impl Step {
    pub(super) fn new(count: u32, end: u64, keys: Vec<Bytes>) -> Self {
        Self { count, end, keys, taken: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.taken >= self.keys.len()
    }

    /// The next keys to take.
    pub(super) fn batch(&self, keys_max: usize) -> &[Bytes] {
        let rest = self.keys.get(self.taken..).unwrap_or_default();
        rest.get(..keys_max).unwrap_or(rest)
    }

    /// Takes the next key.
    pub(super) fn take(&mut self) -> Taken {
        let key = self.keys.get(self.taken).cloned();
        self.taken += 1;
        match key {
            Some(key) if !self.is_over() => Taken::One(key),
            _ => Taken::Last,
        }
    }
}
