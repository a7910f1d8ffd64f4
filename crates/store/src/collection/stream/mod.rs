//! Streams: an entry a record, by its id; what is counted of them stands in the key's record ([`Head`]).
//! A stream is never packed. Its groups, their consumers and what is pending are records of their own
//! (`groups.rs`): reading and acknowledging does not touch the key.
//!
//! Nobody walks a range in the section. Whoever needs the entries behind an id there is told their ids by
//! the [`Runs`](crate::runs::Runs) that the section keeps, and looks up each of them.

mod build;
mod copy;
mod groups;
mod head;
mod id;
mod trim;
mod walk;

pub use build::StreamBuilder;
pub use groups::{Consumer, Group as ConsumerGroup, Pending};
pub use head::Head;
pub use id::StreamId;
pub use trim::Cut;

use base::codec::{DecodeError, Reader, Write as _};

use crate::collection::Refusal;
use crate::disk::DiskError;
use crate::keys::{Entries, Unreachable};
use crate::range::Flow;
use crate::record::{Encoding, Kind, Record, Value};
use crate::scratch::{Appended, RowId};
use crate::txn::{Stop, Txn};

/// A key's stream.
pub struct Stream<'t, 'g> {
    txn: &'t mut Txn<'g>,
    row: RowId,
    expiry_ms: Option<u64>,
    head: Head,
    changed: bool,
    /// Its record is another one, though nothing that a client could see in it.
    is_kept_anew: bool,
}

/// An entry, as a walk finds it.
pub struct Entry<'a> {
    pub id: StreamId,
    fields: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Its fields and values, one behind the other.
    pub fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader::new(self.fields);
        // Records are checked when they are written, and by the checksums of what keeps them.
        std::iter::from_fn(move || if reader.is_empty() { None } else { reader.bytes().ok() })
    }
}

/// What the record of an entry holds: its fields and values, each with its length.
fn encode<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Value {
    let mut out = Vec::new();
    for text in texts {
        out.put_bytes(text);
    }
    Value::from(out)
}

impl<'g> Txn<'g> {
    /// A key's stream, if it has one.
    pub fn stream(&mut self, key: &[u8]) -> Result<Option<Stream<'_, 'g>>, Refusal> {
        let (row, record) = self.get_row(key)?;
        let Some(record) = record else { return Ok(None) };
        if record.kind != Kind::Stream {
            return Err(Refusal::WrongType);
        }
        let malformed = |why: DecodeError| Stop::Disk(DiskError::corrupt(record.value(), why));
        let head = Head::decode(record.payload()).map_err(malformed)?;
        let expiry_ms = record.expiry_ms;
        Ok(Some(Stream { txn: self, row, expiry_ms, head, changed: false, is_kept_anew: false }))
    }

    /// A key's stream, which is made if there is none.
    pub fn stream_or_new(&mut self, key: &[u8]) -> Result<Stream<'_, 'g>, Refusal> {
        let (row, record) = self.get_row(key)?;
        if record.is_none() {
            let home = self.fresh_collection(base::slot::of(key));
            let head = Head::new(home);
            return Ok(Stream { txn: self, row, expiry_ms: None, head, changed: true, is_kept_anew: false });
        }
        self.stream(key)?.ok_or(Refusal::WrongType)
    }

    /// An entry's record.
    fn entry_row(&mut self, entries: Entries, id: StreamId) -> Result<RowId, Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        entries.record(&mut key, id);
        let row = self.load(&key);
        self.scratch.key = key;
        row
    }

    fn put_entry(&mut self, entries: Entries, id: StreamId, value: Option<Value>) {
        let mut key = std::mem::take(&mut self.scratch.key);
        entries.record(&mut key, id);
        self.write_blind(&key, value);
        self.scratch.key = key;
    }
}

