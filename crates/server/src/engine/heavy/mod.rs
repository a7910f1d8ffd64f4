//! The heavy pool: a bounded number of threads and a bounded queue for work that outgrew the
//! network threads. When both are full, the command is told so at once.
//!
//! [`schedule`] decides who is next, [`pool`] has the threads, [`run`] is what they do, [`watch`] ends what takes too
//! long, [`stats`] counts.

mod pool;
mod run;
pub mod schedule;
mod stats;
mod watch;

use std::sync::Arc;

use command::{OwnedArgs, flags};
use resp::{Protocol, Reply};
use store::{Cancel, Gate};

pub use pool::HeavyPool;
pub use stats::{Counted, HeavyStats, Spread};

use crate::admission::PeerName;
use crate::engine::node::Node;
use crate::engine::paged::Flow;
use crate::net::blocked::Waiter;
use crate::net::exec::Ran;
use crate::net::mailbox::Mailbox;
use crate::net::output::Encoded;
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
        /// Not known yet where the command has not been looked at as a whole: it names many keys.
        target: Option<Target>,
    },
    Task {
        entry: &'static Entry,
        args: OwnedArgs,
        task: Task,
    },
    /// Queued commands.
    Unit {
        entry: &'static Entry,
        args: OwnedArgs,
        exec: Box<Exec>,
        database: u8,
        /// Not known yet where the commands have not been looked at one by one: they are many, or name many keys.
        group: Option<u16>,
    },
    /// The next page of a reply.
    Page(Box<Flow>),
}

impl Work {
    /// Whose row says where it belongs.
    pub fn entry(&self) -> &'static Entry {
        match self {
            Self::Command { entry, .. } | Self::Task { entry, .. } | Self::Unit { entry, .. } => entry,
            Self::Page(flow) => flow.entry,
        }
    }

    /// Roughly what its arguments hold.
    pub fn held_bytes(&self) -> usize {
        match self {
            Self::Command { args, .. } | Self::Task { args, .. } => args.held_bytes(),
            Self::Unit { args, exec, .. } => args.held_bytes() + exec.held_bytes(),
            Self::Page(_) => 0,
        }
    }

    /// Whether it may be stopped at any moment without a trace: what is one transaction has had no effect until it
    /// commits, and what only reads never has one. Writes to several groups commit one after the other; and tasks
    /// (SAVE, ACL SETUSER, …) are no transactions, or know themselves how they are stopped.
    pub fn may_be_stopped(&self) -> bool {
        match self {
            Self::Command { entry, target, .. } => {
                // What writes to all groups names no keys.
                *target != Some(Target::All) || !entry.row.flags.has(flags::WRITE)
            }
            Self::Unit { .. } | Self::Page(_) => true,
            Self::Task { .. } => false,
        }
    }
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
    /// Whose turns it shares.
    pub peer: PeerName,
    pub protocol: Protocol,
    pub mailbox: Arc<Mailbox>,
    /// Who may do what its scripts do.
    pub user: Arc<User>,
    /// Who keeps what it reads.
    pub reader: Option<Reader>,
    /// Whether it may be told page by page. Not while it monitors, or hears something: that would come
    /// between the pages.
    pub may_page: bool,
    /// Whether it has waited for what it asks for now: it is not turned away.
    pub has_waited: bool,
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
