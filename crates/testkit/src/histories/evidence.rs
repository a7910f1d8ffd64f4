//! What reads say by themselves: the order of each list, who wrote it, and what cannot be whatever the
//! order of the transactions is.

use super::history::{Entry, History, Id, Odd, Step};
use super::model::{Key, NEVER, Outcome, Value};
use super::violation::{Kind, Violation};
use super::words;
use std::collections::{HashMap, HashSet};

/// More of one history help nobody.
const VIOLATIONS_MAX: usize = 20;

#[derive(Debug, Clone, Copy)]
struct Write {
    writer: Id,
    key: Key,
    /// Its transaction appends more to this key.
    goes_on: bool,
    is_seen: bool,
}

/// A transaction found a list with so many elements, none of them its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub reader: Id,
    pub key: Key,
    pub len: u32,
}

#[derive(Debug)]
pub(super) struct Evidence<'h> {
    history: &'h History,
    writes: HashMap<Value, Write>,
    /// By transaction: it has taken effect.
    pub happened: Vec<bool>,
    pub reads: Vec<Read>,
    /// Appends that took effect but were in no list that anybody read.
    pub unseen: Vec<(Key, Id)>,
    pub violations: Vec<Violation>,
}

impl<'h> Evidence<'h> {
    pub(super) fn collect(history: &'h History) -> Self {
        let happened = history.entries().map(|(_, entry)| entry.outcome == Outcome::Ok).collect();
        let mut evidence = Self {
            history,
            writes: HashMap::new(),
            happened,
            reads: Vec::new(),
            unseen: Vec::new(),
            violations: Vec::new(),
        };
        evidence.note_writes();
        for key in 0..history.keys() {
            evidence.check_list(key, history.list(key), history.longest_reader(key));
        }
        for odd in &history.odd {
            evidence.check_odd(odd);
        }
        let mut own = Own::default();
        for (id, entry) in history.entries() {
            if entry.outcome == Outcome::Ok {
                evidence.check_transaction(id, &mut own);
            }
        }
        evidence.check_unseen();
        evidence
    }

    /// Who appended what is at this place of a list.
    pub(super) fn writer(&self, key: Key, at: u32) -> Option<Id> {
        let value = self.history.list(key).get(at as usize)?;
        self.writes.get(value).filter(|write| write.key == key).map(|write| write.writer)
    }

