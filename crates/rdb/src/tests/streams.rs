//! Streams that are older than their encoding of today, and streams that cannot be.

use super::{decode_body, entry, why_not, written_stream};
use crate::encode::{Compression, StreamWriter};
use crate::listpack::Writer;
use crate::object::{Consumer, Group, Object, Pending, Stream, StreamEntry, StreamHead, StreamId};
use crate::{Error, kind};

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

fn raw(id: StreamId) -> [u8; 16] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

/// A listpack under its id; elements that are no numbers are strings.
fn node(base: StreamId, elements: &str) -> Vec<u8> {
    let mut listpack = Writer::new();
    elements.split_whitespace().for_each(|element| listpack.push(element.as_bytes()));
    let listpack = listpack.finish().unwrap();
    [&[16], raw(base).as_slice(), &[0x40, listpack.len() as u8], &listpack].concat()
}

/// A stream of this one listpack, which holds `len` entries, the last of them 1-9 at most.
fn with_node(elements: &str, len: u8) -> Vec<u8> {
    let tail = [len, 1, 9, 1, 1, 0, 0, 10, 0];
    [&[kind::STREAM_LISTPACKS_3, 1], node(id(1, 1), elements).as_slice(), &tail].concat()
}

/// Two entries, of which the second has fields of its own.
const GOOD: &str = "2 0 1 f 0  2 0 0 v 4  0 0 1 1 g w 6";

#[test]
fn nodes_must_have_their_form() {
    assert!(decode_body(&with_node(GOOD, 2)).is_ok());
    for (elements, expected) in [
        ("", "a node of a stream ends too early"),
        ("2 0 1 f", "a node of a stream ends too early"),
        ("2 0 9 f 0  2 0 0 v 4  0 0 1 1 g w 6", "the head of a node of a stream does not end"),
        ("x 0 1 f 0", "text where a number belongs"),
        ("-1 0 1 f 0", "a count is negative"),
        ("2 0 -1 f 0", "a count is negative"),
        ("2 0 1 f 1  2 0 0 v 4  0 0 1 1 g w 6", "the head of a node of a stream does not end"),
        ("2 0 1 f 0  2 0 0 v 4  0 0 1 1 g w 5", "an entry has a wrong length backwards"),
        ("2 0 1 f 0  2 0 0 v 5  0 0 1 1 g w 6", "an entry has a wrong length backwards"),
        ("2 0 1 f 0  2 0 0 v 4  0 0 1 2 g w 6", "a node of a stream ends too early"),
        ("2 0 1 f 0  2 0 0 v 4  8 0 1 1 g w 6", "unknown flags of an entry"),
        ("2 0 1 f 0  2 0 0 v 4  0 0 1 0 4", "an entry without fields"),
        ("2 0 1 f 0  2 0 0 v 4  0 0 0 1 g w 6", "the entries of a stream are out of order"),
        ("2 0 1 f 0  2 0 1 v 4  0 0 0 1 g w 6", "the entries of a stream are out of order"),
        (
            "3 0 1 f 0  2 0 0 v 4  0 0 1 1 g w 6",
            "a node of a stream has another number of entries than it says",
        ),
        (
            "1 1 1 f 0  2 0 0 v 4  0 0 1 1 g w 6",
            "a node of a stream has another number of entries than it says",
        ),
        ("2 0 1 f 0  2 0 0 v 4  0 0 0 1 g w 6", "the entries of a stream are out of order"),
        ("2 0 1 f 0  2 -1 -1 v 4  0 0 1 1 g w 6", "an entry has the id of none"),
        ("2 0 1 f 0  2 0 0 v 4  0 0 9 1 g w 6", "an entry is above the last id of its stream"),
    ] {
        assert_eq!(why_not(&with_node(elements, 2)), expected, "{elements}");
    }
}

#[test]
fn deleted_entries_are_left_out() {
    let body = with_node("1 2 1 f 0  3 0 0 v 4  1 0 1 1 g w 6  2 0 2 u 4", 1);
    let Ok(Object::Stream(stream)) = decode_body(&body) else { panic!("it is a stream") };
    assert_eq!(stream.entries, [entry(id(1, 3), &[("f", "u")])]);
}

#[test]
fn lengths_and_nodes_must_agree() {
    assert_eq!(why_not(&with_node(GOOD, 3)), "a stream has another length than it says");
    let two = |a, b| {
        let (a, b) = (node(a, "1 0 1 f 0 2 0 0 v 4"), node(b, "1 0 1 f 0 2 0 0 v 4"));
        [&[kind::STREAM_LISTPACKS_3, 2], a.as_slice(), &b, &[2, 1, 9, 1, 1, 0, 0, 10, 0]].concat()
    };
    assert!(decode_body(&two(id(1, 1), id(1, 2))).is_ok());
    assert_eq!(why_not(&two(id(1, 1), id(1, 1))), "the nodes of a stream are out of order");
    assert_eq!(why_not(&two(id(1, 2), id(1, 1))), "the nodes of a stream are out of order");
    let mut body = with_node(GOOD, 2);
    let added = body.len() - 2;
    body[added] = 1;
    assert_eq!(why_not(&body), "a stream has a wrong number of entries added");
    assert_eq!(why_not(&[kind::STREAM_LISTPACKS_3, 1, 1, b'x']), "a key is no stream id");
}

/// Behind a stream without entries whose last id is 5-0: one group, read up to 3-0.
fn with_group(kind: u8, group: &[&[u8]]) -> Vec<u8> {
    let stream = [kind, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1, 1, b'g', 3, 0, 0];
    [&stream[..], &group.concat()].concat()
}

