//! The pace of work that nobody waits for, or that others must not wait for: it goes on in turns, and rests between two of them
//! while others write.

use std::thread;
use std::time::{Duration, Instant};

use base::Stamp;

/// Longer than those who write one after another wait for a batch: none of them writes meanwhile.
const ALONE_AFTER: Duration = Duration::from_millis(20);
/// A rest is not longer than this, whatever held up the turn before it.
const REST_MAX: Duration = Duration::from_millis(1);

/// How much of the time is left to others while they write: as much as is taken.
pub(crate) struct Pace {
    /// The last turn, and when it was over.
    turn: Stamp,
    over: Instant,
    /// When somebody else had written between two turns.
    others: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { turn: Stamp::ZERO, over: now, others: now }
    }

    /// A turn is over. Rests if somebody has written since the one before.
    pub(crate) fn turn(&mut self, before: Stamp, turn: Stamp) {
        if before > self.turn {
            thread::sleep(self.over.elapsed().min(REST_MAX));
            self.others = Instant::now();
        }
        self.turn = turn;
        self.over = Instant::now();
    }

    /// The turn that has to be submitted before the next one, if others write: a batch takes one along, which costs the
    /// log less than its fsync. It does not matter how much of theirs waits: that may be so at any time.
    pub(crate) fn comes_after(&self) -> Stamp {
        if self.others.elapsed() < ALONE_AFTER { self.turn } else { Stamp::ZERO }
    }
}
