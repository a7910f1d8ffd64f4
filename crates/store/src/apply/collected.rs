//! What has been collected since the store was last written: the last effect on each record, and the
//! sums of what is added to counters.

use std::collections::HashMap;

use base::codec::DecodeError;

use super::Committed;
use crate::counters::Counters;
use crate::effects::{self, Change, Effect};
use crate::keys::{self, Home};

/// An effect, by where it lies.
#[derive(Clone, Copy)]
struct Item {
    /// The first bytes of its key as a number: sorting seldom needs more.
    order: u128,
    /// Which entry, counted since the last flush.
    entry: u32,
    /// Where in the entry's payload.
    at: u32,
}

#[derive(Default)]
pub(super) struct Collected {
    items: Vec<Item>,
    /// By the key of the counters.
    counters: HashMap<Vec<u8>, Change>,
}

/// What is kept of the items' room when they are written.
const KEPT: usize = 1 << 16;

impl Collected {
    pub(super) fn len(&self) -> usize {
        self.items.len() + self.counters.len()
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.items.shrink_to(KEPT);
        self.counters.clear();
    }

    /// Adds an effect of an entry, and where in its payload that is.
    pub(super) fn push(&mut self, effect: &Effect<'_>, entry: u32, at: u32) -> Result<(), DecodeError> {
        if effect.key.first() == Some(&keys::COUNTERS) {
            let change = match effect.value {
                Some(delta) if effect.is_addition => Change::Add(Counters::decode(delta)?),
                Some(base) => Change::Put(base.into()),
                None => Change::Delete,
            };
            let sum = match self.counters.remove(effect.key) {
                Some(before) => before.then(change),
                None => change,
            };
            self.counters.insert(effect.key.to_vec(), sum);
        } else {
            self.items.push(Item { order: prefix(effect.key), entry, at });
        }
        Ok(())
    }

    /// What is done to counters.
    pub(super) fn counters(&self) -> impl Iterator<Item = (Home, &Change)> {
        self.counters.iter().filter_map(|(key, change)| Some((keys::home_of(key)?, change)))
    }

    /// The other effects.
    pub(super) fn effects<'e>(&self, entries: &'e [Committed]) -> impl Iterator<Item = Effect<'e>> {
        self.items.iter().map(|item| effect(entries, item))
    }

    /// Leaves the last effect on each record, in the order of their keys.
    pub(super) fn keep_last(&mut self, entries: &[Committed]) {
        let key = |item: &Item| effect(entries, item).key;
        // Payloads are looked at only where the first bytes do not tell: they are cold by now.
        self.items.sort_unstable_by_key(|item| (item.order, item.entry, item.at));
        let mut kept = 0;
        let mut start = 0;
        while let Some(&Item { order, .. }) = self.items.get(start) {
            let rest = self.items.get_mut(start..).unwrap_or_default();
            let len = rest.iter().take_while(|item| item.order == order).count();
            let same = rest.get_mut(..len).unwrap_or_default();
            if len > 1 {
                same.sort_by(|a, b| key(a).cmp(key(b)));
            }
            for at in start..start + len {
                let (Some(&item), next) = (self.items.get(at), self.items.get(at + 1)) else { break };
                let replaced = at + 1 < start + len && next.is_some_and(|next| key(next) == key(&item));
                if !replaced && let Some(place) = self.items.get_mut(kept) {
                    *place = item;
                    kept += 1;
                }
            }
            start += len;
        }
        self.items.truncate(kept);
    }
}

fn effect<'e>(entries: &'e [Committed], item: &Item) -> Effect<'e> {
    let payload = entries.get(item.entry as usize).map_or(&[][..], |entry| &entry.payload);
    effects::at(payload, item.at)
}

fn prefix(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    let len = key.len().min(16);
    bytes[..len].copy_from_slice(&key[..len]);
    u128::from_be_bytes(bytes)
}
