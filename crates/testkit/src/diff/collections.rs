//! Rows about collections, by theme: a session has at most one, so that what belongs together meets.

use super::compare::Compare;
use super::rows::{Row, redis, row, valkey};
use Compare::{Carried, Distances, Encoding, Exact, Groups, Kind, Nullness, Scan, Stream, Unordered};

/// What many commands of a session are about.
pub(super) const THEMES: &[&[Row]] =
    &[LISTS, HASHES, SETS, SORTED_SETS, RANGES, PLACES, SORTS, DUMPS, STREAMS, GROUPS, CARRIED];

/// What is added gets an id within one time, which is that of both servers.
const STREAMS: &[Row] = &[
    row("XADD <key> 5-* <field> <element>", 60, Exact),
    row("XADD <key> <entry> <field> <element> <field> <element>", 8, Exact),
    row("XADD <key> {|NOMKSTREAM} {MAXLEN|MINID} {|=|~} <few> {5-*|<entry>} <field> <element>", 10, Exact),
    row(
        "XADD <key> {NOMKSTREAM|MAXLEN <few> MINID 1|LIMIT 3|MAXLEN ~ 2 LIMIT 100|MAXLEN x|MAXLEN -1} <entry> <field> <element>",
        4,
        Exact,
    ),
    row("XADD <key> {5-*|*x|5-x|-|+|5} <field> {|<element>}", 2, Exact),
    row("XLEN <key>", 8, Exact),
    row("XRANGE <key> {-|<entry>|(<entry>} {+|<entry>|(<entry>} {|COUNT <few>|COUNT <small>}", 20, Exact),
    row("XREVRANGE <key> {+|<entry>} {-|<entry>} {|COUNT <few>}", 14, Exact),
    row("{XRANGE|XREVRANGE} <key> {x|(-|(+|-} {+|x} {|COUNT x|COUNT|NOSUCH}", 3, Exact),
    row("XRANGE <key> - +", 14, Exact),
    row("XDEL <key> <entry>+", 16, Exact),
    row("XDEL <key> {x|<entry> x}", 1, Exact),
    row("XTRIM <key> {MAXLEN|MINID} {|=} {<few>|<entry>}", 6, Exact),
    row("XTRIM <key> {MAXLEN|MINID} ~ <few> {|LIMIT 0|LIMIT <few>|LIMIT -1}", 3, Exact),
    row("XTRIM <key> {MAXLEN 3 MINID 2|LIMIT 3|MAXLEN|MAXLEN 3 LIMIT 2|NOSUCH 3}", 2, Exact),
    // Redis 7.0 does not compare it with what was deleted.
    valkey(
        "XSETID <key> {5-50|5-9|<entry>|0} {|ENTRIESADDED <few>|ENTRIESADDED 100 MAXDELETEDID <entry>|ENTRIESADDED -1}",
        5,
        Exact,
    ),
    redis("XSETID <key> 5-50 {|ENTRIESADDED 100}", 3, Exact),
    row("XREAD {|COUNT <few>} STREAMS {<key> <entry>|<key> <key> <entry> 0|<key> $}", 14, Exact),
    valkey(
        "XREAD {|COUNT <few>} BLOCK {1|2} STREAMS {<key> <entry>|<key> $|<key> <key> $ <entry>}",
        4,
        Exact,
    ),
    valkey(
        "XREAD {BLOCK -1|BLOCK x|COUNT x|NOACK|GROUP g c|NOSUCH|COUNT 1} STREAMS <key> {0|>|x|<key> 0}",
        3,
        Exact,
    ),
    row("XINFO STREAM <key> {||NOSUCH}", 4, Stream),
    // Redis 7.0 makes a consumer when there is something for it, others when it asks.
    valkey("XINFO STREAM <key> FULL {|COUNT <few>}", 4, Stream),
    row("{XGROUP CREATE <key> g <entry>|XREADGROUP GROUP g c STREAMS <key> >}", 4, Exact),
    row("{COPY|RENAME} <key> <key>", 6, Exact),
    row("{TYPE|DEL|EXISTS} <key>", 4, Exact),
    row("EXPIRE <key> <seconds>", 2, Exact),
    row("OBJECT ENCODING <key>", 3, Encoding),
];

