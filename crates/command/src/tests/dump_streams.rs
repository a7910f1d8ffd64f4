//! DUMP and RESTORE of streams.

use resp::Reply;

use crate::OwnedArgs;
use crate::testing::{Bench, MODES, Mode, show};

/// A stream with a gap, and groups of which one has consumers with something pending, one has none, and
/// one was told nothing yet.
const MAKE: &[&str] = &[
    "XADD s 1-1 f 1 g 2",
    "XADD s 1-2 f x g y",
    "XADD s 2-0 other 7 other \"\"",
    "XADD s 5-9 f 1 g 2",
    "XADD s 7-0 last \"a text of more than twenty bytes, and more than twenty bytes\"",
    "XDEL s 1-2",
    "XGROUP CREATE s one 0",
    "XGROUP CREATE s two $",
    "XGROUP CREATE s three 1-1 ENTRIESREAD 1",
    "XREADGROUP GROUP one alice COUNT 2 STREAMS s >",
    "XREADGROUP GROUP one 17 COUNT 1 STREAMS s >",
    "XACK s one 1-1",
    "XCLAIM s one 17 0 2-0 TIME 1600000000000 RETRYCOUNT 9",
    "XGROUP CREATECONSUMER s two idle",
    "XDEL s 2-0",
];

/// What is to be seen of a stream. When a consumer last got something is not dumped.
const LOOKS: &[&str] = &[
    "XLEN key",
    "XRANGE key - +",
    "XPENDING key one",
    "XPENDING key one - + 10",
    "XPENDING key one - + 10 alice",
    "XPENDING key two",
    "XINFO GROUPS key",
    "XINFO STREAM key",
    "TYPE key",
    "OBJECT ENCODING key",
    "MEMORY USAGE key",
    "TTL key",
];

fn make(bench: &mut Bench) {
    for line in MAKE {
        let reply = bench.answer(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

fn dump(bench: &mut Bench, key: &str) -> Vec<u8> {
    let Reply::Bulk(payload) = bench.run(&format!("DUMP {key}")) else { panic!("{key} is not dumped") };
    payload.to_vec()
}

fn restore(bench: &mut Bench, key: &str, payload: &[u8]) -> String {
    show(&bench.call(&OwnedArgs::of([b"RESTORE", key.as_bytes(), b"0", payload, b"REPLACE"])))
}

fn looks(bench: &mut Bench, key: &str) -> Vec<String> {
    LOOKS.iter().map(|look| format!("{look} => {}", bench.answer(&look.replace("key", key)))).collect()
}

#[test]
fn a_stream_comes_back_with_its_groups() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        make(&mut bench);
        let payload = dump(&mut bench, "s");
        assert_eq!(restore(&mut bench, "t", &payload), "+OK");
        assert_eq!(looks(&mut bench, "s"), looks(&mut bench, "t"), "{mode:?}");
        assert_eq!(dump(&mut bench, "t"), payload, "{mode:?}");
        let consumers = bench.answer("XINFO CONSUMERS t one");
        assert!(consumers.contains("\"alice\"") && consumers.contains("\"17\""), "{consumers}");
        assert!(bench.answer("XINFO CONSUMERS t two").contains("\"idle\""));
        // It is as alive as the other one.
        for key in ["s", "t"] {
            for (command, expected) in [
                (
                    "XADD key 6-0 a 1",
                    "-ERR The ID specified in XADD is equal or smaller than the target stream top item",
                ),
                ("XADD key 8-0 a 1", "\"8-0\""),
                (
                    "XREADGROUP GROUP one alice COUNT 1 STREAMS key >",
                    r#"{"key": [["7-0" ["last" "a text of more than twenty bytes, and more than twenty bytes"]]]}"#,
                ),
                (
                    "XREADGROUP GROUP one 17 STREAMS key 0",
                    r#"{"key": [["2-0" NullArray] ["5-9" ["f" "1" "g" "2"]]]}"#,
                ),
                ("XACK key one 5-9 2-0", ":2"),
                ("XGROUP DELCONSUMER key one alice", ":1"),
                ("XGROUP CREATE key four 0", "+OK"),
                ("XGROUP DESTROY key three", ":1"),
                ("XTRIM key MAXLEN 1", ":3"),
            ] {
                let expected = expected.replace("key", key);
                assert_eq!(bench.answer(&command.replace("key", key)), expected, "{command} {mode:?}");
            }
        }
        assert_eq!(looks(&mut bench, "s"), looks(&mut bench, "t"), "{mode:?}");
    }
}

#[test]
fn an_empty_stream_comes_back() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        for line in ["XADD s 3-3 a 1", "XADD s 4-0 a 1", "XDEL s 3-3 4-0", "XGROUP CREATE s one 3-3"] {
            bench.run(line);
        }
        let payload = dump(&mut bench, "s");
        assert_eq!(restore(&mut bench, "t", &payload), "+OK");
        assert_eq!(bench.answer("XINFO STREAM s"), bench.answer("XINFO STREAM t"));
        assert_eq!(bench.answer("XADD t 4-0 a 1").chars().next(), Some('-'));
        assert_eq!(bench.answer("XADD t 4-1 a 1"), "\"4-1\"");
        assert_eq!(bench.answer("XRANGE t - +"), r#"[["4-1" ["a" "1"]]]"#);
    }
}

