//! Groups and their consumers, acknowledging.

use store::{StreamId, Txn};

use super::*;
use crate::arg::{self, Arg};
use crate::families::key;
use crate::row::access::{DELETE, INSERT, RW, UPDATE};
use crate::row::flags::{CONTAINER, DENYOOM, FAST, LOADING, STALE, WRITE};

const OF_KEY: Keys = Keys::one(2);
const GROUP: Arg = arg::string("group");
const ID: Arg = arg::one_of("id-selector", &[arg::string("id"), arg::word("$").named("new-id")]);
const ENTRIES_READ: Arg = arg::integer("entriesread").after("ENTRIESREAD").shown("entries-read").optional();

pub(crate) const COMMANDS: &[Command] = &[
    row("xgroup", -2, Keys::NONE, &[CONTAINER], xgroup).docs(
        "5.0.0",
        "Depends on subcommand.",
        "Holds the commands on groups.",
    ),
    row("xgroup|create", -5, OF_KEY.with(&[RW, INSERT]), &[WRITE, DENYOOM], create)
        .docs("5.0.0", "O(1)", "Makes a group.")
        .takes(&[arg::KEY, GROUP, ID, arg::word("MKSTREAM").optional(), ENTRIES_READ]),
    row("xgroup|createconsumer", 5, OF_KEY.with(&[RW, INSERT]), &[WRITE, DENYOOM], create_consumer)
        .docs("6.2.0", "O(1)", "Makes a consumer of a group.")
        .takes(&[arg::KEY, GROUP, arg::string("consumer")]),
    row("xgroup|delconsumer", 5, OF_KEY.with(&[RW, DELETE]), &[WRITE], delete_consumer)
        .docs("5.0.0", "O(1)", "Removes a consumer of a group with what is pending for it.")
        .takes(&[arg::KEY, GROUP, arg::string("consumer")]),
    row("xgroup|destroy", 4, OF_KEY.with(&[RW, DELETE]), &[WRITE], destroy)
        .docs(
            "5.0.0",
            "O(N) where N is the number of entries in the group's pending entries list (PEL).",
            "Removes a group.",
        )
        .takes(&[arg::KEY, GROUP]),
    row("xgroup|help", 2, Keys::NONE, &[LOADING, STALE], help).docs(
        "5.0.0",
        "O(1)",
        "Returns what the subcommands do.",
    ),
    row("xgroup|setid", -5, OF_KEY.with(&[RW, UPDATE]), &[WRITE], set_id)
        .docs("5.0.0", "O(1)", "Sets the last id that a group was told.")
        .takes(&[arg::KEY, GROUP, ID, ENTRIES_READ]),
    row("xack", -4, key(&[RW, UPDATE]), &[WRITE, FAST], xack)
        .docs(
            "5.0.0",
            "O(1) for each message ID processed.",
            "Says that entries are dealt with, and returns how many were pending.",
        )
        .takes(&[arg::KEY, GROUP, arg::string("id").multiple()]),
];

fn xgroup(_: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Err(Error::subcommand("xgroup", args.get(1)))
}

const NO_KEY: Error = Error::line(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.",
);

/// `NOGROUP No such consumer group 'g' for key name 'k'`.
fn missing(args: &Args<'_>) -> Error {
    no_group([b"NOGROUP No such consumer group '", args.get(3), b"' for key name '", args.get(2), b"'"])
}

fn syntax(args: &Args<'_>) -> Error {
    Error::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.get(1),
        "'. Try XGROUP HELP.",
    )
}

/// MKSTREAM, where it is an option, and what ENTRIESREAD says.
fn options(args: &Args<'_>, is_create: bool) -> Result<(bool, Option<u64>)> {
    let (mut make, mut read) = (false, None);
    let mut at = 5;
    while at < args.len() {
        if is_create && args.is(at, "mkstream") {
            make = true;
            at += 1;
        } else if args.is(at, "entriesread") && at + 1 < args.len() {
            read = match args.int(at + 1)? {
                -1 => None,
                count => Some(
                    u64::try_from(count)
                        .map_err(|_| Error::line("ERR value for ENTRIESREAD must be positive or -1"))?,
                ),
            };
            at += 2;
        } else {
            return Err(syntax(args));
        }
    }
    Ok((make, read))
}

