//! What wide hashes, sets and sorted sets share: a record for each member (field), found by the
//! member, ordered by its hash. So a position among them is a number, and a walk can begin anywhere.

use std::ops::Range;

use base::codec::{DecodeError, Reader, Write as _};

use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::{self, Members, POSITIONS};
use crate::range::{Flow, visit};
use crate::record::{RowKey, Value};
use crate::scratch::{Hints, RowId};
use crate::string::Piece;
use crate::txn::{Stop, Txn};
use crate::view::View;

/// Candidates that are looked up at a time for whoever takes random members in the section.
const HINTS: usize = 64;

/// A member, as a walk finds it.
pub struct Found<'a> {
    /// Its position: that of others may be the same.
    pub at: u64,
    pub member: &'a [u8],
    /// A field's value, a score; nothing of a set.
    pub payload: &'a [u8],
}

/// What a member's record holds: the member itself in front where it is too long for the key.
pub(super) fn encode(member: &[u8], payload: &[u8]) -> Value {
    if member.len() <= keys::MEMBER_IN_KEY_BYTES_MAX {
        return Value::from(payload);
    }
    let mut out = Vec::with_capacity(member.len() + payload.len() + 4);
    out.put_bytes(member);
    out.extend_from_slice(payload);
    Value::from(out)
}

/// Where the payload lies in a member's record.
pub(super) fn payload_range(member: &[u8], value: &[u8]) -> Result<Range<usize>, DecodeError> {
    if member.len() <= keys::MEMBER_IN_KEY_BYTES_MAX {
        return Ok(0..value.len());
    }
    let mut reader = Reader::new(value);
    if reader.bytes()? != member {
        // Two members with the same hash of 128 bits: nobody finds them, so something else is wrong.
        return Err(DecodeError::Overflow);
    }
    Ok(value.len() - reader.len()..value.len())
}

fn decode<'a>(key: &'a [u8], value: &'a [u8]) -> Result<Found<'a>, DecodeError> {
    let (at, member) = keys::decode_member(key)?;
    let (member, payload) = match member {
        Some(member) => (member, value),
        None => {
            let mut reader = Reader::new(value);
            (reader.bytes()?, reader.rest())
        }
    };
    Ok(Found { at, member, payload })
}

/// Like [`decode`]; bytes that cannot be understood stop the transaction.
pub(super) fn decode_checked<'a>(key: &'a [u8], value: &'a [u8]) -> Result<Found<'a>, Stop> {
    decode(key, value).map_err(|why| Stop::Disk(DiskError::corrupt(key, why)))
}

