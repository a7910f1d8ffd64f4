//! What took longer than `latency-monitor-threshold`, by kind of event: the last ones of each kind, for
//! LATENCY. One load says that nobody wants to know.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use command::flags;
use parking_lot::Mutex;

use crate::table::Entry;

/// Samples kept of each event, as in Redis: one a second at most.
pub const SAMPLES_MAX: usize = 160;

/// A command that is not flagged `fast`, and one that is.
pub const COMMAND: &str = "command";
pub const FAST_COMMAND: &str = "fast-command";
/// A round of active expiry.
pub const EXPIRE_CYCLE: &str = "expire-cycle";
/// A sync of the log, on which every write waits.
pub const FDATASYNC: &str = "fdatasync";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    pub at_s: u64,
    pub ms: u64,
}

/// What is kept of an event; oldest first.
#[derive(Clone, Debug, Default)]
pub struct Series {
    pub samples: VecDeque<Sample>,
    /// The worst one since the last reset, kept or not.
    pub max_ms: u64,
}

#[derive(Default)]
pub struct LatencyMonitor {
    /// Zero: nothing is kept.
    threshold_ms: AtomicU64,
    /// There are as many as there are names above: nothing from outside gets in here.
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl LatencyMonitor {
    pub fn threshold_ms(&self) -> u64 {
        self.threshold_ms.load(Relaxed)
    }

    pub fn set_threshold_ms(&self, ms: u64) {
        self.threshold_ms.store(ms, Relaxed);
    }

    /// A command has run.
    pub fn ran(&self, entry: &Entry, took: Duration, now_ms: impl FnOnce() -> u64) {
        if self.is_long(took) {
            let event = if entry.row.flags.has(flags::FAST) { FAST_COMMAND } else { COMMAND };
            self.add(event, now_ms() / 1000, took);
        }
    }

    /// Something else has happened.
    pub fn happened(&self, event: &'static str, took: Duration, now_ms: impl FnOnce() -> u64) {
        if self.is_long(took) {
            self.add(event, now_ms() / 1000, took);
        }
    }

    fn is_long(&self, took: Duration) -> bool {
        let threshold_ms = self.threshold_ms();
        threshold_ms > 0 && took.as_millis() >= u128::from(threshold_ms)
    }

    fn add(&self, event: &'static str, at_s: u64, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let mut events = self.events.lock();
        let series = events.entry(event).or_default();
        series.max_ms = series.max_ms.max(ms);
        match series.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.ms = last.ms.max(ms),
            _ => series.samples.push_back(Sample { at_s, ms }),
        }
        if series.samples.len() > SAMPLES_MAX {
            series.samples.pop_front();
        }
    }

    pub fn events(&self) -> BTreeMap<&'static str, Series> {
        self.events.lock().clone()
    }

    pub fn event(&self, name: &[u8]) -> Option<(&'static str, Series)> {
        let events = self.events.lock();
        let found = events.iter().find(|(event, _)| event.as_bytes() == name);
        found.map(|(event, series)| (*event, series.clone()))
    }

    /// Forgets an event, and says whether there was anything to forget.
    pub fn forget(&self, name: &[u8]) -> bool {
        let Ok(name) = std::str::from_utf8(name) else { return false };
        self.events.lock().remove(name).is_some()
    }

    pub fn forget_all(&self) -> usize {
        std::mem::take(&mut *self.events.lock()).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(monitor: &LatencyMonitor) -> (Vec<(u64, u64)>, u64) {
        let (_, series) = monitor.event(b"fdatasync").unwrap();
        (series.samples.iter().map(|sample| (sample.at_s, sample.ms)).collect(), series.max_ms)
    }

    #[test]
    fn only_what_takes_long_is_kept() {
        let monitor = LatencyMonitor::default();
        let happened = |ms, at_ms| monitor.happened(FDATASYNC, Duration::from_millis(ms), || at_ms);
        happened(1_000, 1_000);
        assert!(monitor.event(b"fdatasync").is_none(), "off as long as there is no threshold");
        monitor.set_threshold_ms(10);
        happened(9, 1_000);
        assert!(monitor.event(b"fdatasync").is_none());
        happened(10, 1_000);
        happened(30, 1_500);
        happened(20, 1_999);
        happened(12, 2_000);
        assert_eq!(kept(&monitor), (vec![(1, 30), (2, 12)], 30));
        assert!(monitor.forget(b"fdatasync") && !monitor.forget(b"fdatasync"));
        assert_eq!(monitor.forget_all(), 0);
    }

    #[test]
    fn only_the_last_ones_stay_but_the_worst_is_remembered() {
        let monitor = LatencyMonitor::default();
        monitor.set_threshold_ms(1);
        for second in 0..=SAMPLES_MAX as u64 {
            let took = Duration::from_millis(if second == 0 { 99 } else { 5 });
            monitor.happened(FDATASYNC, took, || second * 1_000);
        }
        let (samples, max_ms) = kept(&monitor);
        assert_eq!((samples.len(), samples[0], max_ms), (SAMPLES_MAX, (1, 5), 99));
    }
}
