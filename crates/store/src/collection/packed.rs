//! Packed collections: their entries one behind the other in the key's record, each with its length.
//! The bytes are shared with the row cache until something is changed.
//!
//! Whether a collection may stay packed goes by the size that it would have as a listpack, so that
//! OBJECT ENCODING answers as Redis does.

use std::ops::Range;

use base::codec::{DecodeError, Reader, Write as _};

use crate::record::{Record, Value};
use crate::string::Piece;

/// A packed collection: `count(varint) entries…`, each entry `length(varint) bytes`.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    source: Source,
    count: usize,
}

#[derive(Clone, Debug)]
enum Source {
    /// The entries as the record holds them: where in its value they begin.
    Record(Record, usize),
    Edited(Vec<u8>),
}

/// Where an entry lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// With its length.
    pub(crate) whole: Range<usize>,
    pub(crate) body: Range<usize>,
}

impl Packed {
    pub(crate) fn new() -> Self {
        Self { source: Source::Edited(Vec::new()), count: 0 }
    }

    pub(crate) fn decode(record: &Record) -> Result<Self, DecodeError> {
        let payload = record.payload();
        let mut reader = Reader::new(payload);
        let count = usize::try_from(reader.varint()?).map_err(|_| DecodeError::Overflow)?;
        let start = record.payload_range().start + payload.len() - reader.len();
        Ok(Self { source: Source::Record(record.clone(), start), count })
    }

    /// The payload of a record that holds it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let bytes = self.bytes();
        let mut out = Vec::with_capacity(bytes.len() + 4);
        out.put_varint(self.count as u64);
        out.extend_from_slice(bytes);
        out
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.source {
            Source::Record(record, start) => record.value().get(*start..).unwrap_or_default(),
            Source::Edited(bytes) => bytes,
        }
    }

    fn edit(&mut self) -> &mut Vec<u8> {
        if let Source::Record(record, start) = &self.source {
            self.source = Source::Edited(record.value().get(*start..).unwrap_or_default().to_vec());
        }
        match &mut self.source {
            Source::Edited(bytes) => bytes,
            Source::Record(..) => unreachable!("it was just copied"),
        }
    }

    /// The entries in their order. One that cannot be decoded ends them: records are checked when they
    /// are written, and by the checksums of what keeps them.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries { bytes: self.bytes(), at: 0 }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.entries().map(|entry| self.body(&entry))
    }

    pub(crate) fn body(&self, entry: &Entry) -> &[u8] {
        self.bytes().get(entry.body.clone()).unwrap_or_default()
    }

    /// An entry, shared where it can be.
    pub(crate) fn piece(&self, entry: &Entry) -> Piece {
        match &self.source {
            Source::Record(record, start) => Piece {
                value: record.value().clone(),
                range: start + entry.body.start..start + entry.body.end,
            },
            Source::Edited(_) => {
                let value = Value::from(self.body(entry));
                Piece { range: 0..value.len(), value }
            }
        }
    }

    pub(crate) fn nth(&self, at: usize) -> Option<Entry> {
        self.entries().nth(at)
    }

    /// Puts entries in front of the byte at `place`, which begins an entry or is the end.
    pub(crate) fn insert(&mut self, place: usize, entry: &[u8]) {
        let mut encoded = Vec::with_capacity(entry.len() + 3);
        encoded.put_bytes(entry);
        let bytes = self.edit();
        let place = place.min(bytes.len());
        bytes.splice(place..place, encoded);
        self.count += 1;
    }

    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.edit().put_bytes(entry);
        self.count += 1;
    }

    /// Puts another entry in the place of one.
    pub(crate) fn replace(&mut self, old: &Entry, entry: &[u8]) {
        let mut encoded = Vec::with_capacity(entry.len() + 3);
        encoded.put_bytes(entry);
        self.edit().splice(old.whole.clone(), encoded);
    }

    /// Removes so many entries that lie in one stretch of bytes.
    pub(crate) fn remove(&mut self, stretch: Range<usize>, count: usize) {
        self.edit().drain(stretch);
        self.count -= count;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}

