//! Which keys are used most: a summary of bounded size of any number of uses.
//!
//! Of the keys that are counted, the one with the least makes room for a new one, which inherits what was counted (Metwally's
//! *space saving*). So whoever has more than one part in `capacity` of all uses is counted, and nobody's count is too large by more
//! than that part. What was counted fades: all of it by the same factor, which leaves these bounds as they are.

use base::limits::{HOT_KEYS_HALF_LIFE_MS, KEY_BYTES_SHOWN};

/// How often what was counted fades: each time is a walk through all keys.
const STEP_MS: u64 = 1_000;

/// A key, by all of its bytes and its database, and what is kept of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// So wide, and with a seed of the server's own, that two keys have the same one by no chance that matters.
    hash: u64,
    pub database: u8,
    pub bytes: Box<[u8]>,
    /// How many bytes the key has.
    pub len: usize,
}

/// A key, as it is named in a command.
#[derive(Clone, Copy, Debug)]
pub struct Used<'k> {
    pub hash: u64,
    pub database: u8,
    pub key: &'k [u8],
    pub is_written: bool,
}

/// What is known of one key.
#[derive(Clone, Debug)]
pub struct Count {
    pub name: Name,
    /// What was counted of it.
    pub reads: f64,
    pub writes: f64,
    /// What it has inherited: this much more it may have been used, or less than that.
    pub inherited: f64,
}

impl Count {
    /// How often it was used, at least.
    pub fn uses(&self) -> f64 {
        self.reads + self.writes
    }

    fn at_most(&self) -> f64 {
        self.uses() + self.inherited
    }

    fn add(&mut self, is_written: bool, uses: f64) {
        *(if is_written { &mut self.writes } else { &mut self.reads }) += uses;
    }

    fn fade(&mut self, factor: f64) {
        for number in [&mut self.reads, &mut self.writes, &mut self.inherited] {
            *number *= factor;
        }
    }
}

#[derive(Clone, Debug)]
pub struct Summary {
    capacity: usize,
    counts: Vec<Count>,
    /// Of each of them its hash, and what it was used at most: these are gone through with each use. In the counts
    /// themselves that would cost more, and push most of what the thread works with out of its CPU's nearest cache.
    hashes: Vec<u64>,
    at_most: Vec<f64>,
    /// All uses.
    total: f64,
    faded_ms: u64,
}

impl Summary {
    pub fn new(capacity: usize) -> Self {
        let (counts, hashes, at_most) = (Vec::new(), Vec::new(), Vec::new());
        Self { capacity, counts, hashes, at_most, total: 0.0, faded_ms: 0 }
    }

    /// A key was used, for as many times as that stands for.
    pub fn note(&mut self, used: Used<'_>, uses: f64, now_ms: u64) {
        self.fade(now_ms);
        self.total += uses;
        let Used { hash, database, key, is_written } = used;
        if let Some(at) = place_of(&self.hashes, hash) {
            if let Some(count) = self.counts.get_mut(at) {
                count.add(is_written, uses);
            }
            return self.noted(at);
        }
        let bytes = key.get(..KEY_BYTES_SHOWN).unwrap_or(key).into();
        let name = Name { hash, database, bytes, len: key.len() };
        let mut count = Count { name, reads: 0.0, writes: 0.0, inherited: 0.0 };
        count.add(is_written, uses);
        if self.counts.len() < self.capacity {
            return self.push(count);
        }
        let at = least(&self.at_most);
        if let Some(least) = self.counts.get_mut(at) {
            count.inherited = least.at_most();
            *least = count;
            self.noted(at);
        }
    }

    fn push(&mut self, count: Count) {
        self.hashes.push(count.name.hash);
        self.at_most.push(count.at_most());
        self.counts.push(count);
    }

    /// The count at a place has changed.
    fn noted(&mut self, at: usize) {
        if let (Some(count), Some(hash), Some(at_most)) =
            (self.counts.get(at), self.hashes.get_mut(at), self.at_most.get_mut(at))
        {
            (*hash, *at_most) = (count.name.hash, count.at_most());
        }
    }