impl Txn<'_> {
    /// A member's row, and its payload if it is there.
    pub(super) fn member(&mut self, members: Members, member: &[u8]) -> Result<(RowId, Option<Piece>), Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        members.record(&mut key, self.begin.seed, member);
        let row = self.load(&key);
        self.scratch.key = key;
        let row = row?;
        let Some(value) = self.row(row).value().cloned() else { return Ok((row, None)) };
        let range = payload_range(member, &value)
            .map_err(|why| Stop::Disk(DiskError::corrupt(self.row_key(row), why)))?;
        Ok((row, Some(Piece { value, range })))
    }

    /// Writes a member of a collection that is new: nobody else has one.
    pub(super) fn put_member(&mut self, members: Members, member: &[u8], payload: &[u8]) -> Result<(), Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        members.record(&mut key, self.begin.seed, member);
        self.write_blind(&key, Some(encode(member, payload)));
        self.scratch.key = key;
        self.spend(1, member.len() + payload.len())
    }

    /// Removes the record of a member that is known to be there.
    pub(super) fn clear_member(&mut self, members: Members, member: &[u8]) {
        let mut key = std::mem::take(&mut self.scratch.key);
        members.record(&mut key, self.begin.seed, member);
        self.write_blind(&key, None);
        self.scratch.key = key;
    }

    /// Loads the records of members at once that are going to be looked up in the section: one after the
    /// other, each would be missed for itself.
    pub(super) fn expect_members<'m>(
        &mut self,
        places: Members,
        mut members: impl Iterator<Item = &'m [u8]>,
    ) -> Result<(), Stop> {
        let (first, second) = (members.next(), members.next());
        // A single one is not worth it.
        if second.is_none() || !matches!(self.view, View::Section(_)) {
            return Ok(());
        }
        let mut key = Vec::new();
        for member in first.into_iter().chain(second).chain(members) {
            places.record(&mut key, self.begin.seed, member);
            self.expect(&key);
        }
        self.stop_if_cold()
    }

    /// Visits members from a position on.
    pub(super) fn walk_members<E: From<Stop>>(
        &mut self,
        members: Members,
        from: u64,
        each: &mut dyn FnMut(&Found<'_>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        for (start, end) in members.ranges(from..POSITIONS.max(from)) {
            let mut flow = Flow::More;
            visit(self, &start, Some(&end), &mut |key, value, _| -> Result<Flow, E> {
                flow = each(&decode_checked(key, value)?)?;
                Ok(flow)
            })?;
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    /// A member by chance. `None` if there is none.
    pub(super) fn random_member(&mut self, members: Members) -> Result<Option<Vec<u8>>, Stop> {
        if matches!(self.view, View::Section(_)) {
            return self.hinted_member(members);
        }
        let start = self.random() % POSITIONS;
        let mut found = None;
        for from in [start, 0] {
            self.walk_members::<Stop>(members, from, &mut |member| {
                found = Some(member.member.to_vec());
                Ok(Flow::Stop)
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// In the section nobody looks for members: candidates are looked up outside, and it is checked here
    /// whether they are there.
    fn hinted_member(&mut self, members: Members) -> Result<Option<Vec<u8>>, Stop> {
        while let Some(key) = self.scratch.hints.take(members.home) {
            let row = match self.load(&key) {
                Err(Stop::Cold) => {
                    // It is loaded, and looked at once more.
                    self.scratch.hints.give_back(key);
                    return Err(Stop::Cold);
                }
                row => row?,
            };
            if let Some(value) = self.row(row).value().cloned() {
                return Ok(Some(decode_checked(&key, &value)?.member.to_vec()));
            }
        }
        self.scratch.hints.wanted = Some(members);
        Err(Stop::Cold)
    }
}

impl Group {
    /// Looks up candidates for whoever takes members by chance, from a random position on.
    pub(crate) fn find_hints(&self, members: Members, hints: &mut Hints) -> Result<(), Stop> {
        let start = self.random() % POSITIONS;
        let mut found: Vec<RowKey> = Vec::new();
        // Where they have moved on meanwhile, none of these is found, and they are looked up once more.
        for (from, to) in members.ranges(start..POSITIONS).chain(members.ranges(0..start)) {
            let mut next = Some(from);
            while let Some(from) = next.take().filter(|_| found.len() < HINTS) {
                let window = self.peek_window(&from, &to, HINTS)?;
                found.extend(window.keys.iter().map(|key| RowKey::from(key.as_slice())));
                next = window.next;
            }
        }
        found.truncate(HINTS);
        // They are wanted in any order but that of their positions.
        for at in (1..found.len()).rev() {
            found.swap(at, (self.random() % (at as u64 + 1)) as usize);
        }
        for key in found.iter().take(1) {
            self.load(self.table.hash(key))?;
        }
        hints.fill(members.home, found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn members_of_any_length_are_found_in_their_record(member: Vec<u8>, payload: Vec<u8>, long: bool) {
            let mut member = member;
            if long {
                member.resize(keys::MEMBER_IN_KEY_BYTES_MAX + 1, 7);
            }
            let home = keys::Home { slot: 1, cid: keys::Cid { stamp: 2, seq: 3 } };
            let mut key = Vec::new();
            Members::new(home).record(&mut key, keys::HashSeed(1, 2), &member);
            let value = encode(&member, &payload);
            let found = decode(&key, &value).unwrap();
            prop_assert_eq!(found.member, &member[..]);
            prop_assert_eq!(found.payload, &payload[..]);
            prop_assert_eq!(&value[payload_range(&member, &value).unwrap()], &payload[..]);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(key: Vec<u8>, value: Vec<u8>) {
            let _ = decode(&key, &value);
            let _ = payload_range(&key, &value);
        }
    }
}
