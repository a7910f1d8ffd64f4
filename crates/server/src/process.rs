//! What the process asks of the system before anything else starts.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections: the log's, the store's, and whatever else is open.
const OTHERS: u64 = 1_024;

/// Takes what the system allows: its first limit is often a thousand, the last one much more. Says so
/// if that is not enough for the connections that are allowed.
pub fn allow_open_files(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised =
        current == maximum || setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let wanted = connections as u64 + OTHERS;
    if let Some(allowed) = if raised { maximum } else { current }
        && allowed < wanted
    {
        tracing::warn!(
            allowed,
            wanted,
            "so many connections are allowed that there may be no files for all of them: raise the limit (ulimit -n)"
        );
    }
}

/// Memory comes in small pages. A large one is zeroed as a whole when it is first touched, half a millisecond or more,
/// and often by a thread that holds a lock for which others wait.
pub fn refuse_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "transparent huge pages stay in use: memory that grows may make clients wait");
    }
}
