//! EXEC: the queued commands run as one transaction, in the lane that they need. Those on data run within
//! it; those on the session run behind it, once it is known that there is a transaction.

use std::iter;
use std::sync::Arc;
use std::time::Instant;

use base::slot;
use command::{Error, Lane, OwnedArgs, flags};
use resp::{Protocol, Reply};
use store::{Cancel, Done, Gate, Leave, Scratch, Txn};

use crate::engine::group::Group;
use crate::engine::heavy::{Caller, Outcome, Told, Work};
use crate::engine::node::Node;
use crate::net::connection::{Connection, State};
use crate::net::dispatch;
use crate::net::execute::submit;
use crate::net::output::Encoded;
use crate::net::route;
use crate::scripting::Env;
use crate::session::account::{self, Spent};
use crate::session::connection::selected;
use crate::session::multi::{Exec, Queued, Unit, aborted};
use crate::session::{Answer, Context, Session, SessionRun, monitor};
use crate::table::{Entry, Handler};

/// What became of one command of a transaction.
pub enum Part {
    Data(Reply, Spent),
    /// It is on the session: it runs where that is.
    Session,
}

/// What became of a transaction.
pub struct Ran {
    exec: Box<Exec>,
    parts: Vec<Part>,
    /// EXEC as it was said, if those who monitor are yet to be told: behind the commands.
    pub said: OwnedArgs,
}

/// How far a network thread has come with a transaction.
pub enum Ended {
    /// It is answered, or the heavy pool has it.
    Answered,
    /// The store has to catch up first.
    Later(Box<Exec>),
}

impl Unit {
    /// Runs the commands on data, each as if nothing came after it: one that fails has no effect, and does
    /// not keep the others from theirs.
    fn run(&self, txn: &mut Txn<'_>, env: &mut Env<'_>) -> Result<Vec<Part>, Error> {
        let (node, is_heavy) = (env.node, env.cancel.is_some());
        env.begin();
        let mut parts = Vec::with_capacity(self.commands.len());
        for Queued { entry, args, denied } in self.commands.iter() {
            let args = args.as_args();
            if let Some(denied) = denied {
                parts.push(Part::Data(denied.changed().reply(), Spent::default()));
                continue;
            }
            let Some(run) = entry.row.run.on_data() else {
                if entry.row.name == "select"
                    && let Ok(database) = selected(node, &args)
                {
                    txn.select(database);
                }
                parts.push(Part::Session);
                continue;
            };
            let (began, before) = (Instant::now(), txn.lookups());
            let reply = match txn.attempt(|txn| run.run(entry, txn, &args, env)) {
                Ok(reply) => reply,
                Err(Error::Stop(stop)) => return Err(stop.into()),
                Err(Error::Wait(wait)) => wait.otherwise,
                Err(error) => error.reply(),
            };
            if is_heavy {
                // All replies of a unit are there before the first one is told.
                txn.hold(0, reply.size_hint())?;
            }
            let after = txn.lookups();
            let lookups = (after.0 - before.0, after.1 - before.1);
            parts.push(Part::Data(reply, Spent { took: began.elapsed(), lookups, is_heavy }));
        }
        Ok(parts)
    }

    fn on_data(&self) -> impl Iterator<Item = &Queued> {
        self.commands.iter().filter(|queued| queued.entry.row.run.on_data().is_some())
    }

    /// The group whose keys the commands name: all of one slot, where there are several groups.
    fn group(&self, node: &Node, watched: Option<u16>) -> Result<u16, Error> {
        let mut found = None;
        for Queued { entry, args, .. } in self.on_data().filter(|_| node.groups.len() > 1) {
            let args = args.as_args();
            if entry.row.flags.has(flags::FANOUT) {
                let name = entry.row.name.to_ascii_uppercase();
                return Err(Error::text(format!(
                    "ERR {name} is not allowed in a transaction in cluster mode"
                )));
            }
            route::target(node, entry, &args)?;
            if let Some(at) = entry.row.keys.positions(&args).next() {
                let slot = slot::of(args.get(at));
                if *found.get_or_insert(slot) != slot {
                    return Err(Error::line(route::CROSSSLOT));
                }
            }
        }
        let group = found.map(|slot| node.group_of(slot)).or(watched).unwrap_or(0);
        if watched.is_some_and(|watched| watched != group) {
            return Err(Error::line(route::CROSSSLOT));
        }
        Ok(group)
    }
}

