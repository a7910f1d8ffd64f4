//! All fields, some at a time, or some by chance.

use resp::Blob;
use store::{Flow, Hash};

use super::*;
use crate::arg::{self, KEY};
use crate::families::elements::{Draw, Places, Scan, some_of};
use crate::families::key;
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::Class;
use crate::row::access::{ACCESS, RO};
use crate::row::flags::READONLY;

pub(crate) const COMMANDS: &[Command] = &[
    row("hgetall", 2, key(&[RO, ACCESS]), &[READONLY], hgetall)
        .docs("2.0.0", "O(N) where N is the size of the hash", "Returns all fields with their values.")
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY]),
    row("hkeys", 2, key(&[RO, ACCESS]), &[READONLY], hkeys)
        .docs("2.0.0", "O(N) where N is the size of the hash", "Returns all fields.")
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY]),
    row("hvals", 2, key(&[RO, ACCESS]), &[READONLY], hvals)
        .docs("2.0.0", "O(N) where N is the size of the hash", "Returns the values of all fields.")
        .tips(&["nondeterministic_output_order"])
        .takes(&[KEY]),
    row("hrandfield", -2, key(&[RO, ACCESS]), &[READONLY], hrandfield)
        .docs("6.2.0", "O(N) where N is the number of fields returned", "Returns fields by chance.")
        .tips(&["nondeterministic_output"])
        .takes(&[
            KEY,
            arg::block("options", &[arg::integer("count"), arg::word("WITHVALUES").optional()]).optional(),
        ]),
    row("hscan", -3, key(&[RO, ACCESS]), &[READONLY], hscan)
        .class(Class::Scan)
        .docs("2.8.0", "O(1) for every call", "Goes through fields and values, some at a time.")
        .tips(&["nondeterministic_output"])
        .takes(&[
            KEY,
            arg::integer("cursor"),
            arg::pattern("pattern").after("MATCH").optional(),
            arg::integer("count").after("COUNT").optional(),
        ]),
];

fn hgetall(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, Shape::Map, || Fields::of(args.get(1), Told::Both))
}

fn hkeys(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, Shape::Array, || Fields::of(args.get(1), Told::Names))
}

fn hvals(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, Shape::Array, || Fields::of(args.get(1), Told::Values))
}

fn hrandfield(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let draw = Draw::parse(args, "withvalues")?;
    let Some(draw) = draw else {
        let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::Null) };
        return Ok(Reply::bulk_or_null(hash.random()?.map(|(field, _)| Blob::from(field))));
    };
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Reply::Array(Vec::new())) };
    let found = draw_fields(&mut hash, &draw)?;
    Ok(draw.reply(found.into_iter().map(|(field, value)| (Reply::Bulk(field), Reply::Bulk(value)))))
}

fn draw_fields(hash: &mut Hash<'_, '_>, draw: &Draw) -> Result<Vec<(Blob, Blob)>> {
    let len = hash.count()?;
    if draw.takes_whole(len) {
        let mut all = Vec::new();
        hash.walk(0, &mut |field| -> Result<Flow> {
            all.push((Blob::copy(field.member), Blob::copy(field.payload)));
            Ok(Flow::More)
        })?;
        let random = hash.random_number();
        return Ok(some_of(all, draw, random));
    }
    draw.one_by_one(len, || Ok(hash.random()?.map(|(field, value)| (field, blob(value)))))
}

fn hscan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let cursor = Scan::cursor(args)?;
    let Some(mut hash) = txn.hash(args.get(1))? else { return Ok(Scan::nothing()) };
    let mut scan = Scan::parse(args, cursor, hash.is_packed())?;
    let Some(start) = scan.start() else { return Ok(scan.reply()) };
    hash.walk(start, &mut |field| -> Result<Flow> {
        Ok(scan.take(field, || vec![Reply::copied(field.member), Reply::copied(field.payload)]))
    })?;
    Ok(scan.reply())
}

/// What is told of each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Names,
    Values,
    Both,
}

/// Tells the fields of a hash.
struct Fields {
    key: Vec<u8>,
    told: Told,
    from: u64,
}

impl Fields {
    fn of(key: &[u8], told: Told) -> Self {
        Self { key: key.to_vec(), told, from: 0 }
    }
}

impl Feed for Fields {
    fn count(&mut self, txn: &mut Txn<'_>) -> Result<Option<u64>> {
        let Some(mut hash) = txn.hash(&self.key)? else { return Ok(Some(0)) };
        Ok(Some(hash.count()?))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let Some(mut hash) = txn.hash(&self.key)? else { return Ok(Progress::Done) };
        let (mut places, told) = (Places::new(), self.told);
        hash.walk(self.from, &mut |field| -> Result<Flow> {
            if places.ends_before(field.at, page.is_full()) {
                return Ok(Flow::Stop);
            }
            if told != Told::Values {
                page.bulk(field.member);
            }
            if told != Told::Names {
                page.bulk(field.payload);
            }
            Ok(Flow::More)
        })?;
        Ok(places.progress(&mut self.from))
    }
}
