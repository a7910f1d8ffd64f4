//! Elements that are all different, and that show by themselves whether they came back whole.

use super::ledger::{Id, Queue};
use crate::reply::printable;
use crate::{Reply, Result};

/// An even number is written as an integer, so that a set may hold integers only; an odd one as
/// text, of which some is too long for a listpack.
pub fn text(id: Id) -> Vec<u8> {
    if id.is_multiple_of(2) {
        return id.to_string().into_bytes();
    }
    let padding = if (id / 2).is_multiple_of(512) { 3000 } else { (id / 2 % 40) as usize };
    format!("e{id}:{}", "x".repeat(padding)).into_bytes()
}

pub fn parse(bytes: &[u8]) -> Result<Id> {
    let digits: Vec<u8> =
        bytes.strip_prefix(b"e").unwrap_or(bytes).iter().copied().take_while(u8::is_ascii_digit).collect();
    let id = String::from_utf8_lossy(&digits).parse().ok().filter(|&id| text(id) == bytes);
    id.ok_or_else(|| format!("{} is no element of ours", printable(bytes)).into())
}

/// Many elements have the same score.
pub fn score(id: Id) -> String {
    ((id % 1000) as f64 / 2.0).to_string()
}

pub fn value(id: Id) -> Vec<u8> {
    format!("v{id}").into_bytes()
}

/// What comes with an element in a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    Nothing,
    Score,
    Value,
}

/// Every string of a reply, however they are nested.
pub fn flatten<'r>(reply: &'r Reply, out: &mut Vec<&'r [u8]>) {
    if let Some(items) = reply.items() {
        items.iter().for_each(|item| flatten(item, out));
    } else if let Some(bytes) = reply.bytes() {
        out.push(bytes);
    }
}

/// The elements of a reply, each checked with what comes with it.
pub fn elements(strings: &[&[u8]], with: With) -> Result<Vec<Id>> {
    if with == With::Nothing {
        return strings.iter().map(|bytes| parse(bytes)).collect();
    }
    let mut ids = Vec::new();
    for pair in strings.chunks(2) {
        let [element, beside] = pair else { return Err("an element without its score or value".into()) };
        let id = parse(element)?;
        let expected = if with == With::Score { score(id).into_bytes() } else { value(id) };
        if expected != *beside {
            return Err(format!("{id} came with {}", printable(beside)).into());
        }
        ids.push(id);
    }
    Ok(ids)
}

pub fn with_of(queue: Queue) -> With {
    match queue {
        Queue::SortedSet => With::Score,
        Queue::Hash => With::Value,
        Queue::Hot | Queue::Second | Queue::Set => With::Nothing,
    }
}
