//! Sizes and times as people write them.

use std::time::Duration;

/// Bytes from `512MiB`, `1GiB`, `64KB`, `1048576`.
pub fn size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("b", 1),
        ("k", 1 << 10),
        ("kb", 1_000),
        ("kib", 1 << 10),
        ("m", 1 << 20),
        ("mb", 1_000_000),
        ("mib", 1 << 20),
        ("g", 1 << 30),
        ("gb", 1_000_000_000),
        ("gib", 1 << 30),
        ("t", 1 << 40),
        ("tb", 1_000_000_000_000),
        ("tib", 1 << 40),
    ];
    const WANTED: &str = "a size is a number and a unit, such as 512MiB, 2GiB or 64KB";
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(WANTED.into());
    }
    let unit = unit.trim().to_ascii_lowercase();
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("'{unit}' is no unit: {WANTED}"));
    };
    let number: u64 = number.parse().map_err(|_| "the number is too large".to_owned())?;
    number.checked_mul(*factor).ok_or_else(|| "the number is too large".to_owned())
}

/// A time from `50ms`, `60s`, `5m`, `1h`; zero needs no unit.
pub fn time(text: &str) -> Result<Duration, String> {
    const UNITS: &[(&str, u64)] =
        &[("ms", 1), ("s", 1_000), ("m", 60_000), ("min", 60_000), ("h", 3_600_000)];
    const WANTED: &str = "a time is a number and a unit, such as 50ms, 60s or 5m";
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(WANTED.into());
    }
    let number: u64 = number.parse().map_err(|_| "the number is too large".to_owned())?;
    let unit = unit.trim().to_ascii_lowercase();
    if number == 0 && unit.is_empty() {
        return Ok(Duration::ZERO);
    }
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("'{unit}' is no unit: {WANTED}"));
    };
    let ms = number.checked_mul(*factor).ok_or_else(|| "the number is too large".to_owned())?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("50ms", 50),
            ("60s", 60_000),
            ("5 m", 300_000),
            ("1min", 60_000),
            ("2H", 7_200_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "60", "-1s", "s", "1d", "99999999999999999h", "99999999999999999999999s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1024", 1024),
            ("512MiB", 512 << 20),
            ("512 mib", 512 << 20),
            ("2GB", 2_000_000_000),
            ("64k", 64 << 10),
            ("1TiB", 1 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_explained() {
        for (text, why) in [
            ("", "a size is a number and a unit"),
            ("MiB", "a size is a number and a unit"),
            ("-1", "a size is a number and a unit"),
            ("5 parsecs", "'parsecs' is no unit"),
            ("1.5GiB", "'.5gib' is no unit"),
            ("99999999999999999999", "too large"),
            ("99999999TiB", "too large"),
        ] {
            let error = size(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
