//! What the dashboard shows, as JSON: counters and histograms since the start, and gauges. Whoever reads it makes rates and
//! quantiles of the difference between two readings.
//!
//! It names commands, peers, and a few keys unless `sample-keys` is off; of what clients have stored, said or logged in with
//! nothing else. Its size is bounded by the bounds of what it lists.

use std::cmp::Reverse;
use std::sync::atomic::Ordering::Relaxed;

use base::limits;
use command::{Class, Lane};
use consensus::{Queue, QueueMetrics};
use serde_json::{Map, Value, json};

use super::VERSION;
use super::metrics::ready;
use crate::admission::PeerName;
use crate::engine::group::Group;
use crate::engine::node::Node;
use crate::session::histogram::Latencies;
use crate::session::stats::CommandStats;
use crate::table::{Entry, Handler, table};

type Called = (&'static Entry, CommandStats);

pub(super) fn status(node: &Node) -> Value {
    let called: Vec<Called> = node.stats.commands().collect();
    json!({
        "version": VERSION,
        "node": node.config.node_id,
        "uptime_ms": node.started.elapsed().as_millis() as u64,
        "wall_ms": node.wall_ms(),
        "not_ready": ready(node).err(),
        "calls": called.iter().map(|(_, stats)| stats.calls).sum::<u64>(),
        "lanes": lanes(node, &called),
        "commands": commands(called),
        "errors": node.stats.errors().0,
        "heavy": heavy(node),
        "clients": clients(node),
        "groups": node.groups.iter().take(limits::GROUPS_SHOWN).map(|one| group(one)).collect::<Vec<_>>(),
        "groups_in_all": node.groups.len(),
        "raft": raft(node),
        "log": log(node),
        "cpu": cpu(node),
        "memory": memory(node),
        "disk": disk(node),
        "keys": super::keyspace(node).iter().map(|counts| counts.keys).sum::<i64>(),
        "slow": slow(node),
        "sampled": super::keys::shown(node),
    })
}

type Pairs = Vec<(u64, u64)>;

/// Pairs of a bucket's end and what is in it, which took less than so many microseconds.
fn pairs(counts: impl Iterator<Item = (u64, u64)>) -> Pairs {
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Whole microseconds are counted there: what is in a bucket took less than one more than its greatest value.
fn took(latencies: &Latencies) -> Pairs {
    pairs(latencies.counts().map(|(us, count)| (us + 1, count)))
}

/// Buckets that double; the first one ends at 2^`first` µs.
fn doubling(counts: &[u64], first: u32) -> Pairs {
    pairs(counts.iter().zip(first..).map(|(count, bits)| (1 << bits, *count)))
}

/// How long commands ran on network threads: those on the session (`net`), those that read and those that may write, called by
/// clients or scripts; and the work of the heavy pool, in which what a script calls is part of the script.
fn lanes(node: &Node, called: &[Called]) -> Value {
    let mut net = Latencies::default();
    let (mut read, mut inline) = (net.clone(), net.clone());
    for (entry, stats) in called {
        let lane = match (&entry.row.run, entry.row.lane()) {
            (Handler::Session(_), _) => &mut net,
            (_, Lane::Read) => &mut read,
            (_, Lane::Inline | Lane::Heavy) => &mut inline,
        };
        lane.add(&stats.latencies.clone().without(&stats.heavy));
    }
    let heavy = pairs(node.heavy.stats.total().ran.counts());
    json!({ "net": took(&net), "read": took(&read), "inline": took(&inline), "heavy": heavy })
}

/// The commands that were called most, and those that took most time.
fn commands(mut called: Vec<Called>) -> Vec<Value> {
    called.sort_by_key(|(_, stats)| Reverse(stats.calls));
    let mut rest = called.split_off(called.len().min(limits::COMMANDS_SHOWN / 2));
    rest.sort_by_key(|(_, stats)| Reverse(stats.usec));
    rest.truncate(limits::COMMANDS_SHOWN / 2);
    let shown = called.iter().chain(&rest).map(|(entry, stats)| {
        json!({
            "name": entry.row.name,
            "calls": stats.calls,
            "us": stats.usec,
            "failed": stats.failed,
            "rejected": stats.rejected,
            "took": took(&stats.latencies),
        })
    });
    shown.collect()
}

fn heavy(node: &Node) -> Value {
    let pool = &node.heavy;
    let classes = Class::ALL.map(|class| {
        let (load, counted) = (pool.load_of(class), pool.stats.of_class(class));
        json!({
            "name": class.name(),
            "running": load.running,
            "waiting": load.waiting,
            "submitted": counted.submitted,
            "rejected": counted.rejected,
            "outgrown": counted.outgrown,
            "timed_out": counted.timed_out,
            "waited": pairs(counted.waited.counts()),
            "ran": pairs(counted.ran.counts()),
        })
    });
    json!({
        "threads": pool.threads(),
        "queue": pool.queue_max(),
        "timeout_ms": node.live.heavy_timeout_ms(),
        "classes": classes,
        "stalled": node.stats.stalled.load(Relaxed),
        "paged": node.paged.open(),
    })
}

fn peers((top, others): (Vec<(PeerName, u64)>, u64)) -> Value {
    let top: Vec<_> = top.into_iter().map(|(peer, count)| (peer.to_string(), count)).collect();
    json!({ "top": top, "others": others })
}

fn clients(node: &Node) -> Value {
    let (admission, stats, shown) = (&node.admission, &node.admission.stats, node.admission.shown());
    let mut refused: Map<String, Value> =
        admission.refused().map(|(why, count)| (why.name().into(), count.into())).collect();
    refused.insert("trial".into(), stats.failed_trials.load(Relaxed).into());
    json!({
        "now": node.clients.len(),
        "max": node.live.connections_max(),
        "accepted": node.clients.accepted.load(Relaxed),
        "input_bytes": node.stats.input_bytes.load(Relaxed),
        "output_bytes": node.stats.output_bytes.load(Relaxed),
        "cut_off": node.clients.cut_off(),
        "peers": shown.peers,
        "connections": peers(shown.connections),
        "rejections": peers(shown.rejections),
        "refused": refused,
        "reset": stats.reset.load(Relaxed),
        "storms": stats.storms.load(Relaxed),
    })
}

fn group(group: &Group) -> Value {
    let Some(metrics) = group.consensus().map(|consensus| consensus.metrics()) else {
        return json!({ "id": group.id, "role": "none" });
    };
    let index = |at: Option<consensus::Position>| at.map_or(0, |at| at.index);
    json!({
        "id": group.id,
        "role": format!("{:?}", metrics.role).to_lowercase(),
        "leader": metrics.leader,
        "term": metrics.term,
        "elections": metrics.elections,
        "queues": metrics.queues().map(|(queue, seen)| queue_status(queue, seen)).collect::<Vec<_>>(),
        "committed": index(metrics.committed),
        "applied": index(metrics.applied),
        "batches": group.stats.batches.load(Relaxed),
        "transactions": group.stats.transactions.load(Relaxed),
        // Bucket n holds what took less than 2^n µs.
        "commit": doubling(&metrics.commit_latency.buckets, 0),
        "failure": metrics.failure,
    })
}

fn queue_status(queue: Queue, QueueMetrics { depth, max, full }: QueueMetrics) -> Value {
    json!({ "name": queue.name(), "depth": depth, "max": max, "full": full })
}

/// The raft threads: whether they go first, and how late they were when a heartbeat was due.
fn raft(node: &Node) -> Value {
    let delays = node.heartbeat_delays();
    json!({
        "is_raised": node.sampler.latest().raft_is_raised(),
        // Bucket n holds what took less than 2^n µs.
        "heartbeat_delays": delays.iter().map(|delay| doubling(&delay.buckets, 0)).collect::<Vec<_>>(),
    })
}

fn log(node: &Node) -> Value {
    let stats = node.wal.stats();
    json!({
        "bytes": stats.bytes_written,
        "queue_records": stats.queue_depth,
        "queue_bytes": stats.queue_bytes,
        "queue_full": stats.queue_full,
        "full": stats.full_errors,
        // Bucket n holds what took less than 2^(n+1) µs.
        "fdatasync": doubling(&stats.fsync_us_buckets, 1),
        "poisoned": stats.poisoned,
    })
}

fn cpu(node: &Node) -> Value {
    let sample = node.sampler.latest();
    let classes = sample.threads.iter().map(|(class, threads)| {
        json!({
            "name": class,
            "threads": threads.threads,
            "niceness": threads.niceness,
            "us": threads.cpu.as_micros() as u64,
        })
    });
    json!({ "at_ms": sample.at.as_millis() as u64, "classes": classes.collect::<Vec<_>>() })
}

fn memory(node: &Node) -> Value {
    let (memory, thresholds) = (&node.admission.memory, node.admission.memory.thresholds());
    json!({
        "resident": node.sampler.latest().memory.resident_bytes,
        "soft": thresholds.soft_bytes,
        "hard": thresholds.hard_bytes,
        "pressure": memory.pressure().name(),
        "row_cache": super::cache_size(node).1,
        "row_cache_max": node.config.cache_bytes,
        "block_cache_max": node.config.block_cache_bytes,
        "write_buffers": node.disk.write_buffer_bytes(),
        "pending": super::pending_bytes(node),
        "clients": super::client_bytes(node),
        "shortages": memory.stats.shortages.load(Relaxed),
        "busy": memory.stats.busy.load(Relaxed),
        "evicted_clients": memory.stats.evicted_clients.load(Relaxed),
    })
}

fn disk(node: &Node) -> Value {
    let space = node.space();
    json!({
        "free": space.as_ref().map(|space| space.free),
        "reserve": space.as_ref().map(|space| space.reserve()),
        "store": node.sampler.latest().store_disk_bytes,
        "log": node.wal.disk_bytes(),
    })
}

/// The newest ones: which command, when and how long. What it was given, and by whom, is for SLOWLOG.
fn slow(node: &Node) -> Value {
    let log = node.slowlog.newest(limits::SLOW_COMMANDS_SHOWN).into_iter().map(|slow| {
        let entry = slow.args.first().and_then(|name| table().find(name));
        json!({
            "id": slow.id,
            "name": entry.map_or("?", |entry| entry.row.name),
            "at_ms": slow.at_ms,
            "us": slow.took_us,
        })
    });
    json!({ "length": node.slowlog.len(), "newest": log.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_commands_are_shown_and_no_more() {
        // Those called least take most time.
        let called: Vec<Called> = (table().entries().iter().zip(1..))
            .map(|(entry, n)| {
                (entry, CommandStats { calls: 10_000 - n, usec: n * 1_000, ..Default::default() })
            })
            .collect();
        let count = called.len();
        assert!(count > 2 * limits::COMMANDS_SHOWN);
        let names: Vec<_> = called.iter().map(|(entry, _)| entry.row.name).collect();
        let shown = commands(called);
        let shown: Vec<_> = shown.iter().map(|command| command["name"].as_str().unwrap()).collect();
        let half = limits::COMMANDS_SHOWN / 2;
        assert_eq!(shown[..half], names[..half], "those called most");
        let slowest: Vec<_> = names[count - half..].iter().rev().copied().collect();
        assert_eq!(shown[half..], slowest, "those that took most time");
    }

    #[test]
    fn buckets_are_named_by_what_is_not_in_them_any_more() {
        assert_eq!(doubling(&[1, 0, 3], 1), [(2, 1), (8, 3)]);
    }
}
