//! Where the members of a wide hash, set or sorted set are. Each has a record under the collection id, in
//! one of 256 *generations*, which follow one another. Members that are removed leave tombstones, which
//! every walk has to pass by; so those that are left move on to the next generation once in a while, a
//! stretch at a time (`moving.rs`), and nobody walks through the old one any more.
//!
//! The generation of a member follows from its position alone: what looks for one member looks in one
//! place, and a walk changes over where the move has come to.

use std::ops::Range;

use base::codec::{DecodeError, Reader, Write, prefix_end};

use super::{ELEMENT, HOME_HEADER, HashSeed, Home, expect_tag};

/// Longer members are found by a hash of 128 bits; what they are stands in their record.
pub const MEMBER_IN_KEY_BYTES_MAX: usize = 1024;
/// What stands in front of a member in the key of its record, with the generation and the member's hash: a
/// position among them is a number.
const MEMBERS: u8 = b'm';
/// Bytes of a member record's key before the position.
const GENERATION_HEADER: usize = HOME_HEADER + 1 + 1;
/// Positions among members: one more than the highest.
pub const POSITIONS: u64 = 1 << 48;

/// Where a collection's members are; with its home, what the key's record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    pub home: Home,
    generation: u8,
    /// Members at lower positions have moved to the next generation.
    moved: u64,
    /// While they move: how many members had been removed when that began.
    removed: u64,
}

impl Members {
    /// Of a collection that is made.
    pub fn new(home: Home) -> Self {
        Self { home, generation: 0, moved: 0, removed: 0 }
    }

    /// What has never moved is just its home.
    pub fn encode(self) -> Vec<u8> {
        let mut out = self.home.encode();
        if self.is_moving() {
            out.push(self.generation);
            out.put_u48(self.moved);
            out.put_varint(self.removed);
        } else if self.generation != 0 {
            out.push(self.generation);
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut found = Self::new(Home::read(&mut reader)?);
        if !reader.is_empty() {
            found.generation = reader.u8()?;
        }
        if !reader.is_empty() {
            found.moved = reader.u48()?;
            found.removed = reader.varint()?;
        }
        reader.finish()?;
        Ok(found)
    }

    pub fn is_moving(self) -> bool {
        self.moved != 0
    }

    /// Up to where members have moved.
    pub fn moved(self) -> u64 {
        self.moved
    }

    /// How many members had been removed when the move began.
    pub fn removed(self) -> u64 {
        self.removed
    }

    /// A move begins, of a collection that has lost so many members.
    #[must_use]
    pub fn begin(self, removed: u64) -> Self {
        Self { moved: 0, removed, ..self }
    }

    /// Members below a position have moved: all of them if it is the last one.
    #[must_use]
    pub fn moved_to(self, to: u64) -> Self {
        if to >= POSITIONS {
            return Self { generation: self.generation.wrapping_add(1), ..Self::new(self.home) };
        }
        Self { moved: to, ..self }
    }

    /// The key of a set's or sorted set's member, or of a hash's field.
    pub fn record(self, out: &mut Vec<u8>, seed: HashSeed, member: &[u8]) {
        let at = seed.hash48(member);
        self.seek(out, self.generation_at(at), at);
        if member.len() <= MEMBER_IN_KEY_BYTES_MAX {
            out.push(0);
            out.extend_from_slice(member);
        } else {
            out.push(1);
            out.extend_from_slice(&seed.hash128(member).to_be_bytes());
        }
    }

    /// The key that a member has here whose record in another generation, or collection, has this one.
    pub fn rekeyed(self, record_key: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let (at, _) = decode_member(record_key)?;
        let mut out = Vec::with_capacity(record_key.len());
        self.prefix(&mut out, self.generation_at(at));
        out.extend_from_slice(record_key.get(GENERATION_HEADER..).unwrap_or_default());
        Ok(out)
    }

    /// The ranges of records to be walked through, one after the other, for the members at these positions.
    pub fn ranges(self, positions: Range<u64>) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let split = self.moved.clamp(positions.start, positions.end);
        let parts = [
            (self.generation.wrapping_add(1), positions.start..split),
            (self.generation, split..positions.end),
        ];
        let filled = parts.into_iter().filter(|(_, part)| !part.is_empty());
        filled.map(move |(generation, part)| {
            (self.bound(generation, part.start), self.bound(generation, part.end))
        })
    }

