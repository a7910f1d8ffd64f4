//! LATENCY: what took long, and how long commands take.

use command::{Arg, Args, Command, Error, arg};
use resp::Reply;

use super::latency::Series;
use super::rows::{self, ADMIN, CONTAINER, HELP, reply, text};
use super::{Context, SessionRun, client, latency_report};
use crate::engine::node::Node;
use crate::table::{Entry, table};

const fn row(
    name: &'static str,
    arity: i32,
    flags: &[command::Flags],
    run: SessionRun,
) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const EVENT: Arg = arg::string("event");
const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("latency", -2, CONTAINER, client::unknown).docs(
        "2.8.13",
        "Depends on subcommand.",
        "Holds the commands about latencies.",
    ),
    row("latency|doctor", 2, ADMIN, doctor)
        .docs("2.8.13", "O(1)", "Says what has taken long, and what to do about it.")
        .tips(TIPS),
    row("latency|graph", 3, ADMIN, graph)
        .docs("2.8.13", "O(1)", "Draws what an event has taken.")
        .tips(TIPS)
        .takes(&[EVENT]),
    row("latency|help", 2, HELP, help).docs("2.8.13", "O(1)", "Returns what the subcommands do."),
    row("latency|histogram", -2, ADMIN, histogram)
        .docs(
            "7.0.0",
            "O(N) where N is the number of commands with latency information being retrieved.",
            "Returns how many calls of commands took how long.",
        )
        .tips(TIPS)
        .takes(&[arg::string("command").optional().multiple()]),
    row("latency|history", 3, ADMIN, history)
        .docs("2.8.13", "O(1)", "Returns when an event took long.")
        .tips(TIPS)
        .takes(&[EVENT]),
    row("latency|latest", 2, ADMIN, latest)
        .docs("2.8.13", "O(1)", "Returns when each event last took long.")
        .tips(TIPS),
    row("latency|reset", -2, ADMIN, reset)
        .docs("2.8.13", "O(1)", "Forgets what has taken long.")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
        .takes(&[EVENT.optional().multiple()]),
];

const LINES: &[&str] = &[
    "DOCTOR",
    "    Return a human readable latency analysis report.",
    "GRAPH <event>",
    "    Return an ASCII latency graph for the <event> class.",
    "HISTORY <event>",
    "    Return time-latency samples for the <event> class.",
    "LATEST",
    "    Return the latest latency samples for all events.",
    "RESET [<event> ...]",
    "    Reset latency data of one or more <event> classes.",
    "    (default: reset all data for all event classes)",
    "HISTOGRAM [COMMAND ...]",
    "    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
    "    If no commands are specified then all histograms are replied.",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("LATENCY", LINES)
}

fn number(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn history(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let series = context.node.stats.latency.event(args.get(2)).map(|(_, series)| series);
    let samples = series.unwrap_or_default().samples;
    let pair = |sample: &super::latency::Sample| Reply::Array(vec![number(sample.at_s), number(sample.ms)]);
    reply(Reply::Array(samples.iter().map(pair).collect()))
}

fn latest(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let entry = |(name, series): (&'static str, Series)| {
        let last = series.samples.back()?;
        let parts = vec![Reply::bulk(name), number(last.at_s), number(last.ms), number(series.max_ms)];
        Some(Reply::Array(parts))
    };
    reply(Reply::Array(context.node.stats.latency.events().into_iter().filter_map(entry).collect()))
}

fn reset(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let latency = &context.node.stats.latency;
    let forgotten = match args.len() {
        2 => latency.forget_all(),
        _ => args.from(2).filter(|name| latency.forget(name)).count(),
    };
    reply(forgotten as i64)
}

fn graph(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let Some((name, series)) = context.node.stats.latency.event(args.get(2)) else {
        return Err(Error::quoting("ERR No samples available for event '", args.get(2), "'"));
    };
    text(latency_report::graph(name, &series, context.node.wall_ms() / 1000))
}

fn doctor(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let latency = &context.node.stats.latency;
    text(latency_report::doctor(
        latency.threshold_ms(),
        &latency.events(),
        context.node.live.slower_than_us(),
    ))
}

fn histogram(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let node = context.node;
    let mut entries: Vec<&'static Entry> = Vec::new();
    if args.len() == 2 {
        entries.extend(table().entries());
    }
    for entry in args.from(2).filter_map(|name| table().find(name)) {
        let subcommands = entry.subcommands.iter().filter_map(|&id| table().entries().get(id));
        entries.extend(std::iter::once(entry).chain(subcommands));
    }
    reply(Reply::Map(entries.into_iter().filter_map(|entry| distribution(node, entry)).collect()))
}

/// How long a command's calls took, if there were any: so many at most so long.
fn distribution(node: &Node, entry: &Entry) -> Option<(Reply, Reply)> {
    let stats = node.stats.command(entry);
    if stats.calls == 0 {
        return None;
    }
    let within = stats.latencies.within().map(|(us, calls)| (number(us), number(calls)));
    let about = [("calls", number(stats.calls)), ("histogram_usec", Reply::Map(within.collect()))];
    let about = about.map(|(name, value)| (Reply::bulk(name), value));
    Some((Reply::bulk(entry.row.name), Reply::Map(about.into())))
}
