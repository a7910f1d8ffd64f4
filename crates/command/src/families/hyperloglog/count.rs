//! Adding elements, counting them, and merging.

use resp::Reply;

use super::sketch::{REGISTERS, estimate_of};
use super::*;
use crate::arg::{self, KEY};
use crate::args::Args;
use crate::families::key;
use crate::row::access::{ACCESS, INSERT, RO, RW};
use crate::row::flags::{DENYOOM, FAST, MAY_WRITE, READONLY, WRITE};

const COUNT_NOTE: &str =
    "RW because it may change the internal representation of the key, and propagate to replicas";
const COUNTED: Keys = Keys::rest(1).with(&[RW, ACCESS]).noted(COUNT_NOTE);
const MERGED: Keys = Keys::range(1, -1, 1).with(&[RW, ACCESS, INSERT]).and(&[RO, ACCESS]);

pub(crate) const COMMANDS: &[Command] = &[
    row("pfadd", -2, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], pfadd)
        .docs("2.8.9", "O(1) to add every element.", "Adds elements to a HyperLogLog.")
        .takes(&[KEY, arg::string("element").optional().multiple()]),
    // It keeps its estimate with the value.
    row("pfcount", -2, COUNTED, &[READONLY, MAY_WRITE], pfcount)
        .docs(
            "2.8.9",
            "O(1) with a very small average constant time when called with a single key. O(N) with N \
             being the number of keys, and much bigger constant times, when called with multiple keys.",
            "Estimates how many different elements were added to HyperLogLogs.",
        )
        .takes(&[KEY.multiple()]),
    row("pfmerge", -2, MERGED, &[WRITE, DENYOOM], pfmerge)
        .docs(
            "2.8.9",
            "O(N) to merge N HyperLogLogs, but with high constant times.",
            "Merges HyperLogLogs into one.",
        )
        .takes(&[arg::key("destkey", 0), arg::key("sourcekey", 1).optional().multiple()]),
];

fn pfadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let key = args.get(1);
    let (record, mut sketch) = match load(txn, key)? {
        Some((record, sketch)) => (Some(record), sketch),
        None => (None, Sketch::new()),
    };
    let mut is_changed = record.is_none();
    for element in args.from(2) {
        txn.spend(0, element.len() + steps(&sketch))?;
        is_changed |= sketch.add(element)?;
    }
    match record {
        Some(record) if !is_changed => make_raw(txn, key, &record)?,
        record => {
            sketch.forget();
            save(txn, key, record.as_ref(), &sketch)?;
        }
    }
    Ok(Reply::Integer(i64::from(is_changed)))
}

fn pfcount(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    if args.len() > 2 {
        let (ranks, _) = union(txn, args)?;
        return Ok(Reply::Integer(estimate_of(&ranks)));
    }
    let key = args.get(1);
    let Some((record, mut sketch)) = load(txn, key)? else { return Ok(Reply::ZERO) };
    if let Some(estimate) = sketch.remembered() {
        if txn.may_write() {
            make_raw(txn, key, &record)?;
        }
        return Ok(Reply::Integer(estimate));
    }
    txn.spend(0, REGISTERS)?;
    let estimate = sketch.estimate()?;
    if txn.may_write() {
        sketch.remember(estimate);
        save(txn, key, Some(&record), &sketch)?;
    }
    Ok(Reply::Integer(estimate))
}

fn pfmerge(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let key = args.get(1);
    let (ranks, any_is_dense) = union(txn, args)?;
    let (record, mut sketch) = match load(txn, key)? {
        Some((record, sketch)) => (Some(record), sketch),
        None => (None, Sketch::new()),
    };
    if any_is_dense {
        sketch.make_dense()?;
    }
    for (index, rank) in ranks.iter().enumerate().filter(|(_, rank)| **rank > 0) {
        txn.spend(0, steps(&sketch))?;
        sketch.raise(index, *rank)?;
    }
    sketch.forget();
    save(txn, key, record.as_ref(), &sketch)?;
    Ok(Reply::Ok)
}

/// The highest rank of each register among all keys, and whether any of them is dense.
fn union(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<(Box<[u8; REGISTERS]>, bool)> {
    let mut ranks = Box::new([0; REGISTERS]);
    let mut any_is_dense = false;
    txn.spend(0, REGISTERS)?;
    for key in args.from(1) {
        if let Some((_, sketch)) = load(txn, key)? {
            any_is_dense |= !sketch.is_sparse();
            sketch.merge_into(&mut ranks)?;
        }
    }
    Ok((ranks, any_is_dense))
}

/// What raising a register costs, in bytes copied: runs are walked over one by one.
fn steps(sketch: &Sketch) -> usize {
    const RUNS_PER_BYTE_COPIED: usize = 4;
    if sketch.is_sparse() { sketch.as_bytes().len() / RUNS_PER_BYTE_COPIED } else { 1 }
}
