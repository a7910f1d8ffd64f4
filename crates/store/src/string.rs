//! Strings: short ones in their key's record, long ones in chunks under a collection id, so that
//! changing or reading a part costs what the part costs, and nothing large is ever one record.
//!
//! Whoever changes a chunk writes the key's record too, even if that stays the same: so a transaction
//! that has read the record depends on all of the string, and need not remember the chunks it read.
//! A chunk that is missing, or shorter than others, ends in zeros.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use base::limits::{CHUNK_BYTES, STRING_IN_PLACE_BYTES_MAX, STRING_PLAIN_BYTES_MAX};
use base::slot;

use crate::aside::Aside;
use crate::disk::DiskError;
use crate::keys;
use crate::record::{Chunks, Encoding, Kind, Record, Value};
use crate::table::Hashed;
use crate::txn::{Stop, Txn};
use crate::view::View;

/// Strings above this are built aside.
const ASIDE_BYTES_MIN: u64 = 1 << 20;

/// A part of a string, shared with the row cache.
#[derive(Clone, Debug)]
pub struct Piece {
    pub value: Value,
    pub range: Range<usize>,
}

impl Piece {
    pub fn as_slice(&self) -> &[u8] {
        self.value.get(self.range.clone()).unwrap_or_default()
    }
}

/// Makes the chunks of a new string: `None` for one of zeros.
type MakeChunk<'m, 'g> = dyn FnMut(&mut Txn<'g>, u32) -> Result<Option<Value>, Stop> + 'm;

/// What is laid over a string: bytes, and where they begin.
#[derive(Clone, Copy)]
struct Overlay<'a> {
    offset: u64,
    part: &'a [u8],
}

impl Overlay<'_> {
    fn end(&self) -> u64 {
        self.offset + self.part.len() as u64
    }
}

impl<'g> Txn<'g> {
    /// Sets a key to a string.
    pub fn put_string(
        &mut self,
        key: &[u8],
        encoding: Encoding,
        expiry_ms: Option<u64>,
        bytes: &[u8],
    ) -> Result<(), Stop> {
        if bytes.len() <= STRING_PLAIN_BYTES_MAX {
            return self.put(key, Kind::String, encoding, expiry_ms, bytes);
        }
        self.spend(0, bytes.len())?;
        let made = self.make_string(key, bytes.len() as u64, &mut |_, index| {
            let start = index as usize * CHUNK_BYTES;
            let end = bytes.len().min(start + CHUNK_BYTES);
            Ok(bytes.get(start..end).map(Value::from))
        })?;
        self.put_chunks(key, made, expiry_ms)
    }

    /// Sets a key to a string of `len` bytes whose parts are made when they are written, one after the
    /// other: a long one is never held whole.
    pub fn put_made_string(
        &mut self,
        key: &[u8],
        encoding: Encoding,
        len: u64,
        mut make: impl FnMut(&mut Self, Range<u64>) -> Result<Vec<u8>, Stop>,
    ) -> Result<(), Stop> {
        if len <= STRING_PLAIN_BYTES_MAX as u64 {
            let bytes = make(self, 0..len)?;
            return self.put(key, Kind::String, encoding, None, &bytes);
        }
        let made = self.make_string(key, len, &mut |txn, index| {
            let start = u64::from(index) * CHUNK_BYTES as u64;
            let bytes = make(txn, start..len.min(start + CHUNK_BYTES as u64))?;
            txn.spend(0, bytes.len())?;
            Ok(bytes.iter().any(|byte| *byte != 0).then(|| Value::from(bytes)))
        })?;
        self.put_chunks(key, made, None)
    }

    /// How many bytes a string has.
    pub fn string_len(&self, record: &Record) -> Result<u64, Stop> {
        record.string_len().map_err(|why| malformed(record, why))
    }

    /// A part of a string, which must lie within it, piece by piece.
    pub fn string_pieces(
        &mut self,
        record: &Record,
        range: Range<u64>,
        mut take: impl FnMut(Piece),
    ) -> Result<(), Stop> {
        self.search_string(record, range, |piece| {
            take(piece);
            None::<()>
        })?;
        Ok(())
    }

