//! MULTI and its kin, seen from outside.

use std::thread;

use testkit::client::{Protocol, words};
use testkit::{Client, Reply, Server, Spec, diff};

fn start() -> Server {
    Spec::bulkhead().unwrap().start().unwrap()
}

fn all(client: &mut Client, lines: &[&str]) -> Vec<Reply> {
    let commands: Vec<_> = lines.iter().map(|line| words(line)).collect();
    client.pipeline(&commands).unwrap()
}

fn queued() -> Reply {
    Reply::Simple("QUEUED".into())
}

/// Commands on the session take part in their places, whichever lane the others need.
#[test]
fn commands_on_the_session_take_part_in_every_lane() {
    let server = start();
    for heavy in [false, true] {
        let mut client = server.client_with(Protocol::Resp2).unwrap();
        client.want("FLUSHALL").unwrap();
        let first = if heavy { "KEYS nothing*" } else { "STRLEN nothing" };
        let lines = [
            "MULTI",
            first,
            "SET k 1",
            "SELECT 2",
            "SET k 2",
            "CLIENT SETNAME me",
            "SELECT 99",
            "LPUSH k x",
            "HELLO 3",
            "CLIENT GETNAME",
            "INCR k",
            "EXEC",
        ];
        let mut replies = all(&mut client, &lines);
        let Some(Reply::Array(mut parts)) = replies.pop() else { panic!("no list of replies") };
        assert_eq!(replies[0], Reply::ok());
        assert!(replies[1..].iter().all(|reply| *reply == queued()), "{replies:?}");
        assert!(matches!(&parts[7], Reply::Map(entries) if entries.len() == 7), "{parts:?}");
        parts.remove(7);
        let nothing = if heavy { Reply::Array(Vec::new()) } else { Reply::Integer(0) };
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        let expected = [
            nothing,
            Reply::ok(),
            Reply::ok(),
            Reply::ok(),
            Reply::ok(),
            Reply::Error("ERR DB index is out of range".into()),
            Reply::Error(wrong.into()),
            Reply::bulk("me"),
            Reply::Integer(3),
        ];
        assert_eq!(parts, expected);
        // It is where the transaction has left it.
        assert_eq!(client.want("GET k").unwrap(), Reply::bulk("3"));
        client.want("SELECT 0").unwrap();
        assert_eq!(client.want("GET k").unwrap(), Reply::bulk("1"));
    }
}

/// Nobody sees a part of a transaction, and none is lost: small ones and such that outgrow the section.
#[test]
fn a_transaction_is_one_moment() {
    const CLIENTS: usize = 6;
    const ROUNDS: usize = 60;
    let server = start();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = server.client().unwrap();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let is_heavy = (round + number) % 5 == 0;
                    let last = if is_heavy { "KEYS nothing*" } else { "PING" };
                    let replies = all(&mut client, &["MULTI", "INCR a", "INCR b", "GET a", last, "EXEC"]);
                    let parts = replies[5].items().unwrap_or_else(|| panic!("{replies:?}"));
                    assert_eq!(parts[0], parts[1], "two keys that change together differ");
                    assert_eq!(parts[2].bytes().unwrap(), parts[0].integer().unwrap().to_string().as_bytes());
                }
            });
        }
    });
    let mut client = server.client().unwrap();
    let total = (CLIENTS * ROUNDS).to_string();
    assert_eq!(client.want("MGET a b").unwrap().items().unwrap(), [Reply::bulk(&total), Reply::bulk(&total)]);
}

/// Every client adds one to what it has read, and tries again as long as another one was first.
#[test]
fn no_update_is_lost_between_those_who_watch() {
    const CLIENTS: usize = 4;
    const UPDATES: usize = 40;
    let server = start();
    server.client().unwrap().want("SET n 0").unwrap();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = server.client().unwrap();
            scope.spawn(move || {
                let mut done = 0;
                while done < UPDATES {
                    let read = all(&mut client, &["WATCH n", "GET n"]).pop().unwrap();
                    let next: i64 =
                        String::from_utf8(read.bytes().unwrap().to_vec()).unwrap().parse().unwrap();
                    let set = format!("SET n {}", next + 1);
                    let heavy = if (done + number) % 7 == 0 { "KEYS nothing*" } else { "PING" };
                    let outcome = all(&mut client, &["MULTI", &set, heavy, "EXEC"]).pop().unwrap();
                    done += usize::from(!outcome.is_null());
                }
            });
        }
    });
    let total = (CLIENTS * UPDATES).to_string();
    assert_eq!(server.client().unwrap().want("GET n").unwrap(), Reply::bulk(total));
}

