//! openraft's log storage over the node's WAL.
//!
//! The committed position is not saved: after a restart it is learned anew, by election or from
//! the leader. Saving it would only have openraft apply the log before anybody is asked, in chunks
//! that have no bound in bytes.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::Stream;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use wal::{Wal, WalError};

use crate::codec;
use crate::config::{Entry, EntryBody, LogId, Types, Vote};
use crate::role::RoleKeeper;

/// What one message to a follower carries at most, beyond its first entry.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// What is read from the WAL in one go while entries are applied.
const READ_BYTES_MAX: usize = 1 << 20;
/// What an entry costs in memory beside its payload, roughly.
const ENTRY_OVERHEAD: u64 = 64;

/// How the log fails: a full disk passes, anything else does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    DiskFull,
    Broken(String),
}

#[derive(Default)]
struct Inner {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The newest entries, without a gap up to `last`; they share memory with what the WAL caches.
    tail: VecDeque<Entry>,
    tail_bytes: u64,
    failure: Option<Failure>,
    backlog: Backlog,
}

/// What was appended here and not handed to the machine yet.
#[derive(Default)]
struct Backlog {
    /// The index of the first of `sizes`.
    first: u64,
    sizes: VecDeque<u64>,
    bytes: u64,
}

impl Backlog {
    fn push(&mut self, index: u64, bytes: u64) {
        if self.sizes.is_empty() {
            self.first = index;
        }
        self.sizes.push_back(bytes);
        self.bytes += bytes;
    }

    fn handed(&mut self, index: u64) {
        while self.first <= index
            && let Some(bytes) = self.sizes.pop_front()
        {
            self.bytes -= bytes;
            self.first += 1;
        }
    }

    fn truncate(&mut self, after: Option<u64>) {
        let keep = after.map_or(0, |after| after.saturating_add(1)).saturating_sub(self.first);
        while self.sizes.len() as u64 > keep
            && let Some(bytes) = self.sizes.pop_back()
        {
            self.bytes -= bytes;
        }
    }
}

pub(crate) struct LogShared {
    group: u16,
    wal: Wal,
    role: Arc<RoleKeeper>,
    tail_bytes_max: u64,
    inner: Mutex<Inner>,
    /// While openraft recovers, entries are read without their payloads: it looks at their ids and
    /// at memberships only, but asks for 64 at a time, however large.
    recovering: AtomicBool,
    /// `Inner::backlog`, for those that only look.
    backlog_bytes: AtomicU64,
    backlog_entries: AtomicU64,
    /// Bytes appended since the last purge, and at how many the purger is woken.
    since_purge: AtomicU64,
    purge_after: u64,
    pub(crate) purge_wanted: Notify,
    /// The log has failed in a way that openraft does not see by itself.
    pub(crate) failed: Notify,
}

#[derive(Clone)]
pub(crate) struct LogStore(pub(crate) Arc<LogShared>);

pub(crate) struct LogOptions {
    pub(crate) group: u16,
    pub(crate) tail_bytes_max: u64,
    pub(crate) purge_after: u64,
}

fn io_error(error: WalError) -> io::Error {
    io::Error::other(error)
}

fn size(entry: &Entry) -> u64 {
    match &entry.payload {
        EntryBody::Normal(payload) => payload.0.len() as u64 + ENTRY_OVERHEAD,
        _ => ENTRY_OVERHEAD,
    }
}

impl LogStore {
    pub(crate) fn open(
        wal: Wal,
        state: Option<&wal::GroupState>,
        role: Arc<RoleKeeper>,
        options: &LogOptions,
    ) -> io::Result<Self> {
        let mut inner = Inner::default();
        if let Some(state) = state {
            let vote = state.state.as_ref().map(|bytes| codec::decode_state(bytes)).transpose();
            inner.vote = vote.map_err(|e| codec::invalid("the vote", e))?;
            let purged = state.purged.as_ref().map(|(_, meta)| codec::decode_purged(meta)).transpose();
            inner.purged = purged.map_err(|e| codec::invalid("the purged position", e))?;
        }
        inner.last = inner.purged;
        if let Some((_, last)) = wal.bounds(options.group) {
            let found = wal.read(options.group, last, last + 1, 1).map_err(io_error)?;
            let (index, bytes) = found.first().ok_or_else(|| io::Error::other("the last entry is missing"))?;
            let entry = codec::decode_entry_outline(*index, bytes);
            inner.last = Some(entry.map_err(|e| codec::invalid("the last entry", e))?.log_id);
        }
        role.recovered(inner.vote);
        let since_purge = AtomicU64::new(wal.group_bytes(options.group));
        Ok(Self(Arc::new(LogShared {
            group: options.group,
            wal,
            role,
            tail_bytes_max: options.tail_bytes_max,
            inner: Mutex::new(inner),
            recovering: AtomicBool::new(true),
            backlog_bytes: AtomicU64::new(0),
            backlog_entries: AtomicU64::new(0),
            since_purge,
            purge_after: options.purge_after,
            purge_wanted: Notify::new(),
            failed: Notify::new(),
        })))
    }

