//! What a changed leaf means for the nodes above it, up to the root: counts that change, children that
//! come and go, nodes that are split, and a root that grows or gives way.

use base::codec::DecodeError;

use super::counts::{self, Counts};
use super::inner::{self, Child};
use super::{NUMBER_END, NodeId, Nodes, ROOT, Step, Tree, leaf};
use crate::record::Value;

/// A change on its way from a leaf to the root.
pub(super) struct Edit<'t, 'n, N> {
    pub(super) tree: &'t mut Tree<'n, N>,
    /// The inner nodes above what has been changed.
    path: Vec<Step>,
    /// By how many entries the tree grows.
    delta: i64,
    /// The next free number, if one was taken.
    next: Option<u64>,
}

/// What has become of a node, for the one above it. The node itself is written.
pub(super) enum Change {
    /// It holds more or fewer entries.
    Count,
    /// It holds fewer entries, and so few that it should be merged with a neighbour.
    Small,
    Gone,
    Split(Split),
}

pub(super) struct Split {
    /// What stands in the node's place, in order.
    pub(super) pieces: Vec<Piece>,
    pub(super) edge: Option<Edge>,
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// Of no meaning in the first piece, which takes over that of the node.
    pub(super) separator: Vec<u8>,
    pub(super) number: u64,
    pub(super) count: u64,
}

impl Piece {
    pub(super) fn as_child(&self) -> Child<'_> {
        Child { separator: &self.separator, number: self.number, count: self.count }
    }
}

/// The end of the tree at which entries are added one after the other. Nodes are left full there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Left,
    Right,
}

/// What comes of an inner node whose children changed.
struct Rebuilt<'a> {
    number: u64,
    level: u8,
    children: Vec<Child<'a>>,
    /// Other children than before, or others in the same places.
    is_new: bool,
    edge: Option<Edge>,
}

impl<'t, 'n, N: Nodes> Edit<'t, 'n, N> {
    pub(super) fn new(tree: &'t mut Tree<'n, N>, path: Vec<Step>, delta: i64) -> Self {
        // A root that is a leaf has used no number: there are no other nodes.
        let next = path.is_empty().then_some(ROOT + 1);
        Self { tree, path, delta, next }
    }

    /// Whether the changed leaf is the root.
    pub(super) fn is_at_root(&self) -> bool {
        self.path.is_empty()
    }

    /// A number for a new node.
    pub(super) fn fresh(&mut self) -> Result<u64, N::Error> {
        let id = NodeId::counts(ROOT);
        let number = match self.next {
            Some(next) => next,
            None => {
                let counts = self.tree.read(id)?;
                let next = self.tree.checked(id, Counts::of(&counts, ROOT))?.next;
                next.unwrap_or(NUMBER_END)
            }
        };
        if number + 1 >= NUMBER_END {
            return Err(self.tree.nodes.malformed(id, DecodeError::Overflow));
        }
        self.next = Some(number + 1);
        Ok(number)
    }

    /// Carries the change of a leaf up to the root.
    pub(super) fn settle(mut self, mut change: Change) -> Result<(), N::Error> {
        while let Some(step) = self.path.pop() {
            change = match change {
                Change::Count => self.shift(&step)?,
                Change::Small if !self.may_merge(&step)? => self.shift(&step)?,
                change => self.rebuild(&step, change)?,
            };
        }
        Ok(())
    }

    fn counts(&mut self, step: &Step) -> Result<Value, N::Error> {
        match &step.counts {
            Some(counts) => Ok(counts.clone()),
            None => self.tree.read(NodeId::counts(step.number)),
        }
    }

    fn shift(&mut self, step: &Step) -> Result<Change, N::Error> {
        let counts = self.counts(step)?;
        let id = NodeId::counts(step.number);
        let child = (step.number, step.index);
        let put = counts::put_shifted(&mut self.tree.out, &counts, self.next, child, self.delta);
        self.tree.checked(id, put)?;
        self.tree.write_out(id);
        Ok(Change::Count)
    }

    /// Whether a child that has become small may fit into one with a neighbour, as far as the counts tell.
    fn may_merge(&mut self, step: &Step) -> Result<bool, N::Error> {
        let id = NodeId::node(step.number);
        if self.tree.checked(id, inner::level(&step.node))? != leaf::LEVEL + 1 {
            return Ok(true);
        }
        let record = self.counts(step)?;
        let id = NodeId::counts(step.number);
        let counts = self.tree.checked(id, Counts::of(&record, step.number))?;
        let own = counts.get(step.index).and_then(|count| counts::shifted(count, self.delta));
        let own = self.tree.checked(id, own)?;
        let neighbours = [step.index.checked_sub(1), Some(step.index + 1)].into_iter().flatten();
        let mut fits = neighbours.filter_map(|at| counts.get(at).ok());
        Ok(fits.any(|other| own.saturating_add(other) <= self.tree.shape.leaf_entries_max as u64))
    }

