//! CLIENT PAUSE: commands that are to run wait, without a thread, until the pause is over. Who asks is told
//! by one load that there is none.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use command::{Flags, flags};
use parking_lot::Mutex;

use crate::session::Session;
use crate::table::Entry;

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    #[default]
    Nothing,
    Writes,
    All,
}

/// What a command has if it may write.
const WRITES: [Flags; 3] = [flags::WRITE, flags::MAY_REPLICATE, flags::MAY_WRITE];
/// Whoever has paused everything is not left to wait for the end: in Redis they are.
const ENDS_IT: &str = "client|unpause";

#[derive(Default)]
struct Current {
    paused: Paused,
    until: Option<Instant>,
}

#[derive(Default)]
pub struct Pause {
    current: Mutex<Current>,
    /// Whether there is something to look at. A pause that is over may still be noted.
    noted: AtomicU8,
    /// How many pauses were ended before their time: who waited for one of them looks again.
    ended: AtomicU64,
}

impl Pause {
    /// Pauses until then, or longer if that was said before. What was paused altogether stays so.
    pub fn begin(&self, what: Paused, until: Instant) {
        let mut current = self.current.lock();
        Self::expire(&mut current);
        current.paused = current.paused.max(what);
        current.until = current.until.max(Some(until));
        self.noted.store(1, Ordering::SeqCst);
    }

    pub fn end(&self) {
        let mut current = self.current.lock();
        *current = Current::default();
        self.noted.store(0, Ordering::SeqCst);
        self.ended.fetch_add(1, Ordering::SeqCst);
    }

    fn expire(current: &mut Current) {
        if current.until.is_some_and(|until| until <= Instant::now()) {
            *current = Current::default();
        }
    }

    /// What is paused, and until when.
    pub fn current(&self) -> (Paused, Option<Instant>) {
        if self.noted.load(Ordering::Relaxed) == 0 {
            return (Paused::Nothing, None);
        }
        let mut current = self.current.lock();
        Self::expire(&mut current);
        if current.until.is_none() {
            self.noted.store(0, Ordering::SeqCst);
        }
        (current.paused, current.until)
    }

    /// How much longer.
    pub fn left(&self) -> Option<Duration> {
        self.current().1.map(|until| until.saturating_duration_since(Instant::now()))
    }

    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Whether something has to wait: a command, a transaction or a script that may write, or not.
    pub fn holds(&self, writes: bool) -> bool {
        match self.current().0 {
            Paused::Nothing => false,
            Paused::Writes => writes,
            Paused::All => true,
        }
    }

    /// Whether a client's command has to wait.
    pub fn holds_command(&self, session: &Session, entry: &Entry) -> bool {
        if self.noted.load(Ordering::Relaxed) == 0 || entry.row.name == ENDS_IT {
            return false;
        }
        self.holds(may_write(entry) || (entry.row.name == "exec" && session.queued().any(may_write)))
    }
}

fn may_write(entry: &Entry) -> bool {
    WRITES.iter().any(|flag| entry.row.flags.has(*flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_pause_is_extended_and_never_weakened() {
        let pause = Pause::default();
        let now = Instant::now();
        assert_eq!(pause.current(), (Paused::Nothing, None));
        pause.begin(Paused::Writes, now + LONG);
        assert!(pause.holds(true) && !pause.holds(false));
        pause.begin(Paused::All, now + Duration::from_secs(1));
        assert_eq!(pause.current(), (Paused::All, Some(now + LONG)));
        pause.begin(Paused::Writes, now + 2 * LONG);
        assert_eq!(pause.current(), (Paused::All, Some(now + 2 * LONG)));
        let before = pause.ended();
        pause.end();
        assert!(!pause.holds(true) && pause.ended() > before);
    }

    #[test]
    fn a_pause_ends_by_itself() {
        let pause = Pause::default();
        pause.begin(Paused::All, Instant::now());
        assert_eq!(pause.current(), (Paused::Nothing, None));
        pause.begin(Paused::Writes, Instant::now() + LONG);
        assert_eq!(pause.current().0, Paused::Writes, "what is over is not taken over");
    }
}
