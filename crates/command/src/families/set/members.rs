//! The members of one set.

use resp::Blob;
use store::{Flow, Set};

use super::*;
use crate::arg::{self, KEY};
use crate::families::elements::{Draw, Places, Scan, some_of};
use crate::families::{key, positive};
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::Class;
use crate::row::access::{ACCESS, DELETE, INSERT, RO, RW};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("sadd", -3, key(&[RW, INSERT]), &[WRITE, DENYOOM, FAST], sadd)
        .docs(
            "1.0.0",
            "O(1) for each element added",
            "Adds members to a set, which is made if it is not there.",
        )
        .takes(&[KEY, arg::string("member").multiple()]),
    row("srem", -3, key(&[RW, DELETE]), &[WRITE, FAST], srem)
        .docs("1.0.0", "O(N) where N is the number of members to be removed", "Removes members from a set.")
        .takes(&[KEY, arg::string("member").multiple()]),
    row("sismember", 3, key(&[RO]), &[READONLY, FAST], sismember)
        .docs("1.0.0", "O(1)", "Says whether a set has a member.")
        .takes(&[KEY, arg::string("member")]),
    row("smismember", -3, key(&[RO, ACCESS]), &[READONLY, FAST], smismember)
        .docs(
            "6.2.0",
            "O(N) where N is the number of elements being checked for membership",
            "Says of several members whether a set has them.",
        )
        .takes(&[KEY, arg::string("member").multiple()]),
    row("scard", 2, key(&[RO]), &[READONLY, FAST], scard)
        .docs("1.0.0", "O(1)", "Returns how many members a set has.")
        .takes(&[KEY]),
    row(
        "smove",
        4,
        Keys::range(1, 2, 1).with(&[RW, ACCESS, DELETE]).and(&[RW, INSERT]),
        &[WRITE, FAST],
        smove,
    )
    .docs("1.0.0", "O(1)", "Moves a member from one set to another.")
    .takes(&[arg::key("source", 0), arg::key("destination", 1), arg::string("member")]),
    row("smembers", 2, key(&[RO, ACCESS]), &[READONLY], smembers)
        .docs("1.0.0", "O(N) where N is the set cardinality", "Returns all members of a set.")
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY]),
    row("srandmember", -2, key(&[RO, ACCESS]), &[READONLY], srandmember)
        .docs("1.0.0", "Without the count argument O(1)", "Returns members of a set by chance.")
        .tips(&["nondeterministic_output"])
        .takes(&[KEY, arg::integer("count").since("2.6.0").optional()]),
    row("spop", -2, key(&[RW, ACCESS, DELETE]), &[WRITE, FAST], spop)
        .docs("1.0.0", "Without the count argument O(1)", "Takes members of a set by chance.")
        .tips(&["nondeterministic_output"])
        .takes(&[KEY, arg::integer("count").since("3.2.0").optional()]),
    row("sscan", -3, key(&[RO, ACCESS]), &[READONLY], sscan)
        .class(Class::Scan)
        .docs("2.8.0", "O(1) for every call", "Goes through the members of a set, some at a time.")
        .tips(&["nondeterministic_output"])
        .takes(&[
            KEY,
            arg::integer("cursor"),
            arg::pattern("pattern").after("MATCH").optional(),
            arg::integer("count").after("COUNT").optional(),
        ]),
];

fn sadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let mut set = txn.set_or_new(args.get(1), args.get(2), args.len() - 2)?;
    set.expect(args.from(2))?;
    let mut added = 0;
    for member in args.from(2) {
        added += i64::from(set.add(member)?);
    }
    Ok(Reply::Integer(added))
}

fn srem(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::ZERO) };
    set.expect(args.from(2))?;
    let mut removed = 0;
    for member in args.from(2) {
        removed += i64::from(set.remove(member)?);
    }
    Ok(Reply::Integer(removed))
}

fn sismember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(i64::from(set.contains(args.get(2))?)))
}

fn smismember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.set_at(args.get(1))? else {
        return Ok(Reply::Array(args.from(2).map(|_| Reply::ZERO).collect()));
    };
    set.expect(args.from(2))?;
    let mut found = Vec::with_capacity(args.len() - 2);
    for member in args.from(2) {
        found.push(Reply::Integer(i64::from(set.contains(member)?)));
    }
    Ok(Reply::Array(found))
}

