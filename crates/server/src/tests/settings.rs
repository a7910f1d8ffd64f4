//! CONFIG.

use super::harness::{TestNode, check};

#[test]
fn settings_are_shown_by_name_and_by_pattern() {
    TestNode::start().check(&[
        ("CONFIG GET maxmemory", "[\"maxmemory\", \"0\"]"),
        ("CONFIG GET MAXMEMORY-POLICY", "[\"maxmemory-policy\", \"noeviction\"]"),
        ("CONFIG GET save appendonly", "[\"appendonly\", \"yes\", \"save\", \"\"]"),
        ("CONFIG GET slowlog-*", "[\"slowlog-log-slower-than\", \"10000\", \"slowlog-max-len\", \"128\"]"),
        ("CONFIG GET heavy-queue", "[\"heavy-queue\", \"64\"]"),
        ("CONFIG GET appendfsync", "[\"appendfsync\", \"always\"]"),
        ("CONFIG GET databases", "[\"databases\", \"16\"]"),
        ("CONFIG GET nosuch", "[]"),
        ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command"),
        ("CONFIG NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CONFIG HELP."),
        ("CONFIG REWRITE", "-ERR The server is running without a config file"),
        ("CONFIG RESETSTAT", "+OK"),
    ]);
}

#[test]
fn settings_are_changed_all_or_none() {
    let failed = |name: &str, why: &str| {
        format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
    };
    let node = TestNode::start();
    let mut client = node.client();
    for (line, expected) in [
        ("CONFIG SET timeout 7 maxclients 9", "+OK".into()),
        ("CONFIG GET timeout maxclients", "[\"maxclients\", \"9\", \"timeout\", \"7\"]".into()),
        (
            "CONFIG SET timeout 8 maxclients 0",
            failed("maxclients", "argument must be between 1 and 4294967295 inclusive"),
        ),
        ("CONFIG GET timeout", "[\"timeout\", \"7\"]".into()),
        ("CONFIG SET timeout x", failed("timeout", "argument couldn't be parsed into an integer")),
        ("CONFIG SET timeout 0 timeout 1", failed("timeout", "duplicate parameter")),
        ("CONFIG SET port 1", failed("port", "can't set immutable config")),
        (
            "CONFIG SET nosuch 1",
            "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'".into(),
        ),
        ("CONFIG SET timeout 0 x", "-ERR syntax error".into()),
        ("CONFIG SET heavy-threads 3 heavy-queue 0 heavy-timeout 250", "+OK".into()),
        (
            "CONFIG GET heavy-*",
            "[\"heavy-queue\", \"0\", \"heavy-threads\", \"3\", \"heavy-timeout\", \"250\"]".into(),
        ),
        (
            "CONFIG SET heavy-threads 0",
            failed("heavy-threads", "argument must be between 1 and 1024 inclusive"),
        ),
        ("CONFIG GET stall-timeout", "[\"stall-timeout\", \"60\"]".into()),
        ("CONFIG SET stall-timeout 5", "+OK".into()),
        ("CONFIG GET stall-timeout", "[\"stall-timeout\", \"5\"]".into()),
        ("CONFIG SET stall-timeout 0", "+OK".into()),
        (
            "CONFIG SET stall-timeout -1",
            failed("stall-timeout", "argument must be between 0 and 2147483647 inclusive"),
        ),
        ("CONFIG SET save \"\"", "+OK".into()),
        ("CONFIG SET maxmemory 0mb", "+OK".into()),
        ("CONFIG SET maxmemory 1mb", failed("maxmemory", "this server has no other value than '0'")),
    ] {
        check(&mut client, line, &expected);
    }
}

#[test]
fn threads_that_cannot_be_started_are_an_error_and_nothing_is_set() {
    TestNode::start().check(&[
        ("DEBUG FAULT threads on", "+OK"),
        (
            "CONFIG SET timeout 7 heavy-threads 5 heavy-queue 9",
            "-ERR CONFIG SET failed (possibly related to argument 'heavy-threads') - \
             there can be no more threads than 2: …",
        ),
        (
            "CONFIG GET heavy-threads heavy-queue timeout",
            "[\"heavy-queue\", \"64\", \"heavy-threads\", \"2\", \"timeout\", \"0\"]",
        ),
        ("CONFIG SET heavy-threads 1", "+OK"),
        ("KEYS *", "[]"),
        ("DEBUG FAULT threads off", "+OK"),
        ("CONFIG SET heavy-threads 5 heavy-queue 9", "+OK"),
        ("CONFIG GET heavy-threads heavy-queue", "[\"heavy-queue\", \"9\", \"heavy-threads\", \"5\"]"),
        ("KEYS *", "[]"),
    ]);
}

#[test]
fn what_the_program_around_a_node_goes_by_is_shown_and_stays() {
    let node = TestNode::with(|config| {
        config.background_cpus = 3;
        config.program.config_file = Some("/etc/bulkhead.toml".into());
        config.program.log_level = "info,server=debug".into();
        config.program.log_format = "json".into();
    });
    let mut client = node.client();
    for (name, value) in [
        ("background-cpus", "3"),
        ("config", "/etc/bulkhead.toml"),
        ("listen-any", "off"),
        ("log-format", "json"),
        ("log-level", "info,server=debug"),
    ] {
        check(&mut client, &format!("CONFIG GET {name}"), &format!("[\"{name}\", \"{value}\"]"));
        let why = format!("argument '{name}') - can't set immutable config");
        check(&mut client, &format!("CONFIG SET {name} {value}"), &format!("…{why}"));
    }
    check(&mut client, "INFO server", "…config_file:/etc/bulkhead.toml…");
    check(&mut client, "CONFIG REWRITE", "-ERR The configuration file belongs to whoever wrote it");
}
