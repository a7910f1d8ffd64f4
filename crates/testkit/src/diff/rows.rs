//! The commands that are compared: one row a command.

use super::compare::Compare;
use crate::Flavour;
use Compare::{Encoding, Exact, Kind, Millis, Nullness, Seconds, Unordered};

#[derive(Debug)]
pub(super) struct Row {
    pub(super) pattern: &'static str,
    pub(super) weight: usize,
    pub(super) compare: Compare,
    pub(super) with: With,
}

/// Which reference knows the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum With {
    Any,
    /// Redis 7.0 only: Valkey answers otherwise.
    Redis,
    /// Valkey only: newer than Redis 7.0.
    Valkey,
}

impl Row {
    /// Whether two servers can be compared by it.
    pub(super) fn applies(&self, tested: Flavour, reference: Flavour) -> bool {
        match self.with {
            With::Any => true,
            With::Redis => reference == Flavour::Redis && tested != Flavour::Valkey,
            With::Valkey => reference == Flavour::Valkey && tested != Flavour::Redis,
        }
    }
}

pub(super) const fn row(pattern: &'static str, weight: usize, compare: Compare) -> Row {
    Row { pattern, weight, compare, with: With::Any }
}

pub(super) const fn redis(pattern: &'static str, weight: usize, compare: Compare) -> Row {
    Row { pattern, weight, compare, with: With::Redis }
}

pub(super) const fn valkey(pattern: &'static str, weight: usize, compare: Compare) -> Row {
    Row { pattern, weight, compare, with: With::Valkey }
}

/// Strings that are long: Bulkhead keeps them in pieces, so that everything that is done to them is done
/// across borders. They come in sessions of their own, among the other rows.
pub(super) const LONG_ROWS: &[Row] = &[
    row("SET <key> <long>", 12, Exact),
    row("SET <key> <long> {|NX|XX} {|GET} {|EX <seconds>|KEEPTTL}", 4, Exact),
    row("{SETNX|GETSET} <key> <long>", 3, Exact),
    row("SETEX <key> <seconds> <long>", 2, Exact),
    row("MSET <long-pair>+", 2, Exact),
    row("MSETNX <long-pair>+", 1, Exact),
    row("APPEND <key> {<value>|<long>}", 10, Exact),
    row("SETRANGE <key> <place> {<value>|<value>|<long>}", 14, Exact),
    row("{GETRANGE|SUBSTR} <key> <place> <place>", 14, Exact),
    row("GETRANGE <key> {-1|-2|-65536|-65537|-200000} {-1|-65535|-65536|<place>}", 6, Exact),
    row("STRLEN <key>", 6, Exact),
    row("GET <key>", 6, Exact),
    row("GETDEL <key>", 3, Exact),
    row("GETEX <key> {|EX <seconds>|PERSIST}", 3, Exact),
    row("MGET <key>+", 3, Exact),
    row("COPY <key> <key> {|DB 1|DB 2} {|REPLACE}", 8, Exact),
    row("{RENAME|RENAMENX} <key> <key>", 6, Exact),
    row("MOVE <key> {1|2}", 2, Exact),
    row("{DEL|UNLINK} <key>", 3, Exact),
    row("EXPIRE <key> <seconds>", 3, Exact),
    row("PERSIST <key>", 2, Exact),
    row("{TYPE|EXISTS} <key>", 2, Exact),
    row("OBJECT ENCODING <key>", 3, Encoding),
    row("{INCR|DECR} <key>", 2, Exact),
    row("{INCRBYFLOAT|DECRBY} <key> <float>", 2, Exact),
    row("LCS <key> <key> {|LEN|IDX}", 2, Exact),
    row("SETBIT <key> <bit-place> <bit>", 10, Exact),
    row("GETBIT <key> <bit-place>", 6, Exact),
    row(
        "BITCOUNT <key> {|<place> <place> {|BYTE}|<bit-place> <bit-place> BIT|<byte-index> <byte-index> BIT}",
        12,
        Exact,
    ),
    row(
        "BITPOS <key> {0|1} {|<place> {|<place>|<byte-index> BYTE}|<bit-place> {<bit-place>|<byte-index>} BIT}",
        12,
        Exact,
    ),
    row("BITOP {AND|OR|XOR} <key> <key>+", 12, Exact),
    row("BITOP NOT <key> <key>", 4, Exact),
    row("BITFIELD <key> <long-field>+", 10, Exact),
    row("PFCOUNT <key>", 2, Exact),
];

