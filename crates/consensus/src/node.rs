//! A node: the raft threads, and the groups that run on them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::{Config, SnapshotPolicy};
use parking_lot::Mutex;
use thiserror::Error;
use threads::Class;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use wal::Wal;

use crate::config::{Raft, log_id};
use crate::group::{Group, GroupCore, GroupParts, IN_FLIGHT_MAX};
use crate::log::{LogOptions, LogStore};
use crate::machine::Machine;
use crate::metrics::{AtomicHistogram, Counters, Histogram};
use crate::network::Network;
use crate::purge;
use crate::role::{Accompanied, RoleKeeper};
use crate::spool::Spool;
use crate::state::StateMachine;
use crate::supervisor;
use crate::transport::Transport;

/// Recent entries kept in memory, over all groups; each group has at least a mebibyte.
const TAIL_BYTES: u64 = 32 << 20;
const TAIL_BYTES_MIN: u64 = 1 << 20;
/// Helper threads of a raft thread: cold reads of the log, and images, which block for long.
const HELPERS_MAX: usize = 32;
const HELPER: Class = Class::Maint;
/// Entries that may wait for a machine. openraft's channel to the state machine has room for twice
/// as many, so that a slow machine never blocks a core, whose heartbeats would stop.
const BACKLOG_ENTRIES_MAX: u64 = 1 << 19;
/// How many apply queues the log may be ahead of a machine.
const BACKLOG_QUEUES: u64 = 4;
/// What an only voter has to recover fits into memory and disk many times within this.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(600);
/// What a clean stop waits for, in total.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream of entries that is not answered within so many election timeouts is given up.
const STALL_TIMEOUTS: u32 = 4;
/// The share of the lease that is given to readers; the rest allows for clocks that run unevenly.
const LEASE_SHARE: f64 = 0.9;

#[derive(Clone, Debug)]
pub struct NodeOptions {
    pub node_id: u64,
    pub groups: u16,
    pub raft_threads: usize,
    /// A follower that hears nothing from a leader for a random time between these, on top of the
    /// leader's lease (the larger of them), stands for election.
    pub election_timeout_min: Duration,
    pub election_timeout_max: Duration,
    pub heartbeat: Duration,
    /// Bytes that a group's machine may have queued.
    pub apply_queue_bytes: usize,
    /// Log bytes of a group after which its machine is asked to persist and the log is purged.
    pub purge_after_bytes: u64,
    /// Log bytes that a leader keeps beyond that for a follower that lags; then it gets a snapshot.
    pub keep_for_lagging_bytes: u64,
    /// Size of the WAL above which the groups that pin its oldest segments must purge.
    pub wal_bytes_max: u64,
    /// Where snapshots that come in are kept until they are installed.
    pub snapshot_dir: PathBuf,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            node_id: 1,
            groups: 1,
            raft_threads: 1,
            election_timeout_min: Duration::from_millis(1_000),
            election_timeout_max: Duration::from_millis(2_000),
            heartbeat: Duration::from_millis(200),
            apply_queue_bytes: 64 << 20,
            purge_after_bytes: 256 << 20,
            keep_for_lagging_bytes: 1 << 30,
            wal_bytes_max: 4 << 30,
            snapshot_dir: PathBuf::from("snapshots"),
        }
    }
}

#[derive(Debug, Error)]
pub enum StartError {
    #[error("{0}")]
    Options(String),
    #[error("group {group}: {error}")]
    Group { group: u16, error: io::Error },
    #[error("the raft threads cannot start: {0}")]
    Threads(io::Error),
}

/// One raft thread with its runtime.
struct RaftThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    heartbeat_delay: Arc<AtomicHistogram>,
}

/// Owns the raft threads. Nothing but consensus runs there.
pub struct Node {
    groups: Vec<Group>,
    threads: Mutex<Vec<RaftThread>>,
}

fn start_thread(
    n: usize,
    heartbeat: Duration,
    wal: Wal,
    accompanied: Accompanied,
) -> io::Result<(Handle, RaftThread)> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (tx, rx) = mpsc::sync_channel(1);
    let body = move || {
        let built = Builder::new_current_thread()
            .enable_time()
            .thread_name(format!("{}-raft-{n}", HELPER.name()))
            .on_thread_start(|| HELPER.enter())
            .max_blocking_threads(HELPERS_MAX)
            .on_thread_park(move || write_or_wake(&wal, &accompanied))
            .build();
        match built {
            Ok(runtime) => {
                let _ = tx.send(Ok(runtime.handle().clone()));
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
            }
            Err(error) => {
                let _ = tx.send(Err(error));
            }
        }
    };
    let thread = Class::Raft.spawn(n, body)?;
    let handle = rx.recv().map_err(io::Error::other)??;
    let heartbeat_delay = Arc::<AtomicHistogram>::default();
    handle.spawn(beat(heartbeat, heartbeat_delay.clone()));
    Ok((handle, RaftThread { stop: Some(stop), thread: Some(thread), heartbeat_delay }))
}

