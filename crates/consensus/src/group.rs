//! A handle on one group: proposing, leases, membership, metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use base::limits::ENTRY_BYTES_MAX;
use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{InitializeError, RaftError};
use openraft::impls::BasicNode;
use openraft::{ChangeMembers, ReadPolicy, ServerState};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use wal::Wal;

use crate::config::{Payload, Raft, Reply, position};
use crate::log::LogStore;
use crate::machine::{Completion, NotCommitted};
use crate::metrics::{Counters, GroupMetrics, Queue, QueueMetrics, Role};
use crate::role::RoleKeeper;
use crate::spool::Spool;
use crate::state::StateMachine;
use crate::submit::Pending;

/// Proposals in flight in a group. The server keeps one batch in flight, so this is only reached
/// by a mistake; it stays below openraft's channel, which then never fills.
pub(crate) const IN_FLIGHT_MAX: u64 = 16_384;
/// What an administrative call waits for at most.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a group that is being founded is looked at.
const FOUNDED_EVERY: Duration = Duration::from_millis(1);

/// How long the leader of a term may read without asking anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub term: u64,
    pub until: Instant,
}

#[derive(Debug, Error)]
pub enum ChangeError {
    #[error("{0}")]
    Refused(String),
    #[error("no answer in time; the change may still take place")]
    Timeout,
}

/// An entry to propose in a group, if this node still leads the term.
pub struct Proposal {
    pub group: Group,
    pub term: u64,
    pub payload: Bytes,
    pub done: Box<dyn Completion>,
}

pub(crate) struct GroupCore {
    pub(crate) group: u16,
    pub(crate) node_id: u64,
    pub(crate) runtime: Handle,
    pub(crate) raft: Raft,
    pub(crate) role: Arc<RoleKeeper>,
    pub(crate) log: LogStore,
    pub(crate) state: StateMachine,
    pub(crate) counters: Arc<Counters>,
    pub(crate) wal: Wal,
    pub(crate) spool: Arc<Spool>,
    /// Only one snapshot comes in at a time.
    pub(crate) receiving: Arc<tokio::sync::Mutex<()>>,
    /// Why the group does not serve.
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) closing: AtomicBool,
    /// Before that, this node may have promised a lease in its earlier life, and does not vote.
    pub(crate) votes_from: Mutex<Instant>,
    /// For how long a voter that heard from a leader votes for no other.
    pub(crate) lease: Duration,
    pub(crate) backlog_bytes_max: u64,
    pub(crate) backlog_entries_max: u64,
    pub(crate) purge: PurgeAsked,
    pub(crate) keep_bytes: u64,
    confirming: Mutex<Confirming>,
}

/// Who asks for a purge, and how far it must go.
#[derive(Default)]
pub(crate) struct PurgeAsked {
    pub(crate) upto: Mutex<Option<u64>>,
    pub(crate) asked: Notify,
}

type Confirmed = Box<dyn FnOnce(bool) + Send>;

#[derive(Default)]
struct Confirming {
    running: bool,
    waiting: Vec<Confirmed>,
}

pub(crate) struct GroupParts {
    pub(crate) group: u16,
    pub(crate) node_id: u64,
    pub(crate) runtime: Handle,
    pub(crate) raft: Raft,
    pub(crate) role: Arc<RoleKeeper>,
    pub(crate) log: LogStore,
    pub(crate) state: StateMachine,
    pub(crate) counters: Arc<Counters>,
    pub(crate) wal: Wal,
    pub(crate) spool: Arc<Spool>,
    pub(crate) lease: Duration,
    pub(crate) keep_bytes: u64,
    pub(crate) backlog_bytes_max: u64,
    pub(crate) backlog_entries_max: u64,
}

impl GroupCore {
    pub(crate) fn new(parts: GroupParts) -> Self {
        Self {
            group: parts.group,
            node_id: parts.node_id,
            runtime: parts.runtime,
            raft: parts.raft,
            role: parts.role,
            log: parts.log,
            state: parts.state,
            counters: parts.counters,
            wal: parts.wal,
            spool: parts.spool,
            receiving: Arc::default(),
            failure: Mutex::default(),
            closing: AtomicBool::new(false),
            votes_from: Mutex::new(Instant::now()),
            lease: parts.lease,
            keep_bytes: parts.keep_bytes,
            backlog_bytes_max: parts.backlog_bytes_max,
            backlog_entries_max: parts.backlog_entries_max,
            purge: PurgeAsked::default(),
            confirming: Mutex::default(),
        }
    }

    /// Whether `bytes` more may come into this group's log; if not, why.
    pub(crate) fn admit(&self, bytes: usize) -> Result<(), String> {
        let (backlog_bytes, backlog_entries) = self.log.backlog();
        // What comes now is not counted: a request that is larger than the bound must come through
        // some time.
        let (queue, why) = if backlog_bytes > self.backlog_bytes_max {
            (Queue::BacklogBytes, "the machine is too far behind the log")
        } else if backlog_entries >= self.backlog_entries_max {
            (Queue::BacklogEntries, "too many entries wait for the machine")
        } else if !self.wal.has_room(bytes as u64) {
            (Queue::Held, "the disk is full")
        } else {
            return Ok(());
        };
        self.counters.found_full(queue);
        Err(why.into())
    }

