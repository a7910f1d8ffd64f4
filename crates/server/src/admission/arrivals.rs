//! What is done about a new connection. Pure: the acceptor looks things up, and does as it is told.
//!
//! Most connections are *ordinary*. A few places are kept back for administrators: whoever comes from the machine itself
//! gets one at once; anybody else gets one *on trial*, and has to log in as an administrator with the first command.
//! Those places are all that either of them can take, so the bound on connections holds whoever comes.

use base::limits;

/// The bounds in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub connections_max: usize,
    /// From one address; zero for any number.
    pub per_peer_max: usize,
    /// TLS handshakes at a time, all peers together.
    pub handshakes_max: usize,
}

impl Bounds {
    /// Places that are kept back for administrators: part of all places.
    pub fn kept_back(&self) -> usize {
        limits::ADMIN_CONNECTIONS.min(self.connections_max / limits::ADMIN_CONNECTIONS_SHARE)
    }

    /// A quarter is for others. Where so few are allowed that this is none, whoever comes waits for a place as others do.
    fn handshakes_per_peer_max(&self) -> usize {
        match self.handshakes_max / 4 {
            0 => usize::MAX,
            for_others => self.handshakes_max - for_others,
        }
    }
}

/// What is known when somebody comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// From this machine, by its loopback addresses.
    pub is_local: bool,
    /// Wants to shake hands first.
    pub is_tls: bool,
    pub is_memory_short: bool,
    /// All connections, those of them on places kept back, and those of these on trial.
    pub connections: usize,
    pub on_kept_back: usize,
    pub on_trial: usize,
    /// This peer's connections, those of them on trial, and those that shake hands.
    pub of_peer: usize,
    pub of_peer_on_trial: usize,
    pub of_peer_shaking: usize,
    /// How often this peer was turned away within the last second.
    pub turned_away: u32,
}

/// A place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ordinary,
    KeptBack,
    /// Kept back, for whoever logs in as an administrator at once.
    OnTrial,
    /// For what the node's process hosts: none of those that connections are bounded by.
    Inside,
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its peer has as many as it may have.
    Peer,
    /// There are as many as there may be.
    Full,
    /// Memory is short.
    Memory,
    /// Its peer shakes hands on as many as it may.
    Handshakes,
}

impl Why {
    pub const ALL: [Self; 4] = [Self::Peer, Self::Full, Self::Memory, Self::Handshakes];

    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Full => "full",
            Self::Memory => "memory",
            Self::Handshakes => "handshakes",
        }
    }

    /// What the client is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Peer | Self::Handshakes => "ERR max connections per client exceeded",
            Self::Full => FULL,
            Self::Memory => "ERR new connections are refused: the server is short of memory, retry later",
        }
    }
}

/// As Redis says it.
pub const FULL: &str = "ERR max number of clients reached";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admit(Place),
    /// It is told why, and closed.
    Refuse(Why),
    /// It is closed without a word: its peer has been told often enough, and goes on.
    Reset(Why),
}

/// Whether somebody who comes is let in.
pub fn decide(bounds: &Bounds, arrival: &Arrival) -> Verdict {
    match place(bounds, arrival) {
        Ok(place) => Verdict::Admit(place),
        Err(why) if arrival.turned_away > limits::REJECTIONS_TOLD_IN_A_SECOND => Verdict::Reset(why),
        Err(why) => Verdict::Refuse(why),
    }
}

