//! BITFIELD: a string as an array of integers of any width.

use resp::Reply;

use super::integer::{Layout, Overflow};
use super::pages::Pages;
use super::*;
use crate::arg::{self, Arg, KEY};
use crate::args::Args;
use crate::families::{key, string};
use crate::row::access::{ACCESS, RO, RW, UPDATE, VARIABLE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

/// It only reads if it only gets.
const FIELD_KEY: Keys = key(&[RW, ACCESS, UPDATE, VARIABLE])
    .only_with(2, &["set", "incrby"], &[RO, ACCESS])
    .noted("This command allows both access and modification of the key");

const ENCODING: Arg = arg::string("encoding");
const OFFSET: Arg = arg::integer("offset");
const GET: Arg = arg::block("get-block", &[ENCODING, OFFSET]).after("GET");
const OVERFLOW: Arg =
    arg::one_of("overflow-block", &[arg::word("WRAP"), arg::word("SAT"), arg::word("FAIL")])
        .after("OVERFLOW")
        .optional();
const SET: Arg = arg::block("set-block", &[ENCODING, OFFSET, arg::integer("value")]).after("SET");
const INCRBY: Arg =
    arg::block("incrby-block", &[ENCODING, OFFSET, arg::integer("increment")]).after("INCRBY");

pub(crate) const COMMANDS: &[Command] = &[
    row("bitfield", -2, FIELD_KEY, &[WRITE, DENYOOM], bitfield)
        .docs(
            "3.2.0",
            "O(1) for each subcommand specified",
            "Reads and changes integers of any width in a string.",
        )
        .takes(&[
            KEY,
            arg::one_of(
                "operation",
                &[GET, arg::block("write", &[OVERFLOW, arg::one_of("write-operation", &[SET, INCRBY])])],
            )
            .optional()
            .multiple(),
        ]),
    row("bitfield_ro", -2, key(&[RO, ACCESS]), &[READONLY, FAST], bitfield_ro)
        .docs("6.0.0", "O(1) for each subcommand specified", "Reads integers of any width in a string.")
        .takes(&[KEY, GET.optional().multiple_with_token()]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    kind: Kind,
    layout: Layout,
    /// Where the integer begins, in bits.
    offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

fn bitfield(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let operations = parse(args)?;
    run(txn, args.get(1), &operations)
}

fn bitfield_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let operations = parse(args)?;
    if operations.iter().any(|operation| operation.kind != Kind::Get) {
        return Err(Error::line("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    run(txn, args.get(1), &operations)
}

fn parse(args: &Args<'_>) -> Result<Vec<Operation>> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut at = 2;
    while at < args.len() {
        let behind = args.len() - at - 1;
        if args.is(at, "overflow") && behind >= 1 {
            overflow = parse_overflow(args, at + 1)?;
            at += 2;
            continue;
        }
        let is_get = args.is(at, "get") && behind >= 2;
        let is_set = args.is(at, "set") && behind >= 3;
        let is_add = args.is(at, "incrby") && behind >= 3;
        if !(is_get || is_set || is_add) {
            return Err(Error::SYNTAX);
        }
        let layout = Layout::parse(args.get(at + 1)).ok_or(Error::line(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ))?;
        let offset = match args.get(at + 2).strip_prefix(b"#") {
            Some(nth) => bit_offset(nth, layout.bits.into())?,
            None => bit_offset(args.get(at + 2), 1)?,
        };
        let kind = match (is_get, is_set) {
            (true, _) => Kind::Get,
            (_, true) => Kind::Set(args.int(at + 3)?, overflow),
            _ => Kind::Add(args.int(at + 3)?, overflow),
        };
        operations.push(Operation { kind, layout, offset });
        at += if is_get { 3 } else { 4 };
    }
    Ok(operations)
}

fn parse_overflow(args: &Args<'_>, at: usize) -> Result<Overflow> {
    match at {
        _ if args.is(at, "wrap") => Ok(Overflow::Wrap),
        _ if args.is(at, "sat") => Ok(Overflow::Saturate),
        _ if args.is(at, "fail") => Ok(Overflow::Fail),
        _ => Err(Error::line("ERR Invalid OVERFLOW type specified")),
    }
}

fn run(txn: &mut Txn<'_>, key: &[u8], operations: &[Operation]) -> Result<Reply> {
    let record = string(txn, key)?;
    let mut pages = Pages::of(txn, record)?;
    let mut replies = Vec::new();
    for operation in operations {
        txn.spend(0, size_of::<Operation>())?;
        let value = operation.run(txn, &mut pages)?;
        replies.push(value.map_or(Reply::Null, |value| Reply::Integer(value as i64)));
    }
    let writes = operations.iter().filter(|operation| operation.kind != Kind::Get);
    // The string reaches as far as it may be written, even where that failed.
    if let Some(last) = writes.map(Operation::last_bit).max() {
        pages.save(txn, key, last / 8 + 1)?;
    }
    Ok(Reply::Array(replies))
}

impl Operation {
    fn last_bit(&self) -> u64 {
        self.offset + u64::from(self.layout.bits) - 1
    }

    /// Does it, and gives what it replies.
    fn run(&self, txn: &mut Txn<'_>, pages: &mut Pages) -> Result<Option<i128>> {
        let (byte, bit) = (self.offset / 8, (self.offset % 8) as u32);
        let window = pages.read(txn, byte)?;
        let old = self.layout.read(window, bit);
        let new = match self.kind {
            Kind::Get => return Ok(Some(old)),
            Kind::Set(value, overflow) => self.layout.fit(self.layout.number(value), overflow),
            Kind::Add(by, overflow) => self.layout.fit(old + i128::from(by), overflow),
        };
        let Some(new) = new else { return Ok(None) };
        let window = self.layout.write(window, bit, new);
        let touched = self.last_bit() / 8 - byte + 1;
        pages.write(txn, byte, window.get(..touched as usize).unwrap_or_default())?;
        Ok(Some(if matches!(self.kind, Kind::Set(..)) { old } else { new }))
    }
}
