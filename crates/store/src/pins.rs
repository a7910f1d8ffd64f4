//! Which snapshots are in use. What a pinned view may ask for is neither pruned nor evicted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use base::Stamp;
use parking_lot::Mutex;

use crate::table::Keep;

#[derive(Clone, Copy)]
struct Pinned {
    id: u64,
    view: Stamp,
    /// What the store held for sure when its snapshot was taken.
    applied: Stamp,
}

/// The views in use, and how far the store is.
#[derive(Default)]
pub struct Pins {
    pinned: Mutex<Vec<Pinned>>,
    /// Mirrors `pinned.len()`: most of the time nothing is pinned and nobody needs the lock.
    count: AtomicUsize,
    next_id: AtomicU64,
    applied: AtomicU64,
    /// What the store holds or is about to hold; and how often that changed.
    applying: AtomicU64,
    generation: AtomicU64,
}

/// Keeps a view's versions alive until it is dropped.
pub struct PinGuard {
    pins: Arc<Pins>,
    id: u64,
    pub view: Stamp,
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        let mut pinned = self.pins.pinned.lock();
        pinned.retain(|p| p.id != self.id);
        self.pins.count.store(pinned.len(), Ordering::SeqCst);
    }
}

impl Pins {
    /// Pins `view`. IMPORTANT: the caller holds the sequencer's lock, or a write could replace what
    /// the view needs before it is known to be needed.
    pub fn pin(self: &Arc<Self>, view: Stamp) -> PinGuard {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut pinned = self.pinned.lock();
        pinned.push(Pinned { id, view, applied: self.applied() });
        self.count.store(pinned.len(), Ordering::SeqCst);
        drop(pinned);
        PinGuard { pins: self.clone(), id, view }
    }

    /// Everything up to here is in the store.
    pub fn applied(&self) -> Stamp {
        Stamp(self.applied.load(Ordering::SeqCst))
    }

    pub fn set_applied(&self, applied: Stamp) {
        self.applied.store(applied.0, Ordering::SeqCst);
    }

    /// The store begins to write everything up to here.
    pub fn set_applying(&self, applying: Stamp) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.applying.store(applying.0, Ordering::SeqCst);
    }

    pub fn applying(&self) -> Stamp {
        Stamp(self.applying.load(Ordering::SeqCst))
    }

    /// Changes before the store does: what was read under one generation is not stale while the
    /// generation lasts.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    pub fn keep(&self) -> Keep {
        // IMPORTANT: the store's progress is read first. A view pinned after this line was taken
        // when the store held at least that much, so what is evicted is in its snapshot.
        let applied = self.applied();
        if self.count.load(Ordering::SeqCst) == 0 {
            return Keep { views: None, everywhere: applied, stored: applied };
        }
        let pinned = self.pinned.lock();
        let oldest = pinned.iter().map(|p| p.view).min();
        let newest = pinned.iter().map(|p| p.view).max();
        let everywhere = pinned.iter().map(|p| p.applied).min().map_or(applied, |p| p.min(applied));
        Keep { views: oldest.zip(newest), everywhere, stored: applied }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_holds_back_eviction_until_it_is_dropped() {
        let pins = Arc::new(Pins::default());
        pins.set_applied(Stamp(10));
        let pin = pins.pin(Stamp(15));
        pins.set_applied(Stamp(20));
        let keep = pins.keep();
        assert_eq!(keep.everywhere, Stamp(10));
        assert_eq!(keep.views, Some((Stamp(15), Stamp(15))));
        drop(pin);
        assert_eq!(pins.keep().everywhere, Stamp(20));
        assert_eq!(pins.keep().views, None);
    }
}
