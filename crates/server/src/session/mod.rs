//! Sessions: what a connection remembers, and the commands on connections and on the node.

pub mod account;
pub mod acl;
mod client;
mod client_kill;
mod client_list;
mod client_pause;
mod client_unblock;
mod cluster;
mod cluster_keys;
mod commands;
pub mod connection;
mod debug;
#[cfg(debug_assertions)]
pub mod faults;
pub mod histogram;
pub mod info;
pub mod latency;
mod latency_commands;
mod latency_report;
mod memory;
pub mod monitor;
pub mod multi;
pub mod persistence;
mod pubsub;
pub mod rows;
mod server;
mod settings;
pub mod slowlog;
mod slowlog_commands;
pub mod stats;
mod tracking;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use command::{Args, Command, OwnedArgs};
use resp::{Protocol, Reply};

use crate::engine::clients::Client;
use crate::engine::heavy::Task;
use crate::engine::node::Node;
use crate::table::Entry;
use acl::{Login, User, Users};
use monitor::Monitoring;
use multi::{Exec, Multi, Watching};

/// A session command's function.
pub type SessionRun = fn(&mut Context<'_>, &Args<'_>) -> command::Result<Answer>;

/// Every command on sessions and the node.
pub const FAMILIES: &[&[Command<SessionRun>]] = &[
    connection::COMMANDS,
    acl::COMMANDS,
    multi::COMMANDS,
    client::COMMANDS,
    commands::COMMANDS,
    settings::COMMANDS,
    info::COMMANDS,
    server::COMMANDS,
    persistence::COMMANDS,
    slowlog_commands::COMMANDS,
    debug::COMMANDS,
    memory::COMMANDS,
    latency_commands::COMMANDS,
    monitor::COMMANDS,
    pubsub::COMMANDS,
    tracking::COMMANDS,
    cluster::COMMANDS,
];

/// What a session command works on.
pub struct Context<'a> {
    pub node: &'a Arc<Node>,
    pub session: &'a mut Session,
}

/// What a session command answers.
pub enum Answer {
    Reply(Reply),
    /// The heavy pool works it out.
    Heavy(Task),
    /// This, after a while; the connection waits without holding a thread.
    After(Duration, Reply),
    /// This, and then the connection is closed.
    Close(Reply),
    /// What becomes of a transaction.
    Exec(Box<Exec>),
    /// The store has to catch up first: the same command again later.
    Stalled,
    /// The client is told from now on what others do.
    Monitor,
    /// What is no reply, one after the other: told to a client that wants no replies as well.
    Pushes(Vec<Reply>),
    /// So many more of the names that it has are done, and told like that: the same command again for the others.
    Part(usize, Vec<Reply>),
    /// Nothing at all.
    Silent,
}

/// Whether a client wants replies, as CLIENT REPLY says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    #[default]
    On,
    Off,
    /// None for the next command.
    SkipNext,
    /// None for the command that runs.
    Skip,
}

/// A command on many names, of which the first are done.
#[derive(Clone, Copy)]
pub struct Begun {
    pub entry: &'static Entry,
    pub names: usize,
}

/// What a connection remembers from command to command.
pub struct Session {
    pub client: Arc<Client>,
    pub protocol: Protocol,
    pub database: u8,
    pub replies: Replies,
    /// What it has queued, after MULTI.
    multi: Option<Multi>,
    watching: Option<Watching>,
    /// The command that runs, once a part of it is done.
    pub begun: Option<Begun>,
    looked: pubsub::Looked,
    pub monitoring: Option<Monitoring>,
    /// Its client hears something.
    pub hears: bool,
    /// It has said CLIENT CACHING about the next command.
    pub has_said: bool,
    /// Who its client is.
    pub login: Login,
}

impl Session {
    pub fn new(client: Arc<Client>, users: &Users) -> Self {
        let login = if client.peer.is_inside() { Login::inside(users) } else { Login::new(users) };
        client.details.lock().user.clone_from(&login.user().name);
        Self {
            client,
            protocol: Protocol::default(),
            database: 0,
            replies: Replies::default(),
            multi: None,
            watching: None,
            begun: None,
            looked: pubsub::Looked::default(),
            monitoring: None,
            hears: false,
            has_said: false,
            login,
        }
    }

    pub fn is_authenticated(&self) -> bool {
        self.login.is_authenticated()
    }

    /// As before its client has logged in.
    fn become_nobody(&mut self, users: &Users) {
        self.login = Login::new(users);
        self.client.details.lock().user.clone_from(&self.login.user().name);
    }

    /// Its client has logged in.
    fn become_user(&mut self, user: Arc<User>) {
        self.client.details.lock().user.clone_from(&user.name);
        self.login.become_user(user);
    }

    /// Whether commands are queued.
    pub fn is_queueing(&self) -> bool {
        self.multi.is_some()
    }

    /// Which commands are queued, each once.
    pub fn queued(&self) -> impl Iterator<Item = &'static Entry> {
        self.multi.iter().flat_map(|multi| &multi.unit.kinds).copied()
    }

    /// Keeps a command for EXEC.
    pub fn queue(&mut self, entry: &'static Entry, args: OwnedArgs) -> Reply {
        let mut multi = self.multi.take().unwrap_or_default();
        let reply = multi.queue(entry, args);
        self.set_multi(Some(multi));
        reply
    }

    /// A command was refused: the transaction that it would have been part of will be.
    pub fn spoil(&mut self) {
        if let Some(multi) = &mut self.multi {
            multi.is_spoiled = true;
        }
    }

    /// A transaction that could not begin yet: EXEC comes once more.
    pub fn put_back(&mut self, exec: Exec) {
        self.set_multi(Some(Multi { unit: exec.unit, is_spoiled: false }));
        self.watching = exec.watching;
    }

    /// A command begins.
    pub fn begin_command(&mut self) {
        self.replies = match self.replies {
            Replies::SkipNext => Replies::Skip,
            Replies::Skip => Replies::On,
            other => other,
        };
    }

    /// How many of its names the command that runs is done with.
    fn names_done(&self) -> usize {
        self.begun.map_or(0, |begun| begun.names)
    }

    /// Takes note of how far a command has come, and says whether there is more of it to do.
    pub fn note_part(&mut self, entry: &'static Entry, answer: &command::Result<Answer>) -> bool {
        self.begun = match answer {
            Ok(Answer::Part(names, _)) => Some(Begun { entry, names: self.names_done() + names }),
            Ok(Answer::Stalled) => self.begun,
            _ => {
                self.looked = pubsub::Looked::default();
                None
            }
        };
        self.begun.is_some()
    }

    /// Whether the client does not want the reply to the command that runs.
    pub fn is_muted(&self) -> bool {
        matches!(self.replies, Replies::Off | Replies::Skip)
    }

    fn select(&mut self, database: u8) {
        self.database = database;
        self.client.database.store(database.into(), Ordering::Relaxed);
    }

    fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.client.resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }
}
