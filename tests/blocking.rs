//! Clients that wait for a key: who is served, in which order, and what is left alone.

use std::time::{Duration, Instant};

use testkit::wait::until;
use testkit::{Client, Reply, Server, Spec, crowd};

const LIMIT: Duration = Duration::from_secs(20);

struct Fixture {
    server: Server,
    client: Client,
}

impl Fixture {
    fn new() -> Self {
        let server = Spec::bulkhead().unwrap().start().unwrap();
        let client = server.client().unwrap();
        Self { server, client }
    }

    /// A client that waits, once the server says so.
    fn waits(&mut self, line: &str) -> Client {
        let before = self.blocked();
        let mut client = self.server.client().unwrap();
        client.queue(&testkit::client::words(line));
        client.flush().unwrap();
        self.until_blocked(before + 1);
        client
    }

    fn blocked(&mut self) -> usize {
        self.client.info_of_clients("blocked_clients").unwrap()
    }

    fn until_blocked(&mut self, count: usize) {
        until("blocked clients", LIMIT, || (self.blocked() == count).then_some(())).unwrap();
    }

    #[track_caller]
    fn check(&mut self, line: &str, expected: &str) {
        assert_eq!(show(&self.client.line(line).unwrap()), expected, "{line}");
    }
}

fn show(reply: &Reply) -> String {
    match (reply.items(), reply.bytes(), reply.integer()) {
        (Some(items), _, _) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        (_, Some(bytes), _) => String::from_utf8_lossy(bytes).into_owned(),
        (_, _, Some(number)) => number.to_string(),
        _ => format!("{reply:?}"),
    }
}

#[track_caller]
fn gets(client: &mut Client, expected: &str) {
    assert_eq!(show(&client.receive().unwrap()), expected);
}

#[test]
fn who_came_first_is_served_first() {
    let mut fixture = Fixture::new();
    let mut first = fixture.waits("BLPOP other list 0");
    let mut second = fixture.waits("BRPOP list 0");
    let mut third = fixture.waits("BLPOP list 0");
    fixture.check("RPUSH list a b", "2");
    gets(&mut first, "[list a]");
    gets(&mut second, "[list b]");
    fixture.check("LLEN list", "0");
    fixture.until_blocked(1);
    fixture.check("LPUSH list c", "1");
    gets(&mut third, "[list c]");
}

#[test]
fn being_served_wakes_the_next_one() {
    let mut fixture = Fixture::new();
    let mut last = fixture.waits("BLPOP c 0");
    let mut second = fixture.waits("BLMOVE b c LEFT RIGHT 0");
    let mut first = fixture.waits("BRPOPLPUSH a b 0");
    fixture.check("LPUSH a x", "1");
    gets(&mut first, "x");
    gets(&mut second, "x");
    gets(&mut last, "[c x]");
    fixture.check("EXISTS a b c", "0");
}

#[test]
fn whatever_puts_a_list_there_wakes_who_waits_for_it() {
    let mut fixture = Fixture::new();
    for (setup, line) in [
        ("RPUSH from x", "RENAME from list"),
        ("RPUSH from x", "COPY from list"),
        ("RPUSH from x", "LMOVE from list LEFT RIGHT"),
        ("RPUSH {1}x x", "SELECT 0"),
    ] {
        fixture.client.want(setup).unwrap();
        let mut waits = fixture.waits("BLPOP list 0");
        fixture.client.want(line).unwrap();
        if line == "SELECT 0" {
            fixture.client.want("LPUSH list x").unwrap();
        }
        gets(&mut waits, "[list x]");
        fixture.client.want("FLUSHALL").unwrap();
    }
    fixture.client.want("SELECT 1").unwrap();
    fixture.client.want("RPUSH list y").unwrap();
    let mut waits = fixture.waits("BLPOP list 0");
    fixture.client.want("SWAPDB 0 1").unwrap();
    gets(&mut waits, "[list y]");
}

