//! The sections that Redis has.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::{Lines, REDIS_VERSION, VERSION};
use crate::engine::memory_parts;
use crate::engine::node::Node;
use crate::engine::pause::Paused;
use crate::pubsub::Kind;
use crate::session::acl::Reason;

/// What a single-threaded server would say of its event loop.
const HZ: u64 = 10;

pub(super) fn server(node: &Node, lines: &mut Lines) {
    let uptime_s = node.started.elapsed().as_secs();
    let os = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    lines.add("redis_version", REDIS_VERSION);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("redis_build_id", "0");
    lines.add("redis_mode", if node.groups.len() > 1 { "cluster" } else { "standalone" });
    lines.add("os", format!("{} {} {}", word(os.sysname()), word(os.release()), word(os.machine())));
    lines.add("arch_bits", usize::BITS);
    lines.add("monotonic_clock", "POSIX clock_gettime");
    lines.add("multiplexing_api", "epoll");
    lines.add("process_id", std::process::id());
    lines.add("process_supervised", "no");
    lines.add("run_id", &node.run_id);
    lines.add("tcp_port", node.address_for(false).map_or(0, |address| address.port()));
    lines.add("server_time_usec", node.wall_us());
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86_400);
    lines.add("hz", HZ);
    lines.add("configured_hz", HZ);
    lines.add("lru_clock", (node.wall_ms() / 1000) & 0x00ff_ffff);
    let program = std::env::current_exe().map(|path| path.display().to_string());
    lines.add("executable", program.unwrap_or_default());
    lines.add("config_file", node.config.program.shown_file());
    lines.add("io_threads_active", 0);
    let plain = node.addresses().into_iter().map(|address| ("tcp", address));
    let tls = node.tls_address().map(|address| ("tls", address));
    for (at, (name, address)) in plain.chain(tls).enumerate() {
        let (ip, port) = (address.ip(), address.port());
        lines.add(&format!("listener{at}"), format_args!("name={name},bind={ip},port={port}"));
    }
    lines.add("bulkhead_version", VERSION);
    lines.add("bulkhead_node_id", node.config.node_id);
    lines.add("bulkhead_groups", node.groups.len());
}

pub(super) fn clients(node: &Node, lines: &mut Lines) {
    let clients = node.clients.list();
    let most = |bytes: fn(&crate::engine::clients::Client) -> u64| {
        clients.iter().map(|client| bytes(client)).max().unwrap_or(0)
    };
    lines.add("connected_clients", node.clients.len());
    lines.add("cluster_connections", 0);
    lines.add("maxclients", node.live.connections_max());
    lines.add("client_recent_max_input_buffer", most(|client| client.input_bytes.load(Relaxed)));
    lines.add("client_recent_max_output_buffer", most(|client| client.output_bytes.load(Relaxed)));
    let for_keys: usize = node.groups.iter().map(|group| group.store.waiting()).sum();
    let otherwise = clients.iter().filter(|client| client.waits_otherwise()).count();
    lines.add("blocked_clients", for_keys + otherwise);
    lines.add("watching_clients", node.groups.iter().map(|group| group.store.watching()).sum::<usize>());
    lines.add("tracking_clients", node.tracker.clients());
    lines.add("pubsub_clients", node.hub.clients());
    lines.add("clients_in_timeout_table", 0);
    lines.add("monitoring_clients", node.clients.monitors.count());
    lines.add("monitoring_clients_cut_off", node.clients.monitors.cut_off.load(Relaxed));
    let (paused, until) = node.clients.pause.current();
    let paused = match paused {
        Paused::Nothing => "none",
        Paused::Writes => "write",
        Paused::All => "all",
    };
    let left = until.map_or(0, |until| until.saturating_duration_since(Instant::now()).as_millis());
    lines.add("paused_actions", paused);
    lines.add("paused_timeout_milliseconds", left);
}

