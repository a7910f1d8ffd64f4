//! Making, reading, updating and deleting actors.

use tokio::time::Instant;

use super::Service;
use super::error::{Error, Result};
use super::mark;
use super::records::{name, pause};
use super::runtime::WorkerRuntime;
use super::selector;
use super::transition::{Decision, Verb, decide};
use crate::document::Document;
use crate::names::{self, Key};
use crate::proto::actor::Status;
use crate::proto::{Actor, ActorRef, Atespace, CreateActorRequest, Selector};
use crate::store::Store;

/// How often a call begins anew because others change what it works on.
pub(super) const BEGINNINGS_MAX: u32 = 32;

/// The key of an actor that a request names.
pub(super) fn key_of(actor_ref: Option<&ActorRef>) -> Result<Key<'_>> {
    let Some(ActorRef { atespace, name }) = actor_ref else {
        return Err(Error::Invalid { field: "actor_ref", problem: "must be there".into() });
    };
    names::label("actor_ref.atespace", atespace)?;
    names::label("actor_ref.name", name)?;
    Ok(Key::Actor { atespace, id: name })
}

/// An error about what an actor is doing.
pub(super) fn refuse<T>(key: &Key<'_>, why: &str) -> Result<T> {
    Err(Error::State(format!("{} {why}", name(key))))
}

impl<S: Store, W: WorkerRuntime> Service<S, W> {
    pub(super) async fn get_actor(&self, key: &Key<'_>, deadline: Instant) -> Result<Actor> {
        Ok(self.records.need(key, deadline).await?.record)
    }

    /// Makes an actor. Its atespace lies on another shard, and may be deleted at the same time: see
    /// [`mark`] for why no actor that is acknowledged is left in an atespace that is gone.
    pub(super) async fn create_actor(&self, request: CreateActorRequest, deadline: Instant) -> Result<Actor> {
        let key = key_of(request.actor_ref.as_ref())?;
        selector::check(request.worker_selector.as_ref())?;
        if !request.actor_template_namespace.is_empty() {
            names::label("actor_template_namespace", &request.actor_template_namespace)?;
        }
        if !request.actor_template_name.is_empty() {
            names::subdomain("actor_template_name", &request.actor_template_name)?;
        }
        let Key::Actor { atespace, id } = key else { return refuse(&key, "is no actor") };
        let home = Key::Atespace { name: atespace };
        if self.records.get::<Atespace>(&home, deadline).await?.is_none() {
            return Err(Error::State(format!("{} does not exist", name(&home))));
        }
        let actor = Actor {
            actor_id: id.to_owned(),
            version: 1,
            actor_template_namespace: request.actor_template_namespace.clone(),
            actor_template_name: request.actor_template_name.clone(),
            status: Status::Suspended.into(),
            worker_selector: request.worker_selector.clone(),
            atespace: atespace.to_owned(),
            ..Actor::default()
        };
        let made = self.records.create(actor, deadline).await?;
        // Also if it exists: by a call that has come no further, which this one repeats.
        let is_kept = self.keep_atespace(&home, deadline).await?;
        match made {
            Some(made) if is_kept => return Ok(made.record),
            // If somebody has found it already and changed it, it is theirs: it was never acknowledged here.
            Some(made) => drop(self.records.delete(&made, deadline).await?),
            None if is_kept => return Err(Error::Exists(name(&key))),
            // It was never acknowledged either, but it is not ours to take back.
            None => {}
        }
        Err(Error::State(format!("{} was deleted meanwhile", name(&home))))
    }

    /// Stops whoever is about to delete an atespace. `false`: it is gone.
    async fn keep_atespace(&self, home: &Key<'_>, deadline: Instant) -> Result<bool> {
        for tries in 0..BEGINNINGS_MAX {
            let Some(atespace) = self.records.get::<Atespace>(home, deadline).await? else {
                return Ok(false);
            };
            let Some(unmarked) = mark::without(&atespace) else { return Ok(true) };
            let unmarked = unmarked.map_err(|problem| Error::Record { key: home.to_string(), problem })?;
            if self.records.replace(&atespace, &unmarked, deadline).await? {
                return Ok(true);
            }
            pause(tries, deadline).await;
        }
        Err(Error::Raced(name(home)))
    }

    pub(super) async fn update_actor(
        &self,
        key: &Key<'_>,
        worker_selector: Option<Selector>,
        deadline: Instant,
    ) -> Result<Actor> {
        selector::check(worker_selector.as_ref())?;
        let changed =
            self.records.change(key, deadline, |actor: &Actor| match decide(actor.status(), Verb::Update) {
                Decision::Refuse(why) => refuse(key, why),
                _ => Ok(Some(Actor { worker_selector: worker_selector.clone(), ..actor.clone() })),
            });
        Ok(changed.await?.record)
    }

    pub(super) async fn delete_actor(&self, key: &Key<'_>, deadline: Instant) -> Result<()> {
        for tries in 0..BEGINNINGS_MAX {
            let actor: Document<Actor> = self.records.need(key, deadline).await?;
            if let Decision::Refuse(why) = decide(actor.record.status(), Verb::Delete) {
                return refuse(key, why);
            }
            if self.records.delete(&actor, deadline).await? {
                return Ok(());
            }
            pause(tries, deadline).await;
        }
        Err(Error::Raced(name(key)))
    }
}
