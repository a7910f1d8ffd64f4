//! Named records: what belongs to a server and not to a database, and is as durable and as ordered as what
//! keys hold. They lie in areas. Each area has an index, with the names of its records and a version that
//! every change makes another one: whoever keeps a decoded copy of an area asks for the version only.

use base::codec::{DecodeError, Reader, Write};

use super::{Stop, Txn};
use crate::disk::DiskError;
use crate::keys;
use crate::record::Value;

/// What named records are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    Functions,
    Users,
}

impl Area {
    fn tag(self) -> u8 {
        match self {
            Self::Functions => b'f',
            Self::Users => b'u',
        }
    }
}

/// What an area holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Greater with every change; zero if there never was one.
    pub version: u64,
    /// In order.
    pub names: Vec<Vec<u8>>,
}

impl Index {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.version.to_be_bytes().to_vec();
        for name in &self.names {
            out.put_bytes(name);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut index = Self { version: reader.u64()?, names: Vec::new() };
        while !reader.is_empty() {
            index.names.push(reader.bytes()?.to_vec());
        }
        Ok(index)
    }
}

impl Txn<'_> {
    /// The version of an area: the same as long as nothing in it changes.
    pub fn area_version(&mut self, area: Area) -> Result<u64, Stop> {
        let key = keys::named(area.tag(), b"");
        let value = self.raw(&key)?;
        let version = value.as_deref().map(|value| Reader::new(value).u64()).transpose();
        Ok(version.map_err(|why| DiskError::corrupt(&key, why))?.unwrap_or_default())
    }

    /// What an area holds.
    pub fn area(&mut self, area: Area) -> Result<Index, Stop> {
        let key = keys::named(area.tag(), b"");
        let value = self.raw(&key)?;
        let index = value.as_deref().map(Index::decode).transpose();
        Ok(index.map_err(|why| DiskError::corrupt(&key, why))?.unwrap_or_default())
    }

    /// All of an area, in the order of names.
    pub fn area_records(&mut self, area: Area) -> Result<Vec<(Vec<u8>, Value)>, Stop> {
        let names = self.area(area)?.names;
        self.foresee(names.iter().map(|name| keys::named(area.tag(), name)))?;
        let mut records = Vec::with_capacity(names.len());
        for name in names {
            let value = self.named(area, &name)?;
            records.extend(value.map(|value| (name, value)));
        }
        Ok(records)
    }

    pub fn named(&mut self, area: Area, name: &[u8]) -> Result<Option<Value>, Stop> {
        self.raw(&keys::named(area.tag(), name))
    }

    /// Sets a named record, or removes it; says whether it was there.
    pub fn set_named(&mut self, area: Area, name: &[u8], value: Option<Vec<u8>>) -> Result<bool, Stop> {
        debug_assert!(!name.is_empty(), "the index has no name");
        let mut index = self.area(area)?;
        let found = index.names.binary_search_by(|known| known.as_slice().cmp(name));
        match (found, value.is_some()) {
            (Err(at), true) => index.names.insert(at, name.to_vec()),
            (Ok(at), false) => _ = index.names.remove(at),
            (Err(_), false) => return Ok(false),
            (Ok(_), true) => {}
        }
        index.version += 1;
        self.write_blind(&keys::named(area.tag(), b""), Some(Value::from(index.encode())));
        self.write_blind(&keys::named(area.tag(), name), value.map(Value::from));
        Ok(found.is_ok())
    }

    /// Removes all of an area.
    pub fn clear_area(&mut self, area: Area) -> Result<(), Stop> {
        let index = self.area(area)?;
        for name in &index.names {
            self.write_blind(&keys::named(area.tag(), name), None);
        }
        let index = Index { version: index.version + 1, names: Vec::new() };
        self.write_blind(&keys::named(area.tag(), b""), Some(Value::from(index.encode())));
        Ok(())
    }
}
