//! One client's connection: its input, its output, and what it waits for.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use base::limits::{COMMAND_BYTES_MAX, STALLED_BYTES_MIN};
use command::{Args, OwnedArgs};
use resp::{Limits, Parsed, Parser, Reply, Span};
use store::{Cancel, Fate};

use crate::admission::Seat;
use crate::engine::clients::{Client, Waits};
use crate::engine::heavy::Caller;
use crate::engine::node::Node;
use crate::engine::paged::Flow;
use crate::engine::rubbish::Rubbish;
use crate::net::blocked::Place;
use crate::net::dispatch;
use crate::net::output::Output;
use crate::net::output_limits::Class;
use crate::net::stream::{Got, Stream};
use crate::net::turns::PeerAt;
use crate::session::Session;
use crate::tracking::Reader;

/// Output that has not been taken by the client: above this its next command waits.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// Bytes read from a client in one turn; then it is another one's turn.
pub const READ_BYTES_MAX: usize = 64 << 10;
/// An empty input buffer larger than this is given back.
const IDLE_INPUT_BYTES_MAX: usize = 64 << 10;
/// The buffer of a command that is this long, or will be, is reserved for the longest there may be. Memory that is not written to
/// costs nothing, and moving what has come when the buffer grows would take tens of milliseconds.
const ONCE_BYTES_MIN: usize = 1 << 20;
/// How far the buffer of others is reserved ahead of what has arrived, at the most.
const RESERVE_BYTES: usize = 1 << 20;
/// The arguments of a command from this size on are taken over, not copied.
const TAKEN_BYTES_MIN: usize = 64 << 10;

/// What is reserved for the rest of a command.
#[derive(Debug, PartialEq, Eq)]
enum Room {
    /// Nothing: what the next turn reads has room, or costs little to make room for.
    Enough,
    For(usize),
    /// For the longest that there may be.
    ForAll,
}

/// Of a command `len` bytes have come, `free` more have room, and `want` are known to be missing: what they will be
/// that come after these, nobody knows.
fn room(len: usize, free: usize, want: usize) -> Room {
    match want {
        _ if free >= READ_BYTES_MAX => Room::Enough,
        _ if len + want >= ONCE_BYTES_MIN => Room::ForAll,
        _ if want > READ_BYTES_MAX => Room::For(want.min(RESERVE_BYTES.max(len))),
        _ => Room::Enough,
    }
}

/// What a connection does.
pub enum State {
    Ready,
    /// The heavy pool works for it, and has so much of what it said.
    Working {
        cancel: Arc<Cancel>,
        said_bytes: usize,
    },
    /// Its reply is told page by page.
    Paging(Paging),
    /// The store has to catch up before it may write.
    Stalled,
    /// Waits for a key to hold something.
    Blocked(Place),
    /// Its next command is paused: its thread has it in a list.
    Paused,
    /// Answered at this time.
    Sleeping(Instant, Reply),
    /// Closed once its output is sent.
    Closing,
}

impl State {
    /// What was worked out for it is in its buffers, and counts there from now on.
    pub fn give_back(&self) {
        if let Self::Working { cancel, .. } | Self::Paging(Paging { cancel, .. }) = self {
            cancel.give_back();
        }
    }

    /// What it has said that somebody works on, or that waits.
    fn said_bytes(&self) -> usize {
        match self {
            Self::Working { said_bytes, .. } => *said_bytes,
            Self::Blocked(place) => place.said_bytes,
            _ => 0,
        }
    }
}

/// A reply of which a part has been told.
pub struct Paging {
    /// The rest, unless the heavy pool makes the next page of it.
    pub flow: Option<Box<Flow>>,
    pub cancel: Arc<Cancel>,
    /// By when the client has to have taken the last page.
    pub until: Option<Instant>,
}

