//! Members of wide collections that move away from what was removed: nothing is lost, nothing is there twice,
//! lengths are exact, whatever happens in between.

mod between;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::counters::Counters;
use crate::keys::{self, Members, POSITIONS};
use crate::moving::{Bounds, Step, Stretch};
use crate::record::RowKey;
use crate::txn::Meter;
use crate::view::View;

/// Steps of a few members, very soon.
const SMALL: Bounds = Bounds { removed_min: 8, members: 3, passed: 1 << 20 };

type Model = BTreeMap<String, String>;

fn opened(directory: tempfile::TempDir, bounds: Option<Bounds>) -> Fixture {
    let fixture = Fixture::open(directory, 1 << 20);
    fixture.group.shapes.hash_max_listpack_entries.set(1);
    fixture.group.shapes.set_max_listpack_entries.set(1);
    fixture.group.shapes.zset_max_listpack_entries.set(1);
    if let Some(bounds) = bounds {
        fixture.group.moves.bounds.set(bounds).unwrap();
    }
    fixture
}

fn set(txn: &mut Txn<'_>, fields: &[String], value: &str) -> Result<usize, Stop> {
    let mut hash = txn.hash_or_new(b"h").map_err(stop)?;
    fields
        .iter()
        .try_fold(0, |new, field| Ok(new + usize::from(hash.set(field.as_bytes(), value.as_bytes())?)))
}

