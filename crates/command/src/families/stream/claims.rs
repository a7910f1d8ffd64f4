//! What is pending: looking at it, and taking it over.

use store::{Consumer, ConsumerGroup, Flow, Pending, Stream, StreamId, Txn};

use super::*;
use crate::arg::{self, KEY};
use crate::families::key;
use crate::row::access::{ACCESS, DELETE, RO, RW, UPDATE};
use crate::row::flags::{FAST, READONLY, WRITE};

const TIPS: &[&str] = &["nondeterministic_output"];
const GROUP: arg::Arg = arg::string("group");

pub(crate) const COMMANDS: &[Command] = &[
    row("xpending", -3, key(&[RO, ACCESS]), &[READONLY], xpending)
        .docs("5.0.0", "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.", "Returns what is pending in a group.")
        .tips(TIPS)
        .takes(&[
            KEY,
            GROUP,
            arg::block(
                "filters",
                &[
                    arg::integer("min-idle-time").after("IDLE").since("6.2.0").optional(),
                    arg::string("start"),
                    arg::string("end"),
                    arg::integer("count"),
                    arg::string("consumer").optional(),
                ],
            )
            .optional(),
        ]),
    row("xclaim", -6, key(&[RW, UPDATE]), &[WRITE, FAST], xclaim)
        .docs("5.0.0", "O(log N) with N being the number of messages in the PEL of the consumer group.", "Takes over what is pending for another consumer.")
        .tips(TIPS)
        .takes(&[
            KEY,
            GROUP,
            arg::string("consumer"),
            arg::string("min-idle-time"),
            arg::string("id").multiple(),
            arg::integer("ms").after("IDLE").optional(),
            arg::unix_time("unix-time-milliseconds").after("TIME").optional(),
            arg::integer("count").after("RETRYCOUNT").optional(),
            arg::word("FORCE").optional(),
            arg::word("JUSTID").optional(),
            arg::string("lastid").after("LASTID").optional(),
        ]),
    row("xautoclaim", -6, key(&[RW, DELETE]), &[WRITE, FAST], xautoclaim)
        .docs("6.2.0", "O(1) if COUNT is small.", "Takes over what has been pending for others for some time.")
        .tips(TIPS)
        .takes(&[
            KEY,
            GROUP,
            arg::string("consumer"),
            arg::string("min-idle-time"),
            arg::string("start"),
            arg::integer("count").after("COUNT").optional(),
            arg::word("JUSTID").optional(),
        ]),
];

fn missing(args: &Args<'_>) -> Error {
    no_group([b"NOGROUP No such key '", args.get(1), b"' or consumer group '", args.get(2), b"'"])
}

/// Milliseconds that something has to have been pending.
fn min_idle(args: &Args<'_>, at: usize, error: &'static str) -> Result<u64> {
    let given = args.int(at).map_err(|_| Error::line(error))?;
    Ok(given.max(0).unsigned_abs())
}

/// Which part of what is pending XPENDING tells.
struct Filter<'a> {
    min_idle: u64,
    range: (StreamId, StreamId),
    count: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Option<Self>> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(Error::SYNTAX);
        }
        let (mut min_idle, mut at) = (0, 3);
        if args.is(3, "idle") {
            min_idle = args.int(4)?.max(0).unsigned_abs();
            if args.len() < 8 {
                return Err(Error::SYNTAX);
            }
            at = 5;
        }
        let count = args.int(at + 2)?.max(0).unsigned_abs();
        let range = (range_start(args.get(at))?, range_end(args.get(at + 1))?);
        let consumer = (at + 3 < args.len()).then(|| args.get(at + 3));
        Ok(Some(Self { min_idle, range, count, consumer }))
    }
}

fn xpending(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let filter = Filter::parse(args)?;
    let now_ms = txn.now_ms();
    let mut stream = txn.stream(args.get(1))?.ok_or_else(|| missing(args))?;
    let group = stream.group(args.get(2))?.ok_or_else(|| missing(args))?;
    let Some(filter) = filter else { return summary(&mut stream, &group) };
    let consumer = match filter.consumer {
        None => None,
        Some(name) => match stream.consumer(&group, name)? {
            Some(consumer) => Some(consumer),
            None => return Ok(Reply::Array(Vec::new())),
        },
    };
    let mut found = Vec::new();
    let mut tell = |id: StreamId, pending: &Pending| {
        let idle = now_ms.saturating_sub(pending.told_ms);
        if idle >= filter.min_idle && (found.len() as u64) < filter.count {
            let name = Reply::copied(&pending.name);
            found.push(Reply::Array(vec![id_reply(id), name, count_reply(idle), count_reply(pending.times)]));
        }
        if found.len() as u64 >= filter.count { Flow::Stop } else { Flow::More }
    };
    let Some(consumer) = consumer else {
        stream.walk_pending(&group, filter.range, &mut |(id, pending)| -> Result<Flow> {
            Ok(tell(*id, pending))
        })?;
        return Ok(Reply::Array(found));
    };
    let mut from = Some(filter.range.0);
    while let Some(start) = from.take() {
        let ids = pending_ids(&mut stream, &group, &consumer, start)?;
        for &id in &ids {
            if id > filter.range.1 {
                return Ok(Reply::Array(found));
            }
            if let Some(pending) = stream.pending(&group, id)?
                && tell(id, &pending) == Flow::Stop
            {
                return Ok(Reply::Array(found));
            }
        }
        from = ids.last().filter(|_| ids.len() == IDS_AT_A_TIME).and_then(|last| last.next());
    }
    Ok(Reply::Array(found))
}

