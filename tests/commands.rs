//! What COMMAND says of every command, compared with what a real Redis 7.0 and a real Valkey say.
//!
//! Bulkhead says what Redis 7.2 says, which is between the two: what it says must be what at least one
//! of them does.

use std::collections::BTreeMap;

use testkit::client::Protocol;
use testkit::{Client, Durability, Reply, Spec};

/// Commands of which neither peer says what Redis 7.2 does: how it has changed, from the one to the other.
const NEITHER: &[(&str, &str)] = &[
    ("client|kill", "Valkey takes several IDs, Redis 7.0 had other names"),
    ("bitcount", "in Valkey the end may be left out, Redis 7.0 had other names"),
];

fn connect(spec: Spec) -> (testkit::Server, Client) {
    let server = spec.start().unwrap();
    let client = server.client_with(Protocol::Resp3).unwrap();
    (server, client)
}

fn redis() -> (testkit::Server, Client) {
    connect(Spec::redis().unwrap().durability(Durability::None))
}

fn valkey() -> (testkit::Server, Client) {
    connect(Spec::valkey().unwrap().durability(Durability::None))
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.bytes().unwrap().to_vec()).unwrap()
}

fn names(client: &mut Client) -> Vec<String> {
    client.want("COMMAND LIST").unwrap().items().unwrap().iter().map(text).collect()
}

type Fields = BTreeMap<String, Reply>;

fn fields(map: &Reply) -> Fields {
    let Reply::Map(entries) = map else { panic!("not a map: {map:?}") };
    entries.iter().map(|(key, value)| (text(key), value.clone())).collect()
}

/// What COMMAND DOCS says, by full name; a command that the server does not have is left out.
fn docs(client: &mut Client, names: &[String]) -> BTreeMap<String, Fields> {
    let reply = client.want(&format!("COMMAND DOCS {}", names.join(" "))).unwrap();
    fields(&reply).into_iter().map(|(name, docs)| (name, fields(&docs))).collect()
}

/// An argument without what is said for people, what is newer than Redis 7.2 and, on demand, what is
/// newer than Redis 7.0; nothing if it is newer itself.
fn argument(reply: &Reply, with_display: bool) -> Option<Reply> {
    const NOT_COMPARED: &[&str] = &["summary"];
    let of = fields(reply);
    if of.get("since").is_some_and(|since| text(since).starts_with('8')) {
        return None;
    }
    let Reply::Map(entries) = reply else { unreachable!() };
    let kept = entries.iter().filter_map(|(key, value)| {
        let name = text(key);
        if NOT_COMPARED.contains(&&*name) || (name == "display_text" && !with_display) {
            return None;
        }
        let value = if name == "arguments" { arguments(value, with_display) } else { value.clone() };
        Some((key.clone(), value))
    });
    Some(Reply::Map(kept.collect()))
}

fn arguments(list: &Reply, with_display: bool) -> Reply {
    Reply::Array(list.items().unwrap().iter().filter_map(|reply| argument(reply, with_display)).collect())
}

#[test]
fn docs_are_those_of_redis() {
    let (_server, mut ours) = connect(Spec::bulkhead().unwrap());
    let ((_redis, mut redis), (_valkey, mut valkey)) = (redis(), valkey());
    let names = names(&mut ours);
    let (ours, redis, valkey) =
        (docs(&mut ours, &names), docs(&mut redis, &names), docs(&mut valkey, &names));
    assert!(names.len() > 100 && redis.len() + 10 > names.len(), "{} {}", names.len(), redis.len());
    let none = Fields::new();
    for name in &names {
        let (ours, valkey) = (&ours[name], &valkey[name]);
        let redis = redis.get(name).unwrap_or(&none);
        for field in ["since", "group", "doc_flags", "deprecated_since", "replaced_by"] {
            let (said, either) = (ours.get(field), [redis.get(field), valkey.get(field)]);
            assert!(either.contains(&said), "{name} {field}: {said:?}, not one of {either:?}");
        }
        let said = |of: &Fields, with_display| {
            of.get("arguments")
                .map(|list| arguments(list, with_display))
                .filter(|list| !list.items().unwrap().is_empty())
        };
        let is_as_valkey = said(ours, true) == said(valkey, true);
        let is_as_redis = said(ours, false) == said(redis, false);
        let is_known = NEITHER.iter().any(|(known, _)| known == name);
        assert!(
            (is_as_valkey || is_as_redis) != is_known,
            "{name}: {:?}\nRedis: {:?}\nValkey: {:?}",
            said(ours, true),
            said(redis, true),
            said(valkey, true)
        );
    }
}

