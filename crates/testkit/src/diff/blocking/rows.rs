//! What clients wait with, and what others do meanwhile: one row a command, by theme. Keys are few and the
//! same everywhere, so that kinds collide.
//!
//! Who waits runs its command again in Bulkhead and since Redis 7.2. Redis 7.0 serves it from the key that came first: where
//! several may come at once, rows are for Valkey.

use super::super::compare::Compare::Exact;
use super::super::rows::{Row, row, valkey};

/// What a session is about.
pub(super) struct Theme {
    pub(super) waits: &'static [Row],
    /// Waits for several keys, of which one is enough, or that has to do with another one.
    pub(super) waits_with_several: &'static [Row],
    pub(super) wakes: &'static [Row],
}

/// In both databases.
pub(super) const KEYS: &[&str] = &["k", "l", "m"];
pub(super) const GROUPS: &[&str] = &["g", "h", "both"];

pub(super) const THEMES: &[Theme] = &[
    Theme { waits: LIST_WAITS, waits_with_several: LIST_WAITS_WITH_SEVERAL, wakes: LIST_WAKES },
    Theme {
        waits: SORTED_SET_WAITS,
        waits_with_several: SORTED_SET_WAITS_WITH_SEVERAL,
        wakes: SORTED_SET_WAKES,
    },
    Theme { waits: STREAM_WAITS, waits_with_several: STREAM_WAITS_WITH_SEVERAL, wakes: STREAM_WAKES },
    Theme { waits: GROUP_WAITS, waits_with_several: GROUP_WAITS_WITH_SEVERAL, wakes: GROUP_WAKES },
];

const LIST_WAITS: &[Row] = &[
    row("{BLPOP|BRPOP} {k|l|m} <timeout>", 20, Exact),
    row("BLMPOP <timeout> 1 {k|l} {LEFT|RIGHT} {|COUNT <few>}", 8, Exact),
];

const LIST_WAITS_WITH_SEVERAL: &[Row] = &[
    row("BLMOVE {k|l|m} {k|l|m} {LEFT|RIGHT} {LEFT|RIGHT} <timeout>", 16, Exact),
    row("BRPOPLPUSH {k|l|m} {k|l|m} <timeout>", 8, Exact),
    valkey("{BLPOP|BRPOP} {k l|l k m} <timeout>", 16, Exact),
    valkey("BLMPOP <timeout> {2 k l|3 m l k} {LEFT|RIGHT} {|COUNT <few>}", 8, Exact),
];

const LIST_WAKES: &[Row] = &[
    row("{LPUSH|RPUSH} {k|l|m} <item>+", 60, Exact),
    row("{LPUSHX|RPUSHX} {k|l|m} <item>", 4, Exact),
    row("{LPOP|RPOP} {k|l|m} {|<few>}", 8, Exact),
    row("LMOVE {k|l|m} {k|l|m} {LEFT|RIGHT} {LEFT|RIGHT}", 6, Exact),
    row("RPOPLPUSH {k|l|m} {k|l|m}", 4, Exact),
    row("SORT {k|l|m} STORE {k|l|m}", 3, Exact),
    row("LLEN {k|l|m}", 2, Exact),
];

const SORTED_SET_WAITS: &[Row] = &[
    row("{BZPOPMIN|BZPOPMAX} {k|l|m} <timeout>", 20, Exact),
    row("BZMPOP <timeout> 1 {k|l} {MIN|MAX} {|COUNT <few>}", 10, Exact),
];

const SORTED_SET_WAITS_WITH_SEVERAL: &[Row] = &[
    valkey("{BZPOPMIN|BZPOPMAX} {k l|l k m} <timeout>", 16, Exact),
    valkey("BZMPOP <timeout> {2 k l|3 m l k} {MIN|MAX} {|COUNT <few>}", 10, Exact),
];

const SORTED_SET_WAKES: &[Row] = &[
    row("ZADD {k|l|m} <small> <item>", 40, Exact),
    row("ZADD {k|l|m} <small> <item> <small> <item> <small> <item>", 16, Exact),
    row("ZADD {k|l|m} XX <small> <item>", 2, Exact),
    row("ZINCRBY {k|l|m} <small> <item>", 6, Exact),
    row("{ZPOPMIN|ZPOPMAX} {k|l|m}", 4, Exact),
    row("{ZUNIONSTORE|ZDIFFSTORE} {k|l|m} 1 {k|l|m}", 6, Exact),
    row("ZRANGESTORE {k|l|m} {k|l|m} 0 -1", 4, Exact),
    row("GEOADD {k|l|m} 1 2 <item>", 3, Exact),
    row("SADD {k|l|m} <item>", 2, Exact),
];

const STREAM_WAITS: &[Row] =
    &[row("XREAD {|COUNT <few>} BLOCK <millis-timeout> STREAMS {k|l|m} {$|$|$|<entry>}", 30, Exact)];

const STREAM_WAITS_WITH_SEVERAL: &[Row] = &[
    valkey(
        "XREAD {|COUNT <few>} BLOCK <millis-timeout> STREAMS {k l|l m|m k} {$|<entry>} {$|<entry>}",
        20,
        Exact,
    ),
    valkey("XREAD BLOCK <millis-timeout> STREAMS k l m $ $ $", 10, Exact),
];

