//! Walking through the keys while they change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use resp::Reply;

use crate::OwnedArgs;
use crate::testing::{Bench, MODES, Mode, check, execute, show, split};

/// A page: the next cursor and the keys.
fn page(bench: &mut Bench, cursor: &str, options: &str) -> (String, Vec<String>) {
    let Reply::Array(parts) = bench.run(&format!("scan {cursor} {options}")) else { panic!() };
    let [Reply::Bulk(cursor), Reply::Array(keys)] = parts.as_slice() else { panic!() };
    let text = |reply: &Reply| show(reply).trim_matches('"').to_owned();
    (String::from_utf8(cursor.to_vec()).unwrap(), keys.iter().map(text).collect())
}

/// Scans to the end; says how often each key came, and how many pages there were.
fn scan(bench: &mut Bench, options: &str) -> (BTreeMap<String, usize>, usize) {
    let (mut found, mut cursor, mut pages) = (BTreeMap::new(), "0".to_owned(), 0);
    loop {
        let (next, keys) = page(bench, &cursor, options);
        for key in keys {
            *found.entry(key).or_default() += 1;
        }
        pages += 1;
        if next == "0" {
            return (found, pages);
        }
        cursor = next;
    }
}

fn fill(bench: &mut Bench, prefix: &str, count: usize) {
    for i in 0..count {
        bench.run(&format!("set {prefix}{i} v"));
    }
}

#[test]
fn every_key_comes_once_whatever_the_count() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        fill(&mut bench, "k", 100);
        bench.store();
        fill(&mut bench, "new", 20);
        for (count, pages) in [(1, 120), (7, 18), (10, 12), (119, 2), (120, 1), (100_000, 1)] {
            let (found, came) = scan(&mut bench, &format!("count {count}"));
            assert_eq!(found.len(), 120, "{mode:?}, count {count}");
            assert!(found.values().all(|times| *times == 1));
            assert_eq!(came, pages, "{mode:?}, count {count}");
        }
    }
}

#[test]
fn options_filter_what_was_looked_at() {
    check(
        r#"mset one 1 two 2 three 3
        scan 0 match t* count 100 => ["0" ["three" "two"]]
        scan 0 match none* => ["0" []]
        scan 0 type list => ["0" []]
        scan 0 TYPE String match one => ["0" ["one"]]
        scan 0 type nosuchtype => ["0" []]
        scan 0 count 0 => -ERR syntax error
        scan 0 count -1 => -ERR syntax error
        scan 0 count x => -ERR value is not an integer or out of range
        scan 0 count => -ERR syntax error
        scan 0 what 1 => -ERR syntax error
        scan x => -ERR invalid cursor
        scan -1 => -ERR invalid cursor
        scan 18446744073709551616 => -ERR invalid cursor
        scan 18446744073709551615 => ["0" []]"#
            .replace(r#"["three" "two"]"#, &in_order(&["three", "two"]))
            .as_str(),
    );
}

/// Keys as a scan finds them: in the order of their slots.
fn in_order(keys: &[&str]) -> String {
    let mut keys = keys.to_vec();
    keys.sort_by_key(|key| base::slot::of(key.as_bytes()));
    format!("[{}]", keys.iter().map(|key| format!("{key:?}")).collect::<Vec<_>>().join(" "))
}

#[test]
fn keys_matches_patterns() {
    check(
        &r#"mset {t}1 a {t}2 b {t}x c other d "" e
        keys {t}[0-9] => PAIR
        keys {t}x => ["{t}x"]
        keys o* => ["other"]
        keys "" => [""]
        keys ** => MOST
        keys none => []"#
            .replace("PAIR", &pair("{t}1", "{t}2"))
            .replace("MOST", &most()),
    );
}

fn pair(a: &str, b: &str) -> String {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run(&format!("mset {a} 1 {b} 2"));
    show(&bench.run("keys *"))
}

fn most() -> String {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("mset {t}1 a {t}2 b {t}x c other d");
    show(&bench.run("keys *"))
}

#[test]
fn other_databases_and_flushed_ones_are_passed_by() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        fill(&mut bench, "old", 60);
        bench.run("flushdb");
        fill(&mut bench, "zero", 60);
        bench.database = 1;
        fill(&mut bench, "one", 60);
        bench.database = 2;
        fill(&mut bench, "two", 1);
        for (database, keys) in [(0, 60), (1, 60), (2, 1), (3, 0)] {
            bench.database = database;
            let (found, _) = scan(&mut bench, "");
            assert_eq!(found.len(), keys, "{mode:?}, database {database}");
            let Reply::Array(listed) = bench.run("keys *") else { panic!() };
            assert_eq!(listed.len(), keys);
            assert_eq!(bench.run("randomkey") == Reply::Null, keys == 0);
        }
    }
}

