//! The client's side: reading replies. For tests, tools and the command line.

use thiserror::Error;

use crate::numbers::{parse_f64, parse_i64};
use crate::{Blob, Line, Reply};

/// Deepest nesting of a reply: more than any server sends, and little enough for the stack.
pub const DEPTH_MAX: usize = 64;
/// Most elements that one array may announce. What is allocated follows what arrives, not this.
pub const ELEMENTS_MAX: i64 = 1 << 30;
/// Longest status or error line.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The server sent something that is not RESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    #[error("unknown reply type '{}'", .0.escape_ascii())]
    Marker(u8),
    #[error("a reply's line is too long")]
    Line,
    #[error("a reply's length is invalid")]
    Length,
    #[error("a reply's number or boolean is invalid")]
    Value,
    #[error("a reply is nested too deeply")]
    Depth,
    #[error("a reply's string does not end with CRLF")]
    End,
}

/// Reads one reply off the front of `input`; `None` while it is incomplete, else with its length.
///
/// It starts over at each call: for long replies wait with `ReplyScanner` until they are complete.
pub fn parse_reply(input: &[u8]) -> Result<Option<(Reply, usize)>, ReplyError> {
    let mut reader = Reader { input, pos: 0 };
    Ok(reader.reply(0)?.map(|reply| (reply, reader.pos)))
}

/// Finds the end of a reply that arrives in pieces, looking at each byte once.
#[derive(Debug, Default)]
pub struct ReplyScanner {
    pos: usize,
    /// Replies that must still end; 0 between replies.
    outstanding: u64,
}

impl ReplyScanner {
    /// The length of the reply at the front of `input`, once all of it is there. Until then the next
    /// call must be given the same bytes with more behind them.
    pub fn scan(&mut self, input: &[u8]) -> Result<Option<usize>, ReplyError> {
        let mut reader = Reader { input, pos: self.pos };
        self.outstanding = self.outstanding.max(1);
        while self.outstanding > 0 {
            let Some(head) = reader.head()? else { return Ok(None) };
            let inner = match head {
                Head::Bulk(_, len) => {
                    if reader.text(len)?.is_none() {
                        return Ok(None);
                    }
                    0
                }
                Head::Line(..) | Head::Nothing(_) => 0,
                Head::Items(_, count) => count as u64,
                Head::Pairs(b'|', count) => 2 * count as u64 + 1,
                Head::Pairs(_, count) => 2 * count as u64,
            };
            self.pos = reader.pos;
            self.outstanding = (self.outstanding - 1).saturating_add(inner);
        }
        let used = std::mem::take(&mut self.pos);
        Ok(Some(used))
    }
}

struct Reader<'a> {
    input: &'a [u8],
    pos: usize,
}

/// The first line of a reply, by its marker.
enum Head<'a> {
    /// All there is.
    Line(u8, &'a [u8]),
    /// `$-1` and `*-1`.
    Nothing(u8),
    Bulk(u8, usize),
    Items(u8, usize),
    Pairs(u8, usize),
}