    /// A part of a string, which must lie within it, piece by piece until something is found.
    pub fn search_string<T>(
        &mut self,
        record: &Record,
        range: Range<u64>,
        mut look: impl FnMut(Piece) -> Option<T>,
    ) -> Result<Option<T>, Stop> {
        let Some(chunks) = record.chunks().map_err(|why| malformed(record, why))? else {
            let start = record.payload_range().start;
            let range = start + range.start as usize..start + range.end as usize;
            return Ok(look(Piece { value: record.value().clone(), range }));
        };
        for index in chunk_indexes(&range) {
            let start = u64::from(index) * CHUNK_BYTES as u64;
            let from = range.start.saturating_sub(start) as usize;
            let to = (range.end - start).min(CHUNK_BYTES as u64) as usize;
            let value = self.chunk(chunks, index)?;
            let held = value.as_ref().map_or(0, |value| value.len());
            let kept = value.filter(|_| from < held).map(|value| Piece { value, range: from..to.min(held) });
            let rest = (to > held).then(|| Piece { value: zeros(), range: from.max(held)..to });
            if let Some(found) = kept.into_iter().chain(rest).find_map(&mut look) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The whole of a string in one piece.
    pub fn string_bytes<'r>(&mut self, record: &'r Record) -> Result<Cow<'r, [u8]>, Stop> {
        if record.encoding != Encoding::Chunked {
            return Ok(Cow::Borrowed(record.payload()));
        }
        let len = self.string_len(record)?;
        self.hold(0, len as usize)?;
        let mut bytes = Vec::with_capacity(len as usize);
        self.string_pieces(record, 0..len, |piece| bytes.extend_from_slice(piece.as_slice()))?;
        Ok(Cow::Owned(bytes))
    }

    /// Lays bytes over a string from an offset on, with zeros in front of them where there was
    /// nothing; says how long it is then.
    pub fn overlay_string(
        &mut self,
        key: &[u8],
        record: Option<&Record>,
        offset: u64,
        part: &[u8],
    ) -> Result<u64, Stop> {
        let old_len = record.map_or(Ok(0), |record| self.string_len(record))?;
        let expiry_ms = record.and_then(|record| record.expiry_ms);
        let over = Overlay { offset, part };
        let len = old_len.max(over.end());
        if len <= STRING_PLAIN_BYTES_MAX as u64 {
            self.spend(0, len as usize)?;
            let mut text =
                record.map_or(Ok(Cow::default()), |record| self.string_bytes(record))?.into_owned();
            text.resize(len as usize, 0);
            if let Some(place) = text.get_mut(offset as usize..over.end() as usize) {
                place.copy_from_slice(part);
            }
            self.put(key, Kind::String, Encoding::Raw, expiry_ms, &text)?;
            return Ok(len);
        }
        self.spend(0, part.len())?;
        let chunks = record.map_or(Ok(None), Record::chunks);
        let made = match (record, chunks) {
            (Some(record), Err(why)) => return Err(malformed(record, why)),
            (Some(_), Ok(Some(chunks))) if part.len() <= STRING_IN_PLACE_BYTES_MAX => {
                for index in chunk_indexes(&(offset..over.end())) {
                    let value = self.overlaid(record, index, len, over)?;
                    let mut key = Vec::new();
                    keys::chunk_record(&mut key, chunks.home, index);
                    match value {
                        Some(value) => self.revise(&key, value),
                        None => self.write_blind(&key, None),
                    }
                }
                Chunks { len, ..chunks }
            }
            _ => self.make_string(key, len, &mut |txn, index| txn.overlaid(record, index, len, over))?,
        };
        self.put_chunks(key, made, expiry_ms)?;
        Ok(len)
    }

    /// A record that holds the same as this one, for another key.
    pub fn copy_record(&mut self, to: &[u8], record: &Record) -> Result<Record, Stop> {
        if record.encoding == Encoding::Wide
            && let Some(members) = record.members().map_err(|why| malformed(record, why))?
        {
            return self.copy_wide(to, record, members);
        }
        if record.encoding == Encoding::Entries {
            return self.copy_stream(to, record);
        }
        let Some(chunks) = record.chunks().map_err(|why| malformed(record, why))? else {
            return Ok(record.clone());
        };
        let made = self.make_string(to, chunks.len, &mut |txn, index| txn.chunk(chunks, index))?;
        let value = Record::encode(record.kind, Encoding::Chunked, record.expiry_ms, &made.encode());
        Record::decode(value).map_err(|why| malformed(record, why))
    }