/// Entries of COMMAND INFO by name, their subcommands left out: those are asked for by name as well.
fn infos(client: &mut Client, names: &[String]) -> BTreeMap<String, Vec<Reply>> {
    const SUBCOMMANDS: usize = 9;
    let reply = client.want(&format!("COMMAND INFO {}", names.join(" "))).unwrap();
    let entries = reply.items().unwrap().iter().filter_map(Reply::items);
    entries
        .map(|entry| {
            let parts = entry.iter().take(SUBCOMMANDS).map(|part| match part {
                Reply::Set(items) => {
                    let mut items = items.clone();
                    items.sort();
                    Reply::Set(items)
                }
                other => other.clone(),
            });
            (text(&entry[0]), parts.collect())
        })
        .collect()
}

#[test]
fn infos_are_those_of_redis() {
    let (_server, mut ours) = connect(Spec::bulkhead().unwrap());
    let ((_redis, mut redis), (_valkey, mut valkey)) = (redis(), valkey());
    let names = names(&mut ours);
    let (ours, redis, valkey) =
        (infos(&mut ours, &names), infos(&mut redis, &names), infos(&mut valkey, &names));
    assert_eq!(ours.len(), names.len());
    for (name, parts) in &ours {
        for (at, part) in parts.iter().enumerate() {
            let either = [redis.get(name).map(|parts| &parts[at]), valkey.get(name).map(|parts| &parts[at])];
            assert!(either.contains(&Some(part)), "{name} {at}: {part:?}, not one of {either:?}");
        }
    }
}

#[test]
fn lists_are_those_of_redis() {
    let (_server, mut ours) = connect(Spec::bulkhead().unwrap());
    let (_valkey, mut valkey) = valkey();
    let names = names(&mut ours);
    let categories = valkey.want("ACL CAT").unwrap();
    let categories = categories.items().unwrap().iter().map(|name| format!("ACLCAT {}", text(name)));
    let patterns = ["*", "g*", "*|*", "config|*", "GET*", "[a-c]*", "?et", "client|[g-k]*", "nosuch*"];
    let patterns = patterns.map(|pattern| format!("PATTERN {pattern}"));
    let others = ["ACLCAT nosuch", "MODULE nosuch"].map(String::from);
    for filter in categories.chain(patterns).chain(others) {
        let listed = |client: &mut Client| {
            let reply = client.want(&format!("COMMAND LIST FILTERBY {filter}")).unwrap();
            let mut found: Vec<String> = reply.items().unwrap().iter().map(text).collect();
            found.retain(|name| names.contains(name));
            found.sort();
            found
        };
        assert_eq!(listed(&mut ours), listed(&mut valkey), "{filter}");
    }
    let count = names.iter().filter(|name| !name.contains('|')).count();
    assert_eq!(ours.want("COMMAND COUNT").unwrap(), Reply::Integer(count as i64));
}

