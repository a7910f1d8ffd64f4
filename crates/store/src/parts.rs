//! Log entries are bounded; a transaction is not. What is larger than an entry goes as several,
//! one after the other, and takes effect with the last one: a replica puts them together and
//! applies them as if they were one.

use base::codec::{DecodeError, Reader, Write};
use base::{Stamp, limits};
use bytes::Bytes;

/// First byte of a part; whole entries begin with their own version.
const PART: u8 = 0xf1;
const HEADER_BYTES: usize = 1 + 8 + 4 + 4;
/// Payload of one part. Below the bound of an entry by more than any header.
const PART_BYTES: usize = limits::BATCH_BYTES_MAX;

const _: () = assert!(PART_BYTES + HEADER_BYTES + 1024 <= limits::ENTRY_BYTES_MAX);

/// A payload as log entries.
pub fn split(payload: Vec<u8>, last: Stamp) -> Vec<Bytes> {
    if payload.len() <= PART_BYTES {
        return vec![Bytes::from(payload)];
    }
    let total = payload.len().div_ceil(PART_BYTES) as u32;
    payload
        .chunks(PART_BYTES)
        .zip(0u32..)
        .map(|(chunk, part)| {
            let mut out = Vec::with_capacity(HEADER_BYTES + chunk.len());
            out.push(PART);
            out.put_u64(last.0);
            out.put_u32(part);
            out.put_u32(total);
            out.extend_from_slice(chunk);
            Bytes::from(out)
        })
        .collect()
}

/// Puts parts together.
#[derive(Default)]
pub struct Assembler {
    last: Stamp,
    next: u32,
    bytes: Vec<u8>,
}

/// What an entry brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Assembled {
    /// A payload, whole.
    Whole(Bytes),
    /// More parts are to come. Until then the entry has no effect, and must be read again after a
    /// restart.
    Incomplete,
    /// A part whose first ones never came: its transaction was given up.
    Stray,
}

impl Assembler {
    /// Takes the next entry of the log. What an earlier transaction left unfinished is dropped: its
    /// leader did not get to its end.
    pub fn take(&mut self, payload: Bytes) -> Result<Assembled, DecodeError> {
        if payload.first() != Some(&PART) {
            self.clear();
            return Ok(Assembled::Whole(payload));
        }
        let mut reader = Reader::new(&payload);
        reader.u8()?;
        let (last, part, total) = (Stamp(reader.u64()?), reader.u32()?, reader.u32()?);
        if part == 0 {
            self.clear();
            self.last = last;
        } else if last != self.last || part != self.next {
            self.clear();
            return Ok(Assembled::Stray);
        }
        self.bytes.extend_from_slice(reader.rest());
        self.next = part + 1;
        if self.next < total {
            return Ok(Assembled::Incomplete);
        }
        let whole = std::mem::take(&mut self.bytes);
        self.clear();
        Ok(Assembled::Whole(Bytes::from(whole)))
    }

    /// Drops what is unfinished.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|i| if i == 0 { 1 } else { (i * 7) as u8 }).collect()
    }

    #[test]
    fn what_is_split_is_put_together() {
        for len in [1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 3 * PART_BYTES + 5] {
            let parts = split(payload(len), Stamp(9));
            assert_eq!(parts.len(), len.div_ceil(PART_BYTES));
            let mut assembler = Assembler::default();
            let (final_part, first_parts) = parts.split_last().unwrap();
            for part in first_parts {
                assert!(part.len() <= limits::ENTRY_BYTES_MAX);
                assert_eq!(assembler.take(part.clone()), Ok(Assembled::Incomplete));
            }
            assert_eq!(assembler.take(final_part.clone()), Ok(Assembled::Whole(payload(len).into())));
        }
    }

    #[test]
    fn an_unfinished_transaction_has_no_effect() {
        let first = split(payload(2 * PART_BYTES + 1), Stamp(1));
        let second = split(payload(2 * PART_BYTES + 2), Stamp(2));
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(first[0].clone()), Ok(Assembled::Incomplete));
        assert_eq!(assembler.take(payload(10).into()), Ok(Assembled::Whole(payload(10).into())));
        assert_eq!(assembler.take(first[1].clone()), Ok(Assembled::Stray));
        assert_eq!(assembler.take(first[2].clone()), Ok(Assembled::Stray));
        assert_eq!(assembler.take(first[0].clone()), Ok(Assembled::Incomplete));
        for part in &second[..2] {
            assert_eq!(assembler.take(part.clone()), Ok(Assembled::Incomplete));
        }
        let whole = Assembled::Whole(payload(2 * PART_BYTES + 2).into());
        assert_eq!(assembler.take(second[2].clone()), Ok(whole));
    }

    #[test]
    fn a_short_part_is_refused() {
        let part = split(payload(2 * PART_BYTES), Stamp(1)).remove(0);
        for len in 1..HEADER_BYTES {
            assert_eq!(Assembler::default().take(part.slice(..len)), Err(DecodeError::Short));
        }
    }
}
