//! A network thread's mailbox: how other threads reach it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mio::Waker;
use mio::net::{TcpStream, UnixStream};
use parking_lot::Mutex;
use store::Gate;

use crate::admission::Seat;
use crate::engine::heavy::{Finished, Work};
use crate::net::blocked::Place;
use crate::net::exec::Ran;
use crate::net::feed::Feed;
use crate::net::tls::Handshake;
use crate::pubsub::Hearers;
use crate::tracking::Letters;

/// A connection that was let in.
pub struct Arrived {
    pub way: Way,
    pub seat: Seat,
}

/// How it came.
pub enum Way {
    Network {
        stream: TcpStream,
        peer: SocketAddr,
        /// To be done first, with TLS.
        handshake: Option<Handshake>,
    },
    /// From what the node hosts.
    Inside(UnixStream),
}

pub enum Mail {
    /// A connection to serve from now on.
    Connected(Arrived),
    /// What became of the work that a client waits for.
    Finished { client: u64, outcome: Finished },
    /// What became of a client's transaction, commands on its session among it.
    Ran { client: u64, ran: Box<Ran>, gates: Vec<(u16, Gate)> },
    /// A client's reply cannot be told to its end.
    Broken { client: u64 },
    /// A client's command, on the heavy pool, has found nothing: it waits.
    Blocked { client: u64, place: Place },
    /// A client that waits has to be served by the heavy pool.
    Outgrown { client: u64, work: Work },
    /// A client waits no longer, because somebody has said so.
    Unblocked { client: u64, is_error: bool },
    /// There is something in the feed.
    Seen,
    /// A client is to be closed.
    Killed { client: u64 },
    /// Answer what is in flight and end.
    Stop,
}

pub struct Mailbox {
    /// Which of the network threads it belongs to.
    pub at: u16,
    waker: Waker,
    mail: Mutex<Vec<Mail>>,
    /// Some client of this thread waits for a commit.
    waiting: AtomicBool,
    /// How often something was committed, or given up.
    settled: AtomicU64,
    /// What its monitoring clients are to be told.
    pub feed: Feed,
    /// Which of its clients hear what, and what they are to be told.
    pub hearers: Hearers,
    /// What those of its clients are to be told that track.
    pub letters: Letters,
}

impl Mailbox {
    pub fn new(waker: Waker, at: u16) -> Self {
        Self {
            at,
            waker,
            mail: Mutex::default(),
            waiting: AtomicBool::new(false),
            settled: AtomicU64::new(0),
            feed: Feed::default(),
            hearers: Hearers::default(),
            letters: Letters::default(),
        }
    }

    pub fn send(&self, mail: Mail) {
        let mut queue = self.mail.lock();
        queue.push(mail);
        let first = queue.len() == 1;
        drop(queue);
        if first {
            self.wake();
        }
    }

    /// A line for those of the thread's clients that monitor.
    pub fn tell(&self, line: &[u8]) {
        if self.feed.push(line) {
            self.send(Mail::Seen);
        }
    }

    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mail.lock())
    }

    pub fn wake(&self) {
        // A full pipe has a wake-up in it already.
        let _ = self.waker.wake();
    }

    pub fn set_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::SeqCst);
    }

    /// If it is as often as before, no reply has become ready.
    pub fn settled(&self) -> u64 {
        self.settled.load(Ordering::SeqCst)
    }

    /// Much may be settled at once.
    pub fn wake_settled(&self) {
        self.settled.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    /// Something is settled: wakes the thread if one of its clients waits for a commit.
    pub fn wake_if_waiting(&self) -> bool {
        self.settled.fetch_add(1, Ordering::SeqCst);
        let waiting = self.waiting.swap(false, Ordering::SeqCst);
        if waiting {
            self.wake();
        }
        waiting
    }
}
