//! What the page of metrics says of clients.

use std::sync::atomic::Ordering::Relaxed;

use observe::{Exposition, Kind};

use crate::engine::clients::Clients;
use crate::engine::memory_parts;
use crate::engine::node::Node;

/// How short memory is, and what came of it.
pub(super) fn about_memory(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let (memory, stats) = (&node.admission.memory, &node.admission.memory.stats);
    let thresholds = memory.thresholds();
    let help = "How short memory is: 0 not, 1 tight, 2 short, 3 critical.";
    page.single("bulkhead_memory_pressure", Gauge, help, f64::from(memory.pressure() as u8));
    page.metric("bulkhead_memory_threshold_bytes", Gauge, "Resident memory from which on it is short.")
        .sample(&[("threshold", "soft")], thresholds.soft_bytes as f64)
        .sample(&[("threshold", "hard")], thresholds.hard_bytes as f64);
    let mut parts =
        page.metric("bulkhead_memory_part_bytes", Gauge, "Who has the memory, as far as that is known.");
    for (part, bytes) in memory_parts::all(node) {
        parts.sample(&[("part", part)], bytes as f64);
    }
    for (name, help, value) in [
        ("bulkhead_memory_shortages_total", "Times that memory became short.", stats.shortages.load(Relaxed)),
        (
            "bulkhead_memory_busy_total",
            "Heavy work refused because memory was short.",
            stats.busy.load(Relaxed),
        ),
        ("bulkhead_memory_oom_total", "Commands told OOM.", node.stats.oom()),
        (
            "bulkhead_memory_evicted_clients_total",
            "Clients disconnected because memory was short.",
            stats.evicted_clients.load(Relaxed),
        ),
        ("bulkhead_memory_evicted_bytes_total", "What they held.", stats.evicted_bytes.load(Relaxed)),
    ] {
        page.single(name, Counter, help, value as f64);
    }
}

/// Who is let in and who is not. Peers have names here: so many, and no more.
pub(super) fn about_admission(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let (admission, stats) = (&node.admission, &node.admission.stats);
    let help = "Connections turned away, by reason.";
    let mut metric = page.metric("bulkhead_admission_refused_total", Counter, help);
    for (why, count) in admission.refused() {
        metric.sample(&[("reason", why.name())], count as f64);
    }
    metric.sample(&[("reason", "trial")], stats.failed_trials.load(Relaxed) as f64);
    let help = "Connections closed without a word, because their peer was turned away on and on.";
    page.single("bulkhead_admission_reset_total", Counter, help, stats.reset.load(Relaxed) as f64);
    let help = "Times that this began for a peer.";
    page.single("bulkhead_admission_storms_total", Counter, help, stats.storms.load(Relaxed) as f64);
    let shown = admission.shown();
    let help = "Peers that are known: connected, or turned away lately.";
    page.single("bulkhead_peers", Gauge, help, shown.peers as f64);
    let help = "Connections on places kept back for administrators.";
    page.single("bulkhead_admin_connections", Gauge, help, shown.on_kept_back as f64);
    for (name, help, (top, others)) in [
        ("bulkhead_peer_connections", "Connections of the peers that have most.", shown.connections),
        ("bulkhead_peer_rejections", "Connections turned away, of peers that are known.", shown.rejections),
        ("bulkhead_peer_storms", "Storms of peers that are known.", shown.storms),
    ] {
        let mut metric = page.metric(name, Gauge, help);
        for (peer, count) in top {
            metric.sample(&[("peer", &peer.to_string())], count as f64);
        }
        metric.sample(&[("peer", "other")], others as f64);
    }
}

fn about_cut_off(clients: &Clients, page: &mut Exposition) {
    let help = "Clients that left more unread than client-output-buffer-limit allows.";
    page.single("bulkhead_clients_cut_off_total", Kind::Counter, help, clients.cut_off() as f64);
    let help = "Clients that held much and stood still for stall-timeout.";
    page.single("bulkhead_clients_stalled_total", Kind::Counter, help, clients.stalled() as f64);
}

pub(super) fn about_clients(node: &Node, page: &mut Exposition) {
    use Kind::{Counter, Gauge};
    let (clients, stats) = (&node.clients, &node.stats);
    page.single("bulkhead_clients", Gauge, "Clients connected now.", clients.len() as f64);
    page.single("bulkhead_clients_max", Gauge, "Clients allowed.", node.live.connections_max() as f64);
    page.single(
        "bulkhead_connections_total",
        Counter,
        "Connections accepted.",
        clients.accepted.load(Relaxed) as f64,
    );
    page.single(
        "bulkhead_connections_rejected_total",
        Counter,
        "Connections turned away.",
        node.admission.rejected() as f64,
    );
    let monitors = &clients.monitors;
    page.single("bulkhead_monitors", Gauge, "Clients that said MONITOR.", monitors.count() as f64);
    page.single(
        "bulkhead_monitors_cut_off_total",
        Counter,
        "Clients that monitored and did not read what they were told.",
        monitors.cut_off.load(Relaxed) as f64,
    );
    page.single(
        "bulkhead_pubsub_clients",
        Gauge,
        "Clients that hear channels or patterns.",
        node.hub.clients() as f64,
    );
    page.single(
        "bulkhead_pubsub_bytes_under_way",
        Gauge,
        "Messages that were published and not handed out yet.",
        node.hub.under_way() as f64,
    );
    let tracker = &node.tracker;
    page.single(
        "bulkhead_tracking_clients",
        Gauge,
        "Clients that keep what they read and are told when it changes.",
        tracker.clients() as f64,
    );
    page.single(
        "bulkhead_tracking_keys",
        Gauge,
        "Keys whose readers are to be told when they change.",
        tracker.noted().0 as f64,
    );
    about_cut_off(clients, page);
    let mut metric = page.metric("bulkhead_acl_denied_total", Counter, "What users were refused, by reason.");
    for (reason, count) in node.users.log.counts() {
        metric.sample(&[("reason", reason.name())], count as f64);
    }
    page.metric("bulkhead_net_bytes_total", Counter, "Bytes from and to clients.")
        .sample(&[("direction", "in")], stats.input_bytes.load(Relaxed) as f64)
        .sample(&[("direction", "out")], stats.output_bytes.load(Relaxed) as f64);
    page.single(
        "bulkhead_client_buffer_bytes",
        Gauge,
        "What connections hold in buffers: input not understood yet, output not taken yet.",
        super::buffer_bytes(node) as f64,
    );
}
