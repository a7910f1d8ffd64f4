//! What callers want written, on its way to the log thread.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::{
    bounds::{LAZY_MS_MAX, QUEUE_BYTES_MAX},
    error::WalError,
    record::{HEADER_BYTES, record_bytes},
    wal::Done,
};

pub(crate) struct Op {
    pub(crate) group: u16,
    pub(crate) what: What,
    pub(crate) done: Done,
}

pub(crate) enum What {
    Append {
        ticket: u64,
        /// The group's last entry when this was asked for.
        follows: Option<u64>,
        entries: Vec<(u64, Bytes)>,
    },
    Truncate(Option<u64>),
    Purge {
        index: u64,
        meta: Bytes,
    },
    State(Bytes),
    /// Refused by the caller's thread; answered in turn by the log thread.
    Refused(WalError),
}

impl Op {
    fn bytes(&self) -> u64 {
        match &self.what {
            What::Append { entries, .. } => entries.iter().map(|(_, entry)| record_bytes(entry.len())).sum(),
            What::Purge { meta: blob, .. } | What::State(blob) => record_bytes(blob.len()),
            What::Truncate(_) | What::Refused(_) => HEADER_BYTES as u64,
        }
    }
}

/// What the log thread gets at a time.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) ops: Vec<Op>,
    /// The last lazily saved state of each group.
    pub(crate) lazy: BTreeMap<u16, Bytes>,
    pub(crate) bytes: u64,
    pub(crate) closed: bool,
    /// The alarm has rung.
    pub(crate) due: bool,
}

/// Whether the log thread waits and is to be woken.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Parked {
    #[default]
    No,
    UntilAlarm,
    Forever,
}

#[derive(Default)]
struct State {
    ops: Vec<Op>,
    lazy: BTreeMap<u16, Bytes>,
    closed: bool,
    parked: Parked,
    /// When the log thread must look even if nobody asks it to.
    alarm: Option<Instant>,
    /// Who writes at the moment: it must never wait for itself.
    consumer: Option<ThreadId>,
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    work: Condvar,
    space: Condvar,
    /// Queued and not yet written.
    bytes: AtomicU64,
    depth: AtomicU64,
    /// Queued since the log thread last looked, without waking it.
    quiet: AtomicU64,
    /// How often somebody had to wait for room.
    full: AtomicU64,
}

impl Queue {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(crate) fn depth(&self) -> u64 {
        self.depth.load(Relaxed)
    }

    pub(crate) fn full(&self) -> u64 {
        self.full.load(Relaxed)
    }

    /// Waits while too much is queued. Called before any lock is taken.
    pub(crate) fn wait_for_space(&self) {
        if self.bytes() <= QUEUE_BYTES_MAX {
            return;
        }
        self.full.fetch_add(1, Relaxed);
        // Or what was queued quietly would be waited for in vain.
        self.wake_up();
        let mut state = self.state.lock();
        if state.consumer == Some(thread::current().id()) {
            return;
        }
        while self.bytes() > QUEUE_BYTES_MAX && !state.closed {
            self.space.wait(&mut state);
        }
    }

    /// Gives the op back if the log is closed.
    pub(crate) fn push(&self, op: Op) -> Result<(), Op> {
        self.wake(self.put(op)?);
        Ok(())
    }

    /// As `push`, but the log thread may sleep on until it is woken by [`Self::wake_up`] or by another
    /// push. Says how many ops wait like this.
    pub(crate) fn push_quietly(&self, op: Op) -> Result<u64, Op> {
        let _state = self.put(op)?;
        Ok(self.quiet.fetch_add(1, Relaxed) + 1)
    }

    /// Wakes the log thread if something was pushed quietly.
    pub(crate) fn wake_up(&self) {
        if self.has_quiet() {
            self.quiet.store(0, Relaxed);
            self.wake(self.state.lock());
        }
    }

    fn put(&self, op: Op) -> Result<parking_lot::MutexGuard<'_, State>, Op> {
        let bytes = op.bytes();
        let mut state = self.state.lock();
        if state.closed {
            return Err(op);
        }
        // A state of its own replaces one that was to be saved some time.
        if matches!(op.what, What::State(_)) {
            state.lazy.remove(&op.group);
        }
        state.ops.push(op);
        self.bytes.fetch_add(bytes, Relaxed);
        self.depth.fetch_add(1, Relaxed);
        Ok(state)
    }

    /// Saved with the next batch, or within a second.
    pub(crate) fn push_lazy(&self, group: u16, blob: Bytes) -> Result<(), WalError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(WalError::Closed);
        }
        state.lazy.insert(group, blob);
        self.set_alarm(state);
        Ok(())
    }

    /// Something waits for the alarm: it rings within a second.
    fn set_alarm(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        state.alarm.get_or_insert_with(|| Instant::now() + Duration::from_millis(LAZY_MS_MAX));
        // Who waits until the alarm looks when it rings; who waits for ever does not know of it.
        if state.parked == Parked::Forever {
            self.wake(state);
        }
    }

    fn wake(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        if parked != Parked::No {
            self.work.notify_one();
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.space.notify_all();
        self.wake(state);
    }

    /// Waits until there is something to write, or the alarm rings.
    pub(crate) fn wait(&self) {
        let mut state = self.state.lock();
        while state.ops.is_empty() && !state.closed {
            match state.alarm {
                None => {
                    state.parked = Parked::Forever;
                    self.work.wait(&mut state);
                }
                Some(at) => {
                    state.parked = Parked::UntilAlarm;
                    if self.work.wait_until(&mut state, at).timed_out() {
                        break;
                    }
                }
            }
        }
        state.parked = Parked::No;
    }

    /// What is there now, for a thread that writes it. `batch.ops` is empty, and its memory is reused.
    pub(crate) fn take(&self, batch: &mut Batch) {
        let mut state = self.state.lock();
        state.consumer = Some(thread::current().id());
        self.quiet.store(0, Relaxed);
        std::mem::swap(&mut state.ops, &mut batch.ops);
        batch.lazy = std::mem::take(&mut state.lazy);
        batch.bytes = batch.ops.iter().map(Op::bytes).sum();
        batch.closed = state.closed;
        batch.due = state.alarm.take_if(|at| *at <= Instant::now()).is_some();
    }

    /// What was taken is dealt with. `wants_alarm`: something is left for later.
    pub(crate) fn rest(&self, wants_alarm: bool) {
        let mut state = self.state.lock();
        state.consumer = None;
        if wants_alarm {
            self.set_alarm(state);
        }
    }

    /// Whether something was pushed quietly.
    pub(crate) fn has_quiet(&self) -> bool {
        self.quiet.load(Relaxed) > 0
    }

    /// So much of what was taken is written, or answered otherwise.
    pub(crate) fn finished(&self, bytes: u64, ops: u64) {
        self.depth.fetch_sub(ops, Relaxed);
        let before = self.bytes.fetch_sub(bytes, Relaxed);
        if before > QUEUE_BYTES_MAX {
            // Under the lock, so that nobody is between looking and waiting.
            let _state = self.state.lock();
            self.space.notify_all();
        }
    }
}
