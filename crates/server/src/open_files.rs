//! How many files the process may have open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files other than connections: the log's, the store's, and whatever else is open.
const OTHERS: u64 = 1_024;

/// Takes what the system allows: its first limit is often a thousand, the last one much more. Says so
/// if that is not enough for the connections that are allowed.
pub fn allow(connections: usize) {
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
