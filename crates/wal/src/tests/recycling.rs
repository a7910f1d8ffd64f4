//! Segments come and go: bounded disk, reuse of old files, groups that pin old segments.

use super::harness::{Still, live, options, payload};
use crate::testing::{Faults, SimDisk};

const SEGMENT_BYTES: u64 = 8 << 10;

fn open(disk: &SimDisk) -> Still {
    Still::open(disk, &options(SEGMENT_BYTES)).unwrap()
}

/// Appends and purges as an owner does that keeps the last 20 entries.
fn churn(still: &mut Still, entries: std::ops::Range<u64>) {
    for index in entries {
        assert!(still.put(0, index, &payload(0, index, 500)).is_ok());
        if index % 5 == 0 && index > 20 {
            still.purge(0, index - 20, "");
            still.step();
        }
        still.prepare();
    }
}

#[test]
fn the_disk_is_bounded_and_files_are_reused() {
    let disk = SimDisk::new(2);
    let mut still = open(&disk);
    churn(&mut still, 1..101);
    let (created, bytes) = (still.wal.stats().segments_created, still.wal.disk_bytes());
    churn(&mut still, 101..1_001);
    let stats = still.wal.stats();
    assert_eq!(stats.segments_created, created, "nothing new once it is in a steady state");
    assert!(stats.segments_recycled > 40, "{}", stats.segments_recycled);
    assert!(still.wal.disk_bytes() <= bytes.max(6 * SEGMENT_BYTES));
    let files: u64 = disk.paths().iter().map(|path| disk.contents(path).unwrap().len() as u64).sum();
    assert_eq!(still.wal.disk_bytes(), files);
    let still = open(&disk.power_cut(1));
    assert_eq!(still.wal.bounds(0), Some((981, 1_000)));
    assert_eq!(still.recovered.truncated_bytes, 0);
}

#[test]
fn many_reopenings_do_not_add_files() {
    let mut disk = SimDisk::new(2);
    let mut most = 0;
    for life in 0..100 {
        let mut still = open(&disk);
        churn(&mut still, life * 20 + 1..life * 20 + 21);
        disk = if life % 2 == 0 { disk.restart() } else { disk.power_cut(life) };
        if life == 10 {
            most = disk.paths().len();
        }
        assert!(life <= 10 || disk.paths().len() <= most + 1, "{} files", disk.paths().len());
    }
}

#[test]
fn an_idle_group_pins_the_oldest_segment_until_it_is_purged() {
    let disk = SimDisk::new(2);
    let mut still = open(&disk);
    assert_eq!(still.wal.oldest_pins(), []);
    still.put(7, 3, b"idle");
    still.put(7, 4, b"idle");
    churn(&mut still, 1..101);
    assert_eq!(still.wal.oldest_pins(), [(7, 4)]);
    let pinned = still.writer.segment_count();
    still.purge(7, 4, "");
    still.step();
    assert!(still.writer.segment_count() < pinned);
    assert!(still.wal.oldest_pins().iter().all(|(group, _)| *group == 0));
    // Its state and purge live on in the checkpoints.
    churn(&mut still, 101..201);
    let mut still = open(&disk.power_cut(1));
    assert_eq!(still.recovered.groups[&7].purged.as_ref().unwrap().0, 4);
    let purged = still.put(7, 4, b"purged").get();
    assert!(matches!(purged, Some(Err(crate::WalError::OutOfOrder { expected: 5, .. }))), "{purged:?}");
    assert!(still.put(7, 5, b"new").is_ok());
}

#[test]
fn segments_grow_to_their_size() {
    let disk = SimDisk::new(2);
    let options = crate::Options { segment_bytes: 16 << 20, ..options(0) };
    let mut still = Still::open(&disk, &options).unwrap();
    let big = vec![1; 1 << 20];
    for index in 1..=30 {
        still.put(0, index, &big);
        still.prepare();
    }
    let sizes: Vec<usize> = live(&disk).iter().map(|path| disk.contents(path).unwrap().len() >> 20).collect();
    assert_eq!(sizes[..3], [4, 8, 16]);
}

#[test]
fn a_truncation_that_empties_old_segments_frees_them() {
    let disk = SimDisk::new(2);
    let mut still = open(&disk);
    for index in 1..=50 {
        still.put(0, index, &payload(0, index, 500));
    }
    assert!(still.writer.segment_count() > 3);
    still.truncate(0, None);
    still.step();
    assert_eq!(still.writer.segment_count(), 1);
    still.put(0, 9, b"new");
    let still = open(&disk.power_cut(1));
    assert_eq!(still.wal.bounds(0), Some((9, 9)));
}

#[test]
fn a_segment_is_not_given_up_before_the_purge_is_durable() {
    // With every second: the purge is written, not synced, and the power goes.
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let options = super::harness::every_sec(SEGMENT_BYTES);
        let mut still = Still::open(&disk, &options).unwrap();
        for index in 1..=50 {
            still.put(0, index, &payload(0, index, 500));
        }
        still.step_due();
        let segments = still.writer.segment_count();
        still.purge(0, 45, "");
        still.step();
        still.prepare();
        assert_eq!(still.writer.segment_count(), segments);
        let still = Still::open(&disk.power_cut(seed), &options).unwrap();
        let (first, last) = still.wal.bounds(0).unwrap();
        assert!((first == 1 || first == 46) && last == 50, "{first} {last}");
    }
}

#[test]
fn a_directory_that_cannot_be_synced_poisons_when_a_segment_is_needed() {
    let disk = SimDisk::new(2);
    let mut still = open(&disk);
    // Of the helper's work on the next segment, each write and sync in turn.
    for step in 0..2 {
        disk.set_faults(Faults { fail_sync_after: Some(step), ..Faults::default() });
        still.prepare();
    }
    disk.set_faults(Faults::default());
    let mut last = still.put(0, 1, &payload(0, 1, 500));
    for index in 2..40 {
        if !last.is_ok() {
            break;
        }
        last = still.put(0, index, &payload(0, index, 500));
    }
    assert!(matches!(last.get(), Some(Err(crate::WalError::Poisoned(_)))), "{:?}", last.get());
}
