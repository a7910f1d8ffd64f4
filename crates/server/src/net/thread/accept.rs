//! New connections of a network thread, until they have shaken hands.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use rustix::net::sockopt;

use super::{LISTENERS, NetThread};
use crate::admission::{Origin, Turned};
use crate::engine::clients::Client;
use crate::net::connection::{Connection, State};
use crate::net::mailbox::{Arrived, Mail, Mailbox, Way};
use crate::net::stream::Stream;
use crate::net::tls::{Handshake, Tls};
use crate::net::trial;
use crate::session::Session;

/// When no connection could be accepted, the next try is after this long, and it is logged so often at most.
const RETRY_AFTER: Duration = Duration::from_millis(50);
const LOGGED_AFTER: Duration = Duration::from_secs(1);

/// Connections are accepted for so long before it is somebody else's turn: each takes some ten microseconds.
const ACCEPT_TIME: Duration = Duration::from_micros(100);

pub(super) struct Listener {
    pub socket: TcpListener,
    tls: Option<Arc<Tls>>,
    pending: Pending,
    logged: Option<Instant>,
}

/// Whether a listener has connections that no event will tell of again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pending {
    Nothing,
    /// It was another one's turn.
    Turn,
    /// Others have to shake hands first: this thread is woken when there is a place.
    Handshake,
    /// There was no file for one.
    File(Instant),
}

