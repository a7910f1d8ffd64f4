//! Sections of our own: threads, lanes, raft, wal, store.

use std::sync::atomic::Ordering::Relaxed;

use consensus::{GroupMetrics, Queue, QueueMetrics};
use observe::process::ThreadClass;
use store::Building;

use super::Lines;
use crate::engine::node::Node;
use crate::engine::snapshots;
use crate::session::histogram::Latencies;

/// CPU time by class of threads. Rising `raft` or `wal` beside full `net` is what isolation forbids.
pub(super) fn threads(node: &Node, lines: &mut Lines) {
    let sample = node.sampler.latest();
    lines.add("raft_priority", if sample.raft_is_raised() { "raised" } else { "not permitted" });
    for (class, ThreadClass { threads, cpu, niceness }) in sample.threads {
        lines.add(
            &format!("threads_{class}"),
            format_args!("count={threads},cpu_seconds={:.3},niceness={niceness}", cpu.as_secs_f64()),
        );
    }
}

/// The actor API, if this node hosts it.
pub(super) fn ateapi(node: &Node, lines: &mut Lines) {
    let Some(hosted) = node.inside.hosted() else { return lines.add("ateapi_address", "off") };
    lines.add("ateapi_address", hosted.address());
    lines.add("ateapi_ready", hosted.ready().map_or_else(|why| why, |()| "yes".into()));
    lines.add("ateapi_calls", hosted.calls());
    lines.add("ateapi_connections", node.clients.inside());
}

/// Who is let in and who is not.
pub(super) fn admission(node: &Node, lines: &mut Lines) {
    let (admission, bounds) = (&node.admission, node.bounds());
    let shown = admission.shown();
    lines.add("connections_max", bounds.connections_max);
    lines.add("connections_per_peer_max", bounds.per_peer_max);
    lines.add("admin_connections_max", bounds.kept_back());
    lines.add("admin_connections", shown.on_kept_back);
    lines.add("peers", shown.peers);
    for (why, count) in admission.refused() {
        lines.add(&format!("refused_{}", why.name()), count);
    }
    lines.add("refused_trial", admission.stats.failed_trials.load(Relaxed));
    lines.add("reset", admission.stats.reset.load(Relaxed));
    lines.add("storms", admission.stats.storms.load(Relaxed));
    for (at, (peer, connections)) in shown.connections.0.iter().enumerate() {
        lines.add(&format!("peer{at}"), format_args!("addr={peer},connections={connections}"));
    }
    for (at, (peer, rejections)) in shown.rejections.0.iter().enumerate() {
        lines.add(&format!("rejected_peer{at}"), format_args!("addr={peer},rejections={rejections}"));
    }
}

pub(super) fn lanes(node: &Node, lines: &mut Lines) {
    let heavy = node.heavy.stats.total();
    let (read, inline) = node.stats.light_lanes();
    lines.add("lane_read", read);
    lines.add("lane_inline", inline);
    lines.add("lane_heavy", heavy.submitted);
    lines.add("outgrown", heavy.outgrown);
    lines.add("busy", heavy.rejected);
    lines.add("stalled", node.stats.stalled.load(Relaxed));
    lines.add("scripts_running", node.running.len());
    lines.add("scripts_killed", node.running.killed.load(Relaxed));
    let paged = &node.paged;
    lines.add("paged_open", paged.open());
    lines.add("paged_begun", paged.begun.load(Relaxed));
    lines.add("paged_pages", paged.pages.load(Relaxed));
    lines.add("paged_rejected", paged.rejected.load(Relaxed));
    lines.add("paged_cut_off", paged.cut_off.load(Relaxed));
    lines.add("paged_displaced", paged.displaced.load(Relaxed));
    lines.add("paged_costly", paged.costly.load(Relaxed));
    lines.add("paged_failed", paged.failed.load(Relaxed));
}

fn per(sum: u64, count: u64) -> String {
    format!("{:.2}", sum as f64 / count.max(1) as f64)
}

/// What waits in the queues of a group, of how much, and how often they were full.
fn queues(group: u16, metrics: &GroupMetrics, lines: &mut Lines) {
    let each = metrics.queues().map(|(queue, QueueMetrics { depth, max, full })| {
        let name = queue.name();
        format!("{name}={depth},{name}_max={max},{name}_full={full}")
    });
    lines.add(&format!("group{group}_queues"), each.collect::<Vec<_>>().join(","));
}