impl Exec {
    /// The group that it concerns; none where that is left to the heavy pool.
    fn group<'n>(&self, node: &'n Node) -> Result<Option<&'n Arc<Group>>, Reply> {
        if let Some(refused) = self.refused(node) {
            return Err(refused);
        }
        if self.unit.is_large() {
            return Ok(None);
        }
        let id = self.group_id(node).map_err(Error::reply)?;
        node.groups.get(usize::from(id)).map(Some).ok_or_else(|| dispatch::left_reply(&Leave::Closed))
    }

    fn group_id(&self, node: &Node) -> Result<u16, Error> {
        self.unit.group(node, self.watching.as_ref().map(|watching| watching.group.id))
    }

    /// What was left to the heavy pool: whether the caller may do all of it, and which group it concerns.
    fn look(&mut self, node: &Node, caller: &Caller) -> Result<u16, Error> {
        self.unit.check(node, node.clients.get(caller.client).as_deref(), &caller.user)?;
        self.group_id(node)
    }

    /// Why it is refused as long as this node takes no writes like its own.
    fn refused(&self, node: &Node) -> Option<Reply> {
        let why = self.unit.kinds.iter().find_map(|entry| dispatch::refused(node, entry))?;
        Some(aborted(why.as_bytes()).reply())
    }

    /// Where it starts. What only reads, and watches nothing, needs no lock.
    fn lane(&self, node: &Node) -> Lane {
        let lanes: Vec<Lane> = self
            .unit
            .on_data()
            .map(|queued| dispatch::lane(node, queued.entry, &queued.args.as_args()))
            .collect();
        match () {
            () if lanes.contains(&Lane::Heavy) => Lane::Heavy,
            () if lanes.contains(&Lane::Inline) || self.watching.is_some() => Lane::Inline,
            () => Lane::Read,
        }
    }

    /// Runs it where it starts.
    fn run(
        &self,
        node: &Arc<Node>,
        session: &Session,
        group: &Group,
        database: u8,
        scratch: &mut Scratch,
    ) -> Result<Done<Vec<Part>, Error>, Leave> {
        let lane = self.lane(node);
        if let Some(watching) = self.watching.as_ref().filter(|_| lane != Lane::Heavy) {
            group.store.settle_watch(watching.id, scratch)?;
        }
        let mut env = Env::new(node, session.client.id, Some(session.login.user()), group.id, None);
        env.reader = session.reader(self.says_caching());
        if lane == Lane::Heavy {
            self.unit.on_data().for_each(|queued| env.note_reads(queued.entry, &queued.args.as_args()));
        }
        let f = |txn: &mut Txn<'_>| self.unit.run(txn, &mut env);
        let ran = self.only_if(scratch, |scratch| match lane {
            Lane::Read => group.store.run_read(database, scratch, f),
            Lane::Inline => group.store.run_inline(database, scratch, f),
            Lane::Heavy => Err(Leave::Outgrown),
        });
        let ran = dispatch::if_led(group, ran, Instant::now);
        if ran.is_ok() {
            env.count();
        }
        ran
    }

    /// Runs something that is to be committed only if nothing watched has changed.
    fn only_if<R>(&self, scratch: &mut Scratch, run: impl FnOnce(&mut Scratch) -> R) -> R {
        scratch.only_if = self.watching.as_ref().map(|watching| watching.id);
        let ran = run(scratch);
        scratch.only_if = None;
        ran
    }

    /// Whether its client says within it that it keeps what is read.
    pub fn says_caching(&self) -> bool {
        self.unit.kinds.iter().any(|entry| entry.row.name == "client|caching")
    }
}

