//! One connection's part of the load: it makes transactions, and tells what it knows of each.

use super::ask::{Ask, eval, key_name};
use super::keys::Keys;
use super::model::{Key, Op, Outcome, Time, Transaction};
use crate::client::{Command, words};
use crate::{Client, Reply, Result, Rng};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

const VALUES_AT_ONCE_MAX: usize = 3;
const KEYS_AT_ONCE_MAX: usize = 4;
const ASKS_MAX: usize = 6;
const READS_MAX: usize = 16;
const PIPELINE_MAX: usize = 5;

/// What all connections share until the server is killed or the load rests.
#[derive(Debug)]
pub(super) struct Stage {
    pub addr: SocketAddr,
    pub keys: Keys,
    pub scripts: bool,
    pub heavy: bool,
    pub clock: Instant,
    pub is_over: AtomicBool,
    /// From now on connections may break.
    pub is_killed: AtomicBool,
}

impl Stage {
    pub(super) fn now(&self) -> Time {
        now(self.clock)
    }

    fn excuse(&self, error: crate::Error) -> Result {
        if self.is_killed.load(Ordering::SeqCst) { Ok(()) } else { Err(error) }
    }
}

pub(super) fn now(clock: Instant) -> Time {
    clock.elapsed().as_nanos() as Time
}

#[derive(Debug)]
pub(super) struct Worker {
    number: u32,
    rng: Rng,
}

/// What became of commands that were sent at once.
enum Answer {
    Replies(Vec<Reply>),
    Broken(crate::Error),
}

/// A transaction as it is sent.
struct Unit {
    form: &'static str,
    asks: Vec<Ask>,
    commands: Vec<Command>,
    whole: Whole,
}

impl Worker {
    pub(super) fn new(number: usize, rng: &Rng) -> Self {
        Self { number: number as u32, rng: rng.fork(number as u64) }
    }

    /// Works until the round is over or the server is gone. An error is a wrong reply, or a connection that
    /// broke for no reason.
    pub(super) fn run(&mut self, stage: &Stage, told: &SyncSender<Transaction>) -> Result {
        let client = match Client::connect(stage.addr) {
            Ok(client) => client,
            Err(error) => return stage.excuse(error),
        };
        let mut session = Session { worker: self, stage, client, told };
        while !stage.is_over.load(Ordering::Relaxed) {
            if let Some(broken) = session.transaction()? {
                return stage.excuse(broken);
            }
        }
        Ok(())
    }
}

struct Session<'a> {
    worker: &'a mut Worker,
    stage: &'a Stage,
    client: Client,
    told: &'a SyncSender<Transaction>,
}

