//! Long strings: whatever is done to them in whatever lane, they hold what a plain buffer would; and
//! what nobody names is reclaimed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base::limits::{CHUNK_BYTES, STRING_PLAIN_BYTES_MAX};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::{Source, keys};

const LONG: usize = 5 * CHUNK_BYTES + 77;
const ASIDE: usize = (1 << 20) + 12_345;

#[derive(Clone, Debug)]
enum Change {
    Set(usize),
    Overlay(usize, usize),
    Append(usize),
    Rename,
    Copy,
    Remove,
    Drain,
}

fn changes() -> impl Strategy<Value = Vec<(Change, bool, u8)>> {
    let len = || prop_oneof![0..200usize, STRING_PLAIN_BYTES_MAX - 9..STRING_PLAIN_BYTES_MAX + 9, 0..LONG];
    let change = prop_oneof![
        3 => len().prop_map(Change::Set),
        1 => (ASIDE - 9..ASIDE + 9).prop_map(Change::Set),
        4 => (0..LONG, 1..2 * CHUNK_BYTES).prop_map(|(offset, len)| Change::Overlay(offset, len)),
        4 => (1..CHUNK_BYTES).prop_map(Change::Append),
        1 => Just(Change::Rename),
        1 => Just(Change::Copy),
        1 => Just(Change::Remove),
        2 => Just(Change::Drain),
    ];
    prop::collection::vec((change, any::<bool>(), any::<u8>()), 1..20)
}

fn text(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|at| (at / 7) as u8 ^ seed).collect()
}

fn read(txn: &mut Txn<'_>, key: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
    let Some(record) = txn.get(key)? else { return Ok(None) };
    let len = txn.string_len(&record)?;
    let third = len / 3;
    let mut bytes = Vec::new();
    for range in [0..third, third..len - third, len - third..len] {
        txn.string_pieces(&record, range, |piece| bytes.extend_from_slice(piece.as_slice()))?;
    }
    assert_eq!(bytes, *txn.string_bytes(&record)?);
    Ok(Some(bytes))
}

fn change(txn: &mut Txn<'_>, change: &Change, seed: u8) -> Result<(), Stop> {
    let record = txn.get(b"k")?;
    match change {
        Change::Set(len) => txn.put_string(b"k", Encoding::Plain, None, &text(*len, seed)),
        Change::Overlay(offset, len) => {
            txn.overlay_string(b"k", record.as_ref(), *offset as u64, &text(*len, seed)).map(drop)
        }
        Change::Append(len) => {
            let end = record.as_ref().map_or(Ok(0), |record| txn.string_len(record))?;
            txn.overlay_string(b"k", record.as_ref(), end, &text(*len, seed)).map(drop)
        }
        Change::Rename => {
            let Some(record) = record else { return Ok(()) };
            txn.put_record(b"other", &record)?;
            txn.remove(b"k").map(drop)
        }
        Change::Copy => {
            let Some(record) = record else { return Ok(()) };
            let copied = txn.copy_record(b"other", &record)?;
            txn.put_record(b"other", &copied)
        }
        Change::Remove => txn.remove(b"k").map(drop),
        Change::Drain => Ok(()),
    }
}

/// The same to a plain buffer.
fn model(values: &mut [Option<Vec<u8>>; 2], change: &Change, seed: u8) {
    let [value, other] = values;
    let end = value.as_ref().map_or(0, Vec::len);
    let overlay = |value: &mut Option<Vec<u8>>, offset: usize, len: usize| {
        let bytes = value.get_or_insert_default();
        bytes.resize(bytes.len().max(offset + len), 0);
        bytes[offset..offset + len].copy_from_slice(&text(len, seed));
    };
    match change {
        Change::Set(len) => *value = Some(text(*len, seed)),
        Change::Overlay(offset, len) => overlay(value, *offset, *len),
        Change::Append(len) => overlay(value, end, *len),
        Change::Rename if value.is_some() => *other = value.take(),
        Change::Copy if value.is_some() => other.clone_from(value),
        Change::Remove => *value = None,
        _ => {}
    }
}

#[test]
fn strings_hold_what_a_plain_buffer_would() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 24, ..ProptestConfig::default() });
    let result = runner.run(&changes(), |script| {
        let fixture = Fixture::open(tempfile::tempdir().unwrap(), 128 << 10);
        let mut values = [None, None];
        for (step, heavy, seed) in script {
            match step {
                Change::Drain => fixture.drain(),
                _ if heavy => fixture.heavy(|txn| change(txn, &step, seed)).result.unwrap(),
                _ => fixture.inline(|txn| change(txn, &step, seed)).result.unwrap(),
            }
            model(&mut values, &step, seed);
            for (key, value) in [b"k".as_slice(), b"other"].iter().zip(&values) {
                prop_assert_eq!(&fixture.heavy(|txn| read(txn, key)).result.unwrap(), value);
            }
        }
        let elements = |value: &Option<Vec<u8>>| {
            value.as_ref().map_or(0, |value| match value.len() {
                0..=STRING_PLAIN_BYTES_MAX => 0,
                len => len.div_ceil(CHUNK_BYTES),
            })
        };
        // A stretch of zeros that was skipped has no chunks.
        settle(&fixture);
        prop_assert!(count(&fixture, keys::ELEMENT) <= elements(&values[0]) + elements(&values[1]));
        Ok(())
    });
    result.unwrap();
}

