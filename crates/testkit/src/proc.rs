//! What the kernel knows about a process: CPU time, memory, and what it has open; and what this one asks of it.

use crate::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The kernel's unit of CPU time in /proc, the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of all threads, user and system.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    ticks(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

/// CPU time of the threads that there are, by the part of their names before the first `-`.
pub fn cpu_time_by_class(pid: u32) -> Result<BTreeMap<String, Duration>> {
    let mut classes = BTreeMap::<String, Duration>::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(stat) = fs::read_to_string(thread?.path().join("stat")) else { continue };
        let name =
            stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(name, _)| name);
        let class = name.split(['-', '_']).next().unwrap_or_default();
        *classes.entry(class.to_owned()).or_default() += ticks(&stat)?;
    }
    Ok(classes)
}

/// Of a line of /proc/…/stat.
fn ticks(stat: &str) -> Result<Duration> {
    // The name, in brackets, may hold spaces and brackets.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/PID/stat is not understood")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    Ok(status(pid, "VmRSS:")? * 1024)
}

/// The most that was ever resident.
pub fn resident_peak_bytes(pid: u32) -> Result<u64> {
    Ok(status(pid, "VmHWM:")? * 1024)
}

pub fn threads(pid: u32) -> Result<u64> {
    status(pid, "Threads:")
}

/// A number of /proc/…/status.
fn status(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| format!("no {name}"))?;
    Ok(line.split_whitespace().next().unwrap_or_default().parse()?)
}

/// File descriptors in use: sockets, and all others.
pub fn open_files(pid: u32) -> Result<(u64, u64)> {
    let (mut sockets, mut others) = (0, 0);
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // It may be closed meanwhile.
        let Ok(target) = fs::read_link(file?.path()) else { continue };
        *(if target.to_string_lossy().starts_with("socket:") { &mut sockets } else { &mut others }) += 1;
    }
    Ok((sockets, others))
}

/// CPU time of the thread that asks.
pub fn own_thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// The thread that asks takes from now on only what the others leave.
pub fn give_way() -> Result {
    // To Linux, which counts by thread, nobody is the thread that asks.
    Ok(setpriority_process(None, 19)?)
}

/// As many open files as the system lets this process have.
pub fn raise_files(wanted: u64) -> Result {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    match maximum {
        Some(maximum) if maximum < wanted => {
            Err(format!("{wanted} open files are needed, and no more than {maximum} allowed").into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_uses_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 100_000);
        let before = cpu_time(pid).unwrap();
        let mut rng = crate::Rng::new(1);
        while cpu_time(pid).unwrap() == before {
            assert_ne!(rng.bytes(1000).len(), 0);
        }
    }
}
