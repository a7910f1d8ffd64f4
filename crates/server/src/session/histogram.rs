//! Latencies of one command: counted in buckets that are exact for a few microseconds and a quarter
//! of an octave wide above.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Below this every microsecond has a bucket of its own.
const EXACT: u64 = 8;
const EXACT_BITS: u32 = EXACT.ilog2();
const QUARTERS: usize = 4;
/// The last octave begins at 2^26 µs, about a minute; what takes longer is counted there.
const OCTAVE_MAX: u32 = 26;
const BUCKETS: usize = EXACT as usize + (OCTAVE_MAX - EXACT_BITS + 1) as usize * QUARTERS;

fn bucket(us: u64) -> usize {
    if us < EXACT {
        return us as usize;
    }
    let octave = us.ilog2().min(OCTAVE_MAX);
    let quarter = if us.ilog2() > OCTAVE_MAX { QUARTERS - 1 } else { (us >> (octave - 2)) as usize & 3 };
    EXACT as usize + (octave - EXACT_BITS) as usize * QUARTERS + quarter
}

/// The greatest value of a bucket.
fn upper_us(bucket: usize) -> u64 {
    let Some(above) = bucket.checked_sub(EXACT as usize) else { return bucket as u64 };
    let octave = EXACT_BITS + (above / QUARTERS) as u32;
    let quarter = (above % QUARTERS) as u64;
    (1 << octave) + (quarter + 1) * (1 << (octave - 2)) - 1
}

/// The bound that Redis shows for what took up to so many microseconds: powers of two of 1.024 µs, each a
/// 128th more, because that is how its histogram counts.
fn bound_us(us: u64) -> u64 {
    let nanos = us * 1000 + 999;
    let bounds = (0..=OCTAVE_MAX + 1).map(|octave| ((1024_u64 << octave) / 128 * 129) - 1);
    let bound = bounds.into_iter().find(|bound| nanos <= *bound);
    bound.unwrap_or(nanos) / 1000
}

pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Histogram {
    pub fn record(&self, us: u64) {
        if let Some(bucket) = self.buckets.get(bucket(us)) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    pub fn reset(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Relaxed);
        }
    }

    pub fn add_to(&self, sum: &mut Latencies) {
        for (total, bucket) in sum.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.load(Relaxed);
        }
    }
}

/// A reading of one or several histograms.
#[derive(Clone, Debug)]
pub struct Latencies {
    buckets: [u64; BUCKETS],
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS] }
    }
}

impl Latencies {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many calls there are in each bucket, by its greatest value; empty ones are left out.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let all = self.buckets.iter().enumerate().map(|(at, count)| (upper_us(at), *count));
        all.filter(|(_, count)| *count > 0)
    }

    pub fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
    }

    /// Takes out what is part of these. The two are not read at one moment.
    pub fn without(mut self, part: &Self) -> Self {
        self.buckets.iter_mut().zip(part.buckets).for_each(|(all, count)| *all = all.saturating_sub(count));
        self
    }

    /// How many calls took at most so many microseconds: at the bounds that Redis has, as far as calls lie
    /// between them. A call that may have taken longer counts at the next one.
    pub fn within(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            seen += count;
            found.insert(bound_us(upper_us(at)), seen);
        }
        found.into_iter()
    }

    /// What the given share of calls did not exceed, up to the width of a bucket.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_us(at);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(upper_us(at)), at);
            let next = (at + 1).min(BUCKETS - 1);
            assert_eq!(bucket(upper_us(at) + 1), next, "above {}", upper_us(at));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn calls_are_counted_up_to_the_bounds_of_redis() {
        let histogram = Histogram::default();
        for us in [0, 0, 1, 3, 9, 30, 200, 200, 1_000, 70_000_000_000] {
            histogram.record(us);
        }
        let mut sum = Latencies::default();
        histogram.add_to(&mut sum);
        let within: Vec<_> = sum.within().collect();
        let last = within.last().copied();
        assert_eq!(
            within[..7],
            [(1, 2), (2, 3), (4, 4), (16, 5), (33, 6), (264, 8), (1056, 9)],
            "{within:?}"
        );
        assert_eq!(last, Some((138_512_695, 10)));
    }

    #[test]
    fn a_part_is_taken_out_and_added_again() {
        let read = |values: &[u64]| {
            let (histogram, mut sum) = (Histogram::default(), Latencies::default());
            values.iter().for_each(|us| histogram.record(*us));
            histogram.add_to(&mut sum);
            sum
        };
        let (all, part) = (read(&[1, 1, 9, 1_000]), read(&[1, 1_000]));
        let mut light = all.without(&part);
        assert_eq!(light.counts().collect::<Vec<_>>(), [(1, 1), (9, 1)]);
        light.add(&part);
        assert_eq!(light.counts().collect::<Vec<_>>(), [(1, 2), (9, 1), (1_023, 1)]);
        assert_eq!(read(&[1]).without(&read(&[1, 1])).count(), 0);
    }

    #[test]
    fn quantiles_are_within_a_quarter_of_an_octave() {
        let histogram = Histogram::default();
        for us in 1..=1000 {
            histogram.record(us);
        }
        let mut sum = Latencies::default();
        histogram.add_to(&mut sum);
        for (share, exact) in [(0.001, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = sum.quantile_us(share);
            assert!(found >= exact && found <= exact + exact / 4 + 1, "{share}: {found}");
        }
        assert_eq!(Latencies::default().quantile_us(0.5), 0);
    }
}
