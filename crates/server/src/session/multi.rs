//! MULTI: commands that a client queues, to run as one transaction; and WATCH, which says what that
//! transaction depends on beside what it reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{Segments, limits, slot};
use command::{Args, Class, Command, Error, Flags, Keys, OwnedArgs, access, arg, flags};
use resp::Reply;
use store::{Scratch, WatchId};

use super::acl::{self, Denied, Place, User};
use super::rows::{self, ok};
use super::{Answer, Context, Session, SessionRun};
use crate::engine::clients::{Client, NOTED_NAME_BYTES};
use crate::engine::group::Group;
use crate::engine::node::Node;
use crate::engine::rubbish::Rubbish;
use crate::net::dispatch;
use crate::net::route::{self, Names};
use crate::table::{Entry, Handler};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("transactions", name, arity, flags, run)
}

const LIGHT: &[Flags] =
    &[flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::FAST, flags::ALLOW_BUSY, flags::AT_ONCE];
const EXEC: &[Flags] = &[flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::SKIP_SLOWLOG, flags::AT_ONCE];

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("multi", 1, LIGHT, multi).docs("1.2.0", "O(1)", "Begins to queue commands for one transaction."),
    row("exec", 1, EXEC, exec).class(Class::Script).docs(
        "1.2.0",
        "Depends on commands in the transaction",
        "Runs the queued commands as one transaction.",
    ),
    row("discard", 1, LIGHT, discard).docs(
        "2.0.0",
        "O(N), when N is the number of queued commands",
        "Forgets the queued commands.",
    ),
    Command { keys: Keys::rest(1).with(&[access::RO]), ..row("watch", -2, WATCH, watch) }
        .docs(
            "2.2.0",
            "O(1) for every key.",
            "Has the next transaction fail if one of these keys changes before it.",
        )
        .takes(&[arg::KEY.multiple()]),
    row("unwatch", 1, LIGHT_QUEUED, unwatch).docs("2.2.0", "O(1)", "Forgets the watched keys."),
];
const WATCH: &[Flags] = &[
    flags::NOSCRIPT,
    flags::LOADING,
    flags::STALE,
    flags::FAST,
    flags::ALLOW_BUSY,
    flags::AT_ONCE,
    flags::IN_PARTS,
];
const LIGHT_QUEUED: &[Flags] =
    &[flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::FAST, flags::ALLOW_BUSY];

/// A command that has been checked, and waits to run.
pub struct Queued {
    pub entry: &'static Entry,
    pub args: OwnedArgs,
    /// Why it may not run any more, as EXEC finds.
    pub denied: Option<Denied>,
}

/// Commands that run as one transaction.
#[derive(Default)]
pub struct Unit {
    pub commands: Segments<Queued>,
    /// Which commands there are among them, each once.
    pub kinds: Vec<&'static Entry>,
    /// What all of them name.
    names: Names,
    pub bytes: usize,
    /// What they take up in memory.
    held_bytes: usize,
    /// Arguments of those of them that are on the session.
    session_args: usize,
    /// Where they are dropped if there are many of them: a million take some tens of milliseconds. `None` if whoever runs
    /// them may take that long.
    pub rubbish: Option<Arc<Rubbish>>,
}

impl Drop for Unit {
    fn drop(&mut self) {
        if let Some(rubbish) = self.rubbish.take() {
            rubbish.throw(std::mem::take(&mut self.commands), self.held_bytes);
        }
    }
}

impl Unit {
    /// Whether a network thread does not look at each of its commands: the heavy pool does that.
    pub fn is_large(&self) -> bool {
        self.commands.len() > limits::QUEUED_AT_ONCE_MAX || self.names.are_many()
    }

    /// Whether some of them run on the session.
    pub fn has_session_parts(&self) -> bool {
        self.session_args > 0
    }

