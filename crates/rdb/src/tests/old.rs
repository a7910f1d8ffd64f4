//! Encodings that no server of today writes, built by hand from what their formats say.

use super::{decode_body, why_not};
use crate::{Object, kind};

/// A ziplist of elements that are encoded already, without the length before them.
fn ziplist(elements: &[Vec<u8>]) -> Vec<u8> {
    let (mut body, mut last, mut len_before) = (Vec::new(), 10, 0);
    for element in elements {
        last = 10 + body.len();
        let start = body.len();
        match u8::try_from(len_before) {
            Ok(len) if len < 254 => body.push(len),
            _ => {
                body.push(254);
                body.extend((len_before as u32).to_le_bytes());
            }
        }
        body.extend(element);
        len_before = body.len() - start;
    }
    let mut ziplist = (body.len() as u32 + 11).to_le_bytes().to_vec();
    ziplist.extend((last as u32).to_le_bytes());
    ziplist.extend((elements.len() as u16).to_le_bytes());
    ziplist.extend(body);
    ziplist.push(0xff);
    ziplist
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut element = match bytes.len() {
        len @ 0..64 => vec![len as u8],
        len @ 64..16384 => (0x4000 | len as u16).to_be_bytes().to_vec(),
        len => [&[0x80], &(len as u32).to_be_bytes()[..]].concat(),
    };
    element.extend(bytes);
    element
}

/// Behind its type and length, as the value of a key.
fn object(kind: u8, packed: &[u8]) -> Vec<u8> {
    [&[kind], string(packed).as_slice()].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = vec![0x80];
    string.extend((bytes.len() as u32).to_be_bytes());
    string.extend(bytes);
    string
}

fn numbers() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (vec![0xf1], "0"),
        (vec![0xfd], "12"),
        (vec![0xfe, 0x80], "-128"),
        (vec![0xc0, 0x2c, 0x01], "300"),
        (vec![0xf0, 0x00, 0x00, 0x80], "-8388608"),
        (vec![0xd0, 0xff, 0xff, 0xff, 0x7f], "2147483647"),
        (vec![0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80], "-9223372036854775808"),
    ]
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Object {
    Object::Hash(
        pairs.iter().map(|(field, value)| (field.as_bytes().into(), value.as_bytes().into())).collect(),
    )
}

#[test]
fn ziplists_of_every_encoding_are_read() {
    let (mut elements, texts): (Vec<_>, Vec<_>) = numbers().into_iter().unzip();
    let mut expected: Vec<Vec<u8>> = texts.into_iter().map(Into::into).collect();
    for len in [0, 1, 63, 64, 250, 253, 254, 16_383, 16_384, 70_000] {
        elements.push(text(&vec![b'x'; len]));
        expected.push(vec![b'x'; len]);
    }
    elements.push(text(b"end"));
    expected.push(b"end".to_vec());
    let packed = ziplist(&elements);
    assert_eq!(decode_body(&object(kind::LIST_ZIPLIST, &packed)), Ok(Object::List(expected)));
}

#[test]
fn a_ziplist_may_hold_more_elements_than_it_can_count() {
    let mut packed = ziplist(&vec![vec![0xf2]; 70_000]);
    packed[8..10].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(
        decode_body(&object(kind::LIST_ZIPLIST, &packed)),
        Ok(Object::List(vec![b"1".to_vec(); 70_000]))
    );
}

#[test]
fn a_ziplist_may_keep_room_for_a_long_length() {
    // Redis does not shrink the length of the element before when that gets shorter.
    let packed = b"\x15\0\0\0\x0d\0\0\0\x02\0\x00\x01a\xfe\x03\0\0\0\x01b\xff";
    assert_eq!(decode_body(&object(kind::LIST_ZIPLIST, packed)), Ok(Object::List(words(&[b"a", b"b"]))));
}

#[test]
fn lists_of_ziplists_are_read_without_their_empty_nodes() {
    let node = string(&ziplist(&[text(b"a"), vec![0xf2]]));
    let empty = string(&ziplist(&[]));
    let body = [&[kind::LIST_QUICKLIST, 3][..], &node, &empty, &node].concat();
    assert_eq!(decode_body(&body), Ok(Object::List(words(&[b"a", b"1", b"a", b"1"]))));
    assert_eq!(why_not(&[&[kind::LIST_QUICKLIST, 1][..], &empty].concat()), "an empty collection");
}