fn scard(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::ZERO) };
    Ok(Reply::Integer(set.count()? as i64))
}

fn smove(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (from, to, member) = (args.get(1), args.get(2), args.get(3));
    let Some(mut source) = txn.set_at(from)? else { return Ok(Reply::ZERO) };
    if from == to {
        return Ok(Reply::Integer(i64::from(source.contains(member)?)));
    }
    drop(source);
    // The type of the destination matters before anything is taken.
    drop(txn.set_at(to)?);
    let Some(mut source) = txn.set_at(from)? else { return Ok(Reply::ZERO) };
    if !source.remove(member)? {
        return Ok(Reply::ZERO);
    }
    drop(source);
    txn.set_or_new(to, member, 1)?.add(member)?;
    Ok(Reply::ONE)
}

fn smembers(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, Shape::Set, || All { key: args.get(1).to_vec(), from: 0 })
}

fn srandmember(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let Some(draw) = Draw::parse(args, "")? else {
        let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::Null) };
        return Ok(Reply::bulk_or_null(set.random()?));
    };
    let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::Array(Vec::new())) };
    let found = draw_members(&mut set, &draw)?;
    Ok(Reply::Array(found.into_iter().map(Reply::Bulk).collect()))
}

fn spop(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    if args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    if args.len() < 3 {
        let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::Null) };
        let member = set.random()?;
        if let Some(member) = &member {
            set.remove(member)?;
        }
        return Ok(Reply::bulk_or_null(member));
    }
    let count = positive(args, 2, "ERR value is out of range, must be positive")?;
    let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Reply::Set(Vec::new())) };
    if count == 0 {
        return Ok(Reply::Set(Vec::new()));
    }
    if count >= set.count()? {
        let taken = all(&mut set)?;
        drop(set);
        txn.remove(args.get(1))?;
        return Ok(Reply::Set(taken.into_iter().map(Reply::Bulk).collect()));
    }
    let mut taken = Vec::new();
    for _ in 0..count {
        let Some(member) = set.random()? else { break };
        set.remove(&member)?;
        taken.push(Reply::bulk(member));
    }
    Ok(Reply::Set(taken))
}

fn sscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let cursor = Scan::cursor(args)?;
    let Some(mut set) = txn.set_at(args.get(1))? else { return Ok(Scan::nothing()) };
    let mut scan = Scan::parse(args, cursor, set.is_packed())?;
    let Some(start) = scan.start() else { return Ok(scan.reply()) };
    set.walk(start, &mut |member| -> Result<Flow> {
        Ok(scan.take(member, || vec![Reply::copied(member.member)]))
    })?;
    Ok(scan.reply())
}

/// Tells the members of a set.
struct All {
    key: Vec<u8>,
    from: u64,
}

impl Feed for All {
    fn count(&mut self, txn: &mut Txn<'_>) -> Result<Option<u64>> {
        let Some(mut set) = txn.set_at(&self.key)? else { return Ok(Some(0)) };
        Ok(Some(set.count()?))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let Some(mut set) = txn.set_at(&self.key)? else { return Ok(Progress::Done) };
        let mut places = Places::new();
        set.walk(self.from, &mut |member| -> Result<Flow> {
            if places.ends_before(member.at, page.is_full()) {
                return Ok(Flow::Stop);
            }
            page.bulk(member.member);
            Ok(Flow::More)
        })?;
        Ok(places.progress(&mut self.from))
    }
}

/// All members.
fn all(set: &mut Set<'_, '_>) -> Result<Vec<Blob>> {
    let mut found = Vec::new();
    set.walk(0, &mut |member| -> Result<Flow> {
        found.push(Blob::copy(member.member));
        Ok(Flow::More)
    })?;
    Ok(found)
}

fn draw_members(set: &mut Set<'_, '_>, draw: &Draw) -> Result<Vec<Blob>> {
    let len = set.count()?;
    if draw.takes_whole(len) {
        let all = all(set)?;
        let random = set.random_number();
        return Ok(some_of(all, draw, random));
    }
    let found = draw.one_by_one(len, || Ok(set.random()?.map(|member| (member, ()))))?;
    Ok(found.into_iter().map(|(member, ())| member).collect())
}
