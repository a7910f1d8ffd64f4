//! Clients that wait for a key to hold something. They hold no thread: whoever writes what they wait
//! for runs their command, and sends the outcome to their network thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::limits;
use command::{Args, Error, OwnedArgs, Wait, flags};
use resp::{Protocol, Reply};
use store::{Attempt, Gate, Leave, Stop, Ticket, Tried, Txn, Waiting, Wants};

use crate::engine::clients::NOTED_NAME_BYTES;
use crate::engine::heavy::{Finished, Target, Work};
use crate::engine::node::Node;
use crate::net::dispatch::left_reply;
use crate::net::mailbox::{Mail, Mailbox};
use crate::net::output::Encoded;
use crate::pubsub::Hub;
use crate::table::{Entry, Handler};

const UNBLOCKED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed \
                         (master -> replica?)";
/// Times further away than this are not told apart from for ever.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Whether a command that a client calls on its own may have to wait.
pub fn may_wait(entry: &Entry, args: &Args<'_>) -> bool {
    entry.row.flags.has(flags::BLOCKING) && command::waits(entry.row.name, args)
}

/// Refuses a command that may have to wait for more than one client may, before it is known whether it has to.
pub fn check_bounds(entry: &Entry, args: &Args<'_>) -> Result<(), Error> {
    if !may_wait(entry, args) {
        return Ok(());
    }
    if entry.row.keys.positions(args).nth(limits::WAITED_KEYS_MAX).is_some() {
        let why = format!("ERR at most {} keys can be waited for", limits::WAITED_KEYS_MAX);
        return Err(Error::text(why));
    }
    if args.bytes() > limits::WAITED_BYTES_MAX {
        let most = limits::WAITED_BYTES_MAX;
        return Err(Error::text(format!(
            "ERR a command that may wait has at most {most} bytes of arguments"
        )));
    }
    Ok(())
}

/// Who waits, and by which command.
#[derive(Clone)]
pub struct Waiter {
    pub client: u64,
    pub mailbox: Arc<Mailbox>,
    pub hub: Arc<Hub>,
    pub protocol: Protocol,
    pub entry: &'static Entry,
    pub database: u8,
    pub group: u16,
}

/// A place among those who wait.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub group: u16,
    pub ticket: Ticket,
    pub until: Option<Instant>,
    /// What is kept of its command.
    pub said_bytes: usize,
}

impl Place {
    pub fn new(group: u16, ticket: Ticket, timeout_ms: Option<u64>, said_bytes: usize) -> Self {
        let timeout = timeout_ms.map(Duration::from_millis).filter(|timeout| *timeout < FOREVER);
        let until = timeout.map(|timeout| Instant::now() + timeout);
        Self { group, ticket, until, said_bytes }
    }
}

/// Roughly what is kept of a command that waits: its arguments, and its keys once more with a note for each way in which they
/// are waited for.
pub fn said_bytes(wait: &Wait, args: &Args<'_>) -> usize {
    let said = wait.args.as_ref().map_or_else(|| args.held_bytes(), OwnedArgs::held_bytes);
    let notes = NOTED_NAME_BYTES * if wait.if_gone { 2 } else { 1 };
    said + wait.keys.clone().map(|at| args.get(at).len() + notes).sum::<usize>()
}

/// Who waits is kept: while memory is short nobody begins to.
pub fn unless_short(node: &Node, ran: command::Result<Reply>) -> command::Result<Reply> {
    match ran {
        Err(Error::Wait(wait)) => node.check_memory().and(Err(Error::Wait(wait))),
        ran => ran,
    }
}

struct Blocked {
    waiter: Waiter,
    args: OwnedArgs,
    reply: Reply,
    /// The network thread is told by mail that its client waits.
    is_announced: bool,
    timeout_ms: Option<u64>,
    said_bytes: usize,
}

impl Waiter {
    /// What the store is told of a client whose command has found nothing. From the heavy pool it is
    /// announced to the client's network thread.
    pub fn waiting(&self, args: &Args<'_>, wait: &Wait, is_announced: bool) -> Waiting {
        let keys = wait.keys.clone().map(|at| args.get(at).into()).collect();
        let blocked = Blocked {
            waiter: self.clone(),
            args: wait.args.clone().unwrap_or_else(|| args.to_owned()),
            reply: Reply::Null,
            is_announced,
            timeout_ms: wait.timeout_ms,
            said_bytes: said_bytes(wait, args),
        };
        let wants = Wants { database: self.database, keys, kind: wait.kind, if_gone: wait.if_gone };
        Waiting { wants, attempt: Box::new(blocked) }
    }
}

impl Blocked {
    fn finish(self, reply: &Reply, gates: Vec<(u16, Gate)>) {
        let Waiter { client, mailbox, protocol, .. } = self.waiter;
        let outcome = Finished { reply: Encoded::new(reply, protocol), gates, rest: None };
        mailbox.send(Mail::Finished { client, outcome });
    }
}

impl Attempt for Blocked {
    fn registered(&mut self, ticket: Ticket) {
        // IMPORTANT: sent before anybody can serve it: its outcome must come after this.
        if self.is_announced {
            let place = Place::new(self.waiter.group, ticket, self.timeout_ms, self.said_bytes);
            self.waiter.mailbox.send(Mail::Blocked { client: self.waiter.client, place });
        }
    }

    fn run(&mut self, txn: &mut Txn<'_>) -> Result<Tried, Stop> {
        // Only plain commands wait.
        let Handler::Data(run) = self.waiter.entry.row.run else { return Ok(Tried::Nothing) };
        let (args, waiter) = (self.args.as_args(), &self.waiter);
        match waiter.hub.run(waiter.client, waiter.entry, txn, &args, |txn| run(txn, &args)) {
            Ok(reply) => {
                self.reply = reply;
                Ok(Tried::Served)
            }
            Err(Error::Wait(_)) => Ok(Tried::Nothing),
            Err(Error::Stop(stop)) => Err(stop),
            Err(error) => {
                self.reply = error.reply();
                Ok(Tried::Failed)
            }
        }
    }

    fn done(mut self: Box<Self>, gate: Gate) {
        let reply = std::mem::replace(&mut self.reply, Reply::Null);
        let gates = vec![(self.waiter.group, gate)];
        self.finish(&reply, gates);
    }

    fn left(self: Box<Self>, why: Leave) {
        match why {
            // It is more than the section may do: the heavy pool does it, or it waits again.
            Leave::Outgrown | Leave::Stalled => {
                let Waiter { client, mailbox, entry, database, group, .. } = self.waiter;
                let work =
                    Work::Command { entry, args: self.args, database, target: Some(Target::One(group)) };
                mailbox.send(Mail::Outgrown { client, work });
            }
            Leave::Closed => self.finish(&Reply::error(UNBLOCKED), Vec::new()),
            why => self.finish(&left_reply(&why), Vec::new()),
        }
    }
}
