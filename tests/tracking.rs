//! Client-side caching, seen from outside: who is told that what it keeps has changed.

use std::collections::HashMap;
use std::thread;

use testkit::client::{Protocol, words};
use testkit::wait::until;
use testkit::{Client, Reply, Rng, Server};

use crate::sessions::{LIMIT, id, info, peers, send, start, text};

/// A client that tracks, as the options say.
fn tracking(server: &Server, options: &str) -> Client {
    let mut client = server.client_with(Protocol::Resp3).unwrap();
    client.want(&format!("CLIENT TRACKING ON {options}")).unwrap();
    client
}

/// What a client is told by the time at which it has the reply to a later command than it says.
fn told(client: &mut Client, line: &str) -> Vec<Reply> {
    // What comes with the first is behind it at the latest.
    let commands = line.split(" ; ").chain(["ECHO first", "ECHO last"]);
    commands.for_each(|command| client.queue(&words(command)));
    client.flush().unwrap();
    let mut all = Vec::new();
    loop {
        let reply = client.receive().unwrap();
        if reply == Reply::bulk("last") {
            return all;
        }
        if reply != Reply::bulk("first") {
            all.push(reply);
        }
    }
}

/// The keys that a client is told about; `*` for all.
fn invalidated(client: &mut Client) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..2 {
        for push in told(client, "ECHO first") {
            let Reply::Push(parts) = &push else { panic!("{push:?}") };
            assert_eq!(parts[0], Reply::bulk("invalidate"));
            match parts[1].items() {
                Some(names) => keys.extend(names.iter().map(text)),
                None => keys.push("*".into()),
            }
        }
    }
    keys
}

#[test]
fn what_was_read_is_told_once_when_it_changes() {
    let (server, mut me) = start();
    let mut reader = tracking(&server, "");
    for line in ["GET a", "GET a", "MGET b c", "HGETALL h"] {
        reader.want(line).unwrap();
    }
    for line in ["SET a 1", "SET a 2", "SET other 1", "HSET h f v", "MSET b 1 c 1"] {
        me.want(line).unwrap();
    }
    assert_eq!(invalidated(&mut reader), ["a", "h", "b", "c"]);
    // Whoever is answered a write knows that readers are told before they are answered anything else.
    for n in 0..200 {
        reader.want("GET a").unwrap();
        me.want(&format!("SET a {n}")).unwrap();
        reader.queue(&["PING"]);
        reader.flush().unwrap();
        assert!(matches!(reader.receive().unwrap(), Reply::Push(_)), "{n}");
        reader.receive().unwrap();
    }
    reader.want("GET a").unwrap();
    reader.want("SET a 3").unwrap();
    assert_eq!(invalidated(&mut reader), ["a"], "it is told of what it does itself as well");
    reader.want("CLIENT TRACKING OFF").unwrap();
    reader.want("GET a").unwrap();
    me.want("SET a 4").unwrap();
    assert_eq!(invalidated(&mut reader), [""; 0]);
}

#[test]
fn what_is_read_in_any_lane_is_tracked() {
    let (server, mut me) = start();
    let fill: Vec<String> = (0..3_000).map(|n| format!("f{n} v")).collect();
    me.call(&words(&format!("HSET long {}", fill.join(" ")))).unwrap();
    let mut reader = tracking(&server, "");
    let script = "for i = 1, tonumber(ARGV[1]) do redis.call('GET', 'by script') end";
    for heavy in [false, true] {
        for line in ["MULTI", "GET in", if heavy { "KEYS nothing*" } else { "GET nothing" }, "EXEC"] {
            reader.want(line).unwrap();
        }
        reader.want("HGETALL long").unwrap();
        me.want("HSET long f1 w").unwrap();
        me.want("SET in 1").unwrap();
        let mut keys = invalidated(&mut reader);
        keys.sort();
        assert_eq!(keys, ["in", "long"]);
        let times = if heavy { "20000" } else { "2" };
        reader.call(&["EVAL", script, "0", times]).unwrap();
        me.call(&["SET", "by script", "1"]).unwrap();
        // A key that only a long script knows may be said to have changed before it does.
        let keys = invalidated(&mut reader);
        assert!(!keys.is_empty() && keys.iter().all(|key| key == "by script"), "{keys:?}");
    }
}

