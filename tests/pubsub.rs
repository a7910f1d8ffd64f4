//! Pub/sub, seen from outside: who is told what and when, and what becomes of those who do not listen.

use std::time::{Duration, Instant};

use testkit::client::{Protocol, words};
use testkit::wait::until;
use testkit::{Client, Reply, Server, Spec};

use crate::sessions::{LIMIT, id, info, send, start, text, until_info};

fn bulks(words: &[&str]) -> Vec<Reply> {
    words.iter().map(Reply::bulk).collect()
}

/// A message as a client hears it in RESP2.
fn message(channel: &str, payload: &str) -> Reply {
    Reply::Array(bulks(&["message", channel, payload]))
}

fn pmessage(pattern: &str, channel: &str, payload: &str) -> Reply {
    Reply::Array(bulks(&["pmessage", pattern, channel, payload]))
}

fn as_push(reply: &Reply) -> Reply {
    Reply::Push(reply.items().unwrap().to_vec())
}

fn publish(client: &mut Client, channel: &str, payload: &str) -> i64 {
    client.call(&["PUBLISH", channel, payload]).unwrap().integer().unwrap()
}

/// A client that hears what the command says.
fn hearer(server: &Server, command: &str) -> Client {
    let mut client = server.client().unwrap();
    let names = words(command).len() - 1;
    send(&mut client, &[command]);
    for _ in 0..names {
        client.receive().unwrap();
    }
    client
}

#[test]
fn a_message_is_heard_by_channel_and_by_pattern_in_both_protocols() {
    let (server, mut me) = start();
    let mut two = hearer(&server, "SUBSCRIBE news other");
    send(&mut two, &["PSUBSCRIBE n*s"]);
    two.receive().unwrap();
    let mut three = server.client_with(Protocol::Resp3).unwrap();
    send(&mut three, &["SUBSCRIBE news", "PSUBSCRIBE n*"]);
    assert!(matches!(three.receive().unwrap(), Reply::Push(_)));
    three.receive().unwrap();
    assert_eq!(publish(&mut me, "news", "a"), 4);
    assert_eq!(publish(&mut me, "nothing", "b"), 1);
    assert_eq!(publish(&mut me, "silence", "c"), 0);
    let long = "x".repeat(100_000);
    assert_eq!(publish(&mut me, "news", &long), 4);
    for payload in ["a", &long] {
        assert_eq!(two.receive().unwrap(), message("news", payload));
        assert_eq!(two.receive().unwrap(), pmessage("n*s", "news", payload));
        assert_eq!(three.receive().unwrap(), as_push(&message("news", payload)));
        assert_eq!(three.receive().unwrap(), as_push(&pmessage("n*", "news", payload)));
        if payload == "a" {
            assert_eq!(three.receive().unwrap(), as_push(&pmessage("n*", "nothing", "b")));
        }
    }
    // In RESP3 it does what others do meanwhile.
    assert_eq!(three.want("SET k v").unwrap(), Reply::ok());
    assert_eq!(three.want("GET k").unwrap(), Reply::bulk("v"));
    assert_eq!(three.want("HELLO 2").unwrap().items().map(<[Reply]>::len), Some(14));
    assert!(three.line("GET k").unwrap().is_error());
    publish(&mut me, "news", "d");
    assert_eq!(three.receive().unwrap(), message("news", "d"));
}

#[test]
fn whoever_has_seen_the_reply_finds_the_message_told() {
    let (server, mut me) = start();
    let mut others: Vec<_> = (0..4).map(|_| hearer(&server, "SUBSCRIBE c")).collect();
    for round in 0..200 {
        me.want(&format!("SET k {round}")).unwrap();
        assert_eq!(publish(&mut me, "c", &round.to_string()), 4);
        for other in &mut others {
            send(other, &["PING"]);
            assert_eq!(other.receive().unwrap(), message("c", &round.to_string()));
            assert_eq!(other.receive().unwrap(), Reply::Array(bulks(&["pong", ""])));
        }
    }
}

