//! Keys, whatever they hold.

use crate::testing::check;

#[test]
fn keys_are_counted_and_removed() {
    check(
        "mset a 1 b 2 c 3
        exists a b x a => :3
        touch a x => :1
        del a x a => :1
        unlink b c b => :2
        exists a b c => :0
        type a => +none
        set a 1
        type a => +string
        del => -ERR wrong number of arguments for 'del' command",
    );
}

#[test]
fn rename_takes_value_and_expiry_along() {
    check(
        r#"rename a b => -ERR no such key
        rename a a => -ERR no such key
        set a 1 ex 10
        set b 2
        rename a b
        get b => "1"
        ttl b => :10
        exists a => :0
        rename b b
        renamenx b b => :0
        renamenx a b => -ERR no such key
        set c 3
        renamenx b c => :0
        renamenx b d => :1
        ttl d => :10
        get c => "3"
        dbsize => :2"#,
    );
}

#[test]
fn copies_are_independent() {
    check(
        r#"copy a b => :0
        set a 1 ex 10
        copy a b => :1
        append b x => :2
        get a => "1"
        ttl b => :10
        copy a b => :0
        copy a b replace => :1
        get b => "1"
        copy a a => -ERR source and destination objects are the same
        copy a a db 1 => :1
        copy a b db 1 replace => :1
        copy a b db 1 => :0
        db 1
        mget a b => ["1" "1"]
        ttl a => :10
        copy a b db 16 => -ERR DB index is out of range
        copy a b db -1 => -ERR DB index is out of range
        copy a b db x => -ERR value is not an integer or out of range
        copy a b db 2147483648 => -ERR value is out of range, value must between -2147483648 and 2147483647
        copy a b db => -ERR syntax error
        copy a b what => -ERR syntax error"#,
    );
}

#[test]
fn move_changes_the_database() {
    check(
        r#"move a 1 => :0
        set a 1 ex 10
        move a 0 => -ERR source and destination objects are the same
        move a 16 => -ERR DB index is out of range
        move a x => -ERR value is not an integer or out of range
        move a 1 => :1
        exists a => :0
        set a 2
        move a 1 => :0
        get a => "2"
        db 1
        get a => "1"
        ttl a => :10"#,
    );
}

#[test]
fn object_says_how_redis_would_keep_it() {
    let long = "x".repeat(45);
    let short = "x".repeat(44);
    check(&format!(
        r#"mset int 123 neg -5 big 9223372036854775808 short {short} long {long} zeros 007
        object encoding int => "int"
        object encoding neg => "int"
        object encoding big => "embstr"
        object encoding short => "embstr"
        object encoding long => "raw"
        object encoding zeros => "embstr"
        object encoding missing => nil
        append int 4 => :4
        object encoding int => "raw"
        incr int => :1235
        object encoding int => "int"
        append fresh 1 => :1
        object encoding fresh => "int"
        setrange neg 0 1 => :2
        object encoding neg => "raw"
        incrbyfloat int 1 => "1236"
        object encoding int => "embstr"
        copy int copied => :1
        object encoding copied => "embstr"
        expire copied 10 => :1
        object encoding copied => "embstr""#
    ));
}

#[test]
fn object_answers_what_is_not_kept() {
    check(
        "set a 1
        set b text
        object refcount a => :2147483647
        object refcount b => :1
        object refcount missing => nil
        object idletime a => :0
        object idletime missing => nil
        object freq missing => nil
        object FREQ a => -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        object what a => -ERR unknown subcommand 'what'. Try OBJECT HELP.
        object encoding => -ERR wrong number of arguments for 'object|encoding' command
        object => -ERR wrong number of arguments for 'object' command",
    );
}
