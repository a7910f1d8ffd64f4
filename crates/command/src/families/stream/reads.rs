//! XREAD and XREADGROUP: what is new, and waiting for it.

use store::{Consumer, ConsumerGroup, Flow, Kind, Stream, StreamId, Txn};

use super::*;
use crate::arg::{self, Arg};
use crate::args::OwnedArgs;
use crate::keys::behind_option;
use crate::paged::{Feed, Page, Progress, Shape, answer};
use crate::row::access::{ACCESS, RO};
use crate::row::flags::{BLOCKING, READONLY, WRITE};
use crate::wait::Wait;

const COUNT: Arg = arg::integer("count").after("COUNT").optional();
const BLOCK: Arg = arg::integer("milliseconds").after("BLOCK").optional();
const STREAMS: Arg =
    arg::block("streams", &[arg::KEY.multiple(), arg::string("id").multiple()]).after("STREAMS");

/// The options, and how many arguments each has: they may be called like what begins the streams.
const OPTIONS: &[(&str, usize)] = &[("block", 1), ("count", 1), ("group", 2)];

pub(crate) const COMMANDS: &[Command] = &[
    row("xread", -4, Keys::halves("streams", 1, OPTIONS).with(&[RO, ACCESS]), &[READONLY, BLOCKING], xread)
        .docs("5.0.0", "O(N) with N being the number of entries returned.", "Returns what is new in one or several streams, and waits for it if need be.")
        .takes(&[COUNT, BLOCK, STREAMS]),
    row("xreadgroup", -7, Keys::halves("streams", 4, OPTIONS).with(&[RO, ACCESS]), &[WRITE, BLOCKING], xreadgroup)
        .docs("5.0.0", "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.", "Returns what is new in streams for a consumer of a group, or what is pending for it.")
        .takes(&[
            arg::block("group-block", &[arg::string("group"), arg::string("consumer")]).after("GROUP"),
            COUNT,
            BLOCK,
            arg::word("NOACK").optional(),
            STREAMS,
        ]),
];

const TIMEOUT: Error = Error::line("ERR timeout is not an integer or out of range");

/// What XREAD and XREADGROUP are told.
struct Read<'a> {
    count: Option<u64>,
    /// For ever, if there is a wait without a time.
    block: Option<Option<u64>>,
    group: Option<(&'a [u8], &'a [u8])>,
    no_ack: bool,
    /// Where the keys are: as many ids are behind them.
    first: usize,
    streams: usize,
}

/// Whether a call of a blocking command may wait. Reading streams does if that is asked for, all others always do.
pub fn waits(name: &str, args: &Args<'_>) -> bool {
    if !matches!(name, "xread" | "xreadgroup") {
        return true;
    }
    let mut at = 1;
    while at < args.len() && !args.is(at, "streams") {
        if args.is(at, "block") {
            return true;
        }
        at = behind_option(args, at, OPTIONS);
    }
    false
}