#[test]
fn all_ways_to_change_a_key_are_told() {
    let (server, mut me) = start();
    let mut reader = tracking(&server, "");
    for line in ["SET k 1", "EXPIRE k 100", "RENAME k l", "DEL l", "RPUSH k a", "LPOP k"] {
        reader.want("GET k").ok();
        reader.line("GET k").unwrap();
        reader.line("TYPE l").unwrap();
        me.want(line).unwrap();
        let keys = invalidated(&mut reader);
        assert!(!keys.is_empty(), "{line}");
    }
    me.want("SET k 1 PX 20").unwrap();
    reader.want("GET k").unwrap();
    until("it has expired", LIMIT, || (invalidated(&mut reader) == ["k"]).then_some(())).unwrap();
    for line in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
        me.want("SET other 1").unwrap();
        reader.want("GET k").unwrap();
        me.want(line).unwrap();
        assert_eq!(invalidated(&mut reader), ["*"], "{line}");
    }
    assert_eq!(info(&mut me, "tracking_total_keys"), "0");
    // A command that waits is served, and told of.
    reader.want("LRANGE q 0 -1").unwrap();
    let mut waiter = server.client().unwrap();
    send(&mut waiter, &["BLMOVE s q LEFT LEFT 0"]);
    me.want("RPUSH s a").unwrap();
    waiter.receive().unwrap();
    assert_eq!(invalidated(&mut reader), ["q"]);
}

/// Where the table is full, whoever has read what goes is told that it has changed.
#[test]
fn the_table_is_bounded() {
    let (server, mut me) = start();
    me.want("CONFIG SET tracking-table-max-keys 100").unwrap();
    let mut reader = tracking(&server, "");
    for n in 0..1_000 {
        reader.queue(&words(&format!("GET k{n}")));
    }
    reader.flush().unwrap();
    let mut gone = 0;
    for _ in 0..1_000 {
        while matches!(reader.receive().unwrap(), Reply::Push(_)) {
            gone += 1;
        }
    }
    gone += invalidated(&mut reader).len();
    let kept: usize = info(&mut me, "tracking_total_keys").parse().unwrap();
    assert!((80..=120).contains(&kept), "{kept}");
    assert_eq!(kept + gone, 1_000);
    assert_eq!(info(&mut me, "tracking_clients"), "1");
    drop(reader);
    until("it is gone", LIMIT, || (info(&mut me, "tracking_clients") == "0").then_some(())).unwrap();
}

/// One that does not read costs no more than a little, and is told that everything has changed.
#[test]
fn who_does_not_read_is_told_in_few_words() {
    let (server, mut me) = start();
    let mut deaf = tracking(&server, "BCAST");
    let name = "x".repeat(200);
    for n in 0..60_000 {
        me.queue(&words(&format!("SET {name}{n} v")));
        if n % 1_000 == 999 {
            me.flush().unwrap();
            (0..1_000).for_each(|_| assert_eq!(me.receive().unwrap(), Reply::ok()));
        }
    }
    let list = text(&me.want("CLIENT LIST").unwrap());
    let unread = |line: &str| {
        let field = line.split(' ').find_map(|field| field.strip_prefix("omem=")).unwrap();
        field.parse::<usize>().unwrap()
    };
    assert!(list.lines().map(unread).all(|bytes| bytes < 8 << 20), "{list}");
    let keys = invalidated(&mut deaf);
    assert!(keys.contains(&"*".to_owned()) && keys.len() < 60_000, "{}", keys.len());
    me.want("SET k v").unwrap();
    assert_eq!(invalidated(&mut deaf), ["k"]);
}

