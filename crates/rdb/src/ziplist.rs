//! Ziplists, which Redis wrote before it had listpacks: each element begins with the length of the
//! one before it. They are only read.
//!
//! ```text
//! bytes u32 | offset of the last element u32 | elements u16, 65535 is "count them"
//!   | (length of the one before, encoding, data)* | 0xff
//! ```

use crate::Error;
use crate::item::Item;
use crate::listpack::little_endian;
use base::codec::Reader;

const HEADER_BYTES: usize = 10;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Says that the length of the element before takes four more bytes.
const LONG: u8 = 0xfe;

/// The elements of a ziplist. It ends with an error if header and elements do not agree.
#[derive(Debug)]
pub(crate) struct Ziplist<'a> {
    reader: Reader<'a>,
    offset_now: usize,
    /// Of the element before: where it is, and what it takes.
    last: Option<(usize, usize)>,
    last_offset: usize,
    left: Option<u16>,
    is_checked: bool,
}

impl<'a> Ziplist<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let total = reader.u32()?.swap_bytes();
        let last_offset = reader.u32()?.swap_bytes() as usize;
        let count = reader.u16()?.swap_bytes();
        if u32::try_from(bytes.len()) != Ok(total) {
            return Err(Error::Malformed("a ziplist has another size than it says"));
        }
        let Some((&END, elements)) = reader.rest().split_last() else {
            return Err(Error::Malformed("a ziplist does not end"));
        };
        Ok(Self {
            reader: Reader::new(elements),
            offset_now: HEADER_BYTES,
            last: None,
            last_offset,
            left: (count != COUNT_UNKNOWN).then_some(count),
            is_checked: false,
        })
    }

    fn element(&mut self) -> Result<Item<'a>, Error> {
        let before = self.reader.len();
        let len_before = match self.reader.u8()? {
            END => return Err(Error::Malformed("a ziplist ends early")),
            LONG => self.reader.u32()?.swap_bytes() as usize,
            len => usize::from(len),
        };
        if len_before != self.last.map_or(0, |(_, len)| len) {
            return Err(Error::Malformed("a ziplist has a wrong length backwards"));
        }
        let item = self.item()?;
        let len = before - self.reader.len();
        self.last = Some((self.offset_now, len));
        self.offset_now += len;
        self.left = match self.left {
            Some(left) => Some(left.checked_sub(1).ok_or(WRONG_COUNT)?),
            None => None,
        };
        Ok(item)
    }

    fn item(&mut self) -> Result<Item<'a>, Error> {
        let reader = &mut self.reader;
        let first = reader.u8()?;
        let len = match first >> 6 {
            0 => usize::from(first),
            1 => usize::from(first & 0x3f) << 8 | usize::from(reader.u8()?),
            2 => reader.u32()? as usize,
            _ => return Ok(Item::Integer(integer(first, reader)?)),
        };
        Ok(Item::Bytes(reader.take(len)?))
    }

    fn check_end(&self) -> Result<(), Error> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(WRONG_COUNT);
        }
        if self.last.is_some_and(|(offset, _)| offset != self.last_offset) {
            return Err(Error::Malformed("a ziplist has a wrong offset of its last element"));
        }
        Ok(())
    }
}

const WRONG_COUNT: Error = Error::Malformed("a ziplist has another number of elements than it says");

fn integer(encoding: u8, reader: &mut Reader<'_>) -> Result<i64, Error> {
    Ok(match encoding {
        0xc0 => little_endian(reader.take(2)?),
        0xd0 => little_endian(reader.take(4)?),
        0xe0 => little_endian(reader.take(8)?),
        0xf0 => little_endian(reader.take(3)?),
        0xfe => little_endian(reader.take(1)?),
        0xf1..=0xfd => i64::from(encoding & 0x0f) - 1,
        _ => return Err(Error::Malformed("unknown encoding of an element")),
    })
}

impl<'a> Iterator for Ziplist<'a> {
    type Item = Result<Item<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.reader.is_empty() {
            return Some(self.element());
        }
        // Once: whoever asks again after an error finds the end.
        let is_checked = std::mem::replace(&mut self.is_checked, true);
        if is_checked { None } else { self.check_end().err().map(Err) }
    }
}
