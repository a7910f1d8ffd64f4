//! What a server ought to do to lists, sets, hashes, sorted sets and streams, for the few commands of the load;
//! and how a whole one is read back, with its length.

use super::stream::{self, Stream, StreamChange};
use crate::client::{Command, words};
use crate::reply::printable;
use crate::{Client, Reply, Result};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub type Bytes = Vec<u8>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Bytes),
    List(VecDeque<Bytes>),
    Set(BTreeSet<Bytes>),
    Hash(BTreeMap<Bytes, Bytes>),
    /// Scores of the load are integers.
    SortedSet(BTreeMap<Bytes, i64>),
    Stream(Stream),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    List,
    Set,
    Hash,
    SortedSet,
    Stream,
}

pub const KINDS: [Kind; 5] = [Kind::List, Kind::Set, Kind::Hash, Kind::SortedSet, Kind::Stream];

impl Kind {
    pub fn empty(self) -> Value {
        match self {
            Self::List => Value::List(VecDeque::new()),
            Self::Set => Value::Set(BTreeSet::new()),
            Self::Hash => Value::Hash(BTreeMap::new()),
            Self::SortedSet => Value::SortedSet(BTreeMap::new()),
            Self::Stream => Value::Stream(Stream::default()),
        }
    }

    pub fn letter(self) -> char {
        match self {
            Self::List => 'l',
            Self::Set => 's',
            Self::Hash => 'h',
            Self::SortedSet => 'z',
            Self::Stream => 'x',
        }
    }
}

impl Value {
    /// Elements, or a string's bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(bytes) => bytes.len(),
            Self::List(items) => items.len(),
            Self::Set(members) => members.len(),
            Self::Hash(fields) => fields.len(),
            Self::SortedSet(members) => members.len(),
            Self::Stream(stream) => stream.entries.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no key has it: only streams may be empty.
    pub fn is_nothing(&self) -> bool {
        match self {
            Self::Stream(stream) => !stream.is_there,
            other => other.is_empty(),
        }
    }

    pub fn show(&self) -> String {
        match self {
            Self::Text(bytes) => printable(bytes),
            other => {
                let text = format!("{} elements: {:?}", other.len(), other.strings());
                text.chars().take(600).collect()
            }
        }
    }

    /// For a person: everything in it, in order.
    fn strings(&self) -> Vec<String> {
        let show = |bytes: &Bytes| printable(bytes.get(..24).unwrap_or(bytes));
        match self {
            Self::Text(bytes) => vec![show(bytes)],
            Self::List(items) => items.iter().map(show).collect(),
            Self::Set(members) => members.iter().map(show).collect(),
            Self::Hash(fields) => {
                fields.iter().map(|(field, value)| format!("{}={}", show(field), show(value))).collect()
            }
            Self::SortedSet(members) => {
                members.iter().map(|(member, score)| format!("{}={score}", show(member))).collect()
            }
            Self::Stream(stream) => stream.strings(),
        }
    }
}

/// What a command does to one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    LPush(Vec<Bytes>),
    RPush(Vec<Bytes>),
    LPop(usize),
    RPop(usize),
    LTrim(usize, usize),
    SAdd(Vec<Bytes>),
    SRem(Vec<Bytes>),
    HSet(Vec<(Bytes, Bytes)>),
    HDel(Vec<Bytes>),
    HIncrBy(Bytes, i64),
    ZAdd(Vec<(Bytes, i64)>),
    ZRem(Vec<Bytes>),
    ZIncrBy(Bytes, i64),
    Stream(StreamChange),
}

fn text(number: impl ToString) -> Bytes {
    number.to_string().into_bytes()
}

impl Change {
    pub fn kind(&self) -> Kind {
        match self {
            Self::LPush(_) | Self::RPush(_) | Self::LPop(_) | Self::RPop(_) | Self::LTrim(..) => Kind::List,
            Self::SAdd(_) | Self::SRem(_) => Kind::Set,
            Self::HSet(_) | Self::HDel(_) | Self::HIncrBy(..) => Kind::Hash,
            Self::ZAdd(_) | Self::ZRem(_) | Self::ZIncrBy(..) => Kind::SortedSet,
            Self::Stream(_) => Kind::Stream,
        }
    }

