//! What a client sends at once, and what the replies, or that there are none, mean for the ledger.

use super::entry::{Element, EntryId, FIELD, whole, wholes};
use super::ledger::{Event, How, Reader, Shown, Span};
use super::{consumer_name, group_name, key, rest};
use crate::client::{Command, words};
use crate::queues::element;
use crate::{Reply, Result, Rng};

/// Of one command.
#[derive(Debug, Clone)]
pub enum Deed {
    Add(usize, Element),
    /// Of each stream at most so many entries.
    Read {
        streams: Vec<usize>,
        how: How,
        count: usize,
    },
    Claim {
        stream: usize,
        how: How,
        count: usize,
        auto: bool,
    },
    Ack {
        stream: usize,
        ids: Vec<EntryId>,
    },
    /// Finds out what is pending.
    Look(usize),
}

/// How commands go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Transaction,
    /// Acknowledges in a script.
    Script,
}

/// A command, or several in a transaction.
#[derive(Debug)]
pub struct Step {
    form: Form,
    commands: Vec<Command>,
    deeds: Vec<Deed>,
    by: Reader,
}

/// What a client learns beside what goes into the ledger: entries that are pending for somebody.
pub type Found = Vec<(usize, EntryId)>;

impl Step {
    pub fn plain(by: Reader, command: Command, deed: Deed) -> Self {
        Self { form: Form::Plain, commands: vec![command], deeds: vec![deed], by }
    }

    pub fn transaction(steps: Vec<Self>, by: Reader) -> Self {
        let (commands, deeds): (Vec<_>, Vec<_>) =
            steps.into_iter().map(|step| (step.commands, step.deeds)).unzip();
        let inner = commands.into_iter().flatten();
        let commands = std::iter::once(words("MULTI")).chain(inner).chain([words("EXEC")]).collect();
        Self { form: Form::Transaction, commands, deeds: deeds.into_iter().flatten().collect(), by }
    }

    pub fn add(by: Reader, stream: usize, element: Element) -> Self {
        let mut command = words(&format!("XADD {} * {FIELD}", key(stream)));
        command.push(element::text(element));
        Self::plain(by, command, Deed::Add(stream, element))
    }

    pub fn read_new(by: Reader, streams: Vec<usize>, count: usize, block_ms: Option<u64>) -> Self {
        let block = block_ms.map_or_else(String::new, |ms| format!("BLOCK {ms}"));
        let keys: Vec<String> = streams.iter().map(|stream| key(*stream)).collect();
        let (keys, ids) = (keys.join(" "), vec![">"; streams.len()].join(" "));
        let line = format!("XREADGROUP {} COUNT {count} {block} STREAMS {keys} {ids}", who(by));
        Self::plain(by, words(&line), Deed::Read { streams, how: How::New, count })
    }

    /// What is pending for the consumer itself.
    pub fn read_again(by: Reader, stream: usize, behind: EntryId, count: usize) -> Self {
        let line = format!("XREADGROUP {} COUNT {count} STREAMS {} {behind}", who(by), key(stream));
        Self::plain(by, words(&line), Deed::Read { streams: vec![stream], how: How::Again, count })
    }

    pub fn claim(by: Reader, stream: usize, ids: &[EntryId], only_ids: bool) -> Self {
        let (option, how) = if only_ids { ("JUSTID", How::ClaimedIds) } else { ("", How::Claimed) };
        let (group, consumer) = (group_name(by.group), consumer_name(by.consumer));
        let line = format!("XCLAIM {} {group} {consumer} 0 {} {option}", key(stream), joined(ids));
        Self::plain(by, words(&line), Deed::Claim { stream, how, count: ids.len(), auto: false })
    }

    pub fn autoclaim(by: Reader, stream: usize, from: EntryId, count: usize, only_ids: bool) -> Self {
        let (option, how) = if only_ids { ("JUSTID", How::ClaimedIds) } else { ("", How::Claimed) };
        let (group, consumer) = (group_name(by.group), consumer_name(by.consumer));
        let line = format!("XAUTOCLAIM {} {group} {consumer} 0 {from} COUNT {count} {option}", key(stream));
        Self::plain(by, words(&line), Deed::Claim { stream, how, count, auto: true })
    }

    pub fn ack(by: Reader, stream: usize, ids: Vec<EntryId>) -> Self {
        let line = format!("XACK {} {} {}", key(stream), group_name(by.group), joined(&ids));
        Self::plain(by, words(&line), Deed::Ack { stream, ids })
    }

    pub fn ack_in_script(by: Reader, stream: usize, ids: Vec<EntryId>) -> Self {
        let code = "return redis.call('XACK', KEYS[1], unpack(ARGV))";
        let mut command = vec![b"EVAL".to_vec(), code.as_bytes().to_vec()];
        command.extend(words(&format!("1 {} {} {}", key(stream), group_name(by.group), joined(&ids))));
        Self { form: Form::Script, ..Self::plain(by, command, Deed::Ack { stream, ids }) }
    }

