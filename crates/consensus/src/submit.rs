//! Proposals in flight: each is answered exactly once, whatever happens to the group.

use std::sync::Arc;
use std::time::Instant;

use crate::machine::{Completion, NotCommitted, Position};
use crate::metrics::Counters;

/// A proposal that is not answered yet. Dropped without an answer, its outcome is uncertain.
pub(crate) struct Pending {
    done: Option<Box<dyn Completion>>,
    counters: Arc<Counters>,
    submitted: Instant,
}

impl Pending {
    pub(crate) fn new(done: Box<dyn Completion>, counters: Arc<Counters>) -> Self {
        counters.in_flight.add();
        Self { done: Some(done), counters, submitted: Instant::now() }
    }

    pub(crate) fn committed(&mut self, at: Position) {
        if let Some(done) = self.take() {
            self.counters.commit_latency.record(self.submitted.elapsed());
            done.committed(at);
        }
    }

    pub(crate) fn failed(&mut self, why: NotCommitted) {
        if let Some(done) = self.take() {
            done.failed(why);
        }
    }

    fn take(&mut self) -> Option<Box<dyn Completion>> {
        let done = self.done.take()?;
        self.counters.in_flight.remove();
        Some(done)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.failed(NotCommitted::Uncertain);
    }
}
