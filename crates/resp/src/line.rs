//! The text of a status or an error: one line of any bytes.

use std::borrow::Cow;
use std::fmt;

/// A line. It may be given with line breaks (an error that quotes an argument, a script's message):
/// they are dropped at the end and become spaces elsewhere when it is sent, as in Redis.
///
/// Bytes rather than text, since errors quote what clients sent.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Line(Cow<'static, [u8]>);

impl Line {
    pub const fn new(text: &'static str) -> Self {
        Self(Cow::Borrowed(text.as_bytes()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first word, such as `ERR` or `WRONGTYPE`.
    pub fn code(&self) -> &[u8] {
        self.0.split(|&byte| byte == b' ').next().unwrap_or_default()
    }

    /// Appends the line without its line breaks, and without the CRLF that ends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let end = self.0.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let line = self.0.get(..end).unwrap_or_default();
        out.extend(line.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&'static str> for Line {
    fn from(text: &'static str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text.into_bytes()))
    }
}

impl From<Cow<'static, str>> for Line {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl From<Vec<u8>> for Line {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Cow::Owned(bytes))
    }
}

impl PartialEq<str> for Line {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Line {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}
