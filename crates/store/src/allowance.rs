//! Memory that heavy work holds until it is told: asked for in steps, and given back as a whole. What is read is taken
//! to be held, for what comes of it is known only at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::txn::{Stop, Txn};

/// Where it comes from.
pub trait Source: Send + Sync {
    /// Says whether there is so much.
    fn take(&self, bytes: u64) -> bool;
    fn give_back(&self, bytes: u64);
    /// What is told of work that gets no more.
    fn refusal(&self) -> &'static str;
}

/// So much at a time; and who holds less does not ask.
const STEP_BYTES: u64 = 1 << 20;

/// Of one piece of work, which one thread does. Without a source there is no end to it.
#[derive(Default)]
pub struct Allowance {
    source: Option<Arc<dyn Source>>,
    held: AtomicU64,
    taken: AtomicU64,
}

impl Allowance {
    pub fn of(source: Arc<dyn Source>) -> Self {
        Self { source: Some(source), held: AtomicU64::new(0), taken: AtomicU64::new(0) }
    }

    /// Holds so much more, or says why it cannot.
    pub fn hold(&self, bytes: u64) -> Result<(), &'static str> {
        let Some(source) = &self.source else { return Ok(()) };
        let (held, taken) = (self.held.fetch_add(bytes, Relaxed) + bytes, self.taken.load(Relaxed));
        if held <= taken + STEP_BYTES {
            return Ok(());
        }
        let more = (held - taken - STEP_BYTES).next_multiple_of(STEP_BYTES);
        if !source.take(more) {
            return Err(source.refusal());
        }
        self.taken.fetch_add(more, Relaxed);
        Ok(())
    }

    pub fn give_back(&self) {
        self.held.store(0, Relaxed);
        let taken = self.taken.swap(0, Relaxed);
        if let Some(source) = self.source.as_ref().filter(|_| taken > 0) {
            source.give_back(taken);
        }
    }
}

impl Txn<'_> {
    /// Like [`Self::spend`], of what may be held in memory until the transaction is told.
    pub fn hold(&mut self, records: u32, bytes: usize) -> Result<(), Stop> {
        self.spend(records, bytes)?;
        self.view.hold(bytes)
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pot(AtomicU64);

    impl Source for Pot {
        fn take(&self, bytes: u64) -> bool {
            self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
        }

        fn give_back(&self, bytes: u64) {
            self.0.fetch_add(bytes, Relaxed);
        }

        fn refusal(&self) -> &'static str {
            "no"
        }
    }

    #[test]
    fn it_is_taken_in_steps_and_given_back_as_a_whole() {
        let pot = Arc::new(Pot(AtomicU64::new(3 * STEP_BYTES)));
        let allowance = Allowance::of(pot.clone());
        let left = |allowance: &Allowance, bytes| (allowance.hold(bytes), pot.0.load(Relaxed) / STEP_BYTES);
        for (bytes, expected) in [
            (STEP_BYTES, (Ok(()), 3)),
            (1, (Ok(()), 2)),
            (STEP_BYTES - 1, (Ok(()), 2)),
            (STEP_BYTES + 1, (Ok(()), 0)),
            (STEP_BYTES, (Err("no"), 0)),
        ] {
            assert_eq!(left(&allowance, bytes), expected, "{bytes}");
        }
        allowance.give_back();
        assert_eq!(left(&allowance, 2 * STEP_BYTES), (Ok(()), 2));
        drop(allowance);
        assert_eq!(pot.0.load(Relaxed), 3 * STEP_BYTES);
        assert_eq!(Allowance::default().hold(u64::MAX), Ok(()));
    }
}
