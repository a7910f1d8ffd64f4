//! One simulated node: its keys in the order of its own hash, which its cursors walk along.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::population::Population;
use crate::store::{NodeId, Scan, Scanned};
use base::{glob, slot};

/// In an order that is a position for all nodes, a slot takes these bits of it.
const SLOT_BITS: u32 = 14;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) run: Arc<str>,
    pub(super) epoch: u64,
    pub(super) is_up: bool,
    order: Order,
    keys: BTreeMap<(u64, Bytes), Bytes>,
}

/// What a cursor stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// A hash with a seed of this process, as in Redis: a cursor means nothing to another one.
    Seeded(u64),
    /// Slots first, the same for all: a cursor is a position, as in Bulkhead.
    Positions,
}

impl Node {
    pub(super) fn new(id: NodeId, run: Arc<str>, epoch: u64, order: Order) -> Self {
        Self { id, run, epoch, is_up: true, order, keys: BTreeMap::new() }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.keys.get(&(self.order.of(key), Bytes::copy_from_slice(key)))
    }

    pub(super) fn set(&mut self, key: Bytes, value: Bytes) {
        self.keys.insert((self.order.of(&key), key), value);
    }

    pub(super) fn take(&mut self, key: &[u8]) -> Option<Bytes> {
        self.keys.remove(&(self.order.of(key), Bytes::copy_from_slice(key)))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.keys.keys().map(|(_, key)| key)
    }

    /// Its keys in another process.
    pub(super) fn restart(&mut self, run: Arc<str>, order: Order) {
        self.run = run;
        self.order = order;
        for ((_, key), value) in std::mem::take(&mut self.keys) {
            self.set(key, value);
        }
    }

    /// A step of a scan: of as many buckets as it says, however many keys they have, or, where cursors
    /// are positions, of as many keys.
    pub(super) fn scan(&self, scan: Scan<'_>) -> Scanned {
        let next = match self.order {
            Order::Seeded(_) => {
                // Buckets are the first bits of the hash: a table that grows or shrinks keeps the order.
                let bits = self.keys.len().next_power_of_two().trailing_zeros().max(2);
                let bucket = (scan.cursor >> (64 - bits)) + u64::from(scan.count.max(1));
                if bucket >> bits == 0 { bucket << (64 - bits) } else { 0 }
            }
            Order::Positions => {
                let mut rest = self.keys.range((scan.cursor, Bytes::new())..);
                rest.nth(scan.count.max(1) as usize).map_or(0, |((at, _), _)| *at)
            }
        };
        let from = (scan.cursor, Bytes::new());
        let matches = |key: &&Bytes| glob::matches(scan.pattern.as_bytes(), key);
        let keys = self.keys.range(from..).map(|((at, key), _)| (*at, key));
        let keys = keys.take_while(|(at, _)| next == 0 || *at < next).map(|(_, key)| key);
        Scanned { cursor: next, keys: keys.filter(matches).cloned().collect() }
    }
}

/// A step of a scan over keys that are made up when they are asked for.
pub(super) fn scan_population(population: &dyn Population, node: usize, scan: Scan<'_>) -> Scanned {
    let end = population.len(node).min(scan.cursor + u64::from(scan.count.max(1)));
    let keys = (scan.cursor..end).map(|at| population.key(node, at));
    let keys = keys.filter(|key| glob::matches(scan.pattern.as_bytes(), key)).collect();
    Scanned { cursor: if end == population.len(node) { 0 } else { end }, keys }
}

impl Order {
    fn of(self, key: &[u8]) -> u64 {
        match self {
            Self::Seeded(seed) => hash(seed, key),
            Self::Positions => (u64::from(slot::of(key)) << (64 - SLOT_BITS)) | (hash(0, key) >> SLOT_BITS),
        }
    }
}

/// The same on every machine, so that a seed replays a run.
fn hash(seed: u64, key: &[u8]) -> u64 {
    key.iter().fold(mix(seed), |state, &byte| mix(state ^ u64::from(byte)))
}

/// SplitMix64.
pub(super) fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
