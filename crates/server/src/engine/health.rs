//! Whether a node may take writes. Decided from what its log, its stores and its disk say, looked at
//! often; reads go on as long as there is something to read.
//!
//! IMPORTANT: the log and the store share a disk, and they fail differently when it is full. The log
//! says so and goes on when there is room again. The store's engine never works again in its process
//! once a write of its own, a flush or a compaction has failed. So writes are refused while there is
//! still room for everything that has been accepted: the store is never the one that runs out.

use std::path::PathBuf;
#[cfg(debug_assertions)]
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

#[cfg(debug_assertions)]
use crate::session::faults::Faults;

/// What the log takes for the next segment, whether or not writes are refused by then.
const LOG_BYTES: u64 = 64 << 20;
/// What is written between two looks: 100 ms of a fast disk.
const LOOK_BYTES: u64 = 64 << 20;
/// What one compaction of the store needs before it gives back what it replaces: it rewrites a few
/// tables of at most 64 MiB at a time. A small store is rewritten as a whole.
const COMPACTION_BYTES_MAX: u64 = 1 << 30;
/// Metadata, and what is written at the same time.
const APPLY_SLACK_BYTES: u64 = 4 << 20;
/// Between two tries to make room: a purge and a flush take their time.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// What writes that free room may take of the reserve when others are refused. IMPORTANT: a part of
/// [`LOOK_BYTES`] only, for they are small. The log takes its segment whenever it likes, and what is left
/// for a compaction and for what is owed must not become less by that.
const FREEING_BYTES: u64 = LOOK_BYTES / 2;
/// Once refused for lack of room, writes are taken again when there is so much more than needed.
const RESUME_BYTES: u64 = 16 << 20;

/// The disk, and what is going to be written to it without any further write of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Free on the file system.
    pub free: u64,
    /// In the log and not yet in the store.
    pub pending: u64,
    /// In the store's memory and not yet in its tables.
    pub buffered: u64,
    /// Size of the store's tables.
    pub stored: u64,
}

impl Space {
    /// What must be free so that everything accepted finds its place.
    pub fn reserve(&self) -> u64 {
        // What is pending is written twice: to the store's journal, and to its tables.
        let owed = self.pending.saturating_mul(2).saturating_add(self.buffered);
        owed.saturating_add(self.stored.min(COMPACTION_BYTES_MAX) + LOG_BYTES + LOOK_BYTES)
    }

    /// Whether the store may be given so many bytes that are pending. Less than the reserve, of which
    /// this is what it is kept for.
    pub fn has_room_for(&self, bytes: u64) -> bool {
        self.free >= bytes.saturating_mul(2).saturating_add(self.buffered).saturating_add(APPLY_SLACK_BYTES)
    }

    /// Whether it is time to give back what the log and the store keep only for convenience: entries
    /// that the store has, journals of what could be in tables.
    fn is_tight(&self) -> bool {
        self.free < self.reserve().saturating_add(self.reserve() / 2)
    }

    /// Whether what is in the store's memory may be written to tables now.
    pub fn has_room_to_flush(&self) -> bool {
        self.has_room_for(0)
    }

    fn is_short(&self, was_short: bool) -> bool {
        self.free < self.reserve().saturating_add(if was_short { RESUME_BYTES } else { 0 })
    }

    /// Whether even what would free room is too much.
    fn is_exhausted(&self, was_exhausted: bool) -> bool {
        self.free.saturating_add(FREEING_BYTES)
            < self.reserve().saturating_add(if was_exhausted { RESUME_BYTES } else { 0 })
    }
}

/// Knows how much is free where the data is.
#[derive(Clone)]
pub struct Room {
    pub path: PathBuf,
    #[cfg(debug_assertions)]
    pub faults: Arc<Faults>,
}

