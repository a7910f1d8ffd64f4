//! When a network thread has the open batch go on its way. At the end of a round, which is short where there are several peers; but
//! while much is written in each of them, the batch waits for some more: each batch costs the log, openraft and the store
//! something of its own, however small it is.

use std::time::{Duration, Instant};

/// Much is written in a round. Below that what comes next is not worth waiting for.
const MUCH_BYTES: usize = 1 << 10;
/// A batch that waits for more goes after so long at the latest: about what it takes one to be on disk.
const PAUSE: Duration = Duration::from_micros(500);

pub struct Batching {
    /// Of the commands of this round.
    written_bytes: usize,
    sent: Instant,
}

impl Batching {
    pub fn new(now: Instant) -> Self {
        Self { written_bytes: 0, sent: now }
    }

    pub fn wrote(&mut self, bytes: usize) {
        self.written_bytes += bytes;
    }

    /// A round has ended, and there is more to do or not: whether the batch goes now.
    pub fn is_due(&mut self, has_more: bool, now: Instant) -> bool {
        let is_much = std::mem::take(&mut self.written_bytes) >= MUCH_BYTES;
        let waits = has_more && is_much && now.saturating_duration_since(self.sent) < PAUSE;
        if !waits {
            self.sent = now;
        }
        !waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_waits_only_while_much_is_written_and_not_for_long() {
        let began = Instant::now();
        let at = |us| began + Duration::from_micros(us);
        let mut batching = Batching::new(began);
        let mut ends = |written: usize, has_more, us| {
            batching.wrote(written);
            batching.is_due(has_more, at(us))
        };
        assert!(ends(MUCH_BYTES - 1, true, 50));
        assert!(!ends(MUCH_BYTES, true, 100));
        assert!(!ends(MUCH_BYTES, true, 549));
        assert!(ends(MUCH_BYTES, true, 550));
        assert!(!ends(MUCH_BYTES, true, 600));
        assert!(ends(MUCH_BYTES, false, 650));
        assert!(!ends(MUCH_BYTES, true, 700));
        // What was written before does not count again.
        assert!(ends(0, true, 750));
    }
}
