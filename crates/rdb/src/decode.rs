//! Objects from their encodings, by the type in front of them.
//!
//! All that Redis refuses is refused. So is some of what it lets pass and never writes: texts of scores
//! that are only half a number, and streams that contradict themselves.

mod stream;

use crate::cursor::Budget;
use crate::item::{self, Item};
use crate::listpack::Listpack;
use crate::ziplist::Ziplist;
use crate::zipmap::Zipmap;
use crate::{Cursor, Error, Object, intset, kind};
use std::collections::HashSet;

type Pairs<T> = Vec<(Vec<u8>, T)>;
/// The elements of a listpack or a ziplist.
type Items<'i, 'a> = &'i mut dyn Iterator<Item = Result<Item<'a>, Error>>;
type Gather<T> = fn(Items<'_, '_>, &mut Budget) -> Result<Vec<T>, Error>;

impl Cursor<'_> {
    /// The value whose type has been read.
    pub fn object(&mut self, kind: u8) -> Result<Object, Error> {
        Ok(match kind {
            kind::STRING => Object::String(self.string()?),
            kind::LIST => Object::List(self.strings()?),
            kind::LIST_ZIPLIST => Object::List(self.ziplist(gather)?),
            kind::LIST_QUICKLIST => Object::List(self.quicklist(Self::node_of_ziplist)?),
            kind::LIST_QUICKLIST_2 => Object::List(self.quicklist(Self::node)?),
            kind::SET => Object::Set(distinct(self.strings()?)?),
            kind::SET_LISTPACK => Object::Set(distinct(self.listpack(gather)?)?),
            kind::SET_INTSET => Object::Set(self.intset()?),
            kind::ZSET => Object::SortedSet(distinct_keys(self.scored(Self::text_score)?)?),
            kind::ZSET_2 => Object::SortedSet(distinct_keys(self.scored(Self::double)?)?),
            kind::ZSET_ZIPLIST => Object::SortedSet(distinct_keys(self.ziplist(gather_scored)?)?),
            kind::ZSET_LISTPACK => Object::SortedSet(distinct_keys(self.listpack(gather_scored)?)?),
            kind::HASH => Object::Hash(distinct_keys(self.string_pairs()?)?),
            kind::HASH_ZIPMAP => Object::Hash(distinct_keys(self.zipmap()?)?),
            kind::HASH_ZIPLIST => Object::Hash(distinct_keys(self.ziplist(gather_pairs)?)?),
            kind::HASH_LISTPACK => Object::Hash(distinct_keys(self.listpack(gather_pairs)?)?),
            kind::STREAM_LISTPACKS | kind::STREAM_LISTPACKS_2 | kind::STREAM_LISTPACKS_3 => {
                Object::Stream(self.stream(kind)?)
            }
            kind::MODULE_PRE_GA | kind::MODULE_2 => return Err(Error::Unsupported(kind)),
            _ => return Err(Error::Malformed("unknown type")),
        })
    }

    fn strings(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let count = self.count()?;
        (0..count).map(|_| self.string()).collect()
    }

    fn string_pairs(&mut self) -> Result<Pairs<Vec<u8>>, Error> {
        let count = self.count()?;
        (0..count).map(|_| Ok((self.string()?, self.string()?))).collect()
    }

    fn scored(&mut self, score: fn(&mut Self) -> Result<f64, Error>) -> Result<Pairs<f64>, Error> {
        let count = self.count()?;
        let pairs = (0..count).map(|_| match (self.string()?, score(self)?) {
            (_, score) if score.is_nan() => Err(Error::Malformed("a score is not a number")),
            pair => Ok(pair),
        });
        pairs.collect()
    }

    /// A score as `ZSET` has it: text behind its length, or one of three lengths that are none.
    fn text_score(&mut self) -> Result<f64, Error> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => item::score(self.bytes(usize::from(len))?),
        }
    }

    fn listpack<T>(&mut self, gather: Gather<T>) -> Result<Vec<T>, Error> {
        let blob = self.blob()?;
        not_empty(gather(&mut Listpack::open(&blob)?, &mut self.budget)?)
    }

    fn ziplist<T>(&mut self, gather: Gather<T>) -> Result<Vec<T>, Error> {
        let blob = self.blob()?;
        not_empty(gather(&mut Ziplist::open(&blob)?, &mut self.budget)?)
    }

    fn zipmap(&mut self) -> Result<Pairs<Vec<u8>>, Error> {
        let blob = self.blob()?;
        let pairs = Zipmap::open(&blob)?.map(|pair| {
            let (field, value) = pair?;
            Ok((self.budget.own(field)?, self.budget.own(value)?))
        });
        not_empty(pairs.collect::<Result<_, Error>>()?)
    }

    fn intset(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let blob = self.blob()?;
        let members = intset::read(&blob)?.map(|number| self.budget.own_item(Item::Integer(number)));
        not_empty(members.collect::<Result<_, Error>>()?)
    }

    /// A list whose nodes are read one by one. Redis skips nodes without elements.
    fn quicklist(
        &mut self,
        node: fn(&mut Self, &mut Vec<Vec<u8>>) -> Result<(), Error>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut elements = Vec::new();
        for _ in 0..self.count()? {
            node(self, &mut elements)?;
        }
        not_empty(elements)
    }

    fn node_of_ziplist(&mut self, elements: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        let blob = self.blob()?;
        elements.append(&mut gather(&mut Ziplist::open(&blob)?, &mut self.budget)?);
        Ok(())
    }

    fn node(&mut self, elements: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        match self.length()? {
            kind::NODE_PLAIN => {
                let element = self.string()?;
                if element.is_empty() {
                    return Err(Error::Malformed("a node of a list is empty"));
                }
                elements.push(element);
            }
            kind::NODE_PACKED => {
                let blob = self.blob()?;
                elements.append(&mut gather(&mut Listpack::open(&blob)?, &mut self.budget)?);
            }
            _ => return Err(Error::Malformed("unknown kind of a node of a list")),
        }
        Ok(())
    }
}

