//! SORT: the elements of a list, a set or a sorted set in order, by themselves or by what other keys
//! hold, with what further keys hold.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use base::limits;
use resp::Reply;
use store::{Flow, Kind, ListBuilder, Piece, Record};

use super::*;
use crate::arg::{self, Arg, KEY};
use crate::args::Args;
use crate::error::Error;
use crate::families::{blob, key, value};
use crate::row::access::{ACCESS, OW, RO, UPDATE};
use crate::row::flags::{COLLECTIONS, DANGEROUS, DENYOOM, READONLY, WRITE};
use crate::row::{Class, Unknown};

const COST: &str = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).";

const BY_KEYS: Unknown = Unknown {
    access: Access::of(&[RO, ACCESS]),
    note: "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
};
const STORE_KEY: Unknown = Unknown {
    access: Access::of(&[OW, UPDATE]),
    note: "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
};

const BY: Arg = arg::key_pattern("by-pattern", 1).shown("pattern").after("BY").optional();
const LIMIT: Arg =
    arg::block("limit", &[arg::integer("offset"), arg::integer("count")]).after("LIMIT").optional();
const GET: Arg =
    arg::key_pattern("get-pattern", 1).shown("pattern").after("GET").optional().multiple_with_token();
const ORDER: Arg = arg::one_of("order", &[arg::word("ASC"), arg::word("DESC")]).optional();
const ALPHA: Arg = arg::word("ALPHA").named("sorting").optional();

pub(crate) const COMMANDS: &[Command] = &[
    row(
        "sort",
        -2,
        key(&[RO, ACCESS])
            .behind(2, &["store"], &[OW, UPDATE], &[("limit", 2), ("by", 1), ("get", 1)])
            .unknown(&[BY_KEYS, STORE_KEY]),
        &[WRITE, DENYOOM, DANGEROUS, COLLECTIONS],
        sort,
    )
    .class(Class::Scan)
    .docs(
        "1.0.0",
        COST,
        "Returns the elements of a list, a set or a sorted set in order, or keeps them in a list.",
    )
    .takes(&[KEY, BY, LIMIT, GET, ORDER, ALPHA, arg::key("destination", 2).after("STORE").optional()]),
    row("sort_ro", -2, key(&[RO, ACCESS]).unknown(&[BY_KEYS]), &[READONLY, DANGEROUS, COLLECTIONS], sort_ro)
        .class(Class::Scan)
        .docs("7.0.0", COST, "Returns the elements of a list, a set or a sorted set in order. Only reads.")
        .takes(&[KEY, BY, LIMIT, GET, ORDER, ALPHA]),
];

fn sort(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    run(txn, args, true)
}

fn sort_ro(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    run(txn, args, false)
}

fn run(txn: &mut Txn<'_>, args: &Args<'_>, may_store: bool) -> Result<Reply> {
    let mut plan = Plan::parse(args, may_store)?;
    let record = txn.get(args.get(1))?;
    let kind = record.as_ref().map(|record| record.kind);
    if kind.is_some_and(|kind| !matches!(kind, Kind::List | Kind::Set | Kind::SortedSet)) {
        return Err(Error::WRONG_TYPE);
    }
    let goes_on = plan.store.is_some() || txn.is_scripted();
    if plan.order == Order::Kept && kind == Some(Kind::Set) && goes_on {
        // What is written must not depend on the order that a set happens to have.
        (plan.order, plan.alpha) = (Order::Itself, true);
    }
    let len = match &record {
        Some(record) => txn.collection_len(record)?,
        None => 0,
    };
    let wanted = plan.wanted(len);
    let mut elements = Vec::new();
    if let Some(kind) = kind {
        let is_kept = plan.order == Order::Kept && kind != Kind::Set;
        let (range, descending) = if is_kept { (wanted.clone(), plan.descending) } else { (0..len, false) };
        elements = load(txn, args.get(1), kind, range, descending)?;
        if !is_kept {
            let bytes = elements.iter().map(Vec::len).sum();
            txn.spend(elements.len() as u32, bytes)?;
            if plan.order != Order::Kept {
                elements = plan.sort(txn, elements)?;
            }
            elements = elements.into_iter().skip(wanted.start as usize).collect();
            elements.truncate((wanted.end - wanted.start) as usize);
        }
    }
    match plan.store {
        Some(destination) => store(txn, &plan, elements, destination),
        None => answer(txn, &plan, elements),
    }
}

