//! Reading a tree: how many entries it has, which place a key has, what is at a place, and what comes
//! after it.

use std::fmt;
use std::ops::{ControlFlow, Deref, Range};

use base::codec::DecodeError;

use super::{Descent, NodeId, Nodes, ROOT, Step, Tree, counts, inner, leaf};
use crate::record::Value;

/// An entry, which shares the bytes of its leaf.
#[derive(Clone)]
pub struct Entry {
    leaf: Value,
    range: Range<usize>,
}

impl Deref for Entry {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.leaf.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

impl<N: Nodes> Tree<'_, N> {
    pub fn len(&mut self) -> Result<u64, N::Error> {
        let id = NodeId::node(ROOT);
        let Some(root) = self.nodes.read(id)? else { return Ok(0) };
        if self.checked(id, inner::level(&root))? == leaf::LEVEL {
            let entries = leaf::Entries::of(&root).and_then(leaf::Entries::count);
            return Ok(self.checked(id, entries)? as u64);
        }
        let id = NodeId::counts(ROOT);
        let record = self.read(id)?;
        self.checked(id, counts::sum(&record, ROOT, None))
    }

    pub fn is_empty(&mut self) -> Result<bool, N::Error> {
        Ok(self.nodes.read(NodeId::node(ROOT))?.is_none())
    }

    /// How many entries are below a key, which need not be there.
    pub fn rank(&mut self, key: &[u8]) -> Result<u64, N::Error> {
        let mut rank = 0_u64;
        let descent = self.descend(|tree, step| {
            let id = NodeId::counts(step.number);
            let route = tree.checked(NodeId::node(step.number), inner::route(&step.node, key))?;
            let record = tree.read(id)?;
            let before = counts::sum(&record, step.number, Some(route.index))
                .and_then(|before| rank.checked_add(before).ok_or(DecodeError::Overflow));
            rank = tree.checked(id, before)?;
            Ok(Some(route))
        })?;
        let Some(descent) = descent else { return Ok(0) };
        let place = self.checked(NodeId::node(descent.number), leaf::search(&descent.leaf, key))?;
        Ok(rank.saturating_add(place.index as u64))
    }

    pub fn contains(&mut self, key: &[u8]) -> Result<bool, N::Error> {
        let Some(descent) = self.descend_to_key(key)? else { return Ok(false) };
        let place = self.checked(NodeId::node(descent.number), leaf::search(&descent.leaf, key))?;
        Ok(place.is_found)
    }

    /// The entry with so many others below it.
    pub fn at(&mut self, rank: u64) -> Result<Option<Entry>, N::Error> {
        let Some((descent, rank)) = self.descend_to_rank(rank)? else { return Ok(None) };
        let found = leaf::nth(&descent.leaf, rank);
        match self.checked(NodeId::node(descent.number), found)? {
            Some(range) => Ok(Some(Entry { leaf: descent.leaf, range })),
            None => self.beyond(&descent).map(|()| None),
        }
    }

    pub fn first(&mut self) -> Result<Option<Entry>, N::Error> {
        let Some(descent) = self.descend_to_end(Direction::Up)? else { return Ok(None) };
        let first = leaf::Entries::of(&descent.leaf).and_then(|mut entries| entries.next());
        let range = self.checked(NodeId::node(descent.number), first)?.map(|item| item.range());
        Ok(range.map(|range| Entry { leaf: descent.leaf, range }))
    }

    pub fn last(&mut self) -> Result<Option<Entry>, N::Error> {
        let Some(descent) = self.descend_to_end(Direction::Down)? else { return Ok(None) };
        let mut ranges = Vec::new();
        self.entry_ranges(&descent, &mut ranges)?;
        Ok(ranges.pop().map(|range| Entry { leaf: descent.leaf, range }))
    }

    /// Visits the entries from a rank on, or from it down, until the visitor breaks. Nothing is visited if
    /// there is no entry of that rank.
    pub fn walk(
        &mut self,
        from_rank: u64,
        direction: Direction,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), N::Error> {
        let Some((mut descent, first)) = self.descend_to_rank(from_rank)? else { return Ok(()) };
        let mut first = Some(usize::try_from(first).unwrap_or(usize::MAX));
        let mut ranges = Vec::new();
        loop {
            self.entry_ranges(&descent, &mut ranges)?;
            let count = ranges.len();
            let mut visit = |range: &Range<usize>| each(descent.leaf.get(range.clone()).unwrap_or_default());
            let flow = match (direction, first.take()) {
                (_, Some(first)) if first >= count => return self.beyond(&descent),
                (Direction::Up, first) => ranges.iter().skip(first.unwrap_or(0)).try_for_each(&mut visit),
                (Direction::Down, first) => {
                    ranges.iter().take(first.map_or(count, |first| first + 1)).rev().try_for_each(&mut visit)
                }
            };
            if flow.is_break() || !self.turn(&mut descent, direction)? {
                return Ok(());
            }
        }
    }

    /// A leaf has fewer entries than were looked for: only in the root that is no surprise.
    pub(super) fn beyond(&self, descent: &Descent) -> Result<(), N::Error> {
        if descent.path.is_empty() {
            return Ok(());
        }
        Err(self.nodes.malformed(NodeId::node(descent.number), DecodeError::Short))
    }

    fn entry_ranges(&self, descent: &Descent, ranges: &mut Vec<Range<usize>>) -> Result<(), N::Error> {
        ranges.clear();
        let mut read = || {
            let mut entries = leaf::Entries::of(&descent.leaf)?;
            while let Some(item) = entries.next()? {
                ranges.push(item.range());
            }
            Ok(())
        };
        self.checked(NodeId::node(descent.number), read())
    }

    /// Goes on to the next leaf; says whether there is one.
    fn turn(&mut self, descent: &mut Descent, direction: Direction) -> Result<bool, N::Error> {
        let index = loop {
            let Some(step) = descent.path.last() else { return Ok(false) };
            match direction {
                Direction::Up if !step.is_last => break step.index + 1,
                Direction::Down if step.index > 0 => break step.index - 1,
                _ => descent.path.pop(),
            };
        };
        let Some(mut step) = descent.path.pop() else { return Ok(false) };
        let id = NodeId::node(step.number);
        let mut route = self.checked(id, inner::nth(&step.node, index))?;
        let mut level = self.checked(id, inner::level(&step.node))?;
        loop {
            (step.index, step.is_last) = (route.index, route.is_last);
            descent.path.push(step);
            level = level.saturating_sub(1);
            let node = self.read_at_level(route.number, level)?;
            if level == leaf::LEVEL {
                (descent.number, descent.leaf) = (route.number, node);
                return Ok(true);
            }
            step = Step { number: route.number, node, counts: None, index: 0, is_last: false };
            route = self.end(&step, direction)?;
        }
    }

    /// The child of a node at which a walk begins.
    fn end(&self, step: &Step, direction: Direction) -> Result<inner::Route, N::Error> {
        let route = match direction {
            Direction::Up => inner::nth(&step.node, 0),
            Direction::Down => inner::last(&step.node),
        };
        self.checked(NodeId::node(step.number), route)
    }

    /// The leaf at which a walk through everything begins.
    fn descend_to_end(&mut self, direction: Direction) -> Result<Option<Descent>, N::Error> {
        self.descend(|tree, step| tree.end(step, direction).map(Some))
    }
}
