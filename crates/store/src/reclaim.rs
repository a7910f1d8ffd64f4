//! Reclaiming: deletes what no key names any more, locally on each replica, in bounded slices on
//! the apply thread, so that it can never race with a write that is being applied.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use base::slot;

use crate::collection::stream::StreamId;
use crate::counters::{self, Sum};
use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::{self, Home, KeyPosition, Space, Unreachable};
use crate::record::Record;
use crate::sequencer::Counts;

/// Records deleted in one slice.
const SLICE: usize = 512;
/// Unreachable things remembered; the rest is found again in the `X` records.
const REMEMBERED_MAX: usize = 1024;

pub struct Reclaimer {
    found: VecDeque<Unreachable>,
    /// More `X` records than are remembered: look again when these are done.
    more: bool,
    /// Within a space: the slot that is being emptied.
    slot: u16,
    /// Within a collection: how far it has been emptied. What lies before is tombstones by now, which
    /// would be passed by again and again.
    at: Vec<u8>,
}

impl Reclaimer {
    pub fn new(group: &Group) -> Result<Self, DiskError> {
        let mut reclaimer = Self { found: VecDeque::new(), more: true, slot: 0, at: Vec::new() };
        reclaimer.look(group)?;
        Ok(reclaimer)
    }

    pub fn has_work(&self) -> bool {
        !self.found.is_empty() || self.more
    }

    /// Takes note of `X` records that are in the store now.
    pub fn note(&mut self, records: &[Vec<u8>]) {
        for record in records {
            if self.found.len() >= REMEMBERED_MAX {
                self.more = true;
                return;
            }
            self.found.extend(Unreachable::decode(record).ok());
        }
    }

    fn look(&mut self, group: &Group) -> Result<(), DiskError> {
        self.more = false;
        let range = group.disk.snapshot().range(&[keys::UNREACHABLE], Some(&[keys::UNREACHABLE + 1]));
        for pair in range {
            if self.found.len() >= REMEMBERED_MAX {
                self.more = true;
                break;
            }
            self.found.extend(Unreachable::decode(&pair?.0).ok());
        }
        Ok(())
    }

    /// Deletes a slice; says how many records.
    pub fn slice(&mut self, group: &Group, counts: &mut HashMap<Space, Counts>) -> Result<u64, DiskError> {
        let Some(&next) = self.found.front() else {
            self.look(group)?;
            return Ok(0);
        };
        let mut doomed = Vec::new();
        // Collections of a space that was dropped: to be emptied next.
        let mut unreachable = Vec::new();
        let finished = match next {
            Unreachable::Space(space) => self.space_slice(group, space, &mut doomed, &mut unreachable)?,
            Unreachable::Collection(home) => self.collection_slice(group, home, &mut doomed)?,
            Unreachable::Items { home, from, to } => self.items_slice(group, home, from..to, &mut doomed)?,
            Unreachable::Entries { entries, below } => match below.previous() {
                Some(last) => {
                    self.ranges_slice(group, &[entries.range(StreamId::ZERO, last)], &mut doomed)?
                }
                None => true,
            },
            Unreachable::Group(home) => self.ranges_slice(group, &home.all(), &mut doomed)?,
        };
        let records = doomed.len() as u64;
        if finished {
            // The same stretch of a list may have been cut off once more meanwhile.
            if !self.found.iter().skip(1).any(|other| *other == next) {
                doomed.push(next.encode());
            }
            if let Unreachable::Space(space) = next {
                doomed.push(keys::meta_count(space));
                counts.remove(&space);
            }
            self.found.pop_front();
            self.slot = 0;
            self.at.clear();
        }
        let named: Vec<_> = unreachable.iter().map(|what| what.encode()).collect();
        let added = named.iter().map(|key| (key.as_slice(), Some(&[][..])));
        group.disk.write(doomed.iter().map(|key| (key.as_slice(), None)).chain(added))?;
        self.note(&named);
        Ok(records)
    }

    /// The elements of a collection, then its counters.
    fn collection_slice(
        &mut self,
        group: &Group,
        home: Home,
        doomed: &mut Vec<Vec<u8>>,
    ) -> Result<bool, DiskError> {
        let mut prefix = Vec::new();
        keys::element_prefix(&mut prefix, home);
        if !self.collect(group, &prefix, doomed)? {
            return Ok(false);
        }
        // Deltas are at most as many as a reader adds up, or a few more: one slice takes them.
        keys::delta_prefix(&mut prefix, home);
        self.at.clear();
        let finished = self.collect(group, &prefix, doomed)?;
        keys::counters_record(&mut prefix, home);
        doomed.push(prefix);
        Ok(finished)
    }

