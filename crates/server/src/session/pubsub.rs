//! SUBSCRIBE and its kin: what a client hears. Its answers are pushes: one for each name, also for a client
//! that wants no replies.

use std::ops::Range;

use base::{limits, slot};
use command::{Args, Command, Error, Flags, Keys, access, arg, flags};
use resp::{Protocol, Reply};

use super::acl::{self, Denied};
use super::rows::{self, CONTAINER, HELP};
use super::{Answer, Context, Session, SessionRun, client};
use crate::net::route;
use crate::pubsub::{Kind, Name};
use crate::table::{Entry, table};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("pubsub", name, arity, flags, run)
}

const HEARS: &[Flags] = &[flags::PUBSUB, flags::NOSCRIPT, flags::LOADING, flags::STALE, flags::IN_PARTS];
const SHARDS: Keys = Keys::rest(1).with(&[access::NOT_KEY]);

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("subscribe", -2, HEARS, subscribe)
        .docs(
            "2.0.0",
            "O(N) where N is the number of channels to subscribe to.",
            "Tells the client what is published on channels.",
        )
        .takes(&[arg::string("channel").multiple()]),
    row("unsubscribe", -1, HEARS, unsubscribe)
        .docs(
            "2.0.0",
            "O(N) where N is the number of channels to unsubscribe.",
            "Tells the client no more of channels.",
        )
        .takes(&[arg::string("channel").optional().multiple()]),
    row("psubscribe", -2, HEARS, psubscribe)
        .docs(
            "2.0.0",
            "O(N) where N is the number of patterns to subscribe to.",
            "Tells the client what is published on channels that are like patterns.",
        )
        .takes(&[arg::pattern("pattern").multiple()]),
    row("punsubscribe", -1, HEARS, punsubscribe)
        .docs(
            "2.0.0",
            "O(N) where N is the number of patterns to unsubscribe.",
            "Tells the client no more of channels that are like patterns.",
        )
        .takes(&[arg::pattern("pattern").optional().multiple()]),
    Command { keys: SHARDS, ..row("ssubscribe", -2, HEARS, ssubscribe) }
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels to subscribe to.",
            "Tells the client what is published on shards' channels.",
        )
        .takes(&[arg::string("shardchannel").multiple()]),
    Command { keys: SHARDS, ..row("sunsubscribe", -1, HEARS, sunsubscribe) }
        .docs(
            "7.0.0",
            "O(N) where N is the number of shard channels to unsubscribe.",
            "Tells the client no more of shards' channels.",
        )
        .takes(&[arg::string("shardchannel").optional().multiple()]),
    row("pubsub", -2, CONTAINER, client::unknown).docs(
        "2.8.0",
        "Depends on subcommand.",
        "Holds the commands about who hears what.",
    ),
    row("pubsub|help", 2, HELP, help).docs("6.2.0", "O(1)", "Returns what the subcommands do."),
];

const LINES: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
];

fn help(_: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    rows::help("PUBSUB", LINES)
}

/// What a client in RESP2 may say while it hears something: it could not tell other replies from messages.
const WHILE_HEARING: &[&str] = &[
    "ping",
    "quit",
    "reset",
    "subscribe",
    "unsubscribe",
    "psubscribe",
    "punsubscribe",
    "ssubscribe",
    "sunsubscribe",
];

impl Session {
    /// Whether its client hears something and cannot tell replies from messages.
    #[inline]
    pub fn only_hears(&self) -> bool {
        self.hears && self.protocol == Protocol::Resp2
    }

    /// Refuses what such a client may not say.
    #[inline]
    pub fn check_hearing(&self, entry: &Entry) -> command::Result<()> {
        if self.only_hears() && !WHILE_HEARING.contains(&entry.row.name) {
            return Err(Error::text(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                 allowed in this context",
                entry.row.name
            )));
        }
        Ok(())
    }
}

fn push(word: &'static str, name: Reply, count: i64) -> Reply {
    Reply::Push(vec![Reply::bulk(word), name, Reply::Integer(count)])
}

/// Which arguments from one on others wait for: few, and not much of them.
fn part(args: &Args<'_>, from: usize) -> Range<usize> {
    let mut bytes = 0;
    let fits = |name: &&[u8]| {
        let fits = bytes < limits::KEYS_BYTES_AT_ONCE_MAX;
        bytes += name.len();
        fits
    };
    from..from + args.from(from).take(limits::NAMES_IN_A_PART).take_while(fits).count()
}

/// How far the names of a command have been looked at, before anything is done with the first of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Looked {
    names: usize,
    /// Which selector's turn it is. It allows all names so far; those before it do not allow one.
    selector: usize,
    /// The last name that a selector did not allow.
    denied_at: usize,
}

