//! Building aside: what is too large for one entry is written under an id that no key names yet, in
//! bounded entries of its own, and becomes visible with the one record that names it. A `B` record
//! says that somebody is at it; when the work is given up, or its epoch ends, it turns into an `X`
//! record, and what was written is reclaimed.

use std::sync::atomic::{AtomicU64, Ordering};

use base::Stamp;

use crate::disk::{DiskError, DiskSnapshot};
use crate::group::Group;
use crate::keys::{self, Home, Unreachable};
use crate::pace::Pace;
use crate::record::Value;
use crate::scratch::{Fresh, Scratch};
use crate::txn::{Stop, Txn};
use crate::view::{Cancel, View};

/// Records and what they hold from now on.
pub(crate) type Records = Vec<(Vec<u8>, Option<Value>)>;

/// Sequenced in one go, for which others wait: about two hundred records, a tenth of a millisecond.
const TURN_BYTES: usize = 16 << 10;
/// What may wait to be submitted before more is built: whoever writes a byte waits for all of it.
const WAITING_BYTES_MAX: u64 = 512 << 10;

/// How much is being built aside at the moment, by all transactions of a group.
#[derive(Default)]
pub struct Building {
    values: AtomicU64,
    records: AtomicU64,
}

impl Building {
    /// Values that are being built, each for a key.
    pub fn values(&self) -> u64 {
        self.values.load(Ordering::Relaxed)
    }

    /// Records of theirs that are sequenced already.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// What these were built for has come to its end: they have a name now, or are given up.
    pub(crate) fn end(&self, fresh: impl Iterator<Item = Fresh>) {
        for built in fresh.filter_map(|fresh| fresh.aside) {
            self.values.fetch_sub(1, Ordering::Relaxed);
            self.records.fetch_sub(built, Ordering::Relaxed);
        }
    }
}

/// A collection that is being built.
pub(crate) struct Aside {
    home: Home,
    records: Records,
    bytes: usize,
    pace: Pace,
}

impl Aside {
    pub(crate) fn begin(txn: &mut Txn<'_>, slot: u16) -> Result<Self, Stop> {
        // At once, and not when there is something to send: where nobody builds aside, nobody gives up
        // what was built.
        Self::cancel(txn)?;
        let home = txn.fresh_collection(slot);
        if let Some(fresh) = txn.scratch.fresh.last_mut() {
            fresh.aside = Some(0);
            txn.group.building.values.fetch_add(1, Ordering::Relaxed);
        }
        let records = vec![(keys::building(home), Some(Value::from(&[][..])))];
        Ok(Self { home, records, bytes: 0, pace: Pace::new() })
    }

    fn cancel<'t>(txn: &'t Txn<'_>) -> Result<&'t Cancel, Stop> {
        match &txn.view {
            View::Pinned(pinned) => Ok(pinned.cancel),
            View::Reserving(reserving) => Ok(reserving.cancel),
            // On a network thread nobody waits for the log.
            _ => Err(Stop::Outgrown),
        }
    }

    pub(crate) fn push(&mut self, txn: &mut Txn<'_>, key: Vec<u8>, value: Value) -> Result<(), Stop> {
        let bytes = key.len() + value.len();
        txn.spend(1, bytes)?;
        self.bytes += bytes;
        self.records.push((key, Some(value)));
        if self.bytes >= TURN_BYTES {
            self.send(txn)?;
        }
        Ok(())
    }

    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Sequences the rest; from now on a record may name it.
    pub(crate) fn finish(mut self, txn: &mut Txn<'_>) -> Result<Home, Stop> {
        self.send(txn)?;
        Ok(self.home)
    }

    fn send(&mut self, txn: &mut Txn<'_>) -> Result<(), Stop> {
        txn.group.wait_for_turn(txn.begin.epoch, Self::cancel(txn)?, self.pace.comes_after())?;
        let (before, turn) = txn.group.sequence_in(txn.begin.epoch, &self.records).ok_or(Stop::Closed)?;
        txn.group.pump();
        self.pace.turn(before, turn);
        let sent = self.records.len() as u64;
        if let Some(Fresh { aside: Some(records), .. }) = txn.scratch.fresh_mut(self.home) {
            *records += sent;
            txn.group.building.records.fetch_add(sent, Ordering::Relaxed);
        }
        self.records.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl Group {
    /// Waits until a turn is submitted, and the log and the store have room for another one.
    fn wait_for_turn(&self, epoch: u64, cancel: &Cancel, turn: Stamp) -> Result<(), Stop> {
        let has_room = || !self.sequencer.is_stalled() && self.sequencer.waiting_bytes() <= WAITING_BYTES_MAX;
        while self.sequencer.submitted() < turn || !has_room() {
            if cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            // IMPORTANT: what waited when its epoch ended is never submitted.
            if self.sequencer.epoch() != epoch {
                return Err(Stop::Closed);
            }
            self.pump();
            self.sequencer.wait_for_room();
        }
        Ok(())
    }

    /// Says what the last stamp was before, and what it is now. Nothing is done if the epoch is over.
    fn sequence_in(&self, epoch: u64, records: &Records) -> Option<(Stamp, Stamp)> {
        let mut section = self.sequencer.lock();
        if section.epoch() != Some(epoch) || self.sequencer.epoch() != epoch {
            return None;
        }
        let before = section.last();
        self.sequence(&mut section, records);
        Some((before, section.last()))
    }

    /// Gives up what a transaction built aside and did not name, and what it would have told. If its epoch
    /// has ended, whoever opens the next one does it.
    pub(crate) fn give_up_built(&self, scratch: &mut Scratch) {
        scratch.tidings.clear();
        self.building.end(scratch.fresh.iter().copied());
        let built = scratch.fresh.drain(..).filter(|fresh| fresh.aside.is_some());
        let built: Vec<_> = built.map(|fresh| fresh.home).collect();
        if let Some(epoch) = self.sequencer.open_epoch().filter(|_| !built.is_empty()) {
            // IMPORTANT: an epoch that began meanwhile has done the same: once more does no harm, ids
            // are never used again.
            let _ = self.sequence_in(epoch, &give_up(&built));
            self.pump();
        }
    }

    /// The collections that the store says are being built.
    pub(crate) fn unfinished(&self, snapshot: &DiskSnapshot) -> Result<Vec<Home>, DiskError> {
        let mut found = Vec::new();
        for pair in snapshot.range(&[keys::BUILDING], Some(&[keys::BUILDING + 1])) {
            let (key, _) = pair?;
            found.push(keys::decode_building(&key).map_err(|why| DiskError::corrupt(&key, why))?);
        }
        Ok(found)
    }
}

/// What gives collections up.
pub(crate) fn give_up(collections: &[Home]) -> Records {
    let mut records = Records::new();
    for &home in collections {
        records.push((Unreachable::Collection(home).encode(), Some(Value::from(&[][..]))));
        records.push((keys::building(home), None));
    }
    records
}