/// By what elements are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order<'a> {
    Itself,
    By(Pattern<'a>),
    /// Not at all.
    Kept,
}

/// What is told of an element.
#[derive(Clone, Copy, Debug)]
enum Get<'a> {
    Itself,
    By(Pattern<'a>),
    /// A pattern without a star names no key.
    Nothing,
}

#[derive(Debug)]
struct Plan<'a> {
    order: Order<'a>,
    alpha: bool,
    descending: bool,
    offset: i64,
    count: i64,
    gets: Vec<Get<'a>>,
    store: Option<&'a [u8]>,
}

impl<'a> Plan<'a> {
    fn parse(args: &Args<'a>, may_store: bool) -> Result<Self> {
        let mut plan = Self {
            order: Order::Itself,
            alpha: false,
            descending: false,
            offset: 0,
            count: -1,
            gets: Vec::new(),
            store: None,
        };
        let mut at = 2;
        while at < args.len() {
            let left = args.len() - at - 1;
            let parameter = args.get(at + 1);
            at += match () {
                () if args.is(at, "asc") => plan.flag(|plan| plan.descending = false),
                () if args.is(at, "desc") => plan.flag(|plan| plan.descending = true),
                () if args.is(at, "alpha") => plan.flag(|plan| plan.alpha = true),
                () if args.is(at, "limit") && left >= 2 => {
                    (plan.offset, plan.count) = (args.int(at + 1)?, args.int(at + 2)?);
                    3
                }
                () if args.is(at, "store") && left >= 1 && may_store => {
                    plan.store = Some(parameter);
                    2
                }
                () if args.is(at, "by") && left >= 1 => {
                    plan.by(parameter);
                    2
                }
                () if args.is(at, "get") && left >= 1 => {
                    plan.gets.push(match Pattern::parse(parameter) {
                        _ if parameter == b"#" => Get::Itself,
                        Some(pattern) => Get::By(pattern),
                        None => Get::Nothing,
                    });
                    2
                }
                () => return Err(Error::SYNTAX),
            };
        }
        Ok(plan)
    }

    fn flag(&mut self, set: impl FnOnce(&mut Self)) -> usize {
        set(self);
        1
    }

    fn by(&mut self, parameter: &'a [u8]) {
        match Pattern::parse(parameter) {
            Some(pattern) if self.order != Order::Kept => self.order = Order::By(pattern),
            // Once it is said that there is no order, nothing else is heard: as in Redis.
            Some(_) => {}
            None => self.order = Order::Kept,
        }
    }

    /// Which of so many elements, in their order, are wanted.
    fn wanted(&self, len: u64) -> Range<u64> {
        let start = u64::try_from(self.offset).unwrap_or(0).min(len);
        let count = u64::try_from(self.count).unwrap_or(len);
        start..start.saturating_add(count).min(len)
    }

