//! What goes out to one client: replies in the order of its requests, each held back until what it
//! depends on is committed.

use std::collections::VecDeque;
use std::io::{self, Write};

use resp::{Blob, Protocol, Reply, encode};
use store::Gate;

/// Values from this size on are not copied into the output, they are sent from where they are.
const SHARED_BYTES_MIN: usize = 32 << 10;
/// What is longer is kept in parts, which are given back as they are sent: all of a long reply at once would take
/// milliseconds, in which nobody else is served.
const SEGMENT_BYTES_MAX: usize = 64 << 10;
/// Sent to one client in one turn; then it is another one's.
pub const TURN_BYTES_MAX: usize = 64 << 10;
/// An empty output buffer larger than this is given back.
const IDLE_BYTES_MAX: usize = 64 << 10;

enum Segment {
    Bytes(Vec<u8>),
    Blob(Blob),
}

impl Segment {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Blob(blob) => blob.as_slice(),
        }
    }
}

/// A reply as it is sent: made where there is time for it.
pub struct Encoded {
    segments: VecDeque<Segment>,
    len: u64,
}

impl Encoded {
    pub fn new(reply: &Reply, protocol: Protocol) -> Self {
        let mut output = Output::default();
        output.push(reply, protocol);
        Self { len: output.end, segments: output.segments }
    }

    /// Replies to so many commands in one, each as its protocol has it: a command among them may have changed
    /// that. One that is answered by several pushes has all of them in its place, as in Redis. Without their number
    /// each is told by itself.
    pub fn several(commands: Option<usize>, replies: &[(Reply, Protocol)]) -> Self {
        let mut output = Output::default();
        let mut header = Vec::new();
        if let Some(commands) = commands {
            encode::array_header(commands, &mut header);
        }
        output.push_bytes(&header);
        for (reply, protocol) in replies {
            output.push(reply, *protocol);
        }
        Self { len: output.end, segments: output.segments }
    }

    /// What is encoded already.
    pub fn of(pieces: Vec<Blob>) -> Self {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { len, segments: pieces.into_iter().map(Segment::Blob).collect() }
    }
}

/// A reply that waits for a commit: where it lies in the stream of output, and on what it depends.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub group: u16,
    pub gate: Gate,
    start: u64,
    end: u64,
    replies: u32,
    /// What is to be committed for it, roughly.
    bytes: usize,
}

#[derive(Default)]
pub struct Output {
    segments: VecDeque<Segment>,
    /// How much of the first segment has been sent.
    sent: usize,
    /// Positions count all bytes since the connection began.
    base: u64,
    end: u64,
    held: VecDeque<Held>,
    uncommitted_bytes: usize,
    /// The client wants no reply now.
    muted: bool,
    /// Part of what the next reply depends on is void.
    void: Option<(Reply, Protocol)>,
    /// Where the last reply ends that was replaced.
    replaced: Option<u64>,
}

impl Output {
    /// Bytes that have not been sent.
    pub fn len(&self) -> usize {
        (self.end - self.base) as usize
    }

    pub fn is_empty(&self) -> bool {
        self.end == self.base
    }

    /// Whether replies are thrown away from now on.
    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    pub fn is_muted(&self) -> bool {
        self.muted
    }

    /// Whether the last reply was replaced, because what it depended on is void.
    pub fn ends_replaced(&self) -> bool {
        self.replaced == Some(self.end)
    }

    /// The oldest reply that waits.
    pub fn held(&self) -> Option<&Held> {
        self.held.front()
    }

    /// What is to be committed for the replies that wait, roughly.
    pub fn uncommitted_bytes(&self) -> usize {
        self.uncommitted_bytes
    }

    /// Whether a reply waits for another group than this one, or, without one, for any.
    pub fn depends_on_others(&self, group: Option<u16>) -> bool {
        self.held.iter().any(|held| Some(held.group) != group)
    }

    /// Appends a reply that may go out as soon as its turn comes.
    pub fn push(&mut self, reply: &Reply, protocol: Protocol) {
        if self.muted {
            return;
        }
        if reply.size_hint() < SHARED_BYTES_MIN {
            let tail = self.tail();
            let before = tail.len();
            reply.encode(protocol, tail);
            let added = tail.len() - before;
            self.end += added as u64;
        } else {
            self.push_large(reply, protocol);
        }
    }

