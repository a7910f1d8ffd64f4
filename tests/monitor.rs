//! MONITOR: what is told, to whom, and what becomes of those who do not listen.

use testkit::wait::until;
use testkit::{Client, Reply, Server};

use crate::sessions::{LIMIT, id, info, peers, send, start, text, until_info};

/// What a monitor is told up to a mark, without the times, and with one name for the client.
fn seen(monitor: &mut Client, caller: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let Reply::Simple(line) = monitor.receive().unwrap() else { panic!("not a line") };
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.split_once('.').is_some_and(|(s, us)| s.len() == 10 && us.len() == 6), "{line}");
        if rest.contains("\"end of it\"") {
            return lines;
        }
        lines.push(rest.replace(caller, "caller"));
    }
}

fn address(client: &mut Client) -> String {
    let line = text(&client.want("CLIENT INFO").unwrap());
    line.split("addr=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
}

/// What is said to be told.
const SCRIPT: &[&str] = &[
    "GET a",
    "seT a 1",
    "SELECT 3",
    "MULTI",
    "SET x 1",
    "SELECT 2",
    "lpush x 1",
    "KEYS nothing*",
    "CLIENT SETNAME me",
    "EXEC",
    "exec",
    "MULTI",
    "GET x y",
    "PING",
    "EXEC",
    "MULTI",
    "KEYS nothing*",
    "eXec",
    "BLPOP q 0.01",
    "LPUSH q a b",
    "BLPOP q 0",
    "KEYS *",
    "INCR x",
    "AUTH foo",
    "AUTH u p",
    "HELLO 2 AUTH a b",
    "HELLO 2 setname x",
    "CONFIG GET maxmemory",
    "CONFIG SET maxmemory-policy noeviction",
    "CLIENT LIST",
    "CLIENT ID",
    "client setname me",
    "nosuch x",
    "GET",
    "MULTI",
    "MONITOR",
    "EXEC",
    "DEBUG SLEEP 0",
    "SLOWLOG LEN",
    "ACL WHOAMI",
    "COMMAND COUNT",
    "INFO server",
    "WATCH a",
    "UNWATCH",
    "MULTI",
    "DISCARD",
    "ROLE",
    "CLIENT PAUSE 1",
    "WAIT 1 10",
    "FLUSHALL",
    "CLIENT UNPAUSE",
    "CLIENT REPLY ON",
    "LATENCY LATEST",
    "MEMORY USAGE a",
    "RESET",
    "PING",
];

/// Runs a script on each server, and compares what monitors are told.
#[test]
fn a_monitor_is_told_what_redis_tells() {
    let lines_of = |(server, mut client): (Server, Client)| {
        let mut monitor = server.client().unwrap();
        let caller = address(&mut client);
        assert_eq!(monitor.want("MONITOR").unwrap(), Reply::ok());
        for line in SCRIPT {
            client.line(line).unwrap();
        }
        client.call(&[&b"ECHO"[..], b"a \"\\\n\r\t\x07\x08\x01\x7f\xff", b"x"]).unwrap();
        client.call(&[&b"ECHO"[..], b"a \"\\\n\r\t\x07\x08\x01\x7f\xff"]).unwrap();
        client.call(&["ECHO", "end of it"]).unwrap();
        seen(&mut monitor, &caller)
    };
    let ours = lines_of(start());
    assert!(
        ours.len() > 40 && ours.iter().any(|line| line == "[2 caller] \"lpush\" \"x\" \"1\""),
        "{ours:?}"
    );
    for peer in peers() {
        assert_eq!(ours, lines_of(peer));
    }
}

#[test]
fn a_monitor_goes_on_with_its_own_commands_and_can_end_it() {
    let (server, mut me) = start();
    let mut monitor = server.client().unwrap();
    let caller = address(&mut monitor);
    me.want("CONFIG SET slowlog-log-slower-than -1").unwrap();
    let many = (0..20_000).map(|n| format!("element-{n:06}")).collect::<Vec<_>>();
    for part in many.chunks(1_000) {
        me.want(&format!("RPUSH list {}", part.join(" "))).unwrap();
    }
    monitor.want("MONITOR").unwrap();
    assert!(text(&me.want("CLIENT LIST").unwrap()).contains(" flags=O "));
    // A reply that others would be told page by page is whole: lines come before it or behind it.
    send(&mut monitor, &["MONITOR", "LRANGE list 0 -1"]);
    let mut others: Vec<Reply> = Vec::new();
    let reply = loop {
        me.want("PING").unwrap();
        match monitor.receive().unwrap() {
            line @ Reply::Simple(_) => others.push(line),
            reply => break reply,
        }
    };
    assert_eq!(reply.items().unwrap().len(), many.len());
    me.call(&["ECHO", "end of it"]).unwrap();
    let rest = seen(&mut monitor, &caller);
    assert!(rest.iter().chain([&format!("{others:?}")]).any(|line| line.contains("LRANGE")), "{rest:?}");
    assert_eq!(monitor.want("RESET").unwrap(), Reply::Simple("RESET".into()));
    until_info(&mut me, "monitoring_clients", "0");
    assert_eq!(monitor.want("PING").unwrap(), Reply::Simple("PONG".into()));
    monitor.want("MONITOR").unwrap();
    assert_eq!(info(&mut me, "monitoring_clients"), "1");
    send(&mut monitor, &["QUIT"]);
    until_info(&mut me, "monitoring_clients", "0");
}

#[test]
fn a_monitor_that_does_not_read_is_cut_off_and_others_do_not_notice() {
    let (server, mut me) = start();
    let (mut lazy, mut eager) = (server.client().unwrap(), server.client().unwrap());
    let (lazy_id, value) = (id(&mut lazy), "x".repeat(200_000));
    lazy.want("MONITOR").unwrap();
    eager.want("MONITOR").unwrap();
    let mut sent = 0;
    until("the lazy one to be cut off", LIMIT, || {
        for _ in 0..20 {
            me.want(&format!("ECHO {value}")).unwrap();
            let Reply::Simple(line) = eager.receive().unwrap() else { panic!("not a line") };
            assert!(line.contains("ECHO") && line.len() > value.len(), "{}", line.len());
            sent += 1;
        }
        let gone = text(&me.want(&format!("CLIENT LIST ID {lazy_id}")).unwrap()).is_empty();
        gone.then_some(())
    })
    .unwrap();
    assert_eq!(info(&mut me, "monitoring_clients_cut_off"), "1");
    assert!(sent > 100, "32 MiB are kept for it: {sent}");
}
