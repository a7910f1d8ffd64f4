//! Strings that are numbers.

use crate::testing::check;

#[test]
fn integers_are_counted() {
    check(
        r#"incr n => :1
        incrby n 10 => :11
        decr n => :10
        decrby n 20 => :-10
        decrby n -20 => :10
        get n => "10"
        expire n 10 => :1
        incr n => :11
        ttl n => :10
        incrby n x => -ERR value is not an integer or out of range
        incrby n 1.5 => -ERR value is not an integer or out of range"#,
    );
}

#[test]
fn integers_do_not_overflow() {
    check(
        r#"set n 9223372036854775807
        incr n => -ERR increment or decrement would overflow
        decrby n -9223372036854775808 => -ERR decrement would overflow
        set n -9223372036854775808
        decr n => -ERR increment or decrement would overflow
        incrby n -1 => -ERR increment or decrement would overflow
        incrby n 9223372036854775807 => :-1"#,
    );
}

#[test]
fn only_canonical_integers_are_integers() {
    let texts = ["\"\"", "007", "\" 1\"", "+1", "-0", "1.0", "abc", "9223372036854775808"];
    let script =
        texts.map(|text| format!("set n {text}\nincr n => -ERR value is not an integer or out of range"));
    check(&script.join("\n"));
}

#[test]
fn floats_are_added_as_long_doubles() {
    check(
        r#"incrbyfloat f 10.5 => "10.5"
        incrbyfloat f 0.1 => "10.6"
        incrbyfloat f -5 => "5.6"
        set f 5.0e3
        incrbyfloat f 2.0e2 => "5200"
        get f => "5200"
        set f 0.1
        incrbyfloat f 0.2 => "0.3"
        expire f 10 => :1
        incrbyfloat f 1 => "1.3"
        ttl f => :10
        incrbyfloat f x => -ERR value is not a valid float
        incrbyfloat f nan => -ERR value is not a valid float
        incrbyfloat f inf => -ERR increment would produce NaN or Infinity
        set f x
        incrbyfloat f 1 => -ERR value is not a valid float"#,
    );
}
