//! CLIENT.

use super::harness::{PATIENCE, TestNode, check, text};
use testkit::wait;

#[test]
fn a_client_says_who_it_is() {
    TestNode::start().check(&[
        ("CLIENT GETNAME", "(null bulk)"),
        ("CLIENT SETNAME me", "+OK"),
        ("CLIENT GETNAME", "\"me\""),
        (
            "CLIENT SETNAME \"a b\"",
            "-ERR Client names cannot contain spaces, newlines or special characters.",
        ),
        ("CLIENT SETINFO LIB-NAME lib", "+OK"),
        ("CLIENT SETINFO lib-ver 1.2", "+OK"),
        (
            "CLIENT SETINFO lib-name \"a b\"",
            "-ERR lib-name cannot contain spaces, newlines or special characters.",
        ),
        ("CLIENT SETINFO foo x", "-ERR Unrecognized option 'foo'"),
        ("CLIENT INFO", "\"id=… addr=127.0.0.1:… name=me … cmd=client|info … lib-name=lib lib-ver=1.2\\n\""),
        ("CLIENT NO-EVICT ON", "+OK"),
        ("CLIENT NO-TOUCH ON", "+OK"),
        ("CLIENT INFO", "\"…flags=eT …\""),
        ("CLIENT NO-EVICT maybe", "-ERR syntax error"),
        ("CLIENT GETREDIR", ":-1"),
        ("CLIENT UNBLOCK 1", ":0"),
        ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
        ("CLIENT UNBLOCK 1 LATER", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
        ("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        ("CLIENT HELP", "[+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:, …"),
    ]);
}

#[test]
fn clients_are_listed() {
    let node = TestNode::start();
    let (mut first, mut second) = (node.client(), node.client());
    check(&mut first, "CLIENT SETNAME first", "+OK");
    check(&mut second, "CLIENT SETNAME second", "+OK");
    assert_eq!(text(&mut first, "CLIENT LIST").lines().count(), 2);
    assert_eq!(text(&mut first, "CLIENT LIST TYPE normal").lines().count(), 2);
    check(&mut first, "CLIENT LIST TYPE pubsub", "\"\"");
    let id = second.line("CLIENT ID").unwrap().integer().unwrap();
    check(&mut first, &format!("CLIENT LIST ID {id} 99999"), "\"id=… name=second …\\n\"");
    check(&mut first, "CLIENT LIST ID x", "-ERR Invalid client ID");
    check(&mut first, "CLIENT LIST TYPE x", "-ERR Unknown client type 'x'");
    check(&mut first, "CLIENT LIST FOO", "-ERR syntax error");
    let mut resp3 = node.resp3();
    check(&mut resp3, "CLIENT INFO", "=\"txt:id=… resp=3 …\"");
}

#[test]
fn clients_are_killed_by_what_they_are() {
    let node = TestNode::start();
    let mut me = node.client();
    let mut other = node.client();
    let id = other.line("CLIENT ID").unwrap().integer().unwrap();
    for (line, expected) in [
        ("CLIENT KILL 1.2.3.4:5", "-ERR No such client"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID", "-ERR No such client"),
        ("CLIENT KILL USER nobody", "-ERR No such user 'nobody'"),
        ("CLIENT KILL SKIPME maybe", "-ERR syntax error"),
        ("CLIENT KILL ID 1 ADDR", "-ERR syntax error"),
        ("CLIENT KILL TYPE replica", ":0"),
        ("CLIENT KILL ID 99999", ":0"),
    ] {
        check(&mut me, line, expected);
    }
    check(&mut me, &format!("CLIENT KILL ID {id} TYPE normal USER default"), ":1");
    assert!(other.line("PING").is_err());
    let mut other = node.client();
    let address = text(&mut other, "CLIENT INFO");
    let address = address.split("addr=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    check(&mut me, &format!("CLIENT KILL {address}"), "+OK");
    assert!(other.line("PING").is_err());
    check(&mut me, "CLIENT KILL TYPE normal SKIPME no", ":1");
    assert!(me.line("PING").is_err(), "one's own connection is closed after the answer");
}

#[test]
fn more_clients_than_allowed_are_turned_away() {
    let node = TestNode::with(|config| config.max_connections = 2);
    let mut first = node.client();
    check(&mut first, "PING", "+PONG");
    let mut second = node.client();
    check(&mut second, "CONFIG SET maxclients 3", "+OK");
    let mut third = node.client();
    check(&mut third, "PING", "+PONG");
    let mut fourth = node.client();
    assert_eq!(
        fourth.receive().map(|reply| format!("{reply:?}")).unwrap(),
        "-ERR max number of clients reached"
    );
    let rejected = || node.node.admission.rejected();
    wait::until("the rejection to be counted", PATIENCE, || (rejected() == 1).then_some(())).unwrap();
}

#[test]
fn a_client_that_hangs_up_is_not_waited_for() {
    let node = TestNode::start();
    let mut me = node.client();
    for late in [false, true] {
        let mut waiter = node.client();
        waiter.queue(&["WAIT", "1", "0"]);
        waiter.flush().unwrap();
        if late {
            let waits = || text(&mut me, "CLIENT LIST").contains("cmd=wait ").then_some(());
            wait::until("the client to wait", PATIENCE, waits).unwrap();
        }
        drop(waiter);
        let alone = || (node.node.clients.len() == 1).then_some(());
        wait::until("the client to be gone", PATIENCE, alone).unwrap();
    }
}

#[test]
fn idle_clients_are_disconnected_when_that_is_wanted() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "CONFIG SET timeout 1", "+OK");
    assert!(client.receive().is_err());
}
