//! The bytes on disk and in the log, pinned. Whoever has to change one of these strings changes a format:
//! data directories and logs of earlier builds hold the old one. That takes a new version
//! (`disk::FORMAT_VERSION`, `effects`' version byte), and code that reads the old one or refuses it.

use bytes::Bytes;

use super::*;
use crate::apply::Applied;
use crate::counters::{Base, Counters};
use crate::effects::{Change, CountDelta, Encoder};
use crate::group::encode_count;
use crate::keys::{self, Cid, HashSeed, Home, Members, Space, Unreachable};
use crate::parts;
use crate::record::Chunks;
use crate::splice::Splice;

const CID: Cid = Cid { stamp: 0x0102_0304_0506_0708, seq: 9 };
const SLOT: u16 = 0x1234;
const HOME: Home = Home { slot: SLOT, cid: CID };
const AT_MS: u64 = 1_700_000_000_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xee; 3];
    write(&mut out);
    out
}

#[track_caller]
fn check(bytes: &[u8], pinned: &str) {
    assert_eq!(hex(bytes), pinned.replace(' ', ""));
}

#[test]
fn record_keys_stay_as_they_are() {
    let seed = HashSeed(1, 2);
    let key = written(|out| keys::key_record(out, seed, Space(7), b"foo"));
    check(&key, "4b 2f96 00000007 8856c64e8b80 666f6f");
    check(&written(|out| keys::key_record(out, seed, Space(7), b"")), "4b 0000 00000007 6bb1f8f88056");
    check(
        &written(|out| keys::expiry_record(out, AT_MS, &key)),
        "54 0000018bcfe56800 2f96 00000007 8856c64e8b80 666f6f",
    );
    check(&written(|out| keys::chunk_record(out, HOME, 3)), "45 1234 0102030405060708 00000009 00000003");
    check(&Unreachable::Space(Space(7)).encode(), "58 00 00000007");
    check(&Unreachable::Collection(HOME).encode(), "58 01 1234 0102030405060708 00000009");
    check(
        &Unreachable::Items { home: HOME, from: -1, to: 2 }.encode(),
        "58 02 1234 0102030405060708 00000009 ffffffffffffffff 0000000000000002",
    );
    check(&keys::building(HOME), "42 1234 0102030405060708 00000009");
    check(&keys::catalog_database(15), "53 64 0f");
    check(keys::CATALOG_NEXT_SPACE, "53 6e");
    check(keys::CATALOG_SEED, "53 68");
    assert_eq!(
        [keys::META_FORMAT, keys::META_APPLIED, keys::META_MEMBERSHIP],
        [&b"Mformat"[..], b"Mapplied", b"Mmembership"]
    );
    check(&keys::meta_count(Space(7)), "4d 636f756e74 00000007");
}

#[test]
fn keys_of_collections_stay_as_they_are() {
    let seed = HashSeed(1, 2);
    check(&written(|out| keys::counters_record(out, HOME)), "43 1234 0102030405060708 00000009");
    check(
        &written(|out| keys::delta_record(out, HOME, 0x1122)),
        "44 1234 0102030405060708 00000009 0000000000001122",
    );
    check(
        &written(|out| keys::item_record(out, HOME, -1)),
        "45 1234 0102030405060708 00000009 7fffffffffffffff",
    );
    let members = Members::new(HOME);
    check(&written(|out| members.record(out, seed, b"foo")), MEMBER);
    let long = [b'x'; keys::MEMBER_IN_KEY_BYTES_MAX + 1];
    check(&written(|out| members.record(out, seed, &long)), LONG_MEMBER);
    let moving = members.begin(300).moved_to(0x9000_0000_0000);
    check(&written(|out| moving.record(out, seed, b"foo")), MOVED_MEMBER);
    assert_eq!(keys::MEMBER_IN_KEY_BYTES_MAX, 1024);
}

const MEMBER: &str = "45 1234 0102030405060708 00000009 6d 00 8856c64e8b80 00 666f6f";
const MOVED_MEMBER: &str = "45 1234 0102030405060708 00000009 6d 01 8856c64e8b80 00 666f6f";
const LONG_MEMBER: &str =
    "45 1234 0102030405060708 00000009 6d 00 ff224d5f70f5 01 11c01f919415add32a7baa800cc4c929";

