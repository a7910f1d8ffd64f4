//! A listener that has few connections open at a time, a part of them for each address, and none for long.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use base::peer;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections at a time: scrapers, probes and a few people. More wait to be accepted.
const CONNECTIONS_MAX: usize = 64;
/// Of one address; the next one is closed. Whoever leaves connections open does not keep a probe from finding one.
pub(super) const CONNECTIONS_PER_ADDRESS: usize = CONNECTIONS_MAX / 4;
/// A connection is closed after this long, whatever it does: nobody can occupy one for ever.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);
/// By then the head of a request has to be complete, counted from when the connection began or was answered last.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// After an accept that failed, usually because file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Few {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    addresses: Arc<Addresses>,
    head_time: Duration,
}

/// How many connections each address has.
#[derive(Default)]
struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// A place among those of an address, until it is dropped.
struct Place {
    address: IpAddr,
    addresses: Arc<Addresses>,
}

impl Addresses {
    /// Nothing if the address has as many as it may.
    fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = peer::of(address);
        let mut counts = self.0.lock();
        let count = counts.entry(address).or_default();
        if *count >= CONNECTIONS_PER_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { address, addresses: self.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

impl Few {
    pub(super) fn new(listener: TcpListener, head_time: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { listener, permits, addresses: Arc::default(), head_time }
    }
}

impl Listener for Few {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = self.permits.clone().acquire_owned().await else {
                std::future::pending::<()>().await;
                continue;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Some(place) = self.addresses.enter(peer.ip()) {
                        return (Connection::new(stream, self.head_time, permit, place), peer);
                    }
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after a while, and sooner if it asks for nothing.
pub(super) struct Connection {
    stream: TcpStream,
    until: Pin<Box<Sleep>>,
    head_until: Pin<Box<Sleep>>,
    head_time: Duration,
    head: Head,
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

impl Connection {
    fn new(stream: TcpStream, head_time: Duration, permit: OwnedSemaphorePermit, place: Place) -> Self {
        Self {
            stream,
            until: Box::pin(tokio::time::sleep(CONNECTION_TIME_MAX)),
            head_until: Box::pin(tokio::time::sleep(head_time)),
            head_time,
            head: Head::default(),
            _permit: permit,
            _place: place,
        }
    }

    fn check_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_late = self.until.as_mut().poll(context).is_ready()
            || (!self.head.is_complete() && self.head_until.as_mut().poll(context).is_ready());
        if is_late { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

/// How much of an empty line, with which the head of a request ends, has come.
#[derive(Default)]
struct Head {
    matched: usize,
}

const END: &[u8] = b"\r\n\r\n";

impl Head {
    fn is_complete(&self) -> bool {
        self.matched == END.len()
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.matched = match END.get(self.matched) {
                None => return,
                Some(expected) if expected == byte => self.matched + 1,
                Some(_) => usize::from(END.first() == Some(byte)),
            };
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_time(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.head.take(buffer.filled().get(before..).unwrap_or_default());
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_time(context)?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(written, Poll::Ready(Ok(_))) {
            // It is being answered: the next request is waited for from now on.
            self.head = Head::default();
            let until = Instant::now() + self.head_time;
            self.head_until.as_mut().reset(until);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_part_of_the_connections() {
        let addresses = Arc::<Addresses>::default();
        let enter = |address: &str| addresses.enter(address.parse().unwrap());
        let mut all: Vec<_> = (0..CONNECTIONS_PER_ADDRESS).map(|_| enter("192.0.2.1").unwrap()).collect();
        assert!(enter("192.0.2.1").is_none());
        // The same address, written otherwise.
        assert!(enter("::ffff:192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        // A host has as many addresses of its network as it wants.
        let network: Vec<_> =
            (0..CONNECTIONS_PER_ADDRESS).map(|at| enter(&format!("2001:db8::{at:x}")).unwrap()).collect();
        assert!(enter("2001:db8::1:0").is_none());
        assert!(enter("2001:db8:0:1::").is_some());
        drop(network);
        all.pop();
        assert!(enter("192.0.2.1").is_some());
        drop(all);
        assert!(addresses.0.lock().is_empty());
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (pieces, expected) in [
            (&["GET / HTTP/1.1\r\n", "Host: x\r\n\r\n"][..], true),
            (&["GET / HTTP/1.1\r", "\n\r", "\n"], true),
            (&["GET / HTTP/1.1\r\r\n\r\nmore"], true),
            (&["GET / HTTP/1.1\r\nHost: x\r\n"], false),
            (&["\r\n\r\r\n"], false),
            (&[], false),
        ] {
            let mut head = Head::default();
            pieces.iter().for_each(|piece| head.take(piece.as_bytes()));
            assert_eq!(head.is_complete(), expected, "{pieces:?}");
        }
    }
}
