//! Entries: adding, deleting, trimming, ranges.

use store::{Flow, StreamId, Txn};

use super::options::{NewId, Options};
use super::*;
use crate::arg::{self, Arg, KEY};
use crate::families::key;
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::access::{ACCESS, DELETE, RO, RW, UPDATE};
use crate::row::flags::{DENYOOM, FAST, READONLY, WRITE};

const STRATEGY: Arg = arg::one_of("strategy", &[arg::word("MAXLEN"), arg::word("MINID").since("6.2.0")]);
const OPERATOR: Arg =
    arg::one_of("operator", &[arg::word("=").named("equal"), arg::word("~").named("approximately")])
        .optional();
const LIMIT: Arg = arg::integer("count").after("LIMIT").since("6.2.0").optional();
const TRIM: &[Arg] = &[STRATEGY, OPERATOR, arg::string("threshold"), LIMIT];
const TIPS: &[&str] = &["nondeterministic_output"];

pub(crate) const COMMANDS: &[Command] = &[
    row("xadd", -5, key(&[RW, UPDATE]).noted("UPDATE instead of INSERT because of the optional trimming feature"), &[WRITE, DENYOOM, FAST], xadd)
        .docs("5.0.0", "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.", "Adds an entry to a stream, which is made if it is not there.")
        .tips(TIPS)
        .takes(&[
            KEY,
            arg::word("NOMKSTREAM").since("6.2.0").optional(),
            arg::block("trim", TRIM).optional(),
            arg::one_of("id-selector", &[arg::word("*").named("auto-id"), arg::string("id")]),
            arg::block("data", &[arg::string("field"), arg::string("value")]).multiple(),
        ]),
    row("xdel", -3, key(&[RW, DELETE]), &[WRITE, FAST], xdel)
        .docs("5.0.0", "O(1) for each single item to delete in the stream, regardless of the stream size.", "Deletes entries, and says how many were there.")
        .takes(&[KEY, arg::string("id").multiple()]),
    row("xlen", 2, key(&[RO]), &[READONLY, FAST], xlen)
        .docs("5.0.0", "O(1)", "Returns how many entries a stream has.")
        .takes(&[KEY]),
    row("xrange", -4, key(&[RO, ACCESS]), &[READONLY], xrange)
        .docs("5.0.0", "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).", "Returns the entries from an id on, up to and with another one.")
        .takes(&[KEY, arg::string("start"), arg::string("end"), arg::integer("count").after("COUNT").optional()]),
    row("xrevrange", -4, key(&[RO, ACCESS]), &[READONLY], xrevrange)
        .docs("5.0.0", "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).", "Returns the entries between two ids, from the last one to the first.")
        .takes(&[KEY, arg::string("end"), arg::string("start"), arg::integer("count").after("COUNT").optional()]),
    row("xtrim", -4, key(&[RW, DELETE]), &[WRITE], xtrim)
        .docs("5.0.0", "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.", "Takes entries away from the front of a stream.")
        .tips(TIPS)
        .takes(&[KEY, arg::block("trim", TRIM)]),
    row("xsetid", -3, key(&[RW, UPDATE]), &[WRITE, DENYOOM, FAST], xsetid)
        .docs("5.0.0", "O(1)", "Sets the last id of a stream, for those who copy it.")
        .takes(&[
            KEY,
            arg::string("last-id"),
            arg::integer("entries-added").after("ENTRIESADDED").since("7.0.0").optional(),
            arg::string("max-deleted-id").after("MAXDELETEDID").since("7.0.0").optional(),
        ]),
];

const TOO_SMALL: Error =
    Error::line("ERR The ID specified in XADD is equal or smaller than the target stream top item");

