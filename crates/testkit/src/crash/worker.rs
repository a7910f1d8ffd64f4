//! One connection's part of the load.

use super::model::{Op, State, shared_key};
use super::trouble::is_uncertain;
use crate::{Client, Reply, Result, Rng};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(super) const SHARED_COUNTERS: usize = 4;
const VALUE_KEYS: usize = 24;
const COUNTER_KEYS: usize = 6;
const COLLECTIONS_PERCENT: usize = 40;
const PIPELINE_MAX: usize = 12;
/// Appending stops here, so that values stay small enough to compare them all.
const APPENDED_BYTES_MAX: usize = 16 << 10;
/// Expiries far in the future, in milliseconds: the year 2100 and a while.
pub(super) const FUTURE_MS: i64 = 4_100_000_000_000;

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: usize,
    pub(super) rng: Rng,
    sequence: u64,
    /// After every acknowledged command.
    pub(super) sure: State,
    /// Sent and not acknowledged, in order.
    pub(super) in_flight: VecDeque<Op>,
    /// Answered that they may or may not take effect, before all that is in flight.
    pub(super) uncertain: VecDeque<Op>,
    pub(super) acknowledged: u64,
    /// Answered that they have had no effect, or may have had none.
    pub(super) refused: u64,
    /// By shared counter: how often it was sent, and the replies.
    pub(super) shared_sent: [u64; SHARED_COUNTERS],
    pub(super) shared_replies: [Vec<i64>; SHARED_COUNTERS],
}

impl Worker {
    pub(super) fn new(id: usize, rng: &Rng) -> Self {
        Self {
            id,
            rng: rng.fork(id as u64),
            sequence: 0,
            sure: State::new(),
            in_flight: VecDeque::new(),
            uncertain: VecDeque::new(),
            acknowledged: 0,
            refused: 0,
            shared_sent: Default::default(),
            shared_replies: Default::default(),
        }
    }

    /// Every string that the worker ever writes. The tag keeps them in one slot, so in one log.
    pub(super) fn keys(&self) -> Vec<String> {
        let values = (0..VALUE_KEYS).map(|key| self.value_key(key));
        values.chain((0..COUNTER_KEYS).map(|key| self.counter_key(key))).collect()
    }

    fn value_key(&self, key: usize) -> String {
        format!("{{w{}}}:v{key}", self.id)
    }

    fn counter_key(&self, key: usize) -> String {
        format!("{{w{}}}:n{key}", self.id)
    }

