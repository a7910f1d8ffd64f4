//! The arithmetic of INCRBYFLOAT and HINCRBYFLOAT. Redis adds with C's `long double`, 80 bits wide
//! on x86, and prints 17 decimals: that is why 0.1 + 0.2 is 0.3 there. Here it is done in software,
//! so that results are the same on every machine.

use crate::big::Big;
use crate::float::{self, EXTENDED, Literal, Number};

/// Longest text that Redis reads as a long double, and longest that it can print.
const TEXT_BYTES_MAX: usize = 5 * 1024;

/// A number of the 80-bit extended format. It can be infinite, never NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Magnitude {
    Infinite,
    /// `mantissa · 2^exponent`, as `float::round` makes it.
    Finite {
        mantissa: u64,
        exponent: i64,
    },
}

impl LongDouble {
    pub const ZERO: Self =
        Self { negative: false, magnitude: Magnitude::Finite { mantissa: 0, exponent: -16_445 } };

    /// Reads a number as Redis' `string2ld`: like `parse_f64`, in this format, and of bounded length.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() >= TEXT_BYTES_MAX {
            return None;
        }
        let (negative, literal) = float::scan(bytes)?;
        let rounded = match literal {
            Literal::Infinity => return Some(Self { negative, magnitude: Magnitude::Infinite }),
            Literal::Hexadecimal(number) => number.round_hexadecimal(&EXTENDED)?,
            Literal::Decimal(number) => round_decimal(&number)?,
        };
        Some(Self::finite(negative, rounded))
    }

    fn finite(negative: bool, (mantissa, exponent): (u64, i64)) -> Self {
        Self { negative, magnitude: Magnitude::Finite { mantissa, exponent } }
    }

    /// Mantissa and exponent of 10^`power`, correctly rounded to 64 bits.
    pub(crate) fn power_of_ten(power: i32) -> Option<(u64, i64)> {
        long_decimal(std::iter::once(b'1'), i64::from(power))
    }

    pub fn is_finite(&self) -> bool {
        matches!(self.magnitude, Magnitude::Finite { .. })
    }

    /// The sum; `None` if it is infinite or not a number, which Redis refuses in every such place.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (
            Magnitude::Finite { mantissa: a, exponent: ea },
            Magnitude::Finite { mantissa: b, exponent: eb },
        ) = (self.magnitude, other.magnitude)
        else {
            return None;
        };
        if (ea, a) < (eb, b) {
            return other.checked_add(self);
        }
        if b == 0 {
            let negative = if a == 0 { self.negative && other.negative } else { self.negative };
            return Some(Self { negative, ..self });
        }
        // `self` is the larger one. Aligned 63 bits up, the smaller one loses bits only when it is
        // so much smaller that they no longer matter, except for being there (`sticky`).
        const ROOM: i64 = 63;
        let large = u128::from(a) << ROOM;
        let distance = u32::try_from(ea - eb).unwrap_or(u32::MAX);
        let aligned = u128::from(b) << ROOM;
        let small = aligned.checked_shr(distance).unwrap_or(0);
        let sticky = small.checked_shl(distance).unwrap_or(0) != aligned;
        let sum = if self.negative == other.negative {
            large + small
        } else {
            // What was cut off from the smaller one makes the difference smaller.
            large - small - u128::from(sticky)
        };
        let negative = self.negative && sum != 0;
        Some(Self::finite(negative, float::round(sum, sticky, ea - ROOM, &EXTENDED)?))
    }

    /// Appends the number as Redis shows it: rounded to 17 decimals, without zeros at the end.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else {
            return out.extend_from_slice(if self.negative { b"-inf" } else { b"inf" });
        };
        let start = out.len();
        if self.negative {
            out.push(b'-');
        }
        let digits = out.len();
        match u32::try_from(-exponent) {
            Ok(shift) => write_fraction(mantissa, shift, out),
            Err(_) => {
                let mut whole = Big::from_u64(mantissa);
                whole.shift_left(usize::try_from(exponent).unwrap_or(0));
                whole.write(out);
            }
        }
        if out.get(digits..) == Some(b"0") {
            out.truncate(start);
            out.push(b'0');
        }
    }
}

impl std::fmt::Display for LongDouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl From<i64> for LongDouble {
    fn from(value: i64) -> Self {
        // 64 bits hold every i64.
        let rounded = float::round(u128::from(value.unsigned_abs()), false, 0, &EXTENDED);
        Self::finite(value < 0, rounded.unwrap_or_default())
    }
}