/// What a transaction restores it sees itself, before and after others could.
#[test]
fn a_transaction_sees_what_it_has_restored() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        make(&mut bench);
        let payload = dump(&mut bench, "s");
        let calls = [
            OwnedArgs::of([&b"RESTORE"[..], b"t", b"0", &payload, b"REPLACE"]),
            OwnedArgs::of([&b"XADD"[..], b"t", b"9-0", b"a", b"1"]),
            OwnedArgs::of([&b"XRANGE"[..], b"t", b"5", b"+"]),
            OwnedArgs::of([&b"XDEL"[..], b"t", b"5-8", b"5-9"]),
            OwnedArgs::of([&b"XREADGROUP"[..], b"GROUP", b"one", b"new", b"STREAMS", b"t", b">"]),
            OwnedArgs::of([&b"XLEN"[..], b"t"]),
        ];
        let replies: Vec<String> = bench.together(&calls).iter().map(show).collect();
        let last = r#"["7-0" ["last" "a text of more than twenty bytes, and more than twenty bytes"]] ["9-0" ["a" "1"]]"#;
        let expected = [
            "+OK".to_owned(),
            "\"9-0\"".to_owned(),
            format!(r#"[["5-9" ["f" "1" "g" "2"]] {last}]"#),
            ":1".to_owned(),
            format!(r#"{{"t": [{last}]}}"#),
            ":3".to_owned(),
        ];
        assert_eq!(replies, expected, "{mode:?}");
        assert_eq!(bench.answer("XLEN t"), ":3");
    }
}

#[test]
fn a_time_to_live_is_given_and_options_are_kept() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        make(&mut bench);
        let payload = dump(&mut bench, "s");
        let call = |bench: &mut Bench, words: &[&[u8]]| {
            show(&bench.call(&OwnedArgs::of(
                [&b"RESTORE"[..], words[0], words[1], &payload].into_iter().chain(words[2..].iter().copied()),
            )))
        };
        assert_eq!(call(&mut bench, &[b"s", b"0"]), "-BUSYKEY Target key name already exists.");
        assert_eq!(call(&mut bench, &[b"t", b"5000"]), "+OK");
        assert_eq!(bench.answer("PTTL t"), ":5000");
        bench.pass(5_001);
        assert_eq!(bench.answer("EXISTS t"), ":0");
        assert_eq!(call(&mut bench, &[b"s", b"1", b"ABSTTL", b"REPLACE"]), "+OK");
        assert_eq!(bench.answer("EXISTS s"), ":0");
    }
}

