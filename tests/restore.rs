//! RESTORE of a large stream while others read and write: the key holds what it held until it holds all of the
//! new value, and whatever interrupts it leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use testkit::client::{Command, words};
use testkit::{Client, Reply, Server, Spec, wait};

const OLD: u64 = 2_000;
const NEW: u64 = 20_000;
/// What is pending in a group, as often as there are groups.
const PENDING: u64 = 15_000;
const LIMIT: Duration = Duration::from_secs(60);

/// Makes a stream of so many entries, each of which says that it is of this one.
fn make(client: &mut Client, key: &str, of: &str, entries: u64) {
    let text = "x".repeat(40);
    let add = |at: u64| words(&format!("XADD {key} {at}-1 of {of} n {at} text {text}"));
    let commands: Vec<Command> = (1..=entries).map(add).collect();
    let failed = client.pipeline(&commands).unwrap().into_iter().find(Reply::is_error);
    assert_eq!(failed, None);
}

/// The payload of a stream with two groups, made on a server of its own.
fn payload() -> Vec<u8> {
    let server = Spec::bulkhead().unwrap().start().unwrap();
    let client = &mut server.client().unwrap();
    make(client, "source", "new", NEW);
    for group in ["g", "h"] {
        client.want(&format!("XGROUP CREATE source {group} 0")).unwrap();
        client.want(&format!("XREADGROUP GROUP {group} c COUNT {PENDING} STREAMS source >")).unwrap();
    }
    let payload = client.want("DUMP source").unwrap();
    payload.bytes().unwrap().to_vec()
}

fn restore(client: &mut Client, payload: &[u8]) -> Reply {
    client.call(&[&b"RESTORE"[..], b"k", b"0", payload, b"REPLACE"]).unwrap()
}

/// What a read has found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    is_new: bool,
    /// The numbers of what the writer has added: the first and the last, if there are any.
    added: Option<(i64, i64)>,
}

/// One of the two values, whole and in order, and behind it what was added, with no gap.
fn look(entries: &Reply) -> Found {
    let entries = entries.items().unwrap();
    let text = |reply: &Reply| String::from_utf8(reply.bytes().unwrap().to_vec()).unwrap();
    let parts = |entry: &Reply| {
        let fields = entry.items().unwrap()[1].items().unwrap();
        (text(&entry.items().unwrap()[0]), text(&fields[1]), text(&fields[3]).parse::<i64>().unwrap())
    };
    let entries: Vec<(String, String, i64)> = entries.iter().map(parts).collect();
    let base = entries.iter().take_while(|(_, of, _)| of != "added").count();
    let (base, added) = entries.split_at(base);
    let is_new = base[0].1 == "new";
    let (of, len) = if is_new { ("new", NEW) } else { ("old", OLD) };
    assert_eq!(base.len() as u64, len, "a part of the {of} value");
    for ((id, found, number), at) in base.iter().zip(1..) {
        assert_eq!((id.as_str(), found.as_str(), *number), (format!("{at}-1").as_str(), of, at));
    }
    assert!(added.iter().all(|(_, of, _)| of == "added"), "a mixture");
    assert!(added.windows(2).all(|pair| pair[0].2 + 1 == pair[1].2), "a gap in what was added");
    Found { is_new, added: added.first().zip(added.last()).map(|(first, last)| (first.2, last.2)) }
}

/// What they know of each other who work at the same time.
struct Shared {
    stop: AtomicBool,
    /// RESTORE is under way.
    is_restoring: AtomicBool,
    /// The number of the last entry whose adding was acknowledged.
    added: AtomicI64,
    /// What was done beside the RESTORE.
    reads: AtomicU64,
    others: AtomicU64,
}

impl Shared {
    fn count(&self, of: &AtomicU64) {
        if self.is_restoring.load(SeqCst) {
            of.fetch_add(1, SeqCst);
        }
    }

    fn until_stopped(&self, mut turn: impl FnMut()) {
        while !self.stop.load(SeqCst) {
            turn();
        }
    }
}

/// Adds to the key, whatever it holds.
fn add(mut client: Client, shared: &Shared) {
    let mut number = 0;
    shared.until_stopped(|| {
        client.want(&format!("XADD k * of added n {number}")).unwrap();
        shared.added.store(number, SeqCst);
        number += 1;
    });
}

