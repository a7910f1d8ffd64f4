//! What the kernel knows about a process: CPU time and memory.

use crate::Result;
use std::fs;
use std::time::Duration;

/// The kernel's unit of CPU time in /proc, the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of all threads, user and system.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold spaces and brackets.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/PID/stat is not understood")?;
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Resident memory in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    let kib: u64 = line.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(kib * 1024)
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
