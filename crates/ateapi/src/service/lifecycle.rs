//! Resume, suspend and pause: the calls of many steps.
//!
//! The actor's record says at each moment how far its call has come, so that any call of the same kind,
//! on any replica, goes on from there:
//!
//! | step of a resume | record of the actor | record of the worker |
//! | --- | --- | --- |
//! | a free worker is found | SUSPENDED or PAUSED | free |
//! | it is named | RESUMING, names it | free |
//! | it is claimed | RESUMING, names it | names the actor |
//! | its machine has the actor | RUNNING, names it | names the actor |
//!
//! | step of a suspend or a pause | record of the actor | record of the worker |
//! | --- | --- | --- |
//! | it begins | SUSPENDING or PAUSING, with a snapshot in progress | names the actor |
//! | the snapshot is taken | the same, and the snapshot is the latest | names the actor |
//! | the worker is given back | the same | free |
//! | it is over | SUSPENDED or PAUSED, names no worker | free, or somebody else's |
//!
//! What makes it safe for two calls to work at one actor:
//!
//! - Every step is a compare-and-set on what the step read, and no text is ever written twice.
//! - A worker is claimed only after the actor names it, and written anew by whoever claims it again. The
//!   step to RUNNING compares the actor's record from before the claim. So a running actor has its worker.
//! - A worker is given back only by whoever has read its claim before a state of the actor that does not
//!   want it: a claim of a later resume is another text, and the compare-and-set fails.

use tokio::time::{Instant, timeout_at};

use super::actors::{BEGINNINGS_MAX, refuse};
use super::error::{Error, Result};
use super::records::{name, pause};
use super::runtime::{Failure, WorkerRuntime};
use super::transition::{Decision, Verb, decide};
use super::workers::{is_claimed_by, key_named_by, set_worker};
use super::{Service, directory};
use crate::document::Document;
use crate::names::Key;
use crate::proto::actor::Status;
use crate::proto::snapshot_info::Data;
use crate::proto::{Actor, ExternalSnapshotInfo, LocalSnapshotInfo, SnapshotInfo, SnapshotType, Worker};
use crate::store::{self, Store};

/// What comes of a step: the actor after it, or that another call has come before it.
type Step = Result<Option<Document<Actor>>>;

/// How far a resume has come.
enum Resumed {
    Running(Actor),
    /// It needs a worker.
    Homeless(Document<Actor>),
    /// Another call has come before it.
    Overtaken,
}

/// Where an actor is at rest whose resume is given up, or whose snapshot is taken.
fn at_rest(actor: &Actor) -> Status {
    match actor.latest_snapshot_info.as_ref().map(SnapshotInfo::r#type) {
        Some(SnapshotType::Local) => Status::Paused,
        _ => Status::Suspended,
    }
}

impl<S: Store, W: WorkerRuntime> Service<S, W> {
    pub(super) async fn resume_actor(&self, key: &Key<'_>, boot: bool, deadline: Instant) -> Result<Actor> {
        let mut named = None;
        for tries in 0..BEGINNINGS_MAX {
            match self.try_resume(named.take(), boot, key, deadline).await? {
                Resumed::Running(actor) => return Ok(actor),
                // IMPORTANT: it is nobody's turn meanwhile. To find a worker may take long, and whoever keeps
                // others from suspending may wait for the very worker that this would free.
                Resumed::Homeless(actor) => named = self.name_worker(&actor, boot, key, deadline).await?,
                Resumed::Overtaken => {}
            }
            if named.is_none() {
                pause(tries, deadline).await;
            }
        }
        Err(Error::Raced(name(key)))
    }

    /// Resumes an actor as far as it goes without looking for a worker. `named`: as it is now.
    async fn try_resume(
        &self,
        named: Option<Document<Actor>>,
        boot: bool,
        key: &Key<'_>,
        deadline: Instant,
    ) -> Result<Resumed> {
        let _turn = self.moves.take(key, deadline).await?;
        let actor = match named {
            Some(actor) => actor,
            None => self.records.need::<Actor>(key, deadline).await?,
        };
        match decide(actor.record.status(), Verb::Resume) {
            Decision::Refuse(why) => refuse(key, why),
            Decision::Nothing => Ok(Resumed::Running(actor.record)),
            Decision::Begin => Ok(Resumed::Homeless(actor)),
            Decision::Continue => self.run(actor, boot, key, deadline).await,
        }
    }