fn place(bounds: &Bounds, arrival: &Arrival) -> Result<Place, Why> {
    if bounds.per_peer_max > 0 && arrival.of_peer >= bounds.per_peer_max {
        return Err(Why::Peer);
    }
    if arrival.is_tls && arrival.of_peer_shaking >= bounds.handshakes_per_peer_max() {
        return Err(Why::Handshakes);
    }
    let kept_back = bounds.kept_back();
    let ordinary = arrival.connections.saturating_sub(arrival.on_kept_back);
    let is_full = arrival.connections >= bounds.connections_max;
    let has_room = !is_full && ordinary < bounds.connections_max - kept_back;
    if has_room && !arrival.is_memory_short {
        return Ok(Place::Ordinary);
    }
    let why = if has_room { Why::Memory } else { Why::Full };
    if is_full || arrival.on_kept_back >= kept_back {
        return Err(why);
    }
    if arrival.is_local {
        return Ok(Place::KeptBack);
    }
    // Half of the places at most, one for each peer: those who only try do not keep administrators out.
    let trials_max = kept_back.div_ceil(2);
    if arrival.on_trial < trials_max && arrival.of_peer_on_trial == 0 {
        return Ok(Place::OnTrial);
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { connections_max: 100, per_peer_max: 20, handshakes_max: 8 };

    fn check(change: impl FnOnce(&mut Bounds, &mut Arrival), expected: Verdict) {
        let (mut bounds, mut arrival) = (BOUNDS, Arrival::default());
        change(&mut bounds, &mut arrival);
        assert_eq!(decide(&bounds, &arrival), expected, "{bounds:?} {arrival:?}");
    }

    #[test]
    fn one_peer_has_so_many_connections_and_no_more() {
        check(|_, a| a.of_peer = 19, Verdict::Admit(Place::Ordinary));
        check(|_, a| a.of_peer = 20, Verdict::Refuse(Why::Peer));
        check(|_, a| (a.of_peer, a.is_local) = (20, true), Verdict::Refuse(Why::Peer));
        check(|b, a| (b.per_peer_max, a.of_peer) = (0, 50), Verdict::Admit(Place::Ordinary));
    }

    #[test]
    fn who_was_turned_away_too_often_is_told_nothing() {
        check(|_, a| (a.of_peer, a.turned_away) = (20, 50), Verdict::Refuse(Why::Peer));
        check(|_, a| (a.of_peer, a.turned_away) = (20, 51), Verdict::Reset(Why::Peer));
        // There is room for it again.
        check(|_, a| a.turned_away = 51, Verdict::Admit(Place::Ordinary));
    }

    #[test]
    fn the_last_places_are_for_administrators() {
        assert_eq!(BOUNDS.kept_back(), 8);
        let (ordinary, on_trial) = (Verdict::Admit(Place::Ordinary), Verdict::Admit(Place::OnTrial));
        let (kept_back, full) = (Verdict::Admit(Place::KeptBack), Verdict::Refuse(Why::Full));
        for (connections, on_kept_back, is_local, expected) in [
            (91, 0, false, ordinary),
            (92, 0, false, on_trial),
            (92, 0, true, kept_back),
            (99, 7, true, kept_back),
            (100, 8, true, full),
            (100, 8, false, full),
            // Administrators take no place from others.
            (98, 7, false, ordinary),
            // The bound was lowered since.
            (150, 0, true, full),
        ] {
            let change = |_: &mut Bounds, a: &mut Arrival| {
                (a.connections, a.on_kept_back, a.is_local) = (connections, on_kept_back, is_local);
            };
            check(change, expected);
        }
        // Where there are few places, none is kept back.
        check(|b, a| (b.connections_max, a.connections) = (2, 1), ordinary);
        check(|b, a| (b.connections_max, a.connections, a.is_local) = (2, 2, true), full);
    }

    #[test]
    fn those_who_only_try_do_not_take_all_places() {
        let tries = |on_trial, of_peer_on_trial| {
            move |_: &mut Bounds, a: &mut Arrival| {
                a.connections = 92 + on_trial;
                (a.on_kept_back, a.on_trial, a.of_peer_on_trial) = (on_trial, on_trial, of_peer_on_trial);
            }
        };
        check(tries(3, 0), Verdict::Admit(Place::OnTrial));
        check(tries(4, 0), Verdict::Refuse(Why::Full));
        check(tries(1, 1), Verdict::Refuse(Why::Full));
    }

    #[test]
    fn where_memory_is_short_only_administrators_come_in() {
        check(|_, a| (a.is_memory_short, a.is_local) = (true, true), Verdict::Admit(Place::KeptBack));
        check(|_, a| a.is_memory_short = true, Verdict::Admit(Place::OnTrial));
        let short = |on_kept_back| {
            move |_: &mut Bounds, a: &mut Arrival| {
                (a.is_memory_short, a.is_local) = (true, true);
                (a.connections, a.on_kept_back) = (50, on_kept_back);
            }
        };
        check(short(7), Verdict::Admit(Place::KeptBack));
        check(short(8), Verdict::Refuse(Why::Memory));
    }

    #[test]
    fn one_peer_does_not_take_all_handshakes() {
        check(|_, a| (a.is_tls, a.of_peer_shaking) = (true, 5), Verdict::Admit(Place::Ordinary));
        check(|_, a| (a.is_tls, a.of_peer_shaking) = (true, 6), Verdict::Refuse(Why::Handshakes));
        let few = |b: &mut Bounds, a: &mut Arrival| {
            (b.handshakes_max, a.is_tls) = (1, true);
        };
        check(few, Verdict::Admit(Place::Ordinary));
        // They wait for a place, as everybody does.
        check(
            |b, a| (b.handshakes_max, a.is_tls, a.of_peer_shaking) = (3, true, 3),
            Verdict::Admit(Place::Ordinary),
        );
    }
}
