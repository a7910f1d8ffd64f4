//! Who is connected how often, by peer, and who was turned away lately. A peer without a connection is
//! forgotten once it has been quiet for a while.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use base::{limits, peer};

use super::arrivals::{Bounds, Place, Why};

/// The last second, in steps.
const STEPS: usize = 10;
const STEP_MS: u64 = 1_000 / STEPS as u64;

/// How often something happened within the last second.
#[derive(Clone, Debug, Default)]
struct Lately {
    /// Which step was the last one.
    step: u64,
    counts: [u32; STEPS],
}

impl Lately {
    fn turn(&mut self, now_ms: u64) {
        let step = now_ms / STEP_MS;
        for passed in self.step + 1..=step.min(self.step + STEPS as u64) {
            self.set(passed, |_| 0);
        }
        self.step = self.step.max(step);
    }

    fn set(&mut self, step: u64, change: impl FnOnce(u32) -> u32) {
        if let Some(count) = self.counts.get_mut((step % STEPS as u64) as usize) {
            *count = change(*count);
        }
    }

    fn count(&mut self, now_ms: u64) -> u32 {
        self.turn(now_ms);
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn note(&mut self, now_ms: u64) {
        self.turn(now_ms);
        self.set(self.step, |count| count.saturating_add(1));
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Network(SocketAddr),
    /// The actor API that the node hosts.
    Inside,
}

impl Origin {
    pub fn peer(self) -> PeerName {
        match self {
            Self::Network(address) => PeerName::of(address.ip()),
            Self::Inside => PeerName::Inside,
        }
    }

    pub fn is_inside(self) -> bool {
        self == Self::Inside
    }
}

/// As Redis shows a Unix socket: a name, and the port 0.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => write!(f, "{address}"),
            Self::Inside => write!(f, "{}:0", PeerName::Inside),
        }
    }
}

/// What counts as one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerName {
    /// An IPv4 address, in whichever family it is written, or a network of IPv6 with all its addresses.
    Host(IpAddr),
    /// The actor API that the node hosts, whoever calls it.
    Inside,
}

impl PeerName {
    pub fn of(address: IpAddr) -> Self {
        Self::Host(peer::of(address))
    }

    /// Whether it is this machine, by its loopback addresses.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Host(address) if address.is_loopback())
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(IpAddr::V6(address)) if peer::is_in_a_network(*address) => {
                write!(f, "{address}/{}", peer::NETWORK_BITS)
            }
            Self::Host(address) => write!(f, "{address}"),
            Self::Inside => f.write_str("ateapi"),
        }
    }
}

/// What is known of one peer.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    pub connections: usize,
    /// Connections that it was given beyond its share, less those that have ended since, whichever these were.
    pub above: usize,
    pub on_trial: usize,
    pub shaking: usize,
    /// How often it was turned away, and how often it went on and on, since it was last forgotten.
    pub rejections: u64,
    pub storms: u64,
    lately: Lately,
    rejected_ms: u64,
    /// When a trial came to nothing.
    failed_ms: Option<u64>,
    is_storming: bool,
}

impl Peer {
    /// Whether a trial came to nothing a moment ago.
    pub fn has_failed(&self, now_ms: u64) -> bool {
        self.failed_ms.is_some_and(|at| now_ms.saturating_sub(at) < limits::TRIAL_PAUSE_MS)
    }

    fn note_rejection(&mut self, now_ms: u64) {
        self.rejections += 1;
        self.rejected_ms = now_ms;
    }

    fn is_idle(&self) -> bool {
        self.connections == 0 && self.shaking == 0
    }

    fn may_be_forgotten(&self, now_ms: u64) -> bool {
        self.is_idle()
            && (self.rejections == 0 || now_ms.saturating_sub(self.rejected_ms) >= limits::QUIET_PEER_KEPT_MS)
    }
}

#[derive(Debug, Default)]
pub struct Peers {
    by_name: HashMap<PeerName, Peer>,
    /// Those without a connection.
    idle: usize,
    /// Those who were turned away when there were too many of these: one, without a name.
    nameless: Peer,
    pub connections: usize,
    /// How many places of those kept back are taken. Which connections these are is nowhere: see [`Self::move_over`].
    pub on_kept_back: usize,
    pub on_trial: usize,
}

impl Peers {
    pub fn get(&self, name: PeerName) -> Option<&Peer> {
        self.by_name.get(&name)
    }