impl NetThread {
    /// Accepts connections here, for all threads.
    pub fn listen(&mut self, mut socket: TcpListener, tls: Option<Arc<Tls>>) -> io::Result<()> {
        let token = Token(LISTENERS + self.listeners.len());
        self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
        self.listeners.push(Listener { socket, tls, pending: Pending::Nothing, logged: None });
        Ok(())
    }

    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(super) fn accept(&mut self, listener: usize) {
        // Who connects faster than this thread accepts does not keep it from everything else.
        let until = Instant::now() + ACCEPT_TIME;
        loop {
            let now = Instant::now();
            if now >= until {
                break;
            }
            let Some(Listener { socket, tls, pending, logged }) = self.listeners.get_mut(listener) else {
                return;
            };
            let handshake = tls.as_ref().and_then(Tls::begin);
            if tls.is_some() && handshake.is_none() {
                *pending = Pending::Handshake;
                return;
            }
            match socket.accept() {
                Ok((stream, peer)) => self.admit(stream, peer, handshake, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    *pending = Pending::Nothing;
                    return;
                }
                // The client has gone again before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    *pending = Pending::File(now + RETRY_AFTER);
                    if logged.is_none_or(|at| now.saturating_duration_since(at) >= LOGGED_AFTER) {
                        *logged = Some(now);
                        tracing::warn!(%error, "a connection could not be accepted");
                    }
                    return;
                }
            }
        }
        if let Some(listener) = self.listeners.get_mut(listener) {
            listener.pending = Pending::Turn;
        }
    }

    /// Accepts connections that had to wait, if their time has come.
    pub(super) fn accept_deferred(&mut self) {
        for at in 0..self.listeners.len() {
            let pending = self.listeners.get(at).map_or(Pending::Nothing, |listener| listener.pending);
            match pending {
                Pending::Nothing => {}
                Pending::File(until) if Instant::now() < until => {}
                _ => self.accept(at),
            }
        }
    }

    /// In which time connections have to be accepted that no event tells of.
    pub(super) fn accepts_in(&self) -> Option<Duration> {
        let wait = |listener: &Listener| match listener.pending {
            Pending::Turn => Some(Duration::ZERO),
            Pending::File(until) => Some(until.saturating_duration_since(Instant::now())),
            Pending::Nothing | Pending::Handshake => None,
        };
        self.listeners.iter().filter_map(wait).min()
    }

    /// Lets a new connection in, or turns it away.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr, handshake: Option<Handshake>, now: Instant) {
        let bounds = self.node.bounds();
        match self.node.admission.admit(peer.ip(), handshake.is_some(), &bounds, now) {
            Ok(seat) => self.place(Arrived { way: Way::Network { stream, peer, handshake }, seat }),
            Err(turned) => turn_away(stream, turned, handshake.is_some()),
        }
    }

    /// Gives a new connection to the threads in turn.
    fn place(&mut self, arrived: Arrived) {
        let mailboxes = self.node.mailboxes();
        self.next_mailbox = (self.next_mailbox + 1) % mailboxes.len().max(1);
        match mailboxes.get(self.next_mailbox) {
            Some(other) if !Arc::ptr_eq(other, &self.mailbox) => other.send(Mail::Connected(arrived)),
            _ => self.connect(arrived),
        }
    }

    pub(super) fn connect(&mut self, arrived: Arrived) {
        let Arrived { way, seat } = arrived;
        if self.stopping.is_some() {
            return;
        }
        let Some((mut stream, origins)) = stream(way) else { return };
        let until = stream.handshake_until();
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(stream.socket(), Token(at), interest) {
            tracing::warn!(%error, "a connection could not be registered");
            self.free.push(at);
            return;
        }
        self.timers.extend(until.map(|until| (until, at)));
        self.timers.extend(seat.trial_until().map(|until| (until, at)));
        let (id, now_ms) = (self.node.clients.next_id(), self.node.wall_ms());
        let client = Arc::new(Client::new(id, (origins, until.is_some()), now_ms, self.mailbox.clone()));
        self.node.clients.add(client.clone());
        self.by_client.insert(client.id, at);
        let session = Session::new(client.clone(), &self.node.users);
        let peer = self.turns.join(seat.peer());
        if let Some(place) = self.connections.get_mut(at) {
            *place =
                Some(Connection::new((stream, seat, peer), (client, session), self.node.rubbish.clone()));
        }
        self.queue(at);
    }

    /// A connection that had to shake hands until then has had a turn.
    pub(super) fn handshake_went_on(&mut self, at: usize, until: Instant) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        if connection.stream.handshake_until().is_none() {
            connection.seat.shaken();
            self.timers.remove(&(until, at));
        }
    }

    /// A connection that was on trial until then has had a turn.
    pub(super) fn trial_went_on(&mut self, at: usize, until: Instant) {
        let connection = self.connections.get(at).and_then(Option::as_ref);
        if connection.is_some_and(|connection| connection.seat.trial_until().is_none()) {
            self.timers.remove(&(until, at));
        }
    }

    /// A connection on trial has had its time.
    pub(super) fn trial_late(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        if matches!(connection.state, State::Ready) && connection.stream.handshake_until().is_none() {
            trial::fail(connection);
            self.touched.push(at);
        } else {
            self.close(at);
        }
    }
}

/// What a new connection is read from, and where both of its ends are.
fn stream(way: Way) -> Option<(Stream, (Origin, Origin))> {
    let (stream, peer, handshake) = match way {
        Way::Inside(stream) => return Some((Stream::Inside(stream), (Origin::Inside, Origin::Inside))),
        Way::Network { stream, peer, handshake } => (stream, peer, handshake),
    };
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().unwrap_or(peer);
    let origins = (Origin::Network(peer), Origin::Network(local));
    let Some(handshake) = handshake else { return Some((Stream::Plain(stream), origins)) };
    match Stream::tls(stream, peer, handshake) {
        Ok(stream) => Some((stream, origins)),
        Err(error) => {
            tracing::warn!(%error, "a TLS connection could not begin");
            None
        }
    }
}

/// Closes a connection that is not let in. One that speaks TLS cannot be told why.
fn turn_away(mut stream: TcpStream, turned: Turned, is_tls: bool) {
    match turned {
        Turned::Told(why) if !is_tls => {
            let _ = stream.write(format!("-{}\r\n", why.text()).as_bytes());
            // What the client has said already would turn the good-bye into a reset.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 4096]);
        }
        Turned::Told(_) => {}
        Turned::Reset => {
            let _ = sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
        }
    }
}
