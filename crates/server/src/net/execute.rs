//! Running one command of a connection, and what follows from how it ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use command::{Error, flags};
use resp::Reply;
use store::{Cancel, Scratch};

use crate::admission::memory;
use crate::engine::heavy::{Job, Target, Work};
use crate::engine::node::Node;
use crate::net::connection::{Connection, State};
use crate::net::dispatch::{self, Step};
use crate::net::exec::{self, Ended};
use crate::net::trial;
use crate::pubsub;
use crate::session::stats::Lap;
use crate::session::{Answer, account};
use crate::table::Entry;

/// Runs one command. Says whether the connection may go on with its next one.
pub fn execute(
    node: &Arc<Node>,
    connection: &mut Connection,
    used: usize,
    scratch: &mut Scratch,
    waiting: &mut Vec<usize>,
    at: usize,
) -> bool {
    let (session, args) = connection.split();
    let found = match session.begun {
        // It has been looked at, and is not told to wait in its middle either.
        Some(begun) => Ok(begun.entry),
        None => dispatch::find(node, session, &args),
    };
    if let Ok(entry) = found
        && node.clients.pause.holds_command(session, entry)
    {
        // Not consumed: the same command again when the pause is over.
        account::begins(&session.client, entry);
        connection.state = State::Paused;
        return false;
    }
    if let Ok(entry) = found
        && pubsub::must_wait(node, connection, entry)
    {
        connection.state = State::Stalled;
        waiting.push(at);
        return false;
    }
    if trial::forbids(connection, &found) {
        connection.consume(used);
        trial::fail(connection);
        return false;
    }
    let (session, args) = connection.split();
    let replies = session.replies;
    session.begin_command();
    if session.is_queueing() && !found.as_ref().is_ok_and(exec::runs_at_once) {
        queue(node, connection, found, used);
        return true;
    }
    let (entry, step) = match found {
        Ok(entry) => {
            account::begins(&session.client, entry);
            let mut lap = Lap::start();
            let step = dispatch::run(node, session, entry, &args, scratch, &mut lap);
            account::ran(node, &session.client, entry, &args, &step, scratch.lookups(), lap.took());
            (Some(entry), step)
        }
        Err(error) => (None, Step::Reply(account::refused(node, &args, error), None)),
    };
    connection.client.commands.fetch_add(1, Ordering::Relaxed);
    connection.output.mute(connection.session.is_muted());
    let goes_on = follow(node, connection, entry, step, used, scratch);
    if matches!(connection.state, State::Stalled) || connection.session.begun.is_some() {
        // Not consumed: the same command again when there is room, or for what is left of it.
        connection.session.replies = replies;
    } else {
        connection.session.said_to(entry);
    }
    if matches!(connection.state, State::Stalled | State::Sleeping(..)) {
        waiting.push(at);
    }
    trial::judge(connection, entry);
    goes_on && !matches!(connection.state, State::Closing)
}

/// Does what follows from a command. Says whether the connection may go on.
fn follow(
    node: &Arc<Node>,
    connection: &mut Connection,
    entry: Option<&'static Entry>,
    step: Step,
    used: usize,
    scratch: &mut Scratch,
) -> bool {
    match step {
        Step::Stalled => {
            connection.state = State::Stalled;
            return false;
        }
        Step::Reply(reply, None) => connection.reply(&reply),
        Step::Reply(reply, Some(held)) => {
            connection.output.push_held(&reply, connection.session.protocol, held, used);
        }
        Step::Blocked(place) => {
            connection.consume(used);
            connection.state = State::Blocked(place);
            return false;
        }
        Step::Heavy(heavy, target) => return go_heavy(node, connection, heavy, target, used),
        // Not consumed: the same command again.
        Step::Answer(Answer::Part(_, pushes)) => {
            connection.push(&pushes);
            return true;
        }
        Step::Answer(answer) => {
            let (entry, task) = match (answer, entry) {
                (Answer::Heavy(task), Some(entry)) => (entry, task),
                (Answer::Exec(exec), Some(entry)) => {
                    let ended = exec::run(node, connection, entry, exec, scratch);
                    return has_ended(connection, ended, used);
                }
                (other, _) => {
                    connection.consume(used);
                    return give(node, connection, other);
                }
            };
            let args = connection.take_args(used);
            return submit(node, connection, Work::Task { entry, args, task });
        }
    }
    connection.consume(used);
    true
}

/// What follows from how far a transaction has come. Says whether the connection may go on.
fn has_ended(connection: &mut Connection, ended: Ended, used: usize) -> bool {
    match ended {
        Ended::Answered => {
            connection.consume(used);
            matches!(connection.state, State::Ready)
        }
        Ended::Later(exec) => {
            connection.session.put_back(*exec);
            connection.state = State::Stalled;
            false
        }
    }
}

