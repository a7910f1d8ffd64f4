//! Values that are whole and yet none: empty, with duplicates, of odd length.

use super::{decode_body, why_not};
use crate::encode::{Compression, Shape};
use crate::{Error, Object, kind};

/// An object whose only string is a listpack of these elements.
fn in_listpack(kind: u8, elements: &[&str]) -> Vec<u8> {
    let set = Object::Set(elements.iter().map(|element| element.as_bytes().to_vec()).collect());
    let payload = super::written(&set, Shape::Compact, Compression::None);
    [&[kind], &payload[1..payload.len() - 10]].concat()
}

#[test]
fn empty_collections_are_refused() {
    for kind in [
        kind::LIST,
        kind::SET,
        kind::ZSET,
        kind::HASH,
        kind::ZSET_2,
        kind::LIST_QUICKLIST,
        kind::LIST_QUICKLIST_2,
    ] {
        assert_eq!(why_not(&[kind, 0]), "an empty collection", "{kind}");
    }
    for kind in [kind::SET_LISTPACK, kind::HASH_LISTPACK, kind::ZSET_LISTPACK] {
        assert_eq!(why_not(&in_listpack(kind, &[])), "an empty collection", "{kind}");
    }
    assert_eq!(why_not(b"\x0b\x08\x02\0\0\0\0\0\0\0"), "an empty collection");
    // A list of one node without elements; a node that is an empty element.
    let node = in_listpack(kind::NODE_PACKED as u8, &[]);
    assert_eq!(why_not(&[&[kind::LIST_QUICKLIST_2, 1], node.as_slice()].concat()), "an empty collection");
    assert_eq!(why_not(&[kind::LIST_QUICKLIST_2, 1, 1, 0]), "a node of a list is empty");
}

#[test]
fn duplicates_are_refused() {
    for body in [
        &b"\x02\x02\x01a\x01a"[..],
        b"\x02\x02\x015\xc0\x05",
        b"\x04\x02\x01a\x01b\x01a\x01c",
        b"\x03\x02\x01a\x011\x01a\x012",
        b"\x05\x02\x01a\0\0\0\0\0\0\0\0\x01a\0\0\0\0\0\0\xf0\x3f",
        &in_listpack(kind::SET_LISTPACK, &["a", "b", "a"]),
        &in_listpack(kind::HASH_LISTPACK, &["a", "b", "a", "c"]),
        &in_listpack(kind::ZSET_LISTPACK, &["a", "1", "a", "2"]),
    ] {
        assert_eq!(why_not(body), "the same element twice", "{body:02x?}");
    }
    assert_eq!(why_not(b"\x0b\x0c\x02\0\0\0\x02\0\0\0\x01\0\x01\0"), "an intset is out of order");
    // What is a value may be there twice, and what is a field may be a value.
    assert!(decode_body(&in_listpack(kind::HASH_LISTPACK, &["a", "b", "b", "b"])).is_ok());
}

#[test]
fn odd_collections_are_refused() {
    assert_eq!(why_not(&in_listpack(kind::HASH_LISTPACK, &["a", "b", "c"])), "a field without a value");
    assert_eq!(why_not(&in_listpack(kind::ZSET_LISTPACK, &["a", "1", "c"])), "a member without a score");
    assert_eq!(why_not(b"\x04\x01\x01a"), "the bytes end too early");
}

#[test]
fn scores_that_are_no_numbers_are_refused() {
    assert_eq!(why_not(b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f"), "a score is not a number");
    assert_eq!(why_not(&in_listpack(kind::ZSET_LISTPACK, &["a", "nan"])), "a score is not a number");
    assert_eq!(why_not(&in_listpack(kind::ZSET_LISTPACK, &["a", "x"])), "a score is not a number");
}

#[test]
fn unknown_types_and_encodings_are_refused() {
    for kind in [8, 22, 100, 255] {
        assert_eq!(why_not(&[kind, 1]), "unknown type");
    }
    for kind in [kind::MODULE_PRE_GA, kind::MODULE_2] {
        assert_eq!(decode_body(&[kind, 1]), Err(Error::Unsupported(kind)));
    }
    assert_eq!(why_not(b"\x00\xc4"), "unknown encoding of a string");
    assert_eq!(why_not(b"\x00\x82\0\0\0\0"), "unknown encoding of a length");
    assert_eq!(why_not(b"\x02\xc0\x05"), "a special encoding where a length belongs");
    assert_eq!(why_not(b"\x12\x01\x03\x01a"), "unknown kind of a node of a list");
}

#[test]
fn bytes_behind_a_value_are_refused() {
    assert_eq!(why_not(b"\x00\x01ab"), "bytes follow the value");
    assert_eq!(why_not(b""), "the bytes end too early");
}
