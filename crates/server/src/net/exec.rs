//! EXEC: the queued commands run as one transaction, in the lane that they need. Those on data run within
//! it; those on the session run behind it, once it is known that there is a transaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use command::{Error, Lane, flags};
use resp::Reply;
use store::{Cancel, Done, Gate, Leave, Scratch, Txn};

use crate::engine::group::Group;
use crate::engine::heavy::{Caller, Outcome, Target, Told, Work};
use crate::engine::node::Node;
use crate::net::connection::{Connection, State};
use crate::net::dispatch;
use crate::net::execute::submit;
use crate::net::output::Encoded;
use crate::session::multi::{Exec, Queued, Unit};
use crate::session::{Answer, Context, account};
use crate::table::{Entry, Handler};

/// What became of one command of a transaction.
pub enum Part {
    Data(Reply, Duration),
    /// It is on the session: it runs where that is.
    Session,
}

/// What became of a transaction.
pub struct Ran {
    pub exec: Box<Exec>,
    pub parts: Vec<Part>,
}

impl Unit {
    /// Runs the commands on data, each as if nothing came after it: one that fails has no effect, and does
    /// not keep the others from theirs.
    fn run(&self, txn: &mut Txn<'_>) -> Result<Vec<Part>, Error> {
        let mut parts = Vec::with_capacity(self.commands.len());
        for Queued { entry, args } in &self.commands {
            let args = args.as_args();
            let Handler::Data(run) = entry.row.run else {
                if entry.row.name == "select"
                    && let Ok(database) = args.database(1)
                {
                    txn.select(database);
                }
                parts.push(Part::Session);
                continue;
            };
            let began = Instant::now();
            let reply = match txn.attempt(|txn| run(txn, &args)) {
                Ok(reply) => reply,
                Err(Error::Stop(stop)) => return Err(stop.into()),
                Err(Error::Wait(wait)) => wait.otherwise,
                Err(error) => error.reply(),
            };
            parts.push(Part::Data(reply, began.elapsed()));
        }
        Ok(parts)
    }

    /// Where it starts. What only reads, and watches nothing, needs no lock.
    fn lane(&self, watches: bool) -> Lane {
        let rows = self.commands.iter().map(|queued| &queued.entry.row);
        let mut lane = if watches { Lane::Inline } else { Lane::Read };
        for row in rows.filter(|row| matches!(row.run, Handler::Data(_))) {
            match row.lane() {
                Lane::Heavy => return Lane::Heavy,
                Lane::Inline => lane = Lane::Inline,
                Lane::Read => {}
            }
        }
        if self.commands.iter().any(|queued| queued.args.as_args().len() > dispatch::ARGS_INLINE_MAX) {
            return Lane::Heavy;
        }
        lane
    }

    /// The group whose keys the commands name: there must be only one.
    fn group(&self, node: &Node, watched: Option<u16>) -> Result<u16, Error> {
        let mut found = watched;
        for Queued { entry, args } in &self.commands {
            let args = args.as_args();
            if node.groups.len() == 1 || !matches!(entry.row.run, Handler::Data(_)) {
                continue;
            }
            let Target::One(group) = dispatch::target(node, entry, &args)? else {
                return Err(Error::line(dispatch::CROSSSLOT));
            };
            if entry.row.keys.positions(&args).next().is_some() && *found.get_or_insert(group) != group {
                return Err(Error::line(dispatch::CROSSSLOT));
            }
        }
        Ok(found.unwrap_or(0))
    }
}

impl Exec {
    fn group(&self, node: &Node) -> Result<u16, Error> {
        self.unit.group(node, self.watching.as_ref().map(|watching| watching.group.id))
    }

    /// Why it is refused as long as this node takes no writes like its own.
    fn refused(&self, node: &Node) -> Option<Reply> {
        let why = self.unit.commands.iter().find_map(|queued| dispatch::refused(node, queued.entry))?;
        Some(Reply::error(format!("EXECABORT Transaction discarded because of: {why}")))
    }

    /// Looks up what has to be looked up before it is known whether nothing watched has changed.
    fn settle(&self, scratch: &mut Scratch) -> Result<(), Leave> {
        self.watching
            .as_ref()
            .map_or(Ok(()), |watching| watching.group.store.settle_watch(watching.id, scratch))
    }

    fn has_session_parts(&self) -> bool {
        self.unit.commands.iter().any(|queued| matches!(queued.entry.row.run, Handler::Session(_)))
    }
}