#[test]
fn a_key_of_another_kind_wakes_nobody() {
    let mut fixture = Fixture::new();
    let mut waits = fixture.waits("BLPOP list 0");
    fixture.client.want("SET list x").unwrap();
    fixture.client.want("DEL list").unwrap();
    fixture.check("SADD list x", "1");
    fixture.until_blocked(1);
    fixture.client.want("DEL list").unwrap();
    fixture.check("RPUSH list y", "1");
    gets(&mut waits, "[list y]");
}

#[test]
fn a_database_that_has_another_kind_there_wakes_nobody() {
    let mut fixture = Fixture::new();
    let all = ["BLPOP key 0", "BZPOPMIN key 0", "XREAD BLOCK 0 STREAMS key $", "XREAD BLOCK 0 STREAMS key 0"];
    let mut waiting: Vec<Client> = all.iter().map(|line| fixture.waits(line)).collect();
    fixture.client.want("SELECT 1").unwrap();
    fixture.client.want("SADD key x").unwrap();
    fixture.client.want("SWAPDB 0 1").unwrap();
    fixture.client.want("DEL key").unwrap();
    fixture.client.want("ZADD key 1 x").unwrap();
    fixture.client.want("SWAPDB 0 1").unwrap();
    gets(&mut waiting[1], "[key x 1]");
    fixture.until_blocked(3);
    fixture.client.want("DEL key").unwrap();
    fixture.client.want("XADD key 5-1 f v").unwrap();
    fixture.client.want("SWAPDB 0 1").unwrap();
    for reader in &mut waiting[2..] {
        gets(reader, "[[key [[5-1 [f v]]]]]");
    }
    fixture.until_blocked(1);
}

#[test]
fn a_destination_of_the_wrong_kind_is_an_error_and_takes_nothing() {
    let mut fixture = Fixture::new();
    let mut waits = fixture.waits("BLMOVE from to LEFT LEFT 0");
    fixture.client.want("SET to x").unwrap();
    fixture.check("RPUSH from y", "1");
    assert!(waits.receive().unwrap().is_error());
    fixture.check("LRANGE from 0 -1", "[y]");
}

#[test]
fn who_hangs_up_takes_nothing() {
    let mut fixture = Fixture::new();
    let gone = fixture.waits("BLPOP list 0");
    let mut waits = fixture.waits("BLPOP list 0");
    drop(gone);
    fixture.until_blocked(1);
    fixture.check("RPUSH list x", "1");
    gets(&mut waits, "[list x]");
    let gone = fixture.waits("BLPOP list 0");
    drop(gone);
    fixture.until_blocked(0);
    fixture.check("RPUSH list y", "1");
    fixture.check("LRANGE list 0 -1", "[y]");
}

#[test]
fn who_has_waited_long_enough_is_told_so_and_goes_on() {
    let mut fixture = Fixture::new();
    let timeout = Duration::from_millis(50);
    for line in ["BLPOP list 0.05", "BLMOVE list other LEFT LEFT 0.05", "BLMPOP 0.05 1 list LEFT"] {
        let started = Instant::now();
        let reply = fixture.client.line(line).unwrap();
        assert!(reply.is_null() && started.elapsed() >= timeout, "{line}: {reply:?} {:?}", started.elapsed());
    }
    fixture.check("RPUSH list x", "1");
    fixture.check("BLPOP list 1", "[list x]");
    // What was sent behind it waits as well.
    let mut waits = fixture.waits("BLPOP list 0");
    waits.queue(&["PING"]);
    waits.flush().unwrap();
    fixture.check("RPUSH list z", "1");
    gets(&mut waits, "[list z]");
    assert_eq!(waits.receive().unwrap(), Reply::Simple("PONG".into()));
}