/// How late the raft threads were when a heartbeat was due.
fn heartbeats(node: &Node, lines: &mut Lines) {
    for (thread, delay) in node.heartbeat_delays().iter().enumerate() {
        let [p50, p99] = [0.5, 0.99].map(|quantile| delay.quantile_us(quantile));
        lines.add(
            &format!("raft{thread}_heartbeat_delay"),
            format_args!("count={},p50_usec={p50},p99_usec={p99}", delay.count()),
        );
    }
}

pub(super) fn raft(node: &Node, lines: &mut Lines) {
    heartbeats(node, lines);
    for group in &node.groups {
        let Some(consensus) = group.consensus() else { continue };
        let metrics = consensus.metrics();
        let stats = &group.stats;
        let batches = stats.batches.load(Relaxed);
        let index = |at: Option<consensus::Position>| at.map_or(0, |at| at.index);
        let mut latency = Latencies::default();
        stats.commits.add_to(&mut latency);
        lines.add(
            &format!("group{}", group.id),
            format_args!(
                "role={},term={},leader={},last_log={},committed={},applied={},persisted={},purged={},\
                 in_flight={},backlog_bytes={},batches={batches},transactions_per_batch={},bytes_per_batch={},\
                 commit_p50_usec={},commit_p99_usec={},elections={},snapshots_sent={},snapshots_installed={},\
                 purges={},refused_full={}",
                format!("{:?}", metrics.role).to_lowercase(),
                metrics.term,
                metrics.leader.map_or_else(|| "none".into(), |leader| leader.to_string()),
                metrics.last_log.unwrap_or(0),
                index(metrics.committed),
                index(metrics.applied),
                index(metrics.persisted),
                index(metrics.purged),
                metrics.queue(Queue::Proposals).depth,
                metrics.queue(Queue::BacklogBytes).depth,
                per(stats.transactions.load(Relaxed), batches),
                per(stats.bytes.load(Relaxed), batches),
                latency.quantile_us(0.5),
                latency.quantile_us(0.99),
                metrics.elections,
                metrics.snapshots_sent,
                metrics.snapshots_installed,
                metrics.purges,
                metrics.refused_full(),
            ),
        );
        queues(group.id, &metrics, lines);
        if let Some(failure) = metrics.failure {
            lines.add(&format!("group{}_failure", group.id), failure);
        }
    }
}

pub(super) fn wal(node: &Node, lines: &mut Lines) {
    let stats = node.wal.stats();
    lines.add("wal_appends", stats.appends);
    lines.add("wal_entries", stats.entries);
    lines.add("wal_bytes_written", stats.bytes_written);
    lines.add("wal_fsyncs", stats.fsyncs);
    lines.add("wal_fsync_usec_avg", per(stats.fsync_us_sum, stats.fsyncs));
    lines.add("wal_queue_depth", stats.queue_depth);
    lines.add("wal_queue_bytes", stats.queue_bytes);
    lines.add("wal_queue_full", stats.queue_full);
    lines.add("wal_segments", stats.segments);
    lines.add("wal_segments_created", stats.segments_created);
    lines.add("wal_segments_recycled", stats.segments_recycled);
    lines.add("wal_disk_bytes", node.wal.disk_bytes());
    lines.add("wal_reads_cold", stats.reads_cold);
    lines.add("wal_full_errors", stats.full_errors);
    lines.add("wal_poisoned", stats.poisoned.unwrap_or_else(|| "no".into()));
}

pub(super) fn store(node: &Node, lines: &mut Lines) {
    let (rows, bytes) = super::cache_size(node);
    lines.add("store_disk_bytes", node.sampler.latest().store_disk_bytes);
    lines.add("store_write_buffer_bytes", node.disk.write_buffer_bytes());
    lines.add("store_snapshot_bytes", snapshots::kept_bytes(node));
    lines.add("row_cache_rows", rows);
    lines.add("row_cache_bytes", bytes);
    lines.add("pending_bytes", super::pending_bytes(node));
    let building = |count: fn(&Building) -> u64| -> u64 {
        node.groups.iter().map(|group| count(&group.store.building)).sum()
    };
    lines.add("building_values", building(Building::values));
    lines.add("building_records", building(Building::records));
    for group in &node.groups {
        let stats = &group.apply_stats;
        let batches = stats.batches.load(Relaxed);
        lines.add(
            &format!("group{}", group.id),
            format_args!(
                "queue={},entries={},effects={},batches={batches},records={},write_usec={},reclaimed={},folded={},moved={},pins={}",
                group.queue.len(),
                stats.entries.load(Relaxed),
                stats.effects.load(Relaxed),
                stats.records.load(Relaxed),
                stats.write_us.load(Relaxed),
                stats.reclaimed.load(Relaxed),
                stats.folded.load(Relaxed),
                group.store.moves.moved(),
                group.store.pins.count(),
            ),
        );
    }
}