    pub(crate) fn recovering(&self, recovering: bool) {
        self.0.recovering.store(recovering, Ordering::Release);
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.inner.lock().failure.clone()
    }

    /// Forgets a failure, and what is not in the WAL because of it: the core starts anew.
    pub(crate) fn restart(&self) -> io::Result<()> {
        let mut inner = self.0.inner.lock();
        inner.failure = None;
        inner.tail.clear();
        inner.tail_bytes = 0;
        inner.backlog = Backlog::default();
        self.0.show_backlog(&inner);
        inner.last = inner.purged;
        if let Some((_, last)) = self.0.wal.bounds(self.0.group) {
            let found = self.0.wal.read(self.0.group, last, last + 1, 1).map_err(io_error)?;
            if let Some((index, bytes)) = found.first() {
                let entry = codec::decode_entry_outline(*index, bytes);
                inner.last = Some(entry.map_err(|e| codec::invalid("the last entry", e))?.log_id);
            }
        }
        self.recovering(true);
        Ok(())
    }

    /// The machine is about to hold everything up to `at`, which is committed: what stands against
    /// it in the log goes.
    pub(crate) fn make_way(&self, at: LogId) -> io::Result<()> {
        let shared = &self.0;
        let found = match shared.wal.bounds(shared.group) {
            Some((first, last)) if (first..=last).contains(&at.index) => {
                self.read_wal(at.index, at.index + 1, 1)?.first().map(|entry| entry.log_id)
            }
            _ => None,
        };
        let mut inner = shared.inner.lock();
        if found == Some(at) || inner.purged >= Some(at) {
            return Ok(());
        }
        let after = inner.purged.map(|id| id.index);
        shared.wal.truncate_after(shared.group, after, self.done("cutting the log"));
        shared.wal.purge(shared.group, at.index, codec::encode_purged(&at), self.done("purging the log"));
        inner.purged = Some(at);
        inner.last = Some(at);
        Ok(())
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.0.inner.lock().purged
    }

    pub(crate) fn has_vote(&self) -> bool {
        self.0.inner.lock().vote.is_some()
    }

    /// Bytes and number of the entries that were appended here and not handed to the machine yet.
    pub(crate) fn backlog(&self) -> (u64, u64) {
        (self.0.backlog_bytes.load(Ordering::Relaxed), self.0.backlog_entries.load(Ordering::Relaxed))
    }

    /// Everything up to `index` was handed to the machine.
    pub(crate) fn handed(&self, index: u64) {
        let mut inner = self.0.inner.lock();
        inner.backlog.handed(index);
        self.0.show_backlog(&inner);
    }

    /// Starts counting anew towards the next purge.
    pub(crate) fn purge_counted(&self) {
        self.0.since_purge.store(0, Ordering::Relaxed);
    }

    fn done(&self, what: &'static str) -> wal::Done {
        let shared = self.0.clone();
        Box::new(move |result| {
            if let Err(error) = result {
                shared.fail(what, &error);
            }
        })
    }

