//! The page of metrics and the other pages of the HTTP server. What each metric means, and what to do
//! when it moves, is in `docs/operations.md`.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Instant;

use observe::exposition::Bucket;
use observe::{Exposition, Kind, Source};

use super::VERSION;
use crate::engine::group::Group;
use crate::engine::node::Node;
use crate::engine::snapshots;

/// What the HTTP server shows of a node.
pub struct Pages {
    node: Weak<Node>,
}

impl Pages {
    pub fn new(node: &Arc<Node>) -> Self {
        Self { node: Arc::downgrade(node) }
    }
}

/// Whether the node serves; if not, why.
pub fn ready(node: &Node) -> Result<(), String> {
    if node.is_stop_requested() {
        return Err("it is being stopped".into());
    }
    if let Some(why) = node.wal.stats().poisoned {
        return Err(format!("the log has failed: {why}"));
    }
    for group in &node.groups {
        if let Some(why) = group.failure.get() {
            return Err(format!("the store of group {} has failed: {why}", group.id));
        }
        if let Some(why) = group.consensus().and_then(|consensus| consensus.metrics().failure) {
            return Err(format!("group {} has failed: {why}", group.id));
        }
        let open = group.store.sequencer.open_epoch();
        if !open.is_some_and(|epoch| group.has_led(epoch, Instant::now())) {
            return Err(format!("group {} is not led by this node", group.id));
        }
    }
    node.write_refusal(true).map_or(Ok(()), |why| Err(format!("writes are refused: {why}")))
}

impl Source for Pages {
    fn ready(&self) -> Result<(), String> {
        self.node.upgrade().map_or_else(|| Err("it has stopped".into()), |node| ready(&node))
    }

    fn metrics(&self) -> String {
        let mut page = Exposition::default();
        if let Some(node) = self.node.upgrade() {
            about_process(&node, &mut page);
            super::client_metrics::about_clients(&node, &mut page);
            super::client_metrics::about_admission(&node, &mut page);
            super::client_metrics::about_memory(&node, &mut page);
            about_tls(&node, &mut page);
            about_commands(&node, &mut page);
            about_lanes(&node, &mut page);
            super::heavy::about_heavy(&node, &mut page);
            about_paged(&node, &mut page);
            about_groups(&node, &mut page);
            about_raft(&node, &mut page);
            super::raft_metrics::about_queues(&node, &mut page);
            super::raft_metrics::about_heartbeats(&node, &mut page);
            about_wal(&node, &mut page);
            about_store(&node, &mut page);
            if let Some(hosted) = node.inside.hosted() {
                hosted.show(&mut page);
            }
        }
        page.finish()
    }

    fn status(&self) -> Option<String> {
        Some(super::status::status(&*self.node.upgrade()?).to_string())
    }
}

pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

fn about_process(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let sample = node.sampler.latest();
    let id = node.config.node_id.to_string();
    page.metric("bulkhead_info", Gauge, "What runs here.")
        .sample(&[("version", VERSION), ("node_id", &id)], 1.0);
    page.single("bulkhead_ready", Gauge, "1 if this node serves.", f64::from(u8::from(ready(node).is_ok())));
    page.single(
        "bulkhead_uptime_seconds",
        Gauge,
        "Time since the start.",
        node.started.elapsed().as_secs_f64(),
    );
    page.single(
        "bulkhead_process_resident_bytes",
        Gauge,
        "Memory of the process.",
        sample.memory.resident_bytes as f64,
    );
    page.metric("bulkhead_process_cpu_seconds_total", Counter, "CPU time of the process.")
        .sample(&[("mode", "user")], sample.cpu.user.as_secs_f64())
        .sample(&[("mode", "system")], sample.cpu.system.as_secs_f64());
    page.single("bulkhead_process_open_files", Gauge, "Open file descriptors.", sample.open_files as f64);
    let mut metric = page.metric("bulkhead_threads", Gauge, "Threads by class.");
    for (class, threads) in &sample.threads {
        metric.sample(&[("class", class)], threads.threads as f64);
    }
    let mut metric =
        page.metric("bulkhead_thread_cpu_seconds_total", Counter, "CPU time of threads by class.");
    for (class, threads) in &sample.threads {
        metric.sample(&[("class", class)], threads.cpu.as_secs_f64());
    }
    let help = "How far the scheduler prefers others to the threads of a class.";
    let mut metric = page.metric("bulkhead_thread_niceness", Gauge, help);
    for (class, threads) in &sample.threads {
        metric.sample(&[("class", class)], threads.niceness as f64);
    }
    let help = "1 if the raft threads go first; not every process is permitted to have that.";
    page.single("bulkhead_raft_priority_raised", Gauge, help, f64::from(u8::from(sample.raft_is_raised())));
}

