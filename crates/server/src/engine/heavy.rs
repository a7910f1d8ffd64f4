//! The heavy pool: a bounded number of threads and a bounded queue for work that outgrew the
//! network threads. When both are full, the command is told so at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

use command::OwnedArgs;
use parking_lot::{Condvar, Mutex};
use resp::{Protocol, Reply};
use store::{Cancel, Gate, Scratch};

use crate::engine::node::Node;
use crate::engine::paged::Flow;
use crate::net::blocked::Waiter;
use crate::net::dispatch::{self, Call};
use crate::net::exec::{self, Ran};
use crate::net::mailbox::{Mail, Mailbox};
use crate::net::output::Encoded;
use crate::session::account;
use crate::session::acl::User;
use crate::session::multi::Exec;
use crate::table::Entry;
use crate::tracking::Reader;

/// Work on the node that takes time: it ends with a reply.
pub type Task = Box<dyn FnOnce(&Arc<Node>, &Arc<Cancel>) -> Outcome + Send>;

pub enum Work {
    Command {
        entry: &'static Entry,
        args: OwnedArgs,
        database: u8,
        target: Target,
    },
    Task {
        entry: Option<&'static Entry>,
        args: OwnedArgs,
        task: Task,
    },
    /// Queued commands.
    Unit {
        entry: &'static Entry,
        args: OwnedArgs,
        exec: Box<Exec>,
        database: u8,
        group: u16,
    },
    /// The next page of a reply.
    Page(Box<Flow>),
}

/// The groups that a command concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    One(u16),
    All,
}

/// What became of a piece of work.
pub struct Outcome {
    pub told: Told,
    /// The reply leaves once all of these are committed.
    pub gates: Vec<(u16, Gate)>,
}

/// What a client is told.
pub enum Told {
    Reply(Reply),
    /// A part of a reply, and what is left of it.
    Page(Encoded, Option<Box<Flow>>),
    /// What became of a transaction: its client's thread makes the reply.
    Ran(Box<Ran>),
    /// There is no reply yet: the client waits, and will be told by whoever serves it.
    Later,
    /// What is left of a reply cannot be told.
    Broken,
}

impl Outcome {
    pub fn ungated(reply: Reply) -> Self {
        Self { told: Told::Reply(reply), gates: Vec::new() }
    }

    pub fn waiting() -> Self {
        Self { told: Told::Later, gates: Vec::new() }
    }
}

/// An outcome on its way to the client. The reply is encoded already: a long one would hold up the
/// network thread.
pub struct Finished {
    pub reply: Encoded,
    pub gates: Vec<(u16, Gate)>,
    /// What is left, if this is only the beginning of the reply, or the next part of it.
    pub rest: Option<Box<Flow>>,
}

/// Whose work it is.
#[derive(Clone)]
pub struct Caller {
    pub client: u64,
    pub protocol: Protocol,
    pub mailbox: Arc<Mailbox>,
    /// Who may do what its scripts do.
    pub user: Arc<User>,
    /// Who keeps what it reads.
    pub reader: Option<Reader>,
    /// Whether it may be told page by page. Not while it monitors, or hears something: that would come
    /// between the pages.
    pub may_page: bool,
}

impl Caller {
    pub fn waiter(&self, node: &Node, entry: &'static Entry, (database, group): (u8, u16)) -> Waiter {
        let Self { client, protocol, mailbox, .. } = self.clone();
        Waiter { client, mailbox, hub: node.hub.clone(), protocol, entry, database, group }
    }
}

/// A piece of work and who waits for it.
pub struct Job {
    pub caller: Caller,
    pub cancel: Arc<Cancel>,
    pub work: Work,
}

struct Queued {
    job: Job,
    /// It goes on with what was begun before: it takes nobody's place.
    goes_on: bool,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Queued>,
    /// How many of them go on.
    going_on: usize,
    stopping: bool,
}

#[derive(Default)]
pub struct HeavyStats {
    pub submitted: AtomicU64,
    pub rejected: AtomicU64,
    pub outgrown: AtomicU64,
    pub run_us: AtomicU64,
}

pub struct HeavyPool {
    queue: Mutex<Queue>,
    arrived: Condvar,
    queue_max: usize,
    threads: usize,
    running: AtomicUsize,
    pub stats: HeavyStats,
}

