//! Sizes as people write them.

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

#[cfg(test)]
mod tests {
    use super::*;

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
