//! Streams: what the section knows of which entries follow one another.

use super::*;
use crate::Cut;
use crate::keys::{Cid, Entries, Home};
use crate::runs::{Run, Runs, Wanted};
use crate::scratch::Appended;

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

fn append(fixture: &Fixture, ids: std::ops::RangeInclusive<u64>) {
    let append = |txn: &mut Txn<'_>| {
        let mut stream = txn.stream_or_new(b"s").map_err(stop)?;
        ids.clone().try_for_each(|ms| stream.append(id(ms), [&b"f"[..], b"v"].into_iter()))
    };
    fixture.inline(append).result.unwrap();
}

fn stop(refusal: Refusal) -> Stop {
    match refusal {
        Refusal::Stop(stop) => stop,
        Refusal::WrongType => panic!("it is no stream"),
    }
}

/// Reads some of what is behind an id in the section, and nowhere else.
fn read(fixture: &Fixture, behind: u64, count: usize) -> Vec<u64> {
    let read = |txn: &mut Txn<'_>| {
        let mut found = Vec::new();
        let Some(mut stream) = txn.stream(b"s").map_err(stop)? else { return Ok(found) };
        stream.walk(id(behind + 1), StreamId::MAX, &mut |entry| -> Result<Flow, Stop> {
            found.push(entry.id.ms);
            Ok(if found.len() == count { Flow::Stop } else { Flow::More })
        })?;
        Ok::<_, Stop>(found)
    };
    fixture.group.run_inline(0, &mut Scratch::default(), read).unwrap().result.unwrap()
}

#[test]
fn whoever_is_far_behind_reads_everything_in_the_section() {
    const ENTRIES: u64 = 3000;
    for is_stored in [false, true] {
        let fixture = Fixture::new();
        // Nothing of it goes into the store as long as this is held.
        let held = fixture.hold.clone();
        let held = (!is_stored).then(|| held.lock());
        for first in (1..=ENTRIES).step_by(100) {
            append(&fixture, first..=first + 99);
        }
        if is_stored {
            fixture.drain();
        }
        let mut found = Vec::new();
        loop {
            let some = read(&fixture, found.last().copied().unwrap_or(0), 7);
            if some.is_empty() {
                break;
            }
            found.extend(some);
        }
        assert_eq!(found, (1..=ENTRIES).collect::<Vec<_>>(), "stored: {is_stored}");
        drop(held);
    }
}

/// What is left is little: it is looked at from the end, in the section, however much goes.
fn check_cut(cut: Cut) {
    const ENTRIES: u64 = 3000;
    for is_stored in [false, true] {
        let fixture = Fixture::new();
        let held = fixture.hold.clone();
        let held = (!is_stored).then(|| held.lock());
        for first in (1..=ENTRIES).step_by(100) {
            append(&fixture, first..=first + 99);
        }
        if is_stored {
            fixture.drain();
        }
        let trim = |txn: &mut Txn<'_>| match txn.stream(b"s").map_err(stop)? {
            Some(mut stream) => stream.trim(cut, None),
            None => Ok(0),
        };
        let done = fixture.group.run_inline(0, &mut Scratch::default(), trim);
        assert_eq!(done.unwrap().result.unwrap(), ENTRIES - 10, "{cut:?}, stored: {is_stored}");
        assert_eq!(read(&fixture, 0, 100), (ENTRIES - 9..=ENTRIES).collect::<Vec<_>>());
        drop(held);
    }
}

#[test]
fn a_stream_is_cut_to_a_few_entries_in_the_section() {
    check_cut(Cut::MaxLen(10));
}

#[test]
fn a_stream_is_cut_from_an_id_near_its_end_in_the_section() {
    check_cut(Cut::MinId(id(2991)));
}

/// What somebody found behind an id who looked when there was no more than `last`.
fn found(behind: u64, last: u64) -> Run {
    let wanted =
        Wanted { entries: entries(), behind: id(behind), last: id(last), is_back: false, epoch: Some(1) };
    Run::new(&wanted, (behind + 1..=last).map(id).collect(), None)
}

fn entries() -> Entries {
    Entries { home: Home { slot: 0, cid: Cid { stamp: 1, seq: 1 } }, generation: 0 }
}

#[test]
fn what_is_added_while_others_look_it_up_is_not_lost() {
    let mut runs = Runs::default();
    // Two look up the same; the first is done, then an entry is added, then the second is done.
    runs.add(found(0, 3), Some(1));
    runs.appended(&[Appended { entries: entries(), behind: id(3), id: id(4) }]);
    runs.add(found(0, 3), Some(1));
    runs.add(found(2, 3), Some(1));
    let mut known = Vec::new();
    assert_eq!(runs.behind(entries(), id(1), id(4), &mut known), Some(id(4)));
    assert_eq!(known, [id(2), id(3), id(4)]);
    // One who goes on from there adds what is behind.
    runs.add(found(4, 6), Some(1));
    known.clear();
    assert_eq!(runs.behind(entries(), id(2), id(9), &mut known), Some(id(6)));
    assert_eq!(known, [id(3), id(4), id(5), id(6)]);
}
