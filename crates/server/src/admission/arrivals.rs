//! What is done about a new connection. Pure: the acceptor looks things up, and does as it is told.
//!
//! Most connections are *ordinary*. A few places are kept back for administrators: whoever comes from the machine itself
//! gets one of the first half at once; anybody else gets one *on trial*, and has to prove with the first command that he is an
//! administrator. So does whoever comes from a peer that has its share, as he may be the one to end that.
//! Those places are all that they can take, so the bound on connections holds whoever comes. Nobody owns a place: what is
//! kept back is taken as far as ordinary places are not enough.

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

    pub fn ordinary(&self) -> usize {
        self.connections_max - self.kept_back()
    }

    /// How many of the places kept back may be taken when somebody gets one without any proof.
    fn without_proof(&self) -> usize {
        let kept_back = self.kept_back();
        (kept_back / 2).min(kept_back.saturating_sub(limits::ADMIN_CONNECTIONS_PROVEN_MIN))
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
    /// All connections, those of them on places kept back, and those on trial.
    pub connections: usize,
    pub on_kept_back: usize,
    pub on_trial: usize,
    /// This peer's connections, those of them beyond its share, those on trial, and those that shake hands.
    pub of_peer: usize,
    pub of_peer_above: usize,
    pub of_peer_on_trial: usize,
    pub of_peer_shaking: usize,
    /// A moment ago this peer had a trial that came to nothing.
    pub has_failed: bool,
    /// How often this peer was turned away within the last second.
    pub turned_away: u32,
}

/// A place for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ordinary,
    KeptBack,
    /// Kept back, for whoever proves at once to be an administrator. Anybody else is turned away, for this reason.
    OnTrial(Why),
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
            // As Redis says it.
            Self::Full => "ERR max number of clients reached",
            Self::Memory => "ERR new connections are refused: the server is short of memory, retry later",
        }
    }
}

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
        Err(why) if is_storm(arrival) => Verdict::Reset(why),
        Err(why) => Verdict::Refuse(why),
    }
}

fn place(bounds: &Bounds, arrival: &Arrival) -> Result<Place, Why> {
    let Some(why) = barred(bounds, arrival) else { return Ok(Place::Ordinary) };
    let is_full = arrival.connections >= bounds.connections_max;
    if is_full || arrival.on_kept_back >= bounds.kept_back() || shakes_on_too_many(bounds, arrival) {
        return Err(why);
    }
    if arrival.is_local && why != Why::Peer && arrival.on_kept_back < bounds.without_proof() {
        return Ok(Place::KeptBack);
    }
    if may_try(bounds, arrival, why) { Ok(Place::OnTrial(why)) } else { Err(why) }
}

/// Why there is no ordinary place for somebody, unless there is one.
fn barred(bounds: &Bounds, arrival: &Arrival) -> Option<Why> {
    let ordinary = arrival.connections.saturating_sub(arrival.on_kept_back);
    let has_room = arrival.connections < bounds.connections_max && ordinary < bounds.ordinary();
    if bounds.per_peer_max > 0 && arrival.of_peer >= bounds.per_peer_max {
        Some(Why::Peer)
    } else if shakes_on_too_many(bounds, arrival) {
        Some(Why::Handshakes)
    } else if !has_room {
        Some(Why::Full)
    } else {
        arrival.is_memory_short.then_some(Why::Memory)
    }
}

fn shakes_on_too_many(bounds: &Bounds, arrival: &Arrival) -> bool {
    arrival.is_tls && arrival.of_peer_shaking >= bounds.handshakes_per_peer_max()
}

/// Whether there is a place on trial: half of those kept back at most, one for each peer, and none for a peer that storms.
/// Those who only try do not keep administrators out.
fn may_try(bounds: &Bounds, arrival: &Arrival, why: Why) -> bool {
    let trials_max = bounds.kept_back().div_ceil(2);
    let has_one = arrival.of_peer_on_trial > 0 || arrival.has_failed;
    // One of those within its share may have gone since, and left its place to one beyond it.
    let above = arrival.of_peer_above.min(arrival.of_peer.saturating_sub(bounds.per_peer_max));
    let has_more = why == Why::Peer && above >= limits::ADMIN_CONNECTIONS_ABOVE_SHARE;
    arrival.on_trial < trials_max && !has_one && !has_more && !is_storm(arrival)
}

