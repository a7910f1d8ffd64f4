//! Who is connected, and how to wake the network threads that serve them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::admission::{Origin, PeerName};
use crate::engine::pause::Pause;
use crate::net::blocked::Place;
use crate::net::mailbox::{Mail, Mailbox};
use crate::pubsub::Hearing;
use crate::session::monitor::Monitors;
use crate::tracking::Options;

/// What a name takes that is noted for a client, beside its bytes: its places in the tables, by the name and by the client. Measured
/// with short names: 260 bytes where it is waited for, 340 where it is heard, 430 where it is watched.
pub const NOTED_NAME_BYTES: usize = 384;

/// The network threads' mailboxes.
#[derive(Default)]
pub struct Wakers {
    mailboxes: Mutex<Arc<[Arc<Mailbox>]>>,
}

impl Wakers {
    pub fn connect(&self, mailboxes: Vec<Arc<Mailbox>>) {
        *self.mailboxes.lock() = mailboxes.into();
    }

    fn all(&self) -> Arc<[Arc<Mailbox>]> {
        self.mailboxes.lock().clone()
    }

    pub fn wake_all(&self) {
        for mailbox in &*self.all() {
            mailbox.wake_settled();
        }
    }

    /// A batch was committed: wakes the threads whose clients wait for one, and in any case one that
    /// submits the next batch.
    pub fn committed(&self) {
        let all = self.all();
        let mut woken = false;
        for mailbox in &*all {
            woken |= mailbox.wake_if_waiting();
        }
        if !woken && let Some(first) = all.first() {
            first.wake();
        }
    }

    /// Sends mail to every network thread.
    pub fn broadcast(&self, mail: impl Fn() -> Mail) {
        for mailbox in &*self.all() {
            mailbox.send(mail());
        }
    }
}

/// What is known of a client, shared between its connection and whoever lists clients.
pub struct Client {
    pub id: u64,
    pub peer: Origin,
    pub local: Origin,
    /// Whether it has come by TLS.
    pub is_tls: bool,
    pub connected_ms: u64,
    pub last_ms: AtomicU64,
    pub database: AtomicU64,
    pub commands: AtomicU64,
    /// Commands queued after MULTI, and one more: zero outside of it.
    pub queued: AtomicU64,
    pub queued_bytes: AtomicU64,
    /// Of the command that it waits with, or that the heavy pool has.
    pub said_bytes: AtomicU64,
    /// Of names that are noted for it: those it watches, those it hears, and prefixes that it tracks.
    pub watched_bytes: AtomicU64,
    pub heard_bytes: AtomicU64,
    pub prefix_bytes: AtomicU64,
    pub resp3: AtomicBool,
    pub input_bytes: AtomicU64,
    /// Room in the input buffer that is not used.
    pub input_free_bytes: AtomicU64,
    pub output_bytes: AtomicU64,
    /// Pieces that the output lies in, and the room of the first one.
    pub output_pieces: AtomicU64,
    pub output_buffer_bytes: AtomicU64,
    /// The most that was to be sent at a time.
    pub output_peak_bytes: AtomicU64,
    /// Its place in the command table; `usize::MAX` before the first command.
    pub last_command: AtomicUsize,
    pub no_evict: AtomicBool,
    pub no_touch: AtomicBool,
    pub monitors: AtomicBool,
    pub hearing: Mutex<Hearing>,
    /// Whether it hears something.
    pub hears: AtomicBool,
    /// How it tracks what it reads, if it does.
    pub tracking: Mutex<Option<Options>>,
    pub tracks: AtomicBool,
    /// Until when it may leave as much unread as it does: zero if that is nothing to speak of.
    unread_until_ms: AtomicU64,
    /// Since when it stands still: zero if it does not.
    stands_since_ms: AtomicU64,
    /// What it waits for, as its network thread has noted at the end of its last turn.
    pub waits: Mutex<Waits>,
    /// It has closed its side: it says nothing more, and may be gone.
    pub hung_up: AtomicBool,
    /// Its network thread closes it: CLIENT KILL, ACL DELUSER.
    pub killed: AtomicBool,
    pub details: Mutex<Details>,
    pub mailbox: Arc<Mailbox>,
}

