//! INFO: what is true of this node, under Redis' names where Redis has them, and under ours.

mod client_metrics;
mod heavy;
mod keys;
mod metrics;
mod own;
mod raft_metrics;
mod redis;
mod sample;
mod status;

use std::fmt::Write;

use command::{Args, Command, arg, flags};
use store::Counts;

pub use metrics::Pages;
pub use sample::{Rates, Sample, Sampler};

use super::rows::{self, text};
use super::{Context, SessionRun};
use crate::engine::node::Node;

/// The version whose behaviour this server shows.
pub const REDIS_VERSION: &str = "7.2.4";
/// Our own.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) const COMMANDS: &[Command<SessionRun>] =
    &[rows::row("server", "info", -1, &[flags::LOADING, flags::STALE, flags::DANGEROUS], info)
        .docs("1.0.0", "O(1)", "Returns what is known of the server, by sections.")
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .takes(&[arg::string("section").optional().multiple()])];

/// A section: its name, its title, and what writes its lines.
struct Section {
    name: &'static str,
    title: &'static str,
    shown: Shown,
    write: fn(&Node, &mut Lines),
}

/// When a section is shown that is not asked for by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// By a plain INFO.
    Plainly,
    /// By INFO ALL.
    All,
    /// By INFO EVERYTHING.
    Everything,
}

const fn section(
    name: &'static str,
    title: &'static str,
    shown: Shown,
    write: fn(&Node, &mut Lines),
) -> Section {
    Section { name, title, shown, write }
}

const SECTIONS: &[Section] = &[
    section("server", "Server", Shown::Plainly, redis::server),
    section("clients", "Clients", Shown::Plainly, redis::clients),
    section("memory", "Memory", Shown::Plainly, redis::memory),
    section("persistence", "Persistence", Shown::Plainly, redis::persistence),
    section("stats", "Stats", Shown::Plainly, redis::stats),
    section("replication", "Replication", Shown::Plainly, redis::replication),
    section("cpu", "CPU", Shown::Plainly, redis::cpu),
    section("modules", "Modules", Shown::Everything, redis::modules),
    section("commandstats", "Commandstats", Shown::All, redis::command_stats),
    section("errorstats", "Errorstats", Shown::Plainly, redis::error_stats),
    section("latencystats", "Latencystats", Shown::All, redis::latency_stats),
    section("cluster", "Cluster", Shown::Plainly, redis::cluster),
    section("keyspace", "Keyspace", Shown::Plainly, redis::keyspace),
    section("ateapi", "Ateapi", Shown::All, own::ateapi),
    section("admission", "Admission", Shown::All, own::admission),
    section("threads", "Threads", Shown::All, own::threads),
    section("lanes", "Lanes", Shown::All, own::lanes),
    section("heavy", "Heavy", Shown::All, heavy::heavy),
    section("raft", "Raft", Shown::All, own::raft),
    section("wal", "Wal", Shown::All, own::wal),
    section("store", "Store", Shown::All, own::store),
    // What clients store is in it: not for those who ask for everything there is to count.
    section("keys", "Keys", Shown::Everything, keys::keys),
];

/// Lines of `name:value`.
#[derive(Default)]
pub(crate) struct Lines {
    text: String,
}

impl Lines {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{name}:{value}\r\n");
    }

    /// A number of bytes, and the same for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), human(bytes));
    }

    fn title(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push_str("\r\n");
        }
        let _ = write!(self.text, "# {title}\r\n");
    }
}

