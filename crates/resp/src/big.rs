//! Whole numbers of any size, with the few operations that exact conversion between decimal and
//! binary needs. Only numbers beyond the fast paths of `long_double` come here; what is read is at
//! most 5 KiB of text, so sizes stay within a few thousand bytes.

use std::cmp::Ordering;

/// Limbs of 32 bits, the lowest first, without zeros at the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Big(Vec<u32>);

/// The largest power of ten in a limb, and its exponent.
const CHUNK: u32 = 1_000_000_000;
const CHUNK_DIGITS: usize = 9;

impl Big {
    pub(crate) fn from_u64(value: u64) -> Self {
        let mut big = Self(vec![value as u32, (value >> 32) as u32]);
        big.trim();
        big
    }

    /// From decimal digits.
    pub(crate) fn from_digits(digits: impl Iterator<Item = u8>) -> Self {
        let mut big = Self(Vec::new());
        let (mut chunk, mut scale) = (0, 1);
        for digit in digits {
            chunk = chunk * 10 + u32::from(digit - b'0');
            scale *= 10;
            if scale == CHUNK {
                big.multiply_add(scale, chunk);
                (chunk, scale) = (0, 1);
            }
        }
        big.multiply_add(scale, chunk);
        big
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = u64::from(summand);
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(factor);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    pub(crate) fn multiply_by_power_of_ten(&mut self, exponent: usize) {
        for _ in 0..exponent / CHUNK_DIGITS {
            self.multiply_add(CHUNK, 0);
        }
        for _ in 0..exponent % CHUNK_DIGITS {
            self.multiply_add(10, 0);
        }
    }

    pub(crate) fn shift_left(&mut self, bits: usize) {
        let small = bits % 32;
        if small != 0 {
            self.multiply_add(1 << small, 0);
        }
        if !self.is_zero() {
            self.0.splice(0..0, std::iter::repeat_n(0, bits / 32));
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.0.last().map_or(0, |top| self.0.len() * 32 - top.leading_zeros() as usize)
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_len = self.0.len().cmp(&other.0.len());
        by_len.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }

    /// Subtracts what is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        for (limb, subtrahend) in self.0.iter_mut().zip(others) {
            let (value, first) = limb.overflowing_sub(subtrahend);
            let (value, second) = value.overflowing_sub(u32::from(borrow));
            *limb = value;
            borrow = first || second;
        }
        self.trim();
    }

    /// The top 128 bits, how many bits are below them, and whether any of those is set.
    pub(crate) fn top(&self) -> (u128, usize, bool) {
        let below = self.width().saturating_sub(128);
        let (limbs, bits) = (below / 32, below % 32);
        let mut top = 0u128;
        // Five limbs overlap 128 bits that do not start at a limb.
        for (i, &limb) in self.0.iter().skip(limbs).take(5).enumerate() {
            let limb = u128::from(limb);
            top |= if i == 0 { limb >> bits } else { limb << (32 * i - bits) };
        }
        let first_bits = self.0.get(limbs).is_some_and(|limb| limb & ((1 << bits) - 1) != 0);
        let sticky = first_bits || self.0.iter().take(limbs).any(|&limb| limb != 0);
        (top, below, sticky)
    }

    /// The quotient, which must be less than 2^70, and whether anything is left over.
    pub(crate) fn divide(mut self, mut divisor: Self) -> (u128, bool) {
        const BITS: usize = 70;
        let mut quotient = 0;
        divisor.shift_left(BITS - 1);
        for step in 0..BITS {
            if step > 0 {
                self.shift_left(1);
            }
            quotient <<= 1;
            if self.compare(&divisor) != Ordering::Less {
                self.subtract(&divisor);
                quotient |= 1;
            }
        }
        (quotient, !self.is_zero())
    }

    /// Appends the decimal digits.
    pub(crate) fn write(mut self, out: &mut Vec<u8>) {
        let mut chunks = Vec::new();
        while !self.is_zero() {
            let mut rest = 0u64;
            for limb in self.0.iter_mut().rev() {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / u64::from(CHUNK)) as u32;
                rest = value % u64::from(CHUNK);
            }
            self.trim();
            chunks.push(rest);
        }
        let top = chunks.pop().unwrap_or(0);
        out.extend_from_slice(itoa::Buffer::new().format(top).as_bytes());
        for chunk in chunks.into_iter().rev() {
            out.extend_from_slice(format!("{chunk:09}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(value: u128) -> Big {
        Big::from_digits(value.to_string().bytes())
    }

    proptest! {
        #[test]
        fn agrees_with_u128(a: u128, b in 1u128.., shift in 0usize..200) {
            let mut text = Vec::new();
            big(a).write(&mut text);
            prop_assert_eq!(text, a.to_string().into_bytes());
            prop_assert_eq!(big(a).width(), 128 - a.leading_zeros() as usize);
            prop_assert_eq!(big(a).compare(&big(b)), a.cmp(&b));
            prop_assert_eq!(Big::from_u64(a as u64), big(u128::from(a as u64)));
            if a / b < 1 << 70 {
                prop_assert_eq!(big(a).divide(big(b)), (a / b, a % b != 0));
            }
            let mut shifted = big(a);
            shifted.shift_left(shift);
            let (top, below, sticky) = shifted.top();
            let spare = a.leading_zeros() as usize;
            if a != 0 {
                prop_assert_eq!((top, below), (a << shift.min(spare), shift.saturating_sub(spare)));
            }
            prop_assert!(!sticky);
            shifted.multiply_add(1, 1);
            prop_assert_eq!(shifted.top().2, a != 0 && shift > spare);
        }
    }
}
