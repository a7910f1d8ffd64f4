//! Users, seen from outside: that they survive what they have to, and that their rules lead where Redis' and
//! Valkey's do.

use std::thread;
use std::time::Duration;

use testkit::client::Command;
use testkit::{Client, Durability, Flavour, Reply, Rng, Spec, wait};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_was_acknowledged_of_users_is_there_after_a_kill() {
    const CLIENTS: usize = 4;
    const ROUNDS: usize = 3;
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    let mut kept = Vec::new();
    for round in 0..ROUNDS {
        // Each sets, changes and deletes users of its own until the server is killed.
        let addr = server.addr();
        let workers: Vec<_> = (0..CLIENTS)
            .map(|worker| thread::spawn(move || acknowledged(Client::connect(addr).unwrap(), round, worker)))
            .collect();
        let mut watcher = server.client().unwrap();
        let enough = || {
            let users = watcher.line("ACL USERS").ok()?;
            (users.items()?.len() > 20 * (round + 1)).then_some(())
        };
        wait::until("users", PATIENCE, enough).unwrap();
        server.kill().unwrap();
        for worker in workers {
            kept.extend(worker.join().unwrap());
        }
        server.restart().unwrap();
        let mut client = server.client().unwrap();
        for (name, is_there) in &kept {
            let reply = client.line(&format!("ACL DRYRUN {name} GET key:{name}")).unwrap();
            let expected =
                if *is_there { Reply::ok() } else { Reply::Error(format!("ERR User '{name}' not found")) };
            assert_eq!(reply, expected, "{name}");
        }
    }
}

/// Names of users, and whether they must be there.
fn acknowledged(mut client: Client, round: usize, worker: usize) -> Vec<(String, bool)> {
    let mut kept = Vec::new();
    for at in 0.. {
        let name = format!("u{round}-{worker}-{at}");
        let set = format!("ACL SETUSER {name} on >pw +get");
        let more = format!("ACL SETUSER {name} ~key:{name}");
        if client.want(&set).is_err() || client.want(&more).is_err() {
            break;
        }
        // One whose deletion is not answered may be there or not.
        if at % 3 > 0 {
            kept.push((name, true));
        } else if client.want(&format!("ACL DELUSER {name}")).is_ok() {
            kept.push((name, false));
        }
    }
    kept
}

const USERS: &[&str] = &["alice", "bob", "carol"];

/// Rules, many of which are wrong at times.
const RULES: &[&str] = &[
    "on",
    "OFF",
    "nopass",
    "resetpass",
    ">one",
    ">two",
    "<one",
    "<two",
    "!abc",
    "#abc",
    "#aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "reset",
    "~*",
    "allkeys",
    "resetkeys",
    "~a*",
    "~b?",
    "%R~c*",
    "%W~d*",
    "%RW~c*",
    "%w~a*",
    "%~x",
    "%R",
    "~x y",
    "&*",
    "allchannels",
    "resetchannels",
    "&ch:*",
    "&news",
    "+@all",
    "-@all",
    "allcommands",
    "nocommands",
    "+@read",
    "-@read",
    "+@write",
    "-@write",
    "+@hash",
    "+@STRING",
    "-@dangerous",
    "+@keyspace",
    "+@fast",
    "-@slow",
    "+@connection",
    "+@list",
    "-@set",
    "+@sortedset",
    "+@nosuch",
    "+get",
    "-get",
    "+SET",
    "-set",
    "+mget",
    "+del",
    "-del",
    "+config",
    "-config",
    "+config|get",
    "-config|get",
    "+Config|Set",
    "+config|nosuch",
    "+config|get|x",
    "+select|0",
    "+select|ONE",
    "-select",
    "+get|",
    "+nosuch",
    "-nosuch",
    "+object",
    "+object|freq",
    "-object|help",
    "+client|id",
    "-client",
    "+ping",
    "+sort",
    "+exists",
    "+rename",
    "+copy",
    "foo",
    "",
    "(",
    ")",
    "()",
    "(+get)",
    "(~a* +@read)",
    "(%R~b* +@all &*)",
    "( +set ~d* )",
    "(foo)",
    "(~a",
    "+get)",
    "clearselectors",
    "skip-sanitize-payload",
    "sanitize-payload",
    "('+get' \"~q\")",
    "(\"+get)",
    "(+@all -config|get)",
];

