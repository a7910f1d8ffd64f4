//! Reading lengths and strings off the front of a body, within a budget of memory. It knows nothing
//! of footers, so that a reader of whole files can use it as well.

use crate::item::Item;
use crate::{Error, lzf};
use base::codec::Reader;
use std::borrow::Cow;

/// What an element costs besides its bytes: its place in a vector, and the allocator's share.
pub const ELEMENT_BYTES: usize = 40;

/// What a decoded value may hold. An element of two bytes becomes one of forty, and compression can
/// make 88 bytes of one; so the size of a payload says little about the size of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of all elements, with [`ELEMENT_BYTES`] for each. Of a stream an entry is one, and counts with
    /// all that is in it; a group, a consumer and what is pending count as two. A compressed part may, while it
    /// is read, take as much again.
    pub bytes_max: usize,
}

/// What is left of [`Limits`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    left_bytes: usize,
}

impl Budget {
    /// For an element of so many bytes.
    pub(crate) fn charge(&mut self, len: usize) -> Result<(), Error> {
        self.charge_bytes(len.saturating_add(ELEMENT_BYTES))
    }

    pub(crate) fn charge_bytes(&mut self, bytes: usize) -> Result<(), Error> {
        self.left_bytes = self.left_bytes.checked_sub(bytes).ok_or(Error::Limit)?;
        Ok(())
    }

    pub(crate) fn own(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        self.charge(bytes.len())?;
        Ok(bytes.to_vec())
    }

    pub(crate) fn own_item(&mut self, item: Item<'_>) -> Result<Vec<u8>, Error> {
        match item {
            Item::Bytes(bytes) => self.own(bytes),
            Item::Integer(value) => self.own(itoa::Buffer::new().format(value).as_bytes()),
        }
    }
}

/// A length, or one of the special encodings of a string.
enum Length {
    Plain(u64),
    Special(u8),
}

/// Called again and again with how many bytes were read: whoever reads much lets others go first.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a>(pub(crate) &'a dyn Fn(usize));

impl std::fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turn")
    }
}

#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    reader: Reader<'a>,
    pub(crate) budget: Budget,
    turn: Turn<'a>,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], limits: Limits) -> Self {
        Self::in_turns(bytes, limits, Turn(&|_| ()))
    }

    pub(crate) fn in_turns(bytes: &'a [u8], limits: Limits, turn: Turn<'a>) -> Self {
        Self { reader: Reader::new(bytes), budget: Budget { left_bytes: limits.bytes_max }, turn }
    }

    /// Bytes that have not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    pub fn is_empty(&self) -> bool {
        self.reader.is_empty()
    }

    pub fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.reader.u8()?)
    }

    pub fn length(&mut self) -> Result<u64, Error> {
        match self.any_length()? {
            Length::Plain(len) => Ok(len),
            Length::Special(_) => Err(Error::Malformed("a special encoding where a length belongs")),
        }
    }

    /// How many elements follow: at least one, as no collection is empty.
    pub(crate) fn count(&mut self) -> Result<u64, Error> {
        match self.length()? {
            0 => Err(Error::Malformed("an empty collection")),
            count => Ok(count),
        }
    }

    fn any_length(&mut self) -> Result<Length, Error> {
        let first = self.byte()?;
        let low = first & 0x3f;
        Ok(match first >> 6 {
            0 => Length::Plain(u64::from(low)),
            1 => Length::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 => match first {
                0x80 => Length::Plain(u64::from(self.reader.u32()?)),
                0x81 => Length::Plain(self.reader.u64()?),
                _ => return Err(Error::Malformed("unknown encoding of a length")),
            },
            _ => Length::Special(low),
        })
    }

    /// A string, which counts towards the limits.
    pub fn string(&mut self) -> Result<Vec<u8>, Error> {
        let string = self.blob()?;
        self.budget.charge(string.len())?;
        Ok(string.into_owned())
    }

    /// A string that does not stay: of its own memory it takes at most what is left of the budget.
    pub(crate) fn blob(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        let blob = self.any_blob()?;
        (self.turn.0)(blob.len());
        Ok(blob)
    }

    fn any_blob(&mut self) -> Result<Cow<'a, [u8]>, Error> {
        let integer = match self.any_length()? {
            Length::Plain(len) => return Ok(self.take(len)?.into()),
            Length::Special(0) => i64::from(self.byte()? as i8),
            Length::Special(1) => i64::from(self.reader.u16()?.swap_bytes() as i16),
            Length::Special(2) => i64::from(self.reader.u32()?.swap_bytes() as i32),
            Length::Special(3) => return Ok(self.compressed()?.into()),
            Length::Special(_) => return Err(Error::Malformed("unknown encoding of a string")),
        };
        Ok(itoa::Buffer::new().format(integer).as_bytes().to_vec().into())
    }

    fn compressed(&mut self) -> Result<Vec<u8>, Error> {
        let compressed_len = self.length()?;
        let len = usize::try_from(self.length()?).map_err(|_| Error::Limit)?;
        let compressed = self.take(compressed_len)?;
        lzf::check_len(compressed, len)?;
        if len > self.budget.left_bytes {
            return Err(Error::Limit);
        }
        lzf::decompress(compressed, len)
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Error> {
        let len = usize::try_from(len).map_err(|_| Error::Malformed("the bytes end too early"))?;
        Ok(self.reader.take(len)?)
    }

    /// A double as eight bytes.
    pub(crate) fn double(&mut self) -> Result<f64, Error> {
        Ok(f64::from_bits(self.reader.u64()?.swap_bytes()))
    }

    /// A point in time, in milliseconds.
    pub(crate) fn time_ms(&mut self) -> Result<i64, Error> {
        Ok(self.reader.i64()?.swap_bytes())
    }

    /// Bytes whose number the encoding gives.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Error> {
        Ok(self.reader.take(len)?)
    }
}