    /// Looks once more what a client may do: its rules may have changed since it queued the commands. What names many keys is
    /// looked at for the first time: if it may not run, none of them does.
    pub fn check(&mut self, node: &Node, client: Option<&Client>, user: &User) -> Result<(), Error> {
        for Queued { entry, args, denied } in self.commands.iter_mut() {
            let args = args.as_args();
            *denied = acl::may(user, entry, &args).err();
            let Some(denied) = *denied else { continue };
            // Who has left is not noted.
            if let Some(client) = client {
                acl::note_denied(node, (client, user), entry, &args, denied, Place::Multi);
            }
            if route::names_many(entry, &args) {
                return Err(aborted(&denied.line(user, entry)));
            }
        }
        Ok(())
    }

    fn push(&mut self, entry: &'static Entry, args: OwnedArgs) {
        self.held_bytes += args.held_bytes() + size_of::<Queued>();
        self.names.add(entry, &args.as_args());
        if !self.kinds.iter().any(|kind| std::ptr::eq(*kind, entry)) {
            self.kinds.push(entry);
        }
        self.commands.push(Queued { entry, args, denied: None });
    }
}

/// What a client has queued since MULTI.
#[derive(Default)]
pub struct Multi {
    pub unit: Unit,
    /// A command was refused: there is no transaction without it.
    pub is_spoiled: bool,
}

/// Keys that are watched for a client, until it is dropped.
pub struct Watching {
    pub group: Arc<Group>,
    pub id: WatchId,
    /// How many, at most, and what their names take.
    pub keys: usize,
    pub bytes: usize,
}

impl Watching {
    /// Roughly what is noted: each name as the client's, and as one that somebody watches.
    fn held_bytes(&self) -> usize {
        2 * self.bytes + self.keys * NOTED_NAME_BYTES
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.group.store.unwatch(self.id);
    }
}

/// A transaction as EXEC hands it over.
pub struct Exec {
    pub unit: Unit,
    pub watching: Option<Watching>,
}

impl Exec {
    pub fn held_bytes(&self) -> usize {
        self.unit.held_bytes + self.watching.as_ref().map_or(0, Watching::held_bytes)
    }
}

impl Session {
    /// What is noted of keys that it watches.
    pub fn watched_bytes(&self) -> usize {
        self.watching.as_ref().map_or(0, Watching::held_bytes)
    }

    pub(super) fn set_multi(&mut self, multi: Option<Multi>) {
        let queued = multi.as_ref().map_or(0, |multi| multi.unit.commands.len() as u64 + 1);
        let bytes = multi.as_ref().map_or(0, |multi| multi.unit.held_bytes as u64);
        self.client.queued.store(queued, Ordering::Relaxed);
        self.client.queued_bytes.store(bytes, Ordering::Relaxed);
        self.multi = multi;
    }
}

impl Multi {
    /// Takes a command on.
    pub fn queue(&mut self, entry: &'static Entry, args: OwnedArgs) -> Reply {
        let bytes = args.as_args().bytes();
        let is_on_session = matches!(entry.row.run, Handler::Session(_));
        let session_args = self.unit.session_args + if is_on_session { args.as_args().len() } else { 0 };
        let is_too_large = self.unit.bytes.saturating_add(bytes) > limits::COMMAND_BYTES_MAX
            || self.unit.commands.len() >= limits::ARGS_MAX
            || session_args > limits::SESSION_ARGS_MAX;
        let has_too_many = session_args > 0 && self.unit.commands.len() >= limits::QUEUED_WITH_SESSION_MAX;
        if is_too_large || has_too_many {
            *self = Self { is_spoiled: true, ..Self::default() };
            return Reply::error(if is_too_large { TOO_LARGE } else { TOO_MANY_WITH_SESSION });
        }
        self.unit.bytes += bytes;
        self.unit.session_args = session_args;
        if !self.is_spoiled {
            self.unit.push(entry, args);
        }
        Reply::QUEUED
    }
}

const TOO_LARGE: &str = "ERR the transaction is too large";
/// With any of these its replies are made on the network thread.
const TOO_MANY_WITH_SESSION: &str =
    "ERR the transaction is too large: with commands on the connection or the server it has at most 2048";
