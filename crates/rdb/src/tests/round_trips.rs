//! What is written is read back, for every type, shape and compression.

use super::{LIMITS, written};
use crate::encode::{self, Compression, Shape};
use crate::object::{Consumer, Fields, Group, Object, Pending, Stream, StreamEntry, StreamHead, StreamId};
use crate::{Cursor, decode};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of all lengths that an encoding tells apart, and texts of numbers.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..20),
        2 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        2 => (any::<i64>(), 0u32..64).prop_map(|(n, shift)| (n >> shift).to_string().into_bytes()),
        1 => (any::<u8>(), 0usize..6000).prop_map(|(byte, len)| vec![byte; len]),
        1 => vec(any::<u8>(), 60..5000),
        1 => vec(0u8..3, 4000..20_000),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("a score is a number", |score| !score.is_nan()),
        any::<i64>().prop_map(|n| n as f64),
        (-1000i32..1000).prop_map(|n| f64::from(n) / 4.0),
        Just(-0.0),
    ]
}

fn id() -> impl Strategy<Value = StreamId> {
    let part = || prop_oneof![0u64..5, any::<u64>()];
    (part(), part()).prop_map(|(ms, seq)| StreamId { ms, seq })
}

fn fields() -> impl Strategy<Value = Fields> {
    let some = vec((vec(0u8..3, 0..2), bytes()), 1..4);
    let same = bytes().prop_map(|value| vec![(b"f".to_vec(), value.clone()), (b"g".to_vec(), value)]);
    let pairs = prop_oneof![some, same];
    pairs.prop_map(|pairs| pairs.iter().map(|(field, value)| (field.as_slice(), value.as_slice())).collect())
}

fn pending() -> impl Strategy<Value = Vec<Pending>> {
    let delivery = (any::<i64>(), any::<u64>());
    btree_map(id(), delivery, 0..20).prop_map(|all| {
        let pending = all.into_iter();
        pending.map(|(id, (delivered_ms, deliveries))| Pending { id, delivered_ms, deliveries }).collect()
    })
}

fn group(name: Vec<u8>) -> impl Strategy<Value = Group> {
    let consumers = btree_set(vec(any::<u8>(), 0..30), 1..4);
    let times = vec(any::<i64>(), 4);
    let entries_read = proptest::option::of(0..i64::MAX as u64);
    (id(), entries_read, consumers, times, pending()).prop_map(
        move |(last_id, entries_read, names, times, pending)| {
            let owners = names.len();
            let consumers = names.into_iter().zip(times).enumerate().map(|(nth, (name, seen_ms))| {
                // All that is written of the two.
                let active_ms = Some(seen_ms).filter(|ms| *ms >= 0);
                let pending = pending.iter().skip(nth).step_by(owners).copied().collect();
                Consumer { name, seen_ms, active_ms, pending }
            });
            Group { name: name.clone(), last_id, entries_read, consumers: consumers.collect() }
        },
    )
}

fn stream() -> impl Strategy<Value = Stream> {
    let of_entry = id().prop_filter("no entry has it", |id| *id != StreamId::default());
    let entries = btree_map(of_entry, fields(), 0..250);
    let groups = btree_set(bytes(), 0..3)
        .prop_flat_map(|names: BTreeSet<_>| names.into_iter().map(group).collect::<Vec<_>>());
    (entries, id(), id(), 0..i64::MAX as u64, groups).prop_map(
        |(entries, last, max_deleted_id, more, groups)| {
            let entries: Vec<_> =
                entries.into_iter().map(|(id, fields)| StreamEntry { id, fields }).collect();
            let last_id = entries.last().map_or(last, |entry| entry.id.max(last));
            let entries_added = more.max(entries.len() as u64);
            Stream { entries, head: StreamHead { last_id, max_deleted_id, entries_added }, groups }
        },
    )
}

fn check(object: &Object) -> Result<(), TestCaseError> {
    for shape in [Shape::Compact, Shape::Wide] {
        for compression in [Compression::None, Compression::Lzf] {
            let payload = written(object, shape, compression);
            let back = decode(&payload, LIMITS).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&back, object);
        }
    }
    Ok(())
}

