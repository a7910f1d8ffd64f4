//! Listpacks: elements one after the other, each followed by its length, so that Redis can walk them
//! both ways.
//!
//! ```text
//! bytes u32 | elements u16, 65535 is "count them" | (encoding, data, length backwards)* | 0xff
//! ```

use crate::Error;
use crate::item::Item;
use base::codec::Reader;

const HEADER_BYTES: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// What Redis lets a listpack grow to.
const BYTES_MAX: usize = 1 << 30;

/// The elements of a listpack. It ends with an error if they are not as many as the header says.
#[derive(Debug, Clone)]
pub(crate) struct Listpack<'a> {
    reader: Reader<'a>,
    /// Of how many elements the header says that they are still to come.
    left: Option<u16>,
}

impl<'a> Listpack<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let total = reader.u32()?.swap_bytes();
        let count = reader.u16()?.swap_bytes();
        if u32::try_from(bytes.len()) != Ok(total) {
            return Err(Error::Malformed("a listpack has another size than it says"));
        }
        let Some((&END, elements)) = reader.rest().split_last() else {
            return Err(Error::Malformed("a listpack does not end"));
        };
        let left = (count != COUNT_UNKNOWN).then_some(count);
        Ok(Self { reader: Reader::new(elements), left })
    }

    fn element(&mut self) -> Result<Item<'a>, Error> {
        let before = self.reader.rest();
        let item = self.item()?;
        let mut backwards = LengthBackwards::of(before.len() - self.reader.len());
        if self.reader.take(backwards.bytes().len())? != backwards.bytes() {
            return Err(Error::Malformed("a listpack has a wrong length backwards"));
        }
        self.left = match self.left {
            Some(left) => Some(left.checked_sub(1).ok_or(WRONG_COUNT)?),
            None => None,
        };
        Ok(item)
    }

    fn item(&mut self) -> Result<Item<'a>, Error> {
        let reader = &mut self.reader;
        let first = reader.u8()?;
        let integer = match first {
            0..0x80 => i64::from(first),
            0x80..0xc0 => return Ok(Item::Bytes(reader.take(usize::from(first & 0x3f))?)),
            0xc0..0xe0 => {
                let raw = u16::from(first & 0x1f) << 8 | u16::from(reader.u8()?);
                // 13 bits with their sign.
                i64::from((raw << 3) as i16 >> 3)
            }
            0xe0..0xf0 => {
                let len = usize::from(first & 0x0f) << 8 | usize::from(reader.u8()?);
                return Ok(Item::Bytes(reader.take(len)?));
            }
            0xf0 => {
                let len = reader.u32()?.swap_bytes() as usize;
                return Ok(Item::Bytes(reader.take(len)?));
            }
            0xf1 => little_endian(reader.take(2)?),
            0xf2 => little_endian(reader.take(3)?),
            0xf3 => little_endian(reader.take(4)?),
            0xf4 => little_endian(reader.take(8)?),
            _ => return Err(Error::Malformed("unknown encoding of an element")),
        };
        Ok(Item::Integer(integer))
    }
}

const WRONG_COUNT: Error = Error::Malformed("a listpack has another number of elements than it says");

impl<'a> Iterator for Listpack<'a> {
    type Item = Result<Item<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.reader.is_empty() {
            return Some(self.element());
        }
        // Once: whoever asks again after an error finds the end.
        self.left.take().filter(|left| *left > 0).map(|_| Err(WRONG_COUNT))
    }
}

/// A signed number of at most eight bytes.
pub(crate) fn little_endian(bytes: &[u8]) -> i64 {
    let raw = bytes.iter().rev().fold(0u64, |raw, &byte| raw << 8 | u64::from(byte));
    let unused_bits = 64 - 8 * bytes.len() as u32;
    (raw << unused_bits) as i64 >> unused_bits
}

/// The length of an element in groups of seven bits, to be read from the last one to the first: all
/// but the first say that another comes before them.
struct LengthBackwards {
    groups: [u8; 5],
    start: usize,
}

impl LengthBackwards {
    fn of(mut len: usize) -> Self {
        let mut groups = [0; 5];
        let mut start = groups.len();
        for group in groups.iter_mut().rev() {
            start -= 1;
            *group = (len & 0x7f) as u8 | 0x80;
            len >>= 7;
            if len == 0 {
                *group &= 0x7f;
                break;
            }
        }
        Self { groups, start }
    }

    fn bytes(&mut self) -> &[u8] {
        self.groups.get(self.start..).unwrap_or_default()
    }
}

