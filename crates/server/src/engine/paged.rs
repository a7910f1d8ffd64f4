//! Replies that are told page by page, of a snapshot that is kept between two pages. A page is made when
//! the client has taken most of what came before it: whatever a reply is in all, so much of it is in
//! memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::limits;
use command::paged::{Page, Paged, Progress, Shape};
use parking_lot::Mutex;
use resp::{Protocol, Reply};
use store::{Cancel, Parked, Scratch};

use crate::admission::PeerName;
use crate::engine::heavy::Caller;
use crate::engine::node::Node;
use crate::engine::snapshots::{Kind, Reader};
use crate::net::dispatch::left_reply;
use crate::net::output::Encoded;
use crate::table::Entry;

/// How replies are told page by page.
#[derive(Clone, Debug)]
pub struct PagedOptions {
    /// Where a page ends. A client is sent the next one when it has no more than this left to take.
    pub page_bytes: usize,
    /// Replies at a time, of all clients.
    pub replies_max: usize,
    /// A client that does not take a page in this time is disconnected.
    pub timeout: Duration,
}

impl Default for PagedOptions {
    fn default() -> Self {
        Self {
            page_bytes: limits::PAGE_BYTES,
            replies_max: limits::PAGED_REPLIES_MAX,
            timeout: Duration::from_millis(limits::PAGE_TIMEOUT_MS),
        }
    }
}

/// How many paged replies there are, and what became of others.
#[derive(Default)]
pub struct PagedReplies {
    open: Mutex<Open>,
    next_id: AtomicU64,
    pub begun: AtomicU64,
    pub pages: AtomicU64,
    /// Told BUSY because there were too many.
    pub rejected: AtomicU64,
    /// Cut off because their clients did not take them.
    pub cut_off: AtomicU64,
    /// Cut off because their places were given to peers with fewer of them.
    pub displaced: AtomicU64,
    /// Cut off because too much was kept in memory for them.
    pub costly: AtomicU64,
    /// Cut off because they could not be told to their end.
    pub failed: AtomicU64,
}

/// Those that have a place, by when they began.
type Open = BTreeMap<u64, Telling>;

/// A reply that is being told.
#[derive(Clone, Copy)]
struct Telling {
    reader: Reader,
    peer: PeerName,
    /// When its latest page was made.
    progressed: Instant,
}

/// Which reply gives its place to one for a newcomer, as work that waits for the heavy pool does: of the peers that have
/// most, if that is more than the newcomer has even then, the one whose client has taken nothing for the longest time. So
/// the places are divided evenly, whoever came first, and two peers do not take them from each other in turns.
fn displaced(open: &Open, newcomer: PeerName) -> Option<u64> {
    let mut counts: HashMap<PeerName, usize> = HashMap::new();
    open.values().for_each(|telling| *counts.entry(telling.peer).or_default() += 1);
    let most = counts.values().max().copied()?;
    if counts.get(&newcomer).map_or(0, |count| *count) + 1 >= most {
        return None;
    }
    let of_most = open.iter().filter(|(_, telling)| counts.get(&telling.peer) == Some(&most));
    of_most.min_by_key(|(_, telling)| telling.progressed).map(|(id, _)| *id)
}

/// A place among the paged replies.
pub struct Slot {
    replies: Arc<PagedReplies>,
    id: u64,
}

impl Slot {
    /// Its client has taken enough for another page.
    fn progressed(&self) {
        if let Some(telling) = self.replies.open.lock().get_mut(&self.id) {
            telling.progressed = Instant::now();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.replies.open.lock().remove(&self.id);
    }
}

impl PagedReplies {
    /// How many there are now.
    pub fn open(&self) -> usize {
        self.open.lock().len()
    }

    /// The one that began first: it has the oldest snapshot.
    pub fn oldest(&self) -> Option<Reader> {
        self.open.lock().values().next().map(|telling| telling.reader)
    }

