//! The only encoding of record keys. A record's key starts with a tag byte; what follows is
//! ordered so that everything that is read together lies together.
//!
//! | tag | key | record |
//! | --- | --- | --- |
//! | `K` | slot(2) space(4) hash(6) key | a key's record |
//! | `C` | slot(2) cid(12) | base counters of a wide collection |
//! | `D` | slot(2) cid(12) stamp(8) | what is to be added to them |
//! | `E` | slot(2) cid(12) element | an element of a wide collection |
//! | `T` | expiry_ms(8) slot(2) space(4) hash(6) key | expiry index |
//! | `X` | kind(1) id | what became unreachable, for the reclaimer |
//! | `B` | slot(2) cid(12) | a collection that is being built aside: no key names it yet |
//! | `S` | name | the group's replicated catalog: spaces, hash seed |
//! | `N` | area(1) name | a named record: what belongs to a server and not to a database |
//! | `M` | name | this replica's own state; never in a log entry |

mod members;
mod streams;

use base::codec::{DecodeError, Reader, Write};
use base::slot;
use siphasher::sip::SipHasher13;

use crate::collection::stream::StreamId;

pub use members::{MEMBER_IN_KEY_BYTES_MAX, Members, POSITIONS, beside_members, decode_member};
pub use streams::{Entries, GroupHome, group_record, groups, id_at_end, name_of};

pub const KEY: u8 = b'K';
pub const COUNTERS: u8 = b'C';
pub const DELTA: u8 = b'D';
pub const ELEMENT: u8 = b'E';
pub const EXPIRY: u8 = b'T';
pub const UNREACHABLE: u8 = b'X';
pub const BUILDING: u8 = b'B';
pub const CATALOG: u8 = b'S';
pub const NAMED: u8 = b'N';
pub const META: u8 = b'M';

/// Bytes of a `K` record's key before the user's key.
pub const KEY_HEADER: usize = 1 + 2 + 4 + 6;

/// The engine's keys have 16-bit lengths; the longest one here is in the expiry index.
const _: () = assert!(8 + KEY_HEADER + base::limits::KEY_BYTES_MAX <= u16::MAX as usize);

/// The space a database number maps to. A flush maps the number to a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub u32);

/// Seeds the 48-bit hash that orders keys within a slot: random for each group, so that nobody can
/// choose keys that collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct HashSeed(pub u64, pub u64);

impl HashSeed {
    pub fn hash48(self, key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(key) >> 16
    }

    /// So wide that nobody who does not know the seed finds two that are the same.
    pub fn hash128(self, key: &[u8]) -> u128 {
        siphasher::sip128::SipHasher13::new_with_keys(self.0, self.1).hash(key).as_u128()
    }
}

/// A position in a database's key order; what a SCAN cursor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPosition {
    pub slot: u16,
    pub hash: u64,
}

impl KeyPosition {
    pub const START: Self = Self { slot: 0, hash: 0 };

    /// The cursor that starts here. Only the start itself is 0.
    pub fn cursor(self) -> u64 {
        (u64::from(self.slot) << 48) | self.hash
    }

    /// The position a cursor names; `None` above the last one.
    pub fn from_cursor(cursor: u64) -> Option<Self> {
        let slot = u16::try_from(cursor >> 48).ok().filter(|slot| *slot < slot::SLOTS)?;
        Some(Self { slot, hash: cursor & ((1 << 48) - 1) })
    }

    /// The next position: the next hash, or the next slot's first one. `None` after the last.
    pub fn next(self) -> Option<Self> {
        Self::from_cursor(self.cursor() + 1)
    }
}

/// Writes the key of a `K` record into `out`, which is cleared first.
pub fn key_record(out: &mut Vec<u8>, seed: HashSeed, space: Space, key: &[u8]) {
    out.clear();
    out.reserve(KEY_HEADER + key.len());
    out.push(KEY);
    out.put_u16(slot::of(key));
    out.put_u32(space.0);
    out.put_u48(seed.hash48(key));
    out.extend_from_slice(key);
}

