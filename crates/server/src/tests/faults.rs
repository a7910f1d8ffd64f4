//! What becomes of a node whose disk fails.

use super::harness::{PATIENCE, TestNode, check, config};
use crate::Node;
use testkit::{Client, Reply, wait};

#[test]
fn after_a_failed_fsync_nothing_is_written_any_more() {
    let data = tempfile::tempdir().unwrap();
    let http = |config: &mut crate::Config| config.http = Some(([127, 0, 0, 1], 0).into());
    let node = Node::start(config(&data, http)).unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    check(&mut client, "SET before 1", "+OK");
    check(&mut client, "PFADD sketch a b", ":1");
    check(&mut client, "DEBUG FAULT fsync on", "+OK");
    let reply = client.line("SET during 1").unwrap();
    assert!(reply.is_error(), "{reply:?} although it is not on disk");
    check(&mut client, "DEBUG FAULT fsync off", "+OK");
    let reply = client.line("SET after 1").unwrap();
    assert!(reply.is_error(), "{reply:?} although an fsync has failed before");
    let metrics = super::harness::page(&node, "/metrics");
    assert!(metrics.contains("\nbulkhead_wal_poisoned 1\n") && metrics.contains("\nbulkhead_ready 0\n"));
    let ready = super::harness::page(&node, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("the log has failed"), "{ready}");
    assert!(super::harness::text(&mut client, "INFO persistence").contains("aof_last_write_status:err"));
    wait::until("the node to know", PATIENCE, || {
        let reply = client.line("SET after 1").unwrap();
        assert!(reply.is_error(), "{reply:?} although an fsync has failed before");
        format!("{reply:?}").starts_with("-MISCONF the log failed").then_some(())
    })
    .unwrap();
    // Consensus gives up first, and then the group is opened again, for reading.
    let group = &node.groups[0];
    wait::until("reads to go on", PATIENCE, || {
        let gave_up = group.consensus().unwrap().metrics().failure.is_some();
        let read = client.line("GET before").is_ok_and(|reply| reply == Reply::bulk("1"));
        (gave_up && read && group.is_only_read()).then_some(())
    })
    .unwrap();
    for (line, expected) in [
        ("GET before", "\"1\""),
        ("GET during", "(null bulk)"),
        ("DBSIZE", ":2"),
        ("KEYS b*", "[\"before\"]"),
        // It cannot write its estimate down.
        ("PFCOUNT sketch", ":2"),
        ("SET after 1", "-MISCONF the log failed and this node has to be restarted: …"),
        ("FLUSHALL", "-MISCONF the log failed and this node has to be restarted: …"),
    ] {
        check(&mut client, line, expected);
    }
    node.stop();
    drop(node);
    let node =
        wait::until("the files to be free", PATIENCE, || Node::start(config(&data, |_| ())).ok()).unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    check(&mut client, "GET before", "\"1\"");
    check(&mut client, "SET after 1", "+OK");
    node.stop();
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let node = TestNode::start();
    let mut client = node.client();
    let value = "x".repeat(1 << 20);
    check(&mut client, "SET before 1", "+OK");
    check(&mut client, "DEBUG FAULT full on", "+OK");
    let refused = wait::until("the disk to be full", PATIENCE, || {
        let reply = client.call(&["SET", "big", &value]).unwrap();
        reply.is_error().then(|| format!("{reply:?}"))
    });
    let refused = refused.unwrap();
    assert!(refused.starts_with("-MISCONF"), "{refused}");
    check(&mut client, "GET before", "\"1\"");
    check(&mut client, "DEBUG FAULT full off", "+OK");
    wait::until("writes to be taken", PATIENCE, || {
        let reply = client.line("SET after 1").unwrap();
        (!reply.is_error()).then_some(())
    })
    .unwrap();
    check(&mut client, "GET before", "\"1\"");
}

