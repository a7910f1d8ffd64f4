//! Commands on many names: done in parts, between which others have their turns, and told as if they were not.

use base::limits;
use testkit::{Client, Reply, wait};

use super::harness::{PATIENCE, TestNode, check};

/// Several parts, and a bit.
const MANY: usize = limits::NAMES_IN_A_PART * 5 + 3;

fn line(command: &str, names: usize) -> String {
    let names: Vec<String> = (0..names).map(|at| format!("n{at}")).collect();
    format!("{command} {}", names.join(" "))
}

/// Sends lines in one piece.
fn send(client: &mut Client, lines: &[&str]) {
    lines.iter().for_each(|line| client.queue(&testkit::client::words(line)));
    client.flush().unwrap();
}

/// The next pushes are of these names, and count up or down to an end.
#[track_caller]
fn check_pushes(client: &mut Client, word: &str, count: impl Fn(usize) -> usize) {
    let mut names = std::collections::BTreeSet::new();
    for at in 0..MANY {
        let push = client.receive().unwrap();
        let [said, name, counted] = push.items().unwrap() else { panic!("{push:?}") };
        assert_eq!((said.bytes(), counted), (Some(word.as_bytes()), &Reply::Integer(count(at) as i64)));
        names.insert(name.bytes().unwrap().to_vec());
    }
    assert_eq!(names.len(), MANY);
}

#[test]
fn many_names_are_subscribed_to_and_told_one_after_the_other() {
    let node = TestNode::start();
    let (mut client, mut other) = (node.resp3(), node.client());
    send(&mut client, &[&line("SUBSCRIBE", MANY), "PING"]);
    check_pushes(&mut client, "subscribe", |at| at + 1);
    assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));
    check(&mut other, &format!("PUBLISH n{} x", MANY - 1), ":1");
    assert_eq!(client.receive().unwrap().items().unwrap().len(), 3);

    send(&mut client, &[&line("UNSUBSCRIBE", MANY), "PING"]);
    check_pushes(&mut client, "unsubscribe", |at| MANY - 1 - at);
    assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));

    send(&mut client, &[&line("PSUBSCRIBE", MANY), "PUNSUBSCRIBE", "PING"]);
    check_pushes(&mut client, "psubscribe", |at| at + 1);
    check_pushes(&mut client, "punsubscribe", |at| MANY - 1 - at);
    assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));
    check(&mut other, "PUBSUB NUMPAT", ":0");
}

#[test]
fn who_resets_or_leaves_hears_none_of_many_names_any_more() {
    let node = TestNode::start();
    let (mut client, mut other) = (node.client(), node.client());
    send(&mut client, &[&line("SUBSCRIBE", MANY), "RESET", "GET n0"]);
    check_pushes(&mut client, "subscribe", |at| at + 1);
    assert_eq!(client.receive().unwrap(), Reply::Simple("RESET".into()));
    assert_eq!(client.receive().unwrap(), Reply::NullBulk);
    check(&mut other, "PUBSUB CHANNELS", "[]");

    send(&mut client, &[&line("SUBSCRIBE", MANY)]);
    check_pushes(&mut client, "subscribe", |at| at + 1);
    drop(client);
    wait::until("nobody to hear anything", PATIENCE, || {
        (other.line("PUBSUB CHANNELS").unwrap().items().unwrap().is_empty()).then_some(())
    })
    .unwrap();
}

#[test]
fn whoever_wants_no_replies_is_told_of_many_names_and_answered_next() {
    let node = TestNode::start();
    let mut client = node.client();
    send(&mut client, &["CLIENT REPLY SKIP", &line("WATCH", MANY), "ECHO x"]);
    assert_eq!(client.receive().unwrap(), Reply::bulk("x"));
    send(&mut client, &["CLIENT REPLY SKIP", &line("SUBSCRIBE", MANY), "PING x"]);
    check_pushes(&mut client, "subscribe", |at| at + 1);
    assert_eq!(client.receive().unwrap().items().unwrap().len(), 2);
}

