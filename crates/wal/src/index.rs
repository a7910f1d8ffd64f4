//! Where each group's entries are, and the recent ones themselves: the callers' view. It runs ahead
//! of the disk, for an entry is readable as soon as it is appended.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use crate::{error::WalError, files::File, ledger::next_index, record::record_bytes};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Queued by the append with this ticket; the payload is among the recent ones until written.
    Pending(u64),
    /// The record's place.
    At { seq: u64, offset: u32 },
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    place: Place,
    len: u32,
}

/// One entry as a reader finds it.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Recent(Bytes),
    Cold { seq: u64, offset: u32, len: u32 },
}

#[derive(Debug, Default)]
struct Group {
    first: u64,
    slots: VecDeque<Slot>,
    /// Payloads of the last `recent.len()` slots.
    recent: VecDeque<Bytes>,
    recent_bytes: usize,
    live_bytes: u64,
    purged: Option<u64>,
}

impl Group {
    fn last(&self) -> Option<u64> {
        (self.slots.len() as u64).checked_sub(1).map(|above| self.first + above)
    }

    fn push(&mut self, index: u64, slot: Slot) {
        if self.slots.is_empty() {
            self.first = index;
        }
        self.slots.push_back(slot);
        self.live_bytes += record_bytes(slot.len as usize);
    }

    fn pop_back(&mut self) {
        if let Some(slot) = self.slots.pop_back() {
            self.live_bytes -= record_bytes(slot.len as usize);
            if let Some(payload) = self.recent.pop_back() {
                self.recent_bytes -= payload.len();
            }
        }
    }

    fn pop_front(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.live_bytes -= record_bytes(slot.len as usize);
            self.first += 1;
            if self.recent.len() > self.slots.len() {
                self.forget_oldest();
            }
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(payload) = self.recent.pop_front() {
            self.recent_bytes -= payload.len();
        }
    }

    /// Drops the oldest recent payload, if its entry can be read from disk.
    fn evict(&mut self) -> bool {
        let oldest = self.slots.len() - self.recent.len();
        let evictable = matches!(self.slots.get(oldest), Some(Slot { place: Place::At { .. }, .. }));
        if evictable {
            self.forget_oldest();
        }
        evictable
    }

    fn truncate(&mut self, index: Option<u64>) {
        while self.last().is_some_and(|last| index.is_none_or(|index| last > index)) {
            self.pop_back();
        }
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(index.checked_sub(self.first)?).ok()?)
    }
}

pub(crate) struct Index {
    groups: BTreeMap<u16, Group>,
    /// Files of the live segments, for readers.
    pub(crate) files: BTreeMap<u64, Arc<dyn File>>,
    recent_bytes: usize,
    cache_bytes: usize,
}

impl Index {
    pub(crate) fn new(cache_bytes: usize) -> Self {
        Self { groups: BTreeMap::new(), files: BTreeMap::new(), recent_bytes: 0, cache_bytes }
    }

    /// Gives the entry that the first of these follows.
    pub(crate) fn append(
        &mut self,
        number: u16,
        ticket: u64,
        entries: &[(u64, Bytes)],
    ) -> Result<Option<u64>, WalError> {
        let group = self.groups.entry(number).or_default();
        let follows = group.last();
        let mut last = follows;
        for (index, _) in entries {
            next_index(last, group.purged, *index).map_err(|expected| WalError::OutOfOrder {
                group: number,
                expected,
                got: *index,
            })?;
            last = Some(*index);
        }
        for (index, payload) in entries {
            let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            group.push(*index, Slot { place: Place::Pending(ticket), len });
            group.recent.push_back(payload.clone());
            group.recent_bytes += payload.len();
            self.recent_bytes += payload.len();
        }
        self.evict(number);
        Ok(follows)
    }

    /// An entry that recovery found on disk.
    pub(crate) fn insert_cold(&mut self, number: u16, index: u64, seq: u64, offset: u32, len: u32) {
        self.groups.entry(number).or_default().push(index, Slot { place: Place::At { seq, offset }, len });
    }

    pub(crate) fn set_purged(&mut self, number: u16, index: u64) {
        self.groups.entry(number).or_default().purged = Some(index);
    }

    pub(crate) fn truncate(&mut self, number: u16, index: Option<u64>) {
        self.change(number, |group| group.truncate(index));
    }

    pub(crate) fn purge(&mut self, number: u16, index: u64) {
        self.change(number, |group| {
            group.purged = group.purged.max(Some(index));
            while !group.slots.is_empty() && group.first <= index {
                group.pop_front();
            }
            if group.slots.capacity() > 64 && group.slots.capacity() > 4 * group.slots.len() {
                group.slots.shrink_to(2 * group.slots.len());
            }
        });
    }

