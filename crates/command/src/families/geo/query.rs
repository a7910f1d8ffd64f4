//! What a search asks for, and finding it: by the ranges of scores of a few cells, whatever else the
//! index holds.

use std::cmp::Ordering;

use store::Flow;

use super::shape::{Cover, Shape};
use super::*;
use crate::families::zset::algebra;

/// Which arguments a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Longitude, latitude, radius and unit stand behind the key.
    Around { may_store: bool },
    /// A member, radius and unit stand behind the key.
    AroundMember { may_store: bool },
    /// All are options.
    Search,
    /// A destination stands before the key; the others are options.
    SearchAndStore,
}

/// Where what is found goes.
#[derive(Clone, Copy, Debug)]
struct Target<'a> {
    key: &'a [u8],
    /// Scores are distances.
    of_distances: bool,
}

#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    key: &'a [u8],
    has_key: bool,
    from_member: bool,
    from_place: bool,
    center: Option<Place>,
    shape: Option<Shape>,
    /// Metres.
    unit: f64,
    with_distance: bool,
    with_hash: bool,
    with_coordinates: bool,
    /// From the nearest or from the farthest on.
    order: Option<Ordering>,
    count: Option<usize>,
    /// So many as come first, wherever they are.
    any: bool,
    target: Option<Target<'a>>,
}

struct Found {
    member: Vec<u8>,
    score: f64,
    /// Metres.
    distance: f64,
}

impl<'a> Query<'a> {
    pub(super) fn run(txn: &mut Txn<'_>, args: &Args<'a>, form: Form) -> Result<Reply> {
        let mut query = Self::parse(txn, args, form)?;
        query.check(args, form)?;
        let cover =
            query.center.zip(query.shape).map(|(center, shape)| Cover { center, shape, unit: query.unit });
        let Some(cover) = cover.filter(|_| query.has_key) else { return query.answer(txn, Vec::new()) };
        if query.count.is_some() && !query.any {
            // The nearest, if it is not said which.
            query.order.get_or_insert(Ordering::Less);
        }
        let mut found = query.find(txn, &cover)?;
        if let Some(order) = query.order {
            found.sort_by(|a, b| {
                let nearer = a.distance.partial_cmp(&b.distance).unwrap_or(Ordering::Equal);
                if order == Ordering::Less { nearer } else { nearer.reverse() }
            });
        }
        found.truncate(query.count.unwrap_or(usize::MAX));
        query.answer(txn, found)
    }

    /// In Redis' order: the key comes first, then each argument as it stands.
    fn parse(txn: &mut Txn<'_>, args: &Args<'a>, form: Form) -> Result<Self> {
        let key = args.get(if form == Form::SearchAndStore { 2 } else { 1 });
        let has_key = txn.sorted_set(key)?.is_some();
        let mut query = Self { key, has_key, ..Self::default() };
        let options = match form {
            Form::Around { .. } => {
                query.center = Some(place(args, 2)?);
                query.circle(args, 4)?;
                6
            }
            Form::AroundMember { .. } => {
                if has_key {
                    query.center = Some(query.member(txn, args.get(2))?);
                    query.circle(args, 3)?;
                }
                5
            }
            Form::Search => 2,
            Form::SearchAndStore => {
                query.target = Some(Target { key: args.get(1), of_distances: false });
                3
            }
        };
        let mut at = options;
        while at < args.len() {
            at += match query.plain_option(args, at)? {
                Some(taken) => taken,
                None if matches!(form, Form::Search | Form::SearchAndStore) => {
                    query.search_option(txn, args, at, form)?
                }
                None => query.store_option(args, at, form)?,
            };
        }
        Ok(query)
    }

    /// An option that all take: how many arguments it has with its name.
    fn plain_option(&mut self, args: &Args<'a>, at: usize) -> Result<Option<usize>> {
        match () {
            () if args.is(at, "withdist") => self.with_distance = true,
            () if args.is(at, "withhash") => self.with_hash = true,
            () if args.is(at, "withcoord") => self.with_coordinates = true,
            () if args.is(at, "any") => self.any = true,
            () if args.is(at, "asc") => self.order = Some(Ordering::Less),
            () if args.is(at, "desc") => self.order = Some(Ordering::Greater),
            () if args.is(at, "count") && at + 1 < args.len() => {
                let count = args.int(at + 1)?;
                let count = usize::try_from(count).ok().filter(|count| *count > 0);
                self.count = Some(count.ok_or(Error::line("ERR COUNT must be > 0"))?);
                return Ok(Some(2));
            }
            () => return Ok(None),
        }
        Ok(Some(1))
    }

    fn store_option(&mut self, args: &Args<'a>, at: usize, form: Form) -> Result<usize> {
        let may_store =
            matches!(form, Form::Around { may_store: true } | Form::AroundMember { may_store: true });
        let of_distances = args.is(at, "storedist");
        if !may_store || at + 1 >= args.len() || !(of_distances || args.is(at, "store")) {
            return Err(Error::SYNTAX);
        }
        self.target = Some(Target { key: args.get(at + 1), of_distances });
        Ok(2)
    }

