//! Whose turn it is on a network thread. Time is shared among peers, not among connections: the next turn is one of
//! the peer that has used least, whichever of its connections has waited longest. A peer that comes back after it had
//! nothing to do begins where the others are, so that rest is not saved up.
//!
//! The log is shared as well: a peer that has much to be committed rests while another one writes too, for whatever that
//! one writes comes behind it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use base::limits;

use crate::admission::PeerName;

const WRITES_BESIDE: Duration = Duration::from_millis(limits::WRITES_BESIDE_MS);

/// Which of a thread's peers it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerAt(usize);

struct Peer {
    name: PeerName,
    connections: usize,
    /// Connections with something to do, the next one first.
    waiting: VecDeque<usize>,
    /// Nanoseconds that its turns took, or that it has missed while it had nothing to do.
    used: u64,
    /// What it has to be committed.
    uncommitted_bytes: usize,
    /// It has so much of it that it has no turn now.
    rests: bool,
}

impl Peer {
    fn has_much(&self) -> bool {
        self.uncommitted_bytes >= limits::UNCOMMITTED_BYTES_BESIDE
    }
}

/// The two peers that wrote last.
#[derive(Default)]
struct Writers([Option<(usize, Instant)>; 2]);

impl Writers {
    fn wrote(&mut self, at: usize, now: Instant) {
        if self.0[0].is_some_and(|(last, _)| last != at) {
            self.0[1] = self.0[0];
        }
        self.0[0] = Some((at, now));
    }

    /// Whether another one than this writes as well.
    fn are_others(&self, at: usize, now: Instant) -> bool {
        let is_other = |(other, wrote): &(usize, Instant)| {
            *other != at && now.saturating_duration_since(*wrote) <= WRITES_BESIDE
        };
        self.0.iter().flatten().any(is_other)
    }

    fn forget(&mut self, at: usize) {
        for writer in &mut self.0 {
            writer.take_if(|(gone, _)| *gone == at);
        }
    }
}

#[derive(Default)]
pub struct Turns {
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    by_name: HashMap<PeerName, usize>,
    /// Peers with waiting connections that do not rest, by what they have used.
    order: BTreeSet<(u64, usize)>,
    /// Connections of theirs.
    waiting: usize,
    writers: Writers,
    /// What the peer of the latest turn had used before it.
    reached: u64,
}

impl Turns {
    /// A peer has one connection more.
    pub fn join(&mut self, name: PeerName) -> PeerAt {
        let at = match self.by_name.get(&name) {
            Some(&at) => at,
            None => {
                let at = self.free.pop().unwrap_or_else(|| {
                    self.peers.push(None);
                    self.peers.len() - 1
                });
                let peer = Peer {
                    name,
                    connections: 0,
                    waiting: VecDeque::new(),
                    used: self.reached,
                    uncommitted_bytes: 0,
                    rests: false,
                };
                if let Some(place) = self.peers.get_mut(at) {
                    *place = Some(peer);
                }
                self.by_name.insert(name, at);
                at
            }
        };
        if let Some(peer) = self.peer(PeerAt(at)) {
            peer.connections += 1;
        }
        PeerAt(at)
    }

    /// A peer has one connection less. It may have been waiting for its turn.
    pub fn leave(&mut self, at: PeerAt, connection: usize) {
        let Some(peer) = self.peer(at) else { return };
        peer.connections -= 1;
        let (before, used, rests) = (peer.waiting.len(), peer.used, peer.rests);
        peer.waiting.retain(|waiting| *waiting != connection);
        let (left, is_gone) = (peer.waiting.len(), peer.connections == 0);
        if !rests {
            self.waiting -= before - left;
        }
        if left == 0 {
            self.order.remove(&(used, at.0));
        }
        if is_gone && let Some(peer) = self.peers.get_mut(at.0).and_then(Option::take) {
            self.by_name.remove(&peer.name);
            self.writers.forget(at.0);
            self.free.push(at.0);
        }
    }

    /// A connection has something to do.
    pub fn queue(&mut self, at: PeerAt, connection: usize) {
        let reached = self.reached;
        let Some(peer) = self.peer(at) else { return };
        let begins = peer.waiting.is_empty();
        peer.waiting.push_back(connection);
        if peer.rests {
            return;
        }
        if begins {
            peer.used = peer.used.max(reached);
            let used = peer.used;
            self.order.insert((used, at.0));
        }
        self.waiting += 1;
    }

