//! One command of the load, and what its reply, or that there was none, means for the ledger.

use super::element::{self, With};
use super::ledger::{Event, Id, Queue};
use crate::client::Command;
use crate::{Reply, Result};

#[derive(Debug)]
pub struct Step {
    pub command: Command,
    pub deed: Deed,
}

#[derive(Debug)]
pub enum Deed {
    Push(Queue, Vec<Id>),
    /// From one of these; `keyed` replies name which.
    Pop {
        queues: Vec<Queue>,
        count: usize,
        keyed: bool,
        with: With,
    },
    Remove(Queue, Id),
    Move,
    Look(Queue, With),
}

impl Step {
    pub fn new(line: &str, deed: Deed) -> Self {
        Self { command: crate::client::words(line), deed }
    }

    /// Adds elements in one command.
    pub fn push(name: &str, queue: Queue, ids: Vec<Id>) -> Self {
        let mut command = crate::client::words(&format!("{name} {}", queue.key()));
        for &id in &ids {
            match queue {
                Queue::SortedSet => command.extend([element::score(id).into_bytes(), element::text(id)]),
                Queue::Hash => command.extend([element::text(id), element::value(id)]),
                Queue::Hot | Queue::Second | Queue::Set => command.push(element::text(id)),
            }
        }
        Self { command, deed: Deed::Push(queue, ids) }
    }

    pub fn remove(queue: Queue, id: Id) -> Self {
        let name = if queue == Queue::Hash { "HDEL" } else { "SREM" };
        let mut command = crate::client::words(&format!("{name} {}", queue.key()));
        command.push(element::text(id));
        Self { command, deed: Deed::Remove(queue, id) }
    }

    /// What an answer says. An error is one that no client may see.
    pub fn answered(self, reply: &Reply) -> Result<Vec<Event>> {
        let shown = String::from_utf8_lossy(self.command.first().map_or(&[], Vec::as_slice)).into_owned();
        self.deed.answered(reply).map_err(|error| format!("{shown}: {error}: {reply:?}").into())
    }
}

impl Deed {
    fn answered(self, reply: &Reply) -> Result<Vec<Event>> {
        if reply.is_error() {
            return Err("an error".into());
        }
        match self {
            Self::Push(queue, ids) => {
                let count = reply.integer().ok_or("no number")?;
                let is_list = matches!(queue, Queue::Hot | Queue::Second);
                let is_right = if is_list { count >= ids.len() as i64 } else { count == ids.len() as i64 };
                if !is_right {
                    return Err(format!("{} elements were new", ids.len()).into());
                }
                Ok(vec![Event::Added(queue, ids)])
            }
            Self::Pop { queues, count, keyed, with } => popped(&queues, count, keyed, with, reply),
            Self::Remove(queue, id) => match reply.integer() {
                Some(1) => Ok(vec![Event::Taken(queue, vec![id])]),
                Some(0) => Ok(Vec::new()),
                _ => Err("neither 0 nor 1".into()),
            },
            Self::Move => match reply.bytes() {
                Some(bytes) => Ok(vec![Event::Moved(element::parse(bytes)?)]),
                None if reply.is_null() => Ok(Vec::new()),
                None => Err("no element".into()),
            },
            Self::Look(queue, with) => {
                // A cursor is not an element.
                let reply = reply
                    .items()
                    .and_then(|items| items.get(1))
                    .filter(|page| page.items().is_some())
                    .unwrap_or(reply);
                let mut strings = Vec::new();
                element::flatten(reply, &mut strings);
                let ids = element::elements(&strings, with)?;
                Ok(ids.into_iter().map(|id| Event::Seen(queue, id)).collect())
            }
        }
    }

    /// What it may have done if nobody will ever know.
    pub fn unanswered(self) -> Option<Event> {
        match self {
            Self::Push(queue, ids) => Some(Event::MaybeAdded(queue, ids)),
            Self::Pop { queues, count, .. } => match queues.as_slice() {
                [queue] => Some(Event::MaybeTaken(*queue, count)),
                _ => Some(Event::MaybeTakenFromAList(count)),
            },
            Self::Remove(queue, id) => Some(Event::MaybeRemoved(queue, id)),
            Self::Move => Some(Event::MaybeMoved),
            Self::Look(..) => None,
        }
    }
}

fn popped(queues: &[Queue], count: usize, keyed: bool, with: With, reply: &Reply) -> Result<Vec<Event>> {
    let mut strings = Vec::new();
    element::flatten(reply, &mut strings);
    let mut queue = queues.first().copied();
    if keyed && let Some((key, rest)) = strings.split_first() {
        queue = queues.iter().copied().find(|queue| queue.key().as_bytes() == *key);
        strings = rest.to_vec();
    }
    let queue = queue.ok_or("from a key that was not asked for")?;
    let ids = element::elements(&strings, with)?;
    if ids.len() > count {
        return Err(format!("more than {count}").into());
    }
    if ids.is_empty() { Ok(Vec::new()) } else { Ok(vec![Event::Taken(queue, ids)]) }
}
