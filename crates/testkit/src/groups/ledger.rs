//! What went into streams, what each group was told of it and has acknowledged, and whether all that can be. Pure.
//!
//! Entries are never deleted before everybody has acknowledged them. So a group is told all of them, in the order of
//! their ids, and each once as new; one that was acknowledged is never shown again; and what is pending is what was told and
//! not acknowledged. Commands without a reply have had their effect or not: of that the verdict uses no more than it
//! needs.

use super::entry::{Element, EntryId};
use super::group::{GroupBook, GroupRest};
use crate::Result;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

pub const STREAMS: usize = 3;
pub const GROUPS: usize = 3;

/// When a command was sent, and when its reply had come, in nanoseconds of one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub sent: u64,
    pub received: u64,
}

/// Who is told something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    pub group: usize,
    pub consumer: usize,
}

/// Why entries are shown to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// They are new to the group.
    New,
    /// They are pending for the consumer.
    Again,
    /// It has taken them from another one.
    Claimed,
    /// The same, but was told ids only: that does not count as having been told.
    ClaimedIds,
}

/// What one client knows of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Of one command, or one transaction: stream, id, element.
    Added(Span, Vec<(usize, EntryId, Element)>),
    /// The same without a reply: all of it, or nothing.
    MaybeAdded(Vec<(usize, Element)>),
    Shown(Shown),
    /// A command without a reply, by which so many entries of a stream may have been shown.
    MaybeShown {
        stream: usize,
        to: Reader,
        how: How,
        count: usize,
    },
    /// So many of them were pending.
    Acked {
        span: Span,
        stream: usize,
        group: usize,
        ids: Vec<EntryId>,
        count: i64,
    },
    MaybeAcked {
        stream: usize,
        group: usize,
        ids: Vec<EntryId>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub span: Span,
    pub stream: usize,
    pub to: Reader,
    pub how: How,
    /// Without what is in them if only ids were told.
    pub entries: Vec<(EntryId, Option<Element>)>,
}

/// What is found of a stream when nobody uses it.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// As XLEN, and XINFO's entries-added and last-generated-id say.
    pub len: i64,
    pub added: i64,
    pub last: EntryId,
    pub entries: Vec<(EntryId, Element)>,
    pub groups: [GroupRest; GROUPS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    pub added: u64,
    /// Entries of unanswered additions that were there.
    pub unanswered_added: u64,
    /// By all groups: what they were told as new, of that to somebody whom the reply did not reach, what was shown
    /// once more, and what is pending.
    pub told: u64,
    pub told_unseen: u64,
    pub shown_again: u64,
    pub acked: u64,
    pub pending: u64,
    /// What groups have not been told.
    pub untold: u64,
}

/// What is known of a stream since it was compared last.
#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<EntryId, Element>,
    last: EntryId,
    /// How many entries were ever added.
    total: u64,
    groups: [GroupBook; GROUPS],
    added: Vec<(EntryId, Span, Element)>,
}

#[derive(Debug)]
pub struct Ledger {
    books: [Book; STREAMS],
    unanswered: Vec<Vec<(usize, Element)>>,
    /// A crash leaves alone what is counted beside the entries: how many a group was told, and how often each.
    keeps_counts: bool,
}

impl Ledger {
    pub fn new(keeps_counts: bool) -> Self {
        Self { books: Default::default(), unanswered: Vec::new(), keeps_counts }
    }

    pub fn record(&mut self, event: Event) {
        match event {
            Event::Added(span, entries) => {
                for (stream, id, element) in entries {
                    self.books[stream].added.push((id, span, element));
                }
            }
            Event::MaybeAdded(elements) => self.unanswered.push(elements),
            Event::Shown(shown) => self.books[shown.stream].groups[shown.to.group].shown.push(shown),
            Event::MaybeShown { stream, to, how, count } => {
                self.books[stream].groups[to.group].maybe_shown.push((to.consumer, how, count));
            }
            Event::Acked { span, stream, group, ids, count } => {
                self.books[stream].groups[group].acked.push((span, ids, count));
            }
            Event::MaybeAcked { stream, group, ids } => {
                self.books[stream].groups[group].maybe_acked.extend(ids);
            }
        }
    }

    /// Compares with what is there; the ledger goes on from that.
    pub fn settle(&mut self, rests: &[Rest; STREAMS]) -> Result<Verdict> {
        let mut verdict = Verdict { unanswered_added: self.settle_unanswered(rests)?, ..Verdict::default() };
        let maybe: HashSet<(usize, Element)> =
            std::mem::take(&mut self.unanswered).into_iter().flatten().collect();
        for (stream, (book, rest)) in self.books.iter_mut().zip(rests).enumerate() {
            let may_be_there = |element| maybe.contains(&(stream, element));
            book.settle(rest, &may_be_there, &mut verdict)
                .map_err(|error| format!("stream {stream}: {error}"))?;
            let entries: Vec<(EntryId, Element)> = book.entries.iter().map(|(id, e)| (*id, *e)).collect();
            for (group, (of_group, rest)) in book.groups.iter_mut().zip(&rest.groups).enumerate() {
                of_group
                    .settle(&entries, book.total, rest, self.keeps_counts, &mut verdict)
                    .map_err(|error| format!("stream {stream}, group {group}: {error}"))?;
            }
        }
        Ok(verdict)
    }

