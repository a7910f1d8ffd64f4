//! Rows about collections, by theme: a session has at most one, so that what belongs together meets.

use super::compare::Compare;
use super::rows::{Row, row, valkey};
use Compare::{Encoding, Exact, Kind, Scan, Unordered};

/// What many commands of a session are about.
pub(super) const THEMES: &[&[Row]] = &[LISTS, HASHES, SETS];

const LISTS: &[Row] = &[
    row("{LPUSH|RPUSH} <key> <element>+", 30, Exact),
    row("{LPUSH|RPUSH} <key> <element>+ <element>+ <element>+", 10, Exact),
    row("{LPUSHX|RPUSHX} <key> <element>+", 8, Exact),
    row("{LPOP|RPOP} <key> {||<few>|<integer>}", 20, Exact),
    row("LMPOP {1 <key>|2 <key> <key>|3 <key> <key> <key>} {LEFT|RIGHT} {|COUNT <few>|COUNT 0}", 8, Exact),
    row("LMPOP {0|-1|x|9} <key> {LEFT|RIGHT|NOSUCH} {|COUNT x}", 2, Exact),
    row("LMOVE <key> <key> {LEFT|RIGHT} {LEFT|RIGHT}", 12, Exact),
    row("LMOVE <key> <key> {LEFT|NOSUCH} {NOSUCH|RIGHT}", 2, Exact),
    row("RPOPLPUSH <key> <key>", 8, Exact),
    row("LLEN <key>", 8, Exact),
    row("LINDEX <key> {<index>|<integer>}", 10, Exact),
    row("LRANGE <key> <index> <index>", 14, Exact),
    row("LRANGE <key> 0 -1", 14, Exact),
    row("LRANGE <key> <integer> <integer>", 3, Exact),
    row("LPOS <key> <element> {|RANK <index>} {|COUNT <few>|COUNT 0|COUNT -1} {|MAXLEN <few>|MAXLEN 0}", 12, Exact),
    row("LPOS <key> <element> {RANK 0|RANK x|COUNT|NOSUCH 1}", 2, Exact),
    // Redis takes only the lower 32 bits of a large index here.
    row("LSET <key> {<index>|<index>|100|-100|x|} <element>", 14, Exact),
    row("LINSERT <key> {BEFORE|AFTER|NOSUCH} <element> <element>", 14, Exact),
    row("LREM <key> {<index>|0|100|x|} <element>", 14, Exact),
    row("LTRIM <key> <index> <index>", 8, Exact),
    row("{BLPOP|BRPOP} <key>+ {0.01|0.001}", 3, Exact),
    row("{BLPOP|BRPOP} <key> {-1|x|}", 2, Exact),
    // Redis 7.0 takes these for negative ones.
    valkey("{BLPOP|BRPOP} <key> {inf|1e400}", 1, Exact),
    row("BLMOVE <key> <key> {LEFT|RIGHT} {LEFT|RIGHT} 0.01", 3, Exact),
    row("BRPOPLPUSH <key> <key> {0.01|-1|x}", 2, Exact),
    row("BLMPOP 0.01 {1 <key>|2 <key> <key>} {LEFT|RIGHT} {|COUNT <few>}", 3, Exact),
    row("OBJECT ENCODING <key>", 6, Encoding),
];

