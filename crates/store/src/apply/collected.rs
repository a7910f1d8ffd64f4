//! What has been collected since the store was last written: the last effect on each record, and the
//! sums of what is added to counters.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use base::codec::DecodeError;
use foldhash::fast::FixedState;

use super::Committed;
use crate::counters::Counters;
use crate::disk::{DiskError, GroupDisk};
use crate::effects::{self, Act, Change, Effect};
use crate::keys::{self, Home};

/// An effect, by where it lies.
#[derive(Clone, Copy)]
struct Item {
    /// What tells its key from most others, as a number: sorting seldom needs more.
    order: u128,
    /// Which entry, counted since the last flush.
    entry: u32,
    /// Where in the entry's payload.
    at: u32,
}

/// The key of a record, and all that it holds.
type Whole = (Vec<u8>, Vec<u8>);

#[derive(Default)]
pub(super) struct Collected {
    items: Vec<Item>,
    /// By the key of the counters.
    counters: HashMap<Vec<u8>, Change>,
    /// Hashes of the keys of the records that are changed by splices.
    spliced: HashSet<u64>,
    /// Those records, put together.
    whole: Vec<Whole>,
}

/// Effects collected at most before they are written: a bound on what small ones cost.
const COLLECTED_MAX: usize = 1 << 20;
/// What is kept of the items' room when they are written.
const KEPT: usize = 1 << 16;

impl Collected {
    pub(super) fn len(&self) -> usize {
        self.items.len() + self.counters.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= COLLECTED_MAX
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.items.shrink_to(KEPT);
        self.counters.clear();
        self.spliced.clear();
        self.whole = Vec::new();
    }

    /// Adds an effect of an entry, and where in its payload that is. Says how many bytes it takes beside
    /// the payload until it is written.
    pub(super) fn push(&mut self, effect: &Effect<'_>, entry: u32, at: u32) -> Result<usize, DecodeError> {
        if effect.key.first() == Some(&keys::COUNTERS) {
            self.count(effect)?;
            return Ok(0);
        }
        self.items.push(Item { order: order(effect.key), entry, at });
        match effect.act {
            Act::Splice(splice) if self.spliced.insert(FixedState::default().hash_one(effect.key)) => {
                Ok(splice.len() + effect.key.len())
            }
            _ => Ok(0),
        }
    }

    fn count(&mut self, effect: &Effect<'_>) -> Result<(), DecodeError> {
        let change = match effect.act {
            Act::Add(delta) => Change::Add(Counters::decode(delta)?),
            Act::Put(base) => Change::Put(base.into()),
            Act::Delete => Change::Delete,
            Act::Splice(_) => return Err(DecodeError::Mismatch),
        };
        let sum = match self.counters.remove(effect.key) {
            Some(before) => before.then(change),
            None => change,
        };
        self.counters.insert(effect.key.to_vec(), sum);
        Ok(())
    }

    /// What is done to counters.
    pub(super) fn counters(&self) -> impl Iterator<Item = (Home, &Change)> {
        self.counters.iter().filter_map(|(key, change)| Some((keys::home_of(key)?, change)))
    }

    /// What the other records hold from now on.
    pub(super) fn records<'e>(
        &'e self,
        entries: &'e [Committed],
    ) -> impl Iterator<Item = (&'e [u8], Option<&'e [u8]>)> {
        let plain = self.items.iter().map(|item| {
            let Effect { key, act } = effect(entries, item);
            (key, if let Act::Put(value) = act { Some(value) } else { None })
        });
        plain.chain(self.whole.iter().map(|(key, value)| (&key[..], Some(&value[..]))))
    }

    /// Puts together the records that are changed by splices, then leaves of the others the last effect,
    /// about in the order of their keys.
    pub(super) fn settle(&mut self, entries: &[Committed], disk: &GroupDisk) -> Result<(), DiskError> {
        // Payloads are looked at only where the first bytes do not tell: they are cold by now.
        self.items.sort_unstable_by_key(|item| (item.order, item.entry, item.at));
        let key = |item: &Item| effect(entries, item).key;
        let (mut kept, mut start) = (0, 0);
        while let Some(&Item { order, .. }) = self.items.get(start) {
            let rest = self.items.get_mut(start..).unwrap_or_default();
            let len = rest.iter().take_while(|item| item.order == order).count();
            let alike = rest.get_mut(..len).unwrap_or_default();
            if len > 1 {
                alike.sort_by(|a, b| key(a).cmp(key(b)));
            }
            let end = start + len;
            while start < end {
                let alike = self.items.get(start..end).unwrap_or_default();
                let same = match alike {
                    [first, _, ..] => alike.iter().take_while(|item| key(item) == key(first)).count(),
                    _ => 1,
                };
                let changes = alike.get(..same).unwrap_or_default();
                match whole(entries, changes, disk, &self.spliced)? {
                    Some(record) => self.whole.push(record),
                    None => {
                        self.items.copy_within(start + same - 1..start + same, kept);
                        kept += 1;
                    }
                }
                start += same;
            }
        }
        self.items.truncate(kept);
        Ok(())
    }
}

/// The record that splices make of what was there; nothing if the last change is not one.
fn whole(
    entries: &[Committed],
    changes: &[Item],
    disk: &GroupDisk,
    spliced: &HashSet<u64>,
) -> Result<Option<Whole>, DiskError> {
    // Looking at the effects of all others would cost more than the rest.
    if spliced.is_empty() {
        return Ok(None);
    }
    let splice = |item: &Item| match effect(entries, item).act {
        Act::Splice(splice) => Some(splice),
        _ => None,
    };
    let first = changes.iter().rposition(|item| splice(item).is_none()).map_or(0, |at| at + 1);
    let (before, splices) = changes.split_at(first);
    let Some(key) = splices.first().map(|item| effect(entries, item).key) else { return Ok(None) };
    let mut value = match before.last().map(|item| effect(entries, item).act) {
        Some(Act::Put(value)) => value.to_vec(),
        Some(_) => Vec::new(),
        None => disk.get(key)?.map(|value| value.to_vec()).unwrap_or_default(),
    };
    for splice in splices.iter().filter_map(splice) {
        value = splice.apply(&value).map_err(|why| DiskError::corrupt(key, why))?;
    }
    Ok(Some((key.to_vec(), value)))
}

fn effect<'e>(entries: &'e [Committed], item: &Item) -> Effect<'e> {
    let payload = entries.get(item.entry as usize).map_or(&[][..], |entry| &entry.payload);
    effects::at(payload, item.at)
}

/// The first bytes of a key. Those of a collection's records begin alike: of which collection it is is said
/// in short, to make room for what comes behind. What belongs together lies together all the same.
fn order(key: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    match (key.first(), key.split_at_checked(keys::HOME_HEADER)) {
        (Some(&keys::ELEMENT), Some((home, rest))) => {
            let short = home.iter().fold(0u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
            bytes[..4].copy_from_slice(&short.to_be_bytes());
            bytes[0] = keys::ELEMENT;
            let len = rest.len().min(12);
            bytes[4..4 + len].copy_from_slice(&rest[..len]);
        }
        _ => {
            let len = key.len().min(16);
            bytes[..len].copy_from_slice(&key[..len]);
        }
    }
    u128::from_be_bytes(bytes)
}
