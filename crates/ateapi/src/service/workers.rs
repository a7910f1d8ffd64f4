//! Finding a worker, claiming it, and giving it back.

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::Service;
use super::directory::is_free;
use super::error::{Error, Result};
use super::records::pause;
use super::runtime::WorkerRuntime;
use super::search::{Since, Stand};
use super::selector::Wanted;
use crate::document::Document;
use crate::names::Key;
use crate::proto::actor::Status;
use crate::proto::{Actor, Worker};
use crate::record::Record;
use crate::store::{self, Store};

/// How many busy workers are looked at, when none is free, whether the actor that has claimed them still
/// wants them; and how many at once.
const CLAIMS_CHECKED_MAX: usize = 1000;
const CLAIMS_AT_ONCE: usize = 16;

/// Whether a worker is claimed by an actor.
pub fn is_claimed_by(worker: &Worker, actor: &Actor) -> bool {
    worker.actor_id == actor.actor_id && worker.actor_atespace == actor.atespace
}

/// Whether an actor runs on a worker, or is about to.
fn names(actor: &Actor, worker: &Worker) -> bool {
    actor.ateom_pod_namespace == worker.worker_namespace
        && actor.worker_pool_name == worker.worker_pool
        && actor.ateom_pod_name == worker.worker_pod
}

/// The key of the worker that an actor names. `None`: it names none.
pub fn key_named_by(actor: &Actor) -> Option<Key<'_>> {
    (!actor.ateom_pod_name.is_empty()).then_some(Key::Worker {
        namespace: &actor.ateom_pod_namespace,
        pool: &actor.worker_pool_name,
        pod: &actor.ateom_pod_name,
    })
}

/// Puts a worker's name into an actor's record.
pub fn set_worker(actor: &mut Actor, worker: Option<&Worker>) {
    let text = |of: fn(&Worker) -> &String| worker.map(of).cloned().unwrap_or_default();
    actor.ateom_pod_namespace = text(|it| &it.worker_namespace);
    actor.worker_pool_name = text(|it| &it.worker_pool);
    actor.ateom_pod_name = text(|it| &it.worker_pod);
    actor.ateom_pod_ip = text(|it| &it.ip);
    actor.ateom_pod_uid = text(|it| &it.worker_pod_uid);
}

fn set_actor(worker: &mut Worker, actor: Option<&Actor>) {
    let text = |of: fn(&Actor) -> &String| actor.map(of).cloned().unwrap_or_default();
    worker.actor_namespace = text(|it| &it.actor_template_namespace);
    worker.actor_template = text(|it| &it.actor_template_name);
    worker.actor_id = text(|it| &it.actor_id);
    worker.actor_atespace = text(|it| &it.atespace);
}

impl<S: Store, W: WorkerRuntime> Service<S, W> {
    /// A worker that is free and as the actor wants it, other than the one it names.
    pub(super) async fn find_worker(
        &self,
        actor: &Actor,
        boot: bool,
        deadline: Instant,
    ) -> Result<Document<Worker>> {
        let wanted = Wanted::of(actor, boot);
        let except = key_named_by(actor).map(|key| key.to_string()).unwrap_or_default();
        let since = self.search.now();
        if let Some(worker) = self.known_worker(&wanted, &except, deadline).await? {
            return Ok(worker);
        }
        // What others have given back is not known here before it is looked at.
        if let Some(worker) = self.recheck(&wanted, &except, false, deadline).await? {
            return Ok(worker);
        }
        if let Some(worker) = self.searched_worker(&since, &wanted, &except, deadline).await? {
            return Ok(worker);
        }
        if let Some(worker) = self.recheck(&wanted, &except, true, deadline).await? {
            return Ok(worker);
        }
        // What others have got here, and do not need in the end, comes back within a moment.
        for tries in 0.. {
            if !self.directory.is_any_taken(&wanted, &except) || Instant::now() >= deadline {
                break;
            }
            pause(tries, deadline).await;
            if let Some(worker) = self.known_worker(&wanted, &except, deadline).await? {
                return Ok(worker);
            }
        }
        let busy = self.directory.busy_count(&wanted);
        let text = wanted.text();
        Err(Error::Exhausted(match busy {
            0 => format!("there is no worker{text}"),
            _ => format!("no worker{text} is free: {busy} are busy"),
        }))
    }

