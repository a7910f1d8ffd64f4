//! When a key expires, as arguments say it: in seconds or milliseconds, from now or from the epoch.

use crate::error::{Error, Result};

/// What a time argument counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// Where a time argument counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Now,
    Epoch,
}

impl Unit {
    fn to_ms(self, value: i64) -> Option<i64> {
        match self {
            Self::Seconds => value.checked_mul(1000),
            Self::Milliseconds => Some(value),
        }
    }
}

/// The moment that an argument names, in milliseconds since the epoch; before the epoch it is 0, which
/// is past as well. `command` is named by the error for what 64 bits cannot hold.
pub(super) fn moment(value: i64, unit: Unit, base: Base, now_ms: u64, command: &str) -> Result<u64> {
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let start = if base == Base::Now { now_ms } else { 0 };
    let moment = unit.to_ms(value).and_then(|ms| ms.checked_add(start));
    let moment = moment.ok_or_else(|| Error::expire_time(command))?;
    Ok(u64::try_from(moment).unwrap_or(0))
}

/// As above for commands that take only a time to come: zero and less are refused.
pub(super) fn deadline(value: i64, unit: Unit, base: Base, now_ms: u64, command: &str) -> Result<u64> {
    if value <= 0 {
        return Err(Error::expire_time(command));
    }
    moment(value, unit, base, now_ms, command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_from_now_or_the_epoch() {
        let at = |value, unit, base| moment(value, unit, base, 5_000, "x").ok();
        assert_eq!(at(2, Unit::Seconds, Base::Now), Some(7_000));
        assert_eq!(at(2, Unit::Milliseconds, Base::Now), Some(5_002));
        assert_eq!(at(2, Unit::Seconds, Base::Epoch), Some(2_000));
        assert_eq!(at(-9, Unit::Seconds, Base::Now), Some(0));
    }

    #[test]
    fn what_64_bits_cannot_hold_is_refused() {
        let at = |value, unit, base| moment(value, unit, base, 5_000, "x").ok();
        assert_eq!(at(i64::MAX / 1000, Unit::Seconds, Base::Epoch), Some(9_223_372_036_854_775_000));
        assert_eq!(at(i64::MAX / 1000 + 1, Unit::Seconds, Base::Epoch), None);
        assert_eq!(at(i64::MIN / 1000 - 1, Unit::Seconds, Base::Now), None);
        assert_eq!(at(i64::MAX - 5_000, Unit::Milliseconds, Base::Now), Some(i64::MAX as u64));
        assert_eq!(at(i64::MAX - 4_999, Unit::Milliseconds, Base::Now), None);
        assert!(deadline(0, Unit::Seconds, Base::Now, 5_000, "x").is_err());
    }
}
