//! How much memory there is left, and what goes on while it is short.
//!
//! What counts is the resident set, looked at ten times a second, or fifty times when much is in use, against two thresholds. What clients hold
//! (buffers, what they have queued, what waits with them, and names that are noted for them) is what may grow by much in between: it is counted, and memory
//! is short at once when it grows too far.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base::limits;
use parking_lot::Mutex;
use store::Source;

/// A flush takes its time.
const FLUSH_PAUSE: Duration = Duration::from_secs(2);

/// What running work holds counts so many times: when it is told, what it has read is there twice, as values and as a
/// reply.
const WORK_TIMES: u64 = 2;

/// As Redis says it.
pub const OOM: &str = "OOM command not allowed when used memory > 'maxmemory'.";
/// What heavy work is told.
pub const BUSY: &str = "BUSY the server is short of memory, retry later";

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Pressure {
    #[default]
    None = 0,
    /// Near the soft threshold: caches give back what they can.
    Tight = 1,
    /// Above it: what would take more is refused, and clients that hold much are disconnected.
    Short = 2,
    /// Above the hard threshold: as above, and without a pause.
    Critical = 3,
}

impl Pressure {
    const ALL: [Self; 4] = [Self::None, Self::Tight, Self::Short, Self::Critical];

    /// As INFO calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tight => "tight",
            Self::Short => "short",
            Self::Critical => "critical",
        }
    }
}

/// Zero for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    pub soft_bytes: u64,
    pub hard_bytes: u64,
}

impl Thresholds {
    /// What is not said follows from what there is.
    pub fn new(soft: Option<u64>, hard: Option<u64>, available: Option<u64>) -> Result<Self, String> {
        let hard_bytes = hard.unwrap_or_else(|| share(available.unwrap_or(0), limits::MEMORY_HARD_PERCENT));
        let soft_bytes = soft.unwrap_or_else(|| share(hard_bytes, limits::MEMORY_SOFT_PERCENT));
        let thresholds = Self { soft_bytes, hard_bytes };
        thresholds.check()?;
        Ok(thresholds)
    }

    /// Whether they fit together, however they came about.
    pub fn check(&self) -> Result<(), String> {
        let Self { soft_bytes, hard_bytes } = self;
        if *hard_bytes > 0 && soft_bytes > hard_bytes {
            return Err(format!(
                "memory-soft is {soft_bytes} bytes, and memory-hard {hard_bytes}: it must not be more"
            ));
        }
        Ok(())
    }

    /// Where memory is not short any more: somewhat below the lowest threshold that there is.
    fn calm(&self) -> u64 {
        let lowest = if self.soft_bytes > 0 { self.soft_bytes } else { self.hard_bytes };
        lowest - share(lowest, limits::MEMORY_SLACK_PERCENT)
    }

    /// The way from which threshold on a pressure is.
    fn of(&self, pressure: Pressure) -> u64 {
        match pressure {
            Pressure::None => 0,
            Pressure::Tight => share(self.soft_bytes, limits::MEMORY_TIGHT_PERCENT),
            Pressure::Short => self.soft_bytes,
            Pressure::Critical => self.hard_bytes,
        }
    }
}

fn share(bytes: u64, percent: u64) -> u64 {
    bytes / 100 * percent
}

/// How short memory is, from what is resident, and how short it was. What has been reached is left a little later.
pub fn decide(thresholds: &Thresholds, resident_bytes: u64, was: Pressure) -> Pressure {
    let is_at = |pressure: &Pressure| {
        let from = thresholds.of(*pressure);
        let slack = if was >= *pressure { share(from, limits::MEMORY_SLACK_PERCENT) } else { 0 };
        *pressure == Pressure::None || (from > 0 && resident_bytes >= from - slack)
    };
    Pressure::ALL.into_iter().rev().find(is_at).unwrap_or_default()
}

/// What is resident while memory is short, and for how many looks it has not become more.
///
/// The allocator keeps what one thread has allocated and another one has freed until the first one works again. So if
/// everything that needs memory is refused, nothing may ever be given back. What does not become more for a while
/// is therefore taken to serve what comes next; and if it does become more, things are as before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Still {
    resident_bytes: u64,
    looks: u32,
}

impl Still {
    fn next(self, thresholds: &Thresholds, resident_bytes: u64, pressure: Pressure) -> Self {
        let upto =
            self.resident_bytes.saturating_add(share(thresholds.soft_bytes, limits::MEMORY_STILL_PERCENT));
        match pressure {
            Pressure::Short if resident_bytes <= upto => Self {
                resident_bytes: self.resident_bytes.min(resident_bytes),
                looks: self.looks.saturating_add(1),
            },
            Pressure::Short => Self { resident_bytes, looks: 0 },
            _ => Self::default(),
        }
    }

