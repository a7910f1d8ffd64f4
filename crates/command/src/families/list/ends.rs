//! Adding to and taking from the ends.

use super::*;
use crate::arg::{self, KEY};
use crate::families::{key, positive};
use crate::row::access::{ACCESS, DELETE, INSERT, RW};
use crate::row::flags::{DENYOOM, FAST, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("lpush", -3, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], lpush)
        .docs(
            "1.0.0",
            "O(1) for each element added",
            "Adds items in front of a list, which is made if it is not there.",
        )
        .takes(&[KEY, arg::string("element").multiple()]),
    row("rpush", -3, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], rpush)
        .docs(
            "1.0.0",
            "O(1) for each element added",
            "Adds items behind a list, which is made if it is not there.",
        )
        .takes(&[KEY, arg::string("element").multiple()]),
    row("lpushx", -3, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], lpushx)
        .docs("2.2.0", "O(1) for each element added", "Adds items in front of a list if there is one.")
        .takes(&[KEY, arg::string("element").multiple()]),
    row("rpushx", -3, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], rpushx)
        .docs("2.2.0", "O(1) for each element added", "Adds items behind a list if there is one.")
        .takes(&[KEY, arg::string("element").multiple()]),
    row("lpop", -2, key(&[RW, ACCESS, DELETE]), &[WRITE, FAST], lpop)
        .docs(
            "1.0.0",
            "O(N) where N is the number of elements returned",
            "Takes items from the front of a list.",
        )
        .takes(&[KEY, arg::integer("count").since("6.2.0").optional()]),
    row("rpop", -2, key(&[RW, ACCESS, DELETE]), &[WRITE, FAST], rpop)
        .docs(
            "1.0.0",
            "O(N) where N is the number of elements returned",
            "Takes items from the end of a list.",
        )
        .takes(&[KEY, arg::integer("count").since("6.2.0").optional()]),
    row("lmpop", -4, Keys::counted(1, None).with(&[RW, ACCESS, DELETE]), &[WRITE], lmpop)
        .docs(
            "7.0.0",
            "O(N+M) where N is the number of provided keys and M is the number of elements returned",
            "Takes items from an end of the first of several lists that has some.",
        )
        .takes(&[
            arg::integer("numkeys"),
            KEY.multiple(),
            arg::one_of("where", &[arg::word("LEFT"), arg::word("RIGHT")]),
            arg::integer("count").after("COUNT").optional(),
        ]),
    row(
        "lmove",
        5,
        Keys::range(1, 2, 1).with(&[RW, ACCESS, DELETE]).and(&[RW, INSERT]),
        &[WRITE, DENYOOM],
        lmove,
    )
    .docs("6.2.0", "O(1)", "Takes an item from an end of a list and adds it to an end of another one.")
    .takes(&[
        arg::key("source", 0),
        arg::key("destination", 1),
        arg::one_of("wherefrom", &[arg::word("LEFT"), arg::word("RIGHT")]),
        arg::one_of("whereto", &[arg::word("LEFT"), arg::word("RIGHT")]),
    ]),
    row(
        "rpoplpush",
        3,
        Keys::range(1, 2, 1).with(&[RW, ACCESS, DELETE]).and(&[RW, INSERT]),
        &[WRITE, DENYOOM],
        rpoplpush,
    )
    .docs("1.2.0", "O(1)", "Takes the last item of a list and adds it in front of another one.")
    .deprecated("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")
    .takes(&[arg::key("source", 0), arg::key("destination", 1)]),
];

fn lpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    push(txn, args, End::Head)
}

fn rpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    push(txn, args, End::Tail)
}

fn lpushx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    push_if_there(txn, args, End::Head)
}

fn rpushx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    push_if_there(txn, args, End::Tail)
}

fn lpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop(txn, args, End::Head, "lpop")
}

fn rpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop(txn, args, End::Tail, "rpop")
}

fn lmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(Pops::parse(args, 1)?.take(txn, args)?.unwrap_or(Reply::NullArray))
}

fn lmove(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let ends = (end(args, 3)?, end(args, 4)?);
    Ok(move_item(txn, args.get(1), args.get(2), ends)?.unwrap_or(Reply::Null))
}

fn rpoplpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(move_item(txn, args.get(1), args.get(2), (End::Tail, End::Head))?.unwrap_or(Reply::Null))
}

fn push(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply> {
    let len = txn.list_or_new(args.get(1))?.push(end, args.from(2))?;
    Ok(Reply::Integer(len as i64))
}

fn push_if_there(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply> {
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(list.push(end, args.from(2))? as i64))
}

fn pop(txn: &mut Txn<'_>, args: &Args<'_>, end: End, name: &str) -> Result<Reply> {
    if args.len() > 3 {
        return Err(Error::arity(name));
    }
    if args.len() < 3 {
        return Ok(Reply::bulk_or_null(pop_one(txn, args.get(1), end)?));
    }
    let count = positive(args, 2, "ERR value is out of range, must be positive")?;
    let Some(mut list) = txn.list(args.get(1))? else { return Ok(Reply::NullArray) };
    Ok(items(if count == 0 { Vec::new() } else { list.pop(end, count)? }))
}
