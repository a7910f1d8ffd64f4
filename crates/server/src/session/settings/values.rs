//! Values that CONFIG SET is given.

/// A number with Redis' units: `1gb` is 1024³, `1g` is 1000³.
pub(super) fn memory(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn integer(value: &[u8], min: i64, max: i64) -> Result<i64, String> {
    let number = resp::parse_i64(value).ok_or("argument couldn't be parsed into an integer")?;
    if (min..=max).contains(&number) {
        Ok(number)
    } else {
        Err(format!("argument must be between {min} and {max} inclusive"))
    }
}

pub(super) fn bytes(value: &[u8]) -> Result<u64, String> {
    let text = std::str::from_utf8(value).ok();
    text.and_then(memory).ok_or_else(|| "argument must be a memory value".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_the_units_of_redis() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("1k", Some(1000)),
            ("1kb", Some(1024)),
            ("2MB", Some(2 << 20)),
            ("1gb", Some(1 << 30)),
            ("1x", None),
            ("", None),
            ("99999999999gb", None),
        ] {
            assert_eq!(memory(text), bytes, "{text}");
        }
    }

    #[test]
    fn integers_keep_their_bounds() {
        assert_eq!(integer(b"5", 0, 9), Ok(5));
        assert_eq!(integer(b"10", 0, 9), Err("argument must be between 0 and 9 inclusive".into()));
        assert!(integer(b"x", 0, 9).is_err());
    }
}