/// Ids of what is pending for a consumer that are looked at together.
const IDS_AT_A_TIME: usize = 256;

fn pending_ids(
    stream: &mut Stream<'_, '_>,
    group: &ConsumerGroup,
    consumer: &Consumer,
    from: StreamId,
) -> Result<Vec<StreamId>> {
    let mut ids = Vec::new();
    stream.walk_pending_of(group, consumer, from, &mut |id| -> Result<Flow> {
        ids.push(*id);
        Ok(if ids.len() == IDS_AT_A_TIME { Flow::Stop } else { Flow::More })
    })?;
    Ok(ids)
}

/// How much is pending, between which ids, and for whom. Each consumer counts its own, see `info.rs`.
fn summary(stream: &mut Stream<'_, '_>, group: &ConsumerGroup) -> Result<Reply> {
    let consumers = stream.consumers(group)?;
    let total: u64 = consumers.iter().map(|(_, consumer)| consumer.pending).sum();
    let ends = if total == 0 { None } else { stream.pending_ends(group)? };
    let Some((first, last)) = ends else {
        return Ok(Reply::Array(vec![Reply::ZERO, Reply::Null, Reply::Null, Reply::NullArray]));
    };
    let of_each = consumers.iter().filter(|(_, consumer)| consumer.pending > 0).map(|(name, consumer)| {
        let count = consumer.pending.to_string().into_bytes();
        Reply::Array(vec![Reply::copied(name), Reply::bulk(count)])
    });
    Ok(Reply::Array(vec![
        count_reply(total),
        id_reply(first),
        id_reply(last),
        Reply::Array(of_each.collect()),
    ]))
}

/// How XCLAIM takes something over.
struct Claim {
    min_idle: u64,
    ids: Vec<StreamId>,
    told_ms: u64,
    times: Option<u64>,
    force: bool,
    just_id: bool,
    last: StreamId,
}

impl Claim {
    fn parse(args: &Args<'_>, now_ms: u64) -> Result<Self> {
        let min_idle = min_idle(args, 4, "ERR Invalid min-idle-time argument for XCLAIM")?;
        let ids: Vec<StreamId> = args.from(5).map_while(|text| strict_id(text, 0).ok()).collect();
        let mut at = 5 + ids.len();
        let (mut told, mut times, mut force, mut just_id) = (None, None, false, false);
        let mut last = StreamId::ZERO;
        while at < args.len() {
            let has_more = at + 1 < args.len();
            let int = |error| args.int(at + 1).map_err(|_| Error::line(error));
            if args.is(at, "force") {
                force = true;
            } else if args.is(at, "justid") {
                just_id = true;
            } else if args.is(at, "idle") && has_more {
                let idle = int("ERR Invalid IDLE option argument for XCLAIM")?;
                told = Some((now_ms as i64).wrapping_sub(idle));
                at += 1;
            } else if args.is(at, "time") && has_more {
                told = Some(int("ERR Invalid TIME option argument for XCLAIM")?);
                at += 1;
            } else if args.is(at, "retrycount") && has_more {
                times = u64::try_from(int("ERR Invalid RETRYCOUNT option argument for XCLAIM")?).ok();
                at += 1;
            } else if args.is(at, "lastid") && has_more {
                last = strict_id(args.get(at + 1), 0)?;
                at += 1;
            } else {
                return Err(Error::quoting("ERR Unrecognized XCLAIM option '", args.get(at), "'"));
            }
            at += 1;
        }
        // A time that cannot be is now.
        let told_ms = told.and_then(|told| u64::try_from(told).ok()).filter(|told| *told <= now_ms);
        Ok(Self { min_idle, ids, told_ms: told_ms.unwrap_or(now_ms), times, force, just_id, last })
    }
}

/// A consumer that takes over what is pending for others.
struct Claimer<'s, 't, 'g> {
    stream: Stream<'t, 'g>,
    group_name: &'s [u8],
    group: ConsumerGroup,
    /// Something is pending that is behind all that was.
    is_group_new: bool,
    name: &'s [u8],
    consumer: Consumer,
    now_ms: u64,
}

