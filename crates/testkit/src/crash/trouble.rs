//! A disk that fails under load: what the server must and must not do until it is killed.

use crate::{Client, Reply, Result, Server, wait};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A server that has not answered by then hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// The probe's own key, which no worker writes.
const PROBE: &str = "probe";
const FILLER: &str = "filler";

/// What happens to the disk in each round, in the middle of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// fdatasync fails from some moment on, and the node takes no writes until it is restarted. Needs a
    /// build with `DEBUG FAULT`.
    Fsync,
    /// The log finds no room, for a while. Needs a build with `DEBUG FAULT`.
    NoRoom,
    /// The file system with the data is filled, for a while, by a file in this folder.
    FullDisk(PathBuf),
}

impl Trouble {
    /// Whether the server can be made to have it.
    pub(super) fn check_possible(&self, server: &Server) -> Result {
        if matches!(self, Self::FullDisk(_)) {
            return Ok(());
        }
        let reply = server.client()?.line("DEBUG FAULT fsync off")?;
        if reply.is_error() {
            return Err(format!(
                "this server was built without faults: DEBUG FAULT is there only in builds with debug \
                 assertions (cargo build, not cargo build --release). It says {reply:?}"
            )
            .into());
        }
        Ok(())
    }

    /// Brings it about under load, and checks what must hold while it lasts. `acknowledged` counts the
    /// writes of the load.
    pub(super) fn run(&self, server: &Server, acknowledged: &AtomicU64) -> Result {
        let mut client = server.client()?;
        client.want(&format!("SET {PROBE} before"))?;
        self.begin(&mut client)?;
        wait::until("writes to be refused", PATIENCE, || refusal(&mut client).transpose())??;
        self.check_reads(&mut client)?;
        // A log without room may find some for a while by using a segment again.
        wait::until("INFO to say so", PATIENCE, || {
            let info = client.line("INFO persistence").ok()?;
            String::from_utf8_lossy(info.bytes()?).contains("aof_last_write_status:err").then_some(())
        })?;
        self.end(&mut client)?;
        if *self == Self::Fsync {
            return still_refused(&mut client);
        }
        let mut last = String::new();
        wait::until("writes to be taken again", PATIENCE, || match refusal(&mut client) {
            Ok(Some(why)) => {
                last = why;
                None
            }
            Ok(None) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        })
        .map_err(|error| format!("{error}: {last}"))??;
        let before = acknowledged.load(Ordering::SeqCst);
        wait::until("the load to go on", PATIENCE, || {
            (acknowledged.load(Ordering::SeqCst) > before).then_some(())
        })
    }

    /// Reads go on. After an fsync has failed they may be interrupted for a moment, while consensus
    /// gives up and the node finds that nobody else can lead.
    fn check_reads(&self, client: &mut Client) -> Result {
        let mut read_all = || -> Result<Option<Reply>> {
            for _ in 0..100 {
                let read = client.line(&format!("GET {PROBE}"))?;
                if read != Reply::bulk("before") {
                    return Ok(Some(read));
                }
            }
            Ok(None)
        };
        let is_interruption =
            |read: &Reply| matches!(read, Reply::Error(why) if self.interrupts() && self.explains(why));
        wait::until("reads to go on", PATIENCE, || match read_all() {
            Ok(None) => Some(Ok(())),
            Ok(Some(read)) if is_interruption(&read) => None,
            Ok(Some(read)) => Some(Err(format!("a read while writes are refused gives {read:?}").into())),
            Err(error) => Some(Err(error)),
        })?
    }

    /// Whether reads may be told for a moment that nobody leads.
    fn interrupts(&self) -> bool {
        *self == Self::Fsync
    }

    /// Whether an error tells a client no more than that the disk fails.
    pub(super) fn explains(&self, why: &str) -> bool {
        is_refusal(why) || (self.interrupts() && why.starts_with("CLUSTERDOWN "))
    }

    fn begin(&self, client: &mut Client) -> Result {
        match self {
            Self::Fsync => client.want("DEBUG FAULT fsync on").map(drop),
            Self::NoRoom => client.want("DEBUG FAULT full on").map(drop),
            Self::FullDisk(dir) => fill_until_refused(client, dir),
        }
    }

