//! A network thread: an event loop over its connections. It reads, runs the read and inline lanes,
//! submits the batch that came of it, and sends what is committed.

mod accept;
mod batching;
mod hearers;
mod letters;
mod monitors;
mod paging;
mod sending;
mod waits;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base::limits::{INPUT_BYTES_WHILE_SHORT, TLS_HANDSHAKE_TURNS_MAX};
use mio::{Events, Poll, Token, Waker};
use store::{Gate, Scratch};

use crate::engine::clients::Client;
use crate::engine::heavy::Finished;
use crate::engine::node::Node;
use crate::net::connection::{Connection, OUTPUT_BYTES_MAX, Paging, READ_BYTES_MAX, State, Turn};
use crate::net::exec::{self, Ran};
use crate::net::execute::execute;
use crate::net::mailbox::{Mail, Mailbox};
use crate::net::turns::Turns;
use crate::session::stats;
use crate::tracking::Piles;
use accept::Listener;
use batching::Batching;
use hearers::Telling;

const WAKE: Token = Token(usize::MAX);
const LISTENERS: usize = usize::MAX / 2;
/// Commands of one client in one turn.
const COMMANDS_MAX: usize = 512;
/// A turn ends with the command that makes it take so long, and turns end when they take so long together: another peer
/// may have come meanwhile. Where there is one peer only, the next look at the events costs more than it gains.
const TURN_TIME: Duration = Duration::from_micros(50);
const TURNS_TIME: Duration = Duration::from_micros(50);
const TURNS_TIME_ALONE: Duration = Duration::from_millis(1);
const EVENTS_MAX: usize = 1024;
/// A stalled connection looks again after this long even if nobody calls it.
const STALL_POLL: Duration = Duration::from_millis(50);
/// How long clients have to take their last replies when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

pub struct NetThread {
    node: Arc<Node>,
    poll: Poll,
    mailbox: Arc<Mailbox>,
    listeners: Vec<Listener>,
    /// Turns that handshakes have had since the last look at the events.
    handshake_turns: usize,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    by_client: HashMap<u64, usize>,
    /// Connections with something to do.
    turns: Turns,
    /// When the latest turn began.
    now: Instant,
    /// Those that had no turn although they had waited for it: others come first.
    deferred: Vec<usize>,
    /// Connections with held replies, and how often something was settled when they were looked at.
    holding: Vec<usize>,
    settled: u64,
    /// Connections that wait for the store or for a time.
    waiting: Vec<usize>,
    /// Connections whose next command is paused, in order, and how many pauses had been ended by then.
    paused: Vec<usize>,
    paused_in: u64,
    touched: Vec<usize>,
    /// Clients that have left, and are yet to be forgotten by those who tell them what they heard.
    leaving: VecDeque<Arc<Client>>,
    /// Messages for those who hear them.
    telling: Telling,
    /// Invalidations for clients that cannot be told at the moment.
    kept_back: Piles,
    /// When connections that wait for a key have waited long enough.
    timers: BTreeSet<(Instant, usize)>,
    scratch: Scratch,
    buffer: Vec<u8>,
    next_mailbox: usize,
    batching: Batching,
    stopping: Option<Instant>,
}

impl NetThread {
    pub fn new(node: &Arc<Node>, poll: Poll, mailbox: Arc<Mailbox>) -> Self {
        Self {
            node: node.clone(),
            poll,
            mailbox,
            listeners: Vec::new(),
            handshake_turns: 0,
            connections: Vec::new(),
            free: Vec::new(),
            by_client: HashMap::new(),
            turns: Turns::default(),
            now: Instant::now(),
            deferred: Vec::new(),
            holding: Vec::new(),
            settled: 0,
            waiting: Vec::new(),
            paused: Vec::new(),
            paused_in: 0,
            touched: Vec::new(),
            leaving: VecDeque::new(),
            telling: Telling::default(),
            kept_back: Piles::default(),
            timers: BTreeSet::new(),
            scratch: Scratch::default(),
            buffer: vec![0; READ_BYTES_MAX],
            next_mailbox: 0,
            batching: Batching::new(Instant::now()),
            stopping: None,
        }
    }

