//! What happened to keys while a part of a transaction ran: for those who are told what each command did. It
//! is noted only if somebody wants to know, and what a part has noted that failed is thrown away.

use std::collections::HashMap;

use crate::keys::{self, KeyRecord};
use crate::record::{Kind, Peek, Value};
use crate::scratch::{RowId, Scratch};
use crate::txn::Txn;

/// What is noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noting {
    pub changes: bool,
    /// Keys that were looked up in vain.
    pub misses: bool,
}

/// What is known of a key's value without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyState {
    pub kind: Kind,
    pub expiry_ms: Option<u64>,
}

/// A key, and the database that it is in.
pub type KeyName = (u8, Vec<u8>);

/// What happened to a key, in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    pub database: u8,
    pub key: Vec<u8>,
    pub before: Option<KeyState>,
    pub after: Option<KeyState>,
    /// It held something whose time was over: that counts as nothing.
    pub had_expired: bool,
}

/// What a part of a transaction has noted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In the order in which the keys were changed first.
    pub keys: Vec<KeyChange>,
    /// What changed in what belongs to a key, as whoever changed it calls it.
    pub remarks: Vec<(KeyName, &'static str)>,
    pub misses: Vec<KeyName>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.remarks.is_empty() && self.misses.is_empty()
    }
}

/// A key's record as it was before a part of the transaction changed it.
struct Before {
    row: RowId,
    state: Option<KeyState>,
    /// The change is one that a client can see.
    is_seen: bool,
}

#[derive(Default)]
pub(crate) struct Notes {
    noting: Noting,
    before: Vec<Before>,
    remarks: Vec<(KeyName, &'static str)>,
    misses: Vec<KeyName>,
}

impl Notes {
    fn begin(&mut self, noting: Noting) {
        self.noting = noting;
        self.before.clear();
        self.remarks.clear();
        self.misses.clear();
    }
}

fn state_of(value: Option<&Value>) -> Option<KeyState> {
    let peek = Peek::at(value?)?;
    Some(KeyState { kind: peek.kind, expiry_ms: peek.expiry_ms })
}

impl Scratch {
    /// A row is about to change; whether in a way that a client can see.
    #[inline]
    pub(crate) fn note_change(&mut self, row: RowId, is_seen: bool) {
        if self.notes.noting.changes {
            self.note_key_change(row, is_seen);
        }
    }

    fn note_key_change(&mut self, row: RowId, is_seen: bool) {
        if self.keys.get(self.row(row).key.clone()).and_then(<[u8]>::first) != Some(&keys::KEY) {
            return;
        }
        match self.notes.before.last_mut().filter(|before| before.row == row) {
            Some(before) => before.is_seen |= is_seen,
            None => {
                let state = state_of(self.row(row).value());
                self.notes.before.push(Before { row, state, is_seen });
            }
        }
    }

    /// Nobody wants to know anything any more.
    pub(crate) fn end_notes(&mut self) {
        self.notes.begin(Noting::default());
    }
}

impl Txn<'_> {
    /// A part of the transaction begins, of which so much is to be noted.
    pub fn note(&mut self, noting: Noting) {
        self.scratch.notes.begin(noting);
    }

    /// Something has changed that belongs to a key, of which its own record knows nothing.
    pub(crate) fn remark(&mut self, row: RowId, what: &'static str) {
        if self.scratch.notes.noting.changes
            && let Ok(KeyRecord { key, .. }) = KeyRecord::decode(self.row_key(row))
        {
            let name = (self.database(), key.to_vec());
            self.scratch.notes.remarks.push((name, what));
        }
    }

    /// A key was looked up in vain.
    pub(crate) fn note_miss(&mut self, key: &[u8]) {
        if self.scratch.notes.noting.misses {
            let name = (self.database(), key.to_vec());
            if !self.scratch.notes.misses.contains(&name) {
                self.scratch.notes.misses.push(name);
            }
        }
    }

    /// What was noted since the part began, which ends here.
    pub fn take_changes(&mut self) -> Changes {
        let notes = std::mem::take(&mut self.scratch.notes);
        let (mut first, mut places) = (Vec::<Before>::new(), HashMap::new());
        for before in notes.before {
            let place = *places.entry(before.row).or_insert(first.len());
            match first.get_mut(place) {
                Some(known) => known.is_seen |= before.is_seen,
                None => first.push(before),
            }
        }
        let seen = first.iter().filter(|before| before.is_seen);
        let keys = seen.filter_map(|before| self.change_of(before)).collect();
        Changes { keys, remarks: notes.remarks, misses: notes.misses }
    }

    fn change_of(&self, before: &Before) -> Option<KeyChange> {
        let KeyRecord { space, key, .. } = KeyRecord::decode(self.row_key(before.row)).ok()?;
        let database = self.begin.spaces.iter().position(|mapped| *mapped == space)?;
        let has_expired = |state: &KeyState| state.expiry_ms.is_some_and(|at| at <= self.begin.now_ms);
        let lived = before.state.filter(|state| !has_expired(state));
        Some(KeyChange {
            database: database as u8,
            key: key.to_vec(),
            before: lived,
            after: state_of(self.row(before.row).value()),
            had_expired: before.state.is_some() && lived.is_none(),
        })
    }
}
