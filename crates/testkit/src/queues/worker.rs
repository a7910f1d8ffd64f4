//! Producers and consumers: each a connection, a seed, and a log of what it knows.

use super::element::With;
use super::ledger::{Event, Id, QUEUES, Queue};
use super::step::{Deed, Step};
use crate::{Client, Result, Rng};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

const PIPELINE_MAX: usize = 12;
const PUSHED_AT_ONCE_MAX: usize = 8;
/// While every collection is full.
const PAUSE: Duration = Duration::from_micros(300);

/// What the clients of a round share.
#[derive(Debug)]
pub struct Round {
    pub addr: SocketAddr,
    /// Producers stop filling a collection there: a low one lets it run empty all the time.
    pub bound: i64,
    /// Redis 7.0 does not know all settings.
    pub is_peer: bool,
    /// Only elements that are integers.
    pub integers: bool,
    pub is_over: AtomicBool,
    /// From now on connections may break.
    pub is_killed: AtomicBool,
    /// About how many elements each collection holds.
    pub depth: [AtomicI64; QUEUES.len()],
}

impl Round {
    fn depth(&self, queue: Queue) -> &AtomicI64 {
        &self.depth[queue as usize]
    }

    /// A connection that breaks is right only when the server is killed.
    pub fn excuse(&self, error: crate::Error) -> Result {
        if self.is_killed.load(Ordering::SeqCst) { Ok(()) } else { Err(error) }
    }

    pub fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn note(&self, event: &Event) {
        let add = |queue, count: usize, sign: i64| {
            self.depth(queue).fetch_add(sign * count as i64, Ordering::Relaxed);
        };
        match event {
            Event::Added(queue, ids) => add(*queue, ids.len(), 1),
            Event::Taken(queue, ids) => add(*queue, ids.len(), -1),
            Event::Moved(_) => {
                add(Queue::Hot, 1, -1);
                add(Queue::Second, 1, 1);
            }
            _ => {}
        }
    }
}

/// What one client did in a round.
#[derive(Debug, Default)]
pub struct Log {
    pub events: Vec<Event>,
    pub commands: u64,
    /// Pops that found nothing.
    pub empty: u64,
}

/// Chooses the next commands to send at once.
trait Choose {
    fn choose(&mut self, round: &Round, rng: &mut Rng) -> Vec<Step>;
    fn learn(&mut self, _event: &Event) {}
}

