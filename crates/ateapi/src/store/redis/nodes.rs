//! CLUSTER NODES: how one node sees its cluster.
//!
//! Of all commands that tell, it is the only one that every version has and that says everything: epochs,
//! and which slots of the node that is asked are on the move.

use crate::store::{Address, NodeId, Owner, SlotSet, Topology};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) topology: Topology,
    /// Others that may be asked when the owners are gone.
    pub(super) replicas: Vec<Address>,
    /// The node that was asked, if it is a primary.
    pub(super) myself: Option<NodeId>,
    pub(super) migrating: BTreeMap<u16, NodeId>,
    pub(super) importing: BTreeMap<u16, NodeId>,
}

/// Reads it. `asked` is where it comes from; `by_name` prefers names to numbers, as certificates do.
pub(super) fn parse(text: &str, asked: &Address, by_name: bool) -> Option<View> {
    let mut view = View::default();
    let mut owners = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, place, flags, _, _, _, epoch, _, slots @ ..] = words.as_slice() else { return None };
        let has = |name: &str| flags.split(',').any(|flag| flag == name);
        let Some(address) = address(place, asked, by_name) else {
            // It has left, or is not known well enough yet.
            continue;
        };
        if has("noaddr") || has("handshake") {
            continue;
        }
        if !has("master") {
            view.replicas.push(address);
            continue;
        }
        let mut owned = SlotSet::new();
        for word in slots {
            read_slots(word, &mut owned, &mut view)?;
        }
        if owned.is_empty() && has("fail") {
            // It has been replaced.
            continue;
        }
        let node = NodeId::new(id);
        if has("myself") {
            view.myself = Some(node.clone());
        }
        owners.push(Owner { node, address, epoch: epoch.parse().ok()?, slots: owned });
    }
    view.topology = Topology::new(owners);
    Some(view)
}

/// `ip:port@cport[,hostname[,more]]`.
fn address(place: &str, asked: &Address, by_name: bool) -> Option<Address> {
    let mut parts = place.split(',');
    let ip = parts.next()?.split('@').next()?;
    let name = parts.next().filter(|name| by_name && !name.is_empty());
    let address = Address::parse(ip)?;
    // A node that has not been told its own address says nothing.
    let host = match name {
        Some(name) => name,
        None if address.host.is_empty() || &*address.host == "?" => &asked.host,
        None => &address.host,
    };
    Some(Address::new(host, address.port))
}

/// `7`, `0-5460`, `[93->-ID]` or `[93-<-ID]`.
fn read_slots(word: &str, owned: &mut SlotSet, view: &mut View) -> Option<()> {
    if let Some(moving) = word.strip_prefix('[') {
        let moving = moving.strip_suffix(']')?;
        let (moves, slot, node) = match moving.split_once("->-") {
            Some((slot, node)) => (&mut view.migrating, slot, node),
            None => moving.split_once("-<-").map(|(slot, node)| (&mut view.importing, slot, node))?,
        };
        moves.insert(slot.parse().ok()?, NodeId::new(node));
    } else {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        owned.insert_range(first.parse().ok()?..=last.parse().ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
aaa 127.0.0.1:7001@17001,name-a myself,master - 0 0 3 connected 5461-10922 [93-<-bbb] [10922->-bbb]
bbb 127.0.0.1:7000@17000 master,fail? - 0 1426238316232 2 connected 0-92 94
ccc 127.0.0.1:7002@17002,,shard-id=x slave bbb 0 1426238317741 2 connected
ddd :0@0 master,noaddr - 0 0 1 disconnected
eee 127.0.0.1:7004@17004 handshake - 0 0 0 connected
fff 127.0.0.1:7005@17005 master - 0 0 0 connected
ggg 127.0.0.1:7006@17006 master,fail - 0 0 0 connected
";

    fn view(by_name: bool) -> View {
        parse(TEXT, &Address::new("asked", 1), by_name).unwrap()
    }

    #[test]
    fn owners_replicas_and_moves_are_read() {
        let view = view(false);
        let owners: Vec<String> = view
            .topology
            .owners
            .iter()
            .map(|owner| format!("{} {} {} {:?}", owner.node, owner.address, owner.epoch, owner.slots))
            .collect();
        assert_eq!(owners, ["bbb 127.0.0.1:7000 2 {0..=92, 94..=94}", "aaa 127.0.0.1:7001 3 {5461..=10922}"]);
        let idle: Vec<&str> = view.topology.idle.iter().map(|idle| idle.node.as_str()).collect();
        assert_eq!(idle, ["fff"]);
        assert_eq!(view.replicas, [Address::new("127.0.0.1", 7002)]);
        assert_eq!(view.myself, Some(NodeId::new("aaa")));
        assert_eq!(view.importing, [(93, NodeId::new("bbb"))].into());
        assert_eq!(view.migrating, [(10922, NodeId::new("bbb"))].into());
    }

    #[test]
    fn names_are_taken_where_certificates_need_them() {
        let owner = view(true).topology.owner(6000).cloned().unwrap();
        assert_eq!(owner.address, Address::new("name-a", 7001));
    }

    #[test]
    fn a_node_without_an_address_is_where_it_was_asked() {
        let text = "aaa :7001@17001 myself,master - 0 0 3 connected 0-16383\n";
        let view = parse(text, &Address::new("asked", 1), false).unwrap();
        assert_eq!(view.topology.owners[0].address, Address::new("asked", 7001));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["x", "aaa a:1@2 master - 0 0 x connected", "aaa a:1@2 master - 0 0 1 connected 1-x"] {
            assert!(parse(text, &Address::new("a", 1), false).is_none(), "{text}");
        }
    }
}
