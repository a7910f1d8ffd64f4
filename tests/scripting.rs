//! Scripts and functions, seen from outside: what they do to others, and that nothing is lost.

use std::thread;
use std::time::Duration;

use testkit::client::words;
use testkit::{Client, Reply, Result, Server, Spec, wait};

const LIMIT: Duration = Duration::from_secs(60);
const ENDLESS: [&str; 3] = ["EVAL", "redis.call('SET', 'endless', 1) while true do end", "0"];

fn start(args: &[&str]) -> Server {
    args.iter().fold(Spec::bulkhead().unwrap(), |spec, arg| spec.arg(*arg)).start().unwrap()
}

fn number(client: &mut Client, name: &str) -> usize {
    let info = client.want("INFO everything").unwrap();
    let text = String::from_utf8_lossy(info.bytes().unwrap()).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
}

fn endless(server: &Server, count: usize) -> Vec<thread::JoinHandle<Result<Reply>>> {
    let begin = |_| {
        let mut client = server.client().unwrap();
        thread::spawn(move || client.call(&ENDLESS))
    };
    (0..count).map(begin).collect()
}

/// Scripts that never end take the heavy pool and nothing else, are refused cleanly when it is full, can always be
/// ended, and have had no effect then.
#[test]
fn endless_scripts_disturb_nobody_and_can_be_killed() {
    // Of four threads one is left to scans and one to ranges.
    let server = start(&["--heavy-threads", "4", "--heavy-queue", "1"]);
    let mut client = server.client().unwrap();
    let not_busy = client.line("SCRIPT KILL").unwrap();
    assert_eq!(not_busy, Reply::Error("NOTBUSY No scripts in execution right now.".into()));
    let scripts = endless(&server, 3);
    wait::until("two scripts to run and one to wait", LIMIT, || {
        (number(&mut client, "scripts_running") == 2 && number(&mut client, "heavy_waiting") == 1)
            .then_some(())
    })
    .unwrap();
    let busy = client.call(&ENDLESS).unwrap();
    assert!(matches!(&busy, Reply::Error(text) if text.starts_with("BUSY ")), "{busy:?}");
    // Everything that is small goes on, small scripts among it.
    assert_eq!(client.want("INCR n").unwrap(), Reply::Integer(1));
    assert_eq!(client.want("EVAL return(redis.call('INCR','n')) 0").unwrap(), Reply::Integer(2));
    assert_eq!(client.want("EXISTS endless").unwrap(), Reply::Integer(0));
    // And what is big, but no script.
    assert_eq!(client.want("KEYS nothing*").unwrap(), Reply::Array(Vec::new()));
    client.want("DEBUG SLEEP 0").unwrap();
    while !scripts.iter().all(thread::JoinHandle::is_finished) {
        client.line("SCRIPT KILL").unwrap();
    }
    for script in scripts {
        let told = script.join().unwrap().unwrap();
        assert!(
            matches!(&told, Reply::Error(text) if text.contains("killed by user with SCRIPT KILL")),
            "{told:?}"
        );
    }
    assert_eq!(
        client.want("EXISTS endless").unwrap(),
        Reply::Integer(0),
        "what was killed has had no effect"
    );
    assert_eq!(number(&mut client, "scripts_running"), 0);
    assert!(number(&mut client, "scripts_killed") >= 3);
    // Whose client goes ends as well.
    let mut other = server.client().unwrap();
    let id = other.want("CLIENT ID").unwrap().integer().unwrap();
    let script = thread::spawn(move || other.call(&ENDLESS));
    wait::until("the script to run", LIMIT, || (number(&mut client, "scripts_running") == 1).then_some(()))
        .unwrap();
    client.want(&format!("CLIENT KILL ID {id}")).unwrap();
    assert!(script.join().unwrap().is_err());
    wait::until("the script to end", LIMIT, || (number(&mut client, "scripts_running") == 0).then_some(()))
        .unwrap();
}

