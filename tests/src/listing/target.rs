//! The stores that are listed: one server, or a cluster.

use super::{ATESPACE, name};
use ateapi::Key;
use base::slot;
use std::net::SocketAddr;
use std::str::FromStr;
use testkit::client::Command;
use testkit::cluster::Plan;
use testkit::{Client, Cluster, Durability, Result, Server, Spec};

const FILL_CHUNK: usize = 10_000;
/// After so many it is said how far it is.
const FILL_SAID: usize = 1_000_000;
pub(super) const PRIMARIES: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Redis,
    RedisCluster,
    ValkeyCluster,
    Bulkhead { groups: u16 },
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "redis" => Ok(Self::Redis),
            "redis-cluster" => Ok(Self::RedisCluster),
            "valkey-cluster" => Ok(Self::ValkeyCluster),
            "bulkhead" => Ok(Self::Bulkhead { groups: 1 }),
            "bulkhead-groups" => Ok(Self::Bulkhead { groups: 4 }),
            _ => Err("redis, redis-cluster, valkey-cluster, bulkhead, or bulkhead-groups".into()),
        }
    }
}

/// A store that runs.
pub enum Target {
    One(Box<Server>),
    Cluster(Box<Cluster>),
}

impl Target {
    pub fn start(kind: Kind) -> Result<Self> {
        let cluster = |spec: Spec| Plan::new(spec.durability(Durability::None)).start();
        Ok(match kind {
            // It has its data again after a restart.
            Kind::Redis => Self::One(Box::new(Spec::redis()?.start()?)),
            Kind::RedisCluster => Self::Cluster(Box::new(cluster(Spec::redis()?)?)),
            Kind::ValkeyCluster => Self::Cluster(Box::new(cluster(Spec::valkey()?)?)),
            Kind::Bulkhead { groups } => {
                let spec = Spec::bulkhead()?.arg("--groups").arg(groups.to_string());
                Self::One(Box::new(spec.start()?))
            }
        })
    }

    /// Its address, or those of all nodes, as the store's client takes them.
    pub fn seeds(&self) -> String {
        match self {
            Self::One(server) => server.addr().to_string(),
            Self::Cluster(cluster) => cluster.seeds(),
        }
    }

    /// Puts the actors there, past the API.
    pub(super) fn fill(
        &self,
        actors: usize,
        text: impl Fn(usize) -> Result<Vec<u8>>,
        say: &mut dyn FnMut(usize),
    ) -> Result {
        let key = |number| Key::Actor { atespace: ATESPACE, id: &name(number) }.to_string();
        for first in (0..actors).step_by(FILL_CHUNK) {
            let numbers = first..actors.min(first + FILL_CHUNK);
            let records = numbers.map(|number| Ok((key(number), text(number)?)));
            self.put(&records.collect::<Result<Vec<_>>>()?)?;
            if first > 0 && first.is_multiple_of(FILL_SAID) {
                say(first);
            }
        }
        Ok(())
    }

    /// Writes records past the API: a key and a text each. In a cluster all slots are where they were at first.
    pub fn put(&self, records: &[(String, Vec<u8>)]) -> Result {
        let mut clients = self.clients()?;
        let mut commands: Vec<Vec<Command>> = clients.iter().map(|_| Vec::new()).collect();
        for (key, text) in records {
            let place = owner_at_first(slot::of(key.as_bytes()), clients.len()).unwrap_or_default();
            let command = vec![b"SET".to_vec(), key.clone().into_bytes(), text.clone()];
            commands.get_mut(place).ok_or("no such node")?.push(command);
        }
        for (client, commands) in clients.iter_mut().zip(commands) {
            send(client, &commands)?;
        }
        Ok(())
    }

    /// Where the primaries are, in the order of their slots.
    pub fn primaries(&self) -> Result<Vec<SocketAddr>> {
        match self {
            Self::One(server) => Ok(vec![server.addr()]),
            Self::Cluster(cluster) => (0..PRIMARIES).map(|node| Ok(cluster.server(node)?.addr())).collect(),
        }
    }

    /// A client of each primary, in the order of their slots.
    pub fn clients(&self) -> Result<Vec<Client>> {
        match self {
            Self::One(server) => Ok(vec![server.client()?]),
            Self::Cluster(cluster) => (0..PRIMARIES).map(|node| cluster.client(node)).collect(),
        }
    }
}

/// Which primary of a new cluster has a slot.
pub(super) fn owner_at_first(slot: u16, primaries: usize) -> Option<usize> {
    let first = |node: usize| usize::from(slot::SLOTS) * node / primaries;
    (0..primaries).find(|&node| (first(node)..first(node + 1)).contains(&usize::from(slot)))
}

fn send(client: &mut Client, commands: &[Command]) -> Result {
    if commands.is_empty() {
        return Ok(());
    }
    match client.pipeline(commands)?.iter().find(|reply| reply.is_error()) {
        Some(error) => Err(format!("filling: {error:?}").into()),
        None => Ok(()),
    }
}
