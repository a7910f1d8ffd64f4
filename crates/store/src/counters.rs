//! Counters of wide collections. Writers never rewrite them: an entry says by how much they changed
//! (entries of one batch are merged), the apply thread adds a delta record for each batch that it
//! writes, and folds deltas into the base by and by. What a reader sees is base plus deltas of one
//! snapshot; the row cache holds the sum.

use base::codec::{DecodeError, Reader, Write as _};
use base::limits::DELTAS_READ_MAX;

use crate::disk::{DiskError, DiskSnapshot};
use crate::effects::Change;
use crate::group::Group;
use crate::keys::{self, Home};
use crate::record::Value;
use crate::scratch::{Need, Scratch};
use crate::table::Hashed;
use crate::txn::{Stop, Txn};

/// What is counted of a collection; also by how much it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub len: i64,
    /// The sequence number of a list's first item.
    pub head: i64,
    /// Members removed that a walk passes by: since they last moved (`moving.rs`).
    pub removed: i64,
}

impl Counters {
    pub const ZERO: Self = Self { len: 0, head: 0, removed: 0 };

    pub fn len(len: i64) -> Self {
        Self { len, ..Self::ZERO }
    }

    /// So many members less.
    pub fn less(count: i64) -> Self {
        Self { len: -count, head: 0, removed: count }
    }

    /// The sequence number behind a list's last item.
    pub fn tail(self) -> i64 {
        self.head.wrapping_add(self.len)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            len: self.len.wrapping_add(other.len),
            head: self.head.wrapping_add(other.head),
            removed: self.removed.wrapping_add(other.removed),
        }
    }

    pub fn encode(self) -> Value {
        let mut out = Vec::with_capacity(30);
        out.put_zigzag(self.len);
        out.put_zigzag(self.head);
        out.put_zigzag(self.removed);
        Value::from(&out[..])
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Base::decode(bytes)?.counters)
    }

    fn of(key: &[u8], value: Option<&Value>) -> Result<Self, DiskError> {
        let decoded = value.map(|value| Self::decode(value)).transpose();
        decoded.map(Option::unwrap_or_default).map_err(|why| DiskError::corrupt(key, why))
    }
}

/// A base record: the counters, and up to which stamp deltas have been folded into it. Readers begin
/// behind that: what was folded has left tombstones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) counters: Counters,
    pub(crate) folded: u64,
}

impl Base {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = self.counters.encode().to_vec();
        out.put_varint(self.folded);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let counters = Counters { len: reader.zigzag()?, head: reader.zigzag()?, removed: reader.zigzag()? };
        // One that nothing has been folded into is just the counters.
        let folded = if reader.is_empty() { 0 } else { reader.varint()? };
        reader.finish()?;
        Ok(Self { counters, folded })
    }

    pub(crate) fn read(snapshot: &DiskSnapshot, key: &[u8]) -> Result<Option<Self>, DiskError> {
        let found = snapshot.get(key)?;
        found.map(|base| Self::decode(&base).map_err(|why| DiskError::corrupt(key, why))).transpose()
    }

    /// Where the deltas begin that are not in it.
    pub(crate) fn deltas_from(self, home: Home) -> Vec<u8> {
        let mut from = Vec::new();
        keys::delta_record(&mut from, home, self.folded.saturating_add(1));
        from
    }
}

/// What the store holds of a collection's counters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Known(Option<Counters>),
    /// So many deltas that they are folded first.
    TooMany(Home),
}

/// Base plus deltas, by the key of the base.
pub(crate) fn sum(snapshot: &DiskSnapshot, counters_key: &[u8]) -> Result<Sum, DiskError> {
    sum_up_to(snapshot, counters_key, DELTAS_READ_MAX)
}

fn sum_up_to(snapshot: &DiskSnapshot, counters_key: &[u8], deltas_max: usize) -> Result<Sum, DiskError> {
    let corrupt = |key: &[u8], why| DiskError::corrupt(key, why);
    let Some(home) = keys::home_of(counters_key) else {
        return Err(corrupt(counters_key, DecodeError::Short));
    };
    let base = Base::read(snapshot, counters_key)?;
    let mut found = base.map(|base| base.counters);
    let mut prefix = Vec::new();
    keys::delta_prefix(&mut prefix, home);
    let end = base::codec::prefix_end(&prefix);
    let from = base.unwrap_or_default().deltas_from(home);
    for (count, pair) in snapshot.range(&from, end.as_deref()).enumerate() {
        if count == deltas_max {
            return Ok(Sum::TooMany(home));
        }
        let (key, delta) = pair?;
        let delta = Counters::decode(&delta).map_err(|why| corrupt(&key, why))?;
        found = Some(found.unwrap_or_default().plus(delta));
    }
    Ok(Sum::Known(found))
}

