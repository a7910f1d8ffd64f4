//! Damage to the end of a log, as a power cut leaves it: what was written since the last fdatasync
//! is there in part, in any combination of sectors. Everything up to the last valid record may have
//! been acknowledged and is never touched.

use crate::{Result, Rng};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use wal::inspect::{self, Tail};

/// What a disk writes wholly or not at all.
const SECTOR_BYTES: usize = 512;
const ENTRY_BYTES_MAX: usize = 20_000;
const GARBAGE_BYTES_MAX: usize = 100_000;

/// Damages the log of the data folder `dir`, behind its last record, and says how.
pub fn tear(dir: &Path, rng: &mut Rng) -> Result<String> {
    let Some(tail) = inspect::tail(&dir.join("log"))? else { return Ok("the log is empty".into()) };
    let kinds: &[fn(&Tail, &mut Rng) -> Result<String>] =
        &[half_a_record, lost_sectors, garbage, cut_off, zeroed, torn_opening];
    let done = rng.pick(kinds)(&tail, rng)?;
    let left = inspect::tail(&dir.join("log"))?.map(|after| (after.path, after.end));
    if left.as_ref() != Some(&(tail.path.clone(), tail.end)) {
        return Err(
            format!("the tear went too far: {done}: the log ended {:?}, now {left:?}", tail.end).into()
        );
    }
    Ok(done)
}

/// The process died, or the disk, while it wrote one record.
fn half_a_record(tail: &Tail, rng: &mut Rng) -> Result<String> {
    let payload = 1 + rng.below(ENTRY_BYTES_MAX);
    let mut record = tail.batch(&[rng.bytes(payload)]);
    // Without its padding a record is whole, so the cut is before that. What the file holds behind the
    // cut must not complete it by chance.
    record.truncate(record.len().min(32 + payload));
    let cut = rng.below(record.len());
    for byte in record.get_mut(cut..).unwrap_or_default() {
        *byte = !*byte;
    }
    let at = write(tail, &record)?;
    Ok(format!("{cut} bytes of a record of {} at {at}", record.len()))
}

/// A batch of several records, of which some sectors have arrived: never the whole first record.
fn lost_sectors(tail: &Tail, rng: &mut Rng) -> Result<String> {
    let payloads: Vec<Vec<u8>> = (0..2 + rng.below(4))
        .map(|_| {
            let len = 1 + rng.below(ENTRY_BYTES_MAX);
            rng.bytes(len)
        })
        .collect();
    let mut batch = tail.batch(&payloads);
    let mut lost = 0;
    let mut from = 0;
    while from < batch.len() {
        // Sectors are those of the file.
        let to = (tail.end as usize + from) / SECTOR_BYTES * SECTOR_BYTES + SECTOR_BYTES - tail.end as usize;
        let to = to.min(batch.len());
        if from == 0 || rng.chance(40) {
            batch.get_mut(from..to).unwrap_or_default().fill(0);
            lost += 1;
        }
        from = to;
    }
    let at = write(tail, &batch)?;
    Ok(format!("a batch of {} records without {lost} of its sectors at {at}", payloads.len()))
}

fn garbage(tail: &Tail, rng: &mut Rng) -> Result<String> {
    let len = 1 + rng.below(GARBAGE_BYTES_MAX);
    let at = write(tail, &rng.bytes(len))?;
    Ok(format!("{len} bytes of garbage at {at}"))
}

/// The file ends right behind the last record.
fn cut_off(tail: &Tail, _: &mut Rng) -> Result<String> {
    File::options().write(true).open(&tail.path)?.set_len(tail.end)?;
    Ok(format!("the segment cut off at {}", tail.end))
}

/// What lay behind the end from an earlier life of the file is gone.
fn zeroed(tail: &Tail, rng: &mut Rng) -> Result<String> {
    let len = 1 + rng.below(GARBAGE_BYTES_MAX);
    let at = write(tail, &vec![0; len])?;
    Ok(format!("{len} zeros at {at}"))
}

/// The log had just gone on in its next segment.
fn torn_opening(tail: &Tail, rng: &mut Rng) -> Result<String> {
    let Some(next) = &tail.next else { return half_a_record(tail, rng) };
    let len = 1 + rng.below(ENTRY_BYTES_MAX);
    let mut opening = tail.next_opening(&rng.bytes(len));
    let lost = opening.len().min(SECTOR_BYTES);
    opening.get_mut(..lost).unwrap_or_default().fill(0);
    let file = File::options().write(true).open(next)?;
    opening.truncate(file.metadata()?.len() as usize);
    file.write_all_at(&opening, 0)?;
    Ok(format!("the opening of {} without its first sector", next.display()))
}

/// Writes behind the last record, as far as the file reaches; gives the place.
fn write(tail: &Tail, bytes: &[u8]) -> Result<u64> {
    let room = tail.segment_bytes.saturating_sub(tail.end) as usize;
    let file = File::options().write(true).open(&tail.path)?;
    file.write_all_at(bytes.get(..room).unwrap_or(bytes), tail.end)?;
    Ok(tail.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use wal::{DiskFiles, Options, Wal};

    /// Two hundred lives of one log, each ended by a tear; small segments, so that their edges are met.
    #[test]
    fn a_torn_log_opens_with_everything_that_was_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = Rng::new(11);
        let mut last = 0;
        let mut seen = std::collections::BTreeSet::new();
        assert!(tear(dir.path(), &mut rng).is_err(), "there is no log");
        for life in 0..200 {
            let options = Options { segment_bytes: 64 << 10, ..Options::new(dir.path().join("log")) };
            let (wal, found) = Wal::open(Arc::new(DiskFiles::default()), options).unwrap();
            let group = found.groups.get(&0);
            assert_eq!(group.and_then(|group| group.last_index).unwrap_or(0), last, "life {life}");
            for _ in 0..rng.below(8) {
                last += 1;
                let (tx, rx) = mpsc::channel();
                let len = rng.below(9_000);
                let entry = rng.bytes(len).into();
                wal.append(0, vec![(last, entry)], Box::new(move |done| tx.send(done).unwrap()));
                rx.recv().unwrap().unwrap();
            }
            wal.close();
            let done = tear(dir.path(), &mut rng).unwrap();
            seen.insert(done.chars().filter(char::is_ascii_alphabetic).collect::<String>());
        }
        assert!(last > 500 && seen.len() >= 6, "{last} {seen:?}");
    }
}
