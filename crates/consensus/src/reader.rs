//! Reading a group's log: recent entries from memory, older ones from the WAL.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::Ordering;

use futures_util::Stream;
use openraft::{OptionalSend, RaftLogReader};

use crate::codec;
use crate::config::{Entry, Types, Vote};
use crate::log::{LogStore, io_error};

/// What one message to a follower carries at most, beyond its first entry.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What is read from the WAL in one go while entries are applied.
const READ_BYTES_MAX: usize = 1 << 20;

impl LogStore {
    pub(crate) fn read_wal(&self, from: u64, to: u64, max: usize) -> io::Result<Vec<Entry>> {
        let outline = self.0.recovering.load(Ordering::Acquire);
        let found = self.0.wal.read(self.0.group, from, to, max).map_err(io_error)?;
        if found.first().is_none_or(|(index, _)| *index != from) {
            let error = format!("group {}: entry {from} is missing from the log", self.0.group);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let decode = if outline { codec::decode_entry_outline } else { codec::decode_entry };
        let entries = found.iter().map(|(index, bytes)| decode(*index, bytes)).collect::<Result<_, _>>();
        entries.map_err(|e| codec::invalid("a log entry", e))
    }

    /// Entries from `from` on, at least one, about `max` bytes at most. What is not in memory is
    /// read on a helper thread: a disk must not hold up the cores of this thread.
    async fn read(&self, from: u64, to: u64, max: usize) -> io::Result<Vec<Entry>> {
        let in_memory = self.0.inner.lock().tail.read(from, to, max);
        if let Some(entries) = in_memory {
            return Ok(entries);
        }
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read_wal(from, to, max));
        read.await.map_err(io::Error::other)?
    }

    fn recovered_entries(&self, from: u64, to: u64) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut next = from;
        while next < to {
            let more = self.read_wal(next, to, READ_BYTES_MAX)?;
            next += more.len() as u64;
            entries.extend(more);
        }
        Ok(entries)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let from = match range.start_bound() {
        Bound::Included(&from) => from,
        Bound::Excluded(&from) => from.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let to = match range.end_bound() {
        Bound::Included(&to) => to.saturating_add(1),
        Bound::Excluded(&to) => to,
        Bound::Unbounded => u64::MAX,
    };
    (from, to)
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        let to = match self.0.wal.bounds(self.0.group) {
            Some((_, last)) => to.min(last.saturating_add(1)),
            None => from,
        };
        self.recovered_entries(from, to)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        let read = self.read(start, end, MESSAGE_BYTES_MAX).await;
        // For replication. What was purged meanwhile is sent as a snapshot. openraft takes an error
        // for the end of the group; a request without entries is what `network` ends the session at.
        if read.is_err() && self.purged().is_some_and(|id| id.index >= start) {
            tracing::debug!(group = self.0.group, "entry {start} was purged while it was to be sent");
            return Ok(Vec::new());
        }
        read
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (from, to) = bounds(&range);
        let start = (self.clone(), from, Vec::new().into_iter());
        futures_util::stream::try_unfold(start, move |(log, next, mut chunk)| async move {
            if let Some(entry) = chunk.next() {
                return Ok(Some((entry, (log, next, chunk))));
            }
            if next >= to {
                return Ok(None);
            }
            let entries = log.read(next, to, READ_BYTES_MAX).await?;
            let after = next + entries.len() as u64;
            let mut chunk = entries.into_iter();
            let first = chunk.next().ok_or_else(|| io::Error::other("an entry is missing from the log"))?;
            Ok(Some((first, (log, after, chunk))))
        })
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.0.inner.lock().vote)
    }
}