fn xadd(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let options = Options::parse(args, true)?;
    let fields_at = options.end + 1;
    let fields = args.len().saturating_sub(fields_at);
    if fields < 2 || fields % 2 == 1 {
        return Err(Error::arity("xadd"));
    }
    if options.id == NewId::This(StreamId::ZERO) {
        return Err(Error::line("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let key = args.get(1);
    let now_ms = txn.now_ms();
    let last = match txn.stream(key)? {
        Some(stream) => stream.head().last,
        None if options.no_make => return Ok(Reply::Null),
        None => StreamId::ZERO,
    };
    if last == StreamId::MAX {
        return Err(Error::line(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    }
    let id = match options.id {
        NewId::This(id) => Some(id),
        NewId::Within(ms) if ms == last.ms => last.seq.checked_add(1).map(|seq| StreamId::new(ms, seq)),
        NewId::Within(ms) => Some(StreamId::new(ms, 0)),
        NewId::Next if now_ms > last.ms => Some(StreamId::new(now_ms, 0)),
        NewId::Next => last.next(),
    };
    let id = id.filter(|id| *id > last).ok_or(TOO_SMALL)?;
    let mut stream = txn.stream_or_new(key)?;
    stream.append(id, args.from(fields_at))?;
    if let Some(cut) = options.cut
        && stream.trim(cut, options.limit)? > 0
    {
        stream.remark("xtrim");
    }
    Ok(id_reply(id))
}

fn xdel(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let Some(mut stream) = txn.stream(args.get(1))? else { return Ok(Reply::ZERO) };
    let mut deleted = 0;
    for id in ids(args, 2)? {
        deleted += i64::from(stream.delete(id)?);
    }
    Ok(Reply::Integer(deleted))
}

fn xlen(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    Ok(count_reply(txn.stream(args.get(1))?.map_or(0, |stream| stream.head().len)))
}

fn xrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (from, to) = (range_start(args.get(2))?, range_end(args.get(3))?);
    range(txn, args, (from, to), false)
}

fn xrevrange(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let (from, to) = (range_start(args.get(3))?, range_end(args.get(2))?);
    range(txn, args, (from, to), true)
}

fn range(
    txn: &mut Txn<'_>,
    args: &Args<'_>,
    (from, to): (StreamId, StreamId),
    is_back: bool,
) -> Result<Reply> {
    let mut count = None;
    let mut at = 4;
    while at < args.len() {
        if !args.is(at, "count") || at + 1 == args.len() {
            return Err(Error::SYNTAX);
        }
        count = Some(args.int(at + 1)?.max(0).unsigned_abs());
        at += 2;
    }
    if txn.stream(args.get(1))?.is_none() {
        return Ok(Reply::Array(Vec::new()));
    }
    if count == Some(0) {
        return Ok(Reply::NullArray);
    }
    let left = count.unwrap_or(u64::MAX);
    answer(txn, Shape::Array, || Stretch { key: args.get(1).to_vec(), from, to, left, is_back })
}

/// Tells the entries between two ids.
struct Stretch {
    key: Vec<u8>,
    from: StreamId,
    to: StreamId,
    left: u64,
    is_back: bool,
}

impl Feed for Stretch {
    fn count(&mut self, txn: &mut Txn<'_>) -> Result<Option<u64>> {
        let Some(stream) = txn.stream(&self.key)? else { return Ok(Some(0)) };
        let head = stream.head();
        // Of a part nobody knows how many entries it has.
        let is_all = self.from <= head.first && head.last <= self.to;
        Ok(is_all.then(|| head.len.min(self.left)))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let Some(mut stream) = txn.stream(&self.key)? else { return Ok(Progress::Done) };
        let (mut last, mut left) = (None, self.left);
        let mut each = |entry: &Entry<'_>| -> Result<Flow> {
            page.value(&entry_reply(entry));
            last = Some(entry.id);
            left -= 1;
            Ok(if left == 0 || page.is_full() { Flow::Stop } else { Flow::More })
        };
        if self.is_back {
            stream.walk_back(self.from, self.to, &mut each)?;
        } else {
            stream.walk(self.from, self.to, &mut each)?;
        }
        self.left = left;
        let next = last.and_then(|last| if self.is_back { last.previous() } else { last.next() });
        let Some(next) = next.filter(|_| left > 0 && page.is_full()) else { return Ok(Progress::Done) };
        *(if self.is_back { &mut self.to } else { &mut self.from }) = next;
        Ok(Progress::More)
    }
}

fn xtrim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let options = Options::parse(args, false)?;
    let Some(mut stream) = txn.stream(args.get(1))? else { return Ok(Reply::ZERO) };
    let Some(cut) = options.cut else { return Ok(Reply::ZERO) };
    Ok(count_reply(stream.trim(cut, options.limit)?))
}

fn xsetid(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let id = strict_id(args.get(2), 0)?;
    let (mut added, mut max_deleted) = (None, None);
    let mut at = 3;
    while at < args.len() {
        if at + 1 == args.len() {
            return Err(Error::SYNTAX);
        } else if args.is(at, "entriesadded") {
            let count = u64::try_from(args.int(at + 1)?);
            added = Some(count.map_err(|_| Error::line("ERR entries_added must be positive"))?);
        } else if args.is(at, "maxdeletedid") {
            let given = strict_id(args.get(at + 1), 0)?;
            if id < given {
                return Err(Error::line(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
            max_deleted = Some(given).filter(|id| *id != StreamId::ZERO);
        } else {
            return Err(Error::SYNTAX);
        }
        at += 2;
    }
    let mut stream = txn.stream(args.get(1))?.ok_or(Error::NO_SUCH_KEY)?;
    let head = *stream.head();
    if id < head.max_deleted {
        return Err(Error::line(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if head.len > 0 {
        if stream.has_behind(id)? {
            return Err(Error::line(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if added.is_some_and(|added| head.len > added) {
            return Err(Error::line(
                "ERR The entries_added specified in XSETID is smaller than the target stream length",
            ));
        }
    }
    stream.set_id(id, added, max_deleted);
    Ok(Reply::Ok)
}