/// As Redis writes it: `1.50M`.
fn human(bytes: u64) -> String {
    const UNITS: &[(&str, u32)] = &[("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    match UNITS.iter().find(|(_, bits)| bytes >> bits > 0) {
        Some((unit, bits)) => format!("{:.2}{unit}", bytes as f64 / (1u64 << bits) as f64),
        None => format!("{bytes}B"),
    }
}

/// Which sections are asked for.
fn is_wanted(section: &Section, args: &Args<'_>) -> bool {
    if args.len() == 1 {
        return section.shown == Shown::Plainly;
    }
    args.from(1).any(|word| {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        is(section.name)
            || (is("default") && section.shown == Shown::Plainly)
            || (is("all") && section.shown != Shown::Everything)
            || is("everything")
    })
}

fn info(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let mut lines = Lines::default();
    for section in SECTIONS.iter().filter(|section| is_wanted(section, args)) {
        lines.title(section.title);
        (section.write)(context.node, &mut lines);
    }
    text(lines.text)
}

/// Commands that came to an end.
pub fn commands_processed(node: &Node) -> u64 {
    node.stats.commands().map(|(_, stats)| stats.calls).sum()
}

/// Rows of the pending table and row cache, and their bytes.
pub fn cache_size(node: &Node) -> (u64, u64) {
    let sizes = node.groups.iter().map(|group| group.store.table.size());
    sizes.fold((0, 0), |(rows, bytes), size| (rows + size.0 as u64, bytes + size.1 as u64))
}

/// Bytes that are in the log and not yet in the store.
pub fn pending_bytes(node: &Node) -> u64 {
    node.groups.iter().map(|group| group.store.sequencer.dirty_bytes()).sum()
}

/// What clients hold in all.
pub fn client_bytes(node: &Node) -> u64 {
    node.clients.list().iter().map(|client| client.held_bytes()).sum()
}

/// What of that lies in their connections' buffers.
fn buffer_bytes(node: &Node) -> u64 {
    use std::sync::atomic::Ordering::Relaxed;
    let clients = node.clients.list();
    clients.iter().map(|client| client.input_bytes.load(Relaxed) + client.output_bytes.load(Relaxed)).sum()
}

/// Keys of every database, over all groups.
pub fn keyspace(node: &Node) -> [Counts; base::limits::DATABASES] {
    let mut sum = [Counts::default(); base::limits::DATABASES];
    for group in &node.groups {
        for (sum, counts) in sum.iter_mut().zip(group.store.database_counts()) {
            sum.keys += counts.keys;
            sum.expires += counts.expires;
        }
    }
    sum
}

/// How far the log is, as one number.
pub fn replication_offset(node: &Node) -> i64 {
    let groups = node.groups.iter().filter_map(|group| group.consensus());
    let committed = groups.filter_map(|consensus| consensus.metrics().committed);
    committed.map(|at| i64::try_from(at.index).unwrap_or(i64::MAX)).sum()
}

/// The highest term of all groups.
pub fn term(node: &Node) -> u64 {
    let groups = node.groups.iter().filter_map(|group| group.consensus());
    groups.map(|consensus| consensus.metrics().term).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use command::OwnedArgs;

    fn check(line: &str, wanted: &[&str], not_wanted: &[&str]) {
        let args = OwnedArgs::of(line.split(' ').map(str::as_bytes));
        for (names, expected) in [(wanted, true), (not_wanted, false)] {
            for name in names {
                let section = SECTIONS.iter().find(|section| section.name == *name).unwrap();
                assert_eq!(is_wanted(section, &args.as_args()), expected, "{line}: {name}");
            }
        }
    }

    #[test]
    fn sections_are_asked_for_one_by_one_or_together() {
        check("INFO", &["server", "keyspace", "errorstats"], &["commandstats", "modules", "wal"]);
        check("INFO DEFAULT", &["server"], &["commandstats", "wal"]);
        check("INFO all", &["server", "commandstats", "wal"], &["modules", "keys"]);
        check("INFO everything", &["server", "commandstats", "modules", "threads", "keys"], &[]);
        check("INFO Memory WAL", &["memory", "wal"], &["server", "store"]);
        check("INFO nonsense", &[], &["server"]);
        check("INFO default lanes", &["server", "lanes"], &["raft"]);
    }

    #[test]
    fn bytes_are_shown_as_in_redis() {
        for (bytes, shown) in [(0, "0B"), (1023, "1023B"), (1536, "1.50K"), (25_276_514_304, "23.54G")] {
            assert_eq!(human(bytes), shown);
        }
    }
}