#[test]
fn functions_are_killed_by_their_own_command() {
    let server = start(&[]);
    let mut client = server.client().unwrap();
    let mut caller = server.client().unwrap();
    // Each time the pool's threads have the library to read first: a call may be killed there as well.
    for round in 0..10 {
        let library = format!(
            "#!lua name=l\n-- {round}\nredis.register_function('f', function() while true do end end)"
        );
        client.call(&["FUNCTION", "LOAD", "REPLACE", &library]).unwrap();
        let call = thread::spawn(move || (caller.line("FCALL f 0"), caller));
        let is_running = |client: &mut Client| number(client, "scripts_running") == 1;
        wait::until("the function to run", LIMIT, || is_running(&mut client).then_some(())).unwrap();
        assert!(client.line("SCRIPT KILL").unwrap().is_error());
        let stats = format!("{:?}", client.want("FUNCTION STATS").unwrap());
        assert!(stats.contains("duration_ms") && stats.contains("FCALL"), "{stats}");
        client.want("FUNCTION KILL").unwrap();
        let told;
        (told, caller) = call.join().unwrap();
        let told = told.unwrap();
        assert!(
            matches!(&told, Reply::Error(text) if text.contains("killed by user with FUNCTION KILL")),
            "{told:?}"
        );
    }
}

/// Others wait for a script in the section: what its steps take counts there, too.
#[test]
fn a_script_of_few_long_steps_goes_to_the_heavy_pool() {
    let server = start(&[]);
    let mut client = server.client().unwrap();
    for step in ["local n = s + 0", "local t = s .. i", "local n = tonumber(s)", "local f = ('%s'):format(s)"]
    {
        let before = number(&mut client, "outgrown");
        let script = format!("local s = ('1'):rep(200000) for i = 1, 2000 do {step} end return 'done'");
        assert_eq!(client.call(&["EVAL", &script, "0"]).unwrap().bytes(), Some(&b"done"[..]));
        assert!(number(&mut client, "outgrown") > before, "{step}");
    }
}

/// A script is one moment, in the section and in the heavy pool, and every push is there exactly once.
#[test]
fn a_hot_list_takes_pushes_of_scripts_from_everywhere() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 40;
    let server = start(&[]);
    let script = "if ARGV[2] == 'long' then for i = 1, 20000 do end end
        local before = redis.call('LLEN', KEYS[1])
        local after = redis.call('RPUSH', KEYS[1], ARGV[1])
        if after ~= before + 1 then return redis.error_reply('TORN ' .. before .. ' ' .. after) end
        return after";
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let mut client = server.client().unwrap();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let how = if (number + round) % 2 == 0 { "long" } else { "short" };
                    let value = format!("{number}:{round}");
                    let told = client.call(&["EVAL", script, "1", "hot", &value, how]).unwrap();
                    assert!(matches!(told, Reply::Integer(_)), "{told:?}");
                }
            });
        }
    });
    let mut client = server.client().unwrap();
    let Reply::Array(items) = client.want("LRANGE hot 0 -1").unwrap() else { panic!("no list") };
    let mut items: Vec<_> = items.iter().map(|item| item.bytes().unwrap().to_vec()).collect();
    assert_eq!(items.len(), CLIENTS * ROUNDS);
    items.sort();
    items.dedup();
    assert_eq!(items.len(), CLIENTS * ROUNDS, "something came twice");
}

#[test]
fn libraries_outlast_the_process_and_come_in_the_order_of_everything_else() {
    let mut server = start(&[]);
    let mut client = server.client().unwrap();
    let library = |value: usize| {
        format!(
            "#!lua name=l\nredis.register_function{{function_name='f', callback=function() return {value} end, flags={{'no-writes'}}}}"
        )
    };
    for value in 1..=20 {
        client.call(&["FUNCTION", "LOAD", "REPLACE", &library(value)]).unwrap();
        // On whatever thread it is called.
        for _ in 0..4 {
            let mut other = server.client().unwrap();
            assert_eq!(other.want("FCALL f 0").unwrap(), Reply::Integer(value as i64));
        }
        assert_eq!(client.want("FCALL_RO f 0").unwrap(), Reply::Integer(value as i64));
    }
    server.kill().unwrap();
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.want("FCALL f 0").unwrap(), Reply::Integer(20));
    client.want("FLUSHALL").unwrap();
    assert_eq!(client.want("FCALL f 0").unwrap(), Reply::Integer(20), "libraries are no keys");
    let dump = client.want("FUNCTION DUMP").unwrap();
    client.want("FUNCTION FLUSH").unwrap();
    let gone = Reply::Error("ERR Function not found".into());
    assert_eq!(client.line("FCALL f 0").unwrap(), gone);
    client.call(&[&b"FUNCTION"[..], b"RESTORE", dump.bytes().unwrap()]).unwrap();
    assert_eq!(client.want("FCALL f 0").unwrap(), Reply::Integer(20));
    client.want("FUNCTION DELETE l").unwrap();
    assert_eq!(client.line("FCALL f 0").unwrap(), gone);
}

