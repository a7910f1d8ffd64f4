//! Counting and finding bits among bytes, a word at a time.

use std::ops::Range;

/// How many of these bits are set.
pub(super) fn count(bytes: &[u8], bits: Range<u64>) -> u64 {
    let place = (bits.start / 8) as usize..bits.end.div_ceil(8) as usize;
    let whole = bytes.get(place).unwrap_or_default();
    let ones = |byte: Option<&u8>, mask: u8| byte.map_or(0, |byte| (byte & mask).count_ones());
    let before = !(u8::MAX >> (bits.start % 8));
    let behind = if bits.end.is_multiple_of(8) { 0 } else { u8::MAX >> (bits.end % 8) };
    ones_of(whole) - u64::from(ones(whole.first(), before) + ones(whole.last(), behind))
}

fn ones_of(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum::<u64>();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The first of these bits that is `wanted`.
pub(super) fn find(bytes: &[u8], bits: Range<u64>, wanted: bool) -> Option<u64> {
    // With these bits turned round, the first one that is set is looked for.
    let flip = if wanted { 0 } else { u8::MAX };
    let start = (bits.start / 8) as usize;
    let head = (bytes.get(start)? ^ flip) & (u8::MAX >> (bits.start % 8));
    let found = match head {
        0 => first_one(bytes.get(start + 1..)?, flip)? + (start as u64 + 1) * 8,
        head => start as u64 * 8 + u64::from(head.leading_zeros()),
    };
    (found < bits.end).then_some(found)
}

fn first_one(bytes: &[u8], flip: u8) -> Option<u64> {
    let (words, rest) = bytes.as_chunks::<8>();
    let flips = u64::from_ne_bytes([flip; 8]);
    let words = words.iter().map(|word| u64::from_be_bytes(*word) ^ flips);
    let at = (words.len() * 64) as u64;
    if let Some((at, word)) = words.enumerate().find(|(_, word)| *word != 0) {
        return Some(at as u64 * 64 + u64::from(word.leading_zeros()));
    }
    let (nth, byte) = rest.iter().map(|byte| byte ^ flip).enumerate().find(|(_, byte)| *byte != 0)?;
    Some(at + nth as u64 * 8 + u64::from(byte.leading_zeros()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes[(at / 8) as usize] & (0x80 >> (at % 8)) != 0
    }

    /// Bytes that are mostly all alike, and some of their bits.
    fn cases() -> impl Strategy<Value = (Vec<u8>, Range<u64>)> {
        let byte = prop_oneof![6 => Just(0u8), 6 => Just(255u8), 1 => any::<u8>()];
        let alike = (any::<bool>(), prop::collection::vec(any::<u8>(), 0..3), 0..40usize);
        let alike = alike.prop_map(|(ones, tail, len)| {
            let mut bytes = vec![if ones { 255 } else { 0 }; len];
            bytes.extend(tail);
            bytes
        });
        prop_oneof![prop::collection::vec(byte, 0..40), alike].prop_flat_map(|bytes| {
            let bits = bytes.len() as u64 * 8;
            let range = (0..=bits, 0..=bits).prop_map(|(a, b)| a.min(b)..a.max(b));
            (Just(bytes), range)
        })
    }

    proptest! {
        #[test]
        fn bits_are_counted_and_found_as_one_by_one((bytes, bits) in cases()) {
            let ones = bits.clone().filter(|at| bit(&bytes, *at)).count() as u64;
            prop_assert_eq!(count(&bytes, bits.clone()), ones);
            for wanted in [false, true] {
                let first = bits.clone().find(|at| bit(&bytes, *at) == wanted);
                prop_assert_eq!(find(&bytes, bits.clone(), wanted), first);
            }
        }
    }
}
