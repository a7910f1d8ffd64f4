//! The options that bound what clients may take: mistakes in them are explained, and what they say is in force.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use testkit::{Client, Reply, Server, Spec, temp_dir, tools, wait};

const PATIENCE: Duration = Duration::from_secs(20);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn start(options: &[&str]) -> Server {
    let spec = Spec::bulkhead().unwrap();
    options.iter().fold(spec, |spec, option| spec.arg(*option)).start().unwrap()
}

/// What a server says that does not start with these options.
#[track_caller]
fn refused(options: &[&str], expected: &str) {
    let data = temp_dir().unwrap();
    let output = Command::new(tools::bulkhead().unwrap())
        .args(["serve", "--listen", "127.0.0.1:0", "--http", "off", "--ateapi", "off", "--data"])
        .arg(data.path().join("data"))
        .args(options)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(expected), "{options:?}: {said}");
}

#[track_caller]
fn says(client: &mut Client, line: &str, expected: &str) {
    let reply = client.line(line).unwrap();
    let said = match &reply {
        Reply::Error(text) | Reply::Simple(text) => text.clone(),
        other => String::from_utf8_lossy(other.bytes().unwrap_or_default()).into_owned(),
    };
    assert!(said.contains(expected), "{line}: {reply:?}");
}

#[track_caller]
fn is_set(client: &mut Client, name: &str, expected: &str) {
    let reply = client.want(&format!("CONFIG GET {name}")).unwrap();
    assert_eq!(reply, Reply::Array(vec![Reply::bulk(name), Reply::bulk(expected)]));
}

#[test]
fn mistakes_in_bounds_are_explained() {
    for (options, expected) in [
        (&["--max-connections", "0"][..], "0 is not in 1.."),
        (&["--max-connections", "many"], "invalid value 'many' for '--max-connections <N>'"),
        (&["--max-connections-per-peer=-1"], "invalid value '-1' for '--max-connections-per-peer <N>'"),
        (&["--heavy-threads", "0"], "0 is not in 1..="),
        (&["--heavy-threads", "100000"], "is not in"),
        (&["--heavy-queue=-1"], "invalid value '-1' for '--heavy-queue <N>'"),
        (&["--heavy-queue", "99999999"], "99999999 is not in 0..="),
        (&["--heavy-timeout", "60"], "a time is a number and a unit, such as 50ms"),
        (&["--heavy-timeout", "1 moon"], "'moon' is no unit"),
        (&["--stall-timeout", "60"], "a time is a number and a unit, such as 50ms"),
        (&["--memory-soft", "lots"], "a size is a number and a unit, such as 512MiB"),
        (&["--memory-hard", "1 parsec"], "'parsec' is no unit"),
        (&["--memory-soft", "2GiB", "--memory-hard", "1GiB"], "it must not be more"),
        (&["--sample-keys", "sometimes"], "wanted: yes or no"),
    ] {
        refused(options, expected);
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let server = start(&["--max-connections", "20", "--max-connections-per-peer", "0"]);
    // The first one may find a place that is about to be free.
    let mut all: Vec<Client> = Vec::new();
    let full = wait::until("the server to be full", PATIENCE, || {
        let mut client = Client::connect_from(ELSEWHERE, server.addr()).unwrap();
        match client.line("PING") {
            Ok(Reply::Simple(_)) => {
                all.push(client);
                None
            }
            Ok(Reply::Error(text)) => Some(text),
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(full.unwrap(), "ERR max number of clients reached");
    // Two are left, for administrators.
    assert_eq!(all.len(), 18);
    says(&mut all[0], "INFO clients", "maxclients:20\r\n");
    is_set(&mut all[0], "max-connections", "20");
}

#[test]
fn one_peer_has_its_share_of_connections() {
    let server = start(&["--max-connections-per-peer", "2"]);
    let connect = || Client::connect_from(ELSEWHERE, server.addr()).unwrap();
    let mut both = [connect(), connect()];
    both.iter_mut().for_each(|client| says(client, "PING", "PONG"));
    assert_eq!(connect().receive().unwrap(), Reply::Error("ERR max connections per client exceeded".into()));
    let mut other = server.client().unwrap();
    is_set(&mut other, "max-connections-per-peer", "2");
    says(&mut other, "INFO admission", "peer0:addr=127.0.0.2,connections=2\r\n");
}

#[test]
fn where_memory_is_short_what_takes_more_is_refused() {
    // It is from the beginning on, and never as bad as that.
    let server = start(&["--memory-soft", "1MiB", "--memory-hard", "1TiB"]);
    let mut client = server.client().unwrap();
    is_set(&mut client, "memory-soft", "1048576");
    says(&mut client, "INFO memory", "memory_pressure:short\r\n");
    says(&mut client, "SET a 1", "OOM command not allowed when used memory > 'maxmemory'.");
    says(&mut client, "KEYS *", "BUSY the server is short of memory, retry later");
    assert_eq!(client.line("GET a").unwrap(), Reply::NullBulk);
    assert_eq!(client.line("DEL a").unwrap(), Reply::Integer(0));
    says(&mut client, "CONFIG SET memory-soft 0", "OK");
    let set = || client.line("SET a 1").ok().filter(|reply| !reply.is_error());
    wait::until("memory not to be short", PATIENCE, set).unwrap();
}

#[test]
fn at_the_hard_threshold_it_is_critical() {
    let server = start(&["--memory-soft", "1MiB", "--memory-hard", "2MiB"]);
    let mut client = server.client().unwrap();
    says(&mut client, "INFO memory", "memory_pressure:critical\r\n");
    says(&mut client, "SET a 1", "OOM command not allowed");
    assert_eq!(client.line("GET a").unwrap(), Reply::NullBulk);
}

#[test]
fn a_heavy_pool_without_places_is_busy() {
    let server = start(&["--heavy-threads", "1", "--heavy-queue", "0"]);
    let mut client = server.client().unwrap();
    assert_eq!(client.line("KEYS *").unwrap(), Reply::Array(vec![]));
    let mut long = server.client().unwrap();
    long.queue(&["DEBUG", "SLEEP", "3600"]);
    long.flush().unwrap();
    let busy = || match client.line("KEYS *").unwrap() {
        Reply::Error(text) => Some(text),
        _ => None,
    };
    let said = wait::until("the pool to be full", PATIENCE, busy).unwrap();
    assert_eq!(said, "BUSY server overloaded, retry later");
    says(&mut client, "INFO heavy", "heavy_range:running=1,waiting=0,");
    is_set(&mut client, "heavy-threads", "1");
    is_set(&mut client, "heavy-queue", "0");
}

#[test]
fn what_takes_too_long_in_the_heavy_pool_is_stopped() {
    let server = start(&["--heavy-timeout", "50ms"]);
    let mut client = server.client().unwrap();
    is_set(&mut client, "heavy-timeout", "50");
    let reply = client.call(&["EVAL", "while true do end", "0"]).unwrap();
    let expected = "BUSY command took longer than heavy-timeout and was stopped; it has had no effect";
    assert_eq!(reply, Reply::Error(expected.into()));
    says(&mut client, "PING", "PONG");
}
