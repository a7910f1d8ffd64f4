//! A Redis or Valkey cluster on loopback: primaries with replicas, slots that move, a primary that dies.
//!
//! Node `n` is a primary if there are more than `n` of them, and then the next ones are their replicas in
//! turn. Fail-overs change roles, not numbers.

use crate::client::{Client, Command, words};
use crate::{Error, Reply, Result, Server, Spec, wait};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A cluster that is not ready by then never will be; on a busy machine the nodes take some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// After so long a silence a node is taken for dead. A busy machine may well let one wait for a second.
const NODE_TIMEOUT_MS: u32 = 2000;

/// How many keys one MIGRATE takes along, as `redis-cli` does with `--cluster-pipeline`.
const KEYS_PER_MIGRATE: usize = 100;
const MIGRATE_TIMEOUT_MS: u32 = 10_000;

const SLOTS: usize = 16_384;

/// How a cluster looks.
#[derive(Debug, Clone)]
pub struct Plan {
    pub spec: Spec,
    pub primaries: usize,
    pub replicas_per_primary: usize,
}

#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
    ids: Vec<String>,
    primaries: usize,
}

/// One node's line of CLUSTER NODES.
#[derive(Debug, Clone)]
struct Line {
    id: String,
    flags: String,
    /// Without those that are on the move.
    slots: Vec<RangeInclusive<u16>>,
}

impl Plan {
    /// Three primaries with a replica each.
    pub fn new(spec: Spec) -> Self {
        Self { spec, primaries: 3, replicas_per_primary: 1 }
    }

    /// Starts it, and returns once every node says that all is well and every replica has its data.
    pub fn start(&self) -> Result<Cluster> {
        let count = self.primaries * (1 + self.replicas_per_primary);
        let mut cluster = Cluster { servers: Vec::new(), ids: Vec::new(), primaries: self.primaries };
        let mut buses = Vec::new();
        for _ in 0..count {
            let bus = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            let server = node(&self.spec, bus).start()?;
            cluster.ids.push(text(&server.client()?.want("CLUSTER MYID")?));
            cluster.servers.push(server);
            buses.push(bus);
        }
        cluster.meet(&buses)?;
        cluster.share_out()?;
        cluster.settle()?;
        Ok(cluster)
    }
}

fn node(spec: &Spec, bus: u16) -> Spec {
    let options = format!(
        "--cluster-enabled yes --cluster-config-file nodes.conf --cluster-port {bus} \
         --cluster-node-timeout {NODE_TIMEOUT_MS} --cluster-replica-validity-factor 0 \
         --repl-diskless-sync-delay 0"
    );
    options.split_whitespace().fold(spec.clone(), Spec::arg)
}

impl Cluster {
    /// All nodes' addresses, as clients take them: `HOST:PORT,HOST:PORT…`.
    pub fn seeds(&self) -> String {
        let seeds: Vec<String> = self.servers.iter().map(|server| server.addr().to_string()).collect();
        seeds.join(",")
    }

    pub fn server(&self, node: usize) -> Result<&Server> {
        Ok(self.servers.get(node).ok_or("no such node")?)
    }

    pub fn id(&self, node: usize) -> Result<&str> {
        Ok(self.ids.get(node).ok_or("no such node")?)
    }

    pub fn client(&self, node: usize) -> Result<Client> {
        self.server(node)?.client()
    }

    /// Waits until a replica of a node has everything that the node has now.
    pub fn wait_for_replica(&self, node: usize) -> Result {
        let mut client = self.client(node)?;
        // IMPORTANT: WAIT is about what was written when its client said something last. Who has said nothing waits for nothing.
        client.want("PING")?;
        match client.want(&format!("WAIT 1 {}", PATIENCE.as_millis()))? {
            Reply::Integer(replicas) if replicas > 0 => Ok(()),
            reply => Err(format!("no replica of node {node} has everything: {reply:?}").into()),
        }
    }

    /// The node that serves a slot, as those that live agree. Waits until they do.
    pub fn owner(&self, slot: u16) -> Result<usize> {
        wait::until("an owner", PATIENCE, || self.agreed_owner(slot))
    }