#[test]
fn a_page_is_short_where_everything_has_expired() {
    let mut bench = Bench::new(Mode::Lanes);
    for i in 0..500 {
        bench.run(&format!("set k{i} v px 5"));
    }
    bench.run("set alive v");
    bench.pass(5);
    let (found, pages) = scan(&mut bench, "count 1000");
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["alive"]);
    assert!((4..=5).contains(&pages), "{pages} pages");
}

#[test]
fn randomkey_finds_every_key() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        for i in 0..20 {
            bench.run(&format!("set {{tag}}{i} v"));
        }
        fill(&mut bench, "k", 4);
        let mut seen = BTreeSet::new();
        for _ in 0..3_000 {
            seen.insert(show(&bench.call(&split("randomkey"))));
        }
        assert_eq!(seen.len(), 24, "{mode:?}");
    }
}

const STAYING: usize = 1_000;

#[test]
fn a_scan_goes_on_while_others_write() {
    let mut bench = Bench::new(Mode::Lanes);
    fill(&mut bench, "stays", STAYING);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let (group, stop) = (bench.group.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut scratch = store::Scratch::default();
                let mut i = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    i += 1;
                    let word = if i.is_multiple_of(3) { "del" } else { "append" };
                    let line = format!("{word} moves{writer}:{} {i}", i % 1_000);
                    let args = split(&line);
                    group.run_inline(0, &mut scratch, |txn| execute(txn, &args)).unwrap();
                }
            })
        })
        .collect();
    for count in [7, 50, 700] {
        let (mut found, mut cursor, mut pages) = (BTreeMap::<String, usize>::new(), "0".to_owned(), 0);
        loop {
            let (next, keys) = page(&mut bench, &cursor, &format!("count {count}"));
            for key in keys.into_iter().filter(|key| key.starts_with("stays")) {
                *found.entry(key).or_default() += 1;
            }
            if next == "0" {
                break;
            }
            cursor = next;
            pages += 1;
            if pages % 8 == 1 {
                bench.store();
            }
        }
        assert_eq!(found.len(), STAYING, "count {count}");
        assert!(found.values().all(|times| *times == 1), "count {count}");
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().unwrap();
    }
}

#[derive(Clone, Debug)]
enum Change {
    Set(u8),
    Delete(u8),
    Expire(u8),
    Store,
    Pass,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => any::<u8>().prop_map(Change::Set),
        3 => any::<u8>().prop_map(Change::Delete),
        1 => any::<u8>().prop_map(Change::Expire),
        1 => Just(Change::Store),
        1 => Just(Change::Pass),
    ]
}

fn apply(bench: &mut Bench, change: &Change) {
    let line = match change {
        Change::Set(key) => format!("set moves{key} v"),
        Change::Delete(key) => format!("del moves{key}"),
        Change::Expire(key) => format!("pexpire moves{key} 3"),
        Change::Store => return bench.store(),
        Change::Pass => return bench.pass(2),
    };
    bench.call(&split(&line));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn what_stays_comes_exactly_once(
        before in prop::collection::vec(change(), 0..40),
        between in prop::collection::vec((prop::collection::vec(change(), 0..12), 1u8..40), 1..30),
        heavy: bool,
    ) {
        let mut bench = Bench::new(if heavy { Mode::Heavy } else { Mode::Lanes });
        let stays: Vec<String> = (0..60).map(|i| format!("stays{i}")).collect();
        for (i, key) in stays.iter().enumerate() {
            bench.call(&OwnedArgs::of([b"set", key.as_bytes(), b"v"]));
            if let Some(change) = before.get(i) {
                apply(&mut bench, change);
            }
        }
        let mut found = BTreeMap::<String, usize>::new();
        let (mut cursor, mut steps) = ("0".to_owned(), between.iter().cycle());
        loop {
            let (changes, count) = steps.next().unwrap();
            let (next, keys) = page(&mut bench, &cursor, &format!("count {count}"));
            for key in keys {
                *found.entry(key).or_default() += 1;
            }
            if next == "0" {
                break;
            }
            cursor = next;
            changes.iter().for_each(|change| apply(&mut bench, change));
        }
        for key in stays {
            prop_assert_eq!(found.get(&key), Some(&1));
        }
    }
}
