//! What the apply thread does between two batches: folding and reclaiming, in slices.

use std::sync::atomic::Ordering;

use super::Applier;
use crate::disk::DiskError;
use crate::keys::Home;

/// More than a slice of reclaiming writes.
const RECLAIM_BYTES: u64 = 4 << 20;
/// Under load there is a moment for reclaiming only after a batch: then so many slices are taken, or
/// what is deleted would outgrow what is reclaimed.
const SLICES_AFTER_BATCH: u32 = 32;

/// Where the store is far behind, writers are going to wait for it: then a single one has to do.
pub(super) fn slices_after_batch(is_far_behind: bool) -> u32 {
    if is_far_behind { 1 } else { SLICES_AFTER_BATCH }
}

impl Applier {
    /// Folds and reclaims.
    pub(super) fn upkeep(&mut self) {
        for _ in 0..std::mem::replace(&mut self.slices, 1) {
            // Between batches only: what is collected but not written may not be passed by.
            let may = self.failed.is_none() && self.since.is_none() && self.has_upkeep();
            if !may || !self.watch.has_room(RECLAIM_BYTES) {
                return;
            }
            if let Err(error) = self.upkeep_slice() {
                self.fail(error);
            }
        }
    }

    fn upkeep_slice(&mut self) -> Result<(), DiskError> {
        if self.folder.has_work() {
            let deltas = self.folder.slice(&self.group)?;
            self.stats.folded.fetch_add(deltas, Ordering::Relaxed);
        }
        if self.reclaimer.has_work() {
            let records = self.reclaimer.slice(&self.group, &mut self.counts)?;
            self.stats.reclaimed.fetch_add(records, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn has_upkeep(&self) -> bool {
        self.reclaimer.has_work() || self.folder.has_work()
    }

    /// Folds all that a reader waits for.
    pub fn fold(&mut self, home: Home) -> Result<(), DiskError> {
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        let folded = self.folder.fold(&self.group, home)?;
        self.stats.folded.fetch_add(folded, Ordering::Relaxed);
        Ok(())
    }
}