    /// Kills a node as a crash would.
    pub fn kill(&mut self, node: usize) -> Result {
        self.servers.get_mut(node).ok_or("no such node")?.kill()
    }

    /// Waits until a slot that a killed node had is served by another one. Which one.
    pub fn wait_for_promotion(&self, slot: u16, killed: usize) -> Result<usize> {
        let promoted = || self.agreed_owner(slot).filter(|&owner| owner != killed);
        let owner = wait::until("a promotion", PATIENCE, promoted)?;
        let is_ok = || self.living().all(|node| self.says_ok(node)).then_some(());
        wait::until("the cluster to work again", PATIENCE, is_ok)?;
        Ok(owner)
    }

    /// Moves slots with their keys, as `redis-cli --cluster reshard` does.
    pub fn move_slots(&self, slots: RangeInclusive<u16>, to: usize) -> Result {
        self.begin_move(slots.clone(), to)?;
        while self.move_keys(slots.clone(), to, usize::MAX)? > 0 {}
        self.finish_move(slots, to)
    }

    /// Marks slots as moving, on both sides: keys that are not where they were are asked for at the other.
    pub fn begin_move(&self, slots: RangeInclusive<u16>, to: usize) -> Result {
        let source = self.owner(*slots.start())?;
        let (from_id, to_id) = (self.id(source)?, self.id(to)?);
        let mark = |how: &str, id: &str| -> Vec<Command> {
            slots.clone().map(|slot| words(&format!("CLUSTER SETSLOT {slot} {how} {id}"))).collect()
        };
        all_ok(&mut self.client(to)?, &mark("IMPORTING", from_id))?;
        all_ok(&mut self.client(source)?, &mark("MIGRATING", to_id))
    }

    /// Moves up to so many keys of slots that are marked. How many it has moved.
    pub fn move_keys(&self, slots: RangeInclusive<u16>, to: usize, keys_max: usize) -> Result<usize> {
        let owner = self.owner(*slots.start())?;
        let mut source = self.client(owner)?;
        let target = self.server(to)?.addr();
        let mut moved = 0;
        for slot in slots {
            while moved < keys_max {
                let count = KEYS_PER_MIGRATE.min(keys_max - moved);
                let reply = source.want(&format!("CLUSTER GETKEYSINSLOT {slot} {count}"))?;
                let Reply::Array(keys) = reply else { return Err("GETKEYSINSLOT is not understood".into()) };
                if keys.is_empty() {
                    break;
                }
                moved += keys.len();
                let mut migrate = words(&format!(
                    "MIGRATE {} {} _ 0 {MIGRATE_TIMEOUT_MS} KEYS",
                    target.ip(),
                    target.port()
                ));
                // The place of the one key, which is empty if there are many.
                if let Some(word) = migrate.get_mut(3) {
                    word.clear();
                }
                migrate.extend(keys.iter().filter_map(Reply::bytes).map(<[u8]>::to_vec));
                all_ok(&mut source, &[migrate])
                    .map_err(|error| format!("slot {slot} from node {owner} to {to}: {error}"))?;
            }
        }
        Ok(moved)
    }

    /// Gives slots, whose keys have all moved, to their new owner, and tells every primary.
    pub fn finish_move(&self, slots: RangeInclusive<u16>, to: usize) -> Result {
        let id = self.id(to)?;
        let give: Vec<Command> =
            slots.clone().map(|slot| words(&format!("CLUSTER SETSLOT {slot} NODE {id}"))).collect();
        // The new owner first: if we stopped after the old one, nobody would have them.
        let others = self.living().filter(|&node| node != to && self.is_primary(node));
        for node in std::iter::once(to).chain(others) {
            all_ok(&mut self.client(node)?, &give)?;
        }
        for slot in [*slots.start(), *slots.end()] {
            wait::until("the slots at their new owner", PATIENCE, || {
                self.agreed_owner(slot).filter(|&owner| owner == to)
            })?;
        }
        Ok(())
    }