    fn read_wal(&self, from: u64, to: u64, max: usize) -> io::Result<Vec<Entry>> {
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
        if let Some(entries) = self.0.read_tail(from, to, max) {
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

impl LogShared {
    fn fail(&self, what: &str, error: &WalError) {
        let failure = match error {
            WalError::Full => Failure::DiskFull,
            error => Failure::Broken(format!("{what}: {error}")),
        };
        tracing::error!(group = self.group, "{what}: {error}");
        self.inner.lock().failure.get_or_insert(failure);
        self.failed.notify_one();
    }

    fn read_tail(&self, from: u64, to: u64, max: usize) -> Option<Vec<Entry>> {
        let inner = self.inner.lock();
        let first = inner.tail.front()?.index();
        let start = usize::try_from(from.checked_sub(first)?).ok()?;
        let mut bytes = 0;
        let mut entries = Vec::new();
        for entry in inner.tail.range(start.min(inner.tail.len())..) {
            bytes += size(entry) as usize;
            if entry.index() >= to || (bytes > max && !entries.is_empty()) {
                break;
            }
            entries.push(entry.clone());
        }
        (!entries.is_empty()).then_some(entries)
    }

    /// Takes an entry into memory and returns its bytes for the WAL.
    fn accept(&self, inner: &mut Inner, entry: Entry) -> (u64, Bytes) {
        let index = entry.index();
        let bytes = codec::encode_entry(&entry);
        // The copy that is kept shares its memory with the one that the WAL keeps.
        let payload = match entry.payload {
            EntryBody::Normal(_) => {
                EntryBody::Normal(crate::config::Payload(bytes.slice(codec::ENTRY_HEADER..)))
            }
            other => other,
        };
        let entry = Entry::new(entry.log_id, payload);
        let bytes_held = size(&entry);
        inner.last = Some(entry.log_id);
        inner.tail_bytes += bytes_held;
        inner.tail.push_back(entry);
        while inner.tail_bytes > self.tail_bytes_max && inner.tail.len() > 1 {
            if let Some(old) = inner.tail.pop_front() {
                inner.tail_bytes -= size(&old);
            }
        }
        inner.backlog.push(index, bytes_held);
        (index, bytes)
    }

    fn show_backlog(&self, inner: &Inner) {
        self.backlog_bytes.store(inner.backlog.bytes, Ordering::Relaxed);
        self.backlog_entries.store(inner.backlog.sizes.len() as u64, Ordering::Relaxed);
    }

    fn count_towards_purge(&self, bytes: u64) {
        let before = self.since_purge.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= self.purge_after {
            self.purge_wanted.notify_one();
        }
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
        self.read(start, end, MESSAGE_BYTES_MAX).await
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

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let inner = self.0.inner.lock();
        Ok(LogState { last_purged_log_id: inner.purged, last_log_id: inner.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.0.role.vote_changes(vote);
        let (tx, rx) = oneshot::channel();
        let shared = self.0.clone();
        let done: wal::Done = Box::new(move |result| {
            if let Err(error) = &result {
                shared.fail("saving the vote", error);
            }
            let _ = tx.send(result);
        });
        self.0.wal.save_state(self.0.group, codec::encode_state(vote), true, done);
        rx.await.map_err(io::Error::other)?.map_err(io_error)?;
        self.0.inner.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut bytes = 0;
        let records: Vec<(u64, Bytes)> = {
            let mut inner = self.0.inner.lock();
            let accept = |entry: Entry| {
                if let EntryBody::Membership(membership) = &entry.payload {
                    self.0.role.membership_appended(entry.index(), membership);
                }
                let record = self.0.accept(&mut inner, entry);
                bytes += record.1.len() as u64;
                record
            };
            let records = entries.into_iter().map(accept).collect();
            self.0.show_backlog(&inner);
            records
        };
        let shared = self.0.clone();
        let done: wal::Done = Box::new(move |result| {
            if let Err(error) = &result {
                shared.fail("appending to the log", error);
            }
            callback.io_completed(result.map_err(io_error));
        });
        self.0.wal.append(self.0.group, records, done);
        self.0.count_towards_purge(bytes);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        {
            let mut inner = self.0.inner.lock();
            let after = last.map(|id| id.index);
            while inner.tail.back().is_some_and(|entry| Some(entry.index()) > after)
                && let Some(entry) = inner.tail.pop_back()
            {
                inner.tail_bytes -= size(&entry);
            }
            inner.last = last;
            inner.backlog.truncate(after);
            self.0.show_backlog(&inner);
            self.0.role.truncated(after);
        }
        // What is appended next comes behind this in the WAL, so nobody needs to wait for it.
        self.0.wal.truncate_after(self.0.group, last.map(|id| id.index), self.done("cutting the log"));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut inner = self.0.inner.lock();
            while inner.tail.front().is_some_and(|entry| entry.index() <= upto.index)
                && let Some(entry) = inner.tail.pop_front()
            {
                inner.tail_bytes -= size(&entry);
            }
            inner.backlog.handed(upto.index);
            self.0.show_backlog(&inner);
            inner.purged = inner.purged.max(Some(upto));
            inner.last = inner.last.max(Some(upto));
        }
        let meta = codec::encode_purged(&upto);
        self.0.wal.purge(self.0.group, upto.index, meta, self.done("purging the log"));
        Ok(())
    }
}
