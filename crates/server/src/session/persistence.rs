//! Checkpoints (SAVE and its like) and the end (SHUTDOWN).
//!
//! What is acknowledged is in the log already. A checkpoint makes the store hold all of it durably, so
//! that a restart has nothing to replay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use command::{Args, Command, Error, Flags, arg, flags};
use consensus::Machine;
use resp::Reply;
use store::Cancel;

use super::rows::{self, reply};
use super::{Answer, Context, SessionRun};
use crate::engine::heavy::Outcome;
use crate::engine::machine::GroupMachine;
use crate::engine::maintenance;
use crate::engine::node::Node;

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("server", name, arity, flags, run)
}

const SAVING: &[Flags] = &[flags::ADMIN, flags::NOSCRIPT, flags::NO_ASYNC_LOADING];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("lastsave", 1, &[flags::FOR_ADMINS, flags::LOADING, flags::STALE, flags::FAST], last_save)
        .docs("1.0.0", "O(1)", "Returns when the last checkpoint was made.")
        .tips(&["nondeterministic_output"]),
    row("save", 1, &[flags::ADMIN, flags::NOSCRIPT, flags::NO_ASYNC_LOADING, flags::NO_MULTI], save).docs(
        "1.0.0",
        "O(N) where N is what the store does not hold yet",
        "Makes a checkpoint.",
    ),
    row("bgsave", -1, SAVING, bgsave).docs("1.0.0", "O(1)", "Has a checkpoint made.").takes(&[arg::word(
        "SCHEDULE",
    )
    .since("3.2.2")
    .optional()]),
    row("bgrewriteaof", 1, SAVING, bgrewriteaof).docs(
        "1.0.0",
        "O(1)",
        "Has a checkpoint made, after which the log is cut.",
    ),
    row(
        "shutdown",
        -1,
        &[flags::ADMIN, flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::NO_MULTI, flags::ALLOW_BUSY],
        shutdown,
    )
    .docs("1.0.0", "O(N) where N is what the store does not hold yet", "Stops the server cleanly.")
    .takes(&[arg::one_of(
        "abort-selector",
        &[
            arg::block(
                "save-selector-block",
                &[
                    arg::one_of("save-selector", &[arg::word("NOSAVE"), arg::word("SAVE")]).optional(),
                    arg::word("NOW").since("7.0.0").optional(),
                    arg::word("FORCE").since("7.0.0").optional(),
                ],
            ),
            arg::word("ABORT").since("7.0.0"),
        ],
    )
    .optional()]),
];

/// What is known of checkpoints.
pub struct Checkpoints {
    last_s: AtomicU64,
    running: AtomicBool,
    pub made: AtomicU64,
    pub failed: AtomicBool,
}

impl Checkpoints {
    pub fn new(now_ms: u64) -> Self {
        Self {
            last_s: AtomicU64::new(now_ms / 1000),
            running: AtomicBool::new(false),
            made: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        }
    }

    /// When the last one was made, or the node started.
    pub fn last_s(&self) -> u64 {
        self.last_s.load(Ordering::Relaxed)
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    fn ended(&self, made: bool, now_ms: u64) {
        if made {
            self.last_s.store(now_ms / 1000, Ordering::Relaxed);
            self.made.fetch_add(1, Ordering::Relaxed);
        }
        self.failed.store(!made, Ordering::Relaxed);
        self.running.store(false, Ordering::SeqCst);
    }
}

/// Calls back with the outcome once every group's store is durable. `false` if one is being made.
fn checkpoint(node: &Arc<Node>, done: impl FnOnce(bool) + Send + 'static) -> bool {
    if node.checkpoints.running.swap(true, Ordering::SeqCst) {
        return false;
    }
    let left = Arc::new(AtomicUsize::new(node.groups.len()));
    let failed = Arc::new(AtomicBool::new(false));
    let done = Arc::new(parking_lot::Mutex::new(Some(done)));
    for group in &node.groups {
        let (left, failed, done) = (left.clone(), failed.clone(), done.clone());
        let node = Arc::downgrade(node);
        let id = group.id;
        GroupMachine::new(group).persist(Box::new(move |persisted| {
            if let Err(error) = persisted {
                tracing::error!(group = id, %error, "the checkpoint failed");
                failed.store(true, Ordering::SeqCst);
            }
            if left.fetch_sub(1, Ordering::SeqCst) > 1 {
                return;
            }
            let made = !failed.load(Ordering::SeqCst);
            if let Some(node) = node.upgrade() {
                node.checkpoints.ended(made, node.wall_ms());
            }
            if let Some(done) = done.lock().take() {
                done(made);
            }
        }));
    }
    true
}

fn last_save(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    reply(context.node.checkpoints.last_s() as i64)
}

const RUNNING: &str = "ERR Background save already in progress";
/// How often one who waits for a checkpoint looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(100);

fn save(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    if context.node.checkpoints.is_running() {
        return Err(Error::line(RUNNING));
    }
    Ok(Answer::Heavy(Box::new(|node, cancel| Outcome::ungated(save_now(node, cancel)))))
}

fn save_now(node: &Arc<Node>, cancel: &Cancel) -> Reply {
    let (tell, told) = mpsc::sync_channel(1);
    if !checkpoint(node, move |made| {
        // Nobody listens any more if the client is gone.
        let _ = tell.send(made);
    }) {
        return Reply::error(RUNNING);
    }
    loop {
        match told.recv_timeout(POLL) {
            Ok(true) => return Reply::Ok,
            Err(mpsc::RecvTimeoutError::Timeout) if !cancel.is_cancelled() => {}
            _ => return Reply::error("ERR"),
        }
    }
}

fn bgsave(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    match args.len() {
        1 => {}
        2 if args.is(1, "schedule") => {}
        _ => return Err(Error::SYNTAX),
    }
    if !checkpoint(context.node, |_| ()) {
        return Err(Error::line(RUNNING));
    }
    reply(Reply::simple("Background saving started"))
}

fn bgrewriteaof(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    if !checkpoint(context.node, |_| ()) {
        return Err(Error::line("ERR Background append only file rewriting already in progress"));
    }
    for group in &context.node.groups {
        if let Some(consensus) = group.consensus() {
            consensus.trigger_purge();
        }
    }
    // The store keeps journals of what is in memory only.
    maintenance::flush(context.node);
    reply(Reply::simple("Background append only file rewriting started"))
}

/// The connection closes with the server, without an answer, as in Redis. Whatever is asked for: what
/// was acknowledged is on disk, and a clean stop leaves the store caught up.
fn shutdown(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let (mut save, mut nosave, mut abort) = (false, false, false);
    for at in 1..args.len() {
        if args.is(at, "save") {
            save = true;
        } else if args.is(at, "nosave") {
            nosave = true;
        } else if args.is(at, "abort") {
            abort = true;
        } else if !args.is(at, "now") && !args.is(at, "force") {
            return Err(Error::SYNTAX);
        }
    }
    if (abort && args.len() > 2) || (save && nosave) {
        return Err(Error::SYNTAX);
    }
    if abort {
        return Err(Error::line("ERR No shutdown in progress."));
    }
    context.node.request_stop();
    Ok(Answer::Silent)
}
