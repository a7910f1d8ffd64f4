//! The threads of the heavy pool, and the lock around its schedule.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use command::Class;
use parking_lot::{Condvar, Mutex, MutexGuard};
use store::Scratch;

use super::schedule::{Load, Schedule, Verdict};
use super::watch::{Fate, Running};
use super::{HeavyStats, Job, run, watch};
use crate::engine::node::Node;
use crate::engine::snapshots::Reader;

/// A job, and since when it is here.
struct Timed {
    job: Job,
    since: Instant,
}

struct State {
    schedule: Schedule<Timed>,
    /// What has a place among the running, and is yet to be taken on by a thread that is free for it.
    ready: VecDeque<(Class, Timed)>,
    /// What runs, by the number of its thread.
    running: BTreeMap<usize, Running>,
    /// The numbers of the threads that there are: more than there should be while some are still at work.
    alive: BTreeSet<usize>,
    threads: Vec<JoinHandle<()>>,
    stopping: bool,
}

pub struct HeavyPool {
    state: Mutex<State>,
    arrived: Condvar,
    /// For the threads that are started later.
    node: OnceLock<Weak<Node>>,
    pub stats: HeavyStats,
}

impl HeavyPool {
    pub fn new(threads: usize, queue_max: usize) -> Self {
        let state = State {
            schedule: Schedule::new(threads.max(1), queue_max),
            ready: VecDeque::new(),
            running: BTreeMap::new(),
            alive: BTreeSet::new(),
            threads: Vec::new(),
            stopping: false,
        };
        Self {
            state: Mutex::new(state),
            arrived: Condvar::new(),
            node: OnceLock::new(),
            stats: HeavyStats::default(),
        }
    }

    pub fn start(&self, node: &Arc<Node>) -> io::Result<()> {
        let _ = self.node.set(Arc::downgrade(node));
        self.set_threads(self.threads())
    }

    /// Takes on a job; says whether there was room for it. Another one may have to make room: that one is told so.
    #[must_use]
    pub fn submit(&self, node: &Node, job: Job) -> bool {
        let (entry, peer) = (job.work.entry(), job.caller.peer);
        let mut state = self.state.lock();
        let timed = Timed { job, since: Instant::now() };
        let verdict = match state.stopping {
            true => Verdict::Rejected(timed),
            false => state.schedule.submit(entry.row.class, peer, timed),
        };
        self.start_ready(state);
        let other = match verdict {
            Verdict::Rejected(Timed { job, .. }) => {
                self.stats.rejected(entry);
                node.discard(job.work);
                return false;
            }
            Verdict::Admitted => None,
            Verdict::AdmittedFor(other) => Some(other.job),
        };
        self.stats.submitted(entry);
        if let Some(other) = other {
            self.stats.rejected(other.work.entry());
            run::turn_away(node, other);
        }
        true
    }

    /// Goes on with a reply of which a part has been told, or with the command of a client that has waited: behind what
    /// its peer has waiting, but never turned away. There are no more of them than there may be paged replies, and
    /// connections.
    pub fn go_on(&self, job: Job) {
        let (class, peer) = (job.work.entry().row.class, job.caller.peer);
        let mut state = self.state.lock();
        state.schedule.go_on(class, peer, Timed { job, since: Instant::now() });
        self.start_ready(state);
    }

    /// Has threads take on what may start now.
    fn start_ready(&self, mut state: MutexGuard<'_, State>) {
        let mut count = 0;
        while let Some(ready) = state.schedule.start() {
            state.ready.push_back(ready);
            count += 1;
        }
        drop(state);
        (0..count).for_each(|_| _ = self.arrived.notify_one());
    }

    /// Jobs of a class that run and that wait.
    pub fn load_of(&self, class: Class) -> Load {
        self.state.lock().schedule.load(class)
    }

    /// Jobs running and jobs waiting.
    pub fn load(&self) -> (usize, usize) {
        let state = self.state.lock();
        let loads = Class::ALL.map(|class| state.schedule.load(class));
        loads.iter().fold((0, 0), |sum, load| (sum.0 + load.running, sum.1 + load.waiting))
    }

    /// Jobs of one class that may wait.
    pub fn queue_max(&self) -> usize {
        self.state.lock().schedule.queue_max()
    }

    pub fn threads(&self) -> usize {
        self.state.lock().schedule.threads()
    }

    /// From now on so many jobs of each class may wait. Those that wait already keep their places.
    pub fn set_queue_max(&self, queue_max: usize) {
        let mut state = self.state.lock();
        let threads = state.schedule.threads();
        state.schedule.resize(threads, queue_max);
    }

