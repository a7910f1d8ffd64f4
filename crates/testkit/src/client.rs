//! A blocking client: one connection, commands in, replies out, pipelines under the caller's control.

use crate::Result;
use crate::reply::{self, Reply};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A server that says nothing for so long is stuck.
const TIMEOUT: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Resp2,
    Resp3,
}

/// One command: its name and arguments.
pub type Command = Vec<Vec<u8>>;

/// A command from words that need no quoting.
pub fn words(line: &str) -> Command {
    line.split_whitespace().map(|word| word.as_bytes().to_vec()).collect()
}

#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    /// How much of `input` has been given out.
    taken: usize,
    output: Vec<u8>,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(addr)?)
    }

    /// Connects as another peer: from an address of this machine, such as 127.0.0.2.
    pub fn connect_from(from: IpAddr, addr: SocketAddr) -> Result<Self> {
        Self::over(socket_from(from, addr)?)
    }

    fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, input: Vec::new(), taken: 0, output: Vec::new() })
    }

    /// Connects and says HELLO 3 if RESP3 is wanted.
    pub fn connect_with(addr: SocketAddr, protocol: Protocol) -> Result<Self> {
        let mut client = Self::connect(addr)?;
        if protocol == Protocol::Resp3 {
            let reply = client.call(&words("HELLO 3"))?;
            if reply.is_error() {
                return Err(format!("HELLO 3: {reply:?}").into());
            }
        }
        Ok(client)
    }

    /// Sends one command and waits for its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, command: &[A]) -> Result<Reply> {
        self.queue(command);
        self.flush()?;
        self.receive()
    }

    /// Like [`Self::call`], for a command that needs no quoting.
    pub fn line(&mut self, line: &str) -> Result<Reply> {
        self.call(&words(line))
    }

    /// Like [`Self::line`], for a command that must not fail.
    pub fn want(&mut self, line: &str) -> Result<Reply> {
        let reply = self.line(line)?;
        if reply.is_error() { Err(format!("{line}: {reply:?}").into()) } else { Ok(reply) }
    }

    /// A number that INFO tells of the clients.
    pub fn info_of_clients(&mut self, name: &str) -> Result<usize> {
        let info = self.want("INFO clients")?;
        let text = String::from_utf8_lossy(info.bytes().unwrap_or_default()).into_owned();
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let (_, found) = fields.find(|(field, _)| *field == name).ok_or("INFO clients is not understood")?;
        Ok(found.trim().parse()?)
    }

    /// Adds a command to what [`Self::flush`] sends.
    pub fn queue<A: AsRef<[u8]>>(&mut self, command: &[A]) {
        encode(command, &mut self.output);
    }

    pub fn flush(&mut self) -> Result {
        let sent = self.stream.write_all(&self.output);
        self.output.clear();
        Ok(sent?)
    }

    /// Sends bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next reply.
    pub fn receive(&mut self) -> Result<Reply> {
        loop {
            if let Some(reply) = self.parsed()? {
                return Ok(reply);
            }
            self.fill()?;
        }
    }

    /// The next reply, if it has come.
    pub fn try_receive(&mut self) -> Result<Option<Reply>> {
        loop {
            if let Some(reply) = self.parsed()? {
                return Ok(Some(reply));
            }
            self.stream.set_nonblocking(true)?;
            let filled = self.fill();
            self.stream.set_nonblocking(false)?;
            match filled {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                other => other?,
            }
        }
    }

    /// The next reply, if it has been read already.
    fn parsed(&mut self) -> Result<Option<Reply>> {
        let rest = self.input.get(self.taken..).unwrap_or_default();
        if let Some((reply, len)) = reply::parse(rest)? {
            self.taken += len;
            return Ok(Some(reply));
        }
        self.input.drain(..self.taken);
        self.taken = 0;
        Ok(None)
    }

    /// A second handle of the same connection, for a thread that only sends.
    pub fn sender(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    /// Runs a pipeline of any length, sending and receiving at the same time, in chunks.
    pub fn pipeline(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        const CHUNK: usize = 1000;
        let mut replies = Vec::with_capacity(commands.len());
        for chunk in commands.chunks(CHUNK) {
            for command in chunk {
                self.queue(command);
            }
            self.flush()?;
            for _ in chunk {
                replies.push(self.receive()?);
            }
        }
        Ok(replies)
    }

    fn fill(&mut self) -> io::Result<()> {
        let old = self.input.len();
        // A big reply is read in ever bigger steps: its beginning is parsed anew after each.
        self.input.resize(old + READ_BYTES.max(old), 0);
        let read = self.stream.read(self.input.get_mut(old..).unwrap_or_default());
        self.input.truncate(old + read.as_ref().copied().unwrap_or(0));
        match read? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}

/// A socket that is not connected yet, of an address of this machine.
pub(crate) fn socket_of(from: IpAddr) -> io::Result<OwnedFd> {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(from, 0))?;
    Ok(socket)
}

/// A connection from an address of this machine.
pub fn socket_from(from: IpAddr, addr: SocketAddr) -> Result<TcpStream> {
    let socket = socket_of(from)?;
    connect(&socket, &addr)?;
    Ok(TcpStream::from(socket))
}

pub fn encode<A: AsRef<[u8]>>(command: &[A], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
    for arg in command {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