    /// How often a peer was turned away within the last second.
    pub fn turned_away(&mut self, name: PeerName, now_ms: u64) -> u32 {
        self.by_name.get_mut(&name).map_or(0, |peer| peer.lately.count(now_ms))
    }

    pub fn enter(&mut self, name: PeerName, place: Place, shakes: bool) {
        let Weight { counted, kept_back, on_trial, above } = Weight::of(place);
        self.connections += counted;
        self.on_kept_back += kept_back;
        self.on_trial += on_trial;
        let is_known = self.by_name.contains_key(&name);
        let peer = self.by_name.entry(name).or_default();
        if is_known && peer.is_idle() {
            self.idle -= 1;
        }
        peer.connections += 1;
        peer.above += above;
        peer.on_trial += on_trial;
        peer.shaking += usize::from(shakes);
    }

    /// A connection is closed. Whichever it was, one on a place kept back has its place from now on.
    pub fn leave(&mut self, name: PeerName, place: Place, now_ms: u64) {
        let Weight { counted, on_trial, .. } = Weight::of(place);
        self.connections -= counted;
        self.on_kept_back = self.on_kept_back.saturating_sub(counted);
        self.on_trial -= on_trial;
        self.change(name, now_ms, |peer| {
            peer.connections -= 1;
            peer.above = peer.above.saturating_sub(1);
            peer.on_trial -= on_trial;
        });
    }

    /// Ordinary places are for everybody: those kept back are taken by as many as there are more.
    pub fn move_over(&mut self, bounds: &Bounds) {
        self.on_kept_back = self.connections.saturating_sub(bounds.ordinary()).min(bounds.kept_back());
    }

    /// A connection on trial has been let in.
    pub fn confirm(&mut self, name: PeerName) {
        self.on_trial -= 1;
        if let Some(peer) = self.by_name.get_mut(&name) {
            peer.on_trial -= 1;
        }
    }

    /// A connection on trial is turned away, or has gone.
    pub fn fail(&mut self, name: PeerName, now_ms: u64) {
        // It came before the storm, if there is one: that goes on.
        let is_storming = self.by_name.get(&name).is_some_and(|peer| peer.is_storming);
        self.reject(name, is_storming, now_ms);
        if let Some(peer) = self.by_name.get_mut(&name) {
            peer.failed_ms = Some(now_ms);
        }
    }

    /// A handshake has come to its end.
    pub fn shaken(&mut self, name: PeerName, now_ms: u64) {
        self.change(name, now_ms, |peer| peer.shaking -= 1);
    }

    fn change(&mut self, name: PeerName, now_ms: u64, change: impl FnOnce(&mut Peer)) {
        let Some(peer) = self.by_name.get_mut(&name) else { return };
        change(peer);
        if peer.may_be_forgotten(now_ms) {
            self.by_name.remove(&name);
        } else if peer.is_idle() {
            self.idle += 1;
        }
    }

    /// A peer is turned away. Says whether that is the beginning of a storm.
    pub fn reject(&mut self, name: PeerName, is_reset: bool, now_ms: u64) -> bool {
        if !self.by_name.contains_key(&name) {
            // They are forgotten in time: to look for such here would be a look at all of them for each that comes.
            if self.idle >= limits::QUIET_PEERS_MAX {
                self.nameless.note_rejection(now_ms);
                return false;
            }
            self.idle += 1;
        }
        let peer = self.by_name.entry(name).or_default();
        peer.lately.note(now_ms);
        peer.note_rejection(now_ms);
        let begins = is_reset && !peer.is_storming;
        peer.is_storming = is_reset;
        peer.storms += u64::from(begins);
        begins
    }

