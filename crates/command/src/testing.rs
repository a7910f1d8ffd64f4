//! Runs commands without a server: a group's store, and each command in the lane that its row says,
//! or all of them in the heavy one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use base::{ManualClock, Stamp};
use resp::{Limits, Parsed, Parser, Reply};
use store::apply::{Applier, Committed, Queue, Watch};
use store::{Cancel, Disk, DiskError, DiskOptions, Done, Group, GroupOptions, Leave, Scratch, Txn};
use tempfile::TempDir;

use crate::{Command, Error, FAMILIES, Lane, OwnedArgs};

/// How commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As in the server: in the row's lane, then in the heavy one if need be.
    Lanes,
    /// Everything in the heavy lane.
    Heavy,
    /// As in the server, with everything in the store and next to nothing cached between commands.
    Stored,
}

pub const MODES: [Mode; 3] = [Mode::Lanes, Mode::Heavy, Mode::Stored];

pub const START_MS: u64 = 1_700_000_000_000;
const EPOCH: u64 = 1;

pub struct Bench {
    pub group: Arc<Group>,
    pub mode: Mode,
    pub database: u8,
    clock: Arc<ManualClock>,
    scratch: Scratch,
    queue: Arc<Queue>,
    applying: Option<JoinHandle<()>>,
    _dir: TempDir,
}

struct Quiet;

impl Watch for Quiet {
    fn progress(&self) {}

    fn failed(&self, error: &DiskError) {
        panic!("{error}");
    }
}

impl Bench {
    pub fn new(mode: Mode) -> Self {
        let dir = TempDir::new().unwrap();
        let disk = Disk::open(&DiskOptions::new(dir.path())).unwrap().group(0).unwrap();
        let clock = Arc::new(ManualClock::new(START_MS));
        let cache_bytes = if mode == Mode::Stored { 0 } else { 1 << 20 };
        let options = GroupOptions::new(cache_bytes, 7);
        let group = Arc::new(Group::new(disk, &options, clock.clone()));
        let queue = Arc::new(Queue::default());
        let applier = Applier::new(group.clone(), queue.clone(), Arc::new(Quiet)).unwrap();
        let applying = Some(std::thread::spawn(|| applier.run()));
        assert!(group.open(EPOCH, Stamp::ZERO).unwrap());
        // What is built aside waits until what was built before is on its way.
        let (committed, to) = (Arc::downgrade(&group), queue.clone());
        group.connect(Box::new(move || {
            if let Some(group) = committed.upgrade() {
                commit(&group, &to);
            }
        }));
        let scratch = Scratch::default();
        Self { group, mode, database: 0, clock, scratch, queue, applying, _dir: dir }
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.clock.advance(ms);
        self.group.turn_clock();
    }

    /// Runs a line as a client would type it.
    pub fn run(&mut self, line: &str) -> Reply {
        if self.mode == Mode::Stored {
            self.store();
        }
        self.call(&split(line))
    }

    /// The replies of the commands between `;`, as text.
    pub fn answer(&mut self, commands: &str) -> String {
        let calls: Vec<&str> = commands.split(';').map(str::trim).collect();
        match calls.as_slice() {
            [one] => show(&self.run(one)),
            calls => {
                let calls: Vec<OwnedArgs> = calls.iter().copied().map(split).collect();
                self.together(&calls).iter().map(show).collect::<Vec<_>>().join(" ; ")
            }
        }
    }

    pub fn call(&mut self, args: &OwnedArgs) -> Reply {
        let lane = find(args).map_or(Lane::Read, |row| row.lane());
        let done = self.in_lane(lane, |txn| execute(txn, args));
        done.result.unwrap_or_else(Error::reply)
    }

    /// Runs several commands as one transaction.
    pub fn together(&mut self, calls: &[OwnedArgs]) -> Vec<Reply> {
        let done = self.in_lane(Lane::Inline, |txn| {
            let mut replies = Vec::new();
            for args in calls {
                match execute(txn, args) {
                    Err(Error::Stop(stop)) => return Err(Error::Stop(stop)),
                    reply => replies.push(reply.unwrap_or_else(Error::reply)),
                }
            }
            Ok(replies)
        });
        done.result.unwrap()
    }

    pub fn in_lane<R>(
        &mut self,
        lane: Lane,
        mut run: impl FnMut(&mut Txn<'_>) -> Result<R, Error>,
    ) -> Done<R, Error> {
        let lane = if self.mode == Mode::Heavy { Lane::Heavy } else { lane };
        let (database, scratch) = (self.database, &mut self.scratch);
        let done = match lane {
            Lane::Read => self.group.run_read(database, scratch, &mut run),
            Lane::Inline => self.group.run_inline(database, scratch, &mut run),
            Lane::Heavy => Err(Leave::Outgrown),
        };
        match done {
            Err(Leave::Outgrown) => {
                let cancel = Cancel::default();
                self.group.run_heavy(database, scratch, &cancel, &mut run).unwrap()
            }
            done => done.unwrap(),
        }
    }

    /// Commits what is sequenced, and waits until the store holds it.
    pub fn store(&mut self) {
        commit(&self.group, &self.queue);
        let (done, wait) = mpsc::sync_channel(1);
        self.queue.barrier(move |_| done.send(()).unwrap());
        wait.recv().unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.queue.stop();
        let ended = self.applying.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_none_or(|ended| ended.is_ok()));
    }
}

