//! A node: starts everything in order, and stops it in the opposite one.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use base::{Clock, SystemClock, slot};
use parking_lot::{Condvar, Mutex};
use store::apply::{Applier, Queue, Watch};
use store::{Disk, DiskError, DiskOptions, GroupOptions};
use thiserror::Error;
use wal::Wal;

use crate::config::{Config, Live};
use crate::engine::clients::{Clients, Wakers};
use crate::engine::group::Group;
use crate::engine::heavy::HeavyPool;
use crate::engine::machine::GroupMachine;
use crate::engine::maintenance;
use crate::net::mailbox::{Mail, Mailbox};
use crate::net::thread::NetThread;
use crate::session::info::Sampler;
use crate::session::persistence::Checkpoints;
use crate::session::slowlog::SlowLog;
use crate::session::stats::Stats;

#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot create {path}: {error}")]
    Directory { path: String, error: io::Error },
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("the data directory {0} is in use by another process")]
    Locked(String),
    #[error(transparent)]
    Store(#[from] DiskError),
    #[error("{0}")]
    Wal(#[from] wal::WalError),
    #[error("{0}")]
    Consensus(#[from] consensus::StartError),
    #[error("the group cannot be founded: {0}")]
    Bootstrap(#[from] consensus::ChangeError),
    #[error("a thread cannot start: {0}")]
    Thread(#[from] io::Error),
}

pub struct Node {
    pub config: Config,
    pub groups: Vec<Arc<Group>>,
    pub disk: Disk,
    pub wal: Wal,
    pub heavy: HeavyPool,
    pub clients: Clients,
    pub stats: Stats,
    pub live: Live,
    pub slowlog: SlowLog,
    pub checkpoints: Checkpoints,
    pub sampler: Sampler,
    /// Forty hexadecimal digits that differ from start to start.
    pub run_id: String,
    pub started: Instant,
    clock: Arc<dyn Clock>,
    consensus: OnceLock<consensus::Node>,
    mailboxes: OnceLock<Vec<Arc<Mailbox>>>,
    wakers: Arc<Wakers>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Why writes are refused, if they are.
    refusal: Mutex<Option<String>>,
    addresses: Mutex<Vec<SocketAddr>>,
    stop_requested: (Mutex<bool>, Condvar),
}

/// What a group's apply thread reports to.
struct StoreWatch {
    wakers: Arc<Wakers>,
}

impl Watch for StoreWatch {
    fn progress(&self) {
        self.wakers.wake_all();
    }

    fn failed(&self, error: &DiskError) {
        tracing::error!(%error, "this node can no longer follow its log");
        self.wakers.wake_all();
    }
}

impl Node {
    /// Starts a node; it serves when this returns.
    pub fn start(config: Config) -> Result<Arc<Self>, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let path = config.data.clone();
        std::fs::create_dir_all(&path)
            .map_err(|error| StartError::Directory { path: path.display().to_string(), error })?;
        let mut disk_options = DiskOptions::new(&path.join("store"));
        disk_options.cache_bytes = config.block_cache_bytes;
        let disk = Disk::open(&disk_options)?;
        let mut wal_options = wal::Options::new(path.join("log"));
        wal_options.fsync = config.fsync;
        let (wal, recovered) = Wal::open(Arc::new(wal::DiskFiles), wal_options)?;
        if recovered.truncated_bytes > 0 {
            tracing::warn!(bytes = recovered.truncated_bytes, "a torn tail of the log was cut off");
        }
        let wakers = Arc::new(Wakers::default());
        let mut threads = Vec::new();
        let mut groups = Vec::new();
        for id in 0..config.groups {
            let (group, thread) = start_group(id, &config, &disk, &clock, &wakers)?;
            groups.push(group);
            threads.push(thread);
        }
        let node = Arc::new(Self {
            heavy: HeavyPool::new(config.heavy_threads, config.heavy_queue),
            live: Live::new(&config),
            config,
            groups,
            disk,
            wal,
            clients: Clients::default(),
            stats: Stats::new(),
            slowlog: SlowLog::default(),
            checkpoints: Checkpoints::new(clock.wall_ms()),
            sampler: Sampler::default(),
            run_id: run_id(),
            started: Instant::now(),
            clock,
            consensus: OnceLock::new(),
            mailboxes: OnceLock::new(),
            wakers,
            threads: Mutex::new(threads),
            refusal: Mutex::new(None),
            addresses: Mutex::default(),
            stop_requested: Default::default(),
        });
        node.sampler.round(&node);
        node.start_consensus(recovered)?;
        node.threads.lock().extend(node.heavy.start(&node)?);
        node.threads.lock().push(maintenance::start(&node)?);
        node.start_network()?;
        Ok(node)
    }

    fn start_consensus(self: &Arc<Self>, recovered: wal::Recovered) -> Result<(), StartError> {
        let options = consensus::NodeOptions {
            node_id: self.config.node_id,
            groups: self.config.groups,
            snapshot_dir: self.config.data.join("snapshots"),
            apply_queue_bytes: 2 * base::limits::APPLY_BYTES_MAX,
            ..consensus::NodeOptions::default()
        };
        let machines: Vec<Arc<dyn consensus::Machine>> = (self.groups.iter())
            .map(|group| Arc::new(GroupMachine { group: group.clone() }) as Arc<dyn consensus::Machine>)
            .collect();
        let transport = Arc::new(consensus::NoTransport);
        let node = consensus::Node::start(options, self.wal.clone(), recovered, machines, transport)?;
        for group in &self.groups {
            group.connect(node.group(group.id));
        }
        let members = BTreeMap::from([(self.config.node_id, String::new())]);
        for group in &self.groups {
            node.group(group.id).bootstrap(members.clone())?;
        }
        let _ = self.consensus.set(node);
        Ok(())
    }

    fn start_network(self: &Arc<Self>) -> Result<(), StartError> {
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..self.config.net_threads {
            let (poll, mailbox) = NetThread::prepare()?;
            polls.push(poll);
            mailboxes.push(mailbox);
        }
        self.wakers.connect(mailboxes.clone());
        let _ = self.mailboxes.set(mailboxes.clone());
        for (at, (poll, mailbox)) in polls.into_iter().zip(mailboxes).enumerate() {
            let mut thread = NetThread::new(self, poll, mailbox);
            if at == 0 && let Some(address) = self.config.listen {
                let listener = mio::net::TcpListener::bind(address)
                    .map_err(|error| StartError::Listen { address, error })?;
                self.addresses.lock().push(listener.local_addr()?);
                thread.listen(listener)?;
            }
            let handle = thread::Builder::new().name(format!("net-{at}")).spawn(move || thread.run())?;
            self.threads.lock().push(handle);
        }
        Ok(())
    }

    /// Where this node listens for clients.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.lock().clone()
    }

    pub fn mailboxes(&self) -> &[Arc<Mailbox>] {
        self.mailboxes.get().map_or(&[], Vec::as_slice)
    }

    pub fn wall_ms(&self) -> u64 {
        self.clock.wall_ms()
    }

    pub fn wall_us(&self) -> u64 {
        self.clock.wall_us()
    }

    pub fn turn_clock(&self) {
        for group in &self.groups {
            group.store.turn_clock();
        }
    }

    /// Submits the batches that are ready.
    pub fn pump(&self) {
        for group in &self.groups {
            group.pump();
        }
    }

    /// The group that owns a slot: contiguous ranges of nearly equal size.
    pub fn group_of(&self, slot: u16) -> u16 {
        (u32::from(slot) * self.groups.len() as u32 / u32::from(slot::SLOTS)) as u16
    }

    /// The first slot of a group.
    pub fn first_slot(&self, group: u16) -> u16 {
        let groups = self.groups.len().max(1) as u32;
        (u32::from(group) * u32::from(slot::SLOTS)).div_ceil(groups) as u16
    }

    pub fn needs_password(&self) -> bool {
        self.live.needs_password()
    }

    /// Why writes are refused now, if they are.
    pub fn write_refusal(&self) -> Option<String> {
        self.refusal.lock().clone()
    }

    pub fn set_write_refusal(&self, why: Option<String>) {
        *self.refusal.lock() = why;
    }

    pub fn is_leading(&self) -> bool {
        self.groups.iter().all(|group| group.store.sequencer.open_epoch().is_some())
    }

    /// Asks whoever runs the node to stop it.
    pub fn request_stop(&self) {
        *self.stop_requested.0.lock() = true;
        self.stop_requested.1.notify_all();
    }

    pub fn is_stop_requested(&self) -> bool {
        *self.stop_requested.0.lock()
    }

    /// Waits until somebody asks the node to stop.
    pub fn wait_for_stop_request(&self) {
        let mut requested = self.stop_requested.0.lock();
        while !*requested {
            self.stop_requested.1.wait(&mut requested);
        }
    }

    /// Stops: no new connections, what is in flight is answered, everything is flushed.
    pub fn stop(&self) {
        self.wakers.broadcast(|| Mail::Stop);
        self.heavy.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        let (apply, others): (Vec<_>, Vec<_>) =
            threads.into_iter().partition(|t| t.thread().name().is_some_and(|name| name.starts_with("apply-")));
        self.stats.stop();
        for thread in others {
            let _ = thread.join();
        }
        if let Some(consensus) = self.consensus.get() {
            consensus.shutdown();
        }
        for group in &self.groups {
            group.queue.stop();
        }
        for thread in apply {
            let _ = thread.join();
        }
        for group in &self.groups {
            if let Err(error) = group.store.disk.persist() {
                tracing::error!(%error, "the store could not be flushed; the log has it all");
            }
        }
        self.wal.close();
    }
}

/// A group's store and its apply thread.
fn start_group(
    id: u16,
    config: &Config,
    disk: &Disk,
    clock: &Arc<dyn Clock>,
    wakers: &Arc<Wakers>,
) -> Result<(Arc<Group>, JoinHandle<()>), StartError> {
    let options = GroupOptions {
        cache_bytes: config.cache_bytes / usize::from(config.groups.max(1)),
        seed: random_seed(),
    };
    let store = Arc::new(store::Group::new(disk.group(id)?, &options, clock.clone()));
    let queue = Arc::new(Queue::default());
    let watch = Arc::new(StoreWatch { wakers: wakers.clone() });
    let applier = Applier::new(store.clone(), queue.clone(), watch)?;
    let stats = applier.stats();
    let thread = thread::Builder::new().name(format!("apply-{id}")).spawn(move || applier.run())?;
    Ok((Arc::new(Group::new(id, store, queue, stats, wakers.clone())), thread))
}

fn run_id() -> String {
    let id = [random_seed(), random_seed(), random_seed()].map(|part| format!("{part:016x}")).concat();
    id.get(..40).unwrap_or(&id).to_owned()
}

/// The one place where randomness enters.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
