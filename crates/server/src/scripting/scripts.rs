//! SCRIPT: what the server knows of scripts, and what runs of them.

use command::{Args, Command, Error, Flags, Keys, arg, flags};
use resp::Reply;
use store::Txn;

use super::eval::{add, row};
use super::running::Kind;
use super::{Env, ScriptRun, cache};
use crate::session::rows::{self, CONTAINER, HELP};
use crate::session::{Context, SessionRun};

const PLAIN: &[Flags] = &[flags::NOSCRIPT];

pub(super) const COMMANDS: &[Command<ScriptRun>] = &[
    row("script|load", 3, Keys::NONE, &[flags::NOSCRIPT, flags::STALE], load)
        .docs("2.6.0", "O(N) with N being the length in bytes of the script body.", "Has the server know a script.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .takes(&[arg::string("script")]),
    row("script|exists", -3, Keys::NONE, PLAIN, exists)
        .docs(
            "2.6.0",
            "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation).",
            "Says which scripts the server knows.",
        )
        .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"])
        .takes(&[arg::string("sha1").multiple()]),
    row("script|flush", -2, Keys::NONE, PLAIN, flush)
        .docs("2.6.0", "O(N) with N being the number of scripts in cache", "Has the server forget every script.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .takes(&[arg::one_of("flush-type", &[arg::word("ASYNC"), arg::word("SYNC")])
            .since("6.2.0")
            .optional()]),
];

const fn session_row(
    name: &'static str,
    arity: i32,
    flags: &[Flags],
    run: SessionRun,
) -> Command<SessionRun> {
    rows::row("scripting", name, arity, flags, run)
}

pub(super) const SESSION_COMMANDS: &[Command<SessionRun>] = &[
    session_row("script", -2, CONTAINER, unknown).docs(
        "2.6.0",
        "Depends on subcommand.",
        "Holds the commands about scripts.",
    ),
    session_row("script|kill", 2, &[flags::NOSCRIPT, flags::ALLOW_BUSY], kill)
        .docs("2.6.0", "O(1)", "Ends scripts that run for long.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    session_row("script|debug", 3, PLAIN, debug)
        .docs("3.2.0", "O(1)", "Sets how scripts are debugged: not at all here.")
        .takes(&[arg::one_of("mode", &[arg::word("YES"), arg::word("SYNC"), arg::word("NO")])]),
    session_row("script|help", 2, HELP, help).docs("5.0.0", "O(1)", "Returns what the subcommands do."),
];

const LINES: &[&str] = &[
    "DEBUG (YES|SYNC|NO)",
    "    Set the debug mode for subsequent scripts executed.",
    "EXISTS <sha1> [<sha1> ...]",
    "    Return information about the existence of the scripts in the script cache.",
    "FLUSH [ASYNC|SYNC]",
    "    Flush the Lua scripts cache. Very dangerous on replicas.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the scripts cache.",
    "    * SYNC: Synchronously flush the scripts cache.",
    "KILL",
    "    Kill the currently executing Lua script.",
    "LOAD <script>",
    "    Load a script into the scripts cache without executing it.",
];

fn load(_: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    let known = env.node.scripts.by_code(args.get(2)).is_some();
    let script = add(env.node, args.get(2), true)?;
    debug_assert!(known || env.node.scripts.by_digest(&script.digest).is_some());
    Ok(Reply::bulk(script.name.clone()))
}

fn exists(_: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    let is_known = |hex: &[u8]| {
        cache::digest_of(hex).is_some_and(|digest| env.node.scripts.by_digest(&digest).is_some())
    };
    Ok(Reply::Array(args.from(2).map(|hex| Reply::Integer(i64::from(is_known(hex)))).collect()))
}

fn flush(_: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    let is_mode = args.len() == 3 && (args.is(2, "async") || args.is(2, "sync"));
    if args.len() > 2 && !is_mode {
        return Err(Error::line("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    env.node.scripts.clear();
    Ok(Reply::Ok)
}

pub(super) const NOT_BUSY: Error = Error::line("NOTBUSY No scripts in execution right now.");

fn kill(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    if node.running.kill(Kind::Script, node.live.busy_after()) == 0 {
        return Err(NOT_BUSY);
    }
    rows::ok()
}

fn debug(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    if args.is(2, "no") {
        return rows::ok();
    }
    if args.is(2, "yes") || args.is(2, "sync") {
        return Err(Error::line("ERR scripts cannot be debugged on this server"));
    }
    Err(Error::line("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("SCRIPT", LINES)
}

fn unknown(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    Err(Error::subcommand("script", args.get(1)))
}