    /// Forgets who has no connection and has been quiet for a while.
    pub fn forget(&mut self, now_ms: u64) {
        if self.nameless.may_be_forgotten(now_ms) {
            self.nameless = Peer::default();
        }
        if self.idle > 0 {
            self.by_name.retain(|_, peer| !peer.may_be_forgotten(now_ms));
            self.idle = self.by_name.values().filter(|peer| peer.is_idle()).count();
        }
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Those of whom a number is the greatest, by name, and the sum of all others.
    pub fn top(&self, number: impl Fn(&Peer) -> u64) -> (Vec<(PeerName, u64)>, u64) {
        let of = |(name, peer): (&PeerName, &Peer)| (*name, number(peer));
        let mut all: Vec<_> = self.by_name.iter().map(of).filter(|(_, number)| *number > 0).collect();
        all.sort_unstable_by_key(|&(name, number)| (std::cmp::Reverse(number), name));
        let others = all.split_off(all.len().min(limits::PEERS_NAMED));
        (all, others.iter().map(|(_, number)| number).sum::<u64>() + number(&self.nameless))
    }
}

/// How many places a place takes, how many of those kept back, how many on trial, and how many beyond its peer's share.
#[derive(Default)]
struct Weight {
    counted: usize,
    kept_back: usize,
    on_trial: usize,
    above: usize,
}

impl Weight {
    fn of(place: Place) -> Self {
        match place {
            Place::Inside => Self::default(),
            Place::Ordinary => Self { counted: 1, ..Self::default() },
            Place::KeptBack => Self { counted: 1, kept_back: 1, ..Self::default() },
            Place::OnTrial(why) => {
                Self { counted: 1, kept_back: 1, on_trial: 1, above: usize::from(why == Why::Peer) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(number: u32) -> PeerName {
        PeerName::of(Ipv4Addr::from(0x0a00_0000 + number).into())
    }

    #[test]
    fn rejections_count_for_a_second() {
        let mut peers = Peers::default();
        let one = address(1);
        for (now_ms, expected) in [(5_000, 1), (5_099, 2), (5_500, 3), (5_999, 4), (6_000, 3), (6_500, 3)] {
            peers.reject(one, false, now_ms);
            assert_eq!(peers.turned_away(one, now_ms), expected, "{now_ms}");
        }
        assert_eq!(peers.turned_away(one, 6_999), 2);
        assert_eq!(peers.turned_away(one, 60_000), 0);
        assert_eq!(peers.turned_away(address(2), 0), 0);
    }

    #[test]
    fn a_storm_begins_once() {
        let mut peers = Peers::default();
        let begins = [false, true, true, false, true].map(|is_reset| peers.reject(address(1), is_reset, 0));
        assert_eq!(begins, [false, true, false, false, true]);
        assert_eq!(peers.get(address(1)).map(|peer| (peer.storms, peer.rejections)), Some((2, 5)));
    }

    #[test]
    fn who_is_gone_and_quiet_is_forgotten() {
        let mut peers = Peers::default();
        let (one, other) = (address(1), address(2));
        for place in [Place::Ordinary, Place::KeptBack, Place::OnTrial(Why::Full)] {
            peers.enter(one, place, true);
        }
        peers.enter(other, Place::Ordinary, false);
        assert_eq!((peers.connections, peers.on_kept_back, peers.on_trial, peers.len()), (4, 2, 1, 2));
        peers.confirm(one);
        assert_eq!((peers.on_kept_back, peers.on_trial), (2, 0));
        for place in [Place::Ordinary, Place::KeptBack, Place::KeptBack] {
            peers.leave(one, place, 10);
            peers.shaken(one, 10);
        }
        assert_eq!((peers.connections, peers.len()), (1, 1));
        peers.reject(other, false, 20);
        peers.leave(other, Place::Ordinary, 30);
        assert_eq!(peers.len(), 1, "it was turned away a moment ago");
        peers.forget(20 + limits::QUIET_PEER_KEPT_MS - 1);
        assert_eq!(peers.len(), 1);
        peers.forget(20 + limits::QUIET_PEER_KEPT_MS);
        assert_eq!((peers.len(), peers.connections, peers.on_kept_back), (0, 0, 0));
    }

    const BOUNDS: Bounds = Bounds { connections_max: 100, per_peer_max: 0, handshakes_max: 0 };

    #[test]
    fn places_kept_back_are_free_again_when_ordinary_ones_are() {
        let mut peers = Peers::default();
        let one = address(1);
        let enter = |peers: &mut Peers, place, count| (0..count).for_each(|_| peers.enter(one, place, false));
        enter(&mut peers, Place::Ordinary, BOUNDS.ordinary());
        enter(&mut peers, Place::KeptBack, 4);
        peers.move_over(&BOUNDS);
        assert_eq!(peers.on_kept_back, 4);
        // Whoever leaves leaves his place to one of these.
        peers.leave(one, Place::Ordinary, 0);
        assert_eq!(peers.on_kept_back, 3);
        (0..3).for_each(|_| peers.leave(one, Place::Ordinary, 0));
        assert_eq!(peers.on_kept_back, 0);
        // Let in while memory was short, and there is room without that.
        (0..10).for_each(|_| peers.leave(one, Place::Ordinary, 0));
        enter(&mut peers, Place::KeptBack, 8);
        assert_eq!(peers.on_kept_back, 8);
        peers.move_over(&BOUNDS);
        assert_eq!(peers.on_kept_back, 0);
    }

    #[test]
    fn a_place_beyond_the_share_is_within_it_when_another_one_ends() {
        let mut peers = Peers::default();
        let one = address(1);
        for place in [Place::Ordinary, Place::OnTrial(Why::Peer)] {
            peers.enter(one, place, false);
        }
        let above = |peers: &Peers| peers.get(one).map(|peer| peer.above);
        assert_eq!(above(&peers), Some(1));
        peers.confirm(one);
        peers.leave(one, Place::Ordinary, 0);
        assert_eq!(above(&peers), Some(0));
    }

    #[test]
    fn a_trial_that_failed_counts_and_is_known_for_a_moment() {
        let mut peers = Peers::default();
        let one = address(1);
        peers.fail(one, 1_000);
        assert_eq!(peers.turned_away(one, 1_000), 1);
        let has_failed = |now_ms| peers.get(one).map(|peer| peer.has_failed(now_ms));
        assert_eq!(has_failed(1_000 + limits::TRIAL_PAUSE_MS - 1), Some(true));
        assert_eq!(has_failed(1_000 + limits::TRIAL_PAUSE_MS), Some(false));
    }

    #[test]
    fn only_so_many_are_remembered_that_have_no_connection() {
        let mut peers = Peers::default();
        for number in 0..2 * limits::QUIET_PEERS_MAX as u32 {
            peers.reject(address(number), false, 0);
        }
        assert_eq!(peers.len(), limits::QUIET_PEERS_MAX);
        // The others are counted all the same.
        let (top, others) = peers.top(|peer| peer.rejections);
        assert_eq!(top.len() as u64 + others, 2 * limits::QUIET_PEERS_MAX as u64);
        // To turn one away takes no look at all of them, even where they could be forgotten.
        peers.reject(address(u32::MAX >> 8), false, limits::QUIET_PEER_KEPT_MS);
        assert_eq!(peers.len(), limits::QUIET_PEERS_MAX);
        peers.forget(limits::QUIET_PEER_KEPT_MS);
        assert_eq!(peers.len(), 0);
        peers.forget(2 * limits::QUIET_PEER_KEPT_MS);
        assert_eq!(peers.top(|peer| peer.rejections).1, 0);
        peers.reject(address(u32::MAX >> 8), false, 2 * limits::QUIET_PEER_KEPT_MS);
        assert_eq!(peers.len(), 1);
        peers.enter(address(u32::MAX >> 8), Place::Ordinary, false);
        assert_eq!(peers.idle, 0);
    }

    #[test]
    fn the_first_are_named_and_the_others_added_up() {
        let mut peers = Peers::default();
        for number in 0..limits::PEERS_NAMED as u32 + 2 {
            (0..=number).for_each(|_| peers.enter(address(number), Place::Ordinary, false));
        }
        let (top, others) = peers.top(|peer| peer.connections as u64);
        assert_eq!(top.len(), limits::PEERS_NAMED);
        assert_eq!(top.first(), Some(&(address(limits::PEERS_NAMED as u32 + 1), 12)));
        assert_eq!(others, 1 + 2);
    }

    #[track_caller]
    fn named(address: &str, expected: &str) {
        assert_eq!(PeerName::of(address.parse().unwrap()).to_string(), expected);
    }

    #[test]
    fn one_address_in_two_families_is_one_peer() {
        assert_eq!(PeerName::of("::ffff:10.0.0.1".parse().unwrap()), address(1));
        named("::ffff:10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let of = |address: &str| PeerName::of(address.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        named("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        named("fd00::1", "fd00::/64");
    }

    #[test]
    fn hosts_of_one_link_and_this_machine_are_peers_by_their_addresses() {
        named("fe80::1", "fe80::1");
        named("::1", "::1");
        assert!(PeerName::of("::1".parse().unwrap()).is_local());
        assert!(!PeerName::of("::2".parse().unwrap()).is_local());
        named("127.0.0.2", "127.0.0.2");
    }
}
