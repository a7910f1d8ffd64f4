//! INFO, and the same over HTTP.

use super::harness::{PATIENCE, TestNode, check, field, text};
use serde_json::{Value, json};
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

/// The value of a metric that has no labels, or that has these.
#[track_caller]
fn metric(page: &str, name: &str) -> u64 {
    let found = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("there is no {name} in {page}")).parse().unwrap()
}

#[test]
fn a_reset_of_what_redis_counts_leaves_what_only_bulkhead_counts() {
    let node = TestNode::with(|config| {
        config.http = Some(([127, 0, 0, 1], 0).into());
        config.heavy_threads = 1;
        config.heavy_queue = 0;
    });
    let (mut client, mut sleeper) = (node.client(), node.client());
    sleeper.queue(&["DEBUG", "SLEEP", "1000"]);
    sleeper.flush().unwrap();
    wait::until("a full pool", PATIENCE, || (node.node.heavy.load().0 == 1).then_some(())).unwrap();
    check(&mut client, "KEYS *", "-BUSY server overloaded, retry later");
    check(&mut client, "EVAL \"return redis.error_reply('OOM it says')\" 0", "-OOM it says");
    check(&mut client, "CONFIG RESETSTAT", "+OK");
    let (info, page) = (text(&mut client, "INFO all"), node.page("/metrics"));
    assert_eq!((field(&info, "total_error_replies"), field(&info, "busy")), ("0".into(), "1".into()));
    assert!(!info.contains("errorstat_"), "{info}");
    assert_eq!(field(&info, "memory_oom"), "1");
    assert_eq!(metric(&page, "bulkhead_memory_oom_total"), 1);
    assert_eq!(metric(&page, "bulkhead_busy_total"), 1);
    let rejected = "bulkhead_heavy_rejected_total{command=\"keys\",class=\"scan\"}";
    assert_eq!(metric(&page, rejected), 1);
    check(&mut client, "CLIENT KILL TYPE normal SKIPME yes", ":1");
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
fn http_says_how_the_node_is() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    for line in ["SET a 1", "GET a", "GET b", "NOSUCH", "KEYS *"] {
        client.line(line).unwrap();
    }
    assert!(node.page("/healthz").starts_with("HTTP/1.1 200"));
    assert!(node.page("/readyz").starts_with("HTTP/1.1 200"));
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
        "bulkhead_raft_queue_depth{group=\"0\",queue=\"proposals\"} 0",
        "bulkhead_raft_queue_full_total{group=\"0\",queue=\"held\"} 0",
        "bulkhead_wal_poisoned 0",
        "bulkhead_clients 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    for name in [
        "bulkhead_commit_seconds",
        "bulkhead_wal_fsync_seconds",
        "bulkhead_raft_heartbeat_delay_seconds",
        "bulkhead_heavy_wait_seconds",
        "bulkhead_heavy_run_seconds",
    ] {
        assert!(metrics.contains(&format!("# TYPE {name} histogram")), "{name}");
    }
    node.node.request_stop();
    assert!(node.page("/readyz").contains("not ready: it is being stopped"));
}