/// Measures how late this thread does what it is to do at a time: so late are heartbeats, of which a node without others sends
/// none.
async fn beat(period: Duration, delay: Arc<AtomicHistogram>) {
    loop {
        let due = Instant::now() + period;
        tokio::time::sleep_until(due.into()).await;
        delay.record(due.elapsed());
    }
}

/// A raft thread has nothing else to do. Where no other node waits for a heartbeat, it writes the log
/// itself: that saves two hops between threads. Else a disk that hangs must not hold it up.
fn write_or_wake(wal: &Wal, accompanied: &Accompanied) {
    if accompanied.load(Ordering::Relaxed) == 0 { wal.write_here() } else { wal.wake_up() }
}

fn raft_config(options: &NodeOptions, group: u16) -> Result<Config, StartError> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: format!("group-{group}"),
        election_timeout_min: millis(options.election_timeout_min),
        election_timeout_max: millis(options.election_timeout_max),
        heartbeat_interval: millis(options.heartbeat),
        max_payload_entries: 1_024,
        // Snapshots and purges are asked for by bytes; see `purge`.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        purge_batch_size: 1,
        api_channel_size: Some(4 * IN_FLIGHT_MAX),
        state_machine_channel_size: Some(2 * BACKLOG_ENTRIES_MAX),
        broadcast_submitted_on_append: Some(true),
        enable_pre_vote: Some(true),
        // A node that comes back is elected anew: what it applied and committed is not saved.
        enable_leader_restore: Some(false),
        backoff: "20ms 40ms 80ms ...500ms".into(),
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Options(error.to_string()))
}

impl Node {
    /// Starts every group and returns when each has recovered. A group of which this node is the
    /// only voter has then handed everything committed to its machine; one with other voters cannot
    /// wait for them, and catches up when they are there.
    pub fn start(
        options: NodeOptions,
        wal: Wal,
        recovered: wal::Recovered,
        machines: Vec<Arc<dyn Machine>>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, StartError> {
        if machines.len() != usize::from(options.groups) || options.groups == 0 || options.raft_threads == 0 {
            return Err(StartError::Options("one machine a group, and at least one group and thread".into()));
        }
        let mut node = Self { groups: Vec::new(), threads: Mutex::default() };
        let mut raft_threads: Vec<(Handle, Accompanied)> = Vec::new();
        for n in 0..options.raft_threads.min(machines.len()) {
            let accompanied = Accompanied::default();
            let started = start_thread(n, options.heartbeat, wal.clone(), accompanied.clone());
            let (handle, thread) = started.map_err(StartError::Threads)?;
            raft_threads.push((handle, accompanied));
            node.threads.lock().push(thread);
        }
        for ((group, machine), (runtime, accompanied)) in (0..).zip(machines).zip(raft_threads.iter().cycle())
        {
            let parts = GroupStart {
                options: &options,
                group,
                runtime: runtime.clone(),
                accompanied: accompanied.clone(),
                wal: wal.clone(),
                recovered: recovered.groups.get(&group),
                transport: transport.clone(),
            };
            let started = parts.start(machine);
            node.groups.push(started.map_err(|error| StartError::Group { group, error })?);
        }
        node.run(&options, wal, raft_threads.first().map(|(handle, _)| handle))?;
        Ok(node)
    }

    fn run(&self, options: &NodeOptions, wal: Wal, first: Option<&Handle>) -> Result<(), StartError> {
        for group in &self.groups {
            group.run().map_err(|error| StartError::Group { group: group.id(), error })?;
        }
        if let Some(runtime) = first {
            runtime.spawn(purge::watch_disk(self.groups.clone(), wal, options.wal_bytes_max));
        }
        let deadline = Instant::now() + RECOVERY_TIMEOUT;
        for group in &self.groups {
            group.recovered(deadline).map_err(|error| StartError::Group { group: group.id(), error })?;
        }
        Ok(())
    }

    /// A handle on a group.
    ///
    /// # Panics
    /// When there is no such group: their number is fixed when the node starts.
    pub fn group(&self, group: u16) -> Group {
        self.find(group).unwrap_or_else(|| panic!("there is no group {group} in this node"))
    }

    /// Of each raft thread, how late it was when a heartbeat was due.
    pub fn heartbeat_delays(&self) -> Vec<Histogram> {
        self.threads.lock().iter().map(|thread| thread.heartbeat_delay.read()).collect()
    }

    /// A handle on a group that may not exist, for messages from other nodes.
    pub fn find(&self, group: u16) -> Option<Group> {
        self.groups.get(usize::from(group)).cloned()
    }

    /// Stops every group, then the raft threads. Proposals in flight are told that their outcome is
    /// uncertain. Blocks for a bounded time.
    pub fn shutdown(&self) {
        let (tx, rx) = mpsc::sync_channel(self.groups.len());
        for group in &self.groups {
            let core = group.0.clone();
            core.closing.store(true, Ordering::Release);
            core.role.stop();
            let tx = tx.clone();
            group.0.runtime.spawn(async move {
                let _ = core.raft.shutdown().await;
                core.log.0.purge_wanted.notify_one();
                let _ = tx.send(());
            });
        }
        drop(tx);
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        for _ in &self.groups {
            match rx.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    tracing::error!("a group did not stop in time");
                    break;
                }
            }
        }
        for thread in self.threads.lock().iter_mut() {
            thread.stop.take();
            if let Some(thread) = thread.thread.take() {
                let _ = thread.join();
            }
        }
        for group in &self.groups {
            group.confirm_no_more();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown();
    }
}

