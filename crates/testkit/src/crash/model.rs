//! What a server ought to do, for the few commands of the load.

use super::collection::{Change, Value};
use crate::Reply;
use crate::client::Command;
use std::collections::BTreeMap;
use std::fmt;

/// A value and when it expires, in milliseconds since the epoch (-1 for never).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub value: Value,
    pub expire_ms: i64,
}

impl Entry {
    /// A string's bytes; the load uses a key for one kind only.
    fn text(&self) -> &[u8] {
        if let Value::Text(bytes) = &self.value { bytes } else { &[] }
    }
}

/// The keys of one connection.
pub type State = BTreeMap<String, Entry>;

#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    Set(String, Vec<u8>),
    SetKeepTtl(String, Vec<u8>),
    Get(String),
    Incr(String),
    MSet(Vec<(String, Vec<u8>)>),
    Rename(String, String),
    ExpireAt(String, i64),
    Persist(String),
    Append(String, Vec<u8>),
    Del(Vec<String>),
    /// One collection, of the kind that its key is always used for.
    Change(String, Change),
    /// INCR of a counter that every connection increments; its value is not in the model.
    Shared(usize),
}

pub(super) fn shared_key(counter: usize) -> String {
    format!("shared:{counter}")
}

impl Op {
    pub fn command(&self) -> Command {
        let text = |text: &str| text.as_bytes().to_vec();
        match self {
            Self::Set(key, value) => vec![text("SET"), text(key), value.clone()],
            Self::SetKeepTtl(key, value) => vec![text("SET"), text(key), value.clone(), text("KEEPTTL")],
            Self::Get(key) => vec![text("GET"), text(key)],
            Self::Incr(key) => vec![text("INCR"), text(key)],
            Self::MSet(pairs) => {
                let pairs = pairs.iter().flat_map(|(key, value)| [text(key), value.clone()]);
                std::iter::once(text("MSET")).chain(pairs).collect()
            }
            Self::Rename(from, to) => vec![text("RENAME"), text(from), text(to)],
            Self::ExpireAt(key, ms) => vec![text("PEXPIREAT"), text(key), ms.to_string().into_bytes()],
            Self::Persist(key) => vec![text("PERSIST"), text(key)],
            Self::Append(key, value) => vec![text("APPEND"), text(key), value.clone()],
            Self::Del(keys) => std::iter::once(text("DEL")).chain(keys.iter().map(|key| text(key))).collect(),
            Self::Change(key, change) => change.command(key),
            Self::Shared(counter) => vec![text("INCR"), text(&shared_key(*counter))],
        }
    }

    /// Changes the model, and gives the reply that the server ought to give (`None` if unknown).
    pub fn apply(&self, state: &mut State) -> Option<Reply> {
        let set = |state: &mut State, key: &str, value: &[u8], expire_ms| {
            state.insert(key.to_owned(), Entry { value: Value::Text(value.to_vec()), expire_ms });
        };
        let reply = match self {
            Self::Set(key, value) => {
                set(state, key, value, -1);
                Reply::ok()
            }
            Self::SetKeepTtl(key, value) => {
                let expire_ms = state.get(key).map_or(-1, |entry| entry.expire_ms);
                set(state, key, value, expire_ms);
                Reply::ok()
            }
            Self::Get(key) => state.get(key).map_or(Reply::NullBulk, |entry| Reply::bulk(entry.text())),
            Self::Incr(key) => {
                let (old, expire_ms) = state.get(key).map_or((0, -1), |entry| {
                    (String::from_utf8_lossy(entry.text()).parse().unwrap_or(i64::MIN), entry.expire_ms)
                });
                set(state, key, (old + 1i64).to_string().as_bytes(), expire_ms);
                Reply::Integer(old + 1)
            }
            Self::MSet(pairs) => {
                for (key, value) in pairs {
                    set(state, key, value, -1);
                }
                Reply::ok()
            }
            Self::Rename(from, to) => match state.remove(from) {
                Some(entry) => {
                    state.insert(to.clone(), entry);
                    Reply::ok()
                }
                None => Reply::Error("ERR no such key".into()),
            },
            Self::ExpireAt(key, ms) => expire_at(state, key, *ms),
            Self::Persist(key) => {
                let entry = state.get_mut(key).filter(|entry| entry.expire_ms >= 0);
                let done = entry.map(|entry| entry.expire_ms = -1);
                Reply::Integer(done.is_some().into())
            }
            Self::Append(key, value) => {
                let (mut text, expire_ms) =
                    state.get(key).map_or((Vec::new(), -1), |entry| (entry.text().to_vec(), entry.expire_ms));
                text.extend_from_slice(value);
                set(state, key, &text, expire_ms);
                Reply::Integer(text.len() as i64)
            }
            Self::Del(keys) => Reply::Integer(keys.iter().filter_map(|key| state.remove(key)).count() as i64),
            Self::Change(key, change) => {
                let empty = || Entry { value: change.kind().empty(), expire_ms: -1 };
                let entry = state.entry(key.clone()).or_insert_with(empty);
                let reply = change.apply(key, &mut entry.value);
                if entry.value.is_nothing() {
                    state.remove(key);
                }
                reply
            }
            Self::Shared(_) => return None,
        };
        Some(reply)
    }
}

/// A time in the past deletes. The load uses no time that could pass while it runs.
fn expire_at(state: &mut State, key: &str, ms: i64) -> Reply {
    const LONG_PAST_MS: i64 = 1_000_000_000_000;
    let Some(entry) = state.get_mut(key) else { return Reply::Integer(0) };
    entry.expire_ms = ms;
    if ms < LONG_PAST_MS {
        state.remove(key);
    }
    Reply::Integer(1)
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .command()
            .iter()
            .map(|word| word.get(..60).unwrap_or(word).escape_ascii().to_string())
            .collect();
        f.write_str(&words.join(" "))
    }
}