    /// The append with this ticket is not going to be on disk: it goes, and all that follows it, for
    /// that will fail too.
    pub(crate) fn roll_back(&mut self, number: u16, ticket: u64) {
        self.change(number, |group| {
            // Written entries come first, then the queued ones by ticket. Ours may have been purged,
            // or truncated and replaced, in the meantime.
            let at = group.slots.partition_point(|slot| match slot.place {
                Place::At { .. } => true,
                Place::Pending(other) => other < ticket,
            });
            if group.slots.get(at).is_some_and(|slot| slot.place == Place::Pending(ticket)) {
                group.truncate((group.first + at as u64).checked_sub(1));
            }
        });
    }

    /// The entries of an append from `first` on are written at these places.
    pub(crate) fn written(&mut self, number: u16, first: u64, ticket: u64, places: &[(u64, u32)]) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        for (index, &(seq, offset)) in (first..).zip(places) {
            let slot = index.checked_sub(group.first).and_then(|at| group.slots.get_mut(at as usize));
            // Unless it was purged, or truncated and replaced, in the meantime.
            if let Some(slot) = slot.filter(|slot| slot.place == Place::Pending(ticket)) {
                slot.place = Place::At { seq, offset };
            }
        }
        self.evict(number);
    }

    fn change(&mut self, number: u16, change: impl FnOnce(&mut Group)) {
        let group = self.groups.entry(number).or_default();
        let before = group.recent_bytes;
        change(group);
        self.recent_bytes = self.recent_bytes - before + group.recent_bytes;
    }

    /// Keeps the recent payloads within their bound: at the cost of the group that has just grown, if
    /// it holds more than its share, else of the one that holds most.
    fn evict(&mut self, grown: u16) {
        while self.recent_bytes > self.cache_bytes {
            let share = self.cache_bytes / self.groups.len().max(1);
            let over = self.groups.get(&grown).is_some_and(|group| group.recent_bytes > share);
            let victim = if over {
                Some(grown)
            } else {
                self.groups.iter().max_by_key(|(_, group)| group.recent_bytes).map(|(&number, _)| number)
            };
            let mut evicted = false;
            if let Some(victim) = victim {
                self.change(victim, |group| evicted = group.evict());
            }
            // What is queued stays until it is written; the queue has its own bound.
            if !evicted {
                return;
            }
        }
    }

    pub(crate) fn bounds(&self, number: u16) -> Option<(u64, u64)> {
        let group = self.groups.get(&number)?;
        group.last().map(|last| (group.first, last))
    }

    pub(crate) fn live_bytes(&self, number: u16) -> u64 {
        self.groups.get(&number).map_or(0, |group| group.live_bytes)
    }

    /// Consecutive entries from exactly `from` on: at least one if it is there, and no more bytes than
    /// asked for beyond it.
    pub(crate) fn find(&self, number: u16, from: u64, to: u64, max_bytes: usize) -> Vec<(u64, Found)> {
        let mut found = Vec::new();
        let Some(group) = self.groups.get(&number) else { return found };
        let recent_from = group.first + (group.slots.len() - group.recent.len()) as u64;
        let mut bytes = 0usize;
        for index in from..to {
            let Some(slot) = group.slot(index) else { break };
            bytes = bytes.saturating_add(slot.len as usize);
            if bytes > max_bytes && !found.is_empty() {
                break;
            }
            let recent = index.checked_sub(recent_from).and_then(|at| group.recent.get(at as usize));
            let entry = match (recent, slot.place) {
                (Some(payload), _) => Found::Recent(payload.clone()),
                (None, Place::At { seq, offset }) => Found::Cold { seq, offset, len: slot.len },
                // Cannot be: what is pending is recent.
                (None, Place::Pending(_)) => break,
            };
            found.push((index, entry));
        }
        found
    }

    /// Whether the entry is still the one at this place.
    pub(crate) fn is_at(&self, number: u16, index: u64, seq: u64, offset: u32) -> bool {
        let slot = self.groups.get(&number).and_then(|group| group.slot(index));
        slot.is_some_and(|slot| slot.place == Place::At { seq, offset })
    }

    /// Groups with entries in segment `seq` or older ones, and the last such entry of each.
    pub(crate) fn pins(&self, upto_seq: u64) -> Vec<(u16, u64)> {
        let pin = |(&number, group): (&u16, &Group)| {
            let count = group
                .slots
                .partition_point(|slot| matches!(slot.place, Place::At { seq, .. } if seq <= upto_seq));
            (count > 0).then(|| (number, group.first + count as u64 - 1))
        };
        self.groups.iter().filter_map(pin).collect()
    }
}
