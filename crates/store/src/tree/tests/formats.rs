//! The bytes of the records, so that they change only on purpose.

use super::*;

const SHAPE: Shape = Shape { leaf_entries_max: 2, leaf_bytes_max: 100, fan_out: 64, inner_bytes_max: 1000 };

fn records(map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
    let encoded = |id: &NodeId| {
        let mut out = Vec::new();
        id.encode(&mut out);
        out
    };
    let mut records: Vec<_> = map.records.iter().map(|(id, value)| (encoded(id), value.to_vec())).collect();
    records.sort();
    records
}

fn record(number: u8, part: u8, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (vec![0, 0, 0, 0, 0, number, part], value.to_vec())
}

#[test]
fn a_tree_of_one_leaf() {
    let mut map = Map::default();
    assert!(map.tree(SHAPE).insert(b"b").unwrap());
    assert!(map.tree(SHAPE).insert(b"").unwrap());
    assert_eq!(records(&map), [record(0, 0, b"\0\0\x01b")]);
}

#[test]
fn a_tree_of_two_leaves() {
    let mut map = Map::default();
    for key in ["apple", "cherry", "banana"] {
        assert!(map.tree(SHAPE).insert(key.as_bytes()).unwrap());
    }
    let expected = [
        record(0, 0, b"\x01\0\x01\x01c\x02"),
        record(0, 1, b"\x03\x02\x01"),
        record(1, 0, b"\0\x05apple\x06banana"),
        record(2, 0, b"\0\x06cherry"),
    ];
    assert_eq!(records(&map), expected);
}
