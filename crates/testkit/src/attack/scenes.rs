//! The scenes: what there is, and who does what to it.

use super::Load;
use crate::client::{encode, words};
use crate::{Client, Flavour, Reply, Result};

#[derive(Debug)]
pub struct Scene {
    pub name: &'static str,
    pub what: &'static str,
    /// Puts there what the attackers ask for.
    pub fill: fn(&mut Client) -> Result,
    pub loads: fn(Flavour) -> Vec<Load>,
}

/// The scene whose attack must be ended by hand.
pub const ENDLESS: &str = "lua";
/// As many as the incident had.
const READERS: usize = 37;
const VALUE_BYTES: usize = 64;
const ENTRIES: u64 = 200_000;
const KEYS: u64 = 1_000_000;
const FIELDS: u64 = 1_000_000;
const SETS: u64 = 3;
const MEMBERS: u64 = 200_000;
const BIG_VALUE_BYTES: usize = 1 << 20;
const GET_BIG: &str = "GET big";
const AT_ONCE: usize = 128;
/// A server without a bound on what waits for a client would keep this many bytes for each that never reads.
const UNREAD_BYTES: u64 = 256 << 20;
const GIB: u64 = 1 << 30;
/// The longest value that Redis takes, and what of it is sent: it must not end.
const GIANT_BYTES: u64 = 512 << 20;
const GIANT_SENT_BYTES: u64 = 511 << 20;

pub const SCENES: &[Scene] = &[
    Scene {
        name: "xread-start",
        what: "37 connections read a stream of 200,000 entries from its start",
        fill: stream,
        loads: |_| vec![asking(READERS, "XREAD STREAMS s 0")],
    },
    Scene {
        name: "xread-newest",
        what: "37 connections read its ten newest entries",
        fill: stream,
        loads: |_| vec![asking(READERS, &format!("XREAD COUNT 10 STREAMS s {}-0", ENTRIES - 10))],
    },
    Scene {
        name: "keys",
        what: "16 connections ask for all of 1,000,000 keys (KEYS *)",
        fill: |client| fill(client, KEYS, |at| format!("SET other:{at:012} value")),
        loads: |_| vec![asking(16, "KEYS *")],
    },
    Scene {
        name: "hgetall",
        what: "16 connections ask for a hash of 1,000,000 fields",
        fill: |client| fill(client, FIELDS / 10, |at| tens("HSET h", at, |n| format!("field:{n:08} value"))),
        loads: |_| vec![asking(16, "HGETALL h")],
    },
    Scene {
        name: ENDLESS,
        what: "8 connections run a script that never ends (one, on others than Bulkhead)",
        fill: |_| Ok(()),
        loads: |flavour| {
            let connections = if flavour == Flavour::Bulkhead { 8 } else { 1 };
            let mut chunk = Vec::new();
            encode(&["EVAL", "while true do end", "0"], &mut chunk);
            vec![Load { chunk, ..asking(connections, "") }]
        },
    },
    Scene {
        name: "sunion",
        what: "16 connections unite three sets of 200,000 members",
        fill: |client| {
            // A third of each set is in the next one as well.
            fill(client, SETS * MEMBERS / 10, |at| {
                let (set, from) = (at * 10 / MEMBERS, at * 10 % MEMBERS);
                tens(&format!("SADD set:{set}"), from / 10, |n| {
                    format!("member:{:08}", n + set * MEMBERS * 2 / 3)
                })
            })
        },
        loads: |_| vec![asking(16, "SUNION set:0 set:1 set:2")],
    },
    Scene {
        name: "connections",
        what: "one address opens 5,000 connections, and opens them again when they are closed",
        fill: |_| Ok(()),
        loads: |_| vec![asking(5_000, "PING")],
    },
    Scene {
        name: "slow-reader",
        what: "4 connections ask for 256 MiB each, in values of 1 MiB, and never read",
        fill: big,
        loads: |_| {
            let get = asking(4, GET_BIG);
            let times = UNREAD_BYTES / BIG_VALUE_BYTES as u64;
            vec![Load { flood_bytes: times * get.chunk.len() as u64, reads: false, ..get }]
        },
    },
    Scene {
        name: "pipeline",
        what: "2 connections send pipelines of 1 GiB of SET (16 KiB each), and one a value that never ends",
        fill: |_| Ok(()),
        loads: |_| {
            let value = "x".repeat(16 << 10);
            let sets: Vec<u8> =
                (0..16).flat_map(|at| asking(0, &format!("SET pipe:{at} {value}")).chunk).collect();
            let head = format!("*3\r\n$3\r\nSET\r\n$5\r\ngiant\r\n${GIANT_BYTES}\r\n").into_bytes();
            let giant =
                Load { head, chunk: vec![b'x'; 64 << 10], flood_bytes: GIANT_SENT_BYTES, ..asking(1, "") };
            vec![Load { chunk: sets, flood_bytes: GIB, ..asking(2, "") }, giant]
        },
    },
];