#[test]
fn hashes_and_sorted_sets_in_ziplists_are_read() {
    let packed = ziplist(&[text(b"a"), vec![0xf2], text(b"b"), text(b"2.5")]);
    assert_eq!(decode_body(&object(kind::HASH_ZIPLIST, &packed)), Ok(pairs(&[("a", "1"), ("b", "2.5")])));
    let expected = vec![(b"a".to_vec(), 1.0), (b"b".to_vec(), 2.5)];
    assert_eq!(decode_body(&object(kind::ZSET_ZIPLIST, &packed)), Ok(Object::SortedSet(expected)));

    let odd = ziplist(&[text(b"a"), vec![0xf2], text(b"b")]);
    assert_eq!(why_not(&object(kind::HASH_ZIPLIST, &odd)), "a field without a value");
    assert_eq!(why_not(&object(kind::ZSET_ZIPLIST, &odd)), "a member without a score");
    let twice = ziplist(&[text(b"1"), vec![0xf2], vec![0xf2], vec![0xf2]]);
    assert_eq!(why_not(&object(kind::HASH_ZIPLIST, &twice)), "the same element twice");
    assert_eq!(why_not(&object(kind::ZSET_ZIPLIST, &twice)), "the same element twice");
}

#[test]
fn parts_of_a_ziplist_must_agree() {
    let good = ziplist(&[text(b"a"), vec![0xf2]]);
    for (at, byte, expected) in [
        (0, 17, "a ziplist has another size than it says"),
        (4, 10, "a ziplist has a wrong offset of its last element"),
        (8, 1, "a ziplist has another number of elements than it says"),
        (8, 3, "a ziplist has another number of elements than it says"),
        (10, 1, "a ziplist has a wrong length backwards"),
        (10, 0xff, "a ziplist ends early"),
        (11, 0x3f, "the bytes end too early"),
        (13, 2, "a ziplist has a wrong length backwards"),
        (14, 0xff, "unknown encoding of an element"),
        (15, 0xfe, "a ziplist does not end"),
    ] {
        let mut packed = good.clone();
        packed[at] = byte;
        assert_eq!(why_not(&object(kind::LIST_ZIPLIST, &packed)), expected, "{at}");
    }
    assert_eq!(why_not(&object(kind::LIST_ZIPLIST, &ziplist(&[]))), "an empty collection");
}

#[test]
fn zipmaps_are_read() {
    // One value has two bytes of room left, and one field a length that takes five bytes.
    let mut packed = b"\x02\x03foo\x02\x02no??\xfe\x2c\x01\0\0".to_vec();
    packed.extend([b'x'; 300]);
    packed.extend(b"\x01\x00v\xff");
    let expected = pairs(&[("foo", "no"), (&"x".repeat(300), "v")]);
    assert_eq!(decode_body(&object(kind::HASH_ZIPMAP, &packed)), Ok(expected.clone()));
    // 254 and more are not counted.
    packed[0] = 254;
    assert_eq!(decode_body(&object(kind::HASH_ZIPMAP, &packed)), Ok(expected));
}

#[test]
fn parts_of_a_zipmap_must_agree() {
    for (packed, expected) in [
        (&b"\x01\x01a\x01\x00b\xfe"[..], "a zipmap does not end"),
        (b"\x02\x01a\x01\x00b\xff", "a zipmap has another number of pairs than it says"),
        (b"\x00\x01a\x01\x00b\xff", "a zipmap has another number of pairs than it says"),
        (b"\x01\xff\x01a\x01\x00b\xff", "a zipmap ends early"),
        (b"\x01\x01a\x01\x05b\xff", "the bytes end too early"),
        (b"\x01\x01a\x07\x00b\xff", "the bytes end too early"),
        (b"\x02\x01a\x01\x00b\x01a\x01\x00b\xff", "the same element twice"),
        (b"\x00\xff", "an empty collection"),
        (b"\xff", "a zipmap does not end"),
        (b"", "the bytes end too early"),
    ] {
        assert_eq!(why_not(&object(kind::HASH_ZIPMAP, packed)), expected);
    }
}

#[test]
fn plain_collections_are_read() {
    let list = decode_body(b"\x01\x03\x01a\x00\xc0\x05");
    assert_eq!(list, Ok(Object::List(words(&[b"a", b"", b"5"]))));
    let scores = decode_body(b"\x03\x04\x01a\x03-12\x01b\x032.5\x01c\xfe\x01d\xff");
    let expected = [("a", -12.0), ("b", 2.5), ("c", f64::INFINITY), ("d", f64::NEG_INFINITY)];
    let expected = expected.map(|(member, score)| (member.into(), score)).to_vec();
    assert_eq!(scores, Ok(Object::SortedSet(expected)));
    assert_eq!(why_not(b"\x03\x01\x01a\xfd"), "a score is not a number");
    assert_eq!(why_not(b"\x03\x01\x01a\x03nan"), "a score is not a number");
    assert_eq!(why_not(b"\x03\x01\x01a\x031.5x"), "bytes follow the value");
}
