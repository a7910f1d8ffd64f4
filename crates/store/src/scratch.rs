//! What a transaction has touched: its rows, found by key, and the buffers they live in.

use std::ops::Range;

use hashbrown::HashTable;

use crate::changes::Notes;
use crate::collection::stream::StreamId;
use crate::counters::Counters;
use crate::effects::{Change, CountDelta};
use crate::keys::{self, Entries, Home, Members};
use crate::record::{Peek, RowKey, Value};
use crate::runs::Wanted;
use crate::sequencer::{Section, Write};
use crate::table::{Place, Seen};
use crate::tidings::Tiding;
use crate::watches::WatchId;

/// A record that the transaction has read or written.
pub(crate) struct Touched {
    pub(crate) key: Range<usize>,
    pub(crate) hash: u64,
    /// What the view showed; `None` for a blind write.
    pub(crate) seen: Option<Seen>,
    /// What of it the outcome depends on.
    pub(crate) need: Need,
    /// It belongs to a collection that this transaction makes: there is nothing to be seen yet.
    pub(crate) is_fresh: bool,
    /// What the transaction does to it, if it does something.
    change: Option<Change>,
    /// Of a key: elements of its value are changed.
    pub(crate) is_marked: bool,
    /// Of counters that are changed: what they are then.
    pub(crate) total: Option<Value>,
    /// See [`Write::by_splice`].
    by_splice: bool,
    /// Of a key: nothing changes in its record that a client could see.
    is_quiet: bool,
    /// It was put, and removed again. To those who watch it has changed, as if each of the transaction's
    /// commands was one.
    pub(crate) came_and_went: bool,
    /// When it came to hold something, or something of another kind, or else was first written, among the writes of
    /// the transaction.
    pub(crate) came: u32,
}

/// What a row was before it was changed.
struct Undo {
    row: RowId,
    change: Option<Change>,
    is_marked: bool,
    by_splice: bool,
    is_quiet: bool,
    came_and_went: bool,
}

/// Where an attempt began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    undo: usize,
    tidings: usize,
}

/// What a transaction depends on of a record that it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// Of a collection's counters: that something is left when the transaction has had its effect.
    NotEmpty,
    /// All that is in it.
    Value,
}

impl Touched {
    /// What the view showed.
    pub(crate) fn before(&self) -> Option<&Value> {
        self.seen.as_ref()?.value.as_ref()
    }

    /// What the transaction sees: its own write before the view.
    pub(crate) fn value(&self) -> Option<&Value> {
        match &self.change {
            Some(Change::Put(value)) => Some(value),
            Some(Change::Delete) => None,
            Some(Change::Add(_)) | None => self.before(),
        }
    }

    /// Whether a value is the first one, or of another kind than the one before. Asked of keys' records; of others the
    /// answer means nothing.
    fn becomes_another(&self, value: Option<&Value>) -> bool {
        let kind = |value: &Value| Peek::at(value).map(|peek| peek.kind);
        value.is_some_and(|value| self.value().is_none_or(|before| kind(before) != kind(value)))
    }

    pub(crate) fn is_written(&self) -> bool {
        self.change.is_some()
    }

    /// Whether it is anything to anybody: a record that was not there and is not there now needs no effect.
    fn has_effect(&self) -> bool {
        match &self.change {
            Some(Change::Delete) => self.seen.as_ref().is_none_or(|seen| seen.value.is_some()),
            Some(Change::Add(delta)) => *delta != Counters::ZERO,
            Some(Change::Put(_)) => true,
            None => false,
        }
    }

    /// Where the table has it, as far as is known.
    pub(crate) fn place(&self) -> Place {
        self.seen.as_ref().map_or(Place::UNKNOWN, |seen| seen.place)
    }

    pub(crate) fn change(&self) -> Option<&Change> {
        self.change.as_ref()
    }

    /// Whether the view need not be asked any more: what the record holds is known.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_fresh || matches!(self.change, Some(Change::Put(_) | Change::Delete))
    }

    /// Of a key: whether it is another one for those who look at it, or holds something else.
    pub(crate) fn is_changed_key(&self) -> bool {
        self.is_marked || self.came_and_went || (self.has_effect() && !self.is_quiet)
    }

    /// What the transaction adds to counters.
    pub(crate) fn delta(&self) -> Counters {
        match self.change {
            Some(Change::Add(delta)) => delta,
            _ => Counters::ZERO,
        }
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
    /// The records that an inline transaction missed.
    pub(crate) cold: Vec<RowKey>,
    pub(crate) hints: Hints,
    /// Keys that the transaction looked up: how many it found, and how many not.
    pub(crate) lookups: (u32, u32),
    /// The collections that the transaction made.
    pub(crate) fresh: Vec<Fresh>,
    /// What others are to be told.
    pub(crate) tidings: Vec<Box<dyn Tiding>>,
    /// What was changed since the outermost attempt began that is going on, if one is.
    undo: Vec<Undo>,
    /// Counts what rows are written for the first time, or once more after they held nothing.
    writes: u32,
    /// Entries that were added to streams, those of attempts that failed among them.
    pub(crate) appended: Vec<Appended>,
    pub(crate) notes: Notes,
    /// For whom the transaction acts.
    pub(crate) author: u64,
    /// How many attempts are going on, one within the other.
    attempts: usize,
    /// The next transaction is committed only if nothing has happened to what is watched here. Stays until
    /// it is taken away.
    pub only_if: Option<WatchId>,
}