impl Room {
    /// What is free for us; nothing if the file system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        #[cfg(debug_assertions)]
        if let Some(bytes) = self.faults.free_bytes() {
            return Some(bytes);
        }
        let found = rustix::fs::statvfs(&self.path).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// What the decision is made from.
#[derive(Debug, Default)]
pub struct Signs {
    /// Why the log failed for good.
    pub poisoned: Option<String>,
    /// The log's disk has room for another entry of the largest size.
    pub has_room: bool,
    /// Why a store failed for good.
    pub store_failed: Option<String>,
    /// Nothing if the file system does not say.
    pub space: Option<Space>,
    /// What is refused already.
    pub refusing: Refusing,
}

/// Which writes are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
#[repr(u8)]
pub enum Refusing {
    #[default]
    Nothing = 0,
    /// Those that may need more room for good.
    Growth = 1,
    Everything = 2,
}

/// Which writes are refused, and why, as the client is told; `None` if all are taken.
pub fn refusal(signs: &Signs) -> Option<(Refusing, String)> {
    let all = |why| Some((Refusing::Everything, why));
    if let Some(why) = &signs.poisoned {
        return all(format!("MISCONF the log failed and this node has to be restarted: {why}"));
    }
    if let Some(why) = &signs.store_failed {
        return all(format!("MISCONF the store failed and this node has to be restarted: {why}"));
    }
    let was = signs.refusing;
    if !signs.has_room || signs.space.is_some_and(|space| space.is_exhausted(was >= Refusing::Everything)) {
        return all(FULL.to_owned());
    }
    let short = signs.space.is_some_and(|space| space.is_short(was >= Refusing::Growth));
    short.then(|| (Refusing::Growth, FULL.to_owned()))
}

const FULL: &str = "MISCONF the disk is full; writes are refused until there is room";

/// The decision in force.
#[derive(Default)]
pub struct Health {
    /// A [`Refusing`].
    refusing: AtomicU8,
    why: Mutex<Option<(Refusing, String)>>,
    /// When the log and the store were last asked to give back room.
    tidied: Mutex<Option<Instant>>,
}

impl Health {
    /// Says whether this is another decision than before.
    pub fn set(&self, why: Option<(Refusing, String)>) -> bool {
        let mut current = self.why.lock();
        if *current == why {
            return false;
        }
        match &why {
            Some((Refusing::Growth, why)) => tracing::error!("{why}; what frees room is taken"),
            Some((_, why)) => tracing::error!("{why}"),
            None => tracing::info!("writes are taken again"),
        }
        let refusing = why.as_ref().map_or(Refusing::Nothing, |(refusing, _)| *refusing);
        self.refusing.store(refusing as u8, Ordering::SeqCst);
        *current = why;
        true
    }

    /// Whether the log and the store should be asked to give back room; true once in a while.
    pub fn should_tidy(&self, space: &Space, now: Instant) -> bool {
        let mut tidied = self.tidied.lock();
        let due = tidied.is_none_or(|at| now.saturating_duration_since(at) >= TIDY_EVERY);
        let should = due && space.is_tight();
        if should {
            *tidied = Some(now);
        }
        should
    }

    /// Why a write is refused, which `grows` the data for all its row says. Asked before every write:
    /// one atomic load while all is well.
    pub fn refusal(&self, grows: bool) -> Option<String> {
        let refused = if grows { Refusing::Growth } else { Refusing::Everything };
        if self.refusing.load(Ordering::Relaxed) < refused as u8 {
            return None;
        }
        self.why.lock().as_ref().map(|(_, why)| why.clone())
    }

