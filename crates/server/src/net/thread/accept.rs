//! New connections of a network thread, until they have shaken hands.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};

use super::{LISTENERS, NetThread};
use crate::engine::clients::Client;
use crate::net::connection::Connection;
use crate::net::mailbox::{Mail, Mailbox};
use crate::net::stream::Stream;
use crate::net::tls::{Handshake, Tls};
use crate::session::Session;

pub(super) struct Listener {
    pub socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl NetThread {
    /// Accepts connections here, for all threads.
    pub fn listen(&mut self, mut socket: TcpListener, tls: Option<Arc<Tls>>) -> io::Result<()> {
        let token = Token(LISTENERS + self.listeners.len());
        self.poll.registry().register(&mut socket, token, Interest::READABLE)?;
        self.listeners.push(Listener { socket, tls });
        Ok(())
    }

    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(super) fn accept(&mut self, listener: usize) {
        loop {
            let Some(Listener { socket, tls }) = self.listeners.get(listener) else { return };
            let handshake = tls.as_ref().and_then(Tls::begin);
            if tls.is_some() && handshake.is_none() {
                // No event will tell of those that wait.
                self.deferred = Some(listener);
                return;
            }
            match socket.accept() {
                Ok((stream, peer)) => self.place(stream, peer, handshake),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    return;
                }
            }
        }
    }

    /// Accepts connections that had to wait, if there is room for a handshake again.
    pub(super) fn accept_deferred(&mut self) {
        if let Some(listener) = self.deferred.take() {
            self.accept(listener);
        }
    }

    /// Gives a new connection to the threads in turn.
    fn place(&mut self, stream: TcpStream, peer: SocketAddr, handshake: Option<Handshake>) {
        let mailboxes = self.node.mailboxes();
        self.next_mailbox = (self.next_mailbox + 1) % mailboxes.len().max(1);
        match mailboxes.get(self.next_mailbox) {
            Some(other) if !Arc::ptr_eq(other, &self.mailbox) => {
                other.send(Mail::Connected { stream, peer, handshake });
            }
            _ => self.connect(stream, peer, handshake),
        }
    }

    pub(super) fn connect(&mut self, mut stream: TcpStream, peer: SocketAddr, handshake: Option<Handshake>) {
        if self.stopping.is_some() {
            return;
        }
        if self.node.clients.len() >= self.node.live.connections_max() {
            self.node.clients.rejected.fetch_add(1, Ordering::Relaxed);
            if handshake.is_none() {
                let _ = io::Write::write(&mut stream, b"-ERR max number of clients reached\r\n");
            }
            return;
        }
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().unwrap_or(peer);
        let until = handshake.as_ref().map(|handshake| handshake.until);
        let mut stream = match handshake {
            None => Stream::Plain(stream),
            Some(handshake) => match Stream::tls(stream, peer, handshake) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a TLS connection could not begin");
                    return;
                }
            },
        };
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
        let (id, now_ms) = (self.node.clients.next_id(), self.node.wall_ms());
        let addresses = (peer, local, until.is_some());
        let client = Arc::new(Client::new(id, addresses, now_ms, self.mailbox.clone()));
        self.node.clients.add(client.clone());
        self.by_client.insert(client.id, at);
        let session = Session::new(client.clone(), &self.node.users);
        if let Some(place) = self.connections.get_mut(at) {
            *place = Some(Connection::new(stream, client, session));
        }
        self.queue(at);
    }

    /// A connection that had to shake hands until then has had a turn.
    pub(super) fn handshake_went_on(&mut self, at: usize, until: Instant) {
        let connection = self.connections.get(at).and_then(Option::as_ref);
        if connection.is_some_and(|connection| connection.stream.handshake_until().is_none()) {
            self.timers.remove(&(until, at));
        }
    }
}
