//! The log as its users see it, and its threads.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use parking_lot::Mutex;
use threads::Class;

use crate::{
    Files, Options, Stats,
    bounds::{BLOB_BYTES_MAX, PAYLOAD_BYTES_MAX},
    desk::Desk,
    error::WalError,
    index::Index,
    prep::Prep,
    queue::{Op, Queue, What},
    read,
    record::HEADER_BYTES,
    recovery,
    stats::Counters,
    writer::Writer,
};

/// Called once, by the thread that wrote: it must be quick and must not wait for the log.
pub type Done = Box<dyn FnOnce(Result<(), WalError>) + Send>;

/// What `open` found.
#[derive(Debug, Default)]
pub struct Recovered {
    pub groups: BTreeMap<u16, GroupState>,
    /// Bytes of a torn tail, never acknowledged, that were dropped.
    pub truncated_bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupState {
    /// The last saved state.
    pub state: Option<Bytes>,
    /// The last purge: its index and meta.
    pub purged: Option<(u64, Bytes)>,
    pub first_index: Option<u64>,
    pub last_index: Option<u64>,
}

/// What the callers and the log thread share.
pub(crate) struct Shared {
    pub(crate) index: Mutex<Index>,
    pub(crate) queue: Queue,
    pub(crate) counters: Arc<Counters>,
    pub(crate) poison: OnceLock<Arc<str>>,
    next_ticket: AtomicU64,
    /// Free for entries: in the active segment, and in those that the log thread holds ready.
    active_room: AtomicU64,
    reserved_room: AtomicU64,
}

/// Poisons the log if it is dropped by a panic.
pub(crate) struct PoisonByPanic<'a>(pub(crate) &'a Shared);

impl Drop for PoisonByPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.panicked();
        }
    }
}

impl Shared {
    pub(crate) fn new(index: Index, counters: Arc<Counters>) -> Self {
        Self {
            index: Mutex::new(index),
            queue: Queue::default(),
            counters,
            poison: OnceLock::new(),
            next_ticket: AtomicU64::new(1),
            active_room: AtomicU64::new(0),
            reserved_room: AtomicU64::new(0),
        }
    }

    pub(crate) fn poisoned(&self) -> Option<WalError> {
        self.poison.get().map(|reason| WalError::Poisoned(Arc::clone(reason)))
    }

    /// Says that whoever writes the log has panicked.
    pub(crate) fn panicked(&self) {
        self.poison.get_or_init(|| "the log's writer has panicked".into());
    }

    pub(crate) fn set_room(&self, active: u64, reserved: u64) {
        self.active_room.store(active, Relaxed);
        self.reserved_room.store(reserved, Relaxed);
    }
}

/// A handle to the node's log. The log closes when the last one is dropped.
#[derive(Clone)]
pub struct Wal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    prep: Arc<Prep>,
    dir: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
    desk: OnceLock<Arc<Desk>>,
    /// Held until the log is closed.
    lock: Mutex<Option<fs::File>>,
}

impl fmt::Debug for Wal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

impl Wal {
    /// Opens, or creates, the log in a directory that belongs to it alone.
    pub fn open(files: Arc<dyn Files>, options: Options) -> Result<(Self, Recovered), WalError> {
        let (wal, writer, recovered) = Self::open_still(files, &options)?;
        let desk = Arc::clone(wal.inner.desk.get_or_init(|| Arc::new(Desk::new(writer))));
        let (shared, prep) = (Arc::clone(&wal.inner.shared), Arc::clone(&wal.inner.prep));
        let spawn = |which: &str, body: Box<dyn FnOnce() + Send>| {
            let spawned = Class::Wal.spawn(which, body);
            spawned.map_err(|error| WalError::io("starting the thread", which.as_ref(), error))
        };
        let mut threads = wal.inner.threads.lock();
        threads.push(spawn("0", Box::new(move || desk.run(&shared)))?);
        threads.push(spawn("prep", Box::new(move || prep.run()))?);
        drop(threads);
        Ok((wal, recovered))
    }

