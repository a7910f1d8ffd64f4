//! Ends what runs in the pool for too long. What runs looks by itself, between two steps, whether it is to go on; here
//! it is decided that it is not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::limits::HEAVY_UNHEARD_MS_MAX;
use store::Cancel;

use super::{Job, Work};
use crate::engine::snapshots::{Kind, Reader};
use crate::table::Entry;

pub(super) const TIMED_OUT: &str =
    "BUSY command took longer than heavy-timeout and was stopped; it has had no effect";
const UNHEARD: &str = "ERR cancelled: nobody listens any more";

/// What runs on one thread.
pub(super) struct Running {
    pub entry: &'static Entry,
    pub client: u64,
    since: Instant,
    cancel: Arc<Cancel>,
    may_be_stopped: bool,
    /// Reads from a snapshot of its own. A page's belongs to its reply.
    reads: bool,
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    GoesOn,
    TimedOut,
    /// Its client has closed its side for long enough.
    Unheard,
}

/// Decides about something that has run for so long.
fn fate(ran: Duration, limit: Option<Duration>, has_hung_up: bool) -> Fate {
    match limit {
        Some(limit) if ran >= limit => Fate::TimedOut,
        _ if is_forgotten(ran, || has_hung_up) => Fate::Unheard,
        _ => Fate::GoesOn,
    }
}

/// Whether nobody wants to hear any more of something that has run, or waited, for so long.
pub(super) fn is_forgotten(took: Duration, has_hung_up: impl FnOnce() -> bool) -> bool {
    took >= Duration::from_millis(HEAVY_UNHEARD_MS_MAX) && has_hung_up()
}

impl Running {
    pub fn new(job: &Job) -> Self {
        let (cancel, may_be_stopped) = (job.cancel.clone(), job.work.may_be_stopped());
        let (entry, client) = (job.work.entry(), job.caller.client);
        let reads = may_be_stopped && !matches!(job.work, Work::Page(_));
        Self { entry, client, since: Instant::now(), cancel, may_be_stopped, reads }
    }

    /// Stops it if it is time. What has been stopped by others is theirs.
    pub fn look(&self, limit: Option<Duration>, has_hung_up: impl FnOnce() -> bool) -> Fate {
        if !self.may_be_stopped || self.cancel.is_cancelled() {
            return Fate::GoesOn;
        }
        let fate = fate(self.since.elapsed(), limit, has_hung_up());
        match fate {
            Fate::GoesOn => {}
            Fate::TimedOut => self.cancel.cancel_because(TIMED_OUT.to_owned()),
            Fate::Unheard => self.cancel.cancel_because(UNHEARD.to_owned()),
        }
        fate
    }

    /// Who keeps a snapshot that it could be made to let go.
    pub fn reader(&self) -> Option<Reader> {
        let is_one = self.reads && !self.cancel.is_cancelled();
        is_one.then_some(Reader { client: self.client, since: self.since, kind: Kind::Heavy })
    }

    pub fn end(&self, why: &str) {
        self.cancel.cancel_because(why.to_owned());
    }

    pub fn took(&self) -> Duration {
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_stopped_when_it_is_time() {
        const UNHEARD_MS: u64 = HEAVY_UNHEARD_MS_MAX;
        for (ran_ms, limit_ms, has_hung_up, expected) in [
            (99, Some(100), false, Fate::GoesOn),
            (100, Some(100), false, Fate::TimedOut),
            (u64::MAX, None, false, Fate::GoesOn),
            (UNHEARD_MS - 1, None, true, Fate::GoesOn),
            (UNHEARD_MS, None, true, Fate::Unheard),
            (UNHEARD_MS, Some(UNHEARD_MS), true, Fate::TimedOut),
            (UNHEARD_MS, Some(60_000), true, Fate::Unheard),
        ] {
            let found = fate(Duration::from_millis(ran_ms), limit_ms.map(Duration::from_millis), has_hung_up);
            assert_eq!(found, expected, "{ran_ms} {limit_ms:?} {has_hung_up}");
        }
    }
}
