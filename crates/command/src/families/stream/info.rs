//! XINFO.

use store::{Consumer, ConsumerGroup, Flow, Head, Stream, StreamId, Txn};

use super::*;
use crate::arg;
use crate::row::access::{ACCESS, RO};
use crate::row::flags::{CONTAINER, LOADING, READONLY, STALE};

const OF_KEY: Keys = Keys::one(2).with(&[RO, ACCESS]);
const TIPS: &[&str] = &["nondeterministic_output"];

pub(crate) const COMMANDS: &[Command] = &[
    row("xinfo", -2, Keys::NONE, &[CONTAINER], xinfo).docs(
        "5.0.0",
        "Depends on subcommand.",
        "Holds the commands that describe streams.",
    ),
    row("xinfo|consumers", 4, OF_KEY, &[READONLY], consumers)
        .docs("5.0.0", "O(1)", "Describes the consumers of a group.")
        .tips(TIPS)
        .takes(&[arg::KEY, arg::string("group")]),
    row("xinfo|groups", 3, OF_KEY, &[READONLY], groups)
        .docs("5.0.0", "O(1)", "Describes the groups of a stream.")
        .takes(&[arg::KEY]),
    row("xinfo|help", 2, Keys::NONE, &[LOADING, STALE], help).docs(
        "5.0.0",
        "O(1)",
        "Returns what the subcommands do.",
    ),
    row("xinfo|stream", -3, OF_KEY, &[READONLY], stream).docs("5.0.0", "O(1)", "Describes a stream.").takes(
        &[
            arg::KEY,
            arg::block(
                "full-block",
                &[arg::word("FULL").named("full"), arg::integer("count").after("COUNT").optional()],
            )
            .optional(),
        ],
    ),
];

fn xinfo(_: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Err(Error::subcommand("xinfo", args.get(1)))
}

/// Entries that Redis would have in a node of its tree.
const NODE_ENTRIES: u64 = 100;
/// What the full description tells of each part, if it is not told how much.
const FULL_COUNT: u64 = 10;

fn optional(count: Option<u64>) -> Reply {
    count.map_or(Reply::Null, count_reply)
}

/// How many entries the group was not told yet, if that is known. Whoever has said that it was told more than
/// there were gets what follows from that.
fn lag(head: &Head, group: &ConsumerGroup) -> Reply {
    if head.added == 0 {
        return Reply::ZERO;
    }
    let read = group.read.filter(|_| !head.has_tombstones(Some(group.last), None));
    match read.or_else(|| head.distance(group.last)) {
        Some(read) => Reply::Integer((head.added as i64).wrapping_sub(read as i64)),
        None => Reply::Null,
    }
}

fn consumers(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let now_ms = txn.now_ms();
    let mut stream = txn.stream(args.get(2))?.ok_or(Error::NO_SUCH_KEY)?;
    let Some(group) = stream.group(args.get(3))? else {
        return Err(no_group([
            b"NOGROUP No such consumer group '",
            args.get(3),
            b"' for key name '",
            args.get(2),
            b"'",
        ]));
    };
    let tell = |(name, consumer): &(Vec<u8>, Consumer)| {
        let inactive = consumer.active_ms.map_or(-1, |at| now_ms.saturating_sub(at) as i64);
        map([
            ("name", Reply::copied(name)),
            ("pending", count_reply(consumer.pending)),
            ("idle", count_reply(now_ms.saturating_sub(consumer.seen_ms))),
            ("inactive", Reply::Integer(inactive)),
        ])
    };
    Ok(Reply::Array(stream.consumers(&group)?.iter().map(tell).collect()))
}

/// How much is pending in a group. No count of its own says so, for which all its consumers would wait for each other
/// with every entry: who asks goes through them, once.
fn pending_of(consumers: &[(Vec<u8>, Consumer)]) -> u64 {
    consumers.iter().map(|(_, consumer)| consumer.pending).sum()
}

fn groups(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut stream = txn.stream(args.get(2))?.ok_or(Error::NO_SUCH_KEY)?;
    let head = *stream.head();
    let mut told = Vec::new();
    for (name, group) in stream.groups()? {
        let consumers = stream.consumers(&group)?;
        told.push(map([
            ("name", Reply::copied(&name)),
            ("consumers", count_reply(consumers.len() as u64)),
            ("pending", count_reply(pending_of(&consumers))),
            ("last-delivered-id", id_reply(group.last)),
            ("entries-read", optional(group.read)),
            ("lag", lag(&head, &group)),
        ]));
    }
    Ok(Reply::Array(told))
}

fn help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply> {
    const LINES: &[&str] = &[
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Describe the consumers of a group.",
        "GROUPS <key>",
        "    Describe the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Describe a stream.",
        "HELP",
        "    Print this help.",
    ];
    Ok(Reply::Array(LINES.iter().map(|line| Reply::simple(*line)).collect()))
}