    /// The log without its threads.
    pub(crate) fn open_still(
        files: Arc<dyn Files>,
        options: &Options,
    ) -> Result<(Self, Writer, Recovered), WalError> {
        let found = recovery::recover(&*files, options)?;
        let counters = Arc::new(Counters::default());
        let groups = found.groups();
        let prep = Arc::new(Prep::new(files, options, Arc::clone(&counters), found.start));
        let shared = Arc::new(Shared::new(found.index, counters));
        let fresh = found.position.is_none();
        let position = match found.position {
            Some(position) => position,
            None => recovery::first_position(&prep, options)?,
        };
        let mut writer = Writer::new(
            Arc::clone(&shared),
            Arc::clone(&prep),
            options.fsync,
            found.ledgers,
            found.segments,
            position,
        );
        if fresh {
            writer.start()?;
        }
        let threads = Mutex::default();
        let lock = Mutex::new(found.lock);
        let inner = Inner { shared, prep, dir: options.dir.clone(), threads, desk: OnceLock::new(), lock };
        let recovered = Recovered { groups, truncated_bytes: found.truncated_bytes };
        Ok((Self { inner: Arc::new(inner) }, writer, recovered))
    }

    /// Appends consecutive entries. The first index is the last one plus one, or anything above what is
    /// purged if the group is empty. They are visible to `read` at once, before they are durable.
    ///
    /// After `WalError::Full` the entries are gone again, from memory too, and with them what was
    /// appended behind them meanwhile.
    pub fn append(&self, group: u16, entries: Vec<(u64, Bytes)>, done: Done) {
        self.push_append(group, entries, done, |queue, op| queue.push(op).map(|()| 0));
    }

    /// As [`Self::append`], but nothing is written before somebody calls [`Self::wake_up`]: for who has
    /// more to append in a moment, of other groups for instance, so that one sync does for all. Says how
    /// many appends wait like this.
    pub fn append_quietly(&self, group: u16, entries: Vec<(u64, Bytes)>, done: Done) -> u64 {
        self.push_append(group, entries, done, Queue::push_quietly)
    }

    /// Writes what was appended quietly. Costs nothing if there is nothing.
    pub fn wake_up(&self) {
        self.inner.shared.queue.wake_up();
    }

    /// Writes what was appended quietly, on the caller's thread, and calls back from there: for who has
    /// nothing else to do until it is written. The log thread does it if it is at work already.
    pub fn write_here(&self) {
        let shared = &self.inner.shared;
        if shared.queue.has_quiet() && !self.inner.desk.get().is_some_and(|desk| desk.try_round(shared)) {
            shared.queue.wake_up();
        }
    }

    fn push_append(
        &self,
        group: u16,
        entries: Vec<(u64, Bytes)>,
        done: Done,
        push: impl FnOnce(&Queue, Op) -> Result<u64, Op>,
    ) -> u64 {
        let shared = &self.inner.shared;
        shared.queue.wait_for_space();
        let largest = entries.iter().map(|(_, entry)| entry.len()).max().unwrap_or(0);
        // Under the lock, so that the queue has the same order as the index.
        let mut index = shared.index.lock();
        let ticket = shared.next_ticket.fetch_add(1, Relaxed);
        let checked =
            too_large(largest, PAYLOAD_BYTES_MAX).and_then(|()| index.append(group, ticket, &entries));
        let what = match checked {
            Ok(follows) => What::Append { ticket, follows, entries },
            Err(error) => What::Refused(error),
        };
        let pushed = push(&shared.queue, Op { group, what, done });
        drop(index);
        let waiting = *pushed.as_ref().unwrap_or(&0);
        refuse(pushed.map(drop));
        waiting
    }

    /// Drops the entries above `index`; all of them for `None`. If it fails with `WalError::Full`, it is
    /// written later, before anything else of the group.
    pub fn truncate_after(&self, group: u16, index: Option<u64>, done: Done) {
        let shared = &self.inner.shared;
        let mut entries = shared.index.lock();
        entries.truncate(group, index);
        let pushed = shared.queue.push(Op { group, what: What::Truncate(index), done });
        drop(entries);
        refuse(pushed);
    }

    /// The entries up to `index` are no longer needed. `meta` comes back after a restart. Segments that
    /// no group needs are recycled. `WalError::Full` means what it means to `truncate_after`.
    pub fn purge(&self, group: u16, index: u64, meta: Bytes, done: Done) {
        let shared = &self.inner.shared;
        let mut entries = shared.index.lock();
        let what = match too_large(meta.len(), BLOB_BYTES_MAX) {
            Ok(()) => {
                entries.purge(group, index);
                What::Purge { index, meta }
            }
            Err(error) => What::Refused(error),
        };
        let pushed = shared.queue.push(Op { group, what, done });
        drop(entries);
        refuse(pushed);
    }