/// A record as a snapshot of the store shows it: of counters, the sum.
pub(crate) fn read(snapshot: &DiskSnapshot, key: &[u8], deltas_max: usize) -> Result<Option<Value>, Stop> {
    if key.first() != Some(&keys::COUNTERS) {
        return Ok(snapshot.get(key)?.map(|value| (&*value).into()));
    }
    match sum_up_to(snapshot, key, deltas_max)? {
        Sum::Known(found) => Ok(found.map(Counters::encode)),
        Sum::TooMany(home) => Err(Stop::Unfolded(home)),
    }
}

impl Txn<'_> {
    /// A collection's counters. The transaction depends on them.
    pub(crate) fn counters(&mut self, home: Home) -> Result<Counters, Stop> {
        self.counters_for(home, Need::Value)
    }

    /// A collection's counters, for one who depends on no more than that something is left.
    pub(crate) fn counters_not_empty(&mut self, home: Home) -> Result<Counters, Stop> {
        self.counters_for(home, Need::NotEmpty)
    }

    fn counters_for(&mut self, home: Home, need: Need) -> Result<Counters, Stop> {
        let mut key = std::mem::take(&mut self.scratch.key);
        keys::counters_record(&mut key, home);
        let found = self.load_for(&key, need).and_then(|row| {
            let row = self.row(row);
            Ok(Counters::of(&key, row.before())?.plus(row.delta()))
        });
        self.scratch.key = key;
        found
    }

    /// Changes a collection's counters, which need not be known for that.
    pub(crate) fn add_counters(&mut self, home: Home, delta: Counters) {
        let mut key = std::mem::take(&mut self.scratch.key);
        keys::counters_record(&mut key, home);
        let row = self.row_blind(&key);
        self.scratch.key = key;
        self.scratch.add(row, delta);
    }
}

/// Whether the counters that a transaction changes are at hand.
pub(crate) enum Settled {
    Yes,
    /// These have to be loaded first.
    Cold(Vec<u8>),
    /// A collection would be empty that was not when the transaction looked.
    Empty,
}

impl Group {
    /// A collection's counters as they are now, for one who does not depend on them; with `load`, even if
    /// they have to be read from the store.
    pub(crate) fn peek_counters(&self, home: Home, load: bool) -> Option<Counters> {
        let mut key = Vec::with_capacity(keys::HOME_HEADER);
        keys::counters_record(&mut key, home);
        let at = self.table.hash(&key);
        let seen = match self.table.newest(at) {
            None if load => self.load(at).ok()?,
            seen => seen?,
        };
        Counters::of(&key, seen.value.as_ref()).ok()
    }

    /// Finds out what the counters that a transaction changes are, in the section. With `load`, it
    /// waits for the store where it must.
    pub(crate) fn settle_counters(&self, scratch: &mut Scratch, load: bool) -> Result<Settled, Stop> {
        for at in 0..scratch.rows.len() {
            let Some(row) = scratch.rows.get(at) else { break };
            let Some(&Change::Add(delta)) = row.change() else { continue };
            let key = scratch.keys.get(row.key.clone()).unwrap_or_default();
            let hashed = Hashed { key, hash: row.hash, place: row.place() };
            let newest = match &row.seen {
                // In the section nothing has changed since the transaction looked.
                Some(seen) if !load => seen.value.clone(),
                _ => match self.table.newest(hashed) {
                    Some(seen) => seen.value,
                    None if row.is_fresh => None,
                    None if load => self.load(hashed)?.value,
                    None => return Ok(Settled::Cold(key.to_vec())),
                },
            };
            let total = Counters::of(key, newest.as_ref())?.plus(delta);
            if row.need == Need::NotEmpty && total.len <= 0 {
                return Ok(Settled::Empty);
            }
            if let Some(row) = scratch.rows.get_mut(at) {
                row.total = Some(total.encode());
            }
        }
        Ok(Settled::Yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counters_decode(len: i64, head: i64, removed: i64) {
            let counters = Counters { len, head, removed };
            prop_assert_eq!(Counters::decode(&counters.encode()), Ok(counters));
            let base = Base { counters, folded: len as u64 };
            prop_assert_eq!(Base::decode(&base.encode()), Ok(base));
            prop_assert_eq!(Counters::decode(&base.encode()), Ok(counters));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = Counters::decode(&bytes);
        }
    }
}
