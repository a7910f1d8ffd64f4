//! The attackers: many connections in two threads that give way to everybody else, so that what the measured
//! clients feel is the server's doing and not that of a machine which the attackers fill.

mod scenes;
mod skip;

pub use scenes::{ENDLESS, HOARDERS, SCENES, Scene};

use crate::{Result, client, proc};
use rustix::io::Errno;
use rustix::net::connect;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use skip::{Kind, Skip};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const THREADS: usize = 2;
/// When none of a thread's connections has anything to do.
const PAUSE: Duration = Duration::from_micros(200);
/// A rest of those who have used their share of a CPU, before they look whether they have to stop.
const REST_MAX: Duration = Duration::from_millis(20);
/// Who was closed comes back after so long, and who has sent all of its flood leaves after as long.
const RETURN: Duration = Duration::from_millis(500);
/// A server whose accept queue is full lets nobody in; the other connections must not wait for that.
const CONNECT_TIME_MAX: Duration = Duration::from_millis(50);
/// Of one thread, before it looks after those that it has.
const CONNECTS_AT_A_TIME: usize = 64;
const READ_BYTES: usize = 256 << 10;

/// What some connections do.
#[derive(Debug, Clone)]
pub struct Load {
    pub connections: usize,
    /// Sent once, before the first of the chunks.
    pub head: Vec<u8>,
    pub chunk: Vec<u8>,
    /// Chunks are sent without waiting for replies, so many bytes of them; 0: one chunk is one request, and the next is
    /// sent when it is answered.
    pub flood_bytes: u64,
    pub reads: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub ok: u64,
    pub refused: u64,
    pub broken: u64,
    /// Connections that the server has closed, with or without a word before.
    pub closed: u64,
    /// Those that did not come about in time.
    pub unopened: u64,
    pub sent_bytes: u64,
    pub read_bytes: u64,
    /// CPU time of the attackers' own.
    pub cpu: Duration,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.refused += other.refused;
        self.broken += other.broken;
        self.closed += other.closed;
        self.unopened += other.unopened;
        self.sent_bytes += other.sent_bytes;
        self.read_bytes += other.read_bytes;
        self.cpu += other.cpu;
    }
}

#[derive(Debug)]
pub struct Attack {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Tally>>>,
}

impl Attack {
    /// From an address of this machine, such as 127.0.0.2: one peer. The attackers take this part of a CPU at most, all
    /// together, for elsewhere they have their own.
    pub fn start(from: IpAddr, addr: SocketAddr, loads: &[Load], cpu_share: f64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let each =
            loads.iter().flat_map(|load| std::iter::repeat_n(Arc::new(load.clone()), load.connections));
        let mut shares: Vec<Vec<Attacker>> = (0..THREADS).map(|_| Vec::new()).collect();
        for (at, load) in each.enumerate() {
            shares
                .get_mut(at % THREADS)
                .into_iter()
                .for_each(|share| share.push(Attacker::new(load.clone())));
        }
        let threads = shares.into_iter().map(|share| {
            let stop = stop.clone();
            thread::spawn(move || sweep((from, addr), share, cpu_share / THREADS as f64, &stop))
        });
        Self { threads: threads.collect(), stop }
    }

    /// They all leave.
    pub fn stop(self) -> Result<Tally> {
        self.stop.store(true, Ordering::SeqCst);
        let mut tally = Tally::default();
        for thread in self.threads {
            tally.add(&thread.join().map_err(|_| "an attacker has panicked")??);
        }
        Ok(tally)
    }
}

fn sweep(
    (from, addr): (IpAddr, SocketAddr),
    mut attackers: Vec<Attacker>,
    cpu_share: f64,
    stop: &AtomicBool,
) -> Result<Tally> {
    proc::give_way()?;
    let (mut tally, mut buffer) = (Tally::default(), vec![0; READ_BYTES]);
    let began = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let (mut was_busy, mut connects) = (false, CONNECTS_AT_A_TIME);
        for attacker in &mut attackers {
            if attacker.stream.is_none() {
                connects = connects.saturating_sub(attacker.connect(from, addr, connects, &mut tally));
            }
            was_busy |= attacker.step(&mut buffer, &mut tally);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        if !was_busy {
            thread::sleep(PAUSE);
        }
        let due = proc::own_thread_time().div_f64(cpu_share);
        thread::sleep(due.saturating_sub(began.elapsed()).min(REST_MAX));
    }
    tally.cpu = proc::own_thread_time();
    Ok(tally)
}

