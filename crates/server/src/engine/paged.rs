//! Replies that are told page by page, of a snapshot that is kept between two pages. A page is made when
//! the client has taken most of what came before it: whatever a reply is in all, so much of it is in
//! memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::limits;
use command::paged::{Page, Paged, Progress, Shape};
use parking_lot::Mutex;
use resp::{Protocol, Reply};
use store::{Cancel, Parked, Scratch};

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
    /// By when they began.
    open: Mutex<BTreeMap<u64, Reader>>,
    next_id: AtomicU64,
    pub begun: AtomicU64,
    pub pages: AtomicU64,
    /// Told BUSY because there were too many.
    pub rejected: AtomicU64,
    /// Cut off because their clients did not take them.
    pub cut_off: AtomicU64,
    /// Cut off because too much was kept in memory for them.
    pub costly: AtomicU64,
    /// Cut off because they could not be told to their end.
    pub failed: AtomicU64,
}

/// A place among the paged replies.
pub struct Slot {
    replies: Arc<PagedReplies>,
    id: u64,
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
        self.open.lock().values().next().copied()
    }

    fn begin(self: &Arc<Self>, client: u64, replies_max: usize) -> Option<Slot> {
        let mut open = self.open.lock();
        if open.len() >= replies_max {
            self.rejected.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        open.insert(id, Reader { client, since: Instant::now(), kind: Kind::Paged });
        self.begun.fetch_add(1, Ordering::Relaxed);
        Some(Slot { replies: self.clone(), id })
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
        flow.slot = node.paged.begin(caller.client, options.replies_max);
        if flow.slot.is_none() {
            return Begun::Busy;
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