    /// Chooses a worker and writes its name down. If there is none, the resume ends.
    async fn name_worker(
        &self,
        actor: &Document<Actor>,
        boot: bool,
        key: &Key<'_>,
        deadline: Instant,
    ) -> Step {
        let worker = match self.find_worker(&actor.record, boot, deadline).await {
            Ok(worker) => worker,
            Err(error @ Error::Exhausted(_)) => return self.give_up(actor, error, key, deadline).await,
            Err(error) => return Err(error),
        };
        let mut resuming = actor.record.clone();
        resuming.set_status(Status::Resuming);
        set_worker(&mut resuming, Some(&worker.record));
        let named = self.records.swap(actor, resuming, deadline).await?;
        if named.is_none() {
            // It still is free, as far as we know.
            self.directory.saw(&worker);
        }
        Ok(named)
    }

    /// There is no worker for an actor: it rests, and the call fails, unless another has changed it meanwhile.
    async fn give_up(&self, actor: &Document<Actor>, error: Error, key: &Key<'_>, deadline: Instant) -> Step {
        let is_still_so = match actor.record.status() {
            Status::Resuming => {
                let mut resting = actor.record.clone();
                resting.set_status(at_rest(&actor.record));
                set_worker(&mut resting, None);
                self.records.swap(actor, resting, deadline).await?.is_some()
            }
            _ => self.records.need::<Actor>(key, deadline).await?.text == actor.text,
        };
        if !is_still_so {
            return Ok(None);
        }
        tracing::debug!(actor = %key, %error, "a resume is given up");
        Err(error)
    }

    /// Brings an actor that is being resumed to the worker that it names.
    async fn run(
        &self,
        actor: Document<Actor>,
        boot: bool,
        key: &Key<'_>,
        deadline: Instant,
    ) -> Result<Resumed> {
        let named = match key_named_by(&actor.record) {
            Some(named) => self.records.get::<Worker>(&named, deadline).await?,
            None => None,
        };
        let usable = named.filter(|worker| {
            directory::is_free(&worker.record) || is_claimed_by(&worker.record, &actor.record)
        });
        // It is gone, or somebody else's.
        let Some(worker) = usable else { return Ok(Resumed::Homeless(actor)) };
        let claimed = self.claim(&worker, &actor.record, deadline).await?;
        let Some(claimed) = claimed else { return Ok(Resumed::Overtaken) };
        self.ask(self.runtime.start(&actor.record, &claimed.record, boot), deadline).await?;
        let mut running = actor.record.clone();
        running.set_status(Status::Running);
        set_worker(&mut running, Some(&claimed.record));
        match self.records.swap(&actor, running, deadline).await? {
            Some(running) => Ok(Resumed::Running(running.record)),
            None => {
                self.let_go(&claimed, key, deadline).await?;
                Ok(Resumed::Overtaken)
            }
        }
    }

    pub(super) async fn suspend_actor(&self, key: &Key<'_>, deadline: Instant) -> Result<Actor> {
        self.put_to_rest(key, Verb::Suspend, deadline).await
    }

    pub(super) async fn pause_actor(&self, key: &Key<'_>, deadline: Instant) -> Result<Actor> {
        self.put_to_rest(key, Verb::Pause, deadline).await
    }

    async fn put_to_rest(&self, key: &Key<'_>, verb: Verb, deadline: Instant) -> Result<Actor> {
        let _turn = self.moves.take(key, deadline).await?;
        for tries in 0..BEGINNINGS_MAX {
            let actor = self.records.need::<Actor>(key, deadline).await?;
            let ending = match decide(actor.record.status(), verb) {
                Decision::Refuse(why) => return refuse(key, why),
                Decision::Nothing => return Ok(actor.record),
                Decision::Begin => self.begin_rest(&actor, verb, deadline).await?,
                Decision::Continue => Some(actor),
            };
            let Some(ending) = ending else {
                pause(tries, deadline).await;
                continue;
            };
            // A resume that is given up may end in a pause: then the suspending begins.
            match self.end_run(&ending, deadline).await? {
                Some(resting) if decide(resting.record.status(), verb) == Decision::Nothing => {
                    return Ok(resting.record);
                }
                Some(_) => {}
                None => pause(tries, deadline).await,
            }
        }
        Err(Error::Raced(name(key)))
    }

