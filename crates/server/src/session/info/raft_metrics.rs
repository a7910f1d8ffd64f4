//! What the page of metrics says of the queues of consensus, and of its heartbeats.

use consensus::{GroupMetrics, QueueMetrics};
use observe::{Exposition, Kind};

use super::metrics::{cumulative, seconds};
use crate::engine::node::Node;

pub(super) fn about_queues(node: &Node, page: &mut Exposition) {
    let groups: Vec<(String, GroupMetrics)> = (node.groups.iter())
        .filter_map(|group| Some((group.id.to_string(), group.consensus()?.metrics())))
        .collect();
    let mut each = |kind, name, help, value: fn(&QueueMetrics) -> u64| {
        let mut metric = page.metric(name, kind, help);
        for (group, metrics) in &groups {
            for (queue, seen) in metrics.queues() {
                metric.sample(&[("group", group), ("queue", queue.name())], value(&seen) as f64);
            }
        }
    };
    each(Kind::Gauge, "bulkhead_raft_queue_depth", "What waits in a queue of consensus.", |seen| seen.depth);
    each(Kind::Gauge, "bulkhead_raft_queue_max", "With how much it is full.", |seen| seen.max);
    each(Kind::Counter, "bulkhead_raft_queue_full_total", "How often it was full.", |seen| seen.full);
}

pub(super) fn about_heartbeats(node: &Node, page: &mut Exposition) {
    let help = "How late a raft thread was when a heartbeat was due.";
    let mut metric = page.metric("bulkhead_raft_heartbeat_delay_seconds", Kind::Histogram, help);
    for (thread, delay) in node.heartbeat_delays().iter().enumerate() {
        // Bucket n holds what took less than 2^n µs.
        let buckets = cumulative(&delay.buckets, 0);
        let labels = [("thread", &*format!("raft-{thread}"))];
        metric.histogram(&labels, buckets, seconds(delay.sum_us), delay.count());
    }
}
