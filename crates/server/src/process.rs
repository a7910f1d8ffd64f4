//! What the process asks of the system before anything else starts.

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
    room
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
