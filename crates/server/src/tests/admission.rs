//! Who is let in: what is told to whom, on raw sockets, and that nothing is left of those who have gone.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use base::limits;
use socket2::{Domain, SockAddr, Socket, Type};
use testkit::{Rng, wait};

use crate::admission::arrivals::Why;
use crate::admission::{PeerName, Turned};

use super::harness::{PATIENCE, TestNode, check, field, text};

const PEER: &str = "-ERR max connections per client exceeded\r\n";
const FULL: &str = "-ERR max number of clients reached\r\n";

/// Connects from an address of this machine.
pub fn from(address: Ipv4Addr, node: &TestNode) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::from((address, 0)))).unwrap();
    socket.connect(&SockAddr::from(node.node.addresses()[0])).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// What a server says until it closes.
pub fn said(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

/// Says something, and compares the line that comes back.
#[track_caller]
pub fn answers(stream: &mut TcpStream, line: &str, expected: &str) {
    stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(String::from_utf8_lossy(&reply), expected, "{line}");
}

/// Waits until nobody is connected, and nothing is left of who was.
fn deserted(node: &TestNode) {
    let quiet = Instant::now() + Duration::from_millis(2 * limits::QUIET_PEER_KEPT_MS);
    let gone = || {
        node.node.admission.tidy(&node.node.bounds(), quiet);
        let shown = node.node.admission.shown();
        let buffers_bytes = node.node.admission.memory.buffers_bytes();
        let is_left = !node.node.clients.is_empty() || shown.peers > 0 || shown.on_kept_back > 0;
        (!is_left && buffers_bytes == 0).then_some(())
    };
    wait::until("nobody to be left", PATIENCE, gone).unwrap();
}

#[test]
fn one_peer_has_its_share_and_is_told_so() {
    let node = TestNode::with(|config| config.max_connections_per_peer = 2);
    let mut both = [from(HERE, &node), from(HERE, &node)];
    both.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    assert_eq!(said(&mut from(HERE, &node)), PEER);
    let mut other = from(ELSEWHERE, &node);
    answers(&mut other, "PING", "+PONG\r\n");
    answers(&mut other, "CONFIG SET max-connections-per-peer 3", "+OK\r\n");
    let mut third = from(HERE, &node);
    answers(&mut third, "PING", "+PONG\r\n");
    assert_eq!(said(&mut from(HERE, &node)), PEER);
    answers(&mut other, "CONFIG SET max-connections-per-peer 0", "+OK\r\n");
    answers(&mut from(HERE, &node), "PING", "+PONG\r\n");
    drop((both, third, other));
    deserted(&node);
}

#[test]
fn what_a_client_says_at_once_does_not_keep_it_from_hearing_why() {
    let node = TestNode::with(|config| config.max_connections_per_peer = 1);
    let mut first = from(HERE, &node);
    answers(&mut first, "PING", "+PONG\r\n");
    for _ in 0..20 {
        let mut stream = from(HERE, &node);
        let _ = stream.write_all(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n");
        assert_eq!(said(&mut stream), PEER);
    }
}

#[test]
fn whoever_comes_on_and_on_is_told_nothing() {
    let node = TestNode::with(|config| config.max_connections_per_peer = 1);
    let mut first = from(HERE, &node);
    answers(&mut first, "PING", "+PONG\r\n");
    let mut silent = 0;
    // However slow this machine is, at some time so many come within a second.
    let storm = || {
        let mut stream = from(HERE, &node);
        let mut text = String::new();
        match stream.read_to_string(&mut text) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => silent += 1,
            _ => assert_eq!(text, PEER),
        }
        (silent > 10).then_some(())
    };
    wait::until("a storm", PATIENCE, storm).unwrap();
    let mut other = from(ELSEWHERE, &node);
    answers(&mut other, "PING", "+PONG\r\n");
    let stats = &node.node.admission.stats;
    assert!(stats.storms.load(Relaxed) > 0 && stats.reset.load(Relaxed) > 10);
    // Who makes room is let in, storm or not.
    drop(first);
    let has_left = || {
        let connections = node.node.admission.shown().connections.0;
        connections.iter().all(|(peer, _)| *peer == PeerName::of(ELSEWHERE.into())).then_some(())
    };
    wait::until("a place", PATIENCE, has_left).unwrap();
    answers(&mut from(HERE, &node), "PING", "+PONG\r\n");
}

#[test]
fn a_host_with_many_addresses_of_ipv6_has_one_share() {
    let node = TestNode::with(|config| config.max_connections_per_peer = 2);
    let admission = &node.node.admission;
    let admit = |address: &str| {
        let address = address.parse().unwrap();
        admission.admit(address, false, &node.node.bounds(), Instant::now())
    };
    let both = [admit("2001:db8::1").unwrap(), admit("2001:db8::2").unwrap()];
    let on_trial = [admit("2001:db8::dead:beef").unwrap()];
    assert!(on_trial[0].trial().is_some());
    assert_eq!(admit("2001:db8::dead:beef").map(|_| ()), Err(Turned::Told(Why::Peer)));
    let neighbour = admit("2001:db8:0:1::1").unwrap();
    let written_otherwise = [admit("::ffff:192.0.2.1").unwrap(), admit("192.0.2.1").unwrap()];
    drop(admit("192.0.2.1").unwrap());
    assert_eq!(admit("192.0.2.1").map(|_| ()), Err(Turned::Told(Why::Peer)), "it was on trial a moment ago");
    let shown = admission.shown().rejections.0;
    let shown: Vec<_> = shown.iter().map(|(peer, count)| (peer.to_string(), *count)).collect();
    assert_eq!(shown, [("192.0.2.1".to_owned(), 2), ("2001:db8::/64".to_owned(), 1)]);
    drop((both, on_trial, neighbour, written_otherwise));
    deserted(&node);
}

#[test]
fn places_kept_back_are_no_more_than_those_that_there_are() {
    let node = TestNode::with(|config| config.max_connections = 40);
    let mut all: Vec<_> = (0..38).map(|_| from(HERE, &node)).collect();
    all.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    // The other half of them is for those who prove to be administrators: who needs no password does by what he does.
    let mut other = from(HERE, &node);
    answers(&mut other, "PING", FULL);
    for _ in 0..2 {
        all.push(tried(|| from(HERE, &node), "CONFIG SET max-connections 40", "+OK\r\n"));
    }
    assert_eq!(said(&mut from(ELSEWHERE, &node)), FULL);
    assert_eq!(node.node.admission.shown().on_kept_back, 4);
    drop((all, other));
    deserted(&node);
}

/// Connects and says something until that is answered as expected: after a trial there is none for a moment, and it is not
/// to be a storm.
fn tried(connect: impl Fn() -> TcpStream, line: &str, expected: &str) -> TcpStream {
    let mut next = Instant::now();
    let one = || {
        if Instant::now() < next {
            return None;
        }
        next = Instant::now() + Duration::from_millis(limits::TRIAL_PAUSE_MS);
        let mut stream = connect();
        let _ = stream.write_all(format!("{line}\r\n").as_bytes());
        let mut reply = vec![0; expected.len()];
        stream.read_exact(&mut reply).ok()?;
        (reply == expected.as_bytes()).then_some(stream)
    };
    wait::until(&format!("{line} to be answered"), PATIENCE, one).unwrap()
}

/// What is on places kept back has moved over to ordinary ones, as far as there are some.
fn kept_back(node: &TestNode, expected: usize) {
    let moved = || (node.node.admission.shown().on_kept_back == expected).then_some(());
    wait::until("the places to be taken as expected", PATIENCE, moved).unwrap();
}

#[test]
fn who_was_let_in_while_there_were_no_places_does_not_keep_one_from_administrators() {
    let node = TestNode::with(|config| config.max_connections = 40);
    let mut ordinary: Vec<_> = (0..36).map(|_| from(ELSEWHERE, &node)).collect();
    ordinary.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    let mut long = [from(HERE, &node), from(HERE, &node)];
    long.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    kept_back(&node, 2);
    ordinary.truncate(30);
    let have_gone = || (node.node.clients.len() == 32).then_some(());
    wait::until("them to have gone", PATIENCE, have_gone).unwrap();
    kept_back(&node, 0);
    ordinary.extend((0..4).map(|_| from(ELSEWHERE, &node)));
    ordinary.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    // All ordinary places are taken again, and two of these by those who came without one.
    let mut others = [from(HERE, &node), from(HERE, &node)];
    others.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    kept_back(&node, 2);
    drop((ordinary, long, others));
    deserted(&node);
}

#[test]
fn an_administrator_gets_in_beside_the_applications_that_have_the_share_of_his_address() {
    let node = TestNode::with(|config| config.max_connections_per_peer = 3);
    let mut all = vec![from(HERE, &node), from(HERE, &node), from(HERE, &node)];
    answers(&mut all[0], "ACL SETUSER boss on >pw +@all ~*", "+OK\r\n");
    answers(&mut all[0], "ACL SETUSER app on >pw +@all -@admin ~*", "+OK\r\n");
    all.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    for line in ["PING", "HELLO 3", "NOSUCH", "QUIT", "MULTI"] {
        tried(|| from(HERE, &node), line, PEER);
    }
    tried(|| from(HERE, &node), "AUTH app pw", &format!("+OK\r\n{PEER}"));
    all.push(tried(|| from(HERE, &node), "AUTH boss pw", "+OK\r\n"));
    answers(&mut all[3], "PING", "+PONG\r\n");
    // One, and no more.
    tried(|| from(HERE, &node), "AUTH boss pw", PEER);
    // Another one that ends makes room for him within the share, and so for the next one beyond it.
    all.remove(1);
    all.push(tried(|| from(HERE, &node), "AUTH boss pw", "+OK\r\n"));
    all.drain(2..);
    wait::until("them to be gone", PATIENCE, || (node.node.clients.len() == 2).then_some(())).unwrap();
    // Who needs no password is known by what he does.
    all.push(from(HERE, &node));
    answers(&mut all[2], "PING", "+PONG\r\n");
    all.push(tried(|| from(HERE, &node), "CONFIG SET max-connections-per-peer 3", "+OK\r\n"));
    answers(&mut all[3], "PING", "+PONG\r\n");
    drop(all);
    deserted(&node);
}

/// An address of this machine that is not a loopback one.
fn outside() -> Option<Ipv4Addr> {
    // No packet is sent: this asks for the way to an address of the documentation's.
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) if !address.is_loopback() && !address.is_unspecified() => Some(address),
        _ => None,
    }
}

