//! What went into the shared collections, what came out of them, and whether the two agree. Pure.
//!
//! Without a crash there is one answer. A crash leaves commands without replies: an unanswered push
//! is there wholly or not at all, and an unanswered pop has taken at most as many as it asked for. Both are
//! bounds, and the verdict uses no more of them than it needs.

use crate::Result;
use std::collections::HashSet;

pub type Id = u64;
type Ids = HashSet<Id>;

/// A shared collection. Elements enter `Second` only by being moved from `Hot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Hot,
    Second,
    Set,
    Hash,
    SortedSet,
}

pub const QUEUES: [Queue; 5] = [Queue::Hot, Queue::Second, Queue::Set, Queue::Hash, Queue::SortedSet];

impl Queue {
    /// Both lists lie in one slot, because elements move between them.
    pub fn key(self) -> &'static str {
        match self {
            Self::Hot => "{lists}:hot",
            Self::Second => "{lists}:second",
            Self::Set => "the:set",
            Self::Hash => "the:hash",
            Self::SortedSet => "the:zset",
        }
    }
}

/// What one client knows of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Added(Queue, Vec<Id>),
    /// The elements of one command without a reply.
    MaybeAdded(Queue, Vec<Id>),
    Taken(Queue, Vec<Id>),
    /// A pop without a reply, and how many it asked for.
    MaybeTaken(Queue, usize),
    /// The same, of whichever list had some.
    MaybeTakenFromAList(usize),
    /// A removal by name without a reply.
    MaybeRemoved(Queue, Id),
    /// From `Hot` to `Second`.
    Moved(Id),
    MaybeMoved,
    /// It was shown to somebody.
    Seen(Queue, Id),
}

/// What is found in a collection when nobody uses it.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    /// As LLEN and its like say.
    pub len: i64,
    pub ids: Vec<Id>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verdict {
    pub added: u64,
    pub taken: u64,
    pub left: u64,
    /// Elements that must have gone to somebody who was not told.
    pub gone_unseen: u64,
    /// Elements of unanswered pushes that were there.
    pub unanswered_added: u64,
}

#[derive(Debug, Default)]
struct Book {
    added: Ids,
    unanswered: Vec<Vec<Id>>,
    taken: Ids,
    removed_perhaps: Ids,
    seen: Ids,
    /// How many elements pops without a reply may have taken.
    pops: usize,
    rest: Ids,
}

impl Book {
    fn came_out_or_stayed(&self) -> impl Iterator<Item = &Id> {
        self.taken.iter().chain(&self.rest)
    }

    fn has(&self, id: Id) -> bool {
        self.taken.contains(&id) || self.rest.contains(&id)
    }

    /// Counts what is of a command without a reply, if any of it was seen. Says how many.
    fn promote(&mut self, is_known: impl Fn(Id) -> bool) -> u64 {
        let mut promoted = 0;
        for group in std::mem::take(&mut self.unanswered) {
            if group.iter().any(|&id| is_known(id) || self.has(id) || self.seen.contains(&id)) {
                promoted += group.len() as u64;
                self.added.extend(group);
            }
        }
        promoted
    }

    fn check_known(&self, queue: Queue) -> Result {
        match self.came_out_or_stayed().chain(&self.seen).find(|id| !self.added.contains(*id)) {
            Some(id) => {
                Err(format!("{queue:?}: {id} is there, but was never added, or was taken before").into())
            }
            None => Ok(()),
        }
    }
}

#[derive(Debug, Default)]
pub struct Ledger {
    books: [Book; QUEUES.len()],
    moved: Ids,
    moves: usize,
    list_pops: usize,
    /// The first thing that cannot be, whatever else is found.
    fault: Option<String>,
}

impl Ledger {
    fn book(&mut self, queue: Queue) -> &mut Book {
        &mut self.books[queue as usize]
    }

    fn view(&self, queue: Queue) -> &Book {
        &self.books[queue as usize]
    }

    /// How many elements each collection holds after [`Self::settle`].
    pub fn left(&self) -> [i64; QUEUES.len()] {
        QUEUES.map(|queue| self.view(queue).added.len() as i64)
    }

