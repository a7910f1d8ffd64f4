//! How large a key's value is: as far as a transaction knows it already, or as it is found out.

use base::limits::CHUNK_BYTES;

use crate::collection::stream::Head;
use crate::counters::Counters;
use crate::keys::{self, Home};
use crate::record::{Encoding, Kind, Record};
use crate::txn::{Stop, Txn};

/// What is known of a key's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySize {
    Unknown,
    /// There is no such key.
    Gone,
    Holds(ValueSize),
}

/// How large a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueSize {
    pub kind: Kind,
    /// In how many records it lies: what going through all of it costs.
    pub records: u64,
    /// Of a string, or of what is packed.
    pub bytes: Option<u64>,
}

impl ValueSize {
    /// Of a collection that has records of its own: how many elements it has.
    pub fn elements(&self) -> Option<u64> {
        self.bytes.is_none().then_some(self.records)
    }

    fn of(record: &Record) -> Option<Self> {
        let kind = record.kind;
        match record.encoding {
            Encoding::Wide => None,
            Encoding::Entries => {
                let records = Head::decode(record.payload()).ok()?.len;
                Some(Self { kind, records, bytes: None })
            }
            Encoding::Chunked => {
                let bytes = record.string_len().ok()?;
                Some(Self { kind, records: bytes.div_ceil(CHUNK_BYTES as u64), bytes: Some(bytes) })
            }
            Encoding::Plain | Encoding::Raw | Encoding::Text | Encoding::Packed | Encoding::Integers => {
                Some(Self { kind, records: 1, bytes: Some(record.payload().len() as u64) })
            }
        }
    }
}

impl Txn<'_> {
    /// What is in memory of how large a key's value is. Reads nothing, and the outcome of the transaction does not depend on it.
    pub fn known_size(&mut self, key: &[u8]) -> KeySize {
        match self.known_record(key) {
            None => KeySize::Unknown,
            Some(None) => KeySize::Gone,
            Some(Some(record)) => {
                let size = ValueSize::of(&record).or_else(|| self.known_length(&record));
                size.map_or(KeySize::Unknown, KeySize::Holds)
            }
        }
    }

    /// How large a key's value is.
    pub fn size_of(&mut self, key: &[u8]) -> Result<KeySize, Stop> {
        let (_, record) = self.get_row(key)?;
        let home =
            record.as_ref().and_then(|record| record.members().ok().flatten()).map(|members| members.home);
        if let Some(home) = home {
            self.counters(home)?;
        }
        Ok(self.known_size(key))
    }

    /// What the transaction sees of a key, if it has looked it up or written it.
    fn known_record(&mut self, key: &[u8]) -> Option<Option<Record>> {
        let record_key = self.key_record(key);
        let found = self.find(&record_key, self.group.table.hash(&record_key).hash);
        self.scratch.key = record_key;
        let row = self.row(found?);
        let is_known = row.seen.is_some() || row.is_settled();
        let record = match row.value().filter(|_| is_known) {
            Some(value) => Some(Record::decode(value.clone()).ok()?),
            None => None,
        };
        is_known.then(|| record.filter(|record| !record.is_expired(self.now_ms())))
    }

    /// Of a wide collection, whose counters the transaction has, or the row cache.
    fn known_length(&mut self, record: &Record) -> Option<ValueSize> {
        let home = record.members().ok()??.home;
        let len = self.known_counters(home)?.len;
        Some(ValueSize { kind: record.kind, records: u64::try_from(len).unwrap_or(0), bytes: None })
    }

    fn known_counters(&mut self, home: Home) -> Option<Counters> {
        let mut key = std::mem::take(&mut self.scratch.key);
        keys::counters_record(&mut key, home);
        let at = self.group.table.hash(&key);
        let row = self.find(&key, at.hash).map(|row| self.row(row));
        let delta = row.map_or(Counters::ZERO, |row| row.delta());
        let before = match row {
            Some(row) if row.seen.is_some() => Some(row.before().cloned()),
            _ => {
                let cached = self.group.table.newest(at).map(|seen| seen.value);
                let is_new = self.scratch.fresh.iter().any(|fresh| fresh.home == home);
                cached.or_else(|| is_new.then_some(None))
            }
        };
        self.scratch.key = key;
        let before = match before? {
            Some(value) => Counters::decode(&value).ok()?,
            None => Counters::ZERO,
        };
        Some(before.plus(delta))
    }
}
