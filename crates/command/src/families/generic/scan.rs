//! Walking through the keys: SCAN, KEYS, RANDOMKEY.
//!
//! A cursor is a position in the order of the keys, so nothing is remembered between two pages.

use base::{glob, slot};
use resp::{Blob, Reply};
use store::{Flow, KeyPosition, Step, walk_keys};

use super::*;
use crate::arg;
use crate::args::Args;
use crate::error::Error;
use crate::families::elements::Places;
use crate::paged::{self, Feed, Progress, Shape, answer};
use crate::row::Class;
use crate::row::flags::{DANGEROUS, FANOUT, HEAVY, READONLY};

pub(crate) const COMMANDS: &[Command] = &[
    row("randomkey", 1, Keys::NONE, &[READONLY, FANOUT], randomkey)
        .class(Class::Scan)
        .docs("1.0.0", "O(1)", "Returns one of the keys, chosen at random.")
        .tips(&["request_policy:all_shards", "response_policy:special", "nondeterministic_output"]),
    row("keys", 2, Keys::NONE, &[READONLY, HEAVY, DANGEROUS, FANOUT], keys)
        .class(Class::Scan)
        .docs("1.0.0", "O(N) where N is the number of keys", "Returns all keys that match a pattern.")
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .takes(&[arg::pattern("pattern")]),
    row("scan", -2, Keys::NONE, &[READONLY, FANOUT], scan)
        .class(Class::Scan)
        .docs("2.8.0", "O(1) for a page, O(N) for all N keys", "Returns the keys page by page.")
        .tips(&["nondeterministic_output", "request_policy:special", "response_policy:special"])
        .takes(&[
            arg::integer("cursor"),
            arg::pattern("pattern").after("MATCH").optional(),
            arg::integer("count").after("COUNT").optional(),
            arg::string("type").after("TYPE").since("6.0.0").optional(),
        ]),
];

fn randomkey(txn: &mut Txn<'_>, _: &Args<'_>) -> Result<Reply> {
    let Some((first, _)) = some_keys(txn, place(txn.random()), 1)?.pop() else { return Ok(Reply::Null) };
    // Keys with the same hash tag share a slot: once there, a place within it is chosen.
    let within = KeyPosition { slot: first.slot, ..place(txn.random()) };
    let mut choice = some_keys(txn, within, RANDOM_CHOICE)?;
    let chosen = txn.random() % choice.len().max(1) as u64;
    let key = choice.drain(..).nth(chosen as usize).map(|(_, key)| key);
    Ok(Reply::bulk_or_null(key))
}

/// RANDOMKEY chooses among this many neighbours, so that where there are few keys the gaps between
/// them do not matter.
const RANDOM_CHOICE: usize = 16;

fn keys(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    answer(txn, Shape::Array, || Matching { glob: args.get(1).to_vec(), from: KeyPosition::START })
}

/// Tells the keys that match a pattern.
struct Matching {
    glob: Vec<u8>,
    from: KeyPosition,
}

impl Feed for Matching {
    fn count(&mut self, txn: &mut Txn<'_>) -> Result<Option<u64>> {
        let counts = txn.counts(txn.database())?;
        // Keys that have expired and are not removed yet are counted, and not told.
        let is_exact = Pattern::of(&self.glob).all && counts.expires == 0;
        Ok(u64::try_from(counts.keys).ok().filter(|_| is_exact))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut paged::Page) -> Result<Progress> {
        let pattern = Pattern::of(&self.glob);
        let Some(start) = pattern.start(self.from) else { return Ok(Progress::Done) };
        let mut places = Places::new();
        walk_keys(txn, start, &mut |step| -> Result<Flow> {
            if pattern.ends_before(step.at()) || places.ends_before(step.at(), page.is_full()) {
                return Ok(Flow::Stop);
            }
            if let Step::Key(found) = step
                && pattern.matches(found.key)
            {
                page.bulk(found.key);
            }
            Ok(Flow::More)
        })?;
        Ok(places.progress(&mut self.from))
    }
}

