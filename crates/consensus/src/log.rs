//! openraft's log storage over the node's WAL.
//!
//! The committed position is not saved: after a restart it is learned anew, by election or from
//! the leader. Saving it would only have openraft apply the log before anybody is asked, in chunks
//! that have no bound in bytes.
//!
//! A full disk is no failure. openraft would take it for one and stop for good, so entries that do
//! not fit are held, in memory and in order, until they do; meanwhile nothing new is admitted.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::OptionalSend;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use wal::{Wal, WalError};

use crate::codec;
use crate::config::{Entry, EntryBody, LogId, Payload, Types, Vote};
use crate::role::{Accompanied, RoleKeeper};
use crate::tail::{Backlog, Tail, size};

/// How often a full disk is tried again.
const FULL_EVERY: Duration = Duration::from_millis(250);

pub(crate) struct Inner {
    pub(crate) vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// Shares memory with what the WAL caches.
    pub(crate) tail: Tail,
    backlog: Backlog,
    failure: Option<String>,
    /// Appends that the WAL had no room for, in order.
    held: VecDeque<Append>,
}

/// One append on its way to the WAL.
struct Append {
    records: Vec<(LogId, Bytes)>,
    callback: IOFlushed<Types>,
}

pub(crate) struct LogShared {
    pub(crate) group: u16,
    pub(crate) wal: Wal,
    role: Arc<RoleKeeper>,
    pub(crate) inner: Mutex<Inner>,
    /// While openraft recovers, entries are read without their payloads: it looks at their ids and
    /// at memberships only, but asks for 64 at a time, however large.
    pub(crate) recovering: AtomicBool,
    /// `Inner::backlog`, for those that only look.
    backlog_bytes: AtomicU64,
    backlog_entries: AtomicU64,
    /// Bytes appended since the last purge, and at how many the purger is woken.
    since_purge: AtomicU64,
    purge_after: u64,
    groups_together: u64,
    accompanied: Accompanied,
    pub(crate) purge_wanted: Notify,
    /// The log has failed, in a way that openraft may not see by itself.
    pub(crate) failed: Notify,
    /// Something is held because the disk is full.
    holds: Notify,
}

#[derive(Clone)]
pub(crate) struct LogStore(pub(crate) Arc<LogShared>);

pub(crate) struct LogOptions {
    pub(crate) group: u16,
    pub(crate) tail_bytes_max: u64,
    pub(crate) purge_after: u64,
    /// Groups that append on the same thread.
    pub(crate) groups_together: u64,
    /// Of these, those that have other voters.
    pub(crate) accompanied: Accompanied,
}

pub(crate) fn io_error(error: WalError) -> io::Error {
    io::Error::other(error)
}

impl LogStore {
    pub(crate) fn open(
        wal: Wal,
        state: Option<&wal::GroupState>,
        role: Arc<RoleKeeper>,
        options: &LogOptions,
    ) -> io::Result<Self> {
        let mut inner = Inner {
            vote: None,
            purged: None,
            last: None,
            tail: Tail::new(options.tail_bytes_max),
            backlog: Backlog::default(),
            failure: None,
            held: VecDeque::new(),
        };
        if let Some(state) = state {
            let vote = state.state.as_ref().map(|bytes| codec::decode_state(bytes)).transpose();
            inner.vote = vote.map_err(|e| codec::invalid("the vote", e))?;
            let purged = state.purged.as_ref().map(|(_, meta)| codec::decode_purged(meta)).transpose();
            inner.purged = purged.map_err(|e| codec::invalid("the purged position", e))?;
        }
        inner.last = inner.purged;
        if let Some((_, last)) = wal.bounds(options.group) {
            let found = wal.read(options.group, last, last + 1, 1).map_err(io_error)?;
            let (index, bytes) =
                found.first().ok_or_else(|| io::Error::other("the last entry is missing"))?;
            let entry = codec::decode_entry_outline(*index, bytes);
            inner.last = Some(entry.map_err(|e| codec::invalid("the last entry", e))?.log_id);
        }
        role.recovered(inner.vote);
        let since_purge = AtomicU64::new(wal.group_bytes(options.group));
        Ok(Self(Arc::new(LogShared {
            group: options.group,
            wal,
            role,
            inner: Mutex::new(inner),
            recovering: AtomicBool::new(true),
            backlog_bytes: AtomicU64::new(0),
            backlog_entries: AtomicU64::new(0),
            since_purge,
            purge_after: options.purge_after,
            groups_together: options.groups_together,
            accompanied: options.accompanied.clone(),
            purge_wanted: Notify::new(),
            failed: Notify::new(),
            holds: Notify::new(),
        })))
    }

