//! Replies told page by page: byte for byte those that are told at once, whatever is written meanwhile.

use proptest::prelude::*;
use resp::{Protocol, Reply};
use store::{Cancel, Scratch};

use crate::paged::{Page, Paged, Progress};
use crate::testing::{Bench, Mode, execute, split, wide};
use crate::{Error, OwnedArgs};

const PROTOCOLS: [Protocol; 2] = [Protocol::Resp2, Protocol::Resp3];

/// The bytes of a reply that is told in pages of so many bytes, and how many pages that took. Between two
/// pages `meanwhile` happens.
fn streamed(
    bench: &mut Bench,
    args: &OwnedArgs,
    protocol: Protocol,
    page_bytes: usize,
    mut meanwhile: impl FnMut(&mut Bench),
) -> (Vec<u8>, usize) {
    let (group, database) = (bench.group.clone(), bench.database);
    let (cancel, mut scratch) = (Cancel::default(), Scratch::default());
    let done = group.run_heavy(database, &mut scratch, &cancel, |txn| {
        txn.allow_pages(page_bytes);
        execute(txn, args)
    });
    let done = done.unwrap();
    let mut out = Vec::new();
    let mut paged: Paged = match done.result {
        Err(Error::Paged(paged)) => *paged,
        result => {
            assert!(done.parked.is_none());
            result.unwrap_or_else(Error::reply).encode(protocol, &mut out);
            return (out, 0);
        }
    };
    let mut parked = *done.parked.unwrap();
    assert!(group.pins.count() > 0);
    paged.shape().header(paged.entries(), protocol, &mut out);
    for pages in 1.. {
        meanwhile(bench);
        let mut page = Page::encoded(paged.shape(), protocol, page_bytes, Vec::new());
        let (progress, again) =
            group.resume(parked, &cancel, &mut scratch, |txn| paged.fill(txn, &mut page)).unwrap();
        page.into_bytes().iter().for_each(|piece| out.extend_from_slice(piece));
        if progress.unwrap() == Progress::Done {
            drop(again);
            assert_eq!(group.pins.count(), 0);
            return (out, pages);
        }
        parked = again;
    }
    unreachable!()
}

fn at_once(bench: &mut Bench, args: &OwnedArgs, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    bench.call(args).encode(protocol, &mut out);
    out
}

/// Compares in both protocols and with pages of several sizes.
#[track_caller]
fn check_pages(bench: &mut Bench, line: &str) {
    let args = split(line);
    for protocol in PROTOCOLS {
        let expected = at_once(bench, &args, protocol);
        for page_bytes in [1, 40, 1_000, 30_000, 1 << 20] {
            let (found, pages) = streamed(bench, &args, protocol, page_bytes, |_| ());
            assert!(found == expected, "{line} {protocol:?} {page_bytes}, {pages} pages");
            assert!(pages as u64 <= 2 * (expected.len() as u64 / page_bytes as u64 + 2), "{line}: {pages}");
        }
    }
}

/// A hash, a set, a list, a sorted set of so many elements, some of which are long.
fn fill(bench: &mut Bench, elements: usize) {
    let long = "x".repeat(300);
    for at in 0..elements {
        let tail = if at.is_multiple_of(17) { long.as_str() } else { "" };
        bench.run(&format!("HSET h f{at}{tail} v{at}"));
        bench.run(&format!("SADD s m{at}{tail}"));
        bench.run(&format!("SADD t m{}", at * 2));
        bench.run(&format!("RPUSH l i{at}{tail}"));
        bench.run(&format!("ZADD z {} m{at}{tail}", at as f64 / 2.0));
        bench.run(&format!("ZADD y 0 m{at}"));
        for stream in ["x", "w"] {
            bench.run(&format!("XADD {stream} 1-{} field{tail} {at}", at + 1));
        }
    }
    // Signed zeros are kept apart from the order.
    bench.run("ZADD z -0.0 minus 0 plus");
}

