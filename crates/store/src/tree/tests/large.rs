//! Entries that are larger than a leaf: they are written once, and nodes above them stay small.

use super::*;

const LARGE: usize = 1 << 20;

/// An entry of a megabyte that begins with a number.
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
fn a_large_entry_comes_and_goes_between_small_ones() {
    let shape = Shape::default();
    let mut map = Map::built(shape, (0..1000).map(key));
    let leaves = check(&map, shape).leaves;
    for i in shuffled(1000) {
        map.forget_costs();
        assert!(map.tree(shape).insert(&large(i)).unwrap());
        assert!(map.tree(shape).remove(&large(i)).unwrap());
        assert!(map.bytes_written < LARGE as u64 + 20_000, "{} bytes were written", map.bytes_written);
    }
    // What it has split is merged when it is very small, so that leaves do not become as many as there were
    // large entries.
    let found = check(&map, shape);
    assert!(found.leaves <= leaves * 4, "{} leaves of {leaves}", found.leaves);
}

#[test]
fn small_entries_beside_a_large_one_share_leaves() {
    let shape = Shape::default();
    let tails: [fn(u64) -> u64; 2] = [|i| i, |i| 999 - i];
    for tail in tails {
        let mut map = Map::default();
        assert!(map.tree(shape).insert(&large(500)).unwrap());
        // Between the large entry and what separates it from others, on both sides.
        for i in 0..1000 {
            for byte in [b'w', b'x', b'y'] {
                let mut near = large(500)[..60].to_vec();
                near.push(byte);
                near.extend_from_slice(&key(tail(i)));
                map.tree(shape).insert(&near).unwrap();
            }
        }
        let found = check(&map, shape);
        assert!(found.leaves < 400, "{} leaves of {} entries", found.leaves, found.entries.len());
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
