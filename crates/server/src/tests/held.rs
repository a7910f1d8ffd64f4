//! What clients hold beside their buffers: it is counted, shown, not added to while memory is short, and those who hold most
//! are disconnected then.

use std::sync::atomic::Ordering::Relaxed;

use base::limits;
use testkit::{Client, Reply, wait};

use super::harness::{PATIENCE, TestNode, check, field, text};

const OOM: &str = "-OOM command not allowed when used memory > 'maxmemory'.";
/// Names that are noted: so many, of so many bytes each, are more than what a client is disconnected for.
const NAMES: usize = 5;
const NAME_BYTES: usize = 60_000;

fn command(words: &str, names: usize, name_bytes: usize, last: &[&str]) -> Vec<String> {
    let names = (0..names).map(|at| at.to_string() + &"x".repeat(name_bytes));
    words
        .split(' ')
        .map(str::to_owned)
        .chain(names)
        .chain(last.iter().map(|word| (*word).to_owned()))
        .collect()
}

fn send(client: &mut Client, command: &[String]) {
    client.queue(command);
    client.flush().unwrap();
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    wait::until(what, PATIENCE, || condition().then_some(())).unwrap();
}

/// What a client makes the server hold.
struct Way {
    name: &'static str,
    /// Has it held: nothing of it is in the client's buffers any more.
    hold: fn(&TestNode, &mut Client, usize, usize),
}

fn block(node: &TestNode, client: &mut Client, names: usize, name_bytes: usize) {
    let waiting = || node.node.groups.iter().map(|group| group.store.waiting()).sum::<usize>();
    let before = waiting();
    // Of more it is not let wait. What it says and the keys are kept.
    let names = names.min(limits::WAITED_BYTES_MAX / NAME_BYTES);
    send(client, &command("BLPOP", names, name_bytes, &["0"]));
    wait_for("it to wait", || waiting() > before);
}

fn watch(_: &TestNode, client: &mut Client, names: usize, name_bytes: usize) {
    assert_eq!(client.call(&command("WATCH", names, name_bytes, &[])).unwrap(), Reply::Simple("OK".into()));
}

fn hear(_: &TestNode, client: &mut Client, names: usize, name_bytes: usize) {
    send(client, &command("SUBSCRIBE", names, name_bytes, &[]));
    (0..names).for_each(|_| assert!(!client.receive().unwrap().is_error()));
}

fn track(_: &TestNode, client: &mut Client, names: usize, name_bytes: usize) {
    let names = command("CLIENT TRACKING ON BCAST", names, name_bytes, &[]);
    let (first, names) = names.split_at(4);
    let prefixes = names.iter().flat_map(|name| ["PREFIX".to_owned(), name.clone()]);
    let said: Vec<String> = first.iter().cloned().chain(prefixes).collect();
    assert_eq!(client.call(&said).unwrap(), Reply::Simple("OK".into()));
}

fn work(node: &TestNode, client: &mut Client, names: usize, name_bytes: usize) {
    let before = node.node.heavy.load().0;
    send(client, &command("EVAL", 0, 0, &["while true do end", "0", &"x".repeat(names * name_bytes)]));
    wait_for("it to run", || node.node.heavy.load().0 > before);
}

fn queue(_: &TestNode, client: &mut Client, names: usize, name_bytes: usize) {
    check(client, "MULTI", "+OK");
    for _ in 0..names {
        client.queue(&["ECHO", &"x".repeat(name_bytes)]);
    }
    client.flush().unwrap();
    (0..names).for_each(|_| assert_eq!(client.receive().unwrap(), Reply::Simple("QUEUED".into())));
}

const WAYS: &[Way] = &[
    Way { name: "waits for keys", hold: block },
    Way { name: "watches keys", hold: watch },
    Way { name: "hears channels", hold: hear },
    Way { name: "tracks prefixes", hold: track },
    Way { name: "has the heavy pool work", hold: work },
    Way { name: "queues commands", hold: queue },
];

#[track_caller]
fn number(fields: &str, name: &str) -> u64 {
    field(fields, name).parse().unwrap()
}

