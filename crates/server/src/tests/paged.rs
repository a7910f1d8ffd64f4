//! Replies told page by page: order, back-pressure, and what becomes of them when somebody leaves.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use testkit::client::words;
use testkit::wait::until;
use testkit::{Client, Reply};

use super::harness::{PATIENCE, TestNode, check, field, text};
use crate::Config;
use crate::engine::snapshots;

/// More than the sockets between two processes hold.
const BIG: &str = "SETRANGE big 60000000 x";
const BIG_BYTES: usize = 60_000_001;

fn small_pages(config: &mut Config) {
    config.paged.page_bytes = 1_000;
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, PATIENCE, || condition().then_some(())).unwrap();
}

fn is_nothing_kept(node: &TestNode) -> bool {
    node.node.paged.open() == 0 && node.node.groups.iter().all(|group| group.store.pins.count() == 0)
}

/// This machine, as another peer.
fn from(node: &TestNode, last: u8) -> Client {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Client::connect_from(from, node.node.addresses()[0]).unwrap()
}

/// Asks for something and does not read the answer; comes back when it has begun.
fn begin(node: &TestNode, line: &str) -> Client {
    begin_by(node, node.client(), line)
}

fn begin_by(node: &TestNode, mut client: Client, line: &str) -> Client {
    let before = node.node.paged.begun.load(Relaxed);
    client.queue(&words(line));
    client.flush().unwrap();
    wait_for("the first page", || node.node.paged.begun.load(Relaxed) > before);
    client
}

/// A hash of wide values, whose bytes say which field they belong to.
fn fill(client: &mut Client, fields: usize, len: usize) {
    for at in 0..fields {
        let value = vec![b'a' + (at % 26) as u8; len];
        client.call(&[&b"HSET"[..], b"h", format!("f{at}").as_bytes(), &value]).unwrap();
    }
}

fn map(reply: Reply) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Reply::Array(items) = reply else { panic!("{reply:?}") };
    let text = |item: &Reply| item.bytes().unwrap().to_vec();
    let mut found: Vec<_> = items.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
    found.sort();
    found
}

#[test]
fn a_client_that_does_not_read_costs_little_and_gets_its_snapshot() {
    const LEN: usize = 256 << 10;
    let node = TestNode::start();
    let mut other = node.client();
    fill(&mut other, 100, LEN);
    let mut slow = begin(&node, "HGETALL h");
    let held = || node.node.clients.list().iter().map(|client| client.output_bytes.load(Relaxed)).max();
    wait_for("a client that is stuck", || held() > Some(0));
    for at in 0..100 {
        check(&mut other, "PING", "+PONG");
        other.call(&[&b"HSET"[..], b"h", format!("f{at}").as_bytes(), b"new"]).unwrap();
        assert!(held() <= Some(4 * LEN as u64), "{:?}", held());
    }
    check(&mut other, "HLEN h", ":100");
    check(&mut other, "DEL h", ":1");
    check(&mut other, "HSET h f1 again", ":1");
    assert_eq!(node.node.paged.open(), 1);
    let found = map(slow.receive().unwrap());
    assert_eq!(found.len(), 100);
    assert!(found.iter().all(|(_, value)| value.len() == LEN && value.iter().all(|byte| *byte == value[0])));
    wait_for("the snapshot to go", || is_nothing_kept(&node));
    check(&mut slow, "HGETALL h", "[\"f1\", \"again\"]");
}

#[test]
fn a_flush_does_not_disturb_a_reply() {
    let node = TestNode::start();
    let mut other = node.client();
    other.want(BIG).unwrap();
    let mut slow = begin(&node, "GET big");
    check(&mut other, "FLUSHALL", "+OK");
    check(&mut other, "EXISTS big", ":0");
    let found = slow.receive().unwrap();
    assert_eq!(found.bytes().unwrap().len(), BIG_BYTES);
    assert!(found.bytes().unwrap().ends_with(b"\0x"));
    check(&mut slow, "GET big", "(null bulk)");
}

