//! What a group tells about itself: counters that the hot path keeps in atomics, and the picture
//! that is read out.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::machine::Position;

/// Buckets of a [`Histogram`]: bucket `n` counts what took less than 2^n µs; the last one counts
/// the rest (over half an hour).
pub const BUCKETS: usize = 32;

/// A latency histogram with buckets that double.
#[derive(Debug, Default)]
pub(crate) struct AtomicHistogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl AtomicHistogram {
    pub(crate) fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (64 - us.leading_zeros() as usize).min(BUCKETS - 1);
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(us.min(1 << 40), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|n| self.buckets.get(n).map_or(0, |c| c.load(Ordering::Relaxed))),
            sum_us: self.sum_us.load(Ordering::Relaxed),
        }
    }
}

/// Latencies by powers of two: `buckets[n]` counts what took less than 2^n µs and not less than
/// half of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    pub buckets: [u64; BUCKETS],
    pub sum_us: u64,
}

impl Histogram {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The upper edge of the bucket that holds the given quantile, in microseconds.
    pub fn quantile_us(&self, quantile: f64) -> u64 {
        let wanted = (self.count() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (n, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return 1 << n;
            }
        }
        0
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where something of a group waits. Each is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Proposals that are not committed yet.
    Proposals,
    /// What is in the log and not handed to the machine yet: bytes, and entries.
    BacklogBytes,
    BacklogEntries,
    /// Bytes that the machine has been handed and not dealt with.
    ApplyBytes,
    /// Appends for which the disk has no room.
    Held,
}

impl Queue {
    pub const ALL: [Self; 5] =
        [Self::Proposals, Self::BacklogBytes, Self::BacklogEntries, Self::ApplyBytes, Self::Held];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposals => "proposals",
            Self::BacklogBytes => "backlog_bytes",
            Self::BacklogEntries => "backlog_entries",
            Self::ApplyBytes => "apply_bytes",
            Self::Held => "held",
        }
    }
}

/// A queue as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueMetrics {
    pub depth: u64,
    /// From here on it is full.
    pub max: u64,
    /// How often it was. Then proposals and replicated entries are refused, and the machine's queue is waited for.
    pub full: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) in_flight: Gauge,
    pub(crate) commit_latency: AtomicHistogram,
    full: [AtomicU64; Queue::ALL.len()],
    pub(crate) snapshots_sent: AtomicU64,
    pub(crate) snapshots_installed: AtomicU64,
    pub(crate) purges: AtomicU64,
}

impl Counters {
    pub(crate) fn latency(&self) -> Histogram {
        self.commit_latency.read()
    }

    /// Somebody has found a queue full.
    pub(crate) fn found_full(&self, queue: Queue) {
        if let Some(count) = self.full.get(queue as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn full(&self, queue: Queue) -> u64 {
        self.full.get(queue as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Learner,
    Follower,
    Candidate,
    Leader,
    /// The group has stopped; [`GroupMetrics::failure`] says why.
    Stopped,
}

/// A group as its own node sees it.
#[derive(Clone, Debug)]
pub struct GroupMetrics {
    pub term: u64,
    pub leader: Option<u64>,
    pub role: Role,
    /// The last entry of the log, durable or not.
    pub last_log: Option<u64>,
    pub committed: Option<Position>,
    /// Handed to the machine.
    pub applied: Option<Position>,
    /// What the store is known to hold durably.
    pub persisted: Option<Position>,
    pub purged: Option<Position>,
    /// On the leader: what each other replica is known to hold.
    pub replicated: Vec<(u64, Option<Position>)>,
    pub voters: BTreeSet<u64>,
    pub learners: BTreeSet<u64>,
    /// Addresses of all members.
    pub addresses: Vec<(u64, String)>,
    /// Candidacies of this node since it started.
    pub elections: u64,
    /// In the order of [`Queue::ALL`].
    pub queues: [QueueMetrics; Queue::ALL.len()],
    pub snapshots_sent: u64,
    pub snapshots_installed: u64,
    pub purges: u64,
    pub commit_latency: Histogram,
    /// Why the group does not serve, if it has failed.
    pub failure: Option<String>,
}

impl GroupMetrics {
    pub fn queue(&self, queue: Queue) -> QueueMetrics {
        self.queues.get(queue as usize).copied().unwrap_or_default()
    }

    pub fn queues(&self) -> impl Iterator<Item = (Queue, QueueMetrics)> {
        Queue::ALL.into_iter().zip(self.queues)
    }

    /// What was refused because a queue was full.
    pub fn refused_full(&self) -> u64 {
        let refuses = |&(queue, _): &(Queue, QueueMetrics)| queue != Queue::ApplyBytes;
        self.queues().filter(refuses).map(|(_, queue)| queue.full).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_counted_apart() {
        let counters = Counters::default();
        for (queue, times) in Queue::ALL.into_iter().zip(1..) {
            (0..times).for_each(|_| counters.found_full(queue));
        }
        assert_eq!(Queue::ALL.map(|queue| counters.full(queue)), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn latencies_fall_into_their_buckets() {
        let histogram = AtomicHistogram::default();
        for us in [0, 1, 2, 3, 4, 1_000, 5_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        histogram.record(Duration::MAX);
        let seen = histogram.read();
        assert_eq!(seen.buckets[..4], [1, 1, 2, 1]);
        assert_eq!((seen.buckets[10], seen.buckets[23], seen.buckets[BUCKETS - 1]), (1, 1, 1));
        assert_eq!((seen.count(), seen.quantile_us(0.5)), (8, 4));
    }
}