    /// A connection has so much to be committed now; it had so much before.
    pub fn writes(&mut self, at: PeerAt, before: usize, bytes: usize, now: Instant) {
        let reached = self.reached;
        if bytes > before {
            self.writers.wrote(at.0, now);
        }
        let Some(peer) = self.peer(at) else { return };
        peer.uncommitted_bytes = peer.uncommitted_bytes - before + bytes;
        if !peer.rests || peer.has_much() {
            return;
        }
        peer.rests = false;
        peer.used = peer.used.max(reached);
        let (used, waiting) = (peer.used, peer.waiting.len());
        if waiting > 0 {
            self.order.insert((used, at.0));
            self.waiting += waiting;
        }
    }

    /// Lets a peer rest if it has to. It goes on when less of it is to be committed.
    fn lets_rest(&mut self, at: usize, now: Instant) -> bool {
        let others_write = self.writers.are_others(at, now);
        let Some(peer) = self.peer(PeerAt(at)).filter(|peer| others_write && peer.has_much()) else {
            return false;
        };
        peer.rests = true;
        let waiting = peer.waiting.len();
        self.waiting -= waiting;
        true
    }

    /// The connection whose turn it is, of this peer.
    pub fn next(&mut self, now: Instant) -> Option<(PeerAt, usize)> {
        let (used, at) = loop {
            let &(used, at) = self.order.first()?;
            if !self.lets_rest(at, now) {
                break (used, at);
            }
            self.order.pop_first();
        };
        let peer = self.peer(PeerAt(at))?;
        let connection = peer.waiting.pop_front()?;
        if peer.waiting.is_empty() {
            self.order.pop_first();
        }
        self.waiting -= 1;
        self.reached = self.reached.max(used);
        Some((PeerAt(at), connection))
    }

    /// A turn of this peer took so long.
    pub fn charge(&mut self, at: PeerAt, nanos: u64) {
        let Some(peer) = self.peer(at) else { return };
        let before = peer.used;
        peer.used = before.saturating_add(nanos);
        let (used, is_listed) = (peer.used, !peer.waiting.is_empty() && !peer.rests);
        if is_listed {
            self.order.remove(&(before, at.0));
            self.order.insert((used, at.0));
        }
    }

    /// How many peers are connected.
    pub fn peers(&self) -> usize {
        self.by_name.len()
    }

    /// How many connections wait for their turn, but for those whose peers rest.
    pub fn len(&self) -> usize {
        self.waiting
    }

    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    fn peer(&mut self, at: PeerAt) -> Option<&mut Peer> {
        self.peers.get_mut(at.0).and_then(Option::as_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn peer(last: u8) -> PeerName {
        PeerName::of(Ipv4Addr::new(10, 0, 0, last).into())
    }

    #[test]
    fn connections_of_one_peer_come_in_turn() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let peer = turns.join(peer(1));
        for connection in 0..3 {
            turns.queue(peer, connection);
        }
        for expected in [0, 1, 2, 0, 1] {
            let (at, connection) = turns.next(now).unwrap();
            assert_eq!((at, connection), (peer, expected));
            turns.charge(at, 10);
            turns.queue(at, connection);
        }
        assert_eq!(turns.len(), 3);
    }

    #[test]
    fn many_connections_have_no_more_than_one() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (crowd, alone) = (turns.join(peer(1)), turns.join(peer(2)));
        for connection in 0..100 {
            turns.queue(crowd, connection);
        }
        turns.queue(alone, 100);
        let mut served = [0; 2];
        for _ in 0..1_000 {
            let (at, connection) = turns.next(now).unwrap();
            served[usize::from(at == alone)] += 1;
            turns.charge(at, 5);
            turns.queue(at, connection);
        }
        assert_eq!(served, [500, 500]);
    }

