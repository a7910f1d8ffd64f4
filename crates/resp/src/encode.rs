//! Writing replies. The small functions are public for code that streams a long reply instead of
//! building it.

use crate::{Line, Protocol, Reply, grisu};

/// Longest text of a double: sign, 17 digits, point and exponent, or an integer of 19 digits.
pub(crate) const DOUBLE_BYTES_MAX: usize = 32;

pub fn reply(what: &Reply, protocol: Protocol, out: &mut Vec<u8>) {
    let resp3 = protocol == Protocol::Resp3;
    match what {
        Reply::Ok => out.extend_from_slice(b"+OK\r\n"),
        Reply::Simple(text) => line(b'+', text, out),
        Reply::Error(text) => line(b'-', text, out),
        Reply::Integer(value) => integer(*value, out),
        Reply::Bulk(bytes) => bulk(bytes, out),
        Reply::Pieces(pieces) => {
            bulk_header(pieces.iter().map(|piece| piece.len()).sum(), out);
            for piece in pieces {
                out.extend_from_slice(piece);
            }
            out.extend_from_slice(b"\r\n");
        }
        Reply::Null => null(protocol, out),
        Reply::NullArray => null_array(protocol, out),
        Reply::Array(items) => sequence(b'*', items, protocol, out),
        Reply::Map(entries) => {
            map_header(entries.len(), protocol, out);
            pairs(entries, protocol, out);
        }
        Reply::Table(entries) if resp3 => {
            map_header(entries.len(), protocol, out);
            pairs(entries, protocol, out);
        }
        Reply::Table(entries) => {
            header(b'*', entries.len(), out);
            for (first, second) in entries {
                header(b'*', 2, out);
                reply(first, protocol, out);
                reply(second, protocol, out);
            }
        }
        Reply::Pairs(entries) if resp3 => {
            header(b'*', entries.len(), out);
            for (first, second) in entries {
                header(b'*', 2, out);
                reply(first, protocol, out);
                reply(second, protocol, out);
            }
        }
        Reply::Pairs(entries) => {
            header(b'*', entries.len() * 2, out);
            pairs(entries, protocol, out);
        }
        Reply::Set(items) => sequence(if resp3 { b'~' } else { b'*' }, items, protocol, out),
        Reply::Push(items) => sequence(if resp3 { b'>' } else { b'*' }, items, protocol, out),
        Reply::Double(value) => double(*value, protocol, out),
        Reply::Decimal(value) => decimal(*value, protocol, out),
        Reply::Boolean(value) if resp3 => out.extend_from_slice(if *value { b"#t\r\n" } else { b"#f\r\n" }),
        Reply::Boolean(value) => integer(i64::from(*value), out),
        Reply::BigNumber(digits) if resp3 => line(b'(', digits, out),
        Reply::BigNumber(digits) => bulk(digits.as_bytes(), out),
        Reply::Verbatim { format, text } if resp3 => verbatim(*format, text, out),
        Reply::Verbatim { text, .. } => bulk(text, out),
        Reply::Attribute { about, reply: subject } => {
            if resp3 {
                header(b'|', about.len(), out);
                pairs(about, protocol, out);
            }
            reply(subject, protocol, out);
        }
    }
}

fn pairs(entries: &[(Reply, Reply)], protocol: Protocol, out: &mut Vec<u8>) {
    for (key, value) in entries {
        reply(key, protocol, out);
        reply(value, protocol, out);
    }
}

fn sequence(marker: u8, items: &[Reply], protocol: Protocol, out: &mut Vec<u8>) {
    header(marker, items.len(), out);
    for item in items {
        reply(item, protocol, out);
    }
}