fn count(fixture: &Fixture, tag: u8) -> usize {
    fixture.group.disk.snapshot().range(&[tag], Some(&[tag + 1])).count()
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

#[test]
fn a_transaction_reads_the_long_strings_that_it_has_written() {
    let fixture = Fixture::new();
    for len in [LONG, ASIDE] {
        let done = fixture.heavy(|txn| {
            txn.put_string(b"k", Encoding::Plain, None, &text(len, 1))?;
            let record = txn.get(b"k")?;
            txn.overlay_string(b"k", record.as_ref(), 5, b"12345")?;
            read(txn, b"k")
        });
        let mut expected = text(len, 1);
        expected[5..10].copy_from_slice(b"12345");
        assert!(done.result.unwrap().unwrap() == expected);
    }
}

#[test]
fn a_string_is_made_part_by_part() {
    let fixture = Fixture::new();
    for len in [0, 100, STRING_PLAIN_BYTES_MAX, LONG, ASIDE] {
        // Its second chunk is all zeros, and kept nowhere.
        let mut expected = text(len, 1);
        expected.iter_mut().skip(CHUNK_BYTES).take(CHUNK_BYTES).for_each(|byte| *byte = 0);
        let done = fixture.heavy(|txn| {
            txn.put_made_string(b"k", Encoding::Raw, len as u64, |_, range| {
                Ok(expected[range.start as usize..range.end as usize].to_vec())
            })
        });
        done.result.unwrap();
        assert!(fixture.heavy(|txn| read(txn, b"k")).result.unwrap() == Some(expected));
    }
    settle(&fixture);
    assert_eq!(count(&fixture, keys::ELEMENT), ASIDE.div_ceil(CHUNK_BYTES) - 1);
}

#[test]
fn a_search_ends_where_something_is_found() {
    let fixture = Fixture::new();
    fixture.heavy(|txn| txn.put_string(b"k", Encoding::Plain, None, &text(LONG, 1))).result.unwrap();
    let done = fixture.heavy(|txn| {
        let record = txn.get(b"k")?.unwrap();
        let mut pieces = 0;
        let found = txn.search_string(&record, 5..LONG as u64, |_| {
            pieces += 1;
            (pieces == 2).then_some("found")
        })?;
        Ok((found, pieces))
    });
    assert_eq!(done.result.unwrap(), (Some("found"), 2));
}

#[test]
fn what_is_overwritten_within_a_transaction_is_reclaimed() {
    let fixture = Fixture::new();
    let done = fixture.heavy(|txn| {
        for len in [LONG, ASIDE, LONG, ASIDE, 10] {
            txn.put_string(b"k", Encoding::Plain, None, &text(len, 1))?;
        }
        Ok(())
    });
    done.result.unwrap();
    settle(&fixture);
    assert_eq!((count(&fixture, keys::ELEMENT), count(&fixture, keys::BUILDING)), (0, 0));
    assert_eq!(fixture.group.database_counts()[0].keys, 1);
}

#[test]
fn what_was_built_by_a_command_that_failed_is_reclaimed() {
    let fixture = Fixture::new();
    let done = fixture.group.run_heavy(0, &mut Scratch::default(), &Cancel::default(), |txn| {
        txn.put_string(b"k", Encoding::Plain, None, &text(ASIDE, 1))?;
        Err::<(), _>(Failed::Own)
    });
    assert!(done.unwrap().result.is_err());
    settle(&fixture);
    assert_eq!((count(&fixture, keys::ELEMENT), count(&fixture, keys::BUILDING)), (0, 0));
    assert_eq!(fixture.get("k"), None);
}

#[test]
fn what_was_built_by_a_command_that_was_cancelled_is_reclaimed() {
    let fixture = Fixture::new();
    let cancel = Cancel::default();
    let left = fixture.group.run_heavy(0, &mut Scratch::default(), &cancel, |txn| {
        txn.put_string(b"k", Encoding::Plain, None, &text(ASIDE, 1))?;
        cancel.cancel();
        txn.spend(1, 0)
    });
    assert!(matches!(left, Err(Leave::Cancelled)), "{left:?}");
    settle(&fixture);
    assert_eq!((count(&fixture, keys::ELEMENT), count(&fixture, keys::BUILDING)), (0, 0));
    assert_eq!(fixture.get("k"), None);
}

/// Has so much, and is not told what becomes of it.
struct Pot(AtomicU64);

impl Source for Pot {
    fn take(&self, bytes: u64) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.0.fetch_add(bytes, Relaxed);
    }

    fn refusal(&self) -> &'static str {
        "BUSY no more"
    }
}