pub struct Connection {
    /// IMPORTANT: dropped before the socket is closed. Who sees that may come again at once, and has its place then.
    pub seat: Seat,
    pub stream: Stream,
    pub client: Arc<Client>,
    pub session: Session,
    pub state: State,
    pub output: Output,
    input: Vec<u8>,
    /// Where in `input` the next command begins.
    consumed: usize,
    parser: Parser,
    /// What the command takes up that was found last.
    used: usize,
    spans: Vec<Span>,
    pub readable: bool,
    pub writable: bool,
    /// What has come is not the whole of a command.
    is_partial: bool,
    /// Whether the client has sent or taken something since that was last asked.
    has_moved: bool,
    /// Until when it waits in all, if the heavy pool had to look in between.
    pub waits_until: Option<Instant>,
    /// How many messages its thread has to have handed out before it has its turn.
    pub hears_first: Option<u64>,
    /// Whether it is in its thread's list of those who are yet to be sent what they were told.
    pub is_unsent: bool,
    /// Whose time its turns take.
    pub peer: PeerAt,
    rubbish: Arc<Rubbish>,
    /// Whether it waits for its turn.
    pub queued: bool,
    /// Whether it is in its thread's list of connections with held replies.
    pub listed: bool,
    /// What it was said to have to be committed.
    pub uncommitted_bytes: usize,
    /// Whether others have been told that it waits.
    has_announced: bool,
    /// The client has closed its side, and everything that it sent has been read.
    pub ended: bool,
    /// The client has closed its side.
    pub hung_up: bool,
}

/// What happens with a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing to do until something happens.
    Idle,
    /// It has more to do, but it is another one's turn.
    Again,
    Close,
}

impl Connection {
    pub fn new(
        (stream, seat, peer): (Stream, Seat, PeerAt),
        (client, session): (Arc<Client>, Session),
        rubbish: Arc<Rubbish>,
    ) -> Self {
        Self {
            stream,
            seat,
            peer,
            rubbish,
            client,
            session,
            state: State::Ready,
            output: Output::default(),
            input: Vec::new(),
            consumed: 0,
            parser: Parser::new(),
            used: 0,
            spans: Vec::new(),
            readable: true,
            writable: true,
            is_partial: false,
            has_moved: false,
            waits_until: None,
            hears_first: None,
            is_unsent: false,
            queued: false,
            listed: false,
            uncommitted_bytes: 0,
            has_announced: false,
            ended: false,
            hung_up: false,
        }
    }

    /// Who asks, for those who work for it elsewhere; and who keeps what is read.
    pub fn caller(&self, reader: Option<Reader>) -> Caller {
        Caller {
            client: self.client.id,
            peer: self.client.peer_name(),
            protocol: self.session.protocol,
            mailbox: self.client.mailbox.clone(),
            user: self.session.login.user().clone(),
            reader,
            has_waited: false,
            // Nothing else may come between the pages.
            may_page: self.session.monitoring.is_none() && !self.session.hears,
        }
    }

    /// Bytes of input that wait to be understood.
    pub fn input_len(&self) -> usize {
        self.input.len() - self.consumed
    }

