//! Lengths of wide collections: exact over flushes, folding and restarts; and who conflicts with whom.

use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::counters::{self, Counters, Sum};
use crate::keys::{self, Home};

fn add(txn: &mut Txn<'_>, members: &[String]) -> Result<u64, Stop> {
    let mut added = 0;
    let mut set = txn.set_or_new(b"set", b"", 1).map_err(stop)?;
    for member in members {
        added += u64::from(set.add(member.as_bytes())?);
    }
    Ok(added)
}

fn remove(txn: &mut Txn<'_>, members: &[String]) -> Result<u64, Stop> {
    let mut removed = 0;
    if let Some(mut set) = txn.set_at(b"set").map_err(stop)? {
        for member in members {
            removed += u64::from(set.remove(member.as_bytes())?);
        }
    }
    Ok(removed)
}

fn count(txn: &mut Txn<'_>) -> Result<u64, Stop> {
    match txn.set_at(b"set").map_err(stop)? {
        Some(mut set) => set.count(),
        None => Ok(0),
    }
}

fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("member {number}")).collect()
}

/// A store with a wide set of so many members.
fn with_members(fixture: Fixture, members: usize) -> (Fixture, Home) {
    fixture.group.shapes.set_max_listpack_entries.set(1);
    fixture.inline(|txn| add(txn, &names(0..members))).result.unwrap();
    let home = fixture.inline(|txn| Ok(txn.get(b"set")?.and_then(|record| record.home().unwrap())));
    (fixture, home.result.unwrap().unwrap())
}

/// Deltas and base as the store holds them.
fn stored(fixture: &Fixture, home: Home) -> (usize, Sum) {
    let (mut prefix, mut key) = (Vec::new(), Vec::new());
    keys::delta_prefix(&mut prefix, home);
    keys::counters_record(&mut key, home);
    let snapshot = fixture.group.disk.snapshot();
    let end = base::codec::prefix_end(&prefix);
    let deltas = snapshot.range(&prefix, end.as_deref()).count();
    (deltas, counters::sum(&snapshot, &key).unwrap())
}

#[test]
fn a_length_is_exact_over_flushes_folds_and_restarts() {
    const ROUNDS: usize = 3 * base::limits::DELTAS_KEPT;
    // Next to nothing is cached: what is read comes from the store.
    let fixture = Fixture::open(tempfile::tempdir().unwrap(), 0);
    let (mut fixture, home) = with_members(fixture, 10);
    for round in 0..ROUNDS {
        let members = names(10 + round..11 + round);
        assert_eq!(fixture.inline(|txn| add(txn, &members)).result.unwrap(), 1);
        fixture.drain();
        if round % 50 == 49 {
            fixture = Fixture::open(fixture.close(), 0);
            fixture.group.shapes.set_max_listpack_entries.set(1);
        }
        assert_eq!(fixture.inline(count).result.unwrap(), 11 + round as u64);
        let (deltas, sum) = stored(&fixture, home);
        assert!(deltas <= base::limits::DELTAS_READ_MAX);
        assert_eq!(sum, Sum::Known(Some(Counters::len(11 + round as i64))));
    }
    // It is folded by and by, and nothing of it is seen.
    while stored(&fixture, home).0 > base::limits::DELTAS_KEPT {
        std::thread::yield_now();
    }
    assert_eq!(fixture.heavy(count).result.unwrap(), 10 + ROUNDS as u64);
}

/// A store with a set of 10 members, and so many deltas more that they are folded before they are read.
fn with_too_many_deltas() -> (Fixture, Home) {
    let fixture = Fixture::open(tempfile::tempdir().unwrap(), 0);
    let (fixture, home) = with_members(fixture, 10);
    fixture.drain();
    // Nobody is to fold them before they are asked for.
    fixture.settle();
    let deltas: Vec<(Vec<u8>, Value)> = (0..1000)
        .map(|number| {
            let mut key = Vec::new();
            keys::delta_record(&mut key, home, u64::MAX - 2_000 + number);
            (key, Counters::len(1).encode())
        })
        .collect();
    fixture.group.disk.write(deltas.iter().map(|(key, value)| (&key[..], Some(&value[..])))).unwrap();
    assert_eq!(stored(&fixture, home).1, Sum::TooMany(home));
    // Whatever the row cache still holds of it is from before.
    fixture.next_epoch();
    (fixture, home)
}

#[test]
fn more_deltas_than_are_read_are_folded_first() {
    let (fixture, home) = with_too_many_deltas();
    for read in [Fixture::inline, Fixture::heavy] {
        assert_eq!(read(&fixture, count).result.unwrap(), 1_010);
    }
    assert_eq!(stored(&fixture, home), (0, Sum::Known(Some(Counters::len(1_010)))));
}

