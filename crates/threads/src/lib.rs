//! The classes of threads that a node has: what their names begin with, and how far the system's scheduler prefers them.
//! Every thread of a node is started here, or by a library from a thread that was.
//!
//! Invariant: knows nothing of what runs on a thread.

mod cpus;

use std::cell::Cell;
use std::fmt::Display;
use std::io;
use std::thread::{Builder, JoinHandle};

pub use cpus::set_background_cpus;

/// Which work a thread is for. No thread ever does another class's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Net,
    Raft,
    Wal,
    Apply,
    Heavy,
    /// Flushes and compactions of the store's engine, which starts and names these threads itself.
    Store,
    /// The actor API.
    Ate,
    Maint,
}

thread_local! {
    static CURRENT: Cell<Option<Class>> = const { Cell::new(None) };
}

impl Class {
    pub const ALL: [Self; 8] =
        [Self::Net, Self::Raft, Self::Wal, Self::Apply, Self::Heavy, Self::Store, Self::Ate, Self::Maint];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Raft => "raft",
            Self::Wal => "wal",
            Self::Apply => "apply",
            Self::Heavy => "heavy",
            Self::Store => "store",
            Self::Ate => "ate",
            Self::Maint => "maint",
        }
    }

    /// What its threads ask the scheduler for; nothing if they run as the process was started. Heartbeats and the log go
    /// first: they take little, and everybody waits for them. Decision record 13 has what the others cost and gain.
    pub const fn niceness(self) -> Option<i32> {
        match self {
            Self::Raft | Self::Wal => Some(-5),
            Self::Net | Self::Apply => None,
            // The API is a guest: the commands that it sends are not to be delayed by its own work.
            Self::Store | Self::Ate | Self::Maint => Some(5),
            Self::Heavy => Some(10),
        }
    }

    /// Whether others wait for its threads only by and by. These have not all of the CPUs, so that those that everybody
    /// waits for find one at once: not even a lower priority ends a long call of the kernel.
    pub const fn is_background(self) -> bool {
        matches!(self, Self::Heavy | Self::Store | Self::Ate | Self::Maint)
    }

    /// The class of a thread by its name.
    pub fn of(thread: &str) -> Option<Self> {
        let prefix = thread.split(['-', ':']).next()?;
        let named = |class: &Self| prefix == if *class == Self::Store { "fjall" } else { class.name() };
        Self::ALL.into_iter().find(named)
    }

    /// The class of the current thread; none if nobody has said so.
    pub fn current() -> Option<Self> {
        CURRENT.get()
    }

    /// Starts a thread of this class; `which` tells it from others of it.
    pub fn spawn<T: Send + 'static>(
        self,
        which: impl Display,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        Builder::new().name(format!("{}-{which}", self.name())).spawn(move || {
            self.enter();
            body()
        })
    }

    /// The current thread is of this class from now on. What it starts inherits its priority.
    pub fn enter(self) {
        CURRENT.set(Some(self));
        if self.is_background()
            && let Err(error) = cpus::keep_to_background()
        {
            tracing::warn!(%error, class = self.name(), "a thread may run on all CPUs");
        }
        let Some(niceness) = self.niceness() else { return };
        let thread = rustix::thread::gettid();
        // To be lowered is always permitted, to be raised is not: what a node has got is seen in INFO.
        if let Err(error) = rustix::process::setpriority_process(Some(thread), niceness) {
            tracing::debug!(%error, class = self.name(), niceness, "the priority of a thread stays as it is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, Resource, Rlimit, getpriority_process, getrlimit, setrlimit};
    use rustix::thread::{CapabilitySet, capabilities, gettid, set_capabilities};

    fn niceness(thread: Pid) -> i32 {
        getpriority_process(Some(thread)).unwrap()
    }

    /// The class and the niceness that a thread of a class sees, and its name.
    fn started(class: Class) -> (Option<Class>, i32, String) {
        let body = || {
            let name = std::thread::current().name().unwrap_or_default().to_owned();
            (Class::current(), niceness(gettid()), name)
        };
        class.spawn(7, body).unwrap().join().unwrap()
    }

    /// On a thread of its own, and so are the consequences.
    fn aside<T: Send>(body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(body).join().unwrap())
    }

    #[test]
    fn a_class_is_known_by_a_thread_s_name() {
        for class in Class::ALL.into_iter().filter(|class| *class != Class::Store) {
            assert_eq!(Class::of(&format!("{}-0", class.name())), Some(class));
        }
        assert_eq!(Class::of("fjall:worker"), Some(Class::Store));
        for other in ["", "main", "network", "raftish-1"] {
            assert_eq!(Class::of(other), None, "{other}");
        }
    }

    #[test]
    fn what_others_wait_for_goes_first() {
        let [net, raft, wal, apply, heavy, store, ate, maint] =
            Class::ALL.map(|class| class.niceness().unwrap_or(0));
        let behind = [store, ate, maint];
        assert!(raft.max(wal) < net.min(apply));
        assert!(behind.iter().all(|class| net.max(apply) < *class && *class < heavy));
    }

    #[test]
    fn a_thread_knows_its_class_and_is_lowered_as_that_says() {
        for class in [Class::Store, Class::Heavy, Class::Ate, Class::Maint] {
            let expected = (Some(class), class.niceness().unwrap(), format!("{}-7", class.name()));
            assert_eq!(started(class), expected);
        }
        assert_eq!(Class::current(), None);
    }

    #[test]
    fn a_class_without_a_wish_runs_as_the_process_does() {
        assert_eq!(started(Class::Net).1, niceness(gettid()));
    }

    #[test]
    fn where_raising_is_not_permitted_a_thread_runs_all_the_same() {
        let (before, (class, seen, _)) = aside(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::SYS_NICE);
            set_capabilities(None, sets).unwrap();
            setrlimit(Resource::Nice, Rlimit { current: Some(0), ..getrlimit(Resource::Nice) }).unwrap();
            (niceness(gettid()), started(Class::Raft))
        });
        assert_eq!((class, seen), (Some(Class::Raft), before));
    }
}
