//! The door for what the node's process hosts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use base::limits::INSIDE_CONNECTIONS_MAX;
use observe::Exposition;
use testkit::wait;

use super::admission::said;
use super::harness::{PATIENCE, TestNode, check, field, text};
use crate::engine::node::inside::{HOST, Hosted, PORT};

/// Says a line and reads as much as is expected.
#[track_caller]
fn says(stream: &mut UnixStream, line: &str, expected: &str) {
    stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    let mut said = vec![0; expected.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(String::from_utf8_lossy(&said), expected, "{line}");
}

#[track_caller]
fn inside(node: &TestNode) -> UnixStream {
    let stream = node.node.connect_inside().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Whether the node has closed it.
fn is_closed(stream: &mut UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0))
}

#[test]
fn the_door_needs_neither_a_listener_nor_a_password() {
    let node = TestNode::with(|config| {
        config.listen = None;
        config.requirepass = Some("secret".into());
    });
    let mut stream = inside(&node);
    says(&mut stream, "SET actor:a:b x", "+OK\r\n");
    says(&mut stream, "GET actor:a:b", "$1\r\nx\r\n");
}

#[test]
fn what_is_hosted_may_not_do_what_is_for_administrators() {
    let node = TestNode::start();
    let mut stream = inside(&node);
    says(&mut stream, "FLUSHALL", "-NOPERM User ateapi has no permissions to run the 'flushall' command\r\n");
    says(&mut stream, "EVAL \"return redis.call('SET', KEYS[1], 'x')\" 1 worker:a:b:c", "+OK\r\n");
    // Whatever becomes of a user of that name.
    let mut client = node.client();
    check(&mut client, "ACL SETUSER ateapi on >x +get", "+OK");
    says(&mut stream, "SET a 1", "+OK\r\n");
}

#[test]
fn it_is_listed_and_takes_nobodys_place() {
    let node = TestNode::with(|config| {
        config.max_connections = 2;
        config.max_connections_per_peer = 2;
    });
    let mut me = node.client();
    let _other = node.client();
    check(&mut me, "PING", "+PONG");
    let mut refused = TcpStream::connect(node.node.addresses()[0]).unwrap();
    assert_eq!(said(&mut refused), "-ERR max connections per client exceeded\r\n");
    let mut stream = inside(&node);
    says(&mut stream, "GET a", "$-1\r\n");
    let clients = text(&mut me, "INFO clients");
    assert_eq!(field(&clients, "connected_clients"), "2");
    let line = text(&mut me, "CLIENT LIST");
    let line = line.lines().find(|line| line.contains("addr=ateapi:0")).unwrap();
    assert!(line.contains(" laddr=ateapi:0 ") && line.contains(" cmd=get user=ateapi "), "{line}");
    assert_eq!(field(&text(&mut me, "INFO stats"), "total_connections_received"), "2");
    assert!(text(&mut me, "INFO admission").contains("addr=ateapi,connections=1"));
}

#[test]
fn it_may_be_killed_and_come_again_but_only_so_often_at_a_time() {
    let node = TestNode::start();
    let mut me = node.client();
    let mut streams: Vec<_> = (0..INSIDE_CONNECTIONS_MAX).map(|_| inside(&node)).collect();
    for stream in &mut streams {
        says(stream, "PING", "+PONG\r\n");
    }
    assert_eq!(node.node.connect_inside().unwrap_err().to_string(), "too many connections");
    check(&mut me, "CLIENT KILL ADDR ateapi:0", &format!(":{INSIDE_CONNECTIONS_MAX}"));
    assert!(streams.iter_mut().all(is_closed));
    wait::until("a place", PATIENCE, || {
        let mut stream = node.node.connect_inside().ok()?;
        says(&mut stream, "PING", "+PONG\r\n");
        Some(())
    })
    .unwrap();
}

#[test]
fn it_is_spared_where_idle_clients_are_disconnected() {
    let node = TestNode::with(|config| config.net_threads = 1);
    let mut stream = inside(&node);
    says(&mut stream, "PING", "+PONG\r\n");
    let mut idle = node.client();
    check(&mut idle, "CONFIG SET timeout 1", "+OK");
    let gone = || node.node.clients.is_empty().then_some(());
    wait::until("the idle client to be disconnected", PATIENCE, gone).unwrap();
    says(&mut stream, "PING", "+PONG\r\n");
}

#[test]
fn with_several_groups_it_is_told_to_come_by_the_door() {
    let node = TestNode::with(|config| config.groups = 4);
    let mut stream = inside(&node);
    stream.write_all(b"CLUSTER NODES\r\n").unwrap();
    let mut said = [0; 200];
    let count = stream.read(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..count]).into_owned();
    assert!(said.contains(&format!(" {HOST}:{PORT}@0 myself,master ")), "{said}");
    // As many connections as slots are far apart would be one connection all the same.
    for key in ["a", "b", "c", "d", "e", "f"] {
        says(&mut stream, &format!("SET {key} 1"), "+OK\r\n");
    }
}

#[test]
fn who_monitors_sees_who_it_was() {
    let node = TestNode::start();
    let mut monitor = node.client();
    check(&mut monitor, "MONITOR", "+OK");
    let mut stream = inside(&node);
    says(&mut stream, "GET actor:a:b", "$-1\r\n");
    let line = format!("{:?}", monitor.receive().unwrap());
    assert!(line.contains("[0 ateapi:0] "), "{line}");
}

struct Api;

impl Hosted for Api {
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], 6381).into()
    }

    fn calls(&self) -> u64 {
        7
    }

    fn ready(&self) -> Result<(), String> {
        Err("it starts".into())
    }

    fn show(&self, page: &mut Exposition) {
        page.single("ate_calls", observe::Kind::Counter, "Calls.", 7.0);
    }
}

#[test]
fn what_is_hosted_is_shown() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    check(&mut client, "CONFIG GET ateapi", "[\"ateapi\", \"off\"]");
    assert_eq!(field(&text(&mut client, "INFO ateapi"), "ateapi_address"), "off");
    node.node.inside.host(Arc::new(Api));
    check(&mut client, "CONFIG GET ateapi", "[\"ateapi\", \"127.0.0.1:6381\"]");
    let info = text(&mut client, "INFO ateapi");
    for (name, expected) in [
        ("ateapi_address", "127.0.0.1:6381"),
        ("ateapi_ready", "it starts"),
        ("ateapi_calls", "7"),
        ("ateapi_connections", "0"),
    ] {
        assert_eq!(field(&info, name), expected);
    }
    assert!(node.page("/metrics").contains("\nate_calls 7\n"));
}
