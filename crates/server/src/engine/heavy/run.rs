//! What a thread of the heavy pool does with one job.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use resp::Reply;
use store::{Cancel, Gate, Scratch};

use super::{Caller, Finished, Job, Outcome, Told, Work};
use crate::engine::node::Node;
use crate::engine::paged::Flow;
use crate::net::dispatch::{self, Call};
use crate::net::exec;
use crate::net::mailbox::Mail;
use crate::net::output::Encoded;
use crate::net::route;
use crate::session::account;

const CANCELLED: &str = "ERR cancelled";

/// Runs a job. Gives what its client is told, to be sent when the thread is free again.
pub(super) fn run(node: &Arc<Node>, job: Job, scratch: &mut Scratch) -> Option<Mail> {
    let Job { caller, work, cancel } = job;
    let outcome = if cancel.is_cancelled() {
        Outcome { told: cancelled(&work), gates: Vec::new() }
    } else {
        perform(node, &caller, work, &cancel, scratch)
    };
    node.pump();
    // What it holds counts as work until the client's buffers have it: the client gives it back.
    mail(caller, outcome.told, outcome.gates)
}

/// What is told of work that is not done.
fn cancelled(work: &Work) -> Told {
    match work {
        // IMPORTANT: a part of the reply has been told, and nothing else may stand in the place of the rest.
        Work::Page(_) => Told::Broken,
        _ => Told::Reply(Reply::error(CANCELLED)),
    }
}

/// A job is not going to run: it was turned away after all, for another one.
pub(super) fn turn_away(node: &Node, job: Job) {
    account::busy(node, job.work.entry());
    node.discard(job.work);
    answer(job.caller, Told::Reply(Reply::error(dispatch::BUSY)), Vec::new());
}

/// Nobody waits any more for a job that has not begun.
pub(super) fn give_up(job: Job) {
    let told = cancelled(&job.work);
    answer(job.caller, told, Vec::new());
}

fn answer(caller: Caller, told: Told, gates: Vec<(u16, Gate)>) {
    let mailbox = caller.mailbox.clone();
    if let Some(mail) = mail(caller, told, gates) {
        mailbox.send(mail);
    }
}

fn mail(caller: Caller, told: Told, gates: Vec<(u16, Gate)>) -> Option<Mail> {
    let Caller { client, protocol, .. } = caller;
    match told {
        Told::Reply(reply) => {
            let reply = Encoded::new(&reply, protocol);
            Some(Mail::Finished { client, outcome: Finished { reply, gates, rest: None } })
        }
        Told::Page(reply, rest) => Some(Mail::Finished { client, outcome: Finished { reply, gates, rest } }),
        Told::Ran(ran) => Some(Mail::Ran { client, ran, gates }),
        Told::Broken => Some(Mail::Broken { client }),
        Told::Later => None,
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
        Work::Task { entry, args, task } => {
            node.hub.ran_on.note();
            (entry, args, task(node, cancel))
        }
        Work::Command { entry, args, database, target } => {
            let looked = |target: Option<_>| {
                target.map_or_else(|| route::look(node, caller, entry, &args.as_args()), Ok)
            };
            let target = match looked(target) {
                Ok(target) => target,
                Err(error) => return Outcome::ungated(account::refused(node, &args.as_args(), error)),
            };
            let call = Call { entry, args: args.as_args(), database, target, caller: Some(caller) };
            let outcome = dispatch::run_heavy(node, &call, cancel, scratch);
            (entry, args, outcome)
        }
        Work::Unit { entry, mut args, exec, database, group } => {
            let mut outcome = exec::run_heavy(node, exec, (caller, database, group), cancel, scratch);
            if let Told::Ran(ran) = &mut outcome.told {
                ran.said = std::mem::take(&mut args);
            }
            (entry, args, outcome)
        }
        Work::Page(flow) => {
            return Outcome { told: next_page(node, caller, flow, cancel, scratch), gates: Vec::new() };
        }
    };
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
