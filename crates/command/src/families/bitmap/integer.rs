//! Integers of any width that begin at any bit, as BITFIELD knows them.

/// Some bytes of a string from the one where an integer begins. Nine are enough for any; those behind
/// them do not matter.
pub(super) type Window = [u8; 16];
pub(super) const WINDOW_BYTES_USED: usize = 9;
const WINDOW_BITS: u32 = u128::BITS;

/// How an integer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) signed: bool,
    /// From 1 to 64, or 63 if it is unsigned.
    pub(super) bits: u32,
}

/// What becomes of a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

impl Layout {
    /// `i16`, `u8` and the like.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (&sign, bits) = text.split_first()?;
        let (signed, bits_max) = match sign {
            b'i' => (true, 64),
            b'u' => (false, 63),
            _ => return None,
        };
        let bits = u32::try_from(resp::parse_i64(bits)?).ok()?;
        (1..=bits_max).contains(&bits).then_some(Self { signed, bits })
    }

    /// The integer that begins `at` bits into the window.
    pub(super) fn read(self, window: Window, at: u32) -> i128 {
        self.wrap(((u128::from_be_bytes(window) << at) >> (WINDOW_BITS - self.bits)) as i128)
    }

    pub(super) fn write(self, window: Window, at: u32, value: i128) -> Window {
        let shift = WINDOW_BITS - self.bits - at;
        let mask = self.mask() << shift;
        let value = (value as u128) << shift & mask;
        (u128::from_be_bytes(window) & !mask | value).to_be_bytes()
    }

    /// What a client's number is before it is made to fit: to an unsigned integer none is negative. To a
    /// signed one a number is too high, not too low, if its distance to the highest one overflows: a slip of
    /// Redis that decides where it saturates.
    pub(super) fn number(self, number: i64) -> i128 {
        let overflows = self.bits < 64 && number < (1 << (self.bits - 1)) - 1 - i64::MAX;
        if self.signed && !overflows { number.into() } else { (number as u64).into() }
    }

    /// A value as it is kept, or nothing if it cannot be.
    pub(super) fn fit(self, value: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        };
        match overflow {
            _ if (min..=max).contains(&value) => Some(value),
            Overflow::Wrap => Some(self.wrap(value)),
            Overflow::Saturate => Some(value.clamp(min, max)),
            Overflow::Fail => None,
        }
    }

    fn mask(self) -> u128 {
        (1 << self.bits) - 1
    }

    fn wrap(self, value: i128) -> i128 {
        let shift = WINDOW_BITS - self.bits;
        if self.signed { (value << shift) >> shift } else { value & self.mask() as i128 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layouts_are_a_sign_and_a_width() {
        let parsed = |text: &str| Layout::parse(text.as_bytes()).map(|layout| (layout.signed, layout.bits));
        assert_eq!(parsed("i1"), Some((true, 1)));
        assert_eq!(parsed("i64"), Some((true, 64)));
        assert_eq!(parsed("u63"), Some((false, 63)));
        for wrong in ["", "i", "u", "u64", "i65", "u0", "i-1", "U8", "x8", "u08", "u 8", "u99999999999999"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_are_made_to_fit() {
        use Overflow::{Fail, Saturate, Wrap};
        let fit = |layout: &str, value: i128, overflow| {
            Layout::parse(layout.as_bytes()).unwrap().fit(value, overflow)
        };
        for overflow in [Wrap, Saturate, Fail] {
            assert_eq!(fit("i8", 127, overflow), Some(127));
            assert_eq!(fit("i64", i64::MIN.into(), overflow), Some(i64::MIN.into()));
            assert_eq!(fit("u63", i64::MAX.into(), overflow), Some(i64::MAX.into()));
        }
        assert_eq!([Wrap, Saturate, Fail].map(|o| fit("i8", 128, o)), [Some(-128), Some(127), None]);
        assert_eq!([Wrap, Saturate, Fail].map(|o| fit("i8", -129, o)), [Some(127), Some(-128), None]);
        assert_eq!([Wrap, Saturate, Fail].map(|o| fit("u2", 4, o)), [Some(0), Some(3), None]);
        assert_eq!([Wrap, Saturate, Fail].map(|o| fit("u2", -1, o)), [Some(3), Some(0), None]);
        assert_eq!([Wrap, Saturate].map(|o| fit("i1", 1, o)), [Some(-1), Some(0)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(window: Window, at in 0..8u32, bits in 1..=64u32, signed: bool, value: i64) {
            let layout = Layout { signed, bits: if signed { bits } else { bits.min(63) } };
            let value = layout.fit(value.into(), Overflow::Wrap).unwrap();
            let written = layout.write(window, at, value);
            prop_assert_eq!(layout.read(written, at), value);
            prop_assert_eq!(layout.write(written, at, layout.read(window, at)), window);
            prop_assert_eq!(&written[WINDOW_BYTES_USED..], &window[WINDOW_BYTES_USED..]);
        }
    }
}
