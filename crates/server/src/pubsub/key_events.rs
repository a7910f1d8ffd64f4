//! Key-space notifications: messages about what commands have done to keys. They are found out when a command
//! has come to its end, within its transaction, and are tidings of it like what it publishes.

use std::sync::atomic::{AtomicU16, Ordering};

use command::events::{Classes, Event, class, events, misses};
use command::{Args, Error, flags};
use resp::Reply;
use store::{Noting, Txn};

use super::{Hub, Kind};
use crate::table::{Entry, Handler};

/// Which classes of events are told: `notify-keyspace-events`.
#[derive(Default)]
pub struct KeyEvents(AtomicU16);

impl KeyEvents {
    pub fn get(&self) -> Classes {
        Classes(self.0.load(Ordering::Relaxed))
    }

    pub fn set(&self, classes: Classes) {
        self.0.store(classes.0, Ordering::Relaxed);
    }
}

/// What is said of an event's channel before the database's number.
const BY_KEY: &[u8] = b"__keyspace@";
const BY_EVENT: &[u8] = b"__keyevent@";

/// Commands that read keys and are told nothing of those that are not there, as in Redis.
const MISS_NOTHING: &[&str] = &["object|encoding", "object|freq", "object|idletime", "object|refcount"];
/// Commands that write and read first what they write over.
const MISS_ALL_THE_SAME: &[&str] = &["getex", "getdel", "getset"];

fn looks_up(entry: &Entry) -> bool {
    let name = entry.row.name;
    let reads = entry.row.flags.has(flags::READONLY) && !MISS_NOTHING.contains(&name);
    (reads || MISS_ALL_THE_SAME.contains(&name)) && matches!(entry.row.run, Handler::Data(_))
}

impl Hub {
    /// The classes of events that somebody may hear of.
    #[inline]
    fn heard_classes(&self) -> Classes {
        let classes = self.key_events.get();
        let is_told = classes.has(class::BY_KEY) || classes.has(class::BY_EVENT);
        if is_told && self.clients() > 0 { classes } else { Classes::default() }
    }

    /// Runs a command for a client, and tells what it does to keys.
    pub fn run(
        &self,
        client: u64,
        entry: &Entry,
        txn: &mut Txn<'_>,
        args: &Args<'_>,
        run: impl FnOnce(&mut Txn<'_>) -> command::Result<Reply>,
    ) -> command::Result<Reply> {
        self.ran_on.note();
        txn.act_for(client);
        let noting = self.noting(entry);
        if noting == Noting::default() {
            return run(txn);
        }
        txn.note(noting);
        let result = run(txn);
        // Who is going to wait may have left something behind all the same.
        if matches!(result, Ok(_) | Err(Error::Wait(_))) {
            self.tell_of_keys(txn, entry, args)?;
        }
        result
    }

    /// What is to be noted while a command runs.
    #[inline]
    fn noting(&self, entry: &Entry) -> Noting {
        let classes = self.heard_classes();
        if classes == Classes::default() {
            return Noting::default();
        }
        Noting { changes: entry.events.is_some(), misses: classes.has(class::MISS) && looks_up(entry) }
    }

    /// Whether a command tells what it does to keys.
    pub fn tells_of_keys(&self, entry: &Entry) -> bool {
        entry.events.is_some() && self.heard_classes() != Classes::default()
    }

    /// Tells what a command has done, which has come to its end.
    fn tell_of_keys(&self, txn: &mut Txn<'_>, entry: &Entry, args: &Args<'_>) -> command::Result<()> {
        let changes = txn.take_changes();
        if changes.is_empty() {
            return Ok(());
        }
        match entry.events {
            Some(of) => self.tell_events(txn, events(of, args, changes)),
            None => self.tell_events(txn, misses(changes)),
        }
    }

    /// Tells that keys have expired which the server itself has removed.
    pub fn tell_expired(&self, txn: &mut Txn<'_>, key: &[u8]) -> command::Result<()> {
        if self.heard_classes().has(class::EXPIRED) {
            let key = (txn.database(), key.to_vec());
            return self.tell_events(txn, vec![Event { key, class: class::EXPIRED, name: "expired" }]);
        }
        Ok(())
    }

    fn tell_events(&self, txn: &mut Txn<'_>, events: Vec<Event>) -> command::Result<()> {
        let classes = self.heard_classes();
        for Event { key: (database, key), class, name } in events {
            if !classes.has(class) {
                continue;
            }
            let channel =
                |way: &[u8], what: &[u8]| [way, database.to_string().as_bytes(), b"__:", what].concat();
            if classes.has(class::BY_KEY) {
                self.tell(txn, Kind::Channel, &channel(BY_KEY, &key), name.as_bytes())?;
            }
            if classes.has(class::BY_EVENT) {
                self.tell(txn, Kind::Channel, &channel(BY_EVENT, name.as_bytes()), &key)?;
            }
        }
        Ok(())
    }

    /// Has a transaction tell those something who hear a channel. Says how many they are.
    pub(super) fn tell(
        &self,
        txn: &mut Txn<'_>,
        kind: Kind,
        channel: &[u8],
        payload: &[u8],
    ) -> command::Result<i64> {
        txn.step(self.steps(kind, channel))?;
        txn.spend(1, channel.len() + payload.len())?;
        let posted = self.post(kind, channel, payload)?;
        Ok(posted.go_with(txn))
    }
}
