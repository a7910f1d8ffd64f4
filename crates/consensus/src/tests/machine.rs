//! A machine for tests: keeps every entry it was given, on an apply thread of its own, and a 'disk'
//! that outlives it and holds what was persisted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::submit::Pending;
use crate::{
    Body, Committed, Completion, Group, Leadership, Machine, MachineError, NotCommitted, Position, Recovered,
    SnapshotImage,
};

/// What tests wait for at most; nothing takes anywhere near as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) applied: Option<Position>,
    pub(crate) membership: Option<Bytes>,
    pub(crate) effects: BTreeMap<Position, Bytes>,
    /// An installation has begun and not ended.
    pub(crate) torn: bool,
}

impl Contents {
    fn apply(&mut self, entry: &Committed) {
        assert!(self.applied < Some(entry.at), "{:?} comes after {:?}", entry.at, self.applied);
        let next = self.applied.map_or(0, |at| at.index + 1);
        assert_eq!(entry.at.index, next, "entries come without gaps");
        self.applied = Some(entry.at);
        if let Some(membership) = &entry.membership {
            self.membership = Some(membership.clone());
        }
        if let Body::Effects(bytes) = &entry.body {
            self.effects.insert(entry.at, Bytes::copy_from_slice(bytes));
        }
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        self.effects.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Applied(Position),
    Leading(u64),
    Following(Option<u64>),
}

enum Job {
    Apply(Committed),
    Persist(Box<dyn FnOnce(Result<Position, MachineError>) + Send>),
    Snapshot(Sender<Contents>),
    Install(SnapshotImage, Sender<Result<(), MachineError>>),
}

#[derive(Default)]
struct Live {
    contents: Contents,
    events: Vec<Event>,
    /// Applying stands still.
    paused: bool,
    /// How long every entry takes.
    slow: Duration,
}

pub(crate) struct TestMachine {
    disk: Arc<Mutex<Contents>>,
    live: Arc<(Mutex<Live>, Condvar)>,
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl TestMachine {
    pub(crate) fn new(disk: Arc<Mutex<Contents>>) -> Arc<Self> {
        let live = Arc::new((Mutex::new(Live::default()), Condvar::new()));
        live.0.lock().contents = disk.lock().clone();
        let (tx, rx) = mpsc::channel();
        let (theirs, their_disk) = (live.clone(), disk.clone());
        let thread = std::thread::spawn(move || apply_thread(&rx, &theirs, &their_disk));
        Arc::new(Self { disk, live, jobs: Mutex::new(Some(tx)), thread: Mutex::new(Some(thread)) })
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &*self.jobs.lock() {
            let _ = jobs.send(job);
        }
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.live.0.lock().paused = paused;
        self.live.1.notify_all();
    }

    pub(crate) fn slow(&self, each: Duration) {
        self.live.0.lock().slow = each;
    }

    pub(crate) fn contents(&self) -> Contents {
        self.live.0.lock().contents.clone()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.live.0.lock().events.clone()
    }

    /// The term that this machine was last told to lead.
    pub(crate) fn leading(&self) -> Option<u64> {
        leading(&self.live.0.lock().events)
    }

    /// Waits until what the machine holds and was told is as it should be.
    pub(crate) fn wait(&self, what: &str, mut done: impl FnMut(&Contents, &[Event]) -> bool) {
        let until = Instant::now() + PATIENCE;
        let mut live = self.live.0.lock();
        while !done(&live.contents, &live.events) {
            let timed_out = self.live.1.wait_until(&mut live, until).timed_out();
            let newest = live.events.iter().rev().take(10).collect::<Vec<_>>();
            assert!(!timed_out, "{what}: {:?}, newest first: {newest:?}", live.contents.applied);
        }
    }

    pub(crate) fn wait_leading(&self) -> u64 {
        let mut term = None;
        self.wait("leading", |_, events| {
            term = leading(events);
            term.is_some()
        });
        term.unwrap_or_default()
    }
}

fn leading(events: &[Event]) -> Option<u64> {
    let last = events.iter().rev().find(|event| !matches!(event, Event::Applied(_)));
    match last {
        Some(Event::Leading(term)) => Some(*term),
        _ => None,
    }
}

impl Drop for TestMachine {
    fn drop(&mut self) {
        self.pause(false);
        self.jobs.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn apply_thread(jobs: &Receiver<Job>, live: &(Mutex<Live>, Condvar), disk: &Mutex<Contents>) {
    while let Ok(job) = jobs.recv() {
        let mut state = live.0.lock();
        while state.paused {
            live.1.wait(&mut state);
        }
        match job {
            Job::Apply(entry) => {
                if !state.slow.is_zero() {
                    let slow = state.slow;
                    drop(state);
                    // tidy-ok: a machine that is slow on purpose
                    std::thread::sleep(slow);
                    state = live.0.lock();
                }
                state.contents.apply(&entry);
            }
            Job::Persist(done) => {
                disk.lock().clone_from(&state.contents);
                let at = state.contents.applied;
                drop(state);
                done(at.ok_or_else(|| MachineError("nothing to persist".into())));
            }
            Job::Snapshot(tx) => {
                let _ = tx.send(state.contents.clone());
            }
            Job::Install(image, tx) => {
                disk.lock().torn = true;
                let read = read_image(image);
                if let Ok(contents) = &read {
                    state.contents.clone_from(contents);
                    disk.lock().clone_from(contents);
                }
                let _ = tx.send(read.map(|_| ()));
            }
        }
        live.1.notify_all();
    }
}

fn read_image(image: SnapshotImage) -> Result<Contents, MachineError> {
    let mut effects = BTreeMap::new();
    for chunk in image.chunks {
        let chunk = chunk?;
        let (head, bytes) = chunk.split_at(16);
        let number = |part: &[u8]| u64::from_be_bytes(part.try_into().unwrap());
        let at = Position { term: number(&head[..8]), index: number(&head[8..]) };
        effects.insert(at, Bytes::copy_from_slice(bytes));
    }
    Ok(Contents { applied: Some(image.at), membership: Some(image.membership), effects, torn: false })
}

impl Machine for TestMachine {
    fn recovered(&self) -> Result<Recovered, MachineError> {
        let disk = self.disk.lock();
        match disk.torn {
            true => Ok(Recovered::default()),
            false => Ok(Recovered { applied: disk.applied, membership: disk.membership.clone() }),
        }
    }

    fn apply(&self, entry: Committed) {
        self.live.0.lock().events.push(Event::Applied(entry.at));
        self.send(Job::Apply(entry));
    }

    fn persist(&self, done: Box<dyn FnOnce(Result<Position, MachineError>) + Send>) {
        self.send(Job::Persist(done));
    }

    fn snapshot(&self) -> Result<SnapshotImage, MachineError> {
        let (tx, rx) = mpsc::channel();
        self.send(Job::Snapshot(tx));
        let contents = rx.recv().map_err(|e| MachineError(e.to_string()))?;
        let (Some(at), Some(membership)) = (contents.applied, contents.membership) else {
            return Err(MachineError("there is nothing yet".into()));
        };
        let chunks = contents.effects.into_iter().map(|(at, bytes)| {
            let mut chunk = at.term.to_be_bytes().to_vec();
            chunk.extend(at.index.to_be_bytes());
            chunk.extend(&bytes);
            Ok(chunk.into())
        });
        Ok(SnapshotImage { at, membership, chunks: Box::new(chunks) })
    }

    fn install(&self, image: SnapshotImage) -> Result<(), MachineError> {
        let (tx, rx) = mpsc::channel();
        self.send(Job::Install(image, tx));
        rx.recv().map_err(|e| MachineError(e.to_string()))?
    }

    fn leadership(&self, change: Leadership) {
        let event = match change {
            Leadership::Leading { term } => Event::Leading(term),
            Leadership::Following { leader } => Event::Following(leader),
        };
        self.live.0.lock().events.push(event);
        self.live.1.notify_all();
    }
}

/// What became of a proposal.
pub(crate) type Outcome = Result<Position, NotCommitted>;

struct Tell(Sender<Outcome>);

impl Completion for Tell {
    fn committed(self: Box<Self>, at: Position) {
        let _ = self.0.send(Ok(at));
    }

    fn failed(self: Box<Self>, why: NotCommitted) {
        let _ = self.0.send(Err(why));
    }
}

pub(crate) fn submit(group: &Group, term: u64, payload: impl Into<Bytes>) -> Receiver<Outcome> {
    let (tx, rx) = mpsc::channel();
    group.submit(term, payload.into(), Box::new(Tell(tx)));
    rx
}

/// Without looking whether it may be submitted.
pub(crate) fn send(group: &Group, term: u64, payload: impl Into<Bytes>) -> Receiver<Outcome> {
    let (tx, rx) = mpsc::channel();
    group.send(term, payload.into(), Pending::new(Box::new(Tell(tx)), Arc::default()));
    rx
}

pub(crate) fn outcome(of: &Receiver<Outcome>) -> Outcome {
    of.recv_timeout(PATIENCE).expect("every proposal is answered")
}

/// Waits for a condition that nothing announces.
pub(crate) fn eventually(what: &str, done: impl FnMut() -> bool) {
    eventually_or(done, || what.to_owned());
}

pub(crate) fn eventually_or(mut done: impl FnMut() -> bool, what: impl FnOnce() -> String) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > until {
            panic!("{}", what());
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
