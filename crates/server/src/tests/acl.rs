//! Users: who may log in, what they may do, and that a change counts at once.

use std::thread;

use store::{Area, Scratch, Stop};
use testkit::{Client, Reply, wait};

use super::harness::{PATIENCE, TestNode, check, config, text, words};
use crate::Node;

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";

/// A client that has logged in as a user, made by these rules.
fn client_of(node: &TestNode, name: &str, rules: &str) -> Client {
    let mut admin = node.client();
    check(&mut admin, &format!("ACL SETUSER {name} on nopass {rules}"), "+OK");
    let mut client = node.client();
    check(&mut client, &format!("AUTH {name} any"), "+OK");
    client
}

#[test]
fn one_logs_in_as_a_user() {
    TestNode::start().check(&[
        ("ACL SETUSER me >secret >other +@all", "+OK"),
        ("AUTH me secret", WRONG),
        ("ACL SETUSER me on", "+OK"),
        ("AUTH me wrong", WRONG),
        ("AUTH nobody secret", WRONG),
        ("ACL WHOAMI", "\"default\""),
        ("AUTH me secret", "+OK"),
        ("ACL WHOAMI", "\"me\""),
        ("CLIENT INFO", "\"…user=me …\""),
        ("GET a", "-NOPERM No permissions to access a key"),
        ("RESET", "+RESET"),
        ("ACL WHOAMI", "\"default\""),
        ("CLIENT INFO", "\"…user=default …\""),
        ("HELLO 2 AUTH me wrong", WRONG),
        ("HELLO 2 AUTH me other", "[\"server\", …"),
        ("ACL WHOAMI", "\"me\""),
        ("ACL SETUSER me off <secret", "+OK"),
        ("ACL WHOAMI", "\"me\""),
        ("ACL GETUSER me", "[\"flags\", [\"off\", \"sanitize-payload\"], \"passwords\", [\"…\"], \"commands\", \"+@all\", \"keys\", \"\", \"channels\", \"\", \"selectors\", []]"),
        ("AUTH me other", WRONG),
    ]);
}

#[test]
fn users_are_set_told_and_deleted() {
    let node = TestNode::start();
    node.check(&[
        ("ACL SETUSER \"a b\"", "-ERR Usernames can't contain spaces or null characters"),
        ("ACL SETUSER \"\"", "-ERR Usernames can't be empty"),
        ("ACL SETUSER b foo", "-ERR Error in ACL SETUSER modifier 'foo': Syntax error"),
        ("ACL GETUSER b", "(null bulk)"),
        ("ACL SETUSER b (+get", "-ERR Unmatched parenthesis in acl selector starting at '(+get'."),
        ("ACL SETUSER b ~x (~y +get", "-ERR Unmatched …"),
        ("ACL SETUSER b ~x (~y +get )", "+OK"),
        ("ACL SETUSER a", "+OK"),
        (
            "ACL LIST",
            "[\"user a off sanitize-payload resetchannels -@all\", \
             \"user b off sanitize-payload ~x resetchannels -@all (~y resetchannels -@all +get)\", \
             \"user default on nopass sanitize-payload ~* &* +@all\"]",
        ),
        ("ACL USERS", "[\"a\", \"b\", \"default\"]"),
        ("ACL DELUSER a default", "-ERR The 'default' user cannot be removed"),
        ("ACL DELUSER a nobody b a", ":2"),
        ("ACL USERS", "[\"default\"]"),
        ("ACL DELUSER a", ":0"),
        ("ACL SAVE", "+OK"),
        ("ACL LOAD", "+OK"),
        ("ACL NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try ACL HELP."),
        ("ACL HELP", "[+ACL <subcommand> …, +    Print this help.]"),
    ]);
    let mut resp3 = node.resp3();
    check(
        &mut resp3,
        "ACL GETUSER default",
        "{\"flags\": [\"on\", \"nopass\", \"sanitize-payload\"], \"passwords\": [], \"commands\": \"+@all\", \
         \"keys\": \"~*\", \"channels\": \"&*\", \"selectors\": []}",
    );
    check(&mut resp3, "ACL GETUSER nobody", "(null)");
}

