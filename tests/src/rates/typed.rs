//! What an operator types: `redis-cli --scan --pattern 'actor:*' | xargs -n 1000 redis-cli MGET`. It misses nothing
//! only while the server stays the same, and it cannot be interrupted; but it is what there is otherwise.

use super::{Listed, Progress};
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::{Result, tools};

const KEYS_PER_MGET: &str = "1000";
const READ_BYTES: usize = 256 << 10;

/// Ends with its owner.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn list(node: SocketAddr, limit: Duration, say: &mut dyn FnMut(&str)) -> Result<Listed> {
    let cli = tools::need("redis-cli")?;
    let (host, port) = (node.ip().to_string(), node.port().to_string());
    let begin = Instant::now();
    let mut scan = Ended(
        Command::new(&cli)
            .args(["-h", &host, "-p", &port, "--scan", "--pattern", "actor:*"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let keys = scan.0.stdout.take().ok_or("it has no output")?;
    let mut values = Ended(
        Command::new("xargs")
            .args(["-n", KEYS_PER_MGET])
            .arg(&cli)
            .args(["-h", &host, "-p", &port, "MGET"])
            .stdin(keys)
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let mut output = values.0.stdout.take().ok_or("it has no output")?;
    let (mut listed, mut progress) = (Listed::default(), Progress::new());
    let (mut buffer, mut is_begin) = (vec![0; READ_BYTES], true);
    loop {
        let count = output.read(&mut buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        // A record is one line, and so is what is no record: an error.
        for byte in read {
            listed.actors += usize::from(is_begin && *byte == b'{');
            is_begin = *byte == b'\n';
        }
        progress.note("redis-cli", listed.actors, say);
        if count == 0 || begin.elapsed() >= limit {
            listed.time = begin.elapsed();
            return if listed.actors > 0 { Ok(listed) } else { Err("redis-cli has shown no record".into()) };
        }
    }
}
