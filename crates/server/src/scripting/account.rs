//! What scripts leave behind in the statistics.

use super::Env;

impl Env<'_> {
    /// Counts what was called: the transaction has come to its end.
    pub fn count(&mut self) {
        for called in self.called.drain(..) {
            crate::session::account::ran_in_script(
                self.node,
                called.entry,
                called.failed.as_ref(),
                called.took,
                self.cancel.is_some(),
            );
        }
    }

    /// A transaction begins, perhaps once more: what was called before did not happen.
    pub fn begin(&mut self) {
        self.called.clear();
    }
}
