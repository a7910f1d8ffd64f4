//! Large buffers that a network thread is through with. Giving one back takes the kernel tens of milliseconds if it
//! is one of the largest, page by page, in which nobody else would be served: the thread that watches memory does it.
//! Until then it counts as a buffer, or others would be let in for what is not free yet.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::admission::Admission;
use crate::engine::heavy::Work;
use crate::engine::node::Node;

/// What is given back by whoever is through with it: less than a tenth of a millisecond's work.
const LEFT_BYTES_MAX: usize = 1 << 20;

pub struct Rubbish {
    heap: Mutex<Heap>,
    admission: Arc<Admission>,
}

#[derive(Default)]
struct Heap {
    thrown: Vec<Box<dyn Send>>,
    bytes: u64,
}

impl Rubbish {
    pub fn new(admission: Arc<Admission>) -> Self {
        Self { heap: Mutex::default(), admission }
    }

    /// Drops something that holds so much, later if that takes long.
    pub fn throw(&self, what: impl Send + 'static, bytes: usize) {
        if bytes > LEFT_BYTES_MAX {
            let bytes = bytes as u64;
            self.admission.memory.buffers_changed(0, bytes);
            let mut heap = self.heap.lock();
            heap.thrown.push(Box::new(what));
            heap.bytes += bytes;
        }
    }

    /// Drops work that was not begun.
    fn discard(&self, work: Work) {
        // A transaction throws what is queued away by itself, wherever it ends.
        if !matches!(work, Work::Unit { .. }) {
            let bytes = work.held_bytes();
            self.throw(work, bytes);
        }
    }

    /// Called before each look at how much memory there is.
    pub fn empty(&self) {
        let Heap { thrown, bytes } = std::mem::take(&mut *self.heap.lock());
        drop(thrown);
        self.admission.memory.buffers_changed(bytes, 0);
    }
}

impl Node {
    /// Drops work that was not begun.
    pub fn discard(&self, work: Work) {
        self.rubbish.discard(work);
    }
}

#[cfg(test)]
mod tests {
    use command::OwnedArgs;

    use super::*;
    use crate::admission::memory::Thresholds;
    use crate::session::multi::{Exec, Multi};
    use crate::table::table;

    #[test]
    fn little_is_dropped_at_once_and_much_counts_until_it_is() {
        let admission = Arc::new(Admission::new(Thresholds::default()));
        let (rubbish, held) = (Rubbish::new(admission.clone()), Arc::new(()));
        let counts = || admission.memory.buffers_bytes();
        rubbish.throw(held.clone(), LEFT_BYTES_MAX);
        assert_eq!((Arc::strong_count(&held), counts()), (1, 0));
        rubbish.throw(held.clone(), LEFT_BYTES_MAX + 1);
        rubbish.throw(held.clone(), 2 * LEFT_BYTES_MAX);
        assert_eq!((Arc::strong_count(&held), counts()), (3, 3 * LEFT_BYTES_MAX as u64 + 1));
        rubbish.empty();
        assert_eq!((Arc::strong_count(&held), counts()), (1, 0));
    }

    #[test]
    fn a_large_transaction_is_thrown_once() {
        let admission = Arc::new(Admission::new(Thresholds::default()));
        let rubbish = Arc::new(Rubbish::new(admission.clone()));
        let (set, entry) = (table().find(b"set").unwrap(), table().find(b"exec").unwrap());
        let mut multi = Multi::default();
        multi.unit.rubbish = Some(rubbish.clone());
        (0..20_000).for_each(|_| drop(multi.queue(set, OwnedArgs::of([&b"set"[..], b"k", b"v"]))));
        let exec = Box::new(Exec { unit: multi.unit, watching: None });
        let held_bytes = exec.held_bytes() as u64;
        assert!(held_bytes > LEFT_BYTES_MAX as u64);
        rubbish.discard(Work::Unit { entry, args: OwnedArgs::default(), exec, database: 0, group: None });
        assert_eq!(admission.memory.buffers_bytes(), held_bytes);
        rubbish.empty();
        assert_eq!(admission.memory.buffers_bytes(), 0);
    }
}
