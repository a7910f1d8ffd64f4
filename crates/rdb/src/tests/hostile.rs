//! Bytes that are not what a server wrote: cut off, changed, or promising what is not there.

use super::{LIMITS, entry, fixtures, written};
use crate::encode::{Compression, Shape};
use crate::object::{Consumer, Group, Object, Pending, Stream, StreamHead, StreamId};
use crate::{ELEMENT_BYTES, Error, Limits, VERSION, decode, encode, kind, payload};
use proptest::prelude::*;

/// What an object counts against the limits.
fn weight(object: &Object) -> usize {
    let one = |bytes: &Vec<u8>| bytes.len() + ELEMENT_BYTES;
    let pair = |(a, b): &(Vec<u8>, Vec<u8>)| one(a) + one(b);
    match object {
        Object::String(value) => one(value),
        Object::List(elements) | Object::Set(elements) => elements.iter().map(one).sum(),
        Object::SortedSet(members) => members.iter().map(|(member, _)| one(member)).sum(),
        Object::Hash(entries) => entries.iter().map(pair).sum(),
        Object::Stream(stream) => {
            // Short texts count for a little more.
            let entries = stream.entries.iter().map(|entry| entry.fields.bytes() + ELEMENT_BYTES);
            entries.chain(stream.groups.iter().map(weight_of_group)).sum()
        }
    }
}

fn weight_of_group(group: &Group) -> usize {
    let consumers = group.consumers.iter();
    let names = consumers.clone().map(|consumer| &consumer.name).chain([&group.name]);
    let pending: usize = consumers.map(|consumer| consumer.pending.len()).sum();
    names.map(|name| name.len() + 2 * ELEMENT_BYTES).sum::<usize>() + pending * 2 * ELEMENT_BYTES
}

#[test]
fn every_prefix_is_refused() {
    for (name, payload) in fixtures::all() {
        for len in 0..payload.len() {
            assert_eq!(decode(&payload[..len], LIMITS), Err(Error::Footer), "{name}, {len} bytes");
        }
    }
}

#[test]
fn every_prefix_of_a_value_is_refused() {
    for (name, payload) in fixtures::all() {
        for len in 0..payload.len() - 10 {
            let cut = payload::seal(payload[..len].to_vec());
            assert!(matches!(decode(&cut, LIMITS), Err(Error::Malformed(_))), "{name}, {len} bytes");
        }
    }
}

#[test]
fn every_changed_byte_is_refused() {
    for (name, payload) in fixtures::all() {
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(decode(&changed, LIMITS), Err(Error::Footer), "{name}, byte {at}");
        }
    }
}

#[test]
fn every_changed_byte_under_a_right_checksum_is_read_or_refused() {
    let limits = Limits { bytes_max: 8 << 10 };
    for (_, payload) in fixtures::all() {
        let body = &payload[..payload.len() - 10];
        for at in 0..body.len() {
            for bit in 0..8 {
                let mut changed = body.to_vec();
                changed[at] ^= 1 << bit;
                if let Ok(object) = decode(&payload::seal(changed), limits) {
                    assert!(weight(&object) <= limits.bytes_max);
                }
            }
        }
    }
}

#[test]
fn newer_versions_are_refused() {
    let good = encode::string(b"hello", Compression::None);
    let body = &good[..good.len() - 10];
    for (version, expected) in
        [(0, None), (VERSION, None), (VERSION + 1, Some(Error::Footer)), (u16::MAX, Some(Error::Footer))]
    {
        let mut payload = [body, &version.to_le_bytes()].concat();
        payload.extend(crate::crc64(0, &payload).to_le_bytes());
        assert_eq!(decode(&payload, LIMITS).err(), expected, "{version}");
    }
}

#[test]
fn a_checksum_of_zero_is_a_wrong_checksum() {
    let mut payload = encode::string(b"hello", Compression::None);
    let len = payload.len();
    payload[len - 8..].fill(0);
    assert_eq!(decode(&payload, LIMITS), Err(Error::Footer));
}

#[test]
fn counts_that_promise_too_much_cost_nothing() {
    let huge = b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff";
    for kind in 0..=u8::MAX {
        for tail in [&b""[..], b"\x01a", b"\x02\x01a"] {
            let body = [&[kind][..], huge, tail].concat();
            assert!(decode(&payload::seal(body), LIMITS).is_err(), "{kind}");
        }
    }
}

