//! Which threads a node has, how they are preferred, and what runs on them.

use testkit::wait;
use threads::Class;

use super::harness::{PATIENCE, TestNode, check, field, text};

/// Commands of every kind: on the session, in each lane, in transactions and scripts, and some that have waited.
fn everything(node: &TestNode) {
    node.check(&[
        ("PING", "+PONG"),
        ("SET a 1", "+OK"),
        ("GET a", "\"1\""),
        ("KEYS *", "[…]"),
        ("DEBUG SLEEP 0", "+OK"),
        ("MULTI", "+OK"),
        ("INCR a", "+QUEUED"),
        ("KEYS *", "+QUEUED"),
        ("EXEC", "[…]"),
        ("EVAL return{redis.call('incr','a'),redis.call('keys','*')} 0", "[…]"),
        ("BGSAVE", "+…"),
    ]);
    let (mut waiting, mut other) = (node.client(), node.client());
    waiting.queue(&["BLPOP", "list", "0"]);
    waiting.flush().unwrap();
    is_blocked(&mut other);
    check(&mut other, "LPUSH list x", ":1");
    assert!(waiting.receive().is_ok());
    // What expires is removed by maintenance, which serves who waits for it.
    check(&mut other, "XGROUP CREATE stream group $ MKSTREAM", "+OK");
    waiting.queue(&["XREADGROUP", "GROUP", "group", "me", "BLOCK", "0", "STREAMS", "stream", ">"]);
    waiting.flush().unwrap();
    is_blocked(&mut other);
    check(&mut other, "PEXPIRE stream 1", ":1");
    assert!(waiting.receive().is_ok());
}

fn is_blocked(client: &mut testkit::Client) {
    let blocked = || (field(&text(client, "INFO clients"), "blocked_clients") == "1").then_some(());
    wait::until("a client waits", PATIENCE, blocked).unwrap();
}

#[test]
fn no_thread_of_consensus_the_log_or_the_store_ever_runs_a_client_s_command() {
    let node = TestNode::start();
    everything(&node);
    let count = |class| node.node.hub.ran_on.count(class);
    for class in [Class::Net, Class::Heavy, Class::Maint] {
        assert!(count(class) > 0, "{class:?}");
    }
    for class in [Class::Raft, Class::Wal, Class::Apply, Class::Store] {
        assert_eq!(count(class), 0, "{class:?}");
    }
}

#[test]
fn threads_are_told_apart_and_so_are_their_priorities() {
    let node = TestNode::start();
    let mut client = node.client();
    // The actor API is not the node's: whoever serves both starts its threads.
    for class in Class::ALL.into_iter().filter(|class| *class != Class::Ate) {
        // A thread gives itself its name and its priority when it begins to run.
        let named = || {
            let info = text(&mut client, "INFO threads");
            let line =
                info.lines().find(|line| line.starts_with(&format!("threads_{}:count=", class.name())))?;
            let niceness: i32 = line.rsplit_once("niceness=")?.1.parse().ok()?;
            let is_lowered = class.niceness().is_none_or(|wanted| wanted <= 0 || niceness >= wanted);
            is_lowered.then_some(())
        };
        wait::until(class.name(), PATIENCE, named).unwrap();
    }
    let priority = field(&text(&mut client, "INFO threads"), "raft_priority");
    let expected = if node.node.sampler.latest().raft_is_raised() { "raised" } else { "not permitted" };
    assert_eq!(priority, expected);
}

#[test]
fn heartbeats_and_the_queues_of_consensus_are_measured() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "SET a 1", "+OK");
    let beaten = || {
        let delay = field(&text(&mut client, "INFO raft"), "raft0_heartbeat_delay");
        (!delay.starts_with("count=0,")).then_some(delay)
    };
    wait::until("a heartbeat", PATIENCE, beaten).unwrap();
    let queues = field(&text(&mut client, "INFO raft"), "group0_queues");
    for queue in consensus::Queue::ALL.map(consensus::Queue::name) {
        assert!(queues.contains(&format!(",{queue}_max=")), "{queue} in {queues}");
        assert!(queues.contains(&format!("{queue}_full=0")), "{queue} in {queues}");
    }
}