fn scan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let cursor = cursor(args.get(1)).ok_or(Error::line("ERR invalid cursor"))?;
    let (filter, count) = options(args)?;
    let start = KeyPosition::from_cursor(cursor).and_then(|at| filter.pattern.start(at));
    let (mut page, mut found) = (Page::new(count), Vec::new());
    let Some(start) = start else { return Ok(page.reply(found)) };
    walk_keys(txn, start, &mut |step| -> Result<Flow> {
        if filter.pattern.ends_before(step.at()) {
            return Ok(Flow::Stop);
        }
        let key = match step {
            Step::Key(key) => Some(key),
            Step::Passed(_) => None,
        };
        if !page.takes(step.at(), key.is_some()) {
            return Ok(Flow::Stop);
        }
        if let Some(key) = key
            && filter.lets_through(key)
        {
            found.push(Reply::copied(key.key));
        }
        Ok(Flow::More)
    })?;
    Ok(page.reply(found))
}

/// Where a page of SCAN ends.
struct Page {
    /// Keys still to be looked at.
    keys: u64,
    passed: u64,
    last: Option<KeyPosition>,
    next: Option<KeyPosition>,
}

impl Page {
    fn new(keys: u64) -> Self {
        Self { keys, passed: PASSED_MAX, last: None, next: None }
    }

    /// Whether what is at `at` belongs to this page; if not, the next one begins there. A cursor cannot
    /// tell keys of one position apart, so they come in one page.
    fn takes(&mut self, at: KeyPosition, is_key: bool) -> bool {
        let full = self.keys == 0 || self.passed == 0;
        if full && self.last.is_some_and(|last| at > last) {
            self.next = Some(at);
            return false;
        }
        let left = if is_key { &mut self.keys } else { &mut self.passed };
        *left = left.saturating_sub(1);
        self.last = Some(at);
        true
    }

    fn reply(&self, found: Vec<Reply>) -> Reply {
        let cursor = self.next.map_or(0, KeyPosition::cursor);
        Reply::Array(vec![Reply::bulk(cursor.to_string()), Reply::Array(found)])
    }
}

/// A page of SCAN ends after this many things that are not keys of the database, so that pages stay
/// small also where most has expired or belongs to other databases.
const PASSED_MAX: u64 = 128;
const COUNT: u64 = 10;

/// A cursor as Redis reads one: any unsigned number.
fn cursor(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse().ok()
}

fn options<'a>(args: &Args<'a>) -> Result<(Filter<'a>, u64)> {
    let mut filter = Filter { pattern: Pattern::of(b"*"), kind: None };
    let mut count = COUNT;
    let mut at = 2;
    while at < args.len() {
        let value = at + 1;
        if value >= args.len() {
            return Err(Error::SYNTAX);
        }
        if args.is(at, "count") {
            count = u64::try_from(args.int(value)?).ok().filter(|count| *count > 0).ok_or(Error::SYNTAX)?;
        } else if args.is(at, "match") {
            filter.pattern = Pattern::of(args.get(value));
        } else if args.is(at, "type") {
            filter.kind = Some(args.get(value));
        } else {
            return Err(Error::SYNTAX);
        }
        at = value + 1;
    }
    Ok((filter, count))
}

struct Filter<'a> {
    pattern: Pattern<'a>,
    /// The name of a type; one that does not exist lets nothing through.
    kind: Option<&'a [u8]>,
}

impl Filter<'_> {
    fn lets_through(&self, found: &store::Found<'_>) -> bool {
        let name = found.peek.kind.name().as_bytes();
        self.kind.is_none_or(|kind| kind.eq_ignore_ascii_case(name)) && self.pattern.matches(found.key)
    }
}