    /// Saves a small blob, of which the last one counts. If it need not be durable, it is written with
    /// the next batch or within a second, and `done` is called at once, by the caller's thread.
    pub fn save_state(&self, group: u16, state: Bytes, durable: bool, done: Done) {
        let shared = &self.inner.shared;
        let checked = too_large(state.len(), BLOB_BYTES_MAX);
        if durable {
            let what = checked.map_or_else(What::Refused, |()| What::State(state));
            refuse(shared.queue.push(Op { group, what, done }));
        } else {
            let checked = checked.and_then(|()| shared.poisoned().map_or(Ok(()), Err));
            done(checked.and_then(|()| shared.queue.push_lazy(group, state)));
        }
    }

    /// Consecutive entries from exactly `from` on, up to `to_exclusive`: at least one if it is there,
    /// then as many as `max_bytes` allows. Nothing if `from` is purged or not yet written.
    pub fn read(
        &self,
        group: u16,
        from: u64,
        to_exclusive: u64,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, WalError> {
        if let Some(error) = self.inner.shared.poisoned() {
            return Err(error);
        }
        read::read(&self.inner.shared, &self.inner.dir, group, (from, to_exclusive), max_bytes)
    }

    /// The first and the last entry of a group.
    pub fn bounds(&self, group: u16) -> Option<(u64, u64)> {
        self.inner.shared.index.lock().bounds(group)
    }

    /// Bytes of a group's entries in the log: the owner purges by this.
    pub fn group_bytes(&self, group: u16) -> u64 {
        self.inner.shared.index.lock().live_bytes(group)
    }

    /// Size of all of the log's files, spare ones included.
    pub fn disk_bytes(&self) -> u64 {
        self.inner.prep.disk_bytes()
    }

    /// The groups whose entries keep the oldest segment from being recycled, and up to which index
    /// each must be purged to free it. Empty if there is only one segment.
    pub fn oldest_pins(&self) -> Vec<(u16, u64)> {
        let index = self.inner.shared.index.lock();
        match index.files.first_key_value() {
            Some((&oldest, _)) if index.files.len() > 1 => index.pins(oldest),
            _ => Vec::new(),
        }
    }

    /// False while there is no space for another segment and an append of `bytes` might need one. Asking
    /// makes the log try again, about once a second.
    pub fn has_room(&self, bytes: u64) -> bool {
        let Inner { shared, prep, .. } = &*self.inner;
        if !prep.is_full() {
            return true;
        }
        // A record does not span segments: what is left of the active one may go unused.
        let needed = shared.queue.bytes() + bytes + HEADER_BYTES as u64 + BLOB_BYTES_MAX as u64;
        let ahead = shared.reserved_room.load(Relaxed) + prep.ready_bytes();
        let room = shared.active_room.load(Relaxed).max(ahead / 8 * 7);
        prep.retry_if_due();
        needed <= room
    }

    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        Stats {
            queue_depth: shared.queue.depth(),
            queue_bytes: shared.queue.bytes(),
            queue_full: shared.queue.full(),
            segments: shared.index.lock().files.len() as u64,
            poisoned: shared.poison.get().map(ToString::to_string),
            ..shared.counters.read()
        }
    }

    /// The longest sync since this was last asked.
    pub fn take_slowest_sync(&self) -> std::time::Duration {
        self.inner.shared.counters.take_slowest_sync()
    }

    /// Writes what is queued, syncs, and stops the threads. Later calls fail with `WalError::Closed`.
    pub fn close(&self) {
        self.inner.close();
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    #[cfg(test)]
    pub(crate) fn prep(&self) -> &Prep {
        &self.inner.prep
    }
}

impl Inner {
    fn close(&self) {
        self.shared.queue.close();
        self.prep.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // A callback may hold the last handle: the log's thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the log has panicked");
            }
        }
        self.lock.lock().take();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn too_large(bytes: usize, max: usize) -> Result<(), WalError> {
    if bytes > max { Err(WalError::TooLarge { bytes }) } else { Ok(()) }
}

/// Answers what a closed queue did not take.
fn refuse(pushed: Result<(), Op>) {
    if let Err(op) = pushed {
        (op.done)(Err(WalError::Closed));
    }
}
