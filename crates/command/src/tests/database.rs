//! Whole databases.

use crate::Lane;
use crate::testing::{Bench, Mode, check, execute, show, split};

#[test]
fn dbsize_counts_the_selected_database() {
    check(
        "dbsize => :0
        mset a 1 b 2
        dbsize => :2
        db 1
        dbsize => :0
        set a 1
        dbsize => :1
        db 0
        del a => :1
        dbsize => :1",
    );
}

#[test]
fn a_flush_empties_one_database_or_all() {
    check(
        r#"mset a 1 b 2
        flushdb
        dbsize => :0
        get a => nil
        keys * => []
        scan 0 => ["0" []]
        randomkey => nil
        set a 3
        get a => "3"
        db 1
        set a 1
        flushdb async
        dbsize => :0
        db 0
        get a => "3"
        flushall sync
        dbsize => :0
        flushall
        flushdb what => -ERR syntax error
        flushall sync async => -ERR syntax error"#,
    );
}

#[test]
fn swapdb_exchanges_two_databases() {
    check(
        r#"set a 0
        swapdb 0 1
        get a => nil
        dbsize => :0
        db 1
        get a => "0"
        dbsize => :1
        swapdb 1 1
        swapdb 1 x => -ERR invalid second DB index
        swapdb x 1 => -ERR invalid first DB index
        swapdb 0 2147483648 => -ERR invalid second DB index
        swapdb 0 16 => -ERR DB index is out of range
        swapdb -1 0 => -ERR DB index is out of range"#,
    );
}

#[test]
fn one_transaction_sees_its_own_changes() {
    check(
        r#"set a 1
        set b 1 ; dbsize ; del a b ; dbsize => +OK ; :2 ; :2 ; :0
        set a 1 ; flushdb ; dbsize ; set b 2 ; dbsize ; keys * => +OK ; +OK ; :0 ; +OK ; :1 ; ["b"]
        dbsize => :1
        mget a b => [nil "2"]
        set c 1 ; swapdb 0 1 ; dbsize ; set d 1 ; keys * => +OK ; +OK ; :0 ; +OK ; ["d"]
        keys * => ["d"]
        db 1
        dbsize => :2
        expire b 10 ; ttl b ; rename b x ; ttl x => :1 ; :10 ; +OK ; :10
        set y 1 ; incr z ; get y ; del z ; scan 0 match y => +OK ; :1 ; "1" ; :1 ; ["0" ["y"]]"#,
    );
}

#[test]
fn a_flush_of_nothing_writes_nothing() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.run("set a 1");
    let flush = |bench: &mut Bench| bench.in_lane(Lane::Inline, |txn| execute(txn, &split("flushall")));
    assert!(flush(&mut bench).wrote);
    assert!(!flush(&mut bench).wrote);
}

#[test]
fn dbsize_depends_on_every_write_before_it() {
    let mut bench = Bench::new(Mode::Lanes);
    bench.store();
    let set = bench.in_lane(Lane::Inline, |txn| execute(txn, &split("set a 1")));
    for lane in [Lane::Inline, Lane::Read, Lane::Heavy] {
        let counted = bench.in_lane(lane, |txn| execute(txn, &split("dbsize")));
        assert_eq!(show(&counted.result.unwrap()), ":1");
        assert!(counted.gate.stamp >= set.gate.stamp, "{lane:?}");
    }
}

#[test]
fn whoever_writes_what_it_counted_is_not_overtaken() {
    let mut bench = Bench::new(Mode::Heavy);
    let other = bench.group.clone();
    let mut runs = 0;
    let done = bench.in_lane(Lane::Heavy, |txn| {
        runs += 1;
        let counted = execute(txn, &split("dbsize"))?;
        if runs == 1 {
            // Somebody else adds a key after it was counted.
            let mut scratch = store::Scratch::default();
            let added = split("set other 1");
            let done = other.run_inline(0, &mut scratch, |txn| execute(txn, &added));
            assert!(done.is_ok_and(|done| done.wrote));
        }
        execute(txn, &split(&format!("set count {}", show(&counted))))
    });
    assert!(done.wrote);
    assert_eq!(runs, 2);
    assert_eq!(show(&bench.run("get count")), "\":1\"");
}
