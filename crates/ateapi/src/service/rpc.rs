//! The calls as they come over the wire.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Request, Response, Status, async_trait};

use super::actors::key_of;
use super::runtime::WorkerRuntime;
use super::Service;
use crate::proto::control_server::Control;
use crate::proto::*;
use crate::store::Store;

/// By when a call must be answered: put into the extensions of its request by whoever serves it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// Of a call of which nothing is said.
const UNSAID: Duration = Duration::from_secs(30);

fn deadline_of<T>(request: &Request<T>) -> Instant {
    request.extensions().get::<Deadline>().map_or_else(|| Instant::now() + UNSAID, |deadline| deadline.0)
}

type Reply<T> = Result<Response<T>, Status>;

#[async_trait]
impl<S: Store, W: WorkerRuntime> Control for Service<S, W> {
    async fn get_actor(&self, request: Request<GetActorRequest>) -> Reply<GetActorResponse> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        let actor = self.get_actor(&key_of(request.actor_ref.as_ref())?, deadline).await?;
        Ok(Response::new(GetActorResponse { actor: Some(actor) }))
    }

    async fn create_actor(&self, request: Request<CreateActorRequest>) -> Reply<CreateActorResponse> {
        let deadline = deadline_of(&request);
        let actor = self.create_actor(request.into_inner(), deadline).await?;
        Ok(Response::new(CreateActorResponse { actor: Some(actor) }))
    }

    async fn update_actor(&self, request: Request<UpdateActorRequest>) -> Reply<UpdateActorResponse> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        let key = key_of(request.actor_ref.as_ref())?;
        let actor = self.update_actor(&key, request.worker_selector.clone(), deadline).await?;
        Ok(Response::new(UpdateActorResponse { actor: Some(actor) }))
    }

    async fn suspend_actor(&self, request: Request<SuspendActorRequest>) -> Reply<SuspendActorResponse> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        let actor = self.suspend_actor(&key_of(request.actor_ref.as_ref())?, deadline).await?;
        Ok(Response::new(SuspendActorResponse { actor: Some(actor) }))
    }

    async fn pause_actor(&self, request: Request<PauseActorRequest>) -> Reply<PauseActorResponse> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        let actor = self.pause_actor(&key_of(request.actor_ref.as_ref())?, deadline).await?;
        Ok(Response::new(PauseActorResponse { actor: Some(actor) }))
    }

    async fn resume_actor(&self, request: Request<ResumeActorRequest>) -> Reply<ResumeActorResponse> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        let key = key_of(request.actor_ref.as_ref())?;
        let actor = self.resume_actor(&key, request.boot, deadline).await?;
        Ok(Response::new(ResumeActorResponse { actor: Some(actor) }))
    }

    async fn delete_actor(&self, request: Request<DeleteActorRequest>) -> Reply<DeleteActorResponse> {
        let deadline = deadline_of(&request);
        let request = request.into_inner();
        self.delete_actor(&key_of(request.actor_ref.as_ref())?, deadline).await?;
        Ok(Response::new(DeleteActorResponse {}))
    }

    async fn list_workers(&self, request: Request<ListWorkersRequest>) -> Reply<ListWorkersResponse> {
        let workers = self.list_workers(deadline_of(&request)).await?;
        Ok(Response::new(ListWorkersResponse { workers }))
    }

    async fn list_actors(&self, request: Request<ListActorsRequest>) -> Reply<ListActorsResponse> {
        drop(request);
        Err(Status::unimplemented("actors are not listed yet"))
    }

    async fn create_atespace(
        &self,
        request: Request<CreateAtespaceRequest>,
    ) -> Reply<CreateAtespaceResponse> {
        let deadline = deadline_of(&request);
        let atespace = self.create_atespace(&request.into_inner().name, deadline).await?;
        Ok(Response::new(CreateAtespaceResponse { atespace: Some(atespace) }))
    }

    async fn get_atespace(&self, request: Request<GetAtespaceRequest>) -> Reply<GetAtespaceResponse> {
        let deadline = deadline_of(&request);
        let atespace = self.get_atespace(&request.into_inner().name, deadline).await?;
        Ok(Response::new(GetAtespaceResponse { atespace: Some(atespace) }))
    }

    async fn list_atespaces(&self, request: Request<ListAtespacesRequest>) -> Reply<ListAtespacesResponse> {
        let atespaces = self.list_atespaces(deadline_of(&request)).await?;
        Ok(Response::new(ListAtespacesResponse { atespaces }))
    }

    async fn delete_atespace(
        &self,
        request: Request<DeleteAtespaceRequest>,
    ) -> Reply<DeleteAtespaceResponse> {
        let deadline = deadline_of(&request);
        self.delete_atespace(&request.into_inner().name, deadline).await?;
        Ok(Response::new(DeleteAtespaceResponse {}))
    }

    async fn debug_clear(&self, request: Request<DebugClearRequest>) -> Reply<DebugClearResponse> {
        self.debug_clear(deadline_of(&request)).await?;
        Ok(Response::new(DebugClearResponse {}))
    }
}
