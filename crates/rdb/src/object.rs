//! Values as they are between the encodings: nothing here says how Redis packed them.

use base::codec::{Reader, Write};

/// A decoded value. Elements are in the order in which they were found; none is there twice where the
/// type forbids it, and only a stream may be empty.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    /// No score is NaN.
    SortedSet(Vec<(Vec<u8>, f64)>),
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
    Stream(Stream),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub ms: u64,
    pub seq: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// In ascending order, all of them above 0-0 and at most `head.last_id`.
    pub entries: Vec<StreamEntry>,
    pub head: StreamHead,
    pub groups: Vec<Group>,
}

/// What a stream remembers of entries that may be gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamHead {
    pub last_id: StreamId,
    pub max_deleted_id: StreamId,
    /// At least the number of entries, and at most `i64::MAX`.
    pub entries_added: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamEntry {
    pub id: StreamId,
    /// Not empty; a field may be there more than once.
    pub fields: Fields,
}

/// Fields and their values, one behind the other, each with its length: a stream has many entries, of which
/// each would else be several allocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Box<[u8]>);

impl Fields {
    /// Appends a field or a value to what [`Self::of_texts`] is to take.
    pub(crate) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
        out.put_bytes(text);
    }

    pub(crate) fn of_texts(texts: &[u8]) -> Self {
        Self(texts.into())
    }

    /// The fields and values in turn.
    pub fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader::new(&self.0);
        // It ends where it was made to end.
        std::iter::from_fn(move || if reader.is_empty() { None } else { reader.bytes().ok() })
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl<'t> FromIterator<(&'t [u8], &'t [u8])> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'t [u8], &'t [u8])>>(pairs: I) -> Self {
        let mut texts = Vec::new();
        for (field, value) in pairs {
            Self::put_text(&mut texts, field);
            Self::put_text(&mut texts, value);
        }
        Self::of_texts(&texts)
    }
}

/// A consumer group. Each pending entry belongs to exactly one of its consumers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: Vec<u8>,
    pub last_id: StreamId,
    /// `None` if it cannot be told.
    pub entries_read: Option<u64>,
    pub consumers: Vec<Consumer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub name: Vec<u8>,
    pub seen_ms: i64,
    /// `None` if it has never got an entry.
    pub active_ms: Option<i64>,
    /// In ascending order of ids.
    pub pending: Vec<Pending>,
}

/// An entry that was delivered and not acknowledged; it may be deleted from the stream already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    pub id: StreamId,
    pub delivered_ms: i64,
    pub deliveries: u64,
}