    /// How much may become resident before it is refused what would take more.
    fn left_bytes(self, thresholds: &Thresholds, resident_bytes: u64) -> u64 {
        let soft_bytes = thresholds.soft_bytes;
        let most = soft_bytes.saturating_add(share(soft_bytes, limits::MEMORY_REUSED_PERCENT));
        let again = self.resident_bytes.saturating_add(share(soft_bytes, limits::MEMORY_STILL_PERCENT));
        let is_still = self.looks >= limits::MEMORY_STILL_LOOKS;
        let upto = if is_still { soft_bytes.max(again.min(most)) } else { soft_bytes };
        upto.saturating_sub(resident_bytes)
    }
}

/// What is known of a client that may be disconnected to free memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub client: u64,
    /// All that it holds.
    pub bytes: u64,
    /// As CLIENT NO-EVICT says.
    pub is_spared: bool,
}

/// Whom to disconnect so that so much is freed: the fattest first, and nobody who holds little.
pub fn choose(mut holders: Vec<Holder>, excess_bytes: u64) -> Vec<Holder> {
    holders.retain(|holder| !holder.is_spared && holder.bytes >= limits::CLIENT_EVICTED_BYTES_MIN);
    holders.sort_unstable_by_key(|holder| (std::cmp::Reverse(holder.bytes), holder.client));
    let mut freed = 0_u64;
    let is_needed = |holder: &Holder| {
        let is_needed = freed < excess_bytes;
        freed = freed.saturating_add(holder.bytes);
        is_needed
    };
    holders.into_iter().take_while(is_needed).collect()
}

/// What is in force.
#[derive(Default)]
pub struct Memory {
    soft_bytes: AtomicU64,
    hard_bytes: AtomicU64,
    resident_bytes: AtomicU64,
    /// A [`Pressure`].
    pressure: AtomicU8,
    /// Whether what takes memory is refused.
    is_short: AtomicBool,
    still: Mutex<Still>,
    /// Clients' buffers.
    buffers_bytes: AtomicU64,
    /// What running work holds.
    work_bytes: AtomicU64,
    /// How much both may become before the next look: what is left is there once, whoever comes first.
    held_bytes_max: AtomicU64,
    evicted: Mutex<Option<Instant>>,
    flushed: Mutex<Option<Instant>>,
    pub stats: MemoryStats,
}

#[derive(Default)]
pub struct MemoryStats {
    /// Heavy work that was told BUSY.
    pub busy: AtomicU64,
    pub evicted_clients: AtomicU64,
    pub evicted_bytes: AtomicU64,
    /// How often memory became short.
    pub shortages: AtomicU64,
}

impl Memory {
    pub fn thresholds(&self) -> Thresholds {
        let (soft_bytes, hard_bytes) = (self.soft_bytes.load(Relaxed), self.hard_bytes.load(Relaxed));
        Thresholds { soft_bytes, hard_bytes }
    }

    pub fn set_thresholds(&self, thresholds: Thresholds) {
        self.soft_bytes.store(thresholds.soft_bytes, Relaxed);
        self.hard_bytes.store(thresholds.hard_bytes, Relaxed);
        self.look(self.resident_bytes.load(Relaxed));
    }

    pub fn resident_bytes(&self) -> u64 {
        self.resident_bytes.load(Relaxed)
    }

    /// Whether so much is resident that it has to be looked at often.
    pub fn is_near(&self) -> bool {
        let near_bytes = share(self.soft_bytes.load(Relaxed), limits::MEMORY_NEAR_PERCENT);
        near_bytes > 0 && self.resident_bytes() >= near_bytes
    }

