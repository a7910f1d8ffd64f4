//! One call of a listing, as a machine: what to ask the store next, given what it has said. Pure.
//!
//! ```text
//! Choosing ─► Entering ─► Staying ─► Leaving ─► (Confirming) ─► Choosing …
//!    ▲            │           │          │
//!    └─ Pausing ◄─┴───────────┴──────────┘   the cluster is not what it was
//! ```

use super::limits::{BATCH_KEYS_MAX, DISTURBANCES_MAX, SCANS_MAX};
use super::page::Page;
use super::progress::{Part, Place, Progress, Stayed};
use super::step::{self, Step, Taken};
use crate::proto::Actor;
use crate::store::{NodeId, Scanned, Shard, Topology};
use bytes::Bytes;

/// What the machine wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Want<'a> {
    /// Who owns which slots.
    Topology,
    /// What a node says about itself. Gone is an answer too.
    Shard(NodeId),
    /// Whether anybody serves a slot that no node seems to own.
    Service(u16),
    Scan {
        shard: &'a Shard,
        cursor: u64,
        count: u32,
    },
    Values {
        shard: &'a Shard,
        keys: &'a [Bytes],
    },
    /// Some time for the nodes to agree.
    Pause,
    /// The page is ready.
    End,
}

/// What a record that was asked for turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    Actor(Box<Actor>),
    /// It is gone, or it is none: it is passed over.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Walker {
    pub(super) progress: Progress,
    pub(super) page: Page,
    /// Whose actors are wanted; empty: all.
    atespace: String,
    phase: Phase,
    /// Steps that were made.
    scans: u32,
    /// Whether the progress is another one than when the call began.
    has_advanced: bool,
    pub(super) disturbances: u32,
    pub(super) restarts: u32,
    pub(super) dropped: usize,
}

#[derive(Debug)]
enum Phase {
    /// `is_lost`: the node that was walked is gone, and its walk goes on elsewhere.
    Choosing {
        is_lost: bool,
    },
    Entering {
        node: NodeId,
    },
    Staying(Box<Stay>),
    Leaving(Box<Stay>),
    Confirming {
        target: NodeId,
        source: NodeId,
    },
    Unserved {
        slot: u16,
    },
    Pausing {
        is_lost: bool,
    },
}

/// The time between two looks at a shard.
#[derive(Debug)]
struct Stay {
    /// As it was when it began, and where the walk was then.
    shard: Shard,
    from: Place,
    /// Less than the page suggests, as the last step from here found too much.
    count: Option<u32>,
    step: Option<Step>,
    /// What was taken already of the step behind this one.
    ahead: Vec<u64>,
    has_passed: bool,
}

impl Walker {
    pub(super) fn new(atespace: &str, progress: Progress, page: Page) -> Self {
        Self {
            progress,
            page,
            atespace: atespace.to_owned(),
            phase: Phase::Choosing { is_lost: false },
            scans: 0,
            has_advanced: false,
            disturbances: 0,
            restarts: 0,
            dropped: 0,
        }
    }