pub(super) fn memory(node: &Node, lines: &mut Lines) {
    let memory = node.sampler.latest().memory;
    let (rows, row_bytes) = super::cache_size(node);
    lines.add_bytes("used_memory", memory.resident_bytes);
    lines.add_bytes("used_memory_rss", memory.resident_bytes);
    lines.add_bytes("used_memory_peak", memory.resident_peak_bytes);
    let share = |part: u64, whole: u64| format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64);
    lines.add("used_memory_peak_perc", share(memory.resident_bytes, memory.resident_peak_bytes));
    lines.add("used_memory_overhead", memory.resident_bytes.saturating_sub(row_bytes));
    lines.add("used_memory_dataset", row_bytes);
    lines.add("used_memory_dataset_perc", share(row_bytes, memory.resident_bytes));
    lines.add_bytes("total_system_memory", memory.total_bytes);
    lines.add_bytes("used_memory_lua", 0);
    let (scripts, bytes) = node.scripts.size();
    lines.add_bytes("used_memory_scripts", bytes as u64);
    lines.add("number_of_cached_scripts", scripts);
    lines.add("number_of_functions", crate::scripting::count_functions(node).1);
    lines.add("number_of_libraries", 0);
    lines.add_bytes("maxmemory", 0);
    let thresholds = node.admission.memory.thresholds();
    lines.add_bytes("memory_soft", thresholds.soft_bytes);
    lines.add_bytes("memory_hard", thresholds.hard_bytes);
    for (part, bytes) in memory_parts::all(node) {
        lines.add_bytes(&format!("memory_{part}"), bytes);
    }
    lines.add("memory_pressure", node.admission.memory.pressure().name());
    lines.add("memory_oom", node.stats.oom());
    let stats = &node.admission.memory.stats;
    for (name, count) in [
        ("memory_shortages", &stats.shortages),
        ("memory_busy", &stats.busy),
        ("memory_evicted_clients", &stats.evicted_clients),
        ("memory_evicted_bytes", &stats.evicted_bytes),
    ] {
        lines.add(name, count.load(Relaxed));
    }
    lines.add("maxmemory_policy", "noeviction");
    lines.add("mem_fragmentation_ratio", "1.00");
    lines.add("mem_clients_slaves", 0);
    lines.add("mem_clients_normal", super::client_bytes(node));
    lines.add("mem_cluster_links", 0);
    lines.add("mem_aof_buffer", node.wal.stats().queue_bytes);
    lines.add("mem_allocator", "mimalloc");
    lines.add("active_defrag_running", 0);
    lines.add("lazyfree_pending_objects", 0);
    lines.add("lazyfreed_objects", 0);
    lines.add("row_cache_rows", rows);
    lines.add("row_cache_bytes", row_bytes);
    lines.add("row_cache_bytes_max", node.config.cache_bytes);
    lines.add("block_cache_bytes_max", node.config.block_cache_bytes);
    lines.add("pending_bytes", super::pending_bytes(node));
}

pub(super) fn persistence(node: &Node, lines: &mut Lines) {
    let wal = node.wal.stats();
    let status = |ok: bool| if ok { "ok" } else { "err" };
    let saves = &node.checkpoints;
    let running = u8::from(saves.is_running());
    lines.add("loading", 0);
    lines.add("async_loading", 0);
    lines.add("rdb_changes_since_last_save", super::pending_bytes(node));
    lines.add("rdb_bgsave_in_progress", running);
    lines.add("rdb_last_save_time", saves.last_s());
    lines.add("rdb_last_bgsave_status", status(!saves.failed.load(Relaxed)));
    lines.add("rdb_last_bgsave_time_sec", -1);
    lines.add("rdb_current_bgsave_time_sec", -1);
    lines.add("rdb_saves", saves.made.load(Relaxed));
    lines.add("rdb_last_cow_size", 0);
    lines.add("aof_enabled", 1);
    lines.add("aof_rewrite_in_progress", running);
    lines.add("aof_rewrite_scheduled", 0);
    lines.add("aof_last_rewrite_time_sec", -1);
    lines.add("aof_current_rewrite_time_sec", -1);
    lines.add("aof_last_bgrewrite_status", "ok");
    lines.add("aof_last_write_status", status(wal.poisoned.is_none() && node.disk_refusal(true).is_none()));
    lines.add("aof_last_cow_size", 0);
    lines.add("aof_current_size", node.wal.disk_bytes());
    lines.add("aof_base_size", 0);
    lines.add("aof_pending_rewrite", 0);
    lines.add("aof_buffer_length", wal.queue_bytes);
    lines.add("aof_pending_bio_fsync", 0);
    lines.add("aof_delayed_fsync", 0);
}