/// What a client says of itself.
#[derive(Clone, Debug, Default)]
pub struct Details {
    pub name: Vec<u8>,
    pub lib_name: Vec<u8>,
    pub lib_version: Vec<u8>,
    pub user: Vec<u8>,
}

/// What a client waits for, as far as others may know and end it.
#[derive(Clone, Copy, Debug, Default)]
pub enum Waits {
    #[default]
    Not,
    Key(Place),
    /// A time.
    Time,
    /// The end of CLIENT PAUSE.
    Paused,
}

impl Client {
    /// Since when it stands still, if it does.
    pub fn stands_since_ms(&self) -> Option<u64> {
        Some(self.stands_since_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    pub fn new(
        id: u64,
        ((peer, local), is_tls): ((Origin, Origin), bool),
        now_ms: u64,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            id,
            peer,
            local,
            is_tls,
            connected_ms: now_ms,
            last_ms: now_ms.into(),
            database: 0.into(),
            commands: 0.into(),
            queued: 0.into(),
            queued_bytes: 0.into(),
            said_bytes: 0.into(),
            watched_bytes: 0.into(),
            heard_bytes: 0.into(),
            prefix_bytes: 0.into(),
            resp3: false.into(),
            input_bytes: 0.into(),
            input_free_bytes: 0.into(),
            output_bytes: 0.into(),
            output_pieces: 0.into(),
            output_buffer_bytes: 0.into(),
            output_peak_bytes: 0.into(),
            last_command: usize::MAX.into(),
            no_evict: false.into(),
            no_touch: false.into(),
            monitors: false.into(),
            hearing: Mutex::default(),
            hears: false.into(),
            tracking: Mutex::default(),
            tracks: false.into(),
            unread_until_ms: 0.into(),
            stands_since_ms: 0.into(),
            waits: Mutex::default(),
            hung_up: false.into(),
            killed: false.into(),
            details: Mutex::new(Details { user: "default".into(), ..Details::default() }),
            mailbox,
        }
    }

    /// All that is held for it: what is in its buffers, what it has queued, what waits or is worked on, and names.
    pub fn held_bytes(&self) -> u64 {
        let parts = [
            &self.input_bytes,
            &self.output_bytes,
            &self.queued_bytes,
            &self.said_bytes,
            &self.watched_bytes,
            &self.heard_bytes,
            &self.prefix_bytes,
        ];
        parts.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    /// Whether it waits for something else than a key.
    pub fn waits_otherwise(&self) -> bool {
        matches!(*self.waits.lock(), Waits::Time | Waits::Paused)
    }

    /// What RESET takes back.
    pub fn reset(&self) {
        self.no_evict.store(false, Ordering::Relaxed);
        self.no_touch.store(false, Ordering::Relaxed);
        self.details.lock().name.clear();
    }

    /// Has the client closed once it has been answered what it waits for.
    pub fn close_when_answered(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    /// With whom it shares what a peer has.
    pub fn peer_name(&self) -> PeerName {
        self.peer.peer()
    }

    pub fn has_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Relaxed)
    }

    /// Has its network thread close the client.
    pub fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
        self.mailbox.send(Mail::Killed { client: self.id });
    }
}

/// Everybody who is connected.
#[derive(Default)]
pub struct Clients {
    connected: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
    /// Connections that came through the network.
    pub accepted: AtomicU64,
    /// Those of `connected` that did not.
    inside: AtomicUsize,
    pub pause: Pause,
    pub monitors: Arc<Monitors>,
    /// Clients that leave much unread, and clients that were cut off for it.
    with_unread: AtomicUsize,
    cut_off: AtomicU64,
    /// Clients that stand still, and clients that were cut off for it.
    standing: AtomicUsize,
    stalled: AtomicU64,
}

impl Clients {
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn add(&self, client: Arc<Client>) {
        let mut connected = self.connected.lock();
        match client.peer {
            Origin::Network(_) => drop(self.accepted.fetch_add(1, Ordering::Relaxed)),
            Origin::Inside => drop(self.inside.fetch_add(1, Ordering::Relaxed)),
        }
        connected.insert(client.id, client);
    }

