//! What a transaction in the section has missed is looked up outside, before it tries again.

use super::{Leave, leave};
use crate::group::Group;
use crate::scratch::Scratch;

impl Group {
    /// Loads what an inline transaction missed.
    pub(crate) fn warm(&self, scratch: &mut Scratch) -> Result<(), Leave> {
        for key in std::mem::take(&mut scratch.cold) {
            self.load(self.table.hash(&key)).map_err(|stop| leave(&stop))?;
        }
        if let Some(members) = scratch.hints.wanted.take() {
            self.find_hints(members, &mut scratch.hints).map_err(|stop| leave(&stop))?;
        }
        if let Some(wanted) = scratch.hints.run.take() {
            let run = self.find_run(&wanted).map_err(|stop| leave(&stop))?;
            let mut section = self.sequencer.lock();
            let epoch = section.epoch();
            section.runs.add(run, epoch);
        }
        Ok(())
    }
}
