//! Adding an entry: into its leaf, or into the pieces that the leaf is split into.

use std::ops::Range;

use super::edit::{Change, Edge, Edit, Piece, Split};
use super::{Descent, NodeId, Nodes, ROOT, Tree, leaf};
use crate::record::Value;

impl<N: Nodes> Tree<'_, N> {
    /// Adds an entry; says whether it was not there.
    pub fn insert(&mut self, key: &[u8]) -> Result<bool, N::Error> {
        let Some(mut descent) = self.descend_to_key(key)? else {
            self.insert_first(key)?;
            return Ok(true);
        };
        let id = NodeId::node(descent.number);
        let place = self.checked(id, leaf::search(&descent.leaf, key))?;
        if place.is_found {
            return Ok(false);
        }
        let bytes = descent.leaf.len() + leaf::entry_bytes(key);
        let count = self.leaf_count(&mut descent)?;
        if self.shape.leaf_fits(count + 1, bytes) {
            let (before, after) = sides(&descent.leaf, place.range.start);
            leaf::put_together(&mut self.out, before, Some(key), after);
            self.write_out(id);
            Edit::new(self, descent.path, 1).settle(Change::Count)?;
            return Ok(true);
        }
        let edge = if place.range.start == descent.leaf.len() && descent.is_rightmost() {
            Some(Edge::Right)
        } else if place.index == 0 && descent.is_leftmost() {
            Some(Edge::Left)
        } else {
            None
        };
        let offsets = self.checked(id, leaf::offsets(&descent.leaf))?;
        let Descent { path, number, leaf } = descent;
        let parts = Parts { leaf: &leaf, offsets: &offsets, at: place.index, key };
        Edit::new(self, path, 1).split_leaf(number, &parts, edge)?;
        Ok(true)
    }

    fn insert_first(&mut self, key: &[u8]) -> Result<(), N::Error> {
        leaf::put_together(&mut self.out, &[], Some(key), &[]);
        if self.shape.leaf_fits(1, self.out.len()) {
            self.write_out(NodeId::node(ROOT));
            return Ok(());
        }
        // A large entry does not lie in the root, so that it stays where it is when others come.
        let mut edit = Edit::new(self, Vec::new(), 1);
        let number = edit.fresh()?;
        edit.tree.write_out(NodeId::node(number));
        edit.grow(leaf::LEVEL, &[Piece { separator: Vec::new(), number, count: 1 }])
    }
}

/// What lies before a place in a leaf, and from there on.
pub(super) fn sides(record: &[u8], offset: usize) -> (&[u8], &[u8]) {
    let before = record.get(leaf::HEADER..offset).unwrap_or_default();
    (before, record.get(offset..).unwrap_or_default())
}

/// A leaf and a new entry among its entries, numbered as if it were there.
struct Parts<'a> {
    leaf: &'a Value,
    /// Where each entry of the leaf begins, and the end.
    offsets: &'a [usize],
    /// The number of the new entry.
    at: usize,
    key: &'a [u8],
}

impl<'a> Parts<'a> {
    fn len(&self) -> usize {
        self.offsets.len()
    }

    fn holds_new(&self, part: &Range<usize>) -> bool {
        part.contains(&self.at)
    }

    /// Where the old entries of a part lie: those before the new one, and those after it.
    fn old(&self, part: &Range<usize>) -> [Range<usize>; 2] {
        let offset = |entry: usize| {
            let old = if entry > self.at { entry - 1 } else { entry };
            self.offsets.get(old).copied().unwrap_or(self.leaf.len())
        };
        if self.holds_new(part) {
            let new = offset(self.at);
            [offset(part.start)..new, new..offset(part.end)]
        } else {
            [offset(part.start)..offset(part.end), 0..0]
        }
    }

    fn bytes(&self, part: &Range<usize>) -> usize {
        let new = if self.holds_new(part) { leaf::entry_bytes(self.key) } else { 0 };
        leaf::HEADER + self.old(part).iter().map(Range::len).sum::<usize>() + new
    }

    fn put(&self, out: &mut Vec<u8>, part: &Range<usize>) {
        let [before, after] = self.old(part).map(|range| self.leaf.get(range).unwrap_or_default());
        leaf::put_together(out, before, self.holds_new(part).then_some(self.key), after);
    }

    /// Whether a part is the leaf as it is.
    fn is_whole_leaf(&self, part: &Range<usize>) -> bool {
        part.len() + 1 == self.len() && !self.holds_new(part)
    }

    fn entry(&self, entry: usize) -> &'a [u8] {
        if entry == self.at {
            return self.key;
        }
        let [old, _] = self.old(&(entry..entry + 1));
        let bytes = self.leaf.get(old).unwrap_or_default();
        base::codec::Reader::new(bytes).bytes().unwrap_or_default()
    }
}

impl<N: Nodes> Edit<'_, '_, N> {
    fn split_leaf(mut self, number: u64, parts: &Parts<'_>, edge: Option<Edge>) -> Result<(), N::Error> {
        let cut = self.cut(parts, edge);
        // One piece keeps the number: one that need not be written, or the first. No piece stays the root.
        let kept = cut.iter().position(|part| parts.is_whole_leaf(part)).unwrap_or(0);
        let mut pieces = Vec::with_capacity(cut.len());
        for (index, part) in cut.iter().enumerate() {
            let keeps = index == kept && !self.is_at_root();
            let number = if keeps { number } else { self.fresh()? };
            if !keeps || !parts.is_whole_leaf(part) {
                parts.put(&mut self.tree.out, part);
                self.tree.write_out(NodeId::node(number));
            }
            let separator = match part.start.checked_sub(1) {
                Some(before) => leaf::separator(parts.entry(before), parts.entry(part.start)).to_vec(),
                None => Vec::new(),
            };
            pieces.push(Piece { separator, number, count: part.len() as u64 });
        }
        if self.is_at_root() {
            return self.grow(leaf::LEVEL, &pieces);
        }
        self.settle(Change::Split(Split { pieces, edge }))
    }

    /// Where a leaf and a new entry are cut: at an end of the tree beside the new entry; elsewhere where the
    /// halves are most alike; into three if no two would fit, with the new entry for itself.
    fn cut(&self, parts: &Parts<'_>, edge: Option<Edge>) -> Vec<Range<usize>> {
        let len = parts.len();
        let in_two = |at: usize| [0..at, at..len];
        let fits =
            |part: &Range<usize>| part.len() == 1 || self.tree.shape.leaf_fits(part.len(), parts.bytes(part));
        let unlike = |at: &usize| {
            let [left, right] = in_two(*at).map(|part| parts.bytes(&part));
            left.abs_diff(right)
        };
        let best = match edge {
            Some(Edge::Left) => Some(1),
            Some(Edge::Right) => Some(len - 1),
            None => (1..len).filter(|at| in_two(*at).iter().all(fits)).min_by_key(unlike),
        };
        match best {
            Some(at) => in_two(at).to_vec(),
            None => [0..parts.at, parts.at..parts.at + 1, parts.at + 1..len]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect(),
        }
    }
}
