//! When keys expire.

use crate::testing::check;

#[test]
fn expiry_is_set_and_read_in_both_units() {
    check(
        "ttl k => :-2
        expire k 10 => :0
        set k v
        ttl k => :-1
        pttl k => :-1
        expiretime k => :-1
        expire k 100 => :1
        pttl k => :100000
        expiretime k => :1700000100
        pexpire k 1500 => :1
        ttl k => :2
        pexpire k 1499 => :1
        ttl k => :1
        expireat k 1700000050 => :1
        ttl k => :50
        pexpireat k 1700000000499 => :1
        pexpiretime k => :1700000000499
        expiretime k => :1700000000
        persist k => :1
        persist k => :0
        persist missing => :0
        ttl k => :-1",
    );
}

#[test]
fn times_that_are_past_delete() {
    let past = ["expire k 0", "expire k -1", "pexpire k -5", "expireat k 1", "pexpireat k 1700000000000"];
    let script = past.map(|past| format!("set k v\n{past} => :1\nexists k => :0\ndbsize => :0"));
    check(&script.join("\n"));
}

#[test]
fn what_has_expired_is_gone_for_every_command() {
    check(
        r#"mset a 1 b 2 c 3 d 4 e 5
        pexpire a 5 => :1
        pexpire b 5 => :1
        pexpire c 5 => :1
        pexpire d 5 => :1
        wait 5
        get a => nil
        exists a b c d e => :1
        type a => +none
        ttl a => :-2
        keys * => ["e"]
        scan 0 => ["0" ["e"]]
        randomkey => "e"
        rename a x => -ERR no such key
        copy b x => :0
        persist b => :0
        incr a => :1
        ttl a => :-1
        append b x => :1
        ttl b => :-1
        del c => :0
        setnx d 6 => :1
        ttl d => :-1
        dbsize => :4"#,
    );
}

#[test]
fn conditions_look_at_the_current_expiry() {
    check(
        "set k v
        expire k 10 xx => :0
        expire k 10 gt => :0
        expire k 10 lt => :1
        persist k => :1
        expire k 10 NX => :1
        expire k 20 nx => :0
        expire k 20 lt => :0
        expire k 20 gt => :1
        expire k 20 gt => :0
        expire k 15 xx gt => :0
        expire k 15 xx lt => :1
        ttl k => :15
        expire k 1 nx xx => -ERR NX and XX, GT or LT options at the same time are not compatible
        expire k 1 nx gt => -ERR NX and XX, GT or LT options at the same time are not compatible
        expire k 1 gt lt => -ERR GT and LT options at the same time are not compatible
        expire k 1 what => -ERR Unsupported option what
        expire missing x what => -ERR Unsupported option what",
    );
}

#[test]
fn times_must_fit_64_bits() {
    check(
        "set k v
        expire k 9223372036854775807 => -ERR invalid expire time in 'expire' command
        expire k -9223372036854775808 => -ERR invalid expire time in 'expire' command
        expireat k 9223372036854775807 => -ERR invalid expire time in 'expireat' command
        pexpire k 9223372036854775807 => -ERR invalid expire time in 'pexpire' command
        expire k x => -ERR value is not an integer or out of range
        ttl k => :-1
        pexpireat k 9223372036854775807 => :1
        pexpiretime k => :9223372036854775807
        pexpire k -9223372036854775808 => :1
        exists k => :0",
    );
}