    /// A poll and the mailbox that wakes it, of the thread of this number.
    pub fn prepare(at: u16) -> io::Result<(Poll, Arc<Mailbox>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        Ok((poll, Arc::new(Mailbox::new(waker, at))))
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
            // First those who have waited: others that come now would take their place again and again.
            self.wake_waiting();
            for event in &events {
                self.ready(event.token(), event.is_readable(), event.is_writable());
                if event.is_read_closed() {
                    self.hung_up(event.token());
                }
            }
            for mail in self.mailbox.take() {
                self.receive(mail);
            }
            self.accept_deferred();
            self.wake_paused();
            self.end_waits();
            self.take_turns();
            // First the batch goes on its way, then replies go out while it does.
            if self.batching.is_due(!self.turns.is_empty(), Instant::now()) {
                self.node.pump();
            }
            self.tell_hearers();
            self.forget_leaving();
            self.deliver();
            self.send();
            if self.is_done() {
                return;
            }
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let has_more = !self.turns.is_empty() || !self.deferred.is_empty() || !self.leaving.is_empty();
        if has_more || self.has_news() || self.has_letters() {
            return Some(Duration::ZERO);
        }
        let now = Instant::now();
        let until = |at: &usize| match &self.connections.get(*at)?.as_ref()?.state {
            State::Sleeping(until, _) => Some(until.saturating_duration_since(now)),
            _ => Some(STALL_POLL),
        };
        let stopping = self.stopping.map(|_| STALL_POLL);
        let timer = self.timers.first().map(|(until, _)| until.saturating_duration_since(now));
        // One that is over by now is seen at once.
        let pause = self.paused.first().map(|_| self.node.clients.pause.left().unwrap_or_default());
        let accept = self.accepts_in();
        self.waiting.iter().filter_map(until).chain(stopping).chain(timer).chain(pause).chain(accept).min()
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
        connection.client.hung_up.store(true, Ordering::Relaxed);
        if matches!(connection.state, State::Sleeping(..) | State::Blocked(_) | State::Paused) {
            self.close(token.0);
        }
    }