    /// What is pending for one of the group.
    pub fn look(by: Reader, stream: usize, whose: usize, count: usize) -> Self {
        let (group, consumer) = (group_name(by.group), consumer_name(whose));
        let line = format!("XPENDING {} {group} - + {count} {consumer}", key(stream));
        Self::plain(by, words(&line), Deed::Look(stream))
    }

    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// What the answers say, one to each command. An error is one that no client may see.
    pub fn answered(self, replies: &[Reply], span: Span) -> Result<(Vec<Event>, Found)> {
        let shown = || {
            let first = self.deeds.first();
            format!("{:?} ({:?}): {first:?}: {replies:?}", self.by, self.form)
        };
        let inner = match (self.form, replies) {
            (Form::Transaction, [.., exec]) => exec.items(),
            _ => Some(replies),
        };
        let inner = inner.filter(|inner| inner.len() == self.deeds.len());
        let inner = inner.ok_or_else(|| format!("not as many replies as there should be: {}", shown()))?;
        let (mut events, mut found, mut added) = (Vec::new(), Vec::new(), Vec::new());
        for (deed, reply) in self.deeds.iter().zip(inner) {
            let outcome = match deed {
                Deed::Add(stream, element) => {
                    EntryId::of(reply).map(|id| added.push((*stream, id, *element)))
                }
                Deed::Look(stream) => looked(*stream, reply).map(|ids| found.extend(ids)),
                deed => answered(deed, self.by, reply, span).map(|new| events.extend(new)),
            };
            outcome.map_err(|error| format!("{error}: {}", shown()))?;
        }
        if !added.is_empty() {
            events.push(Event::Added(span, added));
        }
        Ok((events, found))
    }

    /// What it may have done if nobody will ever know.
    pub fn unanswered(self) -> Vec<Event> {
        let (by, mut added, mut events) = (self.by, Vec::new(), Vec::new());
        for deed in self.deeds {
            match deed {
                Deed::Add(stream, element) => added.push((stream, element)),
                Deed::Read { streams, how, count } => {
                    let maybe = |stream| Event::MaybeShown { stream, to: by, how, count };
                    events.extend(streams.into_iter().map(maybe));
                }
                Deed::Claim { stream, how, count, .. } => {
                    events.push(Event::MaybeShown { stream, to: by, how, count });
                }
                Deed::Ack { stream, ids } => {
                    events.push(Event::MaybeAcked { stream, group: by.group, ids });
                }
                Deed::Look(_) => {}
            }
        }
        if !added.is_empty() {
            events.push(Event::MaybeAdded(added));
        }
        events
    }
}

fn who(by: Reader) -> String {
    format!("GROUP {} {}", group_name(by.group), consumer_name(by.consumer))
}

fn joined(ids: &[EntryId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn looked(stream: usize, reply: &Reply) -> Result<Found> {
    let items = reply.items().ok_or("no list")?;
    items.iter().map(|item| Ok((stream, rest::pending(item)?.id))).collect()
}

fn answered(deed: &Deed, by: Reader, reply: &Reply, span: Span) -> Result<Vec<Event>> {
    let shown = |stream, how, entries| Event::Shown(Shown { span, stream, to: by, how, entries });
    let some = |entries: Vec<(EntryId, Element)>| -> Vec<(EntryId, Option<Element>)> {
        entries.into_iter().map(|(id, element)| (id, Some(element))).collect()
    };
    match deed {
        Deed::Read { .. } if reply.is_null() => Ok(Vec::new()),
        Deed::Read { streams, how, count } => {
            let mut events = Vec::new();
            for item in reply.items().ok_or("no list of streams")? {
                let Some([name, entries]) = item.items() else { return Err("no stream".into()) };
                let stream = streams.iter().copied().find(|at| name.bytes() == Some(key(*at).as_bytes()));
                let entries = wholes(entries)?;
                if entries.len() > *count {
                    return Err(format!("more than {count}").into());
                }
                if *how == How::New && entries.is_empty() {
                    return Err("a stream without anything new".into());
                }
                events.push(shown(stream.ok_or("a stream that was not asked for")?, *how, some(entries)));
            }
            Ok(events)
        }
        Deed::Claim { stream, how, count, auto } => {
            let entries = match (auto, reply.items()) {
                (false, Some(entries)) => entries,
                (true, Some([_, entries, gone])) if gone.items() == Some(&[]) => {
                    entries.items().ok_or("no list")?
                }
                _ => return Err("no list, or entries that are gone".into()),
            };
            if entries.len() > *count {
                return Err(format!("more than {count}").into());
            }
            let one = |entry: &Reply| match how {
                How::ClaimedIds => Ok((EntryId::of(entry)?, None)),
                _ => whole(entry).map(|(id, element)| (id, Some(element))),
            };
            let entries = entries.iter().map(one).collect::<Result<Vec<_>>>()?;
            Ok(if entries.is_empty() { Vec::new() } else { vec![shown(*stream, *how, entries)] })
        }
        Deed::Ack { stream, ids } => {
            let count = reply.integer().ok_or("no number")?;
            Ok(vec![Event::Acked { span, stream: *stream, group: by.group, ids: ids.clone(), count }])
        }
        Deed::Add(..) | Deed::Look(_) => Ok(Vec::new()),
    }
}

/// Some of the streams.
pub fn some_streams(rng: &mut Rng) -> Vec<usize> {
    let first = rng.below(super::STREAMS);
    let count = if rng.chance(60) { 1 } else { 1 + rng.below(super::STREAMS) };
    (first..first + count).map(|at| at % super::STREAMS).collect()
}