/// The first possible `K` record of a space at or after a position.
pub fn key_seek(space: Space, at: KeyPosition) -> Vec<u8> {
    let mut out = Vec::with_capacity(KEY_HEADER);
    out.push(KEY);
    out.put_u16(at.slot);
    out.put_u32(space.0);
    out.put_u48(at.hash);
    out
}

/// A `K` record's key, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord<'a> {
    pub at: KeyPosition,
    pub space: Space,
    pub key: &'a [u8],
}

impl<'a> KeyRecord<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        expect_tag(&mut reader, KEY)?;
        Self::decode_body(reader)
    }

    fn decode_body(mut reader: Reader<'a>) -> Result<Self, DecodeError> {
        let slot = reader.u16()?;
        let space = Space(reader.u32()?);
        let hash = reader.u48()?;
        Ok(Self { at: KeyPosition { slot, hash }, space, key: reader.rest() })
    }
}

/// Turns a `K` record's key into its expiry index key.
pub fn expiry_record(out: &mut Vec<u8>, expiry_ms: u64, key_record: &[u8]) {
    debug_assert_eq!(key_record.first(), Some(&KEY));
    out.clear();
    out.push(EXPIRY);
    out.put_u64(expiry_ms);
    out.extend_from_slice(&key_record[1..]);
}

/// The first possible expiry index key at a time.
pub fn expiry_seek(expiry_ms: u64) -> [u8; 9] {
    let mut out = [EXPIRY; 9];
    out[1..].copy_from_slice(&expiry_ms.to_be_bytes());
    out
}

/// An expiry index key, taken apart: when, and whose.
pub fn decode_expiry(bytes: &[u8]) -> Result<(u64, KeyRecord<'_>), DecodeError> {
    let mut reader = Reader::new(bytes);
    expect_tag(&mut reader, EXPIRY)?;
    let expiry_ms = reader.u64()?;
    Ok((expiry_ms, KeyRecord::decode_body(reader)?))
}

/// What the reclaimer finds behind an `X` record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    Space(Space),
    Collection(Home),
    /// Items of a list that were cut off, as far as they are outside of it: sequence numbers.
    Items {
        home: Home,
        from: i64,
        to: i64,
    },
    /// Entries of a stream in front of its first one.
    Entries {
        entries: Entries,
        below: StreamId,
    },
    /// What belonged to a group of a stream.
    Group(GroupHome),
}

impl Unreachable {
    pub fn encode(self) -> Vec<u8> {
        let mut out = vec![UNREACHABLE];
        match self {
            Self::Space(space) => {
                out.push(0);
                out.put_u32(space.0);
            }
            Self::Collection(home) => {
                out.push(1);
                home.write(&mut out);
            }
            Self::Items { home, from, to } => {
                out.push(2);
                home.write(&mut out);
                out.put_i64(from);
                out.put_i64(to);
            }
            Self::Entries { entries, below } => {
                out.push(3);
                entries.write(&mut out);
                below.write(&mut out);
            }
            Self::Group(group) => {
                out.push(4);
                group.write(&mut out);
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        expect_tag(&mut reader, UNREACHABLE)?;
        let found = match reader.u8()? {
            0 => Self::Space(Space(reader.u32()?)),
            1 => Self::Collection(Home::read(&mut reader)?),
            2 => Self::Items { home: Home::read(&mut reader)?, from: reader.i64()?, to: reader.i64()? },
            3 => Self::Entries { entries: Entries::read(&mut reader)?, below: StreamId::read(&mut reader)? },
            4 => Self::Group(GroupHome::read(&mut reader)?),
            other => return Err(DecodeError::Tag(other)),
        };
        reader.finish()?;
        Ok(found)
    }
}

/// A collection id: the stamp of its creation and a number within that transaction. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid {
    pub stamp: u64,
    pub seq: u32,
}

impl Cid {
    pub fn write(self, out: &mut Vec<u8>) {
        out.put_u64(self.stamp);
        out.put_u32(self.seq);
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { stamp: reader.u64()?, seq: reader.u32()? })
    }
}