/// Those that aim at memory alone.
pub const HOARDERS: &[Scene] = &[
    Scene {
        name: "hoard",
        what: "4 connections run a script that keeps all that it can make",
        fill: |_| Ok(()),
        loads: |_| {
            let code = "local all = {} while true do all[#all + 1] = string.rep('x', 10000) .. #all end";
            let mut chunk = Vec::new();
            encode(&["EVAL", code, "0"], &mut chunk);
            vec![Load { chunk, ..asking(4, "") }]
        },
    },
    Scene {
        name: "mget",
        what: "4 connections ask for 128 values of 1 MiB at once",
        fill: big,
        loads: |_| vec![asking(4, &("MGET".to_owned() + &" big".repeat(AT_ONCE)))],
    },
    Scene {
        name: "unit",
        what: "4 connections ask for 128 values of 1 MiB in one MULTI",
        fill: big,
        loads: |_| {
            let lines = std::iter::once("MULTI").chain([GET_BIG; AT_ONCE]).chain(["EXEC"]);
            vec![Load { chunk: lines.flat_map(|line| asking(0, line).chunk).collect(), ..asking(4, "") }]
        },
    },
    Scene {
        name: "overwrite",
        what: "4 connections write values of 4 MiB as fast as they are taken",
        fill: |_| Ok(()),
        loads: |_| {
            let value = "x".repeat(4 << 20);
            let each = |key: usize| Load {
                chunk: asking(0, &format!("SET vast:{key} {value}")).chunk,
                ..asking(1, "")
            };
            (0..4).map(each).collect()
        },
    },
];

fn big(client: &mut Client) -> Result {
    client.call(&[&b"SET"[..], b"big", &vec![b'x'; BIG_VALUE_BYTES]])?;
    Ok(())
}

/// Connections that send a command when the one before is answered.
fn asking(connections: usize, line: &str) -> Load {
    let mut chunk = Vec::new();
    encode(&words(line), &mut chunk);
    Load { connections, head: Vec::new(), chunk, flood_bytes: 0, reads: true }
}

fn stream(client: &mut Client) -> Result {
    // Two scenes want it, which may have one server.
    client.want("DEL s")?;
    let data = "x".repeat(VALUE_BYTES);
    fill(client, ENTRIES, |at| format!("XADD s {}-0 data {data}", at + 1))
}

/// A command with ten elements.
fn tens(head: &str, at: u64, element: impl Fn(u64) -> String) -> String {
    (at * 10..at * 10 + 10).fold(head.to_owned(), |line, number| line + " " + &element(number))
}

fn fill(client: &mut Client, commands: u64, line: impl Fn(u64) -> String) -> Result {
    const AT_A_TIME: u64 = 10_000;
    for from in (0..commands).step_by(AT_A_TIME as usize) {
        let some: Vec<_> = (from..commands.min(from + AT_A_TIME)).map(|at| words(&line(at))).collect();
        if let Some(error) = client.pipeline(&some)?.into_iter().find(Reply::is_error) {
            return Err(format!("filling: {error:?}").into());
        }
    }
    Ok(())
}