    /// Reads once. `buffer` is the thread's own.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.consumed == self.input.len() {
            self.input.clear();
            self.consumed = 0;
        }
        let before = self.input.len();
        let got = self.stream.read(buffer, &mut self.input)?;
        self.has_moved |= self.input.len() > before;
        // The end of what a client says may have come together with the last of it: no event tells of it then.
        self.readable = got == Got::More || (got == Got::All && self.hung_up);
        self.ended |= got == Got::End;
        Ok(())
    }

    /// The next command, if it has arrived whole. Its arguments are read with [`Self::args`] until
    /// [`Self::consume`].
    pub fn parse(&mut self) -> Result<Option<usize>, Reply> {
        if self.session.begun.is_some() {
            return Ok(Some(self.used));
        }
        self.is_partial = false;
        loop {
            let limits = Limits { authenticated: self.session.is_authenticated(), ..Limits::default() };
            let input = self.input.get(self.consumed..).unwrap_or_default();
            if input.is_empty() {
                return Ok(None);
            }
            match self.parser.parse(input, &mut self.spans, &limits) {
                Ok(Parsed::Command { used }) => {
                    self.used = used;
                    return Ok(Some(used));
                }
                Ok(Parsed::Nothing { used }) => self.consume(used),
                Ok(Parsed::Incomplete { want }) => {
                    self.is_partial = true;
                    self.compact(want);
                    return Ok(None);
                }
                Err(error) => return Err(Reply::Error(error.line())),
            }
        }
    }

    pub fn args(&self) -> Args<'_> {
        let input = self.input.get(self.consumed..).unwrap_or_default();
        Args::new(self.parser.source(input), &self.spans)
    }

    /// The arguments of the command that takes up `used` bytes, for whoever works on them elsewhere.
    pub fn take_args(&mut self, used: usize) -> OwnedArgs {
        if used >= TAKEN_BYTES_MIN && self.consumed == 0 && !self.parser.is_inline() {
            let rest = self.input.split_off(used);
            let source = std::mem::replace(&mut self.input, rest);
            self.count_held();
            return OwnedArgs::new(source, std::mem::take(&mut self.spans));
        }
        let args = self.args().to_owned();
        self.consume(used);
        args
    }

    /// Session and arguments at once.
    pub fn split(&mut self) -> (&mut Session, Args<'_>) {
        let input = self.input.get(self.consumed..).unwrap_or_default();
        (&mut self.session, Args::new(self.parser.source(input), &self.spans))
    }

    pub fn consume(&mut self, used: usize) {
        self.consumed += used;
        if self.consumed >= self.input.len() {
            self.consumed = 0;
            if self.input.capacity() > IDLE_INPUT_BYTES_MAX {
                let (input, spans) = (std::mem::take(&mut self.input), std::mem::take(&mut self.spans));
                let bytes = input.len();
                self.count_held();
                self.rubbish.throw((input, spans), bytes);
            } else {
                self.input.clear();
            }
        }
    }

    /// Makes room for the rest of a command: moved to the front, and a large one's buffer reserved
    /// exactly, as it arrives, instead of doubled.
    fn compact(&mut self, want: usize) {
        if self.consumed > 0 {
            self.input.drain(..self.consumed);
            self.consumed = 0;
        }
        let (len, free) = (self.input.len(), self.input.capacity() - self.input.len());
        match room(len, free, want) {
            Room::Enough => {}
            Room::ForAll if self.input.try_reserve_exact(COMMAND_BYTES_MAX).is_ok() => {}
            // Where so much is not even promised, it is moved as it grows.
            Room::ForAll => self.input.reserve_exact(RESERVE_BYTES.max(len)),
            Room::For(bytes) => self.input.reserve_exact(bytes),
        }
    }

    /// Throws away what it holds: nobody will read it.
    pub fn discard(&mut self) {
        let (input, output) = (std::mem::take(&mut self.input), std::mem::take(&mut self.output));
        self.consumed = 0;
        let bytes = input.len() + output.len();
        self.count_held();
        self.rubbish.throw((input, output), bytes);
    }

    pub fn reply(&mut self, reply: &Reply) {
        self.output.push(reply, self.session.protocol);
    }

    /// Tells what is no reply, to a client that wants none as well.
    pub fn push(&mut self, pushes: &[Reply]) {
        let muted = self.output.is_muted();
        self.output.mute(false);
        pushes.iter().for_each(|push| self.reply(push));
        self.output.mute(muted);
    }

    /// Takes note of a client that holds much and stands still: it does not send the rest of a command, or take what it
    /// could.
    fn note_standing(&mut self, node: &Node) {
        let lacks = self.is_partial && !self.readable && matches!(self.state, State::Ready);
        let half = if lacks { self.input_len() } else { 0 };
        let unread = if self.writable { 0 } else { self.output.sendable() };
        let has_moved = std::mem::take(&mut self.has_moved);
        let since_ms = (half + unread >= STALLED_BYTES_MIN)
            .then(|| self.client.stands_since_ms().filter(|_| !has_moved).unwrap_or_else(|| node.wall_ms()));
        node.clients.note_standing(&self.client, since_ms);
    }

    /// Whether it has left more unread than its class may. Takes note of one that may for a while.
    pub fn is_over_limit(&mut self, node: &Node) -> bool {
        self.note_standing(node);
        let class = if self.session.hears { Class::PubSub } else { Class::Normal };
        let (limit, unread) = (node.live.output_limits.get(class), self.output.len() as u64);
        node.clients
            .note_unread(&self.client, limit.is_soft(unread).then_some(limit.soft_s), || node.wall_ms());
        limit.is_hard(unread)
    }

    /// Whether replies wait that depend on other groups than this one, or, without one, on any.
    pub fn waits_for_others(&mut self, node: &Node, group: Option<u16>) -> bool {
        self.release(node) && self.output.depends_on_others(group)
    }

    /// Lets out what is committed by now. Says whether something is still held.
    pub fn release(&mut self, node: &Node) -> bool {
        while let Some(held) = self.output.held() {
            let Some(group) = node.groups.get(usize::from(held.group)) else { break };
            match group.store.sequencer.fate(held.gate.epoch, held.gate.stamp) {
                Fate::Pending => return true,
                Fate::Committed => {
                    // What it tells others is on its way before it is answered.
                    group.store.release_tidings();
                    self.output.release();
                }
                Fate::Uncertain => self.output.replace(&dispatch::void(None), self.session.protocol),
                Fate::Refused(why) => {
                    self.output.replace(&dispatch::void(Some(&why)), self.session.protocol);
                }
            }
        }
        false
    }

    /// Sends what may go out.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.writable || (self.output.sendable() == 0 && !self.stream.has_pending()) {
            return Ok(());
        }
        let before = self.output.len();
        self.writable = self.output.send(&mut self.stream)? && self.stream.send_pending()?;
        self.has_moved |= self.output.len() < before;
        Ok(())
    }

    /// What it holds counts as memory, and what it does not hold any more does not.
    fn count_held(&mut self) {
        let client = &self.client;
        client.input_bytes.store(self.input_len() as u64, Relaxed);
        client.output_bytes.store(self.output.len() as u64, Relaxed);
        client.said_bytes.store(self.state.said_bytes() as u64, Relaxed);
        client.watched_bytes.store(self.session.watched_bytes() as u64, Relaxed);
        // What has been understood lies in its buffer until the next command does.
        self.seat.holds(client.held_bytes() + self.consumed as u64);
    }

    /// Tells others how it is at the end of a turn, at which it had so much to send.
    pub fn announce(&mut self, before: usize) {
        self.count_held();
        let client = &self.client;
        let (pieces, room) = self.output.buffers();
        client.output_pieces.store(pieces as u64, Relaxed);
        client.output_buffer_bytes.store(room as u64, Relaxed);
        client.output_peak_bytes.fetch_max(before as u64, Relaxed);
        // What is reserved beyond that was never written to.
        let free = (self.input.capacity() - self.input_len()).min(READ_BYTES_MAX);
        client.input_free_bytes.store(free as u64, Relaxed);
        let waits = match &self.state {
            State::Blocked(place) => Waits::Key(*place),
            State::Sleeping(..) => Waits::Time,
            State::Paused => Waits::Paused,
            _ => Waits::Not,
        };
        let is_waiting = !matches!(waits, Waits::Not);
        if std::mem::replace(&mut self.has_announced, is_waiting) || is_waiting {
            *client.waits.lock() = waits;
        }
    }

    /// Whether everything has been answered and taken.
    pub fn is_drained(&self) -> bool {
        self.is_sent() && matches!(self.state, State::Ready | State::Closing)
    }

    /// Whether everything that there is has been taken.
    pub fn is_sent(&self) -> bool {
        self.output.is_empty() && !self.stream.has_pending()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is moved while a command arrives whose arguments are this long: the buffer grows as a vector does where
    /// nothing is reserved.
    fn moved(total: usize, argument: usize) -> usize {
        let (mut len, mut capacity, mut moved) = (0, 0, 0);
        while len < total {
            let came = READ_BYTES_MAX.min(total - len);
            if capacity - len < came {
                moved += len;
                capacity = (len + came).max(2 * capacity);
            }
            len += came;
            let want = (argument - len % argument).min(total - len);
            let more = match room(len, capacity - len, want) {
                Room::Enough => continue,
                Room::For(bytes) => bytes,
                Room::ForAll => COMMAND_BYTES_MAX,
            };
            moved += len;
            capacity = len + more;
        }
        moved
    }

    #[test]
    fn what_has_come_of_a_large_command_is_not_moved_however_long_its_arguments_are() {
        for argument in [20, 1_000, 70_000, 1 << 20, 512 << 20] {
            for total in [ONCE_BYTES_MIN / 2, 40 << 20, COMMAND_BYTES_MAX] {
                let moved = moved(total, argument);
                assert!(moved < 2 * ONCE_BYTES_MIN + READ_BYTES_MAX, "{argument}, {total}: {moved}");
            }
        }
    }
}
