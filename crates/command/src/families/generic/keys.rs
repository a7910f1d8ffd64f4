//! Whether keys exist, what they hold, and removing them.

use resp::Reply;

use super::*;
use crate::arg::KEY;
use crate::args::Args;
use crate::families::key;
use crate::row::access::{DELETE, RM, RO};
use crate::row::flags::{FAST, READONLY, WRITE};

const REMOVED: Keys = Keys::rest(1).with(&[RM, DELETE]);
const LOOKED_AT: Keys = Keys::rest(1).with(&[RO]);
const SUMMED: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const EACH: &str = "O(N) where N is the number of keys";

pub(crate) const COMMANDS: &[Command] = &[
    row("del", -2, REMOVED, &[WRITE], del)
        .docs("1.0.0", EACH, "Deletes keys.")
        .tips(SUMMED)
        .takes(&[KEY.multiple()]),
    row("unlink", -2, REMOVED, &[WRITE, FAST], del)
        .docs("4.0.0", EACH, "Deletes keys. Here DEL, too, leaves what they held to be reclaimed later.")
        .tips(SUMMED)
        .takes(&[KEY.multiple()]),
    row("exists", -2, LOOKED_AT, &[READONLY, FAST], exists)
        .docs("1.0.0", EACH, "Counts how many of the keys exist.")
        .tips(SUMMED)
        .takes(&[KEY.multiple()]),
    row("touch", -2, LOOKED_AT, &[READONLY, FAST], exists)
        .docs("3.2.1", EACH, "Counts how many of the keys exist, and uses them.")
        .tips(SUMMED)
        .takes(&[KEY.multiple()]),
    row("type", 2, key(&[RO]), &[READONLY, FAST], type_of)
        .docs("1.0.0", "O(1)", "Says what type of value a key holds.")
        .takes(&[KEY]),
];

fn del(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut removed = 0;
    for key in args.from(1) {
        removed += i64::from(txn.remove(key)?);
    }
    Ok(Reply::Integer(removed))
}

fn exists(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut found = 0;
    for key in args.from(1) {
        found += i64::from(txn.get(key)?.is_some());
    }
    Ok(Reply::Integer(found))
}

fn type_of(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let name = txn.get(args.get(1))?.map_or("none", |record| record.kind.name());
    Ok(Reply::simple(name))
}