    /// Takes a place, if there is one; maybe that of another reply, which is to be cut off then.
    fn begin(self: &Arc<Self>, caller: &Caller, replies_max: usize) -> Option<(Slot, Option<Telling>)> {
        let &Caller { client, peer, .. } = caller;
        let (mut open, mut other) = (self.open.lock(), None);
        if open.len() >= replies_max {
            other = displaced(&open, peer).and_then(|id| open.remove(&id));
            if other.is_none() {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        }
        let (id, now) = (self.next_id.fetch_add(1, Ordering::Relaxed), Instant::now());
        let reader = Reader { client, since: now, kind: Kind::Paged };
        open.insert(id, Telling { reader, peer, progressed: now });
        self.begun.fetch_add(1, Ordering::Relaxed);
        Some((Slot { replies: self.clone(), id }, other))
    }
}

/// A reply has lost its place. A part of it has been told, so that its client can be told nothing else.
fn cut_off(node: &Node, Telling { reader, peer, progressed }: Telling, newcomer: PeerName) {
    let (client, idle_ms) = (reader.client, progressed.elapsed().as_millis() as u64);
    tracing::warn!(client, %peer, idle_ms, %newcomer, "cut off: its peer has most of the long replies, and another needs a place");
    node.paged.displaced.fetch_add(1, Ordering::Relaxed);
    if let Some(client) = node.clients.get(client) {
        client.kill();
    }
}

/// What a group has to say.
pub enum Part {
    Whole(Reply),
    Paged { group: u16, parked: Option<Box<Parked>>, paged: Box<Paged> },
}

impl Part {
    pub fn is_paged(&self) -> bool {
        matches!(self, Self::Paged { .. })
    }

    /// What it says if it is told at once.
    pub fn reply(self) -> Reply {
        match self {
            Self::Whole(reply) => reply,
            Self::Paged { paged, .. } => command::Error::Paged(paged).reply(),
        }
    }

    fn entries(&self) -> u64 {
        match self {
            Self::Whole(Reply::Array(items)) => items.len() as u64,
            Self::Whole(_) => 0,
            Self::Paged { paged, .. } => paged.entries(),
        }
    }

