//! Who is let in. One peer has a share of the connections and no more; who is turned away on and on is not even told;
//! a few places are kept back for administrators; and where memory is short nobody else comes in.
//!
//! [`arrivals`] decides about connections, [`memory`] about what goes on while memory is short. What is admitted holds a [`Seat`]: whatever way a connection ends,
//! its place is free again when the seat is dropped.

pub mod arrivals;
pub mod memory;
mod peers;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use base::limits;
use parking_lot::Mutex;
use store::Source;

use arrivals::{Arrival, Bounds, Place, Verdict, Why};
use memory::{Memory, Thresholds};
use peers::Peers;
pub use peers::{Origin, PeerName};

pub struct Admission {
    peers: Mutex<Peers>,
    started: Instant,
    refused: [AtomicU64; Why::ALL.len()],
    pub memory: Arc<Memory>,
    pub stats: AdmissionStats,
}

/// Connections that were turned away.
#[derive(Default)]
pub struct AdmissionStats {
    /// Of those turned away, closed without a word.
    pub reset: AtomicU64,
    /// How often a peer began to be closed without a word.
    pub storms: AtomicU64,
    /// Admitted on trial to a place kept back, and not let in; where only its peer's share was taken, it counts as turned
    /// away for that.
    pub failed_trials: AtomicU64,
}

/// What is shown of all peers.
#[derive(Debug, Default)]
pub struct Shown {
    pub peers: usize,
    pub on_kept_back: usize,
    pub connections: (Vec<(PeerName, u64)>, u64),
    pub rejections: (Vec<(PeerName, u64)>, u64),
    pub storms: (Vec<(PeerName, u64)>, u64),
}

/// How a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    Told(Why),
    Reset,
}

impl Admission {
    pub fn new(thresholds: Thresholds) -> Self {
        let memory = Arc::<Memory>::default();
        memory.set_thresholds(thresholds);
        Self {
            peers: Mutex::default(),
            started: Instant::now(),
            refused: Default::default(),
            memory,
            stats: AdmissionStats::default(),
        }
    }

    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Somebody comes.
    pub fn admit(
        self: &Arc<Self>,
        address: IpAddr,
        is_tls: bool,
        bounds: &Bounds,
        now: Instant,
    ) -> Result<Seat, Turned> {
        let peer = PeerName::of(address);
        let now_ms = self.ms(now);
        let is_memory_short = self.memory.is_short();
        let mut peers = self.peers.lock();
        if !is_memory_short {
            peers.move_over(bounds);
        }
        let turned_away = peers.turned_away(peer, now_ms);
        let of_peer = peers.get(peer);
        let verdict = arrivals::decide(
            bounds,
            &Arrival {
                is_local: peer.is_local(),
                is_tls,
                is_memory_short,
                connections: peers.connections,
                on_kept_back: peers.on_kept_back,
                on_trial: peers.on_trial,
                of_peer: of_peer.map_or(0, |peer| peer.connections),
                of_peer_above: of_peer.map_or(0, |peer| peer.above),
                of_peer_on_trial: of_peer.map_or(0, |peer| peer.on_trial),
                of_peer_shaking: of_peer.map_or(0, |peer| peer.shaking),
                has_failed: of_peer.is_some_and(|peer| peer.has_failed(now_ms)),
                turned_away,
            },
        );
        let (why, turned) = match verdict {
            Verdict::Admit(place) => {
                peers.enter(peer, place, is_tls);
                drop(peers);
                let until = now + login_within(place);
                return Ok(Seat { admission: self.clone(), peer, place, until, shakes: is_tls, bytes: 0 });
            }
            Verdict::Refuse(why) => (why, Turned::Told(why)),
            Verdict::Reset(why) => (why, Turned::Reset),
        };
        let begins = peers.reject(peer, turned == Turned::Reset, now_ms);
        drop(peers);
        self.count(why);
        self.stats.reset.fetch_add(u64::from(turned == Turned::Reset), Relaxed);
        if begins {
            self.stats.storms.fetch_add(1, Relaxed);
            tracing::warn!(%peer, why = why.name(), "turned away on and on: closed without a word until it calms down");
        }
        Err(turned)
    }

