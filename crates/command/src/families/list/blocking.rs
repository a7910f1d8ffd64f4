//! Taking items, and waiting for them where there are none.

use store::Kind;

use super::*;
use crate::arg::{self, KEY};
use crate::row::access::{ACCESS, DELETE, INSERT, RW};
use crate::row::flags::{BLOCKING, DENYOOM, WRITE};
use crate::wait::{Wait, timeout};

pub(crate) const COMMANDS: &[Command] = &[
    row("blpop", -3, Keys::range(1, -2, 1).with(&[RW, ACCESS, DELETE]), &[WRITE, BLOCKING], blpop)
        .docs("2.0.0", "O(N) where N is the number of provided keys", "Takes the first item of the first list that has one, and waits for one if none has.")
        .takes(&[KEY.multiple(), arg::double("timeout")]),
    row("brpop", -3, Keys::range(1, -2, 1).with(&[RW, ACCESS, DELETE]), &[WRITE, BLOCKING], brpop)
        .docs("2.0.0", "O(N) where N is the number of provided keys", "Takes the last item of the first list that has one, and waits for one if none has.")
        .takes(&[KEY.multiple(), arg::double("timeout")]),
    row("blmove", 6, Keys::range(1, 2, 1).with(&[RW, ACCESS, DELETE]).and(&[RW, INSERT]), &[WRITE, DENYOOM, BLOCKING], blmove)
        .docs("6.2.0", "O(1)", "Takes an item from an end of a list, waiting for one if need be, and adds it to an end of another one.")
        .takes(&[arg::key("source", 0), arg::key("destination", 1), arg::one_of("wherefrom", &[arg::word("LEFT"), arg::word("RIGHT")]), arg::one_of("whereto", &[arg::word("LEFT"), arg::word("RIGHT")]), arg::double("timeout")]),
    row("brpoplpush", 4, Keys::range(1, 2, 1).with(&[RW, ACCESS, DELETE]).and(&[RW, INSERT]), &[WRITE, DENYOOM, BLOCKING], brpoplpush)
        .docs("2.2.0", "O(1)", "Takes the last item of a list, waiting for one if need be, and adds it in front of another one.")
        .deprecated("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")
        .takes(&[arg::key("source", 0), arg::key("destination", 1), arg::double("timeout")]),
    row("blmpop", -5, Keys::counted(2, None).with(&[RW, ACCESS, DELETE]), &[WRITE, BLOCKING], blmpop)
        .docs("7.0.0", "O(N+M) where N is the number of provided keys and M is the number of elements returned", "Takes items from an end of the first of several lists that has some, and waits if none has.")
        .takes(&[arg::double("timeout"), arg::integer("numkeys"), KEY.multiple(), arg::one_of("where", &[arg::word("LEFT"), arg::word("RIGHT")]), arg::integer("count").after("COUNT").optional()]),
];

fn blpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop_or_wait(txn, args, End::Head)
}

fn brpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    pop_or_wait(txn, args, End::Tail)
}

fn blmove(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let ends = (end(args, 3)?, end(args, 4)?);
    move_or_wait(txn, args, ends, 5)
}

fn brpoplpush(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    move_or_wait(txn, args, (End::Tail, End::Head), 3)
}

fn blmpop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let pops = Pops::parse(args, 2)?;
    let timeout_ms = timeout(args, 1)?;
    match pops.take(txn, args)? {
        Some(reply) => Ok(reply),
        None => Err(Wait::new(pops.keys, Kind::List, timeout_ms, Reply::NullArray).into()),
    }
}

fn pop_or_wait(txn: &mut Txn<'_>, args: &Args<'_>, end: End) -> Result<Reply> {
    let last = args.len() - 1;
    let timeout_ms = timeout(args, last)?;
    for key in args.from(1).take(last - 1) {
        if let Some(item) = pop_one(txn, key, end)? {
            return Ok(Reply::Array(vec![Reply::copied(key), Reply::Bulk(item)]));
        }
    }
    Err(Wait::new(1..last, Kind::List, timeout_ms, Reply::NullArray).into())
}

fn move_or_wait(txn: &mut Txn<'_>, args: &Args<'_>, ends: (End, End), timeout_at: usize) -> Result<Reply> {
    let timeout_ms = timeout(args, timeout_at)?;
    match move_item(txn, args.get(1), args.get(2), ends)? {
        Some(reply) => Ok(reply),
        None => Err(Wait::new(1..2, Kind::List, timeout_ms, Reply::Null).into()),
    }
}
