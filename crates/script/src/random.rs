//! The numbers of `math.random`: from a seed on the same sequence as Redis has.

use std::cell::Cell;

const MULTIPLIER: u64 = 0x5_deec_e66d;
const INCREMENT: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;
/// Where the sequence begins that nobody has seeded.
const UNSEEDED: u64 = 0x1234_abcd_330e;
/// What the lowest bits of the state are after seeding.
const SEED_LOW: u64 = 0x330e;

/// The generator of C's `lrand48`.
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) fn new() -> Self {
        Self(Cell::new(UNSEEDED))
    }

    pub(crate) fn seed(&self, seed: i32) {
        self.0.set((u64::from(seed as u32) << 16) | SEED_LOW);
    }

    /// At least 0, and less than 1.
    pub(crate) fn next(&self) -> f64 {
        let state = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & MASK;
        self.0.set(state);
        let max = i32::MAX as u64;
        ((state >> 17) % max) as f64 / max as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_redis() {
        let random = Random::new();
        let next = || format!("{:.14}", random.next());
        assert_eq!([next(), next(), next()], ["0.39646477363839", "0.84048536971234", "0.35333609737146"]);
        random.seed(7);
        assert_eq!(next(), "0.26644419658298");
        random.seed(-7);
        assert_eq!(next(), "0.07521187517569");
    }
}