#[test]
fn who_holds_much_is_counted_shown_and_disconnected_and_who_holds_little_is_not() {
    const HELD_BYTES: u64 = (NAMES * NAME_BYTES) as u64;
    for way in WAYS {
        let node = TestNode::start();
        let memory = &node.node.admission.memory;
        let (mut me, mut thin, mut fat) = (node.client(), node.resp3(), node.resp3());
        if way.name != "has the heavy pool work" {
            (way.hold)(&node, &mut thin, 1, 1_000);
        }
        (way.hold)(&node, &mut fat, NAMES, NAME_BYTES);
        wait_for(way.name, || memory.buffers_bytes() >= HELD_BYTES);
        let line = text(&mut me, "CLIENT LIST").lines().last().unwrap().replace(' ', "\n").replace('=', ":");
        assert!(number(&line, "tot-mem") >= HELD_BYTES, "{}: {line}", way.name);
        assert_eq!(number(&line, "qbuf") + number(&line, "obl"), 0, "{}: {line}", way.name);
        let info = text(&mut me, "INFO memory");
        assert!(number(&info, "memory_clients") >= HELD_BYTES, "{}", way.name);
        assert!(number(&info, "mem_clients_normal") >= HELD_BYTES, "{}", way.name);

        check(&mut me, "CONFIG SET memory-soft 1", "+OK");
        wait_for(way.name, || memory.stats.evicted_clients.load(Relaxed) == 1);
        assert!(memory.stats.evicted_bytes.load(Relaxed) >= HELD_BYTES, "{}", way.name);
        wait_for("it to be gone", || node.node.clients.len() == 2);
        assert!(fat.receive().is_err(), "{}", way.name);
        check(&mut me, "CONFIG SET memory-soft 0", "+OK");
        drop((thin, me));
        wait_for("all to be gone", || node.node.clients.is_empty() && memory.buffers_bytes() == 0);
    }
}

#[test]
fn what_a_client_holds_no_more_does_not_count() {
    let node = TestNode::start();
    let memory = &node.node.admission.memory;
    let mut client = node.resp3();
    let mut other = node.client();
    for (way, end) in [
        (block as fn(&TestNode, &mut Client, usize, usize), "LPUSH"),
        (watch, "UNWATCH"),
        (hear, "UNSUBSCRIBE"),
        (track, "CLIENT TRACKING OFF"),
        (queue, "DISCARD"),
    ] {
        way(&node, &mut client, 1, NAME_BYTES);
        wait_for(end, || memory.buffers_bytes() >= NAME_BYTES as u64);
        if end == "LPUSH" {
            assert_eq!(other.call(&command(end, 1, NAME_BYTES, &["x"])).unwrap(), Reply::Integer(1));
            client.receive().unwrap();
        } else {
            client.line(end).unwrap();
        }
        wait_for(end, || memory.buffers_bytes() == 0);
    }
}

#[test]
fn nothing_more_is_noted_for_clients_while_memory_is_short() {
    let node = TestNode::start();
    let (mut client, mut waits, mut me) = (node.resp3(), node.client(), node.client());
    let many = (0..300).map(|at| format!("k{at}")).collect::<Vec<_>>().join(" ");
    check(&mut me, "RPUSH list a b", ":2");
    check(&mut me, "XADD stream 1-1 a b", "\"1-1\"");
    block(&node, &mut waits, 1, 1);
    check(&mut me, "CONFIG SET memory-soft 1", "+OK");
    for (line, expected) in [
        ("WATCH a", OOM),
        ("SUBSCRIBE a", OOM),
        ("PSUBSCRIBE a", OOM),
        ("SSUBSCRIBE a", OOM),
        ("CLIENT TRACKING ON", OOM),
        ("BLPOP a 0", OOM),
        ("BZPOPMIN a 0", OOM),
        ("BLMOVE a b LEFT LEFT 0", OOM),
        ("XREAD BLOCK 0 STREAMS stream $", OOM),
        (&format!("BLPOP {many} 0"), OOM),
        // There is something for these, and it is less then.
        ("BLPOP list 0", "[\"list\", \"a\"]"),
        (&format!("BLPOP {many} list 0"), "[\"list\", \"b\"]"),
        ("XREAD BLOCK 0 STREAMS stream 0", "…1-1…"),
        ("UNWATCH", "+OK"),
        ("CLIENT TRACKING OFF", "+OK"),
        ("UNSUBSCRIBE a", "[\"unsubscribe\", \"a\", :0]"),
    ] {
        check(&mut client, line, expected);
    }
    check(&mut me, "CONFIG SET memory-soft 0", "+OK");
    // Who waited before goes on waiting.
    check(&mut me, "RPUSH 0x x", ":1");
    assert_eq!(waits.receive().unwrap().items().unwrap().len(), 2);
    check(&mut client, "WATCH a", "+OK");
}

