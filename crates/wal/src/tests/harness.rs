//! A log without threads, driven step by step, so that a seed replays a run.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Done, Fsync, Options, Recovered, Wal, WalError, queue::Batch, testing::SimDisk, writer::Writer};

pub(super) const DIR: &str = "/log";

/// Seeds to try from `first` on: `count` of them, or `WAL_TEST_ROUNDS` times as many in a long run.
pub(super) fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let rounds = std::env::var("WAL_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse::<u64>().ok());
    first..first + count * rounds.unwrap_or(1)
}

/// What a request was answered; `None` as long as it was not.
#[derive(Clone, Default)]
pub(super) struct Answer(Arc<Mutex<Option<Result<(), WalError>>>>);

impl Answer {
    pub(super) fn get(&self) -> Option<Result<(), WalError>> {
        self.0.lock().clone()
    }

    pub(super) fn is_ok(&self) -> bool {
        matches!(self.get(), Some(Ok(())))
    }

    pub(super) fn is_full(&self) -> bool {
        matches!(self.get(), Some(Err(WalError::Full)))
    }

    pub(super) fn done(&self) -> Done {
        let answer = self.clone();
        Box::new(move |outcome| {
            let before = answer.0.lock().replace(outcome);
            assert!(before.is_none(), "answered twice");
        })
    }
}

pub(super) fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, cache_bytes: 2 << 10, recycle_max: 2, ..Options::new(DIR) }
}

pub(super) fn every_sec(segment_bytes: u64) -> Options {
    Options { fsync: Fsync::EverySec, ..options(segment_bytes) }
}

pub(super) struct Still {
    pub(super) wal: Wal,
    pub(super) writer: Writer,
    pub(super) recovered: Recovered,
}

impl Still {
    pub(super) fn open(disk: &SimDisk, options: &Options) -> Result<Self, WalError> {
        let (wal, writer, recovered) = Wal::open_still(Arc::new(disk.clone()), options)?;
        Ok(Self { wal, writer, recovered })
    }

    /// The log thread's next round.
    pub(super) fn step(&mut self) {
        self.round(false);
    }

    /// A round after the alarm has rung.
    pub(super) fn step_due(&mut self) {
        self.round(true);
    }

    fn round(&mut self, due: bool) {
        let mut batch = Batch::default();
        self.wal.shared().queue.take(&mut batch);
        batch.due = due;
        self.writer.process(&mut batch);
    }

    /// The helper thread's next round.
    pub(super) fn prepare(&self) {
        self.wal.prep().step();
    }

    pub(super) fn close(mut self) {
        self.wal.close();
        self.round(false);
    }

    pub(super) fn append(&self, group: u16, from: u64, payloads: &[&[u8]]) -> Answer {
        let answer = Answer::default();
        let entries = (from..).zip(payloads.iter().map(|payload| Bytes::copy_from_slice(payload))).collect();
        self.wal.append(group, entries, answer.done());
        answer
    }

    /// Appends one entry and has it written.
    pub(super) fn put(&mut self, group: u16, index: u64, payload: &[u8]) -> Answer {
        let answer = self.append(group, index, &[payload]);
        self.step();
        answer
    }

    pub(super) fn truncate(&self, group: u16, index: Option<u64>) -> Answer {
        let answer = Answer::default();
        self.wal.truncate_after(group, index, answer.done());
        answer
    }

    pub(super) fn purge(&self, group: u16, index: u64, meta: &str) -> Answer {
        let answer = Answer::default();
        self.wal.purge(group, index, Bytes::copy_from_slice(meta.as_bytes()), answer.done());
        answer
    }

    pub(super) fn save(&self, group: u16, state: &str, durable: bool) -> Answer {
        let answer = Answer::default();
        self.wal.save_state(group, Bytes::copy_from_slice(state.as_bytes()), durable, answer.done());
        answer
    }

    pub(super) fn read_all(&self, group: u16) -> Vec<(u64, Bytes)> {
        let Some((first, last)) = self.wal.bounds(group) else { return Vec::new() };
        let mut entries: Vec<(u64, Bytes)> = Vec::new();
        let mut from = first;
        while from <= last {
            let part = self.wal.read(group, from, last + 1, 700).unwrap();
            assert!(!part.is_empty(), "entry {from} of {first} to {last} is there");
            from = part.last().unwrap().0 + 1;
            entries.extend(part);
        }
        entries
    }
}

/// The live segments, oldest first.
pub(super) fn live(disk: &SimDisk) -> Vec<PathBuf> {
    let is_live = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("wal-");
    let mut paths = disk.paths();
    paths.retain(is_live);
    assert!(paths.iter().all(|path| path.starts_with(Path::new(DIR))));
    paths
}

/// A payload that tells its group and index.
pub(super) fn payload(group: u16, index: u64, len: usize) -> Vec<u8> {
    let tag = format!("{group}/{index}/");
    tag.bytes().cycle().take(len).collect()
}