    fn rebuild(&mut self, step: &Step, change: Change) -> Result<Change, N::Error> {
        let counts = self.counts(step)?;
        let (id, at) = (NodeId::node(step.number), step.index);
        let level = self.tree.checked(id, inner::level(&step.node))?;
        let mut names = Vec::new();
        let children = inner::children(&step.node, &counts, step.number, &mut names);
        let mut children = self.tree.checked(id, children)?;
        if step.number == ROOT && self.next.is_none() {
            self.next = self.tree.checked(id, Counts::of(&counts, ROOT))?.next;
        }
        let Some(child) = children.get_mut(at) else {
            return Err(self.tree.nodes.malformed(id, DecodeError::Short));
        };
        let split;
        // Who may have to be merged with a neighbour: the last ones first, so that places stay true.
        let (mut is_new, mut edge, mut small) = (true, None, [None, None]);
        match change {
            Change::Count | Change::Small => {
                child.count = self.tree.checked(id, counts::shifted(child.count, self.delta))?;
                (is_new, small) = (false, [Some(at), None]);
            }
            Change::Gone => {
                children.remove(at);
                small = [Some(at), at.checked_sub(1)];
            }
            Change::Split(with) => {
                split = with;
                let separator = child.separator;
                children.splice(at..=at, split.pieces.iter().map(Piece::as_child));
                children.get_mut(at).into_iter().for_each(|first| first.separator = separator);
                edge = split.edge;
                // Beside an entry that takes a leaf for itself little may be left.
                if edge.is_none() {
                    small = [Some(at + split.pieces.len() - 1), Some(at)];
                }
            }
        }
        for candidate in small.into_iter().flatten() {
            is_new |= self.merge(level, &mut children, candidate)?;
        }
        self.put(Rebuilt { number: step.number, level, children, is_new, edge })
    }

    fn put(&mut self, rebuilt: Rebuilt<'_>) -> Result<Change, N::Error> {
        let Rebuilt { number, level, children, is_new, edge } = rebuilt;
        match &children[..] {
            [] => {
                self.tree.nodes.remove(NodeId::node(number));
                self.tree.nodes.remove(NodeId::counts(number));
                return Ok(Change::Gone);
            }
            [only] if number == ROOT => {
                self.collapse(level, *only)?;
                return Ok(Change::Count);
            }
            _ => {}
        }
        if is_new {
            inner::put_node(&mut self.tree.out, level, &children);
            if !self.tree.shape.inner_fits(children.len(), self.tree.out.len()) {
                return self.split(number, level, &children, edge);
            }
            self.tree.write_out(NodeId::node(number));
        }
        self.put_counts(number, &children);
        // Only a child that went makes it smaller than it was.
        let has_lost = is_new && self.delta < 0 && number != ROOT;
        let is_small = has_lost && self.tree.shape.inner_is_small(children.len());
        Ok(if is_small { Change::Small } else { Change::Count })
    }

    pub(super) fn put_inner(&mut self, number: u64, level: u8, children: &[Child<'_>]) {
        inner::put_node(&mut self.tree.out, level, children);
        self.tree.write_out(NodeId::node(number));
        self.put_counts(number, children);
    }

    fn put_counts(&mut self, number: u64, children: &[Child<'_>]) {
        let next = if number == ROOT { self.next } else { None };
        counts::put_counts(&mut self.tree.out, next, children);
        self.tree.write_out(NodeId::counts(number));
    }

    fn split(
        &mut self,
        number: u64,
        level: u8,
        children: &[Child<'_>],
        edge: Option<Edge>,
    ) -> Result<Change, N::Error> {
        let middle = match edge {
            Some(Edge::Left) => 1,
            Some(Edge::Right) => children.len() - 1,
            None => children.len() / 2,
        };
        let (left, right) = children.split_at(middle);
        let left_number = if number == ROOT { self.fresh()? } else { number };
        let right_number = self.fresh()?;
        let mut pieces = Vec::with_capacity(2);
        for (number, part) in [(left_number, left), (right_number, right)] {
            self.put_inner(number, level, part);
            let count = self.tree.checked(NodeId::counts(number), inner::total(part))?;
            let separator = part.first().map_or(&[][..], |first| first.separator).to_vec();
            pieces.push(Piece { separator, number, count });
        }
        if number == ROOT {
            self.grow(level, &pieces)?;
            return Ok(Change::Count);
        }
        Ok(Change::Split(Split { pieces, edge }))
    }

    /// Puts a new root above what the root has become.
    pub(super) fn grow(&mut self, level: u8, pieces: &[Piece]) -> Result<(), N::Error> {
        let above = level.checked_add(1).ok_or(DecodeError::Overflow);
        let above = self.tree.checked(NodeId::node(ROOT), above)?;
        let children: Vec<Child<'_>> = pieces.iter().map(Piece::as_child).collect();
        self.put_inner(ROOT, above, &children);
        Ok(())
    }

    /// The root has a single child, which takes its place; unless that is a leaf of one large entry, which
    /// is not written again only because others went.
    fn collapse(&mut self, mut level: u8, only: Child<'_>) -> Result<(), N::Error> {
        let (mut number, count) = (only.number, only.count);
        loop {
            let below = level.saturating_sub(1);
            let node = self.tree.read_at_level(number, below)?;
            let (node_id, counts_id) = (NodeId::node(number), NodeId::counts(number));
            if below == leaf::LEVEL {
                if node.len() > self.tree.shape.leaf_bytes_max {
                    self.put_inner(ROOT, level, &[Child { separator: &[], number, count }]);
                    return Ok(());
                }
                self.tree.nodes.remove(node_id);
                self.tree.nodes.remove(NodeId::counts(ROOT));
                self.tree.nodes.write(NodeId::node(ROOT), node);
                return Ok(());
            }
            let counts = self.tree.read(counts_id)?;
            let mut names = Vec::new();
            let children = inner::children(&node, &counts, number, &mut names);
            let children = self.tree.checked(node_id, children)?;
            self.tree.nodes.remove(node_id);
            self.tree.nodes.remove(counts_id);
            if let [only] = &children[..] {
                (number, level) = (only.number, below);
                continue;
            }
            self.put_counts(ROOT, &children);
            self.tree.nodes.write(NodeId::node(ROOT), node);
            return Ok(());
        }
    }
}