impl HeavyPool {
    pub fn new(threads: usize, queue_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            queue_max,
            threads,
            running: AtomicUsize::new(0),
            stats: HeavyStats::default(),
        }
    }

    pub fn start(&self, node: &Arc<Node>) -> std::io::Result<Vec<thread::JoinHandle<()>>> {
        (0..self.threads)
            .map(|at| {
                let node = Arc::downgrade(node);
                thread::Builder::new().name(format!("heavy-{at}")).spawn(move || run(&node))
            })
            .collect()
    }

    /// Takes on a job; says whether there was room for it.
    #[must_use]
    pub fn submit(&self, job: Job) -> bool {
        let mut queue = self.queue.lock();
        let free = self.threads.saturating_sub(self.running.load(Ordering::SeqCst));
        if queue.stopping || queue.jobs.len() - queue.going_on >= free + self.queue_max {
            drop(queue);
            self.stats.rejected.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        queue.jobs.push_back(Queued { job, goes_on: false });
        drop(queue);
        self.stats.submitted.fetch_add(1, Ordering::Relaxed);
        self.arrived.notify_one();
        true
    }

    /// Goes on with a reply of which a part has been told, or with the command of a client that has waited: at the end
    /// of the queue like others, but never turned away. There are no more of them than there may be paged replies, and
    /// connections.
    pub fn go_on(&self, job: Job) {
        let mut queue = self.queue.lock();
        queue.going_on += 1;
        queue.jobs.push_back(Queued { job, goes_on: true });
        drop(queue);
        self.arrived.notify_one();
    }

    /// Jobs running and jobs waiting.
    pub fn load(&self) -> (usize, usize) {
        (self.running.load(Ordering::SeqCst), self.queue.lock().jobs.len())
    }

    pub fn queue_max(&self) -> usize {
        self.queue_max
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    /// No more jobs; what waits is still done.
    pub fn stop(&self) {
        self.queue.lock().stopping = true;
        self.arrived.notify_all();
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(Queued { job, goes_on }) = queue.jobs.pop_front() {
                queue.going_on -= usize::from(goes_on);
                self.running.fetch_add(1, Ordering::SeqCst);
                return Some(job);
            }
            if queue.stopping {
                return None;
            }
            self.arrived.wait(&mut queue);
        }
    }
}

/// Long work takes what short work leaves: the scheduler prefers the other threads by far.
fn yield_to_others() {
    const NICENESS: i32 = 10;
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICENESS) {
        tracing::warn!(%error, "the priority of the heavy pool stays as it is");
    }
}

/// One thread of the pool.
fn run(node: &Weak<Node>) {
    yield_to_others();
    let mut scratch = Scratch::default();
    loop {
        // The pool must not keep the node alive while it waits.
        let Some(node) = node.upgrade() else { return };
        let Some(job) = node.heavy.next() else { return };
        let started = Instant::now();
        let outcome = if job.cancel.is_cancelled() {
            Outcome::ungated(Reply::error("ERR cancelled"))
        } else {
            perform(&node, &job.caller, job.work, &job.cancel, &mut scratch)
        };
        node.pump();
        let Caller { client, protocol, mailbox, .. } = job.caller;
        let Outcome { told, gates } = outcome;
        let mail = match told {
            Told::Reply(reply) => {
                let reply = Encoded::new(&reply, protocol);
                Some(Mail::Finished { client, outcome: Finished { reply, gates, rest: None } })
            }
            Told::Page(reply, rest) => {
                Some(Mail::Finished { client, outcome: Finished { reply, gates, rest } })
            }
            Told::Ran(ran) => Some(Mail::Ran { client, ran, gates }),
            Told::Broken => Some(Mail::Broken { client }),
            Told::Later => None,
        };
        node.heavy.stats.run_us.fetch_add(started.elapsed().as_micros() as u64, Ordering::Relaxed);
        node.heavy.running.fetch_sub(1, Ordering::SeqCst);
        if let Some(mail) = mail {
            mailbox.send(mail);
        }
    }
}

fn perform(
    node: &Arc<Node>,
    caller: &Caller,
    work: Work,
    cancel: &Arc<Cancel>,
    scratch: &mut Scratch,
) -> Outcome {
    let started = Instant::now();
    let (entry, args, outcome) = match work {
        Work::Task { entry, args, task } => (entry, args, task(node, cancel)),
        Work::Command { entry, args, database, target } => {
            let call = Call { entry, args: args.as_args(), database, target, caller: Some(caller) };
            let outcome = dispatch::run_heavy(node, &call, cancel, scratch);
            (Some(entry), args, outcome)
        }
        Work::Unit { entry, mut args, exec, database, group } => {
            let mut outcome = exec::run_heavy(node, exec, (caller, database, group), cancel, scratch);
            if let Told::Ran(ran) = &mut outcome.told {
                ran.said = std::mem::take(&mut args);
            }
            (Some(entry), args, outcome)
        }
        Work::Page(flow) => {
            return Outcome { told: next_page(node, caller, flow, cancel, scratch), gates: Vec::new() };
        }
    };
    if let Some(entry) = entry {
        let reply = match &outcome.told {
            Told::Reply(reply) => reply,
            Told::Page(..) | Told::Ran(_) => &Reply::Ok,
            Told::Later => {
                account::waits_heavy(node, caller.client, &args.as_args());
                return outcome;
            }
            Told::Broken => return outcome,
        };
        let (args, lookups) = (args.as_args(), scratch.lookups());
        account::ran_heavy(node, caller.client, entry, &args, reply, lookups, started.elapsed());
    }
    outcome
}

fn next_page(
    node: &Node,
    caller: &Caller,
    flow: Box<Flow>,
    cancel: &Arc<Cancel>,
    scratch: &mut Scratch,
) -> Told {
    match flow.next(node, cancel, scratch) {
        Ok((page, rest)) => Told::Page(page, rest),
        Err(why) => {
            if !cancel.is_cancelled() {
                let client = caller.client;
                tracing::error!(client, ?why, "a reply cannot be told to its end: its client is cut off");
                node.paged.failed.fetch_add(1, Ordering::Relaxed);
            }
            Told::Broken
        }
    }
}
