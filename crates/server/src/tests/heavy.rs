//! The heavy pool: what it is told, what it turns away, and what it does to others.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use command::{Class, OwnedArgs};
use resp::Protocol;
use store::{Cancel, Scratch};
use testkit::{Client, Reply, wait};

use super::harness::{PATIENCE, TestNode, check, field, text, words};
use crate::admission::PeerName;
use crate::engine::heavy::schedule::{Load, Shares};
use crate::engine::heavy::{Caller, Job, Outcome, Target, Told, Work};
use crate::net::dispatch::{Call, run_heavy};
use crate::table::table;

const BUSY: &str = "-BUSY server overloaded, retry later";
const STOPPED: &str = "-BUSY command took longer than heavy-timeout and was stopped; it has had no effect";
/// Leaves the network thread for the pool, by its number of steps.
const LONG: &str = "for i = 1, 20000 do end ";

fn pool(threads: usize, queue: usize) -> TestNode {
    TestNode::with(|config| {
        config.heavy_threads = threads;
        config.heavy_queue = queue;
    })
}

fn caller(node: &TestNode, host: u8) -> Caller {
    Caller {
        client: u64::MAX,
        peer: PeerName::of(Ipv4Addr::new(10, 0, 0, host).into()),
        protocol: Protocol::Resp2,
        mailbox: node.node.mailboxes()[0].clone(),
        user: node.node.users.default_user(),
        reader: None,
        may_page: false,
        has_waited: false,
    }
}

/// Work of a command's class that takes its thread until what is given back is dropped. Nothing is given back if it is
/// turned away.
fn hold(node: &TestNode, command: &str, host: u8) -> Option<Sender<()>> {
    let (release, released) = mpsc::channel::<()>();
    let task = Box::new(move |_: &_, _: &_| {
        let _ = released.recv();
        Outcome::waiting()
    });
    let entry = table().find(command.as_bytes()).unwrap();
    let caller = caller(node, host);
    let work = Work::Task { entry, args: OwnedArgs::default(), task };
    node.node
        .heavy
        .submit(&node.node, Job { caller, cancel: Arc::new(Cancel::default()), work })
        .then_some(release)
}

#[track_caller]
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    wait::until(what, PATIENCE, || condition().then_some(())).unwrap();
}

#[track_caller]
fn wait_for_load(node: &TestNode, class: Class, running: usize, waiting: usize) {
    let wanted = Load { running, waiting };
    wait_for(&format!("{wanted:?}"), || node.node.heavy.load_of(class) == wanted);
}

/// Sends commands at once, and compares what they answer.
#[track_caller]
fn pipeline(client: &mut Client, script: &[(&str, &str)]) {
    send(client, script);
    receive(client, script);
}

fn send(client: &mut Client, script: &[(&str, &str)]) {
    script.iter().for_each(|(line, _)| client.queue(&words(line)));
    client.flush().unwrap();
}

#[track_caller]
fn receive(client: &mut Client, script: &[(&str, &str)]) {
    for (line, expected) in script {
        let reply = format!("{:?}", client.receive().unwrap());
        assert!(super::harness::is_like(&reply, expected), "{line}\n answered {reply}\n expected {expected}");
    }
}

/// More than a network thread may read.
fn push(client: &mut Client, items: usize) {
    for at in 0..items {
        client.queue(&["RPUSH", "list", &format!("{at:0>100}")]);
    }
    client.flush().unwrap();
    (0..items).for_each(|_| assert!(!client.receive().unwrap().is_error()));
}

#[test]
fn while_memory_is_short_who_has_waited_goes_on_waiting_and_nobody_else_begins() {
    let node = TestNode::start();
    check(&mut node.client(), "CONFIG SET memory-soft 1", "+OK");
    let entry = table().find(b"blpop").unwrap();
    let args = OwnedArgs::of([&b"BLPOP"[..], b"a", b"0"]);
    for has_waited in [false, true] {
        let caller = Caller { has_waited, ..caller(&node, 1) };
        let (args, target) = (args.as_args(), Target::One(0));
        let call = Call { entry, args, database: 0, target, caller: Some(&caller) };
        let outcome = run_heavy(&node.node, &call, &Arc::default(), &mut Scratch::default());
        assert_eq!(matches!(outcome.told, Told::Later), has_waited);
        assert_eq!(node.node.groups[0].store.waiting(), usize::from(has_waited));
    }
}

