//! One group as the server sees it: its store, its consensus handle, and the pump that moves
//! batches from the one to the other.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base::Stamp;
use consensus::{Completion, Leadership, NotCommitted, Position, Proposal};
use store::apply::Queue;

use crate::engine::clients::Wakers;
use crate::session::histogram::Histogram;

/// Counters of a group's batches.
#[derive(Default)]
pub struct BatchStats {
    pub batches: AtomicU64,
    pub transactions: AtomicU64,
    pub effects: AtomicU64,
    pub bytes: AtomicU64,
    /// From submission to commit, since CONFIG RESETSTAT.
    pub commits: Histogram,
}

pub struct Group {
    pub id: u16,
    pub store: Arc<store::Group>,
    pub queue: Arc<Queue>,
    pub stats: BatchStats,
    pub apply_stats: Arc<store::apply::Stats>,
    consensus: OnceLock<consensus::Group>,
    /// The term that the open epoch belongs to; zero while this node does not lead.
    term: AtomicU64,
    wakers: Arc<Wakers>,
    /// Why its store failed for good.
    pub failure: Arc<OnceLock<String>>,
    /// The greatest stamp that somebody may have been told is committed.
    acknowledged: AtomicU64,
    /// The epoch in which a group whose log has failed is read; zero if there is none.
    reading: AtomicU64,
}

impl Group {
    pub fn new(
        id: u16,
        store: Arc<store::Group>,
        queue: Arc<Queue>,
        apply_stats: Arc<store::apply::Stats>,
        wakers: Arc<Wakers>,
        failure: Arc<OnceLock<String>>,
    ) -> Self {
        Self {
            id,
            store,
            queue,
            stats: BatchStats::default(),
            apply_stats,
            consensus: OnceLock::new(),
            term: AtomicU64::new(0),
            wakers,
            failure,
            acknowledged: AtomicU64::new(0),
            reading: AtomicU64::new(0),
        }
    }

    /// The node hands over the consensus handle once it has one.
    pub fn connect(&self, consensus: consensus::Group) {
        let first = self.consensus.set(consensus).is_ok();
        debug_assert!(first, "a group is connected once");
    }

    pub fn consensus(&self) -> Option<&consensus::Group> {
        self.consensus.get()
    }

    /// Whether this node has led without doubt from the beginning of `epoch` until `now`: what was read
    /// here is linearizable then. IMPORTANT: asked after reading, with a time after reading, or a
    /// thread that was not run for a while in between would tell what is no longer true.
    pub fn has_led(&self, epoch: u64, now: Instant) -> bool {
        let lease = self.consensus.get().and_then(consensus::Group::lease);
        let held =
            lease.is_some_and(|lease| lease.term == self.term.load(Ordering::SeqCst) && lease.until > now);
        let nobody_else_can = self.reading.load(Ordering::SeqCst) == epoch;
        (held || nobody_else_can) && self.store.sequencer.epoch() == epoch
    }

    /// Whether the group is open, but for reading only: see [`Self::read_on`].
    pub fn is_only_read(&self) -> bool {
        self.store.sequencer.open_epoch() == Some(self.reading.load(Ordering::SeqCst))
    }

    /// Lets a group be read whose log has failed, if no other node can lead it: nothing is ever
    /// committed to it again before this node is restarted. Called now and then until it can be, when
    /// writes are refused already.
    pub fn read_on(self: &Arc<Self>, node_id: u64) {
        let sequencer = &self.store.sequencer;
        let Some(metrics) = self.consensus.get().map(consensus::Group::metrics) else { return };
        if metrics.failure.is_none()
            || !metrics.voters.iter().eq([&node_id])
            || self.failure.get().is_some()
            || sequencer.open_epoch().is_some()
        {
            return;
        }
        let group = self.clone();
        let epoch = sequencer.epoch();
        self.queue.barrier(move |applier| {
            let stored = applier.stored().last;
            // IMPORTANT: consensus may have stopped before it handed over all that it had committed. What
            // somebody was told must not be missing, so then nothing is read before the restart.
            if stored.0 < group.acknowledged.load(Ordering::SeqCst)
                || group.store.sequencer.open_epoch().is_some()
                || group.failure.get().is_some()
            {
                return;
            }
            group.store.sequencer.reset();
            group.reading.store(epoch, Ordering::SeqCst);
            match group.store.open_for_reading(epoch, stored) {
                Ok(opened) => tracing::info!(group = group.id, epoch, opened, "only read from now on"),
                Err(error) => tracing::error!(group = group.id, %error, "the group cannot be read"),
            }
            group.wakers.wake_all();
        });
    }

    /// Whether the group is between two epochs that this node both leads: it opens again in a moment,
    /// and whoever comes now waits.
    pub fn is_reopening(&self) -> bool {
        self.term.load(Ordering::SeqCst) != 0
            && self.failure.get().is_none()
            && self.store.sequencer.open_epoch().is_none()
    }