/// Scores bit by bit: -0 is not 0.
fn bits(object: &Object) -> Vec<u64> {
    let Object::SortedSet(members) = object else { return vec![] };
    members.iter().map(|(_, score)| score.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn strings_come_back(value in bytes()) {
        check(&Object::String(value))?;
    }

    #[test]
    fn lists_come_back(elements in vec(bytes(), 1..100)) {
        check(&Object::List(elements))?;
    }

    #[test]
    fn sets_come_back(members in btree_set(bytes(), 1..100)) {
        check(&Object::Set(members.into_iter().collect()))?;
    }

    #[test]
    fn intsets_come_back(members in btree_set(any::<i64>(), 1..600), shift in 0u32..64) {
        let members: BTreeSet<i64> = members.into_iter().map(|n| n >> shift).collect();
        let members: Vec<i64> = members.into_iter().collect();
        let payload = encode::intset(&members, Compression::Lzf).unwrap();
        let expected = members.iter().map(|n| n.to_string().into_bytes()).collect();
        prop_assert_eq!(decode(&payload, LIMITS), Ok(Object::Set(expected)));
    }

    #[test]
    fn sorted_sets_come_back(members in btree_map(bytes(), score(), 1..100)) {
        let object = Object::SortedSet(members.into_iter().collect());
        check(&object)?;
        for shape in [Shape::Compact, Shape::Wide] {
            let back = decode(&written(&object, shape, Compression::None), LIMITS).unwrap();
            prop_assert_eq!(bits(&back), bits(&object));
        }
    }

    #[test]
    fn hashes_come_back(entries in btree_map(bytes(), bytes(), 1..60)) {
        let entries: BTreeMap<Vec<u8>, Vec<u8>> = entries;
        check(&Object::Hash(entries.into_iter().collect()))?;
    }

    #[test]
    fn streams_come_back(stream in stream()) {
        check(&Object::Stream(stream))?;
    }
}

#[test]
fn long_lists_have_nodes_of_bounded_size() {
    let elements: Vec<Vec<u8>> = (0..20_000u32).map(|n| n.to_string().into_bytes()).collect();
    check(&Object::List(elements)).unwrap();
    let large = vec![vec![b'a'; 8192], vec![b'b'; 8193], b"c".to_vec(), vec![b'd'; 1 << 20], b"e".to_vec()];
    let payload = written(&Object::List(large.clone()), Shape::Wide, Compression::None);
    assert_eq!(decode(&payload, LIMITS), Ok(Object::List(large)));
    // 8192 in a listpack of its own, 8193 plain, then by turns.
    assert_eq!(payload[1..3], [5, 2]);
}

#[test]
fn many_small_elements_come_back() {
    let members: Vec<Vec<u8>> = (0..70_000u32).map(|n| n.to_string().into_bytes()).collect();
    check(&Object::Set(members)).unwrap();
}

#[test]
fn a_value_is_read_from_the_midst_of_a_file() {
    let payload = encode::string(b"hello", Compression::None);
    let file = [&payload[1..payload.len() - 10], b"next"].concat();
    let mut cursor = Cursor::new(&file, LIMITS);
    assert_eq!(cursor.object(payload[0]), Ok(Object::String(b"hello".to_vec())));
    assert_eq!(cursor.rest(), b"next");
}

#[test]
fn who_reads_much_is_called_now_and_then() {
    let turns = std::cell::RefCell::new(Vec::new());
    let payload = encode::string(&vec![b'x'; 100_000], Compression::None);
    let found = crate::decode_in_turns(&payload, LIMITS, &|bytes| turns.borrow_mut().push(bytes));
    assert_eq!(found, Ok(Object::String(vec![b'x'; 100_000])));
    let turns = turns.into_inner();
    // Once for what it is, and before in parts for its checksum.
    assert_eq!(turns.last(), Some(&100_000));
    assert!(turns.len() > 5 && turns.iter().sum::<usize>() >= 2 * 100_000, "{turns:?}");
}
