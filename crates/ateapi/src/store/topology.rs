//! Who owns which slots.

use super::SlotSet;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A node's name in its cluster: it keeps it when it restarts. A single server is called `single`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

impl NodeId {
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    pub fn single() -> Self {
        Self::new("single")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// A name, or an IP address without brackets.
    pub host: Arc<str>,
    pub port: u16,
}

impl Address {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Of `HOST:PORT`, with or without brackets around an IPv6 address.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Some(Self::new(host, port.parse().ok().filter(|&port| port > 0)?))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The current primary of some slots, as the cluster sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub node: NodeId,
    pub address: Address,
    /// Grows whenever slots or the role of primary change hands.
    pub epoch: u64,
    pub slots: SlotSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    /// In the order of their lowest slots. Slots that nobody serves are in none.
    pub owners: Vec<Owner>,
    /// Primaries that own nothing: slots may be on their way to them.
    pub idle: Vec<Owner>,
}

impl Topology {
    pub fn new(primaries: Vec<Owner>) -> Self {
        let (mut owners, idle): (Vec<_>, _) =
            primaries.into_iter().partition(|primary| !primary.slots.is_empty());
        owners.sort_by_key(|owner| owner.slots.first());
        Self { owners, idle }
    }

    pub fn owner(&self, slot: u16) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.slots.contains(slot))
    }

    pub fn node(&self, id: &NodeId) -> Option<&Owner> {
        self.owners.iter().chain(&self.idle).find(|owner| owner.node == *id)
    }
}

/// A primary as it describes itself, and the process that it is. What it says of its own slots holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    pub node: NodeId,
    pub address: Address,
    /// Another one after every start of the process: its cursors mean nothing to the next, unless they
    /// are positions.
    pub run: Arc<str>,
    pub epoch: u64,
    /// Including those that it is giving away.
    pub slots: SlotSet,
    /// Its slots that are on their way to another node: keys may be there already.
    pub migrating: BTreeMap<u16, NodeId>,
    /// Slots that are on their way to it: keys may be here already, and come in its scans.
    pub importing: BTreeMap<u16, NodeId>,
    /// Whether a cursor is a position in an order that stays: it holds after a restart.
    pub positions: bool,
}

impl Shard {
    /// Whether nothing of it is on the move.
    pub fn is_settled(&self) -> bool {
        self.migrating.is_empty() && self.importing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, host, port) in
            [("a.b:1", "a.b", 1), ("127.0.0.1:6379", "127.0.0.1", 6379), ("[::1]:7", "::1", 7)]
        {
            assert_eq!(Address::parse(text), Some(Address::new(host, port)));
            assert_eq!(Address::new(host, port).to_string(), text);
        }
        assert_eq!(Address::parse("::1:7"), Some(Address::new("::1", 7)));
        for text in ["", "a", "a:", "a:0", "a:65536", "a:x"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn owners_are_in_the_order_of_their_slots() {
        let owner = |name: &str, slots: &[u16]| Owner {
            node: NodeId::new(name),
            address: Address::new(name, 1),
            epoch: 1,
            slots: slots.iter().copied().collect(),
        };
        let topology = Topology::new(vec![owner("b", &[7, 9]), owner("none", &[]), owner("a", &[1, 8])]);
        let names: Vec<&str> = topology.owners.iter().map(|owner| owner.node.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(topology.node(&NodeId::new("none")), topology.idle.first());
        assert_eq!(topology.owner(8).unwrap().node, NodeId::new("a"));
        assert_eq!(topology.owner(2), None);
    }
}