#[test]
fn what_a_client_says_of_itself_is_short() {
    let node = TestNode::start();
    let mut client = node.client();
    let longest = "x".repeat(limits::CLIENT_NAME_BYTES_MAX);
    let why = format!("cannot have more than {} bytes", longest.len());
    for (line, name) in [
        ("CLIENT SETNAME", "Client names"),
        ("HELLO 2 SETNAME", "Client names"),
        ("CLIENT SETINFO lib-name", "lib-name"),
        ("CLIENT SETINFO LIB-VER", "LIB-VER"),
    ] {
        assert!(!client.line(&format!("{line} {longest}")).unwrap().is_error(), "{line}");
        check(&mut client, &format!("{line} {longest}x"), &format!("-ERR {name} {why}."));
    }
    check(&mut client, "CLIENT GETNAME", &format!("\"{longest}\""));
    // No key is longer.
    let prefix = "x".repeat(limits::KEY_BYTES_MAX + 1);
    let why = format!("-ERR a prefix has at most {} bytes", limits::KEY_BYTES_MAX);
    let mut client = node.resp3();
    check(&mut client, &format!("CLIENT TRACKING ON BCAST PREFIX {prefix}"), &why);
}

#[test]
fn thresholds_fit_together_however_they_are_set() {
    let node = TestNode::start();
    let refused = |name: &str| {
        format!(
            "-ERR CONFIG SET failed (possibly related to argument '{name}') - memory-soft is … it must not be more"
        )
    };
    let mut client = node.client();
    for (line, expected) in [
        ("CONFIG SET memory-soft 0 memory-hard 0", "+OK"),
        ("CONFIG SET memory-soft 2000gb memory-hard 1000gb", &*refused("memory-hard")),
        ("CONFIG SET memory-hard 1000gb memory-soft 2000gb", &refused("memory-soft")),
        ("CONFIG SET memory-hard 1000gb memory-soft 2000gb timeout 7", &refused("memory-soft")),
        (
            "CONFIG GET memory-hard timeout memory-soft",
            "[\"memory-hard\", \"0\", \"memory-soft\", \"0\", \"timeout\", \"0\"]",
        ),
        ("CONFIG SET memory-hard 1000gb", "+OK"),
        ("CONFIG SET memory-soft 1001gb", &refused("memory-soft")),
        ("CONFIG SET memory-soft 2000gb memory-hard 3000gb", "+OK"),
        ("CONFIG SET memory-hard 1000gb", &refused("memory-hard")),
        ("CONFIG SET memory-hard 1000gb memory-soft 900gb", "+OK"),
        ("CONFIG SET memory-soft 0", "+OK"),
        ("CONFIG SET memory-soft 9gb memory-hard 0", "+OK"),
    ] {
        let line = line.to_owned();
        check(&mut client, &line, expected);
    }
}

#[test]
fn what_a_script_may_take_follows_from_what_is_set_now() {
    let node = TestNode::start();
    let mut client = node.client();
    // About 100 MB.
    let fills = "EVAL \"local t = {} for i = 1, 3000000 do t[i] = i end return #t\" 0";
    for (settings, expected) in [
        ("memory-soft 0 memory-hard 2gb heavy-threads 2", ":3000000"),
        ("heavy-threads 20", "-ERR …memory…"),
        ("memory-hard 100gb", ":3000000"),
        ("memory-hard 2gb heavy-threads 2", ":3000000"),
    ] {
        check(&mut client, &format!("CONFIG SET {settings}"), "+OK");
        check(&mut client, fills, expected);
    }
}
