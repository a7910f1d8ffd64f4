//! What a command answers, independent of the protocol version of the connection.

use crate::{Blob, Line, encode};

/// The protocol version of a connection: 2 until HELLO says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Ok,
    Simple(Line),
    /// The whole line with its code (`ERR …`, `WRONGTYPE …`), without the leading `-`.
    Error(Line),
    Integer(i64),
    Bulk(Blob),
    /// One bulk string that lies in several pieces.
    Pieces(Vec<Blob>),
    /// A missing value: `$-1` in RESP2.
    Null,
    /// A missing array: `*-1` in RESP2. RESP3 does not tell the two apart.
    NullArray,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// Pairs: in RESP3 each is an array of its own, in RESP2 they follow each other.
    Pairs(Vec<(Reply, Reply)>),
    /// As a map in RESP3; in RESP2 each pair is an array of its own.
    Table(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    /// Out-of-band data: pub/sub messages, invalidations.
    Push(Vec<Reply>),
    Double(f64),
    /// A double without an exponent, with up to 17 digits behind its point: Redis' coordinates.
    Decimal(f64),
    Boolean(bool),
    BigNumber(Line),
    Verbatim {
        format: [u8; 3],
        text: Blob,
    },
    /// Data about the reply that follows; RESP2 clients do not see it.
    Attribute {
        about: Vec<(Reply, Reply)>,
        reply: Box<Reply>,
    },
}

const _: () = assert!(size_of::<Reply>() <= 48);

impl Reply {
    pub const QUEUED: Self = Self::Simple(Line::new("QUEUED"));
    pub const PONG: Self = Self::Simple(Line::new("PONG"));
    pub const ZERO: Self = Self::Integer(0);
    pub const ONE: Self = Self::Integer(1);

    pub fn simple(text: impl Into<Line>) -> Self {
        Self::Simple(text.into())
    }

    pub fn error(line: impl Into<Line>) -> Self {
        Self::Error(line.into())
    }

    pub fn bulk(bytes: impl Into<Blob>) -> Self {
        Self::Bulk(bytes.into())
    }

    /// A copy of bytes that do not live long enough.
    pub fn copied(bytes: &[u8]) -> Self {
        Self::Bulk(Blob::copy(bytes))
    }

    /// The value, or `Null`.
    pub fn bulk_or_null(bytes: Option<impl Into<Blob>>) -> Self {
        bytes.map_or(Self::Null, Self::bulk)
    }

    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }

    /// Appends the reply in the given protocol. What RESP2 lacks is sent as Redis sends it there.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        encode::reply(self, protocol, out);
    }

    /// Roughly how many bytes `encode` appends: enough for budgets and reservations.
    pub fn size_hint(&self) -> usize {
        const FRAME: usize = 16;
        let pairs = |pairs: &[(Self, Self)]| -> usize {
            pairs.iter().map(|(key, value)| key.size_hint() + value.size_hint()).sum()
        };
        FRAME
            + match self {
                Self::Simple(line) | Self::Error(line) | Self::BigNumber(line) => line.as_bytes().len(),
                Self::Bulk(bytes) | Self::Verbatim { text: bytes, .. } => bytes.len(),
                Self::Pieces(pieces) => pieces.iter().map(|piece| piece.len()).sum(),
                Self::Array(items) | Self::Set(items) | Self::Push(items) => {
                    items.iter().map(Self::size_hint).sum()
                }
                Self::Map(entries) | Self::Pairs(entries) | Self::Table(entries) => pairs(entries),
                Self::Attribute { about, reply } => pairs(about) + reply.size_hint(),
                _ => 0,
            }
    }
}

impl From<i64> for Reply {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Blob> for Reply {
    fn from(bytes: Blob) -> Self {
        Self::Bulk(bytes)
    }
}
