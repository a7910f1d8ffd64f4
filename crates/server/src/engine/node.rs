//! A node: starts everything in order, and stops it in the opposite one.

pub mod inside;
mod network;
mod start;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use base::{Clock, SystemClock, slot};
use observe::HttpServer;
use parking_lot::{Condvar, Mutex};
use store::{Disk, DiskError};
use thiserror::Error;
use threads::Class;
use wal::Wal;

use crate::admission::Admission;
use crate::admission::memory::OOM;
use crate::config::{Config, Live};
use crate::data_dir::{DataDir, DataDirError};
use crate::engine::clients::{Clients, Wakers};
use crate::engine::group::Group;
use crate::engine::health::{self, Health, Room, Signs, Space};
use crate::engine::heavy::HeavyPool;
use crate::engine::machine::GroupMachine;
use crate::engine::maintenance;
use crate::engine::memory_watch;
use crate::engine::paged::PagedReplies;
use crate::engine::rubbish::Rubbish;
use crate::net::mailbox::{Mail, Mailbox};
use crate::net::tls::Tls;
use crate::pubsub::Hub;
use crate::sampling::Sampling;
use crate::scripting::{LongNames, Running, Scripts};
use crate::session::acl::{self, Users};
use crate::session::info::{Pages, Sampler};
use crate::session::persistence::Checkpoints;
use crate::session::slowlog::SlowLog;
use crate::session::stats::Stats;
use crate::tracking::Tracker;
use inside::Inside;
use start::{log_files, log_options, open_disk, open_log, prepare, start_group};

