//! What the commands answer, as data.

use crate::testing::check;

#[test]
fn smoke() {
    check(
        "set a 1
        get a => \"1\"
        incr a => :2
        dbsize => :1
        append a x => :2
        object encoding a => \"raw\"
        expire a 10 => :1
        wait 9999
        ttl a => :0
        pttl a => :1
        wait 2
        get a => nil
        keys * => []
        set b \"\"
        keys * => [\"b\"]
        randomkey => \"b\"
        scan 0 => [\"0\" [\"b\"]]
        flushall
        dbsize => :0",
    );
}