impl<'a> Reader<'a> {
    fn head(&mut self) -> Result<Option<Head<'a>>, ReplyError> {
        let rest = self.input.get(self.pos..).unwrap_or_default();
        let Some((&marker, rest)) = rest.split_first() else { return Ok(None) };
        if !b"+-:,#(_$!=*~>%|".contains(&marker) {
            return Err(ReplyError::Marker(marker));
        }
        let end = rest.iter().take(LINE_BYTES_MAX + 1).position(|&byte| byte == b'\n');
        let Some(end) = end else {
            return if rest.len() > LINE_BYTES_MAX { Err(ReplyError::Line) } else { Ok(None) };
        };
        let line = rest.get(..end).unwrap_or_default().strip_suffix(b"\r").ok_or(ReplyError::End)?;
        let head = match marker {
            b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => length(marker, line)?,
            _ => Head::Line(marker, line),
        };
        self.pos += end + 2;
        Ok(Some(head))
    }

    /// A string of the given length and the CRLF behind it.
    fn text(&mut self, len: usize) -> Result<Option<&'a [u8]>, ReplyError> {
        let rest = self.input.get(self.pos..).unwrap_or_default();
        if rest.len() < len + 2 {
            return Ok(None);
        }
        let (text, rest) = rest.split_at(len);
        if !rest.starts_with(b"\r\n") {
            return Err(ReplyError::End);
        }
        self.pos += len + 2;
        Ok(Some(text))
    }

    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, ReplyError> {
        if depth > DEPTH_MAX {
            return Err(ReplyError::Depth);
        }
        let Some(head) = self.head()? else { return Ok(None) };
        let reply = match head {
            Head::Line(marker, line) => simple(marker, line)?,
            Head::Nothing(b'*') => Reply::NullArray,
            Head::Nothing(_) => Reply::Null,
            Head::Bulk(marker, len) => {
                let Some(text) = self.text(len)? else { return Ok(None) };
                match marker {
                    b'!' => Reply::Error(Line::from(text.to_vec())),
                    b'=' => verbatim(text)?,
                    _ => Reply::copied(text),
                }
            }
            Head::Items(marker, count) => {
                let Some(items) = self.items(count, depth)? else { return Ok(None) };
                match marker {
                    b'~' => Reply::Set(items),
                    b'>' => Reply::Push(items),
                    _ => Reply::Array(items),
                }
            }
            Head::Pairs(marker, count) => {
                let Some(entries) = self.pairs(count, depth)? else { return Ok(None) };
                if marker == b'|' {
                    let Some(reply) = self.reply(depth + 1)? else { return Ok(None) };
                    Reply::Attribute { about: entries, reply: Box::new(reply) }
                } else {
                    Reply::Map(entries)
                }
            }
        };
        Ok(Some(reply))
    }

    fn items(&mut self, count: usize, depth: usize) -> Result<Option<Vec<Reply>>, ReplyError> {
        let mut items = Vec::new();
        for _ in 0..count {
            let Some(item) = self.reply(depth + 1)? else { return Ok(None) };
            items.push(item);
        }
        Ok(Some(items))
    }

    fn pairs(&mut self, count: usize, depth: usize) -> Result<Option<Vec<(Reply, Reply)>>, ReplyError> {
        let mut entries = Vec::new();
        for _ in 0..count {
            let Some(key) = self.reply(depth + 1)? else { return Ok(None) };
            let Some(value) = self.reply(depth + 1)? else { return Ok(None) };
            entries.push((key, value));
        }
        Ok(Some(entries))
    }
}

fn length<'a>(marker: u8, line: &[u8]) -> Result<Head<'a>, ReplyError> {
    let value = parse_i64(line).ok_or(ReplyError::Length)?;
    if value == -1 && matches!(marker, b'$' | b'*') {
        return Ok(Head::Nothing(marker));
    }
    let len = usize::try_from(value).map_err(|_| ReplyError::Length)?;
    let bulk = matches!(marker, b'$' | b'!' | b'=');
    let max = if bulk { base::limits::BULK_BYTES_MAX as i64 } else { ELEMENTS_MAX };
    if value > max {
        return Err(ReplyError::Length);
    }
    Ok(match marker {
        _ if bulk => Head::Bulk(marker, len),
        b'%' | b'|' => Head::Pairs(marker, len),
        _ => Head::Items(marker, len),
    })
}

fn simple(marker: u8, line: &[u8]) -> Result<Reply, ReplyError> {
    let text = || Line::from(line.to_vec());
    Ok(match marker {
        b'+' if line == b"OK" => Reply::Ok,
        b'+' => Reply::Simple(text()),
        b'-' => Reply::Error(text()),
        b':' => Reply::Integer(parse_i64(line).ok_or(ReplyError::Value)?),
        b',' if line.eq_ignore_ascii_case(b"nan") => Reply::Double(f64::NAN),
        b',' => Reply::Double(parse_f64(line).ok_or(ReplyError::Value)?),
        b'#' => match line {
            b"t" => Reply::Boolean(true),
            b"f" => Reply::Boolean(false),
            _ => return Err(ReplyError::Value),
        },
        b'(' => Reply::BigNumber(text()),
        _ if line.is_empty() => Reply::Null,
        _ => return Err(ReplyError::Value),
    })
}

fn verbatim(text: &[u8]) -> Result<Reply, ReplyError> {
    match text {
        [a, b, c, b':', text @ ..] => Ok(Reply::Verbatim { format: [*a, *b, *c], text: Blob::copy(text) }),
        _ => Err(ReplyError::Length),
    }
}
