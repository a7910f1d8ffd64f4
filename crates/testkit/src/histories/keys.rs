//! The keys that all connections use: few at a time, and always new ones, so that lists stay short.

use super::model::{Key, Value};
use crate::Rng;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Few keys, so that everybody meets everybody.
const KEYS: usize = 5;
/// How long lists get before others take their places: of one record, and too long for a network thread.
const BOUNDS: [u32; 3] = [40, 150, 500];

/// The keys of one history, and its values.
#[derive(Debug)]
pub(super) struct Keys {
    /// Keeps the names of one history's keys apart from the others'.
    pub generation: u32,
    places: [AtomicU32; KEYS],
    next_key: AtomicU32,
    next_value: AtomicU64,
}

impl Keys {
    pub(super) fn new(generation: u32) -> Self {
        Self {
            generation,
            places: std::array::from_fn(|place| AtomicU32::new(place as u32)),
            next_key: AtomicU32::new(KEYS as u32),
            next_value: AtomicU64::new(1),
        }
    }

    /// All that were ever used.
    pub(super) fn all(&self) -> std::ops::Range<Key> {
        0..self.next_key.load(Ordering::SeqCst)
    }

    pub(super) fn pick(&self, rng: &mut Rng) -> Key {
        rng.pick(&self.places).load(Ordering::Relaxed)
    }

    pub(super) fn value(&self) -> Value {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }

    /// Another key takes the place of one that is full.
    pub(super) fn note(&self, key: Key, len: u32) {
        if len < BOUNDS[key as usize % BOUNDS.len()] {
            return;
        }
        if let Some(place) = self.places.iter().find(|place| place.load(Ordering::Relaxed) == key) {
            let new = self.next_key.fetch_add(1, Ordering::SeqCst);
            // Of two who find it full, one is first; the other's number stays unused.
            let _ = place.compare_exchange(key, new, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}