    /// From now on there are so many threads. Those that are too many end when they have nothing to do: what runs is
    /// finished, and what waits keeps its place. If there cannot be so many, there are no more than before.
    pub fn set_threads(&self, threads: usize) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.stopping {
            return Ok(());
        }
        state.threads.retain(|thread| !thread.is_finished());
        let (mut there_are, mut started, before) = (0, Ok(()), state.schedule.threads());
        while there_are < threads.max(1) {
            if !state.alive.contains(&there_are) {
                match self.spawn(there_are) {
                    Ok(thread) => state.threads.push(thread),
                    Err(error) => {
                        started = Err(error);
                        break;
                    }
                }
                state.alive.insert(there_are);
            }
            there_are += 1;
        }
        // IMPORTANT: work is given out to no more threads than there are, or it would never be taken on.
        let queue_max = state.schedule.queue_max();
        let given = if started.is_ok() { there_are } else { there_are.min(before).max(1) };
        state.schedule.resize(given, queue_max);
        self.start_ready(state);
        self.arrived.notify_all();
        started
    }

    fn spawn(&self, at: usize) -> io::Result<JoinHandle<()>> {
        let node = self.node.get().cloned().unwrap_or_default();
        #[cfg(debug_assertions)]
        node.upgrade().map_or(Ok(()), |node| node.faults.check_threads())?;
        threads::Class::Heavy.spawn(at, move || work(&node, at))
    }

    /// No more new jobs; what waits is still done. Waits for that.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopping = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.arrived.notify_all();
        for thread in threads {
            let _ = thread.join();
        }
    }

    /// Stops what has run for too long, and gives up what waits and is not wanted any more.
    pub fn look(&self, node: &Node, limit: Option<Duration>) {
        let has_hung_up = |client| node.clients.get(client).is_some_and(|client| client.has_hung_up());
        let mut state = self.state.lock();
        for running in state.running.values() {
            let client = running.client;
            let fate = running.look(limit, || has_hung_up(client));
            if fate == Fate::GoesOn {
                continue;
            }
            if fate == Fate::TimedOut {
                self.stats.timed_out(running.entry);
            }
            let (command, took_ms) = (running.entry.row.name, running.took().as_millis() as u64);
            tracing::debug!(client, command, took_ms, ?fate, "stopped in the heavy pool");
        }
        let void = state.schedule.take_void(|Timed { job, since }| {
            job.cancel.is_cancelled()
                || watch::is_forgotten(since.elapsed(), || has_hung_up(job.caller.client))
        });
        drop(state);
        void.into_iter().for_each(|timed| run::give_up(timed.job));
    }

    /// Who has had a snapshot for the longest time.
    pub fn oldest(&self) -> Option<Reader> {
        self.state.lock().running.values().filter_map(Running::reader).min_by_key(|reader| reader.since)
    }

    /// Ends what such a reader does.
    pub fn end(&self, reader: Reader, why: &str) {
        let state = self.state.lock();
        let mut found = state.running.values().filter(|running| running.reader() == Some(reader));
        if let Some(running) = found.next() {
            running.end(why);
        }
    }

    /// Waits for something to do. There is none any more if the thread is to end.
    fn next(&self, at: usize) -> Option<(Class, Job)> {
        let mut state = self.state.lock();
        loop {
            if let Some((class, Timed { job, since })) = state.ready.pop_front() {
                state.running.insert(at, Running::new(&job));
                drop(state);
                self.stats.waited(job.work.entry(), since.elapsed());
                return Some((class, job));
            }
            if state.stopping || at >= state.schedule.threads() {
                state.alive.remove(&at);
                return None;
            }
            self.arrived.wait(&mut state);
        }
    }

    fn done(&self, at: usize, class: Class) {
        let mut state = self.state.lock();
        state.running.remove(&at);
        state.schedule.finish(class);
        self.start_ready(state);
    }
}

/// One thread of the pool.
fn work(node: &Weak<Node>, at: usize) {
    let mut scratch = Scratch::default();
    loop {
        let Some(node) = node.upgrade() else { return };
        let Some((class, job)) = node.heavy.next(at) else { return };
        let (entry, mailbox, began) = (job.work.entry(), job.caller.mailbox.clone(), Instant::now());
        let mail = run::run(&node, job, &mut scratch);
        node.heavy.stats.ran(entry, began.elapsed());
        node.heavy.done(at, class);
        if let Some(mail) = mail {
            mailbox.send(mail);
        }
    }
}