/// With a checksum that is right, what is in it is looked at, and nothing half-read is kept.
#[test]
fn bad_data_changes_nothing() {
    let mut bench = Bench::new(Mode::Lanes);
    make(&mut bench);
    let payload = dump(&mut bench, "s");
    let before = looks(&mut bench, "s");
    let body = &payload[..payload.len() - 10];
    let mut refused = 0;
    for at in 0..body.len() {
        for len in [at, body.len()] {
            let mut broken = body[..len].to_vec();
            if let Some(byte) = broken.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            broken.extend_from_slice(&[10, 0]);
            broken.extend_from_slice(&rdb::crc64(0, &broken).to_le_bytes());
            let answer = restore(&mut bench, "t", &broken);
            assert!(
                answer == "-ERR Bad data format" || (answer == "+OK" && len == body.len()),
                "{at}: {answer}"
            );
            refused += usize::from(answer != "+OK");
            // What was taken is a stream like any other, or another value.
            if answer == "+OK" && bench.answer("TYPE t") == "+stream" {
                assert!(!bench.answer("XINFO STREAM t FULL").starts_with('-'), "{at}");
                dump(&mut bench, "t");
            }
            bench.answer("DEL t");
        }
    }
    assert!(refused > body.len(), "{refused}");
    assert_eq!(looks(&mut bench, "s"), before);
    bench.answer("DEL s");
    assert_eq!(bench.answer("DBSIZE"), ":0");
}

const ENTRIES: u64 = 9_000;

/// A stream that is built aside, in several turns, with more that is pending than there are entries left.
fn make_large(bench: &mut Bench) {
    let value = "x".repeat(60);
    for id in 1..=ENTRIES {
        bench.call(&OwnedArgs::of(
            ["XADD", "s", &id.to_string(), "field", &id.to_string(), "text", &value].map(str::as_bytes),
        ));
    }
    for line in [
        "XGROUP CREATE s one 0",
        "XREADGROUP GROUP one a COUNT 6000 STREAMS s >",
        "XREADGROUP GROUP one b COUNT 2000 STREAMS s >",
        "XGROUP CREATE s two 0",
        "XREADGROUP GROUP two c STREAMS s >",
        "XTRIM s MAXLEN 8000",
    ] {
        let reply = bench.answer(line);
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
}

#[test]
fn a_large_stream_comes_back() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        make_large(&mut bench);
        let payload = dump(&mut bench, "s");
        assert_eq!(restore(&mut bench, "t", &payload), "+OK");
        assert_eq!((bench.group.building.values(), bench.group.building.records()), (0, 0));
        bench.store();
        assert_eq!(looks(&mut bench, "s"), looks(&mut bench, "t"), "{mode:?}");
        assert_eq!(dump(&mut bench, "t"), payload, "{mode:?}");
        for key in ["s", "t"] {
            assert_eq!(bench.answer(&format!("XPENDING {key} one - + 1 b")), r#"[["6001-0" "b" :0 :1]]"#);
            assert_eq!(bench.answer(&format!("XACK {key} one 6001 1 8001")), ":2");
            assert_eq!(bench.answer(&format!("XGROUP DELCONSUMER {key} one b")), ":1999");
            assert_eq!(
                bench.answer(&format!("XPENDING {key} one")),
                r#"[:5999 "2-0" "6000-0" [["a" "5999"]]]"#
            );
        }
        // In its place, and seen by the one who put it there.
        let calls = [
            OwnedArgs::of([&b"RESTORE"[..], b"s", b"0", &payload, b"REPLACE"]),
            OwnedArgs::of([&b"XRANGE"[..], b"s", b"8999", b"+"]),
            OwnedArgs::of([&b"XPENDING"[..], b"s", b"two"]),
        ];
        let replies: Vec<String> = bench.together(&calls).iter().map(show).collect();
        assert!(replies[1].contains("8999-0") && replies[1].contains("9000-0"), "{}", replies[1]);
        assert_eq!(replies[2], r#"[:9000 "1-0" "9000-0" [["c" "9000"]]]"#);
        bench.answer("DEL s t");
        assert_eq!(bench.answer("DBSIZE"), ":0");
    }
}
