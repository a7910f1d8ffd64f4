//! Scripts and functions: what runs in a client's transaction as one command, and calls others in it.
//!
//! Every command that a script calls is the same function on the same transaction as a plain call ([`host`]).
//! A script starts in the lane of a small command and has a budget of steps there; one that outgrows it starts
//! again in the heavy pool, and goes there at once for a while ([`cache`]).

mod account;
mod cache;
mod eval;
mod functions;
mod functions_session;
mod host;
mod local;
mod running;
mod scripts;

use std::sync::Arc;
use std::time::Duration;

use command::{Args, Command, Keys, OwnedArgs, access, flags};
use resp::Reply;
use script::Level;
use store::{Cancel, Txn};

use crate::engine::node::Node;
use crate::pubsub::Posted;
use crate::session::SessionRun;
use crate::session::acl::User;
use crate::table::{Entry, Handler};
use crate::tracking::Reader;

pub use cache::{LongNames, Scripts};
pub use functions::count as count_functions;
pub use running::Running;

/// The function of a command that runs a script, or asks who hears what: on a transaction, and with those
/// around it.
pub type ScriptRun = fn(&mut Txn<'_>, &Args<'_>, &mut Env<'_>) -> command::Result<Reply>;

/// Commands that run scripts, or are about them, in a transaction.
pub const FAMILIES: &[&[Command<ScriptRun>]] = &[eval::COMMANDS, scripts::COMMANDS, functions::COMMANDS];

/// Commands about what runs now.
pub const SESSION_FAMILIES: &[&[Command<SessionRun>]] =
    &[scripts::SESSION_COMMANDS, functions_session::SESSION_COMMANDS];

/// What surrounds a command on data: who runs it, and where.
pub struct Env<'a> {
    pub node: &'a Arc<Node>,
    pub client: u64,
    /// Whose rights its scripts have; those of nobody in particular, where the server itself asks.
    pub user: Option<&'a Arc<User>>,
    pub group: u16,
    /// Who keeps what it reads.
    pub reader: Option<Reader>,
    /// How it is stopped, in the heavy pool.
    pub cancel: Option<&'a Arc<Cancel>>,
    /// What it publishes, if that was made ready before.
    pub posted: Option<Posted>,
    /// What its scripts have called, to be counted if that comes to something.
    called: Vec<Called>,
    /// What clients that monitor are told then.
    seen: Vec<Seen>,
    /// What its scripts log then.
    logged: Vec<(Level, Vec<u8>)>,
}

/// A script, or a command that one has called.
struct Seen {
    database: u8,
    is_script: bool,
    args: OwnedArgs,
}

/// A command that a script has called.
struct Called {
    entry: &'static Entry,
    failed: Option<Reply>,
    took: Duration,
}

impl<'a> Env<'a> {
    pub fn new(
        node: &'a Arc<Node>,
        client: u64,
        user: Option<&'a Arc<User>>,
        group: u16,
        cancel: Option<&'a Arc<Cancel>>,
    ) -> Self {
        Self {
            node,
            client,
            user,
            group,
            reader: None,
            cancel,
            posted: None,
            called: Vec::new(),
            seen: Vec::new(),
            logged: Vec::new(),
        }
    }
}

impl Env<'_> {
    /// Notes what a command is going to read for whoever keeps it.
    pub fn note_reads(&self, entry: &Entry, args: &Args<'_>) {
        let Some(reader) = self.reader else { return };
        if !entry.row.flags.has(flags::READONLY) || !matches!(entry.row.run, Handler::Data(_)) {
            return;
        }
        let keys = entry.row.keys.positions(args).map(|at| args.get(at));
        let new = self.node.tracker.remember(reader, keys);
        // IMPORTANT: in the heavy pool, what is read was so when the transaction began: before this.
        if self.cancel.is_some() {
            new.into_iter().for_each(|key| self.node.tracker.doubt(reader, key));
        }
    }
}

/// How a command on data runs.
#[derive(Clone, Copy)]
pub enum OnData {
    Plain(command::Run),
    Script(ScriptRun),
}

impl OnData {
    /// Every command comes through here, wherever it runs.
    pub fn run(
        self,
        entry: &Entry,
        txn: &mut Txn<'_>,
        args: &Args<'_>,
        env: &mut Env<'_>,
    ) -> command::Result<Reply> {
        let (node, client) = (env.node, env.client);
        env.note_reads(entry, args);
        let result = node.hub.run(client, entry, txn, args, |txn| match self {
            Self::Plain(run) => run(txn, args),
            Self::Script(run) => run(txn, args, env),
        });
        // What a script uses it says itself.
        if result.is_ok() && matches!(self, Self::Plain(_)) {
            node.sampling.ran(entry, txn, args);
        }
        result
    }
}

impl Handler {
    /// How it runs, if it is on data.
    pub fn on_data(self) -> Option<OnData> {
        match self {
            Self::Data(run) => Some(OnData::Plain(run)),
            Self::Script(run) => Some(OnData::Script(run)),
            Self::Session(_) => None,
        }
    }
}

/// The keys of a command that runs a script: any of them may be read or written.
const SCRIPT_KEYS: Keys = Keys::counted(2, None)
    .with(&[access::RW, access::ACCESS, access::UPDATE])
    .noted("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE");
const READ_KEYS: Keys = Keys::counted(2, None)
    .with(&[access::RO, access::ACCESS])
    .noted("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS");

/// Makes ready, on a thread that holds no lock, what a command would need time for within its transaction:
/// compiles its script. Says whether it is known to be long.
pub fn prepare(node: &Node, entry: &Entry, args: &Args<'_>) -> bool {
    match entry.row.name {
        "eval" | "eval_ro" | "evalsha" | "evalsha_ro" => eval::prepare(node, args),
        "fcall" | "fcall_ro" => functions::prepare(node, args),
        _ => false,
    }
}