/// Runs a transaction as far as a network thread may. Says whether the connection may go on.
pub fn run(
    node: &Arc<Node>,
    connection: &mut Connection,
    exec: Box<Exec>,
    scratch: &mut Scratch,
    place: (usize, &mut Vec<usize>, usize),
) -> bool {
    let (used, waiting, at) = place;
    let refused = exec.refused(node);
    let group = exec.group(node).map_err(Error::reply);
    let group = match refused.map_or(group, Err) {
        Ok(group) => node.groups.get(usize::from(group)),
        Err(reply) => {
            connection.reply(&reply);
            connection.consume(used);
            return true;
        }
    };
    let Some(group) = group else { return true };
    let database = connection.session.database;
    let lane = exec.unit.lane(exec.watching.is_some());
    if let Err(left) = exec.settle(scratch) {
        connection.consume(used);
        connection.reply(&dispatch::left_reply(&left));
        return true;
    }
    scratch.only_if = exec.watching.as_ref().map(|watching| watching.id);
    let f = |txn: &mut Txn<'_>| exec.unit.run(txn);
    let ran = match lane {
        Lane::Read => group.store.run_read(database, scratch, f),
        Lane::Inline => group.store.run_inline(database, scratch, f),
        Lane::Heavy => Err(Leave::Outgrown),
    };
    scratch.only_if = None;
    let ran = match ran {
        Ok(done) if !done.wrote && !group.has_led(done.gate.epoch, Instant::now()) => Err(Leave::Closed),
        ran => ran,
    };
    match ran {
        Ok(Done { result: Ok(parts), gate, .. }) => {
            connection.consume(used);
            let ran = Ran { exec, parts };
            finish(node, connection, ran, &[(group.id, gate)])
        }
        Ok(Done { result: Err(error), .. }) => {
            connection.consume(used);
            connection.reply(&error.reply());
            true
        }
        Err(Leave::Outgrown) => {
            node.heavy.stats.outgrown.fetch_add(1, Ordering::Relaxed);
            connection.consume(used);
            submit(node, connection, None, Work::Unit { exec, database, group: group.id })
        }
        Err(left)
            if matches!(left, Leave::Stalled) || (matches!(left, Leave::Closed) && group.is_reopening()) =>
        {
            connection.session.put_back(*exec);
            connection.state = State::Stalled;
            waiting.push(at);
            false
        }
        Err(left) => {
            connection.consume(used);
            connection.reply(&dispatch::left_reply(&left));
            true
        }
    }
}

/// Runs a transaction on a thread of the heavy pool.
pub fn run_heavy(
    node: &Arc<Node>,
    exec: Box<Exec>,
    (caller, database, group): (&Caller, u8, &Arc<Group>),
    cancel: &Cancel,
    scratch: &mut Scratch,
) -> Outcome {
    let ran = loop {
        if let Some(reply) = exec.refused(node) {
            return Outcome::ungated(reply);
        }
        scratch.only_if = exec.watching.as_ref().map(|watching| watching.id);
        let ran = group.store.run_heavy(database, scratch, cancel, |txn| exec.unit.run(txn));
        scratch.only_if = None;
        let ran = match ran {
            Ok(done) if !done.wrote && !group.has_led(done.gate.epoch, Instant::now()) => Err(Leave::Closed),
            ran => ran,
        };
        if !matches!(ran, Err(Leave::Closed)) || !group.is_reopening() || cancel.is_cancelled() {
            break ran;
        }
        std::thread::sleep(dispatch::REOPEN_POLL);
    };
    group.pump();
    let gate = |gate: Gate| vec![(group.id, gate)];
    match ran {
        Ok(Done { result: Ok(parts), gate: at, .. }) => {
            let ran = Ran { exec, parts };
            if ran.exec.has_session_parts() {
                return Outcome { told: Told::Ran(Box::new(ran)), gates: gate(at) };
            }
            let replies = ran.replies(node, caller.client, |_, part| match part {
                Part::Data(reply, _) => (reply, ()),
                Part::Session => (Reply::Null, ()),
            });
            let replies = replies.into_iter().map(|(reply, ())| reply).collect();
            Outcome { told: Told::Reply(Reply::Array(replies)), gates: gate(at) }
        }
        Ok(Done { result: Err(error), .. }) => Outcome::ungated(error.reply()),
        Err(left) => Outcome::ungated(dispatch::left_reply(&left)),
    }
}

impl Ran {
    /// The replies, as `answer` gives them from the parts; and what is counted of each.
    fn replies<R>(
        self,
        node: &Node,
        client: u64,
        mut answer: impl FnMut(&Queued, Part) -> (Reply, R),
    ) -> Vec<(Reply, R)> {
        let commands = self.exec.unit.commands.iter().zip(self.parts);
        let reply = |(queued, part): (&Queued, Part)| {
            let began = Instant::now();
            let before = if let Part::Data(_, took) = part { took } else { Duration::ZERO };
            let answered = answer(queued, part);
            let (args, took) = (queued.args.as_args(), before + began.elapsed());
            account::ran_in_unit(node, client, queued.entry, &args, &answered.0, took);
            answered
        };
        commands.map(reply).collect()
    }
}

/// Answers a transaction that is sequenced. Says whether the connection may go on.
pub fn finish(node: &Arc<Node>, connection: &mut Connection, ran: Ran, gates: &[(u16, Gate)]) -> bool {
    let mut closes = false;
    let session = &mut connection.session;
    let client = session.client.id;
    let replies = ran.replies(node, client, |queued, part| {
        let reply = match (part, queued.entry.row.run) {
            (Part::Data(reply, _), _) => reply,
            (Part::Session, Handler::Data(_)) => Reply::error(NOT_IN_UNITS),
            (Part::Session, Handler::Session(run)) => {
                match run(&mut Context { node, session }, &queued.args.as_args()) {
                    Ok(Answer::Reply(reply) | Answer::After(_, reply)) => reply,
                    Ok(Answer::Close(reply)) => {
                        closes = true;
                        reply
                    }
                    Ok(Answer::Silent) => Reply::Ok,
                    Ok(Answer::Heavy(_) | Answer::Exec(_)) => Reply::error(NOT_IN_UNITS),
                    Err(error) => error.reply(),
                }
            }
        };
        (reply, session.protocol)
    });
    connection.output.push_gated(Encoded::several(&replies), gates);
    if closes {
        connection.state = State::Closing;
    }
    !closes
}

pub const NOT_IN_UNITS: &str = "ERR Command not allowed inside a transaction";

/// Whether a command is not queued after MULTI.
pub fn runs_at_once(entry: &&'static Entry) -> bool {
    entry.row.flags.has(flags::AT_ONCE)
}
