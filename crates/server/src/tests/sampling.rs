//! Which keys are hot and which are large, as operators see it.

use serde_json::Value;
use testkit::{Client, Reply, wait};

use super::harness::{PATIENCE, TestNode, check, text};
use crate::sampling::HotKey;

/// Enough commands that one of them is looked at, however many are left out by chance.
const MANY: usize = 40 * base::limits::SAMPLED_EVERY as usize;

fn repeat(client: &mut Client, line: &str) {
    let commands = vec![testkit::client::words(line); MANY];
    let replies = client.pipeline(&commands).unwrap();
    assert!(!replies.iter().any(Reply::is_error), "{line}");
}

/// The name, reads and writes of what is hot, the hottest first.
fn hot(node: &TestNode) -> Vec<(String, bool, bool)> {
    let name = |hot: &HotKey| String::from_utf8_lossy(&hot.key).into_owned();
    node.node
        .sampling
        .hot()
        .iter()
        .map(|hot| (name(hot), hot.reads_per_s > 0.0, hot.writes_per_s > 0.0))
        .collect()
}

fn big(node: &TestNode) -> Vec<(String, u64)> {
    let all = node.node.sampling.big();
    all.into_iter().map(|big| (String::from_utf8_lossy(&big.key).into_owned(), big.size.records)).collect()
}

/// Waits until so much is known to be large.
#[track_caller]
fn until_big(node: &TestNode, expected: &[(&str, u64)]) {
    let expected: Vec<_> = expected.iter().map(|(key, records)| ((*key).to_owned(), *records)).collect();
    let same = || (big(node) == expected).then_some(());
    wait::until("large keys", PATIENCE, same).unwrap_or_else(|_| panic!("{:?}, not {expected:?}", big(node)));
}

/// A command with so many arguments behind its first ones.
fn with_many(client: &mut Client, line: &str, count: usize, mut argument: impl FnMut(usize) -> String) {
    let mut command = testkit::client::words(line);
    command.extend((0..count).map(|n| argument(n).into_bytes()));
    let reply = client.call(&command).unwrap();
    assert!(!reply.is_error(), "{line}: {reply:?}");
}

#[test]
fn hot_keys_are_found_wherever_they_are_used() {
    let node = TestNode::start();
    let mut client = node.client();
    repeat(&mut client, "GET read");
    assert_eq!(hot(&node), [("read".to_owned(), true, false)]);
    repeat(&mut client, "SET written 1");
    assert!(hot(&node).contains(&("written".to_owned(), false, true)));
    repeat(&mut client, "INCR written");
    assert_eq!(hot(&node)[0].0, "written");
    // A script has keys, and what it calls uses them.
    repeat(&mut client, "EVAL return(redis.call('GET',KEYS[1])) 1 of-a-script");
    assert!(hot(&node).contains(&("of-a-script".to_owned(), true, false)));
    repeat(&mut client, "PING");
    assert_eq!(hot(&node).len(), 3);
    let share: f64 = node.node.sampling.hot().iter().map(|hot| hot.share).sum();
    assert!((share - 1.0).abs() < 1e-9, "{share}");
}

#[test]
fn a_command_with_many_keys_counts_for_all_of_them() {
    let node = TestNode::start();
    let mut client = node.client();
    repeat(&mut client, "MGET one two three four");
    let mut names: Vec<_> = hot(&node).into_iter().map(|(name, ..)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["four", "one", "three", "two"]);
}

#[test]
fn large_keys_are_found_and_forgotten() {
    let node = TestNode::start();
    let mut client = node.client();
    with_many(&mut client, "RPUSH list", 1_000, |n| format!("{n:0100}"));
    until_big(&node, &[("list", 1_000)]);
    with_many(&mut client, "SADD set", 2_000, |n| format!("member:{n}"));
    with_many(&mut client, "HSET hash", 1_400, |n| n.to_string());
    with_many(&mut client, "ZADD zset", 1_200, |n| n.to_string());
    check(&mut client, "SETRANGE string 8388607 x", ":8388608");
    until_big(&node, &[("set", 2_000), ("list", 1_000), ("hash", 700), ("zset", 600), ("string", 512)]);
    check(&mut client, "LTRIM list 0 99", "+OK");
    check(&mut client, "DEL set", ":1");
    check(&mut client, "SET hash small", "+OK");
    check(&mut client, "PEXPIRE zset 0", ":1");
    until_big(&node, &[("string", 512), ("list", 100)]);
    check(&mut client, "FLUSHALL", "+OK");
    until_big(&node, &[]);
}

