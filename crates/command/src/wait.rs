//! Commands that wait until there is something for them.

use std::ops::Range;

use resp::{Reply, parse_f64};

use crate::args::Args;
use crate::error::{Error, Result};

/// What a command says that finds nothing yet: called by a client on its own, it waits until one of its
/// keys changes, and runs again.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The arguments that are the keys it waits for.
    pub keys: Range<usize>,
    /// For ever if there is none.
    pub timeout_ms: Option<u64>,
    /// What it replies when the time is over, or where it may not wait.
    pub otherwise: Reply,
}

/// A timeout in seconds; zero is for ever.
pub(crate) fn timeout(args: &Args<'_>, at: usize) -> Result<Option<u64>> {
    const MILLIS: f64 = 1_000.0;
    let seconds = parse_f64(args.get(at));
    let seconds = seconds.ok_or(Error::line("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * MILLIS).ceil();
    if ms > i64::MAX as f64 {
        return Err(Error::line("ERR timeout is out of range"));
    }
    if ms < 0.0 {
        return Err(Error::line("ERR timeout is negative"));
    }
    Ok((ms > 0.0).then_some(ms as u64))
}
