//! The connections: one a node, opened when it is needed.

use super::Options;
use super::connection::{Connection, Failure};
use crate::store::Address;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

pub(super) struct Pool {
    pub(super) options: Options,
    places: Mutex<HashMap<Address, Arc<Place>>>,
}

#[derive(Default)]
struct Place {
    current: RwLock<Option<Arc<Connection>>>,
    /// Held by the one who opens a connection; holds when and why that failed.
    opening: tokio::sync::Mutex<Option<(Instant, String)>>,
}

impl Pool {
    pub(super) fn new(options: Options) -> Self {
        Self { options, places: Mutex::default() }
    }

    /// The connection to a node. A hundred who want one at once wait for one that is opened, and if
    /// that fails, all of them have failed.
    pub(super) async fn get(&self, address: &Address, deadline: Instant) -> Result<Arc<Connection>, Failure> {
        let place = Arc::clone(self.places.lock().entry(address.clone()).or_default());
        if let Some(connection) = place.ready() {
            return Ok(connection);
        }
        let began = Instant::now();
        let open = async {
            let mut failed = place.opening.lock().await;
            if let Some(connection) = place.ready() {
                return Ok(connection);
            }
            if let Some((_, cause)) = failed.as_ref().filter(|(when, _)| *when >= began) {
                return Err(cause.clone());
            }
            match Connection::open(&self.options, address).await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    *place.current.write() = Some(Arc::clone(&connection));
                    Ok(connection)
                }
                Err(cause) => {
                    *failed = Some((Instant::now(), cause.clone()));
                    Err(cause)
                }
            }
        };
        match timeout_at(deadline, open).await {
            Ok(opened) => opened.map_err(Failure::Unsent),
            Err(_) => Err(Failure::Unsent(format!("{address}: there was no time to connect"))),
        }
    }

    /// Closes the connections to nodes that are no more.
    pub(super) fn keep(&self, addresses: &HashSet<Address>) {
        self.places.lock().retain(|address, _| addresses.contains(address));
    }
}

impl Place {
    fn ready(&self) -> Option<Arc<Connection>> {
        self.current.read().as_ref().filter(|connection| !connection.is_closed()).cloned()
    }
}
