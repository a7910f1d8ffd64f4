//! Whether this node leads a group: tells the machine, and keeps the lease that reads go by.
//!
//! The vote is watched where it is saved: openraft saves a newer vote before it appends, and so
//! before it commits, any entry of a newer term. That is what makes `Following` come in time.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::config::{Membership, StoredMembership, Vote};
use crate::machine::{Leadership, Machine};

/// Leases end as nanoseconds since this instant. Set long before any lease is granted.
fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

fn nanos(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(origin()).as_nanos()).unwrap_or(u64::MAX)
}

/// The end of a lease that does not run out: a century, which every clock can express.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

#[derive(Default)]
struct Inner {
    vote: Option<Vote>,
    /// The term of which the machine was told that this node leads it, until it is told otherwise.
    announced: Option<u64>,
    /// The index of the newest membership in the log: what is known of older ones is stale.
    membership_index: Option<u64>,
    /// This node may not hold a lease: it hands over leadership, or is no voter any more.
    no_lease: bool,
    /// This node is the only voter.
    alone: bool,
}

/// openraft's view of this node and its group.
pub(crate) struct Observed<'a> {
    pub(crate) term: u64,
    pub(crate) leads: bool,
    /// In effect.
    pub(crate) membership: &'a StoredMembership,
    /// When what a quorum has acknowledged by now was sent.
    pub(crate) acked: Option<Instant>,
}

/// How many groups of a raft thread have voters beside this node, or may have.
pub(crate) type Accompanied = Arc<AtomicU64>;

pub(crate) struct RoleKeeper {
    node_id: u64,
    machine: Arc<dyn Machine>,
    lease: Duration,
    accompanied: Accompanied,
    inner: Mutex<Inner>,
    /// The announced term; 0 when not leading. No leader has term 0.
    leading: AtomicU64,
    /// The end of the lease of `leading`, as nanoseconds; 0 when there is none.
    lease_until: AtomicU64,
    stopped: AtomicBool,
    elections: AtomicU64,
}

impl RoleKeeper {
    /// `lease`: for how long after a quorum has heard from this leader no other can be elected.
    pub(crate) fn new(
        node_id: u64,
        machine: Arc<dyn Machine>,
        lease: Duration,
        accompanied: Accompanied,
    ) -> Self {
        origin();
        accompanied.fetch_add(1, Ordering::Relaxed);
        Self {
            node_id,
            machine,
            lease,
            accompanied,
            inner: Mutex::default(),
            leading: AtomicU64::new(0),
            lease_until: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            elections: AtomicU64::new(0),
        }
    }

    /// The vote that was recovered: nobody is told of it.
    pub(crate) fn recovered(&self, vote: Option<Vote>) {
        self.inner.lock().vote = vote;
    }

    /// A newer vote is about to be saved.
    pub(crate) fn vote_changes(&self, vote: &Vote) {
        let mut inner = self.inner.lock();
        inner.vote = Some(*vote);
        if !vote.committed && vote.leader_id.voted_for == self.node_id {
            self.elections.fetch_add(1, Ordering::Relaxed);
        }
        let still = inner
            .announced
            .is_some_and(|term| vote.leader_id.term == term && vote.leader_id.voted_for == self.node_id);
        if !still {
            let leader = vote.committed.then_some(vote.leader_id.voted_for);
            self.step_down(&mut inner, leader.filter(|&node| node != self.node_id));
        }
    }

    /// The entry with which `term` began was handed to the machine, and so was everything before.
    pub(crate) fn term_began(&self, term: u64) {
        let mut inner = self.inner.lock();
        let mine = inner.vote.is_some_and(|vote| {
            vote.committed && vote.leader_id.term == term && vote.leader_id.voted_for == self.node_id
        });
        if !mine || inner.announced == Some(term) || self.stopped.load(Ordering::Relaxed) {
            return;
        }
        inner.announced = Some(term);
        inner.no_lease = false;
        // IMPORTANT: the machine may propose as soon as it is told, and may be asked for what it holds.
        self.leading.store(term, Ordering::Release);
        if inner.alone {
            self.lease_until.store(nanos(origin() + FOREVER), Ordering::Release);
        }
        self.machine.leadership(Leadership::Leading { term });
    }

    fn step_down(&self, inner: &mut Inner, leader: Option<u64>) {
        self.lease_until.store(0, Ordering::Release);
        self.leading.store(0, Ordering::Release);
        if inner.announced.take().is_some() {
            self.machine.leadership(Leadership::Following { leader });
        }
    }

    /// The group has failed or is being shut down: nothing more is announced.
    pub(crate) fn stop(&self) {
        let mut inner = self.inner.lock();
        self.stopped.store(true, Ordering::Relaxed);
        self.step_down(&mut inner, None);
    }

    /// A membership is about to be appended to the log, and takes effect at once.
    pub(crate) fn membership_appended(&self, index: u64, membership: &Membership) {
        let mut inner = self.inner.lock();
        inner.membership_index = Some(index);
        self.take_membership(&mut inner, membership);
    }

    /// The log was cut: older memberships may be in effect again.
    pub(crate) fn truncated(&self, after: Option<u64>) {
        let mut inner = self.inner.lock();
        if inner.membership_index > after {
            inner.membership_index = after;
        }
    }