fn open(from: IpAddr, addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = client::socket_of(from)?;
    // Linux bounds connecting by it as well.
    set_socket_timeout(&socket, Timeout::Send, Some(CONNECT_TIME_MAX))?;
    connect(&socket, &addr).map_err(|error| match error {
        Errno::INPROGRESS => ErrorKind::TimedOut.into(),
        other => io::Error::from(other),
    })?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Attacker {
    load: Arc<Load>,
    stream: Option<TcpStream>,
    /// Of what is sent now: whether it is the head, and how much of it has gone out.
    in_head: bool,
    sent: usize,
    flooded: u64,
    /// Everything is sent, and it is the server's turn.
    waits: bool,
    /// Not before this does it connect or leave.
    rest_until: Instant,
    skip: Skip,
}

impl Attacker {
    fn new(load: Arc<Load>) -> Self {
        let rest_until = Instant::now();
        Self {
            load,
            stream: None,
            in_head: true,
            sent: 0,
            flooded: 0,
            waits: false,
            rest_until,
            skip: Skip::default(),
        }
    }

    /// Says how many attempts that were.
    fn connect(&mut self, from: IpAddr, addr: SocketAddr, allowed: usize, tally: &mut Tally) -> usize {
        if allowed == 0 || Instant::now() < self.rest_until {
            return 0;
        }
        let (stream, failure) = match open(from, addr) {
            Ok(stream) => (Some(stream), None),
            Err(error) => (None, Some(error.kind())),
        };
        *self = Self { stream, ..Self::new(self.load.clone()) };
        if let Some(failure) = failure {
            // No answer in time, or no port left here; all else is the server's having closed it at once.
            let is_unopened = matches!(failure, ErrorKind::TimedOut | ErrorKind::AddrInUse);
            *(if is_unopened { &mut tally.unopened } else { &mut tally.closed }) += 1;
            self.rest_until = Instant::now() + RETURN;
        }
        1
    }

    /// Sends and reads what can be; says whether that was anything.
    fn step(&mut self, buffer: &mut [u8], tally: &mut Tally) -> bool {
        match (self.send(tally), self.read(buffer, tally)) {
            (Some(sent), Some(read)) => sent || read,
            _ => {
                tally.closed += u64::from(self.stream.take().is_some());
                self.rest_until = Instant::now() + RETURN;
                false
            }
        }
    }

    /// `None` if the connection is gone.
    fn send(&mut self, tally: &mut Tally) -> Option<bool> {
        let Some(stream) = &mut self.stream else { return Some(false) };
        if self.waits {
            if self.load.flood_bytes > 0 && Instant::now() > self.rest_until {
                // It leaves by itself.
                self.stream = None;
            }
            return Some(false);
        }
        let bytes = if self.in_head { &self.load.head } else { &self.load.chunk };
        let rest = bytes.get(self.sent..).unwrap_or_default();
        let sent = match stream.write(rest) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(false),
            Err(_) => {
                // What the server said before it closed is worth reading, which fails only behind it.
                self.waits = true;
                0
            }
        };
        self.sent += sent;
        self.flooded += sent as u64;
        tally.sent_bytes += sent as u64;
        if self.sent >= bytes.len() {
            self.waits |= !self.in_head && self.load.flood_bytes == 0;
            (self.in_head, self.sent) = (false, 0);
        }
        if self.load.flood_bytes > 0 && self.flooded >= self.load.flood_bytes {
            self.waits = true;
            self.rest_until = Instant::now() + RETURN;
        }
        Some(true)
    }

    fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Option<bool> {
        let Some(stream) = &mut self.stream else { return Some(false) };
        if !self.load.reads {
            // Whether it is closed is seen all the same.
            let mut byte = [0];
            return match stream.peek(&mut byte) {
                Ok(0) => None,
                Err(error) if error.kind() != ErrorKind::WouldBlock => None,
                _ => Some(false),
            };
        }
        let read = match stream.read(buffer) {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(false),
            Err(_) => return None,
        };
        tally.read_bytes += read as u64;
        let (waits, is_loop) = (&mut self.waits, self.load.flood_bytes == 0);
        self.skip.take(buffer.get(..read).unwrap_or_default(), |kind| {
            match kind {
                Kind::Ok => tally.ok += 1,
                Kind::Refused => tally.refused += 1,
                Kind::Broken => tally.broken += 1,
            }
            *waits &= !is_loop;
        });
        Some(true)
    }
}
