//! Producers and consumers: each a connection, a seed, and a log of what it knows.

use super::entry::{Element, EntryId};
use super::ledger::{Event, GROUPS, How, Reader, STREAMS, Span};
use super::step::{Found, Step, some_streams};
use crate::{Client, Result, Rng};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

const PIPELINE_MAX: usize = 6;
const READ_MAX: usize = 10;
/// What a consumer remembers to acknowledge.
const HELD_MAX: usize = 200;
/// While every stream is full.
const PAUSE: Duration = Duration::from_micros(300);

/// What the clients of a round share.
#[derive(Debug)]
pub struct Round {
    pub addr: SocketAddr,
    pub epoch: Instant,
    /// Producers stop there: so many entries more than the slowest group was told.
    pub bound: i64,
    pub is_over: AtomicBool,
    /// From now on connections may break.
    pub is_killed: AtomicBool,
    /// About how many entries each group has not been told.
    pub untold: [[AtomicI64; GROUPS]; STREAMS],
}

impl Round {
    /// A connection that breaks is right only when the server is killed.
    fn excuse(&self, error: crate::Error) -> Result {
        if self.is_killed.load(Ordering::SeqCst) { Ok(()) } else { Err(error) }
    }

    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn is_full(&self, stream: usize) -> bool {
        self.untold[stream].iter().any(|untold| untold.load(Ordering::Relaxed) >= self.bound)
    }