#[test]
fn rows_say_which_class_a_command_is_of() {
    for (names, class) in [
        ("keys scan hscan sscan zscan sort sort_ro randomkey cluster|getkeysinslot", Class::Scan),
        ("eval evalsha eval_ro fcall fcall_ro exec", Class::Script),
        ("lrange hgetall sunionstore mget flushall save function|load xrange", Class::Range),
    ] {
        for name in names.split(' ') {
            assert_eq!(table().find(name.as_bytes()).unwrap().row.class, class, "{name}");
        }
    }
}

#[test]
fn only_what_leaves_no_trace_may_be_stopped() {
    let command = |name: &str, target| {
        let entry = table().find(name.as_bytes()).unwrap();
        Work::Command { entry, args: OwnedArgs::default(), database: 0, target }
    };
    for (work, may_be) in [
        (command("sunionstore", Some(Target::One(0))), true),
        (command("sunionstore", None), true),
        (command("flushall", Some(Target::One(0))), true),
        (command("flushall", Some(Target::All)), false),
        (command("function|load", Some(Target::All)), false),
        (command("keys", Some(Target::All)), true),
    ] {
        assert_eq!(work.may_be_stopped(), may_be, "{}", work.entry().row.name);
    }
}

/// With all threads taken that two classes may have, each with more work than there are threads, the third is
/// served at once.
#[test]
fn no_class_starves_another() {
    let node = pool(4, 64);
    let mut client = node.client();
    push(&mut client, 1_000);
    let script = format!("EVAL \"{LONG}return 7\" 0");
    for (late, line) in
        [(Class::Scan, "KEYS nothing*"), (Class::Range, "LRANGE list 0 -1"), (Class::Script, script.as_str())]
    {
        let others = [(Class::Scan, "keys"), (Class::Range, "lrange"), (Class::Script, "eval")];
        let others = others.into_iter().filter(|(class, _)| *class != late);
        let held: Vec<_> =
            others.flat_map(|(_, name)| (0..9).map(move |_| name)).map(|name| hold(&node, name, 1)).collect();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(node.node.heavy.load(), (4 - Shares::of(4).reserved, 15));
        assert!(!client.call(&words(line)).unwrap().is_error(), "{late:?}");
        assert_eq!(node.node.heavy.load_of(late), Load::default());
        drop(held);
        wait_for("the pool to be empty", || node.node.heavy.load() == (0, 0));
    }
}

#[test]
fn busy_comes_at_once_and_the_pipeline_goes_on_in_order() {
    let node = pool(4, 0);
    let mut client = node.client();
    push(&mut client, 1_000);
    let mut held: Vec<_> = ["lrange", "lrange", "eval"].map(|name| hold(&node, name, 1)).into();
    assert!(held.iter().all(Option::is_some));
    let long = format!("EVAL \"redis.call('SET', 'half', 1) {LONG}\" 0");
    pipeline(
        &mut client,
        &[
            ("SET a 1", "+OK"),
            ("LRANGE list 0 -1", BUSY),
            ("GET a", "\"1\""),
            // The scans' thread is free.
            ("KEYS nothing*", "[]"),
            ("DEBUG SLEEP 0", BUSY),
            ("LRANGE list 1 1", "[\"0…01\"]"),
            ("INCR a", ":2"),
            (&long, BUSY),
            ("MULTI", "+OK"),
            ("SET half 1", "+QUEUED"),
            ("LRANGE list 0 -1", "+QUEUED"),
            ("EXEC", BUSY),
            ("EXISTS half", ":0"),
            ("LLEN list", ":1000"),
        ],
    );
    assert_eq!(node.node.heavy.stats.of_class(Class::Range).rejected, 2);
    assert_eq!(node.node.heavy.stats.of_class(Class::Script).rejected, 2);
    held.clear();
    wait_for("the pool to be empty", || node.node.heavy.load() == (0, 0));
    check(&mut client, "LRANGE list 0 -1", "[\"0…\", …, \"0…999\"]");
    assert!(field(&text(&mut client, "INFO all"), "errorstat_BUSY").starts_with("count=4"));
}