#[test]
fn each_pending_entry_has_one_consumer() {
    let (a, b) = (&raw(id(1, 0))[..], &raw(id(2, 0))[..]);
    let (delivery, times) = (&[1, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 16][..]);
    let check = |group: &[&[u8]], expected: Option<&'static str>| {
        let found = decode_body(&with_group(kind::STREAM_LISTPACKS_3, group));
        assert_eq!(found.err(), expected.map(Error::Malformed));
    };
    // In whatever order: Redis does not care for it.
    check(&[&[2], b, delivery, a, delivery, &[2, 1, b'x'], times, &[1], a, &[1, b'y'], times, &[1], b], None);
    check(&[&[1], a, delivery, &[0]], Some("a pending entry belongs to no consumer"));
    check(&[&[2], a, delivery, a, delivery, &[0]], Some("the same pending entry twice"));
    check(&[&[0, 1, 1, b'x'], times, &[1], a], Some("a pending entry is none of the group's"));
    let twice = "a pending entry is none of the group's";
    check(&[&[1], a, delivery, &[1, 1, b'x'], times, &[2], a, a], Some(twice));
    check(&[&[1], a, delivery, &[2, 1, b'x'], times, &[1], a, &[1, b'y'], times, &[1], a], Some(twice));
    check(&[&[0, 2, 1, b'x'], times, &[0, 1, b'x'], times, &[0]], Some("the same consumer twice"));
}

#[test]
fn groups_have_names_of_their_own() {
    let body = [
        kind::STREAM_LISTPACKS_3,
        0,
        0,
        5,
        0,
        0,
        0,
        0,
        0,
        0,
        2,
        1,
        b'g',
        3,
        0,
        0,
        0,
        0,
        1,
        b'g',
        3,
        0,
        0,
        0,
        0,
    ];
    assert_eq!(why_not(&body), "the same group twice");
    let mut body = with_group(kind::STREAM_LISTPACKS_3, &[&[0, 0]]);
    let read = body.len() - 3;
    body.splice(read..read + 1, *b"\x81\xff\xff\xff\xff\xff\xff\xff\xfe");
    assert_eq!(why_not(&body), "a group has a wrong number of entries read");
}

#[test]
fn the_oldest_streams_say_less() {
    let entries = node(id(1, 1), "2 0 1 f 0  2 0 0 v 4  2 4 -1 w 4");
    let group = |ms: u8, seq: u8| [1, b'g', ms, seq, 0, 1, 1, b'c', 7, 0, 0, 0, 0, 0, 0, 0, 0];
    for ((ms, seq), expected) in [
        ((0, 0), Some(0)),
        ((1, 1), Some(1)),
        ((3, 0), None),
        ((5, 0), None),
        ((6, 0), Some(2)),
        ((6, 1), None),
    ] {
        let body = [&[kind::STREAM_LISTPACKS, 1][..], &entries, &[2, 6, 0, 1], &group(ms, seq)].concat();
        let Ok(Object::Stream(stream)) = decode_body(&body) else { panic!("it is a stream") };
        assert_eq!(stream.head, StreamHead { last_id: id(6, 0), max_deleted_id: id(0, 0), entries_added: 2 });
        assert_eq!(stream.entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [id(1, 1), id(5, 0)]);
        let consumers =
            vec![Consumer { name: b"c".to_vec(), seen_ms: 7, active_ms: Some(7), pending: vec![] }];
        let name = b"g".to_vec();
        let last_id = id(ms.into(), seq.into());
        assert_eq!(stream.groups, [Group { name, last_id, entries_read: expected, consumers }]);
    }
    // Nothing was ever added.
    let body = [&[kind::STREAM_LISTPACKS, 0, 0, 0, 0, 1][..], &group(0, 0)].concat();
    let Ok(Object::Stream(stream)) = decode_body(&body) else { panic!("it is a stream") };
    assert_eq!(stream.groups[0].entries_read, Some(0));
}

#[test]
fn nodes_are_closed_when_they_are_full() {
    let entry = |seq, len| entry(id(1, seq), &[("f", &"v".repeat(len))]);
    let nodes = |entries: Vec<StreamEntry>| {
        let head = StreamHead { last_id: id(1, 1000), entries_added: 1000, ..StreamHead::default() };
        written_stream(&Stream { entries, head, groups: vec![] }, Compression::None)[1]
    };
    assert_eq!(nodes((0..100).map(|seq| entry(seq, 1)).collect()), 1);
    assert_eq!(nodes((0..101).map(|seq| entry(seq, 1)).collect()), 2);
    assert_eq!(nodes((0..4).map(|seq| entry(seq, 1500)).collect()), 2);
    assert_eq!(nodes((0..4).map(|seq| entry(seq, 5000)).collect()), 4);
}

#[test]
fn pending_entries_are_written_in_order() {
    let pending = |ms| Pending { id: id(ms, 0), delivered_ms: 1, deliveries: 1 };
    let consumer =
        |name: &str, pending| Consumer { name: name.into(), seen_ms: 1, active_ms: Some(1), pending };
    let consumers =
        vec![consumer("a", vec![pending(2), pending(4)]), consumer("b", vec![pending(1), pending(3)])];
    let group = Group { name: b"g".to_vec(), last_id: id(4, 0), entries_read: None, consumers };
    let head = StreamHead { last_id: id(5, 0), ..StreamHead::default() };
    let mut writer = StreamWriter::new(Compression::None).head(&head, 1).unwrap();
    writer.group(&group);
    let payload = writer.finish();
    let find = |ms| payload.windows(16).position(|window| window == raw(id(ms, 0))).unwrap();
    assert!([1, 2, 3, 4].map(find).is_sorted());
    let Ok(Object::Stream(stream)) = crate::decode(&payload, super::LIMITS) else { panic!("it is a stream") };
    assert_eq!(stream.groups, [group]);
}
