//! The connection family.

use super::harness::{TestNode, check};
use testkit::Reply;

#[test]
fn greetings_are_answered() {
    TestNode::start().check(&[
        ("PING", "+PONG"),
        ("ping hello", "\"hello\""),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO hello", "\"hello\""),
        ("SELECT 15", "+OK"),
        ("SELECT 16", "-ERR DB index is out of range"),
        ("SELECT x", "-ERR value is not an integer or out of range"),
        ("ACL WHOAMI", "\"default\""),
        ("NOSUCH a b", "-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "),
        ("ACL NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try ACL HELP."),
        ("QUIT", "+OK"),
        ("PING", "no reply: …"),
    ]);
}

#[test]
fn hello_agrees_on_a_protocol() {
    let node = TestNode::start();
    node.check(&[
        ("HELLO", "[\"server\", \"redis\", \"version\", \"7.2.…\", \"proto\", :2, \"id\", …]"),
        ("HELLO 3", "{\"server\": \"redis\", …\"proto\": :3, …\"role\": \"master\", \"modules\": []}"),
        ("GET nothing", "(null)"),
        ("HELLO 2", "[\"server\", …"),
        ("GET nothing", "(null bulk)"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'"),
        (
            "HELLO 2 SETNAME \"a b\"",
            "-ERR Client names cannot contain spaces, newlines or special characters.",
        ),
        ("HELLO 2 SETNAME me AUTH default any", "[\"server\", …"),
        ("CLIENT GETNAME", "\"me\""),
    ]);
}

#[test]
fn a_password_opens_the_door() {
    let node = TestNode::with(|config| config.requirepass = Some("secret".into()));
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    node.check(&[
        ("GET a", "-NOAUTH Authentication required."),
        ("PING", "-NOAUTH Authentication required."),
        ("HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, …"),
        ("HELLO 3 AUTH default wrong", wrong),
        ("AUTH wrong", wrong),
        ("AUTH other secret", wrong),
        ("AUTH a b c", "-ERR syntax error"),
        ("AUTH secret", "+OK"),
        ("GET a", "(null bulk)"),
        ("RESET", "+RESET"),
        ("GET a", "-NOAUTH Authentication required."),
        ("HELLO 3 AUTH default secret", "{\"server\": …"),
        ("GET a", "(null)"),
    ]);
}

#[test]
fn without_a_password_auth_says_so() {
    TestNode::start().check(&[
        ("AUTH x", "-ERR AUTH <password> called without any password configured for the default user. …"),
        ("AUTH default x", "+OK"),
        ("CONFIG SET requirepass x", "+OK"),
        ("PING", "+PONG"),
        ("AUTH y", "-WRONGPASS …"),
        ("CONFIG SET requirepass \"\"", "+OK"),
    ]);
}

#[test]
fn reset_takes_everything_back() {
    TestNode::start().check(&[
        ("SELECT 3", "+OK"),
        ("CLIENT SETNAME me", "+OK"),
        ("HELLO 3", "{…"),
        ("RESET", "+RESET"),
        ("CLIENT GETNAME", "(null bulk)"),
        ("CLIENT INFO", "\"…db=0 …resp=2 …\""),
    ]);
}

#[test]
fn a_silenced_client_hears_nothing_until_it_wants_to() {
    let node = TestNode::start();
    let mut client = node.client();
    for line in ["CLIENT REPLY OFF", "SET a 1", "GET a", "NOSUCH", "KEYS *", "CLIENT REPLY ON"] {
        client.queue(&testkit::client::words(line));
    }
    client.flush().unwrap();
    assert_eq!(client.receive().unwrap(), Reply::ok(), "CLIENT REPLY ON answers");
    for line in ["CLIENT REPLY SKIP", "SET a 2", "GET a"] {
        client.queue(&testkit::client::words(line));
    }
    client.flush().unwrap();
    assert_eq!(client.receive().unwrap(), Reply::bulk("2"), "SKIP skips one reply");
    check(&mut client, "CLIENT REPLY NOW", "-ERR syntax error");
}

#[test]
fn with_several_groups_there_is_one_database() {
    let node = TestNode::with(|config| config.groups = 3);
    node.check(&[
        ("SELECT 0", "+OK"),
        ("SELECT 1", "-ERR SELECT is not allowed in cluster mode"),
        ("SWAPDB 0 1", "-ERR SWAPDB is not allowed in cluster mode"),
        ("MOVE a 1", "-ERR MOVE is not allowed in cluster mode"),
        ("COPY a {a}b DB 1", "-ERR Copying to another database is not allowed in cluster mode"),
        ("COPY a {a}b REPLACE", ":0"),
        ("READONLY", "+OK"),
        ("READWRITE", "+OK"),
        ("HELLO", "[…\"mode\", \"cluster\", …]"),
    ]);
}