    fn queue(&mut self, at: usize) {
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.turns.queue(connection.peer, at);
        }
    }

    fn close(&mut self, at: usize) {
        let Some(mut connection) = self.connections.get_mut(at).and_then(Option::take) else { return };
        connection.stream.close();
        connection.discard();
        let _ = self.poll.registry().deregister(connection.stream.socket());
        connection.stream.handshake_until().map(|until| self.timers.remove(&(until, at)));
        connection.seat.trial_until().map(|until| self.timers.remove(&(until, at)));
        match &connection.state {
            State::Working { cancel, .. } => cancel.cancel(),
            State::Paging(paging) => {
                paging.cancel.cancel();
                paging.until.map(|until| self.timers.remove(&(until, at)));
            }
            State::Blocked(place) => {
                place.until.map(|until| self.timers.remove(&(until, at)));
                if let Some(group) = self.node.groups.get(usize::from(place.group)) {
                    group.store.stop_waiting(place.ticket);
                }
            }
            State::Paused => self.paused.retain(|paused| *paused != at),
            _ => {}
        }
        if !self.node.hub.leave(&connection.client) {
            self.leaving.push_back(connection.client.clone());
        }
        self.node.tracker.end(&connection.client);
        self.node.clients.remove(connection.client.id);
        self.by_client.remove(&connection.client.id);
        if connection.listed {
            self.holding.retain(|holding| *holding != at);
        }
        self.turns.writes(connection.peer, connection.uncommitted_bytes, 0, self.now);
        self.turns.leave(connection.peer, at);
        self.free.push(at);
    }

    fn receive(&mut self, mail: Mail) {
        match mail {
            Mail::Connected(arrived) => self.connect(arrived),
            Mail::Finished { client, outcome } => self.finished(client, outcome),
            Mail::Ran { client, ran, gates } => self.ran(client, *ran, &gates),
            Mail::Broken { client } => self.broken(client),
            Mail::Blocked { client, place } => {
                if let Some(&at) = self.by_client.get(&client) {
                    self.block(at, place);
                }
            }
            Mail::Outgrown { client, work } => self.outgrown(client, work),
            Mail::Unblocked { client, is_error } => self.unblocked(client, is_error),
            Mail::Seen => self.tell_monitors(),
            Mail::Killed { client } => {
                if let Some(&at) = self.by_client.get(&client) {
                    self.close(at);
                }
            }
            Mail::Stop => {
                for mut listener in self.listeners.drain(..) {
                    let _ = self.poll.registry().deregister(&mut listener.socket);
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
        before.give_back();
        if connection.client.killed.load(Ordering::SeqCst) {
            connection.state = State::Closing;
        }
        // Nobody wants to hear the rest where replies are thrown away.
        let rest = outcome.rest.filter(|_| !connection.output.is_muted());
        if let (Some(flow), State::Working { cancel, .. } | State::Paging(Paging { cancel, .. })) =
            (rest, before)
        {
            self.begin_pages(at, flow, cancel);
        }
        self.touched.push(at);
        self.queue(at);
    }

    /// The heavy pool has run a client's transaction.
    fn ran(&mut self, client: u64, ran: Ran, gates: &[(u16, Gate)]) {
        let Some(&at) = self.by_client.get(&client) else { return };
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let before = std::mem::replace(&mut connection.state, State::Ready);
        exec::finish(&self.node, connection, ran, gates);
        before.give_back();
        self.touched.push(at);
        self.queue(at);
    }

    /// Turns of those who have something to do, as long as others can wait who are not known of yet: each has one at
    /// most.
    fn take_turns(&mut self) {
        self.handshake_turns = 0;
        for at in std::mem::take(&mut self.deferred) {
            self.queue(at);
        }
        let mut began = Instant::now();
        let until = began + if self.turns.peers() > 1 { TURNS_TIME } else { TURNS_TIME_ALONE };
        for _ in 0..self.turns.len() {
            let Some((peer, at)) = self.turns.next(began) else { return };
            self.now = began;
            self.turn(at);
            self.note_writes(at, began);
            let ended = Instant::now();
            self.turns.charge(peer, ended.saturating_duration_since(began).as_nanos() as u64);
            if ended >= until {
                return;
            }
            began = ended;
        }
    }

    /// One connection's turn, which begins now: sends much of what it has to be sent, reads, runs, and says what comes next.
    fn turn(&mut self, at: usize) {
        if let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) {
            connection.queued = false;
        }
        // IMPORTANT: whoever has seen the reply to a PUBLISH may say so to a client that hears it, which must not
        // be answered before it is told.
        if self.is_behind(at) {
            return self.deferred.push(at);
        }
        // Likewise, whoever has seen the reply to a write.
        if self.has_letters() {
            self.deliver();
        }
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else { return };
        let (handshake, trial) = (connection.stream.handshake_until(), connection.seat.trial_until());
        if handshake.is_some() {
            self.handshake_turns += 1;
            if self.handshake_turns > TLS_HANDSHAKE_TURNS_MAX {
                return self.deferred.push(at);
            }
        }
        if self.send_much(at).is_err() {
            return self.close(at);
        }
        self.touched.push(at);
        stats::begin_turn();
        let turn = self.serve(at, self.now + TURN_TIME);
        if let Some(until) = handshake {
            self.handshake_went_on(at, until);
        }
        if let Some(until) = trial {
            self.trial_went_on(at, until);
        }
        match turn {
            Turn::Idle => {}
            Turn::Again => self.queue(at),
            Turn::Close => self.close(at),
        }
    }

    fn serve(&mut self, at: usize, until: Instant) -> Turn {
        let Some(connection) = self.connections.get_mut(at).and_then(Option::as_mut) else {
            return Turn::Idle;
        };
        let mut commands = 0;
        loop {
            if !matches!(connection.state, State::Ready) {
                return Turn::Idle;
            }
            if connection.client.killed.load(Ordering::Relaxed) {
                return Turn::Close;
            }
            if connection.output.len() > OUTPUT_BYTES_MAX {
                // The client has to take what it was answered first.
                return Turn::Idle;
            }
            if commands >= COMMANDS_MAX || stats::reached(until) {
                return Turn::Again;
            }
            let used = match connection.parse() {
                Ok(Some(used)) => used,
                Ok(None) if connection.readable && commands == 0 => {
                    if connection.input_len() > INPUT_BYTES_WHILE_SHORT
                        && self.node.admission.memory.is_short()
                    {
                        if connection.hung_up {
                            return Turn::Close;
                        }
                        connection.state = State::Stalled;
                        self.waiting.push(at);
                        return Turn::Idle;
                    }
                    let before = connection.input_len();
                    if connection.read(&mut self.buffer).is_err() {
                        return Turn::Close;
                    }
                    self.node.stats.read_bytes(connection.input_len() - before);
                    connection.client.last_ms.store(self.node.wall_ms(), Ordering::Relaxed);
                    // With TLS, the end may come together with commands.
                    if connection.ended && connection.input_len() == before && connection.is_drained() {
                        return Turn::Close;
                    }
                    if connection.input_len() == 0 {
                        // With TLS, much may have been read of which nothing is for us.
                        return if connection.readable { Turn::Again } else { Turn::Idle };
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
                match connection.state {
                    State::Paused => self.paused.push(at),
                    _ => self.begin_wait(at),
                }
                return Turn::Idle;
            }
        }
    }

    /// Whether the thread may end: the server stops, and everybody has been answered or has had
    /// their time.
    fn is_done(&mut self) -> bool {
        let Some(deadline) = self.stopping else { return false };
        let late = Instant::now() >= deadline;
        for at in 0..self.connections.len() {
            // One that waits for a time has nothing in flight.
            let is_idle = |c: &Connection| {
                let waits = matches!(c.state, State::Sleeping(..) | State::Blocked(_) | State::Paused);
                c.is_drained() || c.stream.handshake_until().is_some() || (c.output.is_empty() && waits)
            };
            let idle = self.connections.get(at).and_then(Option::as_ref).is_some_and(is_idle);
            if idle || late {
                self.close(at);
            }
        }
        self.by_client.is_empty()
    }
}
