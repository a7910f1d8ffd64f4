//! What a server ought to do to a stream with one group, for the few commands of the load; and how a whole one is
//! read back, with what is counted and what is pending.

use super::collection::Bytes;
use crate::client::{Command, words};
use crate::{Client, Reply, Result};
use std::collections::BTreeMap;

/// Ids are numbers of their own in the load, without a second part.
type Id = u64;

const GROUP: &str = "g";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// An empty stream is there as well.
    pub is_there: bool,
    pub entries: BTreeMap<Id, Bytes>,
    pub last: Id,
    pub added: i64,
    pub max_deleted: Id,
    pub group: Option<Group>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub last: Id,
    /// For whom, and how often it was told.
    pub pending: BTreeMap<Id, (Bytes, i64)>,
}

/// What a command does to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamChange {
    Add(Id, Bytes),
    Delete(Vec<Id>),
    Trim(usize),
    CreateGroup,
    Read { consumer: Bytes, count: usize },
    Claim { consumer: Bytes, ids: Vec<Id> },
    Ack(Vec<Id>),
}

fn id_text(id: Id) -> String {
    format!("{id}-0")
}

fn ids_text(ids: &[Id]) -> String {
    ids.iter().map(|id| id_text(*id)).collect::<Vec<_>>().join(" ")
}

fn entry(id: Id, value: &Bytes) -> Reply {
    let fields = Reply::Array(vec![Reply::bulk("f"), Reply::bulk(value)]);
    Reply::Array(vec![Reply::bulk(id_text(id)), fields])
}

impl StreamChange {
    pub fn command(&self, key: &str) -> Command {
        let name = |consumer: &Bytes| String::from_utf8_lossy(consumer).into_owned();
        match self {
            Self::Add(id, value) => {
                let mut command = words(&format!("XADD {key} {} f", id_text(*id)));
                command.push(value.clone());
                command
            }
            Self::Delete(ids) => words(&format!("XDEL {key} {}", ids_text(ids))),
            Self::Trim(len) => words(&format!("XTRIM {key} MAXLEN {len}")),
            Self::CreateGroup => words(&format!("XGROUP CREATE {key} {GROUP} 0 MKSTREAM")),
            Self::Read { consumer, count } => {
                words(&format!("XREADGROUP GROUP {GROUP} {} COUNT {count} STREAMS {key} >", name(consumer)))
            }
            Self::Claim { consumer, ids } => {
                words(&format!("XCLAIM {key} {GROUP} {} 0 {}", name(consumer), ids_text(ids)))
            }
            Self::Ack(ids) => words(&format!("XACK {key} {GROUP} {}", ids_text(ids))),
        }
    }

    /// Changes a stream, and gives the reply.
    pub fn apply(&self, key: &str, stream: &mut Stream) -> Reply {
        match self {
            Self::Add(id, value) => {
                stream.is_there = true;
                stream.entries.insert(*id, value.clone());
                (stream.last, stream.added) = (*id, stream.added + 1);
                Reply::bulk(id_text(*id))
            }
            Self::Delete(ids) => {
                let gone: Vec<Id> =
                    ids.iter().copied().filter(|id| stream.entries.remove(id).is_some()).collect();
                stream.max_deleted = gone.iter().copied().fold(stream.max_deleted, Id::max);
                Reply::Integer(gone.len() as i64)
            }
            Self::Trim(len) => {
                let surplus = stream.entries.len().saturating_sub(*len);
                (0..surplus).for_each(|_| drop(stream.entries.pop_first()));
                Reply::Integer(surplus as i64)
            }
            Self::CreateGroup => {
                stream.is_there = true;
                if stream.group.is_some() {
                    return Reply::Error("BUSYGROUP Consumer Group name already exists".into());
                }
                stream.group = Some(Group::default());
                Reply::ok()
            }
            Self::Read { consumer, count } => stream.read(key, consumer, *count),
            Self::Claim { consumer, ids } => stream.claim(key, consumer, ids),
            Self::Ack(ids) => {
                let pending = stream.group.as_mut().map(|group| &mut group.pending);
                let acked =
                    pending.map_or(0, |pending| ids.iter().filter(|id| pending.remove(id).is_some()).count());
                Reply::Integer(acked as i64)
            }
        }
    }
}

impl Stream {
    fn read(&mut self, key: &str, consumer: &Bytes, count: usize) -> Reply {
        let Some(group) = &mut self.group else {
            return Reply::Error(format!(
                "NOGROUP No such key '{key}' or consumer group '{GROUP}' in XREADGROUP with GROUP option"
            ));
        };
        let new = self.entries.range(group.last + 1..).take(count);
        let new: Vec<(Id, Bytes)> = new.map(|(id, value)| (*id, value.clone())).collect();
        for (id, _) in &new {
            group.last = *id;
            group.pending.insert(*id, (consumer.clone(), 1));
        }
        if new.is_empty() {
            return Reply::NullArray;
        }
        let entries = new.iter().map(|(id, value)| entry(*id, value)).collect();
        Reply::Array(vec![Reply::Array(vec![Reply::bulk(key), Reply::Array(entries)])])
    }

