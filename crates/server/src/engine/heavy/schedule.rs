//! Who is next in the heavy pool: what waits, by class and peer, and how many threads each class has. It decides and
//! remembers, and knows no threads, locks or clocks.
//!
//! | threads | a class is left | one class has at most |
//! | ---: | --- | --- |
//! | 1 | nothing: the classes take turns | 1 |
//! | 2 | nothing, but no class has both | 1 |
//! | 3 | 1 | 1 |
//! | 4 | 1 | 2 |
//! | n | n / 8, at least 1 | n less what is left to the other two |
//!
//! A thread that is left to a class stays idle while that class has no work: work that runs cannot be put aside, so that a
//! thread given away may not come back for as long as `heavy-timeout`. With fewer than three threads there is not one for each
//! class: two classes can keep the third one waiting until what they run ends.

use std::collections::{BTreeSet, HashMap, VecDeque};

use base::limits::HEAVY_RESERVED_PART;
use command::Class;

use crate::admission::PeerName;

/// What becomes of new work.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<J> {
    Admitted,
    /// It takes the place of this, which is turned away: nothing has happened to it yet.
    AdmittedFor(J),
    Rejected(J),
}

/// How the threads are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Left to each class.
    pub reserved: usize,
    /// For one class at most.
    pub most: usize,
}

impl Shares {
    pub fn of(threads: usize) -> Self {
        let classes = Class::ALL.len();
        let reserved = if threads < classes { 0 } else { (threads / HEAVY_RESERVED_PART).max(1) };
        let others = (classes - 1) * reserved;
        Self { reserved, most: threads.saturating_sub(others.max(1)).max(1) }
    }
}

struct Waiting<J> {
    job: J,
    /// It goes on with what was begun before: it takes nobody's place, and gives its own to nobody.
    goes_on: bool,
}

/// What waits of one peer, the oldest first.
struct Peer<J> {
    jobs: VecDeque<Waiting<J>>,
    /// How much of it is new.
    new: usize,
}

/// What waits of one class.
struct Queue<J> {
    peers: HashMap<PeerName, Peer<J>, foldhash::fast::RandomState>,
    /// Peers with waiting work, in the order of their turns.
    turns: VecDeque<PeerName>,
    /// How much new work of each peer waits, if any does.
    sizes: BTreeSet<(usize, PeerName)>,
    new: usize,
    going_on: usize,
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        let (peers, turns, sizes) = Default::default();
        Self { peers, turns, sizes, new: 0, going_on: 0 }
    }
}

impl<J> Queue<J> {
    fn push(&mut self, address: PeerName, waiting: Waiting<J>) {
        let peer = self.peers.entry(address).or_insert_with(|| {
            self.turns.push_back(address);
            Peer { jobs: VecDeque::new(), new: 0 }
        });
        if waiting.goes_on {
            self.going_on += 1;
        } else {
            self.new += 1;
            peer.new += 1;
            self.sizes.remove(&(peer.new - 1, address));
            self.sizes.insert((peer.new, address));
        }
        peer.jobs.push_back(waiting);
    }

    /// The oldest work of the peer whose turn it is.
    fn pop(&mut self) -> Option<J> {
        let address = self.turns.pop_front()?;
        let waiting = self.peers.get_mut(&address)?.jobs.pop_front()?;
        let job = self.taken(address, waiting);
        if self.peers.get(&address).is_some_and(|peer| peer.jobs.is_empty()) {
            self.peers.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        Some(job)
    }

    /// The newest work of the peer that has the most, if that has more left then than the newcomer has.
    fn displace(&mut self, newcomer: PeerName) -> Option<J> {
        let &(most, address) = self.sizes.last()?;
        if self.peers.get(&newcomer).map_or(0, |peer| peer.new) + 1 >= most {
            return None;
        }
        let jobs = &mut self.peers.get_mut(&address)?.jobs;
        let at = jobs.iter().rposition(|waiting| !waiting.goes_on)?;
        let waiting = jobs.remove(at)?;
        Some(self.taken(address, waiting))
    }

    fn taken(&mut self, address: PeerName, waiting: Waiting<J>) -> J {
        match self.peers.get_mut(&address) {
            _ if waiting.goes_on => self.going_on -= 1,
            Some(peer) => {
                self.sizes.remove(&(peer.new, address));
                peer.new -= 1;
                if peer.new > 0 {
                    self.sizes.insert((peer.new, address));
                }
                self.new -= 1;
            }
            None => {}
        }
        waiting.job
    }

    /// Takes out what is void; the rest keeps its order.
    fn take_void(&mut self, is_void: &impl Fn(&J) -> bool, void: &mut Vec<J>) {
        let of_peer = |peer: &Peer<J>| peer.jobs.iter().any(|waiting| is_void(&waiting.job));
        if !self.peers.values().any(of_peer) {
            return;
        }
        let mut before = std::mem::take(self);
        for address in before.turns {
            let jobs = before.peers.remove(&address).map(|peer| peer.jobs).unwrap_or_default();
            for waiting in jobs {
                if is_void(&waiting.job) {
                    void.push(waiting.job);
                } else {
                    self.push(address, waiting);
                }
            }
        }
    }
}

/// One value for each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Each<T> {
    scan: T,
    range: T,
    script: T,
}