#[test]
fn a_message_is_not_heard_before_what_its_client_wrote_can_be_read() {
    let (server, mut me) = start();
    let mut other = hearer(&server, "SUBSCRIBE c");
    let mut reader = server.client().unwrap();
    for round in 0..200 {
        let line = format!("PUBLISH c {round}");
        send(&mut me, &[&format!("SET k {round}"), &line, &line, &format!("SET k {round}-later")]);
        for _ in 0..2 {
            assert_eq!(other.receive().unwrap(), message("c", &round.to_string()));
            let seen = text(&reader.want("GET k").unwrap());
            assert!(seen.starts_with(&round.to_string()), "{seen} in round {round}");
        }
        for _ in 0..4 {
            assert!(!me.receive().unwrap().is_error());
        }
    }
}

#[test]
fn a_transaction_tells_when_it_is_committed_and_a_dropped_one_never() {
    let (server, mut me) = start();
    let mut other = hearer(&server, "SUBSCRIBE c");
    let run = |me: &mut Client, lines: &[&str]| {
        send(me, lines);
        lines.iter().map(|_| me.receive().unwrap()).last().unwrap()
    };
    run(&mut me, &["MULTI", "PUBLISH c given-up", "DISCARD"]);
    let spoiled = run(&mut me, &["MULTI", "PUBLISH c spoiled", "GET", "EXEC"]);
    assert!(spoiled.is_error());
    let mut rival = server.client().unwrap();
    me.want("WATCH k").unwrap();
    rival.want("SET k 1").unwrap();
    assert!(run(&mut me, &["MULTI", "PUBLISH c broken", "EXEC"]).is_null());
    let done = run(
        &mut me,
        &["MULTI", "SET k 2", "PUBLISH c a", "INCR k", "PUBLISH nobody x", "PUBLISH c b", "EXEC"],
    );
    let expected = [Reply::ok(), Reply::Integer(1), Reply::Integer(3), Reply::Integer(0), Reply::Integer(1)];
    assert_eq!(done, Reply::Array(expected.to_vec()));
    // One that outgrows its lane on the way, and one that fails in the middle.
    run(&mut me, &["MULTI", "PUBLISH c c", "KEYS *", "PUBLISH c d", "EXEC"]);
    run(&mut me, &["MULTI", "PUBLISH c e", "LPUSH k x", "PUBLISH c f", "EXEC"]);
    for payload in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(other.receive().unwrap(), message("c", payload));
    }
}

#[test]
fn scripts_publish_once_however_often_they_run() {
    let (server, mut me) = start();
    let mut other = hearer(&server, "SUBSCRIBE c");
    let mut eval = |code: &str| me.call(&["EVAL", code, "0"]).unwrap();
    assert_eq!(eval("return redis.call('PUBLISH', 'c', 'a')"), Reply::Integer(1));
    // It outgrows the budget of a network thread after it has published.
    let long = "redis.call('PUBLISH', 'c', 'b') for i = 1, 100000 do local x = i end return redis.call('SET', 'k', 1)";
    assert_eq!(eval(long), Reply::ok());
    // What a script has done before it fails stays, as in Redis.
    assert!(eval("redis.call('PUBLISH', 'c', 'c') error('no')").is_error());
    assert!(eval("return redis.pcall('PUBLISH', 'c')").is_error());
    let library =
        "#!lua name=lib\nredis.register_function('f', function() return redis.call('PUBLISH', 'c', 'd') end)";
    me.call(&["FUNCTION", "LOAD", library]).unwrap();
    assert_eq!(me.want("FCALL f 0").unwrap(), Reply::Integer(1));
    for code in ["return redis.call('PUBLISH', 'c', 'x')", "return redis.call('SPUBLISH', 'c', 'x')"] {
        let refused = me.call(&["EVAL_RO", code, "0"]).unwrap();
        assert!(matches!(&refused, Reply::Error(line) if line.contains("read-only scripts")), "{refused:?}");
    }
    let refused = me.call(&["EVAL", "return redis.call('SUBSCRIBE', 'c')", "0"]).unwrap();
    assert!(
        matches!(&refused, Reply::Error(line) if line.contains("not allowed from script")),
        "{refused:?}"
    );
    for payload in ["a", "b", "c", "d"] {
        assert_eq!(other.receive().unwrap(), message("c", payload));
    }
    assert_eq!(publish(&mut me, "c", "end"), 1);
    assert_eq!(other.receive().unwrap(), message("c", "end"));
}

