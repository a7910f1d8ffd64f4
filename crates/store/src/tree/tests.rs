//! Trees over a map of records, compared with a set of the standard library, and looked through after
//! every step.

mod check;
mod costs;
mod fill;
mod formats;
mod hostile;
mod large;
mod model;

use std::collections::HashMap;
use std::ops::ControlFlow;

use base::codec::DecodeError;

use super::*;
use check::check;

/// Records in memory, and what was done to them.
#[derive(Clone, Default)]
struct Map {
    records: HashMap<NodeId, Value>,
    reads: u64,
    writes: u64,
    removes: u64,
    bytes_written: u64,
    longest_written: usize,
}

#[derive(Debug)]
struct Malformed;

impl Nodes for Map {
    type Error = Malformed;

    fn read(&mut self, id: NodeId) -> Result<Option<Value>, Malformed> {
        self.reads += 1;
        Ok(self.records.get(&id).cloned())
    }

    fn write(&mut self, id: NodeId, value: Value) {
        self.writes += 1;
        self.bytes_written += value.len() as u64;
        self.longest_written = self.longest_written.max(value.len());
        self.records.insert(id, value);
    }

    fn remove(&mut self, id: NodeId) {
        self.removes += 1;
        assert!(self.records.remove(&id).is_some(), "{id:?} was not there");
    }

    fn malformed(&self, _: NodeId, _: DecodeError) -> Malformed {
        Malformed
    }
}

impl Map {
    fn tree(&mut self, shape: Shape) -> Tree<'_, Self> {
        Tree::with_shape(self, shape)
    }

    /// A tree of these entries, as the builder makes it.
    fn built<K: AsRef<[u8]>>(shape: Shape, keys: impl IntoIterator<Item = K>) -> Self {
        let mut map = Self::default();
        let mut builder = Builder::with_shape(shape);
        let mut emit = |id, value| {
            assert!(map.records.insert(id, value).is_none(), "{id:?} is given out twice");
            Ok::<(), Malformed>(())
        };
        for key in keys {
            builder.push(key.as_ref(), &mut emit).unwrap();
        }
        builder.finish(&mut emit).unwrap();
        map
    }

    fn forget_costs(&mut self) {
        (self.reads, self.writes, self.removes, self.bytes_written) = (0, 0, 0, 0);
        self.longest_written = 0;
    }
}

/// What a walk visits.
fn walked(map: &mut Map, shape: Shape, from: u64, direction: Direction, limit: usize) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    map.tree(shape)
        .walk(from, direction, |entry| {
            seen.push(entry.to_vec());
            if seen.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    seen
}

/// Numbers as sorted sets would write them: a score of eight bytes, and a member.
fn key(number: u64) -> Vec<u8> {
    let mut key = number.to_be_bytes().to_vec();
    key.extend_from_slice(format!("member:{number:08}").as_bytes());
    key
}

/// The numbers below `len` in an order without order.
fn shuffled(len: u64) -> impl Iterator<Item = u64> {
    // A step that has no divisor in common with the length visits all.
    let step = (len * 618 / 1000..).find(|step| gcd(*step, len) == 1).unwrap();
    (0..len).map(move |index| index * step % len)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
