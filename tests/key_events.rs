//! Key-space notifications, seen from outside. That commands tell what Redis tells is found out by the
//! differential tests; here it is when, in which lanes, and of what nobody is asked.

use testkit::client::words;
use testkit::wait::until;
use testkit::{Client, Reply, Server};

use crate::sessions::{LIMIT, send, start, text, until_info};

/// One who hears all that is told of keys.
struct Listener {
    hears: Client,
    says: Client,
}

impl Listener {
    fn new(server: &Server, classes: &str) -> Self {
        let mut says = server.client().unwrap();
        says.call(&["CONFIG", "SET", "notify-keyspace-events", classes]).unwrap();
        let mut hears = server.client().unwrap();
        hears.want("PSUBSCRIBE __key*").unwrap();
        Self { hears, says }
    }

    /// The next event, as `channel payload`.
    fn next(&mut self) -> String {
        let message = self.hears.receive().unwrap();
        let [_, _, channel, payload] = message.items().unwrap() else { panic!("{message:?}") };
        format!("{} {}", text(channel), text(payload))
    }

    /// Everything that was told by now.
    fn all(&mut self) -> Vec<String> {
        self.says.want("PUBLISH __keymark end").unwrap();
        let mut all = Vec::new();
        loop {
            match self.next() {
                last if last == "__keymark end" => return all,
                event => all.push(event),
            }
        }
    }
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    let (server, mut me) = start();
    let mut listener = Listener::new(&server, "");
    me.want("SET k 1").unwrap();
    assert_eq!(listener.all(), [""; 0]);
    me.want("CONFIG SET notify-keyspace-events Eg").unwrap();
    me.want("SET k 1").unwrap();
    me.want("DEL k").unwrap();
    assert_eq!(listener.all(), ["__keyevent@0__:del k"]);
    assert!(me.line("CONFIG SET notify-keyspace-events Q").unwrap().is_error());
    let shown = me.want("CONFIG GET notify-keyspace-events").unwrap();
    assert_eq!(text(&shown.items().unwrap()[1]), "gE");
}

#[test]
fn it_is_told_in_transactions_and_scripts_and_in_every_lane() {
    let (server, mut me) = start();
    let mut listener = Listener::new(&server, "EA");
    for first in ["STRLEN nothing", "KEYS nothing*"] {
        for line in ["MULTI", first, "SET {a}k 1", "LPUSH {a}k x", "SELECT 3", "SADD s 1", "EXEC", "SELECT 0"]
        {
            me.line(line).unwrap();
        }
        // What fails has changed nothing.
        assert_eq!(listener.all(), ["__keyevent@0__:set {a}k", "__keyevent@3__:sadd s"]);
        me.want("FLUSHALL").unwrap();
    }
    let script = "redis.call('SET', KEYS[1], 1); redis.pcall('LPUSH', KEYS[1], 1); \
                  for i = 1, tonumber(ARGV[1]) do redis.call('INCR', KEYS[1]) end";
    for times in [2, 2_000] {
        me.call(&["EVAL", script, "1", "n", &times.to_string()]).unwrap();
        let heard = listener.all();
        assert_eq!(heard.len(), 1 + times);
        assert!(
            heard[0] == "__keyevent@0__:set n" && heard[1..].iter().all(|e| e == "__keyevent@0__:incrby n")
        );
    }
    me.want("DEL n").unwrap();
    assert_eq!(listener.all(), ["__keyevent@0__:del n"]);
    // A script that fails has changed what it has changed.
    me.call(&["EVAL", "redis.call('SET', 'f', 1); error('no')", "0"]).unwrap();
    me.want("DEL f").unwrap();
    let heard = listener.all();
    assert_eq!(heard.last().unwrap(), "__keyevent@0__:del f");
}

#[test]
fn what_expires_is_told_whoever_finds_it() {
    let (server, mut me) = start();
    let mut listener = Listener::new(&server, "Exg$");
    me.want("SET k 1 PX 1").unwrap();
    assert_eq!(listener.next(), "__keyevent@0__:set k");
    assert_eq!(listener.next(), "__keyevent@0__:expire k");
    assert_eq!(listener.next(), "__keyevent@0__:expired k");
    until_info(&mut me, "expired_keys", "1");
    me.want("DEBUG SET-ACTIVE-EXPIRE 0").unwrap();
    me.want("SET k 1 PX 1").unwrap();
    until("it has expired", LIMIT, || (me.want("EXISTS k").unwrap() == Reply::Integer(0)).then_some(()))
        .unwrap();
    me.want("SET k 2").unwrap();
    let events = ["set", "expire", "expired", "set"].map(|event| format!("__keyevent@0__:{event} k"));
    assert_eq!(listener.all(), events);
}

#[test]
fn misses_and_new_keys_are_told_to_those_who_want_them() {
    let (server, mut me) = start();
    let mut listener = Listener::new(&server, "Emn");
    for line in ["GET a", "MGET a b a", "SET a 1", "GET a", "DEL c", "GETDEL d", "MULTI", "GET e", "EXEC"] {
        me.want(line).unwrap();
    }
    let expected = ["keymiss a", "keymiss a", "keymiss b", "new a", "keymiss d", "keymiss e"]
        .map(|event| format!("__keyevent@0__:{event}"));
    assert_eq!(listener.all(), expected);
}

#[test]
fn those_who_wait_are_served_and_it_is_told() {
    let (server, mut me) = start();
    let mut listener = Listener::new(&server, "El");
    let mut waiter = server.client().unwrap();
    send(&mut waiter, &["BLPOP q 0"]);
    until_info(&mut me, "blocked_clients", "1");
    me.want("RPUSH q a").unwrap();
    waiter.receive().unwrap();
    assert_eq!(listener.all(), ["__keyevent@0__:rpush q", "__keyevent@0__:lpop q"]);
}

/// Whoever hears of a change finds it made.
#[test]
fn it_is_told_once_it_is_committed_and_in_order() {
    let (server, mut me) = start();
    let mut listener = Listener::new(&server, "K$");
    let mut reader = server.client().unwrap();
    for n in 1..=200 {
        me.queue(&words("INCR k"));
        me.queue(&words(&format!("SET other {n}")));
    }
    me.flush().unwrap();
    for n in 1..=200 {
        assert_eq!(listener.next(), "__keyspace@0__:k incrby");
        let seen = text(&reader.want("GET k").unwrap()).parse::<i64>().unwrap();
        assert!(seen >= n, "{seen} at event {n}");
        assert_eq!(listener.next(), "__keyspace@0__:other set");
    }
}
