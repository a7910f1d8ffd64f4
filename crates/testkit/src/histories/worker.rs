//! One connection's part of the load: it makes transactions, and tells what it knows of each.

use super::ask::{Ask, eval, key_name};
use super::model::{Key, Op, Outcome, Time, Transaction, Value};
use crate::client::{Command, words};
use crate::{Client, Reply, Result, Rng};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

/// Few keys, so that everybody meets everybody.
const KEYS: usize = 5;
/// How long lists get before others take their places: of one record, and too long for a network thread.
const BOUNDS: [u32; 3] = [40, 150, 500];
const VALUES_AT_ONCE_MAX: usize = 3;
const KEYS_AT_ONCE_MAX: usize = 4;
const ASKS_MAX: usize = 6;

/// The keys of one history, and its values.
#[derive(Debug)]
pub(super) struct Keys {
    /// Keeps the names of one history's keys apart from the others'.
    pub generation: u32,
    places: [AtomicU32; KEYS],
    next_key: AtomicU32,
    next_value: AtomicU64,
}

impl Keys {
    pub(super) fn new(generation: u32) -> Self {
        Self {
            generation,
            places: std::array::from_fn(|place| AtomicU32::new(place as u32)),
            next_key: AtomicU32::new(KEYS as u32),
            next_value: AtomicU64::new(1),
        }
    }

    /// All that were ever used.
    pub(super) fn all(&self) -> std::ops::Range<Key> {
        0..self.next_key.load(Ordering::SeqCst)
    }

    fn pick(&self, rng: &mut Rng) -> Key {
        rng.pick(&self.places).load(Ordering::Relaxed)
    }

    fn value(&self) -> Value {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }

    /// Another key takes the place of one that is full.
    fn note(&self, key: Key, len: u32) {
        if len < BOUNDS[key as usize % BOUNDS.len()] {
            return;
        }
        if let Some(place) = self.places.iter().find(|place| place.load(Ordering::Relaxed) == key) {
            let new = self.next_key.fetch_add(1, Ordering::SeqCst);
            // Of two who find it full, one is first; the other's number stays unused.
            let _ = place.compare_exchange(key, new, Ordering::SeqCst, Ordering::SeqCst);
        }
    }
}

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

/// How a transaction is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Push,
    Range,
    Multi,
    Watch,
    Script,
}