impl<'s, 't, 'g> Claimer<'s, 't, 'g> {
    fn new(
        mut stream: Stream<'t, 'g>,
        (group_name, mut group): (&'s [u8], ConsumerGroup),
        name: &'s [u8],
        now_ms: u64,
    ) -> Result<Self> {
        let consumer = stream.seen_consumer((group_name, &mut group), name)?;
        Ok(Self { stream, group_name, group, is_group_new: false, name, consumer, now_ms })
    }

    /// Forgets what is pending of an entry that is gone; says whether it is.
    fn forget_if_gone(&mut self, id: StreamId, is_pending: bool) -> Result<bool> {
        if self.stream.get(id)?.is_some() {
            return Ok(false);
        }
        if is_pending {
            // The count may be this one's own.
            self.put()?;
            self.stream.remove_pending(&self.group, &[id])?;
            if let Some(consumer) = self.stream.consumer(&self.group, self.name)? {
                self.consumer = consumer;
            }
        }
        Ok(true)
    }

    fn take(&mut self, id: StreamId, told: (u64, u64), before: Option<&Pending>) -> Result<()> {
        self.consumer.active_ms = Some(self.now_ms);
        let to = (self.name, &mut self.consumer);
        self.is_group_new |= self.stream.put_pending(&mut self.group, to, id, told, before)?;
        Ok(())
    }

    fn tell(&mut self, id: StreamId, just_id: bool) -> Result<Reply> {
        if just_id {
            return Ok(id_reply(id));
        }
        Ok(self.stream.with(id, entry_reply)?.unwrap_or(Reply::Null))
    }

    fn put(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_group_new) {
            self.stream.put_group(self.group_name, &self.group)?;
        }
        Ok(self.stream.put_consumer(&self.group, self.name, &self.consumer)?)
    }
}

fn xclaim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let now_ms = txn.now_ms();
    let mut stream = txn.stream(args.get(1))?.ok_or_else(|| missing(args))?;
    let mut group = stream.group(args.get(2))?.ok_or_else(|| missing(args))?;
    let claim = Claim::parse(args, now_ms)?;
    if claim.last > group.last {
        group.last = claim.last;
        stream.put_group(args.get(2), &group)?;
    }
    let mut claimer = Claimer::new(stream, (args.get(2), group), args.get(3), now_ms)?;
    let mut claimed = Vec::new();
    for &id in &claim.ids {
        let before = claimer.stream.pending(&claimer.group, id)?;
        if claimer.forget_if_gone(id, before.is_some())? {
            continue;
        }
        let (idle, times) = match &before {
            Some(before) => (now_ms.saturating_sub(before.told_ms), before.times),
            // One that is made for it was told once.
            None if claim.force => (u64::MAX, 1),
            None => continue,
        };
        if idle < claim.min_idle {
            continue;
        }
        let times = claim.times.unwrap_or(if claim.just_id { times } else { times.saturating_add(1) });
        claimer.take(id, (claim.told_ms, times), before.as_ref())?;
        claimed.push(claimer.tell(id, claim.just_id)?);
    }
    claimer.put()?;
    Ok(Reply::Array(claimed))
}

/// So many entries are looked at for each that is wanted.
const ATTEMPTS_FACTOR: u64 = 10;

fn xautoclaim(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply> {
    let min_idle = min_idle(args, 4, "ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let start = range_start(args.get(5))?;
    let (mut count, mut just_id) = (100, false);
    let mut at = 6;
    while at < args.len() {
        if args.is(at, "count") && at + 1 < args.len() {
            let most = i64::MAX / 16;
            let given = args.int(at + 1)?;
            if !(1..=most).contains(&given) {
                return Err(Error::line("ERR COUNT must be > 0"));
            }
            count = given.unsigned_abs();
            at += 1;
        } else if args.is(at, "justid") {
            just_id = true;
        } else {
            return Err(Error::SYNTAX);
        }
        at += 1;
    }
    let now_ms = txn.now_ms();
    let mut stream = txn.stream(args.get(1))?.ok_or_else(|| missing(args))?;
    let group = stream.group(args.get(2))?.ok_or_else(|| missing(args))?;
    // One more than is looked at: where the next call goes on.
    let mut attempts = count.saturating_mul(ATTEMPTS_FACTOR);
    let mut looked = Vec::new();
    stream.walk_pending(&group, (start, StreamId::MAX), &mut |(id, pending)| -> Result<Flow> {
        looked.push((*id, pending.clone()));
        Ok(if looked.len() as u64 > attempts { Flow::Stop } else { Flow::More })
    })?;
    let mut claimer = Claimer::new(stream, (args.get(2), group), args.get(3), now_ms)?;
    let (mut claimed, mut gone) = (Vec::new(), Vec::new());
    let mut looked = looked.into_iter().peekable();
    while attempts > 0
        && count > 0
        && let Some((id, before)) = looked.next()
    {
        attempts -= 1;
        if claimer.forget_if_gone(id, true)? {
            gone.push(id_reply(id));
            count -= 1;
            continue;
        }
        if now_ms.saturating_sub(before.told_ms) < min_idle {
            continue;
        }
        let times = if just_id { before.times } else { before.times.saturating_add(1) };
        claimer.take(id, (now_ms, times), Some(&before))?;
        claimed.push(claimer.tell(id, just_id)?);
        count -= 1;
    }
    claimer.put()?;
    let next = looked.peek().map_or(StreamId::ZERO, |(id, _)| *id);
    Ok(Reply::Array(vec![id_reply(next), Reply::Array(claimed), Reply::Array(gone)]))
}