fn header(marker: u8, len: usize, out: &mut Vec<u8>) {
    out.push(marker);
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn line(marker: u8, text: &Line, out: &mut Vec<u8>) {
    out.push(marker);
    text.write(out);
    out.extend_from_slice(b"\r\n");
}

fn verbatim(format: [u8; 3], text: &[u8], out: &mut Vec<u8>) {
    header(b'=', text.len() + format.len() + 1, out);
    out.extend_from_slice(&format);
    out.push(b':');
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

pub fn integer(value: i64, out: &mut Vec<u8>) {
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
pub fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + DOUBLE_BYTES_MAX);
    header(b'$', bytes.len(), out);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Opens a bulk string: `len` bytes and a line end follow.
pub fn bulk_header(len: usize, out: &mut Vec<u8>) {
    header(b'$', len, out);
}

pub fn null(protocol: Protocol, out: &mut Vec<u8>) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"$-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

pub fn null_array(protocol: Protocol, out: &mut Vec<u8>) {
    out.extend_from_slice(match protocol {
        Protocol::Resp2 => b"*-1\r\n",
        Protocol::Resp3 => b"_\r\n",
    });
}

/// Opens an array: `len` replies follow.
pub fn array_header(len: usize, out: &mut Vec<u8>) {
    header(b'*', len, out);
}

/// Opens a push, which is an array in RESP2: `len` replies follow.
pub fn push_header(len: usize, protocol: Protocol, out: &mut Vec<u8>) {
    header(if protocol == Protocol::Resp3 { b'>' } else { b'*' }, len, out);
}

/// Opens a set: `len` replies follow.
pub fn set_header(len: usize, protocol: Protocol, out: &mut Vec<u8>) {
    header(if protocol == Protocol::Resp3 { b'~' } else { b'*' }, len, out);
}

/// Opens a map: `len` keys, each with its value, follow.
pub fn map_header(len: usize, protocol: Protocol, out: &mut Vec<u8>) {
    match protocol {
        Protocol::Resp2 => header(b'*', len.saturating_mul(2), out),
        Protocol::Resp3 => header(b'%', len, out),
    }
}

fn decimal(value: f64, protocol: Protocol, out: &mut Vec<u8>) {
    let mut text = Vec::with_capacity(DOUBLE_BYTES_MAX);
    format_decimal(value, &mut text);
    if protocol == Protocol::Resp2 {
        return bulk(&text, out);
    }
    out.push(b',');
    out.extend_from_slice(&text);
    out.extend_from_slice(b"\r\n");
}

pub fn double(value: f64, protocol: Protocol, out: &mut Vec<u8>) {
    if protocol == Protocol::Resp3 {
        out.push(b',');
        format_double(value, out);
        out.extend_from_slice(b"\r\n");
    } else {
        // The text first, then its header, then turned round: no buffer in between.
        let start = out.len();
        format_double(value, out);
        let len = out.len() - start;
        header(b'$', len, out);
        out.get_mut(start..).unwrap_or_default().rotate_left(len);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a double as Redis 7.2 writes it: an integer without a point, else few digits that give the
/// same number back, with an exponent only where the number is very large or small.
pub fn format_double(value: f64, out: &mut Vec<u8>) {
    if value.is_nan() {
        return out.extend_from_slice(b"nan");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value < 0.0 { b"-inf" } else { b"inf" });
    }
    if value == 0.0 {
        return out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    }
    // Half of the range of i64, so that the conversion is exact in any rounding mode.
    const INTEGER_MAX: f64 = (i64::MAX / 2) as f64;
    if value.abs() <= INTEGER_MAX && value.fract() == 0.0 {
        return out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
    }
    if value < 0.0 {
        out.push(b'-');
    }
    let (digits, count, exponent) = grisu::digits(value.abs());
    layout(digits.get(..count).unwrap_or_default(), exponent, value < 0.0, out);
}

/// Appends a finite double without an exponent, with up to 17 digits behind its point, as Redis writes
/// coordinates.
pub fn format_decimal(value: f64, out: &mut Vec<u8>) {
    let text = format!("{value:.17}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    out.extend_from_slice(if text == "-0" { b"0" } else { text.as_bytes() });
}

/// Appends a double with 17 digits, as C's `%.17g` does.
pub fn format_double_17(value: f64, out: &mut Vec<u8>) {
    const DIGITS: i32 = 17;
    if !value.is_finite() || value == 0.0 {
        return format_double(value, out);
    }
    let scientific = format!("{value:.16e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| text.trim_end_matches('0').trim_end_matches('.').to_owned();
    if (-4..DIGITS).contains(&exponent) {
        let places = (DIGITS - 1 - exponent).max(0) as usize;
        let fixed = format!("{value:.places$}");
        let fixed = if fixed.contains('.') { trimmed(&fixed) } else { fixed };
        return out.extend_from_slice(fixed.as_bytes());
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("{}e{sign}{:02}", trimmed(digits), exponent.abs()).as_bytes());
}

/// Puts point, zeros and exponent where Redis puts them.
fn layout(digits: &[u8], last: i32, negative: bool, out: &mut Vec<u8>) {
    let count = digits.len() as i32;
    let exponent = last + count - 1;
    let zeros = |out: &mut Vec<u8>, count: i32| out.resize(out.len() + count.max(0) as usize, b'0');
    if last >= 0 && exponent.abs() < count + 7 {
        out.extend_from_slice(digits);
        return zeros(out, last);
    }
    if last < 0 && (last > -7 || exponent.abs() < 4) {
        let (whole, fraction) = digits.split_at((count + last).max(0) as usize);
        if whole.is_empty() {
            out.extend_from_slice(b"0.");
            zeros(out, -(count + last));
        } else {
            out.extend_from_slice(whole);
            out.push(b'.');
        }
        return out.extend_from_slice(fraction);
    }
    let kept = digits.get(..digits.len().min(if negative { 17 } else { 18 })).unwrap_or_default();
    if let Some((first, more)) = kept.split_first() {
        out.push(*first);
        if !more.is_empty() {
            out.push(b'.');
            out.extend_from_slice(more);
        }
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    out.extend_from_slice(itoa::Buffer::new().format(exponent.abs()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_with_17_digits_as_by_c() {
        for (value, expected) in [
            (0.1, "0.10000000000000001"),
            (3.0, "3"),
            (-2.25, "-2.25"),
            (1e17, "1e+17"),
            (1e16, "10000000000000000"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (1e300, "1.0000000000000001e+300"),
            (-0.0, "-0"),
            (f64::INFINITY, "inf"),
        ] {
            let mut text = Vec::new();
            format_double_17(value, &mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }

    #[test]
    fn coordinates_have_up_to_17_digits_behind_the_point() {
        for (value, expected) in [
            (13.361_389_338_970_184, "13.36138933897018433"),
            (-179.999_997_317_790_99, "-179.99999731779098511"),
            (180.0, "180"),
            (-0.5, "-0.5"),
            (-1e-300, "0"),
            (0.0, "0"),
        ] {
            let mut text = Vec::new();
            format_decimal(value, &mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }

    #[test]
    fn doubles_are_written_as_by_redis() {
        // From Valkey 8.1, which writes them as Redis 7.2 does.
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e+21"),
            (1e23, "99999999999999990000000"),
            (9.11e21, "9110000000000001000000"),
            (4611686018427387904.0, "4611686018427387904"),
            (4611686018427388928.0, "4611686018427389000"),
            (1e18, "1000000000000000000"),
            (1e-5, "0.00001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (-2.4758800785707605e27, "-2.4758800785707606e+27"),
            (21_613_995_704_850.563, "21613995704850.562"),
            (0.01594307702046238, "0.015943077020462382"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            let mut text = Vec::new();
            format_double(value, &mut text);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }
}
