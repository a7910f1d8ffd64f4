//! Settings of a node's log.

use std::path::PathBuf;

/// When an append counts as durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// After fdatasync.
    Always,
    /// After write(); fdatasync follows within a second. A power cut may lose that second.
    EverySec,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub dir: PathBuf,
    /// Size of a segment file; the first ones are smaller.
    pub segment_bytes: u64,
    pub fsync: Fsync,
    /// Recent entries kept in memory, over all groups.
    pub cache_bytes: usize,
    /// Spare segments kept for reuse; more are removed.
    pub recycle_max: usize,
}

impl Options {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            fsync: Fsync::Always,
            cache_bytes: 32 << 20,
            recycle_max: 2,
        }
    }
}
