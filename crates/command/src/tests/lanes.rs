//! Whatever lane a command runs in, it answers and leaves the same.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::testing::{Bench, MODES, Mode, execute, show, split};
use crate::{Lane, OwnedArgs};

const TEMPLATES: &[&str] = &[
    "get K",
    "set K V",
    "set K V nx get",
    "set K V xx",
    "set K V ex 5",
    "set K V keepttl",
    "set K V px T",
    "setnx K V",
    "getset K V",
    "getdel K",
    "getex K px T",
    "getex K persist",
    "mget K K K",
    "mset K V K V",
    "msetnx K V K V",
    "append K V",
    "strlen K",
    "setrange K 3 V",
    "getrange K 1 -2",
    "incr K",
    "decrby K V",
    "incrbyfloat K V",
    "setbit K 70 1",
    "getbit K 9",
    "bitcount K 1 -2 bit",
    "bitpos K 0 1",
    "bitop xor K K K",
    "bitop not K K",
    "bitfield K incrby i5 3 7 get u8 #1",
    "bitfield K overflow fail set u4 40 V",
    "pfadd hll K V",
    "pfadd K V",
    "pfcount hll",
    "pfcount K hll",
    "pfmerge K hll",
    "lcs K K",
    "lcs K K idx withmatchlen",
    "del K K",
    "exists K K",
    "type K",
    "rename K K",
    "renamenx K K",
    "copy K K",
    "copy K K db 1 replace",
    "move K 1",
    "keys *",
    "scan 0 count 100",
    "expire K T",
    "pexpire K T gt",
    "pexpire K T lt",
    "persist K",
    "pttl K",
    "pexpiretime K",
    "object encoding K",
    "dbsize",
    "flushdb",
    "flushall",
    "swapdb 0 1",
    "wait T",
];

/// A line of a script: a template with its letters filled in.
fn line() -> impl Strategy<Value = String> {
    let values = ["1", "-7", "abc", "0.5", "9223372036854775807", "\"\"", "abcabc"];
    let filled = prop::collection::vec((0..6u8, 0..values.len(), 0..9u16), 3);
    (0..TEMPLATES.len(), filled).prop_map(move |(template, filled)| {
        let mut filled = filled.into_iter().cycle();
        let words = TEMPLATES[template].split(' ').map(|word| {
            let (key, value, time) = filled.next().unwrap();
            match word {
                "K" => format!("key{key}"),
                "V" => values[value].to_owned(),
                "T" => time.to_string(),
                other => other.to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    })
}

/// What the lines of a script answer, on a database that is empty at first.
fn transcript(bench: &mut Bench, script: &[String]) -> Vec<String> {
    bench.run("flushall");
    let lines = script.iter().map(|line| match line.strip_prefix("wait ") {
        Some(ms) => {
            bench.pass(ms.parse().unwrap());
            String::new()
        }
        None => bench.answer(line),
    });
    lines.collect()
}

/// Runs scripts in every mode. Opening a store takes long, so all of them use the same ones.
fn check_agreement(script: impl Strategy<Value = Vec<String>>) {
    let benches = RefCell::new(MODES.map(Bench::new));
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) });
    let outcome = runner.run(&script, |script| {
        let [first, others @ ..] = &mut *benches.borrow_mut();
        let expected = transcript(first, &script);
        for other in others {
            prop_assert_eq!(&expected, &transcript(other, &script), "{:?}", other.mode);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn lanes_agree() {
    check_agreement(prop::collection::vec(line(), 1..40));
}

#[test]
fn transactions_agree() {
    let joined = |lines: Vec<String>| {
        let commands = lines.into_iter().filter(|line| !line.starts_with("wait"));
        commands.collect::<Vec<_>>().join(" ; ")
    };
    let transaction = prop::collection::vec(line(), 1..6).prop_map(joined);
    let filled = transaction.prop_filter("a transaction has commands", |line| !line.is_empty());
    check_agreement(prop::collection::vec(filled, 1..10));
}

/// What does not fit the small lanes' budget comes to the same end in the heavy one.
#[test]
fn what_outgrows_its_lane_starts_again() {
    let mut bench = Bench::new(Mode::Lanes);
    let pairs: Vec<String> = (0..400).map(|i| format!("k{i} {i}")).collect();
    assert_eq!(bench.answer(&format!("mset {}", pairs.join(" "))), "+OK");
    let keys: Vec<String> = (0..400).map(|i| format!("k{i}")).collect();
    let keys = keys.join(" ");
    assert_eq!(bench.answer(&format!("exists {keys}")), ":400");
    let expected: Vec<String> = (0..400).map(|i| format!("\"{i}\"")).collect();
    assert_eq!(bench.answer(&format!("mget {keys}")), format!("[{}]", expected.join(" ")));
    assert_eq!(bench.answer(&format!("del {keys} k0")), ":400");
    let big = "x".repeat(100_000);
    let set = OwnedArgs::of([&b"set"[..], b"big", big.as_bytes()]);
    assert_eq!(show(&bench.call(&set)), "+OK");
    assert_eq!(bench.answer("append big y"), ":100001");
    assert_eq!(bench.answer("copy big other"), ":1");
    assert_eq!(bench.answer("strlen other"), ":100001");
}

/// A command of the read lane that would write is a mistake in its row.
#[test]
fn the_lanes_small_budgets_hold() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("setrange a 2000 x");
    bench.run("setrange b 2000 x");
    let mut scratch = store::Scratch::default();
    let args = split("lcs a b");
    let left = bench.group.run_read(0, &mut scratch, |txn| execute(txn, &args));
    assert!(matches!(left, Err(store::Leave::Outgrown)));
    let done = bench.in_lane(Lane::Read, |txn| execute(txn, &args));
    assert!(show(&done.result.unwrap()).starts_with('"'));
}
