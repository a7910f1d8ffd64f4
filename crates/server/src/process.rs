//! What the process asks of the system before anything else starts.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections: the log's, the store's, and whatever else is open.
const OTHERS: u64 = 1_024;

/// How many of these connections there are files for, where so many files are allowed. Where few are, half of them are
/// for connections.
fn fitting(connections: usize, allowed: Option<u64>) -> usize {
    let Some(allowed) = allowed else { return connections };
    let room = allowed.saturating_sub(OTHERS).max(allowed / 2).max(1);
    connections.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// How many of these connections there are files for.
pub fn room_for(connections: usize) -> usize {
    fitting(connections, getrlimit(Resource::Nofile).current)
}

/// Takes what the system allows: its first limit is often a thousand, the last one much more. Says how many of these
/// connections there are files for: more would be accepted, and fail.
pub fn allow_open_files(connections: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised =
        current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let allowed = if raised { maximum } else { current };
    let room = fitting(connections, allowed);
    if room < connections {
        tracing::warn!(
            allowed,
            wanted = connections as u64 + OTHERS,
            max_connections = room,
            "fewer connections are allowed than was asked for: there are no files for all of them, raise the limit (ulimit -n)"
        );
    }
    make_table_for(room as u64 + OTHERS, allowed);
    room
}

/// Has the system make room for the numbers of so many files now. It doubles its table when that is full, and waits until no CPU looks
/// at the old one, if the process has several threads: some ten milliseconds in which whoever accepts a connection serves nobody.
fn make_table_for(files: u64, allowed: Option<u64>) {
    let last = files.min(allowed.unwrap_or(files)).saturating_sub(1);
    let Ok(last) = i32::try_from(last) else { return };
    if let Err(error) = fcntl_dupfd_cloexec(std::io::stderr(), last) {
        tracing::debug!(%error, last, "the table of open files grows while connections come");
    }
}

/// Memory comes in small pages. A large one is zeroed as a whole when it is first touched, half a millisecond or more,
/// and often by a thread that holds a lock for which others wait.
pub fn refuse_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "transparent huge pages stay in use: memory that grows may make clients wait");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_files_has_room_from_the_start() {
        const FILES: u64 = 900;
        let size = || {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("FDSize:")).unwrap();
            line.trim().parse::<u64>().unwrap()
        };
        assert!(size() < FILES);
        make_table_for(FILES, None);
        assert!(size() >= FILES);
        // Nothing that may not be is asked for.
        make_table_for(u64::MAX, Some(FILES));
        make_table_for(0, Some(0));
    }

    #[test]
    fn there_are_files_for_so_many_connections() {
        for (connections, allowed, expected) in [
            (10_000, None, 10_000),
            (10_000, Some(1 << 20), 10_000),
            (10_000, Some(4_096), 3_072),
            (10_000, Some(1_024), 512),
            (100, Some(1_024), 100),
            (10, Some(0), 1),
        ] {
            assert_eq!(fitting(connections, allowed), expected, "{connections} {allowed:?}");
        }
    }
}
