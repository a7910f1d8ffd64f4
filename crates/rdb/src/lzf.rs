//! LZF, the compression of strings: runs of literal bytes and copies of what came shortly before.
//! Compressed strings need not be those of Redis byte by byte; what they decompress to is the same.

use crate::Error;
use base::codec::Reader;

const LITERALS_MAX: usize = 32;
/// A copy is 3 bytes at least, so lengths are counted from 2.
const COPY_BYTES_MIN: usize = 3;
const COPY_BYTES_MAX: usize = 2 + 7 + 255;
/// The longest copy takes three bytes.
const EXPANSION_MAX: usize = COPY_BYTES_MAX / 3;
const DISTANCE_MAX: usize = 1 << 13;

/// Whether `len` bytes can come out at all: asked before room for them is made.
pub(crate) fn check_len(compressed: &[u8], len: usize) -> Result<(), Error> {
    let is_possible = len <= compressed.len().saturating_mul(EXPANSION_MAX);
    if is_possible { Ok(()) } else { Err(Error::Malformed("a compressed string promises too much")) }
}

pub(crate) fn decompress(compressed: &[u8], len: usize) -> Result<Vec<u8>, Error> {
    check_len(compressed, len)?;
    let mut reader = Reader::new(compressed);
    let mut out = Vec::with_capacity(len);
    let ensure_room = |out: &Vec<u8>, more: usize| {
        let fits = out.len() + more <= len;
        if fits { Ok(()) } else { Err(Error::Malformed("a compressed string is longer than it says")) }
    };
    while !reader.is_empty() {
        let control = usize::from(reader.u8()?);
        if control < LITERALS_MAX {
            let literals = reader.take(control + 1)?;
            ensure_room(&out, literals.len())?;
            out.extend_from_slice(literals);
            continue;
        }
        let mut count = (control >> 5) + 2;
        if control >> 5 == 7 {
            count += usize::from(reader.u8()?);
        }
        let distance = ((control & 0x1f) << 8 | usize::from(reader.u8()?)) + 1;
        ensure_room(&out, count)?;
        copy(&mut out, distance, count)?;
    }
    if out.len() == len {
        Ok(out)
    } else {
        Err(Error::Malformed("a compressed string is shorter than it says"))
    }
}

/// Appends `count` of the bytes that begin `distance` before the end, which may reach into what is
/// being appended.
fn copy(out: &mut Vec<u8>, distance: usize, count: usize) -> Result<(), Error> {
    let Some(start) = out.len().checked_sub(distance) else {
        return Err(Error::Malformed("a compressed string copies from before its start"));
    };
    let mut left = count;
    while left > 0 {
        // All from `start` on repeats every `distance` bytes, so each round can copy what there is.
        let some = left.min(out.len() - start);
        out.extend_from_within(start..start + some);
        left -= some;
    }
    Ok(())
}

/// Compresses strings, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Compressor {
    /// By hash of three bytes: one more than where they were seen last; 0 is nowhere.
    seen: Vec<u32>,
}

impl Compressor {
    /// `None` if that saves less than four bytes, which is what Redis asks of it.
    pub(crate) fn compress(&mut self, input: &[u8]) -> Option<Vec<u8>> {
        const SAVED_BYTES_MIN: usize = 4;
        if input.len() >= u32::MAX as usize {
            return None;
        }
        let bits = self.reset(input.len());
        let mut out = Vec::with_capacity(input.len());
        let (mut literals, mut at) = (0, 0);
        while let Some(next) = triple(input, at) {
            let before = self.swap(next, bits, at);
            let matched = before.map_or(0, |before| common(input, before, at));
            if let Some(before) = before.filter(|_| matched >= COPY_BYTES_MIN) {
                put_literals(input.get(literals..at)?, &mut out);
                put_copy(at - before, matched, &mut out);
                // Of what was copied the last places are enough to find what follows again.
                let end = at + matched;
                for place in end - 2..end {
                    triple(input, place).map(|next| self.swap(next, bits, place));
                }
                (literals, at) = (end, end);
            } else {
                at += 1;
            }
        }
        put_literals(input.get(literals..)?, &mut out);
        (out.len() + SAVED_BYTES_MIN <= input.len()).then_some(out)
    }