const COLLECTIONS: &[&str] = &[
    "HGETALL h",
    "HKEYS h",
    "HVALS h",
    "SMEMBERS s",
    "LRANGE l 0 -1",
    "LRANGE l 3 -4",
    "LRANGE l -5 -2",
    "LRANGE l 5 3",
    "ZRANGE z 0 -1",
    "ZRANGE z 0 -1 WITHSCORES",
    "ZRANGE z 2 -3 REV WITHSCORES",
    "ZREVRANGE z 1 9 WITHSCORES",
    "ZRANGEBYSCORE z 1 (20 WITHSCORES",
    "ZRANGEBYSCORE z -inf +inf LIMIT 2 7",
    "ZREVRANGEBYSCORE z 20 1",
    "ZRANGE y [m1 + BYLEX",
    "ZREVRANGEBYLEX y + -",
    "SINTER s t",
    "SUNION s t",
    "SUNION s s nothing",
    "SDIFF s t",
    "SDIFF nothing s",
    "KEYS *",
    "KEYS ?",
    "KEYS nothing*",
    "XRANGE x - +",
    "XREVRANGE x + -",
    "XRANGE x 1-2 1-9",
    "XREVRANGE x 1-30 1-3 COUNT 20",
    "XREAD STREAMS x 0",
    "XREAD STREAMS nothing x w 0 1-3 0",
    "XREAD COUNT 7 STREAMS x w 0 1-2",
    "XREAD STREAMS x 9",
    "HGETALL nothing",
    "SMEMBERS nothing",
    "LRANGE nothing 0 -1",
    "ZRANGE nothing 0 -1 WITHSCORES",
    "HGETALL s",
    "SMEMBERS h",
    "LRANGE s 0 -1",
    "ZRANGE s 0 -1",
    "SINTER s h",
    "LRANGE l x 1",
];

#[test]
fn collections_are_told_page_by_page_as_they_are_at_once() {
    for (elements, is_wide) in [(1, false), (40, false), (3, true), (60, true)] {
        let mut bench = Bench::new(Mode::Heavy);
        if is_wide {
            wide(&bench);
        }
        fill(&mut bench, elements);
        for line in COLLECTIONS {
            check_pages(&mut bench, line);
        }
        bench.store();
        for line in COLLECTIONS {
            check_pages(&mut bench, line);
        }
    }
}

#[test]
fn long_strings_are_told_page_by_page_as_they_are_at_once() {
    let mut bench = Bench::new(Mode::Heavy);
    for (key, len) in [("a", 0), ("b", 65_536), ("c", 65_537), ("d", 200_000), ("e", 1_500_000)] {
        let text: String = (0..len).map(|at| char::from(b'a' + (at / 7 % 26) as u8)).collect();
        bench.call(&OwnedArgs::of([b"SET", key.as_bytes(), text.as_bytes()]));
    }
    bench.run("SETRANGE holes 300000 x");
    bench.run("SADD set x");
    for stored in [false, true] {
        for line in [
            "GET a",
            "GET b",
            "GET c",
            "GET d",
            "GET e",
            "GET holes",
            "GET nothing",
            "GET set",
            "GETRANGE e 5 -6",
            "GETRANGE e 16384 131071",
            "GETRANGE e 100 99",
            "MGET a b c d nothing e set holes e",
        ] {
            let args = split(line);
            for protocol in PROTOCOLS {
                let expected = at_once(&mut bench, &args, protocol);
                for page_bytes in [1, 40_000, 100_000] {
                    let (found, _) = streamed(&mut bench, &args, protocol, page_bytes, |_| ());
                    assert!(found == expected, "{line} {protocol:?} {page_bytes} {stored}");
                }
            }
        }
        bench.store();
    }
}

/// What is told is what was there at the beginning, whatever is written and stored between two pages.
#[test]
fn a_stream_tells_its_snapshot() {
    let hostile = [
        "HSET h f1 other new value",
        "HDEL h f2 f3",
        "SREM s m1 m2",
        "SADD t m1 m3 m5",
        "LPUSH l first",
        "LTRIM l 5 9",
        "ZADD z 1000 m1",
        "ZREMRANGEBYRANK z 0 10",
        "ZADD y 5 m7",
        "SET str short",
        "DEL h",
        "DEL s t",
        "HSET h f1 again",
        "FLUSHALL",
        "RPUSH l a b c",
    ];
    for line in COLLECTIONS.iter().chain(&["GET str", "MGET str nothing str"]) {
        let args = split(line);
        for stores in [false, true] {
            let mut bench = Bench::new(Mode::Heavy);
            wide(&bench);
            fill(&mut bench, 50);
            bench.call(&OwnedArgs::of([&b"SET"[..], b"str", &b"0123456789".repeat(20_000)]));
            if stores {
                bench.store();
            }
            let expected = at_once(&mut bench, &args, Protocol::Resp3);
            let mut step = 0;
            let page_bytes = if line.contains("str") { 30_000 } else { 100 };
            let (found, _) = streamed(&mut bench, &args, Protocol::Resp3, page_bytes, |bench| {
                if let Some(line) = hostile.get(step) {
                    bench.run(line);
                }
                if stores && step % 3 == 1 {
                    bench.store();
                }
                step += 1;
            });
            assert!(found == expected, "{line} {stores}");
        }
    }
}