    fn take_membership(&self, inner: &mut Inner, membership: &Membership) {
        let was_alone = std::mem::replace(&mut inner.alone, membership.voter_ids().eq([self.node_id]));
        match (was_alone, inner.alone) {
            (false, true) => self.accompanied.fetch_sub(1, Ordering::Relaxed),
            (true, false) => self.accompanied.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
        if !membership.voter_ids().any(|id| id == self.node_id) {
            inner.no_lease = true;
        }
        let alone = inner.alone && inner.announced.is_some() && !inner.no_lease;
        let until = self.lease_until.load(Ordering::Relaxed);
        if alone {
            self.lease_until.store(nanos(origin() + FOREVER), Ordering::Release);
        } else if inner.no_lease || until == nanos(origin() + FOREVER) {
            // What a quorum acknowledges from now on renews it.
            self.lease_until.store(0, Ordering::Release);
        }
    }

    /// What openraft knows, a moment ago.
    pub(crate) fn observed(&self, seen: &Observed<'_>) {
        let Observed { term, leads, membership, acked } = *seen;
        let mut inner = self.inner.lock();
        // A leader that was removed from the group stops leading without a newer vote.
        if inner.announced == Some(term) && !leads {
            return self.step_down(&mut inner, None);
        }
        let index = membership.log_id().map(|id| id.index);
        if index < inner.membership_index {
            return;
        }
        self.take_membership(&mut inner, membership.membership());
        if inner.announced != Some(term) || inner.alone || inner.no_lease {
            return;
        }
        if let Some(acked) = acked {
            self.lease_until.store(nanos(acked + self.lease), Ordering::Release);
        }
    }

    /// Leadership is about to be handed over: the voters are told to ignore this node's lease.
    pub(crate) fn hands_over(&self) {
        let mut inner = self.inner.lock();
        inner.no_lease = true;
        self.lease_until.store(0, Ordering::Release);
    }

    /// Candidacies of this node since it started.
    pub(crate) fn elections(&self) -> u64 {
        self.elections.load(Ordering::Relaxed)
    }

    /// The term that this node leads, as the machine was told.
    pub(crate) fn leading(&self) -> Option<u64> {
        match self.leading.load(Ordering::Acquire) {
            0 => None,
            term => Some(term),
        }
    }

    /// The term and the end of its lease.
    pub(crate) fn lease(&self) -> Option<(u64, Instant)> {
        let term = self.leading()?;
        let until = self.lease_until.load(Ordering::Acquire);
        // Unchanged after `until` was read: it is this term's.
        if until == 0 || self.leading.load(Ordering::Acquire) != term {
            return None;
        }
        Some((term, origin() + Duration::from_nanos(until)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openraft::impls::BasicNode;

    use super::*;
    use crate::config::LeaderId;
    use crate::machine::{Committed, MachineError, Position, Recovered, SnapshotImage};
    use crate::tests::machine::TestMachine;

    /// Asks for the lease when it is told that it leads.
    #[derive(Default)]
    struct Asking {
        role: OnceLock<Arc<RoleKeeper>>,
        leases: Mutex<Vec<Option<u64>>>,
    }

    impl Machine for Asking {
        fn recovered(&self) -> Result<Recovered, MachineError> {
            unreachable!()
        }

        fn apply(&self, _: Committed) {}

        fn persist(&self, _: Box<dyn FnOnce(Result<Position, MachineError>) + Send>) {}

        fn snapshot(&self) -> Result<SnapshotImage, MachineError> {
            unreachable!()
        }

        fn install(&self, _: SnapshotImage) -> Result<(), MachineError> {
            unreachable!()
        }

        fn leadership(&self, _: Leadership) {
            let lease = self.role.get().and_then(|role| role.lease());
            self.leases.lock().push(lease.map(|(term, _)| term));
        }
    }

    #[test]
    fn who_leads_alone_has_its_lease_when_it_is_told() {
        let machine = Arc::new(Asking::default());
        let role = RoleKeeper::new(1, machine.clone(), Duration::from_secs(1), Accompanied::default());
        let role = machine.role.get_or_init(|| Arc::new(role));
        role.recovered(Some(Vote { leader_id: LeaderId { term: 3, voted_for: 1 }, committed: true }));
        let alone: BTreeMap<u64, BasicNode> = [(1, BasicNode::default())].into();
        role.membership_appended(1, &Membership::from(alone));
        role.term_began(3);
        assert_eq!(*machine.leases.lock(), [Some(3)]);
    }

    #[test]
    fn a_group_counts_as_accompanied_until_this_node_is_its_only_voter() {
        let accompanied = Accompanied::default();
        let machine = TestMachine::new(Arc::default());
        let keeper = |machine| RoleKeeper::new(1, machine, Duration::from_secs(1), accompanied.clone());
        let (role, _other) = (keeper(machine.clone()), keeper(machine));
        let check = |index, voters: &[u64], expected| {
            let voters: BTreeMap<u64, BasicNode> =
                voters.iter().map(|&id| (id, BasicNode::default())).collect();
            role.membership_appended(index, &Membership::from(voters));
            assert_eq!(accompanied.load(Ordering::Relaxed), expected);
        };
        // Nothing is known of the other one, and that counts too.
        for (index, (voters, expected)) in
            (1..).zip([(&[1][..], 1), (&[1], 1), (&[1, 2], 2), (&[2], 2), (&[1], 1), (&[1, 2, 3], 2)])
        {
            check(index, voters, expected);
        }
    }
}
