//! The arguments of a command, as COMMAND DOCS tells them. They describe; nothing is parsed by them.
//!
//! A row says them in their order: `.takes(&[KEY, arg::string("value"), arg::word("GET").optional()])`.

/// An argument, or several that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Empty for a word that is named like itself.
    pub name: &'static str,
    pub kind: Kind,
    /// The word that stands before it; of a word, the word itself.
    pub token: &'static str,
    /// What people are shown instead of the name, if not that.
    pub display: &'static str,
    pub since: &'static str,
    pub deprecated: &'static str,
    pub is_optional: bool,
    pub is_multiple: bool,
    /// Each of several has its word before it.
    pub repeats_token: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    String,
    Integer,
    Double,
    Pattern,
    UnixTime,
    /// A word that stands for itself.
    Word,
    /// A pattern of keys, and which of the key specifications finds them.
    KeyPattern(u32),
    /// A key, and which of the key specifications finds it.
    Key(u32),
    OneOf(&'static [Arg]),
    Block(&'static [Arg]),
}

/// The only key of a command, or the keys that all are alike.
pub const KEY: Arg = key("key", 0);

pub const fn string(name: &'static str) -> Arg {
    Arg::new(name, Kind::String)
}

pub const fn integer(name: &'static str) -> Arg {
    Arg::new(name, Kind::Integer)
}

pub const fn double(name: &'static str) -> Arg {
    Arg::new(name, Kind::Double)
}

pub const fn pattern(name: &'static str) -> Arg {
    Arg::new(name, Kind::Pattern)
}

pub const fn unix_time(name: &'static str) -> Arg {
    Arg::new(name, Kind::UnixTime)
}

pub const fn key(name: &'static str, spec: u32) -> Arg {
    Arg::new(name, Kind::Key(spec))
}

pub const fn key_pattern(name: &'static str, spec: u32) -> Arg {
    Arg::new(name, Kind::KeyPattern(spec))
}

pub const fn word(token: &'static str) -> Arg {
    Arg::new("", Kind::Word).after(token)
}

pub const fn one_of(name: &'static str, choices: &'static [Arg]) -> Arg {
    Arg::new(name, Kind::OneOf(choices))
}

pub const fn block(name: &'static str, parts: &'static [Arg]) -> Arg {
    Arg::new(name, Kind::Block(parts))
}

impl Arg {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            token: "",
            display: "",
            since: "",
            deprecated: "",
            is_optional: false,
            is_multiple: false,
            repeats_token: false,
        }
    }

    pub const fn after(mut self, token: &'static str) -> Self {
        self.token = token;
        self
    }

    pub const fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub const fn shown(mut self, display: &'static str) -> Self {
        self.display = display;
        self
    }

    pub const fn since(mut self, version: &'static str) -> Self {
        self.since = version;
        self
    }

    pub const fn deprecated(mut self, since: &'static str) -> Self {
        self.deprecated = since;
        self
    }

    pub const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    pub const fn multiple(mut self) -> Self {
        self.is_multiple = true;
        self
    }

    /// As above, each with its word before it.
    pub const fn multiple_with_token(mut self) -> Self {
        self.repeats_token = true;
        self.multiple()
    }
}

impl Kind {
    /// As COMMAND DOCS calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Pattern | Self::KeyPattern(_) => "pattern",
            Self::UnixTime => "unix-time",
            Self::Word => "pure-token",
            Self::Key(_) => "key",
            Self::OneOf(_) => "oneof",
            Self::Block(_) => "block",
        }
    }

    /// Those that it is made of.
    pub fn parts(self) -> &'static [Arg] {
        match self {
            Self::OneOf(parts) | Self::Block(parts) => parts,
            _ => &[],
        }
    }
}
