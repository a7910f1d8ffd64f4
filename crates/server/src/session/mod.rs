//! Sessions: what a connection remembers, and the commands on connections and on the node.

pub mod connection;
pub mod stats;

use std::sync::Arc;
use std::time::Duration;

use command::{Args, Command};
use resp::{Protocol, Reply};

use crate::engine::clients::Client;
use crate::engine::heavy::Task;
use crate::engine::node::Node;

/// A session command's function.
pub type SessionRun = fn(&mut Context<'_>, &Args<'_>) -> command::Result<Answer>;

/// Every command on sessions and the node.
pub const FAMILIES: &[&[Command<SessionRun>]] = &[connection::COMMANDS];

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
    /// Nothing at all.
    Silent,
}

/// What a connection remembers from command to command.
pub struct Session {
    pub client: Arc<Client>,
    pub protocol: Protocol,
    pub database: u8,
    authenticated: bool,
}

impl Session {
    pub fn new(client: Arc<Client>, needs_password: bool) -> Self {
        Self { client, protocol: Protocol::default(), database: 0, authenticated: !needs_password }
    }

    pub fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    pub fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
    }
}
