//! Stamps and the hybrid logical clock that hands them out.
//!
//! A [`Stamp`] orders the writes of a group: unique and increasing for ever, over restarts, leader
//! changes and clocks that jump. It is also the *version* of every record the write touches, so
//! there is one number to compare, not two.

use std::fmt;

/// 48 bits of wall-clock milliseconds, 16 bits of counter. Zero is before every write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(pub u64);

const COUNTER_BITS: u32 = 16;

impl Stamp {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(u64::MAX);

    pub fn from_wall_ms(wall_ms: u64) -> Self {
        Self(wall_ms << COUNTER_BITS)
    }

    /// The milliseconds in the stamp: wall-clock time, unless the clock went back or writes came
    /// faster than 65,536 in a millisecond.
    pub fn wall_ms(self) -> u64 {
        self.0 >> COUNTER_BITS
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.wall_ms(), self.0 & ((1 << COUNTER_BITS) - 1))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The clock of one group's sequencer. It never goes back and never repeats.
#[derive(Debug, Default)]
pub struct Hlc {
    last: Stamp,
}

impl Hlc {
    /// A clock that starts above everything stamped so far.
    pub fn above(last: Stamp) -> Self {
        Self { last }
    }

    /// The next stamp: at the wall clock if that is ahead, else one above the last.
    pub fn tick(&mut self, wall_ms: u64) -> Stamp {
        self.last = Stamp::from_wall_ms(wall_ms).max(self.last.next());
        self.last
    }

    /// Learns of a stamp given out elsewhere.
    pub fn observe(&mut self, seen: Stamp) {
        self.last = self.last.max(seen);
    }

    pub fn last(&self) -> Stamp {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_increase_when_the_clock_goes_back() {
        let mut hlc = Hlc::default();
        let first = hlc.tick(1_000);
        let second = hlc.tick(10);
        assert!(second > first);
        assert_eq!(second.wall_ms(), 1_000);
    }

    #[test]
    fn a_millisecond_can_hold_more_than_its_counter() {
        let mut hlc = Hlc::default();
        let mut last = Stamp::ZERO;
        for _ in 0..200_000 {
            let stamp = hlc.tick(5);
            assert!(stamp > last);
            last = stamp;
        }
        assert_eq!(last.wall_ms(), 5 + 3);
    }

    #[test]
    fn a_new_clock_starts_above_what_was_seen() {
        let mut hlc = Hlc::above(Stamp::from_wall_ms(99));
        hlc.observe(Stamp::from_wall_ms(500));
        assert!(hlc.tick(1) > Stamp::from_wall_ms(500));
    }
}
