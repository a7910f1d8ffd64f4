//! What the process takes, looked at all the time and from outside.

use crate::{Result, proc};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(20);
/// More than what is told in a period.
const TOLD_MAX: usize = 16;

/// What a server that does nothing holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) sockets: u64,
    /// Open files that are none: tables, journals, the log.
    pub(super) files: u64,
    pub(super) threads: u64,
}

impl Held {
    pub(super) fn by(pid: u32) -> Result<Self> {
        let (sockets, files) = proc::open_files(pid)?;
        Ok(Self { sockets, files, threads: proc::threads(pid)? })
    }
}

/// The most that was resident, and who attacked then.
#[derive(Debug, Clone, Default)]
pub(super) struct Peak {
    pub(super) bytes: u64,
    pub(super) during: String,
}

/// Looks until it is stopped.
#[derive(Debug)]
pub(super) struct Watch {
    now: mpsc::SyncSender<String>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Peak>>,
}

impl Watch {
    pub(super) fn start(pid: u32) -> Self {
        let (now, told) = mpsc::sync_channel(TOLD_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            thread::spawn(move || look(pid, &told, &stop))
        };
        Self { now, stop, thread }
    }

    /// What goes on from now on.
    pub(super) fn tell(&self, what: String) {
        // A watch that has ended says why when it is stopped.
        let _ = self.now.send(what);
    }

    pub(super) fn stop(self) -> Result<Peak> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| "the watch has panicked")?
    }
}

fn look(pid: u32, told: &mpsc::Receiver<String>, stop: &AtomicBool) -> Result<Peak> {
    let (mut peak, mut now) = (Peak::default(), String::new());
    while !stop.load(Ordering::SeqCst) {
        now = told.try_iter().last().unwrap_or(now);
        let bytes = proc::resident_bytes(pid)?;
        if bytes > peak.bytes {
            peak = Peak { bytes, during: now.clone() };
        }
        thread::sleep(PERIOD);
    }
    Ok(peak)
}