    /// What was counted until now counts less.
    pub fn fade(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.faded_ms);
        if passed_ms < STEP_MS {
            return;
        }
        self.faded_ms = now_ms;
        let factor = left_after(passed_ms);
        self.total *= factor;
        for (count, at_most) in self.counts.iter_mut().zip(&mut self.at_most) {
            count.fade(factor);
            *at_most = count.at_most();
        }
    }

    /// Counts what another one has counted, as of the same time: of a key in both of them, all of it.
    pub fn merge(&mut self, other: Self) {
        self.total += other.total;
        for count in other.counts {
            let Some(at) = place_of(&self.hashes, count.name.hash) else {
                self.push(count);
                continue;
            };
            if let Some(own) = self.counts.get_mut(at) {
                own.reads += count.reads;
                own.writes += count.writes;
                own.inherited += count.inherited;
            }
            self.noted(at);
        }
    }

    pub fn total(&self) -> f64 {
        self.total
    }

    /// The keys that were used most, those with most first.
    pub fn top(mut self, count: usize) -> Vec<Count> {
        self.counts.sort_by(|a, b| b.uses().total_cmp(&a.uses()));
        self.counts.truncate(count);
        self.counts
    }
}

/// How many numbers are compared at once: as far as a CPU has instructions for that, the compiler uses them.
const AT_ONCE: usize = 8;

fn place_of(hashes: &[u64], hash: u64) -> Option<usize> {
    let has = |chunk: &&[u64]| chunk.iter().fold(false, |has, other| has | (*other == hash));
    let (at, chunk) = hashes.chunks(AT_ONCE).enumerate().find(|(_, chunk)| has(chunk))?;
    Some(at * AT_ONCE + chunk.iter().position(|other| *other == hash)?)
}

/// Where the least number is.
fn least(numbers: &[f64]) -> usize {
    let (chunks, rest) = numbers.as_chunks::<AT_ONCE>();
    let mut lanes = [f64::INFINITY; AT_ONCE];
    for chunk in chunks {
        for (lane, number) in lanes.iter_mut().zip(chunk) {
            *lane = if number < lane { *number } else { *lane };
        }
    }
    let least = lanes.iter().chain(rest).fold(f64::INFINITY, |least, number| least.min(*number));
    numbers.iter().position(|number| *number <= least).unwrap_or_default()
}

/// What is left of what was counted so long ago.
fn left_after(ms: u64) -> f64 {
    (-(ms as f64) / HOT_KEYS_HALF_LIFE_MS as f64).exp2()
}

