//! Counters of the log, as atomics that the metrics page reads at any time.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Bucket *i* counts latencies of [2^i, 2^(i+1)) µs; the first one also those below 1 µs, the last
/// one everything above.
pub const HISTOGRAM_BUCKETS: usize = 24;

/// A reading of the counters.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    pub appends: u64,
    pub entries: u64,
    pub bytes_written: u64,
    pub fsyncs: u64,
    pub fsync_us_sum: u64,
    pub fsync_us_buckets: [u64; HISTOGRAM_BUCKETS],
    /// Records queued for the log thread, and their bytes.
    pub queue_depth: u64,
    pub queue_bytes: u64,
    /// How often an append had to wait for room among them.
    pub queue_full: u64,
    pub segments: u64,
    pub segments_created: u64,
    pub segments_recycled: u64,
    pub reads_cold: u64,
    pub full_errors: u64,
    pub poisoned: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: AtomicU64,
    pub(crate) entries: AtomicU64,
    pub(crate) bytes_written: AtomicU64,
    pub(crate) fsyncs: AtomicU64,
    fsync_us_sum: AtomicU64,
    /// The longest one since somebody asked.
    fsync_us_max: AtomicU64,
    fsync_us_buckets: [AtomicU64; HISTOGRAM_BUCKETS],
    pub(crate) segments_created: AtomicU64,
    pub(crate) segments_recycled: AtomicU64,
    pub(crate) reads_cold: AtomicU64,
    pub(crate) full_errors: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Relaxed);
    }

    pub(crate) fn fsync(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self::add(&self.fsyncs, 1);
        Self::add(&self.fsync_us_sum, us);
        self.fsync_us_max.fetch_max(us, Relaxed);
        if let Some(bucket) = self.fsync_us_buckets.get(bucket(us)) {
            Self::add(bucket, 1);
        }
    }

    pub(crate) fn take_slowest_sync(&self) -> Duration {
        Duration::from_micros(self.fsync_us_max.swap(0, Relaxed))
    }

    pub(crate) fn read(&self) -> Stats {
        let mut buckets = [0; HISTOGRAM_BUCKETS];
        for (to, from) in buckets.iter_mut().zip(&self.fsync_us_buckets) {
            *to = from.load(Relaxed);
        }
        Stats {
            appends: self.appends.load(Relaxed),
            entries: self.entries.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            fsyncs: self.fsyncs.load(Relaxed),
            fsync_us_sum: self.fsync_us_sum.load(Relaxed),
            fsync_us_buckets: buckets,
            segments_created: self.segments_created.load(Relaxed),
            segments_recycled: self.segments_recycled.load(Relaxed),
            reads_cold: self.reads_cold.load(Relaxed),
            full_errors: self.full_errors.load(Relaxed),
            ..Stats::default()
        }
    }
}

fn bucket(us: u64) -> usize {
    (us.max(1).ilog2() as usize).min(HISTOGRAM_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two_with_open_ends() {
        for (us, expected) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (1023, 9), (1024, 10)] {
            assert_eq!(bucket(us), expected, "{us} µs");
        }
        assert_eq!(bucket(u64::MAX), HISTOGRAM_BUCKETS - 1);
    }
}