/// Runs a transaction as far as a network thread may.
pub fn run(
    node: &Arc<Node>,
    connection: &mut Connection,
    entry: &'static Entry,
    exec: Box<Exec>,
    scratch: &mut Scratch,
) -> Ended {
    let began = Instant::now();
    let database = connection.session.database;
    let refusal = match exec.group(node) {
        Err(refusal) => refusal,
        Ok(None) => {
            go_heavy(node, connection, entry, exec, None);
            return Ended::Answered;
        }
        Ok(Some(group)) => match exec.run(node, &connection.session, group, database, scratch) {
            Ok(Done { result: Ok(parts), gate, .. }) => {
                finish(node, connection, Ran::new(exec, parts), &[(group.id, gate)]);
                account::ran_exec(node, connection, entry, &Reply::Ok, began.elapsed());
                return Ended::Answered;
            }
            Ok(Done { result: Err(error), .. }) => error.reply(),
            Err(Leave::Outgrown) => {
                node.heavy.stats.outgrown(entry);
                go_heavy(node, connection, entry, exec, Some(group.id));
                return Ended::Answered;
            }
            Err(left) if dispatch::is_for_later(group, &left) => return Ended::Later(exec),
            Err(left) => dispatch::left_reply(&left),
        },
    };
    account::ran_exec(node, connection, entry, &refusal, began.elapsed());
    connection.reply(&refusal);
    Ended::Answered
}

fn go_heavy(
    node: &Arc<Node>,
    connection: &mut Connection,
    entry: &'static Entry,
    exec: Box<Exec>,
    group: Option<u16>,
) {
    let (args, database) = (connection.args().to_owned(), connection.session.database);
    submit(node, connection, Work::Unit { entry, args, exec, database, group });
}

/// Runs a transaction on a thread of the heavy pool.
pub fn run_heavy(
    node: &Arc<Node>,
    mut exec: Box<Exec>,
    (caller, database, group): (&Caller, u8, Option<u16>),
    cancel: &Arc<Cancel>,
    scratch: &mut Scratch,
) -> Outcome {
    if !exec.unit.has_session_parts() {
        exec.unit.rubbish = None;
    }
    let group = match group.map_or_else(|| exec.look(node, caller), Ok) {
        Ok(group) => group,
        Err(error) => return Outcome::ungated(error.reply()),
    };
    let Some(group) = node.groups.get(usize::from(group)) else {
        return Outcome::ungated(dispatch::left_reply(&Leave::Closed));
    };
    let mut env = Env::new(node, caller.client, Some(&caller.user), group.id, Some(cancel));
    env.reader = caller.reader;
    let ran = dispatch::run_when_open(group, cancel, || {
        if let Some(reply) = exec.refused(node) {
            return Err(Outcome::ungated(reply));
        }
        if let Some(watching) = &exec.watching
            && let Err(left) = group.store.settle_watch(watching.id, scratch)
        {
            return Ok(Err(left));
        }
        let f = |txn: &mut Txn<'_>| exec.unit.run(txn, &mut env);
        Ok(exec.only_if(scratch, |scratch| group.store.run_heavy(database, scratch, cancel, f)))
    });
    let (parts, gate) = match ran {
        Ok(Done { result: Ok(parts), gate, .. }) => (parts, gate),
        Ok(Done { result: Err(error), .. }) => return Outcome::ungated(error.reply()),
        Err(outcome) => return outcome,
    };
    env.count();
    let gates = vec![(group.id, gate)];
    let ran = Ran::new(exec, parts);
    if ran.exec.unit.has_session_parts() {
        return Outcome { told: Told::Ran(Box::new(ran)), gates };
    }
    let replies = ran.replies(node, caller.client, |_, part| match part {
        Part::Data(reply, _) => (reply, ()),
        Part::Session => (Reply::Null, ()),
    });
    let replies = replies.into_iter().map(|(reply, ())| reply).collect();
    Outcome { told: Told::Reply(Reply::Array(replies)), gates }
}

impl Ran {
    fn new(exec: Box<Exec>, parts: Vec<Part>) -> Self {
        Self { exec, parts, said: OwnedArgs::default() }
    }

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
            let mut spent = if let Part::Data(_, spent) = part { spent } else { Spent::default() };
            let answered = answer(queued, part);
            spent.took += began.elapsed();
            account::ran_in_unit(node, client, queued.entry, &queued.args.as_args(), &answered.0, spent);
            answered
        };
        commands.map(reply).collect()
    }
}