    fn sort(&self, txn: &mut Txn<'_>, elements: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        let mut weighted: Vec<(Weight, Vec<u8>)> = Vec::with_capacity(elements.len());
        for element in elements {
            weighted.push((self.weight(txn, &element)?, element));
        }
        let is_exact = self.store.is_some();
        let text = |bytes: &[u8], other: &[u8]| {
            if is_exact { bytes.cmp(other) } else { c_text(bytes).cmp(c_text(other)) }
        };
        weighted.sort_by(|(a, first), (b, second)| {
            let order = match (a, b) {
                (Weight::Number(a), Weight::Number(b)) => {
                    a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| first.cmp(second))
                }
                (Weight::Text(Some(a)), Weight::Text(Some(b))) => text(a, b),
                (Weight::Text(a), Weight::Text(b)) => a.is_some().cmp(&b.is_some()),
                _ => text(first, second),
            };
            if self.descending { order.reverse() } else { order }
        });
        Ok(weighted.into_iter().map(|(_, element)| element).collect())
    }

    fn weight(&self, txn: &mut Txn<'_>, element: &[u8]) -> Result<Weight> {
        let weight: Option<Cow<'_, [u8]>> = match self.order {
            Order::By(pattern) => match pattern.find(txn, element)? {
                Some(found) => Some(found.bytes(txn)?.into()),
                None => None,
            },
            Order::Itself | Order::Kept => Some(element.into()),
        };
        match (self.order, self.alpha) {
            (Order::Kept, _) | (Order::Itself, true) => Ok(Weight::Itself),
            (Order::By(_), true) => Ok(Weight::Text(weight.map(Cow::into_owned))),
            (_, false) => {
                let number = weight.map_or(Some(0.0), |weight| number(&weight));
                let failed = Error::line("ERR One or more scores can't be converted into double");
                number.map(Weight::Number).ok_or(failed)
            }
        }
    }
}

/// What an element is sorted by.
enum Weight {
    Itself,
    Number(f64),
    Text(Option<Vec<u8>>),
}

/// What C sees of a string.
fn c_text(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number as C's `strtod` reads it: behind blanks; nothing at all is 0.
fn number(text: &[u8]) -> Option<f64> {
    let text = c_text(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b'\x0b').count();
    resp::parse_f64(text.get(blanks..).unwrap_or_default()).filter(|number| !number.is_subnormal())
}

/// Elements of a list, a set or a sorted set: those in this range of its own order, which is turned
/// round if it is descending.
fn load(
    txn: &mut Txn<'_>,
    key: &[u8],
    kind: Kind,
    range: Range<u64>,
    descending: bool,
) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    match kind {
        Kind::List => {
            let Some(mut list) = txn.list(key)? else { return Ok(found) };
            let mut take = |_, item: &[u8]| -> Result<Flow> {
                found.push(item.to_vec());
                Ok(Flow::More)
            };
            if descending {
                let len = list.count()?;
                list.walk_back(len - range.end..len - range.start, &mut take)?;
            } else {
                list.walk(range, &mut take)?;
            }
        }
        Kind::SortedSet => {
            let Some(mut set) = txn.sorted_set(key)? else { return Ok(found) };
            let len = set.count()?;
            let range = if descending { len - range.end..len - range.start } else { range };
            set.walk_ranks(range, descending, &mut |member, _| {
                found.push(member.to_vec());
                Flow::More
            })?;
        }
        _ => {
            let Some(mut set) = txn.set_at(key)? else { return Ok(found) };
            set.walk(0, &mut |member| -> Result<Flow> {
                found.push(member.member.to_vec());
                Ok(Flow::More)
            })?;
        }
    }
    Ok(found)
}

fn answer(txn: &mut Txn<'_>, plan: &Plan<'_>, elements: Vec<Vec<u8>>) -> Result<Reply> {
    if plan.gets.is_empty() {
        return Ok(Reply::Array(elements.into_iter().map(Reply::bulk).collect()));
    }
    let mut replies = Vec::new();
    for element in elements {
        for get in &plan.gets {
            replies.push(match get {
                Get::Itself => Reply::copied(&element),
                Get::By(pattern) => match pattern.find(txn, &element)? {
                    Some(found) => found.reply(txn)?,
                    None => Reply::Null,
                },
                Get::Nothing => Reply::Null,
            });
        }
    }
    Ok(Reply::Array(replies))
}