    /// What is refused.
    pub fn refusing(&self) -> Refusing {
        self.why.lock().as_ref().map_or(Refusing::Nothing, |(refusing, _)| *refusing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(signs: Signs, expected: Option<&str>) {
        let health = Health::default();
        health.set(refusal(&signs));
        let found = health.refusal(false);
        assert_eq!(found.is_some(), expected.is_some(), "{signs:?}");
        assert!(found.is_none_or(|why| why.contains(expected.unwrap_or_default())), "{signs:?}");
    }

    #[test]
    fn writes_are_refused_when_they_could_not_be_kept() {
        let well = || Signs { has_room: true, ..Signs::default() };
        check(well(), None);
        check(Signs { has_room: false, ..well() }, Some("disk is full"));
        check(Signs { poisoned: Some("fsync".into()), ..well() }, Some("log failed"));
        check(Signs { store_failed: Some("i/o".into()), ..well() }, Some("store failed"));
    }

    #[test]
    fn writes_are_refused_before_what_was_accepted_finds_no_room() {
        const MIB: u64 = 1 << 20;
        let refuses = |space, refusing| {
            let signs = Signs { has_room: true, space: Some(space), refusing, ..Signs::default() };
            refusal(&signs).map_or(Refusing::Nothing, |(refusing, _)| refusing)
        };
        let refused = |space, refusing| {
            let was = if refusing { Refusing::Growth } else { Refusing::Nothing };
            refuses(space, was) != Refusing::Nothing
        };
        let empty = Space { free: 0, ..Space::default() };
        assert!(refused(empty, false));
        for (pending, buffered, stored, needed) in [
            (0, 0, 0, 128),
            // Once to the journal, once to the tables.
            (100, 0, 0, 328),
            (0, 50, 0, 178),
            // A small store is rewritten as a whole, a large one in parts.
            (0, 0, 300, 428),
            (0, 0, 1 << 20, 128 + 1024),
        ] {
            let (pending, buffered, stored) = (pending * MIB, buffered * MIB, stored * MIB);
            let space = |free| Space { free, pending, buffered, stored };
            let needed = needed * MIB;
            assert_eq!(space(0).reserve(), needed);
            assert!(!refused(space(needed), false));
            assert!(refused(space(needed - 1), false));
            // Not to and fro at the edge.
            assert!(refused(space(needed), true));
            assert!(!refused(space(needed + RESUME_BYTES), true));
            // What frees room is taken a while longer.
            let (last, was) = (needed - FREEING_BYTES, Refusing::Everything);
            assert_eq!(refuses(space(last), Refusing::Growth), Refusing::Growth);
            assert_eq!(refuses(space(last - 1), Refusing::Growth), was);
            assert_eq!(refuses(space(last + RESUME_BYTES - 1), was), was);
            assert_eq!(refuses(space(last + RESUME_BYTES), was), Refusing::Growth);
        }
        let most = Space { free: u64::MAX, pending: u64::MAX, buffered: u64::MAX, stored: 0 };
        assert_eq!(most.reserve(), u64::MAX);
    }

    #[test]
    fn room_is_given_back_before_it_is_missing_and_not_all_the_time() {
        let health = Health::default();
        let space = |free_mib: u64| Space { free: free_mib << 20, ..Space::default() };
        let start = Instant::now();
        // The reserve is 128 MiB.
        assert!(!health.should_tidy(&space(192), start));
        assert!(health.should_tidy(&space(191), start));
        assert!(!health.should_tidy(&space(0), start + TIDY_EVERY / 2));
        assert!(health.should_tidy(&space(0), start + TIDY_EVERY));
        assert!(!space(0).has_room_to_flush() && space(191).has_room_to_flush());
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_file_system_says_what_is_free() {
        let faults = Arc::new(Faults::default());
        let room = |path: &str| Room { path: path.into(), faults: faults.clone() };
        assert!(room("/").free_bytes().is_some());
        assert_eq!(room("/no/such/place").free_bytes(), None);
    }

    #[test]
    fn the_store_is_given_what_the_reserve_was_kept_for() {
        for (pending, buffered, stored) in [(0, 0, 0), (200 << 20, 100 << 20, 0), (256 << 20, 0, 1 << 40)] {
            let space = Space { free: 0, pending, buffered, stored };
            assert!(!space.has_room_for(pending));
            // Even if the log and a compaction have taken what was kept for them.
            let free = space.reserve() - LOG_BYTES - stored.min(COMPACTION_BYTES_MAX);
            assert!(Space { free, ..space }.has_room_for(pending));
            // And writes that free room have had their part.
            assert!(Space { free: free - FREEING_BYTES, ..space }.has_room_for(pending));
        }
    }

    #[test]
    fn a_refusal_ends_when_its_cause_does() {
        let health = Health::default();
        let full = |refusing| Some((refusing, "full".to_owned()));
        assert!(health.set(full(Refusing::Growth)));
        assert!(!health.set(full(Refusing::Growth)), "nothing new");
        assert_eq!((health.refusal(true).as_deref(), health.refusal(false)), (Some("full"), None));
        assert!(health.set(full(Refusing::Everything)));
        assert_eq!(health.refusal(false).as_deref(), Some("full"));
        assert_eq!(health.refusing(), Refusing::Everything);
        assert!(health.set(None));
        assert_eq!((health.refusal(true), health.refusing()), (None, Refusing::Nothing));
    }
}