    fn end(&self, client: &mut Client) -> Result {
        match self {
            Self::Fsync => client.want("DEBUG FAULT fsync off").map(drop),
            Self::NoRoom => client.want("DEBUG FAULT full off").map(drop),
            Self::FullDisk(dir) => Ok(fs::remove_file(dir.join(FILLER))?),
        }
    }

    /// Before the server is started again.
    pub(super) fn clean_up(&self) {
        if let Self::FullDisk(dir) = self {
            // It is there only if the round failed.
            let _ = fs::remove_file(dir.join(FILLER));
        }
    }
}

/// After the restart: it was acknowledged, so it must be there, and the workers do not know of it.
pub(super) fn remove_probe(server: &Server) -> Result {
    let removed = server.client()?.want(&format!("DEL {PROBE}"))?;
    if removed == Reply::Integer(1) { Ok(()) } else { Err(format!("{PROBE} is lost: {removed:?}").into()) }
}

/// After a failed fsync nobody knows what is on disk, also when the next one would succeed.
fn still_refused(client: &mut Client) -> Result {
    for _ in 0..20 {
        if refusal(client)?.is_none() {
            return Err("a write is taken although an fsync has failed before".into());
        }
    }
    Ok(())
}

/// Tries a write that changes nothing; why it was refused, if it was.
fn refusal(client: &mut Client) -> Result<Option<String>> {
    match client.line(&format!("SET {PROBE} before"))? {
        Reply::Error(why) if is_refusal(&why) || why.starts_with("CLUSTERDOWN ") => Ok(Some(why)),
        Reply::Error(why) => Err(format!("a write without room is answered with {why}").into()),
        _ => Ok(None),
    }
}

/// Whether an error says that the write has had no effect, or may have had none.
fn is_refusal(why: &str) -> bool {
    why.starts_with("MISCONF ") || is_uncertain(why)
}

pub(super) fn is_uncertain(why: &str) -> bool {
    why.starts_with("UNCERTAIN ")
}

/// Takes room as another program would on a disk that is no faster than ours, until writes are refused
/// and the store has come to rest; then everything down to the last block. Not before: nothing can
/// protect what the store does in the background from a disk that loses its last block meanwhile.
fn fill_until_refused(client: &mut Client, dir: &Path) -> Result {
    const STEP_BYTES: usize = 8 << 20;
    /// Far above what the server keeps for itself under this load.
    const SLOW_FROM_BYTES: u64 = 600 << 20;
    const PACE: Duration = Duration::from_millis(50);
    const REST: Duration = Duration::from_secs(1);
    let mut file = File::options().create(true).append(true).open(dir.join(FILLER))?;
    let chunk = vec![0x5a; STEP_BYTES];
    let mut seen = (String::new(), Instant::now());
    let start = Instant::now();
    loop {
        let free = free_bytes(dir)?;
        // The server gives back what it can when the disk is nearly full, and goes on for a while.
        if refusal(client)?.is_none() {
            if free < STEP_BYTES as u64 {
                return Err("the disk is full and writes are still taken".into());
            }
            file.write_all(&chunk)?;
        }
        let info = client.want("INFO store")?;
        let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
        if text != seen.0 {
            seen = (text, Instant::now());
        }
        if seen.0.contains("pending_bytes:0\r\n") && seen.1.elapsed() >= REST {
            break;
        }
        if start.elapsed() > 3 * PATIENCE {
            return Err(format!("the disk does not fill: {free} bytes are free").into());
        }
        if free < SLOW_FROM_BYTES {
            std::thread::sleep(PACE);
        }
    }
    for bytes in [1 << 20, 4 << 10, 1] {
        while file.write_all(chunk.get(..bytes).unwrap_or_default()).is_ok() {}
    }
    let left = free_bytes(dir)?;
    if left == 0 { Ok(()) } else { Err(format!("{left} bytes could not be taken").into()) }
}

fn free_bytes(dir: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail * found.f_frsize)
}
