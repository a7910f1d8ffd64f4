//! Clients that wait for many keys: as many as the bound allows are waited for, and one more is refused.

use base::limits::{KEY_BYTES_MAX, WAITED_BYTES_MAX, WAITED_KEYS_MAX};
use testkit::{Client, wait};

use super::harness::{PATIENCE, TestNode, check, field, shown, text};

const TOO_MANY: &str = "-ERR at most 1024 keys can be waited for";
const TOO_LONG: &str = "-ERR a command that may wait has at most 262144 bytes of arguments";

/// A kind of value: how the names of its keys begin, what adds something to the first, and what shows that nothing
/// was taken from it.
struct Filling {
    prefix: &'static str,
    fill: &'static str,
    look: &'static str,
    untouched: &'static str,
}

const LIST: Filling =
    Filling { prefix: "l", fill: "RPUSH l:1 x", look: "LRANGE l:1 0 -1", untouched: "[\"x\"]" };
const SORTED_SET: Filling =
    Filling { prefix: "z", fill: "ZADD z:1 1 x", look: "ZRANGE z:1 0 -1", untouched: "[\"x\"]" };
/// A group has no consumers as long as nobody has read for one.
const STREAM: Filling =
    Filling { prefix: "s", fill: "XADD s:1 5-1 f v", look: "XINFO CONSUMERS s:1 g", untouched: "[]" };

/// Each command that may wait for several keys, which `KEYS` stands for, and their number where it says `COUNT`; and
/// what it gets once the first of them is filled.
const COMMANDS: &[(&str, &Filling, &str)] = &[
    ("BLPOP KEYS 0", &LIST, "[\"l:1\", \"x\"]"),
    ("BRPOP KEYS 0", &LIST, "[\"l:1\", \"x\"]"),
    ("BLMPOP 0 COUNT KEYS LEFT", &LIST, "[\"l:1\", [\"x\"]]"),
    ("BZPOPMIN KEYS 0", &SORTED_SET, "[\"z:1\", \"x\", \"1\"]"),
    ("BZPOPMAX KEYS 0", &SORTED_SET, "[\"z:1\", \"x\", \"1\"]"),
    ("BZMPOP 0 COUNT KEYS MIN", &SORTED_SET, "[\"z:1\", [[\"x\", \"1\"]]]"),
    ("XREAD BLOCK 0 STREAMS KEYS $", &STREAM, "[[\"s:1\", [[\"5-1\", [\"f\", \"v\"]]]]]"),
    ("XREADGROUP GROUP g c BLOCK 0 STREAMS KEYS >", &STREAM, "[[\"s:1\", [[\"5-1\", [\"f\", \"v\"]]]]]"),
];

/// A line with so many keys, and as many ids if it has one.
fn with_keys(line: &str, prefix: &str, count: usize) -> String {
    let keys = |of: &dyn Fn(usize) -> String| (1..=count).map(of).collect::<Vec<_>>().join(" ");
    let line = line.replace(" COUNT ", &format!(" {count} "));
    let line = line.replace("KEYS", &keys(&|at| format!("{prefix}:{at}")));
    let ids = |sign: &str| keys(&|_| sign.to_owned());
    match line.chars().last() {
        Some('$') => line.replace('$', &ids("$")),
        Some('>') => line.replace('>', &ids(">")),
        _ => line,
    }
}

/// A group in each of so many streams.
fn with_groups(client: &mut Client, count: usize) {
    let create = |at| testkit::client::words(&format!("XGROUP CREATE s:{at} g $ MKSTREAM"));
    let created = client.pipeline(&(1..=count).map(create).collect::<Vec<_>>()).unwrap();
    assert!(created.iter().all(|reply| !reply.is_error()));
}

fn until_blocked(client: &mut Client, count: &str) {
    wait::until("blocked clients", PATIENCE, || {
        (field(&text(client, "INFO clients"), "blocked_clients") == count).then_some(())
    })
    .unwrap();
}

#[test]
fn one_key_more_than_can_be_waited_for_is_refused_and_nothing_has_happened() {
    let node = TestNode::start();
    let mut client = node.client();
    with_groups(&mut client, 1);
    for (line, filling, _) in COMMANDS {
        client.want(filling.fill).unwrap();
        check(&mut client, &with_keys(line, filling.prefix, WAITED_KEYS_MAX + 1), TOO_MANY);
        check(&mut client, filling.look, filling.untouched);
        client.want("FLUSHALL").unwrap();
        with_groups(&mut client, 1);
    }
    until_blocked(&mut client, "0");
    assert_eq!(node.node.groups[0].store.waiting(), 0);
}