#[test]
fn many_who_wait_get_one_item_each() {
    const CLIENTS: usize = 300;
    let mut fixture = Fixture::new();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = fixture.server.client().unwrap();
            client.queue(&testkit::client::words("BLPOP list 0"));
            client.flush().unwrap();
            client
        })
        .collect();
    fixture.until_blocked(CLIENTS);
    let items: Vec<String> = (0..CLIENTS).map(|item| item.to_string()).collect();
    fixture.client.want(&format!("RPUSH list {}", items.join(" "))).unwrap();
    let mut got: Vec<String> = clients.iter_mut().map(|client| show(&client.receive().unwrap())).collect();
    got.sort();
    let mut expected: Vec<String> = items.iter().map(|item| format!("[list {item}]")).collect();
    expected.sort();
    assert_eq!(got, expected);
    fixture.check("EXISTS list", "0");
}

#[test]
fn many_readers_of_a_stream_get_an_entry_each_or_all_the_same_one() {
    const CLIENTS: usize = 300;
    let mut fixture = Fixture::new();
    fixture.client.want("XGROUP CREATE stream group $ MKSTREAM").unwrap();
    let mut readers: Vec<Client> =
        (0..CLIENTS).map(|_| fixture.waits("XREAD BLOCK 0 STREAMS stream $")).collect();
    let mut consumers: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            fixture.waits(&format!("XREADGROUP GROUP group c{number} COUNT 1 BLOCK 0 STREAMS stream >"))
        })
        .collect();
    // In one transaction, so that all are there before anybody is served.
    fixture.client.queue(&["MULTI"]);
    for number in 1..=CLIENTS {
        fixture.client.queue(&testkit::client::words(&format!("XADD stream 1-{number} f v")));
    }
    fixture.client.queue(&["EXEC"]);
    fixture.client.flush().unwrap();
    for _ in 0..CLIENTS + 2 {
        assert!(!fixture.client.receive().unwrap().is_error());
    }
    let entries: Vec<String> = (1..=CLIENTS).map(|number| format!("[1-{number} [f v]]")).collect();
    for reader in &mut readers {
        gets(reader, &format!("[[stream [{}]]]", entries.join(" ")));
    }
    for (consumer, entry) in consumers.iter_mut().zip(&entries) {
        gets(consumer, &format!("[[stream [{entry}]]]"));
    }
    fixture.until_blocked(0);
    for reader in &mut readers {
        reader.queue(&testkit::client::words("XREAD BLOCK 0 STREAMS stream $"));
        reader.flush().unwrap();
    }
    fixture.until_blocked(CLIENTS);
    fixture.client.want("XADD stream 2-1 f v").unwrap();
    for reader in &mut readers {
        gets(reader, "[[stream [[2-1 [f v]]]]]");
    }
}

/// A key is ready from when it holds what is waited for: here behind the other one, though it was written first.
#[test]
fn a_key_that_becomes_another_kind_is_ready_from_then_on() {
    let mut fixture = Fixture::new();
    fixture.client.want("ZADD other 10 b").unwrap();
    let mut first = fixture.waits("BZMPOP 0 1 late MIN COUNT 3");
    let mut second = fixture.waits("BZPOPMIN late early 0");
    for line in ["MULTI", "SET late text", "ZADD early 1 a", "COPY other late REPLACE", "EXEC"] {
        fixture.client.want(line).unwrap();
    }
    gets(&mut second, "[late b 10]");
    fixture.until_blocked(1);
    fixture.check("ZRANGE early 0 -1", "[a]");
    fixture.client.want("ZADD late 5 c").unwrap();
    gets(&mut first, "[late [[c 5]]]");
}

#[test]
fn who_waits_when_the_server_stops_is_let_go() {
    let mut fixture = Fixture::new();
    let mut waits = fixture.waits("BLPOP list 0");
    fixture.server.stop().unwrap();
    assert!(waits.receive().is_err());
}

/// `cargo xtask stress crowd` does it with ten thousand.
#[test]
fn a_crowd_is_served_in_order_and_nothing_is_lost_when_half_of_it_leaves() {
    let spec = Spec::bulkhead().unwrap();
    let plan = crowd::Plan { spec, clients: 300, idle: Duration::ZERO, timeouts: 100 };
    crowd::run(&plan).unwrap_or_else(|error| panic!("{error}"));
}