/// FULL, and how much of each part.
fn full(args: &Args<'_>) -> Result<Option<u64>> {
    match args.len() {
        3 => return Ok(None),
        4 | 6 if args.is(3, "full") && (args.len() == 4 || args.is(4, "count")) => {}
        _ => {
            let head = "ERR unknown subcommand or wrong number of arguments for '";
            return Err(Error::quoting(head, args.get(1), "'. Try XINFO HELP."));
        }
    }
    if args.len() == 4 {
        return Ok(Some(FULL_COUNT));
    }
    Ok(Some(u64::try_from(args.int(5)?).unwrap_or(FULL_COUNT)))
}

fn stream(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut stream = txn.stream(args.get(2))?.ok_or(Error::NO_SUCH_KEY)?;
    let full = full(args)?;
    let head = *stream.head();
    let nodes = head.len.div_ceil(NODE_ENTRIES);
    let mut fields = vec![
        ("length", count_reply(head.len)),
        ("radix-tree-keys", count_reply(nodes)),
        ("radix-tree-nodes", count_reply(nodes + 1)),
        ("last-generated-id", id_reply(head.last)),
        ("max-deleted-entry-id", id_reply(head.max_deleted)),
        ("entries-added", count_reply(head.added)),
        ("recorded-first-entry-id", id_reply(head.first)),
    ];
    match full {
        None => {
            let count = stream.groups()?.len() as u64;
            fields.push(("groups", count_reply(count)));
            for (name, is_back) in [("first-entry", false), ("last-entry", true)] {
                fields.push((name, entries(&mut stream, 1, is_back)?.pop().unwrap_or(Reply::Null)));
            }
        }
        Some(count) => {
            let most = if count == 0 { u64::MAX } else { count };
            fields.push(("entries", Reply::Array(entries(&mut stream, most, false)?)));
            fields.push(("groups", Reply::Array(full_groups(&mut stream, &head, most)?)));
        }
    }
    Ok(Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
}

fn entries(stream: &mut Stream<'_, '_>, most: u64, is_back: bool) -> Result<Vec<Reply>> {
    let mut found = Vec::new();
    let mut each = |entry: &Entry<'_>| -> Result<Flow> {
        found.push(entry_reply(entry));
        Ok(if found.len() as u64 >= most { Flow::Stop } else { Flow::More })
    };
    if is_back {
        stream.walk_back(StreamId::ZERO, StreamId::MAX, &mut each)?;
    } else {
        stream.walk(StreamId::ZERO, StreamId::MAX, &mut each)?;
    }
    Ok(found)
}

fn full_groups(stream: &mut Stream<'_, '_>, head: &Head, most: u64) -> Result<Vec<Reply>> {
    let mut told = Vec::new();
    for (name, group) in stream.groups()? {
        let consumers = stream.consumers(&group)?;
        let total = pending_of(&consumers);
        let mut pending = Vec::new();
        stream.walk_pending(
            &group,
            (StreamId::ZERO, StreamId::MAX),
            &mut |(id, pending_entry)| -> Result<Flow> {
                pending.push(Reply::Array(vec![
                    id_reply(*id),
                    Reply::copied(&pending_entry.name),
                    count_reply(pending_entry.told_ms),
                    count_reply(pending_entry.times),
                ]));
                Ok(if pending.len() as u64 >= most { Flow::Stop } else { Flow::More })
            },
        )?;
        let consumers = full_consumers(stream, &group, consumers, most)?;
        told.push(map([
            ("name", Reply::bulk(name)),
            ("last-delivered-id", id_reply(group.last)),
            ("entries-read", optional(group.read)),
            ("lag", lag(head, &group)),
            ("pel-count", count_reply(total)),
            ("pending", Reply::Array(pending)),
            ("consumers", Reply::Array(consumers)),
        ]));
    }
    Ok(told)
}

fn full_consumers(
    stream: &mut Stream<'_, '_>,
    group: &ConsumerGroup,
    consumers: Vec<(Vec<u8>, Consumer)>,
    most: u64,
) -> Result<Vec<Reply>> {
    let mut told = Vec::with_capacity(consumers.len());
    for (name, consumer) in consumers {
        let mut ids = Vec::new();
        stream.walk_pending_of(group, &consumer, StreamId::ZERO, &mut |id| -> Result<Flow> {
            ids.push(*id);
            Ok(if ids.len() as u64 >= most { Flow::Stop } else { Flow::More })
        })?;
        let mut pending = Vec::new();
        for id in ids {
            if let Some(found) = stream.pending(group, id)? {
                let (told_ms, times) = (count_reply(found.told_ms), count_reply(found.times));
                pending.push(Reply::Array(vec![id_reply(id), told_ms, times]));
            }
        }
        told.push(map([
            ("name", Reply::bulk(name)),
            ("seen-time", count_reply(consumer.seen_ms)),
            ("active-time", consumer.active_ms.map_or(Reply::Integer(-1), count_reply)),
            ("pel-count", count_reply(consumer.pending)),
            ("pending", Reply::Array(pending)),
        ]));
    }
    Ok(told)
}
