//! DUMP and RESTORE.

use resp::Reply;

use crate::OwnedArgs;
use crate::testing::{Bench, MODES, Mode, check, show};

/// Values of every kind, packed and not.
const VALUES: &[(&str, &str)] = &[
    ("set k 12345", "get"),
    ("set k \"some text that goes on and on and on and on\"", "get"),
    ("rpush k a 1 \"\" \"longer than eight\"", "lrange"),
    ("sadd k 1 2 -5", "smembers"),
    ("sadd k a b 1", "smembers"),
    ("hset k f 1 g x", "hgetall"),
    ("zadd k 1 a 2.5 b -inf c", "zrange"),
    ("hset k f aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbccccccccc", "hgetall"),
    ("sadd k aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbccccccccc", "smembers"),
    ("zadd k 7 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbccccccccc 1 b", "zrange"),
];

fn dump(bench: &mut Bench, key: &str) -> Vec<u8> {
    let Reply::Bulk(payload) = bench.run(&format!("dump {key}")) else { panic!("{key} is not dumped") };
    payload.to_vec()
}

fn restore(bench: &mut Bench, key: &str, payload: &[u8]) -> String {
    let args = OwnedArgs::of([b"restore", key.as_bytes(), b"0", payload]);
    show(&bench.call(&args))
}

fn content(bench: &mut Bench, look: &str, key: &str) -> String {
    let range = if matches!(look, "lrange" | "zrange") { " 0 -1" } else { "" };
    let scores = if look == "zrange" { " withscores" } else { "" };
    bench.answer(&format!("{look} {key}{range}{scores}"))
}

#[test]
fn what_was_dumped_is_restored() {
    for mode in MODES {
        for (command, look) in VALUES {
            let mut bench = Bench::new(mode);
            bench.run(command);
            let payload = dump(&mut bench, "k");
            assert_eq!(restore(&mut bench, "copy", &payload), "+OK", "{command}");
            assert_eq!(content(&mut bench, look, "k"), content(&mut bench, look, "copy"), "{command}");
            assert_eq!(bench.answer("object encoding k"), bench.answer("object encoding copy"), "{command}");
            assert_eq!(dump(&mut bench, "copy"), payload, "{command}");
        }
    }
}

#[test]
fn nothing_is_restored_of_what_is_broken() {
    for (command, _) in VALUES {
        let mut bench = Bench::new(Mode::Lanes);
        bench.run(command);
        let payload = dump(&mut bench, "k");
        let mut refuse = |broken: &[u8]| {
            let answer = restore(&mut bench, "copy", broken);
            assert_eq!(answer, "-ERR DUMP payload version or checksum are wrong", "{command} {broken:?}");
        };
        for len in 0..payload.len() {
            refuse(&payload[..len]);
        }
        for at in 0..payload.len() {
            let mut flipped = payload.clone();
            flipped[at] ^= 1 << (at % 8);
            refuse(&flipped);
        }
        assert_eq!(bench.answer("dbsize"), ":1");
    }
}

/// With a checksum that is right, what is in it is looked at: nothing half-read is kept.
#[test]
fn bad_data_changes_nothing() {
    let seal = |body: &[u8]| {
        let mut payload = [body, &[11, 0]].concat();
        payload.extend_from_slice(&rdb::crc64(0, &payload).to_le_bytes());
        payload
    };
    for mode in MODES {
        let mut bench = Bench::new(mode);
        bench.run("set copy old");
        // No type, half a string, an unknown type, an empty list, and a set with a member twice.
        for body in [&b""[..], b"\x00\x05ab", b"\x63\x00", b"\x01\x00", b"\x02\x02\x01a\x01a", b"\x00\x01abc"]
        {
            let payload = seal(body);
            let args = OwnedArgs::of([&b"restore"[..], b"copy", b"0", &payload, b"replace"]);
            assert_eq!(show(&bench.call(&args)), "-ERR Bad data format", "{body:?}");
        }
        assert_eq!(bench.answer("get copy"), "\"old\"");
        // A value that unfolds to more than it may.
        let bomb = seal(b"\x00\xc3\x01\x81\x00\x00\x00\x10\x00\x00\x00\x00\x00");
        assert!(restore(&mut bench, "other", &bomb).starts_with("-ERR"));
        assert_eq!(bench.answer("dbsize"), ":1");
    }
}