    /// One that is remembered, and still free.
    async fn known_worker(
        &self,
        wanted: &Wanted<'_>,
        except: &str,
        deadline: Instant,
    ) -> Result<Option<Document<Worker>>> {
        while let Some(key_text) = self.directory.take(wanted, except) {
            let Some(key) = Key::parse(key_text.as_bytes()) else { continue };
            match self.records.get::<Worker>(&key, deadline).await {
                Ok(Some(worker)) => {
                    if is_free(&worker.record) && wanted.is_met_by(&worker.record, &worker.extra) {
                        return Ok(Some(worker));
                    }
                    // As it is now, it can be taken only if it is free, but not as wanted here.
                    self.directory.saw(&worker);
                }
                Ok(None) => self.directory.lost(&key_text),
                // It is no worker any more.
                Err(error) if error.is_of_record() => self.directory.lost(&key_text),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Waits for the search to meet one. `None`: it has met all that there are.
    async fn searched_worker(
        &self,
        since: &Since,
        wanted: &Wanted<'_>,
        except: &str,
        deadline: Instant,
    ) -> Result<Option<Document<Worker>>> {
        let mut news = self.search.news();
        loop {
            // IMPORTANT: in this order, so that what was met at last is known.
            let stand = self.search.stand(since, deadline);
            if let Some(worker) = self.known_worker(wanted, except, deadline).await? {
                return Ok(Some(worker));
            }
            match stand {
                Stand::Over => return Ok(None),
                Stand::Failed(error) => return Err(error.into()),
                Stand::Going => {}
            }
            if timeout_at(deadline, news.changed()).await.is_err() {
                return Err(store::Error::Deadline.into());
            }
        }
    }

    /// Looks again at workers that were busy. `reclaims`: also for a claim that nobody wants any more, as
    /// its maker has claimed a worker for an actor that somebody else has suspended or deleted meanwhile,
    /// and has died before it could give it back.
    async fn recheck(
        &self,
        wanted: &Wanted<'_>,
        except: &str,
        reclaims: bool,
        deadline: Instant,
    ) -> Result<Option<Document<Worker>>> {
        let busy = self.directory.busy(wanted, CLAIMS_CHECKED_MAX).into_iter();
        let busy = busy.filter(|worker| worker.key().to_string() != except);
        let checks = busy.map(|worker| self.free_if_unwanted(worker, reclaims, deadline));
        let mut checks = stream::iter(checks).buffer_unordered(CLAIMS_AT_ONCE);
        while let Some(freed) = checks.next().await {
            if let Some(worker) = freed? {
                return Ok(Some(worker));
            }
        }
        Ok(None)
    }

    /// A worker, if it is free by now, or is freed here.
    async fn free_if_unwanted(
        &self,
        seen: Worker,
        reclaims: bool,
        deadline: Instant,
    ) -> Result<Option<Document<Worker>>> {
        // IMPORTANT: the claim is read before the actor. If it was wanted then, the actor has let go of it
        // since, and whoever claims it again for the same actor writes it anew: the swap below fails.
        let worker = match self.records.get::<Worker>(&seen.key(), deadline).await {
            Ok(Some(worker)) => worker,
            Err(error) if !error.is_of_record() => return Err(error),
            // It is gone, or no worker any more.
            Ok(None) | Err(_) => {
                self.directory.lost(&seen.key().to_string());
                return Ok(None);
            }
        };
        if is_free(&worker.record) {
            return Ok(Some(worker));
        }
        if !reclaims {
            return Ok(None);
        }
        let key = Key::Actor { atespace: &worker.record.actor_atespace, id: &worker.record.actor_id };
        let actor = self.records.get::<Actor>(&key, deadline).await;
        let actor = match actor {
            Ok(actor) => actor,
            // Whatever it wants, it is not to be lost.
            Err(error) if error.is_of_record() => return Ok(None),
            Err(error) => return Err(error),
        };
        if actor.is_some_and(|actor| names(&actor.record, &worker.record)) {
            return Ok(None);
        }
        let freed = self.free(&worker, deadline).await?;
        if freed.is_some() {
            tracing::info!(worker = %worker.record.key(), actor = %key, "a claim that nobody wants is given back");
        }
        Ok(freed)
    }

    /// Claims a worker for an actor that names it. It is written anew even if it is claimed already: so
    /// whoever wants to give back the older claim fails.
    pub(super) async fn claim(
        &self,
        worker: &Document<Worker>,
        actor: &Actor,
        deadline: Instant,
    ) -> Result<Option<Document<Worker>>> {
        let mut record = worker.record.clone();
        set_actor(&mut record, Some(actor));
        let claimed = self.records.swap(worker, record, deadline).await?;
        if let Some(claimed) = &claimed {
            self.directory.saw(claimed);
        }
        Ok(claimed)
    }

    /// Gives a worker back, if it still is as it was read.
    pub(super) async fn free(
        &self,
        worker: &Document<Worker>,
        deadline: Instant,
    ) -> Result<Option<Document<Worker>>> {
        let mut record = worker.record.clone();
        set_actor(&mut record, None);
        let freed = self.records.swap(worker, record, deadline).await?;
        if let Some(freed) = &freed {
            self.directory.saw(freed);
        }
        Ok(freed)
    }

    /// Gives back a claim whose actor has changed before it could run, unless it still wants it.
    pub(super) async fn let_go(
        &self,
        claimed: &Document<Worker>,
        key: &Key<'_>,
        deadline: Instant,
    ) -> Result<()> {
        let actor = self.records.get::<Actor>(key, deadline).await?;
        let is_wanted = actor.is_some_and(|actor| {
            let is_up = matches!(actor.record.status(), Status::Resuming | Status::Running);
            is_up && names(&actor.record, &claimed.record)
        });
        if !is_wanted {
            self.free(claimed, deadline).await?;
        }
        Ok(())
    }
}