    fn queue(&self, queue: Queue) -> QueueMetrics {
        let (backlog_bytes, backlog_entries) = self.log.backlog();
        let (depth, max) = match queue {
            Queue::Proposals => (self.counters.in_flight.get(), IN_FLIGHT_MAX),
            Queue::BacklogBytes => (backlog_bytes, self.backlog_bytes_max),
            Queue::BacklogEntries => (backlog_entries, self.backlog_entries_max),
            Queue::ApplyBytes => self.state.queued(),
            // They are entries of the backlog, too.
            Queue::Held => (self.log.held(), self.backlog_entries_max),
        };
        QueueMetrics { depth, max, full: self.counters.full(queue) }
    }
}

/// A cheap handle on a group.
#[derive(Clone)]
pub struct Group(pub(crate) Arc<GroupCore>);

impl Group {
    pub fn id(&self) -> u16 {
        self.0.group
    }

    /// Founds a pristine group with these voters, of which this node must be one. Does nothing
    /// when the group exists. Founding the same group on several nodes is fine if they name the
    /// same members. Blocks; not for raft threads.
    pub fn bootstrap(&self, members: BTreeMap<u64, String>) -> Result<(), ChangeError> {
        let core = self.0.clone();
        self.block(async move {
            let members: BTreeMap<u64, BasicNode> =
                members.into_iter().map(|(id, addr)| (id, BasicNode { addr })).collect();
            match core.raft.initialize(members).await {
                Ok(()) => founded(&core).await,
                Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
                Err(error) => Err(ChangeError::Refused(error.to_string())),
            }
        })?
    }

    /// Proposes one entry, only if this node still leads `term`. Never blocks.
    pub fn submit(&self, term: u64, payload: Bytes, done: Box<dyn Completion>) {
        let core = &*self.0;
        if let Err(why) = self.submittable(term, payload.len()) {
            return done.failed(NotCommitted::Refused(why));
        }
        self.send(term, payload, Pending::new(done, core.counters.clone()));
    }

