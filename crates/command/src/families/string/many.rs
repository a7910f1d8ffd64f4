//! Many strings at a time.

use resp::Reply;
use store::Encoding;

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::row::access::{ACCESS, INSERT, OW, RO, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

const PAIRS: Keys = Keys::range(1, -1, 2);

pub(crate) const COMMANDS: &[Command] = &[
    row("mget", -2, Keys::rest(1).with(&[RO, ACCESS]), &[READONLY, FAST], mget)
        .docs("1.0.0", "O(N) where N is the number of keys", "Returns the strings that several keys hold.")
        .tips(&["request_policy:multi_shard"])
        .takes(&[KEY.multiple()]),
    row("mset", -3, PAIRS.with(&[OW, UPDATE]), &[WRITE, DENYOOM], mset)
        .docs("1.0.1", "O(N) where N is the number of keys", "Sets several keys to strings, all at once.")
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .takes(&[arg::block("data", &[KEY, arg::string("value")]).multiple()]),
    row("msetnx", -3, PAIRS.with(&[OW, INSERT]), &[WRITE, DENYOOM], msetnx)
        .docs(
            "1.0.1",
            "O(N) where N is the number of keys",
            "Sets several keys to strings if none of them exists.",
        )
        .takes(&[arg::block("data", &[KEY, arg::string("value")]).multiple()]),
];

fn mget(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    if txn.page_bytes().is_some() {
        return Err(long::tell_all(args));
    }
    let mut values = Vec::with_capacity(args.len().min(RESERVED_MAX));
    for key in args.from(1) {
        let record = txn.get(key)?.filter(|record| record.kind == Kind::String);
        values.push(value(txn, record.as_ref())?);
    }
    Ok(Reply::Array(values))
}

fn mset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_pairs(txn, args, "mset")?;
    Ok(Reply::Ok)
}

fn msetnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    if args.len().is_multiple_of(2) {
        return Err(Error::arity("msetnx"));
    }
    for key in args.from(1).step_by(2) {
        if txn.get(key)?.is_some() {
            return Ok(Reply::ZERO);
        }
    }
    set_pairs(txn, args, "msetnx")?;
    Ok(Reply::ONE)
}

/// Replies reserved at once: what outgrows the budget was not worth more.
const RESERVED_MAX: usize = 256;

fn set_pairs(txn: &mut Txn<'_>, args: &Args<'_>, command: &str) -> Result<()> {
    if args.len().is_multiple_of(2) {
        return Err(Error::arity(command));
    }
    for (key, value) in args.from(1).step_by(2).zip(args.from(2).step_by(2)) {
        txn.put_string(key, Encoding::Plain, None, value)?;
    }
    Ok(())
}
