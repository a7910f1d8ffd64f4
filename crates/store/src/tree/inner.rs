//! Inner nodes and their counts in their encoded form, and unpacked where children come and go.

use std::cmp::Ordering;

use base::codec::{DecodeError, Reader, Write};

use super::scan::{Probe, bytes, varint};
use super::{NUMBER_END, ROOT};

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

/// The children of a node. There is no node without any.
fn open(node: &[u8]) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(node);
    match reader.u8()? {
        0 => Err(DecodeError::Tag(0)),
        _ if reader.is_empty() => Err(DecodeError::Short),
        _ => Ok(reader),
    }
}

fn child_number(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    match varint(reader)? {
        number @ 1..NUMBER_END => Ok(number),
        _ => Err(DecodeError::Overflow),
    }
}

/// The child that a key belongs to: the last one whose separator is not above it.
pub(super) fn route(node: &[u8], key: &[u8]) -> Result<Route, DecodeError> {
    let mut reader = open(node)?;
    bytes(&mut reader)?;
    let mut route = Route { index: 0, number: child_number(&mut reader)?, is_last: true };
    let probe = Probe::new(key);
    while !reader.is_empty() {
        if probe.compare_next(&mut reader)? == Ordering::Greater {
            route.is_last = false;
            break;
        }
        route.index += 1;
        route.number = child_number(&mut reader)?;
    }
    Ok(route)
}

/// A child by its place.
pub(super) fn nth(node: &[u8], index: usize) -> Result<Route, DecodeError> {
    let mut reader = open(node)?;
    for _ in 0..index {
        bytes(&mut reader)?;
        varint(&mut reader)?;
    }
    bytes(&mut reader)?;
    let number = child_number(&mut reader)?;
    Ok(Route { index, number, is_last: reader.is_empty() })
}

/// The last child.
pub(super) fn last(node: &[u8]) -> Result<Route, DecodeError> {
    let mut reader = open(node)?;
    let mut route = Route { index: 0, number: 0, is_last: true };
    for index in 0.. {
        bytes(&mut reader)?;
        route = Route { index, number: child_number(&mut reader)?, is_last: true };
        if reader.is_empty() {
            break;
        }
    }
    Ok(route)
}

/// How many children a node has.
pub(super) fn count(node: &[u8]) -> Result<usize, DecodeError> {
    Ok(last(node)?.index + 1)
}

/// The counts of a node's children; before them, in the root, the next free number.
pub(super) fn open_counts(counts: &[u8], number: u64) -> Result<(Option<u64>, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(counts);
    let next = if number == ROOT { Some(child_number(&mut reader)?) } else { None };
    Ok((next, reader))
}

/// The entries below the first children of a node, or below all of them.
pub(super) fn sum(counts: &[u8], number: u64, children: Option<usize>) -> Result<u64, DecodeError> {
    let (_, mut reader) = open_counts(counts, number)?;
    let mut sum = 0_u64;
    let mut index = 0;
    while children.map_or(!reader.is_empty(), |children| index < children) {
        sum = sum.checked_add(varint(&mut reader)?).ok_or(DecodeError::Overflow)?;
        index += 1;
    }
    Ok(sum)
}

/// The child that holds the entry of a rank. Of the rank remains what it is below that child.
pub(super) fn child_of_rank(
    counts: &[u8],
    number: u64,
    rank: &mut u64,
) -> Result<Option<usize>, DecodeError> {
    let (_, mut reader) = open_counts(counts, number)?;
    let mut index = 0;
    while !reader.is_empty() {
        let count = varint(&mut reader)?;
        if *rank < count {
            return Ok(Some(index));
        }
        *rank -= count;
        index += 1;
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
    let (old_next, mut reader) = open_counts(counts, number)?;
    out.clear();
    if let Some(old_next) = old_next {
        out.put_varint(next.unwrap_or(old_next));
    }
    let rest = reader.rest();
    for _ in 0..index {
        varint(&mut reader)?;
    }
    out.extend_from_slice(rest.get(..rest.len() - reader.len()).unwrap_or_default());
    out.put_varint(shifted(varint(&mut reader)?, delta)?);
    out.extend_from_slice(reader.rest());
    Ok(())
}

/// A count with another many entries.
pub(super) fn shifted(count: u64, delta: i64) -> Result<u64, DecodeError> {
    count.checked_add_signed(delta).ok_or(DecodeError::Overflow)
}

/// All children of a node.
pub(super) fn children<'a>(
    node: &'a [u8],
    counts: &[u8],
    number: u64,
) -> Result<Vec<Child<'a>>, DecodeError> {
    let mut reader = open(node)?;
    let (_, mut counts) = open_counts(counts, number)?;
    let mut children = Vec::with_capacity(counts.len() + 2);
    while !reader.is_empty() {
        let separator = bytes(&mut reader)?;
        let number = child_number(&mut reader)?;
        children.push(Child { separator, number, count: varint(&mut counts)? });
    }
    counts.finish()?;
    Ok(children)
}

pub(super) fn total(children: &[Child<'_>]) -> Result<u64, DecodeError> {
    let add = |sum: u64, child: &Child<'_>| sum.checked_add(child.count);
    children.iter().try_fold(0, add).ok_or(DecodeError::Overflow)
}

/// Puts together a node of children. What is below the first one's separator belongs to it as well.
pub(super) fn put_node(out: &mut Vec<u8>, level: u8, children: &[Child<'_>]) {
    out.clear();
    out.push(level);
    for (index, child) in children.iter().enumerate() {
        put_child(out, if index == 0 { &[] } else { child.separator }, child.number);
    }
}

pub(super) fn put_child(out: &mut Vec<u8>, separator: &[u8], number: u64) {
    out.put_bytes(separator);
    out.put_varint(number);
}

/// Puts together the counts of a node; the root's have the next free number.
pub(super) fn put_counts(out: &mut Vec<u8>, next: Option<u64>, children: &[Child<'_>]) {
    out.clear();
    if let Some(next) = next {
        out.put_varint(next);
    }
    for child in children {
        out.put_varint(child.count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            node: Vec<u8>,
            counts: Vec<u8>,
            key: Vec<u8>,
            number in 0..2_u64,
            index in 0..4_usize,
            mut rank: u64,
        ) {
            let _ = route(&node, &key);
            let _ = nth(&node, index);
            let _ = last(&node);
            let _ = sum(&counts, number, Some(index));
            let _ = sum(&counts, number, None);
            let _ = child_of_rank(&counts, number, &mut rank);
            let _ = put_shifted(&mut Vec::new(), &counts, None, (number, index), -1);
            if let Ok(children) = children(&node, &counts, number) {
                let _ = total(&children);
            }
        }
    }
}
