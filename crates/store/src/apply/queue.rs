//! The way into the apply thread.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use super::{Applier, Committed};

/// From this many bytes on the thread is called.
pub(super) const QUEUE_BYTES_CALLED: usize = 4 << 20;

pub(super) type Task = Box<dyn FnOnce(&mut Applier) + Send>;

pub(super) enum Job {
    Apply(Committed),
    /// Runs once everything queued before it is in the store.
    Barrier(Task),
}

/// Entries and barriers. Entries are bounded by their permits.
#[derive(Default)]
pub struct Queue {
    pub(super) jobs: Mutex<QueueState>,
    pub(super) arrived: Condvar,
}

#[derive(Default)]
pub(super) struct QueueState {
    pub(super) jobs: VecDeque<Job>,
    pub(super) bytes: usize,
    /// The thread sleeps until it is called; otherwise it comes by itself before long.
    pub(super) asleep: bool,
    pub(super) stopping: bool,
    /// Nobody looks here any more.
    ended: bool,
}

impl QueueState {
    /// Whether the thread ends now, because it was stopped and has nothing left.
    pub(super) fn ends(&mut self) -> bool {
        self.ended = self.jobs.is_empty() && self.stopping;
        self.ended
    }
}

impl Queue {
    pub fn apply(&self, entry: Committed) {
        self.push(Job::Apply(entry));
    }

    /// Runs `task` on the apply thread once everything queued before it is in the store. Drops it if the
    /// thread has ended: whoever waits for its answer learns that there will be none.
    pub fn barrier(&self, task: impl FnOnce(&mut Applier) + Send + 'static) {
        self.push(Job::Barrier(Box::new(task)));
    }

    /// Ends the apply thread once the queue is empty.
    pub fn stop(&self) {
        self.jobs.lock().stopping = true;
        self.arrived.notify_one();
    }

    /// Calls the thread only if there is a reason: entries are collected for a while anyway, and a
    /// call costs the caller, a raft thread, more than everything else here.
    fn push(&self, job: Job) {
        let mut state = self.jobs.lock();
        if state.ended {
            return;
        }
        let urgent = match &job {
            Job::Apply(entry) => {
                let before = state.bytes;
                state.bytes += entry.payload.len();
                before < QUEUE_BYTES_CALLED && state.bytes >= QUEUE_BYTES_CALLED
            }
            Job::Barrier(_) => true,
        };
        state.jobs.push_back(job);
        if urgent || std::mem::take(&mut state.asleep) {
            self.arrived.notify_one();
        }
    }

    pub fn len(&self) -> usize {
        self.jobs.lock().jobs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
