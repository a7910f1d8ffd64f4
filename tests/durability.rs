//! Stopping and starting: what SIGTERM, kill -9 and a second server on the same data do.

use testkit::{Reply, Spec};

#[test]
fn a_clean_stop_exits_with_success_and_keeps_everything() {
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    let mut client = server.client().unwrap();
    client.want("MSET a 1 b 2").unwrap();
    client.want("EXPIREAT a 4102444800").unwrap();
    client.want("SELECT 5").unwrap();
    client.want("SET c 3").unwrap();
    let status = server.stop().unwrap();
    assert!(status.success(), "{status}\n{}", server.log_tail());
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("GET a").unwrap(), Reply::bulk("1"));
    assert_eq!(client.line("EXPIRETIME a").unwrap(), Reply::Integer(4_102_444_800));
    assert_eq!(client.line("DBSIZE").unwrap(), Reply::Integer(2));
    client.want("SELECT 5").unwrap();
    assert_eq!(client.line("GET c").unwrap(), Reply::bulk("3"));
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there() {
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    server.client().unwrap().want("SET a 1").unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("GET a").unwrap(), Reply::bulk("1"));
    // Twice, so that what a recovery writes is recovered as well.
    client.want("INCR a").unwrap();
    server.kill().unwrap();
    server.restart().unwrap();
    assert_eq!(server.client().unwrap().line("GET a").unwrap(), Reply::bulk("2"));
}

#[test]
fn a_flush_and_a_swap_of_databases_survive_a_kill() {
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    let mut client = server.client().unwrap();
    for line in ["SET gone 1", "FLUSHALL", "SET zero 0", "SELECT 1", "SET one 1", "SWAPDB 0 1"] {
        client.want(line).unwrap();
    }
    server.kill().unwrap();
    server.restart().unwrap();
    let mut client = server.client().unwrap();
    assert_eq!(client.line("KEYS *").unwrap(), Reply::Array(vec![Reply::bulk("one")]));
    client.want("SELECT 1").unwrap();
    assert_eq!(client.line("KEYS *").unwrap(), Reply::Array(vec![Reply::bulk("zero")]));
}

/// Where a server logs to may be on the same disk as its data, and full.
#[test]
fn a_log_that_cannot_be_written_does_not_end_the_server() {
    let spec = Spec::bulkhead().unwrap();
    let dir = testkit::temp_dir().unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let server = spec.start_with_output(dir.path(), full(), full()).unwrap();
    let mut client = server.client().unwrap();
    client.want("SET a 1").unwrap();
    assert_eq!(client.line("GET a").unwrap(), Reply::bulk("1"));
}