/// Appends `mantissa / 2^shift`.
fn write_fraction(mantissa: u64, shift: u32, out: &mut Vec<u8>) {
    const DECIMALS: usize = 17;
    const SCALE: u128 = 10u128.pow(DECIMALS as u32);
    // Below 2^121: shifted by more than that, less than half is left.
    let scaled = u128::from(mantissa) * SCALE;
    let kept = scaled.checked_shr(shift).unwrap_or(0);
    let rest = scaled - kept.checked_shl(shift).unwrap_or(0);
    let half = shift.checked_sub(1).map_or(u128::MAX, |bits| 1u128.checked_shl(bits).unwrap_or(u128::MAX));
    let kept = kept + u128::from(rest > half || (rest == half && kept & 1 == 1));
    out.extend_from_slice(itoa::Buffer::new().format(kept / SCALE).as_bytes());
    let fraction = kept % SCALE;
    if fraction != 0 {
        // The leading one keeps the zeros behind it, and its place is where the point goes.
        let point = out.len();
        out.extend_from_slice(itoa::Buffer::new().format(SCALE + fraction).as_bytes());
        if let Some(place) = out.get_mut(point) {
            *place = b'.';
        }
        let end = out.iter().rposition(|&byte| byte != b'0').map_or(0, |last| last + 1);
        out.truncate(end);
    }
}

/// Rounds a decimal number; `None` if it is too large, or so small that only zero is left.
fn round_decimal(number: &Number<'_>) -> Option<(u64, i64)> {
    if number.is_zero() {
        return float::round(0, false, 0, &EXTENDED);
    }
    let zeros = number.digits().take_while(|&digit| digit == b'0').count();
    let backwards = number.fraction.iter().rev().chain(number.whole.iter().rev());
    let zeros_behind = backwards.take_while(|&&digit| digit == b'0').count();
    let count = number.whole.len() + number.fraction.len() - zeros - zeros_behind;
    let ten = number.exponent - number.fraction.len() as i64 + zeros_behind as i64;
    // The value is at least 10^(order - 1) and less than 10^order.
    let order = ten + count as i64;
    if !(-4960..=4940).contains(&order) {
        return None;
    }
    let digits = || number.digits().skip(zeros).take(count);
    let rounded = short_decimal(digits(), count, ten).unwrap_or_else(|| long_decimal(digits(), ten))?;
    (rounded.0 != 0).then_some(rounded)
}

/// Up to 19 digits with a small exponent: 128 bits are enough. The outer `None` says that they are not.
fn short_decimal(digits: impl Iterator<Item = u8>, count: usize, ten: i64) -> Option<Option<(u64, i64)>> {
    if count > 19 || !(-27..=19).contains(&ten) {
        return None;
    }
    let mantissa = digits.fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    if let Ok(power) = u32::try_from(ten) {
        return Some(float::round(mantissa * 10u128.pow(power), false, 0, &EXTENDED));
    }
    // 5^27 has 63 bits, so that the quotient has at least 65: one more than the format.
    let divisor = 5u128.pow(ten.unsigned_abs() as u32);
    let shift = mantissa.leading_zeros();
    let dividend = mantissa << shift;
    let exponent = ten - i64::from(shift);
    Some(float::round(dividend / divisor, dividend % divisor != 0, exponent, &EXTENDED))
}

