//! Failing disks: a failed write or fdatasync poisons the log, and nothing is believed afterwards
//! that only the page cache knows.

use super::harness::{Still, every_sec, options, payload};
use crate::{
    WalError,
    testing::{Faults, SimDisk},
};

fn poisoned_by(faults: Faults) -> (SimDisk, Still) {
    let disk = SimDisk::new(5);
    let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
    assert!(still.put(0, 1, b"safe").is_ok());
    disk.set_faults(faults);
    let first = still.append(0, 2, &[b"doubtful"]);
    let second = still.save(0, "vote", true);
    still.step();
    for answer in [first, second] {
        assert!(matches!(answer.get(), Some(Err(WalError::Poisoned(_)))), "{:?}", answer.get());
    }
    (disk, still)
}

#[test]
fn a_failed_sync_poisons_for_good() {
    let (_, mut still) = poisoned_by(Faults { fail_sync_after: Some(0), ..Faults::default() });
    assert!(still.wal.stats().poisoned.unwrap().contains("fdatasync"));
    // The disk works again, the log does not.
    let later = [
        still.append(0, 3, &[b"later"]),
        still.truncate(0, None),
        still.purge(0, 1, ""),
        still.save(0, "vote", true),
        still.save(0, "vote", false),
    ];
    still.step();
    for answer in later {
        assert!(matches!(answer.get(), Some(Err(WalError::Poisoned(_)))), "{:?}", answer.get());
    }
    assert!(matches!(still.wal.read(0, 1, 2, 100), Err(WalError::Poisoned(_))));
    assert!(!still.writer.wants_alarm());
}

#[test]
fn a_failed_write_poisons_for_good() {
    let (_, still) = poisoned_by(Faults { fail_write_after: Some(0), ..Faults::default() });
    assert!(still.wal.stats().poisoned.unwrap().contains("writing"));
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_again_before_it_counts() {
    for seed in 0..64 {
        let disk = SimDisk::new(seed);
        let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
        still.put(0, 1, b"safe");
        disk.set_faults(Faults { fail_sync_after: Some(0), ..Faults::default() });
        still.append(0, 2, &[&payload(0, 2, 3_000)]);
        still.step();
        // The process restarts: it sees its writes, and the system takes the pages for clean.
        let disk = disk.restart();
        let still = Still::open(&disk, &options(64 << 10)).unwrap();
        assert_eq!(still.wal.bounds(0), Some((1, 2)));
        // What it found may be built upon: it must be there after a power cut.
        let still = Still::open(&disk.power_cut(seed), &options(64 << 10)).unwrap();
        assert_eq!(still.wal.bounds(0), Some((1, 2)), "seed {seed}");
        assert_eq!(still.read_all(0)[1].1, payload(0, 2, 3_000));
    }
}

#[test]
fn every_second_acknowledges_after_the_write_and_syncs_on_the_alarm() {
    let disk = SimDisk::new(5);
    let mut still = Still::open(&disk, &every_sec(64 << 10)).unwrap();
    let before = still.wal.stats().fsyncs;
    assert!(still.put(0, 1, b"one").is_ok());
    assert!(still.put(0, 2, b"two").is_ok());
    assert_eq!(still.wal.stats().fsyncs, before);
    assert!(still.writer.wants_alarm());
    still.step_due();
    assert_eq!(still.wal.stats().fsyncs, before + 1);
    let still = Still::open(&disk.power_cut(1), &every_sec(64 << 10)).unwrap();
    assert_eq!(still.wal.bounds(0), Some((1, 2)));
}

#[test]
fn one_batch_is_one_sync() {
    let disk = SimDisk::new(5);
    let mut still = Still::open(&disk, &options(1 << 20)).unwrap();
    let before = still.wal.stats().fsyncs;
    let answers: Vec<_> = (1..=100).map(|index| still.append(index as u16 % 8, index, &[b"entry"])).collect();
    // Group 0's entries are 8, 16, …: not consecutive, refused after the first.
    still.step();
    assert_eq!(still.wal.stats().fsyncs, before + 1);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 8);
}

#[test]
fn a_lazily_saved_state_goes_with_the_next_batch_or_the_alarm() {
    let disk = SimDisk::new(5);
    let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
    let before = disk.changes();
    assert!(still.save(3, "lazy", false).is_ok());
    still.step();
    assert_eq!(disk.changes(), before, "nothing is written for it alone");
    still.put(0, 1, b"entry");
    still.save(3, "later", false);
    let again = Still::open(&disk.restart(), &options(64 << 10)).unwrap();
    assert_eq!(again.recovered.groups[&3].state.as_deref(), Some(&b"lazy"[..]));

    let disk = SimDisk::new(6);
    let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
    still.save(3, "lazy", false);
    still.step_due();
    let again = Still::open(&disk.power_cut(1), &options(64 << 10)).unwrap();
    assert_eq!(again.recovered.groups[&3].state.as_deref(), Some(&b"lazy"[..]));
}

#[test]
fn a_durable_state_is_not_undone_by_an_older_lazy_one() {
    let disk = SimDisk::new(5);
    let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
    still.save(3, "old", false);
    still.step();
    assert!(!still.save(3, "new", true).is_ok());
    still.step();
    still.step_due();
    let still = Still::open(&disk.power_cut(1), &options(64 << 10)).unwrap();
    assert_eq!(still.recovered.groups[&3].state.as_deref(), Some(&b"new"[..]));
}