fn store(txn: &mut Txn<'_>, plan: &Plan<'_>, elements: Vec<Vec<u8>>, destination: &[u8]) -> Result<Reply> {
    let mut list = ListBuilder::new(destination);
    for element in elements {
        if plan.gets.is_empty() {
            list.push(txn, element)?;
            continue;
        }
        for get in &plan.gets {
            let found = match get {
                Get::Itself => element.clone(),
                Get::By(pattern) => match pattern.find(txn, &element)? {
                    Some(found) => found.bytes(txn)?,
                    None => Vec::new(),
                },
                Get::Nothing => Vec::new(),
            };
            list.push(txn, found)?;
        }
    }
    Ok(Reply::Integer(list.store(txn, destination)? as i64))
}

/// A key with a star in it, which stands for an element, and perhaps a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    before: &'a [u8],
    behind: &'a [u8],
    field: Option<&'a [u8]>,
}

/// What a pattern leads to.
enum Found {
    String(Record),
    Field(Piece),
}

impl<'a> Pattern<'a> {
    /// `None` without a star.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        const ARROW: &[u8] = b"->";
        let star = c_text(text).iter().position(|byte| *byte == b'*')?;
        let (before, behind) = (text.get(..star)?, text.get(star + 1..)?);
        let arrow = c_text(behind).windows(ARROW.len()).position(|two| two == ARROW);
        let field = arrow.and_then(|arrow| behind.get(arrow + ARROW.len()..));
        // An arrow that leads nowhere belongs to the name.
        match arrow.zip(field.filter(|field| !c_text(field).is_empty())) {
            Some((arrow, field)) => Some(Self { before, behind: behind.get(..arrow)?, field: Some(field) }),
            None => Some(Self { before, behind, field: None }),
        }
    }

    fn find(&self, txn: &mut Txn<'_>, element: &[u8]) -> Result<Option<Found>> {
        let key = [self.before, element, self.behind].concat();
        if key.len() > limits::KEY_BYTES_MAX {
            return Ok(None);
        }
        let wanted = if self.field.is_some() { Kind::Hash } else { Kind::String };
        let Some(record) = txn.get(&key)?.filter(|record| record.kind == wanted) else { return Ok(None) };
        let Some(field) = self.field else { return Ok(Some(Found::String(record))) };
        let Some(mut hash) = txn.hash(&key)? else { return Ok(None) };
        Ok(hash.get(field)?.map(Found::Field))
    }
}

impl Found {
    fn bytes(&self, txn: &mut Txn<'_>) -> Result<Vec<u8>> {
        match self {
            Self::String(record) => Ok(txn.string_bytes(record)?.into_owned()),
            Self::Field(piece) => Ok(piece.as_slice().to_vec()),
        }
    }

    fn reply(self, txn: &mut Txn<'_>) -> Result<Reply> {
        match self {
            Self::String(record) => value(txn, Some(&record)),
            Self::Field(piece) => Ok(Reply::Bulk(blob(piece))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_a_key_and_perhaps_a_field() {
        let parse = |text: &'static str| {
            Pattern::parse(text.as_bytes()).map(|found| (found.before, found.behind, found.field))
        };
        assert_eq!(parse("w_*"), Some((&b"w_"[..], &b""[..], None)));
        assert_eq!(parse("w_*_x->f->g"), Some((&b"w_"[..], &b"_x"[..], Some(&b"f->g"[..]))));
        assert_eq!(parse("*->"), Some((&b""[..], &b"->"[..], None)));
        assert_eq!(parse("a->b*"), Some((&b"a->b"[..], &b""[..], None)));
        assert_eq!(parse("nosort"), None);
        assert_eq!(parse("no\0*"), None);
    }

    #[test]
    fn numbers_are_those_of_strtod() {
        for (text, expected) in
            [("", Some(0.0)), (" \t7", Some(7.0)), ("0x10", Some(16.0)), ("-inf", Some(f64::NEG_INFINITY))]
        {
            assert_eq!(number(text.as_bytes()), expected);
        }
        for text in ["x", " ", "1 ", "nan", "1e400", "1e-310"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
        assert_eq!(number(b"12\0x"), Some(12.0));
    }
}
