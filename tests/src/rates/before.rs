//! The way it was done before: all shards are scanned at once, every record is fetched by a GET of its own, and all
//! are kept in memory until the last has come.
//!
//! Each shard has a connection and a thread, and one GET at a time, as it was. Steps of the scan look at 1,000 keys,
//! which is more than it was. It runs in a process of its own, so that its memory can be seen.

use super::{Listed, Progress};
use ateapi::Record;
use ateapi::proto::Actor;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use testkit::{Client, Reply, Result, proc};

/// What the process is told first, to be this.
pub const WORD: &str = "--as-before";
const STEP_KEYS: &str = "1000";

pub(super) fn start(nodes: &[SocketAddr], limit: Duration, say: &mut dyn FnMut(&str)) -> Result<Listed> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([WORD, &limit.as_millis().to_string()])
        .args(nodes.iter().map(SocketAddr::to_string))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut last, mut progress) = (String::new(), Progress::new());
    for line in BufReader::new(child.stdout.take().ok_or("it has no output")?).lines() {
        last = line?;
        progress.note("as before", last.split(' ').next().unwrap_or_default().parse().unwrap_or(0), say);
    }
    if !child.wait()?.success() {
        return Err("the listing as before has failed".into());
    }
    let numbers: Vec<u64> = last.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let &[actors, us, resident_before, resident_peak] = numbers.as_slice() else {
        return Err(format!("not understood: {last}").into());
    };
    let time = Duration::from_micros(us);
    Ok(Listed { actors: actors as usize, time, resident_before, resident_peak, pages: Vec::new() })
}

/// That process: what it was told after [`WORD`] is how many milliseconds it may take, and where the shards are. It
/// says how many actors it has, for how many microseconds, and its memory before and at most; the last line counts.
pub fn run(words: &[String], say: &mut dyn FnMut(&str)) -> Result {
    let [limit, nodes @ ..] = words else { return Err("how long, and where?".into()) };
    let limit = Duration::from_millis(limit.parse()?);
    let nodes: Vec<SocketAddr> =
        nodes.iter().map(|node| node.parse()).collect::<std::result::Result<_, _>>()?;
    let pid = std::process::id();
    let resident_before = proc::resident_bytes(pid)?;
    let begin = Instant::now();
    let (reports, counts) = std::sync::mpsc::channel();
    let shards: Vec<_> = nodes
        .into_iter()
        .map(|node| {
            let reports = reports.clone();
            thread::spawn(move || shard(node, begin + limit, &mut |count| reports.send(count).is_ok()))
        })
        .collect();
    drop(reports);
    let mut count = 0;
    for more in counts {
        count += more;
        say(&count.to_string());
    }
    let mut all = Vec::new();
    for shard in shards {
        all.extend(shard.join().map_err(|_| "a shard's thread has panicked")??);
    }
    let time = begin.elapsed().as_micros();
    let resident_peak = proc::resident_peak_bytes(pid)?;
    say(&format!("{} {time} {resident_before} {resident_peak}", all.len()));
    Ok(())
}

fn shard(node: SocketAddr, end: Instant, report: &mut dyn FnMut(usize) -> bool) -> Result<Vec<Actor>> {
    let mut client = Client::connect(node)?;
    let (mut actors, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let step = client.call(&["SCAN", &cursor, "MATCH", "actor:*", "COUNT", STEP_KEYS])?;
        let Some([next, Reply::Array(keys)]) = step.items() else {
            return Err(format!("SCAN: {step:?}").into());
        };
        cursor = String::from_utf8_lossy(next.bytes().unwrap_or_default()).into_owned();
        let before = actors.len();
        for key in keys.iter().filter_map(Reply::bytes) {
            if let Some(text) = client.call(&[b"GET", key])?.bytes() {
                actors.push(Actor::decode(key, text)?);
            }
            if Instant::now() >= end {
                return Ok(actors);
            }
        }
        report(actors.len() - before);
        if cursor == "0" {
            return Ok(actors);
        }
    }
}
