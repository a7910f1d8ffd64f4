//! Replies of any size. A command that may have much to tell says how it is told, piece by piece, with a
//! [`Feed`]. Where its caller takes replies page by page, the command ends with a [`Paged`], and the
//! pages are made on its snapshot one at a time, as the client takes them. Everywhere else (in a small
//! transaction, among others in MULTI, for a script) the same feed is run to its end at once.

use resp::{Blob, Protocol, Reply, encode};
use store::{DiskError, Stop, Txn};

use crate::error::{Error, Result};

/// What a reply is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value, not a list of them.
    One,
    Array,
    Set,
    Map,
    /// As [`Reply::Pairs`].
    Pairs,
    /// As [`Reply::Table`].
    Table,
}

impl Shape {
    /// Values of an entry.
    const fn width(self) -> u64 {
        match self {
            Self::Map | Self::Pairs | Self::Table => 2,
            Self::One | Self::Array | Self::Set => 1,
        }
    }

    /// Opens a reply of so many entries.
    pub fn header(self, entries: u64, protocol: Protocol, out: &mut Vec<u8>) {
        let entries = usize::try_from(entries).unwrap_or(usize::MAX);
        match (self, protocol) {
            (Self::One, _) => {}
            (Self::Pairs, Protocol::Resp2) => encode::array_header(entries.saturating_mul(2), out),
            (Self::Array | Self::Pairs, _) | (Self::Table, Protocol::Resp2) => {
                encode::array_header(entries, out);
            }
            (Self::Set, _) => encode::set_header(entries, protocol, out),
            (Self::Map | Self::Table, _) => encode::map_header(entries, protocol, out),
        }
    }

    fn reply(self, mut values: Vec<Reply>) -> Reply {
        let pairs = |values: Vec<Reply>| {
            let mut values = values.into_iter();
            std::iter::from_fn(|| values.next().zip(values.next())).collect()
        };
        match self {
            Self::One => values.pop().unwrap_or(Reply::Null),
            Self::Array => Reply::Array(values),
            Self::Set => Reply::Set(values),
            Self::Map => Reply::Map(pairs(values)),
            Self::Pairs => Reply::Pairs(pairs(values)),
            Self::Table => Reply::Table(pairs(values)),
        }
    }
}

/// Where a feed is after it has filled a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on with the next page.
    More,
    Done,
}

/// Tells a reply piece by piece, and remembers where it is.
pub trait Feed: Send {
    /// How many entries it has, if that is known without going through them.
    fn count(&mut self, txn: &mut Txn<'_>) -> Result<Option<u64>>;

    /// Goes on until the page is full, or nothing is left.
    fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress>;
}

/// What a feed is told into.
pub struct Page {
    form: Form,
    shape: Shape,
    bytes_max: usize,
    bytes: usize,
    values: u64,
}

enum Form {
    Values(Vec<Reply>),
    Encoded {
        protocol: Protocol,
        full: Vec<Blob>,
        tail: Vec<u8>,
    },
    /// They are only counted.
    Counted,
}

/// Values from this size on are not copied into a page.
const SHARED_BYTES_MIN: usize = 4 << 10;
/// What a value takes beside its bytes, roughly.
const FRAME_BYTES: usize = 8;

impl Page {
    fn new(shape: Shape, form: Form, bytes_max: usize) -> Self {
        Self { form, shape, bytes_max, bytes: 0, values: 0 }
    }

    /// A page as it is sent, behind what `head` holds already.
    pub fn encoded(shape: Shape, protocol: Protocol, bytes_max: usize, head: Vec<u8>) -> Self {
        Self::new(shape, Form::Encoded { protocol, full: Vec::new(), tail: head }, bytes_max)
    }

    pub fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max
    }

    fn entries(&self) -> u64 {
        self.values / self.shape.width()
    }

    /// Counts a value, of which there is one more.
    fn count(&mut self, bytes: usize) {
        let in_arrays = match self.shape {
            Shape::Pairs => Some(Protocol::Resp3),
            Shape::Table => Some(Protocol::Resp2),
            _ => None,
        };
        if let Form::Encoded { protocol, tail, .. } = &mut self.form
            && in_arrays == Some(*protocol)
            && self.values.is_multiple_of(2)
        {
            encode::array_header(2, tail);
        }
        self.values += 1;
        self.bytes += bytes + FRAME_BYTES;
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        match &mut self.form {
            Form::Values(values) => values.push(Reply::copied(bytes)),
            Form::Encoded { tail, .. } => encode::bulk(bytes, tail),
            Form::Counted => {}
        }
    }

    pub fn double(&mut self, value: f64) {
        self.count(0);
        match &mut self.form {
            Form::Values(values) => values.push(Reply::Double(value)),
            Form::Encoded { tail, protocol, .. } => encode::double(value, *protocol, tail),
            Form::Counted => {}
        }
    }

    pub fn value(&mut self, value: &Reply) {
        self.count(value.size_hint());
        match &mut self.form {
            Form::Values(values) => values.push(value.clone()),
            Form::Encoded { tail, protocol, .. } => value.encode(*protocol, tail),
            Form::Counted => {}
        }
    }