#[test]
fn many_names_within_a_transaction_are_told_behind_its_reply() {
    let node = TestNode::start();
    let mut client = node.resp3();
    send(&mut client, &["MULTI", &line("SUBSCRIBE", MANY), "EXEC"]);
    assert_eq!(client.receive().unwrap(), Reply::Simple("OK".into()));
    assert_eq!(client.receive().unwrap(), Reply::Simple("QUEUED".into()));
    // As in Redis, the first push stands for the command's reply.
    let Reply::Array(replies) = client.receive().unwrap() else { panic!("no reply to EXEC") };
    assert_eq!(replies.len(), 1);
    for _ in 1..MANY {
        assert!(matches!(client.receive().unwrap(), Reply::Push(_)));
    }
    check(&mut client, "PING", "+PONG");
}

#[test]
fn any_of_many_watched_keys_breaks_the_watch() {
    let node = TestNode::start();
    let (mut client, mut other) = (node.client(), node.client());
    for changed in [Some(0), Some(MANY / 2), Some(MANY - 1), None] {
        check(&mut client, &line("WATCH", MANY), "+OK");
        if let Some(at) = changed {
            check(&mut other, &format!("SET n{at} {at}"), "+OK");
            check(&mut other, &format!("SET n{at} again"), "+OK");
        }
        check(&mut client, "MULTI", "+OK");
        check(&mut client, "PING", "+QUEUED");
        check(&mut client, "EXEC", if changed.is_some() { "(null array)" } else { "[+PONG]" });
    }
    assert_eq!(node.node.groups[0].store.watching(), 0);
}

#[test]
fn what_is_watched_is_bounded() {
    let node = TestNode::start();
    let mut client = node.client();
    check(
        &mut client,
        &line("WATCH", limits::WATCHED_KEYS_MAX + 1),
        "-ERR at most 1024 keys can be watched…",
    );
    check(&mut client, &line("WATCH", limits::WATCHED_KEYS_MAX), "+OK");
    check(&mut client, "WATCH one-more", "-ERR at most 1024 keys can be watched…");
    check(&mut client, "UNWATCH", "+OK");
    let long = "x".repeat(limits::WATCHED_BYTES_MAX / 16 - 1_000);
    (0..16).for_each(|at| check(&mut client, &format!("WATCH {at}{long}"), "+OK"));
    check(&mut client, &format!("WATCH more{long}"), "-ERR at most 1024 keys can be watched…");
    check(&mut client, "UNWATCH", "+OK");
    assert_eq!(node.node.groups[0].store.watching(), 0);
}

/// What a network thread runs from its first to its last argument has not too many of them.
#[test]
fn arguments_on_the_session_are_bounded() {
    let node = TestNode::start();
    let mut client = node.client();
    for command in ["COMMAND INFO", "COMMAND DOCS", "CONFIG GET"] {
        let names = limits::SESSION_ARGS_MAX - command.split(' ').count();
        let fits = client.call(&testkit::client::words(&line(command, names))).unwrap();
        assert!(!fits.is_error(), "{command}: {fits:?}");
    }
    for command in ["COMMAND INFO", "COMMAND DOCS", "CONFIG GET"] {
        check(
            &mut client,
            &line(command, limits::SESSION_ARGS_MAX),
            "-ERR too many arguments for this command",
        );
    }
    check(&mut client, "PING", "+PONG");
}

#[test]
fn commands_on_the_session_are_bounded_within_a_transaction() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "MULTI", "+OK");
    (0..limits::SESSION_ARGS_MAX).for_each(|_| check(&mut client, "PING", "+QUEUED"));
    check(&mut client, "SET k v", "+QUEUED");
    check(&mut client, "PING", "-ERR the transaction is too large");
    check(&mut client, "EXEC", "-EXECABORT…");
    check(&mut client, "GET k", "(null bulk)");
}

/// More names than are looked at in one go, and one more.
fn looked_at_in_parts(command: &str, name: &str, last: &str) -> String {
    let names: Vec<String> = (0..limits::KEYS_AT_ONCE_MAX).map(|at| format!("{name}{at}")).collect();
    format!("{command} {} {last}", names.join(" "))
}