    pub fn command(&self, key: &str) -> Command {
        let (name, args): (&str, Vec<Bytes>) = match self {
            Self::LPush(items) => ("LPUSH", items.clone()),
            Self::RPush(items) => ("RPUSH", items.clone()),
            Self::LPop(count) => ("LPOP", vec![text(count)]),
            Self::RPop(count) => ("RPOP", vec![text(count)]),
            Self::LTrim(from, to) => ("LTRIM", vec![text(from), text(to)]),
            Self::SAdd(members) => ("SADD", members.clone()),
            Self::SRem(members) => ("SREM", members.clone()),
            Self::HSet(pairs) => {
                ("HSET", pairs.iter().flat_map(|(field, value)| [field.clone(), value.clone()]).collect())
            }
            Self::HDel(fields) => ("HDEL", fields.clone()),
            Self::HIncrBy(field, by) => ("HINCRBY", vec![field.clone(), text(by)]),
            Self::ZAdd(pairs) => {
                ("ZADD", pairs.iter().flat_map(|(member, score)| [text(score), member.clone()]).collect())
            }
            Self::ZRem(members) => ("ZREM", members.clone()),
            Self::ZIncrBy(member, by) => ("ZINCRBY", vec![text(by), member.clone()]),
            Self::Stream(change) => return change.command(key),
        };
        [text(name), text(key)].into_iter().chain(args).collect()
    }

    /// Changes a collection of the right kind (an empty one if there is none), and gives the reply.
    pub fn apply(&self, key: &str, value: &mut Value) -> Reply {
        match value {
            Value::List(items) => self.apply_to_list(items),
            Value::Set(members) => self.apply_to_set(members),
            Value::Hash(fields) => self.apply_to_hash(fields),
            Value::SortedSet(members) => self.apply_to_sorted_set(members),
            Value::Stream(stream) => match self {
                Self::Stream(change) => change.apply(key, stream),
                _ => wrong_type(),
            },
            Value::Text(_) => wrong_type(),
        }
    }

    fn apply_to_list(&self, items: &mut VecDeque<Bytes>) -> Reply {
        match self {
            Self::LPush(new) => new.iter().for_each(|item| items.push_front(item.clone())),
            Self::RPush(new) => items.extend(new.iter().cloned()),
            Self::LPop(_) | Self::RPop(_) if items.is_empty() => return Reply::NullArray,
            Self::LPop(count) => {
                let popped = (0..*count).map_while(|_| items.pop_front().map(Reply::Bulk));
                return Reply::Array(popped.collect());
            }
            Self::RPop(count) => {
                let popped = (0..*count).map_while(|_| items.pop_back().map(Reply::Bulk));
                return Reply::Array(popped.collect());
            }
            Self::LTrim(from, to) => {
                items.truncate(to + 1);
                items.drain(..(*from).min(items.len()));
                return Reply::ok();
            }
            _ => return wrong_type(),
        }
        Reply::Integer(items.len() as i64)
    }

    fn apply_to_set(&self, members: &mut BTreeSet<Bytes>) -> Reply {
        let changed = match self {
            Self::SAdd(new) => new.iter().filter(|member| members.insert((*member).clone())).count(),
            Self::SRem(old) => old.iter().filter(|member| members.remove(*member)).count(),
            _ => return wrong_type(),
        };
        Reply::Integer(changed as i64)
    }

    fn apply_to_hash(&self, fields: &mut BTreeMap<Bytes, Bytes>) -> Reply {
        let changed = match self {
            Self::HSet(pairs) => pairs
                .iter()
                .filter(|(field, value)| fields.insert(field.clone(), value.clone()).is_none())
                .count(),
            Self::HDel(old) => old.iter().filter(|field| fields.remove(*field).is_some()).count(),
            Self::HIncrBy(field, by) => {
                let old = fields.get(field).map_or(Some(0), |value| number(value));
                let Some(old) = old else { return Reply::Error("ERR hash value is not an integer".into()) };
                fields.insert(field.clone(), text(old + by));
                return Reply::Integer(old + by);
            }
            _ => return wrong_type(),
        };
        Reply::Integer(changed as i64)
    }

