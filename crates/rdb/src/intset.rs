//! Intsets: the numbers of a set in ascending order, all of the same width.
//!
//! ```text
//! width in bytes u32 | count u32 | numbers
//! ```

use crate::Error;
use crate::listpack::little_endian;
use base::codec::Reader;

/// The numbers of an intset, which are checked to be in order.
pub(crate) fn read(bytes: &[u8]) -> Result<impl Iterator<Item = i64>, Error> {
    let mut reader = Reader::new(bytes);
    let width = reader.u32()?.swap_bytes() as usize;
    let count = reader.u32()?.swap_bytes() as usize;
    if !matches!(width, 2 | 4 | 8) {
        return Err(Error::Malformed("unknown width of an intset"));
    }
    if reader.len().checked_div(width) != Some(count) || !reader.len().is_multiple_of(width) {
        return Err(Error::Malformed("an intset has another number of elements than it says"));
    }
    let numbers = reader.rest().chunks_exact(width).map(little_endian);
    if !numbers.clone().is_sorted_by(|a, b| a < b) {
        return Err(Error::Malformed("an intset is out of order"));
    }
    Ok(numbers)
}

/// The numbers must be in ascending order, none twice.
pub(crate) fn write(numbers: &[i64]) -> Result<Vec<u8>, Error> {
    let fits = |width: u32| {
        let unused_bits = 64 - 8 * width;
        let is_kept = |number: Option<&i64>| number.is_none_or(|n| n << unused_bits >> unused_bits == *n);
        is_kept(numbers.first()) && is_kept(numbers.last())
    };
    let width = [2, 4].into_iter().find(|width| fits(*width)).unwrap_or(8);
    let count = u32::try_from(numbers.len()).map_err(|_| Error::Limit)?;
    let mut bytes = Vec::with_capacity(8 + numbers.len() * width as usize);
    bytes.extend_from_slice(&width.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    for number in numbers {
        bytes.extend(number.to_le_bytes().into_iter().take(width as usize));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(bytes: &[u8]) -> Result<Vec<i64>, Error> {
        read(bytes).map(Iterator::collect)
    }

    #[test]
    fn the_width_is_that_of_the_widest() {
        for (numbers, width) in [
            (vec![-1, 0, 7], 2),
            (vec![-32_768, 32_767], 2),
            (vec![-32_769, 0], 4),
            (vec![0, 32_768], 4),
            (vec![i64::from(i32::MIN), i64::from(i32::MAX)], 4),
            (vec![0, 1 << 31], 8),
            (vec![i64::MIN, i64::MAX], 8),
        ] {
            let bytes = write(&numbers).unwrap();
            assert_eq!(bytes.len(), 8 + width * numbers.len());
            assert_eq!(usize::from(bytes[0]), width);
            assert_eq!(back(&bytes), Ok(numbers));
        }
    }

    #[test]
    fn order_width_and_count_are_checked() {
        for (bytes, expected) in [
            (&b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0"[..], "an intset is out of order"),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\xff\xff", "an intset is out of order"),
            (b"\x02\0\0\0\x01\0\0\0\x01\0\x02\0", "an intset has another number of elements than it says"),
            (b"\x02\0\0\0\x01\0\0\0\x01\0\x02", "an intset has another number of elements than it says"),
            (b"\x03\0\0\0\x01\0\0\0\x01\0\0", "unknown width of an intset"),
            (b"\0\0\0\0\0\0\0\0", "unknown width of an intset"),
            (b"\x02\0\0\0\x01\0\0", "the bytes end too early"),
        ] {
            assert_eq!(back(bytes), Err(Error::Malformed(expected)));
        }
    }
}