    fn fill(
        &mut self,
        node: &Node,
        cancel: &Cancel,
        scratch: &mut Scratch,
        page: &mut Page,
    ) -> Result<Progress, Reply> {
        let (group, parked, paged) = match self {
            Self::Whole(Reply::Array(items)) => {
                items.iter().for_each(|item| page.value(item));
                return Ok(Progress::Done);
            }
            Self::Whole(_) => return Ok(Progress::Done),
            Self::Paged { group, parked, paged } => (*group, parked, paged),
        };
        let (Some(group), Some(snapshot)) = (node.groups.get(usize::from(group)), parked.take()) else {
            return Err(Reply::error("ERR the snapshot of this reply is gone"));
        };
        let resumed = group.store.resume(*snapshot, cancel, scratch, |txn| paged.fill(txn, page));
        let (progress, snapshot) = resumed.map_err(|left| left_reply(&left))?;
        *parked = Some(Box::new(snapshot));
        progress.map_err(command::Error::reply)
    }
}

/// The part of a reply that has not been told yet.
pub struct Flow {
    /// The command whose reply it is.
    pub entry: &'static Entry,
    parts: VecDeque<Part>,
    shape: Shape,
    protocol: Protocol,
    page_bytes: usize,
    /// Once it is known that one page is not enough.
    slot: Option<Slot>,
}

/// How a reply of several pages begins.
pub enum Begun {
    /// The first page, and what is left.
    Told(Encoded, Option<Box<Flow>>),
    /// It cannot be told.
    Refused(Reply),
    /// There are too many paged replies.
    Busy,
}

impl Flow {
    /// The first page of a reply that has all of these parts.
    pub fn begin(
        node: &Node,
        (entry, caller): (&'static Entry, &Caller),
        parts: Vec<Part>,
        cancel: &Cancel,
        scratch: &mut Scratch,
    ) -> Begun {
        let mut shape = Shape::Array;
        for part in &parts {
            match part {
                Part::Whole(error @ Reply::Error(_)) => return Begun::Refused(error.clone()),
                Part::Whole(_) => {}
                Part::Paged { paged, .. } => shape = paged.shape(),
            }
        }
        let mut head = Vec::new();
        let protocol = caller.protocol;
        shape.header(parts.iter().map(Part::entries).sum(), protocol, &mut head);
        let options = &node.config.paged;
        let mut flow =
            Self { entry, parts: parts.into(), shape, protocol, page_bytes: options.page_bytes, slot: None };
        let page = match flow.page(node, cancel, scratch, head) {
            Ok(page) => page,
            Err(reply) => return Begun::Refused(reply),
        };
        if flow.parts.is_empty() {
            return Begun::Told(page, None);
        }
        let Some((slot, other)) = node.paged.begin(caller, options.replies_max) else { return Begun::Busy };
        flow.slot = Some(slot);
        if let Some(other) = other {
            cut_off(node, other, caller.peer);
        }
        node.paged.pages.fetch_add(1, Ordering::Relaxed);
        Begun::Told(page, Some(Box::new(flow)))
    }

    /// The next page, and what is left then.
    pub fn next(
        mut self: Box<Self>,
        node: &Node,
        cancel: &Cancel,
        scratch: &mut Scratch,
    ) -> Result<(Encoded, Option<Box<Self>>), Reply> {
        let page = self.page(node, cancel, scratch, Vec::new())?;
        node.paged.pages.fetch_add(1, Ordering::Relaxed);
        self.slot.iter().for_each(Slot::progressed);
        Ok((page, (!self.parts.is_empty()).then_some(self)))
    }

    fn page(
        &mut self,
        node: &Node,
        cancel: &Cancel,
        scratch: &mut Scratch,
        head: Vec<u8>,
    ) -> Result<Encoded, Reply> {
        let mut page = Page::encoded(self.shape, self.protocol, self.page_bytes, head);
        while let Some(part) = self.parts.front_mut() {
            if part.fill(node, cancel, scratch, &mut page)? == Progress::Done {
                // Its snapshot is not needed any more.
                self.parts.pop_front();
            }
            if page.is_full() {
                break;
            }
        }
        Ok(Encoded::of(page.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(last: u8) -> PeerName {
        PeerName::of(Ipv4Addr::new(10, 0, 0, last).into())
    }

    /// Of replies of these peers, which have waited for their clients for so long, the one that makes room.
    #[track_caller]
    fn check(replies: &[(u8, u64)], newcomer: u8, expected: Option<usize>) {
        let now = Instant::now();
        let telling = |&(last, waited_s): &(u8, u64)| {
            let reader = Reader { client: 0, since: now, kind: Kind::Paged };
            let waited = Duration::from_secs(waited_s);
            // In the future of the test, so that there is such a time on a machine that has just been started.
            Telling { reader, peer: peer(last), progressed: now + Duration::from_secs(100) - waited }
        };
        let open = (0..).zip(replies.iter().map(telling)).collect();
        assert_eq!(displaced(&open, peer(newcomer)), expected.map(|at| at as u64), "{replies:?}, {newcomer}");
    }

    #[test]
    fn who_has_most_makes_room_for_who_has_at_least_two_fewer() {
        check(&[], 1, None);
        check(&[(1, 1)], 2, None);
        check(&[(1, 1), (1, 2), (1, 3)], 1, None);
        check(&[(1, 1), (1, 3), (1, 2)], 2, Some(1));
        check(&[(1, 1), (2, 9), (1, 2)], 2, None);
        check(&[(1, 1), (2, 9), (1, 2)], 3, Some(2));
        check(&[(1, 1), (2, 9), (1, 2), (1, 0)], 2, Some(2));
        check(&[(1, 1), (2, 9), (1, 2), (2, 8)], 3, Some(1));
    }

    #[test]
    fn places_come_to_be_divided_evenly_and_then_stay() {
        let now = Instant::now();
        let telling = |last| Telling {
            reader: Reader { client: 0, since: now, kind: Kind::Paged },
            peer: peer(last),
            progressed: now,
        };
        let mut open: Open = (0..12).map(|id| (id, telling(1))).collect();
        let mut take = |last, id| {
            let taken = displaced(&open, peer(last)).and_then(|other| open.remove(&other)).is_some();
            taken.then(|| open.insert(id, telling(last)));
            taken
        };
        let taken: Vec<usize> =
            [2, 3].map(|last| (100..110).filter(|id| take(last, last as u64 * 1_000 + id)).count()).into();
        assert_eq!(taken, [6, 4], "six and six, then four of each");
        assert!(![1, 2, 3].iter().any(|last| take(*last, 1)));
    }
}
