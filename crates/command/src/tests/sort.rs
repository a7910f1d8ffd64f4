//! SORT.

use crate::testing::{Bench, MODES, Mode, check};

#[test]
fn elements_are_sorted_as_numbers_or_texts() {
    check(
        r#"rpush l 10 -3 2 2 7.5 => :5
        sort l => ["-3" "2" "2" "7.5" "10"]
        sort l desc => ["10" "7.5" "2" "2" "-3"]
        sort l desc asc limit 1 2 => ["2" "2"]
        sort l limit -5 2 => ["-3" "2"]
        sort l limit 4 -1 => ["10"]
        sort l limit 5 1 => []
        sort l limit 0 0 => []
        sort l alpha => ["-3" "10" "2" "2" "7.5"]
        sort_ro l => ["-3" "2" "2" "7.5" "10"]
        sadd s b a c => :3
        sort s => -ERR One or more scores can't be converted into double
        sort s alpha desc => ["c" "b" "a"]
        zadd z 3 1 2 5 1 9 => :3
        sort z => ["1" "5" "9"]
        sort nosuch => []
        set text 1
        sort text => -WRONGTYPE Operation against a key holding the wrong kind of value"#,
    );
}

#[test]
fn elements_keep_their_order_where_none_is_wanted() {
    check(
        r#"rpush l c a b => :3
        sort l by nosort => ["c" "a" "b"]
        sort l by nosort desc => ["b" "a" "c"]
        sort l by nosort desc limit 1 1 => ["a"]
        sort l by nosort by w* => ["c" "a" "b"]
        zadd z 1 x 2 y 3 z => :3
        sort z by nosort desc limit 0 2 => ["z" "y"]
        sort z by nosort limit 1 5 => ["y" "z"]
        sadd s b a c => :3
        sort s by nosort store d => :3
        lrange d 0 -1 => ["a" "b" "c"]"#,
    );
}

#[test]
fn other_keys_say_the_order_and_what_is_told() {
    check(
        r#"rpush l 1 2 3 4 => :4
        mset w1 30 w2 10 w3 20 n1 one n2 two
        hset h1 f b g 1 => :2
        hset h2 f a => :1
        sort l by w* => ["4" "2" "3" "1"]
        sort l by w* desc get # get n* => ["1" "one" "3" nil "2" "two" "4" nil]
        sort l by h*->f alpha => ["3" "4" "2" "1"]
        sort l by h*->f alpha desc => ["1" "2" "3" "4"]
        sort l by h*->f => -ERR One or more scores can't be converted into double
        sort l by nosort get h*->g get h*->nosuch get w*->f get nostar limit 0 1 => ["1" nil nil nil]
        sort l by n* => -ERR One or more scores can't be converted into double
        sort_ro l by w* limit 0 1 get n* => [nil]
        sort l by w* get h* => [nil nil nil nil]"#,
    );
}

#[test]
fn the_result_can_be_kept() {
    check(
        r#"rpush l 3 1 2 => :3
        set w1 x
        sort l store d => :3
        lrange d 0 -1 => ["1" "2" "3"]
        sort l get w* get # store l => :6
        lrange l 0 -1 => ["x" "1" "" "2" "" "3"]
        set d 1
        sort nosuch store d => :0
        exists d => :0
        sadd s b => :1
        set d 1
        sort s store d => -ERR One or more scores can't be converted into double
        get d => "1"
        sort_ro l store d => -ERR syntax error
        sort l store => -ERR syntax error
        sort l limit 1 => -ERR syntax error
        sort l limit 1 x => -ERR value is not an integer or out of range
        sort l by => -ERR syntax error
        sort l nosuch => -ERR syntax error"#,
    );
}

/// What is too much for one transaction is built aside.
#[test]
fn large_results_are_kept_and_found_again() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        for start in (0..3_000).step_by(100) {
            let items = (start..start + 100).map(|at| format!(" {}", (at * 7919) % 3_000));
            bench.run(&format!("rpush l{}", items.collect::<String>()));
            if mode == Mode::Stored && start % 1000 == 0 {
                bench.store();
            }
        }
        assert_eq!(bench.answer("sort l get # get # store d"), ":6000");
        assert_eq!(bench.answer("llen d"), ":6000");
        assert_eq!(bench.answer("lrange d 3000 3001"), r#"["1500" "1500"]"#);
        assert_eq!(bench.answer("lrange d -1 -1"), r#"["2999"]"#);
        assert_eq!(bench.answer("rpush d x"), ":6001");
        assert_eq!(bench.answer("lpop d"), r#""0""#);
        assert_eq!(bench.answer("sort l limit 5 2 desc store d"), ":2");
        assert_eq!(bench.answer("lrange d 0 -1"), r#"["2994" "2993"]"#);
    }
}