const GROUPS: &[Row] = &[
    row("XADD <key> 5-* <field> <element>", 50, Exact),
    row("XGROUP CREATE <key> <group> {0|$|<entry>} {|MKSTREAM}", 12, Exact),
    // Redis 7.0 goes on counting from what it is told here, though that cannot be.
    valkey("XGROUP CREATE <key> <group> {0|$|<entry>} {|MKSTREAM} ENTRIESREAD <few>", 8, Exact),
    row("XGROUP CREATE <key> <group> {x|0 NOSUCH|0 ENTRIESREAD x|0 ENTRIESREAD -2|0 ENTRIESREAD}", 2, Exact),
    row("XREADGROUP GROUP <group> <consumer> {|COUNT <few>} {|NOACK} STREAMS <key> >", 40, Exact),
    row("XREADGROUP GROUP <group> <consumer> {|COUNT <few>} STREAMS <key> {0|<entry>}", 10, Exact),
    row("XREADGROUP GROUP <group> <consumer> COUNT <few> STREAMS <key> <key> > {>|0|<entry>}", 6, Exact),
    valkey("XREADGROUP GROUP <group> <consumer> BLOCK 1 STREAMS <key> >", 4, Exact),
    valkey("XREADGROUP GROUP <group> <consumer> {|NOSUCH|BLOCK -1} STREAMS <key> {$|x|> 0}", 2, Exact),
    row("XACK <key> <group> <entry>+", 20, Exact),
    row("XACK <key> <group> {x|<entry> x}", 1, Exact),
    row("XPENDING <key> <group>", 12, Exact),
    row(
        "XPENDING <key> <group> {|IDLE 0|IDLE 100000} {-|<entry>|(<entry>} {+|<entry>} {<few>|100|0|-1} {|<consumer>}",
        14,
        Stream,
    ),
    row("XPENDING <key> <group> {IDLE|IDLE x - + 1|- +|x + 1|- + x}", 2, Exact),
    row(
        "XCLAIM <key> <group> <consumer> {0|0|100000|-1|x} <entry>+ {||FORCE|FORCE JUSTID|JUSTID|RETRYCOUNT <few>|IDLE 100000|TIME 5|LASTID <entry>|NOSUCH|IDLE x}",
        20,
        Exact,
    ),
    row(
        "XAUTOCLAIM <key> <group> <consumer> {0|0|100000|x} {0|-|<entry>|(<entry>|x} {|COUNT <few>|COUNT 0|JUSTID|NOSUCH}",
        14,
        Exact,
    ),
    // Redis 7.0 makes a consumer when there is something for it, others when it asks.
    valkey("XGROUP CREATECONSUMER <key> <group> <consumer>", 6, Exact),
    row("XGROUP DELCONSUMER <key> <group> <consumer>", 5, Exact),
    row("XGROUP DESTROY <key> <group>", 3, Exact),
    row("XGROUP SETID <key> <group> {0|$|<entry>|x}", 3, Exact),
    valkey("XGROUP SETID <key> <group> {0|$|<entry>} ENTRIESREAD <few>", 2, Exact),
    row("XDEL <key> <entry>+", 12, Exact),
    row("XTRIM <key> MAXLEN <few>", 3, Exact),
    valkey("XINFO GROUPS <key>", 10, Exact),
    redis("XINFO GROUPS <key>", 10, Groups),
    valkey("XINFO CONSUMERS <key> <group>", 10, Stream),
    valkey("XINFO STREAM <key> FULL {|COUNT <few>|COUNT 0}", 8, Stream),
    row("{COPY|RENAME} <key> <key>", 3, Exact),
    row("DEL <key>", 2, Exact),
];

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
    row(
        "LPOS <key> <element> {|RANK <index>} {|COUNT <few>|COUNT 0|COUNT -1} {|MAXLEN <few>|MAXLEN 0}",
        12,
        Exact,
    ),
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