/// The newest of the peer with the most gives its place to one that has less; it is told so, and its
/// connection goes on.
#[test]
fn one_peer_does_not_keep_the_queue_from_others() {
    let node = pool(1, 2);
    let running = hold(&node, "keys", 1).unwrap();
    let (mut first, mut second) = (node.client(), node.client());
    let script = [("KEYS nothing*", "[]"), ("SET first 1", "+OK")];
    send(&mut first, &script);
    wait_for_load(&node, Class::Scan, 1, 1);
    let displaced = [("KEYS nothing*", BUSY), ("SET second 1", "+OK"), ("KEYS first", "[\"first\"]")];
    send(&mut second, &displaced[..2]);
    wait_for_load(&node, Class::Scan, 1, 2);
    check(&mut node.client(), "KEYS nothing*", BUSY);
    let other = hold(&node, "keys", 2).unwrap();
    receive(&mut second, &displaced[..2]);
    assert!(hold(&node, "keys", 2).is_none(), "each peer has one place");
    wait_for_load(&node, Class::Scan, 1, 2);
    drop(running);
    receive(&mut first, &script);
    drop(other);
    pipeline(&mut second, &displaced[2..]);
    assert_eq!(node.node.heavy.stats.total().rejected, 3);
}

/// However deep it calls, a script or a transaction has one thread.
#[test]
fn a_pool_of_one_thread_does_not_wait_for_itself() {
    let node = pool(1, 64);
    let mut client = node.client();
    push(&mut client, 1_000);
    for set in ["s", "t"] {
        let members: Vec<String> = (0..600).map(|at| format!("{set}{at}")).collect();
        let members: Vec<&str> =
            ["SADD", set].into_iter().chain(members.iter().map(String::as_str)).collect();
        assert_eq!(client.call(&members).unwrap(), Reply::Integer(600));
    }
    let script = format!(
        "{LONG}redis.call('KEYS', '*') redis.call('SORT', 'list', 'STORE', 'sorted') \
         redis.call('SUNIONSTORE', 'u', 's', 't') redis.call('LRANGE', 'list', 0, -1) return redis.call('INCR', 'n')"
    );
    thread::scope(|scope| {
        for at in 0..4 {
            let (mut client, script) = (node.client(), &script);
            scope.spawn(move || {
                for _ in 0..5 {
                    if at % 2 == 0 {
                        assert!(matches!(client.call(&["EVAL", script, "0"]).unwrap(), Reply::Integer(_)));
                        continue;
                    }
                    client.want("MULTI").unwrap();
                    client.want("KEYS *").unwrap();
                    client.call(&["EVAL", script, "0"]).unwrap();
                    client.want("SORT list").unwrap();
                    let replies = client.want("EXEC").unwrap();
                    assert!(replies.items().is_some_and(|replies| !replies.iter().any(Reply::is_error)));
                }
            });
        }
    });
    check(&mut client, "GET n", "\"20\"");
    check(&mut client, "SCARD u", ":1200");
}

#[test]
fn what_takes_too_long_is_stopped_and_has_had_no_effect() {
    let node = pool(4, 64);
    let (mut client, mut other) = (node.client(), node.client());
    let endless = "redis.call('SET', 'half', 1) redis.call('PUBLISH', 'c', 'half') \
                   pcall(function() while true do end end) while true do pcall(redis.call, 'SET', 'more', 1) end";
    check(&mut other, "SUBSCRIBE c", "[\"subscribe\", \"c\", :1]");
    check(&mut client, "CONFIG SET heavy-timeout 1", "+OK");
    let script = format!("EVAL \"{endless}\" 0");
    pipeline(
        &mut client,
        &[
            (&script, STOPPED),
            ("EXISTS half more", ":0"),
            ("WATCH a", "+OK"),
            ("MULTI", "+OK"),
            ("SET half 1", "+QUEUED"),
            (&script, "+QUEUED"),
            ("EXEC", STOPPED),
            ("EXISTS half more", ":0"),
            // What is no transaction is not stopped.
            ("DEBUG SLEEP 0.3", "+OK"),
            ("SET a 1", "+OK"),
            ("PUBLISH c whole", ":1"),
        ],
    );
    assert_eq!(format!("{:?}", other.receive().unwrap()), "[\"message\", \"c\", \"whole\"]");
    let counted = node.node.heavy.stats.of_class(Class::Script);
    assert_eq!((counted.submitted, counted.rejected, counted.timed_out), (2, 0, 2));
    check(&mut client, "CONFIG SET heavy-timeout 0", "+OK");
    send(&mut client, &[(&script, "")]);
    wait_for("the script to run", || node.node.running.len() == 1);
    check(&mut node.client(), "SCRIPT KILL", "+OK");
    receive(&mut client, &[(&script, "-ERR Script killed by user…")]);
    assert_eq!(node.node.heavy.stats.total().timed_out, 2);
}