const CALLS: &[&str] = &[
    "SET a b",
    "SET a b GET",
    "SET a b EX 5 get",
    "SET a b EX GET",
    "SET get get",
    "SET a b NX",
    "SET a",
    "GETEX a",
    "GETEX a PERSIST",
    "GET a",
    "GET a b",
    "MGET a b a",
    "MSET a 1 b 2",
    "MSET a 1 b",
    "MSETNX a 1 b 2",
    "COPY a b",
    "COPY a b DB 1 REPLACE",
    "RENAME a b",
    "RENAMENX a b",
    "MOVE a 1",
    "DEL a b c",
    "UNLINK a b",
    "EXISTS a a",
    "TOUCH a",
    "PING a",
    "ECHO a",
    "NOSUCH a",
    "OBJECT ENCODING a",
    "object freq a",
    "OBJECT NOSUCH a",
    "OBJECT HELP",
    "OBJECT ENCODING",
    "MEMORY USAGE a",
    "MEMORY USAGE a SAMPLES 1",
    "MEMORY DOCTOR",
    "CONFIG GET a",
    "CONFIG NOSUCH",
    "LCS a b",
    "LCS a b LEN",
    "GETSET a 1",
    "GETDEL a",
    "APPEND a 1",
    "SETRANGE a 1 b",
    "GETRANGE a 1 2",
    "SUBSTR a 1 2",
    "STRLEN a",
    "SETNX a 1",
    "SETEX a 1 b",
    "INCR a",
    "INCRBYFLOAT a 1",
    "TTL a",
    "EXPIRE a 1",
    "EXPIRE a 1 NX",
    "PERSIST a",
    "TYPE a",
    "KEYS *",
    "SCAN 0",
    "CLIENT KILL a",
    "SWAPDB 0 1",
    "WAIT 1 1",
    "COMMAND GETKEYS GET a",
    "COMMAND COUNT",
    "object|encoding a",
    "object|encoding x a",
    "LPUSH a 1",
    "LMOVE a b LEFT RIGHT",
    "BLMOVE a b LEFT RIGHT 0",
    "RPOPLPUSH a b",
    "BRPOPLPUSH a b 0",
    "LMPOP 2 a b LEFT",
    "BLMPOP 0 2 a b LEFT COUNT 1",
    "BLPOP a b 0",
    "LMPOP 0 a LEFT",
    "LMPOP x a LEFT",
    "LMPOP 3 a LEFT",
    "SADD a m",
    "SMOVE a b m",
    "SINTER a b",
    "SINTERCARD 2 a b LIMIT 1",
    "SDIFFSTORE d a",
    "ZADD a 1 m",
    "ZUNION 2 a b",
    "ZUNION 5 a b",
    "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
    "ZINTERSTORE d 1 a",
    "ZINTERCARD 2 a b",
    "ZDIFF 2 a b WITHSCORES",
    "ZDIFFSTORE d 2 a b",
    "ZMPOP 1 a MIN",
    "BZMPOP 0 1 a MAX",
    "BZPOPMIN a b 0",
    "ZRANGESTORE d a 0 -1",
    "ZRANGE a 0 1",
    "SORT a",
    "SORT a BY w_* GET # STORE d",
    "SORT a STORE d STORE e",
    "SORT_RO a BY w_*",
    "GEOADD a 0 0 m",
    "GEORADIUS a 0 0 1 km",
    "GEORADIUS a 0 0 1 km STORE d",
    "GEORADIUS a 0 0 1 km STOREDIST d",
    "GEORADIUSBYMEMBER a m 1 km STORE d",
    "GEORADIUS_RO a 0 0 1 km",
    "GEOSEARCH a FROMMEMBER m BYRADIUS 1 km",
    "GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 km",
    "SETBIT a 1 1",
    "BITOP AND d a b",
    "BITFIELD a GET u8 0",
    "BITFIELD a SET u8 0 1",
    "BITFIELD_RO a GET u8 0",
    "PFADD a x",
    "PFMERGE d a b",
    "PFCOUNT a b",
    "HSET a f v",
    "HRANDFIELD a 1",
    "HSCAN a 0",
    "WATCH a b",
    "DUMP a",
    "RESTORE a 0 x",
    "EXPIRETIME a",
    "RANDOMKEY a",
    "LATENCY GRAPH a",
    "LATENCY HISTOGRAM get",
    "MONITOR x",
    "CLIENT PAUSE 1",
    "CLIENT NOSUCH a",
    "SLOWLOG GET 1",
    "MEMORY USAGE",
    "MEMORY NOSUCH a",
    "LOLWUT VERSION 5",
    "MULTI x",
    "DBSIZE x",
    "PUBLISH a b",
    "SPUBLISH a b",
    "SUBSCRIBE a b",
    "PSUBSCRIBE a",
    "SSUBSCRIBE a b",
    "SUNSUBSCRIBE a",
    "PUBSUB NUMSUB a",
    "PUBSUB NOSUCH a",
];
/// Redis 7.0 says of these that COMMAND GETKEYS itself has too few arguments.
const SHORT_CALLS: &[&str] =
    &["WAITAOF 1 0 0", "GET", "PING", "NOSUCH", "OBJECT", "CONFIG", "MGET", "RANDOMKEY", "COMMAND"];
const FORMS: &[&str] = &[
    "COMMAND GETKEYS",
    "COMMAND GETKEYSANDFLAGS",
    "COMMAND COUNT x",
    "COMMAND LIST FILTERBY",
    "COMMAND LIST FILTERBY ACLCAT",
    "COMMAND LIST FILTERBY NOSUCH x",
    "COMMAND LIST x",
    "COMMAND LIST FILTERBY PATTERN g* x",
    "COMMAND INFO nosuch get config|nosuch",
    "COMMAND DOCS nosuch",
    "COMMAND NOSUCH",
    "COMMAND HELP x",
];

#[test]
fn keys_are_found_as_redis_finds_them() {
    let (_server, mut ours) = connect(Spec::bulkhead().unwrap());
    let ((_redis, mut redis), (_valkey, mut valkey)) = (redis(), valkey());
    let mut check = |line: &str, peer: &mut Client| {
        assert_eq!(ours.line(line).unwrap(), peer.line(line).unwrap(), "{line}");
    };
    for command in ["COMMAND GETKEYS", "COMMAND GETKEYSANDFLAGS"] {
        CALLS.iter().for_each(|call| check(&format!("{command} {call}"), &mut redis));
        SHORT_CALLS.iter().for_each(|call| check(&format!("{command} {call}"), &mut valkey));
    }
    FORMS.iter().for_each(|form| check(form, &mut redis));
}
