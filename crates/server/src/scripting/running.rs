//! What runs in the heavy pool: to be told of it, and to end it. A script can always be ended: what it has
//! written is in its transaction only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use store::Cancel;

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Script,
    Function,
}

/// A script that runs.
struct Run {
    id: u64,
    kind: Kind,
    /// The digest, or the function's name.
    name: String,
    command: Vec<Vec<u8>>,
    since: Instant,
    cancel: Arc<Cancel>,
}

impl Run {
    fn killed(&self) -> String {
        let command = match self.kind {
            Kind::Script => "SCRIPT KILL",
            Kind::Function => "FUNCTION KILL",
        };
        format!("ERR Script killed by user with {command}. script: {}", self.name)
    }
}

/// The scripts that run.
#[derive(Default)]
pub struct Running {
    runs: Mutex<Vec<Run>>,
    next: AtomicU64,
    pub killed: AtomicU64,
}

/// Takes a script off the list when it is dropped.
pub struct Guard<'r> {
    running: &'r Running,
    id: u64,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.running.runs.lock().retain(|run| run.id != self.id);
    }
}

/// What is told of a script that runs.
pub struct Told {
    pub name: String,
    pub command: Vec<Vec<u8>>,
    pub took: Duration,
}

/// Arguments of its command that are told, and bytes of each.
const ARGS_TOLD_MAX: usize = 32;
const ARG_BYTES_TOLD_MAX: usize = 256;

impl Running {
    pub fn begin(&self, kind: Kind, name: &str, args: &command::Args<'_>, cancel: &Arc<Cancel>) -> Guard<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let told = |arg: &[u8]| arg.get(..ARG_BYTES_TOLD_MAX).unwrap_or(arg).to_vec();
        let run = Run {
            id,
            kind,
            name: name.to_owned(),
            command: args.from(0).take(ARGS_TOLD_MAX).map(told).collect(),
            since: Instant::now(),
            cancel: cancel.clone(),
        };
        self.runs.lock().push(run);
        Guard { running: self, id }
    }

    /// Ends what has run for longer than `limit`, or else what has run the longest. Says how many.
    pub fn kill(&self, kind: Kind, limit: Duration) -> usize {
        let runs = self.runs.lock();
        let of_kind = || runs.iter().filter(|run| run.kind == kind && !run.cancel.is_cancelled());
        let mut chosen: Vec<&Run> = of_kind().filter(|run| run.since.elapsed() >= limit).collect();
        if chosen.is_empty() {
            chosen.extend(of_kind().min_by_key(|run| run.since));
        }
        for run in &chosen {
            run.cancel.cancel_because(run.killed());
        }
        self.killed.fetch_add(chosen.len() as u64, Ordering::Relaxed);
        chosen.len()
    }

    /// What has run the longest, of functions.
    pub fn oldest(&self, kind: Kind) -> Option<Told> {
        let runs = self.runs.lock();
        let oldest = runs.iter().filter(|run| run.kind == kind).min_by_key(|run| run.since)?;
        Some(Told {
            name: oldest.name.clone(),
            command: oldest.command.clone(),
            took: oldest.since.elapsed(),
        })
    }

    pub fn len(&self) -> usize {
        self.runs.lock().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
