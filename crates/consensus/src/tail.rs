//! The newest entries of a log in memory, and what of them waits for the machine.

use std::collections::VecDeque;

use openraft::entry::RaftEntry;

use crate::config::{Entry, EntryBody, LogId};

/// What an entry costs in memory beside its payload, roughly.
const ENTRY_OVERHEAD: u64 = 64;

pub(crate) fn size(entry: &Entry) -> u64 {
    match &entry.payload {
        EntryBody::Normal(payload) => payload.0.len() as u64 + ENTRY_OVERHEAD,
        _ => ENTRY_OVERHEAD,
    }
}

/// Entries without a gap up to the last one: as many as fit, and all that are not durable.
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
    bytes: u64,
    bytes_max: u64,
    /// Everything up to here is durable in the WAL.
    flushed: Option<u64>,
}

impl Tail {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max, flushed: None }
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += size(&entry);
        self.entries.push_back(entry);
    }

    fn place(&self, index: u64) -> Option<usize> {
        usize::try_from(index.checked_sub(self.entries.front()?.index())?).ok()
    }

    /// Whether the entry with this id is the one at its index.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        let entry = self.place(id.index).and_then(|place| self.entries.get(place));
        entry.is_some_and(|entry| entry.log_id == id)
    }

    /// The entry with this id is durable, and all before it.
    pub(crate) fn flush(&mut self, id: LogId) {
        if self.holds(id) {
            self.flushed = self.flushed.max(Some(id.index));
            self.shrink();
        }
    }

    pub(crate) fn flushed(&self) -> Option<u64> {
        self.flushed
    }

    fn shrink(&mut self) {
        while self.bytes > self.bytes_max
            && self.entries.len() > 1
            && self.entries.front().is_some_and(|entry| Some(entry.index()) <= self.flushed)
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= size(&entry);
        }
    }

    pub(crate) fn truncate(&mut self, after: Option<u64>) {
        while self.entries.back().is_some_and(|entry| Some(entry.index()) > after)
            && let Some(entry) = self.entries.pop_back()
        {
            self.bytes -= size(&entry);
        }
        self.flushed = self.flushed.min(after);
    }

    pub(crate) fn purge(&mut self, upto: u64) {
        while self.entries.front().is_some_and(|entry| entry.index() <= upto)
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= size(&entry);
        }
    }

    /// Entries from exactly `from` on, at least one if it is here, about `max` bytes at most.
    pub(crate) fn read(&self, from: u64, to: u64, max: usize) -> Option<Vec<Entry>> {
        let place = self.place(from)?;
        let mut bytes = 0;
        let mut found = Vec::new();
        for entry in self.entries.range(place.min(self.entries.len())..) {
            bytes += size(entry) as usize;
            if entry.index() >= to || (bytes > max && !found.is_empty()) {
                break;
            }
            found.push(entry.clone());
        }
        (!found.is_empty()).then_some(found)
    }
}

/// Sizes of the entries that were appended here and not handed to the machine yet.
#[derive(Default)]
pub(crate) struct Backlog {
    /// The index of the first of `sizes`.
    first: u64,
    sizes: VecDeque<u64>,
    bytes: u64,
}

impl Backlog {
    pub(crate) fn push(&mut self, index: u64, bytes: u64) {
        if self.sizes.is_empty() {
            self.first = index;
        }
        self.sizes.push_back(bytes);
        self.bytes += bytes;
    }

    pub(crate) fn handed(&mut self, index: u64) {
        while self.first <= index
            && let Some(bytes) = self.sizes.pop_front()
        {
            self.bytes -= bytes;
            self.first += 1;
        }
    }

    pub(crate) fn truncate(&mut self, after: Option<u64>) {
        let keep = after.map_or(0, |after| after.saturating_add(1)).saturating_sub(self.first);
        while self.sizes.len() as u64 > keep
            && let Some(bytes) = self.sizes.pop_back()
        {
            self.bytes -= bytes;
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn entries(&self) -> u64 {
        self.sizes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Payload, log_id};
    use crate::machine::Position;

    fn id(term: u64, index: u64) -> LogId {
        log_id(Position { term, index })
    }

    fn entry(term: u64, index: u64) -> Entry {
        Entry::new(id(term, index), EntryBody::Normal(Payload(vec![0; 100].into())))
    }

    fn tail(indexes: std::ops::Range<u64>) -> Tail {
        let mut tail = Tail::new(500);
        indexes.for_each(|index| tail.push(entry(1, index)));
        tail
    }

    fn indexes(found: Option<Vec<Entry>>) -> Vec<u64> {
        found.unwrap_or_default().iter().map(RaftEntry::index).collect()
    }

    #[test]
    fn what_is_not_durable_stays_whatever_it_costs() {
        let mut tail = tail(10..20);
        assert_eq!(indexes(tail.read(10, 20, 10_000)).len(), 10);
        tail.flush(id(1, 14));
        assert!(indexes(tail.read(14, 20, 10_000)).is_empty());
        assert_eq!(indexes(tail.read(15, 20, 10_000)), [15, 16, 17, 18, 19]);
        tail.flush(id(1, 19));
        assert_eq!(indexes(tail.read(17, 20, 10_000)), [17, 18, 19]);
    }

    #[test]
    fn an_entry_that_was_replaced_is_not_taken_for_durable() {
        let mut tail = tail(10..20);
        tail.truncate(Some(14));
        tail.push(entry(2, 15));
        tail.flush(id(1, 15));
        assert!(tail.holds(id(2, 15)) && !tail.holds(id(1, 15)));
        assert_eq!(indexes(tail.read(10, 20, 10_000)), [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn reads_are_bounded_but_never_empty() {
        let tail = tail(10..20);
        assert_eq!(indexes(tail.read(12, 20, 1)), [12]);
        assert_eq!(indexes(tail.read(12, 20, 400)), [12, 13]);
        assert_eq!(indexes(tail.read(12, 13, 400)), [12]);
        assert!(indexes(tail.read(9, 13, 400)).is_empty());
        assert!(indexes(tail.read(20, 23, 400)).is_empty());
    }

    #[test]
    fn the_backlog_follows_the_log() {
        let mut backlog = Backlog::default();
        (10..20).for_each(|index| backlog.push(index, 100));
        backlog.handed(8);
        assert_eq!((backlog.bytes(), backlog.entries()), (1_000, 10));
        backlog.handed(12);
        backlog.truncate(Some(15));
        assert_eq!((backlog.bytes(), backlog.entries()), (300, 3));
        backlog.push(16, 5);
        backlog.handed(15);
        assert_eq!((backlog.bytes(), backlog.entries()), (5, 1));
        backlog.truncate(None);
        assert_eq!((backlog.bytes(), backlog.entries()), (0, 0));
        backlog.push(30, 1);
        backlog.handed(30);
        assert_eq!(backlog.entries(), 0);
    }
}