#[test]
fn replies_come_in_the_order_of_the_commands() {
    let node = TestNode::with(small_pages);
    let mut client = node.client();
    fill(&mut client, 700, 20);
    let fields = map(client.line("HGETALL h").unwrap());
    assert_eq!(fields.len(), 700);
    for line in ["HGETALL h", "PING", "HGETALL h", "SET a 1", "HKEYS h", "CLIENT REPLY SKIP", "HVALS h"] {
        client.queue(&words(line));
    }
    for line in ["GET a", "CLIENT REPLY OFF", "HGETALL h", "HVALS h", "CLIENT REPLY ON", "HGETALL h"] {
        client.queue(&words(line));
    }
    client.flush().unwrap();
    assert_eq!(map(client.receive().unwrap()), fields);
    assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));
    assert_eq!(map(client.receive().unwrap()), fields);
    assert_eq!(client.receive().unwrap(), Reply::ok());
    assert!(matches!(client.receive().unwrap(), Reply::Array(found) if found.len() == 700));
    assert_eq!(client.receive().unwrap(), Reply::bulk("1"));
    assert_eq!(client.receive().unwrap(), Reply::ok(), "CLIENT REPLY ON answers");
    assert_eq!(map(client.receive().unwrap()), fields);
    assert!(is_nothing_kept(&node));
    assert!(node.node.paged.pages.load(Relaxed) > 100);
}

#[test]
fn a_resp3_client_gets_maps_and_sets() {
    let node = TestNode::with(small_pages);
    let mut client = node.resp3();
    fill(&mut client, 700, 20);
    let Reply::Map(found) = client.line("HGETALL h").unwrap() else { panic!("not a map") };
    assert_eq!(found.len(), 700);
    for at in 0..700 {
        client.want(&format!("SADD s {at}")).unwrap();
    }
    let Reply::Set(found) = client.line("SUNION s s").unwrap() else { panic!("not a set") };
    assert_eq!(found.len(), 700);
}

#[test]
fn who_leaves_amid_a_reply_leaves_nothing_behind() {
    let node = TestNode::start();
    let mut other = node.client();
    other.want(BIG).unwrap();
    let slow = begin(&node, "GET big");
    assert!(!is_nothing_kept(&node));
    drop(slow);
    wait_for("the snapshot to go", || is_nothing_kept(&node));
    let _killed = begin(&node, "GET big");
    check(&mut other, "CLIENT KILL TYPE normal SKIPME yes", ":1");
    wait_for("the snapshot to go", || is_nothing_kept(&node));
    // And the node stops although somebody does not read.
    let _slow = begin(&node, "GET big");
    node.node.stop();
    assert!(is_nothing_kept(&node));
}

#[test]
fn who_takes_nothing_is_cut_off() {
    let node = TestNode::with(|config| config.paged.timeout = Duration::from_millis(50));
    let mut other = node.client();
    other.want(BIG).unwrap();
    let mut slow = begin(&node, "GET big");
    wait_for("the client to be cut off", || node.node.paged.cut_off.load(Relaxed) == 1);
    wait_for("the snapshot to go", || is_nothing_kept(&node));
    assert!(slow.receive().is_err());
    check(&mut other, "PING", "+PONG");
}

#[test]
fn there_are_only_so_many_paged_replies() {
    let node = TestNode::with(|config| config.paged.replies_max = 2);
    let mut other = node.client();
    other.want(BIG).unwrap();
    let mut slow = [begin(&node, "GET big"), begin(&node, "GET big")];
    check(&mut other, "GET big", "-BUSY server overloaded, retry later");
    check(&mut other, "SET a 1", "+OK");
    check(&mut other, "KEYS a", "[\"a\"]");
    assert_eq!(node.node.paged.open(), 2);
    for client in &mut slow {
        assert_eq!(client.receive().unwrap().bytes().unwrap().len(), BIG_BYTES);
    }
    assert_eq!(other.line("GET big").unwrap().bytes().unwrap().len(), BIG_BYTES);
    assert_eq!(node.node.paged.rejected.load(Relaxed), 1);
}