#[test]
fn who_waits_for_folding_does_not_outlast_the_apply_thread() {
    let (mut fixture, _) = with_too_many_deltas();
    fixture.shut();
    let left = fixture.group.run_heavy(0, &mut Scratch::default(), &Cancel::default(), count);
    assert!(matches!(left, Err(Leave::Closed)), "{left:?}");
}

#[test]
fn who_waits_for_folding_can_be_cancelled() {
    let (fixture, _) = with_too_many_deltas();
    let (busy, is_busy) = channel();
    let (go_on, told) = channel::<()>();
    fixture.queue.barrier(move |_| {
        busy.send(()).unwrap();
        told.recv().unwrap();
    });
    is_busy.recv().unwrap();
    let cancel = Cancel::default();
    std::thread::scope(|scope| {
        let reader =
            scope.spawn(|| fixture.group.run_heavy(0, &mut Scratch::default(), &cancel, count).unwrap_err());
        while fixture.queue.is_empty() {
            std::thread::yield_now();
        }
        cancel.cancel();
        let left = reader.join().unwrap();
        assert!(matches!(left, Leave::Cancelled), "{left:?}");
    });
    go_on.send(()).unwrap();
}

#[test]
fn heavy_writers_of_other_members_do_not_conflict() {
    let (fixture, _) = with_members(Fixture::new(), 10);
    let mut runs = 0;
    let done = fixture.heavy(|txn| {
        runs += 1;
        let added = add(txn, &names(100..110))?;
        let removed = remove(txn, &names(0..2))?;
        // Meanwhile somebody else does the same to others.
        fixture.inline(|txn| add(txn, &names(200 + runs..201 + runs))).result.unwrap();
        fixture.inline(|txn| remove(txn, &names(1 + runs * 2..2 + runs * 2))).result.unwrap();
        Ok((added, removed))
    });
    assert_eq!((done.result.unwrap(), runs), ((10, 2), 1));
    assert_eq!(fixture.inline(count).result.unwrap(), 10 + 10 - 2 + 1 - 1);
}

#[test]
fn who_would_leave_nothing_behind_runs_again() {
    let (fixture, _) = with_members(Fixture::new(), 4);
    let mut runs = 0;
    let done = fixture.heavy(|txn| {
        runs += 1;
        let removed = remove(txn, &names(0..2))?;
        if runs == 1 {
            fixture.inline(|txn| remove(txn, &names(2..4))).result.unwrap();
        }
        Ok(removed)
    });
    assert_eq!((done.result.unwrap(), runs), (2, 2));
    let exists = fixture.inline(|txn| Ok(txn.get(b"set")?.is_some()));
    assert!(!exists.result.unwrap(), "the key goes with its last member");
}

/// Pops from a list, and says what came of it.
struct Pops(Sender<&'static str>);

impl Attempt for Pops {
    fn registered(&mut self, _: Ticket) {}

    fn run(&mut self, txn: &mut Txn<'_>) -> Result<Tried, Stop> {
        let Some(mut list) = txn.list(b"list").map_err(stop)? else { return Ok(Tried::Nothing) };
        let popped = list.pop(End::Head, 1)?;
        Ok(if popped.is_empty() { Tried::Nothing } else { Tried::Served })
    }

    fn done(self: Box<Self>, _: Gate) {
        self.0.send("served").unwrap();
    }

    fn left(self: Box<Self>, _: Leave) {
        self.0.send("left").unwrap();
    }
}

#[test]
fn who_waits_is_served_by_a_writer_that_had_reserved_the_key() {
    let fixture = Fixture::new();
    let (sender, outcome) = channel();
    let wants = Wants { database: 0, keys: vec![b"list"[..].into()], kind: Kind::List, if_gone: false };
    fixture.group.sequencer.lock().waiters.add(Waiting { wants, attempt: Box::new(Pops(sender)) });
    let mut runs = 0;
    let push = |txn: &mut Txn<'_>| {
        runs += 1;
        let other = get(txn, "other")?;
        if runs == 1 {
            fixture.set("other", "changed");
        }
        txn.list_or_new(b"list").map_err(stop)?.push(End::Tail, [&b"item"[..]].into_iter())?;
        Ok(other)
    };
    fixture.heavy(push).result.unwrap();
    assert_eq!((runs, outcome.recv().unwrap()), (2, "served"));
    assert!(!fixture.inline(|txn| Ok(txn.get(b"list")?.is_some())).result.unwrap());
    assert_eq!(fixture.group.waiting(), 0);
}
