//! Settings of a node.

use std::net::SocketAddr;
use std::path::PathBuf;

use wal::Fsync;

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Option<SocketAddr>,
    pub http: Option<SocketAddr>,
    pub data: PathBuf,
    pub node_id: u64,
    pub groups: u16,
    pub fsync: Fsync,
    pub net_threads: usize,
    pub heavy_threads: usize,
    pub heavy_queue: usize,
    pub max_connections: usize,
    pub requirepass: Option<String>,
    /// Bound of the pending table and row cache, over all groups.
    pub cache_bytes: usize,
    /// Bound of the store's block cache.
    pub block_cache_bytes: u64,
}

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
            heavy_queue: 64,
            max_connections: 10_000,
            requirepass: None,
            cache_bytes: 256 << 20,
            block_cache_bytes: 64 << 20,
        }
    }
}

/// The CPUs that this process may really use: affinity and the cgroup's quota respected.
pub fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