/// Where a collection's records are: the slot is that of the key it was made for; a rename leaves them
/// where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home {
    pub slot: u16,
    pub cid: Cid,
}

impl Home {
    pub fn write(self, out: &mut Vec<u8>) {
        out.put_u16(self.slot);
        self.cid.write(out);
    }

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { slot: reader.u16()?, cid: Cid::read(reader)? })
    }

    pub fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HOME_HEADER);
        self.write(&mut out);
        out
    }

    fn under(self, tag: u8, out: &mut Vec<u8>) {
        out.clear();
        out.push(tag);
        self.write(out);
    }
}

/// Bytes of a record's key up to the end of the collection id.
pub const HOME_HEADER: usize = 1 + 2 + 12;

/// The collection that a record belongs to, by its key.
pub fn home_of(record_key: &[u8]) -> Option<Home> {
    Home::read(&mut Reader::new(record_key.get(1..)?)).ok()
}

/// The prefix of all elements of a collection.
pub fn element_prefix(out: &mut Vec<u8>, home: Home) {
    home.under(ELEMENT, out);
}

/// The key of a chunk of a string.
pub fn chunk_record(out: &mut Vec<u8>, home: Home, index: u32) {
    home.under(ELEMENT, out);
    out.put_u32(index);
}

/// The key of an item of a list. Sequence numbers are ordered as they count, below zero as well.
pub fn item_record(out: &mut Vec<u8>, home: Home, sequence: i64) {
    home.under(ELEMENT, out);
    out.put_u64(sequence as u64 ^ 1 << 63);
}

/// The sequence number of an item, by its key.
pub fn item_sequence(record_key: &[u8]) -> Option<i64> {
    let bytes = record_key.get(HOME_HEADER..)?.try_into().ok()?;
    Some((u64::from_be_bytes(bytes) ^ 1 << 63) as i64)
}

/// The key of a collection's base counters.
pub fn counters_record(out: &mut Vec<u8>, home: Home) {
    home.under(COUNTERS, out);
}

/// The key of a delta: what the entries up to `stamp` add, since the delta before it.
pub fn delta_record(out: &mut Vec<u8>, home: Home, stamp: u64) {
    home.under(DELTA, out);
    out.put_u64(stamp);
}

/// Whose delta it is, and its stamp.
pub fn decode_delta(record_key: &[u8]) -> Result<(Home, u64), DecodeError> {
    let mut reader = Reader::new(record_key);
    expect_tag(&mut reader, DELTA)?;
    let found = (Home::read(&mut reader)?, reader.u64()?);
    reader.finish()?;
    Ok(found)
}

/// The prefix of a collection's deltas.
pub fn delta_prefix(out: &mut Vec<u8>, home: Home) {
    home.under(DELTA, out);
}

/// The record that says that a collection is being built aside.
pub fn building(home: Home) -> Vec<u8> {
    let mut out = Vec::new();
    home.under(BUILDING, &mut out);
    out
}

/// Which collection a record says is being built.
pub fn decode_building(bytes: &[u8]) -> Result<Home, DecodeError> {
    let mut reader = Reader::new(bytes);
    expect_tag(&mut reader, BUILDING)?;
    let found = Home::read(&mut reader)?;
    reader.finish()?;
    Ok(found)
}

/// A named record of an area; the area's index has no name.
pub fn named(area: u8, name: &[u8]) -> Vec<u8> {
    [&[NAMED, area], name].concat()
}

/// The catalog record that maps a database number to its space.
pub fn catalog_database(database: u8) -> [u8; 3] {
    [CATALOG, b'd', database]
}

/// Which database a catalog record maps.
pub fn database_of(record_key: &[u8]) -> Option<u8> {
    match record_key {
        [CATALOG, b'd', database] => Some(*database),
        _ => None,
    }
}

