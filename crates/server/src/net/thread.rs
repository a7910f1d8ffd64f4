//! A network thread: an event loop over its connections. It reads, runs the read and inline lanes,
//! submits the batch that came of it, and sends what is committed.

mod streams;
mod waits;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use store::{Gate, Scratch};

use crate::engine::clients::{Client, Details};
use crate::engine::heavy::Finished;
use crate::engine::node::Node;
use crate::net::connection::{Connection, OUTPUT_BYTES_MAX, READ_BYTES_MAX, State, Streaming, Turn};
use crate::net::exec::{self, Ran};
use crate::net::execute::execute;
use crate::net::mailbox::{Mail, Mailbox};
use crate::session::Session;
use crate::session::acl;
use crate::session::stats;

const WAKE: Token = Token(usize::MAX);
const LISTENERS: usize = usize::MAX / 2;
/// Commands of one client in one turn.
const COMMANDS_MAX: usize = 512;
const EVENTS_MAX: usize = 1024;
/// A stalled connection looks again after this long even if nobody calls it.
const STALL_POLL: Duration = Duration::from_millis(50);
/// How long clients have to take their last replies when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

pub struct NetThread {
    node: Arc<Node>,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    listeners: Vec<TcpListener>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    by_client: HashMap<u64, usize>,
    /// Connections with something to do.
    runnable: VecDeque<usize>,
    /// Connections with held replies.
    holding: Vec<usize>,
    /// Connections that wait for the store or for a time.
    waiting: Vec<usize>,
    touched: Vec<usize>,
    /// When connections that wait for a key have waited long enough.
    timers: BTreeSet<(Instant, usize)>,
    scratch: Scratch,
    buffer: Vec<u8>,
    next_mailbox: usize,
    stopping: Option<Instant>,
}

impl NetThread {
    pub fn new(node: &Arc<Node>, poll: Poll, mailbox: Arc<Mailbox>) -> Self {
        Self {
            node: node.clone(),
            poll,
            mailbox,
            listeners: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            by_client: HashMap::new(),
            runnable: VecDeque::new(),
            holding: Vec::new(),
            waiting: Vec::new(),
            touched: Vec::new(),
            timers: BTreeSet::new(),
            scratch: Scratch::default(),
            buffer: vec![0; READ_BYTES_MAX],
            next_mailbox: 0,
            stopping: None,
        }
    }

    /// A poll and the mailbox that wakes it.
    pub fn prepare() -> io::Result<(Poll, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        Ok((poll, Arc::new(Mailbox::new(waker))))
    }

    /// Accepts connections here, for all threads.
    pub fn listen(&mut self, mut listener: TcpListener) -> io::Result<()> {
        let token = Token(LISTENERS + self.listeners.len());
        self.poll.registry().register(&mut listener, token, Interest::READABLE)?;
        self.listeners.push(listener);
        Ok(())
    }

