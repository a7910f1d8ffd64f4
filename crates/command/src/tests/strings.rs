//! Strings: setting, reading, parts of them.

use crate::testing::{Bench, Mode, check, show};

#[test]
fn set_takes_any_bytes() {
    check(
        r#"set k "\x00\r\n\xff"
        get k => "\x00\r\n\xff"
        set "" ""
        get "" => ""
        strlen "" => :0
        strlen k => :4
        strlen missing => :0
        get missing => nil"#,
    );
}

#[test]
fn set_nx_and_xx_look_at_the_key() {
    check(
        r#"set k 1 xx => nil
        set k 1 NX
        set k 2 nx => nil
        get k => "1"
        set k 3 XX
        get k => "3"
        set k 4 nx xx => -ERR syntax error
        set k 4 xx nx => -ERR syntax error
        setnx k 5 => :0
        setnx other 5 => :1"#,
    );
}

#[test]
fn set_get_returns_what_was_there() {
    check(
        r#"set k a get => nil
        set k b get => "a"
        set k c get nx => "b"
        get k => "b"
        set other c nx get => nil
        get other => "c"
        set none c xx get => nil
        exists none => :0
        getset k d => "b"
        getset fresh e => nil
        getdel k => "d"
        getdel k => nil"#,
    );
}

#[test]
fn set_options_exclude_each_other() {
    check(
        "set k v ex 10 px 10 => -ERR syntax error
        set k v ex 10 keepttl => -ERR syntax error
        set k v keepttl exat 10 => -ERR syntax error
        set k v ex 10 ex 20
        ttl k => :20
        set k v keepttl keepttl
        ttl k => :20
        set k v ex => -ERR syntax error
        set k v persist => -ERR syntax error
        set k v what => -ERR syntax error
        set k => -ERR wrong number of arguments for 'set' command
        ttl k => :20",
    );
}

#[test]
fn set_expires() {
    check(
        "set k v ex 10
        pttl k => :10000
        set k v px 1500
        pttl k => :1500
        set k v exat 1700000100
        pttl k => :100000
        set k v pxat 1700000000001
        pttl k => :1
        set k v
        ttl k => :-1
        setex k 7 v
        ttl k => :7
        psetex k 7 v
        pttl k => :7
        wait 7
        get k => nil",
    );
}

#[test]
fn an_expiry_in_the_past_leaves_nothing() {
    check(
        r#"set k v
        set k w pxat 1 get => "v"
        exists k => :0
        dbsize => :0
        set k v exat 1700000000
        exists k => :0"#,
    );
}

#[test]
fn expiry_times_must_be_positive_and_fit() {
    check(
        "set k v ex 0 => -ERR invalid expire time in 'set' command
        set k v px -1 => -ERR invalid expire time in 'set' command
        set k v ex 9223372036854775807 => -ERR invalid expire time in 'set' command
        set k v px 9223372036854775807 => -ERR invalid expire time in 'set' command
        set k v ex x => -ERR value is not an integer or out of range
        setex k 0 v => -ERR invalid expire time in 'setex' command
        psetex k -1 v => -ERR invalid expire time in 'psetex' command
        setex k 1.5 v => -ERR value is not an integer or out of range
        exists k => :0
        set k v exat 9223372036854775
        expiretime k => :9223372036854775
        set k v pxat 9223372036854775807
        pexpiretime k => :9223372036854775807",
    );
}

#[test]
fn getex_changes_only_the_expiry() {
    check(
        r#"getex k ex 0 => nil
        set k v
        getex k => "v"
        ttl k => :-1
        getex k ex 10 => "v"
        ttl k => :10
        getex k => "v"
        ttl k => :10
        getex k persist => "v"
        ttl k => :-1
        getex k px 0 => -ERR invalid expire time in 'getex' command
        getex k ex 10 persist => -ERR syntax error
        getex k keepttl => -ERR syntax error
        getex k nx => -ERR syntax error
        getex k pxat 5 => "v"
        exists k => :0"#,
    );
}

#[test]
fn many_strings_at_once() {
    check(
        r#"mset a 1 b 2 a 3
        mget a b c a => ["3" "2" nil "3"]
        mset a => -ERR wrong number of arguments for 'mset' command
        mset a 1 b => -ERR wrong number of arguments for 'mset' command
        msetnx a 1 b => -ERR wrong number of arguments for 'msetnx' command
        msetnx c 1 b 2 => :0
        exists c => :0
        msetnx c 1 d 2 c 4 => :1
        mget c d => ["4" "2"]
        expire a 10 => :1
        mset a 5
        ttl a => :-1"#,
    );
}

#[test]
fn append_and_setrange_keep_the_expiry() {
    check(
        r#"append k ab => :2
        expire k 10 => :1
        append k cd => :4
        append k "" => :4
        setrange k 1 XY => :4
        get k => "aXYd"
        setrange k 6 z => :7
        get k => "aXYd\x00\x00z"
        ttl k => :10
        setrange k 9 "" => :7
        setrange none 5 "" => :0
        exists none => :0
        setrange fresh 2 x => :3
        get fresh => "\x00\x00x""#,
    );
}

#[test]
fn a_string_may_not_grow_too_long() {
    check(
        "setrange k 536870912 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        setrange k 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        setrange k -1 x => -ERR offset is out of range
        setrange k x x => -ERR value is not an integer or out of range
        exists k => :0",
    );
}

#[test]
fn parts_are_read_by_offsets() {
    check(
        r#"set k hello
        getrange k 1 3 => "ell"
        getrange k -3 -1 => "llo"
        getrange k 0 100 => "hello"
        getrange k 3 1 => ""
        getrange k 0 -100 => "h"
        substr k 0 0 => "h"
        getrange missing 0 -1 => ""
        getrange missing x 1 => -ERR value is not an integer or out of range"#,
    );
}

#[test]
fn lcs_finds_what_redis_finds() {
    check(
        r#"mset a ohmytext b mynewtext
        lcs a b => "mytext"
        lcs a b len => :6
        lcs a b idx => {"matches": [[[4 7] [5 8]] [[2 3] [0 1]]], "len": :6}
        lcs a b idx minmatchlen 4 withmatchlen => {"matches": [[[4 7] [5 8] :4]], "len": :6}
        lcs a b idx minmatchlen -1 => {"matches": [[[4 7] [5 8]] [[2 3] [0 1]]], "len": :6}
        lcs a none => ""
        lcs a none idx => {"matches": [], "len": :0}
        lcs a b len idx => -ERR If you want both the length and indexes, please just use IDX.
        lcs a b what => -ERR syntax error
        lcs a b minmatchlen => -ERR syntax error
        lcs a b minmatchlen x => -ERR value is not an integer or out of range"#
            .replace("[[[4 7] [5 8]] [[2 3] [0 1]]]", "[[[:4 :7] [:5 :8]] [[:2 :3] [:0 :1]]]")
            .replace("[[[4 7] [5 8] :4]]", "[[[:4 :7] [:5 :8] :4]]")
            .as_str(),
    );
}

#[test]
fn lcs_refuses_what_would_not_fit() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("setrange a 20000 x");
    bench.run("setrange b 20000 x");
    let refused = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    assert_eq!(show(&bench.run("lcs a b len")), refused);
    bench.run("setrange c 6000 y");
    assert_eq!(show(&bench.run("lcs a c len")), ":6000");
}
