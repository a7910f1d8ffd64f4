//! Clients of other languages connect and work. The scripts are in `clients/`.
//!
//! A script is given host, port and protocol version, or which of its variants. It says `restart` on its standard output when it
//! wants the server to be restarted, and goes on when it is told `restarted`; it ends with success.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::{Server, Spec, tools};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

#[track_caller]
fn check(mut command: Command, variant: impl Display) {
    let mut server = Spec::bulkhead().unwrap().start().unwrap();
    let addr = server.addr();
    let mut child = command
        .args([addr.ip().to_string(), addr.port().to_string(), variant.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to_script = child.stdin.take().unwrap();
    let from_script = BufReader::new(child.stdout.take().unwrap());
    let mut errors = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).map(|_| text)
    });
    let mut said = String::new();
    for line in from_script.lines() {
        let line = line.unwrap();
        if line == "restart" {
            restart(&mut server);
            // It may have failed and gone: its exit code tells.
            let _ = to_script.write_all(b"restarted\n");
        }
        said.push_str(&line);
        said.push('\n');
    }
    let status = child.wait().unwrap();
    let errors = errors.join().unwrap().unwrap();
    assert!(status.success(), "{status}\n{said}{errors}\nthe server's log:\n{}", server.log_tail());
}

fn restart(server: &mut Server) {
    server.stop().unwrap();
    server.restart().unwrap();
}

#[track_caller]
fn check_python(name: &str, protocol: u8) {
    let mut command = Command::new(tools::python().unwrap());
    // Scripts that import one another would leave their byte code among the sources.
    command.arg(script(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    check(command, protocol);
}

#[track_caller]
fn check_node(name: &str, variant: impl Display) {
    let mut command = Command::new(tools::need("node").unwrap());
    command.arg(script(name)).env("CLIENTS", tools::node_modules().unwrap());
    check(command, variant);
}

#[test]
fn redis_py_works_with_resp2() {
    check_python("redis_py.py", 2);
}

#[test]
fn redis_py_works_with_resp3() {
    check_python("redis_py.py", 3);
}

#[test]
fn users_work_from_redis_py_with_resp2() {
    check_python("redis_py_acl.py", 2);
}

#[test]
fn users_work_from_redis_py_with_resp3() {
    check_python("redis_py_acl.py", 3);
}

#[test]
fn ioredis_works() {
    check_node("ioredis.mjs", 2);
}

#[test]
fn node_redis_works_with_resp2() {
    check_node("node_redis.mjs", 2);
}

#[test]
fn node_redis_works_with_resp3() {
    check_node("node_redis.mjs", 3);
}

#[test]
fn transactions_scripts_and_functions_of_redis_py_work_with_resp2() {
    check_python("redis_py_atomic.py", 2);
}

#[test]
fn transactions_scripts_and_functions_of_redis_py_work_with_resp3() {
    check_python("redis_py_atomic.py", 3);
}

#[test]
fn transactions_scripts_and_functions_of_ioredis_work() {
    check_node("ioredis_atomic.mjs", 2);
}

#[test]
fn transactions_scripts_and_functions_of_node_redis_work_with_resp2() {
    check_node("node_redis_atomic.mjs", 2);
}

#[test]
fn transactions_scripts_and_functions_of_node_redis_work_with_resp3() {
    check_node("node_redis_atomic.mjs", 3);
}

#[test]
fn locks_of_python_libraries_exclude_one_another() {
    check_python("locks.py", 2);
}

#[test]
fn redlock_and_rate_limits_of_node_libraries_work() {
    check_node("locks.mjs", 2);
}

#[test]
fn streams_of_redis_py_work_with_resp2() {
    check_python("redis_py_streams.py", 2);
}

#[test]
fn streams_of_redis_py_work_with_resp3() {
    check_python("redis_py_streams.py", 3);
}

#[test]
fn streams_of_ioredis_work() {
    check_node("ioredis_streams.mjs", 2);
}

#[test]
fn streams_of_node_redis_work() {
    check_node("node_redis_streams.mjs", 2);
}

#[test]
fn messages_reach_redis_py_with_resp2() {
    check_python("redis_py_pubsub.py", 2);
}

#[test]
fn messages_reach_redis_py_with_resp3() {
    check_python("redis_py_pubsub.py", 3);
}

#[test]
fn messages_reach_ioredis() {
    check_node("ioredis_pubsub.mjs", 2);
}

#[test]
fn messages_reach_node_redis_with_resp2() {
    check_node("node_redis_pubsub.mjs", 2);
}

#[test]
fn messages_reach_node_redis_with_resp3() {
    check_node("node_redis_pubsub.mjs", 3);
}

#[test]
fn what_redis_py_has_read_is_kept_until_it_changes() {
    check_python("redis_py_caching.py", 3);
}

#[test]
fn what_node_redis_has_read_is_kept_until_it_changes() {
    check_node("node_redis_caching.mjs", 3);
}

#[test]
fn what_is_read_with_ioredis_is_kept_until_it_changes() {
    check_node("ioredis_caching.mjs", 2);
}

#[test]
fn servers_of_socket_io_share_rooms_through_pubsub() {
    check_node("socket_io.mjs", "pubsub");
}

#[test]
fn servers_of_socket_io_share_rooms_through_sharded_pubsub() {
    check_node("socket_io.mjs", "sharded");
}

#[test]
fn servers_of_socket_io_share_rooms_through_streams() {
    check_node("socket_io.mjs", "streams");
}

#[test]
fn celery_does_every_task_once() {
    check_python("celery_worker.py", 2);
}

#[test]
fn rq_does_every_job_once() {
    check_python("rq_worker.py", 2);
}

#[test]
fn bullmq_does_every_job_once() {
    check_node("bullmq.mjs", 2);
}

#[test]
fn bottleneck_keeps_its_limits() {
    check_node("bottleneck.mjs", 2);
}

/// What redis-cli prints for some commands given on its standard input.
#[track_caller]
fn check_cli(option: Option<&str>, commands: &str, printed: &str) {
    let server = Spec::bulkhead().unwrap().start().unwrap();
    let mut child = Command::new(tools::need("redis-cli").unwrap())
        .args(["-p", &server.addr().port().to_string(), "--no-raw"])
        .args(option)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), printed);
}

const CLI_COMMANDS: &str =
    "SET a 1\nINCR a\nMGET a nothing\nINCRBY a x\nEXPIRE a 100\nTTL a\nCOPY a b\nEXISTS a b c\n";

#[test]
fn redis_cli_works_with_resp2() {
    check_cli(
        None,
        CLI_COMMANDS,
        "OK\n(integer) 2\n1) \"2\"\n2) (nil)\n(error) ERR value is not an integer or out of range\n\
         (integer) 1\n(integer) 100\n(integer) 1\n(integer) 2\n",
    );
}

#[test]
fn redis_cli_works_with_resp3() {
    check_cli(
        Some("-3"),
        "SET a 1\nGET a\nGET nothing\nCONFIG GET maxmemory-policy\nHELLO 4\n",
        "OK\n\"1\"\n(nil)\n1# \"maxmemory-policy\" => \"noeviction\"\n(error) NOPROTO unsupported protocol version\n",
    );
}
