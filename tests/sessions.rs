//! What operators do with clients and see of the server: pauses, MONITOR, latencies, and the forms of the
//! commands that tell about them, compared with a real Redis and a real Valkey.

use std::time::{Duration, Instant};

use testkit::client::words;
use testkit::wait::until;
use testkit::{Client, Durability, Reply, Server, Spec};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn start() -> (Server, Client) {
    started(Spec::bulkhead().unwrap())
}

fn started(spec: Spec) -> (Server, Client) {
    let server = spec.start().unwrap();
    let client = server.client().unwrap();
    (server, client)
}

pub(crate) fn peers() -> [(Server, Client); 2] {
    [Spec::redis(), Spec::valkey()].map(|spec| started(spec.unwrap().durability(Durability::None)))
}

pub(crate) fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_else(|| panic!("{reply:?}"))).into_owned()
}

/// A field of INFO.
pub(crate) fn info(client: &mut Client, name: &str) -> String {
    let text = text(&client.want("INFO everything").unwrap());
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("there is no {name}")).trim().to_owned()
}

pub(crate) fn until_info(client: &mut Client, name: &str, value: &str) {
    until(name, LIMIT, || (info(client, name) == value).then_some(())).unwrap();
}

pub(crate) fn send(client: &mut Client, lines: &[&str]) {
    lines.iter().for_each(|line| client.queue(&words(line)));
    client.flush().unwrap();
}

pub(crate) fn id(client: &mut Client) -> i64 {
    client.want("CLIENT ID").unwrap().integer().unwrap()
}

// --- CLIENT PAUSE

#[test]
fn paused_writes_wait_in_order_while_reads_go_on() {
    let (server, mut me) = start();
    me.want("CLIENT PAUSE 600000 WRITE").unwrap();
    let mut other = server.client().unwrap();
    send(&mut other, &["GET k", "SET k 1", "GET k", "INCR k"]);
    assert_eq!(other.receive().unwrap(), Reply::NullBulk);
    until_info(&mut me, "blocked_clients", "1");
    let list = text(&me.want("CLIENT LIST").unwrap());
    assert!(list.lines().any(|line| line.contains(" flags=b ") && line.contains(" cmd=set ")), "{list}");
    assert_eq!(info(&mut me, "paused_actions"), "write");
    assert_eq!(me.want("GET k").unwrap(), Reply::NullBulk);
    assert_eq!(me.want(&format!("CLIENT UNBLOCK {}", 2)).unwrap(), Reply::Integer(0), "it waits for no key");
    me.want("CLIENT UNPAUSE").unwrap();
    let replies: Vec<_> = (0..3).map(|_| other.receive().unwrap()).collect();
    assert_eq!(replies, [Reply::ok(), Reply::bulk("1"), Reply::Integer(2)]);
    assert_eq!(
        (info(&mut me, "blocked_clients"), info(&mut me, "paused_actions")),
        ("0".into(), "none".into())
    );
}

#[test]
fn a_transaction_waits_if_it_writes() {
    let (server, mut me) = start();
    let (mut writer, mut reader) = (server.client().unwrap(), server.client().unwrap());
    for line in ["MULTI", "SET k 1"] {
        writer.want(line).unwrap();
    }
    me.want("CLIENT PAUSE 600000 WRITE").unwrap();
    send(&mut writer, &["EXEC"]);
    until_info(&mut me, "blocked_clients", "1");
    for line in ["MULTI", "GET k", "PING"] {
        reader.want(line).unwrap();
    }
    let expected = Reply::Array(vec![Reply::NullBulk, Reply::Simple("PONG".into())]);
    assert_eq!(reader.want("EXEC").unwrap(), expected);
    // To queue a write is to begin with it.
    reader.want("MULTI").unwrap();
    send(&mut reader, &["DEL k"]);
    until_info(&mut me, "blocked_clients", "2");
    me.want("CLIENT UNPAUSE").unwrap();
    assert_eq!(writer.receive().unwrap(), Reply::Array(vec![Reply::ok()]));
    assert_eq!(reader.receive().unwrap(), Reply::Simple("QUEUED".into()));
}

