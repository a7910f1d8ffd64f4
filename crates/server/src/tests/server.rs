//! The server family.

use super::harness::{TestNode, check, text};
use std::time::{Duration, Instant};

#[test]
fn small_commands_answer_as_redis_does() {
    TestNode::start().check(&[
        ("TIME", "[\"1…\", \"…\"]"),
        ("TIME 1", "-ERR wrong number of arguments for 'time' command"),
        ("ROLE", "[\"master\", :…, []]"),
        ("LOLWUT", "\"…Redis ver. 7.2.…\""),
        ("LOLWUT VERSION 5 1", "\"…Redis ver. 7.2.…\""),
        ("LOLWUT VERSION x", "-ERR value is not an integer or out of range"),
        ("WAIT 0 0", ":0"),
        ("WAIT 1 10", ":0"),
        ("WAIT x 1", "-ERR value is not an integer or out of range"),
        ("WAIT 1 x", "-ERR timeout is not an integer or out of range"),
        ("WAIT 1 -1", "-ERR timeout is negative"),
        ("SET a 1", "+OK"),
        ("WAITAOF 1 0 0", "[:1, :0]"),
        ("WAITAOF 1 1 10", "[:1, :0]"),
        ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
        ("WAITAOF 1 x 0", "-ERR value is out of range, must be positive"),
        ("WAITAOF 1 0 -1", "-ERR timeout is negative"),
        ("CLUSTER INFO", "-ERR This instance has cluster support disabled"),
        ("READONLY", "-ERR This instance has cluster support disabled"),
        ("MEMORY DOCTOR", "\"…\""),
        ("MEMORY PURGE", "+OK"),
        ("MEMORY MALLOC-STATS", "\"Stats not supported for the current allocator\""),
        ("MEMORY STATS", "[\"peak.allocated\", :…]"),
        ("MEMORY USAGE a", ":…"),
        ("MEMORY USAGE nothing", "(null bulk)"),
        ("MEMORY USAGE a SAMPLES x", "-ERR value is not an integer or out of range"),
    ]);
}

#[test]
fn checkpoints_are_made_and_dated() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "SET a 1", "+OK");
    let before = client.line("LASTSAVE").unwrap().integer().unwrap();
    check(&mut client, "SAVE", "+OK");
    assert!(client.line("LASTSAVE").unwrap().integer().unwrap() >= before);
    // What was acknowledged a moment ago may be handed to the store after the checkpoint.
    let stored = || (node.node.groups[0].store.sequencer.dirty_bytes() == 0).then_some(());
    let patience = super::harness::PATIENCE;
    testkit::wait::until("the store to hold everything", patience, stored).unwrap();
    check(&mut client, "BGSAVE later", "-ERR syntax error");
    check(&mut client, "BGSAVE SCHEDULE", "+Background saving started");
    let saved = super::harness::PATIENCE;
    let made = || (!node.node.checkpoints.is_running()).then_some(());
    testkit::wait::until("the checkpoint", saved, made).unwrap();
    check(&mut client, "BGREWRITEAOF", "+Background append only file rewriting started");
    testkit::wait::until("the checkpoint", saved, made).unwrap();
    assert!(text(&mut client, "INFO persistence").contains("rdb_saves:3\r\n"));
}

#[test]
fn debug_does_what_makes_sense() {
    let node = TestNode::start();
    node.check(&[
        ("DEBUG", "-ERR wrong number of arguments for 'debug' command"),
        (
            "DEBUG NOSUCH",
            "-ERR unknown subcommand or wrong number of arguments for 'NOSUCH'. Try DEBUG HELP.",
        ),
        ("DEBUG SLEEP", "-ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP."),
        ("DEBUG SLEEP 0", "+OK"),
        ("DEBUG SLEEP x", "+OK"),
        ("DEBUG ERROR \"OOPS it failed\"", "-OOPS it failed"),
        ("DEBUG OBJECT nothing", "-ERR no such key"),
        ("SET a 5", "+OK"),
        ("DEBUG OBJECT a", "+Value at:… refcount:1 encoding:int serializedlength:… lru:0 lru_seconds_idle:0"),
        ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK"),
    ]);
    assert!(!node.node.stats.expires_actively());
}

#[test]
fn a_sleeping_client_holds_up_nobody_else() {
    let node = TestNode::start();
    let (mut sleeper, mut other) = (node.client(), node.client());
    let started = Instant::now();
    sleeper.queue(&["DEBUG", "SLEEP", "0.3"]);
    sleeper.queue(&["PING"]);
    sleeper.flush().unwrap();
    while started.elapsed() < Duration::from_millis(100) {
        check(&mut other, "PING", "+PONG");
    }
    assert_eq!(format!("{:?}", sleeper.receive().unwrap()), "+OK");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(format!("{:?}", sleeper.receive().unwrap()), "+PONG");
}

