//! Reads from memory and from disk.

use super::harness::{Still, live, options, payload};
use crate::{
    WalError,
    bounds::{BLOB_BYTES_MAX, PAYLOAD_BYTES_MAX},
    testing::SimDisk,
};

const LEN: usize = 300;

/// Groups 0 and 1 with entries 1 to 60 each, side by side, over several segments; memory holds the last
/// few only.
fn two_groups() -> (SimDisk, Still) {
    let disk = SimDisk::new(4);
    let mut still = Still::open(&disk, &options(8 << 10)).unwrap();
    for index in 1..=60 {
        for group in 0..2 {
            still.append(group, index, &[&payload(group, index, LEN)]);
        }
        still.step();
    }
    (disk, still)
}

fn check(still: &Still, from: u64, to: u64, max_bytes: usize, expected: std::ops::RangeInclusive<u64>) {
    for group in 0..2 {
        let entries = still.wal.read(group, from, to, max_bytes).unwrap();
        let indexes: Vec<u64> = entries.iter().map(|(index, _)| *index).collect();
        assert_eq!(indexes, expected.clone().collect::<Vec<_>>(), "{from}..{to} of {max_bytes} bytes");
        assert!(entries.iter().all(|(index, bytes)| *bytes == payload(group, *index, LEN)));
    }
}

#[test]
fn ranges_come_back_from_memory_and_from_disk() {
    let (disk, still) = two_groups();
    let again = Still::open(&disk.restart(), &options(8 << 10)).unwrap();
    // The disk of the first is dead now, and what it has in memory can still be read.
    check(&still, 59, 61, usize::MAX, 59..=60);
    assert!(matches!(still.wal.read(0, 1, 2, 1), Err(WalError::Io { .. })));
    let cold = again.wal.stats().reads_cold;
    check(&again, 1, 61, usize::MAX, 1..=60);
    assert!(again.wal.stats().reads_cold - cold < 60, "many entries with one read");
}

#[test]
fn a_read_is_bounded_and_gives_at_least_one() {
    let (_, still) = two_groups();
    check(&still, 5, 50, 0, 5..=5);
    check(&still, 5, 50, LEN, 5..=5);
    check(&still, 5, 50, 3 * LEN, 5..=7);
    check(&still, 40, 200, usize::MAX, 40..=60);
}

#[test]
fn what_is_not_there_is_empty() {
    let (_, mut still) = two_groups();
    still.purge(0, 10, "");
    still.step();
    for (from, to) in [(10, 20), (61, 70), (20, 20), (20, 10), (u64::MAX, u64::MAX)] {
        assert_eq!(still.wal.read(0, from, to, usize::MAX).unwrap(), [], "{from}..{to}");
    }
    assert_eq!(still.wal.read(7, 0, 10, usize::MAX).unwrap(), []);
}

#[test]
fn damage_under_a_cold_entry_is_reported() {
    let (disk, still) = two_groups();
    disk.damage(&live(&disk)[0], |file| file[2_000] ^= 1);
    let outcomes = [0, 1].map(|group| still.wal.read(group, 1, 20, usize::MAX));
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(WalError::Corrupt { .. })));
    assert_eq!(refused.count(), 1);
}

#[test]
fn live_bytes_follow_appends_truncations_and_purges() {
    let (_, mut still) = two_groups();
    let entry = still.wal.group_bytes(0) / 60;
    assert!(entry >= LEN as u64);
    still.truncate(0, Some(50));
    still.purge(0, 20, "");
    still.step();
    assert_eq!(still.wal.group_bytes(0), 30 * entry);
    assert_eq!(still.wal.group_bytes(1), 60 * entry);
}

#[test]
fn an_entry_bigger_than_a_segment_gets_one_of_its_size() {
    let disk = SimDisk::new(4);
    let mut still = Still::open(&disk, &options(8 << 10)).unwrap();
    let big = vec![9; 100 << 10];
    assert!(still.put(0, 1, b"small").is_ok());
    assert!(still.put(0, 2, &big).is_ok());
    assert!(still.put(0, 3, b"small").is_ok());
    let still = Still::open(&disk.power_cut(1), &options(8 << 10)).unwrap();
    assert_eq!(still.read_all(0)[1].1, big);
    assert_eq!(still.wal.bounds(0), Some((1, 3)));
}

#[test]
fn the_largest_entry_fits_and_a_larger_one_is_refused() {
    let disk = SimDisk::new(4);
    let mut still = Still::open(&disk, &options(1 << 20)).unwrap();
    let largest = vec![1; PAYLOAD_BYTES_MAX + 1];
    assert!(matches!(still.put(0, 1, &largest).get(), Some(Err(WalError::TooLarge { .. }))));
    assert_eq!(still.wal.bounds(0), None);
    assert!(still.put(0, 1, &largest[1..]).is_ok());
    let blob = "x".repeat(BLOB_BYTES_MAX + 1);
    let answers = [still.save(0, &blob, true), still.save(0, &blob, false), still.purge(0, 1, &blob)];
    still.step();
    for answer in answers {
        assert!(matches!(answer.get(), Some(Err(WalError::TooLarge { .. }))));
    }
    let still = Still::open(&disk.power_cut(1), &options(1 << 20)).unwrap();
    assert_eq!(still.wal.bounds(0), Some((1, 1)));
}

#[test]
fn entries_out_of_order_are_refused() {
    let (_, mut still) = two_groups();
    for index in [60, 62, 1] {
        let answer = still.put(0, index, b"");
        let expected = matches!(answer.get(), Some(Err(WalError::OutOfOrder { expected: 61, .. })));
        assert!(expected, "{:?}", answer.get());
    }
    // A batch is taken wholly or not at all.
    let gap = crate::tests::harness::Answer::default();
    let entries = [61, 63].map(|index| (index, bytes::Bytes::new())).to_vec();
    still.wal.append(0, entries, gap.done());
    still.step();
    assert!(matches!(gap.get(), Some(Err(WalError::OutOfOrder { expected: 62, got: 63, .. }))));
    assert_eq!(still.wal.bounds(0), Some((1, 60)));
}

#[test]
fn more_than_the_cache_holds_is_readable_while_it_is_queued() {
    let disk = SimDisk::new(4);
    let mut still = Still::open(&disk, &options(8 << 10)).unwrap();
    for index in 1..=40 {
        still.append(0, index, &[&payload(0, index, LEN)]);
        still.append(1, index, &[&payload(1, index, LEN)]);
    }
    check(&still, 1, 41, usize::MAX, 1..=40);
    still.step();
    check(&still, 1, 41, usize::MAX, 1..=40);
    assert!(still.wal.stats().reads_cold > 0);
}

#[test]
fn a_segment_recycled_under_a_reader_is_not_taken_for_damage() {
    let (disk, mut still) = two_groups();
    let wal = still.wal.clone();
    let oldest = live(&disk)[0].clone();
    let other = disk.clone();
    disk.before_next_read(move || {
        for group in 0..2 {
            still.purge(group, 60, "");
        }
        still.step();
        // Enough to use the old files again.
        for index in 61..=200 {
            still.prepare();
            still.put(0, index, &payload(0, index, LEN));
        }
        assert!(still.wal.stats().segments_recycled > 0);
        assert!(!other.paths().contains(&oldest));
    });
    assert_eq!(wal.read(0, 1, 20, usize::MAX).unwrap(), []);
}
