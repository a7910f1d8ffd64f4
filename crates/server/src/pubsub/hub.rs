//! The node's side: who hears what, and how much is under way to them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use base::{glob, limits};
use command::Error;
use parking_lot::RwLock;

use super::key_events::KeyEvents;
use super::message::{Message, Posted, Told};
use super::tables::Tables;
use super::{Hearing, Kind, Name};
use crate::engine::clients::Client;
use crate::engine::ran_on::RanOn;
use crate::net::dispatch::BUSY;
use crate::net::mailbox::Mailbox;

#[derive(Default)]
pub struct Hub {
    tables: RwLock<Tables>,
    threads: OnceLock<Arc<[Arc<Mailbox>]>>,
    /// Bytes of the messages that were published and not handed out yet.
    under_way: Arc<AtomicUsize>,
    /// Clients that hear something.
    clients: AtomicUsize,
    /// What they may hear about keys.
    pub key_events: KeyEvents,
    /// Every command on data comes through here, see [`Self::run`].
    pub ran_on: RanOn,
}

impl Hub {
    /// The node's network threads, in their order.
    pub fn connect(&self, threads: &[Arc<Mailbox>]) {
        let _ = self.threads.set(threads.into());
    }

    /// A client hears a name from now on. There must be room for it.
    pub fn subscribe(&self, client: &Client, kind: Kind, name: &[u8]) -> i64 {
        let mut hearing = client.hearing.lock();
        if !hearing.of(kind).contains(name) {
            let name = self.tables.write().add(kind, name, client.mailbox.at);
            client.mailbox.hearers.add(kind, name.clone(), client.id);
            hearing.add(kind, name);
            self.note(client, &hearing);
        }
        hearing.told(kind)
    }

    pub fn unsubscribe(&self, client: &Client, kind: Kind, name: &[u8]) -> i64 {
        let mut hearing = client.hearing.lock();
        if let Some(name) = hearing.remove(kind, name) {
            self.forget(client, kind, &name);
            self.note(client, &hearing);
        }
        hearing.told(kind)
    }

    /// A client is to hear nothing any more: a part of what it hears is forgotten. Says whether that was all.
    pub fn leave(&self, client: &Client) -> bool {
        if !client.hears.load(Ordering::Relaxed) {
            return true;
        }
        let mut hearing = client.hearing.lock();
        for (kind, name) in hearing.some(limits::NAMES_IN_A_PART) {
            hearing.remove(kind, &name);
            self.forget(client, kind, &name);
        }
        self.note(client, &hearing);
        hearing.is_empty()
    }

    fn forget(&self, client: &Client, kind: Kind, name: &[u8]) {
        client.mailbox.hearers.remove(kind, name, client.id);
        self.tables.write().remove(kind, name, client.mailbox.at);
    }

    fn note(&self, client: &Client, hearing: &Hearing) {
        client.heard_bytes.store(hearing.held_bytes() as u64, Ordering::Relaxed);
        let hears = !hearing.is_empty();
        match (client.hears.swap(hears, Ordering::Relaxed), hears) {
            (false, true) => self.clients.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.clients.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Makes a message for those who hear a channel now.
    pub fn post(&self, kind: Kind, channel: &[u8], payload: &[u8]) -> command::Result<Posted> {
        let found = self.tables.read().find(kind, channel);
        let Some(threads) = self.threads.get().filter(|_| found.receivers > 0) else {
            return Ok(Posted::default());
        };
        if self.under_way.load(Ordering::Relaxed) > limits::MESSAGES_BYTES_MAX {
            return Err(Error::line(BUSY));
        }
        let to = found.threads.iter().filter_map(|at| threads.get(usize::from(*at)).cloned()).collect();
        let message =
            Arc::new(Message::new(channel, payload, (found.names, found.receivers), &self.under_way));
        Ok(Posted { receivers: found.receivers, told: Some(Told { message, threads: to }) })
    }

    /// What it takes at most to find out who hears a channel, in steps of a script.
    pub fn steps(&self, kind: Kind, channel: &[u8]) -> u32 {
        self.tables.read().steps(kind, channel)
    }

    /// Whether so much is under way that publishers wait.
    pub fn is_full(&self) -> bool {
        self.under_way() > limits::MESSAGES_BYTES_KEPT
    }

    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// How many clients hear something.
    pub fn clients(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    /// How many names of a kind somebody hears.
    pub fn len(&self, kind: Kind) -> usize {
        self.tables.read().len(kind)
    }

    /// How many clients hear a name.
    pub fn hearers(&self, kind: Kind, name: &[u8]) -> i64 {
        self.tables.read().clients(kind, name)
    }

    /// The names that somebody hears: all, or those that are like a pattern.
    pub fn names(&self, kind: Kind, pattern: Option<&[u8]>) -> Vec<Name> {
        let fits = |name: &&Name| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        self.tables.read().names(kind).filter(fits).cloned().collect()
    }
}