const SORTED_SETS: &[Row] = &[
    row("ZADD <key> <score> <element>", 30, Exact),
    row("ZADD <key> <score> <element> <score> <element> <score> <element>", 20, Exact),
    row("ZADD <key> {|NX|XX} {|GT|LT} {|CH} {|INCR} <score> <element>", 20, Exact),
    row("ZADD <key> {NX|XX|GT|LT|CH} {|GT|CH} <score> <element> <score> <element>", 10, Exact),
    row("ZADD <key> {|NX} <score> {|<element> <score>}", 1, Exact),
    row("ZINCRBY <key> <score> <element>", 12, Exact),
    valkey("{ZADD|ZINCRBY} <key> <fraction> <element>", 12, Exact),
    // Where a zero loses its sign depends on how the set is kept, and on how it came to that.
    valkey("ZADD <zeros> {0|-0|1|-1} <field>", 4, Exact),
    valkey("ZREM <zeros> <field>", 2, Exact),
    valkey("{ZRANGE <zeros> 0 -1 WITHSCORES|ZSCORE <zeros> <field>}", 4, Exact),
    row("ZREM <key> <element>+", 14, Exact),
    row("ZSCORE <key> <element>", 8, Exact),
    row("ZMSCORE <key> <element>+", 6, Exact),
    row("ZCARD <key>", 8, Exact),
    row("{ZRANK|ZREVRANK} <key> <element>", 10, Exact),
    // Newer than Redis 7.0.
    valkey("{ZRANK|ZREVRANK} <key> <element> {WITHSCORE|NOSUCH|WITHSCORE x}", 4, Exact),
    row("ZRANDMEMBER <key>", 2, Kind),
    row("ZRANDMEMBER <key> {1000|0} {|WITHSCORES}", 4, Unordered),
    row("ZRANDMEMBER <key> {-3|2} {|WITHSCORES}", 3, Kind),
    row("ZSCAN <key> 0 {|MATCH <glob>} {|COUNT <count>}", 6, Scan),
    row("{ZPOPMIN|ZPOPMAX} <key> {||<few>|0|1000}", 12, Exact),
    row("{ZPOPMIN|ZPOPMAX} <key> {-1|x|1 2}", 1, Exact),
    row("ZMPOP {1 <key>|2 <key> <key>|3 <key> <key> <key>} {MIN|MAX} {|COUNT <few>|COUNT 0}", 6, Exact),
    row("ZMPOP {0|x|9} <key> {MIN|NOSUCH} {|COUNT x}", 1, Exact),
    row("{BZPOPMIN|BZPOPMAX} <key>+ 0.01", 3, Exact),
    row("BZMPOP 0.01 {1 <key>|2 <key> <key>} {MIN|MAX} {|COUNT <few>}", 3, Exact),
    row(
        "{ZUNION|ZINTER} {1 <key>|2 <key> <key>|3 <key> <key> <key>} {|AGGREGATE MIN|AGGREGATE MAX} {|WITHSCORES}",
        14,
        Exact,
    ),
    row(
        "{ZUNION|ZINTER} 2 <key> <key> WEIGHTS <small> <small> {|AGGREGATE SUM|AGGREGATE MAX} WITHSCORES",
        8,
        Exact,
    ),
    row("{ZUNIONSTORE|ZINTERSTORE} <key> {1 <key>|2 <key> <key>} {|AGGREGATE MIN|AGGREGATE MAX}", 10, Exact),
    row("{ZUNIONSTORE|ZINTERSTORE} <key> 2 <key> <key> WEIGHTS <small> {1|2|0.5|inf|-1}", 6, Exact),
    row("ZDIFF {1 <key>|2 <key> <key>|3 <key> <key> <key>} {|WITHSCORES}", 8, Exact),
    row("ZDIFFSTORE <key> {1 <key>|2 <key> <key>}", 6, Exact),
    row("ZINTERCARD {1 <key>|2 <key> <key>} {|LIMIT <few>|LIMIT 0}", 5, Exact),
    row(
        "{ZUNION|ZINTER|ZDIFF|ZINTERCARD} {0|x|9|2} <key> {|WEIGHTS 1|AGGREGATE NOSUCH|LIMIT -1|NOSUCH}",
        3,
        Exact,
    ),
    row("SADD <key> <element>+", 4, Exact),
    row("OBJECT ENCODING <key>", 6, Encoding),
];