    /// A chunk as it is with something laid over the string.
    fn overlaid(
        &mut self,
        record: Option<&Record>,
        index: u32,
        len: u64,
        over: Overlay<'_>,
    ) -> Result<Option<Value>, Stop> {
        let old_len = record.map_or(Ok(0), |record| self.string_len(record))?;
        let start = u64::from(index) * CHUNK_BYTES as u64;
        let stop = len.min(start + CHUNK_BYTES as u64);
        let new = start.max(over.offset)..stop.min(over.end());
        let part = || over.part.get((new.start - over.offset) as usize..(new.end - over.offset) as usize);
        if new == (start..stop) {
            return Ok(part().map(Value::from));
        }
        let old = start..stop.min(old_len);
        let mut out = Vec::with_capacity((stop - start) as usize);
        if let Some(record) = record
            && old.start < old.end
        {
            self.string_pieces(record, old, |piece| out.extend_from_slice(piece.as_slice()))?;
        }
        if new.start < new.end
            && let Some(part) = part()
        {
            let place = (new.start - start) as usize..(new.end - start) as usize;
            out.resize(out.len().max(place.end), 0);
            if let Some(place) = out.get_mut(place) {
                place.copy_from_slice(part);
            }
        }
        Ok((!out.is_empty()).then(|| Value::from(out)))
    }

    fn put_chunks(&mut self, key: &[u8], chunks: Chunks, expiry_ms: Option<u64>) -> Result<(), Stop> {
        self.put(key, Kind::String, Encoding::Chunked, expiry_ms, &chunks.encode())
    }

    /// Makes a string of chunks: within this transaction, or aside if it is large.
    fn make_string(&mut self, key: &[u8], len: u64, chunk: &mut MakeChunk<'_, 'g>) -> Result<Chunks, Stop> {
        let slot = slot::of(key);
        if len > ASIDE_BYTES_MIN {
            let mut aside = Aside::begin(self, slot)?;
            for index in chunk_indexes(&(0..len)) {
                if let Some(value) = chunk(self, index)? {
                    let mut key = Vec::new();
                    keys::chunk_record(&mut key, aside.home(), index);
                    aside.push(self, key, value)?;
                }
            }
            let home = aside.finish(self)?;
            return Ok(Chunks { home, len });
        }
        let home = self.fresh_collection(slot);
        for index in chunk_indexes(&(0..len)) {
            if let Some(value) = chunk(self, index)? {
                let mut key = Vec::new();
                keys::chunk_record(&mut key, home, index);
                self.write_blind(&key, Some(value));
            }
        }
        Ok(Chunks { home, len })
    }

    /// A chunk of a string whose key's record this transaction has read.
    fn chunk(&mut self, chunks: Chunks, index: u32) -> Result<Option<Value>, Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        keys::chunk_record(&mut key, chunks.home, index);
        let found = self.element(&key);
        self.scratch.key = key;
        let found = found?;
        self.spend(1, found.as_ref().map_or(0, |value| value.len()))?;
        Ok(found)
    }

    fn element(&mut self, key: &[u8]) -> Result<Option<Value>, Stop> {
        let at = self.group.table.hash(key);
        if let Some(row) = self.find(key, at.hash) {
            return Ok(self.row(row).value().cloned());
        }
        match &self.view {
            // IMPORTANT: what this transaction has built is newer than its view.
            _ if self.is_built(key) => self.newest_element(at),
            View::Pinned(pinned) => match self.group.table.as_of(at, pinned.pin.view) {
                Some(seen) => Ok(seen.value),
                None => Ok(pinned.disk.get(key)?.map(|value| (&*value).into())),
            },
            // The key's record is reserved: nobody else changes the chunks.
            View::Reserving(_) => self.newest_element(at),
            View::Latest { .. } | View::Section(_) => self.raw(key),
        }
    }

    fn newest_element(&self, at: Hashed<'_>) -> Result<Option<Value>, Stop> {
        let seen = self.group.table.newest(at);
        Ok(seen.map_or_else(|| self.group.load(at), Ok)?.value)
    }
}

/// The chunks that a range of bytes touches.
fn chunk_indexes(range: &Range<u64>) -> Range<u32> {
    if range.start >= range.end {
        return 0..0;
    }
    let at = |byte: u64| (byte / CHUNK_BYTES as u64) as u32;
    at(range.start)..at(range.end - 1) + 1
}

fn zeros() -> Value {
    static ZEROS: OnceLock<Value> = OnceLock::new();
    ZEROS.get_or_init(|| Value::from(vec![0; CHUNK_BYTES])).clone()
}

fn malformed(record: &Record, why: base::codec::DecodeError) -> Stop {
    Stop::Disk(DiskError::corrupt(record.payload(), why))
}