#[test]
fn slow_commands_are_logged() {
    let node = TestNode::start();
    node.check(&[
        ("CLIENT SETNAME me", "+OK"),
        ("SLOWLOG GET", "[]"),
        ("CONFIG SET slowlog-log-slower-than 20000", "+OK"),
        ("DEBUG SLEEP 0.03", "+OK"),
        ("SLOWLOG LEN", ":1"),
        ("SLOWLOG GET", "[[:0, :…, :…, [\"DEBUG\", \"SLEEP\", \"0.03\"], \"127.0.0.1:…\", \"me\"]]"),
        ("SLOWLOG RESET", "+OK"),
        ("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 2", "+OK"),
        ("PING", "+PONG"),
        ("AUTH default hunter2", "+OK"),
        ("SLOWLOG GET -1", "[[:3, …[\"AUTH\", \"(redacted)\", \"(redacted)\"]…"),
        ("CONFIG SET slowlog-log-slower-than -1", "+OK"),
        ("SLOWLOG RESET", "+OK"),
        ("PING", "+PONG"),
        ("SLOWLOG LEN", ":0"),
        ("SLOWLOG GET x", "-ERR count should be greater than or equal to -1"),
        (
            "SLOWLOG GET 1 2",
            "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.",
        ),
    ]);
}

#[test]
fn commands_describe_themselves() {
    TestNode::start().check(&[
        (
            "COMMAND INFO get nosuch",
            "[[\"get\", :2, [+readonly, +fast], :1, :1, :1, [+@read, +@string, +@fast], …], (null bulk)]",
        ),
        ("COMMAND INFO config|get", "[[\"config|get\", :-3, [+admin, +noscript, +loading, +stale], …"),
        ("COMMAND DOCS ping nosuch", "[\"ping\", [\"summary\", …]]"),
        ("COMMAND LIST FILTERBY PATTERN pin?", "[\"ping\"]"),
        ("COMMAND LIST FILTERBY ACLCAT nosuch", "[]"),
        ("COMMAND LIST FILTERBY MODULE x", "[]"),
        ("COMMAND LIST FILTERBY NOSUCH x", "-ERR syntax error"),
        ("COMMAND GETKEYS MSET a 1 b 2", "[\"a\", \"b\"]"),
        ("COMMAND GETKEYS NOSUCH", "-ERR Invalid command specified"),
        ("COMMAND GETKEYS PING", "-ERR The command has no key arguments"),
        ("COMMAND GETKEYS GET a b", "-ERR Invalid number of arguments specified for command"),
        ("COMMAND GETKEYS OBJECT ENCODING a", "[\"a\"]"),
        ("COMMAND GETKEYSANDFLAGS GET a", "[[\"a\", [+RO, +access]]]"),
        ("COMMAND NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try COMMAND HELP."),
    ]);
    let node = TestNode::start();
    let mut client = node.client();
    let count = client.line("COMMAND COUNT").unwrap().integer().unwrap();
    let all = client.line("COMMAND").unwrap();
    assert_eq!(all.items().unwrap().len() as i64, count);
}

#[test]
fn with_several_groups_the_slots_are_told() {
    let node = TestNode::with(|config| config.groups = 2);
    let port = node.node.addresses()[0].port();
    node.check(&[
        ("CLUSTER INFO", "\"cluster_state:ok\\r\\n…cluster_size:1…\""),
        ("CLUSTER KEYSLOT foo", ":12182"),
        ("CLUSTER MYID", "\"0000000000000000000000000000000000000001\""),
        (
            "CLUSTER SLOTS",
            &format!("[[:0, :8191, [\"127.0.0.1\", :{port}, \"00…1\", []]], [:8192, :16383, …"),
        ),
        ("CLUSTER SHARDS", "[[\"slots\", [:0, :8191, :8192, :16383], \"nodes\", [[\"id\", …"),
        ("CLUSTER NODES", "\"00…1 127.0.0.1:… myself,master - 0 0 … connected 0-8191 8192-16383\\n\""),
        ("SET foo 1", "+OK"),
        ("SET {foo}2 1", "+OK"),
        ("SET bar 1", "+OK"),
        ("CLUSTER COUNTKEYSINSLOT 12182", ":2"),
        ("CLUSTER COUNTKEYSINSLOT 12183", ":0"),
        ("CLUSTER COUNTKEYSINSLOT 16384", "-ERR Invalid slot"),
        ("CLUSTER GETKEYSINSLOT 12182 1", "[\"…foo…\"]"),
        ("CLUSTER GETKEYSINSLOT 12182 9", "[\"…\", \"…\"]"),
        ("CLUSTER GETKEYSINSLOT 12182 -1", "-ERR Invalid slot or number of keys"),
        ("CLUSTER NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP."),
    ]);
}