/// Of XGROUP CREATE, and of SETID: no option twice.
const CREATE_ARGS_MAX: usize = 8;
const SETID_ARGS_MAX: usize = 7;

fn last_id(text: &[u8], last: StreamId) -> Result<StreamId> {
    if text == b"$" { Ok(last) } else { strict_id(text, 0) }
}

fn create(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (make, read) = options(args, true)?;
    let last = match txn.stream(args.get(2))? {
        Some(stream) => stream.head().last,
        None if make => StreamId::ZERO,
        None => return Err(NO_KEY),
    };
    if args.len() > CREATE_ARGS_MAX {
        return Err(syntax(args));
    }
    let id = last_id(args.get(4), last)?;
    let mut stream = txn.stream_or_new(args.get(2))?;
    if stream.create_group(args.get(3), id, read)? {
        stream.remark("xgroup-create");
        Ok(Reply::Ok)
    } else {
        Err(Error::line("BUSYGROUP Consumer Group name already exists"))
    }
}

fn create_consumer(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut stream = txn.stream(args.get(2))?.ok_or(NO_KEY)?;
    let mut group = stream.group(args.get(3))?.ok_or_else(|| missing(args))?;
    if stream.consumer(&group, args.get(4))?.is_some() {
        return Ok(Reply::ZERO);
    }
    stream.create_consumer((args.get(3), &mut group), args.get(4))?;
    stream.remark("xgroup-createconsumer");
    Ok(Reply::ONE)
}

fn delete_consumer(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut stream = txn.stream(args.get(2))?.ok_or(NO_KEY)?;
    let group = stream.group(args.get(3))?.ok_or_else(|| missing(args))?;
    let deleted = stream.delete_consumer(&group, args.get(4))?;
    if deleted.is_some() {
        stream.remark("xgroup-delconsumer");
    }
    Ok(count_reply(deleted.unwrap_or(0)))
}

fn destroy(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut stream = txn.stream(args.get(2))?.ok_or(NO_KEY)?;
    let is_destroyed = stream.destroy_group(args.get(3))?;
    if is_destroyed {
        stream.remark("xgroup-destroy");
    }
    Ok(Reply::Integer(i64::from(is_destroyed)))
}

fn help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply> {
    const LINES: &[&str] = &[
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a group. Options are:",
        "    * MKSTREAM",
        "      Make the stream as well if it is not there.",
        "    * ENTRIESREAD entries_read",
        "      Set how many entries the group was told.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer of a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove a consumer of a group.",
        "DESTROY <key> <groupname>",
        "    Remove a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the last id that a group was told, and how many entries.",
        "HELP",
        "    Print this help.",
    ];
    Ok(Reply::Array(LINES.iter().map(|line| Reply::simple(*line)).collect()))
}

fn set_id(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (_, read) = options(args, false)?;
    let mut stream = txn.stream(args.get(2))?.ok_or(NO_KEY)?;
    let mut group = stream.group(args.get(3))?.ok_or_else(|| missing(args))?;
    if args.len() > SETID_ARGS_MAX {
        return Err(syntax(args));
    }
    group.last = last_id(args.get(4), stream.head().last)?;
    group.read = read;
    stream.put_group(args.get(3), &group)?;
    stream.remark("xgroup-setid");
    Ok(Reply::Ok)
}

fn xack(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut stream) = txn.stream(args.get(1))? else { return Ok(Reply::ZERO) };
    let Some(group) = stream.group(args.get(2))? else { return Ok(Reply::ZERO) };
    Ok(count_reply(stream.remove_pending(&group, &ids(args, 3)?)?))
}