#[test]
fn a_stream_lives_at_the_time_of_its_beginning() {
    let begin = || {
        let mut bench = Bench::new(Mode::Heavy);
        wide(&bench);
        fill(&mut bench, 40);
        bench.run("SET gone 1 PX 100");
        bench.run("SET soon 1 PX 5000");
        bench.run("PEXPIRE h 5000");
        bench.pass(200);
        bench
    };
    let mut bench = begin();
    for line in ["HGETALL h", "KEYS *", "KEYS *s*"] {
        let args = split(line);
        let expected = at_once(&mut bench, &args, Protocol::Resp2);
        let (found, pages) = streamed(&mut bench, &args, Protocol::Resp2, 1, |bench| bench.pass(10_000));
        assert!(found == expected && pages > 1, "{line}");
        bench = begin();
    }
    bench.pass(10_000);
    assert_eq!(bench.answer("HGETALL h"), "{}");
}

/// A client that has begun to hear a reply cannot be told that it is void: when the epoch is over, so is
/// the reply.
#[test]
fn a_paged_reply_ends_with_its_epoch() {
    let mut bench = Bench::new(Mode::Heavy);
    wide(&bench);
    fill(&mut bench, 40);
    let (cancel, mut scratch) = (Cancel::default(), Scratch::default());
    let done = bench.group.run_heavy(0, &mut scratch, &cancel, |txn| {
        txn.allow_pages(10);
        execute(txn, &split("HGETALL h"))
    });
    let done = done.unwrap();
    assert!(done.gate.stamp > bench.group.sequencer.committed(), "it depends on all that was written");
    let Err(Error::Paged(mut paged)) = done.result else { panic!("it is told at once") };
    assert!(bench.group.sequencer.end_epoch(1, None));
    let mut page = Page::encoded(paged.shape(), Protocol::Resp2, 10, Vec::new());
    let resumed =
        bench.group.resume(*done.parked.unwrap(), &cancel, &mut scratch, |txn| paged.fill(txn, &mut page));
    assert!(matches!(resumed, Err(store::Leave::Closed)));
    assert_eq!(bench.group.pins.count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_hash_and_list_is_told_in_pages_of_any_size(
        elements in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), 0..60_usize), 0..60),
        page_bytes in 1..5_000_usize,
        from in -70..70_i64,
        is_wide: bool,
    ) {
        let mut bench = Bench::new(Mode::Heavy);
        if is_wide {
            wide(&bench);
        }
        for (name, len) in &elements {
            let value = vec![b'v'; *len];
            let score = len.to_string();
            let calls: [[&[u8]; 4]; 3] = [
                [b"HSET", b"h", name, &value],
                [b"RPUSH", b"l", name, &value],
                [b"ZADD", b"z", score.as_bytes(), name],
            ];
            for call in calls {
                assert!(!bench.call(&OwnedArgs::of(call)).is_error());
            }
        }
        for line in ["HGETALL h", &format!("LRANGE l {from} -2"), &format!("ZRANGE z {from} -2 WITHSCORES")] {
            let args = split(line);
            for protocol in PROTOCOLS {
                let expected = at_once(&mut bench, &args, protocol);
                let (found, _) = streamed(&mut bench, &args, protocol, page_bytes, |_| ());
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}

#[test]
fn where_nobody_takes_streams_there_are_none() {
    let mut bench = Bench::new(Mode::Heavy);
    fill(&mut bench, 10);
    assert!(matches!(bench.run("HGETALL h"), Reply::Map(found) if found.len() == 10));
    let calls = ["HGETALL h", "KEYS *", "SINTER s t"].map(split);
    assert!(bench.together(&calls).iter().all(|reply| !reply.is_error()));
}
