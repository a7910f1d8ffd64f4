//! Lanes against each other: nothing is lost, nothing is seen in half.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const ACCOUNTS: usize = 6;
const TOTAL: i64 = 600;

fn account(at: usize) -> String {
    format!("account-{at}")
}

fn founded() -> Fixture {
    let fixture = Fixture::new();
    for at in 0..ACCOUNTS {
        fixture.set(&account(at), &(TOTAL / ACCOUNTS as i64).to_string());
    }
    fixture
}

fn transfer(txn: &mut Txn<'_>, from: usize, to: usize) -> Result<(), Stop> {
    let (a, b) = (number(txn, &account(from))?, number(txn, &account(to))?);
    put(txn, &account(from), &(a - 1).to_string())?;
    put(txn, &account(to), &(b + 1).to_string())
}

fn sum(txn: &mut Txn<'_>) -> Result<i64, Stop> {
    (0..ACCOUNTS).map(|at| number(txn, &account(at))).sum()
}

fn sum_by_range(txn: &mut Txn<'_>) -> Result<i64, Stop> {
    let mut keys = Vec::new();
    walk_keys(txn, KeyPosition::START, &mut |step| -> Result<Flow, Stop> {
        if let Step::Key(found) = step {
            keys.push(String::from_utf8_lossy(found.key).into_owned());
        }
        Ok(Flow::More)
    })?;
    assert_eq!(keys.len(), ACCOUNTS);
    keys.iter().map(|key| number(txn, key)).sum()
}

#[test]
fn money_is_neither_made_nor_lost_whatever_the_lanes() {
    let fixture = founded();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4usize)
            .map(|writer| {
                let fixture = &fixture;
                scope.spawn(move || {
                    for round in 0..300usize {
                        let (from, to) = ((round + writer) % ACCOUNTS, (round * 7 + 1) % ACCOUNTS);
                        if from == to {
                            continue;
                        }
                        if writer % 2 == 0 {
                            fixture.inline(|txn| transfer(txn, from, to)).result.unwrap();
                        } else {
                            fixture.heavy(|txn| transfer(txn, from, to)).result.unwrap();
                        }
                    }
                })
            })
            .collect();
        let (fixture, done) = (&fixture, &done);
        scope.spawn(move || {
            let mut scratch = Scratch::default();
            while !done.load(Ordering::SeqCst) {
                if let Ok(seen) = fixture.group.run_read(0, &mut scratch, sum) {
                    assert_eq!(seen.result.unwrap(), TOTAL, "the read lane");
                }
                assert_eq!(fixture.heavy(sum).result.unwrap(), TOTAL, "the heavy lane");
                assert_eq!(fixture.heavy(sum_by_range).result.unwrap(), TOTAL, "a range");
                fixture.drain();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(fixture.heavy(sum).result.unwrap(), TOTAL);
}

#[test]
fn every_increment_of_a_hot_counter_counts() {
    let fixture = Fixture::new();
    let increment = |txn: &mut Txn<'_>| {
        let next = number(txn, "hot")? + 1;
        put(txn, "hot", &next.to_string())
    };
    thread::scope(|scope| {
        for worker in 0..6 {
            let (fixture, increment) = (&fixture, &increment);
            scope.spawn(move || {
                for _ in 0..200 {
                    if worker < 3 {
                        fixture.inline(increment).result.unwrap();
                    } else {
                        fixture.heavy(increment).result.unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(fixture.get("hot").as_deref(), Some("1200"));
}

#[test]
fn a_range_that_was_read_conflicts_with_an_insert_into_it() {
    // Each adds a key if it counts an even number of them: two that both saw the same set would
    // make it odd.
    let fixture = Fixture::new();
    let count = |txn: &mut Txn<'_>| {
        let mut keys = 0;
        walk_keys(txn, KeyPosition::START, &mut |step| -> Result<Flow, Stop> {
            keys += usize::from(matches!(step, Step::Key(_)));
            Ok(Flow::More)
        })?;
        Ok::<usize, Stop>(keys)
    };
    thread::scope(|scope| {
        for worker in 0..4 {
            let (fixture, count) = (&fixture, &count);
            scope.spawn(move || {
                for round in 0..25 {
                    let done = fixture.heavy(|txn| {
                        let seen = count(txn)?;
                        put(txn, &format!("{worker}-{round}"), &seen.to_string())
                    });
                    done.result.unwrap();
                }
            });
        }
    });
    let mut seen: Vec<i64> = Vec::new();
    for worker in 0..4 {
        for round in 0..25 {
            seen.push(fixture.get(&format!("{worker}-{round}")).unwrap().parse().unwrap());
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..100).collect::<Vec<i64>>(), "each saw every insert before its own");
}

#[test]
fn a_reply_waits_for_what_it_saw() {
    let fixture = Fixture::new();
    let held = fixture.hold.clone();
    let guard = held.lock();
    let wrote = fixture.set("k", "v");
    let mut scratch = Scratch::default();
    let read = fixture.group.run_read(0, &mut scratch, |txn| get(txn, "k")).unwrap();
    assert_eq!(read.gate, wrote, "a read waits for the uncommitted write that it saw");
    assert_eq!(fixture.group.sequencer.fate(read.gate.epoch, read.gate.stamp), Fate::Pending);
    drop(guard);
    assert_eq!(fixture.wait(read.gate), Fate::Committed);
}

#[test]
fn a_transaction_that_outgrows_its_lane_has_had_no_effect() {
    let fixture = Fixture::new();
    let many = |txn: &mut Txn<'_>| (0..1_000).try_for_each(|i| put(txn, &format!("k{i}"), "v"));
    let mut scratch = Scratch::default();
    let left = fixture.group.run_inline(0, &mut scratch, many);
    assert!(matches!(left, Err(Leave::Outgrown)));
    assert_eq!(fixture.get("k0"), None);
    fixture.heavy(many).result.unwrap();
    assert_eq!(fixture.get("k999").as_deref(), Some("v"));
    assert_eq!(fixture.group.database_counts()[0].keys, 1_000);
}
