//! Client-side caching: which clients keep what they have read, and are told when it has changed.
//!
//! A client that tracks is noted as a reader of each key that it reads, *before* the key is read; or it names
//! prefixes, and reads need not be noted. Each commit's keys are looked up when it may be told (the store's
//! onlooker, a tiding): whoever is noted then is sent an invalidation and is forgotten. So nobody keeps what was
//! read before a change of which it is not told.
//!
//! IMPORTANT: an invalidation must not come before the reply with the value that it is about, or that would be
//! kept. A network thread puts it behind what it has answered, and keeps it back while the heavy pool works for
//! the client. What is read there on a snapshot older than its note is said to have changed.
//!
//! Bounded: the keys that are noted, their bytes and their readers, beyond which the readers of some are told
//! that they have changed; and what is on its way to one client, which is then told that everything has.

mod letters;
mod options;
mod prefixes;
mod readers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use store::{Changed, Onlooker, Tiding};

use crate::engine::clients::Client;
use crate::net::mailbox::Mailbox;
pub use letters::{Key, Letter, Letters, Pile, Piles, To, Way};
pub use options::{Mode, Options};
use prefixes::Prefixes;
use readers::{Bounds, Readers};

/// How many keys are noted at most, unless `tracking-table-max-keys` says otherwise.
const KEYS_MAX: usize = 1_000_000;

/// A client, and the network thread that it is at home at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader {
    pub client: u64,
    pub thread: u16,
}

impl Reader {
    pub fn of(client: &Client) -> Self {
        Self { client: client.id, thread: client.mailbox.at }
    }
}

pub struct Tracker {
    readers: Readers,
    prefixes: RwLock<Prefixes>,
    /// Everybody who tracks, and where.
    clients: Mutex<BTreeMap<u64, Reader>>,
    count: AtomicUsize,
    threads: OnceLock<Arc<[Arc<Mailbox>]>>,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            readers: Readers::new(Bounds::of_keys(KEYS_MAX)),
            prefixes: RwLock::default(),
            clients: Mutex::default(),
            count: AtomicUsize::new(0),
            threads: OnceLock::new(),
        }
    }
}

impl Tracker {
    /// The node's network threads, in their order.
    pub fn connect(&self, threads: &[Arc<Mailbox>]) {
        let _ = self.threads.set(threads.into());
    }

    /// A client tracks from now on, or in another way.
    pub fn begin(&self, client: &Client, options: Options) {
        let reader = Reader::of(client);
        let mut tracking = client.tracking.lock();
        let mut prefixes = self.prefixes.write();
        if let Some(before) = tracking.take() {
            before.prefixes.iter().for_each(|prefix| prefixes.remove(prefix, reader));
        }
        options.prefixes.iter().for_each(|prefix| prefixes.add(prefix, reader));
        drop(prefixes);
        client.prefix_bytes.store(options.held_bytes() as u64, Ordering::Relaxed);
        *tracking = Some(options);
        client.tracks.store(true, Ordering::Relaxed);
        if self.clients.lock().insert(client.id, reader).is_none() {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A client tracks nothing any more. What it has read is forgotten as it changes.
    pub fn end(&self, client: &Client) {
        if !client.tracks.swap(false, Ordering::Relaxed) {
            return;
        }
        client.prefix_bytes.store(0, Ordering::Relaxed);
        let reader = Reader::of(client);
        if let Some(options) = client.tracking.lock().take() {
            let mut prefixes = self.prefixes.write();
            options.prefixes.iter().for_each(|prefix| prefixes.remove(prefix, reader));
        }
        if self.clients.lock().remove(&client.id).is_some() {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// A client is about to read keys. Says which of them it was not yet noted for.
    pub fn remember<'k>(&self, reader: Reader, keys: impl Iterator<Item = &'k [u8]>) -> Vec<&'k [u8]> {
        let mut new = Vec::new();
        for key in keys {
            let noted = self.readers.add(key, reader);
            if noted.is_new {
                new.push(key);
            }
            // There is no room for them any more.
            for (key, readers) in noted.forgotten {
                let letter = Key { name: key, by: 0, way: Way::ByKey };
                readers.iter().for_each(|reader| self.send(*reader, letter.clone()));
            }
        }
        new
    }

    /// What a client has read of a key may be older than its note.
    pub fn doubt(&self, reader: Reader, key: &[u8]) {
        self.send(reader, Key { name: key.into(), by: 0, way: Way::ByKey });
    }

    fn send(&self, reader: Reader, key: Key) {
        let to = To { client: reader.client, is_redirected: false };
        self.post(reader.thread, to, Letter::Key(key));
    }

    /// Puts something into the letters of a network thread.
    pub fn post(&self, thread: u16, to: To, letter: Letter) {
        if let Some(mailbox) = self.threads.get().and_then(|threads| threads.get(usize::from(thread)))
            && mailbox.letters.put(to, letter)
        {
            mailbox.wake();
        }
    }

    /// Keys have changed: tells those who keep them.
    fn invalidate(&self, changed: &Changed) {
        if changed.everything {
            return self.invalidate_all();
        }
        for key in &changed.keys {
            let name: Arc<[u8]> = key.as_slice().into();
            let letter = |way| Key { name: name.clone(), by: changed.by, way };
            for reader in self.readers.take(key) {
                self.send(reader, letter(Way::ByKey));
            }
            self.prefixes.read().of(key, &mut |reader| self.send(reader, letter(Way::ByPrefix)));
        }
    }

    /// Whatever anybody keeps may have changed.
    pub fn invalidate_all(&self) {
        self.readers.clear();
        let clients: Vec<Reader> = self.clients.lock().values().copied().collect();
        for reader in clients {
            let to = To { client: reader.client, is_redirected: false };
            self.post(reader.thread, to, Letter::Everything);
        }
    }

    pub fn clients(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// How many keys are noted, and how many readers of all of them.
    pub fn noted(&self) -> (usize, usize) {
        self.readers.counts()
    }

    pub fn prefixes(&self) -> usize {
        self.prefixes.read().len()
    }

    /// How many keys are noted at most; zero for as many as there is room for.
    pub fn keys_max(&self) -> usize {
        self.readers.keys_max()
    }

    pub fn set_keys_max(&self, keys: usize) {
        self.readers.set_keys_max(keys);
    }
}

/// The node's tracker, as its stores see it.
pub struct Eye(pub Arc<Tracker>);

struct Invalidation {
    tracker: Arc<Tracker>,
    changed: Changed,
}

impl Onlooker for Eye {
    fn looks(&self) -> bool {
        self.0.clients() > 0
    }

    fn saw(&self, changed: Changed) -> Box<dyn Tiding> {
        Box::new(Invalidation { tracker: self.0.clone(), changed })
    }
}

impl Tiding for Invalidation {
    fn tell(self: Box<Self>) {
        self.tracker.invalidate(&self.changed);
    }
}
