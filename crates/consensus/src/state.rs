//! openraft's state machine over a [`Machine`]: hands committed entries over, one by one.
//!
//! For openraft an entry is applied once it is handed over. A 'snapshot' in openraft's sense is
//! only the position that the machine holds durably, up to which the log may be purged; the real
//! image is made when a follower needs one.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use openraft::{OptionalSend, RaftSnapshotBuilder};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::codec;
use crate::config::{Entry, EntryBody, LogId, SnapshotMeta, StoredMembership, Types, log_id, position};
use crate::log::LogStore;
use crate::machine::{Body, Committed, Machine, MachineError, Position, SnapshotImage};
use crate::metrics::{Counters, Queue};
use crate::role::RoleKeeper;
use crate::spool::Spool;

/// The apply queue is counted in units of this many bytes.
const UNIT_BYTES: usize = 1 << 10;

/// What openraft moves as a snapshot: nothing, when it is only a position to purge by.
pub(crate) type SnapshotData = Option<SnapshotImage>;

struct Inner {
    /// Handed to the machine.
    handed: Option<LogId>,
    /// What the machine is known to hold durably.
    persisted: Option<LogId>,
    /// The memberships that were handed over, oldest first: the one in effect at `persisted`, and
    /// those since.
    memberships: VecDeque<StoredMembership>,
}

impl Inner {
    fn membership(&self) -> StoredMembership {
        self.memberships.back().cloned().unwrap_or_default()
    }

    fn membership_at(&self, at: Option<LogId>) -> StoredMembership {
        let found = self.memberships.iter().rev().find(|m| *m.log_id() <= at);
        found.cloned().unwrap_or_default()
    }

    fn persisted(&mut self, at: LogId) {
        if self.persisted >= Some(at) {
            return;
        }
        self.persisted = Some(at);
        while self.memberships.get(1).is_some_and(|next| *next.log_id() <= Some(at)) {
            self.memberships.pop_front();
        }
    }
}

pub(crate) struct StateShared {
    machine: Arc<dyn Machine>,
    role: Arc<RoleKeeper>,
    log: LogStore,
    counters: Arc<Counters>,
    /// Bounds the bytes that the machine has queued.
    queue: Arc<Semaphore>,
    queue_units: u32,
    inner: Mutex<Inner>,
    /// Until openraft runs there is no image to be had: it would install its own at the start.
    running: AtomicBool,
    spool: Arc<Spool>,
}

#[derive(Clone)]
pub(crate) struct StateMachine {
    shared: Arc<StateShared>,
}

fn failed(error: MachineError) -> io::Error {
    io::Error::other(error)
}

