//! Streams. What redis-server answers, in every lane.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::OwnedArgs;
use crate::testing::{Bench, MODES, check, show};

#[test]
fn entries_are_added_and_told() {
    check(
        r#"
        XADD s 1-1 a 1 => "1-1"
        XADD s 1-* b 2 => "1-2"
        XADD s 2 c 3 d 4 => "2-0"
        XADD s 2 c 3 => -ERR The ID specified in XADD is equal or smaller than the target stream top item
        XADD s 0-0 c 3 => -ERR The ID specified in XADD must be greater than 0-0
        XADD s 3-0 c => -ERR wrong number of arguments for 'xadd' command
        XADD none NOMKSTREAM 1-1 a 1 => nil
        XLEN s => :3
        XLEN none => :0
        TYPE s => +stream
        OBJECT ENCODING s => "stream"
        XRANGE s - + => [["1-1" ["a" "1"]] ["1-2" ["b" "2"]] ["2-0" ["c" "3" "d" "4"]]]
        XRANGE s (1-1 + COUNT 1 => [["1-2" ["b" "2"]]]
        XRANGE s 1 1 => [["1-1" ["a" "1"]] ["1-2" ["b" "2"]]]
        XREVRANGE s + - COUNT 2 => [["2-0" ["c" "3" "d" "4"]] ["1-2" ["b" "2"]]]
        XREVRANGE s (2-0 - => [["1-2" ["b" "2"]] ["1-1" ["a" "1"]]]
        XDEL s 1-1 7-7 => :1
        XRANGE s - + COUNT 1 => [["1-2" ["b" "2"]]]
        XREAD COUNT 1 STREAMS s none 1-2 0 => {"s": [["2-0" ["c" "3" "d" "4"]]]}
        XREAD STREAMS s 2 => NullArray
        XREAD STREAMS s $ => NullArray
        COPY s t => :1
        XDEL s 1-2 2-0 => :2
        XLEN s => :0
        EXISTS s => :1
        XRANGE s - + => []
        XRANGE t - + => [["1-2" ["b" "2"]] ["2-0" ["c" "3" "d" "4"]]]
        XADD s * a 1; XLEN s => "1700000000000-0" ; :1
        "#,
    );
}

#[test]
fn streams_are_trimmed() {
    let mut script: String = (1..=300).map(|id| format!("XADD s {id} f v => \"{id}-0\"\n")).collect();
    script.push_str(
        r#"
        XTRIM s MAXLEN 299 => :1
        XRANGE s - + COUNT 1 => [["2-0" ["f" "v"]]]
        XTRIM s MINID 11 => :9
        XLEN s => :290
        XTRIM s MAXLEN ~ 250 => :0
        XTRIM s MAXLEN ~ 150 => :100
        XTRIM s MAXLEN = 100 => :90
        XLEN s => :100
        XRANGE s - + COUNT 1 => [["201-0" ["f" "v"]]]
        XADD s MAXLEN 1 301 f v => "301-0"
        XRANGE s - + => [["301-0" ["f" "v"]]]
        XTRIM s MAXLEN 0 => :1
        XRANGE s - + => []
        XADD s 302 f v => "302-0"
        XRANGE s - + => [["302-0" ["f" "v"]]]
        XTRIM s MINID 303 => :1
        XSETID s 5 => +OK
        XADD s 6 f v => "6-0"
        XRANGE s - + => [["6-0" ["f" "v"]]]
        "#,
    );
    check(&script);
}

#[test]
fn groups_are_told_what_is_new_once() {
    check(
        r#"
        XGROUP CREATE s g $ => -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
        XGROUP CREATE s g $ MKSTREAM => +OK
        XGROUP CREATE s g 0 => -BUSYGROUP Consumer Group name already exists
        XADD s 1 a 1 => "1-0"
        XADD s 2 a 2 => "2-0"
        XADD s 3 a 3 => "3-0"
        XREADGROUP GROUP g x COUNT 2 STREAMS s > => {"s": [["1-0" ["a" "1"]] ["2-0" ["a" "2"]]]}
        XREADGROUP GROUP g y STREAMS s > => {"s": [["3-0" ["a" "3"]]]}
        XREADGROUP GROUP g y STREAMS s > => NullArray
        XREADGROUP GROUP g x STREAMS s 0 => {"s": [["1-0" ["a" "1"]] ["2-0" ["a" "2"]]]}
        XREADGROUP GROUP none x STREAMS s > => -NOGROUP No such key 's' or consumer group 'none' in XREADGROUP with GROUP option
        XPENDING s g => [:3 "1-0" "3-0" [["x" "2"] ["y" "1"]]]
        XACK s g 1 9 => :1
        XACK s g 1 => :0
        XCLAIM s g y 0 2 JUSTID => ["2-0"]
        XPENDING s g => [:2 "2-0" "3-0" [["y" "2"]]]
        XDEL s 2 => :1
        XREADGROUP GROUP g y STREAMS s 0 => {"s": [["2-0" NullArray] ["3-0" ["a" "3"]]]}
        XAUTOCLAIM s g z 0 0 COUNT 1 => ["3-0" [] ["2-0"]]
        XAUTOCLAIM s g z 0 0 COUNT 1 => ["0-0" [["3-0" ["a" "3"]]] []]
        XPENDING s g - + 10 y => []
        XGROUP DELCONSUMER s g z => :1
        XPENDING s g => [:0 nil nil NullArray]
        COPY s t => :1
        XGROUP DESTROY s g => :1
        XGROUP DESTROY s g => :0
        XREADGROUP GROUP g y STREAMS t > => NullArray
        XREADGROUP GROUP g y STREAMS s > => -NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option
        "#,
    );
}

/// More entries than are looked up at a time, none of which is in the store.
#[test]
fn who_is_far_behind_misses_nothing() {
    const ENTRIES: u64 = 5_000;
    for mode in MODES {
        let mut bench = Bench::new(mode);
        for id in 1..=ENTRIES {
            bench.call(&OwnedArgs::of(["XADD", "s", &id.to_string(), "f", "v"].map(str::as_bytes)));
        }
        bench.run("XGROUP CREATE s g 0");
        for behind in (0..ENTRIES).step_by(499) {
            bench.run(&format!("XGROUP SETID s g {behind}"));
            for id in behind + 1..=(behind + 3).min(ENTRIES) {
                let expected = format!("{{\"s\": [[\"{id}-0\" [\"f\" \"v\"]]]}}");
                let told =
                    bench.call(&crate::testing::split("XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >"));
                assert_eq!(show(&told), expected, "{mode:?}");
            }
        }
    }
}

/// How much goes, of so many entries of which `surplus` are too many.
fn goes(len: u64, surplus: u64, limit: Option<u64>) -> u64 {
    match limit {
        None => surplus,
        Some(limit) if surplus == len && (limit == 0 || len <= limit) => len,
        Some(limit) => surplus.min(if limit == 0 { u64::MAX } else { limit }) / 100 * 100,
    }
}

/// Trims a stream that has every id up to `len` but for some, again and again; each time compared with a model.
fn check_trims(bench: &mut Bench, len: u64, deleted: &[u64], trims: &[(bool, u64, Option<u64>)]) {
    bench.run("DEL s");
    for id in 1..=len {
        bench.call(&OwnedArgs::of(["XADD", "s", &id.to_string(), "f", "v"].map(str::as_bytes)));
    }
    for id in deleted {
        bench.run(&format!("XDEL s {id}"));
    }
    let mut model: Vec<u64> = (1..=len).filter(|id| !deleted.contains(id)).collect();
    for &(is_by_id, to, limit) in trims {
        let below = model.iter().filter(|id| **id < to).count() as u64;
        let len = model.len() as u64;
        let surplus = if is_by_id { below } else { len.saturating_sub(to) };
        let gone = goes(len, surplus, limit);
        let cut = if is_by_id { "MINID" } else { "MAXLEN" };
        let line = match limit {
            None => format!("XTRIM s {cut} {to}"),
            Some(limit) => format!("XTRIM s {cut} ~ {to} LIMIT {limit}"),
        };
        assert_eq!(bench.answer(&line), format!(":{gone}"), "{line} of {len}");
        model.drain(..gone as usize);
        let left: Vec<String> = model.iter().map(|id| format!("[\"{id}-0\" [\"f\" \"v\"]]")).collect();
        assert_eq!(bench.answer("XRANGE s - +"), format!("[{}]", left.join(" ")), "{line} of {len}");
    }
}

#[test]
fn trimming_is_exact_from_whichever_end() {
    let limit = prop::option::of(prop::sample::select(vec![0, 100, 250, 10_000]));
    let trims = prop::collection::vec((any::<bool>(), 0..700u64, limit), 1..6);
    let deleted = prop::collection::vec(1..600u64, 0..80);
    for mode in MODES {
        let bench = RefCell::new(Bench::new(mode));
        let config = ProptestConfig { cases: 64, ..ProptestConfig::default() };
        let strategy = (0..600u64, deleted.clone(), trims.clone());
        let ran = TestRunner::new(config).run(&strategy, |(len, deleted, trims)| {
            check_trims(&mut bench.borrow_mut(), len, &deleted, &trims);
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{mode:?}: {error}"));
    }
}

/// What stays is the last part of what the section knows.
#[test]
fn what_stays_ends_at_the_id_that_it_begins_with() {
    for mode in MODES {
        check_trims(&mut Bench::new(mode), 247, &[], &[(true, 201, Some(0))]);
    }
}

#[test]
fn own_entries_are_trimmed_with_the_others() {
    let mut script: String = (1..=300).map(|id| format!("XADD s {id} f v => \"{id}-0\"\n")).collect();
    script.push_str(
        r#"
        XADD s 301 f v; XADD s 302 f v; XTRIM s MAXLEN 3; XRANGE s - + => "301-0" ; "302-0" ; :299 ; [["300-0" ["f" "v"]] ["301-0" ["f" "v"]] ["302-0" ["f" "v"]]]
        XADD s 303 f v; XADD s MINID 303 304 f v; XRANGE s - + => "303-0" ; "304-0" ; [["303-0" ["f" "v"]] ["304-0" ["f" "v"]]]
        XADD s 305 f v; XDEL s 305; XTRIM s MAXLEN 1; XRANGE s - + => "305-0" ; :1 ; :1 ; [["304-0" ["f" "v"]]]
        "#,
    );
    check(&script);
}

#[test]
fn the_room_that_a_stream_takes_is_estimated() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        let text = "x".repeat(1000);
        for id in 1..=400 {
            let (text, id) = (if id <= 200 { "" } else { &text }, id.to_string());
            bench.call(&OwnedArgs::of(["XADD", "s", &id, "f", text].map(str::as_bytes)));
        }
        let mut usage = |options: &str| match bench.run(&format!("MEMORY USAGE s {options}")) {
            resp::Reply::Integer(bytes) => bytes,
            other => panic!("{other:?}"),
        };
        let entries = 200 * 1000 + 400 * 65;
        for (options, off) in [("SAMPLES 0", 200), ("SAMPLES 2", 200), ("", 50_000)] {
            let bytes = usage(options);
            assert!((entries - off..entries + off).contains(&bytes), "{options}: {bytes} ({mode:?})");
        }
        let before = usage("");
        bench.run("XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g c COUNT 100 STREAMS s >");
        let pending = 65 + 65 + 100 * (2 * 64 + 1);
        let bytes = bench.run("MEMORY USAGE s");
        assert_eq!(show(&bytes), format!(":{}", before + pending), "{mode:?}");
    }
}
