//! Places that are added and looked up by their names.

use super::*;
use crate::arg::{self, KEY};
use crate::families::key;
use crate::families::zset::members::{self, Options};
use crate::row::access::{ACCESS, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, READONLY, WRITE};

pub(crate) const COMMANDS: &[Command] = &[
    row("geoadd", -5, key(&[RW, UPDATE]), &[WRITE, DENYOOM], geoadd)
        .docs(
            "3.2.0",
            "O(log(N)) for each item added",
            "Adds places to an index, which is made if it is not there.",
        )
        .takes(&[
            KEY,
            arg::one_of("condition", &[arg::word("NX"), arg::word("XX")]).since("6.2.0").optional(),
            arg::word("CH").named("change").since("6.2.0").optional(),
            arg::block("data", &[arg::double("longitude"), arg::double("latitude"), arg::string("member")])
                .multiple(),
        ]),
    row("geodist", -4, key(&[RO, ACCESS]), &[READONLY], geodist)
        .docs("3.2.0", "O(1)", "Returns how far two places are from each other.")
        .takes(&[
            KEY,
            arg::string("member1"),
            arg::string("member2"),
            arg::one_of("unit", &[arg::word("M"), arg::word("KM"), arg::word("FT"), arg::word("MI")])
                .optional(),
        ]),
    row("geohash", -2, key(&[RO, ACCESS]), &[READONLY], geohash)
        .docs("3.2.0", "O(1) for each member requested", "Returns the geohashes of places.")
        .takes(&[KEY, arg::string("member").optional().multiple()]),
    row("geopos", -2, key(&[RO, ACCESS]), &[READONLY], geopos)
        .docs("3.2.0", "O(1) for each member requested", "Returns longitude and latitude of places.")
        .takes(&[KEY, arg::string("member").optional().multiple()]),
];

fn geoadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    /// Longitude, latitude and member.
    const PARTS: usize = 3;
    let (mut options, mut first) = (Options::default(), 2);
    while first < args.len() {
        let option = match () {
            () if args.is(first, "nx") => &mut options.only_new,
            () if args.is(first, "xx") => &mut options.only_old,
            () if args.is(first, "ch") => &mut options.counts_changes,
            () => break,
        };
        *option = true;
        first += 1;
    }
    let count = args.len() - first;
    if count == 0 || !count.is_multiple_of(PARTS) || (options.only_new && options.only_old) {
        return Err(Error::SYNTAX);
    }
    let mut members = Vec::with_capacity(count / PARTS);
    for at in (first..args.len()).step_by(PARTS) {
        members.push((args.get(at + 2), place(args, at)?.score()));
    }
    members::add(txn, args.get(1), &options, &members)
}

fn geodist(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let unit = match args.len() {
        4 => 1.0,
        5 => unit(args, 4)?,
        _ => return Err(Error::SYNTAX),
    };
    let Some(mut set) = txn.sorted_set(args.get(1))? else { return Ok(Reply::Null) };
    set.expect([args.get(2), args.get(3)].into_iter())?;
    let (from, to) = (set.score(args.get(2))?, set.score(args.get(3))?);
    let Some((from, to)) = from.zip(to) else { return Ok(Reply::Null) };
    Ok(distance(shape::distance(Place::of_score(from), Place::of_score(to)) / unit))
}

fn geohash(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    each(txn, args, Reply::Null, |place| Reply::bulk(place.text()))
}

fn geopos(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    each(txn, args, Reply::NullArray, coordinates)
}

/// Says something of each member, and `none` of those that are not there.
fn each(txn: &mut Txn<'_>, args: &Args<'_>, none: Reply, shown: fn(Place) -> Reply) -> Result<Reply> {
    let Some(mut set) = txn.sorted_set(args.get(1))? else {
        return Ok(Reply::Array(args.from(2).map(|_| none.clone()).collect()));
    };
    set.expect(args.from(2))?;
    let mut places = Vec::with_capacity(args.len() - 2);
    for member in args.from(2) {
        places.push(set.score(member)?.map_or_else(|| none.clone(), |score| shown(Place::of_score(score))));
    }
    Ok(Reply::Array(places))
}