const CALLS: &[&str] = &[
    "GET a1",
    "GET b1",
    "GET c1",
    "GET d1",
    "SET a1 x",
    "SET c1 x",
    "SET d1 x",
    "SET a1 x GET",
    "SET d1 x GET",
    "MGET a1 b1 c1",
    "DEL a1 d1",
    "EXISTS c1 d1",
    "EXISTS zz",
    "RENAME a1 d1",
    "COPY c1 d1",
    "HGET a1 f",
    "HSET a1 f v",
    "LPUSH b1 x",
    "SORT a1",
    "SORT a1 STORE d1",
    "ZUNIONSTORE d1 2 a1 c1",
    "BITFIELD c1 GET u8 0",
    "BITFIELD c1 SET u8 0 1",
    "CONFIG GET x",
    "CONFIG SET x y",
    "CONFIG NOSUCH",
    "SELECT 0",
    "SELECT one",
    "SELECT 2",
    "OBJECT FREQ a1",
    "OBJECT HELP",
    "CLIENT ID",
    "PING",
    "AUTH x",
    "NOSUCH",
    "GET",
    "FLUSHALL",
    "KEYS x",
    "DBSIZE",
    "SPOP a1",
    "ZADD b1 1 x",
    "MSET a1 1 d1 2",
];

fn words(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn random_command(rng: &mut Rng) -> Command {
    let user = rng.pick(USERS);
    match rng.below(10) {
        0..=4 => {
            let mut command = words(&format!("ACL SETUSER {user}"));
            for _ in 0..=rng.below(4) {
                let rule = rng.pick(RULES).as_bytes();
                // Redis 7.0 forgets the first of two selectors that are open.
                let opens = |rule: &[u8]| rule.starts_with(b"(") && !rule.ends_with(b")");
                if !opens(rule) || !command.iter().any(|before| opens(before)) {
                    command.push(rule.to_vec());
                }
            }
            command
        }
        5 => words(&format!("ACL GETUSER {user}")),
        6 => words(if rng.chance(70) { "ACL LIST" } else { "ACL USERS" }),
        7 if rng.chance(20) => words(&format!("ACL DELUSER {user}")),
        _ => words(&format!("ACL DRYRUN {user} {}", rng.pick(CALLS))),
    }
}

/// What differs and may: Redis 7.0 does not know `sanitize-payload` as the state of a new user, shows the
/// rules about commands as worked out from what is allowed, and does not name who has no permission.
fn tolerant(reply: Reply) -> Reply {
    match reply {
        Reply::Bulk(text) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            if let Some((_, rest)) = text.split_once(" has no permissions ") {
                return Reply::bulk(rest);
            }
            let words = text.split(' ').filter(|word| *word != "sanitize-payload");
            let is_of_commands =
                |word: &&str| !word.trim_start_matches('(').starts_with(['+', '-']) && !word.ends_with(')');
            Reply::bulk(words.filter(is_of_commands).collect::<Vec<_>>().join(" "))
        }
        Reply::Array(items) => {
            let is_shown = |reply: &Reply| *reply != Reply::bulk("sanitize-payload");
            Reply::Array(items.into_iter().filter(is_shown).map(tolerant).collect())
        }
        other => other,
    }
}

/// Errors that quote a peer's own names.
fn comparable(reply: Reply, reference: Flavour) -> Reply {
    if reference == Flavour::Redis { tolerant(reply) } else { reply }
}

#[track_caller]
fn check(reference: Spec, count: usize) {
    const SEED: u64 = 20_261_126;
    let tested = Spec::bulkhead().unwrap().start().unwrap();
    let flavour = reference.flavour;
    let reference = reference.durability(Durability::None).start().unwrap();
    let (mut ours, mut theirs) = (tested.client().unwrap(), reference.client().unwrap());
    let mut rng = Rng::new(SEED);
    let mut history = Vec::new();
    for _ in 0..count {
        let command = random_command(&mut rng);
        let shown: Vec<_> = command.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        history.push(format!("{shown:?}"));
        let (our, their) = (ours.call(&command).unwrap(), theirs.call(&command).unwrap());
        let (our, their) = (comparable(our, flavour), comparable(their, flavour));
        assert_eq!(our, their, "after\n{}", history.join("\n"));
    }
}

#[test]
fn rules_lead_where_those_of_valkey_do() {
    check(Spec::valkey().unwrap(), 3_000);
}

#[test]
fn rules_lead_where_those_of_redis_do() {
    check(Spec::redis().unwrap(), 3_000);
}