    #[test]
    fn who_takes_long_waits_longer_and_rest_is_not_saved_up() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (slow, quick) = (turns.join(peer(1)), turns.join(peer(2)));
        turns.queue(slow, 0);
        assert_eq!(turns.next(now), Some((slow, 0)));
        turns.charge(slow, 1_000);
        turns.queue(slow, 0);
        turns.queue(quick, 1);
        // The quick one has rested all the while: it begins at where the slow one began, and has as much.
        let mut of_quick = 0;
        while turns.next(now) == Some((quick, 1)) {
            of_quick += 1;
            turns.charge(quick, 10);
            turns.queue(quick, 1);
        }
        assert_eq!(of_quick, 100);
    }

    #[test]
    fn who_has_much_to_be_committed_rests_while_others_write() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let (bulk, other) = (turns.join(peer(1)), turns.join(peer(2)));
        let much = limits::UNCOMMITTED_BYTES_BESIDE;
        turns.queue(bulk, 0);
        // Alone, it may have any amount.
        turns.writes(bulk, 0, 10 * much, now);
        assert_eq!(turns.next(now), Some((bulk, 0)));
        turns.queue(bulk, 0);
        turns.writes(other, 0, 10, now);
        assert_eq!((turns.next(now), turns.len()), (None, 0));
        turns.queue(bulk, 3);
        assert!(turns.is_empty());
        turns.writes(bulk, 10 * much, much, now);
        assert!(turns.is_empty());
        turns.writes(bulk, much, much - 1, now);
        assert_eq!((turns.len(), turns.next(now)), (2, Some((bulk, 0))));
        // The other one has not written for a while.
        turns.writes(bulk, much - 1, much, now);
        now += WRITES_BESIDE + Duration::from_millis(1);
        assert_eq!(turns.next(now), Some((bulk, 3)));
        // One that reads only is no reason either, nor is one that has gone.
        turns.writes(other, 10, 20, now);
        turns.leave(other, 9);
        turns.queue(bulk, 0);
        assert_eq!(turns.next(now), Some((bulk, 0)));
    }

    /// A connection: whose it is, whether it waits for its turn, and what it has to be committed.
    struct Of {
        peer: PeerAt,
        number: usize,
        waits: bool,
        bytes: usize,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Join(u8),
        Leave(usize),
        Queue(usize),
        Write(usize, usize),
        Turn(u16),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (0..6u8).prop_map(Step::Join),
            1 => any::<usize>().prop_map(Step::Leave),
            4 => any::<usize>().prop_map(Step::Queue),
            3 => (any::<usize>(), 0..2 * limits::UNCOMMITTED_BYTES_BESIDE).prop_map(|(at, bytes)| Step::Write(at, bytes)),
            1 => any::<usize>().prop_map(|at| Step::Write(at, 0)),
            4 => any::<u16>().prop_map(Step::Turn),
            1 => (0..2 * limits::WRITES_BESIDE_MS).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// Nobody is lost, nobody comes twice, and whose turn it is has used least of those who do not rest.
        #[test]
        fn every_waiting_connection_has_its_turn(steps in prop::collection::vec(step(), 1..200)) {
            let (mut turns, mut now) = (Turns::default(), Instant::now());
            let (mut connections, mut next): (Vec<Of>, usize) = (Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Join(last) => {
                        let peer = turns.join(peer(last));
                        connections.push(Of { peer, number: next, waits: false, bytes: 0 });
                        next += 1;
                    }
                    Step::Leave(at) if !connections.is_empty() => {
                        let of = connections.swap_remove(at % connections.len());
                        turns.writes(of.peer, of.bytes, 0, now);
                        turns.leave(of.peer, of.number);
                    }
                    Step::Queue(at) if !connections.is_empty() => {
                        let at = at % connections.len();
                        let of = &mut connections[at];
                        if !std::mem::replace(&mut of.waits, true) {
                            turns.queue(of.peer, of.number);
                        }
                    }
                    Step::Write(at, bytes) if !connections.is_empty() => {
                        let at = at % connections.len();
                        let of = &mut connections[at];
                        turns.writes(of.peer, of.bytes, bytes, now);
                        of.bytes = bytes;
                    }
                    Step::Pass(ms) => now += Duration::from_millis(ms),
                    Step::Turn(nanos) => {
                        let turn = turns.next(now);
                        let is_ready = |turns: &mut Turns, of: &Of| of.waits && !turns.peer(of.peer).unwrap().rests;
                        let ready = connections.iter().filter(|of| is_ready(&mut turns, of)).count();
                        prop_assert_eq!(turns.len() + usize::from(turn.is_some()), ready);
                        prop_assert_eq!(turn.is_some(), ready > 0);
                        let Some((peer, connection)) = turn else { continue };
                        let used = turns.peer(peer).unwrap().used;
                        for of in connections.iter().filter(|of| of.waits) {
                            let other = turns.peer(of.peer).unwrap();
                            prop_assert!(other.rests && other.has_much() || other.used >= used);
                        }
                        let of = connections.iter_mut().find(|of| of.number == connection).unwrap();
                        prop_assert!(of.peer == peer && of.waits);
                        of.waits = false;
                        turns.charge(peer, nanos.into());
                    }
                    _ => {}
                }
            }
            // When everything is committed, everybody has their turn.
            for of in &connections {
                turns.writes(of.peer, of.bytes, 0, now);
            }
            prop_assert_eq!(turns.len(), connections.iter().filter(|of| of.waits).count());
            connections.iter().for_each(|of| turns.leave(of.peer, of.number));
            prop_assert!(turns.is_empty() && turns.order.is_empty() && turns.by_name.is_empty());
        }
    }
}