fn run(who: &mut dyn Choose, round: &Round, rng: &mut Rng, log: &mut Log) -> Result {
    let mut client = match Client::connect(round.addr) {
        Ok(client) => client,
        Err(error) => return round.excuse(error),
    };
    while round.goes_on() {
        let mut steps = VecDeque::from(who.choose(round, rng));
        if steps.is_empty() {
            std::thread::sleep(PAUSE);
        }
        steps.iter().for_each(|step| client.queue(&step.command));
        log.commands += steps.len() as u64;
        let mut failure = client.flush().err();
        while failure.is_none()
            && let Some(step) = steps.pop_front()
        {
            match client.receive() {
                Ok(reply) => {
                    let is_pop = matches!(step.deed, Deed::Pop { .. } | Deed::Move);
                    let events = step.answered(&reply)?;
                    log.empty += u64::from(is_pop && events.is_empty());
                    for event in events {
                        round.note(&event);
                        who.learn(&event);
                        log.events.push(event);
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    steps.push_front(step);
                }
            }
        }
        if let Some(error) = failure {
            log.events.extend(steps.into_iter().filter_map(|step| step.deed.unanswered()));
            return round.excuse(error);
        }
    }
    Ok(())
}

fn pipeline_depth(rng: &mut Rng) -> usize {
    if rng.chance(50) { 1 } else { 1 + rng.below(PIPELINE_MAX) }
}

#[derive(Debug)]
pub struct Producer {
    rng: Rng,
    /// The next number; all that a producer uses are its own.
    next: Id,
}

impl Producer {
    pub fn new(number: usize, rng: &Rng) -> Self {
        Self { rng: rng.fork(number as u64), next: (number as Id + 1) << 40 }
    }

    pub fn run(&mut self, round: &Round, log: &mut Log) -> Result {
        let mut rng = self.rng.clone();
        let result = run(self, round, &mut rng, log);
        self.rng = rng;
        result
    }
}

impl Choose for Producer {
    fn choose(&mut self, round: &Round, rng: &mut Rng) -> Vec<Step> {
        const TARGETS: &[Queue] = &[Queue::Hot, Queue::Hot, Queue::Set, Queue::Hash, Queue::SortedSet];
        let mut steps = Vec::new();
        for _ in 0..pipeline_depth(rng) {
            let queue = *rng.pick(TARGETS);
            if round.depth(queue).load(Ordering::Relaxed) >= round.bound {
                continue;
            }
            let count = if rng.chance(60) { 1 } else { 1 + rng.below(PUSHED_AT_ONCE_MAX) };
            let ids = (0..count).map(|_| {
                self.next += 2;
                self.next + u64::from(!round.integers && rng.chance(50))
            });
            let ids: Vec<Id> = ids.collect();
            let name = match queue {
                Queue::Hot | Queue::Second => *rng.pick(&["LPUSH", "RPUSH"]),
                Queue::Set => "SADD",
                Queue::Hash => "HSET",
                Queue::SortedSet => "ZADD",
            };
            steps.push(Step::push(name, queue, ids));
        }
        steps
    }
}

#[derive(Debug)]
pub struct Consumer {
    rng: Rng,
    /// Elements that were shown, to be removed by name.
    shown: Vec<(Queue, Id)>,
}

impl Consumer {
    pub fn new(number: usize, rng: &Rng) -> Self {
        Self { rng: rng.fork(1000 + number as u64), shown: Vec::new() }
    }

    pub fn run(&mut self, round: &Round, log: &mut Log) -> Result {
        let mut rng = self.rng.clone();
        let result = run(self, round, &mut rng, log);
        (self.rng, self.shown) = (rng, Vec::new());
        result
    }
}

impl Choose for Consumer {
    fn choose(&mut self, _: &Round, rng: &mut Rng) -> Vec<Step> {
        // Whoever waits in a pipeline holds up what comes behind.
        if rng.chance(15) {
            return vec![waiting(rng)];
        }
        let mut steps: Vec<Step> = self.shown.drain(..).map(|(queue, id)| Step::remove(queue, id)).collect();
        steps.extend((0..pipeline_depth(rng)).map(|_| taking(rng)));
        steps
    }

    fn learn(&mut self, event: &Event) {
        if let Event::Seen(queue, id) = event {
            self.shown.push((*queue, *id));
        }
    }
}

fn pop(line: &str, queues: &[Queue], count: usize, keyed: bool) -> Step {
    let with = if queues == [Queue::SortedSet] { With::Score } else { With::Nothing };
    Step::new(line, Deed::Pop { queues: queues.to_vec(), count, keyed, with })
}

fn taking(rng: &mut Rng) -> Step {
    let queue =
        *rng.pick(&[Queue::Hot, Queue::Hot, Queue::Second, Queue::Set, Queue::Hash, Queue::SortedSet]);
    let key = queue.key();
    let count = 1 + rng.below(10);
    let end = *rng.pick(&["LEFT", "RIGHT"]);
    match (queue, rng.below(4)) {
        (Queue::Hot, 0) => move_step("LMOVE", rng, ""),
        (Queue::Hot | Queue::Second, 0 | 1) => {
            pop(&format!("{} {key}", rng.pick(&["LPOP", "RPOP"])), &[queue], 1, false)
        }
        (Queue::Hot | Queue::Second, 2) => {
            pop(&format!("{} {key} {count}", rng.pick(&["LPOP", "RPOP"])), &[queue], count, false)
        }
        (Queue::Hot, _) => pop(&format!("LMPOP 1 {key} {end} COUNT {count}"), &[queue], count, true),
        (Queue::Second, _) => {
            let both = [Queue::Second, Queue::Hot];
            let keys = format!("{key} {}", Queue::Hot.key());
            pop(&format!("LMPOP 2 {keys} {end} COUNT {count}"), &both, count, true)
        }
        (Queue::Set, 0 | 1) => pop(&format!("SPOP {key}"), &[queue], 1, false),
        (Queue::Set, 2) => pop(&format!("SPOP {key} {count}"), &[queue], count, false),
        (Queue::Set, _) => {
            look(rng, queue, &format!("SRANDMEMBER {key} 3"), &format!("SSCAN {key} 0 COUNT 5"))
        }
        (Queue::Hash, _) => look(
            rng,
            queue,
            &format!("HRANDFIELD {key} {count} WITHVALUES"),
            &format!("HSCAN {key} 0 COUNT {count}"),
        ),
        (Queue::SortedSet, 0) => pop(&format!("ZPOPMIN {key}"), &[queue], 1, false),
        (Queue::SortedSet, 1) => pop(&format!("ZPOPMAX {key} {count}"), &[queue], count, false),
        (Queue::SortedSet, 2) => pop(&format!("ZPOPMIN {key} {count}"), &[queue], count, false),
        (Queue::SortedSet, _) => {
            let end = *rng.pick(&["MIN", "MAX"]);
            pop(&format!("ZMPOP 1 {key} {end} COUNT {count}"), &[queue], count, true)
        }
    }
}

fn look(rng: &mut Rng, queue: Queue, random: &str, scan: &str) -> Step {
    let line = if rng.chance(50) { random } else { scan };
    Step::new(line, Deed::Look(queue, super::element::with_of(queue)))
}

fn move_step(name: &str, rng: &mut Rng, timeout: &str) -> Step {
    let mut end = || *rng.pick(&["LEFT", "RIGHT"]);
    let line = format!("{name} {} {} {} {} {timeout}", Queue::Hot.key(), Queue::Second.key(), end(), end());
    Step::new(&line, Deed::Move)
}

/// Waits for an element, but not for long.
fn waiting(rng: &mut Rng) -> Step {
    let timeout = format!("0.0{}", 1 + rng.below(5));
    let (hot, second, zset) = (Queue::Hot.key(), Queue::Second.key(), Queue::SortedSet.key());
    let count = 1 + rng.below(4);
    match rng.below(9) {
        0 => pop(&format!("BLPOP {hot} {timeout}"), &[Queue::Hot], 1, true),
        1 => pop(&format!("BRPOP {hot} {timeout}"), &[Queue::Hot], 1, true),
        2 => pop(&format!("BLPOP {second} {hot} {timeout}"), &[Queue::Second, Queue::Hot], 1, true),
        3 => pop(&format!("BLMPOP {timeout} 1 {second} RIGHT COUNT {count}"), &[Queue::Second], count, true),
        4 | 5 => move_step("BLMOVE", rng, &timeout),
        6 => pop(&format!("BZPOPMIN {zset} {timeout}"), &[Queue::SortedSet], 1, true),
        7 => pop(&format!("BZPOPMAX {zset} {timeout}"), &[Queue::SortedSet], 1, true),
        _ => pop(&format!("BZMPOP {timeout} 1 {zset} MIN COUNT {count}"), &[Queue::SortedSet], count, true),
    }
}
