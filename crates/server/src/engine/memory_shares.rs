//! What the parts of a process may take that are bounded by themselves: as much as is of use, and where there is little
//! memory a part of it. So a node that is given little is small, not short of memory at rest.

use base::limits::{self, Bound};

/// Of the process without any data: programs, stacks, the log's newest entries.
const BASE_BYTES: u64 = 96 << 20;
/// What the store may have in memory of writes that are on their way to tables, as a multiple of its write buffer: one
/// half is written to while others wait to be written out.
const WRITE_BUFFERS: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Rows and the store's blocks, unless `--cache` says otherwise.
    pub cache_bytes: u64,
    /// Of a group: the store's writes that are not in tables yet.
    pub write_buffer_bytes: u64,
    /// Of a group: sequenced writes that the store does not have yet.
    pub dirty_bytes: u64,
    /// What snapshots keep in memory that is in tables already.
    pub snapshot_bytes: u64,
    /// Recent entries of the log.
    pub log_cache_bytes: u64,
}

/// What one part of several may take of a bound that is for all of them.
fn part(hard_bytes: u64, bound: Bound, parts: u64) -> u64 {
    match hard_bytes {
        0 => bound.bytes_max,
        _ => (hard_bytes / 100 * bound.percent / parts.max(1)).clamp(bound.bytes_min, bound.bytes_max),
    }
}

/// What one script in the heavy pool may take. Unlike the other shares this is decided when it begins: both may be set while the
/// node runs.
pub fn script_bytes(hard_bytes: u64, heavy_threads: usize) -> u64 {
    part(hard_bytes, limits::SCRIPTS, heavy_threads as u64)
}

impl Default for Shares {
    /// Where nobody says how much memory there is.
    fn default() -> Self {
        Self::of(0, 1)
    }
}

impl Shares {
    pub fn of(hard_bytes: u64, groups: u16) -> Self {
        let part = |bound, parts| part(hard_bytes, bound, parts);
        let groups = u64::from(groups);
        Self {
            cache_bytes: part(limits::CACHE, 1),
            write_buffer_bytes: part(limits::WRITE_BUFFER, groups),
            dirty_bytes: part(limits::DIRTY, groups),
            snapshot_bytes: part(limits::SNAPSHOTS, 1),
            log_cache_bytes: part(limits::LOG_CACHE, 1),
        }
    }

    /// What may be in use at a time without any client's holding anything.
    pub fn at_rest(&self, cache_bytes: u64, groups: u16) -> u64 {
        let each = WRITE_BUFFERS * self.write_buffer_bytes + self.dirty_bytes;
        BASE_BYTES + cache_bytes + self.log_cache_bytes + u64::from(groups) * each
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::memory::Thresholds;

    const MIB: u64 = 1 << 20;

    #[test]
    fn where_there_is_enough_they_are_as_large_as_is_of_use() {
        let most = Shares::default();
        assert_eq!((most.cache_bytes, most.dirty_bytes), (320 * MIB, 128 * MIB));
        assert_eq!((most.write_buffer_bytes, most.snapshot_bytes), (128 * MIB, 512 * MIB));
        assert_eq!(Shares::of(8 << 30, 1), most);
    }

    #[test]
    fn scripts_share_what_is_theirs_but_each_has_enough_to_run() {
        for (hard_mib, threads, expected_mib) in [
            (0, 1, 256),
            (0, 1_000, 256),
            (100_000, 4, 256),
            (1_000, 4, 50),
            (1_000, 10, 20),
            (1_000, 100, 16),
        ] {
            let found = script_bytes(hard_mib * MIB, threads) / MIB;
            assert_eq!(found, expected_mib, "{hard_mib} MiB, {threads} threads");
        }
    }

    #[test]
    fn a_node_with_little_memory_is_not_short_of_it_at_rest() {
        for (mib, groups) in [(512, 1), (1024, 1), (2048, 1), (4096, 1), (2048, 4), (8192, 8)] {
            let thresholds = Thresholds::new(None, None, Some(mib * MIB)).unwrap();
            let shares = Shares::of(thresholds.hard_bytes, groups);
            let at_rest = shares.at_rest(shares.cache_bytes, groups);
            let tight = thresholds.soft_bytes / 100 * limits::MEMORY_TIGHT_PERCENT;
            assert!(at_rest <= tight, "{mib} MiB, {groups} groups: {} of {}", at_rest / MIB, tight / MIB);
        }
    }
}