    /// What is pending and was deleted is pending no more.
    fn claim(&mut self, key: &str, consumer: &Bytes, ids: &[Id]) -> Reply {
        let Some(group) = &mut self.group else {
            return Reply::Error(format!("NOGROUP No such key '{key}' or consumer group '{GROUP}'"));
        };
        let mut claimed = Vec::new();
        for id in ids {
            let Some((owner, times)) = group.pending.get_mut(id) else { continue };
            match self.entries.get(id) {
                Some(value) => {
                    (*owner, *times) = (consumer.clone(), *times + 1);
                    claimed.push(entry(*id, value));
                }
                None => drop(group.pending.remove(id)),
            }
        }
        Reply::Array(claimed)
    }

    /// For a person: everything in it, in order.
    pub fn strings(&self) -> Vec<String> {
        let counts = format!("last {}, {} added, {} deleted", self.last, self.added, self.max_deleted);
        let group =
            self.group.as_ref().map(|group| format!("told up to {}, {:?}", group.last, group.pending));
        let ids = self.entries.keys().map(ToString::to_string);
        [counts, group.unwrap_or_default()].into_iter().chain(ids).collect()
    }
}

/// Reads a whole stream; what is counted and what is listed must agree.
pub fn read(client: &mut Client, key: &str) -> Result<Option<Stream>> {
    if client.want(&format!("EXISTS {key}"))? == Reply::Integer(0) {
        return Ok(None);
    }
    let info = client.want(&format!("XINFO STREAM {key}"))?;
    let mut stream = Stream {
        is_there: true,
        last: id(field(&info, "last-generated-id")?)?,
        added: number(field(&info, "entries-added")?)?,
        max_deleted: id(field(&info, "max-deleted-entry-id")?)?,
        ..Stream::default()
    };
    for item in list(&client.want(&format!("XRANGE {key} - +"))?)? {
        let [of, fields] = list(item)? else { return Err(format!("{key}: {item:?}").into()) };
        let [_, value] = list(fields)? else { return Err(format!("{key}: {item:?}").into()) };
        stream.entries.insert(id(of)?, value.bytes().unwrap_or_default().to_vec());
    }
    let len = client.want(&format!("XLEN {key}"))?;
    if number(&len)? != stream.entries.len() as i64 || *field(&info, "length")? != len {
        let found = stream.entries.len();
        return Err(format!("{key}: its length is {len:?}, it lists {found}: {info:?}").into());
    }
    if let [group] = list(&client.want(&format!("XINFO GROUPS {key}"))?)? {
        stream.group = Some(read_group(client, key, group)?);
    }
    Ok(Some(stream))
}

fn read_group(client: &mut Client, key: &str, told: &Reply) -> Result<Group> {
    const ALL: usize = 100_000;
    let mut group = Group { last: id(field(told, "last-delivered-id")?)?, ..Group::default() };
    for item in list(&client.want(&format!("XPENDING {key} {GROUP} - + {ALL}"))?)? {
        let [of, consumer, _, times] = list(item)? else { return Err(format!("{key}: {item:?}").into()) };
        let consumer = consumer.bytes().unwrap_or_default().to_vec();
        group.pending.insert(id(of)?, (consumer, number(times)?));
    }
    let count = group.pending.len() as i64;
    if number(field(told, "pending")?)? != count {
        return Err(format!("{key}: {count} are listed as pending: {told:?}").into());
    }
    Ok(group)
}

fn list(reply: &Reply) -> Result<&[Reply]> {
    reply.items().ok_or_else(|| format!("{reply:?} is no list").into())
}

fn number(reply: &Reply) -> Result<i64> {
    reply.integer().ok_or_else(|| format!("{reply:?} is no number").into())
}

fn id(reply: &Reply) -> Result<Id> {
    let text = String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned();
    let id = text.strip_suffix("-0").and_then(|id| id.parse().ok());
    id.ok_or_else(|| format!("{reply:?} is no id of the load").into())
}

fn field<'r>(reply: &'r Reply, name: &str) -> Result<&'r Reply> {
    let pairs = list(reply)?.chunks_exact(2);
    let found =
        pairs.filter_map(|pair| pair.first().zip(pair.get(1))).find(|(of, _)| **of == Reply::bulk(name));
    found.map(|(_, value)| value).ok_or_else(|| format!("{name} is not told: {reply:?}").into())
}