/// Reads all of the key, and says what was acknowledged before.
fn read(mut client: Client, shared: &Shared) -> Vec<(i64, Found)> {
    let mut found = Vec::new();
    shared.until_stopped(|| {
        let before = shared.added.load(SeqCst);
        found.push((before, look(&client.want("XRANGE k - +").unwrap())));
        shared.count(&shared.reads);
    });
    found
}

/// Asks for what is counted: that belongs to one of the two values as well.
fn count(mut client: Client, shared: &Shared) {
    shared.until_stopped(|| {
        client.queue(&["MULTI"]);
        for line in ["XLEN k", "XINFO STREAM k", "XPENDING k g", "EXEC"] {
            client.queue(&words(line));
        }
        client.flush().unwrap();
        let replies: Vec<Reply> = (0..5).map(|_| client.receive().unwrap()).collect();
        let replies = replies[4].items().unwrap();
        let len = replies[0].integer().unwrap();
        let info = replies[1].items().unwrap();
        assert_eq!(info[1].integer(), Some(len));
        if len >= NEW as i64 {
            let pending = replies[2].items().unwrap();
            assert_eq!(pending[0].integer(), Some(PENDING as i64));
            assert_eq!(pending[2], Reply::bulk(format!("{PENDING}-1")));
        } else {
            assert!(replies[2].is_error(), "a group without its stream: {:?}", replies[2]);
        }
    });
}

/// Others, with keys of their own.
fn others(mut client: Client, name: usize, shared: &Shared) {
    let mut turn = 0u64;
    shared.until_stopped(|| {
        turn += 1;
        client.want(&format!("SET other:{name} {turn}")).unwrap();
        assert_eq!(client.want(&format!("GET other:{name}")).unwrap(), Reply::bulk(turn.to_string()));
        shared.count(&shared.others);
    });
}