fn about_tls(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let Some(tls) = &node.tls else { return };
    let stats = &tls.stats;
    let help = "TLS handshakes that go on.";
    page.single("bulkhead_tls_handshakes", Gauge, help, tls.handshakes() as f64);
    for (name, help, value) in [
        ("bulkhead_tls_handshakes_total", "TLS handshakes that came to their end.", &stats.handshakes),
        ("bulkhead_tls_failures_total", "TLS connections closed for what the client did.", &stats.failures),
        ("bulkhead_tls_reloads_total", "Times that the TLS files were read anew.", &stats.loads),
        ("bulkhead_tls_failed_reloads_total", "Times that they could not be used.", &stats.failed_loads),
    ] {
        page.single(name, Counter, help, value.load(Relaxed) as f64);
    }
}

fn about_commands(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let commands: Vec<_> = node.stats.commands().collect();
    let mut each = |name, help, value: fn(&super::super::stats::CommandStats) -> f64| {
        let mut metric = page.metric(name, Counter, help);
        for (entry, stats) in &commands {
            metric.sample(&[("command", entry.row.name)], value(stats));
        }
    };
    each("bulkhead_commands_total", "Commands run to their end.", |stats| stats.calls as f64);
    each("bulkhead_command_seconds_total", "Time that commands took to run.", |stats| seconds(stats.usec));
    each("bulkhead_command_failures_total", "Commands that ended with an error.", |stats| {
        stats.failed as f64
    });
    each("bulkhead_command_rejections_total", "Commands refused before they ran.", |stats| {
        stats.rejected as f64
    });
    let mut metric = page.metric("bulkhead_errors_total", Counter, "Error replies by code.");
    for (code, count) in node.stats.errors().1 {
        metric.sample(&[("code", &code)], count as f64);
    }
    let (hits, misses) = node.stats.keyspace_lookups();
    page.metric("bulkhead_keyspace_lookups_total", Counter, "Look-ups of keys by reading commands.")
        .sample(&[("found", "yes")], hits as f64)
        .sample(&[("found", "no")], misses as f64);
    page.single(
        "bulkhead_expired_keys_total",
        Counter,
        "Keys removed because their time had come.",
        node.stats.expired_keys() as f64,
    );
    page.single("bulkhead_slowlog_entries", Gauge, "Commands in the slow log.", node.slowlog.len() as f64);
    let keyspace = super::keyspace(node);
    let mut metric = page.metric("bulkhead_keys", Gauge, "Keys by database.");
    for (database, counts) in keyspace.iter().enumerate().filter(|(_, counts)| counts.keys > 0) {
        let database = database.to_string();
        metric.sample(&[("db", &database)], counts.keys as f64);
    }
    let mut metric = page.metric("bulkhead_keys_expiring", Gauge, "Keys with an expiry by database.");
    for (database, counts) in keyspace.iter().enumerate().filter(|(_, counts)| counts.keys > 0) {
        let database = database.to_string();
        metric.sample(&[("db", &database)], counts.expires as f64);
    }
}

fn about_lanes(node: &Node, page: &mut Exposition) {
    use Kind::Counter;
    let (read, inline) = node.stats.light_lanes();
    page.metric("bulkhead_lane_commands_total", Counter, "Commands by the lane that they began in.")
        .sample(&[("lane", "read")], read as f64)
        .sample(&[("lane", "inline")], inline as f64)
        .sample(&[("lane", "heavy")], node.heavy.stats.total().submitted as f64);
    page.single(
        "bulkhead_busy_total",
        Counter,
        "Commands told BUSY because the heavy pool was full.",
        node.heavy.stats.total().rejected as f64,
    );
    page.single(
        "bulkhead_stalled_total",
        Counter,
        "Times that a write had to wait because the store was too far behind.",
        node.stats.stalled.load(Relaxed) as f64,
    );
}

fn about_paged(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let paged = &node.paged;
    page.single(
        "bulkhead_paged_replies",
        Gauge,
        "Replies that are being told page by page.",
        paged.open() as f64,
    );
    let mut counter = |name, help, value: &std::sync::atomic::AtomicU64| {
        page.single(name, Counter, help, value.load(Relaxed) as f64);
    };
    counter("bulkhead_paged_replies_total", "Replies told page by page.", &paged.begun);
    counter("bulkhead_paged_reply_pages_total", "Pages made for them.", &paged.pages);
    counter(
        "bulkhead_paged_replies_rejected_total",
        "Commands told BUSY because there were too many of them.",
        &paged.rejected,
    );
    page.metric("bulkhead_paged_replies_cut_off_total", Counter, "Clients disconnected amid a reply.")
        .sample(&[("why", "client")], paged.cut_off.load(Relaxed) as f64)
        .sample(&[("why", "peer")], paged.displaced.load(Relaxed) as f64)
        .sample(&[("why", "memory")], paged.costly.load(Relaxed) as f64)
        .sample(&[("why", "server")], paged.failed.load(Relaxed) as f64);
}

