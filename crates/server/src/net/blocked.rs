//! Clients that wait for a key to hold something. They hold no thread: whoever writes what they wait
//! for runs their command, and sends the outcome to their network thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use command::{Args, Error, OwnedArgs, Wait};
use resp::{Protocol, Reply};
use store::{Attempt, Gate, Leave, Stop, Ticket, Tried, Txn, Waiting};

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
    pub fn new(group: u16, ticket: Ticket, wait: &Wait, args: &Args<'_>) -> Self {
        let timeout = wait.timeout_ms.map(Duration::from_millis).filter(|timeout| *timeout < FOREVER);
        let until = timeout.map(|timeout| Instant::now() + timeout);
        Self { group, ticket, until, said_bytes: said_bytes(wait, args) }
    }
}

/// Roughly what is kept of a command that waits: its arguments; and its keys once more for each way in which they are waited
/// for, as the waiter has them and as they are found.
fn said_bytes(wait: &Wait, args: &Args<'_>) -> usize {
    let said = wait.args.as_ref().map_or_else(|| args.held_bytes(), OwnedArgs::held_bytes);
    let names = wait.keys.clone().map(|at| 2 * args.get(at).len() + NOTED_NAME_BYTES).sum::<usize>();
    said + names * if wait.if_gone { 2 } else { 1 }
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
    announced: Option<Wait>,
}

impl Waiter {
    /// What the store is told of a client whose command has found nothing. From the heavy pool it is
    /// announced to the client's network thread.
    pub fn waiting(&self, args: &Args<'_>, wait: &Wait, announce: bool) -> Waiting {
        let keys = wait.keys.clone().map(|at| args.get(at).to_vec()).collect();
        let blocked = Blocked {
            waiter: self.clone(),
            args: wait.args.clone().unwrap_or_else(|| args.to_owned()),
            reply: Reply::Null,
            announced: announce.then(|| wait.clone()),
        };
        let (database, kind, if_gone) = (self.database, wait.kind, wait.if_gone);
        Waiting { database, keys, kind, if_gone, attempt: Box::new(blocked) }
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
        if let Some(wait) = self.announced.take() {
            let place = Place::new(self.waiter.group, ticket, &wait, &self.args.as_args());
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
                let work = Work::Command { entry, args: self.args, database, target: Target::One(group) };
                mailbox.send(Mail::Outgrown { client, work });
            }
            Leave::Closed => self.finish(&Reply::error(UNBLOCKED), Vec::new()),
            why => self.finish(&left_reply(&why), Vec::new()),
        }
    }
}
