//! Streams that are built: what is given up is reclaimed, and what is counted meanwhile is what there is.

use super::*;

const ENTRIES: u64 = 5_000;
const TEXT: [&[u8]; 2] = [b"field", &[b'x'; 100]];

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// A stream that is built aside: entries, and a group for which each of them is pending.
fn build(txn: &mut Txn<'_>) -> Result<(), Stop> {
    let mut builder = StreamBuilder::new(txn, b"k", 3 * ENTRIES as usize, ENTRIES as usize * 105)?;
    for ms in 1..=ENTRIES {
        builder.append(txn, id(ms), TEXT.into_iter())?;
    }
    let mut group = builder.begin_group(id(ENTRIES), Some(ENTRIES));
    let mut consumer = group.begin_consumer(5, None);
    for ms in 1..=ENTRIES {
        builder.put_pending(txn, &mut group, (b"name", &mut consumer), id(ms), (7, 1))?;
    }
    builder.put_consumer(txn, &group, b"name", consumer)?;
    builder.put_group(txn, b"group", group)?;
    builder.store(txn, b"k", (id(ENTRIES), ENTRIES, StreamId::ZERO), None)
}

/// Records of entries and pending ones, of the consumer, and of the group.
const RECORDS: u64 = ENTRIES * 3 + 2;

fn count(fixture: &Fixture, tag: u8) -> u64 {
    fixture.group.disk.snapshot().range(&[tag], Some(&[tag + 1])).count() as u64
}

/// Waits until everything is stored and nothing is left to reclaim.
fn settle(fixture: &Fixture) {
    loop {
        fixture.drain();
        if count(fixture, keys::UNREACHABLE) == 0 {
            return;
        }
        std::thread::yield_now();
    }
}

fn building(fixture: &Fixture) -> (u64, u64) {
    (fixture.group.building.values(), fixture.group.building.records())
}

fn check_is_whole(fixture: &Fixture) {
    settle(fixture);
    assert_eq!((count(fixture, keys::ELEMENT), count(fixture, keys::BUILDING)), (RECORDS, 0));
    assert_eq!(building(fixture), (0, 0));
    let found = fixture.heavy(|txn| {
        let Ok(Some(mut stream)) = txn.stream(b"k") else { panic!("there is a stream") };
        let (mut ids, mut pending) = (Vec::new(), Vec::new());
        stream.walk(StreamId::ZERO, StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
            assert!(entry.texts().eq(TEXT));
            ids.push(entry.id);
            Ok(Flow::More)
        })?;
        let group = stream.group(b"group")?.unwrap();
        let consumers = stream.consumers(&group)?;
        assert_eq!((consumers.len(), consumers[0].1.pending), (1, ENTRIES));
        stream.walk_owned(&group, &consumers, &mut |place, id, told| -> Result<Flow, Stop> {
            assert_eq!((place, told.told_ms, told.times), (0, 7, 1));
            pending.push(id);
            Ok(Flow::More)
        })?;
        Ok((ids, pending))
    });
    let (ids, pending) = found.result.unwrap();
    assert!(ids.iter().copied().eq((1..=ENTRIES).map(id)));
    assert_eq!(ids, pending);
}

fn check_is_gone(fixture: &Fixture) {
    settle(fixture);
    assert_eq!((count(fixture, keys::ELEMENT), count(fixture, keys::BUILDING)), (0, 0));
    assert_eq!(building(fixture), (0, 0));
    assert_eq!(fixture.group.database_counts()[0].keys, 0);
}

#[test]
fn what_is_built_is_counted_until_it_has_a_name() {
    let fixture = Fixture::new();
    let done = fixture.heavy(|txn| {
        build(txn)?;
        // The record of the stream's being built is one as well.
        assert_eq!(building(&fixture), (1, RECORDS + 1));
        Ok(())
    });
    done.result.unwrap();
    check_is_whole(&fixture);
}

#[test]
fn what_is_overwritten_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.heavy(build).result.unwrap();
    fixture.heavy(build).result.unwrap();
    check_is_whole(&fixture);
    fixture.heavy(|txn| txn.remove(b"k")).result.unwrap();
    check_is_gone(&fixture);
}

#[test]
fn what_was_built_in_vain_is_reclaimed() {
    let fixture = Fixture::new();
    let failed = fixture.group.run_heavy(0, &mut Scratch::default(), &Cancel::default(), |txn| {
        build(txn)?;
        Err::<(), _>(Failed::Own)
    });
    assert!(failed.unwrap().result.is_err());
    check_is_gone(&fixture);
}

/// Building it takes notice of being cancelled by itself.
#[test]
fn building_is_cancelled_in_the_middle() {
    let fixture = Fixture::new();
    let cancel = Cancel::default();
    let left = fixture.group.run_heavy(0, &mut Scratch::default(), &cancel, |txn| {
        let mut builder = StreamBuilder::new(txn, b"k", 3 * ENTRIES as usize, 0)?;
        for ms in 1..=ENTRIES {
            if ms == ENTRIES / 2 {
                assert!(fixture.group.building.records() > 0);
                cancel.cancel();
            }
            assert!(ms <= ENTRIES / 2, "it goes on");
            builder.append(txn, id(ms), TEXT.into_iter())?;
        }
        Ok::<(), Stop>(())
    });
    assert!(matches!(left, Err(Leave::Cancelled)), "{left:?}");
    check_is_gone(&fixture);
}

/// Only what it has built itself keeps a builder waiting: others may always have written meanwhile.
#[test]
fn what_others_write_keeps_nobody_from_building() {
    let fixture = Fixture::new();
    // What opening it has written is not what is in flight.
    fixture.drain();
    let held = fixture.hold.lock();
    fixture.set("in flight", "1");
    while fixture.group.sequencer.waiting_bytes() > 0 {
        std::thread::yield_now();
    }
    fixture.set("waits", &"x".repeat(50_000));
    std::thread::scope(|scope| {
        let builder = scope.spawn(|| fixture.heavy(build).result.unwrap());
        // It may be done before anybody looks.
        while building(&fixture).1 == 0 && !builder.is_finished() {
            std::thread::yield_now();
        }
        drop(held);
        builder.join().unwrap();
    });
    check_is_whole(&fixture);
}

#[test]
fn what_was_being_built_when_its_epoch_ended_is_reclaimed() {
    let fixture = Fixture::new();
    let mut first = true;
    let done = fixture.heavy(|txn| {
        build(txn)?;
        if std::mem::take(&mut first) {
            fixture.drain();
            assert_eq!(count(&fixture, keys::BUILDING), 1);
            fixture.next_epoch();
        }
        Ok(())
    });
    done.result.unwrap();
    check_is_whole(&fixture);
}
