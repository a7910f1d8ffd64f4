//! From a parsed command to its lane: look up, check, route to a group, run. The same steps for
//! every command.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::limits;
use command::{Args, Error, Lane, flags};
use resp::Reply;
use store::{Cancel, Done, Gate, KeyPosition, Leave, Scratch};

use crate::engine::group::Group;
use crate::engine::heavy::{Caller, Outcome, Target, Told};
use crate::engine::node::Node;
use crate::engine::paged::{Begun, Flow, Part};
use crate::net::blocked::{self, Place, Waiter, unless_short};
use crate::net::route;
use crate::pubsub::{is_long, publishes};
use crate::scripting::{self, Env, OnData};
use crate::session::acl::{self, Denied};
use crate::session::stats::Lap;
use crate::session::{Answer, Context, Session, SessionRun};
use crate::table::{Entry, Handler, table};

/// What a network thread does about a command.
pub enum Step {
    /// Answer at once, or when the gate opens.
    Reply(Reply, Option<(u16, Gate)>),
    /// The heavy pool takes it; the connection waits.
    Heavy(&'static Entry, Option<Target>),
    /// There is nothing for it yet.
    Blocked(Place),
    /// As a session command says.
    Answer(Answer),
    /// The store has to catch up first: the same command again later.
    Stalled,
}

const UNCERTAIN: &str =
    "UNCERTAIN leadership changed before the outcome was known; the write may or may not take effect";
pub const BUSY: &str = "BUSY server overloaded, retry later";
/// How often a heavy command looks whether its group is open again.
const REOPEN_POLL: Duration = Duration::from_millis(2);
const NOT_LEADING: &str = "CLUSTERDOWN this node does not lead these keys now, retry later";

/// What the error of a reply says whose commit is void.
pub fn void(refused: Option<&str>) -> Reply {
    match refused {
        Some(why) => Reply::error(format!("MISCONF the write was refused and has had no effect: {why}")),
        None => Reply::error(UNCERTAIN),
    }
}

fn error(error: Error) -> Step {
    Step::Reply(error.reply(), None)
}

/// Looks a command up and checks what its row says about its arguments and its caller. Which keys the caller may touch is
/// found out later where they are many.
pub fn find(node: &Node, session: &mut Session, args: &Args<'_>) -> Result<&'static Entry, Error> {
    let name = args.get(0);
    let Some(mut entry) = table().find(name) else { return Err(unknown(args)) };
    if !entry.subcommands.is_empty() {
        match table().find_sub(entry, args.get(1)) {
            Some(sub) => entry = sub,
            None if args.len() > 1 => return Err(unknown_sub(entry, args)),
            None => {}
        }
    }
    if !entry.row.arity.accepts(args.len()) {
        return Err(Error::arity(entry.row.name));
    }
    if args.len() > limits::SESSION_ARGS_MAX && is_done_at_once(entry) {
        return Err(Error::line("ERR too many arguments for this command"));
    }
    session.login.refresh(&node.users);
    if !session.is_authenticated() && !entry.row.flags.has(flags::NO_AUTH) {
        return Err(Error::line("NOAUTH Authentication required."));
    }
    let may = if route::names_many(entry, args) { acl::may_call } else { acl::may };
    match may(session.login.user(), entry, args) {
        Ok(()) => {}
        // It is found out when it runs, as other errors of its arguments are.
        Err(Denied::AnyKey(_)) if session.is_queueing() => {}
        Err(denied) => return Err(acl::denied(node, session, entry, args, denied)),
    }
    session.check_hearing(entry)?;
    Ok(entry)
}

/// Whether it is a command on the session that a network thread runs from its first to its last argument.
fn is_done_at_once(entry: &Entry) -> bool {
    matches!(entry.row.run, Handler::Session(_)) && !entry.row.flags.has(flags::IN_PARTS)
}

fn unknown(args: &Args<'_>) -> Error {
    let mut line = b"ERR unknown command '".to_vec();
    line.extend(quoted(args.get(0), 128));
    line.extend_from_slice(b"', with args beginning with: ");
    let limit = line.len() + 128;
    for arg in args.from(1) {
        if line.len() >= limit {
            break;
        }
        let room = limit - line.len();
        line.push(b'\'');
        line.extend(quoted(arg, room));
        line.extend_from_slice(b"' ");
    }
    Error::Bytes(line)
}

/// What an error quotes of an argument: as C prints it, up to the first NUL.
fn quoted(arg: &[u8], len_max: usize) -> impl Iterator<Item = u8> {
    arg.iter().copied().take(len_max).take_while(|byte| *byte != 0)
}

fn unknown_sub(container: &Entry, args: &Args<'_>) -> Error {
    Error::subcommand(container.row.name, args.get(1))
}

fn run_session(
    node: &Arc<Node>,
    session: &mut Session,
    (entry, run): (&'static Entry, SessionRun),
    args: &Args<'_>,
) -> Step {
    node.hub.ran_on.note();
    let ran = run(&mut Context { node, session }, args);
    session.note_part(entry, &ran);
    match ran {
        Ok(Answer::Stalled) => Step::Stalled,
        Ok(answer) => Step::Answer(answer),
        Err(failed) => error(failed),
    }
}

/// Runs a command as far as a network thread may.
pub fn run(
    node: &Arc<Node>,
    session: &mut Session,
    entry: &'static Entry,
    args: &Args<'_>,
    scratch: &mut Scratch,
    lap: &mut Lap,
) -> Step {
    let handler = match entry.row.run {
        Handler::Session(run) => return run_session(node, session, (entry, run), args),
        Handler::Data(run) => OnData::Plain(run),
        Handler::Script(run) => OnData::Script(run),
    };
    let target = match route::target_at_once(node, entry, args) {
        Ok(target) => target,
        Err(failed) => return error(failed),
    };
    if let Some(why) = refused(node, entry) {
        return Step::Reply(Reply::error(why), None);
    }
    let Some(Target::One(id)) = target else { return Step::Heavy(entry, target) };
    let Some(group) = node.groups.get(usize::from(id)) else { return error(Error::line(NOT_LEADING)) };
    let mut env = Env::new(node, session.client.id, Some(session.login.user()), id, None);
    env.reader = session.reader(false);
    let lane = lane(node, entry, args);
    if lane == Lane::Heavy {
        env.note_reads(entry, args);
    }
    if let Err(failed) = env.prepare(entry, args, lane) {
        return error(failed);
    }
    let f = |txn: &mut store::Txn<'_>| {
        env.begin();
        unless_short(node, handler.run(entry, txn, args, &mut env))
    };
    let database = session.database;
    let client = &session.client;
    let waiter = || Waiter {
        client: client.id,
        mailbox: client.mailbox.clone(),
        hub: node.hub.clone(),
        protocol: session.protocol,
        entry,
        database,
        group: id,
    };
    let ran = match lane {
        Lane::Read => group.store.run_read(database, scratch, f),
        Lane::Inline => {
            let mut wait = |error: &Error| Some(waiter().waiting(args, error.wait()?, false));
            group.store.run_inline_or_wait(database, scratch, &mut wait, f)
        }
        Lane::Heavy => Err(Leave::Outgrown),
    };
    if ran.is_ok() {
        env.count();
    }
    match if_led(group, ran, || lap.end()) {
        Ok(Done { result: Err(Error::Wait(wait)), ticket: Some(ticket), .. }) => {
            Step::Blocked(Place::new(id, ticket, wait.timeout_ms, blocked::said_bytes(&wait, args)))
        }
        Ok(done) => finished(node, group, entry, done),
        Err(Leave::Outgrown) => {
            node.heavy.stats.outgrown(entry);
            Step::Heavy(entry, target)
        }
        Err(left) if is_for_later(group, &left) => Step::Stalled,
        Err(left) => Step::Reply(left_reply(&left), None),
    }
}

/// Why a command is refused as long as this node takes no writes like it.
pub fn refused(node: &Node, entry: &Entry) -> Option<String> {
    let flags = entry.row.flags;
    if flags.has(flags::WRITE) { node.write_refusal(flags.has(flags::DENYOOM)) } else { None }
}

/// Commands with more arguments touch more records than a network thread may: even if each record takes
/// two of them.
const ARGS_INLINE_MAX: usize = 2 * limits::BUDGET_RECORDS as usize;

/// Where a command starts. One that would only write down what it has read reads all the same where
/// nothing is written.
pub fn lane(node: &Node, entry: &Entry, args: &Args<'_>) -> Lane {
    if args.len() > ARGS_INLINE_MAX || publishes(entry).is_some_and(|kind| is_long(node, kind, args)) {
        return Lane::Heavy;
    }
    if matches!(entry.row.run, Handler::Script(_)) && scripting::prepare(node, entry, args) {
        return Lane::Heavy;
    }
    // Whoever may have to wait has to be where it is known that there is nothing yet.
    if entry.row.lane() == Lane::Read && blocked::may_wait(entry, args) {
        return Lane::Inline;
    }
    // What a script writes is refused command by command: some of them free room.
    let may_write = entry.row.flags.has(flags::MAY_WRITE) && matches!(entry.row.run, Handler::Data(_));
    if may_write && node.write_refusal(true).is_some() { Lane::Read } else { entry.row.lane() }
}

fn finished(node: &Node, group: &Group, entry: &Entry, done: Done<Reply, Error>) -> Step {
    let committed = group.store.sequencer.committed();
    let open = done.gate.stamp <= committed && done.gate.epoch == group.store.sequencer.epoch();
    let mut reply = done.result.unwrap_or_else(Error::reply);
    if node.groups.len() > 1 && entry.row.name == "scan" {
        continue_scan(node, group.id, &mut reply);
    }
    Step::Reply(reply, (!open).then_some((group.id, done.gate)))
}

/// A scan that is through with a group goes on in the next one.
fn continue_scan(node: &Node, group: u16, reply: &mut Reply) {
    let next = group + 1;
    if usize::from(next) >= node.groups.len() {
        return;
    }
    if let Reply::Array(parts) = reply
        && let Some(Reply::Bulk(cursor)) = parts.first_mut()
        && cursor.as_slice() == b"0"
    {
        let start = KeyPosition { slot: node.first_slot(next), hash: 0 };
        *cursor = start.cursor().to_string().into();
    }
}

pub fn left_reply(left: &Leave) -> Reply {
    match left {
        Leave::Outgrown | Leave::Stalled => Reply::error(BUSY),
        Leave::Closed => Reply::error(NOT_LEADING),
        Leave::Cancelled => Reply::error("ERR the command was cancelled; it has had no effect"),
        Leave::Changed => Reply::NullArray,
        Leave::KeyTooLong => Reply::error(format!("ERR {}", store::Stop::KeyTooLong)),
        Leave::Disk(error) => Reply::error(format!("MISCONF {error}")),
    }
}

/// Whether the same command may succeed soon, and so waits.
pub fn is_for_later(group: &Group, left: &Leave) -> bool {
    match left {
        Leave::Stalled => true,
        Leave::Closed => group.is_reopening(),
        _ => false,
    }
}

/// What was read may be old where this node does not lead any more, as of a time after reading: nobody is
/// told.
pub fn if_led<R>(
    group: &Group,
    ran: Result<Done<R, Error>, Leave>,
    now: impl FnOnce() -> Instant,
) -> Result<Done<R, Error>, Leave> {
    match ran {
        Ok(done) if done.wrote || done.ticket.is_some() || group.has_led(done.gate.epoch, now()) => Ok(done),
        // What it published may be heard all the same: it must not run once more.
        Ok(done) if done.told => Ok(Done { result: Err(Error::line(UNCERTAIN)), ..done }),
        Ok(_) => Err(Leave::Closed),
        Err(left) => Err(left),
    }
}

/// Runs something in the heavy pool, again as long as its group is about to open again; `run` may find that
/// it is settled otherwise.
pub fn run_when_open<R>(
    group: &Arc<Group>,
    cancel: &Cancel,
    mut run: impl FnMut() -> Result<Result<Done<R, Error>, Leave>, Outcome>,
) -> Result<Done<R, Error>, Outcome> {
    let ran = loop {
        let ran = if_led(group, run()?, Instant::now);
        if !matches!(ran, Err(Leave::Closed)) || !group.is_reopening() || cancel.is_cancelled() {
            break ran;
        }
        std::thread::sleep(REOPEN_POLL);
    };
    group.pump();
    ran.map_err(|left| {
        Outcome::ungated(match (&left, cancel.why()) {
            (Leave::Cancelled, Some(why)) => Reply::error(why.to_owned()),
            _ => left_reply(&left),
        })
    })
}

/// A command for the heavy pool.
pub struct Call<'a> {
    pub entry: &'static Entry,
    pub args: Args<'a>,
    pub database: u8,
    pub target: Target,
    /// Who waits if there is nothing yet; nobody does where the server itself asks.
    pub caller: Option<&'a Caller>,
}

/// Runs a command on a thread of the heavy pool.
pub fn run_heavy(node: &Arc<Node>, call: &Call<'_>, cancel: &Arc<Cancel>, scratch: &mut Scratch) -> Outcome {
    let &Call { entry, target, caller, .. } = call;
    let Some(handler) = entry.row.run.on_data() else {
        return Outcome::ungated(Reply::error("ERR not a command on data"));
    };
    let groups = match target {
        Target::One(id) => node.groups.get(usize::from(id)..=usize::from(id)).unwrap_or_default(),
        Target::All => &node.groups[..],
    };
    let (mut parts, mut gates) = (Vec::new(), Vec::new());
    for group in groups {
        let done = match run_in_group(node, call, handler, group, cancel, scratch) {
            Ok(done) => done,
            Err(outcome) => return outcome,
        };
        gates.push((group.id, done.gate));
        let mut reply = match done.result {
            Err(Error::Paged(paged)) => {
                parts.push(Part::Paged { group: group.id, parked: done.parked, paged });
                continue;
            }
            result => result.unwrap_or_else(Error::reply),
        };
        if groups.len() == 1 && entry.row.name == "scan" {
            continue_scan(node, group.id, &mut reply);
        }
        parts.push(Part::Whole(reply));
    }
    match caller.filter(|_| parts.iter().any(Part::is_paged)) {
        Some(caller) => tell(node, (entry, caller), parts, gates, cancel, scratch),
        None => {
            let replies = parts.into_iter().map(Part::reply);
            Outcome { told: Told::Reply(replies.reduce(merge).unwrap_or(Reply::Null)), gates }
        }
    }
}

/// Runs a command in one group; or else says what becomes of it.
fn run_in_group(
    node: &Arc<Node>,
    call: &Call<'_>,
    handler: OnData,
    group: &Arc<Group>,
    cancel: &Arc<Cancel>,
    scratch: &mut Scratch,
) -> Result<Done<Reply, Error>, Outcome> {
    let &Call { entry, ref args, database, caller, .. } = call;
    // What is written is validated as a whole: only readers are told page by page.
    let flags = entry.row.flags;
    let only_reads = flags.has(flags::READONLY) && !flags.has(flags::MAY_WRITE);
    let may_page = only_reads && matches!(handler, OnData::Plain(_));
    let may_page = may_page && caller.is_some_and(|caller| caller.may_page);
    let (client, user) = caller.map_or((0, None), |caller| (caller.client, Some(&caller.user)));
    let mut env = Env::new(node, client, user, group.id, Some(cancel));
    env.reader = caller.and_then(|caller| caller.reader);
    let mut sizes = Vec::new();
    let mut f = |txn: &mut store::Txn<'_>| {
        if may_page {
            txn.allow_pages(node.config.paged.page_bytes);
        }
        env.begin();
        let ran = handler.run(entry, txn, args, &mut env);
        // Who has waited goes on waiting: it would not know what it has missed.
        let result =
            if caller.is_some_and(|caller| caller.has_waited) { ran } else { unless_short(node, ran) };
        sizes = match result {
            Ok(_) | Err(Error::Paged(_)) => node.sampling.sizes(entry, txn, args),
            Err(_) => Vec::new(),
        };
        result
    };
    let done = run_when_open(group, cancel, || {
        // It may have waited for its turn since it was asked for the first time.
        if let Some(why) = refused(node, entry) {
            return Err(Outcome::ungated(Reply::error(why)));
        }
        let mut wait = |error: &Error| {
            let waiter = caller?.waiter(node, entry, (database, group.id));
            Some(waiter.waiting(args, error.wait()?, true))
        };
        match group.store.run_heavy_or_wait(database, scratch, cancel, &mut wait, &mut f) {
            Ok(done) if done.ticket.is_some() => Err(Outcome::waiting()),
            ran => Ok(ran),
        }
    });
    if done.is_ok() {
        env.count();
        node.sampling.note_sizes(&sizes);
    }
    done
}

/// Begins with a reply that is told page by page.
fn tell(
    node: &Node,
    (entry, caller): (&'static Entry, &Caller),
    parts: Vec<Part>,
    gates: Vec<(u16, Gate)>,
    cancel: &Cancel,
    scratch: &mut Scratch,
) -> Outcome {
    match Flow::begin(node, (entry, caller), parts, cancel, scratch) {
        Begun::Told(page, rest) => Outcome { told: Told::Page(page, rest), gates },
        Begun::Refused(reply) => Outcome::ungated(reply),
        Begun::Busy => Outcome::ungated(Reply::error(BUSY)),
    }
}

/// One reply from those of several groups: numbers add up, lists follow each other, the first
/// value found counts, an error wins.
fn merge(a: Reply, b: Reply) -> Reply {
    match (a, b) {
        (a @ Reply::Error(_), _) | (_, a @ Reply::Error(_)) => a,
        (Reply::Integer(a), Reply::Integer(b)) => Reply::Integer(a + b),
        (Reply::Array(mut a), Reply::Array(b)) => {
            a.extend(b);
            Reply::Array(a)
        }
        (Reply::Null, b) => b,
        (a, _) => a,
    }
}
