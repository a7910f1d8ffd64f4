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
        record(
            0,
            0,
            b"\x01\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\
            c\0\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0",
        ),
        record(0, 1, b"\x02\0\0\0\0\0\x03\0\x02\0\x01"),
        record(1, 0, b"\0\x05apple\x06banana"),
        record(2, 0, b"\0\x06cherry"),
    ];
    assert_eq!(records(&map), expected);
}

#[test]
fn an_inner_node_of_separators_with_a_beginning_in_common() {
    let child = |separator: &'static [u8], number| inner::Child { separator, number, count: 1 };
    let children = [
        child(b"", 1),
        child(b"prefix:1", 2),
        child(b"prefix:12345678", 3),
        child(b"prefix:123456789", 4),
        child(b"prefix:3", 0xFFFF_0000_FFFF),
    ];
    let mut out = Vec::new();
    inner::put_node(&mut out, 1, &children);
    let expected = b"\x01\x07prefix:\0\0\0\x01\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\
        1\0\0\0\0\0\0\0\x01\0\0\0\0\0\x02\0\0\0\0\
        12345678\x08\0\0\0\0\0\x03\0\0\0\0\
        12345678\x08\0\0\0\0\0\x04\0\0\0\x01\
        3\0\0\0\0\0\0\0\x01\xFF\xFF\0\0\xFF\xFF\0\0\0\x01\
        9";
    assert_eq!(out, expected);
}
