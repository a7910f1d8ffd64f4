//! Looks through a whole tree: counts, order, separators, bounds, and that there is no record that is not
//! part of it.

use std::collections::HashSet;

use super::*;

struct Checker<'a> {
    map: &'a Map,
    shape: Shape,
    met: HashSet<NodeId>,
    entries: Vec<Vec<u8>>,
    leaves: usize,
    inner_children: Vec<usize>,
}

/// What a tree is like.
pub(super) struct Found {
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) height: u8,
    pub(super) leaves: usize,
    /// How many children the inner nodes have.
    pub(super) inner_children: Vec<usize>,
}

#[track_caller]
pub(super) fn check(map: &Map, shape: Shape) -> Found {
    let mut checker = Checker {
        map,
        shape,
        met: HashSet::new(),
        entries: Vec::new(),
        leaves: 0,
        inner_children: Vec::new(),
    };
    let mut height = 0;
    if let Some(root) = map.records.get(&NodeId::node(ROOT)) {
        height = inner::level(root).unwrap();
        checker.node(ROOT, height, &[], None);
        if height == 0 {
            assert!(root.len() <= shape.leaf_bytes_max, "a large entry is never the root");
        } else {
            let counts = &map.records[&NodeId::counts(ROOT)];
            let next = counts::Counts::of(counts, ROOT).unwrap().next.unwrap();
            assert!(checker.met.iter().all(|id| id.number < next), "the next number is free");
        }
    }
    assert_eq!(checker.met, map.records.keys().copied().collect(), "records that are not part of the tree");
    let Checker { entries, leaves, inner_children, .. } = checker;
    assert!(entries.is_sorted_by(|a, b| a < b));
    Found { entries, height, leaves, inner_children }
}

impl Checker<'_> {
    /// Checks what is below a node, whose entries lie in `[low, high)`; says how many there are.
    fn node(&mut self, number: u64, level: u8, low: &[u8], high: Option<&[u8]>) -> u64 {
        assert!(self.met.insert(NodeId::node(number)), "node {number} is met twice");
        let node = self.map.records.get(&NodeId::node(number)).expect("a node is missing").clone();
        assert_eq!(inner::level(&node), Ok(level));
        if level == 0 {
            return self.leaf(&node, low, high);
        }
        assert!(self.met.insert(NodeId::counts(number)));
        let counts = self.map.records.get(&NodeId::counts(number)).expect("counts are missing");
        let mut names = Vec::new();
        let children = inner::children(&node, counts, number, &mut names).unwrap();
        assert!(children.len() <= self.shape.fan_out, "{} children", children.len());
        self.inner_children.push(children.len());
        if number == ROOT && children.len() == 1 {
            let only = &self.map.records[&NodeId::node(children[0].number)];
            assert!(level == 1 && only.len() > self.shape.leaf_bytes_max, "the root has one child");
        }
        assert_eq!(children[0].separator, b"");
        let mut sum = 0;
        for (index, child) in children.iter().enumerate() {
            let low = if index == 0 { low } else { child.separator };
            let high = children.get(index + 1).map_or(high, |next| Some(next.separator));
            assert!(high.is_none_or(|high| low < high), "separators are out of order");
            assert_eq!(self.node(child.number, level - 1, low, high), child.count, "a count is wrong");
            sum += child.count;
        }
        sum
    }

    fn leaf(&mut self, record: &[u8], low: &[u8], high: Option<&[u8]>) -> u64 {
        let mut entries = leaf::Entries::of(record).unwrap();
        let before = self.entries.len();
        while let Some(item) = entries.next().unwrap() {
            assert!(item.bytes >= low && high.is_none_or(|high| item.bytes < high), "misplaced entry");
            self.entries.push(item.bytes.to_vec());
        }
        let count = self.entries.len() - before;
        assert!(count == 1 || self.shape.leaf_fits(count, record.len()), "a leaf is too large");
        self.leaves += 1;
        count as u64
    }
}
