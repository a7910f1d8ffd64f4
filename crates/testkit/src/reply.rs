//! Replies as a client sees them, kept so exactly that two can be compared byte for byte.
//!
//! This reader is not the product's own codec on purpose: a mistake that the codec makes in both
//! directions would otherwise cancel out, and a number's text would be lost.

use crate::Result;
use std::fmt;

/// Deeper replies are a defect of the server.
const DEPTH_MAX: usize = 32;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// RESP2's null bulk string.
    NullBulk,
    /// RESP2's null array.
    NullArray,
    /// RESP3's null.
    Null,
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// As its text.
    Double(String),
    Boolean(bool),
    BigNumber(String),
    /// With its format, as in `txt:`.
    Verbatim(Vec<u8>),
}

impl Reply {
    pub fn ok() -> Self {
        Self::Simple("OK".into())
    }

    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Self::Bulk(bytes.as_ref().to_vec())
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::NullBulk | Self::NullArray | Self::Null)
    }

    pub fn integer(&self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bulk(bytes) | Self::Verbatim(bytes) => Some(bytes),
            Self::Simple(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&[Reply]> {
        match self {
            Self::Array(items) | Self::Set(items) | Self::Push(items) => Some(items),
            _ => None,
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simple(text) => write!(f, "+{text}"),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Integer(value) => write!(f, ":{value}"),
            Self::Bulk(bytes) => write!(f, "{}", printable(bytes)),
            Self::NullBulk => write!(f, "(null bulk)"),
            Self::NullArray => write!(f, "(null array)"),
            Self::Null => write!(f, "(null)"),
            Self::Array(items) => f.debug_list().entries(items).finish(),
            Self::Set(items) => write!(f, "~{items:?}"),
            Self::Push(items) => write!(f, ">{items:?}"),
            Self::Map(pairs) => f.debug_map().entries(pairs.iter().map(|(key, value)| (key, value))).finish(),
            Self::Double(text) => write!(f, ",{text}"),
            Self::Boolean(value) => write!(f, "#{value}"),
            Self::BigNumber(text) => write!(f, "({text}"),
            Self::Verbatim(bytes) => write!(f, "={}", printable(bytes)),
        }
    }
}

/// Bytes as a person can read and redis-cli can take them; long ones cut.
pub fn printable(bytes: &[u8]) -> String {
    const SHOWN: usize = 120;
    let shown = bytes.get(..SHOWN).unwrap_or(bytes).escape_ascii();
    match bytes.len().checked_sub(SHOWN + 1) {
        None => format!("\"{shown}\""),
        Some(_) => format!("\"{shown}…\" ({} bytes)", bytes.len()),
    }
}

/// Reads one reply off the front: the reply and its length, or `None` if more bytes are needed.
pub fn parse(input: &[u8]) -> Result<Option<(Reply, usize)>> {
    let mut reader = Reader { input, at: 0 };
    Ok(reader.reply(0)?.map(|reply| (reply, reader.at)))
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn line(&mut self) -> Result<Option<String>> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
        self.at += end + 2;
        Ok(Some(String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned()))
    }

    fn body(&mut self, len: usize) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.input.get(self.at..self.at + len + 2) else { return Ok(None) };
        let Some(body) = bytes.strip_suffix(b"\r\n") else {
            return Err("a bulk string does not end where its length says".into());
        };
        self.at += len + 2;
        Ok(Some(body.to_vec()))
    }

    fn items(&mut self, count: i64, depth: usize) -> Result<Option<Vec<Reply>>> {
        let mut items = Vec::new();
        for _ in 0..count {
            let Some(item) = self.reply(depth + 1)? else { return Ok(None) };
            items.push(item);
        }
        Ok(Some(items))
    }

    fn reply(&mut self, depth: usize) -> Result<Option<Reply>> {
        if depth > DEPTH_MAX {
            return Err("a reply is nested too deeply".into());
        }
        let Some(line) = self.line()? else { return Ok(None) };
        let mut chars = line.chars();
        let kind = chars.next().ok_or("an empty line instead of a reply")?;
        let text = chars.as_str();
        let number = || text.parse::<i64>().map_err(|_| format!("'{line}' holds no number"));
        let reply = match kind {
            '+' => Reply::Simple(text.into()),
            '-' => Reply::Error(text.into()),
            ':' => Reply::Integer(number()?),
            ',' => Reply::Double(text.into()),
            '(' => Reply::BigNumber(text.into()),
            '#' => Reply::Boolean(text == "t"),
            '_' => Reply::Null,
            '$' if number()? == -1 => Reply::NullBulk,
            '*' if number()? == -1 => Reply::NullArray,
            '$' | '=' | '!' => {
                let Some(body) = self.body(usize::try_from(number()?)?)? else { return Ok(None) };
                match kind {
                    '$' => Reply::Bulk(body),
                    '=' => Reply::Verbatim(body),
                    _ => Reply::Error(String::from_utf8_lossy(&body).into_owned()),
                }
            }
            '*' | '~' | '>' => {
                let Some(items) = self.items(number()?, depth)? else { return Ok(None) };
                match kind {
                    '*' => Reply::Array(items),
                    '~' => Reply::Set(items),
                    _ => Reply::Push(items),
                }
            }
            '%' => {
                let Some(items) = self.items(number()?.saturating_mul(2), depth)? else { return Ok(None) };
                let mut items = items.into_iter();
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    pairs.push((key, value));
                }
                Reply::Map(pairs)
            }
            _ => return Err(format!("'{line}' is not the beginning of a reply").into()),
        };
        Ok(Some(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: Reply) {
        assert_eq!(parse(input).unwrap(), Some((expected, input.len())));
        for len in 0..input.len() {
            assert_eq!(parse(&input[..len]).unwrap(), None, "cut at {len}");
        }
    }

    #[test]
    fn every_kind_of_reply_is_read_and_waits_for_its_end() {
        check(b"+OK\r\n", Reply::ok());
        check(b"-ERR no\r\n", Reply::Error("ERR no".into()));
        check(b":-5\r\n", Reply::Integer(-5));
        check(b"$3\r\n\r\n\0\r\n", Reply::bulk(b"\r\n\0"));
        check(b"$-1\r\n", Reply::NullBulk);
        check(b"*-1\r\n", Reply::NullArray);
        check(b"_\r\n", Reply::Null);
        check(b"*2\r\n*0\r\n#t\r\n", Reply::Array(vec![Reply::Array(vec![]), Reply::Boolean(true)]));
        check(b"~1\r\n,1.5\r\n", Reply::Set(vec![Reply::Double("1.5".into())]));
        check(b">1\r\n(12\r\n", Reply::Push(vec![Reply::BigNumber("12".into())]));
        check(b"%1\r\n:1\r\n:2\r\n", Reply::Map(vec![(Reply::Integer(1), Reply::Integer(2))]));
        check(b"=5\r\ntxt:a\r\n", Reply::Verbatim(b"txt:a".to_vec()));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        assert!(parse(b"x\r\n").is_err());
        assert!(parse(b"\r\n").is_err());
        assert!(parse(b"$2\r\nabcd\r\n").is_err());
        assert!(parse(b":x\r\n").is_err());
        assert!(parse("*1\r\n".repeat(100).as_bytes()).is_err());
    }
}