    fn meet(&self, buses: &[u16]) -> Result {
        for (node, server) in self.servers.iter().enumerate() {
            let mut client = server.client()?;
            for (other, bus) in self.servers.iter().zip(buses).take(node) {
                client.want(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", other.addr().port()))?;
            }
        }
        let know_all = || {
            let knows = |node| {
                let lines = self.lines(node).unwrap_or_default();
                lines.len() == self.servers.len()
                    && lines.iter().all(|line| !line.flags.contains("handshake"))
            };
            self.living().all(knows).then_some(())
        };
        wait::until("the nodes to know each other", PATIENCE, know_all)
    }

    /// Slots for the primaries, and primaries for the others.
    fn share_out(&self) -> Result {
        let first = |node: usize| SLOTS * node / self.primaries;
        for node in 0..self.servers.len() {
            let mut client = self.client(node)?;
            if node < self.primaries {
                client
                    .want(&format!("CLUSTER SET-CONFIG-EPOCH {}", node + 1))
                    .map(drop)
                    .or_else(epoch_is_set)?;
                client.want(&format!("CLUSTER ADDSLOTSRANGE {} {}", first(node), first(node + 1) - 1))?;
            } else {
                client.want(&format!("CLUSTER REPLICATE {}", self.id(node % self.primaries)?))?;
            }
        }
        Ok(())
    }

    fn settle(&self) -> Result {
        let has_data = |node: usize| {
            let info = self.client(node).and_then(|mut client| client.want("INFO replication"));
            info.is_ok_and(|info| text(&info).contains("master_link_status:up"))
        };
        let is_ready = |node: usize| self.says_ok(node) && (node < self.primaries || has_data(node));
        wait::until("the cluster to work", PATIENCE, || self.living().all(is_ready).then_some(()))
    }

    /// The nodes that answer.
    fn living(&self) -> impl Iterator<Item = usize> {
        (0..self.servers.len()).filter(|&node| self.client(node).is_ok())
    }

    fn says_ok(&self, node: usize) -> bool {
        let info = self.client(node).and_then(|mut client| client.want("CLUSTER INFO"));
        info.is_ok_and(|info| text(&info).contains("cluster_state:ok"))
    }

    fn is_primary(&self, node: usize) -> bool {
        let lines = self.lines(node).unwrap_or_default();
        lines.iter().any(|line| line.flags.contains("myself") && line.flags.contains("master"))
    }

    /// The owner of a slot, if all that live name the same one.
    fn agreed_owner(&self, slot: u16) -> Option<usize> {
        let mut agreed = None;
        for node in self.living() {
            let lines = self.lines(node).ok()?;
            let owner = lines.iter().find(|line| line.slots.iter().any(|slots| slots.contains(&slot)))?;
            let owner = self.ids.iter().position(|id| *id == owner.id)?;
            if agreed.is_some_and(|agreed| agreed != owner) {
                return None;
            }
            agreed = Some(owner);
        }
        agreed
    }

    fn lines(&self, node: usize) -> Result<Vec<Line>> {
        let reply = text(&self.client(node)?.want("CLUSTER NODES")?);
        reply
            .lines()
            .map(|line| parse(line).ok_or_else(|| format!("not understood: {line}").into()))
            .collect()
    }
}

/// Nodes that have met give each other epochs by themselves sometimes.
fn epoch_is_set(error: Error) -> Result {
    if error.to_string().contains("config epoch") { Ok(()) } else { Err(error) }
}

fn parse(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split(' ').collect();
    let [id, _, flags, _, _, _, _, _, slots @ ..] = words.as_slice() else { return None };
    let slots = slots.iter().filter(|word| !word.starts_with('[')).map(|word| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    });
    Some(Line { id: (*id).to_owned(), flags: (*flags).to_owned(), slots: slots.collect::<Option<_>>()? })
}

fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(reply.bytes().unwrap_or_default()).into_owned()
}

fn all_ok(client: &mut Client, commands: &[Command]) -> Result {
    let replies = client.pipeline(commands)?;
    match replies.iter().find(|reply| reply.is_error()) {
        Some(error) => Err(format!("{error:?}").into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_nodes_are_read() {
        let line = parse("abc 127.0.0.1:1@2 myself,master - 0 0 3 connected 0-5 7 [93->-def]").unwrap();
        assert_eq!((line.id.as_str(), line.slots), ("abc", vec![0..=5, 7..=7]));
        assert!(parse("nonsense").is_none());
    }
}