fn remove(txn: &mut Txn<'_>, fields: &[String]) -> Result<usize, Stop> {
    let Some(mut hash) = txn.hash(b"h").map_err(stop)? else { return Ok(0) };
    fields.iter().try_fold(0, |gone, field| Ok(gone + usize::from(hash.remove(field.as_bytes())?)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// All of it, a page at a time as HSCAN goes; fails if a field comes twice.
fn walked(txn: &mut Txn<'_>, key: &str) -> Result<Model, Stop> {
    let mut found = Model::new();
    let Some(mut hash) = txn.hash(key.as_bytes()).map_err(stop)? else { return Ok(found) };
    let (mut from, mut page) = (0, Vec::new());
    loop {
        let mut next = None;
        hash.walk::<Stop>(from, &mut |member| {
            if page.len() >= 7 && page.last() != Some(&member.at) {
                next = Some(member.at);
                return Ok(Flow::Stop);
            }
            page.push(member.at);
            let twice = found.insert(text(member.member), text(member.payload));
            assert_eq!(twice, None, "{:?} comes twice", text(member.member));
            Ok(Flow::More)
        })?;
        page.clear();
        let Some(next) = next else { break };
        from = next;
    }
    assert_eq!(hash.count()?, found.len() as u64, "the length is exact");
    Ok(found)
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("field {number}")).collect()
}

fn members_of(fixture: &Fixture, key: &str) -> Option<Members> {
    let members =
        fixture.inline(|txn| Ok(txn.get(key.as_bytes())?.and_then(|record| record.members().unwrap())));
    members.result.unwrap()
}

fn removed(fixture: &Fixture, members: Members) -> i64 {
    fixture.inline(|txn| txn.counters(members.home)).result.unwrap().removed
}

fn steps(fixture: &Fixture, mut count: usize) {
    let mut goes_on = || {
        count = count.saturating_sub(1);
        count > 0
    };
    count_steps(fixture, &mut goes_on);
}

fn count_steps(fixture: &Fixture, goes_on: &mut dyn FnMut() -> bool) {
    match fixture.group.move_members(&mut Scratch::default(), goes_on) {
        Ok(()) | Err(Leave::Closed | Leave::Stalled) => {}
        Err(left) => panic!("{left:?}"),
    }
}

/// Moves until there is nothing left to be moved.
pub(super) fn finish(fixture: &Fixture, key: &str) -> Members {
    loop {
        // Whoever looks at it asks for it.
        fixture.heavy(|txn| walked(txn, key)).result.unwrap();
        let before = fixture.group.moves.moved();
        steps(fixture, 1_000);
        let members = members_of(fixture, key).unwrap();
        if fixture.group.moves.moved() == before && !members.is_moving() {
            return members;
        }
    }
}

#[test]
fn what_has_passed_through_a_hash_is_left_behind() {
    const LIVE: usize = 1_000;
    const PASSED: usize = 100_000;
    let fixture = opened(tempfile::tempdir().unwrap(), None);
    for at in (0..LIVE).step_by(100) {
        fixture.inline(|txn| set(txn, &names(at..at + 100), "v")).result.unwrap();
    }
    for at in (LIVE..LIVE + PASSED).step_by(100) {
        fixture.inline(|txn| set(txn, &names(at..at + 100), "v")).result.unwrap();
        fixture.inline(|txn| remove(txn, &names(at..at + 100))).result.unwrap();
    }
    fixture.drain();
    let before = members_of(&fixture, "h").unwrap();
    assert_eq!(removed(&fixture, before), PASSED as i64, "it is counted, and durable");
    let fixture = opened(fixture.close(), None);
    assert_eq!(removed(&fixture, before), PASSED as i64);
    let after = finish(&fixture, "h");
    assert_eq!(fixture.group.moves.moved(), LIVE as u64, "each has moved once");
    assert_eq!(removed(&fixture, after), 0);
    assert_eq!(after, before.moved_to(POSITIONS));
    fixture.drain();
    let records = |members: Members| {
        let ranges = members.ranges(0..POSITIONS);
        ranges.map(|(from, to)| fixture.group.disk.snapshot().range(&from, Some(&to)).count()).sum::<usize>()
    };
    assert_eq!((records(before), records(after)), (0, LIVE));
}

/// What a move does to the members of a collection, however it goes.
#[derive(Clone, Debug)]
enum Op {
    Set(u8),
    SetHeavy(u8),
    Remove(u8),
    RemoveHeavy(u8),
    Check(u8),
    Walk,
    Steps(u8),
    Copy,
    Rename,
    Drain,
    Epoch,
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => any::<u8>().prop_map(Op::Set),
        1 => any::<u8>().prop_map(Op::SetHeavy),
        8 => any::<u8>().prop_map(Op::Remove),
        1 => any::<u8>().prop_map(Op::RemoveHeavy),
        4 => any::<u8>().prop_map(Op::Check),
        1 => Just(Op::Walk),
        6 => (1..4u8).prop_map(Op::Steps),
        1 => Just(Op::Copy),
        1 => Just(Op::Rename),
        1 => Just(Op::Drain),
        1 => Just(Op::Epoch),
        1 => Just(Op::Reopen),
    ]
}

struct Checked {
    fixture: Fixture,
    model: Model,
    round: usize,
}

impl Checked {
    fn apply(mut self, op: &Op) -> Self {
        self.round += 1;
        let (fixture, round) = (&self.fixture, self.round.to_string());
        let few = |first: u8| names(usize::from(first)..usize::from(first) + 5);
        match *op {
            Op::Set(at) | Op::SetHeavy(at) => {
                let mut f = |txn: &mut Txn<'_>| set(txn, &few(at), &round);
                let done =
                    if matches!(op, Op::Set(_)) { fixture.inline(&mut f) } else { fixture.heavy(&mut f) };
                let new = few(at)
                    .into_iter()
                    .filter(|field| self.model.insert(field.clone(), round.clone()).is_none());
                assert_eq!(done.result.unwrap(), new.count());
            }
            Op::Remove(at) | Op::RemoveHeavy(at) => {
                let mut f = |txn: &mut Txn<'_>| remove(txn, &few(at));
                let done =
                    if matches!(op, Op::Remove(_)) { fixture.inline(&mut f) } else { fixture.heavy(&mut f) };
                let gone = few(at).into_iter().filter(|field| self.model.remove(field).is_some());
                assert_eq!(done.result.unwrap(), gone.count());
            }
            Op::Check(at) => {
                let field = format!("field {at}");
                let found = fixture.inline(|txn| {
                    let Some(mut hash) = txn.hash(b"h").map_err(stop)? else { return Ok(None) };
                    Ok(hash.get(field.as_bytes())?.map(|value| text(value.as_slice())))
                });
                assert_eq!(found.result.unwrap().as_ref(), self.model.get(&field));
            }
            Op::Walk => self.check("h"),
            Op::Steps(count) => steps(fixture, usize::from(count) + 1),
            Op::Copy => {
                let copied = fixture.heavy(|txn| {
                    let Some(record) = txn.get(b"h")? else { return txn.remove(b"copy").map(|_| ()) };
                    let copy = txn.copy_record(b"copy", &record)?;
                    txn.put_record(b"copy", &copy)
                });
                copied.result.unwrap();
                self.check("copy");
            }
            Op::Rename => {
                for (from, to) in [("h", "other"), ("other", "h")] {
                    let renamed = fixture.inline(|txn| {
                        let Some(record) = txn.get(from.as_bytes())? else { return Ok(()) };
                        txn.put_record(to.as_bytes(), &record.with_expiry(Some(u64::MAX)))?;
                        txn.remove(from.as_bytes()).map(|_| ())
                    });
                    renamed.result.unwrap();
                    steps(fixture, 2);
                }
                self.check("h");
            }
            Op::Drain => fixture.drain(),
            Op::Epoch => {
                fixture.drain();
                fixture.next_epoch();
            }
            Op::Reopen => {
                fixture.drain();
                self.fixture = opened(self.fixture.close(), Some(SMALL));
            }
        }
        self
    }

    fn check(&self, key: &str) {
        assert_eq!(self.fixture.heavy(|txn| walked(txn, key)).result.unwrap(), self.model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_collection_that_moves_is_what_it_would_be_otherwise(ops in prop::collection::vec(op(), 1..250)) {
        let fixture = opened(tempfile::tempdir().unwrap(), Some(SMALL));
        let mut checked = Checked { fixture, model: Model::new(), round: 0 };
        for op in &ops {
            checked = checked.apply(op);
        }
        checked.check("h");
        if !checked.model.is_empty() {
            let members = finish(&checked.fixture, "h");
            checked.check("h");
            prop_assert!(removed(&checked.fixture, members) <= 8.max(4 * checked.model.len() as i64));
        }
    }
}

#[test]
fn whoever_writes_and_walks_meanwhile_misses_nothing() {
    const ROUNDS: usize = 300;
    let fixture = opened(tempfile::tempdir().unwrap(), Some(SMALL));
    let kept = names(0..100);
    fixture.inline(|txn| set(txn, &kept, "kept")).result.unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (fixture, done, kept) = (&fixture, &done, &kept);
        let writers: Vec<_> = (1..4)
            .map(|writer| {
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        // Some of the last round's, so that they are there while members move.
                        let at = writer * 10_000 + round * 10;
                        let (new, old) = (names(at..at + 10), names(at - 10..at));
                        if writer == 3 && round % 4 == 0 {
                            assert_eq!(fixture.heavy(|txn| set(txn, &new, "heavy")).result.unwrap(), 10);
                        } else {
                            assert_eq!(fixture.inline(|txn| set(txn, &new, "v")).result.unwrap(), 10);
                        }
                        let expected = if round == 0 { 0 } else { 10 };
                        assert_eq!(fixture.inline(|txn| remove(txn, &old)).result.unwrap(), expected);
                    }
                })
            })
            .collect();
        scope.spawn(move || {
            // Once more in the end: the writers may be done before this thread has begun.
            while !done.load(Ordering::SeqCst) {
                steps(fixture, 20);
                thread::yield_now();
            }
            steps(fixture, 20);
        });
        scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                let found = fixture.heavy(|txn| walked(txn, "h")).result.unwrap();
                assert!(
                    kept.iter().all(|field| found.contains_key(field)),
                    "who is there throughout is seen"
                );
                let mut scratch = Scratch::default();
                if let Ok(read) = fixture.group.run_read(0, &mut scratch, |txn| walked(txn, "h")) {
                    let found = read.result.unwrap();
                    assert!(kept.iter().all(|field| found.contains_key(field)));
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(fixture.group.moves.moved() > 0);
    let found = fixture.heavy(|txn| walked(txn, "h")).result.unwrap();
    assert_eq!(found.len(), kept.len() + 3 * 10);
    let fixture = opened(fixture.close(), Some(SMALL));
    assert_eq!(fixture.heavy(|txn| walked(txn, "h")).result.unwrap(), found);
}

/// A hash of 20 fields that is about to be moved in steps of three.
pub(super) fn crowded() -> Fixture {
    let fixture = opened(tempfile::tempdir().unwrap(), Some(SMALL));
    fixture.inline(|txn| set(txn, &names(0..120), "v")).result.unwrap();
    fixture.inline(|txn| remove(txn, &names(20..120))).result.unwrap();
    fixture
}

#[test]
fn a_heavy_transaction_in_between_loses_once_and_then_keeps_the_mover_away() {
    let fixture = crowded();
    let mut runs = 0;
    let done = fixture.heavy(|txn| {
        runs += 1;
        let new = set(txn, &names(200..210), "heavy")?;
        let before = fixture.group.moves.moved();
        steps(&fixture, 3);
        assert_eq!(fixture.group.moves.moved() > before, runs == 1);
        Ok(new)
    });
    assert_eq!((done.result.unwrap(), runs), (10, 2));
    finish(&fixture, "h");
    assert_eq!(fixture.heavy(|txn| walked(txn, "h")).result.unwrap().len(), 30);
}

#[test]
fn members_at_one_position_move_together() {
    let fixture = crowded();
    let home = members_of(&fixture, "h").unwrap().home;
    // Nobody finds names that collide: their records are made up.
    let crowd = |txn: &mut Txn<'_>| {
        for at in [0, 1 << 40, POSITIONS - 1] {
            for number in 0..40 {
                let (from, _) = Members::new(home).ranges(at..POSITIONS).next().unwrap();
                let key = [&from[..], b"\0", format!("{at} {number}").as_bytes()].concat();
                txn.write_blind(&key, Some(Value::from(&b"v"[..])));
            }
        }
        txn.add_counters(home, Counters::len(120));
        Ok(())
    };
    fixture.inline(crowd).result.unwrap();
    fixture.inline(|txn| remove(txn, &names(0..1))).result.unwrap();
    // More has to be removed now that it is larger.
    fixture.inline(|txn| set(txn, &names(300..1_000), "v")).result.unwrap();
    fixture.inline(|txn| remove(txn, &names(300..1_000))).result.unwrap();
    let expected = fixture.heavy(|txn| walked(txn, "h")).result.unwrap();
    assert_eq!(expected.len(), 19 + 120);
    let mut seen = 0;
    while members_of(&fixture, "h").unwrap().is_moving() || seen == 0 {
        seen += 1;
        steps(&fixture, 2);
        assert_eq!(fixture.heavy(|txn| walked(txn, "h")).result.unwrap(), expected);
    }
    assert!(seen > 5, "in steps");
}