    /// What is needed now. `is_late`: the time of the call is over.
    pub(super) fn next(&mut self, is_late: bool) -> Want<'_> {
        let is_enough = self.is_enough(is_late);
        self.phase = match std::mem::replace(&mut self.phase, Phase::Choosing { is_lost: false }) {
            Phase::Staying(stay) if is_enough || stay.has_passed => Phase::Leaving(stay),
            Phase::Choosing { is_lost: false } if !is_enough && self.progress.walk.is_some() => {
                let node = self.progress.walk.as_ref().map(|walk| walk.node.clone());
                node.map_or(Phase::Choosing { is_lost: false }, |node| Phase::Entering { node })
            }
            Phase::Pausing { is_lost } if is_enough => Phase::Choosing { is_lost },
            phase => phase,
        };
        match &self.phase {
            Phase::Choosing { .. } if is_enough || self.progress.is_complete() => Want::End,
            Phase::Choosing { .. } => Want::Topology,
            Phase::Entering { node } => Want::Shard(node.clone()),
            Phase::Staying(stay) => self.next_of(stay),
            Phase::Leaving(stay) => Want::Shard(stay.shard.node.clone()),
            Phase::Confirming { source, .. } => Want::Shard(source.clone()),
            Phase::Unserved { slot } => Want::Service(*slot),
            Phase::Pausing { .. } => Want::Pause,
        }
    }

    fn next_of<'a>(&self, stay: &'a Stay) -> Want<'a> {
        let shard = &stay.shard;
        if let Some(step) = &stay.step {
            return Want::Values { shard, keys: step.batch(BATCH_KEYS_MAX) };
        }
        let place = self.progress.walk.as_ref().map(|walk| walk.place.clone()).unwrap_or_default();
        let part = place.part.as_ref().map(|part| part.count);
        let count = part.or(stay.count).unwrap_or_else(|| self.page.count());
        Want::Scan { shard, cursor: place.cursor, count }
    }

    /// Whether the call ends here. It never does before it has come a little further, so that a listing ends
    /// also on a store that is slow.
    fn is_enough(&self, is_late: bool) -> bool {
        let has_tried = self.has_advanced || self.disturbances > 0;
        self.page.room() == 0
            || self.scans >= SCANS_MAX
            || self.disturbances >= DISTURBANCES_MAX
            || (is_late && has_tried)
    }

    pub(super) fn heard_topology(&mut self, topology: &Topology) {
        let Phase::Choosing { is_lost } = self.phase else { return };
        let chosen = match self.progress.walk.as_ref().filter(|_| is_lost) {
            Some(walk) => {
                walk.slots.iter().find_map(|slot| topology.owner(slot)).map(|owner| owner.node.clone())
            }
            None => self.progress.choose(topology),
        };
        self.phase = match (chosen, self.progress.lowest()) {
            (Some(node), _) => Phase::Entering { node },
            (None, Some(slot)) => Phase::Unserved { slot },
            (None, None) => Phase::Choosing { is_lost: false },
        };
    }

    /// The slot has been asked for, and somebody serves it after all.
    pub(super) fn heard_service(&mut self) {
        self.disturb(false);
    }

    pub(super) fn heard_pause(&mut self) {
        if let Phase::Pausing { is_lost } = self.phase {
            self.phase = Phase::Choosing { is_lost };
        }
    }

    /// A node has described itself. `None`: it owns nothing any more, or is gone.
    pub(super) fn heard_shard(&mut self, shard: Option<Shard>) {
        match std::mem::replace(&mut self.phase, Phase::Choosing { is_lost: false }) {
            Phase::Entering { node } => self.enter(&node, shard),
            Phase::Leaving(stay) => self.leave(*stay, shard),
            Phase::Confirming { target, source } => {
                self.progress.confirm(&target, &source, shard.as_ref());
                self.confirm(target);
            }
            phase => self.phase = phase,
        }
    }

    fn enter(&mut self, node: &NodeId, shard: Option<Shard>) {
        let had_walk = self.progress.walk.is_some();
        let Some(shard) = shard else {
            self.progress.forget_target(node);
            let is_lost = self.has_positions();
            if !is_lost {
                self.restarts += u32::from(had_walk);
                self.progress.abandon();
            }
            return self.disturb(is_lost);
        };
        let is_on = if had_walk { self.progress.resume(&shard) } else { self.progress.begin(&shard) };
        match self.progress.walk.as_ref().filter(|_| is_on) {
            Some(walk) => {
                let from = walk.place.clone();
                let stay =
                    Stay { shard, from, count: None, step: None, ahead: Vec::new(), has_passed: false };
                self.phase = Phase::Staying(Box::new(stay));
            }
            None => {
                self.restarts += u32::from(had_walk);
                self.progress.forget_target(node);
                self.disturb(false);
            }
        }
    }

    fn leave(&mut self, stay: Stay, shard: Option<Shard>) {
        let Some(shard) = shard else {
            self.progress.go_back(stay.from);
            return self.disturb(self.has_positions());
        };
        if self.progress.leave(&stay.shard, &shard, stay.from) == Stayed::InVain {
            return self.disturb(false);
        }
        if stay.has_passed {
            self.progress.finish();
            self.confirm(shard.node);
        }
    }

    /// Goes on with what is to be confirmed, if there is more of it.
    fn confirm(&mut self, target: NodeId) {
        self.phase = match self.progress.unconfirmed(&target) {
            Some(source) => Phase::Confirming { target, source },
            None => Phase::Choosing { is_lost: false },
        };
    }

    /// Whether there is a walk that can go on elsewhere.
    fn has_positions(&self) -> bool {
        self.progress.walk.as_ref().is_some_and(|walk| walk.positions)
    }

    fn disturb(&mut self, is_lost: bool) {
        self.disturbances += 1;
        self.phase = Phase::Pausing { is_lost };
    }

    /// The process that was walked is gone, or no longer what it was.
    pub(super) fn heard_stale(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Choosing { is_lost: false }) {
            // It has its say: where cursors are positions, what was done so far counts.
            Phase::Staying(stay) => {
                self.disturbances += 1;
                Phase::Leaving(Box::new(Stay { has_passed: false, step: None, ..*stay }))
            }
            phase => phase,
        };
    }

    /// A step has been made, which was to look at `count` keys.
    pub(super) fn heard_scan(&mut self, count: u32, scanned: Scanned) {
        self.scans += 1;
        let (Phase::Staying(stay), Some(walk)) = (&mut self.phase, &mut self.progress.walk) else { return };
        let (given, end) = (scanned.keys.len(), scanned.cursor);
        let mut keys = step::wanted(scanned.keys, &walk.slots, &self.atespace);
        self.dropped += given - keys.len();
        self.page.note(count, keys.len());
        let mut is_part = false;
        if let Some(part) = walk.place.part.take() {
            let before = keys.len();
            stay.ahead = part.ahead(&keys);
            is_part = part.rest(end, &mut keys);
            self.dropped += before - keys.len();
            if is_part {
                walk.place.part = Some(part);
            } else if count > 1 {
                // Another step than the one that was left in the middle: nothing says which of its many keys
                // have come. It is made anew, and smaller, so that one day it is done within one page.
                stay.count = Some(count / 2);
                return;
            }
        }
        if let Some(less) = self.page.less(count, keys.len()).filter(|_| !is_part) {
            stay.count = Some(less);
            return;
        }
        let step = Step::new(count, end, keys);
        if step.is_over() {
            self.pass(count, end);
        } else {
            stay.step = Some(step);
        }
    }

    /// The step is over.
    fn pass(&mut self, count: u32, end: u64) {
        let (Phase::Staying(stay), Some(walk)) = (&mut self.phase, &mut self.progress.walk) else { return };
        let taken = std::mem::take(&mut stay.ahead);
        let part = (!taken.is_empty()).then(|| Part { count, end, after: Bytes::new(), taken });
        walk.place = Place { cursor: end, part };
        (stay.step, stay.count) = (None, None);
        stay.has_passed = end == 0;
        self.has_advanced = true;
    }

    /// The next record, in the order in which they were wanted. `false`: it does not fit, and comes again
    /// with the next page.
    pub(super) fn heard_value(&mut self, found: Found) -> bool {
        let (Phase::Staying(stay), Some(walk)) = (&mut self.phase, &mut self.progress.walk) else {
            return false;
        };
        let Some(step) = &mut stay.step else { return false };
        if let Found::Actor(actor) = found
            && !self.page.push(*actor)
        {
            return false;
        }
        self.has_advanced = true;
        let (count, end) = (step.count, step.end);
        match step.take() {
            Taken::Last => self.pass(count, end),
            Taken::One(after) => {
                walk.place.part = Some(Part::with(walk.place.part.take(), count, end, after));
            }
        }
        true
    }
}
