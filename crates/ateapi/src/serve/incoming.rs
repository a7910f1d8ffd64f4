//! Connections: so many at a time, through TLS if that is wanted, and none that says nothing for long.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, unfold};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::metrics::Metrics;
use super::peers::{Guest, Link, Peer, Peers};
use super::tls::Tls;

/// Whoever has not shaken hands, or said its first word, by then is not going to.
const FIRST_WORD_MAX: Duration = Duration::from_secs(10);

/// The first word of HTTP/2. From then on it is the transport that finds out who has gone, by its pings.
const FIRST_WORD_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// After an accept that failed, usually because file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

enum Stuff {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that was let in.
pub struct Socket {
    stuff: Stuff,
    link: Arc<Link>,
    /// Until the first word has come.
    silent_until: Option<Pin<Box<Sleep>>>,
    heard_bytes: usize,
    seat: Seat,
}

/// A connection's place.
struct Seat {
    metrics: Arc<Metrics>,
    guest: Guest,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.connections.fetch_sub(1, Relaxed);
    }
}

struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
}

/// Connections that may be served.
pub fn incoming(
    listener: TcpListener,
    tls: Option<Tls>,
    connections_max: usize,
    peers: Arc<Peers>,
    metrics: Arc<Metrics>,
) -> impl Stream<Item = io::Result<Socket>> {
    let door = Door { listener, seats: Arc::new(Semaphore::new(connections_max)), peers, metrics };
    let accepted = unfold(door, |door| async move { Some((door.accept().await?, door)) });
    // Each on its own, so that nobody waits for those who are slow to say who they are.
    let begin = move |accepted| tokio::spawn(shake(accepted, tls.as_ref().map(Tls::acceptor)));
    let shaken = accepted.map(begin).buffer_unordered(connections_max);
    shaken.filter_map(|socket| async move { socket.ok().flatten().map(Ok) })
}

struct Door {
    listener: TcpListener,
    seats: Arc<Semaphore>,
    peers: Arc<Peers>,
    metrics: Arc<Metrics>,
}

impl Door {
    async fn accept(&self) -> Option<Accepted> {
        let permit = Arc::clone(&self.seats).acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(guest) = self.peers.enter(peer.ip()) else {
                        self.metrics.connections_refused.fetch_add(1, Relaxed);
                        tracing::debug!(%peer, "a peer has as many connections as it may have");
                        continue;
                    };
                    self.metrics.connections.fetch_add(1, Relaxed);
                    self.metrics.connections_total.fetch_add(1, Relaxed);
                    let seat = Seat { metrics: Arc::clone(&self.metrics), guest, _permit: permit };
                    return Some(Accepted { stream, peer, seat });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Nothing, if the client does not show what it has to, or takes too long.
async fn shake(accepted: Accepted, tls: Option<TlsAcceptor>) -> Option<Socket> {
    let Accepted { stream, peer, seat } = accepted;
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Some(Socket::new(Stuff::Plain(stream), peer, seat)) };
    let handshake = async {
        let _turn = seat.guest.common().handshakes.acquire().await;
        tls.accept(stream).await
    };
    let why = match timeout(FIRST_WORD_MAX, handshake).await {
        Ok(Ok(stream)) => return Some(Socket::new(Stuff::Tls(Box::new(stream)), peer, seat)),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no handshake within {FIRST_WORD_MAX:?}"),
    };
    seat.metrics.handshakes_failed.fetch_add(1, Relaxed);
    tracing::debug!(%peer, why, "a TLS connection failed");
    None
}

impl Socket {
    fn new(stuff: Stuff, peer: SocketAddr, seat: Seat) -> Self {
        let link = Link::new(peer, Arc::clone(seat.guest.common()));
        Self { stuff, link, silent_until: Some(Box::pin(sleep(FIRST_WORD_MAX))), heard_bytes: 0, seat }
    }

    fn stream(&mut self) -> Pin<&mut (dyn Both + '_)> {
        match &mut self.stuff {
            Stuff::Plain(stream) => Pin::new(stream),
            Stuff::Tls(stream) => Pin::new(&mut **stream),
        }
    }
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

impl Connected for Socket {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        debug_assert!(self.seat.metrics.connections.load(Relaxed) > 0);
        Peer(Arc::clone(&self.link))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.link.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        let read = self.stream().poll_read(context, buffer);
        if self.silent_until.is_some() {
            self.heard_bytes += buffer.filled().len() - before;
        }
        if self.heard_bytes >= FIRST_WORD_BYTES {
            self.silent_until = None;
        } else if let Some(until) = &mut self.silent_until
            && read.is_pending()
            && until.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.link.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.link.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.link.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.stream().poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stuff {
            Stuff::Plain(stream) => stream.is_write_vectored(),
            Stuff::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