/// What the dashboard asks for.
fn status(node: &TestNode) -> Value {
    let page = node.page("/status.json");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// How many calls a histogram holds.
fn calls(histogram: &Value) -> u64 {
    let pairs = histogram.as_array().unwrap();
    pairs.iter().map(|pair| pair[1].as_u64().unwrap()).sum()
}

/// Whether what is measured is there, in a status of which something was asked.
fn is_measured(status: &Value) -> bool {
    let numbers = ["/uptime_ms", "/wall_ms", "/memory/resident", "/disk/free", "/disk/log", "/cpu/at_ms"];
    let histograms = [
        "/groups/0/commit",
        "/log/fdatasync",
        "/raft/heartbeat_delays/0",
        "/heavy/classes/0/ran",
        "/heavy/classes/0/waited",
    ];
    let at = |path: &&str| status.pointer(path).unwrap();
    numbers.iter().map(at).all(|number| number.as_u64() > Some(0))
        && histograms.iter().map(at).all(|histogram| calls(histogram) > 0)
}

#[test]
fn the_dashboard_is_told_how_the_node_is() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    for line in ["PING", "SET a secret", "GET a", "GET b", "NOSUCH", "KEYS *"] {
        client.line(line).unwrap();
    }
    let page = node.page("/");
    assert!(page.contains("content-type: text/html") && page.contains("fetch(\"status.json\""), "{page}");
    // The process is looked at once a second, and threads count what they did when it is done.
    let measured = || Some(status(&node)).filter(is_measured);
    let status = wait::until("everything is measured", PATIENCE, measured).unwrap();
    for (at, expected) in [
        ("/not_ready", json!(null)),
        ("/calls", json!(5)),
        ("/errors", json!(1)),
        ("/keys", json!(1)),
        ("/clients/now", json!(1)),
        ("/clients/connections/top", json!([["127.0.0.1", 1]])),
        ("/clients/refused/peer", json!(0)),
        ("/heavy/threads", json!(2)),
        ("/heavy/classes/0/name", json!("scan")),
        ("/heavy/classes/0/submitted", json!(1)),
        ("/groups/0/role", json!("leader")),
        ("/groups/0/queues/0/name", json!("proposals")),
        ("/groups/0/queues/0/full", json!(0)),
        ("/log/poisoned", json!(null)),
        ("/memory/pressure", json!("none")),
        ("/slow/newest", json!([])),
    ] {
        assert_eq!(status.pointer(at), Some(&expected), "{at} in {status:#}");
    }
    for (lane, expected) in [("net", 1), ("read", 2), ("inline", 1), ("heavy", 1)] {
        assert_eq!(calls(&status["lanes"][lane]), expected, "{lane} in {status:#}");
    }
    let get = status["commands"].as_array().unwrap().iter().find(|command| command["name"] == "get").unwrap();
    assert_eq!((get["calls"].as_u64(), calls(&get["took"])), (Some(2), 2), "{get}");
    node.node.request_stop();
    assert_eq!(self::status(&node)["not_ready"], "it is being stopped");
}

#[test]
fn the_dashboard_names_slow_commands_and_not_what_they_were_given() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    client.line("CONFIG SET slowlog-log-slower-than 0").unwrap();
    for _ in 0..20 {
        client.line("sEt the-key the-value").unwrap();
    }
    let status = status(&node);
    let newest = status["slow"]["newest"].as_array().unwrap();
    assert_eq!(newest.len(), base::limits::SLOW_COMMANDS_SHOWN);
    assert!(
        newest.iter().all(|slow| slow["name"] == "set" && slow["at_ms"].as_u64() > Some(0)),
        "{status:#}"
    );
    let text = status["slow"].to_string();
    assert!(!text.contains("the-key") && !text.contains("the-value"), "{text}");
}

/// What the panels of a Grafana dashboard ask for.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| expressions(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

#[test]
fn the_grafana_dashboard_asks_for_metrics_that_there_are() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let metrics = node.page("/metrics");
    let mut wanted = Vec::new();
    let dashboard = serde_json::from_str(include_str!("../../../../docs/grafana.json")).unwrap();
    expressions(&dashboard, &mut wanted);
    // What it asks of the actor API is checked where that is counted.
    wanted.retain(|expression| !expression.contains("ateapi_"));
    assert!(wanted.len() > 40, "{wanted:#?}");
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    for expression in wanted {
        let names: Vec<_> =
            expression.split(|c| !is_of_name(c)).filter(|word| word.starts_with("bulkhead_")).collect();
        assert!(!names.is_empty(), "{expression}");
        for name in names {
            let kind = |name: &str, kind: &str| metrics.contains(&format!("\n# TYPE {name} {kind}\n"));
            let is_known = match name.strip_suffix("_bucket") {
                Some(histogram) => kind(histogram, "histogram"),
                None if name.ends_with("_total") => kind(name, "counter"),
                None => kind(name, "gauge"),
            };
            assert!(is_known, "{name} in {expression}");
        }
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