/// One metric with a sample for each group.
fn by_group(
    node: &Node,
    page: &mut Exposition,
    kind: Kind,
    name: &'static str,
    help: &'static str,
    value: impl Fn(&Group) -> f64,
) {
    let mut metric = page.metric(name, kind, help);
    for group in &node.groups {
        metric.sample(&[("group", &group.id.to_string())], value(group));
    }
}

fn about_groups(node: &Node, page: &mut Exposition) {
    let mut counter = |name, help, value: fn(&Group) -> u64| {
        by_group(node, page, Kind::Counter, name, help, |group| value(group) as f64);
    };
    counter("bulkhead_batches_total", "Batches, each one log entry.", |g| g.stats.batches.load(Relaxed));
    counter("bulkhead_batch_transactions_total", "Transactions in batches.", |g| {
        g.stats.transactions.load(Relaxed)
    });
    counter("bulkhead_batch_effects_total", "Records written by batches.", |g| g.stats.effects.load(Relaxed));
    counter("bulkhead_batch_bytes_total", "Bytes of batches.", |g| g.stats.bytes.load(Relaxed));
    counter("bulkhead_apply_batches_total", "Batches written to the store.", |g| {
        g.apply_stats.batches.load(Relaxed)
    });
    counter("bulkhead_apply_records_total", "Records written to the store.", |g| {
        g.apply_stats.records.load(Relaxed)
    });
    counter("bulkhead_folded_deltas_total", "Deltas of collections folded into their bases.", |g| {
        g.apply_stats.folded.load(Relaxed)
    });
    counter("bulkhead_moved_members_total", "Members of collections moved away from removed ones.", |g| {
        g.store.moves.moved()
    });
    counter("bulkhead_reclaimed_records_total", "Unreachable records removed.", |g| {
        g.apply_stats.reclaimed.load(Relaxed)
    });
    by_group(
        node,
        page,
        Kind::Counter,
        "bulkhead_apply_seconds_total",
        "Time spent writing to the store.",
        |group| seconds(group.apply_stats.write_us.load(Relaxed)),
    );
    let mut gauge = |name, help, value: fn(&Group) -> u64| {
        by_group(node, page, Kind::Gauge, name, help, |group| value(group) as f64);
    };
    gauge("bulkhead_pending_bytes", "Bytes in the log that the store does not hold yet.", |g| {
        g.store.sequencer.dirty_bytes()
    });
    gauge("bulkhead_building_values", "Values that are being built aside.", |g| g.store.building.values());
    gauge("bulkhead_building_records", "Records of values that are being built aside.", |g| {
        g.store.building.records()
    });
    gauge("bulkhead_row_cache_rows", "Rows in memory, pending ones included.", |g| {
        g.store.table.size().0 as u64
    });
    gauge("bulkhead_row_cache_bytes", "Bytes of rows in memory.", |g| g.store.table.size().1 as u64);
    gauge("bulkhead_snapshots_in_use", "Views that running transactions hold.", |g| {
        g.store.pins.count() as u64
    });
}

fn about_raft(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge, Histogram};
    let metrics: Vec<_> = (node.groups.iter())
        .filter_map(|group| Some((group.id.to_string(), group.consensus()?.metrics())))
        .collect();
    let mut each = |kind, name, help, value: fn(&consensus::GroupMetrics) -> u64| {
        let mut metric = page.metric(name, kind, help);
        for (group, metrics) in &metrics {
            metric.sample(&[("group", group)], value(metrics) as f64);
        }
    };
    each(Gauge, "bulkhead_raft_is_leader", "1 if this node leads the group.", |m| {
        u64::from(m.role == consensus::Role::Leader)
    });
    each(Gauge, "bulkhead_raft_term", "The group's term.", |m| m.term);
    each(Counter, "bulkhead_raft_elections_total", "Candidacies of this node.", |m| m.elections);
    each(Counter, "bulkhead_raft_purges_total", "Times that the log was cut.", |m| m.purges);
    each(Counter, "bulkhead_raft_snapshots_sent_total", "Snapshots sent to replicas.", |m| m.snapshots_sent);
    each(Counter, "bulkhead_raft_snapshots_installed_total", "Snapshots received.", |m| {
        m.snapshots_installed
    });
    let mut metric = page.metric("bulkhead_raft_index", Gauge, "How far the group's log is.");
    for (group, metrics) in &metrics {
        let index = |at: Option<consensus::Position>| at.map_or(0, |at| at.index);
        for (at, index) in [
            ("last", metrics.last_log.unwrap_or(0)),
            ("committed", index(metrics.committed)),
            ("applied", index(metrics.applied)),
            ("persisted", index(metrics.persisted)),
            ("purged", index(metrics.purged)),
        ] {
            metric.sample(&[("group", group), ("at", at)], index as f64);
        }
    }
    let mut metric =
        page.metric("bulkhead_commit_seconds", Histogram, "From the submission of a batch to its commit.");
    for (group, metrics) in &metrics {
        let latency = &metrics.commit_latency;
        // Bucket n holds what took less than 2^n µs.
        let buckets = cumulative(&latency.buckets, 0);
        metric.histogram(&[("group", group)], buckets, seconds(latency.sum_us), latency.count());
    }
}