/// A glob pattern, and the slot that all its matches are in if it says one.
#[derive(Clone, Copy)]
struct Pattern<'a> {
    glob: &'a [u8],
    all: bool,
    slot: Option<u16>,
}

impl<'a> Pattern<'a> {
    fn of(glob: &'a [u8]) -> Self {
        Self { glob, all: glob::matches_all(glob), slot: slot_of(glob) }
    }

    fn matches(&self, key: &[u8]) -> bool {
        self.all || glob::matches(self.glob, key)
    }

    /// Where matches at or after a position begin.
    fn start(&self, from: KeyPosition) -> Option<KeyPosition> {
        match self.slot {
            Some(slot) if slot < from.slot => None,
            Some(slot) if slot > from.slot => Some(KeyPosition { slot, hash: 0 }),
            _ => Some(from),
        }
    }

    fn ends_before(&self, at: KeyPosition) -> bool {
        self.slot.is_some_and(|slot| at.slot > slot)
    }
}

/// The slot of all matches: that of the pattern if nothing in it is special, else that of its hash
/// tag if that is whole before anything special.
fn slot_of(pattern: &[u8]) -> Option<u16> {
    let literal = glob::literal_prefix(pattern);
    let whole = literal.len() == pattern.len();
    (whole || slot::tag(literal).len() < literal.len()).then(|| slot::of(literal))
}

/// A place that a random number says.
fn place(random: u64) -> KeyPosition {
    KeyPosition { slot: (random % u64::from(slot::SLOTS)) as u16, hash: random >> 16 }
}

/// Up to `limit` keys from a position on, and from the start on where there are too few behind it.
fn some_keys(txn: &mut Txn<'_>, from: KeyPosition, limit: usize) -> Result<Vec<(KeyPosition, Blob)>> {
    let mut found = Vec::with_capacity(limit);
    let mut collect = |start: KeyPosition, end: Option<KeyPosition>| {
        walk_keys(txn, start, &mut |step| -> Result<Flow> {
            if found.len() >= limit || end.is_some_and(|end| step.at() >= end) {
                return Ok(Flow::Stop);
            }
            if let Step::Key(key) = step {
                found.push((key.at, Blob::copy(key.key)));
            }
            Ok(if found.len() >= limit { Flow::Stop } else { Flow::More })
        })
    };
    collect(from, None)?;
    collect(KeyPosition::START, Some(from))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_position_come_in_one_page() {
        let at = |hash| KeyPosition { slot: 3, hash };
        let mut page = Page::new(2);
        assert!([5, 6, 6, 6].into_iter().all(|hash| page.takes(at(hash), true)));
        assert!(!page.takes(at(9), true));
        assert_eq!(page.next, Some(at(9)));
        let mut page = Page::new(1);
        assert!(page.takes(at(5), true) && page.takes(at(5), true) && !page.takes(at(6), true));
    }

    #[test]
    fn a_page_passes_only_so_much_by() {
        let mut page = Page::new(1_000);
        let at = |hash| KeyPosition { slot: 3, hash };
        assert!((0..PASSED_MAX).all(|hash| page.takes(at(hash), false)));
        assert!(!page.takes(at(PASSED_MAX), true));
    }

    #[test]
    fn cursors_are_unsigned_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-1", None),
            ("", None),
            ("1a", None),
            ("a", None),
            (" 1", None),
        ] {
            assert_eq!(cursor(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_pattern_may_say_its_slot() {
        for (pattern, slot_key) in [
            ("foo", Some("foo")),
            ("{a}:*", Some("a")),
            ("x{a}y*", Some("a")),
            ("{a*}", None),
            ("*{a}", None),
            ("{}x*", None),
            ("a*", None),
            ("a\\*", None),
            ("{a}\\*", Some("a")),
            ("", Some("")),
            ("*", None),
        ] {
            let expected = slot_key.map(|key| slot::of(key.as_bytes()));
            assert_eq!(slot_of(pattern.as_bytes()), expected, "{pattern}");
        }
    }
}
