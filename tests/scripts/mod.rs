//! Scripts and functions, compared with what a real Redis 7.0 and a real Valkey 8.1 say: every case in both
//! protocols.
//!
//! Bulkhead does what Redis 7.2 does, which is between the two: what it says must be what at least one of
//! them does.
//!
//! An error says in which line it happened. Here that is approximated where a function ends with a call
//! (`return redis.call(…)`) and has several lines: such functions are not in these tables.

mod commands;
mod sandbox;
mod values;

use std::collections::BTreeSet;

use commands::{CALLS, FUNCTIONS, SCRIPTS};
use sandbox::{ERRORS, FATAL, GLOBALS, LIBRARIES, REDIS};
use testkit::client::{Command, Protocol, words};
use testkit::diff::tidied;
use testkit::{Client, Durability, Reply, Server, Spec};
use values::{REPLIES, VALUES};

/// The server under test and its peers.
struct Servers {
    ours: Server,
    redis: Server,
    valkey: Server,
}

impl Servers {
    fn start() -> Self {
        let peer = |spec: testkit::Result<Spec>| spec.unwrap().durability(Durability::None).start().unwrap();
        let ours = Spec::bulkhead().unwrap().start().unwrap();
        Self { ours, redis: peer(Spec::redis()), valkey: peer(Spec::valkey()) }
    }

    fn clients(&self, protocol: Protocol) -> [Client; 3] {
        [&self.ours, &self.redis, &self.valkey].map(|server| {
            let mut client = server.client_with(protocol).unwrap();
            client.want("FLUSHALL").unwrap();
            for line in SETUP {
                client.want(line).unwrap();
            }
            client
        })
    }
}

const SETUP: &[&str] = &[
    "FUNCTION FLUSH",
    "SCRIPT FLUSH",
    "SET string value",
    "SET number 41",
    "HSET hash field value",
    "RPUSH list a b c",
    "SADD set 30 4 100 7",
    "SADD one member",
    "ZADD zset 1 a 2.5 b inf c",
];

/// What differs from both peers.
struct Differences(Vec<String>);

impl Differences {
    fn check(&mut self, about: &str, replies: [Reply; 3]) {
        let [ours, redis, valkey] = replies.each_ref().map(tidied);
        if std::env::var_os("SHOW_PEERS").is_some() && redis != valkey {
            println!("peers differ: {about}\n  ours {ours:?}\n  Redis {redis:?}\n  Valkey {valkey:?}");
        }
        if ours != redis && ours != valkey {
            self.0.push(format!("{about}\n  ours:   {ours:?}\n  Redis:  {redis:?}\n  Valkey: {valkey:?}\n"));
        }
    }
}

impl Drop for Differences {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{} differ:\n{}", self.0.len(), self.0.concat());
        }
    }
}

fn each_alone(scripts: &[&str]) {
    let servers = Servers::start();
    let mut differences = Differences(Vec::new());
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut clients = servers.clients(protocol);
        for script in scripts {
            let command = ["EVAL", script, "2", "k1", "k2", "a1", "a2"];
            let replies = clients.each_mut().map(|client| client.call(&command).unwrap());
            differences.check(&format!("{protocol:?}: {script}"), replies);
        }
    }
}

/// Commands one after the other. A word in ticks may hold anything.
fn in_turn(lines: &[&str]) {
    let servers = Servers::start();
    let mut differences = Differences(Vec::new());
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut clients = servers.clients(protocol);
        for line in lines {
            let command = quoted(line);
            let replies = clients.each_mut().map(|client| client.call(&command).unwrap());
            differences.check(&format!("{protocol:?}: {line}"), replies);
        }
    }
}

fn quoted(line: &str) -> Command {
    let parts = line.split('`').enumerate();
    parts
        .flat_map(|(at, part)| if at % 2 == 1 { vec![part.as_bytes().to_vec()] } else { words(part) })
        .collect()
}

#[test]
fn values_become_replies_as_in_redis() {
    each_alone(VALUES);
}

#[test]
fn replies_become_values_as_in_redis() {
    each_alone(REPLIES);
}

#[test]
fn errors_look_as_in_redis() {
    each_alone(ERRORS);
}

#[test]
fn errors_that_redis_does_not_survive_look_as_in_valkey() {
    let servers = Servers::start();
    let mut differences = Differences(Vec::new());
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let [mut ours, _, mut valkey] = servers.clients(protocol);
        for script in FATAL {
            let call = |client: &mut Client| client.call(&["EVAL", script, "0"]).unwrap();
            let (left, right) = (call(&mut ours), call(&mut valkey));
            differences.check(&format!("{protocol:?}: {script}"), [left, right.clone(), right]);
        }
    }
}

#[test]
fn globals_are_protected_as_in_redis() {
    each_alone(GLOBALS);
}