#[test]
fn what_is_refused_while_it_is_queued_ends_the_transaction() {
    let server = start();
    let mut client = server.client().unwrap();
    for wrong in ["NOSUCHCOMMAND", "GET", "SAVE", "GET a b c"] {
        let replies = all(&mut client, &["MULTI", "SET k v", wrong, "SET k w", "EXEC", "EXEC", "EXISTS k"]);
        assert!(replies[2].is_error(), "{wrong}: {replies:?}");
        assert_eq!(replies[3], queued());
        let why = "EXECABORT Transaction discarded because of previous errors.";
        assert_eq!(replies[4], Reply::Error(why.into()));
        assert_eq!(replies[5], Reply::Error("ERR EXEC without MULTI".into()));
        assert_eq!(replies[6], Reply::Integer(0));
    }
    let replies = all(&mut client, &["MULTI", "SET k v", "RESET", "EXEC", "EXISTS k"]);
    assert_eq!(replies[2], Reply::Simple("RESET".into()));
    assert_eq!(replies[3], Reply::Error("ERR EXEC without MULTI".into()));
    assert_eq!(replies[4], Reply::Integer(0));
}

#[test]
fn what_blocks_does_not_block_in_a_transaction() {
    let server = start();
    let mut client = server.client().unwrap();
    let lines = ["MULTI", "BLPOP none 0", "RPUSH l a b", "BLMOVE l m LEFT RIGHT 0", "BZPOPMIN z 0", "EXEC"];
    let replies = all(&mut client, &lines);
    let parts = [Reply::NullArray, Reply::Integer(2), Reply::bulk("a"), Reply::NullArray];
    assert_eq!(replies[5].items().unwrap(), parts);
}

/// With several groups there is one database, and a transaction is within one slot.
#[test]
fn a_transaction_of_several_groups_is_within_one_slot() {
    let server = Spec::bulkhead().unwrap().arg("--groups").arg("4").start().unwrap();
    let mut client = server.client().unwrap();
    let replies = all(&mut client, &["MULTI", "SELECT 3", "SET {a}1 x", "SET {a}2 y", "EXEC", "GET {a}1"]);
    let parts = replies[4].items().unwrap();
    assert!(parts[0].is_error() && parts[1..] == [Reply::ok(), Reply::ok()], "{parts:?}");
    assert_eq!(replies[5], Reply::bulk("x"), "it is in the database that there is");
    let crossed = Reply::Error("CROSSSLOT Keys in request don't hash to the same slot".into());
    let whole = Reply::Error("ERR DBSIZE is not allowed in a transaction in cluster mode".into());
    for (line, refusal) in [("SET {b}1 x", &crossed), ("DBSIZE", &whole)] {
        let replies = all(&mut client, &["MULTI", "SET {a}1 z", line, "EXEC", "GET {a}1"]);
        assert_eq!(replies[3], *refusal);
        assert_eq!(replies[4], Reply::bulk("x"), "nothing has happened");
    }
    assert_eq!(client.line("WATCH {a}1 {b}1").unwrap(), crossed);
    let lines = ["WATCH {a}1", "SET {a}1 new", "MULTI", "SET {a}1 old", "EXEC", "GET {a}1"];
    let replies = all(&mut client, &lines);
    assert!(replies[4].is_null() && replies[5] == Reply::bulk("new"), "{replies:?}");
}

/// What runs in a transaction is counted like what runs on its own, and so is the transaction.
#[test]
fn transactions_are_counted() {
    for last in ["PING", "KEYS nothing*"] {
        let server = start();
        let mut client = server.client().unwrap();
        all(&mut client, &["MULTI", "SET k v", "GET k", "GET nothing", "LPUSH k x", last, "EXEC", "EXEC"]);
        let info = |client: &mut Client, section: &str| {
            let reply = client.want(&format!("INFO {section}")).unwrap();
            String::from_utf8(reply.bytes().unwrap().to_vec()).unwrap()
        };
        let counted = info(&mut client, "commandstats");
        for expected in ["cmdstat_get:calls=2,", "cmdstat_set:calls=1,", "cmdstat_exec:calls=2,"] {
            assert!(counted.contains(expected), "{last}: {expected} is not in {counted}");
        }
        assert!(info(&mut client, "errorstats").contains("errorstat_WRONGTYPE:count=1"), "{last}");
        let stats = info(&mut client, "stats");
        assert!(stats.contains("keyspace_hits:1\r\nkeyspace_misses:1\r\n"), "{last}: {stats}");
        client.want("WATCH k").unwrap();
        assert!(info(&mut client, "clients").contains("watching_clients:1\r\n"));
        client.want("UNWATCH").unwrap();
        assert!(info(&mut client, "clients").contains("watching_clients:0\r\n"));
    }
}

