//! A disk that fails under load: what the server must and must not do until it is killed.

use crate::{Client, Reply, Result, Server, wait};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
        let refused = wait::until("writes to be refused", PATIENCE, || refusal(&mut client).transpose())??;
        // Reads go on, if not at once after an fsync has failed, and INFO says what is wrong.
        wait::until("reads to go on", PATIENCE, || {
            let read = client.line(&format!("GET {PROBE}"));
            read.map(|read| (read == Reply::bulk("before") || !self.interrupts()).then_some(())).transpose()
        })??;
        for _ in 0..100 {
            let read = client.line(&format!("GET {PROBE}"))?;
            if read != Reply::bulk("before") {
                return Err(format!("a read while writes are refused gives {read:?}").into());
            }
        }
        if refusal(&mut client)?.is_none() {
            return Err(format!("a write is taken right after one was refused with {refused}").into());
        }
        let info = client.line("INFO persistence")?;
        let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
        if !text.contains("aof_last_write_status:err") {
            return Err(format!("writes are refused, and INFO says that all is well: {text}").into());
        }
        self.end(&mut client)?;
        if *self == Self::Fsync {
            return still_refused(&mut client);
        }
        wait::until("writes to be taken again", PATIENCE, || {
            refusal(&mut client).map(|why| why.is_none().then_some(())).transpose()
        })??;
        let before = acknowledged.load(Ordering::SeqCst);
        wait::until("the load to go on", PATIENCE, || {
            (acknowledged.load(Ordering::SeqCst) > before).then_some(())
        })
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
            Self::FullDisk(dir) => fill(dir),
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

/// Fills a file system to the last block.
fn fill(dir: &Path) -> Result {
    let mut file = File::options().create(true).append(true).open(dir.join(FILLER))?;
    for bytes in [1 << 20, 4 << 10, 1] {
        let chunk = vec![0x5a; bytes];
        loop {
            match file.write(&chunk) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(format!("filling {}: {error}", dir.display()).into()),
            }
        }
    }
    Ok(())
}
