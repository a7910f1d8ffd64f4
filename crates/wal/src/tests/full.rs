//! A full disk: clean errors, nothing half done, and work goes on when there is space again.

use super::harness::{Answer, Still, options, payload};
use crate::testing::{Faults, SimDisk};

const SEGMENT_BYTES: u64 = 8 << 10;

fn space(disk: &SimDisk, bytes: Option<u64>) {
    disk.set_faults(Faults { space_bytes: bytes, ..Faults::default() });
}

/// A log on a disk that has no space left for another segment, filled until an append fails. Gives the
/// first index that is not there.
fn filled() -> (SimDisk, Still, u64) {
    let disk = SimDisk::new(3);
    let mut still = Still::open(&disk, &options(SEGMENT_BYTES)).unwrap();
    still.prepare();
    space(&disk, Some(still.wal.disk_bytes() + 1_000));
    for index in 1.. {
        let answer = still.put(0, index, &payload(0, index, 500));
        if answer.is_full() {
            return (disk, still, index);
        }
        assert!(answer.is_ok());
        still.prepare();
    }
    unreachable!()
}

fn check_last(still: &Still, next: u64) {
    assert_eq!(still.wal.bounds(0), Some((1, next - 1)));
    assert_eq!(still.read_all(0).len() as u64, next - 1);
    assert!(still.wal.stats().poisoned.is_none());
}

#[test]
fn a_failed_append_leaves_nothing_and_the_next_one_works_when_there_is_space() {
    let (disk, mut still, next) = filled();
    check_last(&still, next);
    assert!(!still.wal.has_room(500));
    space(&disk, None);
    assert!(still.put(0, next, &payload(0, next, 500)).is_ok());
    assert!(still.wal.has_room(500));
    let still = Still::open(&disk.power_cut(1), &options(SEGMENT_BYTES)).unwrap();
    check_last(&still, next + 1);
}

#[test]
fn an_append_over_two_segments_is_there_wholly_or_not_at_all() {
    let (disk, mut still, next) = filled();
    let entries: Vec<Vec<u8>> = (0..12).map(|_| vec![7; 100]).collect();
    let parts: Vec<&[u8]> = entries.iter().map(Vec::as_slice).collect();
    let answer = still.append(0, next, &parts);
    assert_eq!(still.wal.bounds(0), Some((1, next + 11)), "readable before it is written");
    still.step();
    assert!(answer.is_full());
    check_last(&still, next);
    let still = Still::open(&disk.power_cut(1), &options(SEGMENT_BYTES)).unwrap();
    check_last(&still, next);
}

#[test]
fn records_that_find_space_earlier_than_planned_leave_segments_out() {
    // One of these is just so long that the plan, which reckons with a longer checkpoint, gives the small
    // entry, which goes behind the first in truth, a segment of its own, in which the last has no space.
    (3_200..3_400).step_by(8).for_each(find_space_earlier);
}

fn find_space_earlier(first: usize) {
    let disk = SimDisk::new(3);
    let mut still = Still::open(&disk, &options(2 * SEGMENT_BYTES)).unwrap();
    for group in 0..3 {
        still.save(group, "vote", true);
        still.purge(group, 0, "meta");
    }
    space(&disk, Some(0));
    let mut next = 1;
    while !still.put(0, next, &payload(0, next, 500)).is_full() {
        next += 1;
    }
    // Enough for the smallest segments that do, and for no larger ones.
    space(&disk, Some(still.wal.disk_bytes() + (4 + 4 + 8) * 1024));
    let entries = [payload(0, next, first), payload(0, next + 1, 4), payload(0, next + 2, 4_000)];
    let answer = still.append(0, next, &entries.each_ref().map(Vec::as_slice));
    still.step();
    assert!(answer.is_ok(), "{first}");
    let still = Still::open(&disk.power_cut(1), &options(2 * SEGMENT_BYTES)).unwrap();
    check_last(&still, next + 3);
}

