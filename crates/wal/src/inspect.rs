//! A stopped log looked at from outside: where its valid records end, and what the log would have
//! written next. For tests that damage a log as a crash could: what was acknowledged lies before the
//! end, so nothing that is done behind it may be missed.

use std::path::{Path, PathBuf};

use crate::{
    error::WalError,
    files::DiskFiles,
    record::{ALIGN, Header, Kind},
    recovery,
    segment::Name,
};

/// A record of the last segment, by its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub offset: u64,
    pub bytes: u64,
    /// What opens the segment, before anything that was appended to it.
    pub is_checkpoint: bool,
}

/// The last segment that has records.
#[derive(Debug, Clone)]
pub struct Tail {
    pub path: PathBuf,
    /// Behind the last valid record; the segment may go on, with zeros or with what its file held in
    /// an earlier life.
    pub end: u64,
    pub segment_bytes: u64,
    /// Some record says that the segment was durable up to here.
    pub proven: u64,
    /// The valid records, in order.
    pub records: Vec<Place>,
    /// A segment that was made ready behind this one and holds no record yet.
    pub next: Option<PathBuf>,
    pub(crate) seq: u64,
    /// The segment's position in the log.
    pub(crate) base: u64,
    /// The group and index of an entry that could follow.
    pub(crate) next_entry: (u16, u64),
}

/// Reads the log in a directory that no process has open; `None` if it has no record.
pub fn tail(dir: &Path) -> Result<Option<Tail>, WalError> {
    recovery::tail(&DiskFiles::default(), dir)
}

impl Tail {
    /// The bytes of a batch of entries with these payloads, as the log would have put them at the end:
    /// all of it is valid.
    pub fn batch(&self, payloads: &[Vec<u8>]) -> Vec<u8> {
        let (group, index) = self.next_entry;
        let mut out = Vec::new();
        for (index, payload) in (index..).zip(payloads) {
            // The log is durable up to where a batch begins: the one before it was synced.
            let header = Header::new(Kind::Entry, group, index, self.base + self.end, payload);
            put(&mut out, &header, self.seq, self.end, payload);
        }
        out
    }

    /// The record that would open the segment behind this one, with an entry.
    pub fn next_opening(&self, payload: &[u8]) -> Vec<u8> {
        let (group, index) = self.next_entry;
        let base = self.base + self.end;
        let next = self.next.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
        let Some(Name::Live(seq)) = next.and_then(Name::parse) else { return Vec::new() };
        let mut out = Vec::new();
        // Of no groups, so shorter than a true one.
        let checkpoint = 0u32.to_le_bytes();
        put(&mut out, &Header::new(Kind::Checkpoint, 0, base, base, &checkpoint), seq, 0, &checkpoint);
        put(&mut out, &Header::new(Kind::Entry, group, index, base, payload), seq, 0, payload);
        out
    }
}

/// Adds a record to some that begin at `from`.
fn put(out: &mut Vec<u8>, header: &Header, seq: u64, from: u64, payload: &[u8]) {
    out.extend_from_slice(&header.encode(seq, from + out.len() as u64));
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(ALIGN as usize), 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Wal};
    use bytes::Bytes;
    use std::os::unix::fs::FileExt;
    use std::sync::{Arc, mpsc};

    fn options(dir: &Path) -> Options {
        Options { segment_bytes: 64 << 10, ..Options::new(dir) }
    }

    fn append(wal: &Wal, index: u64, bytes: usize) {
        let (tx, rx) = mpsc::channel();
        let entry = Bytes::from(vec![7; bytes]);
        wal.append(3, vec![(index, entry)], Box::new(move |done| tx.send(done).unwrap()));
        rx.recv().unwrap().unwrap();
    }

    /// A log with ten entries of group 3.
    fn ten_entries() -> (tempfile::TempDir, Tail) {
        let dir = tempfile::tempdir().unwrap();
        assert!(tail(dir.path()).unwrap().is_none());
        let (wal, _) = Wal::open(Arc::new(DiskFiles::default()), options(dir.path())).unwrap();
        for index in 1..=10 {
            append(&wal, index, 100);
        }
        wal.close();
        let tail = tail(dir.path()).unwrap().unwrap();
        (dir, tail)
    }

    /// The last entry and what was cut off, when the log is opened again.
    fn reopened(dir: &Path) -> (Option<u64>, u64) {
        let (_wal, found) = Wal::open(Arc::new(DiskFiles::default()), options(dir)).unwrap();
        (found.groups[&3].last_index, found.truncated_bytes)
    }

    fn write(path: &Path, bytes: &[u8], at: u64) {
        std::fs::File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    }

    #[test]
    fn a_stopped_log_is_read_and_left_as_it_is() {
        let (dir, tail) = ten_entries();
        let before = std::fs::read(&tail.path).unwrap();
        assert!(tail.records.len() >= 11, "a checkpoint and ten entries: {tail:?}");
        assert!(tail.records[0].is_checkpoint && tail.records[0].offset == 0);
        assert!(tail.records[1..].iter().all(|place| !place.is_checkpoint));
        let last = tail.records.last().unwrap();
        assert_eq!(last.offset + last.bytes, tail.end);
        assert!(tail.proven <= tail.end && tail.end < tail.segment_bytes);
        assert_eq!(std::fs::read(&tail.path).unwrap(), before);
        assert_eq!(reopened(dir.path()), (Some(10), 0));
    }

    #[test]
    fn a_batch_that_is_whole_is_valid_and_one_that_is_torn_is_cut_off() {
        let (dir, tail) = ten_entries();
        let batch = tail.batch(&[vec![1; 50], vec![2; 500]]);
        write(&tail.path, &batch, tail.end);
        assert_eq!(reopened(dir.path()), (Some(12), 0));

        let (dir, tail) = ten_entries();
        let mut batch = tail.batch(&[vec![1; 50], vec![2; 500]]);
        batch[40] ^= 1;
        write(&tail.path, &batch, tail.end);
        assert_eq!(reopened(dir.path()), (Some(10), batch.len() as u64));
    }

    #[test]
    fn a_torn_opening_of_the_next_segment_counts_for_nothing() {
        let (dir, mut tail) = ten_entries();
        if tail.next.is_none() {
            let next = Name::Live(tail.seq + 1).path(dir.path());
            std::fs::write(&next, vec![0; 8 << 10]).unwrap();
            tail.next = Some(next);
        }
        let mut opening = tail.next_opening(&[5; 300]);
        assert!(opening.len() > 300);
        opening[5] ^= 1;
        write(tail.next.as_deref().unwrap(), &opening, 0);
        assert_eq!(reopened(dir.path()), (Some(10), opening.len() as u64));
    }
}
