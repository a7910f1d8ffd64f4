//! One string at a time: reading, setting, taking.

use resp::Reply;

use super::options::{Options, Ttl};
use super::*;
use crate::arg::{self, Arg, KEY};
use crate::args::Args;
use crate::families::key;
use crate::families::time::{Base, Unit};
use crate::row::access::{ACCESS, DELETE, INSERT, OW, RO, RW, UPDATE, VARIABLE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};
use store::Encoding;

const SET_NOTE: &str = "RW and ACCESS due to the optional `GET` argument";
const GETEX_NOTE: &str = "RW and UPDATE because it changes the TTL";

/// Without GET it only overwrites.
const SET_KEY: Keys =
    key(&[RW, ACCESS, UPDATE, VARIABLE]).only_with(3, &["get"], &[OW, UPDATE]).noted(SET_NOTE);

/// What SET, and what GETEX, may be told besides key and value.
const CONDITION: Arg =
    arg::one_of("condition", &[arg::word("NX").since("2.6.12"), arg::word("XX").since("2.6.12")]).optional();
const EXPIRATION: Arg = arg::one_of(
    "expiration",
    &[
        arg::integer("seconds").after("EX").since("2.6.12"),
        arg::integer("milliseconds").after("PX").since("2.6.12"),
        arg::unix_time("unix-time-seconds").after("EXAT").since("6.2.0"),
        arg::unix_time("unix-time-milliseconds").after("PXAT").since("6.2.0"),
        arg::word("KEEPTTL").since("6.0.0"),
    ],
)
.optional();
const NEW_EXPIRATION: Arg = arg::one_of(
    "expiration",
    &[
        arg::integer("seconds").after("EX"),
        arg::integer("milliseconds").after("PX"),
        arg::unix_time("unix-time-seconds").after("EXAT"),
        arg::unix_time("unix-time-milliseconds").after("PXAT"),
        arg::word("PERSIST"),
    ],
)
.optional();

pub(crate) const COMMANDS: &[Command] = &[
    row("get", 2, key(&[RO, ACCESS]), &[READONLY, FAST], get)
        .docs("1.0.0", "O(1)", "Returns the string that a key holds.")
        .takes(&[KEY]),
    row("set", -3, SET_KEY, &[WRITE, DENYOOM], set)
        .docs("1.0.0", "O(1)", "Sets a key to a string, whatever it held before.")
        .takes(&[
            KEY,
            arg::string("value"),
            CONDITION,
            arg::word("GET").since("6.2.0").optional(),
            EXPIRATION,
        ]),
    row("setnx", 3, key(&[OW, INSERT]), &[WRITE, DENYOOM, FAST], setnx)
        .docs("1.0.0", "O(1)", "Sets a key to a string if the key does not exist.")
        .deprecated("2.6.12", "`SET` with the `NX` argument")
        .takes(&[KEY, arg::string("value")]),
    row("setex", 4, key(&[OW, UPDATE]), &[WRITE, DENYOOM], setex)
        .docs("2.0.0", "O(1)", "Sets a key to a string that expires after some seconds.")
        .deprecated("2.6.12", "`SET` with the `EX` argument")
        .takes(&[KEY, arg::integer("seconds"), arg::string("value")]),
    row("psetex", 4, key(&[OW, UPDATE]), &[WRITE, DENYOOM], psetex)
        .docs("2.6.0", "O(1)", "Sets a key to a string that expires after some milliseconds.")
        .deprecated("2.6.12", "`SET` with the `PX` argument")
        .takes(&[KEY, arg::integer("milliseconds"), arg::string("value")]),
    row("getset", 3, key(&[RW, ACCESS, UPDATE]), &[WRITE, DENYOOM, FAST], getset)
        .docs("1.0.0", "O(1)", "Sets a key to a string and returns the one it held.")
        .deprecated("6.2.0", "`SET` with the `!GET` argument")
        .takes(&[KEY, arg::string("value")]),
    row("getdel", 2, key(&[RW, ACCESS, DELETE]), &[WRITE, FAST], getdel)
        .docs("6.2.0", "O(1)", "Returns the string that a key holds and deletes the key.")
        .takes(&[KEY]),
    row("getex", -2, key(&[RW, ACCESS, UPDATE]).noted(GETEX_NOTE), &[WRITE, FAST], getex)
        .docs("6.2.0", "O(1)", "Returns the string that a key holds and changes when it expires.")
        .takes(&[KEY, NEW_EXPIRATION]),
    row("strlen", 2, key(&[RO]), &[READONLY, FAST], strlen)
        .docs("2.2.0", "O(1)", "Returns how many bytes a string has.")
        .takes(&[KEY]),
];