/// Commits what is sequenced. Batches are numbered as they come.
fn commit(group: &Group, queue: &Queue) {
    static INDEX: AtomicU64 = AtomicU64::new(0);
    while let Some(batch) = group.sequencer.take_batch() {
        for payload in batch.entries {
            let index = INDEX.fetch_add(1, Ordering::SeqCst) + 1;
            queue.apply(Committed { term: 1, index, payload, membership: None, permit: None });
        }
        group.sequencer.on_committed(batch.epoch, batch.last);
    }
}

/// Splits a line into arguments, with Redis' quotes.
pub fn split(line: &str) -> OwnedArgs {
    let mut input = line.as_bytes().to_vec();
    input.extend_from_slice(b"\r\n");
    let (mut parser, mut spans) = (Parser::new(), Vec::new());
    let parsed = parser.parse(&input, &mut spans, &Limits::default()).unwrap();
    assert!(matches!(parsed, Parsed::Command { .. }), "{line}");
    OwnedArgs::of(crate::Args::new(parser.source(&input), &spans).from(0))
}

pub fn execute(txn: &mut Txn<'_>, args: &OwnedArgs) -> Result<Reply, Error> {
    (find(args)?.run)(txn, &args.as_args())
}

/// The row of a call, its arity checked.
pub fn find(args: &OwnedArgs) -> Result<&'static Command, Error> {
    let args = args.as_args();
    let name = String::from_utf8_lossy(args.get(0)).to_lowercase();
    let sub = format!("{name}|{}", String::from_utf8_lossy(args.get(1)).to_lowercase());
    let rows = || FAMILIES.iter().flat_map(|family| family.iter());
    let named = |name: &str| rows().find(|row| row.name == name);
    let row = named(&sub).or_else(|| named(&name)).unwrap_or_else(|| panic!("no such command: {name}"));
    if row.arity.accepts(args.len()) { Ok(row) } else { Err(Error::arity(row.name)) }
}

/// A reply on one line.
pub fn show(reply: &Reply) -> String {
    let many = |items: &[Reply]| items.iter().map(show).collect::<Vec<_>>().join(" ");
    let pairs = |entries: &[(Reply, Reply)]| {
        entries.iter().map(|(k, v)| format!("{}: {}", show(k), show(v))).collect::<Vec<_>>().join(", ")
    };
    match reply {
        Reply::Ok => "+OK".into(),
        Reply::Simple(line) => format!("+{line}"),
        Reply::Error(line) => format!("-{line}"),
        Reply::Integer(value) => format!(":{value}"),
        Reply::Bulk(blob) => format!("{blob:?}"),
        Reply::Null => "nil".into(),
        Reply::Array(items) => format!("[{}]", many(items)),
        Reply::Map(entries) | Reply::Table(entries) => format!("{{{}}}", pairs(entries)),
        Reply::Set(items) => format!("~{}~", many(items)),
        Reply::Double(value) => format!(",{value}"),
        Reply::Pairs(entries) => {
            let pairs = entries.iter().map(|(k, v)| format!("{} {}", show(k), show(v)));
            format!("[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        other => format!("{other:?}"),
    }
}

/// Runs a script in every mode. A line is a command with its reply behind `=>` (`+OK` if there is none),
/// or several between `;` that run as one transaction, or `wait MS`, or `db N`.
#[track_caller]
pub fn check(script: &str) {
    check_with(|_| {}, script);
}

/// Like [`check`], on a bench that is prepared first.
#[track_caller]
pub fn check_with(prepare: impl Fn(&Bench), script: &str) {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        prepare(&bench);
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(ms) = line.strip_prefix("wait ") {
                bench.pass(ms.parse().unwrap());
            } else if let Some(database) = line.strip_prefix("db ") {
                bench.database = database.parse().unwrap();
            } else {
                let (commands, expected) = line.split_once("=>").unwrap_or((line, "+OK"));
                assert_eq!(bench.answer(commands), expected.trim(), "{} ({mode:?})", commands.trim());
            }
        }
    }
}

/// Checks whether a command breaks the watch of `k` as it is after another one, on a bench that is prepared first.
#[track_caller]
pub(crate) fn check_watch(prepare: impl Fn(&Bench), setup: &str, command: &str, is_broken: bool) {
    for mode in MODES {
        let mut bench = Bench::new(mode);
        prepare(&bench);
        bench.run(setup);
        let mut scratch = Scratch::default();
        let id = bench.group.watch(0, &[b"k"], None, &mut scratch).unwrap();
        bench.run(command);
        scratch.only_if = Some(id);
        let ran = bench.group.run_inline(0, &mut scratch, |txn| txn.remove(b"other"));
        assert_eq!(matches!(ran, Err(Leave::Changed)), is_broken, "{setup}; {command} ({mode:?})");
    }
}

/// So small that everything is wide at once.
pub(crate) fn wide(bench: &Bench) {
    let shapes = &bench.group.shapes;
    shapes.list_max_listpack_size.set(2);
    for entries in [
        &shapes.hash_max_listpack_entries,
        &shapes.set_max_listpack_entries,
        &shapes.set_max_intset_entries,
        &shapes.zset_max_listpack_entries,
    ] {
        entries.set(2);
    }
}
