//! Transactions as a client knows them: what it asked for, what it was told, and when.

/// Every key of a history has a number, which is never used for another list.
pub type Key = u32;
/// Every value is appended once in a history.
pub type Value = u64;
/// Nanoseconds on the one clock of the process that makes the load.
pub type Time = u64;

/// When something ends that may take effect at any later time.
pub const NEVER: Time = Time::MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Append(Key, Value),
    /// The whole list.
    Read(Key, Vec<Value>),
    /// Only its length, as RPUSH tells it.
    Length(Key, u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// Certainly without effect.
    Failed,
    /// The connection broke, or the server said that it does not know.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub client: u32,
    /// How it was sent, for a person.
    pub form: &'static str,
    /// It was sent behind the client's last one on the same connection, without waiting for that one's answer.
    pub behind: bool,
    pub invoked: Time,
    pub completed: Time,
    pub outcome: Outcome,
    /// In their order; without the reads if the outcome is not `Ok`.
    pub ops: Vec<Op>,
}