/// Builds a listpack.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    /// Begins with room for the header.
    bytes: Vec<u8>,
    count: usize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], count: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What it would be long now.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + 1
    }

    /// Appends a string, as a number if it is the text of one.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match Item::of(bytes) {
            Item::Integer(value) => self.push_integer(value),
            Item::Bytes(bytes) => self.push_bytes(bytes),
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let start = self.bytes.len();
        match bytes.len() {
            len @ 0..0x40 => self.bytes.push(0x80 | len as u8),
            len @ 0x40..0x1000 => self.bytes.extend_from_slice(&(0xe000 | len as u16).to_be_bytes()),
            len => {
                self.bytes.push(0xf0);
                // What does not fit makes the whole too large, and `finish` refuses it.
                self.bytes.extend_from_slice(&(len as u32).to_le_bytes());
            }
        }
        self.bytes.extend_from_slice(bytes);
        self.close(start);
    }

    pub(crate) fn push_integer(&mut self, value: i64) {
        let start = self.bytes.len();
        let bytes = value.to_le_bytes();
        let [low, high, third, ..] = bytes;
        match value {
            0..0x80 => self.bytes.push(low),
            -0x1000..0x1000 => self.bytes.extend_from_slice(&[0xc0 | high & 0x1f, low]),
            -0x8000..0x8000 => self.bytes.extend_from_slice(&[0xf1, low, high]),
            -0x80_0000..0x80_0000 => self.bytes.extend_from_slice(&[0xf2, low, high, third]),
            _ => match i32::try_from(value) {
                Ok(value) => {
                    self.bytes.push(0xf3);
                    self.bytes.extend_from_slice(&value.to_le_bytes());
                }
                Err(_) => {
                    self.bytes.push(0xf4);
                    self.bytes.extend_from_slice(&bytes);
                }
            },
        }
        self.close(start);
    }

    fn close(&mut self, start: usize) {
        let mut backwards = LengthBackwards::of(self.bytes.len() - start);
        self.bytes.extend_from_slice(backwards.bytes());
        self.count += 1;
    }

    /// Appends what the other one holds.
    pub(crate) fn append(&mut self, other: &Self) {
        self.bytes.extend_from_slice(other.bytes.get(HEADER_BYTES..).unwrap_or_default());
        self.count += other.count;
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.bytes.push(END);
        let header = header(self.bytes.len(), self.count)?;
        if let Some(room) = self.bytes.first_chunk_mut() {
            *room = header;
        }
        Ok(self.bytes)
    }
}

fn header(len: usize, count: usize) -> Result<[u8; HEADER_BYTES], Error> {
    let total = u32::try_from(len).ok().filter(|_| len <= BYTES_MAX).ok_or(Error::Limit)?;
    let count = u16::try_from(count).unwrap_or(COUNT_UNKNOWN);
    let ([a, b, c, d], [e, f]) = (total.to_le_bytes(), count.to_le_bytes());
    Ok([a, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listpack(elements: &[&[u8]]) -> Vec<u8> {
        let mut writer = Writer::new();
        elements.iter().for_each(|element| writer.push(element));
        assert_eq!(writer.len(), writer.bytes.len() + 1);
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Item<'_>>, Error> {
        Listpack::open(bytes)?.collect()
    }

    #[test]
    fn bytes_are_those_of_redis() {
        // In the body of ZSET_LISTPACK as Redis 7.0 dumps it: `ZADD z 1 a 300 bcd`.
        let expected = b"\x14\x00\x00\x00\x04\x00\x81a\x02\x01\x01\x83bcd\x04\xc1\x2c\x02\xff";
        assert_eq!(listpack(&[b"a", b"1", b"bcd", b"300"]), expected);
    }

    #[test]
    fn integers_of_every_width_come_back() {
        for shift in 0..64 {
            for value in
                [1i64 << shift, !(1 << shift), (1 << shift) - i64::from(shift < 63), -(1 << (shift / 2))]
            {
                let text = value.to_string();
                let bytes = listpack(&[text.as_bytes()]);
                assert_eq!(read(&bytes), Ok(vec![Item::Integer(value)]));
            }
        }
    }

    #[test]
    fn strings_of_every_width_come_back() {
        for len in [0, 1, 63, 64, 125, 126, 127, 128, 4095, 4096, 16_381, 16_384, 70_000, 2_097_152] {
            let text = vec![b'x'; len];
            assert_eq!(read(&listpack(&[&text, b"end"])), Ok(vec![Item::Bytes(&text), Item::Bytes(b"end")]));
        }
    }

    #[test]
    fn many_elements_are_counted_by_reading() {
        for count in [65_534, 65_535, 65_536] {
            let bytes = listpack(&vec![&b"7"[..]; count]);
            assert_eq!(read(&bytes).map(|items| items.len()), Ok(count));
        }
    }

    #[test]
    fn what_is_too_large_for_redis_is_not_written() {
        assert_eq!(header(BYTES_MAX, 7), Ok([0, 0, 0, 0x40, 7, 0]));
        assert_eq!(header(BYTES_MAX + 1, 7), Err(Error::Limit));
        assert_eq!(header(u32::MAX as usize + 20, 7), Err(Error::Limit));
    }

    #[test]
    fn headers_and_lengths_must_agree() {
        let good = listpack(&[b"a", b"1"]);
        for (at, byte, expected) in [
            (0, 11, "a listpack has another size than it says"),
            (4, 1, "a listpack has another number of elements than it says"),
            (4, 3, "a listpack has another number of elements than it says"),
            (6, 0xf5, "unknown encoding of an element"),
            (6, 0xff, "unknown encoding of an element"),
            (6, 0xbf, "the bytes end too early"),
            (8, 3, "a listpack has a wrong length backwards"),
            (11, 0xfe, "a listpack does not end"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            assert_eq!(read(&bytes), Err(Error::Malformed(expected)), "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>) {
            let _ = read(&bytes);
            let total = bytes.len() as u32 + 7;
            bytes.splice(0..0, total.to_le_bytes().into_iter().chain([0xff, 0xff]));
            bytes.push(0xff);
            let _ = read(&bytes);
        }
    }
}
