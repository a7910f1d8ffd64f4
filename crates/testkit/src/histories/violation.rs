//! What can be wrong with a history, worst first, after Adya's and Elle's names.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A value is in a list that nobody appended to it.
    Unwritten,
    /// A value is twice in a list.
    Duplicate,
    /// Two reads of a key, neither of which is the beginning of the other.
    Reordered,
    /// An append that took effect is not in a list that was read after it.
    LostAppend,
    /// G1a: the value of a transaction without effect was read.
    Aborted,
    /// G1b: a state between two appends of one transaction was read.
    Intermediate,
    /// A transaction does not see its own appends, or sees what others do meanwhile.
    Internal,
    Cycle(Class),
    /// As a cycle, but only because one transaction had ended before the other began, or was sent first on
    /// the same connection.
    RealTime(Class),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Only writes.
    G0,
    /// Writes, and reads of what was written.
    G1c,
    /// One transaction missed what another wrote: lost update, read skew.
    GSingle,
    /// Several missed what others wrote: write skew.
    G2,
}

pub const CLASSES: [Class; 4] = [Class::G0, Class::G1c, Class::GSingle, Class::G2];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unwritten => "a value that was never appended",
            Self::Duplicate => "a value that is there twice",
            Self::Reordered => "reads that contradict each other",
            Self::LostAppend => "a lost append",
            Self::Aborted => "the value of a transaction without effect (G1a)",
            Self::Intermediate => "the middle of a transaction (G1b)",
            Self::Internal => "a transaction that contradicts itself",
            Self::Cycle(class) => return write!(f, "{class}"),
            Self::RealTime(class) => return write!(f, "{class}, in real time"),
        };
        f.write_str(text)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::G0 => "a circle of appends (G0)",
            Self::G1c => "a circle of appends and reads of them (G1c)",
            Self::GSingle => "a circle with one missed append (G-single)",
            Self::G2 => "a circle with several missed appends (G2)",
        })
    }
}

#[derive(Debug, Clone)]
pub struct Violation {
    pub kind: Kind,
    /// What happened, for a person.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.kind, self.text)
    }
}