const HASHES: &[Row] = &[
    row("HSET <key> <field> <element>", 30, Exact),
    row("HSET <key> <field> <element> <field> <element> <field> <element>", 14, Exact),
    row("HSET <key> <field> <element> <field>", 1, Exact),
    row("HMSET <key> <field> <element> <field> <element>", 6, Exact),
    row("HSETNX <key> <field> <element>", 8, Exact),
    row("HGET <key> <field>", 12, Exact),
    row("HMGET <key> <field>+", 8, Exact),
    row("HDEL <key> <field>+", 16, Exact),
    row("HEXISTS <key> <field>", 6, Exact),
    row("HLEN <key>", 8, Exact),
    row("HSTRLEN <key> <field>", 5, Exact),
    row("HINCRBY <key> <field> <integer>", 12, Exact),
    row("HINCRBYFLOAT <key> <field> <float>", 12, Exact),
    row("HGETALL <key>", 14, Unordered),
    row("{HKEYS|HVALS} <key>", 8, Unordered),
    row("HRANDFIELD <key>", 2, Kind),
    row("HRANDFIELD <key> {1000|0} {|WITHVALUES}", 6, Unordered),
    row("HRANDFIELD <key> {-3|2} {|WITHVALUES}", 3, Kind),
    row("HRANDFIELD <key> {x|9223372036854775807|-9223372036854775808} {WITHVALUES|NOSUCH}", 2, Kind),
    row("HSCAN <key> 0 {|MATCH <glob>} {|COUNT <count>}", 6, Scan),
    row("HSCAN <key> {x|0} {NOSUCH|COUNT 0|MATCH}", 2, Exact),
    row("OBJECT ENCODING <key>", 6, Encoding),
];

const SETS: &[Row] = &[
    row("SADD <key> <element>+", 30, Exact),
    row("SADD <key> <small>+", 14, Exact),
    row("SADD <key> <element>+ <small>+ <element>+", 6, Exact),
    row("SREM <key> <element>+", 14, Exact),
    row("SREM <key> <small>+", 6, Exact),
    row("SISMEMBER <key> <element>", 8, Exact),
    row("SMISMEMBER <key> <element>+", 6, Exact),
    row("SCARD <key>", 8, Exact),
    row("SMOVE <key> <key> <element>", 10, Exact),
    row("SMEMBERS <key>", 12, Unordered),
    row("SRANDMEMBER <key>", 2, Kind),
    row("SRANDMEMBER <key> {1000|0}", 4, Unordered),
    row("SRANDMEMBER <key> {-3|2}", 3, Kind),
    row("SRANDMEMBER <key> {x|1} {|2}", 2, Kind),
    row("SPOP <key> {1000|0}", 4, Unordered),
    row("SPOP <key> {-1|x|1 2}", 2, Exact),
    row("SSCAN <key> 0 {|MATCH <glob>} {|COUNT <count>}", 6, Scan),
    row("{SINTER|SUNION|SDIFF} <key>+", 16, Unordered),
    row("{SINTERSTORE|SUNIONSTORE|SDIFFSTORE} <key> <key>+", 16, Exact),
    row("SINTERCARD {1 <key>|2 <key> <key>|3 <key> <key> <key>} {|LIMIT <few>|LIMIT 0}", 8, Exact),
    row("SINTERCARD {0|x|9} <key> {|LIMIT -1|LIMIT|NOSUCH}", 2, Exact),
    row("OBJECT ENCODING <key>", 6, Encoding),
];

/// What both servers are told at the beginning of a session, so that collections outgrow being packed
/// early, or late.
pub(super) const SHAPES: &[(&str, &[&str])] = &[
    ("list-max-listpack-size", &["-2", "3", "8", "-1"]),
    ("hash-max-listpack-entries", &["128", "3", "6"]),
    ("hash-max-listpack-value", &["64", "8"]),
    ("set-max-intset-entries", &["512", "4"]),
    ("set-max-listpack-entries", &["128", "3", "6"]),
    ("set-max-listpack-value", &["64", "8"]),
    ("zset-max-listpack-entries", &["128", "3", "6"]),
    ("zset-max-listpack-value", &["64", "8"]),
];

/// What is looked at of every key at the end.
pub(super) const LOOKS: &[(&str, &str, Compare)] = &[
    ("LRANGE", "0 -1", Exact),
    ("LLEN", "", Exact),
    ("HGETALL", "", Unordered),
    ("HLEN", "", Exact),
    ("SMEMBERS", "", Unordered),
    ("SCARD", "", Exact),
    ("OBJECT ENCODING", "", Encoding),
];