#[test]
fn nothing_is_left_of_those_who_are_gone() {
    let (server, mut me) = start();
    let mut others: Vec<_> = (0..20).map(|_| hearer(&server, "SUBSCRIBE a b")).collect();
    for other in &mut others {
        send(other, &["PSUBSCRIBE *", "SSUBSCRIBE s"]);
        other.receive().unwrap();
        other.receive().unwrap();
    }
    let counted = |me: &mut Client| {
        ["pubsub_channels", "pubsub_patterns", "pubsubshard_channels", "pubsub_clients"]
            .map(|name| info(me, name))
    };
    assert_eq!(counted(&mut me), ["2", "1", "1", "20"]);
    assert_eq!(publish(&mut me, "a", "x"), 40);
    let list = text(&me.want("CLIENT LIST TYPE pubsub").unwrap());
    assert_eq!(
        list.lines()
            .filter(|line| line.contains(" flags=P ") && line.contains(" sub=2 psub=1 ssub=1 "))
            .count(),
        20
    );
    assert_eq!(me.want("CLIENT KILL TYPE pubsub").unwrap(), Reply::Integer(20));
    until_info(&mut me, "pubsub_clients", "0");
    assert_eq!(counted(&mut me), ["0", "0", "0", "0"]);
    assert_eq!(publish(&mut me, "a", "x"), 0);
    let mut hung_up = hearer(&server, "SUBSCRIBE a");
    let mut reset = hearer(&server, "SUBSCRIBE a");
    assert_eq!(reset.want("RESET").unwrap(), Reply::Simple("RESET".into()));
    assert_eq!(reset.want("ECHO x").unwrap(), Reply::bulk("x"));
    publish(&mut me, "a", "y");
    assert_eq!(hung_up.receive().unwrap(), message("a", "y"));
    drop(hung_up);
    until_info(&mut me, "pubsub_clients", "0");
    assert_eq!(info(&mut me, "pubsub_bytes_under_way"), "0");
}

#[test]
fn a_thousand_hear_the_same() {
    const CLIENTS: usize = 1_000;
    const MESSAGES: usize = 20;
    let (server, mut me) = start();
    let mut others: Vec<_> = (0..CLIENTS).map(|_| hearer(&server, "SUBSCRIBE c")).collect();
    for at in 0..MESSAGES {
        assert_eq!(publish(&mut me, "c", &at.to_string()), CLIENTS as i64);
    }
    for other in &mut others {
        for at in 0..MESSAGES {
            assert_eq!(other.receive().unwrap(), message("c", &at.to_string()));
        }
    }
}