impl Session<'_> {
    /// One transaction, or some at once; gives the error if the connection is broken.
    fn transaction(&mut self) -> Result<Option<crate::Error>> {
        if self.worker.rng.chance(20) {
            return self.watch();
        }
        let rng = &mut self.worker.rng;
        let count = if rng.chance(75) { 1 } else { 2 + rng.below(PIPELINE_MAX - 1) };
        let units: Vec<Unit> = (0..count).map(|_| self.unit()).collect();
        self.send(&units)
    }

    fn keys(&mut self) -> Vec<Key> {
        let rng = &mut self.worker.rng;
        (0..1 + rng.below(KEYS_AT_ONCE_MAX)).map(|_| self.stage.keys.pick(rng)).collect()
    }

    fn unit(&mut self) -> Unit {
        let keys = self.keys();
        let generation = self.stage.keys.generation;
        let percent = self.worker.rng.below(100);
        let (ask, form) = match percent {
            0..20 => (self.append(&keys), "RPUSH"),
            20..35 => (Ask::Read(keys[0]), "LRANGE"),
            35..40 => (Ask::Length(keys[0]), "LLEN"),
            _ if percent < 70 && self.stage.scripts => {
                let (asks, is_heavy) = self.asks(&keys, 50, true);
                let commands = vec![eval(&asks, generation)];
                let form = if is_heavy { "heavy EVAL" } else { "EVAL" };
                return Unit { form, asks, commands, whole: Whole::Array };
            }
            _ => {
                let (asks, is_heavy) = self.asks(&keys, 50, false);
                let commands = self.multi(&asks);
                let form = if is_heavy { "heavy MULTI" } else { "MULTI" };
                return Unit { form, asks, commands, whole: Whole::Exec };
            }
        };
        let commands = vec![ask.command(generation)];
        Unit { form, asks: vec![ask], commands, whole: Whole::Reply }
    }

    fn append(&mut self, keys: &[Key]) -> Ask {
        let rng = &mut self.worker.rng;
        let count = if rng.chance(60) { 1 } else { 1 + rng.below(VALUES_AT_ONCE_MAX) };
        Ask::Append(*rng.pick(keys), (0..count).map(|_| self.stage.keys.value()).collect())
    }

    /// Reads and appends, and with luck something that takes them into the heavy lane.
    fn asks(&mut self, keys: &[Key], reads_percent: usize, scripted: bool) -> (Vec<Ask>, bool) {
        // Some only read, but much: those need no lock, and must be of one moment all the same.
        let only_reads = self.worker.rng.chance(20);
        let (reads_percent, most) = if only_reads { (100, READS_MAX) } else { (reads_percent, ASKS_MAX) };
        let mut asks = Vec::new();
        for _ in 0..1 + self.worker.rng.below(most) {
            asks.push(match self.worker.rng.chance(reads_percent) {
                true if self.worker.rng.chance(25) => Ask::Length(*self.worker.rng.pick(keys)),
                true => Ask::Read(*self.worker.rng.pick(keys)),
                false => self.append(keys),
            });
        }
        let rng = &mut self.worker.rng;
        let is_heavy = self.stage.heavy && rng.chance(50);
        if is_heavy {
            let kinds: &[Ask] = if scripted {
                &[Ask::AllKeys, Ask::Ballast, Ask::Spin]
            } else {
                &[Ask::AllKeys, Ask::Ballast]
            };
            let ask = rng.pick(kinds).clone();
            asks.insert(rng.below(asks.len() + 1), ask);
        }
        (asks, is_heavy)
    }

    fn multi(&self, asks: &[Ask]) -> Vec<Command> {
        let inner = asks.iter().map(|ask| ask.command(self.stage.keys.generation));
        std::iter::once(words("MULTI")).chain(inner).chain([words("EXEC")]).collect()
    }

    /// Sends transactions at once, and tells what became of each.
    fn send(&mut self, units: &[Unit]) -> Result<Option<crate::Error>> {
        let invoked = self.stage.now();
        let mut broken = self.queue(units.iter().flat_map(|unit| &unit.commands)).err();
        for (at, unit) in units.iter().enumerate() {
            let behind = at > 0;
            let give = |session: &Self, outcome, ops| {
                let (form, completed) = (unit.form, session.stage.now());
                let client = session.worker.number;
                session.give(Transaction { client, form, behind, invoked, completed, outcome, ops });
            };
            let answer = match broken.take() {
                Some(error) => Answer::Broken(error),
                None => self.receive(unit.commands.len()),
            };
            match answer {
                Answer::Broken(error) => {
                    give(self, Outcome::Unknown, appends(&unit.asks));
                    broken = Some(error);
                }
                Answer::Replies(replies) => match unit.whole.parts(&replies) {
                    Ok(parts) => give(self, Outcome::Ok, operations(&unit.asks, parts)?),
                    Err(outcome) => give(self, outcome?, appends(&unit.asks)),
                },
            }
        }
        Ok(broken)
    }

    /// Reads what it watches, and appends if nobody else has changed it.
    fn watch(&mut self) -> Result<Option<crate::Error>> {
        let mut keys = self.keys();
        keys.sort_unstable();
        keys.dedup();
        let generation = self.stage.keys.generation;
        let names: Vec<String> = keys.iter().map(|key| key_name(generation, *key)).collect();
        let invoked = self.stage.now();
        match self.call(&[words(&format!("WATCH {}", names.join(" ")))]) {
            Answer::Broken(error) => return Ok(Some(error)),
            Answer::Replies(replies) if is_refused(&replies) => return Ok(None),
            Answer::Replies(_) => {}
        }
        // Each read is a transaction of its own if nothing comes of this one.
        let mut reads = Vec::new();
        for key in &keys {
            let ask = Ask::Read(*key);
            let sent = self.stage.now();
            let replies = match self.call(&[ask.command(generation)]) {
                Answer::Broken(error) => return Ok(Some(error)),
                // What is still watched makes a later EXEC void, and no more.
                Answer::Replies(replies) if is_refused(&replies) => return Ok(None),
                Answer::Replies(replies) => replies,
            };
            let mut ops = Vec::new();
            ask.answered(replies.first().ok_or("no reply")?, &mut ops)?;
            reads.push((sent, self.stage.now(), ops));
        }
        let (asks, is_heavy) = self.asks(&keys, 20, false);
        let form = if is_heavy { "heavy WATCH" } else { "WATCH" };
        let replies = match self.call(&self.multi(&asks)) {
            Answer::Broken(error) => {
                self.tell(form, invoked, Outcome::Unknown, appends(&asks));
                return Ok(Some(error));
            }
            Answer::Replies(replies) => replies,
        };
        match Whole::Exec.parts(&replies) {
            Ok(parts) => {
                let mut ops: Vec<Op> = reads.into_iter().flat_map(|(.., ops)| ops).collect();
                ops.extend(operations(&asks, parts)?);
                self.tell(form, invoked, Outcome::Ok, ops);
            }
            Err(outcome) => {
                self.tell(form, invoked, outcome?, appends(&asks));
                let (client, form, behind) = (self.worker.number, "watched LRANGE", false);
                for (invoked, completed, ops) in reads {
                    let outcome = Outcome::Ok;
                    self.give(Transaction { client, form, behind, invoked, completed, outcome, ops });
                }
            }
        }
        Ok(None)
    }

    fn call(&mut self, commands: &[Command]) -> Answer {
        match self.queue(commands) {
            Ok(()) => self.receive(commands.len()),
            Err(error) => Answer::Broken(error),
        }
    }

    fn queue<'c>(&mut self, commands: impl IntoIterator<Item = &'c Command>) -> Result {
        commands.into_iter().for_each(|command| self.client.queue(command));
        self.client.flush()
    }

    fn receive(&mut self, count: usize) -> Answer {
        let replies = (0..count).map(|_| self.client.receive()).collect::<Result<_>>();
        replies.map_or_else(Answer::Broken, Answer::Replies)
    }

    fn tell(&self, form: &'static str, invoked: Time, outcome: Outcome, ops: Vec<Op>) {
        let (client, completed) = (self.worker.number, self.stage.now());
        self.give(Transaction { client, form, behind: false, invoked, completed, outcome, ops });
    }

    fn give(&self, transaction: Transaction) {
        for op in &transaction.ops {
            match op {
                Op::Read(key, list) => self.stage.keys.note(*key, list.len() as u32),
                Op::Length(key, len) => self.stage.keys.note(*key, *len),
                Op::Append(..) => {}
            }
        }
        // Whoever listens is there until all who tell are gone.
        let _ = self.told.send(transaction);
    }
}

