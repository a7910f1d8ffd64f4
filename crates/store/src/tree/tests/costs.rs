//! What operations cost in records and bytes: little, and the same however much came before.

use super::*;

/// Records read, written and removed, and bytes written, by one operation on average.
#[derive(Debug)]
struct Cost {
    reads: f64,
    writes: f64,
    bytes: f64,
}

fn cost(map: &mut Map, times: u64, mut op: impl FnMut(&mut Tree<'_, Map>, u64)) -> Cost {
    map.forget_costs();
    for i in 0..times {
        op(&mut Tree::new(map), i);
    }
    let per = |value: u64| value as f64 / times as f64;
    Cost { reads: per(map.reads), writes: per(map.writes + map.removes), bytes: per(map.bytes_written) }
}

/// A tree of the even numbers below twice `len`, inserted without order.
fn warm(len: u64) -> Map {
    let mut map = Map::default();
    for i in shuffled(len) {
        assert!(Tree::new(&mut map).insert(&key(i * 2)).unwrap());
    }
    map
}

#[test]
fn an_operation_rewrites_a_leaf_and_a_small_record_per_level() {
    for len in [1_000, 10_000, 100_000, 1_000_000] {
        let mut map = warm(len);
        let odd = |i: u64| key((i * 7919 % len) * 2 + 1);
        let times = 1_000;
        let insert = cost(&mut map, times, |tree, i| assert!(tree.insert(&odd(i)).unwrap()));
        let levels = f64::from(check(&map, Shape::default()).height);
        assert!(levels <= 2.0 || len == 1_000_000 && levels <= 3.0);
        let remove = cost(&mut map, times, |tree, i| assert!(tree.remove(&odd(i)).unwrap()));
        let rank = cost(&mut map, times, |tree, i| assert!(tree.rank(&odd(i)).unwrap() <= len));
        let at = cost(&mut map, times, |tree, i| assert!(tree.at(i * 7919 % len).unwrap().is_some()));
        println!("{len}: insert {insert:?}, remove {remove:?}, rank {rank:?}, at {at:?}");
        for change in [&insert, &remove] {
            assert!(change.reads <= levels * 2.0 + 1.1, "{change:?}");
            assert!(change.writes <= levels + 1.2, "{change:?}");
            assert!(change.bytes <= 1_700.0, "{change:?}");
        }
        assert!((rank.reads, at.reads) == (levels * 2.0 + 1.0, levels * 2.0 + 1.0), "{rank:?} {at:?}");
    }
}

#[test]
fn a_million_pops_cost_the_same_from_the_first_to_the_last() {
    const LEN: u64 = 1_000_000;
    let mut map = Map::built(Shape::default(), (0..LEN).map(key));
    let mut popped = 0;
    while popped < LEN {
        let cost = cost(&mut map, LEN / 20, |tree, i| {
            let mut told = None;
            assert_eq!(tree.remove_range(0..1, |entry| told = Some(entry.to_vec())).unwrap(), 1);
            assert_eq!(told, Some(key(popped + i)));
        });
        popped += LEN / 20;
        assert!(cost.reads < 5.1 && cost.writes < 3.1 && cost.bytes < 1_100.0, "after {popped}: {cost:?}");
        assert!(map.records.len() as u64 <= (LEN - popped) / 48 * 11 / 10 + 20, "after {popped}: garbage");
    }
    assert!(map.records.is_empty());
}

#[test]
fn many_are_removed_leaf_by_leaf() {
    const LEN: u64 = 100_000;
    let mut map = Map::built(Shape::default(), (0..LEN).map(key));
    map.forget_costs();
    let removed = Tree::new(&mut map).remove_range(1_000..LEN - 1_000, |_| {}).unwrap();
    assert_eq!(removed, LEN - 2_000);
    let leaves = LEN / 48;
    assert!(map.reads < leaves * 8, "{} records are read for {leaves} leaves", map.reads);
    assert_eq!(check(&map, Shape::default()).entries.len(), 2_000);
}