#[test]
fn collections_stay_as_they_are() {
    let base = Base { counters: Counters { len: 3, head: -1, removed: 2 }, folded: 300 };
    check(&base.encode(), "06 01 04 ac02");
    check(&base.counters.encode(), "06 01 04");
    let fixture = Fixture::new();
    let kept = |key: &str, write: &dyn Fn(&mut Txn<'_>) -> Result<(), Stop>| {
        fixture.inline(write).result.unwrap();
        let record = fixture.inline(|txn| Ok(txn.get(key.as_bytes())?.unwrap().value().to_vec()));
        record.result.unwrap()
    };
    let list = kept("l", &|txn| {
        txn.list_or_new(b"l").map_err(stop)?.push(End::Tail, [&b"ab"[..], b""].into_iter()).map(|_| ())
    });
    check(&list, "41 02 02 6162 00");
    let hash = kept("h", &|txn| txn.hash_or_new(b"h").map_err(stop)?.set(b"f", b"v").map(|_| ()));
    check(&hash, "44 02 01 66 01 76");
    let integers = kept("s", &|txn| {
        let mut set = txn.set_or_new(b"s", b"5", 2).map_err(stop)?;
        set.add(b"5")?;
        set.add(b"-1").map(|_| ())
    });
    check(&integers, "52 02 08 7fffffffffffffff 08 8000000000000005");
    let sorted = kept("z", &|txn| txn.sorted_set_or_new(b"z", 1, 1).map_err(stop)?.put(b"m", 1.5, None));
    check(&sorted, "43 01 09 3ff8000000000000 6d");
    let wide = |members: Members| record(Kind::Hash, Encoding::Wide, None, &members.encode());
    let moving = Members::new(HOME).begin(300).moved_to(5);
    check(&wide(Members::new(HOME)), "64 1234 0102030405060708 00000009");
    check(&wide(moving), "64 1234 0102030405060708 00000009 00 000000000005 ac02");
    check(&wide(moving.moved_to(keys::POSITIONS)), "64 1234 0102030405060708 00000009 01");
}

#[test]
fn keys_of_streams_stay_as_they_are() {
    let entries = keys::Entries { home: HOME, generation: 7 };
    let group = keys::GroupHome { home: HOME, number: 8 };
    let id = StreamId::new(0x1122, 0x33);
    check(
        &written(|out| entries.record(out, id)),
        "45 1234 0102030405060708 00000009 65 00000007 0000000000001122 0000000000000033",
    );
    check(
        &written(|out| keys::group_record(out, HOME, b"foo")),
        "45 1234 0102030405060708 00000009 67 666f6f",
    );
    check(
        &written(|out| group.consumer_record(out, b"foo")),
        "45 1234 0102030405060708 00000009 6e 0000000000000008 666f6f",
    );
    check(
        &written(|out| group.pending_record(out, id)),
        "45 1234 0102030405060708 00000009 70 0000000000000008 0000000000001122 0000000000000033",
    );
    check(
        &written(|out| group.pending_of_record(out, 5, id)),
        "45 1234 0102030405060708 00000009 71 0000000000000008 0000000000000005 0000000000001122 0000000000000033",
    );
    check(
        &Unreachable::Entries { entries, below: id }.encode(),
        "58 03 1234 0102030405060708 00000009 00000007 0000000000001122 0000000000000033",
    );
    check(&Unreachable::Group(group).encode(), "58 04 1234 0102030405060708 00000009 0000000000000008");
}

/// All records of a stream of one entry, which is pending; without where they are.
#[test]
fn streams_stay_as_they_are() {
    let fixture = Fixture::new();
    let write = |txn: &mut Txn<'_>| {
        let mut stream = txn.stream_or_new(b"s").map_err(stop)?;
        let (id, name) = (StreamId::new(300, 1), &b"c"[..]);
        for (id, text) in [(StreamId::new(1, 2), &b"gone"[..]), (id, b"v")] {
            stream.append(id, [&b"f"[..], text].into_iter())?;
        }
        stream.delete(StreamId::new(1, 2))?;
        stream.create_group(b"g", StreamId::new(1, 2), Some(1))?;
        let Some(mut group) = stream.group(b"g")? else { return Ok(()) };
        let mut consumer = stream.create_consumer((b"g", &mut group), name)?;
        consumer.active_ms = Some(AT_MS);
        stream.put_pending(&mut group, (name, &mut consumer), id, (AT_MS, 2), None)?;
        (group.last, group.read) = (id, Some(2));
        stream.put_group(b"g", &group)?;
        stream.put_consumer(&group, name, &consumer)
    };
    fixture.inline(write).result.unwrap();
    let head = fixture.inline(|txn| Ok::<_, Stop>(txn.get(b"s")?.unwrap().value().to_vec())).result.unwrap();
    fixture.drain();
    let home = &head[1..15];
    let prefix = [&[keys::ELEMENT], home].concat();
    let records: Vec<String> = (fixture.group.disk.snapshot().range(&prefix, None))
        .map(|pair| pair.unwrap())
        .take_while(|(key, _)| key.starts_with(&prefix))
        .map(|(key, value)| format!("{} {}", hex(&key[prefix.len()..]), hex(&value)))
        .collect();
    // Of the key: kind, where its entries are, how many; the first, last and highest deleted id; how many were ever
    // added, and the number of the next group.
    check(&head[..1], "75");
    check(&head[15..], "00000000 01 ac0201 ac0201 0102 02 01");
    let pinned = [
        // The entry: field and value. Of the group: number, last, how many were told, the next consumer, the last
        // that was pending. Of the consumer: number, when it was seen and active, how much is pending for it.
        "6500000000000000000000012c0000000000000001 01660176",
        "6767 00ac02010301ac0201",
        "6e000000000000000063 00c0843d81d095ffbc3101",
        // What is pending: for which consumer, told when, how often, the consumer's name; and by the consumer.
        "700000000000000000000000000000012c0000000000000001 0080d095ffbc310263",
        "7100000000000000000000000000000000000000000000012c0000000000000001 ",
    ];
    assert_eq!(records, pinned);
}

