//! Building a tree from entries in order: a node's records are given out as soon as it is full, so that
//! what is held is one node of each level.

use base::codec::Write;

use super::{NodeId, ROOT, Shape, inner, leaf};
use crate::record::Value;

/// Builds a tree. Every call gives the records that are finished to `emit`; a record that is given out is
/// not given out again.
pub struct Builder {
    shape: Shape,
    next: u64,
    leaf: OpenLeaf,
    /// The inner nodes that are open, from the lowest up.
    levels: Vec<OpenInner>,
    len: u64,
}

struct OpenLeaf {
    /// What separates it from the leaf before it.
    separator: Vec<u8>,
    record: Vec<u8>,
    entries: usize,
    /// Where the last entry's bytes begin.
    last: usize,
}

#[derive(Default)]
struct OpenInner {
    separator: Vec<u8>,
    node: Vec<u8>,
    counts: Vec<u8>,
    children: usize,
    count: u64,
}

struct Closed {
    separator: Vec<u8>,
    number: u64,
    count: u64,
}

impl Builder {
    pub fn new() -> Self {
        Self::with_shape(Shape::default())
    }

    pub fn with_shape(shape: Shape) -> Self {
        let leaf = OpenLeaf { separator: Vec::new(), record: vec![leaf::LEVEL], entries: 0, last: 0 };
        Self { shape, next: ROOT + 1, leaf, levels: Vec::new(), len: 0 }
    }

    /// Entries so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry, which must be above the ones before it.
    pub fn push<E>(
        &mut self,
        key: &[u8],
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let last = self.leaf.record.get(self.leaf.last..).unwrap_or_default();
        debug_assert!(self.len == 0 || last < key, "entries come in order, each once");
        let bytes = self.leaf.record.len() + leaf::entry_bytes(key);
        if self.leaf.entries > 0 && !self.shape.leaf_fits(self.leaf.entries + 1, bytes) {
            let separator = leaf::separator(last, key).to_vec();
            self.close_leaf(separator, emit)?;
        }
        self.leaf.record.put_bytes(key);
        self.leaf.last = self.leaf.record.len() - key.len();
        self.leaf.entries += 1;
        self.len += 1;
        Ok(())
    }

    /// Gives out what is open, and the root. There is none if there are no entries.
    pub fn finish<E>(mut self, emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>) -> Result<(), E> {
        if self.len == 0 {
            return Ok(());
        }
        if self.levels.is_empty() && self.leaf.record.len() <= self.shape.leaf_bytes_max {
            return emit(NodeId::node(ROOT), Value::from(&self.leaf.record[..]));
        }
        self.close_leaf(Vec::new(), emit)?;
        // Closing one node may open another above it.
        let mut at = 0;
        while at + 1 < self.levels.len() {
            if let Some(open) = self.levels.get_mut(at) {
                let open = std::mem::take(open);
                let closed = self.close(open, emit)?;
                self.add(at + 1, closed, emit)?;
            }
            at += 1;
        }
        let Some(root) = self.levels.pop() else { return Ok(()) };
        let mut counts = Vec::with_capacity(root.counts.len() + 8);
        counts.put_varint(self.next);
        counts.extend_from_slice(&root.counts);
        emit(NodeId::node(ROOT), Value::from(root.node))?;
        emit(NodeId::counts(ROOT), Value::from(counts))
    }

    fn close_leaf<E>(
        &mut self,
        separator: Vec<u8>,
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let number = self.fresh();
        emit(NodeId::node(number), Value::from(&self.leaf.record[..]))?;
        let separator = std::mem::replace(&mut self.leaf.separator, separator);
        let count = self.leaf.entries as u64;
        self.leaf.record.truncate(leaf::HEADER);
        self.leaf.record.shrink_to(self.shape.leaf_bytes_max);
        self.leaf.entries = 0;
        self.add(0, Closed { separator, number, count }, emit)
    }

    /// Adds a child to the open node of a level, or to a new one if that is full.
    fn add<E>(
        &mut self,
        at: usize,
        child: Closed,
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        if at == self.levels.len() {
            self.levels.push(OpenInner::default());
        }
        let Some(open) = self.levels.get_mut(at) else { return Ok(()) };
        let bytes = open.node.len() + child.separator.len() + CHILD_BYTES_MAX;
        if open.children > 0 && !self.shape.inner_fits(open.children + 1, bytes) {
            let full = std::mem::take(open);
            let closed = self.close(full, emit)?;
            self.add(at + 1, closed, emit)?;
        }
        let Some(open) = self.levels.get_mut(at) else { return Ok(()) };
        if open.children == 0 {
            open.node.push(u8::try_from(at + 1).unwrap_or(u8::MAX));
            inner::put_child(&mut open.node, &[], child.number);
            open.separator = child.separator;
        } else {
            inner::put_child(&mut open.node, &child.separator, child.number);
        }
        open.counts.put_varint(child.count);
        open.children += 1;
        open.count += child.count;
        Ok(())
    }

    fn close<E>(
        &mut self,
        open: OpenInner,
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<Closed, E> {
        let number = self.fresh();
        emit(NodeId::node(number), Value::from(open.node))?;
        emit(NodeId::counts(number), Value::from(open.counts))?;
        Ok(Closed { separator: open.separator, number, count: open.count })
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

/// A child's bytes in a node without those of its separator: its number and a length.
const CHILD_BYTES_MAX: usize = 7 + 5;
