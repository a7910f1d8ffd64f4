//! Lists, hashes, sets, sorted sets and streams: one handle each, with what commands do to them. Small ones are
//! *packed* into the key's record, larger ones are *wide*: an element a record under a collection id.
//!
//! A handle writes its key's record back when it is dropped; one that has been emptied removes it.

mod build;
mod cursor;
mod hash;
mod list;
mod members;
mod packed;
mod set;
mod shapes;
pub(crate) mod stream;
mod zset;

pub use build::{HashBuilder, ListBuilder, SetBuilder};
pub use cursor::{Cursor, Placed};
pub use hash::Hash;
pub use list::{End, List};
pub use members::Found as Member;
pub use set::Set;
pub use shapes::Shapes;
pub use stream::{Consumer, ConsumerGroup, Cut, Entry, Head, Pending, Stream, StreamBuilder, StreamId};
pub use zset::{SortedSet, score_of};

use thiserror::Error;

use crate::counters::Counters;
use crate::disk::DiskError;
use crate::keys::{Home, Members};
use crate::range::Flow;
use crate::record::{Encoding, Kind, Record};
use crate::scratch::RowId;
use crate::txn::{Stop, Txn};
use crate::view::View;
use packed::Packed;

/// Why a collection cannot be opened.
#[derive(Debug, Error)]
pub enum Refusal {
    #[error("the key holds another kind of value")]
    WrongType,
    #[error(transparent)]
    Stop(#[from] Stop),
}

/// A key's collection, opened.
pub(crate) struct Handle<'t, 'g> {
    pub(crate) txn: &'t mut Txn<'g>,
    row: RowId,
    kind: Kind,
    slot: u16,
    expiry_ms: Option<u64>,
    body: Body,
    /// Something in it has been changed.
    changed: bool,
    /// Nothing is left in it.
    emptied: bool,
}

pub(crate) enum Body {
    Packed(Encoding, Packed),
    Wide(Members),
}

impl<'t, 'g> Handle<'t, 'g> {
    /// Opens the collection of a key; one that is not there is an empty packed one if `create` says
    /// how.
    pub(crate) fn open(
        txn: &'t mut Txn<'g>,
        key: &[u8],
        kind: Kind,
        create: Option<Encoding>,
    ) -> Result<Option<Self>, Refusal> {
        let (row, record) = txn.get_row(key)?;
        let slot = base::slot::of(key);
        let Some(record) = record else {
            return Ok(create.map(|encoding| {
                let body = Body::Packed(encoding, Packed::new());
                Self { txn, row, kind, slot, expiry_ms: None, body, changed: false, emptied: false }
            }));
        };
        if record.kind != kind {
            return Err(Refusal::WrongType);
        }
        let body = Body::of(&record)?;
        let expiry_ms = record.expiry_ms;
        let opened = Self { txn, row, kind, slot, expiry_ms, body, changed: false, emptied: false };
        if opened.members().is_some_and(Members::is_moving) {
            // Somebody has begun, and may be gone with the last epoch.
            opened.ask_to_move();
        }
        Ok(Some(opened))
    }

    pub(crate) fn home(&self) -> Option<Home> {
        self.members().map(|members| members.home)
    }

    pub(crate) fn members(&self) -> Option<Members> {
        match &self.body {
            Body::Wide(members) => Some(*members),
            Body::Packed(..) => None,
        }
    }

    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    /// To be changed.
    pub(crate) fn packed_mut(&mut self) -> Option<&mut Packed> {
        match &mut self.body {
            Body::Packed(_, packed) => {
                self.changed = true;
                Some(packed)
            }
            Body::Wide(_) => None,
        }
    }

    /// Keeps the collection packed, in another way.
    pub(crate) fn repack(&mut self, encoding: Encoding, packed: Packed) {
        self.changed = true;
        self.body = Body::Packed(encoding, packed);
    }

    /// Makes it wide: the caller writes its elements. It is no other for that, only kept in another way.
    pub(crate) fn widen(&mut self) -> (Members, Packed) {
        let members = Members::new(self.txn.fresh_collection(self.slot));
        let record = Record::encode(self.kind, Encoding::Wide, self.expiry_ms, &members.encode());
        self.txn.set_quietly(self.row, record);
        match std::mem::replace(&mut self.body, Body::Wide(members)) {
            Body::Packed(_, packed) => (members, packed),
            Body::Wide(_) => (members, Packed::new()),
        }
    }

