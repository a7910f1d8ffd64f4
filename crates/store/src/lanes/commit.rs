//! The end of a transaction in the section: its writes get their stamp, and everybody whom they concern is
//! found out.

use super::Gate;
use crate::group::Group;
use crate::onlooker::Changed;
use crate::scratch::Scratch;
use crate::sequencer::Section;

impl Group {
    pub(crate) fn commit(&self, section: &mut Section, epoch: u64, scratch: &mut Scratch) -> Gate {
        // What was built aside is named, or given up, by these writes.
        self.building.end(scratch.fresh.drain(..));
        let changes = scratch.catalog_changes();
        let onlooker = self.onlooker.get().filter(|onlooker| onlooker.looks());
        let is_nobodys = section.waiters.is_empty() && section.watches.is_empty() && onlooker.is_none();
        let written = if is_nobodys { Vec::new() } else { Self::written_keys(scratch) };
        if let Some(onlooker) = onlooker
            && let Some(changed) = Changed::of(scratch.author, &written, &changes)
        {
            scratch.tidings.push(onlooker.saw(changed));
        }
        let counts = std::mem::take(&mut scratch.counts);
        let stamp = self.sequencer.commit(section, self.wall_ms(), scratch.take_writes(), &counts);
        scratch.counts = counts;
        self.note_catalog(section, stamp, &changes);
        self.note_expiry(scratch.earliest_expiry_ms());
        section.runs.appended(&scratch.appended);
        Self::break_watches(section, &written, &changes);
        Self::find_ready(section, written, &changes);
        let gate = Gate { epoch, stamp };
        if !scratch.tidings.is_empty() {
            self.tidings.push(gate, scratch.tidings.drain(..));
        }
        gate
    }
}