#[test]
fn what_is_queued_behind_a_failed_append_fails_too() {
    let (disk, mut still, next) = filled();
    let failed = still.append(0, next, &[&[1; 500]]);
    let behind = still.append(0, next + 1, &[b"small"]);
    still.step();
    assert!(failed.is_full() && behind.is_full());
    check_last(&still, next);
    // With a little space, the small one alone is written.
    space(&disk, Some(still.wal.disk_bytes() + 600));
    assert!(still.put(0, next, b"small").is_ok());
}

#[test]
fn an_append_behind_a_purged_failed_one_fails_too() {
    let (disk, mut still, next) = filled();
    // Too little for the two, enough for the small one.
    space(&disk, Some(still.wal.disk_bytes() + 600));
    let failed = still.append(0, next, &[&[1; 500], &[2; 500]]);
    still.purge(0, next, "");
    let behind = still.append(0, next + 2, &[b"small"]);
    still.step();
    assert!(failed.is_full() && behind.is_full());
    assert_eq!(still.wal.bounds(0), None);
    space(&disk, None);
    assert!(still.put(0, next + 1, b"small").is_ok());
}

#[test]
fn votes_and_purges_still_work_and_a_purge_makes_room() {
    let (disk, mut still, next) = filled();
    let vote = still.save(0, "vote", true);
    let purge = still.purge(0, next - 1, "meta");
    still.step();
    assert!(vote.is_ok() && purge.is_ok());
    still.prepare();
    assert!(still.wal.has_room(500));
    assert!(still.put(0, next, &payload(0, next, 500)).is_ok());
    let still = Still::open(&disk.power_cut(1), &options(SEGMENT_BYTES)).unwrap();
    assert_eq!(still.wal.bounds(0), Some((next, next)));
    assert_eq!(still.recovered.groups[&0].state.as_deref(), Some(&b"vote"[..]));
}

#[test]
fn appends_leave_space_for_a_vote() {
    let (_, mut still, mut next) = filled();
    while still.put(0, next, b"").is_ok() {
        next += 1;
    }
    let vote = still.save(0, "vote", true);
    still.step();
    assert!(vote.is_ok());
}

/// Fills even what is kept back for small records.
fn brimful() -> (SimDisk, Still, u64) {
    let (disk, mut still, next) = filled();
    for state in ["a state of some length", ""] {
        let mut last: Option<Answer> = None;
        while last.as_ref().is_none_or(Answer::is_ok) {
            last = Some(still.save(1, state, true));
            still.step();
        }
        assert!(last.unwrap().is_full());
    }
    (disk, still, next)
}

#[test]
fn a_purge_without_space_is_made_up_for() {
    let (disk, mut still, next) = brimful();
    let truncate = still.truncate(0, Some(next - 3));
    let purge = still.purge(0, 2, "meta");
    still.step();
    assert!(truncate.is_full() && purge.is_full());
    assert_eq!(still.wal.bounds(0), Some((3, next - 3)), "in memory it is done");
    assert!(still.put(0, next - 2, b"new").is_full());
    assert!(still.writer.wants_alarm());

    space(&disk, None);
    assert!(still.put(0, next - 2, b"new").is_ok());
    let still = Still::open(&disk.power_cut(1), &options(SEGMENT_BYTES)).unwrap();
    assert_eq!(still.wal.bounds(0), Some((3, next - 2)));
    assert_eq!(still.recovered.groups[&0].purged.as_ref().unwrap().1, "meta");
}

#[test]
fn a_disk_without_space_for_the_first_segment_is_a_clean_error() {
    let disk = SimDisk::new(3);
    space(&disk, Some(100));
    let outcome = Still::open(&disk, &options(SEGMENT_BYTES)).map(|_| ());
    assert!(matches!(outcome, Err(crate::WalError::Full)), "{outcome:?}");
    assert!(disk.paths().is_empty());
    space(&disk, None);
    Still::open(&disk, &options(SEGMENT_BYTES)).unwrap();
}
