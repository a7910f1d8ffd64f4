//! Which CPUs a thread may run on.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Zero for all.
static BACKGROUND: AtomicUsize = AtomicUsize::new(0);

/// How many CPUs those of this process' threads may use that are started from now on and that nobody waits for at once.
pub fn set_background_cpus(count: usize) {
    BACKGROUND.store(count, Relaxed);
}

/// Keeps the calling thread to the CPUs for what nobody waits for at once.
pub(crate) fn keep_to_background() -> io::Result<()> {
    keep_to(BACKGROUND.load(Relaxed))
}

/// Keeps the calling thread to so many of the CPUs that it may run on, the same ones for every thread of the process.
/// Where it may run on no more than that, it runs on all of them.
fn keep_to(count: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    if count == 0 || cpus.len() <= count {
        return Ok(());
    }
    let mut kept = CpuSet::new();
    let quota_counts = std::thread::available_parallelism().is_ok_and(|usable| usable.get() < cpus.len());
    for cpu in choose(&cpus, count, if quota_counts { std::process::id() as usize } else { 0 }) {
        kept.set(cpu);
    }
    Ok(sched_setaffinity(None, &kept)?)
}

/// The last ones: interrupts are commonly taken by the first. With a quota, several processes share these CPUs, and it
/// must not be the same ones for all.
fn choose(cpus: &[usize], count: usize, turn: usize) -> Vec<usize> {
    let from = cpus.len() - count + turn;
    cpus.iter().cycle().skip(from % cpus.len()).take(count).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_chosen_or_others_in_turn() {
        let cpus = [0, 1, 4, 5];
        assert_eq!(choose(&cpus, 1, 0), [5]);
        assert_eq!(choose(&cpus, 3, 0), [1, 4, 5]);
        assert_eq!(choose(&cpus, 1, 1), [0]);
        assert_eq!(choose(&cpus, 3, 6), [5, 0, 1]);
    }

    #[test]
    fn a_thread_is_kept_to_its_cpus_and_others_are_not() {
        let count = |set: CpuSet| set.count() as usize;
        let all = count(sched_getaffinity(None).unwrap());
        for (kept, expected) in [(1, 1), (all, all), (all + 1, all), (0, all)] {
            let run = move || {
                keep_to(kept).unwrap();
                count(sched_getaffinity(None).unwrap())
            };
            assert_eq!(std::thread::scope(|scope| scope.spawn(run).join().unwrap()), expected);
        }
        assert_eq!(count(sched_getaffinity(None).unwrap()), all);
    }
}
