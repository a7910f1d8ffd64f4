//! What may be set while the node runs, and is looked at on the way of each command.

use std::sync::atomic::{AtomicI64, Ordering};

/// A setting that any thread may read and change.
#[derive(Debug)]
pub struct Setting(AtomicI64);

impl Setting {
    pub(crate) const fn new(value: i64) -> Self {
        Self(AtomicI64::new(value))
    }

    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.get()).unwrap_or(0)
    }
}
