//! What heavy transactions depend on: what they have read, in their first run, and what they have
//! reserved, in their second.

use std::collections::HashSet;

use base::Stamp;
use parking_lot::MutexGuard;

use super::Leave;
use crate::dirty::Among;
use crate::group::Group;
use crate::keys;
use crate::reserve::Token;
use crate::scratch::Scratch;
use crate::sequencer::Section;
use crate::txn::Begin;
use crate::view::{Cancel, Pinned};

/// What a transaction depends on.
pub(super) struct Reads<'t> {
    view: Stamp,
    keys: HashSet<&'t [u8]>,
    among: Among,
    ranges: &'t [(Vec<u8>, Option<Vec<u8>>)],
}

impl<'t> Reads<'t> {
    pub(super) fn of(scratch: &'t Scratch, pinned: &'t Pinned<'_>) -> Self {
        let ranges = pinned.ranges.iter().map(|(from, _)| from.as_slice());
        let among = Among::of(scratch.reads().chain(ranges));
        Self { view: pinned.pin.view, keys: scratch.reads().collect(), among, ranges: &pinned.ranges }
    }

    fn covers(&self, key: &[u8]) -> bool {
        let within = |(from, to): &(Vec<u8>, Option<Vec<u8>>)| {
            key >= from.as_slice() && to.as_ref().is_none_or(|to| key < to.as_slice())
        };
        self.keys.contains(key) || self.ranges.iter().any(within)
    }
}

/// Gives the reservation back when it is dropped.
pub(super) struct Reservation<'g> {
    group: &'g Group,
    pub(super) token: Token,
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.group.sequencer.lock().reserved.release(self.token);
        self.group.sequencer.notify_released();
    }
}

impl Group {
    /// Enters the section with a write set, when nobody has reserved anything that is in it.
    pub(super) fn enter(
        &self,
        epoch: u64,
        scratch: &Scratch,
        cancel: &Cancel,
    ) -> Result<MutexGuard<'_, Section>, Leave> {
        let mut section = self.sequencer.lock();
        loop {
            if section.epoch() != Some(epoch) || self.sequencer.epoch() != epoch {
                return Err(Leave::Closed);
            }
            if !scratch.is_blocked_by(&section) {
                self.check_watch(&section, scratch)?;
                return Ok(section);
            }
            if cancel.is_cancelled() {
                return Err(Leave::Cancelled);
            }
            self.sequencer.wait_released(&mut section);
        }
    }

    pub(super) fn reserve(&self, cancel: &Cancel) -> Result<(Begin, Reservation<'_>), Leave> {
        let mut section = self.sequencer.lock();
        loop {
            let begin = self.begin_section(&section).ok_or(Leave::Closed)?;
            if let Some(token) = section.reserved.take() {
                let to = base::codec::prefix_end(keys::CATALOG_PREFIX);
                let held = section.reserved.add_range(token, keys::CATALOG_PREFIX, to.as_deref());
                debug_assert!(held);
                drop(section);
                return Ok((begin, Reservation { group: self, token }));
            }
            if cancel.is_cancelled() {
                return Err(Leave::Cancelled);
            }
            self.sequencer.wait_released(&mut section);
        }
    }

    /// Whether nothing that was read has been written since the view was pinned, as far as the
    /// batches from `since` on tell. A row that is not in memory any more may have been.
    pub(super) fn unchanged(&self, reads: &mut Reads<'_>, since: u64) -> bool {
        let (view, among) = (reads.view, reads.among);
        !self.dirty.since(since, among, |key| {
            reads.covers(key) && self.table.version(self.table.hash(key)).is_none_or(|v| v > view)
        })
    }
}