/// Long work whose client has gone ends by itself, and so does what only waits for a thread.
#[test]
fn nobody_works_for_clients_that_are_gone() {
    let node = pool(1, 64);
    let (mut gone, mut waiting) = (node.client(), node.client());
    let endless = [("EVAL \"while true do end\" 0", "")];
    check(&mut node.client(), "CONFIG SET heavy-timeout 0", "+OK");
    let id = waiting.line("CLIENT ID").unwrap().integer().unwrap();
    send(&mut gone, &endless);
    wait_for_load(&node, Class::Script, 1, 0);
    send(&mut waiting, &endless);
    wait_for_load(&node, Class::Script, 1, 1);
    check(&mut node.client(), &format!("CLIENT KILL ID {id}"), ":1");
    wait_for_load(&node, Class::Script, 1, 0);
    assert!(waiting.receive().is_err());
    let mut waiting = node.client();
    send(&mut waiting, &endless);
    wait_for_load(&node, Class::Script, 1, 1);
    drop((gone, waiting));
    wait_for_load(&node, Class::Script, 0, 0);
    wait_for("the clients to be forgotten", || node.node.clients.is_empty());
}

#[test]
fn the_pool_is_resized_under_load_and_nothing_is_lost() {
    const CLIENTS: usize = 6;
    const ROUNDS: i64 = 40;
    let node = pool(2, 64);
    let script = format!("{LONG}return redis.call('INCR', KEYS[1])");
    let mut control = node.client();
    thread::scope(|scope| {
        let load: Vec<_> = (0..CLIENTS)
            .map(|at| {
                let (mut client, script) = (node.client(), &script);
                scope.spawn(move || {
                    for round in 1..=ROUNDS {
                        let key = format!("n{at}");
                        assert_eq!(client.call(&["EVAL", script, "1", &key]).unwrap(), Reply::Integer(round));
                        check(&mut client, "KEYS nothing*", "[]");
                    }
                })
            })
            .collect();
        for threads in [1, 8, 2, 5, 3, 16, 1, 4].into_iter().cycle() {
            check(
                &mut control,
                &format!("CONFIG SET heavy-threads {threads} heavy-queue {}", 60 + threads),
                "+OK",
            );
            if load.iter().all(thread::ScopedJoinHandle::is_finished) {
                break;
            }
        }
    });
    assert_eq!(node.node.heavy.stats.total().rejected, 0);
    check(&mut control, "CONFIG SET heavy-threads 3", "+OK");
    wait_for("the threads to end", || text(&mut control, "INFO threads").contains("threads_heavy:count=3,"));
}

#[test]
fn a_smaller_pool_finishes_what_runs_and_keeps_what_waits() {
    let node = pool(4, 64);
    let held = ["lrange", "lrange", "eval"].map(|name| hold(&node, name, 1).unwrap());
    let mut control = node.client();
    for (line, expected) in [
        ("CONFIG SET heavy-threads 1 heavy-queue 1", "+OK"),
        (
            "CONFIG GET heavy-*",
            "[\"heavy-queue\", \"1\", \"heavy-threads\", \"1\", \"heavy-timeout\", \"60000\"]",
        ),
    ] {
        check(&mut control, line, expected);
    }
    let mut client = node.client();
    let keys = [("KEYS nothing*", "[]")];
    send(&mut client, &keys);
    wait_for_load(&node, Class::Scan, 0, 1);
    check(&mut control, "KEYS nothing*", BUSY);
    drop(held);
    receive(&mut client, &keys);
    check(&mut control, "CONFIG SET heavy-threads 4", "+OK");
    let _held = ["lrange", "lrange", "eval"].map(|name| hold(&node, name, 1).unwrap());
    check(&mut control, "KEYS nothing*", "[]");
}
