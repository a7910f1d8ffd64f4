//! What has changed in the middle of a large record: the log carries that, instead of all of it.
//!
//! Whoever writes a record writes the whole of it, and knows nothing of this. When a batch is encoded, a
//! record that the batch found in memory is compared with what it becomes: what both begin and end with
//! is left out. A replica puts the rest into what its store holds, and checks that the result is the
//! leader's: a record that does not fit stops the store, it is never guessed at.

use base::codec::{DecodeError, Reader, Write as _};

/// Smaller records are written whole: there is nothing to be saved.
pub(crate) const WHOLE_BYTES_MAX: usize = 192;
/// What a splice takes beside the bytes that it brings, about.
const OVERHEAD_BYTES: usize = 12;

/// The bytes that a record gets in place of some that it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splice<'a> {
    /// Bytes that stay, in front and behind.
    front: usize,
    back: usize,
    /// Bytes that go from between them.
    removed: usize,
    /// What comes there.
    added: &'a [u8],
    /// Of the result.
    crc: u32,
}

impl<'a> Splice<'a> {
    /// What makes one record of another, if saying so is much shorter than the record.
    pub(crate) fn between(old: &[u8], new: &'a [u8]) -> Option<Self> {
        if new.len() <= WHOLE_BYTES_MAX {
            return None;
        }
        let front = common_front(old, new);
        let (old_rest, new_rest) = (old.get(front..)?, new.get(front..)?);
        let back = common_back(old_rest, new_rest);
        let added = new_rest.get(..new_rest.len() - back)?;
        if added.len() + OVERHEAD_BYTES > new.len() / 2 {
            return None;
        }
        let removed = old_rest.len() - back;
        Some(Self { front, back, removed, added, crc: crc32fast::hash(new) })
    }

    /// Bytes of the record that comes of it.
    pub(crate) fn len(&self) -> usize {
        self.front.saturating_add(self.added.len()).saturating_add(self.back)
    }

    /// Bytes that need not be said, about.
    pub(crate) fn saves(&self) -> usize {
        (self.front + self.back).saturating_sub(OVERHEAD_BYTES)
    }

    pub(crate) fn apply(&self, old: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let stays = self.front.checked_add(self.back).ok_or(DecodeError::Overflow)?;
        if stays.checked_add(self.removed) != Some(old.len()) {
            return Err(DecodeError::Mismatch);
        }
        let (front, rest) = old.split_at_checked(self.front).ok_or(DecodeError::Short)?;
        let back = rest.get(self.removed..).ok_or(DecodeError::Short)?;
        let new = [front, self.added, back].concat();
        if crc32fast::hash(&new) == self.crc { Ok(new) } else { Err(DecodeError::Mismatch) }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.front as u64);
        out.put_varint(self.back as u64);
        out.put_varint(self.removed as u64);
        out.put_u32(self.crc);
        out.put_bytes(self.added);
    }

    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut size = || usize::try_from(reader.varint()?).map_err(|_| DecodeError::Overflow);
        let (front, back, removed) = (size()?, size()?, size()?);
        Ok(Self { front, back, removed, crc: reader.u32()?, added: reader.bytes()? })
    }
}

/// Compared at a time.
const STRIDE: usize = 64;

/// How many bytes are the same from the beginning on.
pub(crate) fn common_front(a: &[u8], b: &[u8]) -> usize {
    let same = a.chunks(STRIDE).zip(b.chunks(STRIDE)).take_while(|(a, b)| a == b).count() * STRIDE;
    let same = same.min(a.len()).min(b.len());
    let tail = a[same..].iter().zip(&b[same..]).take_while(|(a, b)| a == b).count();
    same + tail
}

/// How many bytes are the same from the end back.
fn common_back(a: &[u8], b: &[u8]) -> usize {
    let same = a.rchunks(STRIDE).zip(b.rchunks(STRIDE)).take_while(|(a, b)| a == b).count() * STRIDE;
    let same = same.min(a.len()).min(b.len());
    let (a, b) = (&a[..a.len() - same], &b[..b.len() - same]);
    same + a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_splice_makes_the_new_record_of_the_old_one(
            front in prop::collection::vec(0..3_u8, 0..400),
            back in prop::collection::vec(0..3_u8, 0..400),
            old in prop::collection::vec(0..3_u8, 0..60),
            new in prop::collection::vec(0..3_u8, 0..60),
        ) {
            let (old, new) = ([&front[..], &old, &back].concat(), [&front[..], &new, &back].concat());
            let Some(splice) = Splice::between(&old, &new) else {
                prop_assert!(new.len() < 2 * (60 + OVERHEAD_BYTES) || new.len() <= WHOLE_BYTES_MAX);
                return Ok(());
            };
            let mut bytes = Vec::new();
            splice.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            let decoded = Splice::decode(&mut reader).unwrap();
            reader.finish().unwrap();
            prop_assert_eq!(decoded, splice);
            prop_assert_eq!(decoded.len(), new.len());
            prop_assert_eq!(decoded.apply(&old).unwrap(), new);
            // Whatever it is not meant for is refused.
            let mut other = old.clone();
            other.push(0);
            prop_assert!(decoded.apply(&other).is_err());
            if let Some(first) = other.first_mut().filter(|_| !front.is_empty()) {
                *first ^= 1;
                other.pop();
                prop_assert!(decoded.apply(&other).is_err());
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>, old: Vec<u8>) {
            if let Ok(splice) = Splice::decode(&mut Reader::new(&bytes)) {
                let _ = (splice.len(), splice.apply(&old));
            }
        }
    }

    #[test]
    fn what_is_all_new_is_written_whole() {
        assert_eq!(Splice::between(&[1; 4000], &[2; 4000]), None);
        assert_eq!(Splice::between(&[1; 100], &[1; 101]), None);
        assert!(Splice::between(&[1; 4000], &[1; 4001]).is_some());
        assert!(Splice::between(&[], &[1; 4001]).is_none());
    }
}