    pub fn remove(&self, id: u64) {
        let mut connected = self.connected.lock();
        if let Some(client) = connected.remove(&id) {
            if client.peer.is_inside() {
                self.inside.fetch_sub(1, Ordering::Relaxed);
            }
            drop(connected);
            self.note_unread(&client, None, || 0);
            self.note_standing(&client, None);
        }
    }

    /// A client leaves much unread, and may for so many seconds, or it does not.
    pub fn note_unread(&self, client: &Client, may_for_s: Option<u64>, now_ms: impl FnOnce() -> u64) {
        let before = client.unread_until_ms.load(Ordering::Relaxed);
        match may_for_s {
            Some(seconds) if before == 0 => {
                let until_ms = now_ms().saturating_add(seconds.saturating_mul(1000)).max(1);
                client.unread_until_ms.store(until_ms, Ordering::Relaxed);
                self.with_unread.fetch_add(1, Ordering::Relaxed);
            }
            None if before != 0 => {
                client.unread_until_ms.store(0, Ordering::Relaxed);
                self.with_unread.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Cuts those off who have left much unread for too long.
    pub fn cut_off_unread(&self, now_ms: u64) {
        if self.with_unread.load(Ordering::Relaxed) == 0 {
            return;
        }
        for client in self.list() {
            let until_ms = client.unread_until_ms.load(Ordering::Relaxed);
            if until_ms != 0 && until_ms <= now_ms && !client.killed.load(Ordering::Relaxed) {
                tracing::warn!(client = client.id, peer = %client.peer, "cut off: it does not read");
                self.note_cut_off(&client);
                client.kill();
            }
        }
    }

    /// A client stands still since then, or it does not. It has to hold much to be noted.
    pub fn note_standing(&self, client: &Client, since_ms: Option<u64>) {
        let since_ms = since_ms.map_or(0, |ms| ms.max(1));
        match (client.stands_since_ms.swap(since_ms, Ordering::Relaxed), since_ms) {
            (0, 1..) => drop(self.standing.fetch_add(1, Ordering::Relaxed)),
            (1.., 0) => drop(self.standing.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    /// Cuts those off who have stood still for too long; zero for never. What the node hosts is spared.
    pub fn cut_off_stalled(&self, now_ms: u64, timeout_ms: u64) {
        if timeout_ms == 0 || self.standing.load(Ordering::Relaxed) == 0 {
            return;
        }
        for client in self.list() {
            let since_ms = client.stands_since_ms.load(Ordering::Relaxed);
            let is_late = since_ms != 0 && now_ms.saturating_sub(since_ms) >= timeout_ms;
            if is_late && !client.peer.is_inside() && !client.killed.load(Ordering::Relaxed) {
                let input = client.input_bytes.load(Ordering::Relaxed);
                let output = client.output_bytes.load(Ordering::Relaxed);
                tracing::warn!(client = client.id, peer = %client.peer, input, output, "cut off: it stands still");
                self.stalled.fetch_add(1, Ordering::Relaxed);
                client.kill();
            }
        }
    }

    /// How many clients were cut off because they stood still.
    pub fn stalled(&self) -> u64 {
        self.stalled.load(Ordering::Relaxed)
    }

    /// A client is cut off because it does not take what it is told.
    pub fn note_cut_off(&self, client: &Client) {
        client.killed.store(true, Ordering::SeqCst);
        self.cut_off.fetch_add(1, Ordering::Relaxed);
    }

    /// How many clients were cut off because they left more unread than they may.
    pub fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// How many there are that take places: without what the node hosts.
    pub fn len(&self) -> usize {
        let connected = self.connected.lock();
        connected.len().saturating_sub(self.inside.load(Ordering::Relaxed))
    }

    /// Connections of what the node hosts.
    pub fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everybody, by id, what the node hosts among them.
    pub fn list(&self) -> Vec<Arc<Client>> {
        self.connected.lock().values().cloned().collect()
    }

    pub fn get(&self, id: u64) -> Option<Arc<Client>> {
        self.connected.lock().get(&id).cloned()
    }
}