    /// When to look again.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(if self.is_near() {
            limits::MEMORY_LOOK_NEAR_MS
        } else {
            limits::MEMORY_LOOK_MS
        })
    }

    pub fn buffers_bytes(&self) -> u64 {
        self.buffers_bytes.load(Relaxed)
    }

    pub fn pressure(&self) -> Pressure {
        let level = self.pressure.load(Relaxed);
        Pressure::ALL.into_iter().find(|pressure| *pressure as u8 == level).unwrap_or_default()
    }

    /// Whether what takes memory is refused. Asked before every write: one load.
    pub fn is_short(&self) -> bool {
        self.is_short.load(Relaxed)
    }

    /// So much is resident now: decides anew.
    pub fn look(&self, resident_bytes: u64) -> Pressure {
        let (thresholds, was) = (self.thresholds(), self.pressure());
        let pressure = decide(&thresholds, resident_bytes, was);
        self.resident_bytes.store(resident_bytes, Relaxed);
        let mut still = self.still.lock();
        *still = still.next(&thresholds, resident_bytes, pressure);
        let left = match thresholds.soft_bytes {
            0 => u64::MAX,
            _ => still.left_bytes(&thresholds, resident_bytes),
        };
        drop(still);
        // What running work has read so far is resident, its replies are still to come: they come out of what is left.
        let held = self.buffers_bytes().saturating_add(self.work_bytes());
        self.held_bytes_max.store(held.saturating_add(left), Relaxed);
        let is_short = pressure == Pressure::Critical || (pressure == Pressure::Short && left == 0);
        self.is_short.store(is_short, Relaxed);
        self.change(was, pressure);
        pressure
    }

    fn change(&self, was: Pressure, pressure: Pressure) {
        self.pressure.store(pressure as u8, Relaxed);
        if was == pressure {
            return;
        }
        let Thresholds { soft_bytes, hard_bytes } = self.thresholds();
        let (resident_bytes, buffers_bytes) = (self.resident_bytes(), self.buffers_bytes());
        if pressure < Pressure::Short {
            let pressure = pressure.name();
            tracing::info!(pressure, resident_bytes, buffers_bytes, soft_bytes, hard_bytes, "memory");
            return;
        }
        self.stats.shortages.fetch_add(u64::from(was < Pressure::Short), Relaxed);
        let pressure = pressure.name();
        tracing::warn!(
            pressure,
            resident_bytes,
            buffers_bytes,
            soft_bytes,
            hard_bytes,
            "memory is short: heavy work, writes that need more and new connections are refused"
        );
    }

    /// What a client holds has changed, or what was thrown away and is not freed yet.
    pub(crate) fn buffers_changed(&self, before: u64, after: u64) {
        if after < before {
            self.buffers_bytes.fetch_sub(before - after, Relaxed);
            return;
        }
        self.buffers_bytes.fetch_add(after - before, Relaxed);
        let held = self.buffers_bytes().saturating_add(self.work_bytes());
        if held > self.held_bytes_max.load(Relaxed) && !self.is_short() {
            // Whatever the next look makes of it, which is soon.
            self.is_short.store(true, Relaxed);
            let was = self.pressure();
            self.change(was, was.max(Pressure::Short));
        }
    }

    pub fn work_bytes(&self) -> u64 {
        self.work_bytes.load(Relaxed)
    }

    /// Whether the store should write to tables what it has in memory; true once in a while.
    pub fn should_flush(&self, now: Instant) -> bool {
        let mut flushed = self.flushed.lock();
        let due = flushed.is_none_or(|at| now.saturating_duration_since(at) >= FLUSH_PAUSE);
        if due {
            *flushed = Some(now);
        }
        due
    }

    /// How much has to be freed now by disconnecting clients. What was freed shows only at later looks: there is a
    /// pause between two times, unless it is critical.
    pub fn excess(&self, now: Instant) -> Option<u64> {
        let (thresholds, pressure) = (self.thresholds(), self.pressure());
        if pressure < Pressure::Short {
            return None;
        }
        let mut evicted = self.evicted.lock();
        let pause = Duration::from_millis(limits::EVICTION_PAUSE_MS);
        let has_paused = evicted.is_none_or(|at| now.saturating_duration_since(at) >= pause);
        if pressure < Pressure::Critical && !has_paused {
            return None;
        }
        *evicted = Some(now);
        Some(self.resident_bytes().saturating_sub(thresholds.calm()).max(1))
    }
}

impl Source for Memory {
    fn take(&self, bytes: u64) -> bool {
        let (buffers, held_max) = (self.buffers_bytes(), self.held_bytes_max.load(Relaxed));
        let fits = |work: &u64| buffers.saturating_add(work.saturating_mul(WORK_TIMES)) <= held_max;
        let more = |work: u64| work.checked_add(bytes).filter(fits);
        let is_taken = self.work_bytes.fetch_update(Relaxed, Relaxed, more).is_ok();
        self.stats.busy.fetch_add(u64::from(!is_taken), Relaxed);
        is_taken
    }

    fn give_back(&self, bytes: u64) {
        self.work_bytes.fetch_sub(bytes, Relaxed);
    }

    fn refusal(&self) -> &'static str {
        BUSY
    }
}

#[cfg(test)]
mod tests;