/// Keeps a command for EXEC. If it is refused, the transaction will be.
fn queue(node: &Node, connection: &mut Connection, found: Result<&'static Entry, Error>, used: usize) {
    let may_be_queued = |entry: &'static Entry| match dispatch::refused(node, entry) {
        _ if entry.row.flags.has(flags::NO_MULTI) => Err(Error::line(exec::NOT_IN_UNITS)),
        Some(why) => Err(Error::text(why)),
        // As in Redis: what is queued is kept.
        None if node.admission.memory.is_short() => Err(Error::line(memory::OOM)),
        None => Ok(entry),
    };
    let reply = match found.and_then(may_be_queued) {
        Ok(entry) => {
            account::begins(&connection.client, entry);
            let args = connection.take_args(used);
            connection.session.queue(entry, args)
        }
        Err(error) => {
            let reply = account::refused(node, &connection.args(), error);
            connection.consume(used);
            connection.session.spoil();
            reply
        }
    };
    connection.client.commands.fetch_add(1, Ordering::Relaxed);
    connection.output.mute(connection.session.is_muted());
    connection.reply(&reply);
}

/// Hands the command to the heavy pool, or tells the client that it is full.
fn go_heavy(
    node: &Arc<Node>,
    connection: &mut Connection,
    entry: &'static Entry,
    target: Option<Target>,
    used: usize,
) -> bool {
    let args = connection.take_args(used);
    let database = connection.session.database;
    submit(node, connection, Work::Command { entry, args, database, target })
}

pub fn submit(node: &Arc<Node>, connection: &mut Connection, work: Work) -> bool {
    let entry = work.entry();
    if node.admission.memory.is_short() && takes_memory(&work) {
        account::no_memory(node, entry);
        node.discard(work);
        connection.reply(&Reply::error(memory::BUSY));
        return true;
    }
    let said_bytes = work.held_bytes();
    let job = job(connection, work);
    let cancel = job.cancel.clone();
    if node.heavy.submit(node, job) {
        connection.state = State::Working { cancel, said_bytes };
        return false;
    }
    account::busy(node, entry);
    connection.reply(&Reply::error(dispatch::BUSY));
    true
}

/// Whether work is not begun while memory is short: all but what frees some, and what administrators do.
fn takes_memory(work: &Work) -> bool {
    let takes = |entry: &Entry| {
        let has = |flag| entry.row.flags.has(flag);
        let frees = has(flags::WRITE) && !has(flags::DENYOOM);
        !has(flags::ADMIN) && !frees
    };
    match work {
        Work::Command { entry, .. } => takes(entry),
        Work::Task { entry, .. } => takes(entry),
        Work::Unit { exec, .. } => exec.unit.kinds.iter().any(|entry| takes(entry)),
        Work::Page(_) => false,
    }
}

/// Hands what a client has waited for to the heavy pool. It is not turned away: who waits for what comes next would not
/// know what it has missed.
pub fn go_on(node: &Node, connection: &mut Connection, work: Work) {
    let said_bytes = work.held_bytes();
    let mut job = job(connection, work);
    job.caller.has_waited = true;
    connection.state = State::Working { cancel: job.cancel.clone(), said_bytes };
    node.heavy.go_on(job);
}

fn job(connection: &Connection, work: Work) -> Job {
    let says_caching = matches!(&work, Work::Unit { exec, .. } if exec.says_caching());
    let caller = connection.caller(connection.session.reader(says_caching));
    // What frees memory gets as much as it needs for that.
    let cancel =
        if takes_memory(&work) { Cancel::within(connection.seat.memory()) } else { Cancel::default() };
    Job { caller, cancel: Arc::new(cancel), work }
}

/// Does what a session command says. Says whether the connection may go on.
fn give(node: &Node, connection: &mut Connection, answer: Answer) -> bool {
    match answer {
        Answer::Reply(reply) => {
            connection.reply(&reply);
            true
        }
        Answer::After(..) if connection.hung_up => {
            connection.state = State::Closing;
            false
        }
        Answer::After(delay, reply) => {
            connection.state = State::Sleeping(Instant::now() + delay, reply);
            false
        }
        Answer::Close(reply) => {
            connection.reply(&reply);
            connection.state = State::Closing;
            false
        }
        Answer::Monitor => {
            connection.reply(&Reply::Ok);
            let monitoring = node.clients.monitors.begin(&connection.client);
            connection.session.monitoring = Some(monitoring);
            true
        }
        Answer::Pushes(pushes) => {
            connection.push(&pushes);
            true
        }
        Answer::Heavy(_) | Answer::Exec(_) | Answer::Part(..) | Answer::Stalled | Answer::Silent => true,
    }
}