    fn generation_at(self, at: u64) -> u8 {
        self.generation.wrapping_add(u8::from(at < self.moved))
    }

    fn prefix(self, out: &mut Vec<u8>, generation: u8) {
        self.home.under(ELEMENT, out);
        out.push(MEMBERS);
        out.push(generation);
    }

    fn seek(self, out: &mut Vec<u8>, generation: u8, at: u64) {
        self.prefix(out, generation);
        out.put_u48(at);
    }

    /// The first possible record at a position, or behind the last one.
    fn bound(self, generation: u8, at: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(GENERATION_HEADER + 6);
        if at < POSITIONS {
            self.seek(&mut out, generation, at);
            return out;
        }
        self.prefix(&mut out, generation);
        prefix_end(&out).unwrap_or_default()
    }
}

/// The range of the other elements of such a collection: the tree of a sorted set.
pub fn beside_members(home: Home) -> (Vec<u8>, Vec<u8>) {
    let (mut from, mut prefix) = (Vec::new(), Vec::new());
    home.under(ELEMENT, &mut from);
    from.push(MEMBERS + 1);
    home.under(ELEMENT, &mut prefix);
    (from, prefix_end(&prefix).unwrap_or_default())
}

/// A member record's key, taken apart: where it is, and the member unless that stands in the record.
pub fn decode_member(record_key: &[u8]) -> Result<(u64, Option<&[u8]>), DecodeError> {
    let mut reader = Reader::new(record_key.get(HOME_HEADER..).ok_or(DecodeError::Short)?);
    expect_tag(&mut reader, MEMBERS)?;
    let _generation = reader.u8()?;
    let at = reader.u48()?;
    match reader.u8()? {
        0 => Ok((at, Some(reader.rest()))),
        1 => Ok((at, None)),
        other => Err(DecodeError::Tag(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Cid;
    use proptest::prelude::*;

    const SEED: HashSeed = HashSeed(1, 2);

    fn members(generation: u8, moved: u64) -> Members {
        let home = Home { slot: 1, cid: Cid { stamp: 2, seq: 3 } };
        Members { home, generation, moved, removed: moved / 7 }
    }

    proptest! {
        #[test]
        fn where_members_are_decodes(generation: u8, moved in 0..POSITIONS) {
            for members in [members(generation, moved), members(generation, 0)] {
                prop_assert_eq!(Members::decode(&members.encode()), Ok(members));
            }
        }

        #[test]
        fn a_member_is_in_the_range_of_its_position_only(
            generation: u8, moved in 0..POSITIONS, member: Vec<u8>, from in 0..POSITIONS, to in 0..=POSITIONS,
        ) {
            let members = members(generation, moved);
            let mut key = Vec::new();
            members.record(&mut key, SEED, &member);
            let at = SEED.hash48(&member);
            prop_assert_eq!(decode_member(&key), Ok((at, Some(&member[..]))));
            prop_assert_eq!(members.rekeyed(&key), Ok(key.clone()));
            let within = |(from, to): (Vec<u8>, Vec<u8>)| key >= from && key < to;
            let found = members.ranges(from..to.max(from)).filter(|range| within(range.clone())).count();
            prop_assert_eq!(found, usize::from((from..to).contains(&at)));
            let other = members.moved_to(POSITIONS);
            let mut moved = Vec::new();
            other.record(&mut moved, SEED, &member);
            prop_assert_eq!(other.rekeyed(&key), Ok(moved));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = (Members::decode(&bytes), decode_member(&bytes));
        }
    }

    #[test]
    fn generations_follow_one_another_for_ever() {
        let mut at = members(255, 0);
        assert!(at.ranges(0..POSITIONS).count() == 1 && !at.is_moving());
        at = at.begin(9).moved_to(5);
        assert_eq!((at.ranges(0..POSITIONS).count(), at.moved(), at.removed()), (2, 5, 9));
        at = at.moved_to(POSITIONS);
        assert_eq!(at, members(0, 0), "and what has come round is as small as what is new");
        assert_eq!(at.encode(), at.home.encode());
    }
}
