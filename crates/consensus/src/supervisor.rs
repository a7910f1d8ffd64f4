//! Watches a group's core: keeps the lease, notices failures.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant as _, ServerState};

use crate::group::GroupCore;
use crate::role::Observed;

/// How often the lease is brought up to date at most.
const LEASE_EVERY: Duration = Duration::from_millis(5);

/// Whether this node is the only voter of the group.
pub(crate) async fn is_alone(core: &GroupCore) -> bool {
    let node_id = core.node_id;
    let voters =
        core.raft.with_raft_state(move |state| state.membership_state.effective().voter_ids().eq([node_id]));
    voters.await.unwrap_or(false)
}

/// Lets a core run that was just built.
pub(crate) async fn launch(core: &Arc<GroupCore>) -> io::Result<()> {
    let raft = core.raft.clone();
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
    if is_alone(core).await {
        raft.runtime_config().elect(true);
        return raft.trigger().elect(false).await.map_err(io::Error::other);
    }
    core.runtime.spawn(async move {
        tokio::time::sleep_until(votes_from.into()).await;
        raft.runtime_config().elect(true);
    });
    Ok(())
}

/// Runs beside a group's core until the node stops, or the core does.
pub(crate) async fn run(core: Arc<GroupCore>) {
    let why = observe(&core).await;
    if core.closing.load(Ordering::Acquire) {
        return;
    }
    core.role.stop();
    // The log may have failed without openraft knowing, and knows better in any case.
    let why = core.log.failure().unwrap_or(why);
    tracing::error!(group = core.group, "the group has stopped: {why}");
    *core.failure.lock() = Some(why);
    let _ = core.raft.shutdown().await;
}

/// Follows the core's metrics until it has stopped; returns why.
async fn observe(core: &GroupCore) -> String {
    let raft = core.raft.clone();
    let mut data = raft.data_metrics();
    let mut server = raft.server_metrics();
    let all = raft.metrics();
    drop(raft);
    loop {
        if let Err(fatal) = &all.borrow_watched().running_state {
            return fatal.to_string();
        }
        let (term, leads, membership) = {
            let server = server.borrow_watched();
            let leads = server.state == ServerState::Leader;
            (server.vote.leader_id.term, leads, server.membership_config.clone())
        };
        // openraft has its own instants. Taken in this order, the result is early rather than late.
        let now = Instant::now();
        let age = data.borrow_watched().last_quorum_acked.as_ref().map(|at| at.elapsed());
        let acked = age.and_then(|age| now.checked_sub(age));
        core.role.observed(&Observed { term, leads, membership: &membership, acked });
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
