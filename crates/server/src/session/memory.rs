//! MEMORY: what the process uses. MEMORY USAGE is a command on data and stands with those.

use command::{Args, Command};
use resp::Reply;

use super::rows::{self, CONTAINER, HELP, ok, reply, text};
use super::{Context, SessionRun, client};

const fn row(
    name: &'static str,
    arity: i32,
    flags: &[command::Flags],
    run: SessionRun,
) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("memory", -2, CONTAINER, client::unknown).docs(
        "4.0.0",
        "Depends on subcommand.",
        "Holds the commands about memory.",
    ),
    row("memory|doctor", 2, &[], doctor).docs("4.0.0", "O(1)", "Says what is wrong with memory.").tips(TIPS),
    row("memory|help", 2, HELP, help).docs("4.0.0", "O(1)", "Returns what the subcommands do."),
    row("memory|malloc-stats", 2, &[], malloc_stats)
        .docs(
            "4.0.0",
            "Depends on how much memory is allocated, could be slow",
            "Says what the allocator does.",
        )
        .tips(TIPS),
    row("memory|purge", 2, &[], purge)
        .docs("4.0.0", "O(1)", "Does nothing: the allocator gives memory back by itself.")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    row("memory|stats", 2, &[], stats).docs("4.0.0", "O(1)", "Returns what memory is used for.").tips(TIPS),
];

const LINES: &[&str] = &[
    "DOCTOR",
    "    Return memory problems reports.",
    "MALLOC-STATS",
    "    Return internal statistics report from the memory allocator.",
    "PURGE",
    "    Attempt to purge dirty pages for reclamation by the allocator.",
    "STATS",
    "    Return information about the memory usage of the server.",
    "USAGE <key> [SAMPLES <count>]",
    "    Return memory in bytes used by <key> and its value. Nested values are",
    "    sampled up to <count> times (default: 5, 0 means sample all).",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("MEMORY", LINES)
}

/// As Redis answers with any allocator but its own.
fn malloc_stats(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    text("Stats not supported for the current allocator")
}

fn purge(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    ok()
}

fn doctor(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let memory = context.node.sampler.latest().memory;
    if memory.total_bytes > 0 && memory.resident_bytes > memory.total_bytes / 10 * 9 {
        return text(
            "This process uses more than nine tenths of the machine's memory. Give it a smaller --cache, \
             or the machine more memory.",
        );
    }
    text("I can't find any memory issue in this instance.")
}

fn stats(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    let memory = node.sampler.latest().memory;
    let (rows, row_bytes) = super::info::cache_size(node);
    let keys: i64 = super::info::keyspace(node).iter().map(|counts| counts.keys).sum();
    let number = |bytes: u64| Reply::Integer(i64::try_from(bytes).unwrap_or(i64::MAX));
    let resident = memory.resident_bytes;
    let overhead = resident.saturating_sub(row_bytes);
    let share = |part: u64, whole: u64| Reply::Double(part as f64 * 100.0 / whole.max(1) as f64);
    let per_key = u64::try_from(keys).ok().and_then(|keys| resident.checked_div(keys)).unwrap_or(0);
    let fields = [
        ("peak.allocated", number(memory.resident_peak_bytes)),
        ("total.allocated", number(memory.resident_bytes)),
        ("startup.allocated", Reply::ZERO),
        ("replication.backlog", Reply::ZERO),
        ("clients.slaves", Reply::ZERO),
        ("clients.normal", number(super::info::client_bytes(node))),
        ("cluster.links", Reply::ZERO),
        ("aof.buffer", number(node.wal.stats().queue_bytes)),
        ("lua.caches", Reply::ZERO),
        ("functions.caches", Reply::ZERO),
        ("overhead.total", number(overhead)),
        ("keys.count", Reply::Integer(keys)),
        ("keys.bytes-per-key", number(per_key)),
        ("dataset.bytes", number(row_bytes)),
        ("dataset.percentage", share(row_bytes, resident)),
        ("peak.percentage", share(resident, memory.resident_peak_bytes)),
        ("allocator.resident", number(resident)),
        ("rows.cached", number(rows)),
        ("pending.bytes", number(super::info::pending_bytes(node))),
    ];
    reply(Reply::Map(fields.map(|(name, value)| (Reply::bulk(name), value)).into()))
}
