//! What a transaction does with whole databases: counts, flushes and exchanges them.

use base::limits;

use super::{Stop, Txn};
use crate::keys::{self, Space, Unreachable};
use crate::record::{Peek, Value};
use crate::sequencer::Counts;
use crate::view::View;

impl Txn<'_> {
    /// How many keys a database holds, this transaction's own writes included: exact, of the moment
    /// that the transaction sees.
    pub fn counts(&mut self, database: u8) -> Result<Counts, Stop> {
        let space = self.space(database);
        let (mut counts, seen) = crate::view::counts(self, space)?;
        self.newest_seen = self.newest_seen.max(seen);
        for row in self.scratch.rows.iter().filter(|row| row.is_written()) {
            let key = self.scratch.keys.get(row.key.clone()).unwrap_or_default();
            if keys::KeyRecord::decode(key).is_ok_and(|key| key.space == space) {
                let expires = |value: Option<&Value>| {
                    i64::from(value.and_then(|v| Peek::at(v)).is_some_and(|peek| peek.expiry_ms.is_some()))
                };
                counts.keys += i64::from(row.value().is_some()) - i64::from(row.before().is_some());
                counts.expires += expires(row.value()) - expires(row.before());
            }
        }
        Ok(counts)
    }

    /// Maps a database to a fresh space: everything in it is unreachable at once.
    pub fn flush(&mut self, database: u8) -> Result<(), Stop> {
        // Outside the section, knowing that there is nothing to do would depend on every key.
        if matches!(self.view, View::Section(_)) && self.counts(database)?.keys == 0 {
            return Ok(());
        }
        let old = self.space(database);
        let fresh = self.fresh_space()?;
        self.map(database, fresh);
        self.write_blind(&Unreachable::Space(old).encode(), Some(Value::from(&[][..])));
        Ok(())
    }

    /// Exchanges what two database numbers map to.
    pub fn swap(&mut self, a: u8, b: u8) {
        let (space_a, space_b) = (self.space(a), self.space(b));
        self.map(a, space_b);
        self.map(b, space_a);
    }

    fn map(&mut self, database: u8, space: Space) {
        self.write_blind(&keys::catalog_database(database), Some(Value::from(&space.0.to_be_bytes()[..])));
        if let Some(mapped) = self.begin.spaces.get_mut(usize::from(database)) {
            *mapped = space;
        }
    }

    fn fresh_space(&mut self) -> Result<Space, Stop> {
        let row = self.load(keys::CATALOG_NEXT_SPACE)?;
        let next = self.row(row).value().map(|value| &**value).and_then(|v| <[u8; 4]>::try_from(v).ok());
        let next = next.map_or(limits::DATABASES as u32, u32::from_be_bytes);
        self.set(row, Some(Value::from(&(next + 1).to_be_bytes()[..])));
        Ok(Space(next))
    }
}