    fn accuse(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    pub fn record(&mut self, event: Event) {
        match event {
            Event::Added(queue, ids) => self.book(queue).added.extend(ids),
            Event::MaybeAdded(queue, ids) => self.book(queue).unanswered.push(ids),
            Event::Taken(queue, ids) => {
                for id in ids {
                    if !self.book(queue).taken.insert(id) {
                        self.accuse(format!("{queue:?}: {id} came out twice"));
                    }
                }
            }
            Event::MaybeTaken(queue, count) => self.book(queue).pops += count,
            Event::MaybeTakenFromAList(count) => self.list_pops += count,
            Event::MaybeRemoved(queue, id) => {
                self.book(queue).removed_perhaps.insert(id);
            }
            Event::Moved(id) => {
                if !self.moved.insert(id) {
                    self.accuse(format!("{id} was moved twice"));
                }
            }
            Event::MaybeMoved => self.moves += 1,
            Event::Seen(queue, id) => {
                self.book(queue).seen.insert(id);
            }
        }
    }

    /// Compares with what is there, in the order of [`QUEUES`]; the ledger goes on from that.
    pub fn settle(&mut self, rests: &[Rest; QUEUES.len()]) -> Result<Verdict> {
        if let Some(fault) = self.fault.take() {
            return Err(fault.into());
        }
        for (queue, rest) in QUEUES.into_iter().zip(rests) {
            self.count(queue, rest)?;
        }
        let mut verdict = Verdict::default();
        for queue in [Queue::Set, Queue::Hash, Queue::SortedSet] {
            verdict.unanswered_added += self.book(queue).promote(|_| false);
            verdict.gone_unseen += self.settle_one(queue)?;
        }
        self.settle_lists(&mut verdict)?;
        for book in &self.books {
            verdict.added += book.added.len() as u64;
            verdict.taken += book.taken.len() as u64;
            verdict.left += book.rest.len() as u64;
        }
        let moved = std::mem::take(&mut self.moved).len() as u64;
        verdict.added -= moved;
        let rests = std::mem::take(&mut self.books).map(|book| book.rest);
        *self = Self { books: rests.map(|added| Book { added, ..Book::default() }), ..Self::default() };
        Ok(verdict)
    }

    /// Each once, as many as the length says, and none that has come out.
    fn count(&mut self, queue: Queue, rest: &Rest) -> Result {
        let book = self.book(queue);
        for &id in &rest.ids {
            if !book.rest.insert(id) {
                return Err(format!("{queue:?}: {id} is there twice").into());
            }
            if book.taken.contains(&id) {
                return Err(format!("{queue:?}: {id} came out and is there").into());
            }
        }
        if rest.len != rest.ids.len() as i64 {
            let found = rest.ids.len();
            return Err(format!("{queue:?}: its length is {}, but it holds {found}", rest.len).into());
        }
        Ok(())
    }

    /// A collection that is filled and drained, but nothing else. Says how many are gone unseen.
    fn settle_one(&self, queue: Queue) -> Result<u64> {
        let book = self.view(queue);
        book.check_known(queue)?;
        let gone = book.added.iter().filter(|id| !book.has(**id));
        let lost: Vec<Id> = gone.clone().filter(|id| !book.removed_perhaps.contains(*id)).copied().collect();
        within(queue, &lost, book.pops)?;
        Ok(gone.count() as u64)
    }

    fn settle_lists(&mut self, verdict: &mut Verdict) -> Result {
        let [mut hot, mut second] = self.books_of_lists();
        verdict.unanswered_added +=
            hot.promote(|id| self.moved.contains(&id) || (second.has(id) && !second.added.contains(&id)));
        if let Some(id) = self.moved.iter().find(|id| hot.has(**id)) {
            return Err(format!("{id} was moved, and is in the first list or came out of it").into());
        }
        if let Some(id) = self.moved.iter().find(|id| !hot.added.contains(*id)) {
            return Err(format!("{id} was moved, but was never added").into());
        }
        hot.check_known(Queue::Hot)?;
        // What was moved by somebody who was not told.
        second.added.extend(&self.moved);
        let crossed: Vec<Id> =
            second.came_out_or_stayed().filter(|id| !second.added.contains(*id)).copied().collect();
        if let Some(id) = crossed.iter().find(|id| !hot.added.contains(*id) || hot.has(**id)) {
            return Err(format!("Second: {id} is there, but could not be moved there").into());
        }
        let spare_moves = self.moves.checked_sub(crossed.len());
        let spare_moves = spare_moves.ok_or_else(|| format!("{crossed:?} were moved by nobody"))?;
        second.added.extend(&crossed);
        let lost_second: Vec<Id> = second.added.iter().filter(|id| !second.has(**id)).copied().collect();
        within(Queue::Second, &lost_second, second.pops + self.list_pops)?;
        let is_lost = |id: &&Id| !hot.has(**id) && !second.added.contains(*id);
        let lost_hot: Vec<Id> = hot.added.iter().filter(is_lost).copied().collect();
        // Popped from the first list, or moved and then popped from the second.
        let either = self.list_pops - lost_second.len().saturating_sub(second.pops);
        let moved_and_popped = spare_moves.min(second.pops.saturating_sub(lost_second.len()));
        within(Queue::Hot, &lost_hot, hot.pops + either + moved_and_popped)?;
        verdict.gone_unseen += (lost_second.len() + lost_hot.len()) as u64;
        // Those count as moved, so that additions are counted once.
        self.moved.extend(crossed);
        self.books[Queue::Hot as usize] = hot;
        self.books[Queue::Second as usize] = second;
        Ok(())
    }

    fn books_of_lists(&mut self) -> [Book; 2] {
        [std::mem::take(self.book(Queue::Hot)), std::mem::take(self.book(Queue::Second))]
    }
}

fn within(queue: Queue, lost: &[Id], possible: usize) -> Result {
    const SHOWN: usize = 20;
    if lost.len() <= possible {
        return Ok(());
    }
    let shown = lost.get(..SHOWN).unwrap_or(lost);
    Err(format!(
        "{queue:?}: {} elements are lost, of which pops without a reply explain {possible}: {shown:?}",
        lost.len()
    )
    .into())
}
