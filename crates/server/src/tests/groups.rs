//! Several groups: each has a part of the slots, and all of them together are one database.

use std::collections::BTreeSet;

use testkit::{Client, Reply};

use super::harness::{TestNode, check};

const KEYS: usize = 500;

fn filled() -> (TestNode, Client) {
    let node = TestNode::with(|config| config.groups = 4);
    let mut client = node.client();
    let sets: Vec<_> = (0..KEYS).map(|key| testkit::client::words(&format!("SET key:{key} {key}"))).collect();
    assert!(client.pipeline(&sets).unwrap().iter().all(|reply| *reply == Reply::Simple("OK".into())));
    (node, client)
}

fn names(reply: &Reply) -> Vec<String> {
    let Reply::Array(names) = reply else { panic!("{reply:?}") };
    names.iter().map(|name| String::from_utf8(name.bytes().unwrap().to_vec()).unwrap()).collect()
}

#[test]
fn keys_of_one_command_are_in_one_slot() {
    const CROSSSLOT: &str = "-CROSSSLOT Keys in request don't hash to the same slot";
    let (node, mut client) = filled();
    // Not only in one group: so commands stay valid when slots move.
    let group = node.node.group_of(base::slot::of(b"key:0"));
    let mut others = (1..KEYS).map(|key| format!("key:{key}"));
    let same = others.find(|key| node.node.group_of(base::slot::of(key.as_bytes())) == group).unwrap();
    for line in [
        "MSET key:0 a key:1 b",
        "DEL key:0 key:1",
        "RENAME key:0 key:1",
        "COPY key:0 key:1",
        "EXISTS key:0 key:1",
    ] {
        check(&mut client, line, CROSSSLOT);
        check(&mut client, &line.replace("key:1", &same), CROSSSLOT);
    }
    for (line, expected) in [
        ("MSET {tag}a 1 {tag}b 2", "+OK"),
        ("MGET {tag}a {tag}b", "[\"1\", \"2\"]"),
        ("RENAME {tag}a {tag}c", "+OK"),
        ("EXISTS {tag}a {tag}b {tag}c", ":2"),
        ("GET key:0", "\"0\""),
    ] {
        check(&mut client, line, expected);
    }
}

#[test]
fn commands_on_all_keys_ask_all_groups() {
    let (_node, mut client) = filled();
    let all: BTreeSet<String> = (0..KEYS).map(|key| format!("key:{key}")).collect();
    check(&mut client, "DBSIZE", &format!(":{KEYS}"));
    let found = names(&client.want("KEYS *").unwrap());
    assert_eq!(found.len(), KEYS);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
    let key = client.want("RANDOMKEY").unwrap();
    assert!(all.contains(std::str::from_utf8(key.bytes().unwrap()).unwrap()));
    for count in [1, 7, 1_000] {
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let Reply::Array(page) = client.want(&format!("SCAN {cursor} COUNT {count}")).unwrap() else {
                panic!("not a page")
            };
            cursor = String::from_utf8(page[0].bytes().unwrap().to_vec()).unwrap();
            found.extend(names(&page[1]));
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(found.len(), KEYS, "each key once");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), all);
    }
    check(&mut client, "FLUSHALL", "+OK");
    check(&mut client, "DBSIZE", ":0");
    check(&mut client, "KEYS *", "[]");
    check(&mut client, "RANDOMKEY", "(null bulk)");
    check(&mut client, "SCAN 0 COUNT 1000", "[\"…\", []]");
}