#[test]
fn the_server_s_own_functions_are_those_of_redis() {
    each_alone(REDIS);
}

#[test]
fn libraries_are_those_of_redis() {
    each_alone(LIBRARIES);
}

#[test]
fn calls_are_checked_as_in_redis() {
    in_turn(CALLS);
}

#[test]
fn script_says_what_it_says_in_redis() {
    in_turn(SCRIPTS);
}

#[test]
fn function_says_what_it_says_in_redis() {
    in_turn(FUNCTIONS);
}

/// What one server dumps, the others restore.
#[test]
fn libraries_travel_between_servers() {
    let servers = Servers::start();
    let mut clients = servers.clients(Protocol::Resp3);
    let listed = |client: &mut Client| tidied(&client.want("FUNCTION LIST WITHCODE").unwrap());
    let codes = ["a", "b"].map(|name| {
        format!(
            "#!lua name={name}\n-- {}\nredis.register_function('f_{name}', function() return '{name}' end)",
            "long ".repeat(200)
        )
    });
    for code in &codes {
        clients[0].call(&["FUNCTION", "LOAD", code]).unwrap();
    }
    let sorted = |reply: Reply| {
        let mut items = reply.items().unwrap().to_vec();
        items.sort();
        items
    };
    let expected = sorted(listed(&mut clients[0]));
    assert_eq!(expected.len(), 2);
    // Redis 7.0 knows no payloads of newer servers.
    for (from, to) in [(0, 2), (2, 0), (0, 0)] {
        let dumped = clients[from].want("FUNCTION DUMP").unwrap();
        clients[to].want("FUNCTION FLUSH").unwrap();
        let restore: [&[u8]; 3] = [b"FUNCTION", b"RESTORE", dumped.bytes().unwrap()];
        let restored = clients[to].call(&restore).unwrap();
        assert_eq!(restored, Reply::ok(), "from {from} to {to}");
        assert_eq!(sorted(listed(&mut clients[to])), expected, "from {from} to {to}");
        assert_eq!(clients[to].want("FCALL f_b 0").unwrap(), Reply::bulk("b"));
    }
    for code in &codes {
        clients[1].call(&["FUNCTION", "LOAD", code]).unwrap();
    }
    let dumped = clients[1].want("FUNCTION DUMP").unwrap();
    let restore: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", dumped.bytes().unwrap(), b"REPLACE"];
    assert_eq!(clients[0].call(&restore).unwrap(), Reply::ok());
    assert_eq!(sorted(listed(&mut clients[0])), expected);
}

/// A script may call what is not said to be kept from scripts, and nothing else; the peers agree.
#[test]
fn scripts_may_call_what_redis_lets_them_call() {
    let servers = Servers::start();
    let mut clients = servers.clients(Protocol::Resp3);
    let noscript = |client: &mut Client| -> BTreeSet<String> {
        let reply = client.want("COMMAND").unwrap();
        let mut found = BTreeSet::new();
        let mut entries: Vec<&Reply> = reply.items().unwrap().iter().collect();
        while let Some(entry) = entries.pop() {
            let parts = entry.items().unwrap();
            if parts[2].items().unwrap().contains(&Reply::Simple("noscript".into())) {
                found.insert(String::from_utf8(parts[0].bytes().unwrap().to_vec()).unwrap());
            }
            entries.extend(parts[9].items().unwrap());
        }
        found
    };
    let kept = noscript(&mut clients[0]);
    assert!(kept.len() > 20, "{kept:?}");
    let names = clients[0].want("COMMAND LIST").unwrap();
    let text = |name: &Reply| String::from_utf8(name.bytes().unwrap().to_vec()).unwrap();
    let names: Vec<String> = names.items().unwrap().iter().map(text).collect();
    let is_container = |name: &String| names.iter().any(|other| other.starts_with(&format!("{name}|")));
    for name in names.iter().filter(|name| !is_container(name)) {
        // With so many arguments most are wrong, which does not matter: it is whether it is called at all.
        let script = format!(
            "local words = {{}} for word in string.gmatch('{name}', '[^|]+') do table.insert(words, word) end \
             local reply \
             for i = 1, 8 do \
               reply = redis.pcall(unpack(words)) \
               if type(reply) ~= 'table' or not reply.err or not string.find(reply.err, 'Wrong number') then break end \
               table.insert(words, 'x') \
             end \
             return type(reply) == 'table' and reply.err or 'called'"
        );
        let reply = clients[0].call(&["EVAL", &script, "0"]).unwrap();
        let said = String::from_utf8_lossy(reply.bytes().unwrap_or_else(|| panic!("{name}: {reply:?}")))
            .into_owned();
        let is_refused = said == "ERR This Redis command is not allowed from script";
        assert_eq!(is_refused, kept.contains(name), "{name}: {said}");
        assert!(!said.contains("Unknown Redis command"), "{name}: {said}");
    }
}
