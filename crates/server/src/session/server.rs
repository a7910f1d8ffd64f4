//! The server family's small commands.

use std::time::Duration;

use command::{Args, Command, Error, Flags, arg, flags};
use resp::Reply;
use wal::Fsync;

use super::info::REDIS_VERSION;
use super::rows::{self, reply, text};
use super::{Answer, Context, SessionRun};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const WAITING: &[Flags] = &[flags::BLOCKING, flags::CONNECTION];
const WAIT_TIPS: &[&str] = &["request_policy:all_shards", "response_policy:agg_min"];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("time", 1, &[flags::LOADING, flags::STALE, flags::FAST], time)
        .docs("2.6.0", "O(1)", "Returns the server's time.")
        .tips(&["nondeterministic_output"]),
    row("lolwut", -1, &[flags::READONLY, flags::FAST], lolwut)
        .docs("5.0.0", "", "Draws a picture, and says which version this is.")
        .takes(&[arg::integer("version").after("VERSION").optional()]),
    row("role", 1, &[flags::FOR_ADMINS, flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::FAST], role)
        .docs("2.8.12", "O(1)", "Returns what this server is to its replicas."),
    rows::row("generic", "wait", 3, WAITING, wait)
        .docs("3.0.0", "O(1)", "Waits until replicas have what this connection wrote.")
        .takes(&[arg::integer("numreplicas"), arg::integer("timeout")])
        .tips(WAIT_TIPS),
    rows::row("generic", "waitaof", 4, WAITING, wait_aof)
        .docs("7.2.0", "O(1)", "Waits until what this connection wrote is on disk.")
        .takes(&[arg::integer("numlocal"), arg::integer("numreplicas"), arg::integer("timeout")])
        .tips(WAIT_TIPS),
];

fn time(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let now = context.node.wall_us();
    let parts = [now / 1_000_000, now % 1_000_000];
    reply(Reply::Array(parts.map(|part| Reply::bulk(part.to_string())).into()))
}

const PICTURE: &str = "
        ___________________________
       |    |    |    |    |    |  \\
  ~~~~ |    |    |    |    |    |   \\ ~~~~~~
       |____|____|____|____|____|____|
   ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~

";

/// There is one picture. Redis' version 5 takes up to three numbers, 6 takes two.
fn lolwut(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    if args.len() > 2 && args.is(1, "version") {
        args.int(2)?;
    }
    text(format!("{PICTURE}Redis ver. {REDIS_VERSION} (Bulkhead {})\n", super::info::VERSION))
}

fn role(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let offset = super::info::replication_offset(context.node);
    reply(Reply::Array(vec![Reply::bulk("master"), Reply::Integer(offset), Reply::Array(Vec::new())]))
}

/// Longer than any connection lives: what Redis calls blocking for ever.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The time that a client is ready to wait; zero is for ever.
fn timeout(args: &Args<'_>, at: usize) -> command::Result<Duration> {
    let ms = args.int(at).map_err(|_| Error::line("ERR timeout is not an integer or out of range"))?;
    match u64::try_from(ms) {
        Err(_) => Err(Error::line("ERR timeout is negative")),
        Ok(0) => Ok(FOREVER),
        Ok(ms) => Ok(Duration::from_millis(ms).min(FOREVER)),
    }
}

/// A write is acknowledged when a quorum has it on disk, so the question is only how many more
/// replicas there are: none.
fn wait(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let replicas = args.int(1)?;
    let timeout = timeout(args, 2)?;
    if replicas <= 0 {
        return reply(0);
    }
    Ok(Answer::After(timeout, Reply::ZERO))
}

/// With `--fsync everysec` what was acknowledged is on disk within a second; a little more for the
/// disk itself.
const EVERYSEC: Duration = Duration::from_millis(1_500);

fn wait_aof(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let local = args.int_between(1, 0, 1)?;
    let replicas = args.int(2).ok().filter(|count| *count >= 0);
    let replicas = replicas.ok_or(Error::line("ERR value is out of range, must be positive"))?;
    let timeout = timeout(args, 3)?;
    let answer = |local| Reply::Array(vec![Reply::Integer(local), Reply::ZERO]);
    let durable = match context.node.config.fsync {
        Fsync::Always => Duration::ZERO,
        Fsync::EverySec => EVERYSEC,
    };
    if replicas > 0 {
        return Ok(Answer::After(timeout, answer(i64::from(durable <= timeout))));
    }
    if local == 0 || durable.is_zero() {
        return reply(answer(i64::from(durable.is_zero())));
    }
    Ok(Answer::After(durable.min(timeout), answer(i64::from(durable <= timeout))))
}
