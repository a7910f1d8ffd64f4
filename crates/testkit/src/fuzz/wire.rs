//! A connection to a server, plain or through TLS, whose owner means no good.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::client::socket_from;
use crate::{Result, tls};

/// Where a server is, and how it is spoken to there.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub addr: SocketAddr,
    pub tls: Option<Arc<ClientConfig>>,
}

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Whoever does not read cannot write for ever.
const WRITE_TIMEOUT: Duration = Duration::from_millis(200);

impl Wire {
    /// Connects. The handshake comes with the first bytes.
    pub(super) fn connect(door: &Door, from: IpAddr) -> Result<Self> {
        let socket = socket_from(from, door.addr)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(match &door.tls {
            Some(config) => Self::Tls(Box::new(StreamOwned::new(tls::session(config)?, socket))),
            None => Self::Plain(socket),
        })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Says that nothing more comes.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(std::net::Shutdown::Write)
    }

    /// Closes with a reset.
    pub(super) fn reset(self) {
        let _ = set_socket_linger(self.socket(), Some(Duration::ZERO));
    }

    /// Reads for no longer than this without anything coming.
    pub(super) fn read_some(&mut self, patience: Duration) -> io::Result<usize> {
        self.socket().set_read_timeout(Some(patience))?;
        self.read(&mut [0; 4_096])
    }

    /// Reads to the end.
    pub(super) fn read_all(&mut self, patience: Duration) -> io::Result<Vec<u8>> {
        self.socket().set_read_timeout(Some(patience))?;
        let mut all = Vec::new();
        self.read_to_end(&mut all)?;
        Ok(all)
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
