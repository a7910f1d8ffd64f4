//! Inner nodes in their encoded form, and unpacked where children come and go.
//!
//! A node's children lie in slots of one size, so that the way down is a search by halves. What the
//! separators begin with in common is said once, and eight bytes of each that follow lie in its slot: of most
//! sorted sets that is all of them. What is longer goes on behind the slots.

use std::cmp::Ordering;

use base::codec::{DecodeError, Reader, Write};

use super::NUMBER_END;
use super::counts::{COUNT_END, Counts};
use crate::splice::common_front;

/// The level of a node; leaves are at 0.
pub(super) fn level(node: &[u8]) -> Result<u8, DecodeError> {
    Reader::new(node).u8()
}

/// A child, with what its node and the counts beside it say of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child<'a> {
    pub(super) separator: &'a [u8],
    pub(super) number: u64,
    pub(super) count: u64,
}

/// Where the way goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) index: usize,
    pub(super) number: u64,
    pub(super) is_last: bool,
}

/// Bytes of a separator that lie in its slot.
const HEAD_BYTES: usize = 8;
/// A slot: the head of the separator and how long it is (8 if more follows), the child's number, and where
/// the rest of the separator ends among the rests.
pub(super) const SLOT_BYTES: usize = HEAD_BYTES + 1 + 6 + 4;

/// An inner node, taken apart.
struct Node<'a> {
    /// What all separators begin with but that of the first child, which is empty.
    prefix: &'a [u8],
    slots: &'a [[u8; SLOT_BYTES]],
    rests: &'a [u8],
}

impl<'a> Node<'a> {
    /// There is no node without children.
    fn of(node: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(node);
        if reader.u8()? == 0 {
            return Err(DecodeError::Tag(0));
        }
        let prefix = reader.bytes()?;
        let rests = reader.u32()? as usize;
        let rest = reader.rest();
        let slots = rest.len().checked_sub(rests).ok_or(DecodeError::Short)?;
        let (slots, rests) = rest.split_at_checked(slots).ok_or(DecodeError::Short)?;
        match slots.as_chunks() {
            ([], _) => Err(DecodeError::Short),
            (slots, []) => Ok(Self { prefix, slots, rests }),
            _ => Err(DecodeError::Trailing),
        }
    }

    fn slot(&self, index: usize) -> Result<Slot, DecodeError> {
        self.slots.get(index).ok_or(DecodeError::Short).and_then(Slot::decode)
    }

    /// What a separator has beyond its head.
    fn rest(&self, index: usize, slot: &Slot) -> Result<&'a [u8], DecodeError> {
        let start = match index.checked_sub(1) {
            Some(before) => self.slot(before)?.rest_end,
            None => 0,
        };
        self.rests.get(start..slot.rest_end).ok_or(DecodeError::Short)
    }

    fn route(&self, index: usize) -> Result<Route, DecodeError> {
        let number = self.slot(index)?.number;
        Ok(Route { index, number, is_last: index + 1 == self.slots.len() })
    }

    /// The last child whose separator is not above a key.
    fn find(&self, key: &[u8]) -> Result<usize, DecodeError> {
        let Some(key) = key.strip_prefix(self.prefix) else {
            return Ok(if key < self.prefix { 0 } else { self.slots.len() - 1 });
        };
        let head = Head::of(key);
        // Of the children from `low` on to before `high`, the first is not above the key.
        let (mut low, mut high) = (0, self.slots.len());
        while high - low > 1 {
            let middle = low.midpoint(high);
            let slot = self.slot(middle)?;
            let order = match slot.head.cmp(&head) {
                Ordering::Equal if head.len == HEAD_BYTES => {
                    let rest = key.get(HEAD_BYTES..).unwrap_or_default();
                    self.rest(middle, &slot)?.cmp(rest)
                }
                order => order,
            };
            *(if order == Ordering::Greater { &mut high } else { &mut low }) = middle;
        }
        Ok(low)
    }
}

/// The first bytes of a key as a number in the same order: zeros behind a shorter one, and then its length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    bytes: u64,
    len: usize,
}

impl Head {
    fn of(key: &[u8]) -> Self {
        let mut head = [0; HEAD_BYTES];
        let len = key.len().min(HEAD_BYTES);
        if let Some((head, key)) = head.get_mut(..len).zip(key.get(..len)) {
            head.copy_from_slice(key);
        }
        Self { bytes: u64::from_be_bytes(head), len }
    }
}

struct Slot {
    head: Head,
    number: u64,
    rest_end: usize,
}

impl Slot {
    fn decode(slot: &[u8; SLOT_BYTES]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(slot);
        let bytes = reader.u64()?;
        let len = match reader.u8()? {
            len if usize::from(len) <= HEAD_BYTES => usize::from(len),
            len => return Err(DecodeError::Tag(len)),
        };
        let number @ 1..NUMBER_END = reader.u48()? else { return Err(DecodeError::Overflow) };
        Ok(Self { head: Head { bytes, len }, number, rest_end: reader.u32()? as usize })
    }
}

/// The child that a key belongs to: the last one whose separator is not above it.
pub(super) fn route(node: &[u8], key: &[u8]) -> Result<Route, DecodeError> {
    let node = Node::of(node)?;
    node.route(node.find(key)?)
}

