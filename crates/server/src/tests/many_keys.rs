//! Commands that name more keys than a network thread looks at: who may touch them, and in which group they are, is found
//! out in the heavy pool, and told as if it were not.

use base::limits;
use testkit::{Client, Reply};

use super::harness::{TestNode, check};
use crate::net::route;

const MANY: usize = limits::KEYS_AT_ONCE_MAX + 1;

fn line(command: &str, keys: usize, last: &str) -> String {
    let mut words = vec![command.to_owned()];
    words.extend((1..keys).map(|at| format!("{{x}}{at}")));
    words.push(last.to_owned());
    words.join(" ")
}

/// Commands that were left to the heavy pool.
fn submitted(node: &TestNode) -> u64 {
    node.node.heavy.stats.total().submitted
}

fn user_of(node: &TestNode) -> Client {
    let mut admin = node.client();
    check(&mut admin, "ACL SETUSER sam on nopass +@all -unlink ~{x}* &news.*", "+OK");
    let mut client = node.client();
    check(&mut client, "AUTH sam x", "+OK");
    client
}

#[test]
fn whose_keys_are_many_is_refused_one_that_he_may_not_touch() {
    let node = TestNode::start();
    let mut client = user_of(&node);
    let before = submitted(&node);
    check(&mut client, &line("DEL", MANY, "{x}y"), ":0");
    check(&mut client, &line("DEL", MANY, "y"), "-NOPERM No permissions to access a key");
    let long = "y".repeat(limits::KEYS_BYTES_AT_ONCE_MAX + 1);
    check(&mut client, &format!("GET {long}"), "-NOPERM No permissions to access a key");
    check(&mut client, &format!("GET {{x}}{long}"), "-ERR a key has at most 65000 bytes");
    check(&mut client, &format!("PUBLISH {long} m"), "-NOPERM No permissions to access a channel");
    // What he may not call at all is refused at once.
    check(
        &mut client,
        &line("UNLINK", MANY, "{x}y"),
        "-NOPERM User sam has no permissions to run the 'unlink' command",
    );
    check(&mut client, "EXISTS {x}1", ":0");
    assert_eq!(submitted(&node) - before, 5, "they were looked at there");

    let mut admin = node.client();
    let log = admin.call(&["ACL", "LOG"]).unwrap();
    let entries: Vec<_> = log.items().unwrap().iter().map(|entry| format!("{entry:?}")).collect();
    assert_eq!(entries.len(), 4, "{entries:?}");
    let stats = admin.call(&["INFO", "commandstats"]).unwrap();
    let stats = String::from_utf8_lossy(stats.bytes().unwrap()).into_owned();
    let of_del = stats.lines().find(|line| line.starts_with("cmdstat_del:")).unwrap();
    assert!(of_del.contains("calls=1,") && of_del.contains("rejected_calls=1,"), "{of_del}");
}

#[test]
fn names_that_nobody_can_have_are_answered_alike_wherever_they_are_looked_at() {
    let node = TestNode::with(|config| config.groups = 4);
    let mut client = node.client();
    for len in [limits::CHANNEL_BYTES_MAX + 1, limits::KEYS_BYTES_AT_ONCE_MAX + 1] {
        let name = "y".repeat(len);
        check(&mut client, &format!("GET {name}"), "-ERR a key has at most 65000 bytes");
        for command in ["PUBLISH", "SPUBLISH"] {
            check(&mut client, &format!("{command} {name} m"), ":0");
        }
    }
}

#[test]
fn many_keys_are_of_one_slot_where_there_are_several_groups() {
    let node = TestNode::with(|config| config.groups = 4);
    let mut client = node.client();
    check(&mut client, "SET {x}y v", "+OK");
    check(&mut client, &line("DEL", MANY, "{x}y"), ":1");
    check(&mut client, &line("DEL", MANY, "y"), &format!("-{}", route::CROSSSLOT));
    check(&mut client, &line("UNLINK", MANY, "{y}"), &format!("-{}", route::CROSSSLOT));
    check(&mut client, &line("EXISTS", MANY, "{x}y"), ":0");
}

#[test]
fn in_a_transaction_they_are_looked_at_before_any_of_it_runs() {
    let node = TestNode::start();
    let mut client = user_of(&node);
    let before = submitted(&node);
    check(&mut client, "MULTI", "+OK");
    check(&mut client, "SET {x}1 v", "+QUEUED");
    check(&mut client, &line("DEL", MANY, "y"), "+QUEUED");
    check(
        &mut client,
        "EXEC",
        "-EXECABORT Transaction discarded because of: NOPERM No permissions to access a key",
    );
    assert_eq!(submitted(&node) - before, 1, "that was found out in the heavy pool");
    check(&mut client, "GET {x}1", "(null bulk)");
    check(
        &mut node.client(),
        "ACL LOG",
        "[[…\"reason\", \"key\", \"context\", \"multi\", \"object\", \"y\"…]]",
    );
    // What he may not call at all is refused at once.
    check(&mut client, "MULTI", "+OK");
    let not_unlink = "-NOPERM User sam has no permissions to run the 'unlink' command";
    check(&mut client, &line("UNLINK", MANY, "{x}y"), not_unlink);
    check(&mut client, "EXEC", "-EXECABORT Transaction discarded because of previous errors.");
    check(&mut client, "MULTI", "+OK");
    check(&mut client, "SET {x}1 v", "+QUEUED");
    check(&mut client, &line("DEL", MANY, "{x}y"), "+QUEUED");
    check(&mut client, "EXEC", "[+OK, :1]");
}

