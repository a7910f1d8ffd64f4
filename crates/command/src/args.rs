//! A command's arguments: where they lie in the bytes that the client sent.

use base::limits;
use resp::Span;

use crate::error::{Error, Result};

/// The arguments of one command; argument 0 is its name. Reading beyond the last gives nothing:
/// arity has been checked by then.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    source: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    pub fn new(source: &'a [u8], spans: &'a [Span]) -> Self {
        Self { source, spans }
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn get(&self, at: usize) -> &'a [u8] {
        self.spans.get(at).map(|span| span.of(self.source)).unwrap_or_default()
    }

    /// All from `at` on.
    pub fn from(&self, at: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let source = self.source;
        self.spans.get(at..).unwrap_or_default().iter().map(move |span| span.of(source))
    }

    /// Whether argument `at` is this word, in any case.
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.get(at).eq_ignore_ascii_case(word.as_bytes())
    }

    pub fn int(&self, at: usize) -> Result<i64> {
        resp::parse_i64(self.get(at)).ok_or(Error::NOT_INTEGER)
    }

    /// An integer within bounds, which the error names.
    pub fn int_between(&self, at: usize, min: i64, max: i64) -> Result<i64> {
        let value = self.int(at)?;
        if !(min..=max).contains(&value) {
            let why = format!("ERR value is out of range, value must between {min} and {max}");
            return Err(Error::text(why));
        }
        Ok(value)
    }

    /// The number of a database, as Redis reads it: an `int`, and one of those there are.
    pub fn database(&self, at: usize) -> Result<u8> {
        let number = self.int_between(at, i32::MIN.into(), i32::MAX.into())?;
        database(number)
    }

    pub fn float(&self, at: usize) -> Result<f64> {
        resp::parse_f64(self.get(at)).ok_or(Error::NOT_FLOAT)
    }

    /// Bytes that the arguments take up.
    pub fn bytes(&self) -> usize {
        self.spans.iter().map(|span| span.len()).sum()
    }

    /// No less than that, without looking at each.
    pub fn extent(&self) -> usize {
        let first = self.spans.first().map_or(0, |span| span.start);
        self.spans.last().map_or(0, |span| span.end.saturating_sub(first) as usize)
    }

    /// What a copy of them takes up in memory.
    pub fn held_bytes(&self) -> usize {
        self.bytes() + size_of_val(self.spans)
    }

    /// A copy that outlives the client's input buffer.
    pub fn to_owned(&self) -> OwnedArgs {
        let mut source = Vec::with_capacity(self.bytes());
        let mut spans = Vec::with_capacity(self.spans.len());
        for arg in self.from(0) {
            let start = source.len() as u32;
            source.extend_from_slice(arg);
            spans.push(Span { start, end: source.len() as u32 });
        }
        OwnedArgs { source, spans }
    }
}

/// A database number that exists.
pub(crate) fn database(number: i64) -> Result<u8> {
    let exists = (0..limits::DATABASES as i64).contains(&number);
    u8::try_from(number).ok().filter(|_| exists).ok_or(Error::DB_RANGE)
}

/// Arguments with their bytes.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    source: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// Takes over a client's input buffer instead of copying from it.
    pub fn new(source: Vec<u8>, spans: Vec<Span>) -> Self {
        Self { source, spans }
    }

    pub fn of<'a>(args: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut owned = Self::default();
        for arg in args {
            let start = owned.source.len() as u32;
            owned.source.extend_from_slice(arg);
            owned.spans.push(Span { start, end: owned.source.len() as u32 });
        }
        owned
    }

    /// What they take up in memory.
    pub fn held_bytes(&self) -> usize {
        self.source.len() + self.spans.len() * size_of::<Span>()
    }

    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.source, &self.spans)
    }
}