    /// Sends commands until the server is gone. An error is a wrong reply, never a lost connection;
    /// refusals are wrong unless something explains them.
    pub(super) fn load(
        &mut self,
        client: &mut Client,
        is_over: &AtomicBool,
        acks: &AtomicU64,
        explains: &impl Fn(&str) -> bool,
    ) -> Result {
        while !is_over.load(Ordering::Relaxed) {
            let depth = if self.rng.chance(50) { 1 } else { 1 + self.rng.below(PIPELINE_MAX) };
            for _ in 0..depth {
                let op = self.choose();
                client.queue(&op.command());
                if let Op::Shared(counter) = op
                    && let Some(sent) = self.shared_sent.get_mut(counter)
                {
                    *sent += 1;
                }
                self.in_flight.push_back(op);
            }
            if client.flush().is_err() {
                return Ok(());
            }
            for _ in 0..depth {
                let Ok(reply) = client.receive() else { return Ok(()) };
                match &reply {
                    Reply::Error(why) if explains(why) => {
                        self.refuse(why)?;
                    }
                    reply => {
                        self.acknowledge(reply)?;
                        acks.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        Ok(())
    }

    /// The command has had no effect, or may have had none.
    fn refuse(&mut self, why: &str) -> Result {
        let op = self.in_flight.pop_front().ok_or("a refusal of no command")?;
        self.refused += 1;
        if is_uncertain(why) {
            self.uncertain.push_back(op);
        } else if let Op::Shared(counter) = op
            && let Some(sent) = self.shared_sent.get_mut(counter)
        {
            *sent -= 1;
        }
        Ok(())
    }

    /// Whether it is a write here and now: DEL of a missing key, for instance, is a read.
    fn changes_anything(&self, op: &Op) -> bool {
        let mut after = self.sure.clone();
        op.apply(&mut after).is_none() || after != self.sure
    }

    fn acknowledge(&mut self, reply: &Reply) -> Result {
        let op = self.in_flight.pop_front().ok_or("a reply to no command")?;
        if let Some(uncertain) = self.uncertain.front()
            && self.changes_anything(&op)
        {
            let id = self.id;
            return Err(format!("worker {id}: {op:?} is acknowledged although {uncertain:?} is void").into());
        }
        self.acknowledged += 1;
        match (&op, op.apply(&mut self.sure)) {
            (Op::Shared(counter), None) => {
                let value = reply.integer().ok_or_else(|| format!("{op:?}: {reply:?}"))?;
                if let Some(replies) = self.shared_replies.get_mut(*counter) {
                    replies.push(value);
                }
                Ok(())
            }
            (_, Some(expected)) if expected == *reply => Ok(()),
            (_, expected) => {
                Err(format!("worker {}: {op:?}: the reply is {reply:?}, not {expected:?}", self.id).into())
            }
        }
    }

    fn choose(&mut self) -> Op {
        if self.rng.chance(COLLECTIONS_PERCENT) {
            return self.choose_for_collections();
        }
        let key = {
            let number = self.rng.below(VALUE_KEYS);
            self.value_key(number)
        };
        let percent = self.rng.below(100);
        match percent {
            0..20 => Op::Set(key, self.value()),
            20..24 => Op::SetKeepTtl(key, self.value()),
            24..29 => Op::Get(key),
            29..44 => {
                let number = self.rng.below(COUNTER_KEYS);
                Op::Incr(self.counter_key(number))
            }
            44..58 => Op::Shared(self.rng.below(SHARED_COUNTERS)),
            58..68 => {
                let count = 2 + self.rng.below(6);
                let first = self.rng.below(VALUE_KEYS);
                let keys = (0..count).map(|offset| self.value_key((first + offset) % VALUE_KEYS));
                let keys: Vec<String> = keys.collect();
                Op::MSet(keys.into_iter().map(|key| (key, self.value())).collect())
            }
            68..78 => {
                let to = self.rng.below(VALUE_KEYS);
                Op::Rename(key, self.value_key(to))
            }
            78..84 => {
                let is_past = self.rng.chance(10);
                Op::ExpireAt(key, if is_past { 1 } else { FUTURE_MS + self.rng.range(0, 1_000_000) })
            }
            84..87 => Op::Persist(key),
            87..95 => {
                let is_full = self.sure.get(&key).is_some_and(|entry| entry.value.len() > APPENDED_BYTES_MAX);
                if is_full { Op::Set(key, self.value()) } else { Op::Append(key, self.value()) }
            }
            _ => {
                let other = self.rng.below(VALUE_KEYS);
                let other = self.value_key(other);
                if other == key { Op::Del(vec![key]) } else { Op::Del(vec![key, other]) }
            }
        }
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// A value that no other command writes; mostly small, now and then large.
    fn value(&mut self) -> Vec<u8> {
        self.sequence += 1;
        let mut value = format!("{}.{};", self.id, self.sequence).into_bytes();
        let padding = match self.rng.below(200) {
            0 => self.rng.below(200_000),
            1..20 => self.rng.below(5_000),
            _ => self.rng.below(80),
        };
        value.resize(value.len() + padding, b'a' + (self.sequence % 26) as u8);
        value
    }
}

/// What is known of the counters that all connections increment.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Found at the last check.
    pub(super) base: [i64; SHARED_COUNTERS],
    /// The highest value that anybody was shown.
    pub(super) seen: [i64; SHARED_COUNTERS],
}

impl Shared {
    pub(super) fn observed(&mut self, seen: &[i64; SHARED_COUNTERS]) {
        for (old, new) in self.seen.iter_mut().zip(seen) {
            *old = (*old).max(*new);
        }
    }
}

/// Reads the shared counters until the server is gone: nobody may be shown a value that a crash can
/// take back.
pub(super) fn observe(addr: SocketAddr, is_over: &AtomicBool) -> [i64; SHARED_COUNTERS] {
    let mut seen = [0; SHARED_COUNTERS];
    let Ok(mut client) = Client::connect(addr) else { return seen };
    while !is_over.load(Ordering::Relaxed) {
        for (counter, seen) in seen.iter_mut().enumerate() {
            match client.call(&["GET", &shared_key(counter)]) {
                Ok(reply) => *seen = (*seen).max(number(&reply)),
                // The server is gone, which `is_over` tells as well in a moment.
                Err(_) => break,
            }
        }
    }
    seen
}

pub(super) fn number(reply: &Reply) -> i64 {
    reply.bytes().and_then(|bytes| String::from_utf8_lossy(bytes).parse().ok()).unwrap_or(0)
}