    fn count(&self, why: Why) {
        if let Some(count) = self.refused.get(why as usize) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// What the node hosts comes: it is let in whoever else is, and whether or not memory is short. Nothing if it has
    /// as many connections as it may.
    pub fn admit_inside(self: &Arc<Self>) -> Option<Seat> {
        let peer = PeerName::Inside;
        let mut peers = self.peers.lock();
        let connections = peers.get(peer).map_or(0, |peer| peer.connections);
        if connections >= limits::INSIDE_CONNECTIONS_MAX {
            return None;
        }
        peers.enter(peer, Place::Inside, false);
        drop(peers);
        let until = Instant::now();
        Some(Seat { admission: self.clone(), peer, place: Place::Inside, until, shakes: false, bytes: 0 })
    }

    /// How many connections were turned away, and why.
    pub fn refused(&self) -> impl Iterator<Item = (Why, u64)> {
        Why::ALL.into_iter().zip(self.refused.iter().map(|count| count.load(Relaxed)))
    }

    pub fn rejected(&self) -> u64 {
        self.refused().map(|(_, count)| count).sum::<u64>() + self.stats.failed_trials.load(Relaxed)
    }

    pub fn shown(&self) -> Shown {
        let peers = self.peers.lock();
        Shown {
            peers: peers.len(),
            on_kept_back: peers.on_kept_back,
            connections: peers.top(|peer| peer.connections as u64),
            rejections: peers.top(|peer| peer.rejections),
            storms: peers.top(|peer| peer.storms),
        }
    }

    /// Forgets peers that are gone, and has those on places kept back move over to ordinary ones. Called ten times a
    /// second: how things are when memory becomes short is from a moment ago.
    pub fn tidy(&self, bounds: &Bounds, now: Instant) {
        let mut peers = self.peers.lock();
        peers.forget(self.ms(now));
        if !self.memory.is_short() {
            peers.move_over(bounds);
        }
    }
}

/// In which time somebody on trial has to prove to be an administrator.
fn login_within(place: Place) -> Duration {
    Duration::from_millis(match place {
        Place::OnTrial(Why::Peer) => limits::ADMIN_LOGIN_ABOVE_SHARE_MS_MAX,
        _ => limits::ADMIN_LOGIN_MS_MAX,
    })
}

/// A connection's place, until it is dropped.
pub struct Seat {
    admission: Arc<Admission>,
    peer: PeerName,
    place: Place,
    until: Instant,
    /// It has not come to the end of its handshake.
    shakes: bool,
    /// What it holds.
    bytes: u64,
}

impl Seat {
    /// Whose place it is.
    pub fn peer(&self) -> PeerName {
        self.peer
    }

    /// If it is on trial, why anybody else is turned away.
    pub fn trial(&self) -> Option<Why> {
        if let Place::OnTrial(why) = self.place { Some(why) } else { None }
    }

    /// By when it has to have proved to be an administrator's, unless it need not.
    pub fn trial_until(&self) -> Option<Instant> {
        self.trial().map(|_| self.until)
    }

    /// An administrator's it is.
    pub fn confirm(&mut self) {
        if self.trial().is_some() {
            self.admission.peers.lock().confirm(self.peer);
            self.place = Place::KeptBack;
        }
    }

    /// It holds so much now.
    pub fn holds(&mut self, bytes: u64) {
        if bytes != self.bytes {
            self.admission.memory.buffers_changed(self.bytes, bytes);
            self.bytes = bytes;
        }
    }

    /// Where work for it takes its memory from.
    pub fn memory(&self) -> Arc<dyn Source> {
        self.admission.memory.clone()
    }

    /// It has shaken hands.
    pub fn shaken(&mut self) {
        if std::mem::take(&mut self.shakes) {
            let now_ms = self.admission.ms(Instant::now());
            self.admission.peers.lock().shaken(self.peer, now_ms);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shaken();
        self.holds(0);
        let now_ms = self.admission.ms(Instant::now());
        let mut peers = self.admission.peers.lock();
        // However it ended, it was not let in.
        if let Some(why) = self.trial() {
            peers.fail(self.peer, now_ms);
            match why {
                Why::Peer => self.admission.count(why),
                _ => drop(self.admission.stats.failed_trials.fetch_add(1, Relaxed)),
            }
        }
        peers.leave(self.peer, self.place, now_ms);
    }
}
