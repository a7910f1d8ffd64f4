//! How full nodes are after entries came in order, or came and went.

use super::*;

fn inserted(keys: impl Iterator<Item = u64>) -> Map {
    let mut map = Map::default();
    for i in keys {
        assert!(Tree::new(&mut map).insert(&key(i)).unwrap());
    }
    map
}

/// The share of the places for entries that is taken, and of those for children.
#[track_caller]
fn fill(map: &Map) -> (f64, f64) {
    let shape = Shape::default();
    let found = check(map, shape);
    let entries = found.entries.len() as f64 / (found.leaves * shape.leaf_entries_max) as f64;
    let children: usize = found.inner_children.iter().sum();
    (entries, children as f64 / (found.inner_children.len() * shape.fan_out) as f64)
}

const LEN: u64 = 200_000;

#[test]
fn entries_in_order_fill_nodes() {
    for map in [inserted(0..LEN), inserted((0..LEN).rev())] {
        let (leaves, inner) = fill(&map);
        assert!(leaves > 0.99, "leaves are filled to {leaves}");
        assert!(inner > 0.9, "inner nodes are filled to {inner}");
    }
}

#[test]
fn entries_without_order_fill_two_thirds() {
    let (leaves, inner) = fill(&inserted(shuffled(LEN)));
    assert!(leaves > 0.6, "leaves are filled to {leaves}");
    assert!(inner > 0.5, "inner nodes are filled to {inner}");
}

#[test]
fn what_is_thinned_out_is_merged() {
    let mut map = Map::built(Shape::default(), (0..LEN).map(key));
    for i in shuffled(LEN).filter(|i| i % 20 != 0) {
        assert!(Tree::new(&mut map).remove(&key(i)).unwrap());
    }
    let (leaves, inner) = fill(&map);
    assert!(leaves > 0.25, "leaves are filled to {leaves}");
    assert!(inner > 0.25, "inner nodes are filled to {inner}");
}
