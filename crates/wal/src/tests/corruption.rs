//! A torn tail is cut off; damage to what was durable is refused, with the place.

use super::harness::{DIR, Still, live, options, payload};
use crate::{
    WalError,
    record::{HEADER_BYTES, record_bytes},
    segment::Name,
    testing::SimDisk,
};

const ENTRY_BYTES: usize = 100;

/// Ten synced entries in one segment, and what the file holds.
fn ten_entries() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
    for index in 1..=10 {
        assert!(still.put(0, index, &payload(0, index, ENTRY_BYTES)).is_ok());
    }
    disk.restart()
}

/// Where entry `index` of `ten_entries` begins: behind the checkpoint of no groups.
fn offset_of(index: u64) -> usize {
    (record_bytes(4) + (index - 1) * record_bytes(ENTRY_BYTES)) as usize
}

fn open_damaged(change: impl FnOnce(&mut Vec<u8>)) -> Result<(u64, u64), WalError> {
    let disk = ten_entries();
    let path = live(&disk).remove(0);
    disk.damage(&path, change);
    let still = Still::open(&disk, &options(64 << 10))?;
    let state = &still.recovered.groups[&0];
    Ok((state.last_index.unwrap_or(0), still.recovered.truncated_bytes))
}

#[test]
fn damage_before_what_was_synced_is_refused_with_its_place() {
    for index in 1..=9 {
        for at in [0, 9, HEADER_BYTES, HEADER_BYTES + ENTRY_BYTES - 1] {
            let outcome = open_damaged(|file| file[offset_of(index) + at] ^= 0x40);
            let Err(WalError::Corrupt { file, offset, reason }) = outcome else {
                panic!("entry {index} byte {at}: {outcome:?}");
            };
            assert_eq!(offset as usize, offset_of(index));
            assert_eq!(&*file, Name::Live(1).path(DIR.as_ref()).to_str().unwrap());
            assert!(reason.contains("durable up to"), "{reason}");
        }
    }
}

#[test]
fn zeros_amid_the_log_are_refused() {
    let outcome = open_damaged(|file| file[offset_of(4)..offset_of(6)].fill(0));
    assert!(matches!(outcome, Err(WalError::Corrupt { offset, .. }) if offset as usize == offset_of(4)));
}

#[test]
fn a_damaged_first_checkpoint_is_refused() {
    let outcome = open_damaged(|file| file[20] ^= 1);
    assert!(matches!(outcome, Err(WalError::Corrupt { offset: 0, .. })), "{outcome:?}");
}

#[test]
fn a_bad_last_record_is_a_torn_tail() {
    // Nothing says that it was durable.
    let outcome = open_damaged(|file| file[offset_of(10) + HEADER_BYTES] ^= 1);
    assert_eq!(outcome.unwrap(), (9, record_bytes(ENTRY_BYTES)));
    let outcome = open_damaged(|file| file[offset_of(10)..].fill(0));
    assert_eq!(outcome.unwrap(), (9, 0));
}

#[test]
fn a_clean_close_or_a_rest_proves_the_last_record_too() {
    for seed in 0..8 {
        let closed = seed > 0;
        let disk = ten_entries();
        let mut still = Still::open(&disk, &options(64 << 10)).unwrap();
        if closed {
            still.close();
        } else {
            still.step_due();
            drop(still);
        }
        // At rest, that record is not synced.
        let disk = if closed { disk.power_cut(seed) } else { disk.restart() };
        disk.damage(&live(&disk)[0], |file| file[offset_of(10) + HEADER_BYTES] ^= 1);
        let outcome = Still::open(&disk, &options(64 << 10)).map(|still| still.recovered);
        assert!(matches!(outcome, Err(WalError::Corrupt { .. })), "closed {closed}: {outcome:?}");
    }
}

