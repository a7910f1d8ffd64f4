//! Payloads of real servers: what they decode to is known, and written again they are the same bytes.

use super::{LIMITS, entry, written};
use crate::decode;
use crate::encode::{self, Compression, Shape};
use crate::object::{Consumer, Group, Object, Pending, Stream, StreamHead, StreamId};

const PAYLOADS: &str = include_str!("payloads.txt");

pub(super) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let lines =
        PAYLOADS.lines().filter_map(|line| line.strip_prefix(|c: char| c != '#').and(line.split_once(' ')));
    lines.map(|(name, hex)| (name, unhex(hex))).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|digits| str::from_utf8(digits).unwrap());
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

fn payload(name: &str) -> Vec<u8> {
    let found = all().into_iter().find(|(other, _)| *other == name);
    found.unwrap_or_else(|| panic!("no payload is called {name}")).1
}

fn decoded(name: &str) -> Object {
    decode(&payload(name), LIMITS).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Strings and numbers of every width.
fn mixed() -> Vec<Vec<u8>> {
    let words = [
        "",
        "a",
        "0",
        "12",
        "127",
        "128",
        "-1",
        "4095",
        "-4096",
        "4096",
        "32767",
        "-32768",
        "32768",
        "8388607",
        "-8388608",
        "8388608",
        "2147483647",
        "-2147483648",
        "2147483648",
        "9223372036854775807",
        "-9223372036854775808",
        "X",
        "Y",
        "Z",
        "-0",
        "007",
        "1.5",
    ];
    let long = |word: &str| match word {
        "X" => vec![b'x'; 63],
        "Y" => vec![b'y'; 64],
        "Z" => vec![b'z'; 300],
        word => word.into(),
    };
    words.into_iter().map(long).collect()
}

fn strings(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn strings_of_a_real_server_are_read() {
    for (name, expected) in [
        ("string-raw", "hello"),
        ("string-empty", ""),
        ("string-int8", "-128"),
        ("string-int16", "300"),
        ("string-int32", "-2147483648"),
        ("string-wide", "2147483648"),
    ] {
        assert_eq!(decoded(name), Object::String(expected.into()), "{name}");
    }
}

#[test]
fn lists_of_a_real_server_are_read() {
    for name in ["list", "list-small-nodes", "list-plain", "list-lzf", "list-8"] {
        assert_eq!(decoded(name), Object::List(mixed()), "{name}");
    }
}

#[test]
fn sets_of_a_real_server_are_read() {
    assert_eq!(decoded("set-intset-16"), Object::Set(strings(&["-2", "3", "300"])));
    assert_eq!(decoded("set-intset-32"), Object::Set(strings(&["-2", "3", "70000"])));
    assert_eq!(decoded("set-intset-64"), Object::Set(strings(&["-2", "3", "5000000000"])));
    assert_eq!(decoded("set-listpack"), Object::Set(mixed()));
    let Object::Set(mut members) = decoded("set-table") else { panic!("it is a set") };
    let mut expected = mixed();
    members.sort();
    expected.sort();
    assert_eq!(members, expected);
}

#[test]
fn hashes_of_a_real_server_are_read() {
    let mut words = mixed();
    words.push(b"last".to_vec());
    let mut expected: Vec<_> = words.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    assert_eq!(decoded("hash-listpack"), Object::Hash(expected.clone()));
    let Object::Hash(mut entries) = decoded("hash-table") else { panic!("it is a hash") };
    entries.sort();
    expected.sort();
    assert_eq!(entries, expected);
}

#[test]
fn sorted_sets_of_a_real_server_are_read() {
    let members = |middle: &[(&str, f64)]| {
        let first = [("low", f64::NEG_INFINITY), ("b", -7.0), ("zero", 0.0)];
        let all = first.iter().chain(middle).chain(&[("high", f64::INFINITY)]);
        all.map(|(member, score)| (member.as_bytes().to_vec(), *score)).collect::<Vec<_>>()
    };
    let small = members(&[("half", 0.5), ("a", 3.0), ("b2", 3.0), ("big", 1e11)]);
    assert_eq!(decoded("zset-listpack"), Object::SortedSet(small.clone()));
    assert_eq!(decoded("zset-listpack-8"), Object::SortedSet(small));
    // Redis writes the highest first.
    let wide = members(&[("tenth", 0.1), ("a", 3.0), ("b2", 3.0), ("big", 1e300)]);
    assert_eq!(decoded("zset-table"), Object::SortedSet(wide.into_iter().rev().collect()));
}

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

/// A stream with its points in time checked and replaced: they are those of when it was made.
fn decoded_stream(name: &str) -> Stream {
    let Object::Stream(mut stream) = decoded(name) else { panic!("{name} is a stream") };
    let check = |time_ms: &mut i64| {
        assert!((1_600_000_000_000..4_000_000_000_000).contains(time_ms), "{name}: {time_ms}");
        *time_ms = 1;
    };
    for consumer in stream.groups.iter_mut().flat_map(|group| &mut group.consumers) {
        check(&mut consumer.seen_ms);
        consumer.active_ms.iter_mut().for_each(check);
        consumer.pending.iter_mut().for_each(|pending| check(&mut pending.delivered_ms));
    }
    stream
}

fn consumer(name: &str, active_ms: Option<i64>, pending: &[StreamId]) -> Consumer {
    let pending = pending.iter().map(|id| Pending { id: *id, delivered_ms: 1, deliveries: 1 });
    Consumer { name: name.into(), seen_ms: 1, active_ms, pending: pending.collect() }
}

#[test]
fn streams_of_a_real_server_are_read() {
    let first = entry(id(1, 1), &[("f", "1"), ("g", "2")]);
    let second = entry(id(1, 2), &[("f", "x"), ("g", "y")]);
    let third = entry(id(2, 0), &[("other", "7")]);
    let last = entry(id(5, 9), &[("f", "1"), ("g", "2")]);
    let group = |name: &str, last_id, entries_read, consumers| Group {
        name: name.into(),
        last_id,
        entries_read,
        consumers,
    };

    let with_2 = Stream {
        entries: vec![first.clone(), third.clone(), last.clone()],
        head: StreamHead { last_id: id(5, 9), max_deleted_id: id(1, 2), entries_added: 4 },
        groups: vec![
            group(
                "one",
                id(5, 9),
                Some(4),
                vec![consumer("17", Some(1), &[id(5, 9)]), consumer("alice", Some(1), &[id(2, 0)])],
            ),
            group("two", id(5, 9), None, vec![consumer("idle", Some(1), &[])]),
        ],
    };
    assert_eq!(decoded_stream("stream-2"), with_2);

    let with_3 = Stream {
        entries: vec![first, second, third, last],
        head: StreamHead { last_id: id(5, 9), max_deleted_id: id(0, 0), entries_added: 4 },
        groups: vec![
            group(
                "one",
                id(2, 0),
                Some(3),
                vec![consumer("17", Some(1), &[id(2, 0)]), consumer("alice", Some(1), &[id(1, 2)])],
            ),
            group("two", id(5, 9), Some(3), vec![consumer("idle", None, &[])]),
        ],
    };
    assert_eq!(decoded_stream("stream-3"), with_3);
}

#[test]
fn streams_with_gaps_are_read() {
    let deleted = Stream {
        entries: vec![entry(id(1, 2), &[("f", "2")])],
        head: StreamHead { last_id: id(1, 2), max_deleted_id: id(1, 1), entries_added: 2 },
        groups: vec![],
    };
    assert_eq!(decoded_stream("stream-deleted"), deleted);
    let gone = Stream {
        entries: vec![],
        head: StreamHead { last_id: id(1, 1), max_deleted_id: id(1, 1), entries_added: 1 },
        groups: vec![Group { name: b"g".to_vec(), last_id: id(0, 5), entries_read: None, consumers: vec![] }],
    };
    assert_eq!(decoded_stream("stream-gone"), gone);
}

/// The type and the value, which do not depend on the version.
fn body(payload: &[u8]) -> &[u8] {
    &payload[..payload.len() - 10]
}

#[test]
fn what_is_written_is_what_a_real_server_writes() {
    // Not here: what depends on settings, what older servers write otherwise, and entries that are gone.
    for (name, shape) in [
        ("string-raw", Shape::Wide),
        ("string-empty", Shape::Wide),
        ("string-int8", Shape::Wide),
        ("string-int16", Shape::Wide),
        ("string-int32", Shape::Wide),
        ("string-wide", Shape::Wide),
        ("list", Shape::Wide),
        ("list-8", Shape::Wide),
        ("set-table", Shape::Wide),
        ("set-listpack", Shape::Compact),
        ("hash-table", Shape::Wide),
        ("hash-listpack", Shape::Compact),
        ("zset-table", Shape::Wide),
        ("zset-listpack", Shape::Compact),
        ("zset-listpack-8", Shape::Compact),
        ("stream-2-whole", Shape::Wide),
    ] {
        let theirs = payload(name);
        let ours = written(&decoded(name), shape, Compression::None);
        assert_eq!(body(&ours), body(&theirs), "{name}");
        // All of it, if the version is the same.
        let version = |payload: &[u8]| payload[payload.len() - 10..payload.len() - 8].to_vec();
        assert_eq!(ours == theirs, version(&ours) == version(&theirs), "{name}");
    }
    for name in ["set-intset-16", "set-intset-32", "set-intset-64"] {
        let Object::Set(members) = decoded(name) else { panic!("{name} is a set") };
        let members: Vec<i64> =
            members.iter().map(|text| str::from_utf8(text).unwrap().parse().unwrap()).collect();
        assert_eq!(
            body(&encode::intset(&members, Compression::None).unwrap()),
            body(&payload(name)),
            "{name}"
        );
    }
}
