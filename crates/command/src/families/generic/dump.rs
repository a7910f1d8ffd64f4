//! DUMP and RESTORE: what a key holds as bytes, in Redis' format.

mod stream;

use std::cell::{Cell, RefCell};

use base::limits;
use rdb::encode::{self, Compression, HashWriter, ListWriter, SetWriter, Shape, SortedSetWriter};
use rdb::{Limits, Object};
use resp::Reply;
use store::{Encoding, Flow, HashBuilder, Kind, ListBuilder, Record, SetBuilder, Stop, score_of};

use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::families::key;
use crate::families::zset::algebra;
use crate::row::access::{ACCESS, OW, RO, UPDATE};
use crate::row::flags::{DANGEROUS, DENYOOM, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("dump", 2, key(&[RO, ACCESS]), &[READONLY], dump)
        .docs(
            "2.6.0",
            "O(1) to access the key and additional O(N*M) to serialize it",
            "Returns what a key holds as bytes that RESTORE takes.",
        )
        .tips(&["nondeterministic_output"])
        .takes(&[KEY]),
    row("restore", -4, key(&[OW, UPDATE]), &[WRITE, DENYOOM, DANGEROUS], restore)
        .docs(
            "2.6.0",
            "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value",
            "Makes a key of the bytes that DUMP gave.",
        )
        .takes(&[
            KEY,
            arg::integer("ttl"),
            arg::string("serialized-value"),
            arg::word("REPLACE").since("3.0.0").optional(),
            arg::word("ABSTTL").since("5.0.0").optional(),
            arg::integer("seconds").after("IDLETIME").since("5.0.0").optional(),
            arg::integer("frequency").after("FREQ").since("5.0.0").optional(),
        ]),
];

/// As Redis' `rdbcompression yes`.
const COMPRESSION: Compression = Compression::Lzf;
const TOO_LARGE: Error = Error::line("ERR the value is too large to be dumped or restored");

fn dump(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let key = args.get(1);
    let Some(record) = txn.get(key)? else { return Ok(Reply::Null) };
    let len = match record.kind {
        Kind::String => txn.string_len(&record)?,
        _ => txn.collection_len(&record)?,
    };
    if len > limits::DUMP_BYTES_MAX as u64 {
        return Err(TOO_LARGE);
    }
    let payload = match record.kind {
        Kind::String => encode::string(&txn.string_bytes(&record)?, COMPRESSION),
        Kind::List => dump_list(txn, key)?,
        Kind::Set => dump_set(txn, key)?,
        Kind::Hash => dump_hash(txn, key, &record)?,
        Kind::SortedSet => dump_sorted_set(txn, key, &record)?,
        Kind::Stream => stream::dump(txn, key)?,
    };
    Ok(Reply::bulk(payload))
}

fn shape(record: &Record) -> Shape {
    if record.encoding == Encoding::Wide { Shape::Wide } else { Shape::Compact }
}

/// Notes what a payload takes, which is all in memory before it is sent.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> Result<Flow> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > limits::DUMP_BYTES_MAX { Err(TOO_LARGE) } else { Ok(Flow::More) }
    }
}

fn dump_list(txn: &mut Txn<'_>, key: &[u8]) -> Result<Vec<u8>> {
    let (mut writer, mut room) = (ListWriter::new(COMPRESSION), Room(0));
    if let Some(mut list) = txn.list(key)? {
        let len = list.count()?;
        list.walk(0..len, &mut |_, item: &[u8]| -> Result<Flow> {
            writer.element(item);
            room.take(item.len())
        })?;
    }
    Ok(writer.finish())
}

/// Never as a listpack, which Redis 7.0 does not know: newer servers make one of what is small enough.
fn dump_set(txn: &mut Txn<'_>, key: &[u8]) -> Result<Vec<u8>> {
    let (mut writer, mut integers) = (SetWriter::new(Shape::Wide, COMPRESSION), Vec::new());
    let mut room = Room(0);
    if let Some(mut set) = txn.set_at(key)? {
        let of_integers = set.is_of_integers();
        set.walk(0, &mut |member| -> Result<Flow> {
            match resp::parse_i64(member.member) {
                Some(value) if of_integers => integers.push(value),
                _ => writer.member(member.member),
            }
            room.take(member.member.len())
        })?;
    }
    let payload = if integers.is_empty() { writer.finish() } else { encode::intset(&integers, COMPRESSION) };
    payload.map_err(|_| TOO_LARGE)
}

fn dump_hash(txn: &mut Txn<'_>, key: &[u8], record: &Record) -> Result<Vec<u8>> {
    let (mut writer, mut room) = (HashWriter::new(shape(record), COMPRESSION), Room(0));
    if let Some(mut hash) = txn.hash(key)? {
        hash.walk(0, &mut |field| -> Result<Flow> {
            writer.entry(field.member, field.payload);
            room.take(field.member.len() + field.payload.len())
        })?;
    }
    writer.finish().map_err(|_| TOO_LARGE)
}

fn dump_sorted_set(txn: &mut Txn<'_>, key: &[u8], record: &Record) -> Result<Vec<u8>> {
    let (mut writer, mut room) = (SortedSetWriter::new(shape(record), COMPRESSION), Room(0));
    if let Some(mut set) = txn.sorted_set(key)? {
        // Packed ones come in their order, which matters there only.
        set.walk(0, &mut |member| -> Result<Flow> {
            writer.member(member.member, score_of(member.payload));
            room.take(member.member.len())
        })?;
    }
    writer.finish().map_err(|_| TOO_LARGE)
}

