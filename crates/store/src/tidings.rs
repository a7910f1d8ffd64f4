//! Tidings: what others are to be told of a transaction once it is committed. It carries them like its
//! writes: what is undone, dropped or run once more takes them with it. They are queued in the section, so
//! that they are told in the order of its commits, and let go when their gate opens; when an epoch ends,
//! those vanish that it has not committed.
//!
//! Whoever makes tidings bounds them: what is queued here is what was made and not told yet.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::group::Group;
use crate::lanes::Gate;
use crate::scratch::Scratch;
use crate::sequencer::{Fate, Sequencer};
use crate::txn::Txn;

/// Something to be told.
pub trait Tiding: Send {
    /// Its transaction is committed. Those behind it wait meanwhile: it is handed on, nothing else.
    fn tell(self: Box<Self>);
}

/// The tidings of a group, in the order of the section.
#[derive(Default)]
pub(crate) struct Tidings {
    waiting: Mutex<VecDeque<(Gate, Box<dyn Tiding>)>>,
    /// How many wait: read without the lock.
    count: AtomicUsize,
}

impl Tidings {
    /// Takes what a transaction tells. The section is held by the caller.
    pub(crate) fn push(&self, gate: Gate, tidings: impl Iterator<Item = Box<dyn Tiding>>) {
        let mut waiting = self.waiting.lock();
        waiting.extend(tidings.map(|tiding| (gate, tiding)));
        self.count.store(waiting.len(), Ordering::SeqCst);
    }

    /// Tells what is committed by now, up to the first that is not.
    fn release(&self, sequencer: &Sequencer) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        // IMPORTANT: held until all is told, or another thread could tell what comes next before it.
        let mut waiting = self.waiting.lock();
        while let Some((gate, _)) = waiting.front() {
            let fate = sequencer.fate(gate.epoch, gate.stamp);
            if fate == Fate::Pending {
                break;
            }
            if let Some((_, tiding)) = waiting.pop_front()
                && fate == Fate::Committed
            {
                tiding.tell();
            }
        }
        self.count.store(waiting.len(), Ordering::SeqCst);
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

impl Group {
    /// Tells what is committed by now. Called by whoever submits batches, so after every commit.
    pub fn release_tidings(&self) {
        self.tidings.release(&self.sequencer);
    }

    /// What a transaction tells that only reads, which depends on what it has seen.
    pub(crate) fn tell_behind(&self, gate: Gate, scratch: &mut Scratch) {
        if !scratch.tidings.is_empty() {
            let _section = self.sequencer.lock();
            self.tidings.push(gate, scratch.tidings.drain(..));
        }
    }

    /// How many tidings wait for their commit.
    pub fn tidings(&self) -> usize {
        self.tidings.len()
    }
}

impl Txn<'_> {
    /// Something is to be told once this transaction is committed; of one that only reads, once what it has seen is.
    pub fn tell(&mut self, tiding: Box<dyn Tiding>) {
        self.scratch.tidings.push(tiding);
    }

    /// What it does that others learn of, if it is committed: whether it writes, and whether it tells.
    pub(crate) fn does(&self) -> Does {
        Does { write: self.has_writes(), tell: !self.scratch.tidings.is_empty() }
    }
}

/// What a transaction does that others learn of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Does {
    pub(crate) write: bool,
    pub(crate) tell: bool,
}

impl Does {
    pub(crate) const NOTHING: Self = Self { write: false, tell: false };
}