#[test]
fn none_of_many_names_is_heard_if_one_of_them_may_not_be() {
    let node = TestNode::start();
    let mut admin = node.client();
    let rules =
        "ACL SETUSER sam on nopass -@all +auth +ping +subscribe +psubscribe &a.* (+subscribe &a.* &b.* &c.*)";
    check(&mut admin, rules, "+OK");
    let mut client = node.resp3();
    check(&mut client, "AUTH sam x", "+OK");
    let denied = "-NOPERM No permissions to access a channel";
    // No selector allows all of them, though for each there is one that does.
    for (command, name, last) in [
        ("SUBSCRIBE", "a.", "d.1"),
        ("SUBSCRIBE", "d.", "a.1"),
        ("PSUBSCRIBE", "a.", "a.*"),
        ("PSUBSCRIBE", "b.", "b.*"),
    ] {
        check(&mut client, &looked_at_in_parts(command, name, last), denied);
        check(&mut client, "PING", "+PONG");
    }
    check(&mut admin, "PUBSUB CHANNELS", "[]");
    check(&mut admin, "PUBSUB NUMPAT", ":0");
    check(&mut admin, "ACL LOG 1", "[[…\"object\", \"b.0\"…]]");
    // The second one allows all.
    for last in ["a.x", "b.x"] {
        send(&mut client, &[&looked_at_in_parts("SUBSCRIBE", "a.", last), "PING"]);
        for _ in 0..=limits::KEYS_AT_ONCE_MAX {
            assert!(matches!(client.receive().unwrap(), Reply::Push(_)));
        }
        assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));
    }
    check(
        &mut admin,
        "PUBSUB NUMSUB a.0 a.1023 a.x b.x",
        "[\"a.0\", :1, \"a.1023\", :1, \"a.x\", :1, \"b.x\", :1]",
    );
}

#[test]
fn long_names_are_looked_at_a_few_at_a_time() {
    let node = TestNode::start();
    check(&mut node.client(), "ACL SETUSER sam on nopass +@all &a*", "+OK");
    let mut client = node.resp3();
    check(&mut client, "AUTH sam x", "+OK");
    let names: Vec<String> = (0..7).map(|at| format!("{}{at}", "a".repeat(60_000))).collect();
    let line = format!("SUBSCRIBE {}", names.join(" "));
    check(&mut client, &format!("{line} b"), "-NOPERM No permissions to access a channel");
    send(&mut client, &[&line, "PING"]);
    for name in &names {
        let push = client.receive().unwrap();
        assert_eq!(push.items().unwrap()[1].bytes(), Some(name.as_bytes()));
    }
    assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));
}

#[test]
fn many_names_of_shards_are_of_one_slot_and_else_nothing_is_done() {
    let node = TestNode::with(|config| config.groups = 4);
    let (mut client, mut other) = (node.resp3(), node.client());
    let crossed = "-CROSSSLOT Keys in request don't hash to the same slot";
    check(&mut client, &looked_at_in_parts("SSUBSCRIBE", "{x}", "y"), crossed);
    check(&mut other, "PUBSUB SHARDCHANNELS", "[]");
    let count = |client: &mut Client, word: &str| {
        send(client, &[&looked_at_in_parts(word, "{x}", "{x}y"), "PING"]);
        for _ in 0..=limits::KEYS_AT_ONCE_MAX {
            assert!(matches!(client.receive().unwrap(), Reply::Push(_)));
        }
        assert_eq!(client.receive().unwrap(), Reply::Simple("PONG".into()));
    };
    count(&mut client, "SSUBSCRIBE");
    check(&mut client, &looked_at_in_parts("SUNSUBSCRIBE", "{x}", "y"), crossed);
    check(&mut other, "PUBSUB SHARDNUMSUB {x}0 {x}y", "[\"{x}0\", :1, \"{x}y\", :1]");
    count(&mut client, "SUNSUBSCRIBE");
    check(&mut other, "PUBSUB SHARDCHANNELS", "[]");
}