    /// Forgets all, in a table that is not much larger than the input: most strings are short.
    fn reset(&mut self, input_len: usize) -> u32 {
        const BITS_MAX: u32 = 14;
        let bits = (usize::BITS - input_len.leading_zeros() + 1).min(BITS_MAX);
        self.seen.clear();
        self.seen.resize(1 << bits, 0);
        bits
    }

    /// Notes where three bytes are, and gives where they (or others of the same hash) were.
    fn swap(&mut self, bytes: [u8; 3], bits: u32, at: usize) -> Option<usize> {
        let [a, b, c] = bytes.map(u32::from);
        let hash = (a << 16 | b << 8 | c).wrapping_mul(0x9e37_79b1) >> (u32::BITS - bits);
        let slot = self.seen.get_mut(hash as usize)?;
        let before = std::mem::replace(slot, at as u32 + 1).checked_sub(1)? as usize;
        (at - before <= DISTANCE_MAX).then_some(before)
    }
}

fn triple(input: &[u8], at: usize) -> Option<[u8; 3]> {
    input.get(at..)?.first_chunk().copied()
}

/// How many bytes are the same from both places on, as far as one copy goes.
fn common(input: &[u8], before: usize, at: usize) -> usize {
    let from = |place: usize| input.get(place..).unwrap_or_default().iter();
    from(before).zip(from(at)).take(COPY_BYTES_MAX).take_while(|(a, b)| a == b).count()
}

fn put_literals(literals: &[u8], out: &mut Vec<u8>) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn put_copy(distance: usize, count: usize, out: &mut Vec<u8>) {
    let [.., high, low] = (distance - 1).to_be_bytes();
    let length = count - 2;
    if length < 7 {
        out.push((length as u8) << 5 | high);
    } else {
        out.push(7 << 5 | high);
        out.push((length - 7) as u8);
    }
    out.push(low);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_runs_and_far_copies_come_back() {
        let far: Vec<u8> = (0..40_000u32).flat_map(|n| (n % 1500).to_le_bytes()).collect();
        for input in [vec![b'x'; 100_000], far, b"abcabcabcabcabcabcabcabcabcabc".repeat(9)] {
            let compressed = Compressor::default().compress(&input).expect("it repeats itself");
            assert!(compressed.len() < input.len() / 4, "{} of {}", compressed.len(), input.len());
            assert_eq!(decompress(&compressed, input.len()), Ok(input));
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let input: Vec<u8> = (0..=255).collect();
        assert_eq!(Compressor::default().compress(&input), None);
        assert_eq!(Compressor::default().compress(b""), None);
        assert_eq!(Compressor::default().compress(b"aaaaaaa"), None);
    }

    #[test]
    fn wrong_lengths_and_copies_are_refused() {
        let refused = |bytes: &[u8], len| match decompress(bytes, len) {
            Err(Error::Malformed(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(b"\x02abc", 2), "a compressed string is longer than it says");
        assert_eq!(refused(b"\x02abc", 4), "a compressed string is shorter than it says");
        assert_eq!(refused(b"\x02ab", 3), "the bytes end too early");
        assert_eq!(refused(b"\x00a\x20\x01", 4), "a compressed string copies from before its start");
        assert_eq!(refused(b"\x00a\x20\x00", 3), "a compressed string is longer than it says");
        assert_eq!(refused(b"\x00a\xe0\xff\x00", 1 << 40), "a compressed string promises too much");
        assert_eq!(decompress(b"\x00a\xe0\xff\x00", 265), Ok(vec![b'a'; 265]));
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(input in proptest::collection::vec(0u8..4, 0..2000)) {
            let mut compressor = Compressor::default();
            // Twice, as what one string left behind must not reach into the next.
            compressor.compress(&input);
            if let Some(compressed) = compressor.compress(&input) {
                prop_assert!(compressed.len() + 4 <= input.len());
                prop_assert_eq!(decompress(&compressed, input.len()), Ok(input));
            }
        }

        #[test]
        fn any_bytes_are_decompressed_or_refused(bytes: Vec<u8>, len in 0usize..4096) {
            let _ = decompress(&bytes, len);
        }
    }
}