/// A collection that a transaction made, under an id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fresh {
    pub(crate) home: Home,
    /// If it is built aside: how many of its records are sequenced already, in entries of their own.
    pub(crate) aside: Option<u64>,
}

/// An entry that was added to a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) entries: Entries,
    /// The last id before it.
    pub(crate) behind: StreamId,
    pub(crate) id: StreamId,
}

/// Members of a collection that may be there, for whoever takes one by chance. What is left serves the
/// next transaction.
#[derive(Default)]
pub(crate) struct Hints {
    /// Whose are needed.
    pub(crate) wanted: Option<Members>,
    /// Of which stream the next ids are needed.
    pub(crate) run: Option<Wanted>,
    of: Option<Home>,
    keys: Vec<RowKey>,
}

impl Hints {
    pub(crate) fn fill(&mut self, home: Home, keys: Vec<RowKey>) {
        *self = Self { wanted: None, run: None, of: Some(home), keys };
    }

    pub(crate) fn take(&mut self, home: Home) -> Option<RowKey> {
        if self.of == Some(home) { self.keys.pop() } else { None }
    }

    pub(crate) fn give_back(&mut self, key: RowKey) {
        self.keys.push(key);
    }
}

/// Above this many rows they are found by hash.
const ROWS_SCANNED_MAX: usize = 12;
/// Scratch buffers above this are given back.
const SCRATCH_ROWS_MAX: usize = 4096;
const SCRATCH_KEYS_BYTES_MAX: usize = 256 << 10;

