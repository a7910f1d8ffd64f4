//! SLOWLOG.

use command::{Args, Command, Error, Flags, arg, flags};
use resp::Reply;

use super::rows::{self, CONTAINER, HELP, ok, reply};
use super::slowlog::SlowCommand;
use super::{Context, SessionRun, client};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const ADMIN: &[Flags] = &[flags::ADMIN, flags::LOADING, flags::STALE];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("slowlog", -2, CONTAINER, client::unknown).docs(
        "2.2.12",
        "Depends on subcommand.",
        "Holds the commands about the slow log.",
    ),
    row("slowlog|get", -2, ADMIN, get)
        .docs("2.2.12", "O(N) where N is the number of entries returned", "Returns slow commands.")
        .tips(&["request_policy:all_nodes", "nondeterministic_output"])
        .takes(&[arg::integer("count").optional()]),
    row("slowlog|help", 2, HELP, help).docs("6.2.0", "O(1)", "Returns what the subcommands do."),
    row("slowlog|len", 2, ADMIN, len)
        .docs("2.2.12", "O(1)", "Returns how many slow commands are kept.")
        .tips(&["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"]),
    row("slowlog|reset", 2, ADMIN, reset)
        .docs("2.2.12", "O(N) where N is the number of entries in the slowlog", "Forgets slow commands.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
];

const LINES: &[&str] = &[
    "GET [<count>]",
    "    Return top <count> entries from the slowlog (default: 10, -1 mean all).",
    "    Entries are made of:",
    "    id, timestamp, time in microseconds, arguments array, client IP and port,",
    "    client name",
    "LEN",
    "    Return the length of the slowlog.",
    "RESET",
    "    Reset the slowlog.",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("SLOWLOG", LINES)
}

fn get(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    const DEFAULT: usize = 10;
    const WHY: Error = Error::line("ERR count should be greater than or equal to -1");
    let count = match args.len() {
        2 => DEFAULT,
        3 => match args.int(2).map_err(|_| WHY)? {
            -1 => usize::MAX,
            count => usize::try_from(count).map_err(|_| WHY)?,
        },
        _ => return Err(rows::wrong_subcommand("SLOWLOG", args)),
    };
    let entry = |slow: SlowCommand| {
        Reply::Array(vec![
            Reply::Integer(slow.id as i64),
            Reply::Integer((slow.at_ms / 1000) as i64),
            Reply::Integer(slow.took_us as i64),
            Reply::Array(slow.args.into_iter().map(Reply::bulk).collect()),
            Reply::bulk(slow.peer),
            Reply::bulk(slow.name),
        ])
    };
    reply(Reply::Array(context.node.slowlog.newest(count).into_iter().map(entry).collect()))
}

fn len(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(context.node.slowlog.len() as i64)
}

fn reset(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    context.node.slowlog.clear();
    ok()
}
