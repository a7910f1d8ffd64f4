//! PFDEBUG and PFSELFTEST: how a HyperLogLog is kept, and whether they work.

use resp::Reply;

use super::sketch::{REGISTERS, SPARSE_BYTES_MAX};
use super::sparse::Run as Registers;
use super::*;
use crate::arg;
use crate::args::Args;
use crate::row::access::{ACCESS, RW};
use crate::row::flags::{ADMIN, DENYOOM, HEAVY, SYSTEM, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("pfdebug", 3, Keys::one(2).with(&[RW, ACCESS]), &[WRITE, DENYOOM, ADMIN, SYSTEM], pfdebug)
        .docs("2.8.9", "N/A", "Shows how a HyperLogLog is kept, or changes that.")
        .takes(&[arg::string("subcommand"), arg::KEY]),
    row("pfselftest", 1, Keys::NONE, &[ADMIN, HEAVY, SYSTEM], pfselftest).docs(
        "2.8.9",
        "N/A",
        "Tests that HyperLogLogs work.",
    ),
];

fn pfdebug(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let key = args.get(2);
    let missing = Error::line("ERR The specified key does not exist");
    let (record, mut sketch) = load(txn, key)?.ok_or(missing)?;
    let was_sparse = sketch.is_sparse();
    let reply = match 1 {
        at if args.is(at, "getreg") => {
            sketch.make_dense()?;
            registers(txn, &sketch)?
        }
        at if args.is(at, "todense") => {
            sketch.make_dense()?;
            Reply::Integer(i64::from(was_sparse))
        }
        at if args.is(at, "encoding") => Reply::simple(if was_sparse { "sparse" } else { "dense" }),
        at if args.is(at, "decode") => decode(txn, &sketch)?,
        at => return Err(Error::quoting("ERR Unknown PFDEBUG subcommand '", args.get(at), "'")),
    };
    match was_sparse == sketch.is_sparse() {
        true => make_raw(txn, key, &record)?,
        false => save(txn, key, Some(&record), &sketch)?,
    }
    Ok(reply)
}

fn registers(txn: &mut Txn<'_>, sketch: &Sketch) -> Result<Reply> {
    txn.spend(0, REGISTERS * size_of::<Reply>())?;
    let mut ranks = Box::new([0; REGISTERS]);
    sketch.merge_into(&mut ranks)?;
    Ok(Reply::Array(ranks.iter().map(|rank| Reply::Integer(i64::from(*rank))).collect()))
}

/// The runs in letters, as Redis writes them.
fn decode(txn: &mut Txn<'_>, sketch: &Sketch) -> Result<Reply> {
    if !sketch.is_sparse() {
        return Err(Error::line("ERR HLL encoding is not sparse"));
    }
    txn.spend(0, sketch.as_bytes().len() * 8)?;
    let runs = sketch.runs().map(|run| match run {
        Registers::Zeros { len, is_long: false } => format!("z:{len}"),
        Registers::Zeros { len, is_long: true } => format!("Z:{len}"),
        Registers::Ranked { len, rank } => format!("v:{rank},{len}"),
    });
    Ok(Reply::bulk(runs.collect::<Vec<_>>().join(" ")))
}

/// Elements that are added: a tenth of those that Redis adds, so that a thread is not busy for long.
const ELEMENTS: u64 = 1_000_000;
/// So many standard errors are never seen.
const ERRORS_MAX: f64 = 6.0;

fn pfselftest(txn: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply> {
    const CANCEL_CHECK: u64 = 1 << 12;
    let seed = txn.random();
    let (mut grown, mut dense) = (Sketch::new(), Sketch::new());
    dense.make_dense()?;
    let mut checkpoint = 1;
    for nth in 1..=ELEMENTS {
        if nth % CANCEL_CHECK == 0 {
            txn.spend(0, 0)?;
        }
        let element = (nth ^ seed).to_le_bytes();
        grown.add(&element)?;
        dense.add(&element)?;
        if nth == checkpoint {
            check(nth, &grown, &dense)?;
            checkpoint *= 10;
        }
    }
    Ok(Reply::Ok)
}

/// What holds once so many elements were added, however that was done.
fn check(elements: u64, grown: &Sketch, dense: &Sketch) -> Result<()> {
    if elements < SPARSE_BYTES_MAX as u64 / 2 && !grown.is_sparse() {
        return Err(Error::line("ERR TESTFAILED sparse encoding not used"));
    }
    let estimate = dense.estimate()?;
    if grown.estimate()? != estimate {
        return Err(Error::line("ERR TESTFAILED dense/sparse disagree"));
    }
    let standard_error = 1.04 / (REGISTERS as f64).sqrt();
    // Among ten, two that meet in a register are rare, but happen.
    let bound =
        if elements == 10 { 1 } else { (standard_error * ERRORS_MAX * elements as f64).ceil() as u64 };
    let error = elements.abs_diff(estimate as u64);
    if error > bound {
        return Err(Error::text(format!("ERR TESTFAILED Too big error. card:{elements} abserr:{error}")));
    }
    Ok(())
}