/// A record key and where the transaction keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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
        let is_fresh = record_key.first() == Some(&keys::COUNTERS) && self.is_made(record_key);
        let need = Need::Value;
        self.rows.push(Touched {
            key,
            hash,
            seen,
            need,
            is_fresh,
            change: None,
            is_marked: false,
            total: None,
            by_splice: record_key.first() == Some(&keys::KEY),
            is_quiet: false,
            came_and_went: false,
            came: 0,
        });
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

    /// Whether a record belongs to a collection that this transaction makes, in its own write set.
    fn is_made(&self, record_key: &[u8]) -> bool {
        let home = keys::home_of(record_key);
        self.fresh.iter().any(|fresh| Some(fresh.home) == home && fresh.aside.is_none())
    }

    /// A collection that this transaction has made.
    pub(crate) fn fresh_mut(&mut self, home: Home) -> Option<&mut Fresh> {
        self.fresh.iter_mut().find(|fresh| fresh.home == home)
    }

    #[allow(clippy::indexing_slicing)] // a RowId is only made by `touch` and `find`
    pub(crate) fn row(&self, row: RowId) -> &Touched {
        &self.rows[row.0]
    }

    /// Remembers what a row is, before it is changed, if that may have to be undone.
    #[allow(clippy::indexing_slicing)] // as above
    fn note_undo(&mut self, id: RowId) {
        if self.attempts > 0 {
            let row = &self.rows[id.0];
            let &Touched { is_marked, by_splice, is_quiet, came_and_went, .. } = row;
            let change = row.change.clone();
            self.undo.push(Undo { row: id, change, is_marked, by_splice, is_quiet, came_and_went });
        }
    }

    /// From here on everything can be undone by [`Self::roll_back`], until [`Self::end_attempt`].
    pub(crate) fn begin_attempt(&mut self) -> Mark {
        self.attempts += 1;
        Mark { undo: self.undo.len(), tidings: self.tidings.len() }
    }

    pub(crate) fn end_attempt(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
        if self.attempts == 0 {
            self.undo.clear();
        }
    }

    /// Undoes what was changed since an attempt began. What was read stays: the outcome depends on it.
    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn roll_back(&mut self, to: Mark) {
        self.tidings.truncate(to.tidings);
        while self.undo.len() > to.undo
            && let Some(undo) = self.undo.pop()
        {
            let row = &mut self.rows[undo.row.0];
            row.change = undo.change;
            (row.is_marked, row.by_splice) = (undo.is_marked, undo.by_splice);
            (row.is_quiet, row.came_and_went) = (undo.is_quiet, undo.came_and_went);
        }
    }

    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn set(&mut self, row: RowId, value: Option<Value>) {
        self.note_change(row, true);
        self.change(row, value);
    }

    #[allow(clippy::indexing_slicing)] // as above
    fn change(&mut self, row: RowId, value: Option<Value>) {
        self.note_undo(row);
        let row = &mut self.rows[row.0];
        row.came_and_went |= value.is_none() && matches!(row.change, Some(Change::Put(_)));
        if row.change.is_none() || row.becomes_another(value.as_ref()) {
            self.writes += 1;
            row.came = self.writes;
        }
        row.change = Some(value.map_or(Change::Delete, Change::Put));
        row.is_quiet = false;
    }

    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn add(&mut self, row: RowId, delta: Counters) {
        self.note_undo(row);
        let row = &mut self.rows[row.0];
        let change = Change::Add(delta);
        row.change = Some(match row.change.take() {
            Some(before) => before.then(change),
            None => change,
        });
    }

    /// Like [`Self::set`]; see [`Write::by_splice`].
    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn revise(&mut self, row: RowId, value: Value) {
        self.set(row, Some(value));
        self.rows[row.0].by_splice = true;
    }

    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn mark(&mut self, row: RowId) {
        self.note_change(row, true);
        self.note_undo(row);
        self.rows[row.0].is_marked = true;
    }

    /// Like [`Self::set`], where nothing changes that a client could see.
    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn set_quietly(&mut self, row: RowId, value: Value) {
        let before = &self.rows[row.0];
        let is_quiet = before.is_quiet || before.change.is_none();
        self.note_change(row, false);
        self.change(row, Some(value));
        self.rows[row.0].is_quiet = is_quiet;
    }

    /// What the view shows of a record that was written before it was read.
    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn see(&mut self, row: RowId, seen: Seen) {
        self.rows[row.0].seen = Some(seen);
    }

    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn need(&mut self, row: RowId, need: Need) {
        self.rows[row.0].need = need;
    }

    #[allow(clippy::indexing_slicing)] // as above
    pub(crate) fn depend(&mut self, row: RowId, need: Need) {
        let row = &mut self.rows[row.0];
        row.need = row.need.max(need);
    }

    /// Keys that the last transaction found, and keys that it looked for in vain.
    pub fn lookups(&self) -> (u32, u32) {
        self.lookups
    }

    pub(crate) fn has_writes(&self) -> bool {
        self.rows.iter().any(Touched::is_written)
    }

    /// Takes the effects of the write set out of it.
    pub(crate) fn take_writes(&mut self) -> impl Iterator<Item = Write<'_>> {
        self.rows.iter_mut().filter(|row| row.has_effect()).filter_map(|row| {
            let change = row.change.take()?;
            let key = self.keys.get(row.key.clone())?;
            let (hash, place, by_splice) = (row.hash, row.place(), row.by_splice);
            Some(Write { key, hash, place, change, total: row.total.take(), by_splice })
        })
    }

    /// The keys of everything read through the view, for validation.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &[u8]> {
        (self.rows.iter())
            .filter(|row| row.seen.is_some() && row.need == Need::Value)
            .filter_map(|row| self.keys.get(row.key.clone()))
    }

    /// Whether what was written is reserved by another transaction.
    pub(crate) fn is_blocked_by(&self, section: &Section) -> bool {
        let is_blocked = |row: &Touched| {
            row.has_effect() && self.keys.get(row.key.clone()).is_some_and(|key| section.reserved.blocks(key))
        };
        section.reserved.is_held() && self.rows.iter().any(is_blocked)
    }

    pub(crate) fn earliest_expiry_ms(&self) -> Option<u64> {
        self.earliest_expiry_ms
    }

    /// Written catalog records.
    pub(crate) fn catalog_changes(&self) -> Vec<(Vec<u8>, Value)> {
        let catalog = |row: &Touched| match (self.keys.get(row.key.clone())?, &row.change) {
            (key @ [keys::CATALOG, ..], Some(Change::Put(value))) => Some((key.to_vec(), value.clone())),
            _ => None,
        };
        self.rows.iter().filter_map(catalog).collect()
    }

    pub(crate) fn reset(&mut self) {
        debug_assert!(
            self.fresh.iter().all(|fresh| fresh.aside.is_none()),
            "what was built aside is given up first"
        );
        self.lookups = (0, 0);
        self.writes = 0;
        self.appended.clear();
        self.fresh.clear();
        self.cold.clear();
        self.tidings.clear();
        if self.rows.capacity() > SCRATCH_ROWS_MAX || self.keys.capacity() > SCRATCH_KEYS_BYTES_MAX {
            *self = Self { only_if: self.only_if, ..Self::default() };
            return;
        }
        if self.rows.len() > ROWS_SCANNED_MAX {
            self.index.clear();
        }
        self.rows.clear();
        self.keys.clear();
        self.counts.clear();
        self.earliest_expiry_ms = None;
        self.undo.clear();
        self.end_notes();
        (self.author, self.attempts) = (0, 0);
    }
}