fn gather(items: Items<'_, '_>, budget: &mut Budget) -> Result<Vec<Vec<u8>>, Error> {
    items.map(|item| budget.own_item(item?)).collect()
}

fn gather_pairs(items: Items<'_, '_>, budget: &mut Budget) -> Result<Pairs<Vec<u8>>, Error> {
    let mut pairs = Vec::new();
    while let Some(field) = items.next() {
        let value = items.next().ok_or(Error::Malformed("a field without a value"))?;
        pairs.push((budget.own_item(field?)?, budget.own_item(value?)?));
    }
    Ok(pairs)
}

fn gather_scored(items: Items<'_, '_>, budget: &mut Budget) -> Result<Pairs<f64>, Error> {
    let mut pairs = Vec::new();
    while let Some(member) = items.next() {
        let score = items.next().ok_or(Error::Malformed("a member without a score"))?;
        pairs.push((budget.own_item(member?)?, score?.score()?));
    }
    Ok(pairs)
}

fn not_empty<T>(elements: Vec<T>) -> Result<Vec<T>, Error> {
    if elements.is_empty() { Err(Error::Malformed("an empty collection")) } else { Ok(elements) }
}

fn distinct(elements: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, Error> {
    check_distinct(elements.iter(), TWICE)?;
    Ok(elements)
}

fn distinct_keys<T>(pairs: Pairs<T>) -> Result<Pairs<T>, Error> {
    check_distinct(pairs.iter().map(|(key, _)| key), TWICE)?;
    Ok(pairs)
}

const TWICE: Error = Error::Malformed("the same element twice");

fn check_distinct<'a, I>(elements: I, otherwise: Error) -> Result<(), Error>
where
    I: ExactSizeIterator<Item = &'a Vec<u8>>,
{
    let mut seen = HashSet::with_capacity(elements.len());
    for element in elements {
        if !seen.insert(element.as_slice()) {
            return Err(otherwise);
        }
    }
    Ok(())
}
