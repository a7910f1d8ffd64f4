//! The counts beside an inner node, in their encoded form: how many entries there are below each child.

use base::codec::{DecodeError, Reader, Write};

use super::inner::Child;
use super::{NUMBER_END, ROOT};

/// The counts of a node's children, taken apart.
pub(super) struct Counts<'a> {
    width: Width,
    /// In the root: the next free number.
    pub(super) next: Option<u64>,
    bytes: &'a [u8],
}

/// Bytes of a count: as few as last for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Width {
    Two = 2,
    Four = 4,
    Six = 6,
}

/// Counts are below this, as numbers of nodes are.
pub(super) const COUNT_END: u64 = NUMBER_END;

impl Width {
    fn decode(width: u8) -> Result<Self, DecodeError> {
        match width {
            2 => Ok(Self::Two),
            4 => Ok(Self::Four),
            6 => Ok(Self::Six),
            other => Err(DecodeError::Tag(other)),
        }
    }

    /// With room to grow: what has become too narrow is written anew.
    fn of(counts: impl Iterator<Item = u64>) -> Self {
        match counts.max().unwrap_or(0) {
            0..0x8000 => Self::Two,
            0x8000..0x8000_0000 => Self::Four,
            _ => Self::Six,
        }
    }

    fn put(self, out: &mut Vec<u8>, count: u64) {
        let bytes = count.to_be_bytes();
        out.extend_from_slice(bytes.get(bytes.len() - self as usize..).unwrap_or_default());
    }

    fn holds(self, count: u64) -> bool {
        count >> (8 * self as u32) == 0
    }
}

impl<'a> Counts<'a> {
    /// Of a node by its number.
    pub(super) fn of(counts: &'a [u8], number: u64) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(counts);
        let width = Width::decode(reader.u8()?)?;
        let next = if number == ROOT { Some(reader.u48()?) } else { None };
        if next == Some(0) {
            return Err(DecodeError::Overflow);
        }
        let bytes = reader.rest();
        if bytes.len().is_multiple_of(width as usize) {
            Ok(Self { width, next, bytes })
        } else {
            Err(DecodeError::Trailing)
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> {
        self.bytes.chunks_exact(self.width as usize).map(number_of)
    }

    pub(super) fn get(&self, index: usize) -> Result<u64, DecodeError> {
        let bytes = self.bytes.chunks_exact(self.width as usize).nth(index);
        bytes.map(number_of).ok_or(DecodeError::Short)
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.width as usize
    }
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The entries below the first children of a node, or below all of them.
pub(super) fn sum(counts: &[u8], number: u64, children: Option<usize>) -> Result<u64, DecodeError> {
    let counts = Counts::of(counts, number)?;
    let children = children.unwrap_or(counts.len());
    if children > counts.len() {
        return Err(DecodeError::Short);
    }
    // Counts of 48 bits, each of at least two bytes: this cannot be too much for 64.
    Ok(counts.iter().take(children).fold(0, u64::wrapping_add))
}

/// The child that holds the entry of a rank. Of the rank remains what it is below that child.
pub(super) fn child_of_rank(
    counts: &[u8],
    number: u64,
    rank: &mut u64,
) -> Result<Option<usize>, DecodeError> {
    for (index, count) in Counts::of(counts, number)?.iter().enumerate() {
        if *rank < count {
            return Ok(Some(index));
        }
        *rank -= count;
    }
    Ok(None)
}

/// Puts together counts with that of one child changed, and in the root with another free number.
pub(super) fn put_shifted(
    out: &mut Vec<u8>,
    counts: &[u8],
    next: Option<u64>,
    child: (u64, usize),
    delta: i64,
) -> Result<(), DecodeError> {
    let (number, index) = child;
    let old = Counts::of(counts, number)?;
    let next = old.next.map(|old| next.unwrap_or(old));
    let count = shifted(old.get(index)?, delta)?;
    if !old.width.holds(count) {
        let changed = |(at, old)| if at == index { count } else { old };
        put_all(out, next, &old.iter().enumerate().map(changed).collect::<Vec<u64>>());
        return Ok(());
    }
    put_front(out, old.width, next);
    let start = index * old.width as usize;
    out.extend_from_slice(old.bytes.get(..start).unwrap_or_default());
    old.width.put(out, count);
    out.extend_from_slice(old.bytes.get(start + old.width as usize..).unwrap_or_default());
    Ok(())
}

/// A count with another many entries.
pub(super) fn shifted(count: u64, delta: i64) -> Result<u64, DecodeError> {
    count.checked_add_signed(delta).filter(|count| *count < COUNT_END).ok_or(DecodeError::Overflow)
}

/// Puts together the counts of a node; the root's have the next free number.
pub(super) fn put_counts(out: &mut Vec<u8>, next: Option<u64>, children: &[Child<'_>]) {
    let counts: Vec<u64> = children.iter().map(|child| child.count).collect();
    put_all(out, next, &counts);
}

fn put_all(out: &mut Vec<u8>, next: Option<u64>, counts: &[u64]) {
    let width = Width::of(counts.iter().copied());
    put_front(out, width, next);
    counts.iter().for_each(|count| width.put(out, *count));
}

fn put_front(out: &mut Vec<u8>, width: Width, next: Option<u64>) {
    out.clear();
    out.push(width as u8);
    if let Some(next) = next {
        out.put_u48(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_of_any_size_are_shifted(
            before in prop::collection::vec(prop_oneof![0..9_u64, 0x7FF0..0x1_0010_u64, 0..COUNT_END], 1..20),
            at: prop::sample::Index,
            delta in prop_oneof![-9..9_i64, -0x1_0000..0x1_0000_i64],
            is_root: bool,
        ) {
            let (number, next) = if is_root { (ROOT, Some(9)) } else { (1, None) };
            let (mut record, mut out) = (Vec::new(), Vec::new());
            put_all(&mut record, next, &before);
            let at = at.index(before.len());
            let mut after = before.clone();
            let shifted = put_shifted(&mut out, &record, is_root.then_some(10), (number, at), delta);
            match before[at].checked_add_signed(delta).filter(|count| *count < COUNT_END) {
                Some(count) => after[at] = count,
                None => {
                    prop_assert!(shifted.is_err());
                    return Ok(());
                }
            }
            let found = Counts::of(&out, number).unwrap();
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), after);
            prop_assert_eq!(found.next, is_root.then_some(10));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            counts: Vec<u8>,
            number in 0..2_u64,
            index in 0..4_usize,
            mut rank: u64,
        ) {
            let _ = sum(&counts, number, Some(index));
            let _ = sum(&counts, number, None);
            let _ = child_of_rank(&counts, number, &mut rank);
            let _ = put_shifted(&mut Vec::new(), &counts, None, (number, index), -1);
        }
    }
}
