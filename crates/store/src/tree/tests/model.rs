//! Random operations on a tree of tiny nodes do what they do on a set, and leave a tree that is in order.

use std::collections::BTreeSet;
use std::ops::Range;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>),
    /// Many at once, one after the other.
    InsertRun(u8, u8),
    Remove(Vec<u8>),
    RemoveAt(Index),
    RemoveRange(Index, u8),
    Pop(Direction, u8),
    Look(Vec<u8>, Index, u8),
}

fn a_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(0..6_u8, 0..5),
        2 => prop::collection::vec(any::<u8>(), 0..10),
        // Longer than a leaf may be, with beginnings in common.
        1 => (prop::collection::vec(0..3_u8, 1..4), 20..300_usize).prop_map(|(mut key, len)| {
            let tail = key.clone();
            key.resize(len, 1);
            key.extend(tail);
            key
        }),
    ]
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => a_key().prop_map(Op::Insert),
        3 => (any::<u8>(), 1..40_u8).prop_map(|(from, len)| Op::InsertRun(from, len)),
        4 => a_key().prop_map(Op::Remove),
        6 => any::<Index>().prop_map(Op::RemoveAt),
        1 => (any::<Index>(), 0..60_u8).prop_map(|(at, len)| Op::RemoveRange(at, len)),
        1 => (prop_oneof![Just(Direction::Up), Just(Direction::Down)], 1..30_u8)
            .prop_map(|(direction, len)| Op::Pop(direction, len)),
        4 => (a_key(), any::<Index>(), 0..20_u8).prop_map(|(key, at, len)| Op::Look(key, at, len)),
    ]
}

fn a_shape() -> impl Strategy<Value = Shape> {
    (3..=9_usize, prop_oneof![24..=40_usize, Just(1 << 10)], 3..=9_usize, 60..400_usize).prop_map(
        |(leaf_entries_max, leaf_bytes_max, fan_out, inner_bytes_max)| Shape {
            leaf_entries_max,
            leaf_bytes_max,
            fan_out,
            inner_bytes_max,
        },
    )
}

struct Pair {
    map: Map,
    model: BTreeSet<Vec<u8>>,
    shape: Shape,
}

impl Pair {
    fn insert(&mut self, key: Vec<u8>) {
        let inserted = self.map.tree(self.shape).insert(&key).unwrap();
        assert_eq!(inserted, self.model.insert(key));
    }

    fn remove(&mut self, key: &[u8]) {
        assert_eq!(self.map.tree(self.shape).remove(key).unwrap(), self.model.remove(key));
    }

    fn remove_range(&mut self, ranks: Range<usize>) {
        let gone: Vec<_> = self.model.iter().skip(ranks.start).take(ranks.len()).cloned().collect();
        let mut told = Vec::new();
        let ranks = ranks.start as u64..ranks.end as u64;
        let removed = self.map.tree(self.shape).remove_range(ranks, |key| told.push(key.to_vec())).unwrap();
        assert_eq!((removed, &told), (gone.len() as u64, &gone));
        gone.iter().for_each(|key| assert!(self.model.remove(key)));
    }

    fn nth(&self, rank: usize) -> Option<Vec<u8>> {
        self.model.iter().nth(rank).cloned()
    }

    fn look(&mut self, key: &[u8], at: usize, limit: usize) {
        let Self { map, model, shape } = self;
        let mut tree = map.tree(*shape);
        assert_eq!(tree.rank(key).unwrap(), model.iter().take_while(|other| &other[..] < key).count() as u64);
        assert_eq!(tree.contains(key).unwrap(), model.contains(key));
        let at_rank = tree.at(at as u64).unwrap();
        assert_eq!(at_rank.as_deref(), model.iter().nth(at).map(|key| &key[..]));
        assert_eq!(tree.first().unwrap().as_deref(), model.first().map(|key| &key[..]));
        assert_eq!(tree.last().unwrap().as_deref(), model.last().map(|key| &key[..]));
        assert_eq!(tree.len().unwrap(), model.len() as u64);
        assert_eq!(tree.is_empty().unwrap(), model.is_empty());
        let up: Vec<_> = model.iter().skip(at).take(limit + 1).cloned().collect();
        assert_eq!(walked(map, *shape, at as u64, Direction::Up, limit + 1), up);
        let below = if at < model.len() { at + 1 } else { 0 };
        let down: Vec<_> = model.iter().take(below).rev().take(limit + 1).cloned().collect();
        assert_eq!(walked(map, *shape, at as u64, Direction::Down, limit + 1), down);
    }

    fn run(&mut self, op: Op) {
        // One more than there are, so that what lies beyond is tried as well.
        let place = |at: Index, len: usize| at.index(len + 1);
        match op {
            Op::Insert(key) => self.insert(key),
            Op::InsertRun(from, len) => (0..len).for_each(|i| self.insert(vec![from, i])),
            Op::Remove(key) => self.remove(&key),
            Op::RemoveAt(at) => {
                if let Some(key) = self.nth(place(at, self.model.len())) {
                    self.remove(&key);
                }
            }
            Op::RemoveRange(at, len) => {
                let start = place(at, self.model.len());
                self.remove_range(start..start + usize::from(len));
            }
            Op::Pop(Direction::Up, len) => (0..len).for_each(|_| self.remove_range(0..1)),
            Op::Pop(Direction::Down, len) => (0..len).for_each(|_| {
                let last = self.model.len().saturating_sub(1);
                self.remove_range(last..last + 1);
            }),
            Op::Look(key, at, len) => self.look(&key, place(at, self.model.len()), usize::from(len)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_does_what_a_set_does(shape in a_shape(), ops in prop::collection::vec(an_op(), 1..120)) {
        let mut pair = Pair { map: Map::default(), model: BTreeSet::new(), shape };
        for op in ops {
            pair.run(op);
            let found = check(&pair.map, shape);
            prop_assert!(found.entries.iter().eq(&pair.model));
        }
        pair.remove_range(0..usize::MAX);
        prop_assert!(pair.map.records.is_empty());
    }

    #[test]
    fn a_built_tree_holds_what_was_added(
        shape in a_shape(),
        keys in prop::collection::btree_set(a_key(), 0..200),
        ops in prop::collection::vec(an_op(), 0..20),
    ) {
        let mut pair = Pair { map: Map::built(shape, &keys), model: keys, shape };
        prop_assert!(check(&pair.map, shape).entries.iter().eq(&pair.model));
        for op in ops {
            pair.run(op);
            prop_assert!(check(&pair.map, shape).entries.iter().eq(&pair.model));
        }
    }
}

#[test]
fn entries_in_order_make_the_leaves_that_the_builder_makes() {
    let shape = Shape { leaf_entries_max: 4, fan_out: 4, ..Shape::default() };
    for len in 0..300 {
        let built = Map::built(shape, (0..len).map(key));
        let mut inserted = Map::default();
        (0..len).for_each(|i| assert!(inserted.tree(shape).insert(&key(i)).unwrap()));
        let (built, inserted) = (check(&built, shape), check(&inserted, shape));
        assert_eq!(built.entries, inserted.entries);
        assert_eq!((built.leaves, built.height), (inserted.leaves, inserted.height));
        assert_eq!(built.inner_children.iter().sum::<usize>(), inserted.inner_children.iter().sum());
    }
}
