//! The transaction: a consistent view, a write set, and a meter. Every command runs on one of
//! these, whatever lane it runs in.
//!
//! A transaction touches *rows*. The first access loads a row through the view; later ones, and
//! the transaction's own writes, work on the touched row. What follows from the writes (counts,
//! the expiry index, which keys became dirty) is derived when it finishes.

mod databases;
mod meter;
pub(crate) mod named;

use std::ops::Range;

use base::{Stamp, limits};
use thiserror::Error;

use crate::collection::Shapes;
use crate::derive::Derived;
use crate::disk::DiskError;
use crate::group::Group;
use crate::keys::{self, HashSeed, Home, Space};
use crate::lanes::Failure;
use crate::record::{Encoding, Kind, Peek, Record, Value};
use crate::scratch::{Fresh, Need, RowId, Scratch, Touched};
use crate::table::Seen;
use crate::view::View;
pub use meter::{Budget, Meter};

/// Why a transaction cannot go on where it is. Nothing has been written.
#[derive(Debug, Clone, Error)]
pub enum Stop {
    #[error("the budget of the lane is used up")]
    Outgrown,
    /// A record is not in memory, and this lane does not wait for the disk.
    #[error("a record has to be loaded first")]
    Cold,
    /// What was read does not belong to one moment.
    #[error("the view moved")]
    Moved,
    /// A collection has so many deltas that they have to be folded first.
    #[error("counters have to be folded first")]
    Unfolded(Home),
    #[error("cancelled")]
    Cancelled,
    #[error("a key has at most {} bytes", limits::KEY_BYTES_MAX)]
    KeyTooLong,
    /// The epoch ended while something was built aside.
    #[error("this node does not lead the group any more")]
    Closed,
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Identity of the transaction's environment: what it saw when it began.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    pub now_ms: u64,
    pub seed: HashSeed,
    pub spaces: [Space; limits::DATABASES],
    pub catalog_version: Stamp,
    pub epoch: u64,
}

pub struct Txn<'g> {
    pub(crate) group: &'g Group,
    pub(crate) view: View<'g>,
    pub(crate) begin: Begin,
    pub(crate) meter: Meter,
    /// The newest version among what was read: the reply waits for it.
    pub(crate) newest_seen: Stamp,
    pub(crate) loaded_from_disk: bool,
    pub(crate) scratch: &'g mut Scratch,
    database: u8,
    is_scripted: bool,
}

impl<'g> Txn<'g> {
    pub(crate) fn new(
        group: &'g Group,
        view: View<'g>,
        begin: Begin,
        meter: Meter,
        database: u8,
        scratch: &'g mut Scratch,
    ) -> Self {
        scratch.reset();
        let newest_seen = begin.catalog_version;
        Self {
            group,
            view,
            begin,
            meter,
            newest_seen,
            loaded_from_disk: false,
            scratch,
            database,
            is_scripted: false,
        }
    }

    /// The time that this transaction lives at.
    pub fn now_ms(&self) -> u64 {
        self.begin.now_ms
    }

    /// The selected database.
    pub fn database(&self) -> u8 {
        self.database
    }

    /// Works on another database from here on.
    pub fn select(&mut self, database: u8) {
        debug_assert!(usize::from(database) < limits::DATABASES);
        self.database = database;
    }

    /// For whom this is done, from here on: a client's number.
    pub fn act_for(&mut self, client: u64) {
        self.scratch.author = client;
    }

    /// Whether a script calls what is done here.
    pub fn is_scripted(&self) -> bool {
        self.is_scripted
    }

    pub fn set_scripted(&mut self, is: bool) {
        self.is_scripted = is;
    }

    pub fn space(&self, database: u8) -> Space {
        self.begin.spaces.get(usize::from(database)).copied().unwrap_or(Space(0))
    }

    /// Whether what is written here would last: not where a command only reads.
    pub fn may_write(&self) -> bool {
        !matches!(self.view, View::Latest { .. })
    }

    /// Whether there is a budget for what is done here: on a network thread.
    pub fn is_metered(&self) -> bool {
        self.meter.is_limited()
    }

    /// Whether what was done here is more than there is a budget for: it will be the next time, too.
    pub fn is_spent(&self) -> bool {
        self.meter.is_spent()
    }

    /// Counts work that is not a record: bytes copied, steps taken.
    pub fn spend(&mut self, records: u32, bytes: usize) -> Result<(), Stop> {
        self.meter.spend(records, bytes)?;
        self.go_on(records, 0)
    }

