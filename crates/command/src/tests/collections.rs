//! Lists, hashes, sets and sorted sets, packed and wide, in every lane.

use resp::Reply;

use crate::testing::{Bench, MODES, Mode, check, check_watch, check_with, show, wide};

/// Runs a script with collections packed as long as possible, and as short as possible.
#[track_caller]
fn check_both(script: &str) {
    check(script);
    check_with(wide, script);
}

#[test]
fn lists_grow_and_shrink_at_both_ends() {
    check_both(
        "RPUSH l a b c d => :4
         LPUSH l z y => :6
         LRANGE l 0 -1 => [\"y\" \"z\" \"a\" \"b\" \"c\" \"d\"]
         LPOP l => \"y\"
         RPOP l 2 => [\"d\" \"c\"]
         LLEN l => :3
         LINDEX l -1 => \"b\"
         LSET l 1 A => +OK
         LRANGE l -2 5 => [\"A\" \"b\"]
         LPOP l 9 => [\"z\" \"A\" \"b\"]
         EXISTS l => :0
         LPUSHX l x => :0",
    );
}

#[test]
fn items_go_in_and_out_of_the_middle_of_a_list() {
    check_both(
        "RPUSH l a b c b d b e => :7
         LINSERT l BEFORE c x => :8
         LINSERT l AFTER e y => :9
         LRANGE l 0 -1 => [\"a\" \"b\" \"x\" \"c\" \"b\" \"d\" \"b\" \"e\" \"y\"]
         LPOS l b RANK -1 => :6
         LPOS l b COUNT 0 => [:1 :4 :6]
         LREM l -2 b => :2
         LRANGE l 0 -1 => [\"a\" \"b\" \"x\" \"c\" \"d\" \"e\" \"y\"]
         LREM l 0 nothing => :0
         LTRIM l 1 -2 => +OK
         LRANGE l 0 -1 => [\"b\" \"x\" \"c\" \"d\" \"e\"]
         LREM l 1 b => :1
         LREM l 1 e => :1
         LRANGE l 0 -1 => [\"x\" \"c\" \"d\"]
         LTRIM l 5 9 => +OK
         TYPE l => +none",
    );
}

#[test]
fn items_move_between_lists_and_round_one() {
    check_both(
        "RPUSH a 1 2 3 => :3
         LMOVE a a LEFT RIGHT => \"1\"
         LRANGE a 0 -1 => [\"2\" \"3\" \"1\"]
         RPOPLPUSH a b => \"1\"
         LMOVE a b RIGHT LEFT ; LRANGE b 0 -1 ; LLEN a => \"3\" ; [\"3\" \"1\"] ; :1
         LMOVE a b LEFT LEFT => \"2\"
         EXISTS a => :0
         LMPOP 2 a b RIGHT COUNT 2 => [\"b\" [\"1\" \"3\"]]
         SET s x
         LMOVE b s LEFT LEFT => -WRONGTYPE Operation against a key holding the wrong kind of value
         LRANGE b 0 -1 => [\"2\"]",
    );
}

#[test]
fn a_list_that_is_cut_grows_over_what_was_cut_off() {
    let numbers =
        |range: std::ops::Range<u32>| range.map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    for mode in MODES {
        let mut bench = Bench::new(mode);
        wide(&bench);
        assert_eq!(bench.answer(&format!("RPUSH l {}", numbers(0..300))), ":300");
        for round in 0..3 {
            assert_eq!(bench.answer("LTRIM l 100 109"), "+OK");
            assert_eq!(bench.answer("LLEN l"), ":10");
            bench.store();
            assert_eq!(bench.answer(&format!("RPUSH l {}", numbers(0..200))), ":210");
            assert_eq!(bench.answer("LINDEX l 10"), "\"0\"", "round {round}");
            assert_eq!(bench.answer("LINDEX l -1"), "\"199\"");
            bench.store();
            assert_eq!(bench.answer("LRANGE l 205 -1"), "[\"195\" \"196\" \"197\" \"198\" \"199\"]");
        }
    }
}

#[test]
fn hashes_hold_fields() {
    check_both(
        "HSET h f 1 g 2 h 3 => :3
         HSET h f 4 i 5 => :1
         HGET h f => \"4\"
         HMGET h f x i => [\"4\" nil \"5\"]
         HLEN h => :4
         HINCRBY h f 10 => :14
         HINCRBYFLOAT h g 0.5 => \"2.5\"
         HINCRBY h g 1 => -ERR hash value is not an integer
         HSETNX h f x => :0
         HSTRLEN h g => :3
         HDEL h f g x => :2
         HDEL h h ; HGETALL h => :1 ; {\"i\": \"5\"}
         HDEL h i => :1
         HGETALL h => {}
         EXISTS h => :0",
    );
}

#[test]
fn sets_hold_members() {
    check_both(
        "SADD s 3 1 2 => :3
         SADD s 1 a b => :2
         SCARD s => :5
         SISMEMBER s 2 => :1
         SMISMEMBER s 2 x => [:1 :0]
         SREM s 1 2 x => :2
         SMOVE s t a => :1
         SMEMBERS t => ~\"a\"~
         SREM s 3 ; SMEMBERS s => :1 ; ~\"b\"~
         SPOP s => \"b\"
         EXISTS s => :0
         SPOP t 5 => ~\"a\"~
         EXISTS t => :0",
    );
}

#[test]
fn sets_are_compared() {
    check_both(
        "SADD a 1 2 3 4 => :4
         SADD b 3 4 5 => :3
         SADD c 4 => :1
         SINTER a b c => ~\"4\"~
         SINTERCARD 2 a b LIMIT 1 => :1
         SINTERSTORE d a b => :2
         SUNIONSTORE e a b c => :5
         SDIFFSTORE f a b => :2
         SDIFF f a => ~~
         SCARD e => :5
         SINTERSTORE e a none => :0
         EXISTS e => :0",
    );
}

#[test]
fn sorted_sets_are_in_order() {
    check_both(
        "ZADD z 3 c 1 a 2 b 2 bb => :4
         ZRANGE z 0 -1 WITHSCORES => [\"a\" ,1 \"b\" ,2 \"bb\" ,2 \"c\" ,3]
         ZADD z XX CH 5 a 2 b 9 x => :1
         ZRANK z a => :3
         ZREVRANK z b => :3
         ZINCRBY z -10 a => ,-5
         ZRANGE z (-5 2 BYSCORE => [\"b\" \"bb\"]
         ZCOUNT z -inf 2 => :3
         ZREVRANGEBYSCORE z +inf -inf LIMIT 1 2 => [\"bb\" \"b\"]
         ZPOPMAX z => [\"c\" ,3]
         ZPOPMIN z 2 => [\"a\" ,-5 \"b\" ,2]
         ZREM z bb x => :1
         EXISTS z => :0",
    );
}

#[test]
fn pops_take_members_in_their_order_to_the_last() {
    let mut bench = Bench::new(Mode::Lanes);
    let members: Vec<String> = (0..3000).map(|number| format!("{number} m{number}")).collect();
    bench.answer(&format!("ZADD z {}", members.join(" ")));
    for number in 0..3000 {
        assert_eq!(bench.answer("ZPOPMIN z"), format!("[\"m{number}\" ,{number}]"));
    }
    assert_eq!(bench.answer("EXISTS z"), ":0");
}

#[test]
fn a_collection_keeps_its_expiry_and_loses_it_with_itself() {
    check_both(
        "RPUSH l a b c => :3
         EXPIRE l 100 => :1
         RPUSH l d => :4
         LPOP l 3 => [\"a\" \"b\" \"c\"]
         TTL l => :100
         LPOP l => \"d\"
         RPUSH l e => :1
         TTL l => :-1
         EXPIRE l 1 => :1
         wait 1000
         LLEN l => :0
         SADD l x y z => :3",
    );
}

#[test]
fn copies_share_nothing() {
    check_both(
        "HSET h f 1 g 2 h 3 => :3
         COPY h c => :1
         HSET c f 9 ; HGET h f ; HGET c f => :0 ; \"1\" ; \"9\"
         DEL h => :1
         HLEN c => :3
         RENAME c d => +OK
         HGET d g => \"2\"",
    );
}

#[test]
fn what_is_written_in_a_transaction_is_seen_in_it() {
    check_both(
        "RPUSH l a b c d ; LPOP l ; RPUSH l e ; LRANGE l 0 -1 ; DEL l ; EXISTS l ; RPUSH l x ; LRANGE l 0 -1 \
         => :4 ; \"a\" ; :4 ; [\"b\" \"c\" \"d\" \"e\"] ; :1 ; :0 ; :1 ; [\"x\"]
         SADD s a b c d ; SREM s a b c d ; EXISTS s ; SADD s z ; SCARD s => :4 ; :4 ; :0 ; :1 ; :1
         ZADD z 1 a 2 b 3 c ; ZPOPMIN z ; ZRANGE z 0 -1 ; ZREM z b c ; EXISTS z \
         => :3 ; [\"a\" ,1] ; [\"b\" \"c\"] ; :2 ; :0",
    );
}

#[test]
fn long_fields_and_members_are_found() {
    let long = "x".repeat(2_000);
    for mode in MODES {
        let mut bench = Bench::new(mode);
        assert_eq!(bench.answer(&format!("HSET h {long} 1 {long}y 2")), ":2");
        assert_eq!(bench.answer(&format!("HGET h {long}y")), "\"2\"");
        assert_eq!(bench.answer(&format!("SADD s {long} {long}y {long}")), ":2");
        assert_eq!(bench.answer(&format!("SISMEMBER s {long}y")), ":1");
        assert_eq!(bench.answer(&format!("ZADD z 2 {long} 1 {long}y")), ":2");
        assert_eq!(bench.answer(&format!("ZRANK z {long}")), ":1");
        assert_eq!(bench.answer(&format!("HDEL h {long} {long}y")), ":2");
        assert_eq!(bench.answer("EXISTS h"), ":0");
    }
}

#[test]
fn scans_come_to_every_element_once() {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        let fields: Vec<String> = (0..1000).map(|number| format!("f{number} {number}")).collect();
        bench.answer(&format!("HSET h {}", fields.join(" ")));
        bench.store();
        let (mut cursor, mut found, mut pages) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let Reply::Array(page) = bench.run(&format!("HSCAN h {cursor} COUNT 50")) else { panic!() };
            let [Reply::Bulk(next), Reply::Array(items)] = &page[..] else { panic!("{page:?}") };
            assert!(items.len() <= 2 * 52);
            found.extend(items.chunks(2).map(|pair| show(&pair[0])));
            cursor = String::from_utf8_lossy(next.as_slice()).into_owned();
            pages += 1;
            if cursor == "0" {
                break;
            }
        }
        found.sort();
        found.dedup();
        assert_eq!((found.len(), pages), (1000, 20), "{mode:?}");
    }
}

/// Runs a command of many words.
fn call(bench: &mut Bench, words: impl IntoIterator<Item = String>) -> String {
    let words: Vec<String> = words.into_iter().collect();
    show(&bench.call(&crate::OwnedArgs::of(words.iter().map(String::as_bytes))))
}

/// Many members, of a megabyte and a half in all: what is made of them is built aside, in several turns.
fn many(head: &str, member: impl Fn(usize) -> Vec<String>) -> Vec<String> {
    let members = (0..MANY).flat_map(member);
    head.split(' ').map(str::to_owned).chain(members).collect()
}

const MANY: usize = 6_000;

fn long(number: usize) -> String {
    format!("{number:0>250}")
}

#[test]
fn what_is_large_is_built_aside_and_holds_the_same() {
    let bench = &mut Bench::new(Mode::Lanes);
    assert_eq!(call(bench, many("SADD a", |number| vec![long(number)])), format!(":{MANY}"));
    assert_eq!(call(bench, many("SADD b", |number| vec![long(number + 1_000)])), format!(":{MANY}"));
    assert_eq!(bench.answer("SUNIONSTORE u a b"), format!(":{}", MANY + 1_000));
    assert_eq!(bench.answer("SINTERCARD 2 u a"), format!(":{MANY}"));
    assert_eq!(bench.answer("SDIFFSTORE d u a"), ":1000");
    let scored = |number: usize| vec![(number % 100).to_string(), long(number)];
    assert_eq!(call(bench, many("ZADD z", scored)), format!(":{MANY}"));
    assert_eq!(bench.answer("ZUNIONSTORE y 2 z a WEIGHTS 1 0"), format!(":{MANY}"));
    bench.store();
    for rank in [0, 1, 59, 60, 3_000, 5_999] {
        let member = |key: &str| format!("ZRANGE {key} {rank} {rank} WITHSCORES");
        assert_eq!(bench.answer(&member("y")), bench.answer(&member("z")), "{rank}");
    }
    assert_eq!(bench.answer("ZCOUNT y 10 19"), format!(":{}", MANY / 10));
    let fields = |number: usize| vec![format!("f{number}"), long(number)];
    assert_eq!(call(bench, many("HSET h", fields)), format!(":{MANY}"));
    assert_eq!(call(bench, many("RPUSH l", |number| vec![long(number)])), format!(":{MANY}"));
    for (key, ask) in [("h", "HGET copy f5999"), ("l", "LINDEX copy 5999"), ("z", "ZRANGE copy 5999 5999")] {
        assert_eq!(bench.answer(&format!("COPY {key} copy REPLACE")), ":1");
        bench.store();
        assert_eq!(bench.answer(ask), bench.answer(&ask.replace("copy", key)), "{key}");
    }
    assert_eq!(bench.answer("DEL a b u d z y h l copy"), ":9");
}

#[test]
fn a_dump_of_what_is_large_comes_back() {
    for (make, pair, count) in [
        ("SADD k", false, "SCARD k"),
        ("RPUSH k", false, "LLEN k"),
        ("HSET k", true, "HLEN k"),
        ("ZADD k", true, "ZCARD k"),
    ] {
        let bench = &mut Bench::new(Mode::Lanes);
        let member = |number: usize| {
            if pair { vec![number.to_string(), long(number)] } else { vec![long(number)] }
        };
        call(bench, many(make, member));
        let Reply::Bulk(payload) = bench.run("DUMP k") else { panic!("{make}") };
        bench.answer("DEL k");
        let restore: [&[u8]; 4] = [b"RESTORE", b"k", b"0", &payload];
        assert_eq!(show(&bench.call(&crate::OwnedArgs::of(restore))), "+OK", "{make}");
        bench.store();
        assert_eq!(bench.answer(count), format!(":{MANY}"));
        let Reply::Bulk(again) = bench.run("DUMP k") else { panic!("{make}") };
        assert_eq!(again.len(), payload.len(), "{make}");
    }
}

#[test]
fn what_adds_and_removes_nothing_breaks_no_watch() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("rpush k a b c d", &["lrem k 0 x", "linsert k before x y", "lpop k 0"], "lrem k 0 b"),
        ("sadd k a b c d", &["srem k x", "sadd k a", "smove k other x", "spop k 0"], "srem k b"),
        ("hset k a 1 b 2 c 3 d 4", &["hdel k x", "hsetnx k a 2"], "hdel k b"),
        (
            "zadd k 1 a 2 b 3 c 4 d",
            &[
                "zrem k x",
                "zadd k 1 a",
                "zadd k xx 5 x",
                "zremrangebyrank k 5 -7",
                "zremrangebyscore k 8 9",
                "zremrangebylex k [x [y",
                "zpopmin k 0",
            ],
            "zremrangebyrank k 1 1",
        ),
    ];
    for (setup, idle, removing) in cases {
        for prepare in [|_: &Bench| {}, wide] {
            for command in *idle {
                check_watch(prepare, setup, command, false);
            }
            check_watch(prepare, setup, removing, true);
        }
    }
}