pub(super) const ROWS: &[Row] = &[
    // Strings
    row("SET <key> <value>", 60, Exact),
    row("SET <key> <value> {|NX|XX} {|GET} {|EX <seconds>|PX <millis>|KEEPTTL}", 30, Exact),
    row("SET <key> <value> {EXAT <future>|PXAT <future-millis>} {|GET} {|NX|XX}", 12, Exact),
    // With a time in the past, Redis 7.0 keeps the key (and counts it) until it is looked at.
    valkey("SET <key> <value> {EXAT <at>|PXAT <at-millis>} {|GET} {|NX|XX}", 6, Exact),
    row("SET <key> <value> {EX <seconds>|PX <millis>|KEEPTTL|GET} {NX|XX|GET|KEEPTTL}", 10, Exact),
    row("GET <key>", 30, Exact),
    row("GETDEL <key>", 6, Exact),
    row("GETEX <key> {|EX <seconds>|PX <millis>|EXAT <at>|PXAT <at-millis>|PERSIST}", 14, Exact),
    row("GETSET <key> <value>", 8, Exact),
    row("SETNX <key> <value>", 8, Exact),
    row("SETEX <key> <seconds> <value>", 8, Exact),
    row("PSETEX <key> <millis> <value>", 6, Exact),
    row("SETRANGE <key> {0|1|3|10|60} <value>", 12, Exact),
    row("SETRANGE <key> <offset> {|x}", 4, Exact),
    row("{GETRANGE|SUBSTR} <key> <offset> <offset>", 14, Exact),
    row("APPEND <key> <value>", 16, Exact),
    row("STRLEN <key>", 8, Exact),
    row("{INCR|DECR} <key>", 16, Exact),
    row("{INCRBY|DECRBY} <key> <integer>", 16, Exact),
    row("INCRBYFLOAT <key> <float>", 14, Exact),
    row("LCS <key> <key> {|LEN|IDX} {|MINMATCHLEN <count>} {|WITHMATCHLEN}", 12, Exact),
    row("MSET <pair>+", 12, Exact),
    row("MSETNX <pair>+", 8, Exact),
    row("MGET <key>+", 12, Exact),
    // Bitmaps
    row("SETBIT <key> <bit-offset> <bit>", 16, Exact),
    row("GETBIT <key> <bit-offset>", 10, Exact),
    row("BITCOUNT <key> {|<byte-index> <byte-index> {|BYTE|BIT}}", 14, Exact),
    row("BITPOS <key> {0|1} {|<byte-index> {|<byte-index> {|BYTE|BIT}}}", 16, Exact),
    // Redis 7.0 looks at the key before it looks at the arguments.
    valkey("BITCOUNT <key> <offset> <offset> {|BYTE|BIT}", 3, Exact),
    valkey("BITPOS <key> <bit> {|<offset> {|<offset> {|BYTE|BIT|NIBBLE|BIT BIT}}}", 3, Exact),
    row("BITOP {AND|OR|XOR} <key> <key>+", 14, Exact),
    row("BITOP {NOT|NAND} <key> <key>", 6, Exact),
    row("BITFIELD <key> <bit-field>+", 20, Exact),
    row("BITFIELD_RO <key> {|<field-get>+|<bit-field>+}", 8, Exact),
    // HyperLogLogs
    row("PFADD <sketch> <sketch-element>+", 12, Exact),
    row("PFADD <sketch> <elements>", 8, Exact),
    row("PFADD <sketch>", 2, Exact),
    row("PFADD <key> <value>", 1, Exact),
    row("PFCOUNT <sketch>", 8, Exact),
    row("PFCOUNT <sketch>+", 5, Exact),
    row("PFMERGE <sketch>+", 6, Exact),
    row("PFDEBUG {ENCODING|DECODE|TODENSE|GETREG|NOSUCH} <sketch>", 2, Exact),
    // It takes Redis a second and more.
    row("PFSELFTEST <junk>", 1, Exact),
    row("GET <sketch>", 4, Exact),
    row("SETRANGE <sketch> {0|4|6|8|14} {h|xy}", 1, Exact),
    row("{SET|SETNX} <sketch> <value>", 1, Exact),
    row("COPY <sketch> {<sketch>|<key>} REPLACE", 2, Exact),
    row("{DEL|UNLINK} <sketch>", 2, Exact),
    row("{EXPIRE|PERSIST} <sketch> {|<seconds>}", 1, Exact),
    redis("OBJECT ENCODING <sketch>", 1, Exact),
    // Keys
    row("{DEL|UNLINK} <key>+", 12, Exact),
    row("{EXISTS|TOUCH} <key>+", 10, Exact),
    row("TYPE <key>", 5, Exact),
    row("EXPIRE <key> <seconds> {|NX|XX|GT|LT|XX GT|XX LT|NX GT|GT LT}", 14, Exact),
    row("PEXPIRE <key> <millis> {|NX|XX|GT|LT|XX GT|XX LT|NX XX}", 10, Exact),
    row("EXPIREAT <key> <at> {|NX|XX|GT|LT|XX GT|XX LT}", 12, Exact),
    row("PEXPIREAT <key> <at-millis> {|NX|XX|GT|LT|XX GT|XX LT}", 12, Exact),
    row("{TTL|EXPIRETIME} <key>", 14, Seconds),
    row("{PTTL|PEXPIRETIME} <key>", 14, Millis),
    row("PERSIST <key>", 8, Exact),
    row("RENAME <key> <key>", 10, Exact),
    row("RENAMENX <key> <key>", 8, Exact),
    row("COPY <key> <key> {|DB <db>} {|REPLACE}", 14, Exact),
    row("MOVE <key> <db>", 8, Exact),
    row("RANDOMKEY", 3, Nullness),
    row("OBJECT ENCODING <key>", 8, Encoding),
    row("OBJECT REFCOUNT <key>", 1, Nullness),
    row("OBJECT IDLETIME <key>", 2, Nullness),
    row("OBJECT FREQ <key>", 1, Exact),
    row("OBJECT {NOSUCH|ENCODING}", 1, Exact),
    row("KEYS <glob>", 10, Unordered),
    row("SCAN 0 {|MATCH <glob>} {|COUNT <count>} {|TYPE string|TYPE hash}", 8, Compare::Scan),
    redis("SCAN 0 TYPE nosuch", 1, Compare::Scan),
    // A cursor above 64 bits is for Valkey: Redis 7.0 takes the next SORT for wrong after one.
    row("SCAN {junk|0x1}", 1, Kind),
    valkey("SCAN 18446744073709551616", 1, Kind),
    row("SCAN 0 {MATCH|COUNT 0|COUNT x|COUNT -5|NOSUCH 1|TYPE}", 2, Kind),
    row("DBSIZE", 4, Exact),
    row("SELECT <db>", 8, Exact),
    row("SWAPDB <db> <db>", 4, Exact),
    row("FLUSHDB {|ASYNC|SYNC|NOSUCH}", 1, Exact),
    row("FLUSHALL {|ASYNC|SYNC|NOSUCH}", 1, Exact),
    // Connection
    row("PING {|<value>}", 2, Exact),
    row("ECHO <value>", 2, Exact),
    // Nobody hears it: those who do are compared in a test of their own.
    row("{PUBLISH|SPUBLISH} <key> <value>", 2, Exact),
    row("PUBSUB {NUMPAT|CHANNELS|NUMSUB <key>+|SHARDCHANNELS <key>|SHARDNUMSUB <key>}", 1, Exact),
    row("CLIENT {GETNAME|SETNAME name|SETNAME {|has\nnewline}|NOSUCH|REPLY NOSUCH}", 2, Exact),
    row("CLIENT ID", 1, Kind),
    row("CLIENT {PAUSE 0|PAUSE 0 WRITE|PAUSE x|PAUSE -1|PAUSE 1 NOSUCH|UNPAUSE|TRACKINGINFO}", 1, Exact),
    row("CLIENT UNBLOCK {99999|x|99999 ERROR|99999 NOSUCH}", 1, Exact),
    row("HELLO {|2|3|4|x|3 SETNAME n|3 SETNAME|3 AUTH default}", 2, Kind),
    row("RESET", 1, Exact),
    row("AUTH {secret|default secret|nobody secret}", 1, Exact),
    valkey("CLIENT SETINFO {LIB-NAME|LIB-VER|NOSUCH} {name|<value>}", 1, Exact),
    valkey("CLIENT {NO-TOUCH|NO-EVICT} {ON|OFF|NOSUCH}", 1, Exact),
    // Server
    row("TIME", 1, Kind),
    row("LASTSAVE", 1, Kind),
    row("COMMAND COUNT", 1, Kind),
    // Redis 7.0 wants at least one argument of the command that is asked about.
    valkey("COMMAND GETKEYS {SET <key> <value>|MSET <pair>+|COPY <key> <key>|PING|NOSUCH|GET}", 3, Exact),
    row("CONFIG {GET nosuch|GET maxmemory-policy|NOSUCH|GET}", 1, Exact),
    row("LATENCY {LATEST|RESET|RESET nosuch|HISTORY nosuch|GRAPH nosuch|NOSUCH}", 1, Exact),
    row("WAIT {0 1|0 0|x 0|0 x|0 -1}", 1, Exact),
    row("{NOSUCH|nosuch|get|SET} <value> <value> <junk>", 2, Exact),
    row("SLOWLOG {NOSUCH|GET x}", 1, Exact),
    redis("CLIENT NO-EVICT {ON|OFF|NOSUCH}", 1, Exact),
];