pub(super) fn stats(node: &Node, lines: &mut Lines) {
    let stats = &node.stats;
    let rates = node.sampler.latest().rates;
    let kilobits = |bytes: u64| format!("{:.2}", bytes as f64 / 1024.0);
    lines.add("total_connections_received", node.clients.accepted.load(Relaxed));
    lines.add("total_commands_processed", super::commands_processed(node));
    lines.add("instantaneous_ops_per_sec", rates.commands);
    lines.add("total_net_input_bytes", stats.input_bytes.load(Relaxed));
    lines.add("total_net_output_bytes", stats.output_bytes.load(Relaxed));
    lines.add("total_net_repl_input_bytes", 0);
    lines.add("total_net_repl_output_bytes", 0);
    lines.add("instantaneous_input_kbps", kilobits(rates.input_bytes));
    lines.add("instantaneous_output_kbps", kilobits(rates.output_bytes));
    lines.add("instantaneous_input_repl_kbps", "0.00");
    lines.add("instantaneous_output_repl_kbps", "0.00");
    lines.add("rejected_connections", node.admission.rejected());
    for (reason, count) in node.users.log.counts() {
        let reason = if reason == Reason::Command { "cmd" } else { reason.name() };
        lines.add(&format!("acl_access_denied_{reason}"), count);
    }
    lines.add("sync_full", 0);
    lines.add("sync_partial_ok", 0);
    lines.add("sync_partial_err", 0);
    lines.add("expired_keys", stats.expired_keys());
    lines.add("expired_stale_perc", "0.00");
    lines.add("expired_time_cap_reached_count", 0);
    lines.add("evicted_keys", 0);
    lines.add("evicted_clients", node.admission.memory.stats.evicted_clients.load(Relaxed));
    let (hits, misses) = stats.keyspace_lookups();
    lines.add("keyspace_hits", hits);
    lines.add("keyspace_misses", misses);
    lines.add("pubsub_channels", node.hub.len(Kind::Channel));
    lines.add("pubsub_patterns", node.hub.len(Kind::Pattern));
    lines.add("pubsubshard_channels", node.hub.len(Kind::Shard));
    lines.add("pubsub_bytes_under_way", node.hub.under_way());
    lines.add("client_output_buffer_limit_disconnections", node.clients.cut_off());
    lines.add("stall_timeout_disconnections", node.clients.stalled());
    lines.add("latest_fork_usec", 0);
    lines.add("total_forks", 0);
    lines.add("migrate_cached_sockets", 0);
    let (keys, reads) = node.tracker.noted();
    lines.add("tracking_total_keys", keys);
    lines.add("tracking_total_items", reads);
    lines.add("tracking_total_prefixes", node.tracker.prefixes());
    lines.add("unexpected_error_replies", 0);
    lines.add("total_error_replies", stats.errors().0);
    lines.add("total_reads_processed", stats.reads.load(Relaxed));
    lines.add("total_writes_processed", stats.writes.load(Relaxed));
    if let Some(tls) = &node.tls {
        lines.add("tls_handshakes", tls.stats.handshakes.load(Relaxed));
        lines.add("tls_handshakes_in_progress", tls.handshakes());
        lines.add("tls_failures", tls.stats.failures.load(Relaxed));
        lines.add("tls_reloads", tls.stats.loads.load(Relaxed));
        lines.add("tls_failed_reloads", tls.stats.failed_loads.load(Relaxed));
    }
}

pub(super) fn replication(node: &Node, lines: &mut Lines) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_failover_state", "no-failover");
    lines.add("master_replid", &node.run_id);
    lines.add("master_replid2", "0".repeat(40));
    lines.add("master_repl_offset", super::replication_offset(node));
    lines.add("second_repl_offset", -1);
    lines.add("repl_backlog_active", 0);
    lines.add("repl_backlog_size", 0);
    lines.add("repl_backlog_first_byte_offset", 0);
    lines.add("repl_backlog_histlen", 0);
}

pub(super) fn cpu(node: &Node, lines: &mut Lines) {
    let cpu = node.sampler.latest().cpu;
    lines.add("used_cpu_sys", format!("{:.6}", cpu.system.as_secs_f64()));
    lines.add("used_cpu_user", format!("{:.6}", cpu.user.as_secs_f64()));
    lines.add("used_cpu_sys_children", "0.000000");
    lines.add("used_cpu_user_children", "0.000000");
}

pub(super) fn modules(_: &Node, _: &mut Lines) {}

pub(super) fn command_stats(node: &Node, lines: &mut Lines) {
    for (entry, stats) in node.stats.commands() {
        let each = stats.usec as f64 / stats.calls.max(1) as f64;
        lines.add(
            &format!("cmdstat_{}", entry.row.name),
            format_args!(
                "calls={},usec={},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.usec, stats.rejected, stats.failed
            ),
        );
    }
}

pub(super) fn error_stats(node: &Node, lines: &mut Lines) {
    for (code, count) in node.stats.errors().1 {
        lines.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

pub(super) fn latency_stats(node: &Node, lines: &mut Lines) {
    for (entry, stats) in node.stats.commands().filter(|(_, stats)| stats.calls > 0) {
        let at = |share| stats.latencies.quantile_us(share) as f64;
        lines.add(
            &format!("latency_percentiles_usec_{}", entry.row.name),
            format_args!("p50={:.3},p99={:.3},p99.9={:.3}", at(0.5), at(0.99), at(0.999)),
        );
    }
}

pub(super) fn cluster(node: &Node, lines: &mut Lines) {
    lines.add("cluster_enabled", u8::from(node.groups.len() > 1));
}

pub(super) fn keyspace(node: &Node, lines: &mut Lines) {
    for (database, counts) in super::keyspace(node).iter().enumerate() {
        if counts.keys > 0 {
            lines.add(
                &format!("db{database}"),
                format_args!("keys={},expires={},avg_ttl=0", counts.keys, counts.expires),
            );
        }
    }
}
