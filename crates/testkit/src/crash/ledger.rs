//! Connections that write to a server which goes on, and what it must hold of that whenever they pause.

use super::worker::{Shared, Worker};
use super::{Summary, verdict};
use crate::{Client, Result, Rng, wait};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The others' keys are in database 0.
const DATABASE: &str = "SELECT 1";
const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Ledger {
    workers: Vec<Worker>,
    shared: Shared,
}

impl Ledger {
    pub fn new(connections: usize, rng: &Rng) -> Self {
        let workers = (0..connections).map(|id| Worker::new(id, rng)).collect();
        Self { workers, shared: Shared::default() }
    }

    /// They write for as long as `during` takes. Errors that `explains` knows have had no effect; all others are
    /// wrong. Says how many connections were closed: what those had under way may be there or not.
    pub fn load(
        &mut self,
        addr: SocketAddr,
        explains: fn(&str) -> bool,
        during: impl FnOnce() -> Result,
    ) -> Result<usize> {
        let (is_over, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let load = |worker: &mut Worker| -> Result {
                let mut client = connect(addr)?;
                worker.load(&mut client, &is_over, &acknowledged, &explains)
            };
            let threads: Vec<_> =
                self.workers.iter_mut().map(|worker| scope.spawn(move || load(worker))).collect();
            let mut outcome = during();
            is_over.store(true, Ordering::SeqCst);
            for thread in threads {
                outcome = outcome.and(thread.join().map_err(|_| "a load thread panicked")?);
            }
            outcome
        })?;
        Ok(self.workers.iter().filter(|worker| !worker.in_flight.is_empty()).count())
    }

    /// While nobody writes.
    pub fn check(&mut self, addr: SocketAddr) -> Result<Summary> {
        verdict::check(&mut connect(addr)?, &mut self.workers, &mut self.shared)
    }
}

/// Somebody may have all places, or all memory, for a while.
fn connect(addr: SocketAddr) -> Result<Client> {
    wait::until("a place", CONNECT_TIME_MAX, || {
        let mut client = Client::connect(addr).ok()?;
        client.want(DATABASE).ok().map(|_| client)
    })
}