impl Stream<'_, '_> {
    /// Says to those who hear of changes what has changed, other than its entries.
    pub fn remark(&mut self, what: &'static str) {
        self.txn.remark(self.row, what);
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Adds an entry behind the others: its id is above that of the last one.
    pub fn append<'a>(&mut self, id: StreamId, texts: impl Iterator<Item = &'a [u8]>) -> Result<(), Stop> {
        let value = encode(texts);
        self.txn.spend(1, value.len())?;
        let entries = self.head.entries;
        self.txn.put_entry(entries, id, Some(value));
        self.txn.scratch.appended.push(Appended { entries, behind: self.head.last, id });
        if self.head.len == 0 {
            self.head.first = id;
        }
        self.head.last = id;
        self.head.len += 1;
        self.head.added += 1;
        self.changed = true;
        Ok(())
    }

    /// The fields and values of an entry, if it is there.
    pub fn get(&mut self, id: StreamId) -> Result<Option<Value>, Stop> {
        if !self.head.may_have(id) {
            return Ok(None);
        }
        let row = self.txn.entry_row(self.head.entries, id)?;
        Ok(self.txn.row(row).value().cloned())
    }

    /// Calls back with an entry, if it is there.
    pub fn with<R>(&mut self, id: StreamId, f: impl FnOnce(&Entry<'_>) -> R) -> Result<Option<R>, Stop> {
        let value = self.get(id)?;
        Ok(value.map(|value| f(&Entry { id, fields: &value })))
    }

    /// The id of the first entry from an id on, if there is one.
    fn first_from(&mut self, from: StreamId) -> Result<Option<StreamId>, Stop> {
        let mut found = None;
        self.walk(from, StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
            found = Some(entry.id);
            Ok(Flow::Stop)
        })?;
        Ok(found)
    }

    /// Whether there is an entry behind an id.
    pub fn has_behind(&mut self, id: StreamId) -> Result<bool, Stop> {
        Ok(match id.next() {
            Some(next) => self.first_from(next)?.is_some(),
            None => false,
        })
    }

    /// The id before that of the last entry, if there is one; else that of the last that there was.
    pub fn before_last(&mut self) -> Result<StreamId, Stop> {
        let mut found = self.head.last;
        if self.head.len > 0 && self.get(found)?.is_none() {
            self.walk_back(StreamId::ZERO, StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
                found = entry.id;
                Ok(Flow::Stop)
            })?;
        }
        Ok(if self.head.len == 0 { found } else { found.previous().unwrap_or(StreamId::ZERO) })
    }

    /// Deletes an entry; says whether it was there.
    pub fn delete(&mut self, id: StreamId) -> Result<bool, Stop> {
        if self.get(id)?.is_none() {
            return Ok(false);
        }
        self.txn.put_entry(self.head.entries, id, None);
        self.head.len -= 1;
        self.head.max_deleted = self.head.max_deleted.max(id);
        self.changed = true;
        if self.head.len == 0 {
            self.head.first = StreamId::ZERO;
        } else if id == self.head.first
            && let Some(next) = id.next()
        {
            self.head.first = self.first_from(next)?.unwrap_or(StreamId::ZERO);
        }
        Ok(true)
    }

    /// Sets what is counted beside the entries themselves. Ids up to `last` are given out from then on.
    pub fn set_id(&mut self, last: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) {
        if last < self.head.last {
            // IMPORTANT: ids may be given once more, and not to entries that are on their way out.
            self.leave_generation();
        }
        self.head.last = last;
        self.head.added = added.unwrap_or(self.head.added);
        self.head.max_deleted = max_deleted.unwrap_or(self.head.max_deleted);
        self.changed = true;
    }

    /// Leaves what remains of former entries behind, where there is nothing but that.
    fn leave_generation(&mut self) {
        if self.head.len > 0 {
            // Those on their way out lie in front of the first one, and no id there is given again.
            return;
        }
        let left = Unreachable::Entries { entries: self.head.entries, below: StreamId::MAX };
        self.txn.write_blind(&left.encode(), Some(Value::from(&[][..])));
        self.head.entries.generation = self.head.entries.generation.wrapping_add(1);
    }
}

impl Drop for Stream<'_, '_> {
    fn drop(&mut self) {
        if !self.changed && !self.is_kept_anew {
            return;
        }
        let record = Record::encode(Kind::Stream, Encoding::Entries, self.expiry_ms, &self.head.encode());
        if self.changed {
            self.txn.set(self.row, Some(record));
        } else {
            self.txn.set_quietly(self.row, record);
        }
    }
}
