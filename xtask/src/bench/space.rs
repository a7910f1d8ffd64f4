//! What an element of a collection takes: on disk here, in memory in Valkey and Redis.

use super::page;
use crate::{Result, install};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::client::words;
use testkit::{Client, Durability, Server, Spec};

pub(super) struct Plan {
    pub(super) program: PathBuf,
    /// In each collection.
    pub(super) elements: u64,
    pub(super) out: Option<PathBuf>,
}

/// A collection: its command, the words of its element number so and so, and what an element is.
struct Shape {
    name: &'static str,
    command: &'static str,
    element: fn(u64) -> Vec<String>,
}

const SHAPES: &[Shape] = &[
    Shape { name: "list: items of 10 bytes", command: "RPUSH", element: |n| vec![text(n)] },
    Shape { name: "set: members of 10 bytes", command: "SADD", element: |n| vec![text(n)] },
    Shape {
        name: "hash: fields and values of 10 bytes",
        command: "HSET",
        element: |n| vec![text(n), text(n + OTHER)],
    },
    Shape {
        name: "sorted set: members of 10 bytes, with scores",
        command: "ZADD",
        element: |n| vec![(n.wrapping_mul(618_033_989) % 1_000_000).to_string(), text(n)],
    },
];

/// Elements added by one command.
const ADDED: u64 = 500;
/// Texts of other numbers than these are values.
const OTHER: u64 = 1 << 40;
/// A store that has not come to rest by then is measured as it is.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(60);
/// For so long nothing may move.
const STILL: Duration = Duration::from_secs(3);

/// Ten letters and digits, other ones for each number, and without anything in common that a compressor
/// would find.
fn text(number: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    const TEXTS: u128 = 36_u128.pow(10);
    /// Prime to the number of texts.
    const STEP: u128 = 2_862_933_555_777_941;
    let mut left = u128::from(number) * STEP % TEXTS;
    let mut text = String::with_capacity(10);
    for _ in 0..10 {
        text.push(char::from(DIGITS[(left % 36) as usize]));
        left /= 36;
    }
    text
}

pub(super) fn run(plan: &Plan) -> Result {
    install::servers()?;
    let mut table = format!(
        "## Space\n\nWritten by `cargo xtask bench space`: bytes per element of a collection of {} elements. For Bulkhead, \
         what its\nstore's tables have grown by, in blocks of the file system, once all of it has been written, BGREWRITEAOF \
         has what is in memory\nwritten to tables, and then nothing has moved for {} seconds; it is not compacted any further \
         than it is by itself. The texts have\nnothing in common that a compressor would find. On top come the store's journals \
         and the log, which hold what was written last\nand are used again: {{rest}} MiB at most after these. For Valkey and \
         Redis, what `used_memory` has grown by, without persistence.\n\n\
         | | Bulkhead, on disk | Valkey, in memory | Redis, in memory |\n|---|---:|---:|---:|\n",
        plan.elements,
        STILL.as_secs()
    );
    let (mut rest, mut versions) = (0, Vec::new());
    for shape in SHAPES {
        eprintln!("{} …", shape.name);
        let ours = on_disk(plan, shape)?;
        rest = rest.max(ours.rest);
        let (valkey, redis) =
            (in_memory(plan, shape, Spec::valkey()?)?, in_memory(plan, shape, Spec::redis()?)?);
        versions = vec![valkey.1, redis.1];
        let each = |bytes: u64| bytes as f64 / plan.elements as f64;
        writeln!(
            table,
            "| {} | **{:.1}** | {:.1} | {:.1} |",
            shape.name,
            each(ours.tables),
            each(valkey.0),
            each(redis.0)
        )?;
    }
    let table = table.replace("{rest}", &(rest >> 20).to_string());
    let table = format!("{table}\n{}.\n", versions.join(", "));
    println!("{table}");
    match &plan.out {
        Some(out) => page::write(out, "space", &table),
        None => Ok(()),
    }
}