#[test]
fn who_is_not_from_here_has_to_log_in_as_an_administrator() {
    let Some(outside) = outside() else { return };
    let node = TestNode::with(|config| {
        config.listen = Some((Ipv4Addr::UNSPECIFIED, 0).into());
        config.max_connections = 20;
    });
    let connect = || {
        let stream = TcpStream::connect((outside, node.node.addresses()[0].port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut admin = from_port(HERE, &node);
    answers(&mut admin, "ACL SETUSER boss on >pw +@all ~*", "+OK\r\n");
    answers(&mut admin, "ACL SETUSER app on >pw +@all -@admin ~*", "+OK\r\n");
    let mut ordinary: Vec<_> = (0..17).map(|_| connect()).collect();
    ordinary.iter_mut().for_each(|stream| answers(stream, "PING", "+PONG\r\n"));
    // One place of two may be tried for.
    for (line, expected) in [
        ("PING", FULL.to_owned()),
        ("HELLO 3", FULL.to_owned()),
        ("CONFIG GET port", FULL.to_owned()),
        (
            "AUTH boss wrong",
            format!("-WRONGPASS invalid username-password pair or user is disabled.\r\n{FULL}"),
        ),
        ("AUTH app pw", format!("+OK\r\n{FULL}")),
        ("NOSUCH", FULL.to_owned()),
    ] {
        tried(connect, line, &expected);
        kept_back(&node, 0);
    }
    let mut boss = tried(connect, "AUTH boss pw", "+OK\r\n");
    answers(&mut boss, "PING", "+PONG\r\n");
    // Who says nothing has his time, and only one of a peer.
    let mut silent = connect();
    assert_eq!(said(&mut connect()), FULL);
    assert_eq!(said(&mut silent), FULL);
    let local = tried(|| from_port(HERE, &node), "CONFIG SET max-connections 20", "+OK\r\n");
    assert_eq!(said(&mut from_port(HERE, &node)), FULL);
    answers(&mut boss, "PING", "+PONG\r\n");
    drop((admin, ordinary, boss, local));
    deserted(&node);
}

/// As [`from`], to a node that listens on all addresses.
fn from_port(address: Ipv4Addr, node: &TestNode) -> TcpStream {
    let stream = TcpStream::connect((address, node.node.addresses()[0].port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Descriptors of this process.
fn open_files() -> u64 {
    observe::process::open_files()
}

/// One of the ways in which connections come and go.
fn misbehave(rng: &mut Rng, node: &TestNode, kept: &mut Vec<TcpStream>) {
    let address = if rng.below(4) == 0 { ELSEWHERE } else { HERE };
    let mut stream = from(address, node);
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    match rng.below(7) {
        // Gone at once, with a reset or without.
        0 => {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        1 => {}
        2 => {
            let length = rng.below(300);
            let _ = stream.write_all(&rng.bytes(length));
            let _ = stream.read(&mut [0; 512]);
        }
        // A byte at a time, and not to the end.
        3 => {
            let line = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n";
            for byte in line.iter().take(rng.below(line.len() + 1)) {
                let _ = stream.write_all(&[*byte]);
            }
        }
        4 => {
            let _ = stream.write_all(b"PING\r\nPING\r\n");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut [0; 512]);
        }
        5 => {
            let _ = stream.write_all(b"BLPOP nothing 0\r\n");
            kept.push(stream);
        }
        // Half a command, and then it waits.
        _ => {
            let _ = stream.write_all(b"*2\r\n$4\r\nECHO\r\n$100000\r\nabc");
            kept.push(stream);
        }
    }
    if kept.len() > 10 {
        let at = rng.below(kept.len());
        kept.swap_remove(at);
    }
}

#[test]
fn nothing_is_left_of_clients_that_misbehave() {
    let node = TestNode::with(|config| {
        config.max_connections_per_peer = 8;
        config.max_connections = 12;
    });
    answers(&mut from(HERE, &node), "PING", "+PONG\r\n");
    deserted(&node);
    let before = open_files();
    for seed in 0..4 {
        let mut rng = Rng::new(seed);
        let mut kept = Vec::new();
        for _ in 0..150 {
            misbehave(&mut rng, &node, &mut kept);
        }
        drop(kept);
        deserted(&node);
        let back = || (open_files() <= before).then_some(());
        wait::until("the descriptors to be back", PATIENCE, back).unwrap();
    }
    assert!(node.node.admission.rejected() > 0, "some were turned away");
    let mut client = node.client();
    check(&mut client, "PING", "+PONG");
    let rejected = field(&text(&mut client, "INFO stats"), "rejected_connections");
    assert_eq!(rejected, node.node.admission.rejected().to_string());
}

#[test]
fn metrics_name_the_first_peers_only() {
    let node = TestNode::with(|config| {
        config.http = Some(([127, 0, 0, 1], 0).into());
        config.max_connections_per_peer = 1;
    });
    let peers: Vec<_> = (1..=12).map(|last| from(Ipv4Addr::new(127, 0, 0, last), &node)).collect();
    let all = || (node.node.clients.len() == peers.len()).then_some(());
    wait::until("all to be connected", PATIENCE, all).unwrap();
    assert_eq!(said(&mut from(HERE, &node)), PEER);
    let page = node.page("/metrics");
    for line in [
        "bulkhead_peers 12",
        "bulkhead_peer_connections{peer=\"127.0.0.1\"} 1",
        "bulkhead_peer_connections{peer=\"other\"} 2",
        "bulkhead_peer_rejections{peer=\"127.0.0.1\"} 1",
        "bulkhead_peer_rejections{peer=\"other\"} 0",
        "bulkhead_admission_refused_total{reason=\"peer\"} 1",
        "bulkhead_connections_rejected_total 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
    assert_eq!(page.lines().filter(|line| line.starts_with("bulkhead_peer_connections{")).count(), 11);
}
