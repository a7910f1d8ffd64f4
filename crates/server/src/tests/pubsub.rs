//! Pub/sub on a node whose log is slow, or fails; and its settings and bounds.

use std::time::{Duration, Instant};

use super::harness::{PATIENCE, TestNode, check};
use testkit::client::words;
use testkit::{Client, Reply, wait};

fn hearer(node: &TestNode) -> Client {
    let mut client = node.client();
    assert!(client.line("SUBSCRIBE c").unwrap().items().is_some());
    client
}

fn payload(reply: &Reply) -> String {
    let items = reply.items().unwrap();
    String::from_utf8(items.last().unwrap().bytes().unwrap().to_vec()).unwrap()
}

fn send(client: &mut Client, lines: &[&str]) {
    lines.iter().for_each(|line| client.queue(&words(line)));
    client.flush().unwrap();
}

#[test]
fn a_message_waits_for_what_was_written_before_it() {
    const SLOW: Duration = Duration::from_millis(300);
    let node = TestNode::start();
    let (mut me, mut other) = (node.client(), hearer(&node));
    check(&mut me, "DEBUG FAULT slow-fsync 300", "+OK");
    for lines in [
        &["SET k 1", "PUBLISH c x"][..],
        &["MULTI", "PUBLISH c x", "SET k 1", "EXEC"],
        &["MULTI", "SET k 1", "KEYS nothing*", "PUBLISH c x", "EXEC"],
    ] {
        let began = Instant::now();
        send(&mut me, lines);
        assert_eq!(payload(&other.receive().unwrap()), "x");
        assert!(began.elapsed() >= SLOW, "{lines:?}: heard after {:?}", began.elapsed());
        lines.iter().for_each(|_| assert!(!me.receive().unwrap().is_error()));
    }
    // Where nothing is under way, nothing is waited for.
    let began = Instant::now();
    check(&mut me, "PUBLISH c y", ":1");
    assert_eq!(payload(&other.receive().unwrap()), "y");
    assert!(began.elapsed() < SLOW, "{:?}", began.elapsed());
}

#[test]
fn what_is_not_durable_is_never_heard() {
    let node = TestNode::start();
    let (mut me, mut other) = (node.client(), hearer(&node));
    check(&mut me, "SET k 0", "+OK");
    check(&mut me, "DEBUG FAULT fsync on", "+OK");
    let lines = ["SET k 1", "PUBLISH c plain", "MULTI", "SET k 2", "PUBLISH c unit", "EXEC"];
    send(&mut me, &lines);
    let replies: Vec<Reply> = lines.iter().map(|_| me.receive().unwrap()).collect();
    assert!(replies[0].is_error() && replies[1].is_error() && replies[5].is_error(), "{replies:?}");
    // The node goes on for those who read, and for those who only tell.
    wait::until("the node to be read again", PATIENCE, || {
        let reply = me.line("PUBLISH c later").unwrap();
        (reply == Reply::Integer(1)).then_some(())
    })
    .unwrap();
    assert_eq!(payload(&other.receive().unwrap()), "later");
    check(&mut me, "GET k", "\"0\"");
}

#[test]
fn limits_of_unread_output_are_settings() {
    let wrong = |why: &str| {
        let line = "-ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - ";
        format!("{line}{why}")
    };
    const NUMBERS: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    const CLASS: &str = "Invalid client class specified in buffer limit configuration.";
    let shown = |limits: &str| format!("[\"client-output-buffer-limit\", \"{limits}\"]");
    let (get, set) = ("CONFIG GET client-output-buffer-limit", "CONFIG SET client-output-buffer-limit");
    TestNode::start().check(&[
        (get, &shown("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60")),
        (&format!("{set} \"pubsub 64mb 16mb 90 normal 1gb 0 0\""), "+OK"),
        (get, &shown("normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 67108864 16777216 90")),
        (&format!("{set} \"pubsub 1\""), &wrong("Wrong number of arguments in buffer limit configuration.")),
        (&format!("{set} \"master 0 0 0\""), &wrong(CLASS)),
        (&format!("{set} \"pubsub 0 0 x\""), &wrong(NUMBERS)),
        (&format!("{set} \"pubsub x 0 0\""), &wrong(NUMBERS)),
        (get, &shown("normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 67108864 16777216 90")),
    ]);
}

#[test]
fn a_reply_that_is_longer_than_its_class_may_leave_unread_cuts_its_client_off() {
    let node = TestNode::start();
    let (mut me, mut other) = (node.client(), node.client());
    let value = "x".repeat(8 << 20);
    me.call(&["SET", "k", &value]).unwrap();
    me.call(&["CONFIG", "SET", "client-output-buffer-limit", "normal 2mb 0 0"]).unwrap();
    // On its own it is told page by page.
    assert_eq!(other.line("GET k").unwrap(), Reply::bulk(&value));
    send(&mut other, &["MULTI", "GET k", "EXEC"]);
    let replies: Vec<_> = (0..3).map(|_| other.receive()).collect();
    assert!(replies[1].is_ok() && replies[2].is_err(), "a transaction's is not");
    assert_eq!(node.node.clients.cut_off(), 1);
    check(&mut me, "STRLEN k", ":8388608");
}

#[test]
fn too_many_names_are_refused_whole() {
    let node = TestNode::start();
    let mut client = node.client();
    let long = "x".repeat(base::limits::CHANNEL_BYTES_MAX + 1);
    let reply = client.call(&["SUBSCRIBE", "a", &long]).unwrap();
    assert!(matches!(&reply, Reply::Error(line) if line.contains("at most 65536 bytes")), "{reply:?}");
    check(&mut client, "PUBSUB CHANNELS", "[]");
    let names: Vec<String> = (0..20_000).map(|at| format!("channel-{at}")).collect();
    client.queue(&[vec!["SUBSCRIBE"], names.iter().map(|name| &**name).collect()].concat());
    client.flush().unwrap();
    for at in 1..=names.len() {
        assert_eq!(client.receive().unwrap().items().unwrap()[2], Reply::Integer(at as i64));
    }
    let mut other = node.client();
    let listed = other.line("PUBSUB CHANNELS").unwrap();
    assert_eq!(listed.items().unwrap().len(), names.len());
    check(&mut other, "PUBLISH channel-19999 x", ":1");
    drop(client);
    wait::until("the client to be forgotten", PATIENCE, || {
        (other.line("PUBSUB CHANNELS").unwrap().items().unwrap().is_empty()).then_some(())
    })
    .unwrap();
}

#[test]
fn many_patterns_are_matched_in_the_heavy_pool() {
    let node = TestNode::start();
    let (mut me, mut other) = (node.client(), node.client());
    let patterns: Vec<String> = (0..12_000).map(|at| format!("*{at}*")).collect();
    for part in patterns.chunks(1_000) {
        other.queue(&[vec!["PSUBSCRIBE"], part.iter().map(|name| &**name).collect()].concat());
        other.flush().unwrap();
        part.iter().for_each(|_| drop(other.receive().unwrap()));
    }
    let before = node.node.heavy.stats.total().submitted;
    // 9 and 99 are like it.
    check(&mut me, "PUBLISH a99b x", ":2");
    assert!(node.node.heavy.stats.total().submitted > before);
    let mut heard: Vec<Reply> =
        (0..2).map(|_| other.receive().unwrap().items().unwrap()[1].clone()).collect();
    heard.sort();
    assert_eq!(heard, [Reply::bulk("*9*"), Reply::bulk("*99*")]);
}