impl Form {
    fn name(self, is_heavy: bool) -> &'static str {
        match (self, is_heavy) {
            (Self::Push, _) => "RPUSH",
            (Self::Range, _) => "LRANGE",
            (Self::Multi, false) => "MULTI",
            (Self::Multi, true) => "heavy MULTI",
            (Self::Watch, false) => "WATCH",
            (Self::Watch, true) => "heavy WATCH",
            (Self::Script, false) => "EVAL",
            (Self::Script, true) => "heavy EVAL",
        }
    }
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
    /// One transaction; gives the error if the connection is broken.
    fn transaction(&mut self) -> Result<Option<crate::Error>> {
        let rng = &mut self.worker.rng;
        let form = match rng.below(100) {
            0..15 => Form::Push,
            15..30 => Form::Range,
            30..55 => Form::Multi,
            55..75 => Form::Watch,
            _ if self.stage.scripts => Form::Script,
            _ => Form::Multi,
        };
        let keys: Vec<Key> =
            (0..1 + rng.below(KEYS_AT_ONCE_MAX)).map(|_| self.stage.keys.pick(rng)).collect();
        match form {
            Form::Push => {
                let asks = [self.append(&keys)];
                self.send(
                    form.name(false),
                    &asks,
                    &[asks[0].command(self.stage.keys.generation)],
                    Whole::Reply,
                )
            }
            Form::Range => {
                let asks = [Ask::Read(keys[0])];
                self.send(
                    form.name(false),
                    &asks,
                    &[asks[0].command(self.stage.keys.generation)],
                    Whole::Reply,
                )
            }
            Form::Multi => {
                let (asks, is_heavy) = self.asks(&keys, 50, false);
                let commands = self.multi(&asks);
                self.send(form.name(is_heavy), &asks, &commands, Whole::Exec)
            }
            Form::Script => {
                let (asks, is_heavy) = self.asks(&keys, 50, true);
                let command = eval(&asks, self.stage.keys.generation);
                self.send(form.name(is_heavy), &asks, &[command], Whole::Array)
            }
            Form::Watch => self.watch(&keys),
        }
    }

    fn append(&mut self, keys: &[Key]) -> Ask {
        let rng = &mut self.worker.rng;
        let count = if rng.chance(60) { 1 } else { 1 + rng.below(VALUES_AT_ONCE_MAX) };
        Ask::Append(*rng.pick(keys), (0..count).map(|_| self.stage.keys.value()).collect())
    }

    /// Reads and appends, and with luck something that takes them into the heavy lane.
    fn asks(&mut self, keys: &[Key], reads_percent: usize, scripted: bool) -> (Vec<Ask>, bool) {
        let mut asks = Vec::new();
        for _ in 0..1 + self.worker.rng.below(ASKS_MAX) {
            let is_read = self.worker.rng.chance(reads_percent);
            asks.push(if is_read { Ask::Read(*self.worker.rng.pick(keys)) } else { self.append(keys) });
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

    /// Sends commands at once, which are one transaction, and tells what became of it.
    fn send(
        &mut self,
        form: &'static str,
        asks: &[Ask],
        commands: &[Command],
        whole: Whole,
    ) -> Result<Option<crate::Error>> {
        let invoked = self.stage.now();
        let answer = self.call(commands);
        let replies = match answer {
            Answer::Broken(error) => {
                self.void(form, invoked, Outcome::Unknown, asks);
                return Ok(Some(error));
            }
            Answer::Replies(replies) => replies,
        };
        let parts = match whole.parts(&replies) {
            Ok(parts) => parts,
            Err(outcome) => {
                self.void(form, invoked, outcome?, asks);
                return Ok(None);
            }
        };
        let ops = operations(asks, parts)?;
        self.tell(form, invoked, Outcome::Ok, ops);
        Ok(None)
    }

    /// Reads what it watches, and appends if nobody else has changed it.
    fn watch(&mut self, keys: &[Key]) -> Result<Option<crate::Error>> {
        let mut keys = keys.to_vec();
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
        let form = Form::Watch.name(is_heavy);
        let replies = match self.call(&self.multi(&asks)) {
            Answer::Broken(error) => {
                self.void(form, invoked, Outcome::Unknown, &asks);
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
                self.void(form, invoked, outcome?, &asks);
                for (invoked, completed, ops) in reads {
                    self.give("LRANGE, watched", invoked, completed, Outcome::Ok, ops);
                }
            }
        }
        Ok(None)
    }

    fn call(&mut self, commands: &[Command]) -> Answer {
        commands.iter().for_each(|command| self.client.queue(command));
        let mut replies = Vec::with_capacity(commands.len());
        if let Err(error) = self.client.flush() {
            return Answer::Broken(error);
        }
        for _ in commands {
            match self.client.receive() {
                Ok(reply) => replies.push(reply),
                Err(error) => return Answer::Broken(error),
            }
        }
        Answer::Replies(replies)
    }

    /// It had no effect, or nobody knows.
    fn void(&self, form: &'static str, invoked: Time, outcome: Outcome, asks: &[Ask]) {
        self.tell(form, invoked, outcome, asks.iter().flat_map(Ask::appends).collect());
    }

    fn tell(&self, form: &'static str, invoked: Time, outcome: Outcome, ops: Vec<Op>) {
        self.give(form, invoked, self.stage.now(), outcome, ops);
    }

    fn give(&self, form: &'static str, invoked: Time, completed: Time, outcome: Outcome, ops: Vec<Op>) {
        for op in &ops {
            match op {
                Op::Read(key, list) => self.stage.keys.note(*key, list.len() as u32),
                Op::Length(key, len) => self.stage.keys.note(*key, *len),
                Op::Append(..) => {}
            }
        }
        let client = self.worker.number;
        // Whoever listens is there until all who tell are gone.
        let _ = self.told.send(Transaction { client, form, invoked, completed, outcome, ops });
    }
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
        Some("BUSY" | "MISCONF" | "LOADING") => Some(Outcome::Failed),
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