/// Commands that find nothing to change break no watch, however they look for it.
#[test]
fn what_changes_nothing_breaks_no_watch() {
    let server = start();
    let (mut client, mut other) = (server.client().unwrap(), server.client().unwrap());
    let nothing = [
        ("SET k 9", "SETBIT k 2 1"),
        ("SET k x", "BITFIELD k SET u8 0 120"),
        ("ZADD k 1 a 2 b", "ZREMRANGEBYSCORE k 5 9"),
        ("ZADD k 1 a 2 b", "ZREMRANGEBYLEX k [x [y"),
        ("ZADD k 1 a 2 b", "ZREMRANGEBYRANK k 7 9"),
        ("ZADD k 1 a 2 b", "ZPOPMIN k 0"),
        ("SADD k a b", "SPOP k 0"),
        ("SADD k a b", "SREM k c"),
        ("HSET k f v", "HDEL k g"),
        ("RPUSH k a", "LREM k 0 b"),
        ("RPUSH k a", "LPOP k 0"),
        ("XADD k 1-1 f v", "XDEL k 2-2"),
        ("XADD k 1-1 f v", "XTRIM k MAXLEN 5"),
    ];
    for (before, command) in nothing {
        all(&mut client, &["DEL k", before, "WATCH k"]);
        assert!(!other.line(command).unwrap().is_error(), "{command}");
        let replies = all(&mut client, &["MULTI", "PING", "EXEC"]);
        assert_eq!(replies[2], Reply::Array(vec![Reply::Simple("PONG".into())]), "{command}");
    }
}

#[test]
fn a_client_is_shown_with_what_it_has_queued() {
    let server = start();
    let (mut client, mut other) = (server.client().unwrap(), server.client().unwrap());
    let id = client.want("CLIENT ID").unwrap().integer().unwrap();
    let mut shown = |expected: &str| {
        let list = other.want(&format!("CLIENT LIST ID {id}")).unwrap();
        let line = String::from_utf8(list.bytes().unwrap().to_vec()).unwrap();
        assert!(line.contains(&format!(" {expected} ")), "{line}");
    };
    shown("multi=-1");
    shown("flags=N");
    all(&mut client, &["MULTI", "PING", "PING"]);
    shown("multi=2");
    shown("flags=x");
    client.want("DISCARD").unwrap();
    shown("multi=-1");
}

/// The differential tests run what their table has, on its own, in transactions and in scripts: it has to
/// have all.
#[test]
fn every_command_on_data_is_compared_in_transactions_and_scripts() {
    const OF_DATA: &[&str] =
        &["string", "generic", "list", "set", "hash", "sorted-set", "bitmap", "hyperloglog", "geo"];
    // Each for a reason.
    const NOT_COMPARED: &[&str] = &[
        "wait",
        "waitaof",   // about the log, not about data
        "randomkey", // by chance
        "pfdebug",
        "pfselftest",  // for whoever works on the server
        "object|freq", // by chance
        "migrate",     // to another server
    ];
    let server = start();
    let mut client = server.client_with(Protocol::Resp3).unwrap();
    let docs = client.want("COMMAND DOCS").unwrap();
    let Reply::Map(commands) = docs else { panic!("{docs:?}") };
    let (compared, in_scripts) = (diff::names(), diff::names_in_scripts());
    let is_kept_from_scripts = |client: &mut Client, name: &str| {
        let info = client.want(&format!("COMMAND INFO {name}")).unwrap();
        let flags = info.items().unwrap()[0].items().unwrap()[2].items().unwrap().to_vec();
        flags.contains(&Reply::Simple("noscript".into()))
    };
    let mut missing = Vec::new();
    for (name, about) in &commands {
        let Reply::Map(fields) = about else { panic!("{about:?}") };
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.bytes() == Some(wanted.as_bytes()));
            found.map(|(_, value)| String::from_utf8_lossy(value.bytes().unwrap_or_default()).into_owned())
        };
        let name = String::from_utf8(name.bytes().unwrap().to_vec()).unwrap();
        let is_of_data = field("group").is_some_and(|group| OF_DATA.contains(&group.as_str()));
        if !is_of_data || NOT_COMPARED.contains(&name.as_str()) {
            continue;
        }
        let upper = name.to_ascii_uppercase();
        let is_in_scripts = in_scripts.contains(&upper) || is_kept_from_scripts(&mut client, &name);
        if !compared.contains(&upper) || !is_in_scripts {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "not compared: {missing:?}");
}