struct GroupStart<'a> {
    options: &'a NodeOptions,
    group: u16,
    runtime: Handle,
    accompanied: Accompanied,
    wal: Wal,
    recovered: Option<&'a wal::GroupState>,
    transport: Arc<dyn Transport>,
}

impl GroupStart<'_> {
    /// Recovers a group; nothing of it runs yet.
    fn start(self, machine: Arc<dyn Machine>) -> io::Result<Group> {
        let options = self.options;
        let config = raft_config(options, self.group).map_err(io::Error::other)?;
        let lease = options.election_timeout_max.mul_f64(LEASE_SHARE);
        let role =
            Arc::new(RoleKeeper::new(options.node_id, machine.clone(), lease, self.accompanied.clone()));
        let log_options = LogOptions {
            group: self.group,
            tail_bytes_max: (TAIL_BYTES / u64::from(options.groups)).max(TAIL_BYTES_MIN),
            purge_after: options.purge_after_bytes,
            groups_together: u64::from(options.groups).div_ceil(options.raft_threads as u64),
            accompanied: self.accompanied.clone(),
        };
        let log = LogStore::open(self.wal.clone(), self.recovered, role.clone(), &log_options)?;
        let spool = Arc::new(Spool::new(&options.snapshot_dir, self.group));
        finish_install(&spool, &log, &*machine)?;
        let counters = Arc::new(Counters::default());
        let state = StateMachine::open(
            machine,
            role.clone(),
            log.clone(),
            counters.clone(),
            spool.clone(),
            options.apply_queue_bytes,
        )?;
        if log.purged() > state.handed() {
            return Err(io::Error::other(
                "the store is behind the beginning of the log, and there is no snapshot to install",
            ));
        }
        let network = Network {
            group: self.group,
            log: log.clone(),
            transport: self.transport,
            stall: options.election_timeout_max * STALL_TIMEOUTS,
        };
        let (node_id, config, log_built, state_built) =
            (options.node_id, Arc::new(config), log.clone(), state.clone());
        let (tx, rx) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            let built = Raft::build(node_id, config, network, log_built, state_built);
            let _ = tx.send(Box::pin(built).await);
        });
        let raft = rx.recv().map_err(io::Error::other)?.map_err(io::Error::other)?;
        log.recovered();
        let core = Arc::new(GroupCore::new(GroupParts {
            group: self.group,
            node_id: options.node_id,
            runtime: self.runtime.clone(),
            raft,
            role,
            log,
            state,
            counters,
            wal: self.wal,
            spool,
            lease: options.election_timeout_max,
            backlog_bytes_max: BACKLOG_QUEUES * options.apply_queue_bytes as u64,
            backlog_entries_max: BACKLOG_ENTRIES_MAX,
            keep_bytes: options.purge_after_bytes.saturating_add(options.keep_for_lagging_bytes),
        }));
        Ok(Group(core))
    }
}

/// A crash may have come between a snapshot's arrival and the end of its installation.
fn finish_install(spool: &Spool, log: &LogStore, machine: &dyn Machine) -> io::Result<()> {
    let Some(image) = spool.open()? else {
        return Ok(());
    };
    let recovered = machine.recovered().map_err(io::Error::other)?;
    if recovered.applied < Some(image.at) {
        let at = log_id(image.at);
        tracing::info!("the snapshot at {at} is installed again");
        log.make_way(at)?;
        machine.install(image).map_err(io::Error::other)?;
    }
    spool.installed();
    Ok(())
}

impl Group {
    /// Lets a recovered group run.
    fn run(&self) -> io::Result<()> {
        let core = self.0.clone();
        let started = self.block(async move {
            supervisor::launch(&core).await?;
            core.runtime.spawn(supervisor::run(core.clone()));
            core.runtime.spawn(purge::run(core.clone()));
            core.runtime.spawn(core.log.clone().write_what_is_held());
            Ok(())
        });
        started.map_err(io::Error::other)?
    }

    fn recovered(&self, deadline: Instant) -> io::Result<()> {
        let core = self.0.clone();
        let (tx, rx) = mpsc::sync_channel(1);
        self.0.runtime.spawn(async move {
            let raft = &core.raft;
            let waited = match supervisor::is_alone(&core).await {
                true => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    raft.wait_for_recovery(Some(left)).await.map(|_| ())
                }
                false => Ok(()),
            };
            let failure = core.log.failure();
            let _ = tx.send(waited.map_err(|error| failure.unwrap_or_else(|| error.to_string())));
        });
        rx.recv().map_err(io::Error::other)?.map_err(io::Error::other)
    }
}
