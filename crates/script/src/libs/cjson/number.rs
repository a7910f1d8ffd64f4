//! Numbers as C writes and reads them: `printf` with `%.14g`, and `strtod` in the C locale.

use std::io::Write;

/// Appends what `%.*g` makes of a number, with a precision from 1 to 14.
pub(super) fn append(out: &mut Vec<u8>, number: f64, precision: usize) {
    const POWERS: [f64; 15] =
        [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];
    let exact_below = POWERS.get(precision).copied().unwrap_or(1.0);
    let is_negative_zero = number == 0.0 && number.is_sign_negative();
    // Writing to a vector cannot fail, here and below.
    if number.trunc() == number && number.abs() < exact_below && !is_negative_zero {
        let _ = write!(out, "{}", number as i64);
    } else if number.is_nan() {
        out.extend_from_slice(if number.is_sign_negative() { b"-nan" } else { b"nan" });
    } else if number.is_infinite() {
        out.extend_from_slice(if number < 0.0 { b"-inf" } else { b"inf" });
    } else {
        append_digits(out, number, precision);
    }
}

fn append_digits(out: &mut Vec<u8>, number: f64, precision: usize) {
    let text = format!("{:.*e}", precision.saturating_sub(1), number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let digits: Vec<u8> = mantissa.bytes().filter(|&byte| byte != b'.').collect();
    let significant = digits.iter().rposition(|&digit| digit != b'0').map_or(1, |last| last + 1);
    let digits = digits.get(..significant).unwrap_or_default();
    if number.is_sign_negative() {
        out.push(b'-');
    }
    if exponent < -4 || exponent >= precision as i32 {
        push_with_point(out, digits, 1);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend_from_slice(digits);
    } else {
        push_with_point(out, digits, exponent as usize + 1);
    }
}

/// Digits with a point after so many of them, unless none is left then; zeros where there are fewer.
fn push_with_point(out: &mut Vec<u8>, digits: &[u8], before: usize) {
    match digits.split_at_checked(before) {
        Some((whole, rest)) => {
            out.extend_from_slice(whole);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
        }
        None => {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', before - digits.len()));
        }
    }
}

/// The number at the head of a text, and its length. There is no white space before it.
pub(super) fn read(text: &[u8]) -> Option<(f64, usize)> {
    let (sign, sign_len) = match text.first() {
        Some(b'-') => (-1.0, 1),
        Some(b'+') => (1.0, 1),
        _ => (1.0, 0),
    };
    let rest = text.get(sign_len..).unwrap_or_default();
    let (magnitude, len) = hexadecimal(rest).or_else(|| decimal(rest)).or_else(|| word(rest))?;
    Some((sign * magnitude, sign_len + len))
}

fn count(text: &[u8], is_counted: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| is_counted(byte)).count()
}

/// The length of digits with at most one point among them, and whether there is a digit.
fn mantissa(text: &[u8], is_digit: impl Fn(&u8) -> bool + Copy) -> (usize, bool) {
    let whole = count(text, is_digit);
    if text.get(whole) != Some(&b'.') {
        return (whole, whole > 0);
    }
    let fraction = count(text.get(whole + 1..).unwrap_or_default(), is_digit);
    (whole + 1 + fraction, whole + fraction > 0)
}

/// The value and length of an exponent after one of two letters; of no length if there is none.
fn exponent(text: &[u8], letters: [u8; 2]) -> (i64, usize) {
    if !text.first().is_some_and(|byte| letters.contains(byte)) {
        return (0, 0);
    }
    let sign_len = usize::from(matches!(text.get(1), Some(b'-' | b'+')));
    let digits = text.get(1 + sign_len..).unwrap_or_default();
    let digits = digits.get(..count(digits, u8::is_ascii_digit)).unwrap_or_default();
    if digits.is_empty() {
        return (0, 0);
    }
    let add = |value: i64, &digit: &u8| value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
    let value = digits.iter().fold(0, add);
    let value = if text.get(1) == Some(&b'-') { -value } else { value };
    (value, 1 + sign_len + digits.len())
}

fn decimal(text: &[u8]) -> Option<(f64, usize)> {
    let (len, has_digit) = mantissa(text, u8::is_ascii_digit);
    if !has_digit {
        return None;
    }
    let (_, exponent_len) = exponent(text.get(len..).unwrap_or_default(), *b"eE");
    let len = len + exponent_len;
    let number = std::str::from_utf8(text.get(..len)?).ok()?.parse().ok()?;
    Some((number, len))
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (b'0', b'x' | b'X') = (text.first()?, text.get(1)?) else { return None };
    let body = text.get(2..)?;
    let (len, has_digit) = mantissa(body, u8::is_ascii_hexdigit);
    if !has_digit {
        return None;
    }
    // The first bits as an integer, the lowest of which says whether any was lost; then how often to double.
    let (mut bits, mut doubled) = (0_u64, 0_i64);
    let mut in_fraction = false;
    for &byte in body.get(..len)? {
        let Some(digit) = char::from(byte).to_digit(16) else {
            in_fraction = true;
            continue;
        };
        if bits >> 59 == 0 {
            bits = bits << 4 | u64::from(digit);
            doubled -= if in_fraction { 4 } else { 0 };
        } else {
            bits |= u64::from(digit != 0);
            doubled += if in_fraction { 0 } else { 4 };
        }
    }
    let (power, exponent_len) = exponent(body.get(len..).unwrap_or_default(), *b"pP");
    Some((scale(bits, doubled.saturating_add(power)), 2 + len + exponent_len))
}

/// An integer times a power of two, rounded once.
fn scale(bits: u64, power: i64) -> f64 {
    if bits == 0 {
        return 0.0;
    }
    let width = 64 - i64::from(bits.leading_zeros());
    // Below the smallest normal number there is room for fewer bits than 53.
    let room = width.saturating_add(power).saturating_add(1074);
    if room < 0 {
        return 0.0;
    }
    let excess = (width - room.min(53)).clamp(0, 63) as u32;
    let (kept, lost) = (bits >> excess, bits & ((1 << excess) - 1));
    let half = if excess == 0 { u64::MAX } else { 1 << (excess - 1) };
    let up = lost > half || lost == half && kept & 1 == 1;
    let mut number = (kept + u64::from(up)) as f64;
    let mut left = power.saturating_add(i64::from(excess)).clamp(-3000, 3000);
    while left != 0 {
        let step = left.clamp(-1000, 1000);
        number *= 2_f64.powi(step as i32);
        left -= step;
    }
    number
}

fn word(text: &[u8]) -> Option<(f64, usize)> {
    let starts = |word: &[u8]| text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    if starts(b"infinity") {
        return Some((f64::INFINITY, 8));
    }
    if starts(b"inf") {
        return Some((f64::INFINITY, 3));
    }
    if !starts(b"nan") {
        return None;
    }
    let Some((b'(', tag)) = text.get(3..).and_then(|rest| rest.split_first()) else {
        return Some((f64::NAN, 3));
    };
    let tag_len = count(tag, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let has_tag = tag.get(tag_len) == Some(&b')');
    Some((f64::NAN, if has_tag { 3 + 1 + tag_len + 1 } else { 3 }))
}
