//! Watches a group's core: keeps the lease, notices failures, starts the core again when all that
//! failed was a full disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Config, Instant as _};

use crate::config::Raft;
use crate::group::GroupCore;
use crate::log::{Failure, LogStore};
use crate::network::Network;
use crate::state::StateMachine;
use crate::transport::Transport;

/// How often the lease is brought up to date at most.
const LEASE_EVERY: Duration = Duration::from_millis(5);
/// How often a full disk is looked at.
const FULL_EVERY: Duration = Duration::from_millis(250);
/// The log must have room for this much before a group that found it full is started again.
const ROOM_TO_RESTART: u64 = 1 << 20;

/// What it takes to start a group's core.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) node_id: u64,
    pub(crate) group: u16,
    pub(crate) config: Arc<Config>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) stall: Duration,
}

impl Recipe {
    /// Recovers the core; it does nothing yet.
    pub(crate) async fn build(&self, log: &LogStore, state: &StateMachine) -> io::Result<Raft> {
        log.recovering(true);
        let network =
            Network { group: self.group, transport: self.transport.clone(), stall: self.stall };
        let state = state.next_run().await;
        let raft = Raft::build(self.node_id, self.config.clone(), network, log.clone(), state);
        let raft = Box::pin(raft).await.map_err(io::Error::other)?;
        log.recovering(false);
        Ok(raft)
    }
}

/// Whether this node is the only voter of the group.
pub(crate) async fn is_alone(core: &GroupCore, raft: &Raft) -> bool {
    let node_id = core.node_id;
    let voters = raft.with_raft_state(move |state| {
        state.membership_state.effective().voter_ids().eq([node_id])
    });
    voters.await.unwrap_or(false)
}

/// Lets a core run that was just built.
pub(crate) async fn launch(core: &Arc<GroupCore>) -> io::Result<()> {
    let raft = core.raft();
    // A node that has just started does not know whom it promised a lease before; openraft forgets
    // it too. So it keeps out of elections until any such lease has run out.
    let promised = core.log.has_vote();
    let votes_from = Instant::now() + if promised { core.lease } else { Duration::ZERO };
    *core.votes_from.lock() = votes_from;
    raft.runtime_config().elect(!promised);
    raft.run();
    core.state.runs();
    if !promised {
        return Ok(());
    }
    if is_alone(core, &raft).await {
        raft.runtime_config().elect(true);
        return raft.trigger().elect(false).await.map_err(io::Error::other);
    }
    core.runtime.spawn(async move {
        tokio::time::sleep_until(votes_from.into()).await;
        raft.runtime_config().elect(true);
    });
    Ok(())
}

/// Runs beside a group's core until the node stops.
pub(crate) async fn run(core: Arc<GroupCore>, recipe: Recipe) {
    loop {
        let why = observe(&core).await;
        if core.closing.load(Ordering::Acquire) {
            return;
        }
        core.role.stop();
        // The log may have failed without openraft knowing.
        let failure = core.log.failure();
        let why = match &failure {
            Some(Failure::Broken(what)) => what.clone(),
            Some(Failure::DiskFull) => "the disk is full".into(),
            None => why,
        };
        tracing::error!(group = core.group, "the group has stopped: {why}");
        *core.failure.lock() = Some(why);
        let _ = core.raft().shutdown().await;
        if failure != Some(Failure::DiskFull) {
            return;
        }
        if let Err(error) = restart(&core, &recipe).await {
            tracing::error!(group = core.group, "the group cannot start again: {error}");
            *core.failure.lock() = Some(error.to_string());
            return;
        }
    }
}

/// Follows the core's metrics until it has stopped; returns why.
async fn observe(core: &GroupCore) -> String {
    let raft = core.raft();
    let mut data = raft.data_metrics();
    let mut server = raft.server_metrics();
    let all = raft.metrics();
    drop(raft);
    loop {
        if let Err(fatal) = &all.borrow_watched().running_state {
            return fatal.to_string();
        }
        let (term, membership) = {
            let server = server.borrow_watched();
            (server.vote.leader_id.term, server.membership_config.clone())
        };
        // openraft has its own instants. Taken in this order, the result is early rather than late.
        let now = Instant::now();
        let age = data.borrow_watched().last_quorum_acked.as_ref().map(|at| at.elapsed());
        let acked = age.and_then(|age| now.checked_sub(age));
        core.role.observed(term, &membership, acked);
        let alive = tokio::select! {
            changed = data.changed() => changed.is_ok(),
            changed = server.changed() => changed.is_ok(),
            () = core.log.0.failed.notified() => return String::new(),
        };
        if !alive {
            let stopped = all.borrow_watched().running_state.clone();
            return stopped.err().map_or_else(|| "the core has gone".into(), |fatal| fatal.to_string());
        }
        tokio::time::sleep(LEASE_EVERY).await;
    }
}

async fn restart(core: &Arc<GroupCore>, recipe: &Recipe) -> io::Result<()> {
    while !core.wal.has_room(ROOM_TO_RESTART) {
        tokio::time::sleep(FULL_EVERY).await;
        if core.closing.load(Ordering::Acquire) {
            return Ok(());
        }
    }
    core.log.restart()?;
    core.role.restart();
    let raft = recipe.build(&core.log, &core.state).await?;
    *core.raft.write() = raft;
    launch(core).await?;
    *core.failure.lock() = None;
    core.counters.restarts.fetch_add(1, Ordering::Relaxed);
    tracing::info!(group = core.group, "there is room on the disk again: the group has started again");
    Ok(())
}
