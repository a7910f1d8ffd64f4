//! A counted B+tree over small records: it keeps byte strings in order, finds the n-th of them and
//! says which place one has. Wide sorted sets keep their order in it.
//!
//! Every record is read and written by its id, so that nothing here ever scans a range of the store,
//! works in any lane, and costs the same after a million entries have been popped as before.
//!
//! | record | bytes |
//! | --- | --- |
//! | leaf | 0, then for each entry: length, bytes |
//! | inner node | level, then what the separators begin with, and a slot for each child ([`inner`]) |
//! | counts of an inner node | in the root the next free number; for each child the entries below it |
//!
//! Lengths are varints. A separator is not above what its child holds and above what the
//! child before it holds; a first child has an empty one. The root is number 0, whatever it is: a tree of
//! one leaf is one record, and an empty tree is none.
//!
//! Invariants: counts are beside the nodes that they belong to, so that an insert rewrites one leaf and a
//! small record per level. A leaf above [`Shape::leaf_bytes_max`] holds one entry, is never the root, and so
//! is written once and not again until its entry goes.

mod build;
mod counts;
mod edit;
mod inner;
mod insert;
mod leaf;
mod merge;
mod read;
mod remove;
mod scan;

use base::codec::{DecodeError, Write};

use crate::record::Value;

pub use build::Builder;
pub use read::{Direction, Entry};

/// The record of a node, or of its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId {
    number: u64,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
enum Part {
    Node = 0,
    Counts = 1,
}

/// The number of the root.
const ROOT: u64 = 0;
/// Numbers are below this: they are never used again while the tree has more than one leaf, and 48 bits
/// last for a split in every microsecond of nine years.
const NUMBER_END: u64 = 1 << 48;

impl NodeId {
    fn node(number: u64) -> Self {
        Self { number, part: Part::Node }
    }

    fn counts(number: u64) -> Self {
        Self { number, part: Part::Counts }
    }

    /// Appends what tells this record from the others of its tree. A node and its counts lie side by side,
    /// and what was made together lies together.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u48(self.number);
        out.push(self.part as u8);
    }
}

/// Where the records are. After an error the records are in no order: what was written is to be dropped.
pub trait Nodes {
    type Error;

    fn read(&mut self, id: NodeId) -> Result<Option<Value>, Self::Error>;
    fn write(&mut self, id: NodeId, value: Value);
    fn remove(&mut self, id: NodeId);
    /// The error for a record that cannot be what it should be, or is not there.
    fn malformed(&self, id: NodeId, why: DecodeError) -> Self::Error;
}

/// How large nodes become. A tree may be worked on with another shape than the one it was made with.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub leaf_entries_max: usize,
    /// A single entry may be larger.
    pub leaf_bytes_max: usize,
    pub fan_out: usize,
    /// Above this an inner node of several children is split: entries that have long beginnings in
    /// common make long separators.
    pub inner_bytes_max: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { leaf_entries_max: 48, leaf_bytes_max: 1536, fan_out: 256, inner_bytes_max: 16 << 10 }
    }
}

/// An inner node of fewer children is not split, however long its separators are.
const INNER_SPLIT_CHILDREN_MIN: usize = 8;
/// A node is merged with a neighbour when it is at most one part in this many full.
const SMALL_PART: usize = 4;

impl Shape {
    fn leaf_fits(&self, entries: usize, bytes: usize) -> bool {
        entries <= self.leaf_entries_max && bytes <= self.leaf_bytes_max
    }

    fn leaf_is_small(&self, entries: u64, bytes: usize) -> bool {
        self.entries_are_few(entries) && bytes.saturating_mul(SMALL_PART) <= self.leaf_bytes_max
    }

    fn entries_are_few(&self, entries: u64) -> bool {
        entries.saturating_mul(SMALL_PART as u64) <= self.leaf_entries_max as u64
    }

    fn inner_fits(&self, children: usize, bytes: usize) -> bool {
        children <= self.fan_out && (bytes <= self.inner_bytes_max || children < INNER_SPLIT_CHILDREN_MIN)
    }

    fn inner_is_small(&self, children: usize) -> bool {
        children.saturating_mul(SMALL_PART) <= self.fan_out
    }
}

/// A tree: its records, and a buffer to put them together in.
pub struct Tree<'n, N> {
    nodes: &'n mut N,
    shape: Shape,
    out: Vec<u8>,
}

/// An inner node on the way to a leaf.
struct Step {
    number: u64,
    node: Value,
    /// Read already, if the way was found by rank.
    counts: Option<Value>,
    /// The child that the way goes on to.
    index: usize,
    is_last: bool,
}

/// A leaf and the way to it.
struct Descent {
    path: Vec<Step>,
    number: u64,
    leaf: Value,
}