    fn apply_to_sorted_set(&self, members: &mut BTreeMap<Bytes, i64>) -> Reply {
        let changed = match self {
            Self::ZAdd(pairs) => pairs
                .iter()
                .filter(|(member, score)| members.insert(member.clone(), *score).is_none())
                .count(),
            Self::ZRem(old) => old.iter().filter(|member| members.remove(*member).is_some()).count(),
            Self::ZIncrBy(member, by) => {
                let score = members.entry(member.clone()).or_insert(0);
                *score += by;
                return Reply::Bulk(text(*score));
            }
            _ => return wrong_type(),
        };
        Reply::Integer(changed as i64)
    }
}

fn wrong_type() -> Reply {
    Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into())
}

fn number(bytes: &[u8]) -> Option<i64> {
    String::from_utf8_lossy(bytes).parse().ok()
}

/// Reads a whole collection; its length and its elements must agree, also looked up one by one.
pub fn read(client: &mut Client, kind: Kind, key: &str) -> Result<Option<Value>> {
    let (len, all) = match kind {
        Kind::List => (format!("LLEN {key}"), format!("LRANGE {key} 0 -1")),
        Kind::Set => (format!("SCARD {key}"), format!("SMEMBERS {key}")),
        Kind::Hash => (format!("HLEN {key}"), format!("HGETALL {key}")),
        Kind::SortedSet => (format!("ZCARD {key}"), format!("ZRANGE {key} 0 -1 WITHSCORES")),
        Kind::Stream => return Ok(stream::read(client, key)?.map(Value::Stream)),
    };
    let len = client.want(&len)?.integer();
    let whole = client.want(&all)?;
    let items = whole.items().ok_or_else(|| format!("{all}: {whole:?}"))?;
    let strings: Vec<Bytes> = items.iter().filter_map(Reply::bytes).map(<[u8]>::to_vec).collect();
    let width = if matches!(kind, Kind::Hash | Kind::SortedSet) { 2 } else { 1 };
    let value = value_of(kind, &strings).ok_or_else(|| format!("{all}: {whole:?}"))?;
    let found = value.len();
    if len != Some(found as i64) || found * width != strings.len() {
        let listed = strings.len() / width;
        return Err(
            format!("{key}: its length is {len:?}, it lists {listed}, {found} of them different").into()
        );
    }
    look_up(client, key, &value)?;
    Ok((!value.is_empty()).then_some(value))
}

fn value_of(kind: Kind, strings: &[Bytes]) -> Option<Value> {
    let pairs = || strings.chunks_exact(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?)));
    Some(match kind {
        Kind::List => Value::List(strings.iter().cloned().collect()),
        Kind::Set => Value::Set(strings.iter().cloned().collect()),
        Kind::Hash => Value::Hash(pairs().map(|(field, value)| (field, value.clone())).collect()),
        Kind::SortedSet => {
            let members = pairs().map(|(member, score)| Some((member, number(score)?)));
            Value::SortedSet(members.collect::<Option<_>>()?)
        }
        Kind::Stream => return None,
    })
}

/// What is listed is also found by its name.
fn look_up(client: &mut Client, key: &str, value: &Value) -> Result {
    let (name, names, expected): (&str, Vec<&Bytes>, Vec<Reply>) = match value {
        Value::Set(members) => {
            ("SMISMEMBER", members.iter().collect(), members.iter().map(|_| Reply::Integer(1)).collect())
        }
        Value::Hash(fields) => ("HMGET", fields.keys().collect(), fields.values().map(Reply::bulk).collect()),
        Value::SortedSet(members) => (
            "ZMSCORE",
            members.keys().collect(),
            members.values().map(|score| Reply::Bulk(text(score))).collect(),
        ),
        Value::List(_) | Value::Stream(_) | Value::Text(_) => return Ok(()),
    };
    if names.is_empty() {
        return Ok(());
    }
    let mut command = words(&format!("{name} {key}"));
    command.extend(names.into_iter().cloned());
    let reply = client.call(&command)?;
    if reply == Reply::Array(expected) {
        return Ok(());
    }
    Err(format!("{key}: {name} of all that it lists gives {reply:?}").into())
}
