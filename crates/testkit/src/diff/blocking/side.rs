//! One of the two servers, and who is connected to it.

use super::turn::{Deed, Turn};
use super::{ACTORS, DATABASES_OF_ACTORS};
use crate::client::{Command, words};
use crate::{Client, Protocol, Reply, Result, Server, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who waits, by number.
pub(super) type Waiting = BTreeSet<usize>;

pub(super) struct Side {
    pub(super) server: Server,
    control: Client,
    actors: Vec<Actor>,
    protocol: Protocol,
}

struct Actor {
    client: Client,
    /// As the server calls it.
    id: i64,
    /// Replies that have not come yet, and those that have.
    owed: usize,
    answers: Vec<Reply>,
}

impl Side {
    pub(super) fn start(server: Server) -> Result<Self> {
        let control = server.client()?;
        Ok(Self { server, control, actors: Vec::new(), protocol: Protocol::Resp2 })
    }

    /// Fresh connections to an empty server.
    pub(super) fn clean(&mut self, protocol: Protocol, limit: Duration) -> Result {
        self.actors.clear();
        self.protocol = protocol;
        let control = &mut self.control;
        wait::until("the clients of before to be gone", limit, || {
            control.info_of_clients("connected_clients").ok().filter(|count| *count == 1)
        })?;
        control.want("FLUSHALL")?;
        for number in 0..ACTORS {
            let actor = self.connect(number)?;
            self.actors.push(actor);
        }
        Ok(())
    }

    fn connect(&self, number: usize) -> Result<Actor> {
        let mut client = self.server.client_with(self.protocol)?;
        let id = client.want("CLIENT ID")?.integer().ok_or("CLIENT ID is no number")?;
        client.want(&format!("SELECT {}", DATABASES_OF_ACTORS[number]))?;
        Ok(Actor { client, id, owed: 0, answers: Vec::new() })
    }

    pub(super) fn waits(&self, number: usize) -> bool {
        self.actors.get(number).is_some_and(|actor| actor.owed > 0)
    }

    pub(super) fn begin(&mut self, turn: &Turn) -> Result {
        if turn.deed == Deed::HangUp {
            self.actors[turn.actor] = self.connect(turn.actor)?;
            return Ok(());
        }
        let commands: Vec<Command> = turn.deed.commands().iter().map(|command| self.named(command)).collect();
        let actor = &mut self.actors[turn.actor];
        for command in &commands {
            actor.client.queue(command);
        }
        actor.client.flush()?;
        actor.owed = commands.len();
        if !matches!(turn.deed, Deed::Wait(_)) {
            while actor.owed > 0 {
                actor.answers.push(actor.client.receive()?);
                actor.owed -= 1;
            }
        }
        if let Deed::Expire(key) = &turn.deed {
            let control = &mut self.control;
            control.want(&format!("SELECT {}", DATABASES_OF_ACTORS[turn.actor]))?;
            wait::until("a key to expire", super::LIMIT, || {
                control.line(&format!("EXISTS {key}")).ok().filter(|reply| *reply == Reply::Integer(0))
            })?;
        }
        Ok(())
    }

    /// A command with the clients that it names called as this server calls them.
    fn named(&self, command: &Command) -> Command {
        let name = |word: &Vec<u8>| {
            let text = String::from_utf8_lossy(word);
            let number = text.strip_prefix("waiter:").and_then(|number| number.parse::<usize>().ok());
            let actor = number.and_then(|number| self.actors.get(number));
            actor.map_or_else(|| word.clone(), |actor| actor.id.to_string().into_bytes())
        };
        command.iter().map(name).collect()
    }

    /// Waits until everybody has been answered but those of whom the server says that they wait, and until these
    /// are those who are expected to, if anything is expected. Who waits; nothing if that did not come about.
    pub(super) fn settle(&mut self, expected: Option<&Waiting>, limit: Duration) -> Result<Option<Waiting>> {
        let mut failure = None;
        let settled = wait::until("who waits", limit, || match self.look() {
            Ok(waiting) => waiting.filter(|waiting| expected.is_none_or(|expected| expected == waiting)),
            Err(error) => {
                failure = Some(error);
                Some(Waiting::new())
            }
        });
        failure.map_or(Ok(settled.ok()), Err)
    }

    /// Takes what has come. Who waits, if that is all that is owed.
    fn look(&mut self) -> Result<Option<Waiting>> {
        // First, or what is under way would be taken for late.
        let (count, blocked) = self.blocked()?;
        for actor in &mut self.actors {
            while actor.owed > 0
                && let Some(reply) = actor.client.try_receive()?
            {
                actor.answers.push(reply);
                actor.owed -= 1;
            }
        }
        let owed: Waiting = (0..self.actors.len()).filter(|number| self.waits(*number)).collect();
        Ok((owed.len() == count && owed == blocked).then_some(owed))
    }

    /// How many clients wait, and which of the actors.
    fn blocked(&mut self) -> Result<(usize, Waiting)> {
        let count = self.control.info_of_clients("blocked_clients")?;
        let list = self.control.want("CLIENT LIST")?;
        let text = String::from_utf8_lossy(list.bytes().unwrap_or_default()).into_owned();
        let by_id: BTreeMap<String, usize> =
            self.actors.iter().enumerate().map(|(number, actor)| (actor.id.to_string(), number)).collect();
        let who = |line: &str| {
            let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
            field("flags=").filter(|flags| flags.contains('b'))?;
            by_id.get(field("id=")?).copied()
        };
        Ok((count, text.lines().filter_map(who).collect()))
    }

    /// What each was answered since it was asked last.
    pub(super) fn take_answers(&mut self) -> Vec<Vec<Reply>> {
        self.actors.iter_mut().map(|actor| std::mem::take(&mut actor.answers)).collect()
    }

    /// What this is answered by the server, in a database.
    pub(super) fn ask(&mut self, database: usize, line: &str) -> Result<Reply> {
        self.control.queue(&words(&format!("SELECT {database}")));
        self.control.queue(&words(line));
        self.control.flush()?;
        self.control.receive()?;
        self.control.receive()
    }
}
