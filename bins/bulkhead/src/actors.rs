//! The actor API in this process: its store is the node itself, by the door that the node has for what it hosts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ateapi::listing::TokenKey;
use ateapi::serve::{self, Bound, Collector, Host, StartError};
use ateapi::service::{self, Acknowledge};
use ateapi::store::Address;
use ateapi::store::redis::{Connector, Options as StoreOptions, RedisStore};
use observe::{Exposition, Source};
use server::Node;
use server::engine::node::inside::{self, Hosted};

use crate::cli::Options;

/// Fewer than the API has as a program of its own, for here it shares the memory with a database: a listing holds a page
/// of up to 3 MiB.
const CALLS_MAX: usize = 256;
/// What is open beside the connections of the database has room for 1,024 files (`server::process`), and the log and the
/// store need some of these.
const CONNECTIONS_MAX: usize = 256;
/// Calls that go on have so long when the node stops, which has to stop itself after that.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Takes the address, before the node has begun anything. Who connects waits until [`serve`].
pub fn bind(options: &Options) -> Result<Option<Bound>, String> {
    let Some(listen) = options.ateapi.0 else { return Ok(None) };
    let mut server = serve::Options::new(listen);
    server.tls = options.tls.files()?;
    server.calls_max = CALLS_MAX;
    server.connections_max = CONNECTIONS_MAX;
    server.connections_per_peer_max = serve::connections_per_peer(CONNECTIONS_MAX);
    server.drain_max = DRAIN_MAX;
    let variable = |name: &str| std::env::var(name).ok();
    server.collector = Collector::find(options.ateapi_otlp_endpoint.as_deref(), variable)
        .map_err(|why| format!("--ateapi-otlp-endpoint: {why}"))?;
    let bound = Bound::new(server).map_err(|error| match error {
        StartError::Listen { .. } => format!("--ateapi: {error}; wanted: another address, or off"),
        error => error.to_string(),
    });
    bound.map(Some)
}

/// Serves the API on what is bound, over a node that is there.
pub fn serve(bound: Bound, node: &Arc<Node>) -> Result<Host, String> {
    let door = Arc::downgrade(node);
    let connector: Connector = Arc::new(move |address| {
        let node = door.upgrade().ok_or_else(|| io::Error::other("the node has stopped"))?;
        if *address != here() {
            return Err(io::Error::other("it is not this node"));
        }
        node.connect_inside()
    });
    let store = RedisStore::new(StoreOptions::inside(here(), connector));
    // Not even for tests: what it clears is in a database with other things in it.
    let rights = service::Options {
        allow_debug_clear: false,
        clear_refusal: "a node that hosts the API never allows it",
        token_key: TokenKey::Stored,
    };
    let host = Host::serve(bound, store, Acknowledge, rights);
    let host = host.map_err(|error| format!("--ateapi: {error}"))?;
    node.inside.host(Arc::new(Shown { address: host.address(), of: host.shown() }));
    Ok(host)
}

fn here() -> Address {
    Address::new(inside::HOST, inside::PORT)
}

struct Shown {
    address: SocketAddr,
    of: Arc<serve::Shown>,
}

impl Hosted for Shown {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn calls(&self) -> u64 {
        self.of.calls()
    }

    fn ready(&self) -> Result<(), String> {
        self.of.ready()
    }

    fn show(&self, page: &mut Exposition) {
        self.of.show(page);
    }
}
