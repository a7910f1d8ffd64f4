//! What goes on while memory is short, and what clients may make the server hold.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::Ordering::Relaxed;

use testkit::{Client, Reply, wait};

use super::admission::{HERE, answers, from, said};
use super::harness::{PATIENCE, TestNode, check, field, text};
use crate::admission::Origin;

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";
const BUSY: &str = "-BUSY the server is short of memory, retry later";

#[test]
fn what_takes_memory_is_refused_and_what_frees_it_is_not() {
    let node = TestNode::start();
    let mut client = node.client();
    for (line, expected) in [
        ("SET a 1", "+OK"),
        ("RPUSH list x", ":1"),
        ("CONFIG SET memory-hard 1000gb memory-soft 1", "+OK"),
        ("CONFIG GET memory-soft", "[\"memory-soft\", \"1\"]"),
        ("GET a", "\"1\""),
        ("SET a 2", OOM),
        ("APPEND a x", OOM),
        ("DEL list", ":1"),
        ("EXPIRE a 1000", ":1"),
        ("KEYS *", BUSY),
        ("EVAL \"return redis.call('set', 'b', '1')\" 0", "-OOM command not allowed …"),
        ("MULTI", "+OK"),
        ("GET a", OOM),
        ("EXEC", "-EXECABORT …"),
        ("ACL SETUSER somebody", "+OK"),
        ("CONFIG SET memory-soft 1x", "…argument must be a memory value"),
        ("FLUSHALL", "+OK"),
        ("EXISTS a", ":0"),
    ] {
        check(&mut client, line, expected);
    }
    let info = text(&mut client, "INFO everything");
    for (name, expected) in [
        ("memory_pressure", "short"),
        ("memory_soft", "1"),
        ("memory_shortages", "1"),
        ("errorstat_BUSY", "count=1"),
    ] {
        assert_eq!(field(&info, name), expected, "{name}");
    }
    check(&mut client, "CONFIG SET memory-hard 1", "+OK");
    assert_eq!(field(&text(&mut client, "INFO memory"), "memory_pressure"), "critical");
    check(&mut client, "CONFIG SET memory-hard 0 memory-soft 0", "+OK");
    check(&mut client, "SET a 2", "+OK");
    check(&mut client, "KEYS *", "[\"a\"]");
}

#[test]
fn a_node_that_starts_short_of_memory_lets_administrators_in() {
    let node = TestNode::with(|config| config.memory_soft = Some(1));
    let mut all: Vec<_> = (0..base::limits::ADMIN_CONNECTIONS / 2).map(|_| from(HERE, &node)).collect();
    all.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    let refused = "-ERR new connections are refused: the server is short of memory, retry later\r\n";
    answers(&mut from(HERE, &node), "PING", refused);
    answers(&mut all[0], "SET a 1", &format!("{OOM}\r\n"));
    answers(&mut all[0], "CONFIG SET memory-soft 0", "+OK\r\n");
    answers(&mut all[0], "SET a 1", "+OK\r\n");
    answers(&mut from(HERE, &node), "PING", "+PONG\r\n");
}

/// Bytes that running work holds.
fn work_bytes(node: &TestNode) -> u64 {
    node.node.admission.memory.work_bytes()
}

#[test]
fn what_work_holds_is_bounded_by_what_is_left_and_given_back() {
    let node = TestNode::start();
    let mut client = node.client();
    for command in ["SETRANGE large 8388607 x", "RPUSH list a b c"] {
        assert!(!client.line(command).unwrap().is_error(), "{command}");
    }
    let fills = "local t = {} for i = 1, 6000000 do t[i] = i end return #t";
    let reads = "local t = {} for i = 1, 20 do t[i] = redis.call('GET', 'large') .. i end return #t";
    let call = |client: &mut Client, code: &str| client.call(&["EVAL", code, "0"]).unwrap();
    let used: u64 = field(&text(&mut client, "INFO memory"), "used_memory").parse().unwrap();
    let soft = used + (96 << 20);
    // What one script may take by itself is more than what is left.
    let hard = soft + (3 << 30);
    check(&mut client, &format!("CONFIG SET memory-hard {hard} memory-soft {soft}"), "+OK");
    for code in [fills, reads] {
        assert_eq!(format!("{:?}", call(&mut client, code)), BUSY, "{code}");
    }
    // With more room they go on, by themselves or several in one unit, and all of it is given back.
    check(&mut client, &format!("CONFIG SET memory-soft {hard}"), "+OK");
    assert_eq!(call(&mut client, fills), Reply::Integer(6_000_000));
    assert_eq!(call(&mut client, reads), Reply::Integer(20));
    for _ in 0..20 {
        let words = ["MULTI", "GET large", "GET large", "LRANGE list 0 -1", "EXEC"];
        let replies: Vec<Reply> = words.iter().map(|line| client.line(line).unwrap()).collect();
        assert!(!replies.iter().any(Reply::is_error), "{replies:?}");
        check(&mut client, "EVAL \"return #redis.call('GET', 'large')\" 0", ":8388608");
    }
    wait::until("work to be given back", PATIENCE, || (work_bytes(&node) == 0).then_some(())).unwrap();
}