    /// Appends a reply that waits for its gate, to a command of so many bytes.
    pub fn push_held(&mut self, reply: &Reply, protocol: Protocol, (group, gate): (u16, Gate), bytes: usize) {
        if self.muted {
            return;
        }
        let start = self.end;
        self.push(reply, protocol);
        self.hold(start, (group, gate), bytes);
    }

    /// What lies from `start` on waits for a gate.
    fn hold(&mut self, start: u64, (group, gate): (u16, Gate), bytes: usize) {
        let end = self.end;
        self.uncommitted_bytes += bytes;
        match self.held.back_mut() {
            // Of one commit and next to each other: one wait.
            Some(last) if (last.group, last.gate, last.end) == (group, gate, start) && last.replies > 0 => {
                last.end = end;
                last.replies += 1;
                last.bytes += bytes;
            }
            _ => self.held.push_back(Held { group, gate, start, end, replies: 1, bytes }),
        }
    }

    fn pop_held(&mut self) -> Option<Held> {
        let held = self.held.pop_front();
        self.uncommitted_bytes -= held.map_or(0, |held| held.bytes);
        held
    }

    /// Appends a reply that waits for all of these.
    pub fn push_gated(&mut self, reply: Encoded, gates: &[(u16, Gate)]) {
        if self.muted {
            return;
        }
        let start = self.end;
        if let Some((_, others)) = gates.split_last() {
            for &(group, gate) in others {
                // An empty stretch in front of the reply: if it is void, so is the reply.
                self.held.push_back(Held { group, gate, start, end: start, replies: 0, bytes: 0 });
            }
        }
        self.segments.extend(reply.segments);
        self.end += reply.len;
        if let Some(&(group, gate)) = gates.last() {
            self.hold(start, (group, gate), 0);
        }
    }

    /// Large values go out from where they are.
    fn push_large(&mut self, reply: &Reply, protocol: Protocol) {
        match reply {
            Reply::Bulk(blob) if blob.len() >= SHARED_BYTES_MIN => {
                self.push_pieces(std::slice::from_ref(blob));
            }
            Reply::Pieces(pieces) => self.push_pieces(pieces),
            Reply::Array(items) => {
                self.push_header(|out| encode::array_header(items.len(), out));
                items.iter().for_each(|item| self.push(item, protocol));
            }
            Reply::Set(items) => {
                self.push_header(|out| encode::set_header(items.len(), protocol, out));
                items.iter().for_each(|item| self.push(item, protocol));
            }
            Reply::Map(pairs) => {
                self.push_header(|out| encode::map_header(pairs.len(), protocol, out));
                pairs.iter().for_each(|pair| self.push_pair(pair, protocol));
            }
            Reply::Table(pairs) if protocol == Protocol::Resp3 => {
                self.push_header(|out| encode::map_header(pairs.len(), protocol, out));
                pairs.iter().for_each(|pair| self.push_pair(pair, protocol));
            }
            Reply::Table(pairs) => {
                self.push_header(|out| encode::array_header(pairs.len(), out));
                for pair in pairs {
                    self.push_header(|out| encode::array_header(2, out));
                    self.push_pair(pair, protocol);
                }
            }
            other => {
                let mut bytes = Vec::new();
                other.encode(protocol, &mut bytes);
                self.end += bytes.len() as u64;
                self.segments.push_back(Segment::Bytes(bytes));
            }
        }
    }

    fn push_pair(&mut self, (first, second): &(Reply, Reply), protocol: Protocol) {
        self.push(first, protocol);
        self.push(second, protocol);
    }

    fn push_header(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut header = Vec::new();
        write(&mut header);
        self.push_bytes(&header);
    }

    /// One bulk string.
    fn push_pieces(&mut self, pieces: &[Blob]) {
        self.push_header(|out| encode::bulk_header(pieces.iter().map(|piece| piece.len()).sum(), out));
        for piece in pieces {
            self.end += piece.len() as u64;
            self.segments.push_back(Segment::Blob(piece.clone()));
        }
        self.push_bytes(b"\r\n");
    }

    /// Appends whole lines that several clients are told, without the first so many bytes of them.
    pub fn push_lines(&mut self, lines: &Blob, skipped: usize) {
        let rest = lines.as_slice().get(skipped..).unwrap_or_default();
        if self.muted || rest.is_empty() {
            return;
        }
        if skipped > 0 || rest.len() < SHARED_BYTES_MIN {
            return self.push_bytes(rest);
        }
        self.end += lines.len() as u64;
        self.segments.push_back(Segment::Blob(lines.clone()));
    }