    fn search_option(&mut self, txn: &mut Txn<'_>, args: &Args<'a>, at: usize, form: Form) -> Result<usize> {
        let left = args.len() - at - 1;
        match () {
            () if args.is(at, "storedist") && form == Form::SearchAndStore => {
                self.target = Some(Target { key: args.get(1), of_distances: true });
                Ok(1)
            }
            () if args.is(at, "frommember") && left >= 1 && !self.from_place => {
                self.from_member = true;
                if self.has_key {
                    self.center = Some(self.member(txn, args.get(at + 1))?);
                }
                Ok(2)
            }
            () if args.is(at, "fromlonlat") && left >= 2 && !self.from_member => {
                self.from_place = true;
                self.center = Some(place(args, at + 1)?);
                Ok(3)
            }
            () if args.is(at, "byradius") && left >= 2 && !matches!(self.shape, Some(Shape::Box { .. })) => {
                self.circle(args, at + 1)?;
                Ok(3)
            }
            () if args.is(at, "bybox") && left >= 3 && !matches!(self.shape, Some(Shape::Circle { .. })) => {
                self.rectangle(args, at + 1)?;
                Ok(4)
            }
            () => Err(Error::SYNTAX),
        }
    }

    fn circle(&mut self, args: &Args<'_>, at: usize) -> Result<()> {
        let radius = args.float(at).map_err(|_| Error::line("ERR need numeric radius"))?;
        if radius < 0.0 {
            return Err(Error::line("ERR radius cannot be negative"));
        }
        self.unit = unit(args, at + 1)?;
        self.shape = Some(Shape::Circle { radius });
        Ok(())
    }

    fn rectangle(&mut self, args: &Args<'_>, at: usize) -> Result<()> {
        let width = args.float(at).map_err(|_| Error::line("ERR need numeric width"))?;
        let height = args.float(at + 1).map_err(|_| Error::line("ERR need numeric height"))?;
        if width < 0.0 || height < 0.0 {
            return Err(Error::line("ERR height or width cannot be negative"));
        }
        self.unit = unit(args, at + 2)?;
        self.shape = Some(Shape::Box { width, height });
        Ok(())
    }

    fn member(&self, txn: &mut Txn<'_>, member: &[u8]) -> Result<Place> {
        let score = match txn.sorted_set(self.key)? {
            Some(mut set) => set.score(member)?,
            None => None,
        };
        score.map(Place::of_score).ok_or(Error::line("ERR could not decode requested zset member"))
    }

    fn check(&self, args: &Args<'_>, form: Form) -> Result<()> {
        let is_search = matches!(form, Form::Search | Form::SearchAndStore);
        if self.target.is_some() && (self.with_distance || self.with_hash || self.with_coordinates) {
            return Err(Error::line(if is_search {
                "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            } else {
                "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            }));
        }
        if is_search && !self.from_member && !self.from_place {
            let missing = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(Error::quoting(missing, args.get(0), ""));
        }
        if is_search && self.shape.is_none() {
            let missing = "ERR exactly one of BYRADIUS and BYBOX can be specified for ";
            return Err(Error::quoting(missing, args.get(0), ""));
        }
        if self.any && self.count.is_none() {
            return Err(Error::line("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// What is covered, cell by cell.
    fn find(&self, txn: &mut Txn<'_>, cover: &Cover) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let Some(mut set) = txn.sorted_set(self.key)? else { return Ok(found) };
        let enough = self.count.filter(|_| self.any).unwrap_or(usize::MAX);
        for cell in cover.cells() {
            let (first, end) = cell.scores();
            let ranks = set.count_below(first, false)?..set.count_below(end, false)?;
            set.walk_ranks(ranks, false, &mut |member, score| {
                if let Some(distance) = cover.distance_within(Place::of_score(score)) {
                    found.push(Found { member: member.to_vec(), score, distance });
                }
                if found.len() < enough { Flow::More } else { Flow::Stop }
            })?;
            if found.len() >= enough {
                break;
            }
        }
        Ok(found)
    }

    fn answer(&self, txn: &mut Txn<'_>, found: Vec<Found>) -> Result<Reply> {
        let Some(target) = self.target else {
            return Ok(Reply::Array(found.into_iter().map(|found| self.shown(found)).collect()));
        };
        let scored = |found: Found| {
            let score = if target.of_distances { found.distance / self.unit } else { found.score };
            (found.member, score)
        };
        let mut members: Vec<_> = found.into_iter().map(scored).collect();
        algebra::sort(&mut members);
        Ok(Reply::Integer(txn.store_sorted(target.key, &members)? as i64))
    }

    fn shown(&self, found: Found) -> Reply {
        let member = Reply::bulk(found.member);
        if !(self.with_distance || self.with_hash || self.with_coordinates) {
            return member;
        }
        let mut parts = vec![member];
        if self.with_distance {
            parts.push(distance(found.distance / self.unit));
        }
        if self.with_hash {
            parts.push(Reply::Integer(found.score as i64));
        }
        if self.with_coordinates {
            parts.push(coordinates(Place::of_score(found.score)));
        }
        Reply::Array(parts)
    }
}