struct Taken {
    tables: u64,
    /// Journals and log.
    rest: u64,
}

fn on_disk(plan: &Plan, shape: &Shape) -> Result<Taken> {
    let server = Spec::of_program(&plan.program).durability(Durability::EverySecond).start()?;
    let mut client = server.client()?;
    let tables = server.dir().join("store/keyspaces");
    settle(&mut client, &server, &tables)?;
    let before = bytes_of(&tables)?;
    fill(&mut client, shape, plan.elements)?;
    settle(&mut client, &server, &tables)?;
    let taken = bytes_of(&tables)?;
    let all = bytes_of(&server.dir().join("store"))? + bytes_of(&server.dir().join("log"))?;
    Ok(Taken { tables: taken.saturating_sub(before), rest: all.saturating_sub(taken) })
}

/// Also the peer's name and version.
fn in_memory(plan: &Plan, shape: &Shape, spec: Spec) -> Result<(u64, String)> {
    let server = spec.durability(Durability::None).start()?;
    let mut client = server.client()?;
    let before = field(&mut client, "memory", "used_memory:")?.parse::<u64>()?;
    fill(&mut client, shape, plan.elements)?;
    let after = field(&mut client, "memory", "used_memory:")?.parse::<u64>()?;
    let flavour = server.flavour();
    let version = field(&mut client, "server", "valkey_version:")
        .or_else(|_| field(&mut client, "server", "redis_version:"))?;
    Ok((after.saturating_sub(before), format!("{flavour:?} {version}")))
}

fn field(client: &mut Client, section: &str, name: &str) -> Result<String> {
    let info = client.want(&format!("INFO {section}"))?;
    let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    Ok(found.ok_or_else(|| format!("INFO {section} has no {name}"))?.to_owned())
}

fn fill(client: &mut Client, shape: &Shape, elements: u64) -> Result {
    for first in (0..elements).step_by(ADDED as usize * 10) {
        let commands: Vec<_> = (first..elements.min(first + ADDED * 10))
            .step_by(ADDED as usize)
            .map(|first| {
                let mut command = words(&format!("{} collection", shape.command));
                let elements = (first..elements.min(first + ADDED)).flat_map(shape.element);
                command.extend(elements.map(String::into_bytes));
                command
            })
            .collect();
        if let Some(error) = client.pipeline(&commands)?.into_iter().find(testkit::Reply::is_error) {
            return Err(format!("{}: {error:?}", shape.command).into());
        }
    }
    Ok(())
}

/// Has everything in memory written to tables, and waits until no file changes and nothing is computed.
fn settle(client: &mut Client, server: &Server, tables: &Path) -> Result {
    const IDLE: Duration = Duration::from_millis(100);
    client.want("SAVE")?;
    client.want("BGREWRITEAOF")?;
    let start = Instant::now();
    let mut last = (bytes_of(tables)?, server.cpu_time()?);
    loop {
        std::thread::sleep(STILL);
        let now = (bytes_of(tables)?, server.cpu_time()?);
        if (now.0 == last.0 && now.1.saturating_sub(last.1) <= IDLE) || start.elapsed() > SETTLE_TIME_MAX {
            return Ok(());
        }
        last = now;
    }
}

/// What the files of a folder take, in blocks of the file system.
fn bytes_of(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    const BLOCK_BYTES: u64 = 512;
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        sum += match entry.metadata() {
            Ok(data) if data.is_dir() => bytes_of(&entry.path())?,
            Ok(data) => data.blocks() * BLOCK_BYTES,
            // A compaction has removed it meanwhile.
            Err(_) => 0,
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn texts_are_ten_long_and_all_different() {
        let texts: HashSet<String> = (0..10_000).chain(OTHER..OTHER + 10_000).map(text).collect();
        assert!(texts.len() == 20_000 && texts.iter().all(|text| text.len() == 10));
    }
}