#[test]
fn a_large_key_is_known_when_its_writer_is_answered() {
    let node = TestNode::start();
    let mut client = node.client();
    // Long enough under way that the large keys are looked at again meanwhile.
    for (set, count) in [("one", 20_000), ("other", 30_000)] {
        with_many(&mut client, &format!("SADD {set}"), count, |n| n.to_string());
        assert!(big(&node).contains(&(set.to_owned(), count as u64)), "{:?}", big(&node));
    }
}

#[test]
fn what_grows_bit_by_bit_is_found_as_well() {
    let node = TestNode::start();
    let mut client = node.client();
    let found = || {
        repeat(&mut client, "XADD stream * field value");
        repeat(&mut client, "LPUSH list item");
        let names: Vec<_> = big(&node).into_iter().map(|(key, _)| key).collect();
        (names.contains(&"stream".to_owned()) && names.contains(&"list".to_owned())).then_some(())
    };
    wait::until("large keys", PATIENCE, found).unwrap();
}

fn status(node: &TestNode) -> Value {
    let page = node.page("/status.json");
    serde_json::from_str::<Value>(page.split_once("\r\n\r\n").unwrap().1).unwrap()["sampled"].clone()
}

#[test]
fn operators_are_shown_the_names_of_keys_unless_they_do_not_want_that() {
    let node = TestNode::with(|config| config.http = Some(([127, 0, 0, 1], 0).into()));
    let mut client = node.client();
    repeat(&mut client, "SET the-hot-\u{1}-key 1");
    with_many(&mut client, "RPUSH the-large-key", 1_000, |n| format!("{n:0100}"));
    let info = text(&mut client, "INFO keys");
    let has = |name: &str, end: &str| {
        info.lines().any(|line| line.starts_with(name) && line.trim_end().ends_with(end))
    };
    assert!(has("hot0:db=0,reads_per_sec=0.0,writes_per_sec=", ",key=\"the-hot-\\x01-key\""), "{info}");
    assert!(has("big0:db=0,type=list,elements=1000,seen_sec=", ",key=\"the-large-key\""), "{info}");
    let sampled = status(&node);
    assert_eq!(sampled["hot"][0]["key"], "\"the-hot-\\x01-key\"");
    assert_eq!(sampled["big"][0]["key"], "\"the-large-key\"");
    assert_eq!(sampled["big"][0]["elements"], 1_000);
    // Labels are few, and whoever asks for all counters asks for no names.
    assert!(!node.page("/metrics").contains("the-hot"));
    for sections in ["INFO", "INFO all"] {
        assert!(!text(&mut client, sections).contains("the-hot"), "{sections}");
    }
    check(&mut client, "CONFIG SET sample-keys maybe", "-ERR…argument must be 'yes' or 'no'");
    check(&mut client, "CONFIG SET sample-keys no", "+OK");
    repeat(&mut client, "SET the-hot-key 1");
    assert_eq!(status(&node), serde_json::json!({ "is_on": false, "hot": [], "big": [] }));
    assert_eq!(text(&mut client, "INFO keys"), "# Keys\r\nkeys_sampled:no\r\n");
}

#[test]
fn long_keys_are_shown_in_part() {
    let node = TestNode::start();
    let mut client = node.client();
    repeat(&mut client, &format!("GET {}", "k".repeat(60_000)));
    let info = text(&mut client, "INFO keys");
    assert!(
        info.trim_end().ends_with(&format!("key=\"{}\"... (59936 more bytes)", "k".repeat(64))),
        "{info}"
    );
}
