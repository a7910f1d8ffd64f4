//! Building a tree from entries in order: a node's records are given out as soon as it is full, so that
//! what is held is one node of each level.

use base::codec::Write;

use super::edit::Piece;
use super::inner::{self, Child};
use super::{NodeId, ROOT, Shape, counts, leaf};
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
    children: Vec<Piece>,
    /// What the node takes with them, about.
    bytes: usize,
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
                let closed = self.close(at, open, emit)?;
                self.add(at + 1, closed, emit)?;
            }
            at += 1;
        }
        let Some(root) = self.levels.pop() else { return Ok(()) };
        let level = self.levels.len() + 1;
        self.put(ROOT, level, &root, emit)
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
        self.add(0, Piece { separator, number, count }, emit)
    }

    /// Adds a child to the open node of a level, or to a new one if that is full.
    fn add<E>(
        &mut self,
        at: usize,
        child: Piece,
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        if at == self.levels.len() {
            self.levels.push(OpenInner::default());
        }
        let Some(open) = self.levels.get_mut(at) else { return Ok(()) };
        let bytes = child.separator.len() + inner::SLOT_BYTES;
        if !open.children.is_empty() && !self.shape.inner_fits(open.children.len() + 1, open.bytes + bytes) {
            let full = std::mem::take(open);
            let closed = self.close(at, full, emit)?;
            self.add(at + 1, closed, emit)?;
        }
        let Some(open) = self.levels.get_mut(at) else { return Ok(()) };
        open.children.push(child);
        open.bytes += bytes;
        Ok(())
    }

    fn close<E>(
        &mut self,
        at: usize,
        mut open: OpenInner,
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<Piece, E> {
        let number = self.fresh();
        self.put(number, at + 1, &open, emit)?;
        let separator = open.children.first_mut().map(|first| std::mem::take(&mut first.separator));
        let count = open.children.iter().map(|child| child.count).sum();
        Ok(Piece { separator: separator.unwrap_or_default(), number, count })
    }

    /// Gives out a node and its counts.
    fn put<E>(
        &self,
        number: u64,
        level: usize,
        open: &OpenInner,
        emit: &mut impl FnMut(NodeId, Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let children: Vec<Child<'_>> = open.children.iter().map(Piece::as_child).collect();
        let (mut node, mut counts) = (Vec::new(), Vec::new());
        inner::put_node(&mut node, u8::try_from(level).unwrap_or(u8::MAX), &children);
        counts::put_counts(&mut counts, (number == ROOT).then_some(self.next), &children);
        emit(NodeId::node(number), Value::from(node))?;
        emit(NodeId::counts(number), Value::from(counts))
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