/// Answers a transaction that is sequenced.
pub fn finish(node: &Arc<Node>, connection: &mut Connection, mut ran: Ran, gates: &[(u16, Gate)]) {
    let said = std::mem::take(&mut ran.said);
    let (mut closes, is_muted) = (false, connection.output.is_muted());
    let session = &mut connection.session;
    let client = session.client.id;
    let parts = ran.replies(node, client, |queued, part| {
        let (reply, also) = match (part, queued.entry.row.run) {
            (Part::Data(reply, _), _) => (reply, Also::Nothing),
            (Part::Session, Handler::Data(_) | Handler::Script(_)) => {
                (Reply::error(NOT_IN_UNITS), Also::Nothing)
            }
            (Part::Session, Handler::Session(run)) => answer(node, session, queued, run, &mut closes),
        };
        let is_wanted = !is_muted || matches!(also, Also::Pushes(_)) || !session.is_muted();
        (reply, (session.protocol, also, is_wanted))
    });
    monitor::saw_from(node, &connection.client, &said.as_args());
    // Who wants no replies is told all the same to what he is subscribed; and what follows when he wants some again.
    let header = (!is_muted).then_some(parts.len());
    let replies: Vec<(Reply, Protocol)> = parts
        .into_iter()
        .filter(|(_, (_, _, is_wanted))| *is_wanted)
        .flat_map(|(reply, (protocol, also, _))| {
            let more = if let Also::Pushes(more) = also { more } else { Vec::new() };
            iter::once(reply).chain(more).map(move |one| (one, protocol))
        })
        .collect();
    connection.output.mute(is_muted && replies.is_empty());
    connection.output.push_gated(Encoded::several(header, &replies), gates);
    connection.output.mute(is_muted);
    if closes {
        connection.state = State::Closing;
    }
}

/// What a command on the session tells beside its reply.
enum Also {
    Nothing,
    /// Its reply is the first of several pushes, or the only one: here are the others.
    Pushes(Vec<Reply>),
}

/// Runs a transaction's command on the session. Gives its answer, and what else is told behind it.
fn answer(
    node: &Arc<Node>,
    session: &mut Session,
    queued: &Queued,
    run: SessionRun,
    closes: &mut bool,
) -> (Reply, Also) {
    if queued.entry.row.name == "ssubscribe" {
        return (Reply::error(NO_SSUBSCRIBE), Also::Nothing);
    }
    let mut pushed = Vec::new();
    let ran = loop {
        let ran = run(&mut Context { node, session }, &queued.args.as_args());
        if !session.note_part(queued.entry, &ran) {
            break ran;
        }
        match ran {
            Ok(Answer::Part(_, pushes)) => pushed.extend(pushes),
            // There is no way to wait here.
            _ => {
                session.begun = None;
                break ran;
            }
        }
    };
    let reply = match ran {
        Ok(Answer::Reply(reply) | Answer::After(_, reply)) => reply,
        Ok(Answer::Close(reply)) => {
            *closes = true;
            reply
        }
        Ok(Answer::Pushes(last)) => {
            pushed.extend(last);
            let more = pushed.split_off(pushed.len().min(1));
            return (pushed.pop().unwrap_or(Reply::Ok), Also::Pushes(more));
        }
        Ok(Answer::Silent) => Reply::Ok,
        Ok(Answer::Monitor) => Reply::error(NO_MONITOR),
        Ok(Answer::Heavy(_) | Answer::Exec(_) | Answer::Part(..) | Answer::Stalled) => {
            Reply::error(NOT_IN_UNITS)
        }
        Err(error) => error.reply(),
    };
    (reply, Also::Nothing)
}

const NO_SSUBSCRIBE: &str = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
const NO_MONITOR: &str = "ERR MONITOR isn't allowed for DENY BLOCKING client";
pub const NOT_IN_UNITS: &str = "ERR Command not allowed inside a transaction";

/// Whether a command is not queued after MULTI.
pub fn runs_at_once(entry: &&'static Entry) -> bool {
    entry.row.flags.has(flags::AT_ONCE)
}