#[test]
fn a_hearer_that_does_not_read_is_cut_off_and_others_do_not_notice() {
    let (server, mut me) = start();
    me.want("CONFIG SET client-output-buffer-limit pubsub").unwrap_err();
    me.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 4mb 0 0"]).unwrap();
    let (mut lazy, mut eager) = (hearer(&server, "SUBSCRIBE c"), hearer(&server, "SUBSCRIBE c"));
    // Those two are of other threads, perhaps: what is measured is the publisher.
    let payload = "x".repeat(50_000);
    let (mut sent, mut slowest) = (0, Duration::ZERO);
    while publish(&mut me, "nobody", "") == 0
        && info(&mut me, "client_output_buffer_limit_disconnections") == "0"
    {
        for _ in 0..20 {
            let began = Instant::now();
            publish(&mut me, "c", &payload);
            slowest = slowest.max(began.elapsed());
            assert_eq!(eager.receive().unwrap(), message("c", &payload));
            sent += 1;
        }
        assert!(sent < 10_000, "nobody was cut off");
    }
    assert!(sent * payload.len() > 4 << 20, "4 MiB are kept for it: {sent}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    until_info(&mut me, "pubsub_clients", "1");
    // What the kernel has kept comes before the end.
    let ended = loop {
        if let Err(error) = lazy.receive() {
            break error;
        }
    };
    assert!(ended.to_string().contains("closed") || ended.to_string().contains("reset"), "{ended}");
    assert_eq!(publish(&mut me, "c", "end"), 1);
    assert_eq!(eager.receive().unwrap(), message("c", "end"));
}

#[test]
fn a_hearer_may_leave_much_unread_for_a_while_only() {
    let (server, mut me) = start();
    me.call(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 100kb 1"]).unwrap();
    let mut lazy = hearer(&server, "SUBSCRIBE c");
    let lazy_id = {
        let list = text(&me.want("CLIENT LIST TYPE pubsub").unwrap());
        list.split("id=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    let payload = "x".repeat(1 << 20);
    let unread = |me: &mut Client| {
        let line = text(&me.want(&format!("CLIENT LIST ID {lazy_id}")).unwrap());
        line.split(" omem=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok())
    };
    until("much to be unread", LIMIT, || {
        publish(&mut me, "c", &payload);
        unread(&mut me).is_some_and(|bytes| bytes > 1 << 20).then_some(())
    })
    .unwrap();
    // It reads before its time is over: nothing happens.
    while unread(&mut me).is_some_and(|bytes| bytes > 0) {
        lazy.receive().unwrap();
    }
    let began = Instant::now();
    until("its time to be over", LIMIT, || (began.elapsed() > Duration::from_millis(1500)).then_some(()))
        .unwrap();
    assert_eq!(publish(&mut me, "c", "still there"), 1);
    // What its socket still takes is not unread.
    until("it to be cut off", LIMIT, || {
        if unread(&mut me).is_some_and(|bytes| bytes <= 1 << 20) {
            publish(&mut me, "c", &payload);
        }
        (info(&mut me, "pubsub_clients") == "0").then_some(())
    })
    .unwrap();
    assert_eq!(info(&mut me, "client_output_buffer_limit_disconnections"), "1");
}

#[test]
fn rules_say_which_channels_are_heard_and_closed_is_who_may_no_longer() {
    let (server, mut me) = start();
    me.want("ACL SETUSER u on >pw +@all ~* resetchannels &news:* &old").unwrap();
    let mut other = server.client().unwrap();
    other.want("AUTH u pw").unwrap();
    let refused = Reply::Error("NOPERM No permissions to access a channel".into());
    for line in [
        "SUBSCRIBE x",
        "SUBSCRIBE news:1 x",
        "PSUBSCRIBE news:1*",
        "PUBLISH x y",
        "SSUBSCRIBE x",
        "SPUBLISH x y",
    ] {
        assert_eq!(other.line(line).unwrap(), refused, "{line}");
    }
    for (line, is_allowed) in
        [("SUBSCRIBE news:1", true), ("SUBSCRIBE x", false), ("PSUBSCRIBE news:*", true)]
    {
        let said = me.want(&format!("ACL DRYRUN u {line}")).unwrap();
        assert_eq!(said == Reply::ok(), is_allowed, "{line}");
    }
    send(&mut other, &["PSUBSCRIBE news:*", "SUBSCRIBE old", "UNSUBSCRIBE x"]);
    (0..3).for_each(|_| drop(other.receive().unwrap()));
    let mut wide = server.client().unwrap();
    wide.want("AUTH u pw").unwrap();
    send(&mut wide, &["SUBSCRIBE news:1"]);
    wide.receive().unwrap();
    // More rights close nobody, and less close those who use them.
    me.want("ACL SETUSER u &more").unwrap();
    assert_eq!(publish(&mut me, "old", "a"), 1);
    assert_eq!(other.receive().unwrap(), message("old", "a"));
    me.want("ACL SETUSER u resetchannels &news:*").unwrap();
    until_info(&mut me, "pubsub_clients", "1");
    assert!(other.receive().is_err());
    assert_eq!(publish(&mut me, "news:1", "b"), 1);
    assert_eq!(wide.receive().unwrap(), message("news:1", "b"));
    // Whoever changes his own rules is answered first.
    let mut own = server.client_with(Protocol::Resp3).unwrap();
    own.want("AUTH u pw").unwrap();
    send(&mut own, &["SUBSCRIBE news:1", "ACL SETUSER u resetchannels"]);
    assert!(matches!(own.receive().unwrap(), Reply::Push(_)));
    assert_eq!(own.receive().unwrap(), Reply::ok());
    assert!(own.receive().is_err());
    until_info(&mut me, "pubsub_clients", "0");
}

#[test]
fn shards_channels_belong_to_slots() {
    let server = Spec::bulkhead().unwrap().arg("--groups").arg("4").start().unwrap();
    let mut me = server.client().unwrap();
    let mut other = hearer(&server, "SSUBSCRIBE {a}1 {a}2");
    let cross = Reply::Error("CROSSSLOT Keys in request don't hash to the same slot".into());
    assert_eq!(me.line("SSUBSCRIBE a b").unwrap(), cross);
    assert_eq!(me.line("SUNSUBSCRIBE a b").unwrap(), cross);
    assert_eq!(me.want("SPUBLISH {a}2 x").unwrap(), Reply::Integer(1));
    assert_eq!(other.receive().unwrap(), Reply::Array(bulks(&["smessage", "{a}2", "x"])));
    assert_eq!(publish(&mut me, "{a}2", "x"), 0, "it is another channel");
    send(
        &mut me,
        &["MULTI", "SET {a}k 1", "SPUBLISH {a}1 y", "EXEC", "MULTI", "SET b 1", "SPUBLISH {a}1 z", "EXEC"],
    );
    let replies: Vec<_> = (0..8).map(|_| me.receive().unwrap()).collect();
    assert_eq!(replies[3], Reply::Array(vec![Reply::ok(), Reply::Integer(1)]));
    assert!(replies[7].is_error(), "{replies:?}");
    assert_eq!(other.receive().unwrap(), Reply::Array(bulks(&["smessage", "{a}1", "y"])));
    // What a client wrote in any group can be read when its message is heard.
    let mut plain = hearer(&server, "SUBSCRIBE c");
    let mut reader = server.client().unwrap();
    for round in 0..50 {
        for key in ["a", "b", "c", "d", "e", "f"] {
            me.queue(&["SET", key, &round.to_string()]);
        }
        me.queue(&["PUBLISH", "c", &round.to_string()]);
        me.flush().unwrap();
        assert_eq!(plain.receive().unwrap(), message("c", &round.to_string()));
        for key in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(reader.want(&format!("GET {key}")).unwrap(), Reply::bulk(round.to_string()));
        }
        (0..7).for_each(|_| assert!(!me.receive().unwrap().is_error()));
    }
}

#[test]
fn whoever_publishes_is_answered_while_nobody_reads_a_long_reply_is_whole() {
    let (server, mut me) = start();
    let many = (0..20_000).map(|n| format!("element-{n:06}")).collect::<Vec<_>>();
    for part in many.chunks(1_000) {
        me.want(&format!("RPUSH list {}", part.join(" "))).unwrap();
    }
    let mut other = server.client_with(Protocol::Resp3).unwrap();
    send(&mut other, &["SUBSCRIBE c", "LRANGE list 0 -1"]);
    assert!(matches!(other.receive().unwrap(), Reply::Push(_)));
    let mut heard = 0;
    let whole = loop {
        publish(&mut me, "c", "x");
        match other.receive().unwrap() {
            Reply::Push(_) => heard += 1,
            reply => break reply,
        }
    };
    assert_eq!(whole.items().unwrap().len(), many.len());
    assert!(heard < 1_000_000);
}

#[test]
fn a_hearer_is_not_disconnected_because_it_says_nothing() {
    let (server, mut me) = start();
    let mut other = hearer(&server, "SUBSCRIBE c");
    let mut idle = server.client().unwrap();
    id(&mut idle);
    me.want("CONFIG SET timeout 1").unwrap();
    until("the idle one to be closed", LIMIT, || (info(&mut me, "connected_clients") == "2").then_some(()))
        .unwrap();
    assert_eq!(publish(&mut me, "c", "x"), 1);
    assert_eq!(other.receive().unwrap(), message("c", "x"));
}