fn record(kind: Kind, encoding: Encoding, expiry_ms: Option<u64>, payload: &[u8]) -> Value {
    Record::encode(kind, encoding, expiry_ms, payload)
}

#[test]
fn record_values_stay_as_they_are() {
    check(&record(Kind::String, Encoding::Plain, None, b"value"), "00 76616c7565");
    check(&record(Kind::String, Encoding::Raw, None, b""), "10");
    check(&record(Kind::String, Encoding::Text, None, b"1.5"), "30 312e35");
    check(&record(Kind::String, Encoding::Plain, Some(AT_MS), b"v"), "80 0000018bcfe56800 76");
    let chunks = Chunks { home: HOME, len: 70_000 }.encode();
    check(&chunks, "1234 0102030405060708 00000009 f0a204");
    check(
        &record(Kind::String, Encoding::Chunked, None, &chunks),
        "20 1234 0102030405060708 00000009 f0a204",
    );
    let kinds = [Kind::String, Kind::List, Kind::Set, Kind::SortedSet, Kind::Hash, Kind::Stream];
    check(&kinds.map(|kind| record(kind, Encoding::Plain, None, b"")[0]), "00 01 02 03 04 05");
    // Which chunk a byte is in is a format, too.
    assert_eq!(base::limits::CHUNK_BYTES, 16 << 10);
    let applied = Applied { term: 1, index: 2, last: Stamp(3) };
    check(&applied.encode(), "0000000000000001 0000000000000002 0000000000000003");
    check(&encode_count(Counts { keys: 5, expires: -1 }), "0000000000000005 ffffffffffffffff");
    check(&disk::FORMAT_VERSION.to_be_bytes(), "00000005");
}

#[test]
fn entries_and_their_parts_stay_as_they_are() {
    let counts = [CountDelta { space: Space(300), keys: 2, expires: -1 }];
    let mut entry = Encoder::new(Stamp(0x1122_3344_5566_7788), &counts, 0);
    entry.effect(b"Ka", &Change::Put(b"v"[..].into()));
    entry.effect(b"Kb", &Change::Delete);
    entry.effect(b"C", &Change::Add(Counters { len: 2, head: -1, removed: 1 }));
    let entry = entry.finish();
    check(&entry, "02 1122334455667788 01 ac02 04 01 01 02 4b61 01 76 00 02 4b62 02 01 43 03 04 01 02");
    let (old, new) = (vec![1; 300], [&[1; 100][..], &[2, 3], &[1; 199]].concat());
    let mut spliced = Encoder::new(Stamp(1), &[], 0);
    spliced.splice(b"Ka", &Splice::between(&old, &new).unwrap());
    check(&spliced.finish(), "02 0000000000000001 00 03 02 4b61 64 c701 01 ab882683 02 0203");
    assert_eq!(parts::split(entry.clone(), Stamp(5)), [Bytes::from(entry)]);
    let long = vec![0xab; base::limits::BATCH_BYTES_MAX + 2];
    let parts = parts::split(long, Stamp(5));
    check(&parts[0][..19], "f1 0000000000000005 00000000 00000002 abab");
    check(&parts[1], "f1 0000000000000005 00000001 00000002 abab");
}

/// All of a small store, but for what depends on how its writes were cut into entries.
#[test]
fn a_store_stays_as_it_is() {
    let fixture = Fixture::new();
    fixture.set("a", "1");
    let expiring = |txn: &mut Txn<'_>| txn.put(b"b", Kind::String, Encoding::Plain, Some(AT_MS), b"2");
    fixture.inline(expiring).result.unwrap();
    fixture.drain();
    let records: Vec<String> = (fixture.group.disk.snapshot().range(&[], None))
        .map(|pair| pair.unwrap())
        .filter(|(key, _)| **key != *keys::META_APPLIED)
        .map(|(key, value)| format!("{} {}", hex(&key), hex(&value)))
        .collect();
    let pinned = [
        // The later key of the two, and its expiry: slot, space, hash, key; header, time, value.
        "4b0ce400000000fdaea21fae1862 800000018bcfe5680032",
        "4b3c8700000000616fe5c0d34361 0031",
        // Space 0: two keys, one of which expires. The format. The hash seed. The expiry index.
        "4d636f756e7400000000 00000000000000020000000000000001",
        "4d666f726d6174 00000005",
        "5368 537f0b4cbf9f00071706541dfaca0000",
        "540000018bcfe568000ce400000000fdaea21fae1862 ",
    ];
    assert_eq!(records, pinned);
}
