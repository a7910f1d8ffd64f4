//! Health as gRPC has it, and readiness.
//!
//! The server as a whole (service ``) serves until it drains: a probe of liveness asks for that, and no
//! restart of ours helps a store that is down. `ateapi.Control` serves while the store answers, too: a probe
//! of readiness asks for that.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::proto::control_server::SERVICE_NAME;
use crate::store::{Error, Store};

/// How often the store is asked, and how long it has to answer.
const PERIOD: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Whether the server can do its work, as it was found last.
#[derive(Debug)]
pub struct Readiness(Mutex<Result<(), String>>);

impl Default for Readiness {
    fn default() -> Self {
        Self(Mutex::new(Err("it starts".into())))
    }
}

impl Readiness {
    pub fn get(&self) -> Result<(), String> {
        self.0.lock().clone()
    }

    fn set(&self, now: Result<(), String>) {
        let mut last = self.0.lock();
        match (&*last, &now) {
            (Ok(()), Err(why)) => tracing::warn!(why, "the store does not answer"),
            (Err(_), Ok(())) => tracing::info!("the store answers"),
            _ => {}
        }
        *last = now;
    }
}

/// Looks after the health until `draining` says that the server stops.
pub async fn watch<S: Store>(
    store: Arc<S>,
    reporter: HealthReporter,
    readiness: Arc<Readiness>,
    mut draining: watch::Receiver<bool>,
) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = draining.wait_for(|is_draining| *is_draining) => break,
        }
        let probed = tokio::select! {
            probed = probe(&*store) => probed,
            _ = draining.wait_for(|is_draining| *is_draining) => break,
        };
        let status = if probed.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status(SERVICE_NAME, status).await;
        readiness.set(probed.map_err(|error| error.to_string()));
    }
    for service in ["", SERVICE_NAME] {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
    }
    *readiness.0.lock() = Err("it stops".into());
}

/// Whether any shard answers: while one does, there are calls that succeed.
async fn probe(store: &impl Store) -> Result<(), Error> {
    let deadline = Instant::now() + ANSWER_MAX;
    let ask = async {
        let topology = store.topology(deadline).await?;
        let mut last = Error::unavailable("no node has any slots");
        for owner in &topology.owners {
            match store.shard(&owner.node, deadline).await {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    timeout_at(deadline, ask).await.unwrap_or(Err(Error::Deadline))
}
