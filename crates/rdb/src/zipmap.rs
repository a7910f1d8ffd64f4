//! Zipmaps, the small hashes of Redis before 2.6. They are only read.
//!
//! ```text
//! pairs u8, 254 is "count them" | (length, field, length, unused u8, value, unused bytes)* | 0xff
//! ```

use crate::Error;
use base::codec::Reader;

const END: u8 = 0xff;
const COUNT_UNKNOWN: u8 = 254;
/// Says that a length takes four more bytes.
const LONG: u8 = 254;

/// The pairs of a zipmap. It ends with an error if they are not as many as the header says.
#[derive(Debug)]
pub(crate) struct Zipmap<'a> {
    reader: Reader<'a>,
    left: Option<u8>,
}

impl<'a> Zipmap<'a> {
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let count = reader.u8()?;
        let Some((&END, pairs)) = reader.rest().split_last() else {
            return Err(Error::Malformed("a zipmap does not end"));
        };
        Ok(Self { reader: Reader::new(pairs), left: (count < COUNT_UNKNOWN).then_some(count) })
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), Error> {
        let len = self.length()?;
        let field = self.reader.take(len)?;
        let len = self.length()?;
        let unused_len = usize::from(self.reader.u8()?);
        let value = self.reader.take(len)?;
        self.reader.take(unused_len)?;
        self.left = match self.left {
            Some(left) => Some(left.checked_sub(1).ok_or(WRONG_COUNT)?),
            None => None,
        };
        Ok((field, value))
    }

    fn length(&mut self) -> Result<usize, Error> {
        match self.reader.u8()? {
            END => Err(Error::Malformed("a zipmap ends early")),
            LONG => Ok(self.reader.u32()?.swap_bytes() as usize),
            len => Ok(usize::from(len)),
        }
    }
}

const WRONG_COUNT: Error = Error::Malformed("a zipmap has another number of pairs than it says");

impl<'a> Iterator for Zipmap<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.reader.is_empty() {
            return Some(self.pair());
        }
        // Once: whoever asks again after an error finds the end.
        self.left.take().filter(|left| *left > 0).map(|_| Err(WRONG_COUNT))
    }
}
