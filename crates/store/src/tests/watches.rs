//! Watched keys, and parts of a transaction that are undone.

use super::moving::{crowded, finish};
use super::*;

/// Runs a transaction that depends on a watch, in the section or on a snapshot.
fn run_if(
    fixture: &Fixture,
    id: WatchId,
    heavy: bool,
    f: impl FnMut(&mut Txn<'_>) -> Result<(), Stop>,
) -> bool {
    let mut scratch = Scratch::default();
    fixture.group.settle_watch(id, &mut scratch).unwrap();
    scratch.only_if = Some(id);
    let ran = if heavy {
        fixture.group.run_heavy(0, &mut scratch, &Cancel::default(), f)
    } else {
        fixture.group.run_inline(0, &mut scratch, f)
    };
    match ran {
        Ok(done) => done.result.is_ok(),
        Err(Leave::Changed) => false,
        Err(left) => panic!("{left:?}"),
    }
}

fn watch(fixture: &Fixture, keys: &[&str]) -> WatchId {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    fixture.group.watch(0, &keys, None, &mut Scratch::default()).unwrap()
}

/// Whether a watch of `k` still holds after `change`, in both lanes; and that it breaks once.
#[track_caller]
fn check(before: impl Fn(&Fixture), change: impl Fn(&Fixture), expected: bool) {
    for heavy in [false, true] {
        let fixture = Fixture::new();
        before(&fixture);
        let id = watch(&fixture, &["k", "other", "k"]);
        change(&fixture);
        assert_eq!(run_if(&fixture, id, heavy, |txn| put(txn, "outcome", "x")), expected, "heavy: {heavy}");
        assert_eq!(fixture.get("outcome").is_some(), expected);
        fixture.group.unwatch(id);
        assert_eq!(fixture.group.watching(), 0);
        let id = watch(&fixture, &["k"]);
        assert!(run_if(&fixture, id, heavy, |txn| put(txn, "outcome", "y")), "it begins anew");
    }
}

fn remove(fixture: &Fixture) {
    fixture.inline(|txn| txn.remove(b"k"));
}

fn set(fixture: &Fixture) {
    fixture.set("k", "v");
}

fn set_there(fixture: &Fixture) {
    fixture.inline(|txn| {
        txn.select(1);
        put(txn, "k", "v")
    });
}

fn put_for(fixture: &Fixture, ms: u64) {
    let at = fixture.group.now_ms() + ms;
    fixture.inline(|txn| txn.put(b"k", Kind::String, Encoding::Plain, Some(at), b"v"));
}

fn pass(fixture: &Fixture, ms: u64) {
    fixture.clock.advance(ms);
    fixture.group.turn_clock();
}

fn nothing(_: &Fixture) {}

#[test]
fn a_watch_holds_until_one_of_its_keys_is_written() {
    check(nothing, nothing, true);
    check(nothing, set, false);
    check(set, set, false);
    check(set, remove, false);
    check(nothing, remove, true);
    check(set, |fixture| _ = fixture.get("k"), true);
    check(set, |fixture| _ = fixture.set("else", "v"), true);
    check(set, |fixture| _ = fixture.heavy(|txn| put(txn, "k", "w")), false);
}

#[test]
fn what_comes_and_goes_in_a_transaction_has_changed() {
    let come_and_go = |fixture: &Fixture| {
        fixture.inline(|txn| {
            put(txn, "k", "v")?;
            txn.remove(b"k")
        });
    };
    check(nothing, come_and_go, false);
}

#[test]
fn what_expires_changes_once() {
    check(|fixture| put_for(fixture, 100), |fixture| pass(fixture, 50), true);
    check(|fixture| put_for(fixture, 100), |fixture| pass(fixture, 101), false);
    let expired = |fixture: &Fixture| {
        put_for(fixture, 100);
        pass(fixture, 101);
    };
    check(expired, remove, true);
    check(expired, set, false);
}

#[test]
fn databases_that_change_break_watches_of_what_is_in_them() {
    let set_else = |fixture: &Fixture| {
        fixture.inline(|txn| {
            txn.select(1);
            put(txn, "else", "v")
        });
    };
    let swap = |fixture: &Fixture| {
        fixture.inline(|txn| {
            txn.swap(0, 1);
            Ok(())
        });
    };
    let flush = |fixture: &Fixture| _ = fixture.inline(|txn| txn.flush(0));
    check(set, flush, false);
    check(nothing, flush, true);
    check(set_else, swap, true);
    check(set_there, swap, false);
    check(set, swap, false);
    // Nothing was there, and nothing is: but in between.
    let there_and_back = |fixture: &Fixture| {
        swap(fixture);
        set(fixture);
        remove(fixture);
    };
    check(set_else, there_and_back, false);
}

#[test]
fn a_transaction_may_write_before_and_after_it_changes_databases() {
    let set_and_flush = |fixture: &Fixture| {
        fixture.inline(|txn| {
            put(txn, "k", "v")?;
            txn.flush(0)
        });
    };
    check(nothing, set_and_flush, false);
    let flush_and_set = |fixture: &Fixture| {
        fixture.inline(|txn| {
            txn.flush(0)?;
            put(txn, "k", "v")
        });
    };
    let set_else = |fixture: &Fixture| _ = fixture.set("else", "v");
    check(set_else, flush_and_set, false);
    let flush_and_come_and_go = |fixture: &Fixture| {
        fixture.inline(|txn| {
            txn.flush(0)?;
            put(txn, "k", "v")?;
            txn.remove(b"k")
        });
    };
    check(set_else, flush_and_come_and_go, false);
}

#[test]
fn an_epoch_that_ends_breaks_every_watch() {
    let fixture = Fixture::new();
    fixture.set("k", "v");
    let id = watch(&fixture, &["k"]);
    fixture.next_epoch();
    assert!(!run_if(&fixture, id, false, |txn| put(txn, "outcome", "x")));
}

#[test]
fn folding_and_moving_break_no_watch() {
    let fixture = crowded();
    let id = watch(&fixture, &["h"]);
    finish(&fixture, "h");
    assert!(fixture.group.moves.moved() > 0);
    fixture.settle();
    assert!(run_if(&fixture, id, false, |txn| put(txn, "outcome", "x")));
}

/// Others write a watched key all the time: a transaction on a snapshot never has its effect beside theirs.
#[test]
fn a_watch_is_looked_at_in_the_moment_of_the_commit() {
    const ROUNDS: usize = 300;
    let fixture = Fixture::new();
    fixture.set("k", "0");
    let (wins, writes) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for _ in 0..ROUNDS {
                fixture.inline(|txn| {
                    let next = number(txn, "k")? + 1;
                    put(txn, "k", &next.to_string())
                });
            }
            ROUNDS
        });
        let mut wins = 0;
        for round in 0..ROUNDS {
            let id = watch(&fixture, &["k"]);
            // Read outside of the transaction, as a client does.
            let read: i64 = fixture.get("k").unwrap().parse().unwrap();
            wins += usize::from(run_if(&fixture, id, round % 2 == 0, |txn| {
                put(txn, "k", &(read + 1).to_string())
            }));
            fixture.group.unwatch(id);
        }
        (wins, writer.join().unwrap())
    });
    assert_eq!(fixture.get("k"), Some((wins + writes).to_string()), "an update is lost");
}