#[test]
fn heavy_work_holds_no_more_than_there_is() {
    // With the key's record no more than three mebibytes, of which the first is not asked for.
    const LEN: usize = (3 << 20) - 4_096;
    let fixture = Fixture::new();
    fixture.heavy(|txn| txn.put_string(b"k", Encoding::Plain, None, &text(LEN, 1))).result.unwrap();
    for (mib, expected) in [(2, None), (1, Some("BUSY no more"))] {
        let pot = Arc::new(Pot(AtomicU64::new(mib << 20)));
        let cancel = Cancel::within(pot.clone());
        let left = fixture.group.run_heavy(0, &mut Scratch::default(), &cancel, |txn| {
            let record = txn.get(b"k")?.unwrap();
            txn.string_bytes(&record).map(|bytes| bytes.len())
        });
        assert_eq!(left.is_err(), expected.is_some(), "{left:?}");
        assert_eq!(cancel.why(), expected);
        assert_eq!(pot.0.load(Relaxed) == 0, expected.is_none());
        drop(cancel);
        assert_eq!(pot.0.load(Relaxed), mib << 20, "and given back");
    }
}

#[test]
fn what_was_being_built_when_its_epoch_ended_is_reclaimed() {
    let fixture = Fixture::new();
    let mut first = true;
    let done = fixture.heavy(|txn| {
        txn.put_string(b"k", Encoding::Plain, None, &text(ASIDE, 1))?;
        if std::mem::take(&mut first) {
            fixture.drain();
            assert_eq!(count(&fixture, keys::BUILDING), 1);
            fixture.next_epoch();
        }
        Ok(())
    });
    done.result.unwrap();
    settle(&fixture);
    assert_eq!(
        (count(&fixture, keys::ELEMENT), count(&fixture, keys::BUILDING)),
        (ASIDE.div_ceil(CHUNK_BYTES), 0)
    );
    let read = fixture.heavy(|txn| read(txn, b"k"));
    assert!(read.result.unwrap() == Some(text(ASIDE, 1)));
}

#[test]
fn a_flush_leaves_nothing_of_long_strings() {
    let fixture = Fixture::new();
    for len in [LONG, ASIDE] {
        let key = format!("key-{len}");
        let done = fixture.heavy(|txn| txn.put_string(key.as_bytes(), Encoding::Plain, None, &text(len, 1)));
        done.result.unwrap();
    }
    fixture.drain();
    assert!(count(&fixture, keys::ELEMENT) > 0);
    fixture.inline(|txn| txn.flush(0)).result.unwrap();
    settle(&fixture);
    assert_eq!((count(&fixture, keys::ELEMENT), count(&fixture, keys::KEY)), (0, 0));
}

#[test]
fn a_reader_of_a_long_string_depends_on_all_of_it() {
    let fixture = Fixture::new();
    fixture.heavy(|txn| txn.put_string(b"k", Encoding::Plain, None, &text(ASIDE, 1))).result.unwrap();
    let mut runs = 0;
    let done = fixture.heavy(|txn| {
        runs += 1;
        let bytes = read(txn, b"k")?.unwrap();
        if runs == 1 {
            // In the middle: the length stays, and so does every other byte of the key's record.
            let changed = fixture.inline(|txn| {
                let record = txn.get(b"k")?;
                txn.overlay_string(b"k", record.as_ref(), 500_000, b"!")
            });
            changed.result.unwrap();
        }
        txn.put_string(b"seen", Encoding::Plain, None, &bytes[500_000..500_001])
    });
    done.result.unwrap();
    assert_eq!((runs, fixture.get("seen").as_deref()), (2, Some("!")));
}

#[test]
fn a_sparse_string_that_is_built_aside_leaves_its_first_lane_without_a_trace() {
    let fixture = Fixture::new();
    let mut scratch = Scratch::default();
    let sparse = |txn: &mut Txn<'_>| txn.overlay_string(b"k", None, ASIDE as u64, b"end");
    assert!(matches!(fixture.group.run_inline(0, &mut scratch, sparse), Err(Leave::Outgrown)));
    // The same buffers serve the next transaction.
    let short = |txn: &mut Txn<'_>| txn.put_string(b"s", Encoding::Plain, None, b"short");
    fixture.group.run_inline(0, &mut scratch, short).unwrap();
    assert_eq!(fixture.heavy(sparse).result.unwrap(), ASIDE as u64 + 3);
}
