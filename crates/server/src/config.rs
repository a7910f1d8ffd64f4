//! Settings of a node: those it starts with, and those that CONFIG SET changes while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use base::limits;
pub use base::limits::{HEAVY_QUEUE_MAX, HEAVY_THREADS_MAX};
pub use wal::Fsync;

pub use crate::engine::memory_shares::Shares;
pub use crate::engine::paged::PagedOptions;
use crate::net::output_limits::OutputLimits;
pub use certs::{ClientAuth, TlsFiles};

/// Each group has an apply thread, and its share of every buffer.
pub const GROUPS_MAX: u16 = 256;

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub data: PathBuf,
    pub node_id: u64,
    /// Fixed when a data directory is created.
    pub groups: u16,
    pub fsync: Fsync,
    pub net_threads: usize,
    pub heavy_threads: usize,
    /// The CPUs for these threads, for those of the store's engine and for maintenance.
    pub background_cpus: usize,
    /// Of each class.
    pub heavy_queue: usize,
    /// What runs there for longer is stopped; zero for never.
    pub heavy_timeout: Duration,
    /// Clients that hold much of the server's memory and stand still for so long are cut off; zero for never.
    pub stall_timeout: Duration,
    pub max_connections: usize,
    /// From one address; zero for any number.
    pub max_connections_per_peer: usize,
    pub requirepass: Option<String>,
    /// Resident memory from which on what would take more is refused, and which is never to be reached; zero for none.
    pub memory_soft: Option<u64>,
    pub memory_hard: Option<u64>,
    /// Whether it is looked for hot and large keys.
    pub sample_keys: bool,
    /// Bound of the pending table and row cache, over all groups.
    pub cache_bytes: usize,
    /// Bound of the store's block cache.
    pub block_cache_bytes: u64,
    /// What else is bounded by itself. Follows from the memory that there is when the node starts.
    pub shares: Shares,
    pub paged: PagedOptions,
    /// A listener for clients that speak the Redis protocol through TLS.
    pub tls: Option<TlsOptions>,
    pub program: Program,
}

/// What the program around a node goes by. The node only shows it.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub config_file: Option<PathBuf>,
    pub log_level: String,
    pub log_format: String,
    /// Where the actor API sends spans; empty for nowhere.
    pub ateapi_otlp_endpoint: String,
}

impl Program {
    /// Nothing if there is no file.
    pub fn shown_file(&self) -> String {
        self.config_file.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }
}

/// TLS: where, with which certificates, and how patiently.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    pub listen: SocketAddr,
    pub files: TlsFiles,
    pub handshakes_max: usize,
    pub handshake_timeout: Duration,
}

impl TlsOptions {
    pub fn new(listen: SocketAddr, files: TlsFiles) -> Self {
        Self {
            listen,
            files,
            handshakes_max: limits::TLS_HANDSHAKES_MAX,
            handshake_timeout: Duration::from_millis(limits::TLS_HANDSHAKE_MS_MAX),
        }
    }
}

/// Of the memory that `--cache` gives, a fifth goes to the store's blocks, the rest to rows.
const BLOCK_CACHE_SHARE: u64 = 5;

impl Config {
    /// The settings that a node has when nothing else is said.
    pub fn new(data: PathBuf) -> Self {
        let cpus = usable_cpus();
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 6379))),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 6380))),
            data,
            node_id: 1,
            groups: 1,
            fsync: Fsync::Always,
            net_threads: (cpus / 2).clamp(1, 16),
            heavy_threads: 2 * cpus,
            background_cpus: cpus.saturating_sub(kept_free(cpus)).max(1),
            heavy_queue: 64,
            heavy_timeout: Duration::from_millis(limits::HEAVY_TIMEOUT_MS),
            stall_timeout: Duration::from_millis(limits::STALL_TIMEOUT_MS),
            max_connections: 10_000,
            max_connections_per_peer: limits::CONNECTIONS_PER_PEER,
            requirepass: None,
            memory_soft: None,
            memory_hard: None,
            sample_keys: true,
            cache_bytes: 256 << 20,
            block_cache_bytes: 64 << 20,
            shares: Shares::default(),
            paged: PagedOptions::default(),
            tls: None,
            program: Program::default(),
        }
    }

    /// Divides the memory for caches between rows and the store's blocks.
    pub fn set_cache(&mut self, bytes: u64) {
        self.block_cache_bytes = bytes / BLOCK_CACHE_SHARE;
        self.cache_bytes = usize::try_from(bytes - self.block_cache_bytes).unwrap_or(usize::MAX);
    }

    /// All memory for caches.
    pub fn cache(&self) -> u64 {
        self.cache_bytes as u64 + self.block_cache_bytes
    }
}

