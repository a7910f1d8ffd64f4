//! What a `K` record holds: one header byte (type, encoding, whether it expires), the expiry, and
//! the value itself or where it is.

use std::ops::Range;

use base::codec::{DecodeError, Reader, Write};

use crate::keys::{Home, Members};
use crate::small::Small;

/// A record's bytes, shared between the row cache, the open batch and replies. Short ones, such as
/// counters, are copied instead.
pub type Value = Small<22>;
/// A record's key, in the same places.
pub type RowKey = Small<46>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    String = 0,
    List = 1,
    Set = 2,
    SortedSet = 3,
    Hash = 4,
    Stream = 5,
}

impl Kind {
    /// As the TYPE command names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Hash => "hash",
            Self::Stream => "stream",
        }
    }

    fn from_bits(bits: u8) -> Result<Self, DecodeError> {
        Ok(match bits {
            0 => Self::String,
            1 => Self::List,
            2 => Self::Set,
            3 => Self::SortedSet,
            4 => Self::Hash,
            5 => Self::Stream,
            other => return Err(DecodeError::Tag(other)),
        })
    }
}

/// How the value is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// The bytes themselves, as they were set.
    Plain = 0,
    /// The bytes themselves, changed in place since: Redis would say `raw`, however short.
    Raw = 1,
    /// In elements of a fixed size under a collection id.
    Chunked = 2,
    /// The bytes themselves, made by a command that writes text: not an integer, even where it looks
    /// like one.
    Text = 3,
    /// A collection in the record itself, as Redis' `listpack`.
    Packed = 4,
    /// A set of integers in the record itself, as Redis' `intset`.
    Integers = 5,
    /// A collection in records of its own: `hashtable`, `skiplist`, `quicklist`.
    Wide = 6,
    /// A stream: what is counted of it in the record, its entries in records of their own.
    Entries = 7,
}

impl Encoding {
    fn from_bits(bits: u8) -> Result<Self, DecodeError> {
        Ok(match bits {
            0 => Self::Plain,
            1 => Self::Raw,
            2 => Self::Chunked,
            3 => Self::Text,
            4 => Self::Packed,
            5 => Self::Integers,
            6 => Self::Wide,
            7 => Self::Entries,
            other => return Err(DecodeError::Tag(other)),
        })
    }
}

const EXPIRES: u8 = 0x80;
const HEADER_PLAIN: usize = 1;
const HEADER_EXPIRES: usize = 1 + 8;

/// A decoded `K` record. Cloning shares the bytes.
#[derive(Clone, Debug)]
pub struct Record {
    pub kind: Kind,
    pub encoding: Encoding,
    pub expiry_ms: Option<u64>,
    value: Value,
}