/// FUNCTION and SCRIPT LOAD take part in transactions, and scripts in them see what came before.
#[test]
fn scripts_are_parts_of_transactions() {
    let server = start(&[]);
    let mut client = server.client().unwrap();
    let commands = [
        words("MULTI"),
        words("SET k 1"),
        vec![b"EVAL".to_vec(), b"redis.call('INCR', KEYS[1]) redis.call('SELECT', 3) redis.call('SET', 'k', 'there') return redis.call('NO')".to_vec(), b"1".to_vec(), b"k".to_vec()],
        words("GET k"),
        vec![b"SCRIPT".to_vec(), b"LOAD".to_vec(), b"return 7".to_vec()],
        words("EVALSHA 7e7dd3d4ba7ea5c6a6c5a3c5a9ae1a3b4c5d6e7f 0"),
        words("EXEC"),
    ];
    let replies = client.pipeline(&commands).unwrap();
    let Some(Reply::Array(parts)) = replies.last() else { panic!("{replies:?}") };
    assert_eq!(parts[0], Reply::ok());
    assert!(
        matches!(&parts[1], Reply::Error(text) if text.starts_with("ERR Unknown Redis command called from script"))
    );
    assert_eq!(parts[2], Reply::bulk("2"), "what a script did before it failed stays");
    assert!(parts[3].bytes().is_some_and(|sha| sha.len() == 40));
    assert!(matches!(&parts[4], Reply::Error(text) if text.starts_with("NOSCRIPT ")));
    assert_eq!(client.want("GET k").unwrap(), Reply::bulk("2"), "a script's SELECT is its own");
    client.want("SELECT 3").unwrap();
    assert_eq!(client.want("GET k").unwrap(), Reply::bulk("there"));
}

/// What a user may not do, his scripts may not, either.
#[test]
fn scripts_have_the_rights_of_their_user() {
    let server = start(&[]);
    let mut admin = server.client().unwrap();
    admin.want("ACL SETUSER me on >secret ~mine:* +@scripting +get +set").unwrap();
    admin.want("SET other 1").unwrap();
    let mut client = server.client().unwrap();
    client.want("AUTH me secret").unwrap();
    for long in ["", "for i = 1, 20000 do end "] {
        let mut told = |code: &str| client.call(&["EVAL", &format!("{long}{code}"), "0"]).unwrap();
        assert_eq!(told("return redis.call('SET', 'mine:a', 1)"), Reply::ok());
        let denied = told("return redis.call('GET', 'other')");
        assert!(
            matches!(&denied, Reply::Error(text) if text.starts_with("NOPERM ACL failure in script: ")),
            "{denied:?}"
        );
        let denied = told("return redis.call('DEL', 'mine:a')");
        assert!(
            matches!(&denied, Reply::Error(text) if text.starts_with("NOPERM ACL failure in script: ")),
            "{denied:?}"
        );
        assert_eq!(
            told("return {redis.acl_check_cmd('GET', 'mine:a'), redis.acl_check_cmd('GET', 'other')}"),
            Reply::Array(vec![Reply::Integer(1), Reply::NullBulk])
        );
    }
    let log = format!("{:?}", admin.want("ACL LOG").unwrap());
    assert!(log.contains("lua") && log.contains("other"), "{log}");
}