const RANGES: &[Row] = &[
    row("ZADD <key> <score> <element> <score> <element> <score> <element>", 40, Exact),
    row("ZADD <key> <small> <element> <small> <small> <small> <field>", 40, Exact),
    row("ZREM <key> <element>+", 8, Exact),
    row("ZRANGE <key> <index> <index> {|REV} {|WITHSCORES}", 14, Exact),
    row("ZRANGE <key> 0 -1 WITHSCORES", 14, Exact),
    row("ZREVRANGE <key> <index> <index> {|WITHSCORES}", 6, Exact),
    row("ZRANGE <key> <bound> <bound> BYSCORE {|REV} {|WITHSCORES} {|LIMIT {0|<few>} <small>}", 14, Exact),
    row(
        "{ZRANGEBYSCORE|ZREVRANGEBYSCORE} <key> <bound> <bound> {|WITHSCORES} {|LIMIT {0|<few>} <small>}",
        14,
        Exact,
    ),
    row("ZRANGE <key> {x|0} 1 {BYSCORE|BYLEX|REV|LIMIT 1 1|LIMIT 1|NOSUCH|WITHSCORES BYLEX}", 4, Exact),
    row("ZRANGESTORE <key> <key> <index> <index> {|REV}", 6, Exact),
    row("ZRANGESTORE <key> <key> <bound> <bound> BYSCORE {|REV} {|LIMIT {0|<few>} <small>}", 6, Exact),
    row("ZCOUNT <key> <bound> <bound>", 10, Exact),
    row("ZREMRANGEBYRANK <key> <index> <index>", 6, Exact),
    row("ZREMRANGEBYSCORE <key> <bound> <bound>", 5, Exact),
    // Names are in order where all scores are the same: these have keys of their own.
    row("ZADD <names> 0 <element> 0 <field> 0 <element> 0 <small>", 24, Exact),
    row("ZREM <names> <element>+", 4, Exact),
    row("ZRANGE <names> <name-bound> <name-bound> BYLEX {|REV} {|LIMIT {0|<few>} <small>}", 14, Exact),
    row(
        "{ZRANGEBYLEX|ZREVRANGEBYLEX} <names> <name-bound> <name-bound> {|LIMIT {0|<few>} <small>}",
        14,
        Exact,
    ),
    row("ZLEXCOUNT <names> <name-bound> <name-bound>", 10, Exact),
    row("ZREMRANGEBYLEX <names> <name-bound> <name-bound>", 5, Exact),
    row("ZRANGE <names> 0 -1", 6, Exact),
];

