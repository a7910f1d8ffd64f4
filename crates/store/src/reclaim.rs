//! Reclaiming: deletes what no key names any more, locally on each replica, in bounded slices on
//! the apply thread, so that it can never race with a write that is being applied.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

use base::slot;

use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::{self, KeyPosition, Space, Unreachable};
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
}

impl Reclaimer {
    pub fn new(group: &Group) -> Result<Self, DiskError> {
        let mut reclaimer = Self { found: VecDeque::new(), more: true, slot: 0 };
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
            Unreachable::Collection { slot, cid } => {
                let mut prefix = Vec::new();
                keys::element_prefix(&mut prefix, slot, cid);
                collect(group, &prefix, &mut doomed)?
            }
        };
        let records = doomed.len() as u64;
        if finished {
            doomed.push(next.encode());
            if let Unreachable::Space(space) = next {
                doomed.push(keys::meta_count(space));
                counts.remove(&space);
            }
            self.found.pop_front();
            self.slot = 0;
        }
        let named: Vec<_> = unreachable.iter().map(|what| what.encode()).collect();
        let added = named.iter().map(|key| (key.as_slice(), Some(&[][..])));
        group.disk.write(doomed.iter().map(|key| (key.as_slice(), None)).chain(added))?;
        self.note(&named);
        Ok(records)
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

/// Adds up to a slice of the records under a prefix; says whether that was all.
fn collect(group: &Group, prefix: &[u8], doomed: &mut Vec<Vec<u8>>) -> Result<bool, DiskError> {
    let end = base::codec::prefix_end(prefix);
    for pair in group.disk.snapshot().range(prefix, end.as_deref()) {
        if doomed.len() >= SLICE {
            return Ok(false);
        }
        doomed.push(pair?.0.to_vec());
    }
    Ok(true)
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
            if let Ok(Some(chunks)) = record.collection() {
                unreachable.push(Unreachable::Collection { slot: chunks.slot, cid: chunks.cid });
            }
        }
        doomed.push(key.to_vec());
    }
    Ok(true)
}