/// Buckets that double, added up. The first one ends at 2^`first` µs. The last one is open: it is in
/// the total only.
pub(super) fn cumulative(counts: &[u64], first: u32) -> impl Iterator<Item = Bucket> {
    let closed = counts.len().saturating_sub(1);
    counts.iter().take(closed).zip(first..).scan(0, |sum, (count, bits)| {
        *sum += count;
        Some(Bucket { upto: seconds(1 << bits), count: *sum })
    })
}

fn about_wal(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge, Histogram};
    let stats = node.wal.stats();
    page.metric("bulkhead_wal_fsync_seconds", Histogram, "How long fdatasync of the log takes.").histogram(
        &[],
        // Bucket n holds what took less than 2^(n+1) µs.
        cumulative(&stats.fsync_us_buckets, 1),
        seconds(stats.fsync_us_sum),
        stats.fsyncs,
    );
    for (name, help, value) in [
        ("bulkhead_wal_appends_total", "Appends to the log.", stats.appends),
        ("bulkhead_wal_entries_total", "Entries written to the log.", stats.entries),
        ("bulkhead_wal_bytes_total", "Bytes written to the log.", stats.bytes_written),
        ("bulkhead_wal_cold_reads_total", "Log entries read from disk.", stats.reads_cold),
        ("bulkhead_wal_full_total", "Appends refused for lack of space.", stats.full_errors),
        (
            "bulkhead_wal_queue_full_total",
            "Appends that had to wait for room in the log's queue.",
            stats.queue_full,
        ),
        ("bulkhead_wal_segments_created_total", "Segments created anew.", stats.segments_created),
        ("bulkhead_wal_segments_recycled_total", "Segments used again.", stats.segments_recycled),
    ] {
        page.single(name, Counter, help, value as f64);
    }
    for (name, help, value) in [
        ("bulkhead_wal_queue_records", "Records that wait for the log's thread.", stats.queue_depth),
        ("bulkhead_wal_queue_bytes", "Bytes that wait for the log's thread.", stats.queue_bytes),
        ("bulkhead_wal_segments", "Segments of the log in use.", stats.segments),
        ("bulkhead_wal_disk_bytes", "Size of the log's files.", node.wal.disk_bytes()),
        (
            "bulkhead_wal_poisoned",
            "1 if a write or fdatasync has failed: this process writes no more.",
            u64::from(stats.poisoned.is_some()),
        ),
    ] {
        page.single(name, Gauge, help, value as f64);
    }
}

fn about_store(node: &Node, page: &mut Exposition) {
    use Kind::Gauge;
    if let Some(space) = node.space() {
        let name = "bulkhead_disk_free_bytes";
        page.single(name, Gauge, "Free on the file system of the data.", space.free as f64);
        let name = "bulkhead_disk_reserve_bytes";
        let help = "Must be free for what has been accepted; below it writes are refused.";
        page.single(name, Gauge, help, space.reserve() as f64);
    }
    let sample = node.sampler.latest();
    page.single(
        "bulkhead_store_disk_bytes",
        Gauge,
        "Size of the store's files.",
        sample.store_disk_bytes as f64,
    );
    page.single(
        "bulkhead_store_write_buffer_bytes",
        Gauge,
        "The store's writes that are in memory.",
        node.disk.write_buffer_bytes() as f64,
    );
    page.single(
        "bulkhead_store_snapshot_bytes",
        Gauge,
        "What snapshots keep in memory of what is in tables.",
        snapshots::kept_bytes(node) as f64,
    );
    page.single(
        "bulkhead_last_checkpoint_timestamp_seconds",
        Gauge,
        "When SAVE or BGSAVE last made a checkpoint, or the node started.",
        node.checkpoints.last_s() as f64,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up_and_the_open_one_is_left_to_the_total() {
        let buckets: Vec<_> = cumulative(&[1, 2, 3], 1).map(|b| (b.upto, b.count)).collect();
        assert_eq!(buckets, [(0.000_002, 1), (0.000_004, 3)]);
    }
}
