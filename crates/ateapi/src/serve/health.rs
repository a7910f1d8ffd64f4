//! Health as gRPC has it, and readiness.
//!
//! The server as a whole (service ``) serves until it drains: a probe of liveness asks for that, and no
//! restart of ours helps a store that is down. `ateapi.Control` serves while the store answers, too: a probe
//! of readiness asks for that.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::proto::control_server::SERVICE_NAME;
use crate::store::{Error, NodeId, Store};

/// How often the store is asked, and how long it has to answer.
const PERIOD: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// How long one shard has, and how many are asked at once. When all is well it takes no more than the first of them.
const SHARD_ANSWER_MAX: Duration = Duration::from_secs(1);
const SHARDS_AT_ONCE: usize = 32;

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
        let nodes: Vec<NodeId> = topology.owners.iter().map(|owner| owner.node.clone()).collect();
        any(nodes.into_iter().map(|node| async move {
            let until = deadline.min(Instant::now() + SHARD_ANSWER_MAX);
            store.shard(&node, until).await
        }))
        .await
    };
    timeout_at(deadline, ask).await.unwrap_or(Err(Error::Deadline))
}

/// Whether any of these succeeds. Several are asked at once: those that are silent do not keep the others from answering.
async fn any<T>(asked: impl Iterator<Item = impl Future<Output = Result<T, Error>>>) -> Result<(), Error> {
    let mut answers = pin!(stream::iter(asked).buffer_unordered(SHARDS_AT_ONCE));
    let mut last = Error::unavailable("no node has any slots");
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    /// So many shards say nothing, and the last one answers.
    async fn check(silent: usize, took_max: Duration) {
        let began = Instant::now();
        let ask = |shard| async move {
            if shard == silent {
                return Ok(());
            }
            // tidy-ok: a silent shard; the clock stands still
            sleep(SHARD_ANSWER_MAX).await;
            Err(Error::Deadline)
        };
        any((0..=silent).map(ask)).await.unwrap();
        assert!(began.elapsed() <= took_max, "{silent}: {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_shard_that_answers_is_enough() {
        check(0, Duration::ZERO).await;
        check(1, Duration::ZERO).await;
        check(SHARDS_AT_ONCE - 1, Duration::ZERO).await;
        check(SHARDS_AT_ONCE, SHARD_ANSWER_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_not() {
        let down = |_| async { Err::<(), _>(Error::unavailable("it is down")) };
        for shards in [0, 3] {
            assert!(any((0..shards).map(down)).await.is_err(), "{shards}");
        }
    }
}
