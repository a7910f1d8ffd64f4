//! A client's socket, as it is or with TLS on it. It never blocks; readiness is edge-triggered, so
//! whoever reads or sends goes on until it is told that there is no more.
//!
//! What a TLS session has decrypted is taken out of it at once: nothing stays behind that no event of
//! the socket would tell of. What it has encrypted may stay behind, up to a limit, until the socket takes
//! it: [`Stream::has_pending`].

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use rustls::ServerConnection;

use crate::net::tls::{Handshake, Tls};

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
    /// From what the node hosts.
    Inside(UnixStream),
}

pub struct TlsStream {
    socket: TcpStream,
    session: ServerConnection,
    tls: Arc<Tls>,
    peer: SocketAddr,
    /// Until it is done.
    handshake: Option<Handshake>,
}

/// How a read ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// There may be more.
    More,
    /// Nothing more until the socket tells of it.
    All,
    /// The client sends nothing more, ever.
    End,
}

impl Stream {
    /// The server's side of TLS on a new connection.
    pub fn tls(socket: TcpStream, peer: SocketAddr, handshake: Handshake) -> Result<Self, rustls::Error> {
        let tls = handshake.tls.clone();
        let session = tls.session()?;
        Ok(Self::Tls(Box::new(TlsStream { socket, session, tls, peer, handshake: Some(handshake) })))
    }

    /// What the events are about.
    pub fn socket(&mut self) -> &mut dyn Source {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.socket,
            Self::Inside(socket) => socket,
        }
    }

    /// Reads from the socket once, into `buffer`, and appends to `input` what the client has said.
    pub fn read(&mut self, buffer: &mut [u8], input: &mut Vec<u8>) -> io::Result<Got> {
        match self {
            Self::Plain(socket) => read_plain(socket, buffer, input),
            Self::Inside(socket) => read_plain(socket, buffer, input),
            Self::Tls(stream) => stream.read(buffer, input),
        }
    }

    /// Whether something has been written that the socket has not taken yet.
    pub fn has_pending(&self) -> bool {
        match self {
            Self::Plain(_) | Self::Inside(_) => false,
            Self::Tls(stream) => stream.session.wants_write(),
        }
    }

    /// Sends what is pending, as far as the socket takes it. Says whether it would take more.
    pub fn send_pending(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) | Self::Inside(_) => Ok(true),
            Self::Tls(stream) => stream.send_pending(),
        }
    }

    /// By when the handshake has to be done, unless it is.
    pub fn handshake_until(&self) -> Option<Instant> {
        match self {
            Self::Plain(_) | Self::Inside(_) => None,
            Self::Tls(stream) => stream.handshake.as_ref().map(|handshake| handshake.until),
        }
    }

    /// The handshake has taken too long.
    pub fn handshake_late(&self) {
        if let Self::Tls(stream) = self {
            stream.tls.failed(stream.peer, &"the handshake took too long");
        }
    }

    /// Says good-bye, as far as the socket takes it at once.
    pub fn close(&mut self) {
        if let Self::Tls(stream) = self {
            stream.session.send_close_notify();
            let _ = stream.send_pending();
        }
    }
}

/// For TLS, what is written goes out with the next [`Stream::send_pending`], or when there is much of it.
impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Inside(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.send_pending()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

fn read_plain(socket: &mut impl Read, buffer: &mut [u8], input: &mut Vec<u8>) -> io::Result<Got> {
    match read_once(socket, buffer)? {
        None => Ok(Got::All),
        Some(0) => Ok(Got::End),
        Some(count) => {
            input.extend_from_slice(buffer.get(..count).unwrap_or_default());
            Ok(if count == buffer.len() { Got::More } else { Got::All })
        }
    }
}

/// Nothing if there is nothing to read now; zero bytes at the end.
fn read_once(socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        return match socket.read(buffer) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8], input: &mut Vec<u8>) -> io::Result<Got> {
        let count = match read_once(&mut self.socket, buffer) {
            Ok(None) => return Ok(Got::All),
            Ok(Some(count)) if count > 0 => count,
            Ok(_) if self.handshake.is_none() => {
                // Commands say where they end: one that was cut off does not run, so a client that
                // forgets to say good-bye is served like one without TLS.
                return Ok(Got::End);
            }
            Ok(_) => return Err(self.fail(&"the client closed amid the handshake")),
            Err(error) if self.handshake.is_some() => return Err(self.fail(&error)),
            Err(error) => return Err(error),
        };
        let mut rest = buffer.get(..count).unwrap_or_default();
        let mut has_ended = false;
        while !rest.is_empty() && !has_ended {
            // It takes a few kilobytes at a time, and no more than it can keep.
            if let Err(error) = self.session.read_tls(&mut rest) {
                return Err(self.fail(&error));
            }
            match self.session.process_new_packets() {
                Ok(state) => has_ended = state.peer_has_closed(),
                Err(error) => {
                    // The client is told why, if it still listens.
                    let _ = self.send_pending();
                    return Err(self.fail(&error));
                }
            }
            take_plaintext(&mut self.session, input);
        }
        if self.handshake.is_some() && !self.session.is_handshaking() {
            self.handshake = None;
            self.tls.stats.handshakes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(match has_ended {
            true => Got::End,
            false if count == buffer.len() => Got::More,
            false => Got::All,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Before the end of the handshake it would be kept as it is, and not be pending.
        while !bytes.is_empty() && !self.session.is_handshaking() {
            let taken = self.session.writer().write(bytes)?;
            if taken > 0 {
                return Ok(taken);
            }
            if !self.send_pending()? {
                break;
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn send_pending(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn fail(&self, why: &dyn std::fmt::Display) -> io::Error {
        self.tls.failed(self.peer, why);
        io::ErrorKind::InvalidData.into()
    }
}

fn take_plaintext(session: &mut ServerConnection, input: &mut Vec<u8>) {
    let mut reader = session.reader();
    // An error says that there is none, at the moment or for ever.
    while let Ok(bytes) = reader.fill_buf()
        && !bytes.is_empty()
    {
        input.extend_from_slice(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
}