impl<T> Each<T> {
    pub fn of(&self, class: Class) -> &T {
        match class {
            Class::Scan => &self.scan,
            Class::Range => &self.range,
            Class::Script => &self.script,
        }
    }

    fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Scan => &mut self.scan,
            Class::Range => &mut self.range,
            Class::Script => &mut self.script,
        }
    }
}

/// How much of a class runs, and how much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub running: usize,
    pub waiting: usize,
}

/// What waits and what runs.
pub struct Schedule<J> {
    threads: usize,
    /// New work of one class that may wait.
    queue_max: usize,
    running: Each<usize>,
    queues: Each<Queue<J>>,
    /// The classes in the order of their turns.
    turns: [Class; 3],
}

impl<J> Schedule<J> {
    pub fn new(threads: usize, queue_max: usize) -> Self {
        let queues = Each { scan: Queue::default(), range: Queue::default(), script: Queue::default() };
        Self { threads, queue_max, running: Each::default(), queues, turns: Class::ALL }
    }

    /// What runs goes on, and what waits keeps its place, whatever there is room for now.
    pub fn resize(&mut self, threads: usize, queue_max: usize) {
        self.threads = threads;
        self.queue_max = queue_max;
    }

    pub fn threads(&self) -> usize {
        self.threads
    }

    pub fn queue_max(&self) -> usize {
        self.queue_max
    }

    /// Takes on new work, if it can start at once or there is room where it waits. Each class has a queue of its
    /// own, so that none fills those of others; and one peer cannot fill a queue for long: a newcomer with less in it
    /// displaces the newest of the peer with the most, unless that would only turn the two round. So the places
    /// are divided as evenly as they can be, whoever came first; a fixed share for each peer would leave places
    /// empty where there are few peers, or not be enough for all where there are many.
    pub fn submit(&mut self, class: Class, peer: PeerName, job: J) -> Verdict<J> {
        let may_start = self.may_start(class);
        let queue = self.queues.of_mut(class);
        let starts = may_start && queue.turns.is_empty();
        let mut verdict = Verdict::Admitted;
        if !starts && queue.new >= self.queue_max {
            let Some(displaced) = queue.displace(peer) else { return Verdict::Rejected(job) };
            verdict = Verdict::AdmittedFor(displaced);
        }
        queue.push(peer, Waiting { job, goes_on: false });
        verdict
    }

    /// Takes on what goes on with work that was begun before: it waits for its turn like others of its peer, and is
    /// never turned away.
    pub fn go_on(&mut self, class: Class, peer: PeerName, job: J) {
        self.queues.of_mut(class).push(peer, Waiting { job, goes_on: true });
    }

    /// What starts now, if anything may. To be called until it says no, whenever something has changed.
    pub fn start(&mut self) -> Option<(Class, J)> {
        let ready = |class: &Class| !self.queues.of(*class).turns.is_empty() && self.may_start(*class);
        let at = self.turns.iter().position(ready)?;
        let class = *self.turns.get(at)?;
        let job = self.queues.of_mut(class).pop()?;
        *self.running.of_mut(class) += 1;
        if let Some(behind) = self.turns.get_mut(at..) {
            behind.rotate_left(1);
        }
        Some((class, job))
    }

    /// Something of this class has come to its end.
    pub fn finish(&mut self, class: Class) {
        *self.running.of_mut(class) -= 1;
    }

    /// Takes out what waits and is void.
    pub fn take_void(&mut self, is_void: impl Fn(&J) -> bool) -> Vec<J> {
        let mut void = Vec::new();
        for class in Class::ALL {
            self.queues.of_mut(class).take_void(&is_void, &mut void);
        }
        void
    }

    pub fn load(&self, class: Class) -> Load {
        let queue = self.queues.of(class);
        Load { running: *self.running.of(class), waiting: queue.new + queue.going_on }
    }

    /// Whether there is a thread for work of this class: one that is not kept for others.
    fn may_start(&self, class: Class) -> bool {
        let Shares { reserved, most } = Shares::of(self.threads);
        let running: usize = Class::ALL.iter().map(|class| self.running.of(*class)).sum();
        let others = Class::ALL.iter().filter(|other| **other != class);
        let kept: usize = others.map(|other| reserved.saturating_sub(*self.running.of(*other))).sum();
        *self.running.of(class) < most && self.threads.saturating_sub(running) > kept
    }
}

#[cfg(test)]
mod tests;
