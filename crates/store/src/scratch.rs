//! What a transaction has touched: its rows, found by key, and the buffers they live in.

use std::ops::Range;

use hashbrown::HashTable;

use crate::effects::CountDelta;
use crate::keys::{self, Cid};
use crate::record::Value;
use crate::sequencer::{Section, Write};
use crate::table::{Place, Seen};

/// A record that the transaction has read or written.
pub(crate) struct Touched {
    pub(crate) key: Range<usize>,
    pub(crate) hash: u64,
    /// What the view showed; `None` for a blind write.
    pub(crate) seen: Option<Seen>,
    /// What the transaction has written, if it has.
    written: Option<Option<Value>>,
}

impl Touched {
    /// What the view showed.
    pub(crate) fn before(&self) -> Option<&Value> {
        self.seen.as_ref()?.value.as_ref()
    }

    /// What the transaction sees: its own write before the view.
    pub(crate) fn value(&self) -> Option<&Value> {
        self.written.as_ref().map_or_else(|| self.before(), Option::as_ref)
    }

    pub(crate) fn is_written(&self) -> bool {
        self.written.is_some()
    }
}

/// The buffers of a transaction, kept from one to the next so that a small one allocates nothing.
#[derive(Default)]
pub struct Scratch {
    pub(crate) rows: Vec<Touched>,
    pub(crate) keys: Vec<u8>,
    index: HashTable<u32>,
    pub(crate) key: Vec<u8>,
    pub(crate) counts: Vec<CountDelta>,
    pub(crate) earliest_expiry_ms: Option<u64>,
    /// The record that an inline transaction missed.
    pub(crate) cold: Vec<u8>,
    /// Keys that the transaction looked up: how many it found, and how many not.
    pub(crate) lookups: (u32, u32),
    /// The collections that the transaction made.
    pub(crate) fresh: Vec<Fresh>,
}

/// A collection that a transaction made, under an id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) slot: u16,
    pub(crate) cid: Cid,
    /// Its elements are sequenced already, in entries of their own.
    pub(crate) aside: bool,
}

/// Above this many rows they are found by hash.
const ROWS_SCANNED_MAX: usize = 12;
/// Scratch buffers above this are given back.
const SCRATCH_ROWS_MAX: usize = 4096;
const SCRATCH_KEYS_BYTES_MAX: usize = 256 << 10;

/// A record key and where the transaction keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RowId(usize);

impl Scratch {
    pub(crate) fn find(&self, record_key: &[u8], hash: u64) -> Option<RowId> {
        let same = |row: &Touched| row.hash == hash && self.keys.get(row.key.clone()) == Some(record_key);
        if self.rows.len() <= ROWS_SCANNED_MAX {
            return self.rows.iter().position(same).map(RowId);
        }
        let found = self.index.find(hash, |&at| self.rows.get(at as usize).is_some_and(same));
        found.map(|&at| RowId(at as usize))
    }

    pub(crate) fn touch(&mut self, record_key: &[u8], hash: u64, seen: Option<Seen>) -> RowId {
        let start = self.keys.len();
        self.keys.extend_from_slice(record_key);
        let key = start..self.keys.len();
        self.rows.push(Touched { key, hash, seen, written: None });
        let rows = &self.rows;
        let rehash = |&at: &u32| rows.get(at as usize).map_or(0, |row| row.hash);
        match rows.len() - 1 {
            ROWS_SCANNED_MAX => {
                for (at, row) in rows.iter().enumerate() {
                    self.index.insert_unique(row.hash, at as u32, rehash);
                }
            }
            at if at > ROWS_SCANNED_MAX => {
                self.index.insert_unique(hash, at as u32, rehash);
            }
            _ => {}
        }
        RowId(rows.len() - 1)
    }

    #[allow(clippy::indexing_slicing)] // a RowId is only made by `touch` and `find`
    pub(crate) fn row(&self, row: RowId) -> &Touched {
        &self.rows[row.0]
    }

    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn set(&mut self, row: RowId, value: Option<Value>) {
        self.rows[row.0].written = Some(value);
    }

    /// Keys that the last transaction found, and keys that it looked for in vain.
    pub fn lookups(&self) -> (u32, u32) {
        self.lookups
    }

    pub(crate) fn has_writes(&self) -> bool {
        self.rows.iter().any(Touched::is_written)
    }

    /// The effects of the write set.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        self.rows.iter().filter_map(|row| {
            let value = row.written.clone()?;
            // A record that was not there and is not there now needs no effect.
            if value.is_none() && row.seen.as_ref().is_some_and(|seen| seen.value.is_none()) {
                return None;
            }
            let key = self.keys.get(row.key.clone())?;
            let place = row.seen.as_ref().map_or(Place::UNKNOWN, |seen| seen.place);
            Some(Write { key, hash: row.hash, place, value })
        })
    }

    /// The keys of everything read through the view, for validation.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &[u8]> {
        (self.rows.iter()).filter(|row| row.seen.is_some()).filter_map(|row| self.keys.get(row.key.clone()))
    }

    /// Whether what was written is reserved by another transaction.
    pub(crate) fn is_blocked_by(&self, section: &Section) -> bool {
        section.reserved.is_held() && self.writes().any(|write| section.reserved.blocks(write.key))
    }

    pub(crate) fn earliest_expiry_ms(&self) -> Option<u64> {
        self.earliest_expiry_ms
    }

    pub(crate) fn count_deltas(&self) -> &[CountDelta] {
        &self.counts
    }

    /// Written catalog records.
    pub(crate) fn catalog_changes(&self) -> Vec<(Vec<u8>, Value)> {
        (self.writes())
            .filter(|write| write.key.first() == Some(&keys::CATALOG))
            .filter_map(|write| Some((write.key.to_vec(), write.value?)))
            .collect()
    }

    pub(crate) fn cold(&self) -> &[u8] {
        &self.cold
    }

    pub(crate) fn reset(&mut self) {
        debug_assert!(self.fresh.iter().all(|fresh| !fresh.aside), "what was built aside is given up first");
        self.lookups = (0, 0);
        self.fresh.clear();
        if self.rows.capacity() > SCRATCH_ROWS_MAX || self.keys.capacity() > SCRATCH_KEYS_BYTES_MAX {
            *self = Self::default();
            return;
        }
        if self.rows.len() > ROWS_SCANNED_MAX {
            self.index.clear();
        }
        self.rows.clear();
        self.keys.clear();
        self.counts.clear();
        self.earliest_expiry_ms = None;
    }
}
