//! Where the log is written: by its own thread, or by a caller's that has nothing else to do until it is
//! written. Whoever sits at the desk takes all that is queued, so the order is the queue's.

use std::panic::{self, AssertUnwindSafe};

use parking_lot::Mutex;

use crate::{queue::Batch, wal::Shared, writer::Writer};

pub(crate) struct Desk(Mutex<Seat>);

struct Seat {
    writer: Writer,
    batch: Batch,
}

impl Desk {
    pub(crate) fn new(writer: Writer) -> Self {
        Self(Mutex::new(Seat { writer, batch: Batch::default() }))
    }

    /// The log thread: writes what is queued, until the log is closed.
    pub(crate) fn run(&self, shared: &Shared) {
        loop {
            shared.queue.wait();
            let mut seat = self.0.lock();
            if seat.round(shared) {
                return;
            }
        }
    }

    /// Writes what is queued, now and on this thread. Gives up at once if somebody is at it already.
    pub(crate) fn try_round(&self, shared: &Shared) -> bool {
        let Some(mut seat) = self.0.try_lock() else { return false };
        seat.round(shared);
        true
    }
}

impl Seat {
    /// Says whether the log is closed. Should it panic, by a callback's fault or ours, nobody must wait
    /// for ever.
    fn round(&mut self, shared: &Shared) -> bool {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.write(shared)));
        if outcome.is_err() {
            shared.panicked();
            shared.queue.close();
            let mut batch = Batch::default();
            shared.queue.take(&mut batch);
            for op in batch.ops {
                (op.done)(shared.poisoned().map_or(Ok(()), Err));
            }
        }
        outcome.unwrap_or(true)
    }

    fn write(&mut self, shared: &Shared) -> bool {
        shared.queue.take(&mut self.batch);
        self.writer.process(&mut self.batch);
        shared.queue.rest(self.writer.wants_alarm());
        self.batch.closed
    }
}