const PLACES: &[Row] = &[
    row("GEOADD <key> <located>+", 40, Exact),
    row("GEOADD <key> {|NX|XX|CH|XX CH|NX XX} <located>+ {|1|1 1}", 10, Exact),
    row("ZADD <key> <score> <town>", 4, Exact),
    row("ZREM <key> <town>+", 8, Exact),
    row("GEOPOS <key> <town>+", 10, Exact),
    row("GEOHASH <key> <town>+", 8, Exact),
    row("{GEOPOS|GEOHASH} <key>", 1, Exact),
    row("GEODIST <key> <town> <town> {||M|KM|FT|MI|NOSUCH|M M}", 10, Exact),
    row(
        "GEOSEARCH <key> {FROMMEMBER <town>|FROMLONLAT <spot>} {BYRADIUS <radius>|BYBOX <radius> <radius>} {M|KM|KM|FT|MI|X} {|ASC|DESC} {||COUNT <few> ANY} {|WITHCOORD} {|WITHDIST} {|WITHHASH}",
        30,
        Exact,
    ),
    // Of more than six places Redis sorts only as many as are asked for, and by chance among equals.
    row(
        "GEOSEARCH <key> {FROMMEMBER <town>|FROMLONLAT <spot>} {BYRADIUS <radius>|BYBOX <radius> <radius>} {M|KM|KM|FT|MI|X} {|ASC|DESC} COUNT <few> {|WITHCOORD} WITHDIST {|WITHHASH}",
        14,
        Distances,
    ),
    row("GEOADD <map> <spot> <hamlet> {|<spot> <hamlet>} {|<spot> <hamlet>}", 12, Exact),
    row("ZADD <map> <score> <hamlet>", 2, Exact),
    row("ZREM <map> <hamlet>+", 2, Exact),
    row(
        "GEOSEARCH <map> {FROMMEMBER <hamlet>|FROMLONLAT <spot>} {BYRADIUS <radius>|BYBOX <radius> <radius>} {M|KM} {|ASC|DESC} COUNT <few> {|WITHCOORD} {|WITHHASH}",
        10,
        Exact,
    ),
    row(
        "GEOSEARCH <key> {FROMMEMBER <town>|FROMLONLAT <spot>|} {BYRADIUS 1 KM|BYBOX 1 1 M|} {|ASC|COUNT 0|COUNT|ANY|STORE <key>|STOREDIST|FROMMEMBER a|BYRADIUS 1 KM|NOSUCH}",
        4,
        Exact,
    ),
    row(
        "GEOSEARCHSTORE <key> <key> {FROMMEMBER <town>|FROMLONLAT <spot>} {BYRADIUS <radius>|BYBOX <radius> <radius>} {M|KM|KM|X} {||ASC|DESC} {|||WITHDIST}",
        6,
        Exact,
    ),
    row(
        "GEOSEARCHSTORE <key> <map> {FROMMEMBER <hamlet>|FROMLONLAT <spot>} {BYRADIUS <radius>|BYBOX <radius> <radius>} {M|KM} {||ASC|DESC} COUNT <few>",
        6,
        Exact,
    ),
    row("GEORADIUS <key> <spot> <radius> {M|KM|MI} {|ASC|DESC} {|WITHCOORD} {|WITHDIST}", 9, Exact),
    row(
        "GEORADIUS <key> <spot> <radius> {M|KM|MI} {|ASC|DESC} COUNT <few> {|WITHCOORD} WITHDIST",
        6,
        Distances,
    ),
    row("GEORADIUS_RO <key> <spot> <radius> {M|KM|MI} {|ASC|DESC} {|WITHHASH} {|||STORE <key>}", 5, Exact),
    row("GEORADIUSBYMEMBER <key> <town> <radius> {M|KM|MI} {|ASC|DESC} {|WITHDIST}", 9, Exact),
    row("GEORADIUSBYMEMBER <key> <town> <radius> {M|KM|MI} {|ASC|DESC} COUNT <few> WITHDIST", 6, Distances),
    row("GEORADIUSBYMEMBER_RO <key> <town> <radius> {M|KM|MI} {|ASC|DESC} {|||STORE <key>}", 5, Exact),
    row("GEORADIUS <key> <spot> <radius> {M|KM|MI} STORE <key> {|||WITHDIST|STORE}", 4, Exact),
    row("GEORADIUS <map> <spot> <radius> {M|KM|MI} STORE <key> COUNT <few>", 4, Exact),
    row("GEORADIUSBYMEMBER <key> <town> <radius> KM STORE <key>", 3, Exact),
    row("GEORADIUSBYMEMBER <map> <hamlet> <radius> KM COUNT <few> STORE <key>", 4, Exact),
    // Redis 7.0 reckons some distances in another way, which shows in the last digits.
    valkey(
        "GEOSEARCHSTORE <key> <key> {FROMMEMBER <town>|FROMLONLAT <spot>} BYRADIUS <radius> {M|KM} STOREDIST",
        4,
        Exact,
    ),
    valkey(
        "GEOSEARCHSTORE <key> <map> {FROMMEMBER <hamlet>|FROMLONLAT <spot>} BYRADIUS <radius> {M|KM} STOREDIST COUNT <few>",
        4,
        Exact,
    ),
    valkey("GEORADIUS <key> <spot> <radius> {M|KM|MI} STOREDIST <key> {|STORE <key>}", 4, Exact),
    row("ZRANGE <key> 0 -1 WITHSCORES", 6, Exact),
    row("OBJECT ENCODING <key>", 3, Encoding),
];