impl StateMachine {
    pub(crate) fn open(
        machine: Arc<dyn Machine>,
        role: Arc<RoleKeeper>,
        log: LogStore,
        counters: Arc<Counters>,
        spool: Arc<Spool>,
        queue_bytes: usize,
    ) -> io::Result<Self> {
        let recovered = machine.recovered().map_err(failed)?;
        let applied = recovered.applied.map(log_id);
        let membership = recovered.membership.map(|bytes| codec::decode_stored_membership(&bytes));
        let membership = membership.transpose().map_err(|e| codec::invalid("the stored membership", e))?;
        if membership.as_ref().is_some_and(|m| *m.log_id() > applied) {
            return Err(io::Error::other("the store's membership is newer than its position"));
        }
        let units = (queue_bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(1 << 30));
        let inner =
            Inner { handed: applied, persisted: applied, memberships: membership.into_iter().collect() };
        let shared = StateShared {
            machine,
            role,
            log,
            counters,
            spool,
            queue: Arc::new(Semaphore::new(units)),
            queue_units: units as u32,
            inner: Mutex::new(inner),
            running: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// openraft has recovered and runs.
    pub(crate) fn runs(&self) {
        self.shared.running.store(true, Ordering::Release);
    }

    pub(crate) fn machine(&self) -> &Arc<dyn Machine> {
        &self.shared.machine
    }

    pub(crate) fn handed(&self) -> Option<LogId> {
        self.shared.inner.lock().handed
    }

    pub(crate) fn persisted(&self) -> Option<LogId> {
        self.shared.inner.lock().persisted
    }

    /// The machine's store holds everything up to `at` durably.
    pub(crate) fn note_persisted(&self, at: Position) {
        let mut inner = self.shared.inner.lock();
        let at = log_id(at);
        // A machine cannot hold what it was not given: its answer is not believed.
        if inner.handed >= Some(at) {
            inner.persisted(at);
        }
    }

    /// Waits until the machine's queue has room.
    async fn permit(&self, bytes: usize) -> io::Result<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = units.clamp(1, self.shared.queue_units);
        let queue = &self.shared.queue;
        if let Ok(permit) = queue.clone().try_acquire_many_owned(units) {
            return Ok(permit);
        }
        self.shared.counters.found_full(Queue::ApplyBytes);
        queue.clone().acquire_many_owned(units).await.map_err(io::Error::other)
    }

    /// Bytes that the machine has queued, and may have.
    pub(crate) fn queued(&self) -> (u64, u64) {
        let bytes = |units: usize| (units * UNIT_BYTES) as u64;
        let max = self.shared.queue_units as usize;
        (bytes(max.saturating_sub(self.shared.queue.available_permits())), bytes(max))
    }

    async fn hand_over(&self, entry: Entry) -> io::Result<()> {
        let id = entry.log_id;
        let bytes = match &entry.payload {
            EntryBody::Normal(payload) => payload.0.len(),
            _ => 0,
        };
        let permit = self.permit(bytes).await?;
        let mut membership = None;
        let body = match entry.payload {
            EntryBody::Blank => Body::Blank,
            EntryBody::Normal(payload) => Body::Effects(payload.0),
            EntryBody::Membership(new) => {
                let stored = StoredMembership::new(Some(id), new);
                membership = Some(codec::encode_stored_membership(&stored));
                self.shared.inner.lock().memberships.push_back(stored);
                Body::Membership
            }
        };
        let blank = body == Body::Blank;
        // Before it is handed over: the machine may persist it and say so at once.
        self.shared.inner.lock().handed = Some(id);
        self.shared.machine.apply(Committed::new(position(&id), body, membership, Some(permit)));
        self.shared.log.handed(id.index);
        if blank {
            self.shared.role.term_began(id.leader_id.term);
        }
        Ok(())
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let inner = self.shared.inner.lock();
        Ok((inner.handed, inner.membership()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            self.hand_over(entry).await?;
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotData) -> io::Result<()> {
        let (Some(at), Some(image)) = (meta.last_log_id, data) else {
            return Err(io::Error::other("a snapshot without an image cannot be installed"));
        };
        let machine = self.shared.machine.clone();
        let install = tokio::task::spawn_blocking(move || machine.install(image));
        install.await.map_err(io::Error::other)?.map_err(failed)?;
        {
            let mut inner = self.shared.inner.lock();
            inner.handed = Some(at);
            inner.memberships = VecDeque::from([meta.last_membership.clone()]);
            inner.persisted = Some(at);
        }
        self.shared.spool.installed();
        self.shared.log.handed(at.index);
        self.shared.counters.snapshots_installed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        if !self.shared.running.load(Ordering::Acquire) {
            return Ok(None);
        }
        let machine = self.shared.machine.clone();
        let image = tokio::task::spawn_blocking(move || machine.snapshot());
        let image = image.await.map_err(io::Error::other)?.map_err(failed)?;
        let last_membership = codec::decode_stored_membership(&image.membership)
            .map_err(|e| codec::invalid("the membership of a snapshot", e))?;
        let meta = SnapshotMeta { last_log_id: Some(log_id(image.at)), last_membership };
        self.shared.counters.snapshots_sent.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Snapshot { meta, snapshot: Some(image) }))
    }
}

pub(crate) type SnapshotOf = openraft::type_config::alias::SnapshotOf<Types, SnapshotData>;

impl RaftSnapshotBuilder<Types> for StateMachine {
    type SnapshotData = SnapshotData;

    /// Where the machine is durably: what openraft may purge by.
    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf> {
        let inner = self.shared.inner.lock();
        let last_membership = inner.membership_at(inner.persisted);
        Ok(Snapshot { meta: SnapshotMeta { last_log_id: inner.persisted, last_membership }, snapshot: None })
    }
}