#[test]
fn what_is_gone_is_not_brought_back() {
    type Write = fn(&mut Txn<'_>) -> Result<(), Stop>;
    let writes: [Write; 3] =
        [|txn| txn.flush(0), |txn| txn.remove(b"h").map(|_| ()), |txn| put(txn, "h", "a string")];
    for (nth, write) in writes.into_iter().enumerate() {
        let fixture = crowded();
        steps(&fixture, 3);
        assert!(members_of(&fixture, "h").unwrap().is_moving());
        fixture.inline(write).result.unwrap();
        steps(&fixture, 100);
        let left = fixture.inline(|txn| txn.counts(0)).result.unwrap().keys;
        assert_eq!(left, i64::from(nth == 2));
        fixture.drain();
        // All of it is reclaimed, whatever generation it is in.
        let elements = || fixture.group.disk.snapshot().range(b"E", Some(b"F")).count();
        while elements() > 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_sorted_set_keeps_its_order_and_a_set_its_members() {
    let fixture = opened(tempfile::tempdir().unwrap(), Some(SMALL));
    fixture.inline(|txn| churn(txn, 0..20)).result.unwrap();
    for round in 1..30 {
        fixture.inline(|txn| churn(txn, round * 20..round * 20 + 20)).result.unwrap();
        steps(&fixture, 3);
    }
    assert!(fixture.group.moves.moved() > 0);
    let all: Vec<(Vec<u8>, f64)> =
        (580..600).map(|at| (at.to_string().into_bytes(), f64::from(at))).collect();
    let found = fixture.heavy(|txn| {
        let mut sorted = txn.sorted_set(b"z").map_err(stop)?.unwrap();
        let mut found = Vec::new();
        sorted.walk_ranks(0..20, false, &mut |member, score| {
            found.push((member.to_vec(), score));
            Flow::More
        })?;
        for (member, score) in &found {
            assert_eq!(sorted.score(member)?, Some(*score));
        }
        let mut cursor = sorted.cursor()?;
        drop(sorted);
        let mut members = Vec::new();
        while let Some(placed) = cursor.next(txn)? {
            members.push((placed.member.clone(), score_of(&placed.payload)));
        }
        let mut set = txn.set_at(b"s").map_err(stop)?.unwrap();
        assert!(set.random()?.is_some());
        let mut cursor = set.cursor()?;
        drop(set);
        while let Some(placed) = cursor.next(txn)? {
            assert!(members.iter().any(|(member, _)| *member == placed.member));
        }
        members.sort_by(|a, b| a.1.total_cmp(&b.1));
        Ok((found, members))
    });
    assert_eq!(found.result.unwrap(), (all.clone(), all));
}

/// Adds members to a set and a sorted set, and removes those before them.
fn churn(txn: &mut Txn<'_>, numbers: std::ops::Range<i32>) -> Result<(), Stop> {
    let mut sorted = txn.sorted_set_or_new(b"z", 20, 8).map_err(stop)?;
    for at in numbers.clone() {
        sorted.put(at.to_string().as_bytes(), f64::from(at), None)?;
        sorted.remove((at - 20).to_string().as_bytes())?;
    }
    drop(sorted);
    let mut set = txn.set_or_new(b"s", b"", 20).map_err(stop)?;
    for at in numbers {
        set.add(at.to_string().as_bytes())?;
        set.remove((at - 20).to_string().as_bytes())?;
    }
    Ok(())
}
