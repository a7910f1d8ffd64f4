//! Hashes.

use crate::collection::members::{self, Found};
use crate::collection::packed::Packed;
use crate::collection::{Body, Handle, Refusal};
use crate::counters::Counters;
use crate::range::Flow;
use crate::record::{Encoding, Kind};
use crate::string::Piece;
use crate::txn::{Stop, Txn};

/// A key's hash.
pub struct Hash<'t, 'g>(Handle<'t, 'g>);

impl<'g> Txn<'g> {
    /// A key's hash, if it has one.
    pub fn hash(&mut self, key: &[u8]) -> Result<Option<Hash<'_, 'g>>, Refusal> {
        Ok(Handle::open(self, key, Kind::Hash, None)?.map(Hash))
    }

    /// A key's hash, which may be empty so far.
    pub fn hash_or_new(&mut self, key: &[u8]) -> Result<Hash<'_, 'g>, Refusal> {
        let opened = Handle::open(self, key, Kind::Hash, Some(Encoding::Packed))?;
        opened.map(Hash).ok_or(Refusal::WrongType)
    }
}

impl Hash<'_, '_> {
    pub fn count(&mut self) -> Result<u64, Stop> {
        self.0.len(|packed| packed.count() / 2)
    }

    /// A field's value.
    pub fn get(&mut self, field: &[u8]) -> Result<Option<Piece>, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let place = find(packed, field);
                Ok(place.and_then(|at| packed.nth(at + 1)).map(|value| packed.piece(&value)))
            }
            &Body::Wide(members) => Ok(self.0.txn.member(members, field)?.1),
        }
    }

    /// Says that these fields are going to be read or written.
    pub fn expect<'m>(&mut self, fields: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        self.0.expect(fields)
    }

    /// Sets a field; says whether it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Stop> {
        self.0.txn.spend(0, field.len() + value.len())?;
        let bounds = self.0.txn.shapes().hash();
        if self.0.home().is_none() && !(bounds.allow_value(field) && bounds.allow_value(value)) {
            self.widen()?;
        }
        let Some(packed) = self.0.packed_mut() else { return self.set_wide(field, value) };
        let is_new = match find(packed, field) {
            Some(at) => {
                if let Some(old) = packed.nth(at + 1) {
                    packed.replace(&old, value);
                }
                false
            }
            None => {
                packed.push(field);
                packed.push(value);
                true
            }
        };
        if !bounds.allow(packed.count() / 2, packed.bytes().len()) {
            self.widen()?;
        }
        Ok(is_new)
    }

    fn set_wide(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Stop> {
        let Some(members) = self.0.members() else { return Ok(false) };
        let (row, before) = self.0.txn.member(members, field)?;
        self.0.txn.set(row, Some(members::encode(field, value)));
        self.0.grow(members.home, Counters::len(i64::from(before.is_none())));
        Ok(before.is_none())
    }

    /// Removes a field; says whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> Result<bool, Stop> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let Some(at) = find(packed, field) else { return Ok(false) };
                let stretch = packed.nth(at).zip(packed.nth(at + 1));
                if let (Some((field, value)), Some(packed)) = (stretch, self.0.packed_mut()) {
                    packed.remove(field.whole.start..value.whole.end, 2);
                }
                Ok(true)
            }
            &Body::Wide(members) => self.0.remove_member(members, field),
        }
    }

    /// Visits fields and values from a position on: all of them if they are packed.
    pub fn walk<E: From<Stop>>(
        &mut self,
        from: u64,
        each: &mut dyn FnMut(&Found<'_>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        match self.0.body() {
            Body::Packed(_, packed) => {
                let mut entries = packed.iter();
                while let (Some(member), Some(payload)) = (entries.next(), entries.next()) {
                    if each(&Found { at: 0, member, payload })? == Flow::Stop {
                        break;
                    }
                }
                Ok(())
            }
            &Body::Wide(members) => self.0.walk_members(members, from, each),
        }
    }

    /// A field by chance, with its value.
    pub fn random(&mut self) -> Result<Option<(Vec<u8>, Piece)>, Stop> {
        let random = self.0.txn.random();
        match self.0.body() {
            Body::Packed(_, packed) => {
                let at = 2 * (random % (packed.count() as u64 / 2).max(1)) as usize;
                let found = packed.nth(at).zip(packed.nth(at + 1));
                Ok(found.map(|(field, value)| (packed.body(&field).to_vec(), packed.piece(&value))))
            }
            &Body::Wide(members) => {
                let Some(field) = self.0.random_member(members)? else { return Ok(None) };
                let value = self.0.txn.member(members, &field)?.1;
                Ok(value.map(|value| (field, value)))
            }
        }
    }

    pub fn random_number(&self) -> u64 {
        self.0.txn.random()
    }

    pub fn is_packed(&self) -> bool {
        self.0.home().is_none()
    }

    fn widen(&mut self) -> Result<(), Stop> {
        let (members, packed) = self.0.widen();
        let mut entries = packed.iter();
        while let (Some(field), Some(value)) = (entries.next(), entries.next()) {
            self.0.txn.put_member(members, field, value)?;
        }
        self.0.begin_with(members.home, packed.count() / 2);
        Ok(())
    }
}

/// Which entry a field is.
fn find(packed: &Packed, field: &[u8]) -> Option<usize> {
    packed.iter().step_by(2).position(|found| found == field).map(|at| 2 * at)
}
