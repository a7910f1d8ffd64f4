//! HyperLogLogs: what Redis 7 keeps and counts for the same elements.

use std::cell::RefCell;

use proptest::prelude::*;

use crate::testing::{Bench, MODES, Mode, check, show};
use crate::{Lane, OwnedArgs};

#[test]
fn values_are_those_of_redis() {
    check(
        r#"pfadd k a b c => :1
        get k => "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        object encoding k => "raw"
        pfadd k b => :0
        pfadd k => :0
        pfadd empty => :1
        get empty => "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
        pfcount empty => :0"#,
    );
}

#[test]
fn pfcount_remembers_its_estimate_until_something_is_added() {
    check(
        r#"pfadd k a b c => :1
        pfcount k => :3
        get k => "HYLL\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00`\xf3\x80P\xb1\x84K\xfb\x80BZ"
        pfadd k a => :0
        getrange k 8 15 => "\x03\x00\x00\x00\x00\x00\x00\x00"
        pfadd k d => :1
        getrange k 8 15 => "\x03\x00\x00\x00\x00\x00\x00\x80"
        pfcount k => :4
        setrange k 8 "\x07" => :30
        pfcount k => :7"#,
    );
}

/// Where nothing may be written, counting reads.
#[test]
fn pfcount_counts_in_the_read_lane() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("pfadd k a b c");
    let before = bench.answer("get k");
    let args = crate::testing::split("pfcount k");
    let done = bench.in_lane(Lane::Read, |txn| crate::testing::execute(txn, &args));
    assert_eq!(show(&done.result.unwrap()), ":3");
    assert!(!done.wrote);
    assert_eq!(bench.answer("get k"), before);
}

#[test]
fn many_are_counted_together() {
    check(
        "pfadd a 1 2 3 => :1
        pfadd b 3 4 => :1
        pfcount a b => :4
        pfcount a b missing a => :4
        pfcount missing => :0
        pfcount missing missing => :0",
    );
}

#[test]
fn merging_is_adding() {
    check(
        r#"pfadd a 1 2 3 => :1
        pfadd b 3 4 => :1
        pfadd all 1 2 3 4 => :1
        pfmerge d a b
        pfcount d all => :4
        pfdebug decode d => "Z:495 v:2,1 Z:7031 v:1,1 Z:3445 v:1,1 Z:4397 v:4,1 Z:1012"
        expire b 10 => :1
        pfmerge b a
        ttl b => :10
        pfcount b => :4
        pfmerge none
        get none => "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
        pfdebug todense a => :1
        pfmerge d a
        pfdebug encoding d => +dense
        pfcount d => :4"#,
    );
}

/// Its length after every fifty elements, and its estimate then, as Redis 7.0 gives them.
#[test]
fn a_growing_one_is_as_long_as_that_of_redis() {
    const EXPECTED: &[(usize, usize, usize)] = &[
        (50, 161, 50),
        (100, 287, 100),
        (300, 698, 302),
        (500, 1061, 503),
        (1000, 1922, 1001),
        (1500, 2766, 1512),
        (1600, 2926, 1611),
        (1650, 12304, 1657),
        (2000, 12304, 2006),
    ];
    for mode in MODES {
        let mut bench = Bench::new(mode);
        let mut next = 1;
        for &(elements, bytes, estimate) in EXPECTED {
            while next <= elements {
                let words: Vec<String> = (next..next + 50).map(|element| element.to_string()).collect();
                assert_eq!(bench.answer(&format!("pfadd k {}", words.join(" "))), ":1");
                next += 50;
            }
            assert_eq!(bench.answer("strlen k"), format!(":{bytes}"), "{elements}");
            assert_eq!(bench.answer("pfcount k"), format!(":{estimate}"), "{elements}");
        }
    }
}

