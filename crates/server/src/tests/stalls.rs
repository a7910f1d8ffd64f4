//! Clients that hold much and stand still are cut off, and nobody else is.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use testkit::wait;

use super::admission::{HERE, answers, from, said};
use super::harness::{PATIENCE, TestNode, check, field, text};

const LONG: usize = 100_000;

/// A client that has sent so much of a long command, and not the rest.
fn half_a_command(node: &TestNode, sent: usize) -> TcpStream {
    let mut stream = from(HERE, node);
    stream.write_all(b"*2\r\n$4\r\nECHO\r\n$10000000\r\n").unwrap();
    stream.write_all(&vec![b'x'; sent]).unwrap();
    stream
}

/// Since when somebody stands still.
fn standing(node: &TestNode) -> Option<u64> {
    node.node.clients.list().iter().find_map(|client| client.stands_since_ms())
}

#[test]
fn whoever_does_not_send_the_rest_of_a_long_command_is_cut_off() {
    let node = TestNode::with(|config| config.stall_timeout = Duration::from_millis(50));
    let mut little = half_a_command(&node, 10_000);
    let mut blocked = from(HERE, &node);
    blocked.write_all(b"BLPOP nothing 0\r\n").unwrap();
    let mut hears = from(HERE, &node);
    answers(&mut hears, "SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
    let mut long = half_a_command(&node, LONG);
    assert_eq!(said(&mut long), "");
    let mut client = node.client();
    assert_eq!(node.node.clients.stalled(), 1);
    assert_eq!(field(&text(&mut client, "INFO stats"), "stall_timeout_disconnections"), "1");
    assert_eq!(standing(&node), None);
    check(&mut client, "RPUSH nothing x", ":1");
    let mut served = [0; 24];
    std::io::Read::read_exact(&mut blocked, &mut served).unwrap();
    check(&mut client, "PUBLISH c x", ":1");
    little.write_all(&[b'x'; 10]).unwrap();
    assert_eq!(node.node.clients.len(), 4);
}

#[test]
fn whoever_takes_no_replies_is_cut_off() {
    let node = TestNode::with(|config| config.stall_timeout = Duration::from_millis(50));
    let mut stream = from(HERE, &node);
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let command = format!("*2\r\n$4\r\nECHO\r\n${LONG}\r\n{}\r\n", "x".repeat(LONG));
    // It goes on until nothing more is taken from it, and then it is closed.
    while stream.write_all(command.as_bytes()).is_ok() {}
    wait::until("it to be counted", PATIENCE, || (node.node.clients.stalled() == 1).then_some(())).unwrap();
    check(&mut node.client(), "PING", "+PONG");
}

#[test]
fn time_counts_from_the_last_byte_on() {
    let node = TestNode::with(|config| config.stall_timeout = Duration::ZERO);
    let clients = &node.node.clients;
    let mut stream = half_a_command(&node, LONG);
    let first = wait::until("it to stand still", PATIENCE, || standing(&node)).unwrap();
    let moves = || {
        stream.write_all(b"x").unwrap();
        standing(&node).filter(|since_ms| *since_ms > first)
    };
    let since_ms = wait::until("it to have moved", PATIENCE, moves).unwrap();
    clients.cut_off_stalled(since_ms + 59_999, 60_000);
    clients.cut_off_stalled(u64::MAX, 0);
    assert_eq!(clients.stalled(), 0);
    clients.cut_off_stalled(u64::MAX, 60_000);
    assert_eq!(said(&mut stream), "");
    assert_eq!(clients.stalled(), 1);
}