    /// Submits the next batch if none is in flight. Called by whoever added to a batch and by whoever
    /// is woken by a commit; never by a raft thread.
    pub fn pump(self: &Arc<Self>) {
        for Proposal { group, term, payload, done } in self.next_proposals() {
            group.submit(term, payload, done);
        }
        self.store.release_tidings();
    }

    /// The entries of the next batch, if none is in flight.
    pub fn next_proposals(self: &Arc<Self>) -> Vec<Proposal> {
        let Some(batch) = self.store.sequencer.take_batch() else { return Vec::new() };
        let term = self.term.load(Ordering::SeqCst);
        self.stats.batches.fetch_add(1, Ordering::Relaxed);
        self.stats.transactions.fetch_add(batch.transactions, Ordering::Relaxed);
        self.stats.effects.fetch_add(batch.effects as u64, Ordering::Relaxed);
        self.stats.bytes.fetch_add(batch.bytes as u64, Ordering::Relaxed);
        let in_flight =
            InFlight { group: self.clone(), epoch: batch.epoch, last: batch.last, submitted: Instant::now() };
        let Some(consensus) = self.consensus.get() else {
            Box::new(in_flight).failed(NotCommitted::Refused("the node is starting".into()));
            return Vec::new();
        };
        let mut entries = batch.entries;
        let last = entries.pop();
        let proposal = |payload, done| Proposal { group: consensus.clone(), term, payload, done };
        // If a part is not taken, the last one goes all the same: the epoch has ended by then, and
        // without its first parts it has no effect.
        let parts = entries.into_iter().map(|part| -> (_, Box<dyn Completion>) {
            (part, Box::new(Part { group: self.clone(), epoch: batch.epoch }))
        });
        let last = last.map(|last| -> (_, Box<dyn Completion>) { (last, Box::new(in_flight)) });
        parts.chain(last).map(|(payload, done)| proposal(payload, done)).collect()
    }

    /// Consensus says that leadership changed. On a raft thread.
    pub fn on_leadership(self: &Arc<Self>, change: Leadership) {
        match change {
            Leadership::Leading { term } => {
                tracing::info!(group = self.id, term, "leading");
                self.open(term);
            }
            Leadership::Following { leader } => {
                tracing::info!(group = self.id, ?leader, "following");
                self.term.store(0, Ordering::SeqCst);
                self.end_epoch(self.store.sequencer.epoch(), None);
                self.store.sees_no_more();
            }
        }
    }

    /// Opens the running epoch once the store has everything that was handed over.
    fn open(self: &Arc<Self>, term: u64) {
        self.term.store(term, Ordering::SeqCst);
        let group = self.clone();
        let epoch = self.store.sequencer.epoch();
        self.queue.barrier(move |applier| {
            if group.term.load(Ordering::SeqCst) != term {
                return;
            }
            group.store.sequencer.reset();
            match group.store.open(epoch, applier.stored().last) {
                Ok(opened) => tracing::debug!(group = group.id, epoch, opened, "section opened"),
                Err(error) => tracing::error!(group = group.id, %error, "the section cannot open"),
            }
            group.wakers.wake_all();
        });
    }

    fn not_committed(self: &Arc<Self>, epoch: u64, why: NotCommitted) {
        let refused = match why {
            NotCommitted::Refused(why) => Some(why.into()),
            NotCommitted::Uncertain => None,
        };
        tracing::warn!(group = self.id, ?refused, "a batch was not committed");
        self.end_epoch(epoch, refused);
    }

    /// What was sequenced and not committed is void; the section opens again if this node still
    /// leads.
    fn end_epoch(self: &Arc<Self>, epoch: u64, refused: Option<Arc<str>>) {
        if !self.store.sequencer.end_epoch(epoch, refused) {
            return;
        }
        self.wakers.wake_all();
        let term = self.term.load(Ordering::SeqCst);
        if term != 0 {
            self.open(term);
            return;
        }
        let group = self.clone();
        self.queue.barrier(move |_| {
            if group.term.load(Ordering::SeqCst) == 0 {
                group.store.sequencer.reset();
            }
        });
    }
}

/// All but the last entry of a batch that takes several: nothing happens when it is committed.
struct Part {
    group: Arc<Group>,
    epoch: u64,
}

impl Completion for Part {
    fn committed(self: Box<Self>, _at: Position) {}

    fn failed(self: Box<Self>, why: NotCommitted) {
        self.group.not_committed(self.epoch, why);
    }
}

/// A batch on its way. Told of its fate on a raft thread: a few stores and a wake-up.
struct InFlight {
    group: Arc<Group>,
    epoch: u64,
    last: Stamp,
    submitted: Instant,
}

impl Completion for InFlight {
    fn committed(self: Box<Self>, _at: Position) {
        let us = self.submitted.elapsed().as_micros() as u64;
        self.group.stats.commits.record(us);
        self.group.acknowledged.fetch_max(self.last.0, Ordering::SeqCst);
        self.group.store.sequencer.on_committed(self.epoch, self.last);
        self.group.wakers.committed();
    }

    fn failed(self: Box<Self>, why: NotCommitted) {
        self.group.not_committed(self.epoch, why);
    }
}
