//! On which classes of threads clients' commands run. In debug builds each of them is noted, and one that runs on a thread of
//! consensus, of the log or of the store is a defect that ends the process.

use std::sync::atomic::{AtomicU64, Ordering};

use threads::Class;

/// Maintenance runs no command of its own accord; but whoever commits serves those who wait, and what expires may be what
/// somebody waits for.
const MAY_RUN_COMMANDS: &[Class] = &[Class::Net, Class::Heavy, Class::Maint];

#[derive(Default)]
pub struct RanOn([AtomicU64; Class::ALL.len()]);

impl RanOn {
    /// A command is about to run on this thread. Costs nothing in a release build.
    #[inline]
    pub fn note(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        // Threads of a test have no class.
        let Some(class) = Class::current() else { return };
        assert!(MAY_RUN_COMMANDS.contains(&class), "a client's command on a {} thread", class.name());
        if let Some(count) = self.0.get(class as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Commands that have run on threads of a class.
    #[cfg(test)]
    pub fn count(&self, class: Class) -> u64 {
        self.0.get(class as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a thread of a class may run a command.
    fn may(class: Class) -> bool {
        class.spawn("test", || RanOn::default().note()).unwrap().join().is_ok()
    }

    #[test]
    fn threads_of_consensus_the_log_the_store_and_the_actor_api_may_not_run_commands() {
        let may_not: Vec<_> = Class::ALL.into_iter().filter(|class| !may(*class)).collect();
        assert_eq!(may_not, [Class::Raft, Class::Wal, Class::Apply, Class::Store, Class::Ate]);
    }
}
