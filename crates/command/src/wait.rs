//! Commands that wait until there is something for them.

use std::ops::Range;

use resp::{LongDouble, Reply, parse_f64};
use store::Kind;

use crate::args::{Args, OwnedArgs};
use crate::error::{Error, Result};

/// What a command says that finds nothing yet: called by a client on its own, it waits until one of its
/// keys changes, and runs again.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The arguments that are the keys it waits for.
    pub keys: Range<usize>,
    /// What the keys have to hold.
    pub kind: Kind,
    /// Whether it runs again as well when a key does not hold that any more.
    pub if_gone: bool,
    /// The arguments that it runs again with, where those that were given mean something else by then.
    pub args: Option<OwnedArgs>,
    /// For ever if there is none.
    pub timeout_ms: Option<u64>,
    /// What it replies where it may not wait.
    pub otherwise: Reply,
}

impl Wait {
    /// Waits for one of these keys to hold something of a kind.
    pub fn new(keys: Range<usize>, kind: Kind, timeout_ms: Option<u64>, otherwise: Reply) -> Self {
        Self { keys, kind, if_gone: false, args: None, timeout_ms, otherwise }
    }

    /// What it replies when the time is over.
    pub const TIMED_OUT: Reply = Reply::NullArray;
}

/// A timeout in seconds; zero is for ever.
pub(crate) fn timeout(args: &Args<'_>, at: usize) -> Result<Option<u64>> {
    const MILLIS: f64 = 1_000.0;
    // What is a number for Redis may be too large for one of 64 bits.
    if LongDouble::parse(args.get(at)).is_none() {
        return Err(Error::line("ERR timeout is not a float or out of range"));
    }
    let ms = (parse_f64(args.get(at)).unwrap_or(f64::INFINITY) * MILLIS).ceil();
    if ms > i64::MAX as f64 {
        return Err(Error::line("ERR timeout is out of range"));
    }
    if ms < 0.0 {
        return Err(Error::line("ERR timeout is negative"));
    }
    Ok((ms > 0.0).then_some(ms as u64))
}
