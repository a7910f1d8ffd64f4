//! What the heavy pool counts, by command: there are as many as the table has rows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use command::Class;
use observe::exposition::Bucket;

use crate::table::{Entry, table};

/// Each bucket ends at four times the one before: from 64 µs to 67 s.
const BITS: [u32; 11] = [6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26];
/// What took longer is in the last one.
const BUCKETS: usize = BITS.len() + 1;

#[derive(Default)]
struct Durations {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Durations {
    fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BITS.iter().position(|bits| us <= 1 << bits).unwrap_or(BITS.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }
}

/// How long something took, of one command or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    buckets: [u64; BUCKETS],
    pub sum_us: u64,
}

impl Spread {
    fn add(&mut self, other: &Self) {
        self.sum_us += other.sum_us;
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Buckets as Prometheus wants them.
    pub fn cumulative(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.buckets.iter().zip(BITS).scan(0, |sum, (count, bits)| {
            *sum += count;
            Some(Bucket { upto: (1_u64 << bits) as f64 / 1e6, count: *sum })
        })
    }

    /// What is in each bucket, by its end; empty ones are left out.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let ends = BITS.into_iter().chain([BITS[BITS.len() - 1] + 2]);
        let all = self.buckets.iter().zip(ends).map(|(count, bits)| (1 << bits, *count));
        all.filter(|(_, count)| *count > 0)
    }

    /// The end of the bucket that holds what the given share did not exceed; `None` above the last one.
    pub fn within_us(&self, share: f64) -> Option<u64> {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        self.buckets.iter().zip(BITS).find_map(|(count, bits)| {
            seen += count;
            (seen >= wanted).then_some(1 << bits)
        })
    }
}

/// What is counted of one command.
#[derive(Default)]
struct Counters {
    submitted: AtomicU64,
    rejected: AtomicU64,
    outgrown: AtomicU64,
    timed_out: AtomicU64,
    waited: OnceLock<Box<Durations>>,
    ran: OnceLock<Box<Durations>>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    pub submitted: u64,
    pub rejected: u64,
    pub outgrown: u64,
    pub timed_out: u64,
    /// From when a job came to when a thread took it on.
    pub waited: Spread,
    pub ran: Spread,
}

impl Counters {
    fn read(&self) -> Counted {
        let spread = |durations: &OnceLock<Box<Durations>>| {
            durations.get().map_or_else(Spread::default, |durations| Spread {
                buckets: std::array::from_fn(|at| durations.buckets.get(at).map_or(0, |n| n.load(Relaxed))),
                sum_us: durations.sum_us.load(Relaxed),
            })
        };
        Counted {
            submitted: self.submitted.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            outgrown: self.outgrown.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            waited: spread(&self.waited),
            ran: spread(&self.ran),
        }
    }
}

impl Counted {
    fn add(mut self, other: &Self) -> Self {
        self.submitted += other.submitted;
        self.rejected += other.rejected;
        self.outgrown += other.outgrown;
        self.timed_out += other.timed_out;
        self.waited.add(&other.waited);
        self.ran.add(&other.ran);
        self
    }
}

pub struct HeavyStats {
    commands: Vec<Counters>,
}

impl Default for HeavyStats {
    fn default() -> Self {
        Self { commands: table().entries().iter().map(|_| Counters::default()).collect() }
    }
}

impl HeavyStats {
    fn count(&self, entry: &Entry, counter: fn(&Counters) -> &AtomicU64) {
        if let Some(counters) = self.commands.get(entry.id) {
            counter(counters).fetch_add(1, Relaxed);
        }
    }

    /// New work was taken on.
    pub(super) fn submitted(&self, entry: &Entry) {
        self.count(entry, |counters| &counters.submitted);
    }

    /// It was told BUSY, at once or when its place was given to another.
    pub(super) fn rejected(&self, entry: &Entry) {
        self.count(entry, |counters| &counters.rejected);
    }

    /// It began on a network thread, or belongs into the pool.
    pub fn outgrown(&self, entry: &Entry) {
        self.count(entry, |counters| &counters.outgrown);
    }

    /// It was stopped because it took too long.
    pub(super) fn timed_out(&self, entry: &Entry) {
        self.count(entry, |counters| &counters.timed_out);
    }

    pub(super) fn waited(&self, entry: &Entry, took: Duration) {
        if let Some(counters) = self.commands.get(entry.id) {
            counters.waited.get_or_init(Box::default).record(took);
        }
    }

    pub(super) fn ran(&self, entry: &Entry, took: Duration) {
        if let Some(counters) = self.commands.get(entry.id) {
            counters.ran.get_or_init(Box::default).record(took);
        }
    }

    /// The commands that have come here, each with what was counted of it.
    pub fn commands(&self) -> impl Iterator<Item = (&'static Entry, Counted)> + '_ {
        let read = |(entry, counters): (_, &Counters)| (entry, counters.read());
        table()
            .entries()
            .iter()
            .zip(&self.commands)
            .map(read)
            .filter(|(_, counted)| *counted != Counted::default())
    }

    pub fn of_class(&self, class: Class) -> Counted {
        let of_class = self.commands().filter(|(entry, _)| entry.row.class == class);
        of_class.fold(Counted::default(), |sum, (_, counted)| sum.add(&counted))
    }

    pub fn total(&self) -> Counted {
        self.commands().fold(Counted::default(), |sum, (_, counted)| sum.add(&counted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_in_their_buckets() {
        let durations = Durations::default();
        for us in [0, 64, 65, 1_024, 70_000_000, 100_000_000] {
            durations.record(Duration::from_micros(us));
        }
        let counters = Counters::default();
        assert!(counters.ran.set(Box::new(durations)).is_ok());
        let ran = counters.read().ran;
        let buckets: Vec<_> = ran.cumulative().map(|bucket| (bucket.upto, bucket.count)).collect();
        assert_eq!(buckets[..4], [(0.000_064, 2), (0.000_256, 3), (0.001_024, 4), (0.004_096, 4)]);
        assert_eq!((buckets.len(), buckets[10]), (11, (67.108_864, 4)));
        assert_eq!((ran.count(), ran.sum_us), (6, 170_001_153));
        let counts: Vec<_> = ran.counts().collect();
        assert_eq!(counts, [(64, 2), (256, 1), (1_024, 1), (1 << 28, 2)]);
        let within = [0.0, 0.34, 0.5, 0.6, 0.99].map(|share| ran.within_us(share));
        assert_eq!(within, [Some(64), Some(256), Some(256), Some(1_024), None]);
    }

    #[test]
    fn what_is_counted_adds_up_by_class() {
        let stats = HeavyStats::default();
        for name in ["keys", "keys", "sort", "eval", "exec", "lrange"] {
            stats.submitted(table().find(name.as_bytes()).unwrap());
        }
        let of = |class| stats.of_class(class).submitted;
        assert_eq!(Class::ALL.map(of), [3, 1, 2]);
        assert_eq!(stats.total().submitted, 6);
        assert_eq!(stats.commands().count(), 5);
    }
}