    fn note(&self, event: &Event) {
        let told = |stream: usize, group: usize, count: usize| {
            self.untold[stream][group].fetch_sub(count as i64, Ordering::Relaxed);
        };
        match event {
            Event::Added(_, entries) => {
                for (stream, ..) in entries {
                    for untold in &self.untold[*stream] {
                        untold.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            Event::Shown(shown) if shown.how == How::New => {
                told(shown.stream, shown.to.group, shown.entries.len());
            }
            Event::MaybeShown { stream, to, how: How::New, count } => told(*stream, to.group, *count),
            _ => {}
        }
    }
}

/// What one client did in a round.
#[derive(Debug, Default)]
pub struct Log {
    pub events: Vec<Event>,
    pub commands: u64,
    /// Consumers that left without a word.
    pub crashes: u64,
}

impl Log {
    fn add(&mut self, round: &Round, event: Event) {
        round.note(&event);
        self.events.push(event);
    }
}

/// What to send at once, and whether to leave afterwards.
struct Turn {
    steps: Vec<Step>,
    /// Without reading the replies, or without acknowledging what they bring.
    leaves: Option<Leaves>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Unread,
    Read,
}

/// Chooses the next commands to send at once.
trait Choose {
    fn choose(&mut self, round: &Round, rng: &mut Rng) -> Turn;
    fn learn(&mut self, _event: &Event) {}
    fn found(&mut self, _found: Found) {}
    fn forget(&mut self) {}
}

fn run(who: &mut dyn Choose, round: &Round, rng: &mut Rng, log: &mut Log) -> Result {
    let mut client = None;
    while round.goes_on() {
        let connection = match client.take().map_or_else(|| Client::connect(round.addr), Ok) {
            Ok(connection) => client.insert(connection),
            Err(error) => return round.excuse(error),
        };
        let turn = who.choose(round, rng);
        if turn.steps.is_empty() {
            std::thread::sleep(PAUSE);
        }
        if let Some(error) = exchange(who, connection, turn.steps, turn.leaves, round, log)? {
            return round.excuse(error);
        }
        if turn.leaves.is_some() {
            (client, log.crashes) = (None, log.crashes + 1);
            who.forget();
        }
    }
    Ok(())
}

/// Sends commands and takes the replies; gives back what broke the connection, if anything did.
fn exchange(
    who: &mut dyn Choose,
    client: &mut Client,
    steps: Vec<Step>,
    leaves: Option<Leaves>,
    round: &Round,
    log: &mut Log,
) -> Result<Option<crate::Error>> {
    let sent = round.now();
    for step in &steps {
        step.commands().iter().for_each(|command| client.queue(command));
        log.commands += step.commands().len() as u64;
    }
    let mut failure = client.flush().err();
    let mut steps = VecDeque::from(steps);
    while failure.is_none()
        && leaves != Some(Leaves::Unread)
        && let Some(step) = steps.pop_front()
    {
        let replies: Result<Vec<_>> = step.commands().iter().map(|_| client.receive()).collect();
        match replies {
            Ok(replies) => {
                let (events, found) = step.answered(&replies, Span { sent, received: round.now() })?;
                who.found(found);
                for event in events {
                    who.learn(&event);
                    log.add(round, event);
                }
            }
            Err(error) => {
                failure = Some(error);
                steps.push_front(step);
            }
        }
    }
    steps.into_iter().flat_map(Step::unanswered).for_each(|event| log.add(round, event));
    Ok(failure)
}

#[derive(Debug)]
pub struct Producer {
    rng: Rng,
    /// The next number; all that a producer uses are its own.
    next: Element,
}

impl Producer {
    pub fn new(number: usize, rng: &Rng) -> Self {
        Self { rng: rng.fork(number as u64), next: (number as Element + 1) << 40 }
    }

    pub fn run(&mut self, round: &Round, log: &mut Log) -> Result {
        let mut rng = self.rng.clone();
        let result = run(self, round, &mut rng, log);
        self.rng = rng;
        result
    }

    fn add(&mut self, stream: usize) -> Step {
        self.next += 1;
        Step::add(Reader { group: 0, consumer: 0 }, stream, self.next)
    }
}

impl Choose for Producer {
    fn choose(&mut self, round: &Round, rng: &mut Rng) -> Turn {
        let count = if rng.chance(50) { 1 } else { 1 + rng.below(PIPELINE_MAX) };
        let mut steps = Vec::new();
        for _ in 0..count {
            let streams: Vec<usize> =
                some_streams(rng).into_iter().filter(|stream| !round.is_full(*stream)).collect();
            let mut adds: Vec<Step> = streams.into_iter().map(|stream| self.add(stream)).collect();
            if adds.len() > 1 {
                steps.push(Step::transaction(adds, Reader { group: 0, consumer: 0 }));
            } else {
                steps.append(&mut adds);
            }
        }
        Turn { steps, leaves: None }
    }
}

#[derive(Debug)]
pub struct Consumer {
    rng: Rng,
    me: Reader,
    /// How many consumers its group has.
    peers: usize,
    /// What it was shown and has not acknowledged, and what is pending for others.
    held: Found,
    others: Found,
}

impl Consumer {
    pub fn new(me: Reader, peers: usize, rng: &Rng) -> Self {
        let rng = rng.fork(1000 + (me.group * 100 + me.consumer) as u64);
        Self { rng, me, peers, held: Vec::new(), others: Vec::new() }
    }

    pub fn run(&mut self, round: &Round, log: &mut Log) -> Result {
        let mut rng = self.rng.clone();
        let result = run(self, round, &mut rng, log);
        self.rng = rng;
        self.forget();
        result
    }

    fn read_new(&self, rng: &mut Rng) -> Step {
        let block_ms = rng.chance(60).then(|| 1 + rng.below(25) as u64);
        Step::read_new(self.me, some_streams(rng), 1 + rng.below(READ_MAX), block_ms)
    }

    /// Acknowledges some of what it holds, or all.
    fn acks(&mut self, rng: &mut Rng) -> Vec<Step> {
        let count = if rng.chance(60) { self.held.len() } else { rng.below(self.held.len() + 1) };
        let mut by_stream: [Vec<EntryId>; STREAMS] = Default::default();
        for (stream, id) in self.held.drain(..count) {
            by_stream[stream].push(id);
        }
        let all = by_stream.into_iter().enumerate().filter(|(_, ids)| !ids.is_empty());
        let in_script = rng.chance(15);
        let steps: Vec<Step> = all
            .map(|(stream, mut ids)| {
                // Or one that is named twice counts once.
                ids.sort_unstable();
                ids.dedup();
                if in_script {
                    Step::ack_in_script(self.me, stream, ids)
                } else {
                    Step::ack(self.me, stream, ids)
                }
            })
            .collect();
        if steps.is_empty() || in_script || !rng.chance(30) {
            return steps;
        }
        let mut inner = steps;
        if rng.chance(40) {
            inner.push(self.read_new(rng));
        }
        vec![Step::transaction(inner, self.me)]
    }

    fn claim(&mut self, rng: &mut Rng) -> Step {
        let (stream, only_ids) = (rng.below(STREAMS), rng.chance(30));
        let ids: Vec<EntryId> =
            self.others.iter().filter(|(of, _)| *of == stream).map(|(_, id)| *id).collect();
        self.others.clear();
        if ids.is_empty() {
            return Step::autoclaim(self.me, stream, EntryId::default(), 1 + rng.below(READ_MAX), only_ids);
        }
        Step::claim(self.me, stream, &ids, only_ids)
    }
}

impl Choose for Consumer {
    fn choose(&mut self, _: &Round, rng: &mut Rng) -> Turn {
        let mut leaves = None;
        let stream = rng.below(STREAMS);
        let steps = match rng.below(100) {
            0..40 => vec![self.read_new(rng)],
            40..75 => {
                let mut steps = self.acks(rng);
                if steps.is_empty() || rng.chance(30) {
                    steps.push(self.read_new(rng));
                }
                steps
            }
            75..81 => {
                vec![Step::read_again(self.me, stream, EntryId::default(), 1 + rng.below(READ_MAX))]
            }
            81..87 => vec![Step::look(self.me, stream, rng.below(self.peers), READ_MAX)],
            87..97 => vec![self.claim(rng)],
            _ => {
                leaves = Some(*rng.pick(&[Leaves::Unread, Leaves::Read]));
                let mut steps = vec![self.read_new(rng)];
                if leaves == Some(Leaves::Unread) {
                    steps.extend(self.acks(rng));
                }
                steps
            }
        };
        Turn { steps, leaves }
    }

    fn learn(&mut self, event: &Event) {
        if let Event::Shown(shown) = event {
            self.held.extend(shown.entries.iter().map(|(id, _)| (shown.stream, *id)));
            let surplus = self.held.len().saturating_sub(HELD_MAX);
            self.held.drain(..surplus);
        }
    }

    fn found(&mut self, found: Found) {
        self.others.extend(found);
    }

    fn forget(&mut self) {
        self.held.clear();
        self.others.clear();
    }
}
