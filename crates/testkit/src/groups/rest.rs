//! What is in the streams when nobody uses them.

use super::entry::{EntryId, wholes};
use super::group::{GroupRest, Pending, Summary};
use super::ledger::{GROUPS, Rest, STREAMS};
use super::{consumer_of, group_name, key};
use crate::{Client, Reply, Result};
use std::collections::BTreeMap;

const PAGE: usize = 1000;

pub fn read(client: &mut Client) -> Result<[Rest; STREAMS]> {
    let mut rests: [Rest; STREAMS] = Default::default();
    for (stream, rest) in rests.iter_mut().enumerate() {
        *rest = stream_rest(client, &key(stream))?;
    }
    Ok(rests)
}

fn stream_rest(client: &mut Client, key: &str) -> Result<Rest> {
    let len = number(&client.want(&format!("XLEN {key}"))?)?;
    let info = fields(&client.want(&format!("XINFO STREAM {key}"))?)?;
    let mut entries = Vec::new();
    let mut from = "-".to_owned();
    loop {
        let page = wholes(&client.want(&format!("XRANGE {key} {from} + COUNT {PAGE}"))?)?;
        let Some((last, _)) = page.last() else { break };
        from = format!("({last}");
        entries.extend(page);
    }
    let mut groups: [GroupRest; GROUPS] = Default::default();
    for reply in client.want(&format!("XINFO GROUPS {key}"))?.items().unwrap_or_default() {
        let told = fields(reply)?;
        let name = get(&told, "name")?.bytes().unwrap_or_default();
        let group = (0..GROUPS).find(|group| group_name(*group).as_bytes() == name);
        let rest = group.and_then(|group| groups.get_mut(group)).ok_or("a group that nobody made")?;
        *rest = group_rest(client, key, &String::from_utf8_lossy(name), &told)?;
    }
    let (added, last) =
        (number(get(&info, "entries-added")?)?, EntryId::of(get(&info, "last-generated-id")?)?);
    if number(get(&info, "length")?)? != len {
        return Err(format!("{key}: XLEN is {len}, XINFO STREAM says {info:?}").into());
    }
    Ok(Rest { len, added, last, entries, groups })
}

fn group_rest(client: &mut Client, key: &str, name: &str, told: &Fields) -> Result<GroupRest> {
    let mut rest = GroupRest {
        last: EntryId::of(get(told, "last-delivered-id")?)?,
        read: get(told, "entries-read")?.integer(),
        lag: get(told, "lag")?.integer(),
        count: number(get(told, "pending")?)?,
        summary: summary(&client.want(&format!("XPENDING {key} {name}"))?)?,
        ..GroupRest::default()
    };
    for consumer in client.want(&format!("XINFO CONSUMERS {key} {name}"))?.items().unwrap_or_default() {
        let told = fields(consumer)?;
        rest.consumers.insert(consumer_of(get(&told, "name")?)?, number(get(&told, "pending")?)?);
    }
    let mut from = "-".to_owned();
    loop {
        let page = client.want(&format!("XPENDING {key} {name} {from} + {PAGE}"))?;
        let page: Vec<Pending> =
            page.items().unwrap_or_default().iter().map(pending).collect::<Result<_>>()?;
        let Some(last) = page.last() else { return Ok(rest) };
        from = format!("({}", last.id);
        rest.pending.extend(page);
    }
}

/// One of what XPENDING lists.
pub fn pending(reply: &Reply) -> Result<Pending> {
    let Some([id, consumer, _, times]) = reply.items() else {
        return Err(format!("{reply:?} is nothing that is pending").into());
    };
    Ok(Pending { id: EntryId::of(id)?, consumer: consumer_of(consumer)?, times: number(times)? })
}

fn summary(reply: &Reply) -> Result<Summary> {
    let Some([count, first, last, consumers]) = reply.items() else {
        return Err(format!("XPENDING: {reply:?}").into());
    };
    let ends = match (first.is_null(), last.is_null()) {
        (true, true) => None,
        _ => Some((EntryId::of(first)?, EntryId::of(last)?)),
    };
    let mut by_consumer = BTreeMap::new();
    for consumer in consumers.items().unwrap_or_default() {
        let Some([name, count]) = consumer.items() else { return Err(format!("{consumer:?}").into()) };
        let count = String::from_utf8_lossy(count.bytes().unwrap_or_default()).parse()?;
        by_consumer.insert(consumer_of(name)?, count);
    }
    Ok(Summary { count: number(count)?, ends, by_consumer })
}

type Fields = BTreeMap<String, Reply>;

/// Names, each with what follows it.
fn fields(reply: &Reply) -> Result<Fields> {
    let items = reply.items().ok_or_else(|| format!("{reply:?} has no fields"))?;
    let pairs = items.chunks_exact(2).filter_map(|pair| Some((pair.first()?, pair.get(1)?)));
    let name = |name: &Reply| String::from_utf8_lossy(name.bytes().unwrap_or_default()).into_owned();
    Ok(pairs.map(|(key, value)| (name(key), value.clone())).collect())
}

fn get<'f>(fields: &'f Fields, name: &str) -> Result<&'f Reply> {
    fields.get(name).ok_or_else(|| format!("{name} is not told").into())
}

fn number(reply: &Reply) -> Result<i64> {
    reply.integer().ok_or_else(|| format!("{reply:?} is no number").into())
}