#[test]
fn categories_and_passwords_are_told() {
    let node = TestNode::start();
    node.check(&[
        ("ACL CAT", "[\"keyspace\", \"read\", \"write\", …\"transaction\", \"scripting\"]"),
        ("ACL CAT transaction", "[\"multi\", \"exec\", \"discard\", \"watch\", \"unwatch\"]"),
        ("ACL CAT nosuch", "-ERR Unknown category 'nosuch'"),
        ("ACL CAT a b", "-ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP."),
        ("ACL GENPASS 0", "-ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"),
        ("ACL GENPASS 4097", "-ERR ACL GENPASS …"),
        ("ACL GENPASS x", "-ERR value is not an integer or out of range"),
    ]);
    let mut client = node.client();
    for (line, digits) in [("ACL GENPASS", 64), ("ACL GENPASS 5", 2), ("ACL GENPASS 4096", 1024)] {
        let (one, other) = (text(&mut client, line), text(&mut client, line));
        assert_eq!(one.len(), digits, "{line}");
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(digits < 64 || one != other);
    }
}

#[test]
fn a_change_counts_for_those_who_are_connected() {
    let node = TestNode::start();
    let mut me = client_of(&node, "me", "~a* +get +set");
    let mut admin = node.client();
    check(&mut me, "SET a 1", "+OK");
    check(&mut me, "SET b 1", "-NOPERM No permissions to access a key");
    check(&mut me, "DEL a", "-NOPERM User me has no permissions to run the 'del' command");
    check(&mut me, "CONFIG GET x", "-NOPERM User me has no permissions to run the 'config|get' command");
    check(&mut admin, "ACL SETUSER me -set +del ~b", "+OK");
    check(&mut me, "DEL b", ":0");
    check(&mut me, "SET a 1", "-NOPERM User me has no permissions to run the 'set' command");
    check(&mut admin, "ACL SETUSER me +sort", "+OK");
    check(&mut me, "SORT a BY w*", "-ERR BY option of SORT denied due to insufficient ACL permissions");
    check(&mut me, "SORT a GET w*", "-ERR GET option of SORT denied due to insufficient ACL permissions");
    check(&mut admin, "ACL SETUSER default -flushall", "+OK");
    check(&mut admin, "FLUSHALL", "-NOPERM User default has no permissions to run the 'flushall' command");
}

#[test]
fn transactions_are_checked_when_they_are_queued_and_when_they_run() {
    let node = TestNode::start();
    let mut me = client_of(&node, "me", "~a +@all -acl");
    let mut admin = node.client();
    for (line, expected) in [
        ("MULTI", "+OK"),
        ("GET b", "-NOPERM No permissions to access a key"),
        ("SET a 1", "+QUEUED"),
        ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
        ("MULTI", "+OK"),
        ("SORT a BY w*", "+QUEUED"),
        ("EXEC", "[-ERR BY option of SORT denied due to insufficient ACL permissions]"),
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("PING", "+QUEUED"),
        ("STRLEN a", "+QUEUED"),
    ] {
        check(&mut me, line, expected);
    }
    check(&mut admin, "ACL SETUSER me -set -ping", "+OK");
    let why = "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. \
               This command is no longer allowed for the following reason: no permission to execute the command or \
               subcommand";
    check(&mut me, "EXEC", &format!("[{why}, {why}, :0]"));
    check(&mut me, "MULTI", "+OK");
    check(&mut me, "STRLEN a", "+QUEUED");
    check(&mut admin, "ACL SETUSER me resetkeys ~b", "+OK");
    check(&mut me, "EXEC", "[-NOPERM ACLs rules changed …: no permission to touch the specified keys]");
    check(&mut me, "MULTI", "+OK");
    check(&mut admin, "ACL SETUSER me -exec", "+OK");
    check(&mut me, "EXEC", "-NOPERM User me has no permissions to run the 'exec' command");
}

#[test]
fn who_is_deleted_is_disconnected() {
    let node = TestNode::start();
    let mut me = client_of(&node, "me", "~* +@all");
    let mut twin = node.client();
    let mut admin = node.client();
    check(&mut twin, "AUTH me any", "+OK");
    check(&mut admin, "CLIENT KILL USER me", ":2");
    assert!(me.line("PING").is_err() && twin.line("PING").is_err());
    let mut me = client_of(&node, "me", "~* +@all");
    check(&mut admin, "ACL DELUSER me", ":1");
    assert!(me.line("PING").is_err());
    check(&mut admin, "PING", "+PONG");
    // Who deletes himself is answered.
    let mut me = client_of(&node, "me", "+@all");
    check(&mut me, "ACL DELUSER me", ":1");
    assert!(me.line("PING").is_err());
}