/// What it may have done without an answer.
fn appends(asks: &[Ask]) -> Vec<Op> {
    asks.iter().flat_map(Ask::appends).collect()
}

/// How the replies to its parts come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// One part, one reply.
    Reply,
    /// All parts in one reply.
    Array,
    /// The same, in the last of many replies; nothing if a watched key was changed.
    Exec,
}

impl Whole {
    /// The parts' replies, or what else became of the transaction.
    fn parts(self, replies: &[Reply]) -> std::result::Result<&[Reply], Result<Outcome>> {
        let Some(last) = replies.last() else { return Err(Err("no reply".into())) };
        match (self, last) {
            (_, Reply::Error(text)) => Err(refusal(text).ok_or_else(|| format!("{replies:?}").into())),
            (Self::Reply, _) => Ok(replies),
            (Self::Array | Self::Exec, Reply::Array(parts)) => Ok(parts),
            (Self::Exec, last) if last.is_null() => Err(Ok(Outcome::Failed)),
            _ => Err(Err(format!("{last:?} is no answer to a transaction").into())),
        }
    }
}

/// What a server may answer under load that is no mistake.
fn refusal(text: &str) -> Option<Outcome> {
    match text.split(' ').next() {
        Some("UNCERTAIN") => Some(Outcome::Unknown),
        Some("BUSY" | "LOADING") => Some(Outcome::Failed),
        _ => None,
    }
}

fn is_refused(replies: &[Reply]) -> bool {
    replies.iter().any(|reply| matches!(reply, Reply::Error(text) if refusal(text).is_some()))
}

fn operations(asks: &[Ask], replies: &[Reply]) -> Result<Vec<Op>> {
    if asks.len() != replies.len() {
        return Err(format!("{} replies to {asks:?}: {replies:?}", replies.len()).into());
    }
    let mut ops = Vec::new();
    asks.iter().zip(replies).try_for_each(|(ask, reply)| ask.answered(reply, &mut ops))?;
    Ok(ops)
}