#[test]
fn pfdebug_shows_how_it_is_kept() {
    check(
        r#"pfadd k a b c => :1
        pfdebug decode k => "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603"
        pfdebug encoding k => +sparse
        pfdebug TODENSE k => :1
        pfdebug todense k => :0
        pfdebug encoding k => +dense
        strlen k => :12304
        pfcount k => :3
        pfdebug decode k => -ERR HLL encoding is not sparse
        pfdebug what k => -ERR Unknown PFDEBUG subcommand 'what'
        pfdebug encoding missing => -ERR The specified key does not exist
        pfdebug encoding => -ERR wrong number of arguments for 'pfdebug' command"#,
    );
}

#[test]
fn pfdebug_getreg_makes_it_dense() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("pfadd k a b c");
    let resp::Reply::Array(registers) = bench.run("pfdebug getreg k") else { panic!() };
    assert_eq!(registers.len(), 16384);
    assert_eq!([8436, 12711, 15780].map(|at| show(&registers[at])), [":1", ":2", ":1"]);
    assert_eq!(registers.iter().filter(|register| show(register) != ":0").count(), 3);
    assert_eq!(bench.answer("pfdebug encoding k"), "+dense");
}

#[test]
fn pfselftest_passes() {
    assert_eq!(show(&Bench::new(Mode::Lanes).run("pfselftest")), "+OK");
}

#[test]
fn other_strings_are_refused() {
    let script = r#"set k hello
        pfadd k a => WRONG
        pfcount k => WRONG
        pfcount k missing => WRONG
        pfmerge d k => WRONG
        pfmerge k => WRONG
        pfdebug encoding k => WRONG
        set k "HYLL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        pfcount k => WRONG
        set k "HYLL\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        pfcount k => WRONG
        setrange k 70000 x => :70001
        pfcount k => WRONG
        exists d => :0"#;
    check(&script.replace("WRONG", "-WRONGTYPE Key is not a valid HyperLogLog string value."));
}

#[test]
fn corrupt_ones_are_refused() {
    let script = r#"set k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"
        pfcount k => BAD
        pfadd k a => BAD
        pfmerge d k => BAD
        pfcount k k => BAD
        pfdebug getreg k => BAD
        pfdebug decode k => ""
        append k "\x7f\xff" => :18
        pfcount k => :0
        append k "\x00" => :19
        pfcount k => :0
        pfadd k a b c => :1
        pfcount k => BAD
        setrange k 70000 x => :70001
        pfadd k a => BAD"#;
    check(&script.replace("BAD", "-INVALIDOBJ Corrupted HLL object detected"));
}

/// Whatever a client has written behind a header, commands answer.
#[test]
fn nothing_panics() {
    let bench = RefCell::new(Bench::new(Mode::Lanes));
    let run = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u8>().prop_map(|byte| vec![0x7f, byte]),
        Just(vec![0xff; 100]),
    ];
    let registers = prop_oneof![
        prop::collection::vec(run, 0..40).prop_map(|runs| runs.concat()),
        prop::collection::vec(any::<u8>(), 12288),
        (0..=255u8).prop_map(|byte| vec![byte; 12288]),
    ];
    let header = (prop_oneof![4 => Just(1u8), 2 => Just(0), 1 => any::<u8>()], any::<[u8; 11]>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    });
    let outcome = runner.run(&(header, registers), |((encoding, rest), registers)| {
        let value = [&b"HYLL"[..], &[encoding], &rest, &registers].concat();
        let mut bench = bench.borrow_mut();
        let set = |bench: &mut Bench| bench.call(&OwnedArgs::of([&b"set"[..], b"k", &value]));
        for line in [
            "pfcount k",
            "pfcount k k",
            "pfadd k a b c d e f g h",
            "pfmerge d k",
            "pfmerge k d",
            "pfdebug getreg k",
            "pfdebug decode k",
            "pfdebug todense k",
        ] {
            set(&mut bench);
            let reply = bench.answer(line);
            let is_error = reply.starts_with('-');
            let may_fail = ["-INVALIDOBJ ", "-WRONGTYPE ", "-ERR HLL encoding is not sparse"];
            prop_assert!(!is_error || may_fail.iter().any(|start| reply.starts_with(start)), "{}", reply);
        }
        Ok(())
    });
    outcome.unwrap();
}
