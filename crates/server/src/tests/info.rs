//! INFO, and the same over HTTP.

use super::harness::{PATIENCE, TestNode, check, field, text};
use testkit::wait;

#[test]
fn every_section_has_its_fields() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "SET a 1", "+OK");
    check(&mut client, "SELECT 3", "+OK");
    check(&mut client, "SET b 1 EX 1000", "+OK");
    let all = text(&mut client, "INFO everything");
    for (name, expected) in [
        ("redis_version", "7.2.4"),
        ("redis_mode", "standalone"),
        ("connected_clients", "1"),
        ("maxmemory_policy", "noeviction"),
        ("aof_enabled", "1"),
        ("role", "master"),
        ("cluster_enabled", "0"),
        ("db0", "keys=1,expires=0,avg_ttl=0"),
        ("db3", "keys=1,expires=1,avg_ttl=0"),
        ("lane_inline", "2"),
        ("wal_poisoned", "no"),
    ] {
        assert_eq!(field(&all, name), expected, "{name}");
    }
    for title in ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules"] {
        assert!(all.contains(&format!("# {title}\r\n")), "{title}");
    }
    assert!(field(&all, "cmdstat_set").starts_with("calls=2,usec="));
    assert!(field(&all, "latency_percentiles_usec_set").starts_with("p50="));
    assert!(field(&all, "group0").starts_with("role=leader,term=1,leader=1,"));
    check(&mut client, "INFO nosuch", "\"\"");
    check(&mut client, "INFO keyspace", "\"# Keyspace\\r\\ndb0:…\"");
}

#[test]
fn statistics_count_what_happened() {
    let node = TestNode::start();
    let mut client = node.client();
    for line in
        ["SET a 1", "GET a", "GET b", "GET b", "INCR a", "SET a x", "INCR a", "GET", "NOSUCH", "AUTH x"]
    {
        client.line(line).unwrap();
    }
    let stats = text(&mut client, "INFO all");
    assert_eq!((field(&stats, "keyspace_hits"), field(&stats, "keyspace_misses")), ("1".into(), "2".into()));
    assert!(field(&stats, "cmdstat_get").starts_with("calls=3,"));
    assert!(field(&stats, "cmdstat_get").ends_with("rejected_calls=1,failed_calls=0"));
    assert!(field(&stats, "cmdstat_incr").ends_with("rejected_calls=0,failed_calls=1"));
    assert_eq!(field(&stats, "errorstat_ERR"), "count=4");
    assert_eq!(field(&stats, "total_error_replies"), "4");
    assert!(field(&stats, "total_net_input_bytes").parse::<u64>().unwrap() > 100);
    check(&mut client, "CONFIG RESETSTAT", "+OK");
    let stats = text(&mut client, "INFO all");
    assert_eq!(field(&stats, "total_error_replies"), "0");
    assert!(!stats.contains("cmdstat_get"));
}

#[test]
fn heavy_commands_are_counted_once() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "KEYS *", "[]");
    check(&mut client, "DEBUG SLEEP 0", "+OK");
    let stats = text(&mut client, "INFO all");
    assert!(field(&stats, "cmdstat_keys").starts_with("calls=1,"));
    assert!(field(&stats, "cmdstat_debug").starts_with("calls=1,"));
    assert_eq!(field(&stats, "lane_heavy"), "2");
    assert_eq!(field(&stats, "lane_read"), "0");
    let scans = field(&stats, "heavy_scan");
    assert!(
        scans.starts_with("running=0,waiting=0,submitted=1,rejected=0,outgrown=1,timed_out=0,wait_"),
        "{scans}"
    );
    assert!(field(&stats, "heavy_range").contains(",submitted=1,rejected=0,"));
    assert!(field(&stats, "heavy_script").starts_with("running=0,waiting=0,submitted=0,"));
}

#[test]
fn threads_are_told_apart() {
    let node = TestNode::start();
    let mut client = node.client();
    // A thread gives itself its name when it begins to run.
    for class in ["net", "raft", "wal", "apply", "heavy", "maint"] {
        let named =
            || text(&mut client, "INFO threads").contains(&format!("threads_{class}:count=")).then_some(());
        wait::until(class, PATIENCE, named).unwrap();
    }
}

#[test]
fn http_says_how_the_node_is() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    for line in ["SET a 1", "GET a", "GET b", "NOSUCH", "KEYS *"] {
        client.line(line).unwrap();
    }
    assert!(node.page("/healthz").starts_with("HTTP/1.1 200"));
    assert!(node.page("/readyz").starts_with("HTTP/1.1 200"));
    assert!(node.page("/").contains("state    ready"));
    let metrics = node.page("/metrics");
    for line in [
        "bulkhead_ready 1",
        "bulkhead_commands_total{command=\"set\"} 1",
        "bulkhead_commands_total{command=\"keys\"} 1",
        "bulkhead_errors_total{code=\"ERR\"} 1",
        "bulkhead_keyspace_lookups_total{found=\"yes\"} 1",
        "bulkhead_lane_commands_total{lane=\"inline\"} 1",
        "bulkhead_lane_commands_total{lane=\"heavy\"} 1",
        "bulkhead_heavy_submitted_total{command=\"keys\",class=\"scan\"} 1",
        "bulkhead_heavy_rejected_total{command=\"keys\",class=\"scan\"} 0",
        "bulkhead_heavy_timed_out_total{command=\"keys\",class=\"scan\"} 0",
        "bulkhead_heavy_wait_seconds_count{command=\"keys\",class=\"scan\"} 1",
        "bulkhead_heavy_run_seconds_bucket{command=\"keys\",class=\"scan\",le=\"+Inf\"} 1",
        "bulkhead_heavy_jobs{class=\"script\",state=\"waiting\"} 0",
        "bulkhead_keys{db=\"0\"} 1",
        "bulkhead_raft_is_leader{group=\"0\"} 1",
        "bulkhead_wal_poisoned 0",
        "bulkhead_clients 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    for name in [
        "bulkhead_commit_seconds",
        "bulkhead_wal_fsync_seconds",
        "bulkhead_heavy_wait_seconds",
        "bulkhead_heavy_run_seconds",
    ] {
        assert!(metrics.contains(&format!("# TYPE {name} histogram")), "{name}");
    }
    node.node.request_stop();
    assert!(node.page("/readyz").contains("not ready: it is being stopped"));
}

#[test]
fn every_metric_is_documented() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let metrics = node.page("/metrics");
    let documented = include_str!("../../../../docs/operations.md");
    for name in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(documented.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
}

#[test]
fn rates_are_sampled() {
    let node = TestNode::start();
    let mut client = node.client();
    let found = wait::until("a rate", PATIENCE, || {
        for _ in 0..100 {
            check(&mut client, "PING", "+PONG");
        }
        let rate = field(&text(&mut client, "INFO stats"), "instantaneous_ops_per_sec");
        rate.parse::<u64>().ok().filter(|rate| *rate > 0)
    });
    found.unwrap();
}
