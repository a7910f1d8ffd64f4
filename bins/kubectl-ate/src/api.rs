//! The calls of the API as this program makes them.
//!
//! A status that is newer than this program is read as unspecified: what follows can show every actor.

use ateproto::{
    Actor, ActorRef, Atespace, CreateActorRequest, CreateAtespaceRequest, DeleteActorRequest,
    DeleteAtespaceRequest, GetActorRequest, GetAtespaceRequest, ListActorsRequest, ListAtespacesRequest,
    ListWorkersRequest, PauseActorRequest, ResumeActorRequest, Selector, SnapshotType, SuspendActorRequest,
    UpdateActorRequest, Worker, actor,
};
use tonic::Code;

use crate::client::Client;
use crate::failure::Failure;
use crate::names::Template;
use crate::retry::Repeat::{self, Harmless, Misleading, OneOfMany};

/// Of a listing.
pub struct Page<R> {
    pub items: Vec<R>,
    /// Where it goes on; empty where it ends.
    pub next: String,
}

impl<R> Page<R> {
    /// What comes in one piece.
    pub fn whole(items: Vec<R>) -> Self {
        Self { items, next: String::new() }
    }
}

impl Client {
    pub async fn list_actors(
        &self,
        page_size: i32,
        token: String,
        atespace: String,
    ) -> Result<Page<Actor>, Failure> {
        let message = ListActorsRequest { page_size, page_token: token, atespace };
        let call = |mut stub: Stub, request| async move { stub.list_actors(request).await };
        let mut answer = self.call(OneOfMany, message, call).await?;
        answer.actors.iter_mut().for_each(understand);
        Ok(Page { items: answer.actors, next: answer.next_page_token })
    }

    pub async fn list_workers(&self) -> Result<Vec<Worker>, Failure> {
        let call = |mut stub: Stub, request| async move { stub.list_workers(request).await };
        Ok(self.call_for_all(ListWorkersRequest {}, call).await?.workers)
    }

    pub async fn list_atespaces(&self) -> Result<Vec<Atespace>, Failure> {
        let call = |mut stub: Stub, request| async move { stub.list_atespaces(request).await };
        Ok(self.call_for_all(ListAtespacesRequest {}, call).await?.atespaces)
    }

    pub async fn get_actor(&self, actor: ActorRef) -> Result<Actor, Failure> {
        let message = GetActorRequest { actor_ref: Some(actor) };
        let call = |mut stub: Stub, request| async move { stub.get_actor(request).await };
        known(self.call(Harmless, message, call).await?.actor)
    }

    pub async fn create_actor(
        &self,
        actor: ActorRef,
        template: &Template,
        selector: Option<Selector>,
        repeat: Repeat,
    ) -> Result<Actor, Failure> {
        let message = CreateActorRequest {
            actor_ref: Some(actor),
            actor_template_namespace: template.namespace.clone(),
            actor_template_name: template.name.clone(),
            worker_selector: selector,
        };
        let call = |mut stub: Stub, request| async move { stub.create_actor(request).await };
        known(self.call(repeat, message, call).await?.actor)
    }

    pub async fn update_actor(&self, actor: ActorRef, selector: Option<Selector>) -> Result<Actor, Failure> {
        let message = UpdateActorRequest { actor_ref: Some(actor), worker_selector: selector };
        let call = |mut stub: Stub, request| async move { stub.update_actor(request).await };
        known(self.call(Harmless, message, call).await?.actor)
    }

    pub async fn suspend_actor(&self, actor: ActorRef) -> Result<Actor, Failure> {
        let message = SuspendActorRequest { actor_ref: Some(actor) };
        let call = |mut stub: Stub, request| async move { stub.suspend_actor(request).await };
        known(self.call(Harmless, message, call).await?.actor)
    }

    pub async fn pause_actor(&self, actor: ActorRef) -> Result<Actor, Failure> {
        let message = PauseActorRequest { actor_ref: Some(actor) };
        let call = |mut stub: Stub, request| async move { stub.pause_actor(request).await };
        known(self.call(Harmless, message, call).await?.actor)
    }

    pub async fn resume_actor(&self, actor: ActorRef, boot: bool) -> Result<Actor, Failure> {
        let message = ResumeActorRequest { actor_ref: Some(actor), boot };
        let call = |mut stub: Stub, request| async move { stub.resume_actor(request).await };
        known(self.call(Harmless, message, call).await?.actor)
    }

    pub async fn delete_actor(&self, actor: ActorRef, repeat: Repeat) -> Result<(), Failure> {
        let message = DeleteActorRequest { actor_ref: Some(actor) };
        let call = |mut stub: Stub, request| async move { stub.delete_actor(request).await };
        self.call(repeat, message, call).await.map(drop)
    }

    pub async fn get_atespace(&self, name: String) -> Result<Atespace, Failure> {
        let call = |mut stub: Stub, request| async move { stub.get_atespace(request).await };
        given(self.call(Harmless, GetAtespaceRequest { name }, call).await?.atespace)
    }

    pub async fn create_atespace(&self, name: String) -> Result<Atespace, Failure> {
        let call = |mut stub: Stub, request| async move { stub.create_atespace(request).await };
        given(self.call(Misleading, CreateAtespaceRequest { name }, call).await?.atespace)
    }

    pub async fn delete_atespace(&self, name: String) -> Result<(), Failure> {
        let call = |mut stub: Stub, request| async move { stub.delete_atespace(request).await };
        self.call(Misleading, DeleteAtespaceRequest { name }, call).await.map(drop)
    }
}

type Stub = ateproto::control_client::ControlClient<tonic::transport::Channel>;

fn known(actor: Option<Actor>) -> Result<Actor, Failure> {
    let mut actor = given(actor)?;
    understand(&mut actor);
    Ok(actor)
}

fn given<T>(answer: Option<T>) -> Result<T, Failure> {
    answer.ok_or_else(|| Failure::Server { code: Code::Internal, message: "the answer is empty".into() })
}

/// JSON has names for values, and none for those that are not known.
fn understand(actor: &mut Actor) {
    if actor::Status::try_from(actor.status).is_err() {
        actor.status = actor::Status::Unspecified.into();
    }
    if let Some(snapshot) = &mut actor.latest_snapshot_info
        && SnapshotType::try_from(snapshot.r#type).is_err()
    {
        snapshot.r#type = SnapshotType::Unspecified.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_a_newer_version_can_be_written_as_json() {
        let mut actor = Actor { actor_id: "a".into(), status: 77, ..Default::default() };
        assert!(serde_json::to_string(&actor).is_err());
        understand(&mut actor);
        assert_eq!(serde_json::to_string(&actor).unwrap(), r#"{"actorId":"a"}"#);
    }
}
