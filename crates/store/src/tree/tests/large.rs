//! Entries that are larger than a leaf: they are written once, and nodes above them stay small.

use super::*;

const LARGE: usize = 100 << 10;

/// An entry that begins as a small one does.
fn large(number: u64) -> Vec<u8> {
    let mut large = key(number);
    large.resize(LARGE, b'x');
    large
}

#[test]
fn a_large_entry_is_written_once() {
    let shape = Shape::default();
    let mut map = Map::default();
    assert!(map.tree(shape).insert(&large(500)).unwrap());
    assert_eq!(map.longest_written, LARGE + 4);
    map.forget_costs();
    for i in shuffled(1000) {
        assert!(map.tree(shape).insert(&key(i)).unwrap());
    }
    check(&map, shape);
    for i in shuffled(1000) {
        assert!(map.tree(shape).remove(&key(i)).unwrap());
    }
    assert!(map.longest_written <= shape.leaf_bytes_max, "{} bytes were written", map.longest_written);
    assert_eq!(check(&map, shape).entries, [large(500)]);
    assert!(map.tree(shape).remove(&large(500)).unwrap());
    assert!(map.records.is_empty());
}

#[test]
fn what_large_entries_have_split_is_merged_when_they_go() {
    let shape = Shape::default();
    let built = Map::built(shape, (0..960).map(key));
    let leaves = check(&built, shape).leaves;
    // After the first entry of every leaf, after the last but one, and after every one.
    let places: [fn(u64) -> bool; 3] = [|i| i % 48 == 0, |i| i % 48 == 46, |_| true];
    for is_chosen in places {
        let mut map = built.clone();
        let chosen: Vec<_> = (0..960).rev().filter(|i| is_chosen(*i)).map(large).collect();
        for large in &chosen {
            map.forget_costs();
            assert!(map.tree(shape).insert(large).unwrap());
            assert!(map.bytes_written < (LARGE + 20_000) as u64, "{} bytes", map.bytes_written);
        }
        assert!(check(&map, shape).leaves >= leaves + chosen.len());
        for large in &chosen {
            assert!(map.tree(shape).remove(large).unwrap());
        }
        let left = check(&map, shape);
        assert_eq!(left.entries.len(), 960);
        assert!(left.leaves <= leaves + 2, "{} leaves of {leaves}", left.leaves);
    }
}

#[test]
fn small_entries_beside_a_large_one_share_leaves() {
    let shape = Shape::default();
    // Closer and closer to the large entry, so that what separated the last one does not separate the next.
    let near = |depth: usize, byte: u8| [&large(500)[..23 + depth], &[byte]].concat();
    let above = (0..100).flat_map(|depth| (b'y'..=b'}').rev().map(move |byte| near(depth, byte)));
    let below = (0..100).flat_map(|depth| (b's'..=b'w').map(move |byte| near(depth, byte)));
    for near in [above.collect::<Vec<_>>(), below.collect()] {
        let mut map = Map::built(shape, [key(0), large(500), key(1000)]);
        for near in near {
            assert!(map.tree(shape).insert(&near).unwrap());
        }
        let found = check(&map, shape);
        assert_eq!(found.entries.len(), 503);
        assert!(found.leaves < 60, "{} leaves", found.leaves);
    }
}

#[test]
fn long_beginnings_in_common_do_not_pile_up_in_a_node() {
    let shape = Shape::default();
    let long = |i: u64| [vec![b'p'; 4000], key(i)].concat();
    let mut map = Map::default();
    for i in shuffled(2000) {
        assert!(map.tree(shape).insert(&long(i)).unwrap());
    }
    check(&map, shape);
    assert!(map.longest_written < 8 * 4100, "{} bytes in a node", map.longest_written);
}
