//! What a transaction sees, by lane.
//!
//! | view | lane | sees | a record that is not in memory |
//! | --- | --- | --- | --- |
//! | [`View::Latest`] | read | the newest state; checked at the end to be of one moment | read from the store |
//! | [`View::Section`] | inline | the newest state, which cannot change meanwhile | [`Stop::Cold`] |
//! | [`View::Pinned`] | heavy | a snapshot | read from the snapshot |
//! | [`View::Reserving`] | heavy, second run | the newest state, which nobody else may change once read | read from the store |

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base::Stamp;

use crate::allowance::{Allowance, Source};
use crate::disk::DiskSnapshot;
use crate::keys::{self, Space};
use crate::pins::PinGuard;
use crate::reserve::Token;
use crate::sequencer::{Counts, Section};
use crate::table::{Hashed, Place, Seen};
use crate::txn::{Stop, Txn};

pub enum View<'g> {
    Latest {
        /// What was sequenced when the transaction began.
        start: Stamp,
    },
    Section(&'g mut Section),
    Pinned(Pinned<'g>),
    Reserving(Reserving<'g>),
}

/// The second run of a transaction that lost a race.
pub struct Reserving<'g> {
    pub token: Token,
    pub cancel: &'g Cancel,
}

/// A stable view of pending writes and store.
pub struct Pinned<'g> {
    pub pin: PinGuard,
    pub disk: DiskSnapshot,
    /// The batch that was open when the view was pinned.
    pub batch: u64,
    pub cancel: &'g Cancel,
    pub ranges: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// How many keys the databases' spaces held.
    pub counts: Vec<(Space, Counts)>,
    /// The size of a page, if the caller takes replies page by page.
    pub page_bytes: Option<usize>,
    /// Whether this is a later page.
    pub is_resumed: bool,
    /// Deltas of a collection's counters that are added up.
    pub deltas_max: usize,
}

/// Set from outside to stop heavy work between two steps.
#[derive(Default)]
pub struct Cancel {
    is_set: AtomicBool,
    why: OnceLock<String>,
    allowance: Allowance,
}

impl Cancel {
    /// For work that may hold as much memory as there is there.
    pub fn within(source: Arc<dyn Source>) -> Self {
        Self { allowance: Allowance::of(source), ..Self::default() }
    }

    /// The work holds so much more; or else that is its end.
    fn hold(&self, bytes: usize) -> Result<(), Stop> {
        self.allowance.hold(bytes as u64).map_err(|why| {
            self.cancel_because(why.to_owned());
            Stop::Cancelled
        })
    }

    /// The work is done, and what it held is gone.
    pub fn give_back(&self) {
        self.allowance.give_back();
    }

    pub fn cancel(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    /// Stops the work wherever it is, in what was asked for or around it, and says why: the first says it.
    pub fn cancel_because(&self, why: String) {
        let _ = self.why.set(why);
        self.cancel();
    }

    pub fn is_cancelled(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    pub fn why(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }
}

impl View<'_> {
    /// In the heavy pool: so much has been read, and may be held until all is told. Not where it is told page by page.
    pub fn hold(&self, bytes: usize) -> Result<(), Stop> {
        match self {
            Self::Pinned(pinned) if pinned.page_bytes.is_none() && !pinned.is_resumed => {
                pinned.cancel.hold(bytes)
            }
            Self::Reserving(reserving) => reserving.cancel.hold(bytes),
            _ => Ok(()),
        }
    }

    pub fn check_cancelled(&self) -> Result<(), Stop> {
        let cancelled = match self {
            Self::Pinned(pinned) => pinned.cancel.is_cancelled(),
            Self::Reserving(reserving) => reserving.cancel.is_cancelled(),
            _ => false,
        };
        if cancelled { Err(Stop::Cancelled) } else { Ok(()) }
    }
}

/// Loads a record through the transaction's view.
pub(crate) fn load(txn: &mut Txn<'_>, key: &[u8], hash: u64) -> Result<Seen, Stop> {
    let group = txn.group;
    let at = Hashed { key, hash, place: Place::UNKNOWN };
    // IMPORTANT: what a transaction has built aside is newer than its view, and nobody else's.
    if txn.is_built(key) {
        return group.table.newest(at).map_or_else(|| group.load(at), Ok);
    }
    match &mut txn.view {
        View::Latest { start } => {
            let start = *start;
            let Some(seen) = group.table.newest(at) else {
                txn.loaded_from_disk = true;
                return group.load(at);
            };
            if seen.version > start {
                // Its transaction may still be writing its other records: wait until it is done.
                group.sequencer.wait_published(seen.version);
                if txn.meter.records() > 0 {
                    return Err(Stop::Moved);
                }
            }
            Ok(seen)
        }
        View::Section(_) => match group.table.newest(at) {
            Some(seen) => Ok(seen),
            None => {
                txn.note_cold(key);
                Err(Stop::Cold)
            }
        },
        View::Pinned(pinned) => match group.table.as_of(at, pinned.pin.view) {
            Some(seen) => Ok(seen),
            None => {
                let value = crate::counters::read(&pinned.disk, key, pinned.deltas_max)?;
                Ok(Seen { version: Stamp::ZERO, value, place: Place::UNKNOWN })
            }
        },
        View::Reserving(reserving) => {
            if !group.sequencer.lock().reserved.add_key(reserving.token, key) {
                return Err(Stop::Cancelled);
            }
            match group.table.newest(at) {
                Some(seen) => Ok(seen),
                None => group.load(at),
            }
        }
    }
}

/// How many keys a space holds, and which write that depends on.
pub(crate) fn counts(txn: &mut Txn<'_>, space: Space) -> Result<(Counts, Stamp), Stop> {
    let sequencer = &txn.group.sequencer;
    // Every key counts: whoever writes depends on nobody else adding or removing one.
    let (from, to) = ([keys::KEY], [keys::KEY + 1]);
    match &mut txn.view {
        View::Section(section) => Ok((section.count(space), section.last())),
        View::Latest { start } => {
            let section = sequencer.lock();
            if section.last() > *start {
                return Err(Stop::Moved);
            }
            Ok((section.count(space), section.last()))
        }
        View::Pinned(pinned) => {
            pinned.ranges.push((from.to_vec(), Some(to.to_vec())));
            let counted = pinned.counts.iter().find(|counted| counted.0 == space);
            Ok((counted.map(|counted| counted.1).unwrap_or_default(), pinned.pin.view))
        }
        View::Reserving(reserving) => {
            let mut section = sequencer.lock();
            if !section.reserved.add_range(reserving.token, &from, Some(&to)) {
                return Err(Stop::Cancelled);
            }
            Ok((section.count(space), section.last()))
        }
    }
}