impl Descent {
    fn is_leftmost(&self) -> bool {
        self.path.iter().all(|step| step.index == 0)
    }

    fn is_rightmost(&self) -> bool {
        self.path.iter().all(|step| step.is_last)
    }
}

/// Levels of a tree of a hundred million entries.
const PATH_CAPACITY: usize = 6;

impl<'n, N: Nodes> Tree<'n, N> {
    pub fn new(nodes: &'n mut N) -> Self {
        Self::with_shape(nodes, Shape::default())
    }

    pub fn with_shape(nodes: &'n mut N, shape: Shape) -> Self {
        Self { nodes, shape, out: Vec::new() }
    }

    fn checked<T>(&self, id: NodeId, decoded: Result<T, DecodeError>) -> Result<T, N::Error> {
        decoded.map_err(|why| self.nodes.malformed(id, why))
    }

    /// A record that must be there.
    fn read(&mut self, id: NodeId) -> Result<Value, N::Error> {
        match self.nodes.read(id)? {
            Some(value) => Ok(value),
            None => Err(self.nodes.malformed(id, DecodeError::Short)),
        }
    }

    /// A node that must be there, at a level: so that no bytes can lead in circles.
    fn read_at_level(&mut self, number: u64, level: u8) -> Result<Value, N::Error> {
        let id = NodeId::node(number);
        let node = self.read(id)?;
        match self.checked(id, inner::level(&node))? {
            found if found == level => Ok(node),
            found => Err(self.nodes.malformed(id, DecodeError::Tag(found))),
        }
    }

    /// Goes down to a leaf the way that `choose` says: it gets the inner node that was reached, with its
    /// counts if it has put them there. `None` if the tree is empty.
    fn descend(
        &mut self,
        mut choose: impl FnMut(&mut Self, &mut Step) -> Result<Option<inner::Route>, N::Error>,
    ) -> Result<Option<Descent>, N::Error> {
        let Some(mut node) = self.nodes.read(NodeId::node(ROOT))? else { return Ok(None) };
        let mut level = self.checked(NodeId::node(ROOT), inner::level(&node))?;
        let mut number = ROOT;
        let mut path = Vec::new();
        if level > 0 {
            path.reserve(PATH_CAPACITY);
        }
        while level > 0 {
            let mut step = Step { number, node, counts: None, index: 0, is_last: false };
            let Some(route) = choose(self, &mut step)? else { return Ok(None) };
            (step.index, step.is_last) = (route.index, route.is_last);
            level -= 1;
            number = route.number;
            node = self.read_at_level(number, level)?;
            path.push(step);
        }
        Ok(Some(Descent { path, number, leaf: node }))
    }

    /// The leaf that a key belongs to.
    fn descend_to_key(&mut self, key: &[u8]) -> Result<Option<Descent>, N::Error> {
        self.descend(|tree, step| {
            tree.checked(NodeId::node(step.number), inner::route(&step.node, key)).map(Some)
        })
    }

    /// The leaf that holds the entry of a rank, and which of the leaf's entries that is.
    fn descend_to_rank(&mut self, rank: u64) -> Result<Option<(Descent, u64)>, N::Error> {
        let mut left = rank;
        let descent = self.descend(|tree, step| {
            let id = NodeId::counts(step.number);
            let record = tree.read(id)?;
            let child = tree.checked(id, counts::child_of_rank(&record, step.number, &mut left))?;
            let is_root = step.number == ROOT;
            step.counts = Some(record);
            match child {
                Some(index) => {
                    tree.checked(NodeId::node(step.number), inner::nth(&step.node, index)).map(Some)
                }
                None if is_root => Ok(None),
                None => Err(tree.nodes.malformed(id, DecodeError::Short)),
            }
        })?;
        Ok(descent.map(|descent| (descent, left)))
    }

    /// How many entries a leaf has: the counts above it say so.
    fn leaf_count(&mut self, descent: &mut Descent) -> Result<usize, N::Error> {
        let Some(step) = descent.path.last_mut() else {
            let entries = leaf::Entries::of(&descent.leaf).and_then(leaf::Entries::count);
            return self.checked(NodeId::node(descent.number), entries);
        };
        let id = NodeId::counts(step.number);
        let record = self.read(id)?;
        let count = counts::Counts::of(&record, step.number).and_then(|counts| counts.get(step.index));
        let count = self.checked(id, count)?;
        step.counts = Some(record);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Writes a record that has been put together in the buffer.
    fn write_out(&mut self, id: NodeId) {
        self.nodes.write(id, Value::from(&self.out[..]));
        if self.out.capacity() > OUT_BYTES_MAX {
            self.out = Vec::new();
        }
    }
}

/// A buffer above this is given back.
const OUT_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests;
