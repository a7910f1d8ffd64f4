//! CLIENT PAUSE and UNPAUSE.

use std::time::{Duration, Instant};

use command::{Args, Error};

use super::Context;
use super::rows::{self, ok};
use crate::engine::pause::Paused;

/// Longer than any pause is meant to be: what lies further away is not told apart.
const PAUSE_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

pub(super) fn pause(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let what = match args.len() {
        3 => Paused::All,
        4 if args.is(3, "write") => Paused::Writes,
        4 if args.is(3, "all") => Paused::All,
        4 => return Err(Error::line("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(rows::wrong_subcommand("CLIENT", args)),
    };
    let ms = args.int(2).map_err(|_| Error::line("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Error::line("ERR timeout is negative"))?;
    if context.node.wall_ms().saturating_add(ms) > i64::MAX as u64 {
        return Err(Error::line("ERR timeout is out of range"));
    }
    let time = Duration::from_millis(ms).min(PAUSE_MAX);
    context.node.clients.pause.begin(what, Instant::now() + time);
    ok()
}

pub(super) fn unpause(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    context.node.clients.pause.end();
    context.node.mailboxes().iter().for_each(|mailbox| mailbox.wake());
    ok()
}