const SORTS: &[Row] = &[
    row("RPUSH <key> <small>+", 20, Exact),
    row("RPUSH <key> <element>+", 6, Exact),
    row("SADD <key> <small>+", 12, Exact),
    row("ZADD <key> <small> <small> <small> <small>", 12, Exact),
    row("LPOP <key> <few>", 4, Exact),
    row("SET <weight> {<small>|<small>|<value>}", 15, Exact),
    row("HSET <record> {f|g} {<small>|<small>|<value>}", 15, Exact),
    // Behind a number that no double can be, Redis 7.0 takes the next SORT for wrong as well.
    valkey("SET <weight> <float>", 5, Exact),
    valkey("HSET <record> {f|g} <float>", 5, Exact),
    row("DEL {<weight>|<record>}", 2, Exact),
    row("{SORT|SORT_RO} <key> {|ASC|DESC} {|LIMIT <index> <index>}", 20, Exact),
    row(
        "{SORT|SORT_RO} <key> {|DESC} {|LIMIT <index> <index>} GET # {|GET <weights>} {|GET nosuch}",
        12,
        Exact,
    ),
    row("{SORT|SORT_RO} <key> BY <weights> {|DESC} {|LIMIT <index> <index>}", 20, Exact),
    row(
        "SORT <key> BY <weights> {|DESC} {|LIMIT <index> <index>} {|GET <weights>} {|GET #} {|STORE <key>}",
        20,
        Exact,
    ),
    row("SORT <key> {|DESC} {|LIMIT <index> <index>} STORE <key>", 8, Exact),
    // What is equal comes in any order.
    row("SORT <key> BY <weights> ALPHA {|DESC}", 8, Unordered),
    row("SORT <key> ALPHA {|DESC}", 8, Unordered),
    row("SORT <key> ALPHA {|DESC} {|LIMIT <index> <index>} STORE <key>", 8, Exact),
    row("RPUSH {l1|l2} {<small>|<element>}", 20, Exact),
    row("ZADD {z1|z2} <small> <small>", 20, Exact),
    row("SADD {s1|s2} <small> <small>", 10, Exact),
    row("SORT {l1|l2|z1|z2} BY nosort {|DESC} {|LIMIT <index> <index>} {|GET # GET <weights>}", 14, Exact),
    row("SORT {l1|l2} ALPHA {|DESC} {|LIMIT <index> <index>}", 8, Exact),
    row("SORT {s1|s2} BY nosort {|GET <weights>}", 5, Unordered),
    row("SORT {s1|s2} BY nosort {|DESC} {|LIMIT <index> <index>} STORE l1", 5, Exact),
    row("{SORT|SORT_RO} <key> {LIMIT 1|LIMIT x 1|BY|GET|STORE|NOSUCH|DESC ASC|BY nosort ALPHA}", 3, Kind),
    row("LRANGE {<key>|l1} 0 -1", 6, Exact),
    row("OBJECT ENCODING <key>", 3, Encoding),
];