/// A child by its place.
pub(super) fn nth(node: &[u8], index: usize) -> Result<Route, DecodeError> {
    Node::of(node)?.route(index)
}

/// The last child.
pub(super) fn last(node: &[u8]) -> Result<Route, DecodeError> {
    let node = Node::of(node)?;
    node.route(node.slots.len() - 1)
}

/// How many children a node has.
pub(super) fn count(node: &[u8]) -> Result<usize, DecodeError> {
    Ok(Node::of(node)?.slots.len())
}

/// All children of a node; `names` takes their separators.
pub(super) fn children<'a>(
    node: &[u8],
    counts: &[u8],
    number: u64,
    names: &'a mut Vec<u8>,
) -> Result<Vec<Child<'a>>, DecodeError> {
    let (node, counts) = (Node::of(node)?, Counts::of(counts, number)?);
    if counts.len() != node.slots.len() {
        return Err(DecodeError::Mismatch);
    }
    names.clear();
    let mut ends = Vec::with_capacity(node.slots.len());
    for index in 0..node.slots.len() {
        let slot = node.slot(index)?;
        if index > 0 {
            names.extend_from_slice(node.prefix);
            names.extend_from_slice(slot.head.bytes.to_be_bytes().get(..slot.head.len).unwrap_or_default());
            names.extend_from_slice(node.rest(index, &slot)?);
        }
        ends.push((names.len(), slot.number));
    }
    let mut start = 0;
    let mut children = Vec::with_capacity(node.slots.len() + 2);
    for ((end, number), count) in ends.into_iter().zip(counts.iter()) {
        children.push(Child { separator: names.get(start..end).unwrap_or_default(), number, count });
        start = end;
    }
    Ok(children)
}

pub(super) fn total(children: &[Child<'_>]) -> Result<u64, DecodeError> {
    let add = |sum: u64, child: &Child<'_>| sum.checked_add(child.count);
    children.iter().try_fold(0, add).filter(|sum| *sum < COUNT_END).ok_or(DecodeError::Overflow)
}

/// Puts together a node of children. What is below the first one's separator belongs to it as well.
pub(super) fn put_node(out: &mut Vec<u8>, level: u8, children: &[Child<'_>]) {
    let named = children.get(1..).unwrap_or_default();
    let prefix = match named {
        [first, .., last] => {
            let common = common_front(first.separator, last.separator);
            first.separator.get(..common).unwrap_or_default()
        }
        _ => &[],
    };
    let suffixes = || named.iter().map(|child| child.separator.get(prefix.len()..).unwrap_or_default());
    let rests = || suffixes().map(|suffix| suffix.get(HEAD_BYTES..).unwrap_or_default());
    out.clear();
    out.push(level);
    out.put_bytes(prefix);
    out.put_u32(rests().map(<[u8]>::len).sum::<usize>() as u32);
    let mut rest_end = 0;
    for (child, suffix) in children.iter().zip(std::iter::once(&[][..]).chain(suffixes())) {
        let head = Head::of(suffix);
        rest_end += suffix.len() - head.len;
        out.put_u64(head.bytes);
        out.push(head.len as u8);
        out.put_u48(child.number);
        out.put_u32(rest_end as u32);
    }
    rests().for_each(|rest| out.extend_from_slice(rest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::counts::put_counts;
    use proptest::prelude::*;

    fn named(names: &[Vec<u8>]) -> Vec<Child<'_>> {
        let child = |(index, separator)| Child { separator, number: index as u64 + 1, count: index as u64 };
        std::iter::once(&[][..]).chain(names.iter().map(Vec::as_slice)).enumerate().map(child).collect()
    }

    proptest! {
        /// Few different bytes, zeros among them, so that there are beginnings in common and ties.
        #[test]
        fn the_way_leads_to_the_last_separator_that_is_not_above(
            front in prop::collection::vec(0..2_u8, 0..12),
            names in prop::collection::btree_set(prop::collection::vec(0..2_u8, 1..14), 0..40),
            key in prop::collection::vec(0..2_u8, 0..14),
            is_inside: bool,
        ) {
            let names: Vec<Vec<u8>> = names.into_iter().map(|name| [&front[..], &name].concat()).collect();
            let key = if is_inside { [&front[..], &key].concat() } else { key };
            let children = named(&names);
            let (mut node, mut counts) = (Vec::new(), Vec::new());
            put_node(&mut node, 1, &children);
            put_counts(&mut counts, None, &children);
            let expected = names.iter().filter(|name| **name <= key).count();
            let found = route(&node, &key).unwrap();
            prop_assert_eq!((found.index, found.number), (expected, expected as u64 + 1));
            prop_assert_eq!(found.is_last, expected == names.len());
            let mut bytes = Vec::new();
            let again = super::children(&node, &counts, 7, &mut bytes).unwrap();
            let told = |child: &Child<'_>| (child.separator.to_vec(), child.number, child.count);
            prop_assert_eq!(
                again.iter().map(told).collect::<Vec<_>>(),
                children.iter().map(told).collect::<Vec<_>>()
            );
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(node: Vec<u8>, counts: Vec<u8>, key: Vec<u8>, index in 0..4_usize) {
            let _ = route(&node, &key);
            let _ = nth(&node, index);
            let _ = last(&node);
            if let Ok(children) = children(&node, &counts, 0, &mut Vec::new()) {
                let _ = total(&children);
            }
        }
    }
}