#[test]
fn everything_waits_but_the_end_of_the_pause() {
    let (server, mut me) = start();
    let mut watcher = server.client().unwrap();
    me.want("CLIENT PAUSE 600000").unwrap();
    let mut others: Vec<_> = (0..100).map(|_| server.client().unwrap()).collect();
    for other in &mut others {
        send(other, &["PING", "INCR n"]);
    }
    // One that hangs up is forgotten, with its command.
    drop(others.pop());
    send(&mut watcher, &["DBSIZE"]);
    me.want("CLIENT UNPAUSE").unwrap();
    watcher.receive().unwrap();
    for other in &mut others {
        assert_eq!(other.receive().unwrap(), Reply::Simple("PONG".into()));
        assert!(other.receive().unwrap().integer().is_some());
    }
    until_info(&mut me, "blocked_clients", "0");
}

#[test]
fn a_pause_ends_by_itself_and_can_be_made_longer() {
    let (server, mut me) = start();
    let mut other = server.client().unwrap();
    let began = Instant::now();
    me.want("CLIENT PAUSE 300 WRITE").unwrap();
    me.want("CLIENT PAUSE 10 WRITE").unwrap();
    other.want("SET k 1").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    me.want("CLIENT PAUSE 0").unwrap();
    me.want("PING").unwrap();
    let began = Instant::now();
    me.want("CLIENT PAUSE 1 WRITE").unwrap();
    me.want("CLIENT PAUSE 300 WRITE").unwrap();
    other.want("SET k 1").unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
}

#[test]
fn keys_do_not_expire_on_their_own_while_writes_are_paused() {
    let (_server, mut me) = start();
    me.want("SET k v PX 50").unwrap();
    me.want("CLIENT PAUSE 600000 WRITE").unwrap();
    until("the key to expire", LIMIT, || me.want("GET k").unwrap().is_null().then_some(())).unwrap();
    let began = Instant::now();
    // Several rounds of active expiry long.
    until("time to pass", LIMIT, || (began.elapsed() > Duration::from_millis(400)).then_some(())).unwrap();
    assert_eq!(info(&mut me, "expired_keys"), "0");
    me.want("CLIENT UNPAUSE").unwrap();
    until_info(&mut me, "expired_keys", "1");
}

#[test]
fn a_skipped_reply_is_skipped_behind_a_pause_too() {
    let (server, mut me) = start();
    let mut other = server.client().unwrap();
    me.want("CLIENT PAUSE 600000 WRITE").unwrap();
    send(&mut other, &["CLIENT REPLY SKIP", "SET k 1", "GET k"]);
    until_info(&mut me, "blocked_clients", "1");
    me.want("CLIENT UNPAUSE").unwrap();
    assert_eq!(other.receive().unwrap(), Reply::bulk("1"));
}

// --- CLIENT UNBLOCK

#[test]
fn a_client_that_waits_is_unblocked_as_is_wanted() {
    let (server, mut me) = start();
    let mut other = server.client().unwrap();
    let id = id(&mut other);
    let error = Reply::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".into());
    for (line, in_time) in [("BLPOP k 0", Reply::NullArray), ("WAIT 1 0", Reply::Integer(0))] {
        for (how, expected) in [("", &in_time), (" TIMEOUT", &in_time), (" ERROR", &error)] {
            send(&mut other, &[line, "ECHO next"]);
            let unblock = format!("CLIENT UNBLOCK {id}{how}");
            until("the client to wait", LIMIT, || {
                (me.want(&unblock).unwrap() == Reply::Integer(1)).then_some(())
            })
            .unwrap();
            assert_eq!(other.receive().unwrap(), *expected, "{line}{how}");
            assert_eq!(other.receive().unwrap(), Reply::bulk("next"));
            assert_eq!(me.want(&unblock).unwrap(), Reply::Integer(0));
        }
    }
    assert_eq!(me.want("RPUSH k x").unwrap(), Reply::Integer(1), "nobody is served any more");
    assert_eq!(me.want("LLEN k").unwrap(), Reply::Integer(1));
}

#[test]
fn a_killed_client_runs_nothing_more() {
    let (server, mut me) = start();
    let mut other = server.client().unwrap();
    let id = id(&mut other);
    me.want(&format!("CLIENT KILL ID {id} SKIPME NO")).unwrap();
    assert!(other.line("SET k 1").is_err());
    assert_eq!(me.want("EXISTS k").unwrap(), Reply::Integer(0));
}