    async fn begin_rest(&self, actor: &Document<Actor>, verb: Verb, deadline: Instant) -> Step {
        let (status, kind) = match verb {
            Verb::Pause => (Status::Pausing, SnapshotType::Local),
            _ => (Status::Suspending, SnapshotType::External),
        };
        let mut ending = actor.record.clone();
        // What is being resumed has nothing to save yet.
        if actor.record.status() != Status::Resuming {
            ending.in_progress_snapshot = self.runtime.snapshot_prefix(&actor.record, kind);
        }
        ending.set_status(status);
        self.records.swap(actor, ending, deadline).await
    }

    /// Takes the snapshot, gives back the worker, and ends in the state of rest.
    async fn end_run(&self, actor: &Document<Actor>, deadline: Instant) -> Step {
        let worker = match key_named_by(&actor.record) {
            Some(named) => self.records.get::<Worker>(&named, deadline).await?,
            None => None,
        };
        let worker = worker.filter(|worker| is_claimed_by(&worker.record, &actor.record));
        let Some(saved) = self.save(actor, worker.as_ref(), deadline).await? else { return Ok(None) };
        if let Some(worker) = &worker {
            self.ask(self.runtime.clear(&saved.record, &worker.record), deadline).await?;
            // IMPORTANT: the claim was read before this: if the actor is still as it was, it is the claim
            // of the run that ends, and not of a later one.
            let key = crate::Record::key(&saved.record);
            let now = self.records.get::<Actor>(&key, deadline).await?;
            if now.is_none_or(|now| now.text != saved.text) || self.free(worker, deadline).await?.is_none() {
                return Ok(None);
            }
        }
        let mut resting = saved.record.clone();
        resting.set_status(at_rest(&saved.record));
        set_worker(&mut resting, None);
        self.records.swap(&saved, resting, deadline).await
    }

    /// Takes the snapshot that is in progress, if there is one, and writes it down.
    async fn save(
        &self,
        actor: &Document<Actor>,
        worker: Option<&Document<Worker>>,
        deadline: Instant,
    ) -> Step {
        let record = &actor.record;
        if record.in_progress_snapshot.is_empty() {
            return Ok(Some(actor.clone()));
        }
        let kind = match record.status() {
            Status::Pausing => SnapshotType::Local,
            _ => SnapshotType::External,
        };
        let worker = worker.map(|worker| &worker.record);
        let mut saved = record.clone();
        saved.in_progress_snapshot.clear();
        if worker.is_none() && key_named_by(record).is_some() {
            // Its pod is gone, and what it did since its latest snapshot with it.
            tracing::warn!(actor = %crate::Record::key(record), "its worker is gone: no snapshot can be taken");
        } else {
            self.ask(self.runtime.save(record, worker, kind), deadline).await?;
            let node = worker.map(|worker| worker.node_name.clone()).filter(|node| !node.is_empty());
            saved.latest_snapshot_info = Some(snapshot(kind, record.in_progress_snapshot.clone(), node));
        }
        self.records.swap(actor, saved, deadline).await
    }

    /// Waits for a machine, but not for ever.
    async fn ask(
        &self,
        work: impl Future<Output = Result<(), Failure>> + Send,
        deadline: Instant,
    ) -> Result<()> {
        match timeout_at(deadline, work).await {
            Ok(done) => done.map_err(|Failure(why)| Error::Runtime(why)),
            Err(_) => Err(store::Error::Deadline.into()),
        }
    }
}

fn snapshot(kind: SnapshotType, prefix: String, node: Option<String>) -> SnapshotInfo {
    let data = match kind {
        SnapshotType::Local => Data::Local(LocalSnapshotInfo {
            snapshot_prefix: prefix,
            node_vms_with_local_snapshots: node.into_iter().collect(),
        }),
        _ => Data::External(ExternalSnapshotInfo { snapshot_uri_prefix: prefix }),
    };
    SnapshotInfo { r#type: kind.into(), data: Some(data) }
}
