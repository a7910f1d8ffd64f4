//! Numbers and times as people read and write them.

use std::time::Duration;

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many a second; a time too short to tell counts as a millisecond.
pub fn rate(count: u64, elapsed: Duration) -> u64 {
    let ms = elapsed.as_millis().max(1);
    u64::try_from(u128::from(count) * 1000 / ms).unwrap_or(u64::MAX)
}

/// `0:07`, `12:34`, `1:02:03`.
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

const TIME_WANTED: &str = "wanted: a time from 1ms to 1h, such as 500ms, 10s or 2m";
const TIME_MS_MAX: u64 = 3_600_000;

/// `500ms`, `10s`, `2m`, `1h`; a bare number is of seconds.
pub fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let number: u64 = number.parse().map_err(|_| TIME_WANTED)?;
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(TIME_WANTED.into()),
    };
    let ms = number.checked_mul(unit_ms).filter(|ms| (1..=TIME_MS_MAX).contains(ms)).ok_or(TIME_WANTED)?;
    Ok(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn times_are_read_and_shown() {
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("10"), Ok(Duration::from_secs(10)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "0", "2h", "1d", "-1s", "1.5s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
        assert_eq!(clock(Duration::from_secs(7)), "0:07");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }

    #[test]
    fn a_rate_is_there_at_once() {
        assert_eq!(rate(500, Duration::ZERO), 500_000);
        assert_eq!(rate(500, Duration::from_secs(2)), 250);
    }
}