#[test]
fn compressed_bombs_are_refused() {
    // 88 MiB of one byte in one, as a string and as a listpack.
    let mut compressed = b"\x00a".to_vec();
    compressed.extend(b"\xe0\xff\x00".repeat(350_000));
    let len = 1 + 264 * 350_000u32;
    let lengths =
        [&[0xc3, 0x80][..], &(compressed.len() as u32).to_be_bytes(), &[0x80], &len.to_be_bytes()].concat();
    for kind in [kind::STRING, kind::HASH_LISTPACK, kind::SET_INTSET, kind::LIST_ZIPLIST, kind::HASH_ZIPMAP] {
        let body = [&[kind][..], &lengths, &compressed].concat();
        assert_eq!(decode(&payload::seal(body), LIMITS), Err(Error::Limit), "{kind}");
    }
    // A length that no compression can reach is not even a question of limits.
    let body = b"\x00\xc3\x05\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x00a\xe0\xff\x00";
    let why = Error::Malformed("a compressed string promises too much");
    assert_eq!(decode(&payload::seal(body.to_vec()), LIMITS), Err(why));
}

#[test]
fn what_small_elements_become_counts() {
    // A few kilobytes of payload, 100,000 elements of one byte.
    let list = Object::List(vec![b"7".to_vec(); 100_000]);
    let payload = written(&list, Shape::Wide, Compression::Lzf);
    assert!(payload.len() < 10_000, "{}", payload.len());
    let needed = weight(&list);
    assert_eq!(decode(&payload, Limits { bytes_max: needed }), Ok(list));
    assert_eq!(decode(&payload, Limits { bytes_max: needed - 1 }), Err(Error::Limit));
}

#[test]
fn fields_that_entries_share_count_for_each() {
    let id = |seq| StreamId { ms: 1, seq };
    let field = "f".repeat(20_000);
    let entries = (0..40).map(|seq| entry(id(seq), &[(&field, "")])).collect();
    let head = StreamHead { last_id: id(40), entries_added: 40, ..StreamHead::default() };
    let stream = Object::Stream(Stream { entries, head, groups: vec![] });
    // The field is there for each listpack only.
    let payload = written(&stream, Shape::Wide, Compression::Lzf);
    assert!(payload.len() < 15_000, "{}", payload.len());
    let needed = weight(&stream);
    // Texts may be longer by so much than their lengths take here.
    assert_eq!(decode(&payload, Limits { bytes_max: needed + 40 * 6 }), Ok(stream));
    assert_eq!(decode(&payload, Limits { bytes_max: needed - 1 }), Err(Error::Limit));
}

#[test]
fn what_belongs_to_groups_counts() {
    let id = |seq| StreamId { ms: 1, seq };
    let pending = |seq| Pending { id: id(seq), delivered_ms: 1, deliveries: 1 };
    let consumer = |name: usize| Consumer {
        name: name.to_string().into_bytes(),
        seen_ms: 1,
        active_ms: Some(1),
        pending: if name == 7 { (1..1000).map(pending).collect() } else { vec![] },
    };
    let consumers = (0..100).map(consumer).collect();
    let group = Group { name: b"g".to_vec(), last_id: id(0), entries_read: None, consumers };
    let head = StreamHead { last_id: id(1000), ..StreamHead::default() };
    let stream = Object::Stream(Stream { entries: vec![], head, groups: vec![group] });
    let payload = written(&stream, Shape::Wide, Compression::Lzf);
    let needed = weight(&stream);
    assert_eq!(decode(&payload, Limits { bytes_max: needed }), Ok(stream));
    assert_eq!(decode(&payload, Limits { bytes_max: needed - 1 }), Err(Error::Limit));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(kind in 0u8..25, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, LIMITS);
        let _ = decode(&payload::seal([&[kind][..], &bytes].concat()), LIMITS);
    }

    #[test]
    fn changed_payloads_are_read_or_refused(
        which: proptest::sample::Index,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let all = fixtures::all();
        let (_, payload) = which.get(&all);
        let mut body = payload[..payload.len() - 10].to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let limits = Limits { bytes_max: 8 << 10 };
        if let Ok(object) = decode(&payload::seal(body), limits) {
            prop_assert!(weight(&object) <= limits.bytes_max);
        }
    }
}