fn get(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(record) = string(txn, args.get(1))? else { return Ok(Reply::Null) };
    let len = txn.string_len(&record)?;
    long::tell(txn, args.get(1), &record, 0..len)
}

fn set(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let options = Options::of_set(args)?;
    let (written, old) = write(txn, args, 2, options, "set")?;
    match (options.get, written) {
        (true, _) => Ok(old),
        (false, true) => Ok(Reply::Ok),
        (false, false) => Ok(Reply::Null),
    }
}

fn setnx(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (written, _) = write(txn, args, 2, Options { nx: true, ..Options::NONE }, "setnx")?;
    Ok(Reply::Integer(i64::from(written)))
}

fn setex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_for(txn, args, Unit::Seconds, "setex")
}

fn psetex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    set_for(txn, args, Unit::Milliseconds, "psetex")
}

fn getset(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (_, old) = write(txn, args, 2, Options { get: true, ..Options::NONE }, "getset")?;
    Ok(old)
}

fn getdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let old = string(txn, args.get(1))?;
    let reply = value(txn, old.as_ref())?;
    if old.is_some() {
        txn.remove(args.get(1))?;
    }
    Ok(reply)
}

fn getex(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let options = Options::of_getex(args)?;
    let Some(record) = string(txn, args.get(1))? else { return Ok(Reply::Null) };
    let reply = value(txn, Some(&record))?;
    let moment = options.ttl.moment(args, txn.now_ms(), "getex")?;
    match moment {
        Some(at) if at <= txn.now_ms() => {
            txn.remove(args.get(1))?;
        }
        Some(_) => txn.put_record(args.get(1), &record.with_expiry(moment))?,
        None if options.ttl == Ttl::Persist && record.expiry_ms.is_some() => {
            txn.put_record(args.get(1), &record.with_expiry(None))?;
        }
        None => {}
    }
    Ok(reply)
}

fn strlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let record = string(txn, args.get(1))?;
    Ok(Reply::Integer(record.map_or(Ok(0), |record| txn.string_len(&record))? as i64))
}

fn set_for(txn: &mut Txn<'_>, args: &Args<'_>, unit: Unit, command: &str) -> Result<Reply> {
    let ttl = Ttl::At { unit, base: Base::Now, value: 2 };
    write(txn, args, 3, Options { ttl, ..Options::NONE }, command)?;
    Ok(Reply::Ok)
}

/// Sets the first argument's key to argument `at`, as the options say; gives whether it did so, and
/// what the key held if that was asked for.
fn write(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    at: usize,
    options: Options,
    command: &str,
) -> Result<(bool, Reply)> {
    let (key, now_ms) = (args.get(1), txn.now_ms());
    let moment = options.ttl.moment(args, now_ms, command)?;
    let asks = options.nx || options.xx || options.ttl == Ttl::Keep;
    let old = match options.get {
        true => string(txn, key)?,
        false if asks => txn.get(key)?,
        false => None,
    };
    let reply = if options.get { value(txn, old.as_ref())? } else { Reply::Null };
    if (options.nx && old.is_some()) || (options.xx && old.is_none()) {
        return Ok((false, reply));
    }
    if moment.is_some_and(|at| at <= now_ms) {
        // Nobody could ever see the new value.
        txn.remove(key)?;
        return Ok((true, reply));
    }
    let kept = old.as_ref().filter(|_| options.ttl == Ttl::Keep).and_then(|old| old.expiry_ms);
    txn.put_string(key, Encoding::Plain, moment.or(kept), args.get(at))?;
    Ok((true, reply))
}