#[test]
fn refusals_are_logged() {
    let node = TestNode::start();
    let mut me = client_of(&node, "me", "~a +get +multi");
    for line in ["GET b", "GET b", "SET a 1", "AUTH nobody x", "MULTI", "SET a 1"] {
        me.line(line).unwrap();
    }
    let mut admin = node.client();
    let mut entry = |count: usize, expected: &str| {
        check(&mut admin, &format!("ACL LOG {count}"), &format!("[…[\"count\", {expected}]]"));
    };
    let rest = "\"age-seconds\", \"…\", \"client-info\", \"id=… user=me …\"";
    let times = "\"timestamp-created\", :…, \"timestamp-last-updated\", :…";
    entry(
        1,
        &format!(
            ":1, \"reason\", \"command\", \"context\", \"multi\", \"object\", \"set\", \"username\", \"me\", {rest}, \"entry-id\", :3, {times}"
        ),
    );
    entry(
        2,
        &format!(
            ":1, \"reason\", \"auth\", \"context\", \"toplevel\", \"object\", \"AUTH\", \"username\", \"nobody\", {rest}, \"entry-id\", :2, {times}"
        ),
    );
    entry(
        3,
        &format!(
            ":1, \"reason\", \"command\", \"context\", \"toplevel\", \"object\", \"set\", \"username\", \"me\", {rest}, \"entry-id\", :1, {times}"
        ),
    );
    entry(
        4,
        &format!(
            ":2, \"reason\", \"key\", \"context\", \"toplevel\", \"object\", \"b\", \"username\", \"me\", {rest}, \"entry-id\", :0, {times}"
        ),
    );
    for (line, expected) in [
        ("ACL LOG 0", "[]"),
        ("ACL LOG -1", "[]"),
        ("ACL LOG x", "-ERR value is not an integer or out of range"),
        ("CONFIG SET acllog-max-len 1", "+OK"),
        ("AUTH nobody x", WRONG),
        ("ACL LOG", "[[\"count\", …\"toplevel\"…]]"),
        ("ACL LOG RESET", "+OK"),
        ("ACL LOG", "[]"),
        (
            "INFO stats",
            "\"…acl_access_denied_auth:2\\r\\nacl_access_denied_cmd:2\\r\\nacl_access_denied_key:2\\r\\n…\"",
        ),
    ] {
        check(&mut admin, line, expected);
    }
}

#[test]
fn dry_runs_say_what_would_be() {
    TestNode::start().check(&[
        ("ACL SETUSER me ~a +get +config|get", "+OK"),
        ("ACL DRYRUN nobody GET a", "-ERR User 'nobody' not found"),
        ("ACL DRYRUN me NOSUCH", "-ERR Command 'NOSUCH' not found"),
        ("ACL DRYRUN me config nosuch", "-ERR Command 'config' not found"),
        ("ACL DRYRUN me GET", "-ERR wrong number of arguments for 'get' command"),
        ("ACL DRYRUN me GET a", "+OK"),
        ("ACL DRYRUN me GET b", "\"User me has no permissions to access the \\'b\\' key\""),
        ("ACL DRYRUN me SET a b", "\"User me has no permissions to run the \\'set\\' command\""),
        ("ACL DRYRUN me CONFIG GET x", "+OK"),
        (
            "ACL DRYRUN me CONFIG SET x y",
            "\"User me has no permissions to run the \\'config|set\\' command\"",
        ),
    ]);
}

#[test]
fn requirepass_is_the_default_users_password() {
    let node = TestNode::with(|config| config.requirepass = Some("first".into()));
    node.check(&[
        ("AUTH first", "+OK"),
        ("CONFIG GET requirepass", "[\"requirepass\", \"first\"]"),
        ("ACL SETUSER default >second", "+OK"),
        ("AUTH second", "+OK"),
        ("AUTH first", "+OK"),
        ("CONFIG SET requirepass third", "+OK"),
        ("AUTH second", WRONG),
        ("AUTH third", "+OK"),
        ("CONFIG SET requirepass \"\"", "+OK"),
        ("AUTH x", "-ERR AUTH <password> called without any password configured for the default user. …"),
        ("ACL SETUSER default off", "+OK"),
        ("PING", "+PONG"),
        ("RESET", "+RESET"),
        ("PING", "-NOAUTH Authentication required."),
        ("AUTH x", "-ERR AUTH <password> called without …"),
        ("AUTH default x", WRONG),
    ]);
}