/// Queues more commands than a network thread looks at: the first and last as they are, numbers between.
fn queue_many(client: &mut Client, first: &str, last: &str) {
    check(client, "MULTI", "+OK");
    check(client, first, "+QUEUED");
    (0..limits::QUEUED_AT_ONCE_MAX - 1).for_each(|_| check(client, "INCR {x}n", "+QUEUED"));
    check(client, last, "+QUEUED");
}

/// What they are answered, as far as they are between.
fn numbers(from: usize) -> String {
    let numbers: Vec<_> = (from..from + limits::QUEUED_AT_ONCE_MAX - 1).map(|n| format!(":{n}")).collect();
    numbers.join(", ")
}

#[test]
fn many_commands_of_a_transaction_are_looked_at_in_the_heavy_pool() {
    let node = TestNode::with(|config| config.groups = 4);
    let mut client = user_of(&node);
    let before = submitted(&node);
    queue_many(&mut client, "SET {x}1 v", "PING");
    check(&mut client, "EXEC", &format!("[+OK, {}, +PONG]", numbers(1)));
    assert_eq!(submitted(&node) - before, 1);

    // One slot for all of them, and for what is watched.
    let mut client = node.client();
    queue_many(&mut client, "SET {x}1 w", "SET xy w");
    check(&mut client, "EXEC", &format!("-{}", route::CROSSSLOT));
    check(&mut client, "WATCH xy", "+OK");
    queue_many(&mut client, "SET {x}1 w", "GET {x}1");
    check(&mut client, "EXEC", &format!("-{}", route::CROSSSLOT));
    check(&mut client, "GET {x}1", "\"v\"");

    check(&mut client, "WATCH {x}1", "+OK");
    queue_many(&mut client, "SET {x}2 w", "GET {x}2");
    check(&mut node.client(), "SET {x}1 w", "+OK");
    check(&mut client, "EXEC", "(null array)");
    check(&mut client, "GET {x}2", "(null bulk)");
}

#[test]
fn a_transaction_with_commands_on_the_session_has_fewer() {
    let node = TestNode::start();
    let refused = "-ERR the transaction is too large: with commands on the connection or the server it has at most 2048";
    for is_first in [true, false] {
        let mut client = node.client();
        check(&mut client, "MULTI", "+OK");
        let queue = |client: &mut Client, count: usize| {
            (0..count).for_each(|_| client.queue(&["INCR", "n"]));
            client.flush().unwrap();
            assert!((0..count).all(|_| client.receive().unwrap() == Reply::Simple("QUEUED".into())));
        };
        if is_first {
            check(&mut client, "PING", "+QUEUED");
            queue(&mut client, limits::QUEUED_WITH_SESSION_MAX - 1);
            check(&mut client, "INCR n", refused);
        } else {
            queue(&mut client, limits::QUEUED_WITH_SESSION_MAX);
            check(&mut client, "PING", refused);
        }
        check(&mut client, "EXEC", "-EXECABORT Transaction discarded because of previous errors.");
        check(&mut client, "GET n", "(null bulk)");
    }
}

#[test]
fn whoever_lost_a_right_since_is_told_so_for_the_commands_that_need_it() {
    let node = TestNode::start();
    let mut client = user_of(&node);
    queue_many(&mut client, "SET {x}1 v", "APPEND {x}1 w");
    check(&mut node.client(), "ACL SETUSER sam -append", "+OK");
    check(&mut client, "EXEC", &format!("[+OK, {}, -NOPERM ACLs rules changed…]", numbers(1)));
    check(&mut client, "GET {x}1", "\"v\"");
}

#[test]
fn what_counts_is_keys_and_channels_and_not_what_is_written_to_them() {
    let names_many = |words: &[&str]| {
        let owned = command::OwnedArgs::of(words.iter().map(|word| word.as_bytes()));
        let entry = crate::table::table().find(words[0].as_bytes()).unwrap();
        route::names_many(entry, &owned.as_args())
    };
    let long = "k".repeat(limits::KEYS_BYTES_AT_ONCE_MAX);
    let many = vec!["k"; MANY];
    assert!(!names_many(&["get", "k"]) && !names_many(&["get", &long]) && names_many(&["mget", "k", &long]));
    assert!(!names_many(&["set", "k", &long]) && !names_many(&["set", "k", &long.repeat(2)]));
    assert!(names_many(&[&["del"], &many[..]].concat()) && !names_many(&[&["del"], &many[1..]].concat()));
    assert!(!names_many(&[&["rpush"], &many[..]].concat()), "one key, many elements");
    assert!(names_many(&[&["mset"], &[&many[..], &many[..]].concat()[..]].concat()));
    assert!(!names_many(&["publish", &long, "m"]) && names_many(&["publish", &long.repeat(2), "m"]));
    assert!(!names_many(&["publish", "c", &long.repeat(2)]));
    assert!(!names_many(&["echo", &long.repeat(2)]), "it is on the session");
}
