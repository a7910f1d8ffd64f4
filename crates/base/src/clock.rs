//! Where time comes from. Everything that looks at a clock takes one of these, so that a test can
//! turn it by hand.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub trait Clock: Send + Sync + 'static {
    /// Wall-clock milliseconds since the Unix epoch. May jump in both directions.
    fn wall_ms(&self) -> u64;
    /// Wall-clock microseconds since the Unix epoch. May jump in both directions.
    fn wall_us(&self) -> u64 {
        self.wall_ms() * 1000
    }
    /// Milliseconds that passed since some moment. Never jumps.
    fn steady_ms(&self) -> u64;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> u64 {
        self.wall_us() / 1000
    }

    fn wall_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
    }

    fn steady_ms(&self) -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed().as_millis() as u64
    }
}

/// A clock that only moves when it is told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    passed_ms: AtomicU64,
}

impl ManualClock {
    pub fn new(wall_ms: u64) -> Self {
        Self { wall_ms: AtomicU64::new(wall_ms), passed_ms: AtomicU64::new(0) }
    }

    /// Lets the wall clock jump.
    pub fn set(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.passed_ms.fetch_add(ms, Ordering::SeqCst);
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn steady_ms(&self) -> u64 {
        self.passed_ms.load(Ordering::SeqCst)
    }
}

/// The clock that expiry goes by: it follows the wall clock, but a jump alone expires nothing at
/// once. It never goes back, runs at least at half speed while the wall clock is behind it, and
/// catches up at most [`CATCH_UP`] times as fast as time passes while it is ahead.
#[derive(Debug)]
pub struct SteadyClock {
    now_ms: u64,
    elapsed_ms: u64,
}

/// A clock that was set an hour ahead is believed after a minute.
pub const CATCH_UP: u64 = 60;
/// Steps of the wall clock up to this are ordinary.
const SLACK_MS: u64 = 500;
const GRAIN_MS: u64 = 2;

impl SteadyClock {
    pub fn new(wall_ms: u64, elapsed_ms: u64) -> Self {
        Self { now_ms: wall_ms, elapsed_ms }
    }

    /// The time now, given the wall clock and a clock that does not jump.
    pub fn now_ms(&mut self, wall_ms: u64, elapsed_ms: u64) -> u64 {
        let passed = elapsed_ms.saturating_sub(self.elapsed_ms);
        let ahead = wall_ms.saturating_sub(self.now_ms);
        let mut step = 0;
        if ahead <= SLACK_MS + passed {
            step = ahead;
        } else if passed >= GRAIN_MS {
            step = (passed * CATCH_UP).min(ahead);
        }
        // Half of a millisecond would be lost at every call: time is spent in grains.
        if passed >= GRAIN_MS {
            step = step.max(passed / 2);
            self.elapsed_ms = elapsed_ms;
        }
        self.now_ms += step;
        self.now_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_a_wall_clock_that_runs() {
        let mut clock = SteadyClock::new(1_000, 0);
        assert_eq!(clock.now_ms(1_010, 10), 1_010);
        assert_eq!(clock.now_ms(1_400, 400), 1_400);
    }

    #[test]
    fn a_jump_ahead_is_believed_gradually() {
        let mut clock = SteadyClock::new(1_000, 0);
        let hour = 3_600_000;
        assert_eq!(clock.now_ms(hour, 10), 1_000 + 10 * CATCH_UP);
        let mut elapsed = 10;
        while clock.now_ms(hour + elapsed, elapsed) < hour {
            elapsed += 100;
        }
        assert!((55_000..66_000).contains(&elapsed), "{elapsed} ms");
    }

    #[test]
    fn a_jump_back_slows_it_down_but_never_turns_it() {
        let mut clock = SteadyClock::new(100_000, 0);
        assert_eq!(clock.now_ms(50_000, 1_000), 100_500);
        assert_eq!(clock.now_ms(50_000, 1_000), 100_500);
    }
}