fn restore(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let options = Options::parse(args)?;
    let key = args.get(1);
    if !options.replace && txn.get(key)?.is_some() {
        return Err(Error::line("BUSYKEY Target key name already exists."));
    }
    let ttl = args.int(2)?;
    if ttl < 0 {
        return Err(Error::line("ERR Invalid TTL value, must be >= 0"));
    }
    let payload = args.get(3);
    txn.spend(0, payload.len())?;
    let object = decode(txn, payload)?;
    let expiry_ms = (ttl > 0).then(|| expiry_ms(ttl.unsigned_abs(), options.absolute, txn.now_ms()));
    if expiry_ms.is_some_and(|at| at <= txn.now_ms()) {
        // It would be gone at once.
        txn.remove(key)?;
        return Ok(Reply::Ok);
    }
    put(txn, key, object, expiry_ms)?;
    Ok(Reply::Ok)
}

/// When a key expires. What is more than 64 bits hold has passed, as in Redis, where it overflows.
fn expiry_ms(ttl: u64, absolute: bool, now_ms: u64) -> u64 {
    let at = if absolute { ttl } else { ttl.saturating_add(now_ms) };
    if i64::try_from(at).is_ok() { at } else { 0 }
}

/// Bytes of a payload that are as much work as a record, about.
const BYTES_AS_A_RECORD: usize = 64;

/// What a payload holds. On a network thread it unfolds to little, or the heavy pool takes it, which lets others go
/// first meanwhile.
fn decode(txn: &mut Txn<'_>, payload: &[u8]) -> Result<Object> {
    if txn.is_metered() {
        let limits = Limits { bytes_max: limits::BUDGET_BYTES as usize };
        return rdb::decode(payload, limits).map_err(|error| match error {
            rdb::Error::Limit => Stop::Outgrown.into(),
            error => refused(error),
        });
    }
    let (txn, stopped) = (RefCell::new(txn), Cell::new(None));
    let turn = |bytes: usize| {
        let records = u32::try_from(bytes / BYTES_AS_A_RECORD).unwrap_or(u32::MAX).saturating_add(1);
        if let Err(stop) = txn.borrow_mut().spend(records, 0) {
            stopped.set(Some(stop));
        }
    };
    let found = rdb::decode_in_turns(payload, Limits { bytes_max: limits::DUMP_BYTES_MAX }, &turn);
    match stopped.take() {
        Some(stop) => Err(stop.into()),
        None => found.map_err(refused),
    }
}

fn refused(error: rdb::Error) -> Error {
    match error {
        rdb::Error::Footer => Error::line("ERR DUMP payload version or checksum are wrong"),
        rdb::Error::Limit => TOO_LARGE,
        rdb::Error::Malformed(_) | rdb::Error::Unsupported(_) => Error::line("ERR Bad data format"),
    }
}

#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Self> {
        let (mut options, mut at) = (Self::default(), 4);
        // One of the two may be told, though nothing is made of it here.
        let (mut has_idle, mut has_frequency) = (false, false);
        while at < args.len() {
            let has_value = at + 1 < args.len();
            match () {
                () if args.is(at, "replace") => options.replace = true,
                () if args.is(at, "absttl") => options.absolute = true,
                () if args.is(at, "idletime") && has_value && !has_frequency => {
                    at += 1;
                    has_idle = true;
                    if args.int(at)? < 0 {
                        return Err(Error::line("ERR Invalid IDLETIME value, must be >= 0"));
                    }
                }
                () if args.is(at, "freq") && has_value && !has_idle => {
                    at += 1;
                    has_frequency = true;
                    if !(0..=255).contains(&args.int(at)?) {
                        return Err(Error::line("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                    }
                }
                () => return Err(Error::SYNTAX),
            }
            at += 1;
        }
        Ok(options)
    }
}

/// Sets a key to a value. What is large is built aside.
fn put(txn: &mut Txn<'_>, key: &[u8], object: Object, expiry_ms: Option<u64>) -> Result<()> {
    match object {
        Object::String(bytes) => return Ok(txn.put_string(key, Encoding::Plain, expiry_ms, &bytes)?),
        Object::List(items) => {
            let mut list = ListBuilder::new(key);
            for item in items {
                list.push(txn, item)?;
            }
            list.store(txn, key)?;
        }
        Object::Set(members) => {
            let of_integers = members.iter().all(|member| resp::parse_i64(member).is_some());
            let mut set = SetBuilder::new(key, of_integers);
            for member in members {
                set.add(txn, member)?;
            }
            set.store(txn, key)?;
        }
        Object::Hash(fields) => {
            let mut hash = HashBuilder::new(key);
            for (field, value) in fields {
                hash.add(txn, field, value)?;
            }
            hash.store(txn, key)?;
        }
        Object::SortedSet(mut members) => {
            algebra::sort(&mut members);
            txn.store_sorted(key, &members)?;
        }
        Object::Stream(found) => return stream::put(txn, key, found, expiry_ms),
    }
    if expiry_ms.is_some()
        && let Some(record) = txn.get(key)?
    {
        txn.put_record(key, &record.with_expiry(expiry_ms))?;
    }
    Ok(())
}