#[test]
fn writes_are_refused_while_there_is_still_room_for_what_was_accepted() {
    let node = TestNode::with(|config| {
        config.http = Some(([127, 0, 0, 1], 0).into());
        config.groups = 2;
    });
    let mut client = node.client();
    check(&mut client, "SET before 1", "+OK");
    check(&mut client, "SET fleeting 1 PX 1", "+OK");
    check(&mut client, "PFADD sketch a b", ":1");
    check(&mut client, "DEBUG FAULT free 110000000", "+OK");
    let refuses = |client: &mut Client| client.line("SET probe 1").unwrap().is_error().then_some(());
    wait::until("writes to be refused", PATIENCE, || refuses(&mut client)).unwrap();
    const FULL: &str = "-MISCONF the disk is full; writes are refused until there is room";
    for write in ["SET during 1", "APPEND before 1", "COPY before {before}2"] {
        check(&mut client, write, FULL);
    }
    // Nothing is written for the sake of a reader.
    let sketch = client.line("GET sketch").unwrap();
    check(&mut client, "PFCOUNT sketch", ":2");
    assert_eq!(client.line("GET sketch").unwrap(), sketch);
    // What frees room is taken until there is hardly any.
    for (write, reply) in [("DEL nosuch", ":0"), ("FLUSHDB", "+OK")] {
        check(&mut client, write, reply);
    }
    check(&mut client, "GET before", "(null bulk)");
    check(&mut client, "DEBUG FAULT free 10000000", "+OK");
    let refuses_all = |client: &mut Client| client.line("DEL nosuch").unwrap().is_error().then_some(());
    wait::until("all writes to be refused", PATIENCE, || refuses_all(&mut client)).unwrap();
    for write in ["SET during 1", "DEL before", "FLUSHALL", "FLUSHDB"] {
        check(&mut client, write, FULL);
    }
    check(&mut client, "GET fleeting", "(null bulk)");
    let ready = node.page("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("the disk is full"), "{ready}");
    assert!(node.page("/metrics").contains("\nbulkhead_disk_free_bytes 10000000\n"));
    assert!(super::harness::text(&mut client, "INFO persistence").contains("aof_last_write_status:err"));
    check(&mut client, "DEBUG FAULT free off", "+OK");
    wait::until("writes to be taken", PATIENCE, || refuses(&mut client).is_none().then_some(())).unwrap();
    check(&mut client, "DEL probe", ":1");
    assert!(node.page("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_store_without_room_waits_and_the_node_can_be_stopped() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(config(&data, |_| ())).unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    // The write races with the switch: it may be refused, but once it is taken it must be kept.
    check(&mut client, "SET before 1", "+OK");
    check(&mut client, "DEBUG FAULT free 0", "+OK");
    let taken = !client.line("SET during 1").unwrap().is_error();
    check(&mut client, "GET before", "\"1\"");
    node.stop();
    assert_eq!(node.groups[0].failure.get(), None, "it has not been asked for what it cannot do");
    drop(client);
    drop(node);
    let node =
        wait::until("the files to be free", PATIENCE, || Node::start(config(&data, |_| ())).ok()).unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    check(&mut client, "GET before", "\"1\"");
    check(&mut client, "GET during", if taken { "\"1\"" } else { "(null bulk)" });
    node.stop();
}

#[test]
fn a_slow_disk_shows_in_the_latencies() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    check(&mut client, "DEBUG FAULT slow-fsync 30", "+OK");
    check(&mut client, "SET a 1", "+OK");
    let stats = node.node.wal.stats();
    let slow: u64 = stats.fsync_us_buckets.iter().skip(14).sum();
    assert!(slow >= 1, "{:?}", stats.fsync_us_buckets);
}

#[test]
fn unknown_faults_are_refused() {
    let wrong = "-ERR unknown subcommand or wrong number of arguments for 'FAULT'. Try DEBUG HELP.";
    TestNode::start().check(&[
        ("DEBUG FAULT nosuch on", wrong),
        ("DEBUG FAULT fsync perhaps", wrong),
        ("DEBUG FAULT", wrong),
    ]);
}
