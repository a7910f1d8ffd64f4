//! What every command leaves behind: its statistics, an entry in the slow log, what its client did
//! last.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use command::{Args, Error, flags};
use resp::Reply;

use super::monitor;
use super::slowlog::{self, Caller};
use crate::engine::clients::Client;
use crate::engine::node::Node;
use crate::net::connection::Connection;
use crate::net::dispatch::Step;
use crate::session::Answer;
use crate::table::{Entry, Handler, table};

/// Codes of errors that refuse a command before it runs.
const REFUSALS: &[&str] = &["CROSSSLOT", "CLUSTERDOWN", "MISCONF", "BUSY", "OOM"];

/// A command begins. It may be one that lists clients, its own among them.
pub fn begins(client: &Client, entry: &Entry) {
    client.last_command.store(entry.id, Relaxed);
}

/// A network thread has run a command as far as it may.
pub fn ran(
    node: &Node,
    client: &Client,
    entry: &'static Entry,
    args: &Args<'_>,
    step: &Step,
    lookups: (u32, u32),
    took: Duration,
) {
    match step {
        // It is counted when it comes to its end.
        Step::Heavy(..) | Step::Answer(Answer::Heavy(_) | Answer::Exec(_) | Answer::Part(..)) => return,
        Step::Stalled => {
            node.stats.stalled.fetch_add(1, Relaxed);
            return;
        }
        Step::Reply(reply, _) => {
            count_failure(node, entry, reply);
            count_lookups(node, entry, lookups);
        }
        Step::Answer(Answer::Reply(reply) | Answer::After(_, reply) | Answer::Close(reply)) => {
            count_failure(node, entry, reply);
        }
        Step::Answer(Answer::Silent | Answer::Stalled | Answer::Monitor | Answer::Pushes(_))
        | Step::Blocked(_) => {}
    }
    node.stats.ran(entry, took);
    node.stats.latency.ran(entry, took, || node.wall_ms());
    if !matches!(step, Step::Reply(reply, _) if is_refusal(reply)) {
        monitor::saw_from(node, client, args);
    }
    log_if_slow(node, entry, args, took, || Some(client.clone_caller(node.wall_ms())));
}

/// The heavy pool has tried a command whose client waits now: as in Redis, it has been said then.
pub fn waits_heavy(node: &Node, client: u64, args: &Args<'_>) {
    tell_monitors(node, client, args, &Reply::Ok);
}

fn tell_monitors(node: &Node, client: u64, args: &Args<'_>, reply: &Reply) {
    if node.clients.monitors.count() > 0
        && !is_refusal(reply)
        && let Some(client) = node.clients.get(client)
    {
        monitor::saw_from(node, &client, args);
    }
}

/// The heavy pool has run a command to its end.
pub fn ran_heavy(
    node: &Node,
    client: u64,
    entry: &'static Entry,
    args: &Args<'_>,
    reply: &Reply,
    lookups: (u32, u32),
    took: Duration,
) {
    count_failure(node, entry, reply);
    count_lookups(node, entry, lookups);
    node.stats.ran(entry, took);
    node.stats.ran_heavy(entry, took);
    node.stats.latency.ran(entry, took, || node.wall_ms());
    tell_monitors(node, client, args, reply);
    log_if_slow(node, entry, args, took, || {
        node.clients.get(client).map(|client| client.clone_caller(node.wall_ms()))
    });
}

/// What a command of a transaction took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub took: Duration,
    pub lookups: (u32, u32),
    pub is_heavy: bool,
}

/// A command has run within a transaction.
pub fn ran_in_unit(
    node: &Node,
    client: u64,
    entry: &'static Entry,
    args: &Args<'_>,
    reply: &Reply,
    spent: Spent,
) {
    count_failure(node, entry, reply);
    count_lookups(node, entry, spent.lookups);
    node.stats.ran(entry, spent.took);
    if spent.is_heavy {
        node.stats.ran_heavy(entry, spent.took);
    }
    node.stats.latency.ran(entry, spent.took, || node.wall_ms());
    tell_monitors(node, client, args, reply);
    log_if_slow(node, entry, args, spent.took, || {
        node.clients.get(client).map(|client| client.clone_caller(node.wall_ms()))
    });
}

/// A script has called a command.
pub fn ran_in_script(
    node: &Node,
    entry: &'static Entry,
    failed: Option<&Reply>,
    took: Duration,
    is_heavy: bool,
) {
    if let Some(reply) = failed {
        count_failure(node, entry, reply);
    }
    node.stats.ran(entry, took);
    if is_heavy {
        node.stats.ran_heavy(entry, took);
    }
}

/// A network thread has run a transaction to its end.
pub fn ran_exec(node: &Node, connection: &Connection, entry: &'static Entry, reply: &Reply, took: Duration) {
    count_failure(node, entry, reply);
    node.stats.ran(entry, took);
    node.stats.latency.ran(entry, took, || node.wall_ms());
    monitor::saw_from(node, &connection.client, &connection.args());
}

/// A command was refused before it ran.
pub fn refused(node: &Node, args: &Args<'_>, error: Error) -> Reply {
    let entry = table().find(args.get(0));
    let sub = entry.filter(|_| args.len() > 1).and_then(|entry| table().find_sub(entry, args.get(1)));
    if let Some(entry) = sub.or(entry) {
        node.stats.rejected(entry);
    }
    let reply = error.reply();
    if let Reply::Error(line) = &reply {
        node.stats.error(line.code());
    }
    reply
}

/// The heavy pool was full, which has counted that itself.
pub fn busy(node: &Node, entry: &Entry) {
    node.stats.error(b"BUSY");
    node.stats.rejected(entry);
}

/// Memory is short.
pub fn no_memory(node: &Node, entry: &Entry) {
    node.admission.memory.stats.busy.fetch_add(1, Relaxed);
    node.stats.error(b"BUSY");
    node.stats.rejected(entry);
}

fn count_failure(node: &Node, entry: &Entry, reply: &Reply) {
    let Reply::Error(line) = reply else { return };
    node.stats.error(line.code());
    if is_refusal(reply) {
        node.stats.rejected(entry);
    } else {
        node.stats.failed(entry);
    }
}

fn is_refusal(reply: &Reply) -> bool {
    let Reply::Error(line) = reply else { return false };
    REFUSALS.iter().any(|code| line.code() == code.as_bytes())
}

fn count_lookups(node: &Node, entry: &Entry, lookups: (u32, u32)) {
    if entry.row.flags.has(flags::READONLY) && matches!(entry.row.run, Handler::Data(_)) {
        node.stats.looked_up(lookups);
    }
}

fn log_if_slow(
    node: &Node,
    entry: &Entry,
    args: &Args<'_>,
    took: Duration,
    caller: impl FnOnce() -> Option<Caller>,
) {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let Some(limit) = node.live.slower_than_us() else { return };
    if us < limit || entry.row.flags.has(flags::SKIP_SLOWLOG) {
        return;
    }
    if let Some(caller) = caller() {
        let shown = slowlog::shown(entry.row.name, args);
        node.slowlog.add(shown, us, caller, node.live.slowlog_len_max());
    }
}

impl Client {
    fn clone_caller(&self, at_ms: u64) -> Caller {
        Caller { at_ms, peer: self.peer.to_string(), name: self.details.lock().name.clone() }
    }
}