    /// Begins a list of so many items.
    pub fn open_list(&mut self, len: u64) {
        self.count(0);
        match &mut self.form {
            Form::Values(values) => values.push(Reply::Array(Vec::new())),
            Form::Encoded { tail, .. } => {
                encode::array_header(usize::try_from(len).unwrap_or(usize::MAX), tail);
            }
            Form::Counted => {}
        }
    }

    /// An item of the list that has been begun.
    pub fn item(&mut self, item: &Reply) {
        self.bytes += item.size_hint() + FRAME_BYTES;
        match &mut self.form {
            Form::Values(values) => {
                if let Some(Reply::Array(items)) = values.last_mut() {
                    items.push(item.clone());
                }
            }
            Form::Encoded { tail, protocol, .. } => item.encode(*protocol, tail),
            Form::Counted => {}
        }
    }

    /// Begins a string that comes in pieces.
    pub fn open(&mut self, len: u64) {
        self.count(0);
        match &mut self.form {
            Form::Values(values) => values.push(Reply::Pieces(Vec::new())),
            Form::Encoded { tail, .. } => {
                encode::bulk_header(usize::try_from(len).unwrap_or(usize::MAX), tail);
            }
            Form::Counted => {}
        }
    }

    /// A piece of the string that has been begun.
    pub fn piece(&mut self, piece: Blob) {
        self.bytes += piece.len();
        match &mut self.form {
            Form::Values(values) => {
                if let Some(Reply::Pieces(pieces)) = values.last_mut() {
                    pieces.push(piece);
                }
            }
            Form::Encoded { tail, .. } if piece.len() < SHARED_BYTES_MIN => tail.extend_from_slice(&piece),
            Form::Encoded { tail, full, .. } => {
                if !tail.is_empty() {
                    full.push(std::mem::take(tail).into());
                }
                full.push(piece);
            }
            Form::Counted => {}
        }
    }

    /// Ends it.
    pub fn close(&mut self) {
        if let Form::Encoded { tail, .. } = &mut self.form {
            tail.extend_from_slice(b"\r\n");
        }
    }

    /// The bytes of a page that was encoded.
    pub fn into_bytes(self) -> Vec<Blob> {
        let Form::Encoded { mut full, tail, .. } = self.form else { return Vec::new() };
        if !tail.is_empty() {
            full.push(tail.into());
        }
        full
    }

    fn into_reply(self) -> Reply {
        match self.form {
            Form::Values(values) => self.shape.reply(values),
            Form::Encoded { .. } | Form::Counted => Reply::Null,
        }
    }
}

/// A reply that is told page by page. Its snapshot is kept by whoever ran the command.
pub struct Paged {
    shape: Shape,
    /// Entries, as the header says.
    entries: u64,
    told: u64,
    feed: Box<dyn Feed>,
}

impl std::fmt::Debug for Paged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Paged({:?}, {} of {})", self.shape, self.told, self.entries)
    }
}

impl Paged {
    pub fn new(shape: Shape, entries: u64, feed: impl Feed + 'static) -> Self {
        Self { shape, entries, told: 0, feed: Box::new(feed) }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Tells what comes next. Stops with an error if it is not what the header has promised: there is
    /// nothing that could be told instead.
    pub fn fill(&mut self, txn: &mut Txn<'_>, page: &mut Page) -> Result<Progress> {
        let before = page.entries();
        let progress = self.feed.fill(txn, page)?;
        self.told += page.entries() - before;
        let is_right = match progress {
            Progress::Done => self.told == self.entries,
            Progress::More => self.told <= self.entries,
        };
        if is_right {
            return Ok(progress);
        }
        let why = format!("{} entries were found where {} were counted", self.told, self.entries);
        Err(Error::Stop(Stop::Disk(DiskError::Corrupt { key: Vec::new(), why })))
    }
}

/// Answers with what a feed tells: at once, or page by page where the caller takes those. `feed` makes one
/// that is at its beginning.
pub(crate) fn answer<F: Feed + 'static>(
    txn: &mut Txn<'_>,
    shape: Shape,
    feed: impl Fn() -> F,
) -> Result<Reply> {
    let mut first = feed();
    let Some(page_bytes) = txn.page_bytes() else {
        let mut page = Page::new(shape, Form::Values(Vec::new()), usize::MAX);
        while first.fill(txn, &mut page)? == Progress::More {}
        return Ok(page.into_reply());
    };
    if let Some(entries) = first.count(txn)? {
        return Err(Paged::new(shape, entries, first).into());
    }
    // The header needs their number: what does not fit a page is gone through twice.
    let mut page = Page::new(shape, Form::Values(Vec::new()), page_bytes);
    let mut progress = first.fill(txn, &mut page)?;
    if progress == Progress::Done {
        return Ok(page.into_reply());
    }
    let mut entries = page.entries();
    while progress == Progress::More {
        txn.forget();
        page = Page::new(shape, Form::Counted, page_bytes);
        progress = first.fill(txn, &mut page)?;
        entries += page.entries();
    }
    Err(Paged::new(shape, entries, feed()).into())
}
