//! Numbers as Redis reads them: stricter than most, since a number that is accepted must be the only
//! way to write it (integers), or exactly what C's `strtod` takes, less blanks and NaN (floats).

use crate::float::{self, Literal};

/// An integer in its one canonical form: no `+`, no leading zero, no blanks, within `i64`.
#[inline]
pub fn parse_i64(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    // 19 digits always fit u64; more never fit i64.
    if digits.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// A double as Redis' `string2d`: decimal or hexadecimal, `inf` and `infinity` in any case; `None`
/// for blanks, NaN, and what is too large or so small that only zero would be left.
pub fn parse_f64(bytes: &[u8]) -> Option<f64> {
    let (negative, literal) = float::scan(bytes)?;
    let value = match literal {
        Literal::Infinity => f64::INFINITY,
        Literal::Hexadecimal(number) => {
            let (mantissa, exponent) = number.round_hexadecimal(&float::DOUBLE)?;
            float::to_f64(mantissa, exponent)
        }
        Literal::Decimal(number) => {
            let text = std::str::from_utf8(bytes).ok()?;
            let value = text.parse::<f64>().ok()?.abs();
            if value.is_infinite() || (value == 0.0 && !number.is_zero()) {
                return None;
            }
            value
        }
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn integers_have_one_form() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("9999999999999999999", None),
            ("99999999999999999999", None),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            ("-01", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("1e3", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_those_of_strtod() {
        for (text, expected) in [
            ("0", Some(0.0)),
            ("+1.5", Some(1.5)),
            ("-.5e1", Some(-5.0)),
            ("5.", Some(5.0)),
            ("1E+2", Some(100.0)),
            ("inf", Some(f64::INFINITY)),
            ("-InFiNiTy", Some(f64::NEG_INFINITY)),
            ("0x10", Some(16.0)),
            ("-0X.8p1", Some(-1.0)),
            ("0x1.8p-3", Some(0.1875)),
            ("0x1.fffffffffffff8p1023", None),
            ("0x1.fffffffffffff7p1023", Some(f64::MAX)),
            ("0x1p-1074", Some(5e-324)),
            ("0x1p-1076", None),
            ("0x0p99999999999999999999", Some(0.0)),
            ("4.9e-324", Some(5e-324)),
            ("1e-400", None),
            ("0e-400", Some(0.0)),
            ("0e99999999999999999999", Some(0.0)),
            ("1e309", None),
            ("1e99999999999999999999", None),
            ("", None),
            (".", None),
            ("+", None),
            ("+-1", None),
            ("1e", None),
            ("1e+", None),
            ("e1", None),
            ("0x", None),
            ("0x.", None),
            ("0x1p", None),
            ("nan", None),
            ("infin", None),
            (" 1", None),
            ("1 ", None),
            ("1\0", None),
            ("1_0", None),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_are_read_back(value: i64) {
            prop_assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }

        #[test]
        fn an_accepted_integer_is_canonical(text in "[-+0-9 ]{0,22}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse_i64(&bytes);
            let _ = parse_f64(&bytes);
        }

        #[test]
        fn hexadecimal_doubles_are_exact(mantissa in 0u64..1 << 53, exponent in -1074i32..900) {
            let text = format!("0x{mantissa:x}p{exponent}");
            // Multiplying by a power of two in two steps is exact as long as nothing is subnormal.
            let half = exponent / 2;
            let expected = mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - half);
            if expected > 1e-300 {
                prop_assert_eq!(parse_f64(text.as_bytes()), Some(expected));
            }
        }
    }
}