/// Starts a node on data, and says what one connection answers.
#[track_caller]
fn restarted(data: &tempfile::TempDir, requirepass: Option<&str>, script: &[(&str, &str)]) {
    let node =
        Node::start(config(data, |config| config.requirepass = requirepass.map(str::to_owned))).unwrap();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    for (line, expected) in script {
        check(&mut client, line, expected);
    }
    node.stop();
}

#[test]
fn users_are_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let lines = "[\"user default on …#… ~* &* +@all\", \"user me on …#… ~a) resetchannels -@all (~b resetchannels +@all -@admin)\"]";
    restarted(
        &data,
        None,
        &[
            ("ACL SETUSER me on >pw ~a) (~b +@all -@admin)", "+OK"),
            ("ACL SETUSER gone on", "+OK"),
            ("ACL DELUSER gone", ":1"),
            ("ACL SETUSER default resetpass >rules", "+OK"),
            ("ACL LIST", lines),
            ("FLUSHALL", "+OK"),
        ],
    );
    let script = [
        ("PING", "-NOAUTH …"),
        ("AUTH rules", "+OK"),
        ("ACL LIST", lines),
        ("ACL LOAD", "+OK"),
        ("ACL LIST", lines),
    ];
    restarted(&data, None, &script);
    // The default user's rules have a password.
    restarted(
        &data,
        Some("setting"),
        &[("AUTH setting", WRONG), ("AUTH rules", "+OK"), ("AUTH me pw", "+OK")],
    );
    restarted(&data, None, &[("AUTH rules", "+OK"), ("ACL SETUSER default nopass", "+OK")]);
    restarted(&data, Some("setting"), &[("PING", "-NOAUTH …"), ("AUTH setting", "+OK")]);
}

#[test]
fn a_damaged_record_keeps_a_node_from_starting() {
    let data = tempfile::tempdir().unwrap();
    let node = Node::start(config(&data, |_| ())).unwrap();
    let set = |txn: &mut store::Txn<'_>| txn.set_named(Area::Users, b"broken", Some(b"on +nosuch".to_vec()));
    let store = &node.groups[0].store;
    store.run_inline::<_, Stop>(0, &mut Scratch::default(), set).unwrap().result.unwrap();
    node.pump();
    let mut client = Client::connect(node.addresses()[0]).unwrap();
    check(&mut client, "SET a 1", "+OK");
    let damaged = "the record of the user 'broken' is damaged: Unknown command or category name in ACL";
    check(&mut client, "ACL LOAD", &format!("-ERR {damaged}"));
    check(&mut client, "ACL SETUSER broken on", &format!("-ERR {damaged}"));
    node.stop();
    drop(node);
    let error = Node::start(config(&data, |_| ())).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), damaged);
}

/// Each adds keys of its own to one user, and none of them is lost.
#[test]
fn changes_at_the_same_time_do_not_lose_each_other() {
    const CLIENTS: usize = 4;
    const CHANGES: usize = 25;
    let node = TestNode::with(|config| config.groups = 3);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let node = &node;
            scope.spawn(move || {
                let mut connection = node.client();
                for change in 0..CHANGES {
                    check(&mut connection, &format!("ACL SETUSER me ~{client}:{change}"), "+OK");
                    let here =
                        connection.call(&words(&format!("ACL DRYRUN me GET {client}:{change}"))).unwrap();
                    assert!(format!("{here:?}").contains("has no permissions to run"), "{here:?}");
                }
            });
        }
    });
    let mut client = node.client();
    check(&mut client, "ACL SETUSER me +get", "+OK");
    for at in 0..CLIENTS * CHANGES {
        let key = format!("{}:{}", at / CHANGES, at % CHANGES);
        assert_eq!(client.line(&format!("ACL DRYRUN me GET {key}")).unwrap(), Reply::ok(), "{key}");
    }
}

/// What was not committed is not in force for longer than a round of the maintenance thread.
#[cfg(debug_assertions)]
#[test]
fn a_change_that_is_not_committed_is_taken_back() {
    let node = TestNode::start();
    let mut client = node.client();
    check(&mut client, "ACL SETUSER me ~a", "+OK");
    check(&mut client, "DEBUG FAULT fsync on", "+OK");
    let reply = client.line("ACL SETUSER me ~b").unwrap();
    assert!(reply.is_error(), "{reply:?}");
    let user = || {
        let line = node.node.users.get(b"me").map(|user| user.describe())?;
        (!String::from_utf8_lossy(&line).contains("~b")).then_some(())
    };
    wait::until("the change to be taken back", PATIENCE, user).unwrap();
}