/// The CPUs that this process may really use: affinity and the cgroup's quota respected.
pub fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// CPUs without heavy work and what is done in the background, so that what everybody waits for finds one at once.
fn kept_free(cpus: usize) -> usize {
    (cpus / limits::CPUS_KEPT_FREE_PART).max(1)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// As in Redis.
const BUSY_AFTER_MS: u64 = 5_000;
const SLOWER_THAN_US: i64 = 10_000;
const SLOWLOG_LEN_MAX: usize = 128;
const ACL_LOG_LEN_MAX: usize = 128;

/// Settings that may change while the node runs.
pub struct Live {
    slower_than_us: AtomicI64,
    busy_after_ms: AtomicU64,
    slowlog_len_max: AtomicUsize,
    connections_max: AtomicUsize,
    per_peer_max: AtomicUsize,
    idle_s_max: AtomicU64,
    heavy_timeout_ms: AtomicU64,
    stall_timeout_ms: AtomicU64,
    acl_log_len_max: AtomicUsize,
    pub output_limits: OutputLimits,
}

impl Live {
    pub fn new(config: &Config) -> Self {
        Self {
            slower_than_us: AtomicI64::new(SLOWER_THAN_US),
            busy_after_ms: AtomicU64::new(BUSY_AFTER_MS),
            slowlog_len_max: AtomicUsize::new(SLOWLOG_LEN_MAX),
            connections_max: AtomicUsize::new(config.max_connections),
            per_peer_max: AtomicUsize::new(config.max_connections_per_peer),
            idle_s_max: AtomicU64::new(0),
            heavy_timeout_ms: AtomicU64::new(millis(config.heavy_timeout)),
            stall_timeout_ms: AtomicU64::new(millis(config.stall_timeout)),
            acl_log_len_max: AtomicUsize::new(ACL_LOG_LEN_MAX),
            output_limits: OutputLimits::default(),
        }
    }

    /// Commands from this duration on go into the slow log; `None` for none.
    /// From when on a script counts as one that runs for long.
    pub fn busy_after(&self) -> Duration {
        Duration::from_millis(self.busy_after_ms.load(Relaxed))
    }

    pub fn set_busy_after(&self, after: Duration) {
        self.busy_after_ms.store(millis(after), Relaxed);
    }

    pub fn slower_than_us(&self) -> Option<u64> {
        u64::try_from(self.slower_than_us.load(Relaxed)).ok()
    }

    pub fn set_slower_than_us(&self, us: i64) {
        self.slower_than_us.store(us, Relaxed);
    }

    pub fn slowlog_len_max(&self) -> usize {
        self.slowlog_len_max.load(Relaxed)
    }

    pub fn set_slowlog_len_max(&self, len: usize) {
        self.slowlog_len_max.store(len, Relaxed);
    }

    pub fn acl_log_len_max(&self) -> usize {
        self.acl_log_len_max.load(Relaxed)
    }

    pub fn set_acl_log_len_max(&self, len: usize) {
        self.acl_log_len_max.store(len, Relaxed);
    }

    pub fn connections_max(&self) -> usize {
        self.connections_max.load(Relaxed)
    }

    pub fn set_connections_max(&self, count: usize) {
        self.connections_max.store(count, Relaxed);
    }

    /// What runs in the heavy pool for longer is stopped, if anything is.
    pub fn heavy_timeout(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.heavy_timeout_ms())).filter(|timeout| !timeout.is_zero())
    }

    /// Zero for never.
    pub fn heavy_timeout_ms(&self) -> u64 {
        self.heavy_timeout_ms.load(Relaxed)
    }

    pub fn set_heavy_timeout_ms(&self, ms: u64) {
        self.heavy_timeout_ms.store(ms, Relaxed);
    }

    /// Clients that stand still for so long are cut off; zero for never.
    pub fn stall_timeout_ms(&self) -> u64 {
        self.stall_timeout_ms.load(Relaxed)
    }

    pub fn set_stall_timeout_ms(&self, ms: u64) {
        self.stall_timeout_ms.store(ms, Relaxed);
    }

    /// Connections from one address; zero for any number.
    pub fn per_peer_max(&self) -> usize {
        self.per_peer_max.load(Relaxed)
    }

    pub fn set_per_peer_max(&self, count: usize) {
        self.per_peer_max.store(count, Relaxed);
    }

    /// Clients that say nothing for so long are disconnected; zero for never.
    pub fn idle_s_max(&self) -> u64 {
        self.idle_s_max.load(Relaxed)
    }

    pub fn set_idle_s_max(&self, seconds: u64) {
        self.idle_s_max.store(seconds, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_divided_without_a_remainder() {
        let mut config = Config::new(PathBuf::new());
        config.set_cache(1001);
        assert_eq!(config.cache(), 1001);
    }
}