#[test]
fn a_peer_with_many_long_replies_makes_room_for_one_with_few() {
    let node = TestNode::with(|config| config.paged.replies_max = 3);
    let mut other = from(&node, 2);
    other.want(BIG).unwrap();
    let mut slow = [(); 3].map(|()| begin(&node, "GET big"));
    let same = &mut node.client();
    check(same, "GET big", "-BUSY server overloaded, retry later");
    assert_eq!(other.line("GET big").unwrap().bytes().map(<[u8]>::len), Some(BIG_BYTES));
    // A place has become free. With two and one there is nobody who has at least two more than a newcomer of these.
    let mut second = begin_by(&node, from(&node, 2), "GET big");
    check(&mut from(&node, 2), "GET big", "-BUSY server overloaded, retry later");
    check(same, "GET big", "-BUSY server overloaded, retry later");
    let third = begin_by(&node, from(&node, 3), "GET big");
    check(&mut from(&node, 4), "GET big", "-BUSY server overloaded, retry later");
    assert_eq!(second.receive().unwrap().bytes().map(<[u8]>::len), Some(BIG_BYTES));
    let told = slow.iter_mut().filter_map(|client| client.receive().ok());
    let told: Vec<_> = told.map(|reply| reply.bytes().map(<[u8]>::len)).collect();
    assert_eq!(told, [Some(BIG_BYTES)], "the others were ended, one for each newcomer");
    drop(third);
    wait_for("the snapshots to go", || is_nothing_kept(&node));
    let paged = &node.node.paged;
    assert_eq!((paged.displaced.load(Relaxed), paged.rejected.load(Relaxed)), (2, 4));
    let info = text(same, "INFO lanes");
    assert_eq!((field(&info, "paged_displaced"), field(&info, "paged_cut_off")), ("2".into(), "0".into()));
}

#[test]
fn the_keys_of_all_groups_follow_each_other() {
    let node = TestNode::with(|config| {
        small_pages(config);
        config.groups = 3;
    });
    let mut client = node.client();
    for at in 0..1_000 {
        client.want(&format!("SET key{at} {at}")).unwrap();
    }
    client.want("SET odd 1").unwrap();
    let keys = |client: &mut Client, line: &str| {
        let Reply::Array(found) = client.line(line).unwrap() else { panic!("{line}: not an array") };
        let mut found: Vec<_> = found.iter().map(|key| key.bytes().unwrap().to_vec()).collect();
        found.sort();
        found.dedup();
        found.len()
    };
    assert_eq!(keys(&mut client, "KEYS *"), 1_001);
    assert_eq!(keys(&mut client, "KEYS key*"), 1_000);
    assert_eq!(keys(&mut client, "KEYS key1?"), 10);
    client.want("EXPIRE odd 100").unwrap();
    assert_eq!(keys(&mut client, "KEYS *"), 1_001);
    wait_for("the snapshots to go", || is_nothing_kept(&node));
}

#[test]
fn the_oldest_reader_is_ended_when_too_much_is_kept_for_it() {
    let node = TestNode::with(|config| config.memory_hard = Some(1 << 30));
    let bound = node.node.config.shares.snapshot_bytes;
    let mut writer = node.client();
    check(&mut writer, BIG, &format!(":{BIG_BYTES}"));
    let (mut written, value) = (0, vec![b'x'; 64 << 10]);
    let mut write = || {
        let key = format!("k{}", written % 100);
        written += 1;
        assert_eq!(writer.call(&[b"SET", key.as_bytes(), &value]).unwrap(), Reply::Simple("OK".into()));
    };
    let mut old = begin(&node, "GET big");
    // Memory is kept a memtable at a time, from when it has been written to a table.
    wait_for("most of that to be kept for it", || {
        write();
        snapshots::kept_bytes(&node.node) > bound / 2
    });
    let mut new = begin(&node, "GET big");
    wait_for("the older one to be ended", || {
        write();
        node.node.paged.costly.load(Relaxed) == 1
    });
    wait_for("what was kept for it to be free", || {
        node.node.paged.open() == 1 && snapshots::kept_bytes(&node.node) <= bound
    });
    assert!(old.receive().is_err());
    assert_eq!(new.receive().unwrap().bytes().map(<[u8]>::len), Some(BIG_BYTES));
    assert_eq!(node.node.paged.costly.load(Relaxed), 1);
}
