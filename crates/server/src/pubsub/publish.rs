//! PUBLISH and SPUBLISH, and what PUBSUB tells. They are parts of transactions like commands on data: what is
//! published in one is heard when it is committed, in its place among the others.

use base::{limits, slot};
use command::{Args, Arity, Command, Docs, Flags, Keys, Lane, access, arg, flags};
use resp::Reply;
use store::Txn;

use super::Kind;
use crate::engine::node::Node;
use crate::net::connection::Connection;
use crate::scripting::{Env, ScriptRun};
use crate::table::Entry;

const fn row(
    name: &'static str,
    arity: i32,
    keys: Keys,
    flags: &[Flags],
    run: ScriptRun,
) -> Command<ScriptRun> {
    let docs = Docs { summary: "", since: "", group: "pubsub", complexity: "" };
    Command::new(name, Arity(arity), keys, flags, run, docs)
}

/// It counts as a write, and needs a place in the order of writes.
const TELLS: &[Flags] = &[flags::PUBSUB, flags::LOADING, flags::STALE, flags::FAST, flags::MAY_WRITE];
const ASKS: &[Flags] = &[flags::PUBSUB, flags::LOADING, flags::STALE];

pub const COMMANDS: &[Command<ScriptRun>] = &[
    row("publish", 3, Keys::NONE, TELLS, publish)
        .docs(
            "2.0.0",
            "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total \
             number of subscribed patterns (by any client).",
            "Tells those a message who hear a channel.",
        )
        .takes(&[arg::string("channel"), arg::string("message")]),
    row("spublish", 3, Keys::one(1).with(&[access::NOT_KEY]), TELLS, spublish)
        .docs(
            "7.0.0",
            "O(N) where N is the number of clients subscribed to the receiving shard channel.",
            "Tells those a message who hear a shard's channel.",
        )
        .takes(&[arg::string("shardchannel"), arg::string("message")]),
    row("pubsub|channels", -2, Keys::NONE, ASKS, channels)
        .docs(
            "2.8.0",
            "O(N) where N is the number of active channels, and assuming constant time pattern matching \
             (relatively short channels and patterns)",
            "Lists the channels that somebody hears.",
        )
        .takes(&[arg::pattern("pattern").optional()]),
    row("pubsub|numpat", 2, Keys::NONE, ASKS, count_patterns).docs(
        "2.8.0",
        "O(1)",
        "Returns how many patterns somebody hears.",
    ),
    row("pubsub|numsub", -2, Keys::NONE, ASKS, count_hearers)
        .docs(
            "2.8.0",
            "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
            "Returns how many clients hear channels.",
        )
        .takes(&[arg::string("channel").optional().multiple()]),
    row("pubsub|shardchannels", -2, Keys::NONE, ASKS, shard_channels)
        .docs(
            "7.0.0",
            "O(N) where N is the number of active shard channels, and assuming constant time pattern matching \
             (relatively short shard channels).",
            "Lists the shards' channels that somebody hears.",
        )
        .takes(&[arg::pattern("pattern").optional()]),
    row("pubsub|shardnumsub", -2, Keys::NONE, ASKS, count_shard_hearers)
        .docs(
            "7.0.0",
            "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
            "Returns how many clients hear shards' channels.",
        )
        .takes(&[arg::string("shardchannel").optional().multiple()]),
];

/// On which kind of channel a command publishes, if it does.
#[inline]
pub fn publishes(entry: &Entry) -> Option<Kind> {
    if !entry.row.flags.has(flags::PUBSUB) {
        return None;
    }
    match entry.row.name {
        "publish" => Some(Kind::Channel),
        "spublish" => Some(Kind::Shard),
        _ => None,
    }
}

/// Whether publishing would hold up a network thread: there are many patterns, or long ones, or the message
/// is long.
pub fn is_long(node: &Node, kind: Kind, args: &Args<'_>) -> bool {
    args.get(2).len() > limits::MESSAGE_BYTES_INLINE
        || node.hub.steps(kind, args.get(1)) > limits::BUDGET_STEPS
}

/// Whether a command that publishes has to wait: so much is under way that there is no room for more; or, with
/// several groups, what its client did before is not committed, of which no other group knows.
pub fn must_wait(node: &Node, connection: &mut Connection, entry: &Entry) -> bool {
    let tells = |entry: &Entry| publishes(entry).is_some();
    let is_unit = entry.row.name == "exec";
    let is_due = if is_unit { connection.session.queued().any(tells) } else { tells(entry) };
    if connection.session.is_queueing() && !is_unit {
        return false;
    }
    if node.hub.is_full() {
        let tells_any = |entry: &Entry| tells(entry) || node.hub.tells_of_keys(entry);
        return if is_unit { connection.session.queued().any(tells_any) } else { tells_any(entry) };
    }
    if !is_due {
        return false;
    }
    // One command's group is known; a transaction's is not, yet.
    let group = match publishes(entry) {
        // What is longer is not told to anybody.
        Some(Kind::Shard) if connection.args().get(1).len() > limits::CHANNEL_BYTES_MAX => None,
        Some(Kind::Shard) => Some(node.group_of(slot::of(connection.args().get(1)))),
        Some(_) => Some(0),
        None => None,
    };
    node.groups.len() > 1 && connection.waits_for_others(node, group)
}

impl Env<'_> {
    /// Makes ready what would hold up others within the transaction. Says whether there is room for it.
    pub fn prepare(&mut self, entry: &Entry, args: &Args<'_>, lane: Lane) -> command::Result<()> {
        if let Some(kind) = publishes(entry)
            && lane != Lane::Heavy
        {
            self.posted = Some(self.node.hub.post(kind, args.get(1), args.get(2))?);
        }
        Ok(())
    }
}

fn publish(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    tell(txn, args, env, Kind::Channel)
}

fn spublish(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    tell(txn, args, env, Kind::Shard)
}

fn tell(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>, kind: Kind) -> command::Result<Reply> {
    let receivers = match &env.posted {
        Some(posted) => posted.clone().go_with(txn),
        None => env.node.hub.tell(txn, kind, args.get(1), args.get(2))?,
    };
    Ok(Reply::Integer(receivers))
}

fn list(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>, kind: Kind) -> command::Result<Reply> {
    if args.len() > 3 {
        return Err(crate::session::rows::wrong_subcommand("PUBSUB", args));
    }
    let hub = &env.node.hub;
    txn.step(u32::try_from(hub.len(kind)).unwrap_or(u32::MAX))?;
    let names = hub.names(kind, (args.len() == 3).then(|| args.get(2)));
    Ok(Reply::Array(names.into_iter().map(Reply::bulk).collect()))
}

fn channels(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    list(txn, args, env, Kind::Channel)
}

fn shard_channels(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    list(txn, args, env, Kind::Shard)
}

fn count(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>, kind: Kind) -> command::Result<Reply> {
    txn.step(u32::try_from(args.len()).unwrap_or(u32::MAX))?;
    let hub = &env.node.hub;
    let pair = |name| [Reply::copied(name), Reply::Integer(hub.hearers(kind, name))];
    Ok(Reply::Array(args.from(2).flat_map(pair).collect()))
}

fn count_hearers(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    count(txn, args, env, Kind::Channel)
}

fn count_shard_hearers(txn: &mut Txn<'_>, args: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    count(txn, args, env, Kind::Shard)
}

fn count_patterns(_: &mut Txn<'_>, _: &Args<'_>, env: &mut Env<'_>) -> command::Result<Reply> {
    Ok(Reply::Integer(env.node.hub.len(Kind::Pattern) as i64))
}
