//! Trimming: taking entries away from the front.

use super::{Stream, StreamId};
use crate::keys::Unreachable;
use crate::range::Flow;
use crate::record::Value;
use crate::txn::Stop;

/// How much of a stream is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// So many entries.
    MaxLen(u64),
    /// Entries from this id on.
    MinId(StreamId),
}

/// Entries that are taken away together where a stream is only trimmed roughly, as Redis does it.
const ROUGHLY: u64 = 100;
/// More entries than these are not removed one by one: they are left to be reclaimed.
const REMOVED_MAX: usize = 64;

/// What is to go from the front.
#[derive(Default)]
struct Front {
    count: u64,
    /// The first of it: all of it, if that is little.
    gone: Vec<StreamId>,
    /// The first entry that stays.
    next: Option<StreamId>,
}

/// Entries that are looked at first from either end, where it is not known which is nearer.
const STEP: u64 = 64;

impl Stream<'_, '_> {
    /// Takes entries away from the front; says how many. With a limit only roughly: as many as are little work, and
    /// at most so many if it is not zero. Looks at what goes or at what stays, whichever is less.
    pub fn trim(&mut self, cut: Cut, limit: Option<u64>) -> Result<u64, Stop> {
        let len = self.head.len;
        let (most, is_all) = match cut {
            Cut::MaxLen(max) => (len.saturating_sub(max), max == 0),
            Cut::MinId(id) => (if id <= self.head.first { 0 } else { len }, id > self.head.last),
        };
        let limit_or_any = limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        if is_all && len <= limit_or_any {
            self.remove_front(Front { count: len, ..Front::default() });
            return Ok(len);
        }
        let most = if limit.is_some() { most.min(limit_or_any) / ROUGHLY * ROUGHLY } else { most };
        if most == 0 {
            return Ok(0);
        }
        let front = match cut {
            Cut::MaxLen(_) => self.first_entries(most)?,
            Cut::MinId(id) => self.entries_below(id, most)?,
        };
        let above = if limit.is_some() { front.count % ROUGHLY } else { 0 };
        let front = if above > 0 { self.first_entries(front.count - above)? } else { front };
        let count = front.count;
        self.remove_front(front);
        Ok(count)
    }

    /// So many entries, from whichever end it is nearer.
    fn first_entries(&mut self, count: u64) -> Result<Front, Stop> {
        let stay = self.head.len.saturating_sub(count);
        if count <= stay.max(REMOVED_MAX as u64) {
            let mut front = Front::default();
            self.go_on(&mut front, count.saturating_add(1), StreamId::MAX, count)?;
            return Ok(front);
        }
        let (mut left, mut next) = (stay, None);
        if left > 0 {
            self.walk_back(StreamId::ZERO, StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
                (left, next) = (left - 1, Some(entry.id));
                Ok(if left == 0 { Flow::Stop } else { Flow::More })
            })?;
        }
        Ok(Front { count, gone: Vec::new(), next })
    }

    /// The entries below an id, at most so many. Nobody knows which end that is nearer, so both are tried by turns,
    /// each time with twice as many entries.
    fn entries_below(&mut self, id: StreamId, most: u64) -> Result<Front, Stop> {
        let (len, mut front) = (self.head.len, Front::default());
        let (mut stay, mut next) = (0, None);
        let mut step = STEP;
        loop {
            if self.go_on(&mut front, step, id, most)? {
                return Ok(front);
            }
            let (mut left, mut is_cut) = (step, false);
            let upto = next.map_or(Some(StreamId::MAX), StreamId::previous).unwrap_or(StreamId::ZERO);
            self.walk_back(id, upto, &mut |entry| -> Result<Flow, Stop> {
                (left, next) = (left - 1, Some(entry.id));
                is_cut = left == 0;
                Ok(if is_cut { Flow::Stop } else { Flow::More })
            })?;
            stay += step - left;
            if !is_cut {
                let count = len.saturating_sub(stay);
                return if count <= most {
                    Ok(Front { count, gone: Vec::new(), next })
                } else {
                    self.first_entries(most)
                };
            }
            step *= 2;
        }
    }

    /// Counts up to `step` more of what goes, which is at most `most` entries and lies below an id; says whether it
    /// is complete.
    fn go_on(&mut self, front: &mut Front, step: u64, below: StreamId, most: u64) -> Result<bool, Stop> {
        let (mut left, mut is_cut) = (step, false);
        let from = front.next.unwrap_or(StreamId::ZERO);
        self.walk(from, StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
            front.next = Some(entry.id);
            if front.count == most || entry.id >= below {
                return Ok(Flow::Stop);
            }
            if left == 0 {
                is_cut = true;
                return Ok(Flow::Stop);
            }
            left -= 1;
            front.count += 1;
            front.next = None;
            if front.gone.len() <= REMOVED_MAX {
                front.gone.push(entry.id);
            }
            Ok(Flow::More)
        })?;
        Ok(!is_cut)
    }

    fn remove_front(&mut self, front: Front) {
        let Front { count, gone, next } = front;
        let entries = self.head.entries;
        if count == 0 {
            return;
        }
        if gone.len() as u64 == count {
            for id in gone {
                self.txn.put_entry(entries, id, None);
            }
        } else {
            let below = next.or_else(|| self.head.last.next()).unwrap_or(StreamId::MAX);
            let left = Unreachable::Entries { entries, below };
            self.txn.write_blind(&left.encode(), Some(Value::from(&[][..])));
        }
        self.head.len -= count;
        self.head.first = next.unwrap_or(StreamId::ZERO);
        self.changed = true;
    }
}
