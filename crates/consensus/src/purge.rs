//! Purging the log: never above what the machine's store holds durably.
//!
//! When enough was appended, or the WAL needs space, the machine is asked to persist; what it then
//! holds becomes openraft's 'snapshot', up to which openraft lets the log go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use openraft::LogIdOptionExt;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::oneshot;

use crate::config::log_id;
use crate::group::{Group, GroupCore};
use crate::machine::Position;

/// A machine that does not persist within this time is asked again when more was appended.
const PERSIST_TIMEOUT: Duration = Duration::from_secs(60);
/// openraft only has to look at its own memory.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the size of the WAL is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Purges one group whenever it is time, until the node stops.
pub(crate) async fn run(core: Arc<GroupCore>) {
    loop {
        let forced = tokio::select! {
            () = core.log.0.purge_wanted.notified() => None,
            () = core.purge.asked.notified() => core.purge.upto.lock().take(),
        };
        if core.closing.load(Ordering::Relaxed) {
            return;
        }
        core.log.purge_counted();
        if let Err(why) = purge(&core, forced).await {
            tracing::warn!(group = core.group, "the log was not purged: {why}");
        }
    }
}

async fn purge(core: &Arc<GroupCore>, forced: Option<u64>) -> Result<(), String> {
    if core.state.handed().is_none() {
        return Ok(());
    }
    let persisted = persist(core).await?;
    core.state.note_persisted(persisted);
    let raft = &core.raft;
    raft.trigger().snapshot().await.map_err(|e| e.to_string())?;
    let at = log_id(persisted);
    let built =
        raft.wait(Some(STEP_TIMEOUT)).metrics(|m| m.snapshot >= Some(at), "position to purge by").await;
    built.map_err(|e| e.to_string())?;
    let wanted = match forced {
        Some(upto) => Some(upto),
        None => not_needed_by_followers(core),
    };
    let Some(upto) = wanted.map(|upto| upto.min(persisted.index)) else {
        return Ok(());
    };
    if core.log.purged().next_index() > upto {
        return Ok(());
    }
    raft.trigger().purge_log(upto).await.map_err(|e| e.to_string())?;
    core.counters.purges.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

async fn persist(core: &Arc<GroupCore>) -> Result<Position, String> {
    let (tx, rx) = oneshot::channel();
    core.state.machine().persist(Box::new(move |result| {
        let _ = tx.send(result);
    }));
    let answer =
        tokio::time::timeout(PERSIST_TIMEOUT, rx).await.map_err(|_| "the machine does not persist")?;
    answer.map_err(|_| "the machine has gone")?.map_err(|e| e.to_string())
}

/// Up to which index no follower wants the log any more, if there is such an index. A follower that
/// lags behind too far gets a snapshot instead.
fn not_needed_by_followers(core: &Arc<GroupCore>) -> Option<u64> {
    if core.wal.group_bytes(core.group) > core.keep_bytes {
        return Some(u64::MAX);
    }
    let metrics = core.raft.metrics();
    let seen = metrics.borrow_watched();
    let Some(replicated) = &seen.replication else {
        return Some(u64::MAX);
    };
    let held = replicated.values().map(|at| at.as_ref().map(|id| id.index));
    // `None` comes first: a follower of which nothing is known may want all of it.
    held.min().flatten()
}

/// Keeps the WAL below its bound: the groups that pin its oldest segments are asked to purge, also
/// those that have nothing to do.
pub(crate) async fn watch_disk(groups: Vec<Group>, wal: wal::Wal, bytes_max: u64) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if wal.disk_bytes() <= bytes_max {
            continue;
        }
        for (group, upto) in wal.oldest_pins() {
            if let Some(group) = groups.get(usize::from(group)) {
                group.ask_purge(upto);
            }
        }
    }
}
