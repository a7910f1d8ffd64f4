//! How many elements there were, from how many registers have each rank: Otmar Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches", arXiv:1702.01284.

use super::hash::RANK_MAX;
use super::sketch::REGISTERS;

/// How many registers have each rank. A register of six bits may hold more than any element says.
pub(super) type Histogram = [u32; 64];

/// 1 / (2 ln 2), to as many digits as Redis has.
#[allow(clippy::excessive_precision)]
const ALPHA: f64 = 0.721_347_520_444_481_703_680;

/// The estimate. It has the sign that Redis gives it where it is beyond all bounds.
pub(super) fn estimate(histogram: &Histogram) -> i64 {
    let registers = REGISTERS as f64;
    let ranks = |rank: usize| histogram.get(rank).map_or(0.0, |count| f64::from(*count));
    let highest = usize::from(RANK_MAX);
    let mut z = registers * tau((registers - ranks(highest)) / registers);
    for rank in (1..highest).rev() {
        z = (z + ranks(rank)) * 0.5;
    }
    z += registers * sigma(ranks(0) / registers);
    let estimate = (ALPHA * registers * registers / z).round();
    if estimate < i64::MAX as f64 { estimate as i64 } else { i64::MIN }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