    /// Items that were cut off a list, unless it has grown over them again.
    fn items_slice(
        &mut self,
        group: &Group,
        home: Home,
        cut: std::ops::Range<i64>,
        doomed: &mut Vec<Vec<u8>>,
    ) -> Result<bool, DiskError> {
        let mut key = Vec::new();
        keys::counters_record(&mut key, home);
        let list = match counters::sum(&group.disk.snapshot(), &key)? {
            Sum::Known(counters) => counters.unwrap_or_default(),
            // Later, when they have been folded.
            Sum::TooMany(_) => return Ok(false),
        };
        let live = list.head..list.tail();
        let end = |sequence| {
            let mut end = Vec::new();
            keys::item_record(&mut end, home, sequence);
            end
        };
        let mut first = end(cut.start);
        if self.at > first {
            first.clone_from(&self.at);
        }
        for pair in group.disk.snapshot().range(&first, Some(&end(cut.end))) {
            let (key, _) = pair?;
            if doomed.len() >= SLICE {
                self.at = key.to_vec();
                return Ok(false);
            }
            if keys::item_sequence(&key).is_none_or(|sequence| !live.contains(&sequence)) {
                doomed.push(key.to_vec());
            }
        }
        Ok(true)
    }

    /// Adds up to a slice of the records of some ranges, which are in order; says whether that was all.
    fn ranges_slice(
        &mut self,
        group: &Group,
        ranges: &[(Vec<u8>, Vec<u8>)],
        doomed: &mut Vec<Vec<u8>>,
    ) -> Result<bool, DiskError> {
        for (from, to) in ranges {
            let from = from.max(&self.at);
            if from >= to {
                continue;
            }
            for pair in group.disk.snapshot().range(from, Some(to)) {
                let (key, _) = pair?;
                if doomed.len() >= SLICE {
                    self.at = key.to_vec();
                    return Ok(false);
                }
                doomed.push(key.to_vec());
            }
        }
        Ok(true)
    }

    /// Adds up to a slice of the records under a prefix, from where the last one ended; says whether
    /// that was all.
    fn collect(
        &mut self,
        group: &Group,
        prefix: &[u8],
        doomed: &mut Vec<Vec<u8>>,
    ) -> Result<bool, DiskError> {
        let end = base::codec::prefix_end(prefix);
        let from = if self.at.starts_with(prefix) { &self.at } else { prefix };
        for pair in group.disk.snapshot().range(from, end.as_deref()) {
            let (key, _) = pair?;
            if doomed.len() >= SLICE {
                self.at = key.to_vec();
                return Ok(false);
            }
            doomed.push(key.to_vec());
        }
        Ok(true)
    }

    /// The keys of a space lie slot by slot. Says whether this was the last of them.
    fn space_slice(
        &mut self,
        group: &Group,
        space: Space,
        doomed: &mut Vec<Vec<u8>>,
        unreachable: &mut Vec<Unreachable>,
    ) -> Result<bool, DiskError> {
        let snapshot = group.disk.snapshot();
        while self.slot < slot::SLOTS {
            let from = keys::key_seek(space, KeyPosition { slot: self.slot, hash: 0 });
            // From here on rather than to the end of the slot: where nothing is left, the first
            // record found tells how far to go.
            let Some(pair) = snapshot.range(&from, Some(&[keys::KEY + 1])).next() else { return Ok(true) };
            let (key, _) = pair?;
            let Ok(first) = keys::KeyRecord::decode(&key) else { return Ok(true) };
            match first.space.cmp(&space) {
                Ordering::Less => {
                    self.slot = first.at.slot;
                    continue;
                }
                Ordering::Greater => {
                    self.slot = first.at.slot + 1;
                    continue;
                }
                Ordering::Equal => {}
            }
            self.slot = first.at.slot;
            let mut prefix = keys::key_seek(space, KeyPosition { slot: self.slot, hash: 0 });
            prefix.truncate(keys::KEY_HEADER - 6);
            if !collect_keys(&snapshot, &prefix, doomed, unreachable)? {
                return Ok(false);
            }
            self.slot += 1;
            if doomed.len() >= SLICE {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Adds keys with their expiry index records, and what they name; says whether that was all.
fn collect_keys(
    snapshot: &crate::disk::DiskSnapshot,
    prefix: &[u8],
    doomed: &mut Vec<Vec<u8>>,
    unreachable: &mut Vec<Unreachable>,
) -> Result<bool, DiskError> {
    let end = base::codec::prefix_end(prefix);
    for pair in snapshot.range(prefix, end.as_deref()) {
        if doomed.len() >= SLICE {
            return Ok(false);
        }
        let (key, value) = pair?;
        if let Ok(record) = Record::decode((&*value).into()) {
            if let Some(at) = record.expiry_ms {
                let mut index = Vec::new();
                keys::expiry_record(&mut index, at, &key);
                doomed.push(index);
            }
            if let Ok(Some(home)) = record.home() {
                unreachable.push(Unreachable::Collection(home));
            }
        }
        doomed.push(key.to_vec());
    }
    Ok(true)
}
