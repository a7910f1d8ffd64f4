//! Lists: packed, or an item a record by its sequence number. The items of a wide list have contiguous
//! numbers from its head on, so that an index is a number, and both ends grow without touching the
//! others.

use std::ops::Range;

use crate::collection::packed::{LISTPACK_BYTES, Packed, listpack_entry_bytes};
use crate::collection::{Body, Handle, Refusal};
use crate::counters::Counters;
use crate::keys::{self, Home, Members, Unreachable};
use crate::range::{Flow, visit};
use crate::record::{Encoding, Kind, Value};
use crate::string::Piece;
use crate::txn::{Stop, Txn};
use crate::view::View;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Head,
    Tail,
}

/// A key's list.
pub struct List<'t, 'g>(Handle<'t, 'g>);

/// What a walk does with each item and its index.
pub type Visit<'v, E> = dyn FnMut(u64, &[u8]) -> Result<Flow, E> + 'v;

/// Fewer items than these are looked up one by one: a range costs more to begin.
const RANGE_ITEMS_MIN: u64 = 16;
/// More items than these are not removed one by one when a list is cut: they are left to be reclaimed.
const REMOVED_ITEMS_MAX: i64 = 64;

impl<'g> Txn<'g> {
    /// A key's list, if it has one.
    pub fn list(&mut self, key: &[u8]) -> Result<Option<List<'_, 'g>>, Refusal> {
        Ok(Handle::open(self, key, Kind::List, None)?.map(List))
    }

    /// A key's list, which may be empty so far.
    pub fn list_or_new(&mut self, key: &[u8]) -> Result<List<'_, 'g>, Refusal> {
        let opened = Handle::open(self, key, Kind::List, Some(Encoding::Packed))?;
        opened.map(List).ok_or(Refusal::WrongType)
    }

    fn item_row(&mut self, home: Home, sequence: i64) -> Result<crate::scratch::RowId, Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        keys::item_record(&mut key, home, sequence);
        let row = self.load(&key);
        self.scratch.key = key;
        row
    }

    /// An item that is there: one that is not is a broken promise of the store.
    fn item(&mut self, home: Home, sequence: i64) -> Result<Value, Stop> {
        let row = self.item_row(home, sequence)?;
        self.row(row).value().cloned().ok_or_else(|| self.missing(home, sequence))
    }

    fn missing(&self, home: Home, sequence: i64) -> Stop {
        let mut key = Vec::new();
        keys::item_record(&mut key, home, sequence);
        Stop::Disk(crate::disk::DiskError::Corrupt { key, why: "an item of a list is missing".into() })
    }

    fn put_item(&mut self, home: Home, sequence: i64, item: Option<Value>) {
        let mut key = std::mem::take(&mut self.scratch.key);
        keys::item_record(&mut key, home, sequence);
        self.write_blind(&key, item);
        self.scratch.key = key;
    }

    /// Loads the items at once that are going to be looked up in the section.
    fn expect_items(&mut self, home: Home, sequences: Range<i64>) -> Result<(), Stop> {
        // A single one is not worth it.
        if sequences.end.saturating_sub(sequences.start) < 2 || !matches!(self.view, View::Section(_)) {
            return Ok(());
        }
        // More than that is too much for the section anyway.
        let many = sequences.end.saturating_sub(sequences.start) > i64::from(base::limits::BUDGET_RECORDS);
        if many {
            return Err(Stop::Outgrown);
        }
        let mut key = Vec::new();
        for sequence in sequences {
            keys::item_record(&mut key, home, sequence);
            self.expect(&key);
        }
        self.stop_if_cold()
    }
}

impl List<'_, '_> {
    pub fn count(&mut self) -> Result<u64, Stop> {
        self.0.len(Packed::count)
    }