/// What a client keeps by the rules of client-side caching is never old for good: neither what was read by
/// short commands nor what was read by long ones, while others write.
#[test]
fn nobody_keeps_what_is_old() {
    const KEYS: usize = 8;
    let (server, mut me) = start();
    let writers: Vec<_> = (0..2)
        .map(|writer| {
            let mut client = server.client().unwrap();
            thread::spawn(move || {
                let mut rng = Rng::new(writer);
                for n in 0..4_000 {
                    let key = format!("k{}", rng.below(KEYS));
                    client.call(&["SET", &key, &format!("{writer}:{n}")]).unwrap();
                }
            })
        })
        .collect();
    let readers: Vec<_> = [("", "GET"), ("", "heavy"), ("BCAST PREFIX k", "GET"), ("NOLOOP", "MULTI")]
        .into_iter()
        .map(|(options, how)| {
            let mut client = tracking(&server, options);
            thread::spawn(move || keep(&mut client, how, KEYS))
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    me.want("SET done 1").unwrap();
    for reader in readers {
        let kept = reader.join().unwrap();
        assert!(!kept.is_empty());
        for (key, value) in kept {
            assert_eq!(me.want(&format!("GET {key}")).unwrap(), value, "{key}");
        }
    }
}

/// Reads keys and keeps what it reads, until everything is written. Gives what it keeps at the end.
fn keep(client: &mut Client, how: &str, keys: usize) -> HashMap<String, Reply> {
    const LONG: &str = "for i = 1, 20000 do end; return redis.call('MGET', unpack(KEYS))";
    let mut kept = HashMap::new();
    let names: Vec<String> = (0..keys).map(|n| format!("k{n}")).collect();
    let forget = |push: &Reply, kept: &mut HashMap<String, Reply>| {
        let Reply::Push(parts) = push else { panic!("{push:?}") };
        match parts[1].items() {
            Some(names) => names.iter().for_each(|name| drop(kept.remove(&text(name)))),
            None => kept.clear(),
        }
    };
    let mut rounds_left = None;
    loop {
        match how {
            "heavy" => {
                let count = names.len().to_string();
                let mut command = vec!["EVAL", LONG, &count];
                command.extend(names.iter().map(String::as_str));
                client.queue(&command);
            }
            "MULTI" => {
                client.queue(&["MULTI"]);
                client.queue(&[&["MGET".to_owned()][..], &names].concat());
                client.queue(&["EXEC"]);
            }
            _ => client.queue(&[&["MGET".to_owned()][..], &names].concat()),
        }
        client.queue(&["GET", "done"]);
        client.flush().unwrap();
        let is_done = loop {
            let reply = client.receive().unwrap();
            match &reply {
                Reply::Push(_) => forget(&reply, &mut kept),
                Reply::Array(items) => {
                    let values = match items.as_slice() {
                        [Reply::Array(values)] => values,
                        values => values,
                    };
                    kept.extend(names.iter().cloned().zip(values.iter().cloned()));
                }
                Reply::Simple(_) => {}
                done => break !done.is_null(),
            }
        };
        // What is on its way comes with the rounds that follow; they keep nothing new that is old.
        rounds_left = match rounds_left {
            None if is_done => Some(2),
            Some(0) => return kept,
            left => left.map(|left| left - 1),
        };
        if rounds_left.is_some() {
            for push in told(client, "ECHO first") {
                forget(&push, &mut kept);
            }
        }
    }
}

/// What two clients say in turn; the other one behind a `+`.
const LINES: &[&str] = &[
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "CLIENT CACHING YES",
    "CLIENT TRACKING",
    "CLIENT TRACKING MAYBE",
    "CLIENT TRACKING ON NONSENSE",
    "CLIENT TRACKING ON PREFIX a",
    "CLIENT TRACKING ON REDIRECT 999999",
    "CLIENT TRACKING ON REDIRECT x",
    "CLIENT TRACKING ON BCAST OPTIN",
    "CLIENT TRACKING ON OPTIN OPTOUT",
    "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
    "CLIENT TRACKING ON BCAST PREFIX a PREFIX b NOLOOP",
    "CLIENT TRACKING ON",
    "CLIENT TRACKING ON BCAST PREFIX bc",
    "CLIENT TRACKING ON BCAST PREFIX c",
    "CLIENT TRACKINGINFO",
    "CLIENT GETREDIR",
    "SET a1 mine",
    "+SET a1 yours",
    "+SET b1 yours",
    "+SET d1 yours",
    "+MSET a1 1 z 1 a2 1",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKINGINFO",
    "CLIENT TRACKING ON OPTIN",
    "CLIENT TRACKING ON OPTOUT",
    "CLIENT CACHING NO",
    "CLIENT CACHING MAYBE",
    "GET a1",
    "+SET a1 2",
    "CLIENT CACHING YES ; CLIENT TRACKINGINFO ; GET a1 ; GET b1",
    "+SET a1 3",
    "+SET b1 3",
    "CLIENT CACHING YES ; MULTI ; GET a1 ; GET b1 ; EXEC ; GET c1",
    "+SET a1 4",
    "+SET b1 4",
    "+SET c1 4",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON OPTOUT",
    "CLIENT CACHING NO ; GET a1 ; GET b1",
    "+SET a1 5",
    "+SET b1 5",
    "MULTI ; CLIENT CACHING NO ; GET a1 ; EXEC",
    "CLIENT TRACKING OFF",
    "CLIENT TRACKING ON NOLOOP",
    "GET a1",
    "SET a1 mine",
    "+SET a1 yours",
    "GET a1",
    "+SET a1 yours",
    "GET a1",
    "+FLUSHALL",
    "+SET a1 yours",
    "EXISTS a1",
    "+EXPIRE a1 1000",
    "TTL a1",
    "+PERSIST a1",
    "EVAL return(redis.call('get',KEYS[1])) 1 n",
    "+INCR n",
    "XLEN s",
    "+XADD s 1-1 f v",
    "RESET",
    "HELLO 3",
    "CLIENT TRACKINGINFO",
];

/// What two clients say in turn, and what the first is told, is the same as with Redis and Valkey.
#[test]
fn the_forms_are_those_of_redis() {
    let seen = |(server, mut other): (Server, Client)| -> Vec<(String, Vec<Reply>)> {
        let mut client = server.client_with(Protocol::Resp3).unwrap();
        let of_line = |line: &&str| {
            let mut replies = match line.strip_prefix('+') {
                Some(theirs) => vec![other.line(theirs).unwrap()],
                None => vec![],
            };
            let mine = if line.starts_with('+') { "ECHO first" } else { line };
            replies.extend(told(&mut client, mine));
            if !line.contains("HELLO") {
                replies.extend(told(&mut client, "ECHO first"));
            }
            let kept =
                replies.into_iter().filter(|reply| !matches!(reply, Reply::Map(_)) || line.contains("INFO"));
            ((*line).to_owned(), kept.collect())
        };
        LINES.iter().map(of_line).collect()
    };
    let ours = seen(start());
    for theirs in peers().map(seen) {
        let other: Vec<_> = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).collect();
        assert!(other.is_empty(), "{other:#?}");
    }
}

#[test]
fn another_client_may_be_told_instead() {
    let (server, mut me) = start();
    let mut hears = server.client_with(Protocol::Resp2).unwrap();
    let target = id(&mut hears);
    hears.want("SUBSCRIBE __redis__:invalidate").unwrap();
    let mut reader = server.client_with(Protocol::Resp2).unwrap();
    reader.want(&format!("CLIENT TRACKING ON REDIRECT {target}")).unwrap();
    assert_eq!(reader.want("CLIENT GETREDIR").unwrap(), Reply::Integer(target));
    reader.want("GET k").unwrap();
    me.want("SET k 1").unwrap();
    let message =
        |what| Reply::Array(vec![Reply::bulk("message"), Reply::bulk("__redis__:invalidate"), what]);
    assert_eq!(hears.receive().unwrap(), message(Reply::Array(vec![Reply::bulk("k")])));
    me.want("FLUSHALL").unwrap();
    assert_eq!(hears.receive().unwrap(), message(Reply::NullBulk));
    let list = text(&me.want("CLIENT LIST").unwrap());
    let shown = format!(" redir={target} ");
    assert!(list.lines().any(|line| line.contains(&shown) && line.contains(" flags=t ")), "{list}");
    // Whoever is to be told is gone: one who understands that is told so.
    let mut modern = tracking(&server, &format!("REDIRECT {target}"));
    modern.want("GET k").unwrap();
    let mut quiet = tracking(&server, &format!("NOLOOP REDIRECT {target}"));
    quiet.want("GET mine").unwrap();
    drop(hears);
    until("it is gone", LIMIT, || {
        let list = text(&me.want("CLIENT LIST").unwrap());
        (!list.contains(&format!("id={target} "))).then_some(())
    })
    .unwrap();
    me.want("SET k 1").unwrap();
    let broken = Reply::Push(vec![Reply::bulk("tracking-redir-broken"), Reply::Integer(target)]);
    assert_eq!(modern.receive().unwrap(), broken);
    // What it does itself it is not told of in any way.
    quiet.want("SET mine 1").unwrap();
    assert_eq!(invalidated(&mut quiet), [""; 0]);
    let list = text(&me.want("CLIENT LIST").unwrap());
    assert!(list.lines().any(|line| line.contains(" flags=tR ")), "{list}");
}
