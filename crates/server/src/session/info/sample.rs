//! What has to be looked at from time to time: rates, and what the operating system says. Sampled on
//! the maintenance thread, so that INFO on a network thread only reads memory.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use observe::process::{self, Cpu, Memory, ThreadClass};
use parking_lot::Mutex;
use threads::Class;

use crate::engine::node::Node;

/// As in Redis: rates are over about the last 1.6 s.
const RATES_KEPT: usize = 16;
const RATE_PERIOD: Duration = Duration::from_millis(100);
/// Reading about fifty small files of the kernel takes up to a millisecond.
const PROCESS_PERIOD: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    commands: u64,
    input_bytes: u64,
    output_bytes: u64,
}

/// Per second, over the last moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub commands: u64,
    pub input_bytes: u64,
    pub output_bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub memory: Memory,
    pub cpu: Cpu,
    pub threads: BTreeMap<&'static str, ThreadClass>,
    /// When the process was looked at, since the node started.
    pub at: Duration,
    pub open_files: u64,
    pub store_disk_bytes: u64,
    pub rates: Rates,
}

impl Sample {
    /// Whether the raft threads go first, as they ask: not every process is permitted to have that.
    pub fn raft_is_raised(&self) -> bool {
        let wanted = Class::Raft.niceness().unwrap_or(0);
        self.threads.get(Class::Raft.name()).is_some_and(|raft| raft.niceness <= i64::from(wanted))
    }
}

#[derive(Default)]
struct State {
    latest: Sample,
    totals: VecDeque<(Instant, Totals)>,
    process_at: Option<Instant>,
}

#[derive(Default)]
pub struct Sampler {
    state: Mutex<State>,
}

impl Sampler {
    pub fn latest(&self) -> Sample {
        self.state.lock().latest.clone()
    }

    /// Looks at what is due. Called by the maintenance thread once a round.
    pub fn round(&self, node: &Node) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.totals.back().is_none_or(|(at, _)| now.duration_since(*at) >= RATE_PERIOD) {
            let totals = Totals {
                commands: super::commands_processed(node),
                input_bytes: node.stats.input_bytes.load(std::sync::atomic::Ordering::Relaxed),
                output_bytes: node.stats.output_bytes.load(std::sync::atomic::Ordering::Relaxed),
            };
            state.totals.push_back((now, totals));
            if state.totals.len() > RATES_KEPT {
                state.totals.pop_front();
            }
            state.latest.rates = rates(&state.totals);
        }
        // At once when the node starts, then now and then.
        let due = state.process_at.is_none_or(|at| now.duration_since(at) >= PROCESS_PERIOD);
        if due {
            state.process_at = Some(now);
            drop(state);
            let at = node.started.elapsed();
            let (memory, cpu) = (Memory::read(), Cpu::read());
            let threads = process::threads();
            let open_files = process::open_files();
            let store_disk_bytes = node.disk.space_bytes();
            let mut state = self.state.lock();
            let rates = state.latest.rates;
            state.latest = Sample { memory, cpu, threads, at, open_files, store_disk_bytes, rates };
        }
    }
}

fn rates(totals: &VecDeque<(Instant, Totals)>) -> Rates {
    let (Some((from, first)), Some((to, last))) = (totals.front(), totals.back()) else {
        return Rates::default();
    };
    let seconds = to.duration_since(*from).as_secs_f64();
    if seconds <= 0.0 {
        return Rates::default();
    }
    // After CONFIG RESETSTAT a total may be below the one before.
    let rate = |first: u64, last: u64| (last.saturating_sub(first) as f64 / seconds) as u64;
    Rates {
        commands: rate(first.commands, last.commands),
        input_bytes: rate(first.input_bytes, last.input_bytes),
        output_bytes: rate(first.output_bytes, last.output_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raft_threads_are_raised_if_all_of_them_are() {
        let sample = |niceness| Sample {
            threads: [(Class::Raft.name(), ThreadClass { niceness, ..ThreadClass::default() })].into(),
            ..Sample::default()
        };
        for (niceness, is_raised) in [(-20, true), (-5, true), (-4, false), (0, false), (10, false)] {
            assert_eq!(sample(niceness).raft_is_raised(), is_raised, "{niceness}");
        }
        assert!(!Sample::default().raft_is_raised());
    }

    #[test]
    fn rates_are_over_the_samples_kept() {
        let start = Instant::now();
        let at = |ms, commands| (start + Duration::from_millis(ms), Totals { commands, ..Totals::default() });
        assert_eq!(rates(&VecDeque::new()).commands, 0);
        assert_eq!(rates(&[at(0, 5)].into()).commands, 0);
        assert_eq!(rates(&[at(0, 100), at(100, 120), at(500, 200)].into()).commands, 200);
        assert_eq!(rates(&[at(0, 100), at(100, 7)].into()).commands, 0, "statistics were reset");
    }
}
