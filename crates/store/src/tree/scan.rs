//! Reading lengths and comparing keys, where that happens a hundred times in an operation: most lengths
//! take one byte, and most keys differ in their first eight.

use std::cmp::Ordering;

use base::codec::{DecodeError, Reader};

/// As [`Reader::varint`].
#[inline]
pub(super) fn varint(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    match reader.rest().split_first() {
        Some((&byte, rest)) if byte < 0x80 => {
            *reader = Reader::new(rest);
            Ok(u64::from(byte))
        }
        _ => reader.varint(),
    }
}

/// As [`Reader::bytes`].
#[inline]
pub(super) fn bytes<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let len = usize::try_from(varint(reader)?).map_err(|_| DecodeError::Overflow)?;
    let (bytes, rest) = reader.rest().split_at_checked(len).ok_or(DecodeError::Short)?;
    *reader = Reader::new(rest);
    Ok(bytes)
}

/// A key that is looked for.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    key: &'a [u8],
    head: u64,
}

impl<'a> Probe<'a> {
    pub(super) fn new(key: &'a [u8]) -> Self {
        Self { key, head: head(key, key.len()) }
    }

    /// Reads bytes behind their length; says how they compare to the key.
    #[inline]
    pub(super) fn compare_next(&self, reader: &mut Reader<'_>) -> Result<Ordering, DecodeError> {
        let len = usize::try_from(varint(reader)?).map_err(|_| DecodeError::Overflow)?;
        let all = reader.rest();
        let (bytes, rest) = all.split_at_checked(len).ok_or(DecodeError::Short)?;
        *reader = Reader::new(rest);
        Ok(match head(all, len).cmp(&self.head) {
            Ordering::Equal => bytes.cmp(self.key),
            order => order,
        })
    }
}

/// The first eight bytes as a number that is in the same order, with zeros for those beyond `len`: what is
/// shorter is below what goes on with anything else, and zeros are told apart by whoever compares the rest.
#[inline]
fn head(bytes: &[u8], len: usize) -> u64 {
    let head = match bytes.first_chunk::<8>() {
        Some(head) => u64::from_be_bytes(*head),
        None => (0..8).fold(0, |head, at| head << 8 | u64::from(bytes.get(at).copied().unwrap_or(0))),
    };
    let beyond = 64 - 8 * len.min(8) as u32;
    head & u64::MAX.checked_shl(beyond).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::codec::Write;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bytes_compare_as_slices_do(
            a in prop::collection::vec(0..3_u8, 0..12),
            b in prop::collection::vec(0..3_u8, 0..12),
            tail: Vec<u8>,
        ) {
            let mut record = Vec::new();
            record.put_bytes(&a);
            record.extend_from_slice(&tail);
            let mut reader = Reader::new(&record);
            prop_assert_eq!(Probe::new(&b).compare_next(&mut reader), Ok(a.cmp(&b)));
            prop_assert_eq!(reader.rest(), &tail[..]);
        }

        #[test]
        fn any_bytes_are_read_as_the_codec_reads_them(record: Vec<u8>) {
            let mut reader = Reader::new(&record);
            prop_assert_eq!(varint(&mut reader), Reader::new(&record).varint());
            reader = Reader::new(&record);
            prop_assert_eq!(bytes(&mut reader), Reader::new(&record).bytes());
            reader = Reader::new(&record);
            let compared = Probe::new(b"key").compare_next(&mut reader);
            prop_assert_eq!(compared, Reader::new(&record).bytes().map(|bytes| bytes.cmp(b"key")));
        }
    }
}