    /// In the heavy pool: as long as nobody has cancelled it. Others go first now and then, unless they wait for
    /// what is reserved.
    fn go_on(&mut self, records: u32, steps: u32) -> Result<(), Stop> {
        if matches!(self.view, View::Pinned(_)) {
            self.meter.take_turns(records, steps);
        }
        self.view.check_cancelled()
    }

    /// Counts steps of a program that runs in this transaction.
    pub fn step(&mut self, steps: u32) -> Result<(), Stop> {
        self.meter.step(steps)?;
        self.go_on(0, steps)
    }

    /// What a key holds, if it exists and has not expired.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Record>, Stop> {
        Ok(self.get_row(key)?.1)
    }

    /// Whether a key holds something of a kind; nobody has asked for it.
    pub(crate) fn holds(&mut self, key: &[u8], kind: Kind) -> Result<bool, Stop> {
        let row = self.key_row(key)?;
        Ok(self.live_record(row)?.is_some_and(|record| record.kind == kind))
    }

    /// Like [`Self::get`], with the key's row.
    pub(crate) fn get_row(&mut self, key: &[u8]) -> Result<(RowId, Option<Record>), Stop> {
        let row = self.key_row(key)?;
        let found = self.live_record(row)?;
        let lookups = &mut self.scratch.lookups;
        *(if found.is_some() { &mut lookups.0 } else { &mut lookups.1 }) += 1;
        if found.is_none() {
            self.note_miss(key);
        }
        Ok((row, found))
    }

    /// Sets what a key holds.
    pub fn put(
        &mut self,
        key: &[u8],
        kind: Kind,
        encoding: Encoding,
        expiry_ms: Option<u64>,
        payload: &[u8],
    ) -> Result<(), Stop> {
        self.meter.spend(0, payload.len())?;
        let row = self.key_row(key)?;
        self.set(row, Some(Record::encode(kind, encoding, expiry_ms, payload)));
        Ok(())
    }

    /// Sets what a key holds to a record read elsewhere.
    pub fn put_record(&mut self, key: &[u8], record: &Record) -> Result<(), Stop> {
        let row = self.key_row(key)?;
        self.set(row, Some(record.value().clone()));
        Ok(())
    }

    /// Keeps what a key holds in another way: to who watches it, it is the same.
    pub fn reencode(&mut self, key: &[u8], record: &Record, encoding: Encoding) -> Result<(), Stop> {
        self.meter.spend(0, record.payload().len())?;
        let row = self.key_row(key)?;
        self.set_quietly(row, Record::encode(record.kind, encoding, record.expiry_ms, record.payload()));
        Ok(())
    }

    /// Removes a key; says whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> Result<bool, Stop> {
        let row = self.key_row(key)?;
        let live = self.live_record(row)?.is_some();
        if self.row(row).value().is_some() {
            self.set(row, None);
        }
        Ok(live)
    }

    /// Removes a key if it expires at `at`, and that is past.
    pub(crate) fn remove_if_expires_at(&mut self, key: &[u8], at: u64) -> Result<bool, Stop> {
        let row = self.key_row(key)?;
        let due = at <= self.begin.now_ms;
        let same = match self.row(row).value() {
            Some(value) => self.decode(&self.row(row).key, value)?.expiry_ms == Some(at),
            None => false,
        };
        if due && same {
            self.set(row, None);
        }
        Ok(due && same)
    }

    /// Keys looked up so far: how many were found, and how many not.
    pub fn lookups(&self) -> (u32, u32) {
        self.scratch.lookups()
    }

    /// Runs a part of the transaction that has no effect if it fails. A stop is no failure: it ends all of it.
    /// A part may have parts of its own.
    pub fn attempt<R, E: Failure>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, E>) -> Result<R, E> {
        let spaces = self.begin.spaces;
        let mark = self.scratch.begin_attempt();
        let result = f(self);
        // Who is going to wait may have left something behind all the same.
        if result.as_ref().is_err_and(|error| error.stop().is_none() && !error.waiting()) {
            self.scratch.roll_back(mark);
            self.begin.spaces = spaces;
        }
        self.scratch.end_attempt();
        result
    }

    /// An id for a collection, never given out before.
    pub(crate) fn fresh_collection(&mut self, slot: u16) -> Home {
        let cid = self.group.new_cid();
        let home = Home { slot, cid };
        self.scratch.fresh.push(Fresh { home, aside: None });
        home
    }

    /// A number that differs from call to call. Nothing that must not be guessed depends on it.
    pub fn random(&self) -> u64 {
        self.group.random()
    }

    /// A raw record, for what is not a key: elements, catalog.
    pub fn raw(&mut self, record_key: &[u8]) -> Result<Option<Value>, Stop> {
        let row = self.load(record_key)?;
        Ok(self.row(row).value().cloned())
    }

    /// Writes a raw record without having read it.
    pub fn write_blind(&mut self, record_key: &[u8], value: Option<Value>) {
        let row = self.row_blind(record_key);
        self.set(row, value);
    }

    /// Writes a large raw record of which only a part may have changed. It must be one that is never
    /// reclaimed as long as anybody may write it.
    pub(crate) fn revise(&mut self, record_key: &[u8], value: Value) {
        let row = self.row_blind(record_key);
        self.scratch.revise(row, value);
    }

    pub(crate) fn note_cold(&mut self, record_key: &[u8]) {
        self.scratch.cold.push(record_key.into());
    }

    /// Whether a record belongs to a collection that this transaction has built aside.
    pub(crate) fn is_built(&self, record_key: &[u8]) -> bool {
        let is_it =
            |home| self.scratch.fresh.iter().any(|fresh| fresh.aside.is_some() && Some(fresh.home) == home);
        let may_be = matches!(record_key.first(), Some(&(keys::ELEMENT | keys::COUNTERS)));
        may_be && !self.scratch.fresh.is_empty() && is_it(keys::home_of(record_key))
    }

    pub(crate) fn key_record(&mut self, key: &[u8]) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.scratch.key);
        keys::key_record(&mut out, self.begin.seed, self.space(self.database), key);
        out
    }

    fn key_row(&mut self, key: &[u8]) -> Result<RowId, Stop> {
        if key.len() > limits::KEY_BYTES_MAX {
            return Err(Stop::KeyTooLong);
        }
        let record_key = self.key_record(key);
        let row = self.load(&record_key);
        self.scratch.key = record_key;
        row
    }

    /// Notes that a record is going to be read in the section, if it is not in memory.
    pub(crate) fn expect(&mut self, record_key: &[u8]) {
        let at = self.group.table.hash(record_key);
        if self.find(record_key, at.hash).is_none() && self.group.table.newest(at).is_none() {
            self.note_cold(record_key);
        }
    }

    /// Has records that are going to be read loaded in one go where each would be waited for by itself: in the
    /// section.
    pub(crate) fn foresee(&mut self, record_keys: impl Iterator<Item = Vec<u8>>) -> Result<(), Stop> {
        if !matches!(self.view, View::Section(_)) {
            return Ok(());
        }
        for record_key in record_keys {
            self.expect(&record_key);
        }
        self.stop_if_cold()
    }

    /// Says which keys are going to be looked up.
    pub fn foresee_keys<'k>(&mut self, names: impl Iterator<Item = &'k [u8]>) -> Result<(), Stop> {
        let (seed, space) = (self.begin.seed, self.space(self.database));
        self.foresee(names.filter(|name| name.len() <= limits::KEY_BYTES_MAX).map(|name| {
            let mut record_key = Vec::new();
            keys::key_record(&mut record_key, seed, space, name);
            record_key
        }))
    }

    /// Stops if some of the records that are going to be read have to be loaded first.
    pub(crate) fn stop_if_cold(&self) -> Result<(), Stop> {
        if self.scratch.cold.is_empty() { Ok(()) } else { Err(Stop::Cold) }
    }

    /// Up to which size collections are packed.
    pub fn shapes(&self) -> &'g Shapes {
        &self.group.shapes
    }

    /// The row of a record, loaded through the view at its first access.
    pub(crate) fn load(&mut self, record_key: &[u8]) -> Result<RowId, Stop> {
        self.load_for(record_key, Need::Value)
    }

    /// The row of a record of which so much is needed.
    pub(crate) fn load_for(&mut self, record_key: &[u8], need: Need) -> Result<RowId, Stop> {
        let hash = self.group.table.hash(record_key).hash;
        let found = self.find(record_key, hash);
        if let Some(row) = found.filter(|row| self.row(*row).seen.is_some() || self.row(*row).is_settled()) {
            self.scratch.depend(row, need);
            return Ok(row);
        }
        let seen = crate::view::load(self, record_key, hash)?;
        self.newest_seen = self.newest_seen.max(seen.version);
        let bytes = seen.value.as_ref().map_or(0, |value| value.len());
        let row = match found {
            Some(row) => {
                self.scratch.see(row, seen);
                row
            }
            None => self.touch(record_key, hash, Some(seen)),
        };
        self.scratch.need(row, need);
        self.hold(1, bytes)?;
        Ok(row)
    }

    /// The row of a record that is written without having been read.
    pub(crate) fn row_blind(&mut self, record_key: &[u8]) -> RowId {
        let at = self.group.table.hash(record_key);
        match self.find(record_key, at.hash) {
            Some(row) => row,
            None => self.touch(record_key, at.hash, None),
        }
    }

    pub(crate) fn find(&self, record_key: &[u8], hash: u64) -> Option<RowId> {
        self.scratch.find(record_key, hash)
    }

    fn touch(&mut self, record_key: &[u8], hash: u64, seen: Option<Seen>) -> RowId {
        self.scratch.touch(record_key, hash, seen)
    }

    pub(crate) fn row(&self, row: RowId) -> &Touched {
        self.scratch.row(row)
    }

    pub(crate) fn set(&mut self, row: RowId, value: Option<Value>) {
        self.scratch.set(row, value);
    }

    /// Like [`Self::set`], where nothing changes that a client could see.
    pub(crate) fn set_quietly(&mut self, row: RowId, value: Value) {
        self.scratch.set_quietly(row, value);
    }

    pub(crate) fn row_key(&self, row: RowId) -> &[u8] {
        self.scratch.keys.get(self.row(row).key.clone()).unwrap_or_default()
    }

    /// Notes that a key's value changes, wherever it is kept.
    pub(crate) fn mark(&mut self, row: RowId) {
        self.scratch.mark(row);
    }

    fn live_record(&self, row: RowId) -> Result<Option<Record>, Stop> {
        let row = self.row(row);
        let Some(value) = row.value() else { return Ok(None) };
        let record = self.decode(&row.key, value)?;
        Ok((!record.is_expired(self.begin.now_ms)).then_some(record))
    }

    fn decode(&self, key: &Range<usize>, value: &Value) -> Result<Record, Stop> {
        Record::decode(value.clone()).map_err(|why| {
            Stop::Disk(DiskError::corrupt(self.scratch.keys.get(key.clone()).unwrap_or_default(), why))
        })
    }

    /// This transaction's own writes among the records of `[from, to)`, in order.
    pub(crate) fn own_writes(&self, from: &[u8], to: Option<&[u8]>) -> Vec<(Vec<u8>, Option<Value>)> {
        let mut own: Vec<_> = (self.scratch.rows.iter())
            .filter(|row| row.is_written())
            .filter_map(|row| Some((self.scratch.keys.get(row.key.clone())?, row.value())))
            .filter(|(key, _)| *key >= from && to.is_none_or(|to| *key < to))
            .map(|(key, value)| (key.to_vec(), value.cloned()))
            .collect();
        own.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        own
    }

    pub fn has_writes(&self) -> bool {
        self.scratch.has_writes()
    }

    /// Adds what follows from the written keys: their expiry index records, the counts, and what
    /// became unreachable.
    pub(crate) fn derive(&mut self) -> Result<(), Stop> {
        let mut derived = Derived::default();
        std::mem::swap(&mut derived.counts, &mut self.scratch.counts);
        derived.counts.clear();
        for row in self.scratch.rows.iter().filter(|row| row.is_written()) {
            let key = self.scratch.keys.get(row.key.clone()).unwrap_or_default();
            if key.first() != Some(&keys::KEY) || is_plain_change(row.before(), row.value()) {
                continue;
            }
            let before = row.before().map(|value| self.decode(&row.key, value)).transpose()?;
            let after = row.value().map(|value| self.decode(&row.key, value)).transpose()?;
            derived.change(key, before.as_ref(), after.as_ref());
        }
        for (key, value) in derived.take_effects(&self.scratch.fresh) {
            self.write_blind(&key, value);
        }
        self.scratch.counts = derived.counts;
        self.scratch.earliest_expiry_ms = derived.earliest_expiry_ms;
        Ok(())
    }
}

/// Whether nothing follows from a key's change: it was there and is there, expires when it did, and
/// holds all of its value itself.
fn is_plain_change(before: Option<&Value>, after: Option<&Value>) -> bool {
    let peek = |value: Option<&Value>| value.and_then(|value| Peek::at(value));
    match (peek(before), peek(after)) {
        (Some(before), Some(after)) => {
            before.expiry_ms == after.expiry_ms && !before.is_elsewhere && !after.is_elsewhere
        }
        _ => false,
    }
}