    fn accuse(&mut self, kind: Kind, text: impl FnOnce(&History) -> String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { kind, text: text(self.history) });
        }
    }

    fn note_writes(&mut self) {
        for (id, _) in self.history.entries() {
            let steps = self.history.steps(id);
            for (at, (key, step)) in steps.iter().enumerate() {
                let Step::Append(value) = *step else { continue };
                let rest = steps.get(at + 1..).unwrap_or_default();
                let goes_on = rest.iter().any(|(next, step)| next == key && matches!(step, Step::Append(_)));
                let write = Write { writer: id, key: *key, goes_on, is_seen: false };
                self.writes.insert(value, write);
            }
        }
    }

    /// Whether its values are right, each by itself. Whoever wrote them has taken effect.
    fn check_list(&mut self, key: Key, list: &[Value], reader: Id) -> bool {
        let mut there = HashSet::with_capacity(list.len());
        let before = self.violations.len();
        for &value in list {
            if !there.insert(value) {
                self.accuse(Kind::Duplicate, |history| {
                    format!("k{key} has {value} twice, as read by {}", words::transaction(history, reader))
                });
                continue;
            }
            let Some(write) = self.writes.get_mut(&value).filter(|write| write.key == key) else {
                self.accuse(Kind::Unwritten, |history| {
                    let reader = words::transaction(history, reader);
                    format!("{value} is in k{key}, but nobody appended it there: {reader}")
                });
                continue;
            };
            write.is_seen = true;
            let writer = write.writer;
            match self.history.entry(writer).outcome {
                Outcome::Ok => {}
                Outcome::Unknown => self.happened[writer as usize] = true,
                Outcome::Failed => self.accuse(Kind::Aborted, |history| {
                    let (writer, reader) =
                        (words::transaction(history, writer), words::transaction(history, reader));
                    format!("{value} is in k{key}, but was void:\n  {writer}\nread by\n  {reader}")
                }),
            }
        }
        self.violations.len() == before
    }

    fn check_odd(&mut self, odd: &Odd) {
        if self.check_list(odd.key, &odd.list, odd.reader) {
            self.accuse(Kind::Reordered, |history| words::contradiction(history, odd));
        }
    }

    fn check_transaction(&mut self, id: Id, own: &mut Own) {
        own.keys.clear();
        for (key, step) in self.history.steps(id) {
            let at = match own.keys.iter().position(|known| known.key == *key) {
                Some(at) => at,
                None => {
                    own.keys.push(OwnKey { key: *key, found: None, appended: Vec::new() });
                    own.keys.len() - 1
                }
            };
            let Some(known) = own.keys.get_mut(at) else { continue };
            match *step {
                Step::Append(value) => known.appended.push(value),
                Step::Read(len) | Step::Length(len) => match known.read(self.history.list(*key), len) {
                    Err(why) => self.accuse(Kind::Internal, |history| {
                        format!("k{key}: {why}: {}", words::transaction(history, id))
                    }),
                    Ok(None) => {}
                    Ok(Some(len)) => self.read(Read { reader: id, key: *key, len }),
                },
            }
        }
    }

    fn read(&mut self, read: Read) {
        self.reads.push(read);
        let last = read.len.checked_sub(1).and_then(|at| self.history.list(read.key).get(at as usize));
        let Some((value, write)) = last.and_then(|value| Some((*value, *self.writes.get(value)?))) else {
            return;
        };
        if write.goes_on && write.writer != read.reader {
            self.accuse(Kind::Intermediate, |history| {
                format!(
                    "k{} was read up to {value}, but who appended that appended more to it:\n  {}\nread by\n  {}",
                    read.key,
                    words::transaction(history, write.writer),
                    words::transaction(history, read.reader)
                )
            });
        }
    }

    /// What took effect must be in every list that is read later.
    fn check_unseen(&mut self) {
        let mut latest: HashMap<Key, Id> = HashMap::new();
        let invoked = |id: Id| self.history.entry(id).invoked;
        for read in &self.reads {
            // Of a longer list nobody knows what it held.
            if read.len as usize > self.history.list(read.key).len() {
                continue;
            }
            let last = latest.entry(read.key).or_insert(read.reader);
            if invoked(read.reader) > invoked(*last) {
                *last = read.reader;
            }
        }
        let unseen =
            self.writes.iter().filter(|(_, write)| !write.is_seen && self.happened[write.writer as usize]);
        let mut unseen: Vec<(Value, Key, Id)> =
            unseen.map(|(value, write)| (*value, write.key, write.writer)).collect();
        unseen.sort_unstable_by_key(|(value, ..)| *value);
        for (value, key, writer) in unseen {
            self.unseen.push((key, writer));
            let Entry { completed, outcome, .. } = *self.history.entry(writer);
            let Some(&reader) = latest.get(&key) else { continue };
            if completed == NEVER || self.history.entry(reader).invoked <= completed {
                continue;
            }
            self.accuse(Kind::LostAppend, |history| {
                let why = if outcome == Outcome::Ok {
                    "was acknowledged"
                } else {
                    "had no answer, but took effect in part"
                };
                let (writer, reader) =
                    (words::transaction(history, writer), words::transaction(history, reader));
                format!(
                    "{value} is not in k{key}. Its transaction {why}:\n  {writer}\nread later by\n  {reader}"
                )
            });
        }
    }
}

/// What one transaction knows of the keys that it has used so far.
#[derive(Debug, Default)]
struct Own {
    keys: Vec<OwnKey>,
}

#[derive(Debug)]
struct OwnKey {
    key: Key,
    /// How many elements of others there were.
    found: Option<u32>,
    appended: Vec<Value>,
}

impl OwnKey {
    /// Checks a read against what the transaction did itself; gives how many elements of others it found, the
    /// first time.
    fn read(&mut self, list: &[Value], len: u32) -> Result<Option<u32>, &'static str> {
        let Some(found) = len.checked_sub(self.appended.len() as u32) else {
            return Err("its own appends are missing");
        };
        // Of what nobody has read, only the length is known.
        if let Some(tail) = list.get(found as usize..len as usize)
            && tail != self.appended
        {
            return Err("its own appends are not the last ones");
        }
        match self.found {
            None => {
                self.found = Some(found);
                Ok(Some(found))
            }
            Some(before) if before == found => Ok(None),
            Some(_) => Err("others changed it meanwhile"),
        }
    }
}