fn long_decimal(digits: impl Iterator<Item = u8>, ten: i64) -> Option<(u64, i64)> {
    let mut value = Big::from_digits(digits);
    if let Ok(power) = usize::try_from(ten) {
        value.multiply_by_power_of_ten(power);
        let (top, below, sticky) = value.top();
        return float::round(top, sticky, below as i64, &EXTENDED);
    }
    let mut divisor = Big::from_u64(1);
    divisor.multiply_by_power_of_ten(usize::try_from(-ten).ok()?);
    // Scaled so that the quotient has 68 or 69 bits.
    let shift = 68 + divisor.width() as i64 - value.width() as i64;
    match usize::try_from(shift) {
        Ok(up) => value.shift_left(up),
        Err(_) => divisor.shift_left(usize::try_from(-shift).ok()?),
    }
    let (quotient, sticky) = value.divide(divisor);
    float::round(quotient, sticky, -shift, &EXTENDED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(a: &str, b: &str, expected: Option<&str>) {
        let sum = LongDouble::parse(a.as_bytes())
            .and_then(|a| a.checked_add(LongDouble::parse(b.as_bytes())?))
            .map(|sum| sum.to_string());
        assert_eq!(sum.as_deref(), expected, "{a} + {b}");
    }

    // Every expectation below is what C's strtold, +, and printf("%.17Lf") give on x86-64.

    #[test]
    fn sums_of_everyday_decimals_look_exact() {
        check("0.1", "0.2", Some("0.3"));
        check("10.50", "0.1", Some("10.6"));
        check("5.0e3", "200", Some("5200"));
        check("3", "-1.5", Some("1.5"));
        check("1", "-1", Some("0"));
        check("0.7", "-0.7", Some("0"));
    }

    #[test]
    fn seventeen_decimals_are_shown_and_no_zero_is_negative() {
        check("-0", "-0", Some("0"));
        check("-1e-30", "0", Some("0"));
        check("1e-17", "0", Some("0.00000000000000001"));
        check("4.9e-18", "0", Some("0"));
        check("-0.5", "1e-17", Some("-0.49999999999999999"));
        check("1", "1e-17", Some("1.00000000000000001"));
    }

    #[test]
    fn the_mantissa_has_64_bits() {
        check("18446744073709551615", "0", Some("18446744073709551615"));
        check("18446744073709551615", "1", Some("18446744073709551616"));
        check("18446744073709551616", "1", Some("18446744073709551616"));
        check("18446744073709551616", "3", Some("18446744073709551620"));
        check("36893488147419103233", "0", Some("36893488147419103232"));
        check("36893488147419103235", "0", Some("36893488147419103236"));
        check("0x1.8p1", "0X.8", Some("3.5"));
        check("0x1p63", "-0x1p-63", Some("9223372036854775808"));
    }

    #[test]
    fn the_range_is_that_of_80_bits() {
        let largest = LongDouble::parse(b"1.18973149535723176502e4932").map(|max| max.to_string());
        let largest = largest.expect("in range");
        assert_eq!(largest.len(), 4933);
        assert!(largest.starts_with("1189731495357231765021263853030970205169"));
        check("1.1897314953572317651e4932", "0", None);
        check("1e4932", "9e4931", None);
        check("1e4933", "0", None);
        check("1e-4950", "0", Some("0"));
        check("1.8e-4951", "0", None);
        check("1e-99999999999999999999", "0", None);
        check("0e-99999999999999999999", "0", Some("0"));
        check("inf", "1", None);
        check("inf", "-inf", None);
    }

    #[test]
    fn what_redis_refuses_is_refused() {
        for text in ["", " 1", "1 ", "nan", "1e", "0x", ".", "+", "abc", "1_0", "1,5"] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text:?}");
        }
        let long = "0".repeat(TEXT_BYTES_MAX - 1);
        assert_eq!(LongDouble::parse(long.as_bytes()), Some(LongDouble::ZERO));
        assert_eq!(LongDouble::parse(format!("{long}0").as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = LongDouble::parse(&bytes);
        }

        #[test]
        fn integers_are_exact(a: i64, b: i64) {
            let sum = LongDouble::from(a).checked_add(LongDouble::from(b));
            let expected = i128::from(a) + i128::from(b);
            prop_assert_eq!(sum.map(|sum| sum.to_string()), Some(expected.to_string()));
            prop_assert_eq!(LongDouble::parse(a.to_string().as_bytes()), Some(LongDouble::from(a)));
        }

        #[test]
        fn both_ways_of_reading_decimals_agree(mantissa: u64, ten in -27i64..=19) {
            let text = mantissa.to_string();
            let digits = || text.bytes().take(19);
            let short = short_decimal(digits(), digits().count(), ten);
            let long = long_decimal(digits(), ten);
            prop_assert!(mantissa == 0 || short == Some(long));
        }

        #[test]
        fn adding_commutes_and_undoes(a in "[0-9]{1,9}(\\.[0-9]{1,6})?", b in "[0-9]{1,9}(\\.[0-9]{1,6})?") {
            let (a, b) = (LongDouble::parse(a.as_bytes()).unwrap(), LongDouble::parse(b.as_bytes()).unwrap());
            prop_assert_eq!(a.checked_add(b), b.checked_add(a));
            let minus = LongDouble { negative: true, ..b };
            prop_assert_eq!(b.checked_add(minus).unwrap().to_string(), "0");
        }
    }
}