    /// The channel to the core has room for everything that may be in flight, so one poll sends it, unless the core has
    /// just stopped: then the proposal is given back at once, and what is left to do is to learn why.
    ///
    /// IMPORTANT: it is done to its end. openraft has nobody else learn it if who is about to is dropped, and panics.
    pub(crate) fn send(&self, term: u64, payload: Bytes, pending: Pending) {
        let raft = self.0.raft.clone();
        let mut sending = Box::pin(tokio::task::unconstrained(async move {
            let _ = raft.write(Payload(payload)).responder(Reply::new(pending)).with_leader(term).await;
        }));
        if sending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.0.runtime.spawn(sending);
        }
    }

    /// Proposes entries of several groups: their raft thread is woken once, and finds all of them.
    pub fn submit_together(proposals: Vec<Proposal>) {
        let mut threads: Vec<(Handle, Vec<Proposal>)> = Vec::new();
        for proposal in proposals {
            let runtime = &proposal.group.0.runtime;
            match threads.iter_mut().find(|(known, _)| known.id() == runtime.id()) {
                Some((_, proposals)) => proposals.push(proposal),
                None => threads.push((runtime.clone(), vec![proposal])),
            }
        }
        for (runtime, proposals) in threads {
            runtime.spawn(async move {
                for Proposal { group, term, payload, done } in proposals {
                    group.submit(term, payload, done);
                }
            });
        }
    }

    fn submittable(&self, term: u64, len: usize) -> Result<(), String> {
        let core = &*self.0;
        if core.role.leading() != Some(term) {
            return Err(format!("this node does not lead term {term}"));
        }
        if len > ENTRY_BYTES_MAX - crate::codec::ENTRY_HEADER {
            return Err(format!("{len} bytes are too many for one entry"));
        }
        if core.counters.in_flight.get() >= IN_FLIGHT_MAX {
            core.counters.found_full(Queue::Proposals);
            return Err("too many proposals are in flight".into());
        }
        core.admit(len)
    }

    /// Until when reads on this leader are linearizable without asking; `None` when it does not
    /// lead or cannot tell. The lease of an only voter does not run out.
    pub fn lease(&self) -> Option<Lease> {
        self.0.role.lease().map(|(term, until)| Lease { term, until })
    }

    /// Asks a quorum whether this node still leads: calls back with `true` when every write that
    /// was acknowledged before this call has been handed to the machine. Calls that come while a
    /// round is under way share the next one.
    pub fn confirm_leadership(&self, done: Box<dyn FnOnce(bool) + Send>) {
        let mut confirming = self.0.confirming.lock();
        if self.0.closing.load(Ordering::Acquire) {
            drop(confirming);
            return done(false);
        }
        confirming.waiting.push(done);
        if !confirming.running {
            confirming.running = true;
            let core = self.0.clone();
            self.0.runtime.spawn(async move { confirm_rounds(&core).await });
        }
    }

    /// The node has stopped: nobody confirms anything any more.
    pub(crate) fn confirm_no_more(&self) {
        let waiting = std::mem::take(&mut self.0.confirming.lock().waiting);
        for done in waiting {
            done(false);
        }
    }

    pub fn add_learner(&self, node: u64, address: String) -> Result<(), ChangeError> {
        let raft = self.0.raft.clone();
        self.block(async move {
            let added = raft.add_learner(node, BasicNode { addr: address }, false).await;
            added.map(|_| ()).map_err(|error| ChangeError::Refused(error.to_string()))
        })?
    }

    /// Makes these nodes, which must be members already, the voters. The others leave, or stay as
    /// learners if `keep_learners`. Returns when the change is committed. Blocks; not for raft
    /// threads.
    pub fn change_membership(&self, voters: BTreeSet<u64>, keep_learners: bool) -> Result<(), ChangeError> {
        let raft = self.0.raft.clone();
        self.block(async move {
            let changed =
                raft.change_membership(ChangeMembers::ReplaceAllVoters(voters), keep_learners).await;
            changed.map(|_| ()).map_err(|error| ChangeError::Refused(error.to_string()))
        })?
    }

    /// Hands leadership over to a voter. From now on this node has no lease and takes no proposals;
    /// whether the other takes over is seen in the metrics.
    pub fn transfer_leader(&self, to: u64) -> Result<(), ChangeError> {
        let raft = self.0.raft.clone();
        self.0.role.hands_over();
        self.block(async move {
            let sent = raft.trigger().transfer_leader(to).await;
            sent.map_err(|error| ChangeError::Refused(error.to_string()))
        })?
    }

    /// Starts an election on this node.
    pub fn trigger_election(&self) -> Result<(), ChangeError> {
        let raft = self.0.raft.clone();
        self.block(async move {
            raft.trigger().elect(false).await.map_err(|error| ChangeError::Refused(error.to_string()))
        })?
    }

    /// Has the machine persist, and purges the log as far as that allows, however much a follower
    /// lags behind. Returns at once; the metrics show when it is done.
    pub fn trigger_purge(&self) {
        self.ask_purge(u64::MAX);
    }

    pub(crate) fn ask_purge(&self, upto: u64) {
        let mut asked = self.0.purge.upto.lock();
        *asked = (*asked).max(Some(upto));
        self.0.purge.asked.notify_one();
    }

    pub fn metrics(&self) -> GroupMetrics {
        let core = &*self.0;
        let raft = core.raft.metrics();
        let seen = raft.borrow_watched();
        let role = match seen.state {
            ServerState::Learner => Role::Learner,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Leader => Role::Leader,
            ServerState::Shutdown => Role::Stopped,
        };
        let membership = seen.membership_config.membership();
        let failure = core.failure.lock().clone();
        let role = if failure.is_some() { Role::Stopped } else { role };
        let replicated = seen.replication.iter().flatten();
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        GroupMetrics {
            term: seen.current_term,
            leader: seen.current_leader,
            role,
            last_log: seen.last_log_index,
            committed: seen.local_committed.as_ref().map(position),
            applied: core.state.handed().as_ref().map(position),
            persisted: core.state.persisted().as_ref().map(position),
            purged: core.log.purged().as_ref().map(position),
            replicated: replicated.map(|(&node, at)| (node, at.as_ref().map(position))).collect(),
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            addresses: membership.nodes().map(|(&id, node)| (id, node.addr.clone())).collect(),
            elections: core.role.elections(),
            queues: Queue::ALL.map(|queue| core.queue(queue)),
            snapshots_sent: load(&core.counters.snapshots_sent),
            snapshots_installed: load(&core.counters.snapshots_installed),
            purges: load(&core.counters.purges),
            commit_latency: core.counters.latency(),
            failure,
        }
    }

    /// Runs a future on the group's own thread and waits for it.
    pub(crate) fn block<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let (tx, rx) = mpsc::sync_channel(1);
        self.0.runtime.spawn(async move {
            let _ = tx.send(future.await);
        });
        rx.recv_timeout(ADMIN_TIMEOUT).map_err(|_| ChangeError::Timeout)
    }
}

/// Waits until the first entry is durable: openraft answers before that.
async fn founded(core: &GroupCore) -> Result<(), ChangeError> {
    while !core.log.is_durable(0) {
        if let Some(why) = core.log.failure() {
            return Err(ChangeError::Refused(why));
        }
        tokio::time::sleep(FOUNDED_EVERY).await;
    }
    Ok(())
}

/// One quorum round after another, as long as somebody waits.
async fn confirm_rounds(core: &GroupCore) {
    loop {
        let waiting = {
            let mut confirming = core.confirming.lock();
            if confirming.waiting.is_empty() {
                confirming.running = false;
                return;
            }
            std::mem::take(&mut confirming.waiting)
        };
        let confirmed = core.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.is_ok();
        for done in waiting {
            done(confirmed);
        }
    }
}