/// Streams with groups that are dumped and restored. When a consumer last got something is not dumped, so that is
/// not asked for.
const CARRIED: &[Row] = &[
    row("XADD <key> 5-* <field> <element>", 50, Exact),
    row("XADD <key> <entry> <field> <element> <field> <element>", 4, Exact),
    row("XGROUP CREATE <key> <group> {0|$|<entry>} {|MKSTREAM} {|ENTRIESREAD <few>}", 14, Exact),
    row("XGROUP {DESTROY <key> <group>|SETID <key> <group> <entry>}", 2, Exact),
    row("XGROUP DELCONSUMER <key> <group> <consumer>", 2, Exact),
    // Redis 7.0 makes no consumer who finds nothing.
    valkey("XGROUP CREATECONSUMER <key> <group> <consumer>", 4, Exact),
    row("XREADGROUP GROUP <group> <consumer> {|COUNT <few>} {|NOACK} STREAMS <key> {>|>|>|0}", 30, Exact),
    row("XACK <key> <group> <entry>+", 8, Exact),
    row("XCLAIM <key> <group> <consumer> 0 <entry>+ {TIME 1600000000000|IDLE 0} RETRYCOUNT <few>", 6, Exact),
    row("XPENDING <key> <group> {|- + <few>|- + 20 <consumer>}", 12, Stream),
    row("XDEL <key> <entry>+", 8, Exact),
    row("XTRIM <key> MAXLEN <few>", 3, Exact),
    row("XSETID <key> {5-50|5-9} {|ENTRIESADDED 100 MAXDELETEDID <entry>}", 2, Exact),
    row("XRANGE <key> - +", 12, Exact),
    valkey("XINFO GROUPS <key>", 10, Exact),
    row("XINFO STREAM <key>", 8, Stream),
    row("DUMP <key> RESTORE <key> {OWN|ACROSS}", 40, Carried),
    row("{LRANGE|ZRANGE} <key> 0 -1", 3, Exact),
    row("{HSET|ZADD} <key> <small> <element>", 4, Exact),
    row("DEL <key>", 3, Exact),
    row("TYPE <key>", 3, Exact),
];

const DUMPS: &[Row] = &[
    row("RESTORE <key> 0 <payload> {|REPLACE|REPLACE}", 40, Exact),
    row(
        "RESTORE <key> {<millis>|-1|x} <payload> {|REPLACE} {|IDLETIME 5|FREQ 7|IDLETIME -1|FREQ 256|FREQ 1 IDLETIME 1}",
        12,
        Exact,
    ),
    row("RESTORE <key> {<at-millis>|<future-millis>} <payload> ABSTTL {|REPLACE}", 6, Exact),
    row("RESTORE <key> 0 <payload> {NOSUCH|IDLETIME|FREQ x|REPLACE REPLACE}", 2, Exact),
    row("RESTORE <key> 0 {junk|<value>}", 2, Exact),
    row("DUMP <key>", 8, Nullness),
    row("DUMP <key> RESTORE <key> {OWN|ACROSS}", 12, Carried),
    row("{RPUSH|SADD} <key> <element>+", 12, Exact),
    row("{HSET|ZADD} <key> <small> <element>", 12, Exact),
    row("{APPEND|SET} <key> <value>", 8, Exact),
    row("{LRANGE|ZRANGE} <key> 0 -1", 8, Exact),
    row("{HGETALL|SMEMBERS} <key>", 8, Unordered),
    row("DEL <key>+", 6, Exact),
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
    ("ZRANGE", "0 -1 WITHSCORES", Exact),
    ("ZCARD", "", Exact),
    ("OBJECT ENCODING", "", Encoding),
];
