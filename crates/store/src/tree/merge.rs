//! Merging a node that has become very small with a neighbour under the same parent.

use super::edit::Edit;
use super::inner::{self, Child};
use super::{NodeId, Nodes, leaf};

impl<N: Nodes> Edit<'_, '_, N> {
    /// Merges a child with a neighbour if it is small and both fit into one; says whether it has.
    pub(super) fn merge(
        &mut self,
        level: u8,
        children: &mut Vec<Child<'_>>,
        at: usize,
    ) -> Result<bool, N::Error> {
        let below = level.saturating_sub(1);
        let pairs = [Some(at), at.checked_sub(1)].map(|left| {
            let left = left?;
            let pair = (*children.get(left)?, *children.get(left + 1)?);
            // What the counts say already need not be read.
            (below != leaf::LEVEL || self.entries_fit(pair)).then_some((left, pair))
        });
        if pairs.iter().all(Option::is_none) || !self.is_small(children.get(at), below)? {
            return Ok(false);
        }
        for (left, (a, b)) in pairs.into_iter().flatten() {
            let is_joined =
                if below == leaf::LEVEL { self.join_leaves(a, b)? } else { self.join_inner(below, a, b)? };
            if is_joined {
                children.remove(left + 1);
                children.get_mut(left).into_iter().for_each(|a| a.count = a.count.saturating_add(b.count));
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn entries_fit(&self, (a, b): (Child<'_>, Child<'_>)) -> bool {
        a.count.saturating_add(b.count) <= self.tree.shape.leaf_entries_max as u64
    }

    fn is_small(&mut self, child: Option<&Child<'_>>, level: u8) -> Result<bool, N::Error> {
        let Some(child) = child else { return Ok(false) };
        if level == leaf::LEVEL && !self.tree.shape.entries_are_few(child.count) {
            return Ok(false);
        }
        let node = self.tree.read_at_level(child.number, level)?;
        if level == leaf::LEVEL {
            return Ok(self.tree.shape.leaf_is_small(child.count, node.len()));
        }
        let children = self.tree.checked(NodeId::node(child.number), inner::count(&node))?;
        Ok(self.tree.shape.inner_is_small(children))
    }

    /// Moves what the right one of two neighbours holds to the left one, if it fits.
    fn join_leaves(&mut self, left: Child<'_>, right: Child<'_>) -> Result<bool, N::Error> {
        let a = self.tree.read_at_level(left.number, leaf::LEVEL)?;
        let b = self.tree.read_at_level(right.number, leaf::LEVEL)?;
        let (a, b) = (a.get(leaf::HEADER..).unwrap_or_default(), b.get(leaf::HEADER..).unwrap_or_default());
        if leaf::HEADER + a.len() + b.len() > self.tree.shape.leaf_bytes_max {
            return Ok(false);
        }
        leaf::put_together(&mut self.tree.out, a, None, b);
        self.tree.write_out(NodeId::node(left.number));
        self.tree.nodes.remove(NodeId::node(right.number));
        Ok(true)
    }

    fn join_inner(&mut self, level: u8, left: Child<'_>, right: Child<'_>) -> Result<bool, N::Error> {
        let node_a = self.tree.read_at_level(left.number, level)?;
        let node_b = self.tree.read_at_level(right.number, level)?;
        let counts_a = self.tree.read(NodeId::counts(left.number))?;
        let counts_b = self.tree.read(NodeId::counts(right.number))?;
        let (mut names_a, mut names_b) = (Vec::new(), Vec::new());
        let a = inner::children(&node_a, &counts_a, left.number, &mut names_a);
        let b = inner::children(&node_b, &counts_b, right.number, &mut names_b);
        let mut children = self.tree.checked(NodeId::node(left.number), a)?;
        let mut others = self.tree.checked(NodeId::node(right.number), b)?;
        others.first_mut().into_iter().for_each(|first| first.separator = right.separator);
        children.append(&mut others);
        inner::put_node(&mut self.tree.out, level, &children);
        if !self.tree.shape.inner_fits(children.len(), self.tree.out.len()) {
            return Ok(false);
        }
        self.put_inner(left.number, level, &children);
        self.tree.nodes.remove(NodeId::node(right.number));
        self.tree.nodes.remove(NodeId::counts(right.number));
        Ok(true)
    }
}
