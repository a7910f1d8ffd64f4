//! When keys expire.

use resp::Reply;

use super::*;
use crate::arg::{self, Arg, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::families::key;
use crate::families::time::{Base, Unit, moment};
use crate::row::access::{ACCESS, RO, RW, UPDATE};
use crate::row::flags::{FAST, READONLY, WRITE};

const CHANGED: Keys = key(&[RW, UPDATE]);
const ASKED: Keys = key(&[RO, ACCESS]);
const TIME_PASSES: &[&str] = &["nondeterministic_output"];

const CONDITION: Arg =
    arg::one_of("condition", &[arg::word("NX"), arg::word("XX"), arg::word("GT"), arg::word("LT")])
        .since("7.0.0")
        .optional();

pub(crate) const COMMANDS: &[Command] = &[
    row("expire", -3, CHANGED, &[WRITE, FAST], expire)
        .docs("1.0.0", "O(1)", "Lets a key expire after some seconds.")
        .takes(&[KEY, arg::integer("seconds"), CONDITION]),
    row("pexpire", -3, CHANGED, &[WRITE, FAST], pexpire)
        .docs("2.6.0", "O(1)", "Lets a key expire after some milliseconds.")
        .takes(&[KEY, arg::integer("milliseconds"), CONDITION]),
    row("expireat", -3, CHANGED, &[WRITE, FAST], expireat)
        .docs("1.2.0", "O(1)", "Lets a key expire at a Unix time in seconds.")
        .takes(&[KEY, arg::unix_time("unix-time-seconds"), CONDITION]),
    row("pexpireat", -3, CHANGED, &[WRITE, FAST], pexpireat)
        .docs("2.6.0", "O(1)", "Lets a key expire at a Unix time in milliseconds.")
        .takes(&[KEY, arg::unix_time("unix-time-milliseconds"), CONDITION]),
    row("ttl", 2, ASKED, &[READONLY, FAST], ttl)
        .docs("1.0.0", "O(1)", "Returns in how many seconds a key expires.")
        .tips(TIME_PASSES)
        .takes(&[KEY]),
    row("pttl", 2, ASKED, &[READONLY, FAST], pttl)
        .docs("2.6.0", "O(1)", "Returns in how many milliseconds a key expires.")
        .tips(TIME_PASSES)
        .takes(&[KEY]),
    row("expiretime", 2, ASKED, &[READONLY, FAST], expiretime)
        .docs("7.0.0", "O(1)", "Returns the Unix time in seconds at which a key expires.")
        .takes(&[KEY]),
    row("pexpiretime", 2, ASKED, &[READONLY, FAST], pexpiretime)
        .docs("7.0.0", "O(1)", "Returns the Unix time in milliseconds at which a key expires.")
        .takes(&[KEY]),
    row("persist", 2, CHANGED, &[WRITE, FAST], persist)
        .docs("2.2.0", "O(1)", "Lets a key expire no more.")
        .takes(&[KEY]),
];

fn expire(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_expiry(txn, args, Unit::Seconds, Base::Now, "expire")
}

fn pexpire(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_expiry(txn, args, Unit::Milliseconds, Base::Now, "pexpire")
}

fn expireat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_expiry(txn, args, Unit::Seconds, Base::Epoch, "expireat")
}

fn pexpireat(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_expiry(txn, args, Unit::Milliseconds, Base::Epoch, "pexpireat")
}

fn ttl(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    get_expiry(txn, args, Unit::Seconds, Base::Now)
}

fn pttl(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    get_expiry(txn, args, Unit::Milliseconds, Base::Now)
}

fn expiretime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    get_expiry(txn, args, Unit::Seconds, Base::Epoch)
}

fn pexpiretime(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    get_expiry(txn, args, Unit::Milliseconds, Base::Epoch)
}

fn persist(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    match txn.get(args.get(1))? {
        Some(record) if record.expiry_ms.is_some() => {
            txn.put_record(args.get(1), &record.with_expiry(None))?;
            Ok(Reply::ONE)
        }
        _ => Ok(Reply::ZERO),
    }
}

/// Under which conditions an expiry is changed.
#[derive(Clone, Copy, Debug, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn of(args: &Args<'_>) -> Result<Self> {
        let mut conditions = Self::default();
        for at in 3..args.len() {
            if args.is(at, "nx") {
                conditions.nx = true;
            } else if args.is(at, "xx") {
                conditions.xx = true;
            } else if args.is(at, "gt") {
                conditions.gt = true;
            } else if args.is(at, "lt") {
                conditions.lt = true;
            } else {
                return Err(Error::quoting("ERR Unsupported option ", args.get(at), ""));
            }
        }
        let Self { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return Err(Error::line("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if gt && lt {
            return Err(Error::line("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// A key that does not expire counts as one that expires after every other.
    fn hold(self, current: Option<u64>, new: u64) -> bool {
        let later = current.is_some_and(|current| new > current);
        let sooner = current.is_none_or(|current| new < current);
        (!self.nx || current.is_none())
            && (!self.xx || current.is_some())
            && (!self.gt || later)
            && (!self.lt || sooner)
    }
}

fn set_expiry(txn: &mut Txn<'_>, args: &Args<'_>, unit: Unit, base: Base, command: &str) -> Result<Reply> {
    let conditions = Conditions::of(args)?;
    let at = moment(args.int(2)?, unit, base, txn.now_ms(), command)?;
    let key = args.get(1);
    let Some(record) = txn.get(key)? else { return Ok(Reply::ZERO) };
    if !conditions.hold(record.expiry_ms, at) {
        return Ok(Reply::ZERO);
    }
    if at <= txn.now_ms() {
        txn.remove(key)?;
    } else {
        txn.put_record(key, &record.with_expiry(Some(at)))?;
    }
    Ok(Reply::ONE)
}

fn get_expiry(txn: &mut Txn<'_>, args: &Args<'_>, unit: Unit, base: Base) -> Result<Reply> {
    let Some(record) = txn.get(args.get(1))? else { return Ok(Reply::Integer(-2)) };
    let Some(at) = record.expiry_ms else { return Ok(Reply::Integer(-1)) };
    let ms = if base == Base::Now { at.saturating_sub(txn.now_ms()) } else { at };
    // Seconds are rounded, as in Redis.
    let shown = if unit == Unit::Seconds { (ms / 1000) + u64::from(ms % 1000 >= 500) } else { ms };
    Ok(Reply::Integer(i64::try_from(shown).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_compare_with_the_current_expiry() {
        let none = Conditions::default();
        let (nx, xx) = (Conditions { nx: true, ..none }, Conditions { xx: true, ..none });
        let (gt, lt) = (Conditions { gt: true, ..none }, Conditions { lt: true, ..none });
        for (conditions, current, new, holds) in [
            (none, None, 5, true),
            (none, Some(9), 5, true),
            (nx, None, 5, true),
            (nx, Some(9), 5, false),
            (xx, None, 5, false),
            (xx, Some(9), 5, true),
            (gt, None, 5, false),
            (gt, Some(5), 5, false),
            (gt, Some(4), 5, true),
            (lt, None, 5, true),
            (lt, Some(5), 5, false),
            (lt, Some(6), 5, true),
        ] {
            assert_eq!(conditions.hold(current, new), holds, "{conditions:?} {current:?} {new}");
        }
    }
}
