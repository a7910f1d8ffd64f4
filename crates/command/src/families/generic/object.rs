//! OBJECT: how a value is kept.

use resp::{Reply, parse_i64};
use store::{Encoding, Kind, Record};

use super::*;
use crate::arg;
use crate::args::Args;
use crate::error::Error;
use crate::row::access::RO;
use crate::row::flags::{CONTAINER, LOADING, READONLY, STALE};

const KEY: Keys = Keys::one(2).with(&[RO]);
const TIPS: &[&str] = &["nondeterministic_output"];

pub(crate) const COMMANDS: &[Command] = &[
    row("object", -2, Keys::NONE, &[CONTAINER], object).docs(
        "2.2.3",
        "Depends on subcommand.",
        "Holds the commands that say how values are kept.",
    ),
    row("object|encoding", 3, KEY, &[READONLY], encoding)
        .docs("2.2.3", "O(1)", "Returns the encoding of what a key holds.")
        .tips(TIPS)
        .takes(&[arg::KEY]),
    row("object|freq", 3, KEY, &[READONLY], freq)
        .docs("4.0.0", "O(1)", "Returns how frequently a key is used. Not kept here.")
        .tips(TIPS)
        .takes(&[arg::KEY]),
    row("object|help", 2, Keys::NONE, &[LOADING, STALE], help).docs(
        "6.2.0",
        "O(1)",
        "Returns what the subcommands do.",
    ),
    row("object|idletime", 3, KEY, &[READONLY], idletime)
        .docs("2.2.3", "O(1)", "Returns for how long a key was not used. Not kept here: 0.")
        .tips(TIPS)
        .takes(&[arg::KEY]),
    row("object|refcount", 3, KEY, &[READONLY], refcount)
        .docs("2.2.3", "O(1)", "Returns how many references to what a key holds there are.")
        .tips(TIPS)
        .takes(&[arg::KEY]),
];

/// Subcommands have rows of their own: this is what is called for one that does not exist.
fn object(_: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Err(Error::subcommand("object", args.get(1)))
}

fn encoding(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(txn.get(args.get(2))?.map_or(Reply::Null, |record| Reply::bulk(encoding_of(&record))))
}

fn freq(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    match txn.get(args.get(2))? {
        Some(_) => Err(Error::line(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
             when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        )),
        None => Ok(Reply::Null),
    }
}

fn help(_: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply> {
    Ok(Reply::Array(HELP.iter().copied().map(Reply::simple).collect()))
}

fn idletime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(txn.get(args.get(2))?.map_or(Reply::Null, |_| Reply::ZERO))
}

fn refcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(txn.get(args.get(2))?.map_or(Reply::Null, |record| Reply::Integer(references(&record))))
}

/// Longest string that Redis keeps in one piece with its header.
const EMBSTR_BYTES_MAX: usize = 44;

/// As Redis would keep the same value.
fn encoding_of(record: &Record) -> &'static str {
    let text = record.payload();
    match (record.kind, record.encoding) {
        (Kind::String, Encoding::Plain) if parse_i64(text).is_some() => "int",
        (Kind::String, Encoding::Plain | Encoding::Text) if text.len() <= EMBSTR_BYTES_MAX => "embstr",
        (Kind::String, _) => "raw",
        (_, Encoding::Packed) => "listpack",
        (_, Encoding::Integers) => "intset",
        (Kind::List, _) => "quicklist",
        (Kind::SortedSet, _) => "skiplist",
        (Kind::Hash | Kind::Set, _) => "hashtable",
        (Kind::Stream, _) => "stream",
    }
}

/// Redis shares the integers from 0 to 9999, and then says this.
const SHARED: i64 = i32::MAX as i64;

fn references(record: &Record) -> i64 {
    let plain = record.kind == Kind::String && record.encoding == Encoding::Plain;
    let number = parse_i64(record.payload()).filter(|_| plain);
    if number.is_some_and(|number| (0..10_000).contains(&number)) { SHARED } else { 1 }
}

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Print this help.",
];