// --- Latencies, and the slow log

#[test]
fn latencies_are_kept_once_somebody_wants_them() {
    let (_server, mut me) = start();
    me.want("DEBUG SLEEP 0.03").unwrap();
    assert_eq!(me.want("LATENCY LATEST").unwrap(), Reply::Array(Vec::new()));
    assert!(text(&me.want("LATENCY DOCTOR").unwrap()).contains("is off"));
    me.want("CONFIG SET latency-monitor-threshold 20").unwrap();
    me.want("DEBUG SLEEP 0.03").unwrap();
    let latest = me.want("LATENCY LATEST").unwrap();
    let found =
        latest.items().unwrap().iter().find(|event| event.items().unwrap()[0] == Reply::bulk("command"));
    let found = found.unwrap_or_else(|| panic!("{latest:?}")).items().unwrap();
    let ms = |reply: &Reply| reply.integer().unwrap();
    assert!(ms(&found[1]) > 1_700_000_000 && ms(&found[2]) >= 30 && ms(&found[3]) >= 30, "{found:?}");
    let history = me.want("LATENCY HISTORY command").unwrap();
    assert!(!history.items().unwrap().is_empty());
    assert!(text(&me.want("LATENCY GRAPH command").unwrap()).starts_with("command - high "));
    assert!(text(&me.want("LATENCY DOCTOR").unwrap()).contains(". command: "));
    assert_eq!(me.want("LATENCY RESET nosuch command command").unwrap(), Reply::Integer(1));
    assert_eq!(me.want("LATENCY HISTORY command").unwrap(), Reply::Array(Vec::new()));
    me.want("LATENCY RESET").unwrap();
}

#[test]
fn histograms_count_every_call() {
    let (_server, mut me) = start();
    me.want("CONFIG RESETSTAT").unwrap();
    for _ in 0..7 {
        me.want("PING").unwrap();
    }
    me.want("CONFIG GET nothing").unwrap();
    let one = me.want("LATENCY HISTOGRAM ping nosuch").unwrap();
    let [name, about] = one.items().unwrap() else { panic!("{one:?}") };
    assert_eq!(*name, Reply::bulk("ping"));
    let [calls, number, counts, within] = about.items().unwrap() else { panic!("{about:?}") };
    assert_eq!((calls, number), (&Reply::bulk("calls"), &Reply::Integer(7)));
    assert_eq!(*counts, Reply::bulk("histogram_usec"));
    assert_eq!(within.items().unwrap().last(), Some(&Reply::Integer(7)));
    let subs = me.want("LATENCY HISTOGRAM config").unwrap();
    assert_eq!(subs.items().unwrap()[0], Reply::bulk("config|get"));
    let all = me.want("LATENCY HISTOGRAM").unwrap();
    assert!(all.items().unwrap().contains(&Reply::bulk("latency|histogram")), "{all:?}");
}

#[test]
fn parts_of_transactions_are_in_the_slow_log() {
    let (_server, mut me) = start();
    for line in
        ["CLIENT SETNAME me", "CONFIG SET slowlog-log-slower-than 0", "SLOWLOG RESET", "MULTI", "SET k 1"]
    {
        me.want(line).unwrap();
    }
    for line in ["KEYS nothing*", "EXEC", "KEYS *", "CONFIG SET slowlog-log-slower-than -1"] {
        me.want(line).unwrap();
    }
    let log = me.want("SLOWLOG GET -1").unwrap();
    let entries: Vec<_> = log.items().unwrap().iter().map(|entry| entry.items().unwrap()).collect();
    let said = |entry: &&[Reply]| entry[3].items().unwrap().iter().map(text).collect::<Vec<_>>().join(" ");
    let said: Vec<_> = entries.iter().map(said).collect();
    assert_eq!(said, ["KEYS *", "KEYS nothing*", "SET k 1", "MULTI", "SLOWLOG RESET"]);
    assert!(entries.iter().all(|entry| entry[5] == Reply::bulk("me") && text(&entry[4]).contains(':')));
    assert_eq!(me.want("SLOWLOG GET 2").unwrap().items().unwrap().len(), 2);
}

// --- Forms

