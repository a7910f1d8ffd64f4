//! The digits of a double, by the algorithm Grisu2 (F. Loitsch, "Printing floating-point numbers
//! quickly and accurately with integers", 2010).
//!
//! Redis and Valkey print scores with it. It always gives digits that read back as the same number,
//! but about once in six hundred random numbers not the shortest or not the closest ones, and 1e23 as
//! 99999999999999990000000. To answer with the same bytes as they do, the same approximation is made.

use std::sync::LazyLock;

use crate::LongDouble;

/// Most digits that come out.
pub(crate) const DIGITS_MAX: usize = 18;

/// `mantissa · 2^exponent`.
#[derive(Clone, Copy)]
struct Wide {
    mantissa: u64,
    exponent: i32,
}

impl Wide {
    fn normalized(self) -> Self {
        let shift = self.mantissa.leading_zeros();
        Self { mantissa: self.mantissa << shift, exponent: self.exponent - shift as i32 }
    }

    /// The upper half of the product, rounded.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.mantissa) * u128::from(other.mantissa) + (1 << 63);
        Self { mantissa: (product >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// Powers of ten as 64-bit mantissas: from 10^-348 in steps of 8, enough for every double.
const POWER_FIRST: i32 = -348;
const POWER_STEP: i32 = 8;
const POWERS: usize = 87;

static POWERS_OF_TEN: LazyLock<[Wide; POWERS]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let power = LongDouble::power_of_ten(POWER_FIRST + POWER_STEP * i as i32);
        let (mantissa, exponent) = power.unwrap_or((1 << 63, 0));
        Wide { mantissa, exponent: exponent as i32 }
    })
});

/// A power of ten that brings a number with this binary exponent near 2^32 … 2^60, where its whole
/// part fits 32 bits; with its decimal exponent.
fn cached_power(exponent: i32) -> (Wide, i32) {
    const EXPONENTS: std::ops::RangeInclusive<i32> = -60..=-32;
    const LOG_10_OF_2: f64 = 0.301_029_995_663_981_14;
    let estimate = (f64::from(-(exponent + POWERS as i32)) * LOG_10_OF_2) as i32;
    let mut index = (estimate - POWER_FIRST) / POWER_STEP;
    loop {
        let at = index.clamp(0, POWERS as i32 - 1);
        let power =
            POWERS_OF_TEN.get(at as usize).copied().unwrap_or(Wide { mantissa: 1 << 63, exponent: 0 });
        let reached = exponent + power.exponent + 64;
        // The table has no gap, and the estimate is off by at most one: it never leaves the table.
        if EXPONENTS.contains(&reached) || at != index {
            return (power, POWER_FIRST + at * POWER_STEP);
        }
        index += if reached < *EXPONENTS.start() { 1 } else { -1 };
    }
}

/// The digits of a finite number above zero, and the exponent of the last one.
pub(crate) fn digits(value: f64) -> ([u8; DIGITS_MAX], usize, i32) {
    const HIDDEN: u64 = 1 << 52;
    let bits = value.to_bits();
    let (fraction, biased) = (bits & (HIDDEN - 1), (bits >> 52 & 0x7ff) as i32);
    let exact = match biased {
        0 => Wide { mantissa: fraction, exponent: -1074 },
        _ => Wide { mantissa: fraction | HIDDEN, exponent: biased - 1075 },
    };
    // Half way to the neighbours; the lower one is nearer to a power of two.
    let upper = Wide { mantissa: (exact.mantissa << 1) + 1, exponent: exact.exponent - 1 }.normalized();
    let near = if exact.mantissa == HIDDEN { 2 } else { 1 };
    let lower = Wide {
        mantissa: ((exact.mantissa << near) - 1) << (exact.exponent - near - upper.exponent),
        exponent: upper.exponent,
    };
    let (power, decimal) = cached_power(upper.exponent);
    let mut upper = upper.times(power);
    let mut lower = lower.times(power);
    // The product is off by less than one: stay inside.
    upper.mantissa -= 1;
    lower.mantissa += 1;
    let mut generator = Generator {
        digits: [b'0'; DIGITS_MAX],
        count: 0,
        // How far the number itself is below the upper bound, and how far one may go.
        target: upper.mantissa - exact.normalized().times(power).mantissa,
        delta: upper.mantissa - lower.mantissa,
    };
    let exponent = generator.run(upper) - decimal;
    (generator.digits, generator.count, exponent)
}

struct Generator {
    digits: [u8; DIGITS_MAX],
    count: usize,
    target: u64,
    delta: u64,
}

impl Generator {
    /// Writes the digits of the upper bound until what is left is within `delta`, then goes down
    /// towards the target. Returns the exponent of the last digit.
    fn run(&mut self, upper: Wide) -> i32 {
        let shift = upper.exponent.unsigned_abs();
        let one = 1u64 << shift;
        let mut whole = upper.mantissa >> shift;
        let mut fraction = upper.mantissa & (one - 1);
        for exponent in (0..10).rev() {
            let divisor = 10u64.pow(exponent);
            self.push(whole / divisor);
            whole %= divisor;
            let rest = (whole << shift) + fraction;
            if rest <= self.delta {
                self.approach(rest, divisor << shift, self.target);
                return exponent as i32;
            }
        }
        let mut scale = 1u64;
        let mut exponent = 0;
        loop {
            fraction *= 10;
            self.delta = self.delta.wrapping_mul(10);
            scale = scale.wrapping_mul(10);
            exponent -= 1;
            self.push(fraction >> shift);
            fraction &= one - 1;
            if fraction < self.delta || self.count == DIGITS_MAX {
                self.approach(fraction, one, self.target.wrapping_mul(scale));
                return exponent;
            }
        }
    }

    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.count != 0)
            && let Some(place) = self.digits.get_mut(self.count)
        {
            *place = b'0' + digit as u8;
            self.count += 1;
        }
    }

    /// Lowers the last digit, worth `unit`, while that brings the rest nearer to the target.
    fn approach(&mut self, mut rest: u64, unit: u64, target: u64) {
        let Some(last) = self.count.checked_sub(1).and_then(|last| self.digits.get_mut(last)) else { return };
        while rest < target && self.delta - rest >= unit {
            let next = rest.wrapping_add(unit);
            if next >= target && target - rest <= next - target {
                break;
            }
            *last -= 1;
            rest = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn the_digits_read_back_as_the_number(bits in 1u64..0x7ff0_0000_0000_0000) {
            let value = f64::from_bits(bits);
            let (digits, count, exponent) = digits(value);
            let text = format!("{}e{exponent}", std::str::from_utf8(&digits[..count]).unwrap());
            prop_assert_eq!(text.parse::<f64>(), Ok(value));
        }
    }
}