/// Looks at the next part of the names: whether all are of one slot, if they are shards' and there are several groups; and
/// whether the client may hear them, if they are so many that this was left. Says whether there are more of them.
fn look(context: &mut Context<'_>, args: &Args<'_>, kind: Kind, word: &str) -> command::Result<bool> {
    let Context { node, session } = context;
    let is_of_one_slot = kind == Kind::Shard && node.groups.len() > 1 && args.len() > 1;
    let Some(entry) = table().find(word.as_bytes()) else { return Ok(false) };
    let user = session.login.user().clone();
    let is_restricted = !user.may_everything() && route::names_many(entry, args);
    let hears = acl::channels(entry).filter(|_| is_restricted);
    if !is_of_one_slot && hears.is_none() {
        return Ok(false);
    }
    let Looked { names, selector, denied_at } = session.looked;
    let mut part = part(args, 1 + names);
    let slot = slot::of(args.get(1));
    if is_of_one_slot && part.clone().any(|at| slot::of(args.get(at)) != slot) {
        return Err(Error::line(route::CROSSSLOT));
    }
    session.looked.names = part.end - 1;
    if let Some(channels) = hears {
        let Some(allowing) = user.selectors().nth(selector) else {
            return Err(acl::denied(node, session, entry, args, Denied::Channel(denied_at)));
        };
        let is_denied = |at: &usize| !allowing.has_channel(args.get(*at), channels.are_patterns);
        if !allowing.commands.allow(entry, args) {
            session.looked = Looked { names: 0, selector: selector + 1, denied_at };
        } else if let Some(at) = part.find(is_denied) {
            session.looked = Looked { names: 0, selector: selector + 1, denied_at: denied_at.max(at) };
        }
    }
    Ok(session.looked.names < args.len() - 1)
}

fn hear(context: &mut Context<'_>, args: &Args<'_>, kind: Kind, word: &'static str) -> rows::Result {
    let done = context.session.names_done();
    if done == 0 {
        if context.session.begun.is_none() {
            context.node.check_memory()?;
            context.session.client.hearing.lock().check_room(args.from(1))?;
        }
        if look(context, args, kind, word)? {
            return Ok(Answer::Part(0, Vec::new()));
        }
    }
    let Context { node, session } = context;
    let client = &session.client;
    let answer = |name| push(word, Reply::copied(name), node.hub.subscribe(client, kind, name));
    let answers: Vec<Reply> = part(args, 1 + done).map(|at| answer(args.get(at))).collect();
    session.hears = true;
    // IMPORTANT: looked at after it is noted: whoever changes the rules looks at what is noted.
    if session.login.is_outdated(&node.users) {
        session.login.refresh(&node.users);
        if !session.client.hearing.lock().is_allowed(session.login.user()) {
            session.client.kill();
        }
    }
    let more = args.len() - 1 - done > answers.len();
    Ok(if more { Answer::Part(answers.len(), answers) } else { Answer::Pushes(answers) })
}

fn stop(context: &mut Context<'_>, args: &Args<'_>, kind: Kind, word: &'static str) -> rows::Result {
    if context.session.names_done() == 0 && look(context, args, kind, word)? {
        return Ok(Answer::Part(0, Vec::new()));
    }
    let Context { node, session } = context;
    let (client, done, is_all) = (&session.client, session.names_done(), args.len() == 1);
    let (all, told): (Vec<Name>, i64) = {
        let hearing = client.hearing.lock();
        let names = hearing.of(kind).iter().take(limits::NAMES_IN_A_PART);
        (if is_all { names.cloned().collect() } else { Vec::new() }, hearing.told(kind))
    };
    let answer = |name: &[u8]| push(word, Reply::copied(name), node.hub.unsubscribe(client, kind, name));
    let named = part(args, 1 + done).map(|at| args.get(at));
    let mut answers: Vec<Reply> = named.chain(all.iter().map(|name| &**name)).map(answer).collect();
    if answers.is_empty() {
        answers.push(push(word, Reply::Null, told));
    }
    let hearing = client.hearing.lock();
    session.hears = !hearing.is_empty();
    let more = if is_all { !hearing.of(kind).is_empty() } else { args.len() - 1 - done > answers.len() };
    Ok(if more { Answer::Part(answers.len(), answers) } else { Answer::Pushes(answers) })
}

fn subscribe(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    hear(context, args, Kind::Channel, "subscribe")
}

fn psubscribe(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    hear(context, args, Kind::Pattern, "psubscribe")
}

fn ssubscribe(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    hear(context, args, Kind::Shard, "ssubscribe")
}

fn unsubscribe(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    stop(context, args, Kind::Channel, "unsubscribe")
}

fn punsubscribe(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    stop(context, args, Kind::Pattern, "punsubscribe")
}

fn sunsubscribe(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    stop(context, args, Kind::Shard, "sunsubscribe")
}