/// A client that has sent a part of a command, of which so much has come.
fn half_a_command(node: &TestNode, first: &str, length: usize, sent: usize) -> TcpStream {
    let mut stream = from(HERE, node);
    if !first.is_empty() {
        answers(&mut stream, first, "+OK\r\n");
    }
    stream.write_all(format!("*2\r\n$4\r\nECHO\r\n${length}\r\n").as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; sent]).unwrap();
    let port = stream.local_addr().unwrap();
    let has_come = || {
        let clients = node.node.clients.list();
        let client = clients.iter().find(|client| client.peer == Origin::Network(port))?;
        (client.input_bytes.load(Relaxed) >= sent as u64).then_some(())
    };
    wait::until("it to come", PATIENCE, has_come).unwrap();
    stream
}

#[test]
fn clients_with_full_buffers_are_disconnected_and_others_are_not() {
    const MIB: usize = 1 << 20;
    let node = TestNode::start();
    let mut me = from(HERE, &node);
    answers(&mut me, &format!("SET a {}", "x".repeat(60_000)), "+OK\r\n");
    let mut writer = half_a_command(&node, "", 100 * MIB, MIB);
    let mut thin = half_a_command(&node, "", 2_000, 1_000);
    let mut spared = half_a_command(&node, "CLIENT NO-EVICT ON", 2 * MIB, MIB);
    let mut reader = from(HERE, &node);
    // More than what the sockets' buffers take.
    reader.write_all("GET a\r\n".repeat(400).as_bytes()).unwrap();
    let port = reader.local_addr().unwrap();
    let fills = || {
        let clients = node.node.clients.list();
        let client = clients.iter().find(|client| client.peer == Origin::Network(port))?;
        (client.output_bytes.load(Relaxed) >= MIB as u64).then_some(())
    };
    wait::until("the output to fill", PATIENCE, fills).unwrap();
    let memory = &node.node.admission.memory;
    assert!(memory.buffers_bytes() >= 3 * MIB as u64);
    answers(&mut me, "CONFIG SET memory-soft 1", "+OK\r\n");
    let evicted = || (memory.stats.evicted_clients.load(Relaxed) == 2).then_some(());
    wait::until("both to be disconnected", PATIENCE, evicted).unwrap();
    assert!(memory.stats.evicted_bytes.load(Relaxed) >= 2 * MIB as u64);
    said(&mut writer);
    said(&mut reader);
    // Little is read of a large command as long as it lasts, and all of it then.
    thin.write_all(&[b'x'; 1_000]).unwrap();
    answers(&mut thin, "", &format!("$2000\r\n{}\r\n", "x".repeat(2_000)));
    answers(&mut me, "CONFIG SET memory-soft 0", "+OK\r\n");
    spared.write_all(&vec![b'x'; MIB]).unwrap();
    answers(&mut spared, "", &format!("${}\r\n{}\r\n", 2 * MIB, "x".repeat(2 * MIB)));
    drop((me, thin, spared));
    let gone = || (memory.buffers_bytes() == 0).then_some(());
    wait::until("all buffers to be gone", PATIENCE, gone).unwrap();
}

#[test]
fn what_is_reserved_for_a_large_command_is_not_said_to_be_held() {
    const MIB: usize = 1 << 20;
    let node = TestNode::start();
    let _client = half_a_command(&node, "", 400 * MIB, 9 * MIB);
    let client = node.node.clients.list().remove(0);
    wait::until("what has come", PATIENCE, || {
        (client.input_bytes.load(Relaxed) >= 9 * MIB as u64).then_some(())
    })
    .unwrap();
    assert!(client.input_free_bytes.load(Relaxed) < MIB as u64);
}

#[test]
fn a_large_command_whose_client_goes_does_not_stay_while_memory_is_short() {
    let node = TestNode::start();
    let mut me = from(HERE, &node);
    let mut spared = half_a_command(&node, "CLIENT NO-EVICT ON", 2 << 20, 1 << 20);
    answers(&mut me, "CONFIG SET memory-soft 1", "+OK\r\n");
    let _ = spared.write_all(b"x");
    drop(spared);
    let gone = || (node.node.clients.len() == 1).then_some(());
    wait::until("it to be gone", PATIENCE, gone).unwrap();
}

/// What a client may say, and what it is told before the connection is closed.
#[test]
fn what_a_client_may_say_is_bounded() {
    let open = TestNode::start();
    let closed = TestNode::with(|config| config.requirepass = Some("secret".into()));
    for (node, begin, expected) in [
        (&open, "*1048577\r\n".to_owned(), "invalid multibulk length"),
        (&open, "*1\r\n$536870913\r\n".to_owned(), "invalid bulk length"),
        (&open, "x".repeat(70_000), "too big inline request"),
        (&closed, "*11\r\n".to_owned(), "unauthenticated multibulk length"),
        (&closed, "*1\r\n$16385\r\n".to_owned(), "unauthenticated bulk length"),
        (&closed, "AUTH secret\r\n*1\r\n$536870913\r\n".to_owned(), "invalid bulk length"),
    ] {
        let mut stream = from(HERE, node);
        let _ = stream.write_all(begin.as_bytes());
        let said = said(&mut stream);
        assert!(said.ends_with(&format!("-ERR Protocol error: {expected}\r\n")), "{expected}: {said}");
    }
}
