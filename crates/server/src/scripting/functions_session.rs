//! FUNCTION's subcommands about what runs, and about themselves.

use command::{Args, Command, Error, Flags as RowFlags, flags};
use resp::Reply;

use super::functions::count;
use super::running::Kind;
use crate::session::rows::{self, CONTAINER, HELP};
use crate::session::{Context, SessionRun};

const fn session_row(
    name: &'static str,
    arity: i32,
    flags: &[RowFlags],
    run: SessionRun,
) -> Command<SessionRun> {
    rows::row("scripting", name, arity, flags, run)
}

pub(super) const SESSION_COMMANDS: &[Command<SessionRun>] = &[
    session_row("function", -2, CONTAINER, unknown).docs(
        "7.0.0",
        "Depends on subcommand.",
        "Holds the commands about functions.",
    ),
    session_row("function|kill", 2, &[flags::NOSCRIPT, flags::ALLOW_BUSY], kill)
        .docs("7.0.0", "O(1)", "Ends functions that run for long.")
        .tips(&["request_policy:all_shards", "response_policy:one_succeeded"]),
    session_row("function|stats", 2, &[flags::NOSCRIPT, flags::ALLOW_BUSY], stats)
        .docs("7.0.0", "O(1)", "Tells what function runs, and how many there are.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"]),
    session_row("function|help", 2, HELP, help).docs("7.0.0", "O(1)", "Returns what the subcommands do."),
];

const LINES: &[&str] = &[
    "LOAD [REPLACE] <FUNCTION CODE>",
    "    Create a new library with the given library name and code.",
    "DELETE <LIBRARY NAME>",
    "    Delete the given library.",
    "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
    "    Return general information on all the libraries:",
    "    * Library name",
    "    * The engine used to run the Library",
    "    * Library description",
    "    * Functions list",
    "    * Library code (if WITHCODE is given)",
    "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
    "STATS",
    "    Return information about the current function running:",
    "    * Function name",
    "    * Command used to run the function",
    "    * Duration in MS that the function is running",
    "    If no function is running, return nil",
    "    In addition, returns a list of available engines.",
    "KILL",
    "    Kill the current running function.",
    "FLUSH [ASYNC|SYNC]",
    "    Delete all the libraries.",
    "    When called without the optional mode argument, the behavior is determined by the",
    "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
    "    * ASYNC: Asynchronously flush the libraries.",
    "    * SYNC: Synchronously flush the libraries.",
    "DUMP",
    "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
    "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
    "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
    "    control how to handle existing libraries (default APPEND):",
    "    * FLUSH: delete all existing libraries.",
    "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
    "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
    "      libraries with the new libraries (notice that even on this option there is a chance of failure",
    "      in case of functions name conflict with another library).",
];

fn kill(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    if node.running.kill(Kind::Function, node.live.busy_after()) == 0 {
        return Err(super::scripts::NOT_BUSY);
    }
    rows::ok()
}

fn stats(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    let running = node.running.oldest(Kind::Function).map_or(Reply::Null, |told| {
        let command = told.command.into_iter().map(Reply::bulk).collect();
        Reply::Map(vec![
            (Reply::bulk("name"), Reply::bulk(told.name)),
            (Reply::bulk("command"), Reply::Array(command)),
            (Reply::bulk("duration_ms"), Reply::Integer(told.took.as_millis() as i64)),
        ])
    });
    let (libraries, functions) = count(node);
    let lua = Reply::Map(vec![
        (Reply::bulk("libraries_count"), Reply::Integer(libraries as i64)),
        (Reply::bulk("functions_count"), Reply::Integer(functions as i64)),
    ]);
    rows::reply(Reply::Map(vec![
        (Reply::bulk("running_script"), running),
        (Reply::bulk("engines"), Reply::Map(vec![(Reply::bulk("LUA"), lua)])),
    ]))
}

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("FUNCTION", LINES)
}

fn unknown(_: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    Err(Error::subcommand("function", args.get(1)))
}
