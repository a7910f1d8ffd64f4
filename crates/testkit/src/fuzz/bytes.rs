//! What is sent: commands as clients write them, and the same with mistakes in them.

use crate::Rng;
use crate::client::{encode, words};

/// Commands of all families that are cheap whatever numbers they are given, and end nothing.
const LINES: &[&str] = &[
    "PING",
    "PING hello",
    "ECHO something",
    "HELLO 3",
    "HELLO 2 AUTH default x SETNAME me",
    "AUTH nobody nothing",
    "SELECT 3",
    "RESET",
    "CLIENT SETNAME me",
    "CLIENT ID",
    "CLIENT INFO",
    "CLIENT REPLY SKIP",
    "CLIENT TRACKING ON BCAST PREFIX a",
    "COMMAND COUNT",
    "COMMAND INFO get set",
    "CONFIG GET max*",
    "INFO clients",
    "SET a 1 EX 100",
    "SET b value KEEPTTL GET",
    "GET a",
    "MGET a b c d",
    "MSET a 1 b 2 c 3",
    "APPEND s text",
    "INCRBY n 5",
    "INCRBYFLOAT n 0.5",
    "GETRANGE s 0 -1",
    "DEL a b l h z x",
    "EXPIRE a 100 GT",
    "TYPE a",
    "OBJECT ENCODING l",
    "KEYS *",
    "SCAN 0 MATCH a* COUNT 100 TYPE string",
    "LPUSH l 1 2 3 4 5",
    "LRANGE l 0 -1",
    "LPOP l 2",
    "LMOVE l l LEFT RIGHT",
    "BLPOP nothing l 1",
    "BLMPOP 1 2 nothing l LEFT COUNT 2",
    "SADD m 1 2 3 four",
    "SINTERCARD 2 m m LIMIT 2",
    "HSET h f1 v1 f2 v2",
    "HGETALL h",
    "HSCAN h 0 COUNT 10",
    "ZADD z GT CH 1.5 one 2 two",
    "ZRANGE z 0 -1 REV WITHSCORES",
    "ZRANGEBYSCORE z (1 +inf LIMIT 0 5",
    "ZUNIONSTORE z2 2 z z WEIGHTS 1 2 AGGREGATE MAX",
    "XADD x MAXLEN ~ 100 * f v",
    "XRANGE x - + COUNT 5",
    "XREAD COUNT 2 STREAMS x 0",
    "XGROUP CREATE x g $ MKSTREAM",
    "XREADGROUP GROUP g c COUNT 1 STREAMS x >",
    "PFADD p 1 2 3",
    "GEOADD g 13.361389 38.115556 Palermo",
    "SORT l LIMIT 0 5 ALPHA",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH a b",
    "SUBSCRIBE channel",
    "PSUBSCRIBE chan*",
    "UNSUBSCRIBE",
    "PUBLISH channel message",
    "EVAL return(redis.call('GET',KEYS[1])) 1 a",
    "SCRIPT EXISTS 0000000000000000000000000000000000000000",
    "DUMP h",
    "RESTORE r 0 \\x00\\x01a",
    "QUIT",
];

/// Numbers where something ends.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "-2",
    "01",
    "+1",
    "1048576",
    "1048577",
    "2147483648",
    "4294967296",
    "536870912",
    "536870913",
    "1073741825",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999",
    "1e9",
    "",
];

/// Parts of the protocol.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"*",
    b"$",
    b"*1\r\n",
    b"$4\r\n",
    b"*-1\r\n",
    b"$-1\r\n",
    b"*0\r\n",
    b"\0",
    b"\"",
    b"'",
    b"\\x",
    b"\xff\xfe",
    b"$536870912\r\n",
    b"*1048576\r\n",
    b"+OK\r\n",
    b"-ERR\r\n",
    b":1\r\n",
    b"%1\r\n",
    b"~1\r\n",
    b">1\r\n",
    b"|1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",inf\r\n",
    b"(1\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"!3\r\nERR\r\n",
];

/// One command, as most clients write it or as a person does.
fn command(rng: &mut Rng, out: &mut Vec<u8>) {
    let line = rng.pick(LINES);
    if rng.chance(85) {
        return encode(&words(line), out);
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(if rng.chance(50) { b"\r\n" } else { b"\n" });
}

/// Commands without a mistake.
pub(super) fn pipeline(rng: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    (0..=rng.below(12)).for_each(|_| command(rng, &mut out));
    out
}

/// Commands with mistakes, or what was never one.
pub(super) fn hostile(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = match rng.below(10) {
        0 => {
            let len = rng.below(2_000);
            rng.bytes(len)
        }
        1 => (0..rng.below(30)).flat_map(|_| rng.pick(TOKENS).to_vec()).collect(),
        _ => pipeline(rng),
    };
    (0..=rng.below(4)).for_each(|_| mutate(rng, &mut bytes));
    bytes
}

/// One mistake.
fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.below(bytes.len() + 1);
    let end = at + rng.below((bytes.len() - at).min(40) + 1);
    match rng.below(8) {
        0 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
        1 => bytes.truncate(at),
        2 => drop(bytes.drain(at..end)),
        3 => {
            let again = bytes.get(at..end).unwrap_or_default().to_vec();
            drop(bytes.splice(at..at, again));
        }
        4 => {
            let token = rng.pick(TOKENS).to_vec();
            drop(bytes.splice(at..at, token));
        }
        5 => {
            let other = pipeline(rng);
            let from = rng.below(other.len());
            drop(bytes.splice(at.., other.get(from..).unwrap_or_default().to_vec()));
        }
        6 => {
            let count = 1 + rng.below(6);
            let random = rng.bytes(count);
            drop(bytes.splice(at..end, random));
        }
        _ => renumber(rng, bytes, at),
    }
}

/// Puts another number in the place of the next one.
fn renumber(rng: &mut Rng, bytes: &mut Vec<u8>, from: usize) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes.iter().skip(from).position(is_digit).map(|at| from + at) else { return };
    let len = bytes.iter().skip(start).take_while(|byte| is_digit(byte)).count();
    let number = rng.pick(NUMBERS).as_bytes().to_vec();
    drop(bytes.splice(start..start + len, number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_the_same_bytes() {
        let all = |seed| {
            let mut rng = Rng::new(seed);
            (0..200).map(|_| hostile(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(all(5), all(5));
        assert_ne!(all(5), all(6));
    }

    #[test]
    fn mistakes_are_made_anywhere_in_anything() {
        let mut rng = Rng::new(1);
        for start in [&b""[..], b"x", b"12", b"*1\r\n$4\r\nPING\r\n"] {
            for _ in 0..1_000 {
                let mut bytes = start.to_vec();
                (0..3).for_each(|_| mutate(&mut rng, &mut bytes));
            }
        }
    }
}