#[test]
fn as_many_keys_as_can_be_waited_for_are() {
    for (line, filling, expected) in COMMANDS {
        let node = TestNode::start();
        let (mut client, mut waits) = (node.client(), node.client());
        with_groups(&mut client, WAITED_KEYS_MAX);
        waits.queue(&testkit::client::words(&with_keys(line, filling.prefix, WAITED_KEYS_MAX)));
        waits.flush().unwrap();
        until_blocked(&mut client, "1");
        client.want(filling.fill).unwrap();
        let got = waits.receive().unwrap();
        assert_eq!(shown(&got), *expected, "{line}");
        assert_eq!(node.node.groups[0].store.waiting(), 0, "{line}");
    }
}

#[test]
fn who_has_waited_for_many_keys_leaves_nothing_behind() {
    let node = TestNode::start();
    let (mut client, mut waits) = (node.client(), node.client());
    let line = with_keys("BLPOP KEYS 0.01", "l", WAITED_KEYS_MAX);
    check(&mut waits, &line, "(null array)");
    waits.queue(&testkit::client::words(&with_keys("BLPOP KEYS 0", "l", WAITED_KEYS_MAX)));
    waits.flush().unwrap();
    until_blocked(&mut client, "1");
    drop(waits);
    until_blocked(&mut client, "0");
    assert_eq!(node.node.groups[0].store.waiting(), 0);
    check(&mut client, "RPUSH l:1 x", ":1");
    check(&mut client, "LRANGE l:1 0 -1", "[\"x\"]");
}

#[test]
fn where_nothing_waits_there_may_be_more_keys() {
    let node = TestNode::start();
    let mut client = node.client();
    let count = WAITED_KEYS_MAX + 1;
    with_groups(&mut client, count);
    for (line, filling, _) in COMMANDS {
        let line = with_keys(line, filling.prefix, count);
        check(&mut client, "MULTI", "+OK");
        check(&mut client, &line, "+QUEUED");
        check(&mut client, "EXEC", "[(null array)]");
        let quoted: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        let script = format!("return redis.call(unpack({{{}}}))", quoted.join(","));
        let reply = client.call(&["EVAL", &script, "0"]).unwrap();
        assert!(reply.is_null(), "{} in a script: {reply:?}", line.split(' ').next().unwrap_or_default());
        if line.contains(" BLOCK 0") {
            check(&mut client, &line.replace(" BLOCK 0", ""), "(null array)");
        }
    }
    // A consumer may be called like an option, or like what the streams stand behind.
    check(&mut client, &with_keys("XREADGROUP GROUP g block STREAMS KEYS >", "s", count), "(null array)");
    check(&mut client, &with_keys("XREADGROUP GROUP g streams BLOCK 0 STREAMS KEYS >", "s", count), TOO_MANY);
}

#[test]
fn what_is_kept_of_a_command_that_waits_is_bounded() {
    let node = TestNode::start();
    let mut client = node.client();
    let long = |of: char| of.to_string().repeat(KEY_BYTES_MAX);
    let keys = ['a', 'b', 'c', 'd', 'e'].map(long);
    let few = format!("BLPOP {} 0.01", keys[..4].join(" "));
    assert!(few.len() <= WAITED_BYTES_MAX);
    check(&mut client, &few, "(null array)");
    client.want(&format!("RPUSH {} x", keys[0])).unwrap();
    check(&mut client, &format!("BLPOP {} 0.01", keys.join(" ")), TOO_LONG);
    check(&mut client, &format!("LLEN {}", keys[0]), ":1");
    client.want("XGROUP CREATE s g $ MKSTREAM").unwrap();
    let consumer = "c".repeat(WAITED_BYTES_MAX);
    check(&mut client, &format!("XREADGROUP GROUP g {consumer} BLOCK 0 STREAMS s >"), TOO_LONG);
    check(&mut client, "XINFO CONSUMERS s g", "[]");
    check(&mut client, &format!("BLMOVE {} {} LEFT LEFT 0.01", keys[1], keys[2]), "(null array)");
}
