//! Reads that are told piece by piece: between two pieces the snapshot stays, and nothing else. No
//! thread and no reservation is held meanwhile.

use base::Stamp;

use crate::group::Group;
use crate::lanes::{Failure, Leave, leave};
use crate::pins::PinGuard;
use crate::scratch::Scratch;
use crate::sequencer::Counts;
use crate::txn::{Begin, Meter, Txn};
use crate::view::{Cancel, Pinned, View};
use crate::{disk::DiskSnapshot, keys::Space};

/// The snapshot of a read that goes on later.
pub struct Parked {
    begin: Begin,
    database: u8,
    pin: PinGuard,
    disk: DiskSnapshot,
    batch: u64,
    counts: Vec<(Space, Counts)>,
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked").field("begin", &self.begin).field("view", &self.pin.view).finish()
    }
}

impl Parked {
    /// Keeps a transaction's snapshot, if that is what it works on.
    pub(crate) fn of(txn: Txn<'_>) -> Option<Self> {
        let (begin, database) = (txn.begin, txn.database());
        let View::Pinned(Pinned { pin, disk, batch, counts, .. }) = txn.view else { return None };
        Some(Self { begin, database, pin, disk, batch, counts })
    }

    /// What is going to be read was written at this stamp at the latest.
    pub(crate) fn view(&self) -> Stamp {
        self.pin.view
    }
}

impl Txn<'_> {
    /// Says that the caller takes replies page by page, of so many bytes. For commands that only read.
    pub fn allow_pages(&mut self, page_bytes: usize) {
        if let View::Pinned(pinned) = &mut self.view {
            pinned.page_bytes = Some(page_bytes);
        }
    }

    /// The size of a page, where what is long may be told page by page.
    pub fn page_bytes(&self) -> Option<usize> {
        match &self.view {
            View::Pinned(pinned) => pinned.page_bytes,
            _ => None,
        }
    }

    /// Lets go of what has been read so far, where nothing depends on it: a long walk that looks things up
    /// would remember all of them.
    pub fn forget(&mut self) {
        if self.page_bytes().is_none() {
            return;
        }
        debug_assert!(!self.has_writes(), "a transaction that is told page by page only reads");
        let lookups = self.scratch.lookups;
        self.scratch.reset();
        self.scratch.lookups = lookups;
        if let View::Pinned(pinned) = &mut self.view {
            pinned.ranges.clear();
        }
    }
}

impl Group {
    /// Goes on with a read where its snapshot was parked: it sees what it saw, at the same time. Gives the
    /// snapshot back for the next piece.
    pub fn resume<R, E: Failure>(
        &self,
        parked: Parked,
        cancel: &Cancel,
        scratch: &mut Scratch,
        f: impl FnOnce(&mut Txn<'_>) -> Result<R, E>,
    ) -> Result<(Result<R, E>, Parked), Leave> {
        let Parked { begin, database, pin, disk, batch, counts } = parked;
        let pinned = Pinned {
            pin,
            disk,
            batch,
            cancel,
            ranges: Vec::new(),
            counts,
            page_bytes: None,
            is_resumed: true,
            // What has been folded since is not in this snapshot, and never will be.
            deltas_max: usize::MAX,
        };
        let mut txn = Txn::new(self, View::Pinned(pinned), begin, Meter::unlimited(), database, scratch);
        let result = f(&mut txn);
        if let Some(stop) = result.as_ref().err().and_then(Failure::stop) {
            return Err(leave(stop));
        }
        let parked = Parked::of(txn).ok_or(Leave::Closed)?;
        // IMPORTANT: after reading. With the epoch go the rows that only the view has.
        if self.sequencer.epoch() != begin.epoch {
            return Err(Leave::Closed);
        }
        Ok((result, parked))
    }
}
