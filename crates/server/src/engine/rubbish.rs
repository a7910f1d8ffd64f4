//! Large buffers that a network thread is through with. Giving one back takes the kernel tens of milliseconds if it
//! is one of the largest, page by page, in which nobody else would be served: the maintenance thread does it.

use parking_lot::Mutex;

use crate::engine::heavy::Work;
use crate::engine::node::Node;

/// What is given back by whoever is through with it: less than a tenth of a millisecond's work.
const LEFT_BYTES_MAX: usize = 1 << 20;

#[derive(Default)]
pub struct Rubbish(Mutex<Vec<Box<dyn Send>>>);

impl Rubbish {
    /// Drops something that holds so much, later if that takes long.
    pub fn throw(&self, what: impl Send + 'static, bytes: usize) {
        if bytes > LEFT_BYTES_MAX {
            self.0.lock().push(Box::new(what));
        }
    }

    /// Called by the maintenance thread once a round.
    pub fn empty(&self) {
        let thrown = std::mem::take(&mut *self.0.lock());
        drop(thrown);
    }
}

impl Node {
    /// Drops work that was not begun.
    pub fn discard(&self, work: Work) {
        let bytes = work.held_bytes();
        self.rubbish.throw(work, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn little_is_dropped_at_once_and_much_when_it_is_emptied() {
        let (rubbish, held) = (Rubbish::default(), Arc::new(()));
        rubbish.throw(held.clone(), LEFT_BYTES_MAX);
        assert_eq!(Arc::strong_count(&held), 1);
        rubbish.throw(held.clone(), LEFT_BYTES_MAX + 1);
        assert_eq!(Arc::strong_count(&held), 2);
        rubbish.empty();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
