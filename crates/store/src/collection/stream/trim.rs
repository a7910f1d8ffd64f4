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

impl Stream<'_, '_> {
    /// Takes entries away from the front; says how many. With a limit only roughly: as many as are little work, and
    /// at most so many if it is not zero.
    pub fn trim(&mut self, cut: Cut, limit: Option<u64>) -> Result<u64, Stop> {
        let len = self.head.len;
        let (most, is_all) = match cut {
            Cut::MaxLen(max) => (len.saturating_sub(max), max == 0),
            Cut::MinId(id) => (if id <= self.head.first { 0 } else { len }, id > self.head.last),
        };
        let limit_or_any = limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        if is_all && len <= limit_or_any {
            self.remove_front(Vec::new(), len, None);
            return Ok(len);
        }
        let most = if limit.is_some() { most.min(limit_or_any) / ROUGHLY * ROUGHLY } else { most };
        if most == 0 {
            return Ok(0);
        }
        let (gone, count, next) = self.front(cut, most)?;
        let kept = if limit.is_some() { count % ROUGHLY } else { 0 };
        if kept > 0 {
            return self.trim(Cut::MaxLen(len - (count - kept)), None);
        }
        if count > 0 {
            self.remove_front(gone, count, next);
        }
        Ok(count)
    }

    /// The first entries that go, if they are few; how many they are, and the first one that stays.
    fn front(&mut self, cut: Cut, most: u64) -> Result<(Vec<StreamId>, u64, Option<StreamId>), Stop> {
        let (mut gone, mut count, mut next) = (Vec::new(), 0, None);
        let stays_from = if let Cut::MinId(id) = cut { id } else { StreamId::MAX };
        self.walk(StreamId::ZERO, StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
            if count == most || entry.id >= stays_from {
                next = Some(entry.id);
                return Ok(Flow::Stop);
            }
            count += 1;
            if gone.len() <= REMOVED_MAX {
                gone.push(entry.id);
            }
            Ok(Flow::More)
        })?;
        Ok((gone, count, next))
    }

    fn remove_front(&mut self, gone: Vec<StreamId>, count: u64, next: Option<StreamId>) {
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
