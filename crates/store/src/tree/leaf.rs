//! Leaves in their encoded form: entries are found, counted and cut out without being unpacked.
//!
//! Offsets are into the whole record.

use std::cmp::Ordering;
use std::ops::Range;

use base::codec::{DecodeError, Reader, Write};

use super::scan::{Probe, bytes};
use crate::splice::common_front;

/// What a leaf's record begins with.
pub(super) const LEVEL: u8 = 0;
/// Bytes of a leaf before its first entry.
pub(super) const HEADER: usize = 1;

/// Reads the entries of a leaf one after the other.
pub(super) struct Entries<'a> {
    record: &'a [u8],
    rest: Reader<'a>,
}

/// An entry: its bytes, and where it lies with its length and without.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Item<'_> {
    /// Where its bytes lie.
    pub(super) fn range(&self) -> Range<usize> {
        self.end - self.bytes.len()..self.end
    }
}

impl<'a> Entries<'a> {
    /// There is no leaf without entries.
    pub(super) fn of(record: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Reader::new(record);
        match rest.u8()? {
            LEVEL if rest.is_empty() => Err(DecodeError::Short),
            LEVEL => Ok(Self { record, rest }),
            other => Err(DecodeError::Tag(other)),
        }
    }

    /// The entries from where one of them begins.
    pub(super) fn from(record: &'a [u8], start: usize) -> Self {
        Self { record, rest: Reader::new(record.get(start..).unwrap_or_default()) }
    }

    pub(super) fn next(&mut self) -> Result<Option<Item<'a>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let start = self.offset();
        let bytes = bytes(&mut self.rest)?;
        Ok(Some(Item { bytes, start, end: self.offset() }))
    }

    /// How many entries are left.
    pub(super) fn count(mut self) -> Result<usize, DecodeError> {
        let mut count = 0;
        while !self.rest.is_empty() {
            bytes(&mut self.rest)?;
            count += 1;
        }
        Ok(count)
    }

    pub(super) fn offset(&self) -> usize {
        self.record.len() - self.rest.len()
    }
}

/// Where a key lies in a leaf, or would.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) index: usize,
    /// The entry; empty if it is not there.
    pub(super) range: Range<usize>,
    pub(super) is_found: bool,
}

pub(super) fn search(record: &[u8], key: &[u8]) -> Result<Place, DecodeError> {
    let mut entries = Entries::of(record)?;
    let probe = Probe::new(key);
    let mut index = 0;
    while !entries.rest.is_empty() {
        let start = entries.offset();
        match probe.compare_next(&mut entries.rest)? {
            Ordering::Less => index += 1,
            order => {
                let is_found = order == Ordering::Equal;
                let end = if is_found { entries.offset() } else { start };
                return Ok(Place { index, range: start..end, is_found });
            }
        }
    }
    Ok(Place { index, range: record.len()..record.len(), is_found: false })
}

/// Where the bytes of an entry lie.
pub(super) fn nth(record: &[u8], index: u64) -> Result<Option<Range<usize>>, DecodeError> {
    let mut entries = Entries::of(record)?;
    let mut left = index;
    while let Some(item) = entries.next()? {
        if left == 0 {
            return Ok(Some(item.range()));
        }
        left -= 1;
    }
    Ok(None)
}

/// Where each entry of a leaf begins, and the end.
pub(super) fn offsets(record: &[u8]) -> Result<Vec<usize>, DecodeError> {
    let mut entries = Entries::of(record)?;
    let mut offsets = vec![entries.offset()];
    while let Some(item) = entries.next()? {
        offsets.push(item.end);
    }
    Ok(offsets)
}

/// Bytes of an entry with its length.
pub(super) fn entry_bytes(key: &[u8]) -> usize {
    let bits = usize::BITS - key.len().leading_zeros();
    key.len() + (bits.div_ceil(7) as usize).max(1)
}

/// Puts together a leaf of entries that lie in others, with a new one among them.
pub(super) fn put_together(out: &mut Vec<u8>, before: &[u8], new: Option<&[u8]>, after: &[u8]) {
    out.clear();
    out.reserve(HEADER + before.len() + new.map_or(0, entry_bytes) + after.len());
    out.push(LEVEL);
    out.extend_from_slice(before);
    if let Some(new) = new {
        out.put_bytes(new);
    }
    out.extend_from_slice(after);
}

/// The shortest beginning of `right` that is above `left`.
pub(super) fn separator<'a>(left: &[u8], right: &'a [u8]) -> &'a [u8] {
    right.get(..=common_front(left, right)).unwrap_or(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_separator_is_the_shortest_that_separates(
            common in prop::collection::vec(0..3_u8, 0..200),
            a in prop::collection::vec(0..3_u8, 0..4),
            b in prop::collection::vec(0..3_u8, 0..4),
        ) {
            let (a, b) = ([&common[..], &a].concat(), [&common[..], &b].concat());
            prop_assume!(a != b);
            let (left, right) = if a < b { (&a, &b) } else { (&b, &a) };
            let found = separator(left, right);
            prop_assert!(right.starts_with(found) && found > &left[..]);
            prop_assert!(found[..found.len() - 1] <= left[..]);
        }

        #[test]
        fn an_entry_takes_the_bytes_that_are_said(len in 0..40_000_usize) {
            let mut out = Vec::new();
            out.put_bytes(&vec![0; len]);
            prop_assert_eq!(out.len(), entry_bytes(&vec![0; len]));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>, key: Vec<u8>) {
            let leaf = [&[LEVEL], &bytes[..]].concat();
            prop_assert!(search(&leaf, &key).is_ok() || offsets(&leaf).is_err());
            let _ = search(&bytes, &key);
        }
    }
}
