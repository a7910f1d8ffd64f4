//! What reading doubles and long doubles has in common: the grammar of C's `strtod`, and rounding an
//! exact binary value to a format, ties to even.

/// A binary floating point format: a number is `mantissa · 2^exponent`.
pub(crate) struct Format {
    /// Width of the mantissa.
    bits: i64,
    exponent_min: i64,
    exponent_max: i64,
}

pub(crate) const DOUBLE: Format = Format { bits: 53, exponent_min: -1074, exponent_max: 971 };
/// The 80-bit format of x87, which is `long double` where Redis usually runs.
pub(crate) const EXTENDED: Format = Format { bits: 64, exponent_min: -16_445, exponent_max: 16_320 };

/// A number's text without its sign.
pub(crate) enum Literal<'a> {
    Infinity,
    Decimal(Number<'a>),
    Hexadecimal(Number<'a>),
}

/// `whole.fraction`, times ten (or, hexadecimal, two) to the `exponent`.
pub(crate) struct Number<'a> {
    pub(crate) whole: &'a [u8],
    pub(crate) fraction: &'a [u8],
    pub(crate) exponent: i64,
}

/// Larger exponents are cut to this: already far out of range, and safe to calculate with, since no
/// text is long enough to bring them back.
const EXPONENT_MAX: i64 = 1 << 40;

/// Splits a number as C's `strtod` does if it takes all of it, without leading blanks and NaN.
pub(crate) fn scan(bytes: &[u8]) -> Option<(bool, Literal<'_>)> {
    let (negative, rest) = sign(bytes);
    if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
        return Some((negative, Literal::Infinity));
    }
    let literal = match rest {
        [b'0', b'x' | b'X', rest @ ..] => {
            Literal::Hexadecimal(number(rest, u8::is_ascii_hexdigit, [b'p', b'P'])?)
        }
        _ => Literal::Decimal(number(rest, u8::is_ascii_digit, [b'e', b'E'])?),
    };
    Some((negative, literal))
}

fn sign(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

fn take_while(bytes: &[u8], wanted: fn(&u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| !wanted(byte)).unwrap_or(bytes.len()))
}

fn number(bytes: &[u8], is_digit: fn(&u8) -> bool, markers: [u8; 2]) -> Option<Number<'_>> {
    let (whole, rest) = take_while(bytes, is_digit);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => take_while(rest, is_digit),
        rest => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = match rest {
        [] => 0,
        [marker, rest @ ..] if markers.contains(marker) => exponent(rest)?,
        _ => return None,
    };
    Some(Number { whole, fraction, exponent })
}

fn exponent(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(bytes);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |value: i64, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(EXPONENT_MAX)
    });
    Some(if negative { -value } else { value })
}

impl Number<'_> {
    pub(crate) fn is_zero(&self) -> bool {
        self.digits().all(|digit| digit == b'0')
    }

    pub(crate) fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// Rounds a hexadecimal number; `None` if it is too large, or so small that only zero is left.
    pub(crate) fn round_hexadecimal(&self, format: &Format) -> Option<(u64, i64)> {
        let mut exponent = self.exponent - 4 * self.fraction.len() as i64;
        let (mut mantissa, mut sticky) = (0u128, false);
        for digit in self.digits() {
            let digit = char::from(digit).to_digit(16).map_or(0, u128::from);
            // Further digits only matter for rounding.
            if mantissa >> 124 == 0 {
                mantissa = mantissa << 4 | digit;
            } else {
                sticky |= digit != 0;
                exponent += 4;
            }
        }
        let rounded = round(mantissa, sticky, exponent, format)?;
        (mantissa == 0 || rounded.0 != 0).then_some(rounded)
    }
}

/// Rounds `mantissa · 2^exponent` to the format; `None` if that is too large for it. The result has
/// its full width unless it is subnormal.
///
/// `sticky` says that the exact value is larger by less than one; the mantissa must then be wider
/// than the format.
pub(crate) fn round(mantissa: u128, sticky: bool, exponent: i64, format: &Format) -> Option<(u64, i64)> {
    if mantissa == 0 {
        return Some((0, format.exponent_min));
    }
    let width = 128 - i64::from(mantissa.leading_zeros());
    let surplus = (width - format.bits).max(format.exponent_min - exponent);
    debug_assert!(!sticky || surplus > 0, "a sticky bit needs a mantissa wider than the format");
    if surplus <= 0 {
        // Both differences are within the width of the format.
        return in_range((mantissa as u64) << -surplus, exponent + surplus, format);
    }
    // Shifted by more than its width it is less than half of the smallest number.
    let Ok(surplus_bits @ ..=128) = u32::try_from(surplus) else {
        return Some((0, format.exponent_min));
    };
    let kept = mantissa.checked_shr(surplus_bits).unwrap_or(0);
    let rest = mantissa - kept.checked_shl(surplus_bits).unwrap_or(0);
    let half = 1u128 << (surplus_bits - 1);
    let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
    let kept = kept + u128::from(up);
    let exponent = exponent + surplus;
    // Rounding up may have made it one bit wider; the bit that goes is zero.
    if kept >> format.bits != 0 {
        return in_range((kept >> 1) as u64, exponent + 1, format);
    }
    in_range(kept as u64, exponent, format)
}

fn in_range(mantissa: u64, exponent: i64, format: &Format) -> Option<(u64, i64)> {
    (exponent <= format.exponent_max).then_some((mantissa, exponent))
}

/// The double of a mantissa and exponent that `round` gave for `DOUBLE`.
pub(crate) fn to_f64(mantissa: u64, exponent: i64) -> f64 {
    const HIDDEN: u64 = 1 << 52;
    if mantissa < HIDDEN {
        return f64::from_bits(mantissa);
    }
    let biased = (exponent + 1075) as u64;
    f64::from_bits(biased << 52 | (mantissa & (HIDDEN - 1)))
}