/// The catalog record with the next space id to give out.
pub const CATALOG_NEXT_SPACE: &[u8] = b"Sn";
/// The catalog record with the group's hash seed.
pub const CATALOG_SEED: &[u8] = b"Sh";
/// All catalog records.
pub const CATALOG_PREFIX: &[u8] = b"S";

pub const META_FORMAT: &[u8] = b"Mformat";
pub const META_APPLIED: &[u8] = b"Mapplied";
pub const META_MEMBERSHIP: &[u8] = b"Mmembership";
/// Followed by the space id: how many keys, and how many with an expiry.
pub const META_COUNT_PREFIX: &[u8] = b"Mcount";

pub fn meta_count(space: Space) -> Vec<u8> {
    let mut out = META_COUNT_PREFIX.to_vec();
    out.put_u32(space.0);
    out
}

fn expect_tag(reader: &mut Reader<'_>, tag: u8) -> Result<(), DecodeError> {
    match reader.u8()? {
        found if found == tag => Ok(()),
        found => Err(DecodeError::Tag(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEED: HashSeed = HashSeed(1, 2);

    #[test]
    fn cursors_start_at_zero_and_never_come_back_to_it() {
        assert_eq!(KeyPosition::START.cursor(), 0);
        let last = KeyPosition { slot: slot::SLOTS - 1, hash: (1 << 48) - 1 };
        assert_eq!(last.next(), None);
        let end_of_slot = KeyPosition { slot: 7, hash: (1 << 48) - 1 };
        assert_eq!(end_of_slot.next(), Some(KeyPosition { slot: 8, hash: 0 }));
        assert_eq!(KeyPosition::from_cursor(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn key_records_decode(space: u32, key: Vec<u8>, expiry: u64) {
            let mut record = Vec::new();
            key_record(&mut record, SEED, Space(space), &key);
            let decoded = KeyRecord::decode(&record).unwrap();
            prop_assert_eq!(decoded.space, Space(space));
            prop_assert_eq!(decoded.key, &key[..]);
            prop_assert_eq!(decoded.at.slot, slot::of(&key));
            let mut index = Vec::new();
            expiry_record(&mut index, expiry, &record);
            prop_assert_eq!(decode_expiry(&index).unwrap(), (expiry, decoded));
            prop_assert!(key_seek(Space(space), decoded.at) <= record);
        }

        #[test]
        fn cursors_name_their_position(slot in 0..slot::SLOTS, hash in 0u64..1 << 48) {
            let at = KeyPosition { slot, hash };
            prop_assert_eq!(KeyPosition::from_cursor(at.cursor()), Some(at));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = KeyRecord::decode(&bytes);
            let _ = decode_expiry(&bytes);
            let _ = Unreachable::decode(&bytes);
            let _ = decode_building(&bytes);
            let _ = (decode_delta(&bytes), home_of(&bytes), item_sequence(&bytes));
        }

        #[test]
        fn unreachables_decode(slot: u16, stamp: u64, seq: u32) {
            let home = Home { slot, cid: Cid { stamp, seq } };
            for what in [
                Unreachable::Space(Space(seq)),
                Unreachable::Collection(home),
                Unreachable::Items { home, from: -3, to: stamp as i64 },
                Unreachable::Entries {
                    entries: Entries { home, generation: 7 },
                    below: StreamId::new(stamp, 1),
                },
                Unreachable::Group(GroupHome { home, number: stamp }),
            ] {
                prop_assert_eq!(Unreachable::decode(&what.encode()), Ok(what));
            }
            prop_assert_eq!(decode_building(&building(home)), Ok(home));
        }

        #[test]
        fn elements_decode_and_are_in_order(slot: u16, stamp: u64, a: i64, b: i64) {
            let home = Home { slot, cid: Cid { stamp, seq: 1 } };
            let (mut key, mut other) = (Vec::new(), Vec::new());
            item_record(&mut key, home, a);
            item_record(&mut other, home, b);
            prop_assert_eq!(a.cmp(&b), key.cmp(&other));
            prop_assert_eq!(item_sequence(&key), Some(a));
            prop_assert_eq!(home_of(&key), Some(home));
        }
    }
}