#[test]
fn a_part_that_fails_has_no_effect() {
    let fixture = Fixture::new();
    fixture.set("old", "1");
    let fail = |txn: &mut Txn<'_>| -> Result<(), Failed> {
        put(txn, "new", "x")?;
        put(txn, "old", "2")?;
        txn.remove(b"mine")?;
        let mut hash = txn.hash_or_new(b"hash").map_err(stop)?;
        for field in 0..150 {
            hash.set(format!("field:{field}").as_bytes(), b"v")?;
        }
        drop(hash);
        txn.swap(0, 1);
        Err(Failed::Own)
    };
    for heavy in [false, true] {
        let run = |txn: &mut Txn<'_>| {
            put(txn, "mine", "1")?;
            match txn.attempt(fail) {
                Err(Failed::Own) => {}
                Err(Failed::Stop(stop)) => return Err(stop),
                Ok(()) => panic!("it has not failed"),
            }
            assert_eq!(get(txn, "mine")?.as_deref(), Some("1"));
            assert_eq!(get(txn, "old")?.as_deref(), Some("1"));
            assert_eq!((get(txn, "new")?, txn.get(b"hash")?.is_some()), (None, false));
            txn.attempt(|txn| put(txn, "after", "1"))
        };
        if heavy {
            fixture.heavy(run);
        } else {
            fixture.inline(run);
        }
        let all = ["mine", "after", "old", "new", "hash"].map(|key| fixture.get(key));
        assert_eq!(all.map(|value| value.is_some()), [true, true, true, false, false]);
        assert_eq!(fixture.group.database_counts()[0].keys, 3);
    }
}

/// There is nothing to be written then, and so nothing to wait for.
#[test]
fn a_transaction_that_comes_to_nothing_is_committed() {
    let fixture = Fixture::new();
    fixture.set("other", "v");
    let done = fixture.inline(|txn| {
        put(txn, "k", "v")?;
        txn.remove(b"k")
    });
    assert_eq!(fixture.wait(done.gate), Fate::Committed);
}