    /// What a transaction without a reply has added is there in all of its streams, or in none. How many are there.
    fn settle_unanswered(&self, rests: &[Rest; STREAMS]) -> Result<u64> {
        let there: HashSet<(usize, Element)> = rests
            .iter()
            .enumerate()
            .flat_map(|(stream, rest)| rest.entries.iter().map(move |(_, element)| (stream, *element)))
            .collect();
        let mut found = 0;
        for elements in &self.unanswered {
            let count = elements.iter().filter(|element| there.contains(element)).count();
            if count != 0 && count != elements.len() {
                return Err(format!("half of a transaction is there: {elements:?}").into());
            }
            found += count as u64;
        }
        Ok(found)
    }

    /// Up to where everybody has acknowledged everything: what lies in front of it may be removed.
    pub fn done_below(&self, stream: usize) -> EntryId {
        self.books[stream].groups.iter().map(GroupBook::done_below).min().unwrap_or_default()
    }

    /// Entries in front of an id were removed.
    pub fn trimmed(&mut self, stream: usize, below: EntryId) {
        let book = &mut self.books[stream];
        book.entries = book.entries.split_off(&below);
    }

    /// How many entries each group was not told.
    pub fn untold(&self) -> [[i64; GROUPS]; STREAMS] {
        let of_book =
            |book: &Book| std::array::from_fn(|group| book.total as i64 - book.groups[group].told() as i64);
        std::array::from_fn(|stream| of_book(&self.books[stream]))
    }

    /// What is pending in a group: its ids.
    pub fn pending(&self, stream: usize, group: usize) -> BTreeSet<EntryId> {
        self.books[stream].groups[group].pending_ids()
    }
}

impl Book {
    /// The entries: those of before, those that were added, and of those without a reply as many as there are.
    fn settle(
        &mut self,
        rest: &Rest,
        may_be_there: &dyn Fn(Element) -> bool,
        verdict: &mut Verdict,
    ) -> Result {
        if rest.len != rest.entries.len() as i64 {
            return Err(format!("its length is {}, but it holds {}", rest.len, rest.entries.len()).into());
        }
        if let Some(pair) = rest.entries.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(format!("{} is followed by {}", pair[0].0, pair[1].0).into());
        }
        let there: BTreeMap<EntryId, Element> = rest.entries.iter().copied().collect();
        let mut elements = HashMap::new();
        for (id, element) in &there {
            if let Some(other) = elements.insert(element, id) {
                return Err(format!("{element} is there twice, as {other} and as {id}").into());
            }
        }
        let certain = self.entries.iter().chain(self.added.iter().map(|(id, _, element)| (id, element)));
        for (id, element) in certain {
            match there.get(id) {
                Some(found) if found == element => {}
                found => return Err(format!("{id} was added with {element}, and is {found:?}").into()),
            }
        }
        let added: BTreeSet<EntryId> = self.added.iter().map(|(id, ..)| *id).collect();
        let new = there.iter().filter(|(id, _)| !self.entries.contains_key(id));
        let mut count = 0;
        for (id, element) in new {
            if !added.contains(id) && !may_be_there(*element) {
                return Err(format!("{id} is there with {element}, which nobody has added").into());
            }
            if *id <= self.last {
                return Err(format!("{id} was added behind {}", self.last).into());
            }
            count += 1;
        }
        in_order(self.added.iter().map(|(id, span, _)| (*id, *span)))?;
        self.total += count;
        self.last = there.keys().last().copied().unwrap_or(self.last).max(self.last);
        if rest.added != self.total as i64 || rest.last != self.last {
            return Err(format!(
                "{} entries were added, the last as {}, but it counts {} up to {}",
                self.total, self.last, rest.added, rest.last
            )
            .into());
        }
        verdict.added += count;
        self.entries = there;
        self.added.clear();
        Ok(())
    }
}

/// Whatever had been answered before something else was sent has the smaller id.
pub(super) fn in_order(things: impl Iterator<Item = (EntryId, Span)>) -> Result {
    let mut things: Vec<(EntryId, Span)> = things.collect();
    things.sort_by_key(|(id, _)| *id);
    let mut earliest: Option<(EntryId, u64)> = None;
    for (id, span) in things.iter().rev() {
        if let Some((later, received)) = earliest
            && received < span.sent
        {
            return Err(format!("{later} had been answered before {id} was asked for").into());
        }
        if earliest.is_none_or(|(_, received)| span.received < received) {
            earliest = Some((*id, span.received));
        }
    }
    Ok(())
}