#[test]
fn options_of_restore() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        bench.run("rpush k a b");
        let payload = dump(&mut bench, "k");
        let mut restore = |words: &str| {
            let mut words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            words.insert(2, &payload);
            let args = OwnedArgs::of([&b"restore"[..]].into_iter().chain(words));
            show(&bench.call(&args))
        };
        assert_eq!(restore("k 0"), "-BUSYKEY Target key name already exists.");
        assert_eq!(restore("k -1 replace"), "-ERR Invalid TTL value, must be >= 0");
        assert_eq!(restore("k x replace"), "-ERR value is not an integer or out of range");
        assert_eq!(restore("c 0 idletime -1"), "-ERR Invalid IDLETIME value, must be >= 0");
        assert_eq!(restore("c 0 freq 256"), "-ERR Invalid FREQ value, must be >= 0 and <= 255");
        assert_eq!(restore("c 0 freq 1 idletime 1"), "-ERR syntax error");
        assert_eq!(restore("c 0 nosuch"), "-ERR syntax error");
        assert_eq!(restore("c 0 idletime"), "-ERR syntax error");
        assert_eq!(restore("c 0 idletime 5 idletime 6"), "+OK");
        assert_eq!(restore("c 5000 replace freq 1"), "+OK");
        assert_eq!(bench.answer("pttl c"), ":5000");
        assert_eq!(bench.answer("lrange c 0 -1"), r#"["a" "b"]"#);
    }
    check(
        "dump nosuch => nil
        restore k 0 x => -ERR DUMP payload version or checksum are wrong
        exists k => :0",
    );
}

#[test]
fn a_time_that_has_passed_removes_the_key() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("set k v");
    let payload = dump(&mut bench, "k");
    for (ttl, base, left) in [
        (&b"1000"[..], &b"absttl"[..], ":0"),
        (b"1700000009000", b"absttl", ":1"),
        (b"9223372036854775807", b"replace", ":0"),
        (b"9223372036854775807", b"absttl", ":1"),
    ] {
        let args = OwnedArgs::of([&b"restore"[..], b"k", ttl, &payload, base, b"replace"]);
        assert_eq!(show(&bench.call(&args)), "+OK");
        assert_eq!(bench.answer("exists k"), left);
    }
}

#[test]
fn large_values_are_restored() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        for start in (0..3_000).step_by(100) {
            let words = |each: &dyn Fn(u32) -> String| (start..start + 100).map(each).collect::<String>();
            bench.run(&format!("rpush l{}", words(&|at| format!(" {at}"))));
            bench.run(&format!("sadd s{}", words(&|at| format!(" m{at}"))));
            bench.run(&format!("hset h{}", words(&|at| format!(" f{at} {at}"))));
            bench.run(&format!("zadd z{}", words(&|at| format!(" {at} m{at}"))));
        }
        let text = "some text ".repeat(20_000);
        bench.call(&OwnedArgs::of([&b"set"[..], b"t", text.as_bytes()]));
        bench.store();
        for (key, count, look) in [
            ("l", "llen", "lrange copy 1500 1500"),
            ("s", "scard", "sismember copy m1500"),
            ("h", "hlen", "hget copy f1500"),
            ("z", "zcard", "zscore copy m1500"),
            ("t", "strlen", "getrange copy 100000 100010"),
        ] {
            let payload = dump(&mut bench, key);
            assert_eq!(restore(&mut bench, "copy", &payload), "+OK", "{key}");
            let (left, right) =
                (bench.answer(&format!("{count} {key}")), bench.answer(&format!("{count} copy")));
            assert_eq!(left, right, "{key}");
            let there = look.replace("copy", key);
            assert_eq!(bench.answer(look), bench.answer(&there), "{look}");
            bench.run("del copy");
            bench.store();
        }
    }
}