const STREAM_WAKES: &[Row] = &[
    row("XADD {k|l|m} 5-* f <item>", 50, Exact),
    // Redis 7.0 serves who waits with no entries at all, if what was added has gone.
    valkey("XADD {k|l|m} {NOMKSTREAM|MAXLEN 0|MAXLEN <few>|MINID <entry>} 5-* f <item>", 12, Exact),
    row("XADD {k|l|m} <entry> f <item>", 6, Exact),
    valkey("XDEL {k|l|m} <entry>+", 10, Exact),
    valkey("XTRIM {k|l|m} MAXLEN {0|<few>}", 4, Exact),
    valkey("XSETID {k|l|m} {5-50|<entry>}", 4, Exact),
    row("XGROUP CREATE {k|l|m} g $ MKSTREAM", 4, Exact),
    row("XRANGE {k|l|m} - +", 2, Exact),
];

const GROUP_WAITS: &[Row] = &[
    row(
        "XREADGROUP GROUP {g|g|h} <consumer> {|COUNT <few>} {|||NOACK} BLOCK <millis-timeout> STREAMS {k|k|l} >",
        50,
        Exact,
    ),
    row(
        "XREADGROUP GROUP g <consumer> {|COUNT <few>} BLOCK <millis-timeout> STREAMS k {0|<entry>}",
        4,
        Exact,
    ),
    row("XREAD BLOCK <millis-timeout> STREAMS {k|l} $", 8, Exact),
];

const GROUP_WAITS_WITH_SEVERAL: &[Row] = &[
    // Those of one group wait for the same keys: Valkey changes the order of who waits for several.
    valkey("XREADGROUP GROUP both <consumer> BLOCK <millis-timeout> STREAMS {k l|l k} > >", 10, Exact),
    valkey("XREADGROUP GROUP {g|h} <consumer> BLOCK <millis-timeout> STREAMS {k l|l k} > 0", 3, Exact),
];

const GROUP_WAKES: &[Row] = &[
    row("XADD {k|k|l} 5-* f <item>", 50, Exact),
    row("XGROUP CREATE {k|k|l} {g|g|h} {$|0|<entry>} MKSTREAM", 30, Exact),
    row("XGROUP CREATE {k|l} both $ MKSTREAM", 10, Exact),
    row("XGROUP DESTROY {k|l} {g|h|both}", 8, Exact),
    row("XGROUP SETID {k|l} {g|h} {$|0|<entry>}", 6, Exact),
    row("XGROUP DELCONSUMER {k|l} {g|h} <consumer>", 4, Exact),
    row("XREADGROUP GROUP {g|h} <consumer> {|COUNT <few>} STREAMS {k|l} {>|0}", 10, Exact),
    row("XACK {k|l} {g|h} <entry>+", 6, Exact),
    row("XCLAIM {k|l} {g|h} <consumer> 0 <entry>+ {|FORCE|JUSTID}", 4, Exact),
    row("XAUTOCLAIM {k|l} {g|h} <consumer> 0 0", 3, Exact),
    valkey("XDEL {k|l} <entry>+", 5, Exact),
    valkey("XTRIM {k|l} MAXLEN {0|<few>}", 3, Exact),
    valkey("XSETID {k|l} 5-50", 2, Exact),
];

/// Whatever they wait for.
pub(super) const COMMON_WAKES: &[Row] = &[
    row("{DEL|UNLINK} {k|l|m}", 12, Exact),
    row("{DEL|UNLINK} k l", 3, Exact),
    row("SET {k|l|m} <item>", 6, Exact),
    row("{RENAME|RENAMENX} {k|l|m} {k|l|m}", 12, Exact),
    row("COPY {k|l|m} {k|l|m} {|REPLACE}", 8, Exact),
    row("COPY {k|l|m} {k|l|m} DB {0|1} REPLACE", 4, Exact),
    row("MOVE {k|l|m} {0|1}", 6, Exact),
    row("{FLUSHDB|FLUSHALL}", 2, Exact),
    row("RESTORE {k|l|m} 0 <payload> {|REPLACE}", 4, Exact),
    row("SADD {k|l|m} <item>", 3, Exact),
];

/// Where no wait has to do with several keys: which of them comes first is for chance to say in Redis and Valkey.
pub(super) const SWAPS: &[Row] = &[row("SWAPDB 0 1", 6, Exact)];

/// By itself: in a transaction, Bulkhead does it behind all that is done to keys.
pub(super) const UNBLOCK: &str =
    "CLIENT UNBLOCK {waiter:0|waiter:1|waiter:2|waiter:3|waiter:4|waiter:5} {||TIMEOUT|ERROR}";

/// What is looked at of every key at the end.
pub(super) const LOOKS: &[&str] =
    &["LRANGE {} 0 -1", "ZRANGE {} 0 -1 WITHSCORES", "XRANGE {} - +", "XINFO GROUPS {}"];
/// What is looked at of every group of every key.
pub(super) const GROUP_LOOKS: &[&str] = &["XPENDING {} <group>", "XPENDING {} <group> - + 100"];
