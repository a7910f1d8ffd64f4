//! Transactions and circles in words that a person understands.

use super::graph::{Hop, Link};
use super::history::{History, Id, Odd, Step};
use super::model::{NEVER, Outcome, Value};

/// Of a list, so many of its last values are shown.
const VALUES_SHOWN: usize = 4;

fn millis(nanos: u64) -> String {
    format!("{:.3}", nanos as f64 / 1e6)
}

fn tail(list: &[Value]) -> String {
    let hidden = list.len().saturating_sub(VALUES_SHOWN);
    let shown = list.get(hidden..).unwrap_or_default();
    let mut text = if hidden > 0 { format!("[{hidden} more, ") } else { "[".into() };
    text.push_str(&shown.iter().map(Value::to_string).collect::<Vec<_>>().join(", "));
    text + "]"
}

/// All that is known of it, in one line.
pub(super) fn transaction(history: &History, id: Id) -> String {
    let entry = history.entry(id);
    let end = match (entry.outcome, entry.completed) {
        (Outcome::Unknown, NEVER) => "no answer".into(),
        (Outcome::Unknown, gone) => format!("no answer, server gone before {} ms", millis(gone)),
        (Outcome::Failed, end) => format!("void at {} ms", millis(end)),
        (Outcome::Ok, end) => format!("ok at {} ms", millis(end)),
    };
    let steps = history.steps(id).iter().map(|(key, step)| {
        let list = |len: u32| history.list(*key).get(..len as usize);
        match *step {
            Step::Append(value) => format!("k{key} += {value}"),
            Step::Length(len) => format!("k{key} has {len}"),
            Step::Read(len) => format!("k{key} = {} ({len})", list(len).map_or("?".into(), tail)),
        }
    });
    let steps: Vec<String> = steps.collect();
    let odd = history.odd.iter().filter(|odd| odd.reader == id);
    let odd: String =
        odd.map(|odd| format!("; k{} = {} (contradicts others)", odd.key, tail(&odd.list))).collect();
    format!(
        "T{id} (client {}, {}, sent at {} ms, {end}): {}{odd}",
        entry.client,
        entry.form,
        millis(entry.invoked),
        steps.join("; ")
    )
}

/// Where a read leaves the list that others have read.
pub(super) fn contradiction(history: &History, odd: &Odd) -> String {
    let list = history.list(odd.key);
    let same = list.iter().zip(&odd.list).take_while(|(a, b)| a == b).count();
    let part = |list: &[Value]| {
        let end = list.len().min(same + VALUES_SHOWN);
        format!("{:?}", list.get(same..end).unwrap_or_default())
    };
    format!(
        "k{} is the same up to element {same}, then it goes on with {} for\n  {}\nand with {} for\n  {}",
        odd.key,
        part(list),
        transaction(history, history.longest_reader(odd.key)),
        part(&odd.list),
        transaction(history, odd.reader)
    )
}

/// Its transactions, and for each step why the one must be before the other.
pub(super) fn circle(history: &History, hops: &[Hop]) -> String {
    let mut text =
        format!("{}. Each must be before the next, and the last before the first:\n", nickname(hops));
    for hop in hops {
        text.push_str(&format!("  {}\n", transaction(history, hop.from)));
    }
    for hop in hops {
        text.push_str(&format!("  T{} before T{}: {}\n", hop.from, hop.to, reason(history, hop)));
    }
    text
}

fn nickname(hops: &[Hop]) -> &'static str {
    let links: Vec<Option<Link>> = hops.iter().map(|hop| hop.by.map(|(_, link)| link)).collect();
    let one_key = hops.windows(2).all(|pair| pair[0].by.map(|by| by.0) == pair[1].by.map(|by| by.0));
    use Link::{Connection, ReadWrite, WriteRead, WriteWrite};
    match links.as_slice() {
        [Some(ReadWrite), Some(WriteWrite)] if one_key => "A lost update",
        [Some(ReadWrite), Some(WriteRead)] => "Half of a transaction was read (read skew)",
        [Some(ReadWrite), Some(ReadWrite)] => "Neither saw the other's append (write skew)",
        [Some(ReadWrite), None] => "A stale read",
        [Some(ReadWrite), Some(Connection)] => "A client did not see its own append",
        [Some(WriteWrite), Some(WriteWrite)] => "Two transactions' appends are mixed (dirty write)",
        [Some(WriteRead), Some(WriteRead)] => "Each saw the other's append",
        [Some(WriteWrite), None] => "An append went before one that had been acknowledged",
        [Some(WriteRead), None] => "A value was read before its append was sent",
        _ => "A circle",
    }
}

fn reason(history: &History, hop: &Hop) -> String {
    let Hop { from, to, by } = *hop;
    let Some((key, link)) = by else {
        let gap = history.entry(to).invoked.saturating_sub(history.entry(from).completed);
        return format!("it had ended {} ms before the other was sent", millis(gap));
    };
    match link {
        Link::Connection => "it was sent first, on the same connection".into(),
        Link::WriteWrite => format!("in k{key} its append comes first"),
        Link::WriteRead => format!("T{to} read in k{key} what T{from} appended"),
        Link::ReadWrite => format!("T{from} read k{key} without what T{to} appended"),
    }
}