fn is_storm(arrival: &Arrival) -> bool {
    arrival.turned_away > limits::REJECTIONS_TOLD_IN_A_SECOND
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
        let tries = Verdict::Admit(Place::OnTrial(Why::Peer));
        check(|_, a| a.of_peer = 20, tries);
        check(|_, a| (a.of_peer, a.is_local) = (20, true), tries);
        check(|_, a| (a.of_peer, a.of_peer_on_trial) = (20, 1), Verdict::Refuse(Why::Peer));
        check(|_, a| (a.of_peer, a.has_failed) = (20, true), Verdict::Refuse(Why::Peer));
        check(|b, a| (b.per_peer_max, a.of_peer) = (0, 50), Verdict::Admit(Place::Ordinary));
    }

    #[test]
    fn an_administrator_has_a_place_beyond_the_share_of_his_address() {
        let (tries, refused) = (Verdict::Admit(Place::OnTrial(Why::Peer)), Verdict::Refuse(Why::Peer));
        check(|_, a| (a.of_peer, a.of_peer_above) = (21, 1), refused);
        // Another one has gone, and his place is within the share.
        check(|_, a| (a.of_peer, a.of_peer_above) = (20, 1), tries);
        // The share was made smaller.
        check(|_, a| a.of_peer = 50, tries);
        check(|_, a| (a.of_peer, a.connections, a.on_kept_back) = (20, 99, 7), tries);
        check(|_, a| (a.of_peer, a.connections, a.on_kept_back) = (20, 100, 8), refused);
        check(|_, a| (a.of_peer, a.is_memory_short) = (20, true), tries);
        check(|_, a| (a.of_peer, a.is_tls, a.of_peer_shaking) = (20, true, 6), refused);
        check(|b, a| (b.connections_max, b.per_peer_max, a.of_peer) = (9, 2, 2), refused);
    }

    #[test]
    fn who_was_turned_away_too_often_is_told_nothing() {
        check(|_, a| (a.of_peer, a.of_peer_above, a.turned_away) = (21, 1, 50), Verdict::Refuse(Why::Peer));
        // A storm takes no places on trial.
        check(|_, a| (a.of_peer, a.turned_away) = (20, 51), Verdict::Reset(Why::Peer));
        // There is room for it again.
        check(|_, a| a.turned_away = 51, Verdict::Admit(Place::Ordinary));
    }

    #[test]
    fn the_last_places_are_for_administrators() {
        assert_eq!(BOUNDS.kept_back(), 8);
        let (ordinary, on_trial) =
            (Verdict::Admit(Place::Ordinary), Verdict::Admit(Place::OnTrial(Why::Full)));
        let (kept_back, full) = (Verdict::Admit(Place::KeptBack), Verdict::Refuse(Why::Full));
        for (connections, on_kept_back, is_local, expected) in [
            (91, 0, false, ordinary),
            (92, 0, false, on_trial),
            (92, 0, true, kept_back),
            (95, 3, true, kept_back),
            // The others are for those who prove to be administrators.
            (96, 4, true, on_trial),
            (99, 7, true, on_trial),
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
        // Where few are kept back, they are all for these.
        check(|b, a| (b.connections_max, a.connections, a.is_local) = (20, 18, true), on_trial);
        check(|b, a| (b.connections_max, a.connections, a.is_local) = (30, 27, true), kept_back);
        check(
            |b, a| (b.connections_max, a.connections, a.on_kept_back, a.is_local) = (30, 28, 1, true),
            on_trial,
        );
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
        check(tries(3, 0), Verdict::Admit(Place::OnTrial(Why::Full)));
        check(tries(4, 0), Verdict::Refuse(Why::Full));
        check(tries(1, 1), Verdict::Refuse(Why::Full));
    }

    #[test]
    fn where_memory_is_short_only_administrators_come_in() {
        check(|_, a| (a.is_memory_short, a.is_local) = (true, true), Verdict::Admit(Place::KeptBack));
        check(|_, a| a.is_memory_short = true, Verdict::Admit(Place::OnTrial(Why::Memory)));
        let short = |on_kept_back| {
            move |_: &mut Bounds, a: &mut Arrival| {
                (a.is_memory_short, a.is_local) = (true, true);
                (a.connections, a.on_kept_back) = (50, on_kept_back);
            }
        };
        check(short(3), Verdict::Admit(Place::KeptBack));
        check(short(4), Verdict::Admit(Place::OnTrial(Why::Memory)));
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