pub(crate) struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut reader = Reader::new(self.bytes.get(self.at..)?);
        let body = reader.bytes().ok()?;
        let end = self.bytes.len() - reader.len();
        let entry = Entry { whole: self.at..end, body: end - body.len()..end };
        self.at = end;
        Some(entry)
    }
}

/// Bytes of a listpack beside its entries: its header and its end.
pub(crate) const LISTPACK_BYTES: usize = 7;

/// Bytes that an entry takes in a listpack.
pub(crate) fn listpack_entry_bytes(entry: &[u8]) -> usize {
    let body = match integer(entry) {
        Some(0..=127) => 1,
        Some(-4096..=4095) => 2,
        Some(value) if i16::try_from(value).is_ok() => 3,
        Some(-8_388_608..=8_388_607) => 4,
        Some(value) if i32::try_from(value).is_ok() => 5,
        Some(_) => 9,
        None if entry.len() < 64 => 1 + entry.len(),
        None if entry.len() < 4096 => 2 + entry.len(),
        None => 5 + entry.len(),
    };
    let back = match body {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    };
    body + back
}

/// The integer that a text is, if it is written as Redis writes it.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    const DIGITS_MAX: usize = 20;
    if text.is_empty() || text.len() > DIGITS_MAX {
        return None;
    }
    let value: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let plain = digits.iter().all(u8::is_ascii_digit);
    let canonical = plain && (digits == b"0" || !digits.starts_with(b"0")) && text != b"-0";
    canonical.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Encoding, Kind};
    use proptest::prelude::*;

    fn texts(packed: &Packed) -> Vec<Vec<u8>> {
        packed.iter().map(<[u8]>::to_vec).collect()
    }

    proptest! {
        #[test]
        fn entries_are_kept_as_they_were_given(entries: Vec<Vec<u8>>, at: usize, other: Vec<u8>) {
            let mut packed = Packed::new();
            entries.iter().for_each(|entry| packed.push(entry));
            let record = Record::encode(Kind::List, Encoding::Packed, None, &packed.encode());
            let mut read = Packed::decode(&Record::decode(record).unwrap()).unwrap();
            prop_assert_eq!(read.count(), entries.len());
            prop_assert_eq!(&texts(&read), &entries);
            let mut model = entries;
            let at = at % (model.len() + 1);
            let place = read.nth(at).map_or(read.bytes().len(), |entry| entry.whole.start);
            read.insert(place, &other);
            model.insert(at, other.clone());
            prop_assert_eq!(&texts(&read), &model);
            let entry = read.nth(model.len() - 1).unwrap();
            read.replace(&entry, &other);
            *model.last_mut().unwrap() = other;
            prop_assert_eq!(&texts(&read), &model);
            let entry = read.nth(0).unwrap();
            read.remove(entry.whole, 1);
            model.remove(0);
            prop_assert_eq!(&texts(&read), &model);
            prop_assert_eq!(read.count(), model.len());
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let record = Record::decode(Record::encode(Kind::List, Encoding::Packed, None, &bytes)).unwrap();
            if let Ok(packed) = Packed::decode(&record) {
                let _ = packed.iter().count();
            }
        }
    }

    #[test]
    fn integers_are_those_that_are_written_as_redis_writes_them() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1.0", None),
        ] {
            assert_eq!(integer(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn entries_are_as_large_as_in_a_listpack() {
        for (text, bytes) in [
            ("5", 2),
            ("127", 2),
            ("128", 3),
            ("-1", 3),
            ("4096", 4),
            ("40000", 5),
            ("10000000", 6),
            ("10000000000", 10),
            ("a", 3),
            ("", 2),
        ] {
            assert_eq!(listpack_entry_bytes(text.as_bytes()), bytes, "{text:?}");
        }
        assert_eq!(listpack_entry_bytes(&[b'x'; 63]), 65);
        assert_eq!(listpack_entry_bytes(&[b'x'; 64]), 67);
        assert_eq!(listpack_entry_bytes(&[b'x'; 126]), 130);
        assert_eq!(listpack_entry_bytes(&[b'x'; 4096]), 4103);
    }
}