/// How many uses a second are behind what was counted since so long ago, had they come evenly.
pub fn per_second(counted: f64, since_ms: u64) -> f64 {
    let whole_s = HOT_KEYS_HALF_LIFE_MS as f64 / 1_000.0 / std::f64::consts::LN_2;
    counted / (whole_s * (1.0 - left_after(since_ms.max(STEP_MS))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn used(key: &[u8], is_written: bool) -> Used<'_> {
        let hash = key.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Used { hash, database: 0, key, is_written }
    }

    #[test]
    fn reads_and_writes_are_counted_by_key() {
        let mut summary = Summary::new(4);
        for (key, is_written) in [(b"a", false), (b"b", true), (b"a", true), (b"a", false)] {
            summary.note(used(key, is_written), 2.0, 0);
        }
        let top = summary.clone().top(9);
        let shown: Vec<_> = top.iter().map(|count| (&*count.name.bytes, count.reads, count.writes)).collect();
        assert_eq!(shown, [(&b"a"[..], 4.0, 2.0), (b"b", 0.0, 2.0)]);
        assert_eq!((summary.total(), summary.top(1).len()), (8.0, 1));
    }

    #[test]
    fn the_least_of_many_makes_room() {
        for capacity in [1, 7, 8, 9, 256] {
            for least in 0..capacity {
                let mut summary = Summary::new(capacity);
                for key in 0..capacity {
                    let uses = if key == least { 1.0 } else { 2.0 };
                    summary.note(used(&key.to_le_bytes(), false), uses, 0);
                }
                summary.note(used(b"new", true), 1.0, 0);
                let keys: Vec<&[u8]> = summary.counts.iter().map(|count| &*count.name.bytes).collect();
                assert!(keys.contains(&&b"new"[..]) && !keys.contains(&&least.to_le_bytes()[..]));
                assert_eq!(keys.len(), capacity);
            }
        }
    }

    #[test]
    fn long_names_are_cut_and_keys_told_apart_all_the_same() {
        let (one, other) = ([b'x'; 1_000], [b'x'; 1_001]);
        let mut summary = Summary::new(4);
        summary.note(used(&one, false), 1.0, 0);
        summary.note(used(&other, false), 2.0, 0);
        let top = summary.top(9);
        let shown: Vec<_> = top.iter().map(|count| (count.name.bytes.len(), count.name.len)).collect();
        assert_eq!(shown, [(KEY_BYTES_SHOWN, 1_001), (KEY_BYTES_SHOWN, 1_000)]);
    }

    #[test]
    fn what_was_hot_an_hour_ago_is_not_any_more() {
        let mut summary = Summary::new(4);
        summary.note(used(b"then", false), 1e9, 0);
        summary.note(used(b"now", false), 1.0, 3_600_000);
        let top = summary.top(2);
        assert_eq!(&*top[0].name.bytes, b"now");
        assert!(top[1].uses() < 1e-8, "{top:?}");
    }

    #[test]
    fn a_rate_is_told_from_the_beginning_on() {
        for seconds in [5, 60, 3_600] {
            let mut summary = Summary::new(4);
            (0..=seconds * 10).for_each(|n| summary.note(used(b"a", false), 10.0, n * 100));
            let rate = per_second(summary.total(), seconds * 1_000);
            assert!((90.0..115.0).contains(&rate), "{rate} after {seconds} s");
        }
    }

    /// Uses of keys 0 to 39, the lower ones much more often, and when.
    fn stream() -> impl Strategy<Value = Vec<(u8, bool, u64)>> {
        let key = (0u8..40, 0u8..40, 0u8..40).prop_map(|(a, b, c)| a.min(b).min(c));
        prop::collection::vec((key, any::<bool>(), 0u64..3_000), 0..400)
    }

    proptest! {
        #[test]
        fn counts_are_true_to_a_part_in_the_capacity(stream in stream(), capacity in 1usize..20) {
            let mut summary = Summary::new(capacity);
            let mut exact = BTreeMap::<u8, f64>::new();
            let (mut total, mut now_ms, mut faded_ms) = (0.0, 0, 0);
            for (key, is_written, later_ms) in stream {
                now_ms += later_ms;
                if now_ms - faded_ms >= STEP_MS {
                    let factor = left_after(now_ms - faded_ms);
                    exact.values_mut().for_each(|uses| *uses *= factor);
                    (total, faded_ms) = (total * factor, now_ms);
                }
                summary.note(used(&[key], is_written), 1.0, now_ms);
                *exact.entry(key).or_default() += 1.0;
                total += 1.0;
            }
            // What is kept beside the counts agrees with them.
            let hashes: Vec<u64> = summary.counts.iter().map(|count| count.name.hash).collect();
            let at_most: Vec<f64> = summary.counts.iter().map(Count::at_most).collect();
            prop_assert_eq!((&summary.hashes, &summary.at_most), (&hashes, &at_most));
            const ROUNDED: f64 = 1e-6;
            let share = total / capacity as f64;
            prop_assert!((summary.total() - total).abs() < ROUNDED);
            prop_assert!(summary.counts.len() <= capacity);
            for count in &summary.counts {
                let uses = exact[&count.name.bytes[0]];
                prop_assert!(count.uses() <= uses + ROUNDED, "at least: {count:?}, {uses}");
                prop_assert!(count.at_most() >= uses - ROUNDED, "at most: {count:?}, {uses}");
                prop_assert!(count.inherited <= share + ROUNDED, "{count:?} of {total}");
            }
            for (key, uses) in exact.iter().filter(|(_, uses)| **uses > share + ROUNDED) {
                let is_counted = summary.counts.iter().any(|count| count.name.bytes[0] == *key);
                prop_assert!(is_counted, "{key} was used {uses} times of {total}");
            }
        }

        #[test]
        fn two_summaries_are_as_good_as_one(stream in stream()) {
            let mut whole = Summary::new(40);
            let mut parts = [Summary::new(40), Summary::new(40)];
            let mut now_ms = 0;
            for (n, (key, is_written, later_ms)) in stream.into_iter().enumerate() {
                now_ms += later_ms;
                whole.note(used(&[key], is_written), 1.0, now_ms);
                parts[n % 2].fade(now_ms);
                parts[1 - n % 2].fade(now_ms);
                parts[n % 2].note(used(&[key], is_written), 1.0, now_ms);
            }
            let [mut merged, other] = parts;
            merged.merge(other);
            prop_assert!((merged.total() - whole.total()).abs() < 1e-6);
            for count in &whole.counts {
                let same = merged.counts.iter().find(|own| own.name == count.name).unwrap();
                prop_assert!((same.uses() - count.uses()).abs() < 1e-6);
            }
        }
    }
}
