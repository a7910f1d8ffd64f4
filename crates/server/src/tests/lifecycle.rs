//! Starting and stopping.

use super::harness::{PATIENCE, TestNode, check, config};
use crate::Node;
use testkit::{Client, wait};

#[test]
fn shutdown_asks_for_a_clean_stop() {
    let node = TestNode::start();
    node.check(&[
        ("SHUTDOWN SOON", "-ERR syntax error"),
        ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error"),
        ("SHUTDOWN ABORT NOW", "-ERR syntax error"),
        ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
    ]);
    assert!(!node.node.is_stop_requested());
    let mut client = node.client();
    client.queue(&["SHUTDOWN", "NOSAVE"]);
    client.flush().unwrap();
    node.node.wait_for_stop_request();
    node.node.stop();
    assert!(client.receive().is_err(), "the connection closes without an answer");
}

#[test]
fn a_stop_does_not_wait_for_those_who_wait() {
    let node = TestNode::start();
    let mut waiter = node.client();
    waiter.queue(&["WAIT", "1", "0"]);
    waiter.flush().unwrap();
    let mut other = node.client();
    wait::until("the client to wait", PATIENCE, || {
        super::harness::text(&mut other, "CLIENT LIST").contains("cmd=wait ").then_some(())
    })
    .unwrap();
    let started = std::time::Instant::now();
    node.node.stop();
    assert!(started.elapsed() < std::time::Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(waiter.receive().is_err());
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let node = Node::start(config(&data, |_| ())).unwrap();
        let mut client = Client::connect(node.addresses()[0]).unwrap();
        check(
            &mut client,
            "GET round",
            &if round == 0 { "(null bulk)".into() } else { format!("\"{}\"", round - 1) },
        );
        check(&mut client, &format!("SET round {round}"), "+OK");
        node.stop();
    }
}

#[test]
fn what_a_start_has_replayed_is_not_replayed_by_the_next_one() {
    const VALUES: usize = 100;
    let data = tempfile::tempdir().unwrap();
    let value = vec![b'x'; 60 << 10];
    let node = Node::start(config(&data, |_| ())).unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    for number in 0..VALUES {
        client.call(&[b"SET", number.to_string().as_bytes(), &value]).unwrap();
    }
    node.stop();
    drop(node);
    let node = Node::start(config(&data, |_| ())).unwrap();
    wait::until("the store to have written what it replayed", PATIENCE, || {
        (node.disk.write_buffer_bytes() < (VALUES * value.len() / 10) as u64).then_some(())
    })
    .unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    check(&mut client, "DBSIZE", &format!(":{VALUES}"));
    node.stop();
}

#[test]
fn a_data_directory_keeps_its_constants() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(config(&data, |config| config.groups = 2)).unwrap();
    let again = Node::start(config(&data, |config| config.groups = 2)).map(|_| ());
    assert!(again.unwrap_err().to_string().contains("is in use by another process"));
    node.stop();
    drop(node);
    wait::until("the lock to be free", PATIENCE, || {
        let other =
            Node::start(config(&data, |config| config.groups = 3)).map(|_| ()).unwrap_err().to_string();
        other.contains("was created with --groups 2").then_some(())
    })
    .unwrap();
}