const _: () = assert!(limits::QUEUED_WITH_SESSION_MAX == 2_048);

fn multi(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    if context.session.multi.is_some() {
        return Err(Error::line("ERR MULTI calls can not be nested"));
    }
    let mut unit = Unit::default();
    unit.rubbish = Some(context.node.rubbish.clone());
    context.session.set_multi(Some(Multi { unit, is_spoiled: false }));
    ok()
}

fn discard(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    if context.session.multi.is_none() {
        return Err(Error::line("ERR DISCARD without MULTI"));
    }
    context.session.set_multi(None);
    context.session.watching = None;
    ok()
}

fn exec(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let Some(multi) = context.session.multi.take() else {
        return Err(Error::line("ERR EXEC without MULTI"));
    };
    context.session.set_multi(None);
    let watching = context.session.watching.take();
    if multi.is_spoiled {
        return Err(Error::line("EXECABORT Transaction discarded because of previous errors."));
    }
    let mut unit = multi.unit;
    if !unit.is_large() {
        let session = &context.session;
        unit.check(context.node, Some(&session.client), session.login.user())?;
    }
    Ok(Answer::Exec(Box::new(Exec { unit, watching })))
}

/// What EXEC answers where none of the commands runs.
pub fn aborted(why: &[u8]) -> Error {
    Error::Bytes([b"EXECABORT Transaction discarded because of: ", why].concat())
}

fn unwatch(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    context.session.watching = None;
    ok()
}

/// Whether a client may watch these keys as well. Those that it watches by now are counted once more: that is a bound all
/// the same.
fn check_room(before: Option<&Watching>, args: &Args<'_>) -> command::Result<()> {
    let (keys, bytes) = before.map_or((0, 0), |watching| (watching.keys, watching.bytes));
    let bytes = bytes + args.from(1).map(<[u8]>::len).sum::<usize>();
    if keys + args.len() - 1 > limits::WATCHED_KEYS_MAX || bytes > limits::WATCHED_BYTES_MAX {
        return Err(Error::text(format!(
            "ERR at most {} keys can be watched, whose names have {} bytes",
            limits::WATCHED_KEYS_MAX,
            limits::WATCHED_BYTES_MAX
        )));
    }
    Ok(())
}

fn watch(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let Context { node, session } = context;
    if session.multi.is_some() {
        return Err(Error::line("ERR WATCH inside MULTI is not allowed"));
    }
    let (before, done) = (session.watching.as_ref(), session.names_done());
    if done == 0 {
        node.check_memory()?;
        check_room(before, args)?;
    }
    let names: Vec<&[u8]> = args.from(1 + done).take(limits::WATCHED_IN_A_PART).collect();
    let first = slot::of(args.get(1));
    let id = node.group_of(first);
    let in_one_slot = node.groups.len() == 1 || done > 0 || args.from(1).all(|name| slot::of(name) == first);
    if !in_one_slot || before.is_some_and(|watching| watching.group.id != id) {
        return Err(Error::line(route::CROSSSLOT));
    }
    let Some(group) = node.groups.get(usize::from(id)) else { return ok() };
    let id = before.map(|watching| watching.id);
    match group.store.watch(session.database, &names, id, &mut Scratch::default()) {
        Ok(id) => {
            let watching = || Watching { group: group.clone(), id, keys: 0, bytes: 0 };
            let watching = session.watching.get_or_insert_with(watching);
            watching.keys += names.len();
            watching.bytes += names.iter().map(|name| name.len()).sum::<usize>();
            let has_more = args.len() - 1 - done > names.len();
            if has_more { Ok(Answer::Part(names.len(), Vec::new())) } else { ok() }
        }
        Err(left) if dispatch::is_for_later(group, &left) => Ok(Answer::Stalled),
        Err(left) => Ok(Answer::Reply(dispatch::left_reply(&left))),
    }
}