#[test]
fn a_large_stream_takes_the_place_of_another_at_one_moment() {
    let server = Spec::bulkhead().unwrap().start().unwrap();
    let mut client = server.client().unwrap();
    let payload = payload();
    make(&mut client, "k", "old", OLD);
    let shared = Shared {
        stop: AtomicBool::new(false),
        is_restoring: AtomicBool::new(false),
        added: AtomicI64::new(-1),
        reads: AtomicU64::new(0),
        others: AtomicU64::new(0),
    };
    let connect = || server.client().unwrap();
    let found = thread::scope(|scope| {
        let shared = &shared;
        let readers: Vec<_> = (0..2).map(|_| connect()).map(|c| scope.spawn(|| read(c, shared))).collect();
        let counter = connect();
        scope.spawn(|| count(counter, shared));
        for name in 0..2 {
            let client = connect();
            scope.spawn(move || others(client, name, shared));
        }
        let writer = connect();
        scope.spawn(|| add(writer, shared));
        let mut beside = || {
            wait::until("others to be at work", LIMIT, || (shared.added.load(SeqCst) > 100).then_some(()))?;
            shared.is_restoring.store(true, SeqCst);
            let reply = restore(&mut client, &payload);
            shared.is_restoring.store(false, SeqCst);
            let upto = shared.added.load(SeqCst) + 100;
            wait::until("others to go on", LIMIT, || (shared.added.load(SeqCst) > upto).then_some(()))?;
            testkit::Result::Ok(reply)
        };
        let reply = beside();
        shared.stop.store(true, SeqCst);
        assert_eq!(reply.unwrap(), Reply::ok());
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    let last = look(&client.want("XRANGE k - +").unwrap());
    let (first_added, last_added) = last.added.unwrap();
    assert!(last.is_new && last_added == shared.added.load(SeqCst), "{last:?}");
    for found in &found {
        assert!(found.is_sorted_by_key(|(_, found)| found.is_new), "the old value has come back");
        assert!(found.first().is_some_and(|(_, found)| !found.is_new), "nobody saw the old value");
        for (before, found) in found {
            check(*before, found, first_added);
        }
    }
    let (reads, others) = (shared.reads.load(SeqCst), shared.others.load(SeqCst));
    println!("beside the RESTORE: {reads} reads of the key, {others} writes and reads of other keys");
    assert!(reads > 0 && others > 0, "too little beside it to prove anything: {reads} {others}");
}

/// What was acknowledged before a read is in it, unless it went with the old value.
fn check(before: i64, found: &Found, first_added: i64) {
    match (found.is_new, found.added) {
        (false, added) => {
            assert!(
                before < 0 || added.is_some_and(|(first, last)| first == 0 && last >= before),
                "{found:?}"
            );
            assert!(added.is_none_or(|(_, last)| last < first_added), "{found:?}");
        }
        (true, Some((first, last))) => assert!(first == first_added && last >= before, "{before} {found:?}"),
        (true, None) => assert!(before < first_added, "{before} {found:?}"),
    }
}

/// A number of INFO's section about the store.
fn number(client: &mut Client, field: &str) -> u64 {
    let info = client.want("INFO store").unwrap();
    let info = String::from_utf8(info.bytes().unwrap().to_vec()).unwrap();
    let parts = info.split(['\r', '\n', ',', ':']);
    let value = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| *name == field);
    let line = || info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.map(|(_, value)| value).or_else(line).unwrap().trim().parse().unwrap()
}

/// So many of the records of the new value are several turns of building it: the first of them is on disk.
const PART: u64 = 15_000;

/// Sends a RESTORE, and waits until a part of it is written, or all of it if nobody looked in between.
fn begin(server: &Server, payload: &[u8]) -> Client {
    let mut client = server.client().unwrap();
    let mut observer = server.client().unwrap();
    client.queue(&[&b"RESTORE"[..], b"k", b"0", payload, b"REPLACE"]);
    client.flush().unwrap();
    wait::until("a part to be written", LIMIT, || {
        let is_amid = number(&mut observer, "building_records") >= PART;
        let mut is_over = || observer.want("XLEN k").unwrap().integer() == Some(NEW as i64);
        (is_amid || is_over()).then_some(())
    })
    .unwrap();
    client
}

/// The key holds one of the values, and what was built for nothing is gone. Says which one it is.
fn settled(server: &Server) -> bool {
    let mut client = server.client().unwrap();
    let found = look(&client.want("XRANGE k - +").unwrap());
    assert_eq!(found.added, None);
    wait::until("nothing to be built any more", LIMIT, || {
        (number(&mut client, "building_values") == 0).then_some(())
    })
    .unwrap();
    assert_eq!(number(&mut client, "building_records"), 0);
    if !found.is_new {
        // Nothing else was removed.
        wait::until("what was built to be reclaimed", LIMIT, || {
            (number(&mut client, "reclaimed") > 0).then_some(())
        })
        .unwrap();
    }
    found.is_new
}

#[test]
fn who_hangs_up_or_dies_amid_it_leaves_the_old_value() {
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    let mut client = server.client().unwrap();
    let payload = payload();
    make(&mut client, "k", "old", OLD);
    drop(begin(&server, &payload));
    if settled(&server) {
        client.want("DEL k").unwrap();
        make(&mut client, "k", "old", OLD);
    }
    let amid = begin(&server, &payload);
    server.kill().unwrap();
    drop(amid);
    server.restart().unwrap();
    settled(&server);
    let mut client = server.client().unwrap();
    assert_eq!(restore(&mut client, &payload), Reply::ok());
    let found = look(&client.want("XRANGE k - +").unwrap());
    assert_eq!(found, Found { is_new: true, added: None });
    let ids: BTreeSet<Reply> =
        client.want("XPENDING k h - + 20000").unwrap().items().unwrap().iter().cloned().collect();
    assert_eq!(ids.len() as u64, PENDING);
}

/// Values of every type, in each form that is dumped in its own way: a command that adds to the key, how often (`#`
/// counts), and what tells all of it.
const VALUES: &[(&str, u64, &str)] = &[
    ("SET k text", 1, "GET k"),
    ("SET k -70000", 1, "GET k"),
    ("APPEND k xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx#", 2000, "GET k"),
    ("RPUSH k # item#", 3, "LRANGE k 0 -1"),
    ("RPUSH k # item#", 3000, "LRANGE k 0 -1"),
    ("SADD k member#", 3, "SORT k ALPHA"),
    ("SADD k member#", 3000, "SORT k ALPHA"),
    ("SADD k 70000# -#", 3, "SORT k"),
    ("HSET k field# value#", 3, "HGETALL k"),
    ("HSET k field# value#", 3000, "HGETALL k"),
    ("ZADD k # m# -1.5 n# inf o#", 3, "ZRANGE k 0 -1 WITHSCORES"),
    ("ZADD k # m# -1.5 n# 1e30 o#", 3000, "ZRANGE k 0 -1 WITHSCORES"),
    ("PFADD k member#", 3, "PFCOUNT k"),
    ("XADD k #-1 field# value#", 300, "XRANGE k - +"),
];

/// What a key holds, in an order that is the same for all servers.
fn value(client: &mut Client, (_, _, tells): (&str, u64, &str)) -> Reply {
    let reply = client.want(tells).unwrap();
    match reply.items() {
        Some(items) if tells.starts_with("HGETALL") => {
            let mut pairs: Vec<Vec<Reply>> = items.chunks(2).map(<[Reply]>::to_vec).collect();
            pairs.sort();
            Reply::Array(pairs.concat())
        }
        _ => reply,
    }
}

#[test]
fn values_of_every_type_move_to_another_server_and_back() {
    let server = Spec::bulkhead().unwrap().start().unwrap();
    let mut ours = server.client().unwrap();
    for spec in [Spec::redis(), Spec::valkey()] {
        let peer = spec.unwrap().start().unwrap();
        let mut theirs = peer.client().unwrap();
        for &row in VALUES {
            for client in [&mut ours, &mut theirs] {
                client.want("DEL k").unwrap();
                let adds = |at: u64| words(&row.0.replace('#', &at.to_string()));
                client.pipeline(&(1..=row.1).map(adds).collect::<Vec<_>>()).unwrap();
            }
            let expected = value(&mut ours, row);
            let dumped = [&mut ours, &mut theirs].map(|client| client.want("DUMP k").unwrap());
            for (client, payload) in [(&mut theirs, &dumped[0]), (&mut ours, &dumped[1])] {
                assert_eq!(restore(client, payload.bytes().unwrap()), Reply::ok(), "{row:?}");
                assert_eq!(value(client, row), expected, "{row:?} {:?}", peer.flavour());
            }
        }
    }
}

/// A reply without what each server has of its own: how it keeps a stream, and when a consumer last got something,
/// which Redis 7.0 does not know.
fn shared_part(reply: &Reply) -> Reply {
    const OWN: &[&str] = &["radix-tree-keys", "radix-tree-nodes", "active-time"];
    let Some(items) = reply.items() else { return reply.clone() };
    let (mut kept, mut items) = (Vec::new(), items.iter());
    while let Some(item) = items.next() {
        if OWN.iter().any(|name| item.bytes() == Some(name.as_bytes())) {
            items.next();
        } else {
            kept.push(shared_part(item));
        }
    }
    Reply::Array(kept)
}

/// All that is to be seen of a stream, with points in time as they are.
fn all_of(client: &mut Client) -> Vec<Reply> {
    let lines =
        ["XRANGE k - +", "XINFO STREAM k FULL COUNT 0", "XINFO GROUPS k", "XPENDING k one", "XPENDING k two"];
    lines.iter().map(|line| shared_part(&client.want(line).unwrap())).collect()
}

#[test]
fn a_stream_moves_to_another_server_and_back() {
    let servers = [Spec::bulkhead(), Spec::redis(), Spec::valkey(), Spec::bulkhead()];
    let servers = servers.map(|spec| spec.unwrap().start().unwrap());
    let mut clients = servers.each_ref().map(|server| server.client().unwrap());
    let first = &mut clients[0];
    make(first, "k", "old", 1_000);
    for line in [
        "XADD k 1001-7 number 1 number 2 and more of them",
        "XADD k 1001-18446744073709551615 n -9223372036854775808 big 9223372036854775808",
        "XDEL k 1 500-1 999-1",
        "XTRIM k MAXLEN 900",
        "XGROUP CREATE k one 0",
        "XGROUP CREATE k two 600-1 ENTRIESREAD 599",
        "XGROUP CREATE k three $",
        "XREADGROUP GROUP one alice COUNT 300 STREAMS k >",
        "XREADGROUP GROUP one bob COUNT 250 STREAMS k >",
        "XCLAIM k one bob 0 200-1 201-1 TIME 1600000000000 RETRYCOUNT 77",
        "XACK k one 300-1 301-1",
        "XREADGROUP GROUP two alice COUNT 10 STREAMS k >",
        "XGROUP CREATECONSUMER k three idle",
        "XDEL k 210-1",
        "XSETID k 5000-3 ENTRIESADDED 2000 MAXDELETEDID 999-1",
    ] {
        first.want(line).unwrap();
    }
    let expected = all_of(first);
    let mut payload = first.want("DUMP k").unwrap();
    for (client, server) in clients[1..].iter_mut().zip(&servers[1..]) {
        assert_eq!(restore(client, payload.bytes().unwrap()), Reply::ok(), "{:?}", server.flavour());
        assert_eq!(all_of(client), expected, "{:?}", server.flavour());
        payload = client.want("DUMP k").unwrap();
    }
}
