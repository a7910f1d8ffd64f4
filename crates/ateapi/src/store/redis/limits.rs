//! The bounds of the client, each with its reason.

use std::time::Duration;

/// A node that does not take a connection by then is not there. Within a data centre it takes one
/// millisecond, with TLS some.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// A node that says nothing for so long hangs, and its connection is given up. More than the slowest step
/// that we ask for, and than the scripts of others that a server lets run.
pub(super) const RESPONSE_TIME_MAX: Duration = Duration::from_secs(5);

/// A connection on which nothing has come for so long, when a caller's time is over, is given up before
/// that: the machine at its other end may be gone without a word, and callers in a hurry would never find out.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(1);
const _: () = assert!(SILENCE_MAX.as_millis() < RESPONSE_TIME_MAX.as_millis());

/// How many nodes are asked at once how the slots lie: if one of them hangs, another answers.
pub(super) const ASKED_AT_ONCE: usize = 3;

/// The map is fetched once in this time, whatever happens. What has moved meanwhile is found by its
/// redirect.
pub(super) const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Redirects that are followed without waiting: one more than a key takes that moves while its map is old.
pub(super) const REDIRECTS_MAX: usize = 3;

/// How often a call is tried. With the waits in between that makes some four seconds: longer than a
/// fail-over takes with short time-outs, and short enough to say that the store is not there.
pub(super) const TRIES_MAX: u32 = 16;
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(10);
pub(super) const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// How many of the keys of a batch that have moved, and moved again, are fetched at once.
pub(super) const STRAYS_AT_ONCE: usize = 16;