#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot create {path}: {error}")]
    Directory { path: String, error: io::Error },
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: io::Error },
    #[error("{0}")]
    Memory(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error(transparent)]
    Data(#[from] DataDirError),
    #[error("cannot serve HTTP on {address}: {error}")]
    Http { address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Store(#[from] DiskError),
    #[error("{0}")]
    Wal(#[from] wal::WalError),
    #[error("{0}")]
    Consensus(#[from] consensus::StartError),
    #[error(transparent)]
    Users(#[from] acl::LoadError),
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
    pub paged: Arc<PagedReplies>,
    pub admission: Arc<Admission>,
    pub clients: Clients,
    pub hub: Arc<Hub>,
    pub tracker: Arc<Tracker>,
    pub stats: Stats,
    pub live: Live,
    pub sampling: Sampling,
    pub users: Users,
    pub slowlog: SlowLog,
    pub scripts: Scripts,
    pub functions: LongNames,
    pub running: Running,
    pub checkpoints: Checkpoints,
    pub sampler: Sampler,
    pub rubbish: Arc<Rubbish>,
    pub tls: Option<Arc<Tls>>,
    pub inside: Inside,
    /// Forty hexadecimal digits that differ from start to start.
    pub run_id: String,
    pub started: Instant,
    clock: Arc<dyn Clock>,
    consensus: OnceLock<consensus::Node>,
    mailboxes: OnceLock<Vec<Arc<Mailbox>>>,
    wakers: Arc<Wakers>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    health: Health,
    room: Room,
    addresses: Mutex<Vec<SocketAddr>>,
    stop_requested: (Mutex<bool>, Condvar),
    http: Mutex<Option<HttpServer>>,
    #[cfg(debug_assertions)]
    pub faults: Arc<crate::session::faults::Faults>,
    /// Held while the node lives, so that no other process uses the directory.
    _data_dir: DataDir,
}

/// How often a starting node looks whether its groups are open, and says that they are not.
const OPEN_POLL: Duration = Duration::from_millis(1);
const OPEN_REPORT: Duration = Duration::from_secs(5);

impl Node {
    /// Starts a node; it serves when this returns.
    pub fn start(mut config: Config) -> Result<Arc<Self>, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started = Instant::now();
        let (admission, rubbish, tls) = prepare(&mut config)?;
        let data_dir = DataDir::open(&config.data, config.node_id, config.groups)?;
        let disk = open_disk(&config)?;
        let store_ms = started.elapsed().as_millis() as u64;
        #[cfg(debug_assertions)]
        let faults = Arc::new(crate::session::faults::Faults::default());
        #[cfg(debug_assertions)]
        let files = faults.files(log_files(config.fsync));
        #[cfg(not(debug_assertions))]
        let files = Arc::new(log_files(config.fsync));
        let (wal, recovered) = open_log(files, log_options(&config))?;
        let log_ms = started.elapsed().as_millis() as u64 - store_ms;
        let room = Room {
            path: config.data.clone(),
            #[cfg(debug_assertions)]
            faults: faults.clone(),
        };
        let wakers = Arc::new(Wakers::default());
        let each = (0..config.groups).map(|id| start_group(id, &config, &disk, &room, &clock, &wakers));
        let (groups, threads) = each.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let node = Arc::new(Self {
            heavy: HeavyPool::new(config.heavy_threads, config.heavy_queue),
            paged: Arc::default(),
            live: Live::new(&config),
            sampling: Sampling::new(config.sample_keys),
            users: Users::new(config.requirepass.as_deref()),
            config,
            groups,
            disk,
            wal,
            admission,
            clients: Clients::default(),
            hub: Arc::default(),
            tracker: Arc::default(),
            stats: Stats::new(),
            slowlog: SlowLog::default(),
            scripts: Scripts::default(),
            functions: LongNames::default(),
            running: Running::default(),
            checkpoints: Checkpoints::new(clock.wall_ms()),
            sampler: Sampler::default(),
            rubbish,
            tls,
            inside: Inside::default(),
            run_id: run_id(),
            started,
            clock,
            consensus: OnceLock::new(),
            mailboxes: OnceLock::new(),
            wakers,
            threads: Mutex::new(threads),
            health: Health::default(),
            room,
            addresses: Mutex::default(),
            stop_requested: Default::default(),
            http: Mutex::default(),
            #[cfg(debug_assertions)]
            faults,
            _data_dir: data_dir,
        });
        node.start_consensus(recovered)?;
        node.wait_until_open();
        acl::load(&node)?;
        tracing::info!(store_ms, log_ms, ms = started.elapsed().as_millis() as u64, "recovered");
        node.serve()?;
        Ok(node)
    }

    fn serve(self: &Arc<Self>) -> Result<(), StartError> {
        maintenance::flush_replayed(self);
        self.heavy.start(self)?;
        self.check_health();
        memory_watch::look(self);
        self.threads.lock().extend([maintenance::start(self)?, memory_watch::start(self)?]);
        self.start_network()?;
        self.start_http()?;
        self.sampler.round(self);
        if !self.sampler.latest().raft_is_raised() {
            tracing::info!("raft threads run at ordinary priority: CAP_SYS_NICE is needed to raise it");
        }
        Ok(())
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
            .map(|group| Arc::new(GroupMachine::new(group)) as Arc<dyn consensus::Machine>)
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

    /// A node that is alone leads its groups as soon as it has read its log: clients are let in when
    /// it does, so that none is turned away for coming too early.
    fn wait_until_open(&self) {
        let mut waited = Duration::ZERO;
        while !self.is_leading() {
            thread::sleep(OPEN_POLL);
            waited += OPEN_POLL;
            if waited.as_millis().is_multiple_of(OPEN_REPORT.as_millis()) {
                let has_room = self.wal.has_room(base::limits::ENTRY_BYTES_MAX as u64);
                tracing::info!(seconds = waited.as_secs(), has_room, "still reading the log");
            }
        }
    }

    fn start_http(self: &Arc<Self>) -> Result<(), StartError> {
        let Some(address) = self.config.http else { return Ok(()) };
        let server = HttpServer::start(address, Arc::new(Pages::new(self)))
            .map_err(|error| StartError::Http { address, error })?;
        *self.http.lock() = Some(server);
        Ok(())
    }

    /// Of each raft thread, how late it was when a heartbeat was due.
    pub fn heartbeat_delays(&self) -> Vec<consensus::Histogram> {
        self.consensus.get().map_or_else(Vec::new, consensus::Node::heartbeat_delays)
    }

    /// Where this node serves HTTP.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.lock().as_ref().map(HttpServer::address)
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

    /// Submits the batches that are ready, and tells what is committed.
    pub fn pump(&self) {
        if let [group] = self.groups.as_slice() {
            return group.pump();
        }
        let proposals: Vec<_> = self.groups.iter().flat_map(|group| group.next_proposals()).collect();
        if !proposals.is_empty() {
            consensus::Group::submit_together(proposals);
        }
        self.groups.iter().for_each(|group| group.store.release_tidings());
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

    /// Why writes are refused now, if they are: all but those that free room, or those as well.
    pub fn write_refusal(&self, grows: bool) -> Option<String> {
        let no_memory = || (grows && self.admission.memory.is_short()).then(|| OOM.to_owned());
        self.health.refusal(grows).or_else(no_memory)
    }

    /// Refuses what is kept for a client (names that it watches or hears, that it waits) while memory is short.
    pub fn check_memory(&self) -> command::Result<()> {
        if self.admission.memory.is_short() { Err(command::Error::line(OOM)) } else { Ok(()) }
    }

    /// As [`Self::write_refusal`], whether or not memory is short: for what administrators write.
    pub fn disk_refusal(&self, grows: bool) -> Option<String> {
        self.health.refusal(grows)
    }

    /// Looks at the log, the stores and the disk, and decides anew.
    pub fn check_health(&self) {
        let poisoned = self.wal.stats().poisoned;
        let log_failed = poisoned.is_some();
        let space = self.space();
        let decided_anew = self.health.set(health::refusal(&Signs {
            poisoned,
            has_room: self.wal.has_room(base::limits::ENTRY_BYTES_MAX as u64),
            store_failed: self.groups.iter().find_map(|group| group.failure.get().cloned()),
            space,
            refusing: self.health.refusing(),
        }));
        if decided_anew {
            // Writers that wait for the store are answered.
            self.wakers.wake_all();
        }
        if log_failed {
            self.groups.iter().for_each(|group| group.read_on(self.config.node_id));
        } else if let Some(space) = space
            && self.health.should_tidy(&space, Instant::now())
        {
            self.give_back_room(&space);
        }
    }

    /// Purges the log and flushes the store, which takes room before it gives back more.
    fn give_back_room(&self, space: &Space) {
        tracing::info!(?space, "little room on the disk: purging the log and flushing the store");
        for group in &self.groups {
            if let Some(consensus) = group.consensus() {
                consensus.trigger_purge();
            }
            if space.has_room_to_flush()
                && let Err(error) = group.store.disk.flush_soon()
            {
                tracing::error!(%error, "the store cannot be flushed");
            }
        }
    }

    /// The room on the disk and what is going to be written to it.
    pub fn space(&self) -> Option<Space> {
        let stores = || self.groups.iter().map(|group| &group.store);
        Some(Space {
            free: self.room.free_bytes()?,
            pending: stores().map(|store| store.sequencer.dirty_bytes()).sum(),
            buffered: self.disk.write_buffer_bytes(),
            stored: stores().map(|store| store.disk.table_bytes()).sum(),
        })
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
        self.request_stop();
        self.wakers.broadcast(|| Mail::Stop);
        // The network first: until its clients are answered, the heavy pool works for them.
        self.join(Class::Net);
        self.heavy.stop();
        self.stats.stop();
        self.join(Class::Maint);
        if let Some(consensus) = self.consensus.get() {
            consensus.shutdown();
        }
        for group in &self.groups {
            group.queue.stop();
        }
        self.join(Class::Apply);
        for group in &self.groups {
            if let Err(error) = group.store.disk.persist() {
                tracing::error!(%error, "the store could not be flushed; the log has it all");
            }
        }
        self.wal.close();
        let http = self.http.lock().take();
        drop(http);
    }
}

impl Node {
    /// Waits for the threads of a class to end.
    fn join(&self, class: Class) {
        let mut threads = self.threads.lock();
        let of_class = |t: &mut JoinHandle<()>| t.thread().name().and_then(Class::of) == Some(class);
        let ending: Vec<_> = threads.extract_if(.., of_class).collect();
        drop(threads);
        for thread in ending {
            let _ = thread.join();
        }
    }
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