    /// openraft has recovered: from now on entries are read whole.
    pub(crate) fn recovered(&self) {
        self.0.recovering.store(false, Ordering::Release);
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.0.inner.lock().failure.clone()
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

    /// Whether an entry that was appended by this process is durable.
    pub(crate) fn is_durable(&self, index: u64) -> bool {
        self.0.inner.lock().tail.flushed() >= Some(index)
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
        Box::new(move |result| match result {
            // The WAL does it by itself when there is room, before anything else of the group.
            Ok(()) | Err(WalError::Full) => {}
            Err(error) => shared.fail(what, &error),
        })
    }

    /// Gives an append to the WAL, or holds it behind those that wait for room.
    fn write(&self, append: Append) {
        {
            let mut inner = self.0.inner.lock();
            if !inner.held.is_empty() {
                inner.held.push_back(append);
                return;
            }
        }
        let records = append.records.iter().map(|(id, bytes)| (id.index, bytes.clone())).collect();
        let shared = self.0.clone();
        let done: wal::Done = Box::new(move |result| shared.written(append, result));
        let alone = self.0.accompanied.load(Ordering::Relaxed) == 0;
        if self.0.groups_together == 1 && !alone {
            return self.0.wal.append(self.0.group, records, done);
        }
        // Other groups of this thread have something to append as well, or the thread parks in a moment
        // and then writes the log, or has it written: one sync for all of them.
        let waiting = self.0.wal.append_quietly(self.0.group, records, done);
        if waiting >= self.0.groups_together && !alone {
            self.0.wal.wake_up();
        }
    }

    /// Gives what is held to the WAL when there is room again, until the node stops. Runs on the
    /// thread that appends, so that nothing comes in between.
    pub(crate) async fn write_what_is_held(self) {
        loop {
            self.0.holds.notified().await;
            while let Some(bytes) = self.held_bytes() {
                tokio::time::sleep(FULL_EVERY).await;
                if self.0.wal.has_room(bytes) {
                    self.write_held();
                }
            }
        }
    }

    async fn try_save_vote(&self, vote: &Vote) -> Result<(), WalError> {
        let (tx, rx) = oneshot::channel();
        let done: wal::Done = Box::new(move |result| {
            let _ = tx.send(result);
        });
        self.0.wal.save_state(self.0.group, codec::encode_state(vote), true, done);
        rx.await.unwrap_or(Err(WalError::Closed))
    }

    /// Appends that wait for room.
    pub(crate) fn held(&self) -> u64 {
        self.0.inner.lock().held.len() as u64
    }

    fn held_bytes(&self) -> Option<u64> {
        let inner = self.0.inner.lock();
        let records = inner.held.iter().flat_map(|append| &append.records);
        (!inner.held.is_empty()).then(|| records.map(|(_, bytes)| bytes.len() as u64).sum())
    }

    fn write_held(&self) {
        let held: Vec<Append> = {
            let mut inner = self.0.inner.lock();
            let mut held = std::mem::take(&mut inner.held);
            // What was cut off or purged meanwhile is not wanted any more.
            held.iter_mut().for_each(|append| append.records.retain(|(id, _)| inner.tail.holds(*id)));
            held.into_iter().filter(|append| !append.records.is_empty()).collect()
        };
        for append in held {
            self.write(append);
        }
    }
}

impl LogShared {
    fn fail(&self, what: &str, error: &WalError) {
        tracing::error!(group = self.group, "{what}: {error}");
        self.inner.lock().failure.get_or_insert_with(|| format!("{what}: {error}"));
        self.failed.notify_one();
    }