    /// The item at an index that is within the list.
    pub fn get(&mut self, index: u64) -> Result<Option<Piece>, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => Ok(packed.nth(index as usize).map(|entry| packed.piece(&entry))),
            &Body::Wide(Members { home, .. }) => {
                let list = self.0.txn.counters(home)?;
                if index >= list.len.unsigned_abs() {
                    return Ok(None);
                }
                let value = self.0.txn.item(home, list.head.wrapping_add(index as i64))?;
                Ok(Some(Piece { range: 0..value.len(), value }))
            }
        }
    }

    /// Visits the items at indexes that are within the list.
    pub fn walk<E: From<Stop>>(&mut self, indexes: Range<u64>, each: &mut Visit<'_, E>) -> Result<(), E> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let count = indexes.end.saturating_sub(indexes.start) as usize;
                let items = packed.iter().enumerate().skip(indexes.start as usize).take(count);
                for (index, item) in items {
                    if each(index as u64, item)? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
            &Body::Wide(Members { home, .. }) => {
                let head = self.0.txn.counters(home)?.head;
                let at = |index: u64| head.wrapping_add(index as i64);
                let few = indexes.end.saturating_sub(indexes.start) <= RANGE_ITEMS_MIN;
                if !few && !matches!(self.0.txn.view, View::Section(_)) {
                    return self.walk_range(home, at(indexes.start)..at(indexes.end), indexes.start, each);
                }
                self.0.txn.expect_items(home, at(indexes.start)..at(indexes.end))?;
                for index in indexes {
                    let item = self.0.txn.item(home, at(index))?;
                    if each(index, &item)? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    fn walk_range<E: From<Stop>>(
        &mut self,
        home: Home,
        sequences: Range<i64>,
        first: u64,
        each: &mut Visit<'_, E>,
    ) -> Result<(), E> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        keys::item_record(&mut from, home, sequences.start);
        keys::item_record(&mut to, home, sequences.end);
        let (mut next, mut stopped) = (sequences.start, false);
        visit(self.0.txn, &from, Some(&to), &mut |key, value, _| -> Result<Flow, E> {
            // Contiguous: what is missing would be noticed here.
            if keys::item_sequence(key) != Some(next) {
                return Ok(Flow::Stop);
            }
            let index = first + next.wrapping_sub(sequences.start) as u64;
            next = next.wrapping_add(1);
            let flow = each(index, value)?;
            stopped = flow == Flow::Stop;
            Ok(flow)
        })?;
        if next != sequences.end && !stopped {
            return Err(self.0.txn.missing(home, next).into());
        }
        Ok(())
    }

    /// Visits the items at indexes from the last to the first.
    pub fn walk_back<E: From<Stop>>(
        &mut self,
        indexes: Range<u64>,
        each: &mut Visit<'_, E>,
    ) -> Result<(), E> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let entries: Vec<_> = packed.entries().collect();
                let count = indexes.end.saturating_sub(indexes.start) as usize;
                let items = entries.iter().enumerate().skip(indexes.start as usize).take(count);
                for (index, entry) in items.rev() {
                    if each(index as u64, packed.body(entry))? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
            &Body::Wide(Members { home, .. }) => {
                let head = self.0.txn.counters(home)?.head;
                for index in indexes.rev() {
                    let item = self.0.txn.item(home, head.wrapping_add(index as i64))?;
                    if each(index, &item)? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Adds items at an end, one after the other; says how many there are then.
    pub fn push<'i>(
        &mut self,
        end: End,
        items: impl ExactSizeIterator<Item = &'i [u8]> + Clone,
    ) -> Result<u64, Stop> {
        let added_bytes: usize = items.clone().map(<[u8]>::len).sum();
        self.0.txn.spend(items.len() as u32, added_bytes)?;
        self.make_room(items.len(), added_bytes)?;
        if let Some(packed) = self.0.packed_mut() {
            for item in items {
                match end {
                    End::Head => packed.insert(0, item),
                    End::Tail => packed.push(item),
                }
            }
            return Ok(packed.count() as u64);
        }
        let Some(home) = self.0.home() else { return Ok(0) };
        let before = self.0.txn.counters(home)?;
        let count = items.len() as i64;
        for (nth, item) in (0..).zip(items) {
            let sequence = match end {
                End::Head => before.head.wrapping_sub(1 + nth),
                End::Tail => before.tail().wrapping_add(nth),
            };
            self.0.txn.put_item(home, sequence, Some(Value::from(item)));
        }
        let head = if end == End::Head { -count } else { 0 };
        self.0.grow(home, Counters { len: count, head, removed: 0 });
        Ok((before.len + count).unsigned_abs())
    }

    /// Makes a packed list wide if what is about to be added would be too much for it.
    fn make_room(&mut self, items: usize, bytes: usize) -> Result<(), Stop> {
        let Body::Packed(_, packed) = self.0.body() else { return Ok(()) };
        let listpack: usize = packed.iter().map(listpack_entry_bytes).sum();
        let fits = self.0.txn.shapes().list_allows(packed.count() + items, LISTPACK_BYTES + listpack + bytes);
        if fits { Ok(()) } else { self.widen().map(|_| ()) }
    }

    fn widen(&mut self) -> Result<Home, Stop> {
        let (Members { home, .. }, packed) = self.0.widen();
        for (sequence, item) in (0..).zip(packed.iter()) {
            self.0.txn.spend(1, item.len())?;
            self.0.txn.put_item(home, sequence, Some(Value::from(item)));
        }
        self.0.begin_with(home, packed.count());
        Ok(home)
    }

    /// Takes up to so many items from an end, one after the other.
    pub fn pop(&mut self, end: End, count: u64) -> Result<Vec<Piece>, Stop> {
        match self.0.body() {
            Body::Packed(..) => Ok(self.pop_packed(end, count)),
            &Body::Wide(Members { home, .. }) => self.pop_wide(home, end, count),
        }
    }

    fn pop_packed(&mut self, end: End, count: u64) -> Vec<Piece> {
        let Body::Packed(_, packed) = self.0.body() else { return Vec::new() };
        let count = count.min(packed.count() as u64) as usize;
        let skipped = if end == End::Head { 0 } else { packed.count() - count };
        let taken: Vec<_> = packed.entries().skip(skipped).take(count).collect();
        let mut pieces: Vec<Piece> = taken.iter().map(|entry| packed.piece(entry)).collect();
        if end == End::Tail {
            pieces.reverse();
        }
        if let (Some(first), Some(last)) = (taken.first(), taken.last())
            && let Some(packed) = self.0.packed_mut()
        {
            packed.remove(first.whole.start..last.whole.end, count);
        }
        pieces
    }

    fn pop_wide(&mut self, home: Home, end: End, count: u64) -> Result<Vec<Piece>, Stop> {
        let before = self.0.txn.counters(home)?;
        let count = count.min(before.len.unsigned_abs()) as i64;
        if count == 0 {
            return Ok(Vec::new());
        }
        let (first, head) = match end {
            End::Head => (before.head, count),
            End::Tail => (before.tail().wrapping_sub(count), 0),
        };
        self.0.txn.expect_items(home, first..first.wrapping_add(count))?;
        let mut pieces = Vec::new();
        for nth in 0..count {
            let sequence = match end {
                End::Head => first.wrapping_add(nth),
                End::Tail => first.wrapping_add(count - 1 - nth),
            };
            let row = self.0.txn.item_row(home, sequence)?;
            let Some(value) = self.0.txn.row(row).value().cloned() else {
                return Err(self.0.txn.missing(home, sequence));
            };
            self.0.txn.set(row, None);
            pieces.push(Piece { range: 0..value.len(), value });
        }
        self.0.shrink(home, before, Counters { len: -count, head, removed: 0 })?;
        Ok(pieces)
    }

    /// Puts another item in the place of the one at an index that is within the list.
    pub fn set(&mut self, index: u64, item: &[u8]) -> Result<(), Stop> {
        self.make_room(1, item.len())?;
        if let Some(packed) = self.0.packed_mut() {
            if let Some(old) = packed.nth(index as usize) {
                packed.replace(&old, item);
            }
            return Ok(());
        }
        let Some(home) = self.0.home() else { return Ok(()) };
        let head = self.0.txn.counters(home)?.head;
        let row = self.0.txn.item_row(home, head.wrapping_add(index as i64))?;
        self.0.txn.set(row, Some(Value::from(item)));
        self.0.grow(home, Counters::ZERO);
        Ok(())
    }

    /// Puts an item in front of the one at an index; says how many there are then.
    pub fn insert(&mut self, index: u64, item: &[u8]) -> Result<u64, Stop> {
        self.make_room(1, item.len())?;
        if let Some(packed) = self.0.packed_mut() {
            let place = packed.nth(index as usize).map_or(packed.bytes().len(), |entry| entry.whole.start);
            packed.insert(place, item);
            return Ok(packed.count() as u64);
        }
        let Some(home) = self.0.home() else { return Ok(0) };
        let before = self.0.txn.counters(home)?;
        let (index, value) = (index as i64, Value::from(item));
        // The shorter side makes room.
        let front = index <= before.len / 2;
        if front {
            self.shift(home, before.head..before.head + index, -1)?;
            self.0.txn.put_item(home, before.head + index - 1, Some(value));
        } else {
            self.shift(home, before.head + index..before.tail(), 1)?;
            self.0.txn.put_item(home, before.head + index, Some(value));
        }
        self.0.grow(home, Counters { head: if front { -1 } else { 0 }, ..Counters::len(1) });
        Ok(before.len.unsigned_abs() + 1)
    }

    /// Moves items to other sequence numbers.
    fn shift(&mut self, home: Home, items: Range<i64>, by: i64) -> Result<(), Stop> {
        self.0.txn.expect_items(home, items.clone())?;
        let mut moved = Vec::new();
        for sequence in items {
            moved.push((sequence, self.0.txn.item(home, sequence)?));
        }
        for (sequence, item) in moved {
            self.0.txn.put_item(home, sequence + by, Some(item));
        }
        Ok(())
    }

    /// Removes the items at these indexes, which are in order.
    pub fn remove(&mut self, indexes: &[u64]) -> Result<(), Stop> {
        let (Some(&first), Some(&last)) = (indexes.first(), indexes.last()) else { return Ok(()) };
        if let Some(packed) = self.0.packed_mut() {
            for &index in indexes.iter().rev() {
                if let Some(entry) = packed.nth(index as usize) {
                    packed.remove(entry.whole, 1);
                }
            }
            return Ok(());
        }
        let Some(home) = self.0.home() else { return Ok(()) };
        let before = self.0.txn.counters(home)?;
        let (count, first, last) = (indexes.len() as i64, first as i64, last as i64);
        // The items on the shorter side close up.
        let from_front = last < before.len - first;
        let stretch = if from_front { 0..last + 1 } else { first..before.len };
        self.0.txn.expect_items(home, before.head + stretch.start..before.head + stretch.end)?;
        let mut kept = Vec::new();
        let mut gone = indexes.iter().map(|index| *index as i64).peekable();
        for index in stretch.clone() {
            if gone.next_if_eq(&index).is_none() {
                kept.push(self.0.txn.item(home, before.head + index)?);
            }
        }
        let start = if from_front { stretch.start + count } else { stretch.start };
        for (nth, item) in (0..).zip(kept) {
            self.0.txn.put_item(home, before.head + start + nth, Some(item));
        }
        let freed = if from_front { 0..count } else { before.len - count..before.len };
        self.free(home, before.head + freed.start..before.head + freed.end);
        let head = if from_front { count } else { 0 };
        self.0.shrink(home, before, Counters { len: -count, head, removed: 0 })
    }

    /// Keeps only the items at these indexes, which are within the list; an empty range keeps none.
    pub fn trim(&mut self, kept: Range<u64>) -> Result<(), Stop> {
        if let Some(packed) = self.0.packed_mut() {
            let count = packed.count();
            let (start, end) = (kept.start as usize, kept.end as usize);
            if start >= end {
                packed.clear();
                return Ok(());
            }
            if let Some(entry) = packed.nth(end) {
                packed.remove(entry.whole.start..packed.bytes().len(), count - end);
            }
            if let Some(entry) = packed.nth(start) {
                packed.remove(0..entry.whole.start, start);
            }
            return Ok(());
        }
        let Some(home) = self.0.home() else { return Ok(()) };
        let before = self.0.txn.counters(home)?;
        let (start, end) = (kept.start as i64, kept.end as i64);
        if start >= end {
            // The key goes, and the collection with it: nothing has to be removed from it.
            return self.0.shrink(home, before, Counters::len(-before.len));
        }
        self.free(home, before.head..before.head + start);
        self.free(home, before.head + end..before.tail());
        self.0.shrink(home, before, Counters { head: start, ..Counters::len(end - start - before.len) })
    }

    /// Frees sequence numbers that are about to be outside of the list: a few items are removed, many
    /// are left to be reclaimed.
    fn free(&mut self, home: Home, sequences: Range<i64>) {
        let count = sequences.end - sequences.start;
        if count > REMOVED_ITEMS_MAX {
            let cut = Unreachable::Items { home, from: sequences.start, to: sequences.end };
            self.0.txn.write_blind(&cut.encode(), Some(Value::from(&[][..])));
            return;
        }
        for sequence in sequences {
            self.0.txn.put_item(home, sequence, None);
        }
    }

    pub fn is_packed(&self) -> bool {
        self.0.home().is_none()
    }
}