    /// Notes that a wide collection has grown by so many elements.
    pub(crate) fn grow(&mut self, home: Home, delta: Counters) {
        self.txn.add_counters(home, delta);
        self.changed = true;
        self.emptied = false;
    }

    /// Notes how many elements a wide collection has that was packed.
    pub(crate) fn begin_with(&mut self, home: Home, count: usize) {
        self.txn.add_counters(home, Counters::len(count as i64));
        self.emptied = false;
    }

    /// Notes that a wide collection has lost elements, and how many it had before.
    pub(crate) fn shrink(&mut self, home: Home, before: Counters, delta: Counters) -> Result<(), Stop> {
        self.txn.add_counters(home, delta);
        self.changed = true;
        let after = before.plus(delta);
        self.emptied = after.len == 0;
        if self.txn.group.moves.is_due(after) {
            self.ask_to_move();
        }
        if self.emptied {
            // From now on the outcome depends on nobody else having added something.
            self.txn.counters(home)?;
        }
        Ok(())
    }

    /// How many elements: packed ones are counted by `packed`.
    fn len(&mut self, packed: impl FnOnce(&Packed) -> usize) -> Result<u64, Stop> {
        match &self.body {
            Body::Packed(_, found) => Ok(packed(found) as u64),
            Body::Wide(members) => {
                let home = members.home;
                Ok(u64::try_from(self.txn.counters(home)?.len).unwrap_or(0))
            }
        }
    }

    fn expect<'m>(&mut self, members: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        match self.members() {
            Some(places) => self.txn.expect_members(places, members),
            None => Ok(()),
        }
    }

    /// Has the members moved: those that were removed are in the way of whoever walks.
    fn ask_to_move(&self) {
        self.txn.group.moves.ask(self.txn.row_key(self.row));
    }

    /// Whoever walks is the one who cares for what is in the way. What is known of it is enough: the
    /// transaction does not depend on it.
    fn about_to_walk(&self, members: Members) {
        let is_inside = matches!(self.txn.view, View::Section(_));
        let counters = self.txn.group.peek_counters(members.home, !is_inside);
        if counters.is_some_and(|counters| self.txn.group.moves.is_due(counters)) {
            self.ask_to_move();
        }
    }

    /// Visits the members of a wide collection from a position on.
    fn walk_members<E: From<Stop>>(
        &mut self,
        members: Members,
        from: u64,
        each: &mut dyn FnMut(&Member<'_>) -> Result<Flow, E>,
    ) -> Result<(), E> {
        self.about_to_walk(members);
        self.txn.walk_members(members, from, each)
    }

    /// A member of a wide collection by chance. `None` if there is none.
    fn random_member(&mut self, members: Members) -> Result<Option<Vec<u8>>, Stop> {
        self.about_to_walk(members);
        self.txn.random_member(members)
    }

    /// The beginning of a walk in turns.
    fn wide_cursor(&self) -> Option<Cursor> {
        let members = self.members()?;
        self.about_to_walk(members);
        Some(Cursor::wide(members))
    }

    /// Removes a member of a wide collection; says whether it was there.
    fn remove_member(&mut self, members: Members, member: &[u8]) -> Result<bool, Stop> {
        let (row, before) = self.txn.member(members, member)?;
        if before.is_none() {
            return Ok(false);
        }
        let counters = self.txn.counters_not_empty(members.home)?;
        self.txn.set(row, None);
        self.shrink(members.home, counters, Counters::less(1))?;
        Ok(true)
    }
}

impl Body {
    fn of(record: &Record) -> Result<Self, Stop> {
        let malformed = |why| Stop::Disk(DiskError::corrupt(record.value(), why));
        Ok(match record.members().map_err(malformed)? {
            Some(members) => Self::Wide(members),
            None => Self::Packed(record.encoding, Packed::decode(record).map_err(malformed)?),
        })
    }
}

impl Drop for Handle<'_, '_> {
    fn drop(&mut self) {
        if !self.changed {
            return;
        }
        self.txn.mark(self.row);
        match &self.body {
            Body::Packed(_, packed) if packed.count() == 0 => self.txn.set(self.row, None),
            Body::Packed(encoding, packed) => {
                let record = Record::encode(self.kind, *encoding, self.expiry_ms, &packed.encode());
                self.txn.set(self.row, Some(record));
            }
            Body::Wide(_) if self.emptied => self.txn.set(self.row, None),
            Body::Wide(_) => {}
        }
    }
}