    /// Appends what several clients are told, whether this one wants replies or not.
    pub fn push_shared(&mut self, pieces: &[&Blob]) {
        for piece in pieces {
            if piece.len() < SHARED_BYTES_MIN {
                self.push_bytes(piece);
                continue;
            }
            self.end += piece.len() as u64;
            self.segments.push_back(Segment::Blob((*piece).clone()));
        }
    }

    /// How many pieces wait, and how much room the first one has.
    pub fn buffers(&self) -> (usize, usize) {
        let room = match self.segments.front() {
            Some(Segment::Bytes(bytes)) => bytes.capacity(),
            Some(Segment::Blob(blob)) => blob.len(),
            None => 0,
        };
        (if self.is_empty() { 0 } else { self.segments.len() }, room)
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        self.tail().extend_from_slice(bytes);
        self.end += bytes.len() as u64;
    }

    fn tail(&mut self) -> &mut Vec<u8> {
        if !matches!(self.segments.back(), Some(Segment::Bytes(bytes)) if bytes.len() < SEGMENT_BYTES_MAX) {
            self.segments.push_back(Segment::Bytes(Vec::with_capacity(256)));
        }
        match self.segments.back_mut() {
            Some(Segment::Bytes(bytes)) => bytes,
            _ => unreachable!("a segment of bytes was just pushed"),
        }
    }

    /// The oldest reply may go out.
    pub fn release(&mut self) {
        match self.void.take_if(|_| self.held.front().is_some_and(|held| held.replies > 0)) {
            Some((error, protocol)) => self.replace(&error, protocol),
            None => {
                self.pop_held();
            }
        }
    }

    /// What the oldest reply depended on is void: its client is told `error` instead.
    pub fn replace(&mut self, error: &Reply, protocol: Protocol) {
        let Some(held) = self.pop_held() else { return };
        if held.replies == 0 {
            self.void = Some((error.clone(), protocol));
            return;
        }
        self.void = None;
        let mut instead = Vec::new();
        for _ in 0..held.replies {
            error.encode(protocol, &mut instead);
        }
        self.splice(held.start, held.end, &instead);
        self.replaced = Some(held.start + instead.len() as u64);
    }

    /// Rare: rebuilds the output with other bytes in one place.
    fn splice(&mut self, start: u64, end: u64, instead: &[u8]) {
        let mut all = Vec::with_capacity(self.len());
        for (at, segment) in self.segments.iter().enumerate() {
            let skip = if at == 0 { self.sent } else { 0 };
            all.extend_from_slice(segment.as_slice().get(skip..).unwrap_or_default());
        }
        let (from, to) = ((start - self.base) as usize, (end - self.base) as usize);
        all.splice(from..to, instead.iter().copied());
        let (old, new) = (end - start, instead.len() as u64);
        let shift = |position: &mut u64| *position = *position + new - old;
        shift(&mut self.end);
        for held in &mut self.held {
            shift(&mut held.start);
            shift(&mut held.end);
        }
        self.sent = 0;
        self.segments = VecDeque::from([Segment::Bytes(all)]);
    }

    /// Bytes that may go out now.
    pub fn sendable(&self) -> usize {
        let limit = self.held.front().map_or(self.end, |held| held.start);
        (limit - self.base) as usize
    }

    /// Sends what may go out, as far as the socket takes it, and no more than is fair in one turn. Says
    /// whether the socket would take more.
    pub fn send(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        let mut allowed = TURN_BYTES_MAX;
        while self.sendable() > 0 {
            let Some(first) = self.segments.front() else { break };
            let left = first.as_slice().get(self.sent..).unwrap_or_default();
            if left.is_empty() {
                self.next_segment();
                continue;
            }
            if allowed == 0 {
                return Ok(true);
            }
            let chunk = left.get(..self.sendable().min(left.len()).min(allowed)).unwrap_or(left);
            match socket.write(chunk) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.sent += written;
                    self.base += written as u64;
                    allowed -= written;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.is_empty() {
            self.rewind();
        }
        Ok(true)
    }

    fn next_segment(&mut self) {
        self.segments.pop_front();
        self.sent = 0;
    }

    /// Everything has been sent: keeps one buffer of an ordinary size.
    fn rewind(&mut self) {
        self.sent = 0;
        self.segments.truncate(1);
        match self.segments.front_mut() {
            Some(Segment::Bytes(bytes)) if bytes.capacity() <= IDLE_BYTES_MAX => bytes.clear(),
            _ => self.segments.clear(),
        }
    }
}

#[cfg(test)]
mod tests;