impl<'a> Read<'a> {
    fn parse(args: &Args<'a>, is_group: bool) -> Result<Self> {
        let name = if is_group { "xreadgroup" } else { "xread" };
        let mut read = Self { count: None, block: None, group: None, no_ack: false, first: 0, streams: 0 };
        let mut at = 1;
        while at < args.len() {
            let more = args.len() - 1 - at;
            if args.is(at, "block") && more > 0 {
                let ms = args.int(at + 1).map_err(|_| TIMEOUT)?;
                let ms = u64::try_from(ms).map_err(|_| Error::line("ERR timeout is negative"))?;
                read.block = Some((ms > 0).then_some(ms));
                at += 2;
            } else if args.is(at, "count") && more > 0 {
                read.count = Some(args.int(at + 1)?.max(0).unsigned_abs()).filter(|count| *count > 0);
                at += 2;
            } else if args.is(at, "streams") && more > 0 {
                read.first = at + 1;
                if !more.is_multiple_of(2) {
                    let sign = if is_group { '>' } else { '$' };
                    return Err(Error::text(format!(
                        "ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{sign}' must be specified."
                    )));
                }
                read.streams = more / 2;
                break;
            } else if args.is(at, "group") && more > 1 {
                if !is_group {
                    return Err(Error::line(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                read.group = Some((args.get(at + 1), args.get(at + 2)));
                at += 3;
            } else if args.is(at, "noack") {
                if !is_group {
                    return Err(Error::line(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                read.no_ack = true;
                at += 1;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        if read.first == 0 {
            return Err(Error::SYNTAX);
        }
        if is_group && read.group.is_none() {
            return Err(Error::line("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(read)
    }

    /// The keys, and the ids that belong to them.
    fn pairs(&self, args: &Args<'a>) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        args.from(self.first).zip(args.from(self.first + self.streams)).take(self.streams)
    }

    /// What there is, or else waits for it if it may.
    fn answer(&self, found: Vec<(Reply, Reply)>, args: Option<OwnedArgs>) -> Result<Reply> {
        if !found.is_empty() {
            return Ok(Reply::Table(found));
        }
        let Some(timeout_ms) = self.block else { return Ok(Reply::NullArray) };
        let keys = self.first..self.first + self.streams;
        let mut wait = Wait::new(keys, Kind::Stream, timeout_ms, Reply::NullArray);
        (wait.args, wait.if_gone) = (args, self.group.is_some());
        Err(wait.into())
    }
}

fn xread(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let read = Read::parse(args, false)?;
    let mut from = Vec::with_capacity(read.streams);
    for (key, id) in read.pairs(args) {
        let stream = txn.stream(key)?;
        from.push(match id {
            b"$" => stream.map_or(StreamId::ZERO, |stream| stream.head().last),
            // The last entry, if there is one: else what comes.
            b"+" => match stream {
                Some(mut stream) => stream.before_last()?,
                None => StreamId::ZERO,
            },
            b">" => {
                return Err(Error::line(
                    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
                ));
            }
            id => strict_id(id, 0)?,
        });
    }
    let mut news = Vec::new();
    for ((key, id), behind) in read.pairs(args).zip(&from) {
        let count = if id == b"+" { Some(1) } else { read.count };
        let Some(mut stream) = txn.stream(key)? else { continue };
        if stream.has_behind(*behind)? {
            news.push(New { key: key.to_vec(), behind: *behind, left: count.unwrap_or(u64::MAX) });
        }
    }
    if !news.is_empty() {
        return answer(txn, Shape::Table, || News::new(news.clone()));
    }
    // Who waits for what is new waits for what comes behind what is there now.
    let again = || {
        let ids: Vec<String> = from.iter().map(ToString::to_string).collect();
        let head = args.from(0).take(read.first + read.streams);
        OwnedArgs::of(head.chain(ids.iter().map(String::as_bytes)))
    };
    let again = read.block.is_some().then(again);
    read.answer(Vec::new(), again)
}

/// What is new in a stream, as far as it was not told yet.
#[derive(Clone)]
struct New {
    key: Vec<u8>,
    behind: StreamId,
    left: u64,
}

/// Tells what is new in some streams, in each of which something is.
struct News {
    news: Vec<New>,
    /// How many entries each has, if they have been counted: whoever tells all at once need not know.
    counts: Option<Vec<u64>>,
    at: usize,
    /// The one at hand has been begun.
    is_open: bool,
}

impl News {
    fn new(news: Vec<New>) -> Self {
        Self { news, counts: None, at: 0, is_open: false }
    }
}

impl New {
    /// Visits entries until there are no more, or `each` has enough; says whether there are no more.
    fn walk(&mut self, txn: &mut Txn<'_>, mut each: impl FnMut(&Entry<'_>) -> Flow) -> Result<bool> {
        let (Some(from), Some(mut stream)) = (self.behind.next(), txn.stream(&self.key)?) else {
            return Ok(true);
        };
        let (mut left, mut behind, mut is_cut) = (self.left, self.behind, false);
        stream.walk(from, StreamId::MAX, &mut |entry| -> Result<Flow> {
            (left, behind) = (left - 1, entry.id);
            is_cut = each(entry) == Flow::Stop;
            Ok(if left == 0 || is_cut { Flow::Stop } else { Flow::More })
        })?;
        (self.left, self.behind) = (left, behind);
        Ok(left == 0 || !is_cut)
    }
}

/// Entries that are counted before what was read is forgotten.
const COUNTED_MAX: u64 = 4096;

impl Feed for News {
    fn count(&mut self, txn: &mut Txn<'_>) -> Result<Option<u64>> {
        let mut counts = Vec::with_capacity(self.news.len());
        for mut new in self.news.clone() {
            let mut count = 0u64;
            while !new.walk(txn, |_| {
                count += 1;
                if count.is_multiple_of(COUNTED_MAX) { Flow::Stop } else { Flow::More }
            })? {
                txn.forget();
            }
            counts.push(count);
        }
        self.counts = Some(counts);
        Ok(Some(self.news.len() as u64))
    }

    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        while let Some(new) = self.news.get_mut(self.at) {
            if !self.is_open {
                page.bulk(&new.key);
                let count = self.counts.as_ref().and_then(|counts| counts.get(self.at));
                page.open_list(count.copied().unwrap_or(0));
                self.is_open = true;
            }
            let is_done = new.walk(txn, |entry| {
                page.item(&entry_reply(entry));
                if page.is_full() { Flow::Stop } else { Flow::More }
            })?;
            if !is_done {
                return Ok(Progress::More);
            }
            self.at += 1;
            self.is_open = false;
        }
        Ok(Progress::Done)
    }
}

fn xreadgroup(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let read = Read::parse(args, true)?;
    let Some((group_name, consumer_name)) = read.group else { return Err(Error::SYNTAX) };
    let mut from = Vec::with_capacity(read.streams);
    for (key, id) in read.pairs(args) {
        let group = match txn.stream(key)? {
            Some(mut stream) => stream.group(group_name)?,
            None => None,
        };
        if group.is_none() {
            return Err(no_group([
                b"NOGROUP No such key '",
                key,
                b"' or consumer group '",
                group_name,
                b"' in XREADGROUP with GROUP option",
            ]));
        }
        from.push(match id {
            b"$" => {
                return Err(Error::line(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
                ));
            }
            b">" => None,
            id => Some(strict_id(id, 0)?),
        });
    }
    let now_ms = txn.now_ms();
    let mut found = Vec::new();
    for ((key, _), behind) in read.pairs(args).zip(from) {
        let Some(mut stream) = txn.stream(key)? else { continue };
        let Some(mut group) = stream.group(group_name)? else { continue };
        let consumer = stream.seen_consumer((group_name, &mut group), consumer_name)?;
        let mut told = Told { stream, group_name, group, consumer_name, consumer, now_ms };
        let entries = match behind {
            Some(behind) => Some(told.history(behind, read.count)?),
            None => told.what_is_new(read.count, read.no_ack)?,
        };
        told.stream.put_consumer(&told.group, consumer_name, &told.consumer)?;
        if let Some(entries) = entries {
            found.push((Reply::copied(key), Reply::Array(entries)));
        }
    }
    read.answer(found, None)
}

/// A consumer that is told of a stream.
struct Told<'s, 't, 'g> {
    stream: Stream<'t, 'g>,
    group_name: &'s [u8],
    group: ConsumerGroup,
    consumer_name: &'s [u8],
    consumer: Consumer,
    now_ms: u64,
}

impl Told<'_, '_, '_> {
    /// What the group was not told yet.
    fn what_is_new(&mut self, count: Option<u64>, no_ack: bool) -> Result<Option<Vec<Reply>>> {
        let head = *self.stream.head();
        let (mut entries, mut ids) = (Vec::new(), Vec::new());
        let Some(from) = self.group.last.next() else { return Ok(None) };
        self.stream.walk(from, StreamId::MAX, &mut |entry| -> Result<Flow> {
            entries.push(entry_reply(entry));
            ids.push(entry.id);
            Ok(if count.is_some_and(|count| ids.len() as u64 >= count) { Flow::Stop } else { Flow::More })
        })?;
        if ids.is_empty() {
            return Ok(None);
        }
        if !no_ack {
            self.stream.foresee_pending(&self.group, &ids)?;
        }
        for id in ids {
            let last = self.group.last;
            let is_sure = last >= head.first && !head.has_tombstones(Some(last), None);
            self.group.read = match self.group.read {
                Some(read) if is_sure => Some(read + 1),
                _ if head.added > 0 => head.distance(id),
                read => read,
            };
            self.group.last = id;
            if !no_ack {
                let before = self.stream.pending(&self.group, id)?;
                let to = (self.consumer_name, &mut self.consumer);
                self.stream.put_pending(&mut self.group, to, id, (self.now_ms, 1), before.as_ref())?;
            }
        }
        if !no_ack {
            self.consumer.active_ms = Some(self.now_ms);
        }
        self.stream.put_group(self.group_name, &self.group)?;
        Ok(Some(entries))
    }

    /// What is pending for the consumer.
    fn history(&mut self, behind: StreamId, count: Option<u64>) -> Result<Vec<Reply>> {
        let mut ids = Vec::new();
        if let Some(from) = behind.next() {
            let consumer = self.consumer;
            self.stream.walk_pending_of(&self.group, &consumer, from, &mut |id| -> Result<Flow> {
                ids.push(*id);
                Ok(if count.is_some_and(|count| ids.len() as u64 >= count) { Flow::Stop } else { Flow::More })
            })?;
        }
        let mut entries = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(entry) = self.stream.with(id, entry_reply)? else {
                entries.push(Reply::Array(vec![id_reply(id), Reply::NullArray]));
                continue;
            };
            entries.push(entry);
            if let Some(before) = self.stream.pending(&self.group, id)? {
                let to = (self.consumer_name, &mut self.consumer);
                let told = (self.now_ms, before.times.saturating_add(1));
                self.stream.put_pending(&mut self.group, to, id, told, Some(&before))?;
            }
        }
        Ok(entries)
    }
}