#[test]
fn a_torn_batch_does_not_come_back_when_the_log_grows_over_it() {
    let disk = SimDisk::new(1);
    let options = options(64 << 10);
    let mut still = Still::open(&disk, &options).unwrap();
    still.put(0, 1, &payload(0, 1, ENTRY_BYTES));
    // One batch of three; its first record is torn, the others are whole.
    let entries = [2, 3, 4].map(|index| payload(0, index, ENTRY_BYTES));
    still.append(0, 2, &entries.each_ref().map(Vec::as_slice));
    still.step();
    let disk = disk.restart();
    disk.damage(&live(&disk)[0], |file| file[offset_of(2) + HEADER_BYTES] ^= 1);

    let mut still = Still::open(&disk, &options).unwrap();
    assert_eq!(still.recovered.truncated_bytes, 3 * record_bytes(ENTRY_BYTES));
    assert_eq!(still.wal.bounds(0), Some((1, 1)));
    // A record of the same size, so that the old one at 3 would follow it exactly.
    still.put(0, 2, &payload(9, 2, ENTRY_BYTES));
    let still = Still::open(&disk.restart(), &options).unwrap();
    assert_eq!(still.wal.bounds(0), Some((1, 2)));
    assert_eq!(still.read_all(0)[1].1, payload(9, 2, ENTRY_BYTES));
}

/// Entries over several segments.
fn several_segments() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut still = Still::open(&disk, &options(8 << 10)).unwrap();
    for index in 1..=30 {
        assert!(still.put(0, index, &payload(0, index, 1_000)).is_ok());
    }
    let disk = disk.restart();
    assert!(live(&disk).len() >= 4);
    disk
}

#[test]
fn damage_in_an_old_segment_is_refused() {
    let disk = several_segments();
    let path = live(&disk).remove(1);
    disk.damage(&path, |file| file[3_000] ^= 1);
    let outcome = Still::open(&disk, &options(8 << 10)).map(|still| still.recovered);
    let Err(WalError::Corrupt { file, offset, reason }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(&*file, path.to_str().unwrap());
    assert!(offset > 2_000 && offset <= 3_000, "{offset}");
    assert!(reason.contains("entries 1 to") && reason.contains("of group 0 are missing"), "{reason}");
}

#[test]
fn damage_to_the_last_record_of_an_old_segment_is_refused() {
    let disk = several_segments();
    let path = live(&disk).remove(0);
    let file = disk.contents(&path).unwrap();
    let last = file.iter().rposition(|&byte| byte != 0).unwrap();
    disk.damage(&path, |file| file[last] ^= 1);
    let outcome = Still::open(&disk, &options(8 << 10)).map(|still| still.recovered);
    assert!(matches!(outcome, Err(WalError::Corrupt { .. })), "{outcome:?}");
}

#[test]
fn a_lost_segment_is_refused_wherever_it_was() {
    // The very last ones leave no trace: the one in use has nothing behind it.
    for at in 0..3 {
        let disk = several_segments();
        let path = live(&disk).remove(at);
        crate::Files::remove(&disk, &path).unwrap();
        let outcome = Still::open(&disk, &options(8 << 10)).map(|still| still.recovered);
        assert!(matches!(outcome, Err(WalError::Corrupt { .. })), "segment {at}: {outcome:?}");
    }
}

#[test]
fn an_unknown_format_is_refused() {
    let outcome = open_damaged(|file| {
        // A record as version 2 would write it at the place of entry 3.
        let at = offset_of(3);
        let mut header = *file[at..].first_chunk::<HEADER_BYTES>().unwrap();
        header[4] = 2;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&1u64.to_le_bytes());
        hasher.update(&(at as u64).to_le_bytes());
        hasher.update(&header[4..]);
        header[..4].copy_from_slice(&hasher.finalize().to_le_bytes());
        file[at..at + HEADER_BYTES].copy_from_slice(&header);
    });
    assert!(matches!(outcome, Err(WalError::Unsupported { version: 2, .. })), "{outcome:?}");
}

#[test]
fn files_of_others_are_left_alone() {
    let disk = ten_entries();
    for name in ["README", "wal-1.log", "spare.log"] {
        crate::Files::create(&disk, &std::path::Path::new(DIR).join(name)).unwrap();
    }
    Still::open(&disk, &options(64 << 10)).unwrap();
    assert!(disk.paths().iter().any(|path| path.ends_with("README")));
}