    pub fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            if let Err(error) = self.poll.poll(&mut events, self.timeout())
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "a network thread cannot wait for events");
                return;
            }
            self.mailbox.set_waiting(false);
            self.node.turn_clock();
            for event in &events {
                self.ready(event.token(), event.is_readable(), event.is_writable());
                if event.is_read_closed() {
                    self.hung_up(event.token());
                }
            }
            for mail in self.mailbox.take() {
                self.receive(mail);
            }
            self.wake_waiting();
            self.end_waits();
            for _ in 0..self.runnable.len() {
                if let Some(at) = self.runnable.pop_front() {
                    self.turn(at);
                }
            }
            // First the batch goes on its way, then replies go out while it does.
            self.node.pump();
            self.send();
            if self.is_done() {
                return;
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.runnable.is_empty() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let until = |at: &usize| match &self.connections.get(*at)?.as_ref()?.state {
            State::Sleeping(until, _) => Some(until.saturating_duration_since(now)),
            _ => Some(STALL_POLL),
        };
        let stopping = self.stopping.map(|_| STALL_POLL);
        let timer = self.timers.first().map(|(until, _)| until.saturating_duration_since(now));
        self.waiting.iter().filter_map(until).chain(stopping).chain(timer).min()
    }

    fn ready(&mut self, token: Token, readable: bool, writable: bool) {
        if token == WAKE {
            return;
        }
        if token.0 >= LISTENERS {
            self.accept(token.0 - LISTENERS);
            return;
        }
        if let Some(connection) = self.connections.get_mut(token.0).and_then(Option::as_mut) {
            connection.readable |= readable;
            connection.writable |= writable;
            self.queue(token.0);
        }
    }

    /// A client has closed its side. One that waits for a time, perhaps for ever, is not waited for;
    /// others are answered first.
    fn hung_up(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(token.0).and_then(Option::as_mut) else { return };
        connection.hung_up = true;
        if matches!(connection.state, State::Sleeping(..) | State::Blocked(_)) {
            self.close(token.0);
        }
    }

    fn queue(&mut self, at: usize) {
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.runnable.push_back(at);
        }
    }

    fn accept(&mut self, listener: usize) {
        loop {
            let Some(listener) = self.listeners.get(listener) else { return };
            match listener.accept() {
                Ok((stream, peer)) => self.place(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    return;
                }
            }
        }
    }

    /// Gives a new connection to the threads in turn.
    fn place(&mut self, stream: TcpStream, peer: SocketAddr) {
        let mailboxes = self.node.mailboxes();
        self.next_mailbox = (self.next_mailbox + 1) % mailboxes.len().max(1);
        match mailboxes.get(self.next_mailbox) {
            Some(other) if !Arc::ptr_eq(other, &self.mailbox) => {
                other.send(Mail::Connected { stream, peer });
            }
            _ => self.connect(stream, peer),
        }
    }

    fn connect(&mut self, mut stream: TcpStream, peer: SocketAddr) {
        if self.stopping.is_some() {
            return;
        }
        if self.node.clients.len() >= self.node.live.connections_max() {
            self.node.clients.rejected.fetch_add(1, Ordering::Relaxed);
            let _ = io::Write::write(&mut stream, b"-ERR max number of clients reached\r\n");
            return;
        }
        let _ = stream.set_nodelay(true);
        let at = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(at), interest) {
            tracing::warn!(%error, "a connection could not be registered");
            self.free.push(at);
            return;
        }
        let client = Arc::new(Client {
            id: self.node.clients.next_id(),
            peer,
            local: stream.local_addr().unwrap_or(peer),
            connected_ms: self.node.wall_ms(),
            last_ms: self.node.wall_ms().into(),
            database: 0.into(),
            commands: 0.into(),
            queued: 0.into(),
            resp3: false.into(),
            input_bytes: 0.into(),
            output_bytes: 0.into(),
            last_command: usize::MAX.into(),
            no_evict: false.into(),
            no_touch: false.into(),
            killed: false.into(),
            details: parking_lot::Mutex::new(Details { user: acl::DEFAULT.to_vec(), ..Details::default() }),
            mailbox: self.mailbox.clone(),
        });
        self.node.clients.add(client.clone());
        self.by_client.insert(client.id, at);
        let session = Session::new(client.clone(), &self.node.users);
        if let Some(place) = self.connections.get_mut(at) {
            *place = Some(Connection::new(stream, client, session));
        }
        self.queue(at);
    }

    fn close(&mut self, at: usize) {
        let Some(mut connection) = self.connections.get_mut(at).and_then(Option::take) else { return };
        let _ = self.poll.registry().deregister(&mut connection.stream);
        match &connection.state {
            State::Working(cancel) => cancel.cancel(),
            State::Streaming(streaming) => {
                streaming.cancel.cancel();
                streaming.until.map(|until| self.timers.remove(&(until, at)));
            }
            State::Blocked(place) => {
                place.until.map(|until| self.timers.remove(&(until, at)));
                if let Some(group) = self.node.groups.get(usize::from(place.group)) {
                    group.store.stop_waiting(place.ticket);
                }
            }
            _ => {}
        }
        self.node.clients.remove(connection.client.id);
        self.by_client.remove(&connection.client.id);
        self.free.push(at);
    }

    fn receive(&mut self, mail: Mail) {
        match mail {
            Mail::Connected { stream, peer } => self.connect(stream, peer),
            Mail::Finished { client, outcome } => self.finished(client, outcome),
            Mail::Ran { client, ran, gates } => self.ran(client, *ran, &gates),
            Mail::Broken { client } => self.broken(client),
            Mail::Blocked { client, place } => {
                if let Some(&at) = self.by_client.get(&client) {
                    self.block(at, place);
                }
            }
            Mail::Outgrown { client, entry, work } => self.outgrown(client, entry, work),
            Mail::Killed { client } => {
                if let Some(&at) = self.by_client.get(&client) {
                    self.close(at);
                }
            }
            Mail::Stop => {
                for mut listener in self.listeners.drain(..) {
                    let _ = self.poll.registry().deregister(&mut listener);
                }
                self.stopping = Some(Instant::now() + STOP_WITHIN);
            }
        }
    }

    /// The heavy pool, or whoever wrote what a client has waited for, is done with its command.
    fn finished(&mut self, client: u64, outcome: Finished) {
        let Some(&at) = self.by_client.get(&client) else { return };
        self.forget_timer(at);
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let before = std::mem::replace(&mut connection.state, State::Ready);
        connection.waits_until = None;
        connection.output.push_gated(outcome.reply, &outcome.gates);
        if connection.client.killed.load(Ordering::SeqCst) {
            connection.state = State::Closing;
        }
        // Nobody wants to hear the rest where replies are thrown away.
        let rest = outcome.rest.filter(|_| !connection.output.is_muted());
        if let (Some(flow), State::Working(cancel) | State::Streaming(Streaming { cancel, .. })) =
            (rest, before)
        {
            self.stream(at, flow, cancel);
        }
        self.touched.push(at);
        self.queue(at);
    }

    /// The heavy pool has run a client's transaction.
    fn ran(&mut self, client: u64, ran: Ran, gates: &[(u16, Gate)]) {
        let Some(&at) = self.by_client.get(&client) else { return };
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        connection.state = State::Ready;
        exec::finish(&self.node, connection, ran, gates);
        self.touched.push(at);
        self.queue(at);
    }

    /// Connections that waited for the store, or for a time that has come, go on.
    fn wake_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|&at| {
            let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
                return false;
            };
            match &connection.state {
                State::Sleeping(until, _) if *until > now => return true,
                State::Sleeping(_, reply) => {
                    let reply = reply.clone();
                    connection.reply(&reply);
                }
                State::Stalled => {}
                _ => return false,
            }
            connection.state = State::Ready;
            self.touched.push(at);
            if !std::mem::replace(&mut connection.queued, true) {
                self.runnable.push_back(at);
            }
            false
        });
        self.waiting.append(&mut waiting);
    }

    /// One connection's turn: reads, runs, and says what comes next.
    fn turn(&mut self, at: usize) {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        connection.queued = false;
        self.touched.push(at);
        stats::begin_turn();
        match self.serve(at) {
            Turn::Idle => {}
            Turn::Again => self.queue(at),
            Turn::Close => self.close(at),
        }
    }

    fn serve(&mut self, at: usize) -> Turn {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return Turn::Idle;
        };
        let mut commands = 0;
        loop {
            if !matches!(connection.state, State::Ready) {
                return Turn::Idle;
            }
            if connection.output.len() > OUTPUT_BYTES_MAX {
                // The client has to take what it was answered first.
                return Turn::Idle;
            }
            if commands >= COMMANDS_MAX {
                return Turn::Again;
            }
            let used = match connection.parse() {
                Ok(Some(used)) => used,
                Ok(None) if connection.readable && commands == 0 => {
                    let before = connection.input_len();
                    if connection.read(&mut self.buffer).is_err() {
                        return Turn::Close;
                    }
                    self.node.stats.read_bytes(connection.input_len() - before);
                    connection.client.last_ms.store(self.node.wall_ms(), Ordering::Relaxed);
                    if connection.ended && connection.is_drained() {
                        return Turn::Close;
                    }
                    if connection.input_len() == 0 {
                        return Turn::Idle;
                    }
                    commands += 1;
                    continue;
                }
                Ok(None) if connection.ended => {
                    connection.state = State::Closing;
                    return Turn::Idle;
                }
                Ok(None) => return if connection.readable { Turn::Again } else { Turn::Idle },
                Err(reply) => {
                    connection.reply(&reply);
                    connection.state = State::Closing;
                    return Turn::Idle;
                }
            };
            commands += 1;
            if !execute(&self.node, connection, used, &mut self.scratch, &mut self.waiting, at) {
                if let State::Blocked(place) = connection.state {
                    self.timers.extend(place.until.map(|until| (until, at)));
                }
                return Turn::Idle;
            }
        }
    }

    /// Sends what may go out, and remembers who still waits for a commit.
    fn send(&mut self) {
        let mut holding = std::mem::take(&mut self.holding);
        holding.append(&mut self.touched);
        // IMPORTANT: announced before the replies are looked at, or a commit in between would wake
        // nobody.
        self.mailbox.set_waiting(true);
        for at in holding {
            self.send_one(at);
        }
        if self.holding.is_empty() {
            self.mailbox.set_waiting(false);
        }
    }

    fn send_one(&mut self, at: usize) {
        let node = self.node.clone();
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let was_full = connection.output.len() > OUTPUT_BYTES_MAX;
        let still = connection.release(&node);
        let before = connection.output.len();
        if connection.flush().is_err() {
            self.close(at);
            return;
        }
        node.stats.wrote_bytes(before - connection.output.len());
        let done = matches!(connection.state, State::Closing) && connection.output.is_empty();
        if done || (connection.ended && connection.is_drained() && connection.input_len() == 0) {
            self.close(at);
            return;
        }
        let client = &connection.client;
        client.output_bytes.store(connection.output.len() as u64, Ordering::Relaxed);
        client.input_bytes.store(connection.input_len() as u64, Ordering::Relaxed);
        let has_room = was_full && connection.output.len() <= OUTPUT_BYTES_MAX;
        // The socket would take more: another turn.
        let has_more = connection.writable && connection.output.sendable() > 0;
        connection.listed = still;
        if still {
            self.holding.push(at);
        }
        if has_room || has_more {
            self.queue(at);
        }
        self.stream_on(at);
    }

    /// Whether the thread may end: the server stops, and everybody has been answered or has had
    /// their time.
    fn is_done(&mut self) -> bool {
        let Some(deadline) = self.stopping else { return false };
        let late = Instant::now() >= deadline;
        for at in 0..self.connections.len() {
            // One that waits for a time has nothing in flight.
            let is_idle = |c: &Connection| {
                c.is_drained()
                    || (c.output.is_empty() && matches!(c.state, State::Sleeping(..) | State::Blocked(_)))
            };
            let idle = self.connections.get(at).and_then(Option::as_ref).is_some_and(is_idle);
            if idle || late {
                self.close(at);
            }
        }
        self.by_client.is_empty()
    }
}