/// What both peers answer in the same way.
const FORMS: &[&str] = &[
    "CLIENT PAUSE",
    "CLIENT PAUSE x",
    "CLIENT PAUSE -1",
    "CLIENT PAUSE 9223372036854775807",
    "CLIENT PAUSE 1 x",
    "CLIENT PAUSE x WRITES",
    "CLIENT PAUSE 0 all",
    "CLIENT PAUSE 0 Write",
    "CLIENT PAUSE 0 WRITE x",
    "CLIENT UNPAUSE",
    "CLIENT UNPAUSE x",
    "CLIENT UNBLOCK",
    "CLIENT UNBLOCK x",
    "CLIENT UNBLOCK 99999",
    "CLIENT UNBLOCK 99999 x",
    "CLIENT UNBLOCK 99999 ERROR x",
    "CLIENT TRACKINGINFO",
    "CLIENT TRACKINGINFO x",
    "CLIENT NO-EVICT x",
    "CLIENT REPLY x",
    "CLIENT KILL TYPE x",
    "CLIENT KILL USER x",
    "CLIENT KILL ID 0",
    "CLIENT KILL ID x",
    "CLIENT KILL SKIPME x",
    "CLIENT KILL LADDR 1.2.3.4:5 TYPE normal ID 7 USER default SKIPME yes",
    "CLIENT LIST TYPE",
    "CLIENT LIST TYPE x",
    "CLIENT LIST TYPE master",
    "CLIENT LIST ID",
    "CLIENT LIST ID x",
    "CLIENT LIST ID 99999 88888",
    "LATENCY",
    "LATENCY HELP",
    "LATENCY HELP x",
    "LATENCY NOSUCH",
    "LATENCY HISTORY",
    "LATENCY HISTORY nosuch",
    "LATENCY LATEST",
    "LATENCY LATEST x",
    "LATENCY RESET",
    "LATENCY RESET a b",
    "LATENCY GRAPH",
    "LATENCY GRAPH nosuch",
    "LATENCY HISTOGRAM nosuch",
    "CONFIG SET latency-monitor-threshold -1",
    "CONFIG SET latency-monitor-threshold x",
    "CONFIG GET latency-monitor-threshold",
    "MEMORY HELP",
    "MEMORY USAGE",
    "MEMORY USAGE nothing SAMPLES",
    "MEMORY USAGE nothing SAMPLES -1",
    "MEMORY USAGE nothing SAMPLES 0",
    "MEMORY USAGE nothing FOO 1",
    "MEMORY PURGE x",
    "MEMORY STATS x",
    "MEMORY MALLOC-STATS x",
    "SLOWLOG HELP",
    "SLOWLOG GET -2",
    "SLOWLOG GET 1 2",
    "SLOWLOG LEN x",
    "SLOWLOG RESET",
    "LOLWUT VERSION x",
    "MONITOR x",
    "ROLE x",
    "WAIT 0 0 0",
];

#[test]
fn forms_are_those_of_redis() {
    let (_server, mut ours) = start();
    let mut peers = peers();
    for form in FORMS {
        let said = ours.line(form).unwrap();
        let theirs: Vec<_> = peers.iter_mut().map(|(_, peer)| peer.line(form).unwrap()).collect();
        assert!(theirs.contains(&said), "{form}: {said:?}, not one of {theirs:?}");
    }
}

#[test]
fn a_client_is_described_with_the_fields_of_redis() {
    let (_server, mut ours) = start();
    let [_, (_valkey, mut valkey)] = peers();
    let newer = ["capa", "watch", "tot-net-in", "tot-net-out", "tot-cmds"];
    let fields = |client: &mut Client| {
        let line = text(&client.want("CLIENT INFO").unwrap());
        let pairs = line.trim().split(' ').map(|field| field.split_once('=').unwrap());
        let pairs = pairs.filter(|(name, _)| !newer.contains(name));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    let (ours, theirs) = (fields(&mut ours), fields(&mut valkey));
    let names = |fields: &[(String, String)]| fields.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    let same = [
        "flags",
        "db",
        "sub",
        "psub",
        "ssub",
        "multi",
        "argv-mem",
        "multi-mem",
        "cmd",
        "user",
        "redir",
        "resp",
    ];
    for ((name, ours), (_, theirs)) in
        ours.iter().zip(&theirs).filter(|((name, _), _)| same.contains(&&**name))
    {
        assert_eq!(ours, theirs, "{name}");
    }
}
