//! What the key's record of a stream holds: where its entries are, and what is counted of them. Every entry
//! needs an id above the last one's, so that whoever adds one depends on that of whoever came before: there
//! is nothing to be gained by keeping it elsewhere.

use base::codec::{DecodeError, Reader, Write};

use super::StreamId;
use crate::keys::{Entries, Home};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub(crate) entries: Entries,
    /// How many entries it has.
    pub len: u64,
    /// The first entry's id, if it has one. What lies in front of it is on its way out.
    pub first: StreamId,
    /// The highest id that was given to an entry.
    pub last: StreamId,
    /// How many entries were ever added.
    pub added: u64,
    /// The highest id of an entry that was deleted.
    pub max_deleted: StreamId,
    /// The number of the next group.
    pub(super) next_group: u64,
}

impl Head {
    pub(super) fn new(home: Home) -> Self {
        Self {
            entries: Entries { home, generation: 0 },
            len: 0,
            first: StreamId::ZERO,
            last: StreamId::ZERO,
            added: 0,
            max_deleted: StreamId::ZERO,
            next_group: 0,
        }
    }

    pub(crate) fn home(&self) -> Home {
        self.entries.home
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.entries.write(&mut out);
        out.put_varint(self.len);
        for id in [self.first, self.last, self.max_deleted] {
            id.pack(&mut out);
        }
        out.put_varint(self.added);
        out.put_varint(self.next_group);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let entries = Entries::read(&mut reader)?;
        let len = reader.varint()?;
        let (first, last) = (StreamId::unpack(&mut reader)?, StreamId::unpack(&mut reader)?);
        let max_deleted = StreamId::unpack(&mut reader)?;
        let (added, next_group) = (reader.varint()?, reader.varint()?);
        reader.finish()?;
        Ok(Self { entries, len, first, last, added, max_deleted, next_group })
    }

    /// Whether an id may be that of an entry.
    pub(super) fn may_have(&self, id: StreamId) -> bool {
        self.len > 0 && self.first <= id && id <= self.last
    }

    /// How far an id is from the first entry that ever was, if that follows from what is counted: the group's
    /// `entries_read` where it is not known.
    pub fn distance(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last {
            return Some(self.added);
        }
        if id != StreamId::ZERO && id < self.max_deleted {
            return None;
        }
        if id == self.last {
            return Some(self.added);
        }
        if id > self.last {
            return None;
        }
        if self.max_deleted == StreamId::ZERO || self.max_deleted < self.first {
            if id < self.first {
                return Some(self.added - self.len);
            }
            if id == self.first {
                return Some(self.added - self.len + 1);
            }
        }
        None
    }

    /// Whether an entry between two ids was deleted, or may have been.
    pub fn has_tombstones(&self, from: Option<StreamId>, to: Option<StreamId>) -> bool {
        if self.len == 0 || self.max_deleted == StreamId::ZERO {
            return false;
        }
        let (from, to) = (from.unwrap_or(StreamId::ZERO), to.unwrap_or(StreamId::MAX));
        from <= self.max_deleted && self.max_deleted <= to
    }
}