impl Record {
    pub fn decode(value: Value) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(&value);
        let header = reader.u8()?;
        let kind = Kind::from_bits(header & 0x0f)?;
        let encoding = Encoding::from_bits((header >> 4) & 0x07)?;
        let expiry_ms = if header & EXPIRES != 0 { Some(reader.u64()?) } else { None };
        Ok(Self { kind, encoding, expiry_ms, value })
    }

    /// Encodes a record around its payload.
    pub fn encode(kind: Kind, encoding: Encoding, expiry_ms: Option<u64>, payload: &[u8]) -> Value {
        thread_local! {
            static SCRATCH: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        // One allocation of the exact size: the parts are put together in a scratch buffer first.
        SCRATCH.with_borrow_mut(|out| {
            out.clear();
            let header = kind as u8 | (encoding as u8) << 4;
            match expiry_ms {
                None => out.push(header),
                Some(at) => {
                    out.push(header | EXPIRES);
                    out.put_u64(at);
                }
            }
            out.extend_from_slice(payload);
            let value = Value::from(&out[..]);
            if out.capacity() > SCRATCH_BYTES_MAX {
                *out = Vec::new();
            }
            value
        })
    }

    pub fn payload(&self) -> &[u8] {
        self.value.get(self.payload_range()).unwrap_or_default()
    }

    /// Where the payload lies in [`Self::value`].
    pub fn payload_range(&self) -> Range<usize> {
        let start = if self.expiry_ms.is_some() { HEADER_EXPIRES } else { HEADER_PLAIN };
        start..self.value.len()
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expiry_ms.is_some_and(|at| at <= now_ms)
    }

    /// How many bytes a string has, wherever they are.
    pub fn string_len(&self) -> Result<u64, DecodeError> {
        Ok(self.chunks()?.map_or(self.payload().len() as u64, |chunks| chunks.len))
    }

    /// The same value with another expiry.
    #[must_use]
    pub fn with_expiry(&self, expiry_ms: Option<u64>) -> Self {
        let value = Self::encode(self.kind, self.encoding, expiry_ms, self.payload());
        Self { kind: self.kind, encoding: self.encoding, expiry_ms, value }
    }

    /// Where the elements are, if they are not in the record.
    pub fn home(&self) -> Result<Option<Home>, DecodeError> {
        match self.encoding {
            Encoding::Chunked => Ok(self.chunks()?.map(|chunks| chunks.home)),
            Encoding::Wide => Ok(self.members()?.map(|members| members.home)),
            Encoding::Entries => Home::read(&mut Reader::new(self.payload())).map(Some),
            _ => Ok(None),
        }
    }

    /// Where the members of a wide collection are; of a list, which has none, its home.
    pub fn members(&self) -> Result<Option<Members>, DecodeError> {
        (self.encoding == Encoding::Wide).then(|| Members::decode(self.payload())).transpose()
    }

    /// The same collection, its members elsewhere.
    pub fn with_members(&self, members: Members) -> Value {
        Self::encode(self.kind, self.encoding, self.expiry_ms, &members.encode())
    }

    /// Where the chunks of a string are, if it has some.
    pub fn chunks(&self) -> Result<Option<Chunks>, DecodeError> {
        if self.encoding != Encoding::Chunked {
            return Ok(None);
        }
        let mut reader = Reader::new(self.payload());
        let chunks = Chunks { home: Home::read(&mut reader)?, len: reader.varint()? };
        reader.finish()?;
        Ok(Some(chunks))
    }
}

/// What a record's first bytes say, without taking hold of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    pub kind: Kind,
    pub expiry_ms: Option<u64>,
    /// The value is in elements under a collection id.
    pub is_elsewhere: bool,
}

impl Peek {
    pub fn at(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(value);
        let header = reader.u8().ok()?;
        let kind = Kind::from_bits(header & 0x0f).ok()?;
        let expiry_ms = if header & EXPIRES != 0 { Some(reader.u64().ok()?) } else { None };
        let encoding = Encoding::from_bits((header >> 4) & 0x07).ok()?;
        let is_elsewhere = matches!(encoding, Encoding::Chunked | Encoding::Wide | Encoding::Entries);
        Some(Self { kind, expiry_ms, is_elsewhere })
    }
}

/// Scratch buffers above this are given back.
const SCRATCH_BYTES_MAX: usize = 1 << 20;

/// A string kept in chunks: where, and how many bytes in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    pub home: Home,
    pub len: u64,
}

impl Chunks {
    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        self.home.write(&mut out);
        out.put_varint(self.len);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_decode(payload: Vec<u8>, expiry: Option<u64>) {
            let record = Record::decode(Record::encode(Kind::Hash, Encoding::Raw, expiry, &payload)).unwrap();
            prop_assert_eq!(record.kind, Kind::Hash);
            prop_assert_eq!(record.encoding, Encoding::Raw);
            prop_assert_eq!(record.expiry_ms, expiry);
            prop_assert_eq!(record.payload(), &payload[..]);
            let moved = record.with_expiry(Some(7));
            prop_assert_eq!(moved.expiry_ms, Some(7));
            prop_assert_eq!(moved.payload(), &payload[..]);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            if let Ok(record) = Record::decode(bytes.into()) {
                let _ = record.payload();
                let _ = (record.home(), record.chunks());
            }
        }
    }
}