    /// The WAL has done with an append. Called on its thread.
    fn written(&self, append: Append, result: Result<(), WalError>) {
        let error = {
            let mut inner = self.inner.lock();
            match result {
                Ok(()) => {
                    if let Some((id, _)) = append.records.last() {
                        inner.tail.flush(*id);
                    }
                    drop(inner);
                    return append.callback.io_completed(Ok(()));
                }
                Err(WalError::Full) => return self.hold(&mut inner, append),
                // It came behind one that did not fit.
                Err(WalError::OutOfOrder { expected, got, .. }) if got > expected => {
                    return self.hold(&mut inner, append);
                }
                Err(error) => error,
            }
        };
        self.fail("appending to the log", &error);
        append.callback.io_completed(Err(io_error(error)));
    }

    fn hold(&self, inner: &mut Inner, append: Append) {
        if inner.held.is_empty() {
            tracing::warn!(group = self.group, "the log has no room on the disk");
        }
        inner.held.push_back(append);
        self.holds.notify_one();
    }

    /// Takes an entry into memory and returns its bytes for the WAL.
    fn accept(&self, inner: &mut Inner, entry: Entry) -> (LogId, Bytes) {
        let id = entry.log_id;
        let bytes = codec::encode_entry(&entry);
        // The copy that is kept shares its memory with the one that the WAL keeps.
        let payload = match entry.payload {
            EntryBody::Normal(_) => EntryBody::Normal(Payload(bytes.slice(codec::ENTRY_HEADER..))),
            other => other,
        };
        let entry = Entry::new(id, payload);
        inner.backlog.push(id.index, size(&entry));
        inner.last = Some(id);
        inner.tail.push(entry);
        (id, bytes)
    }

    fn show_backlog(&self, inner: &Inner) {
        self.backlog_bytes.store(inner.backlog.bytes(), Ordering::Relaxed);
        self.backlog_entries.store(inner.backlog.entries(), Ordering::Relaxed);
    }

    fn count_towards_purge(&self, bytes: u64) {
        let before = self.since_purge.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes >= self.purge_after {
            self.purge_wanted.notify_one();
        }
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
        while let Err(error) = self.try_save_vote(vote).await {
            if !matches!(error, WalError::Full) {
                self.0.fail("saving the vote", &error);
                return Err(io_error(error));
            }
            tokio::time::sleep(FULL_EVERY).await;
        }
        self.0.inner.lock().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut bytes = 0;
        let mut memberships = Vec::new();
        let records: Vec<(LogId, Bytes)> = {
            let mut inner = self.0.inner.lock();
            let accept = |entry: Entry| {
                if let EntryBody::Membership(membership) = &entry.payload {
                    memberships.push((entry.index(), membership.clone()));
                }
                let record = self.0.accept(&mut inner, entry);
                bytes += record.1.len() as u64;
                record
            };
            let records = entries.into_iter().map(accept).collect();
            self.0.show_backlog(&inner);
            records
        };
        for (index, membership) in &memberships {
            self.0.role.membership_appended(*index, membership);
        }
        self.write(Append { records, callback });
        self.0.count_towards_purge(bytes);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let after = last.map(|id| id.index);
        {
            let mut inner = self.0.inner.lock();
            inner.tail.truncate(after);
            inner.last = last;
            inner.backlog.truncate(after);
            self.0.show_backlog(&inner);
        }
        self.0.role.truncated(after);
        // What is appended next comes behind this in the WAL, so nobody needs to wait for it.
        self.0.wal.truncate_after(self.0.group, after, self.done("cutting the log"));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        {
            let mut inner = self.0.inner.lock();
            inner.tail.purge(upto.index);
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
