//! A server of the actor API with as many actors as wanted, none of which it holds in memory, and a few
//! real ones. Its listings stop, fail and lead nowhere as told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ateproto::control_server::{Control, ControlServer};
use ateproto::*;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};

pub const NOWHERE: u64 = u64::MAX;
/// What a test waits for comes by then, or never.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Fake {
    pub addr: SocketAddr,
    pub state: Arc<State>,
    runtime: Option<Runtime>,
}

/// What it is told and what it has seen.
pub struct State {
    /// So many numbered actors are listed after the real ones.
    numbered: u64,
    pub actors: Mutex<BTreeMap<String, Actor>>,
    pub atespaces: Mutex<BTreeSet<String>>,
    pub workers: Mutex<Vec<Worker>>,
    /// So often the deletion of an atespace does a part of it only.
    pub parts: Mutex<u32>,
    /// Pages from this place on fail so many times, in this way.
    pub fault: Mutex<Option<(u64, u32, Code)>>,
    /// Pages from this place on wait.
    hold: watch::Sender<u64>,
    /// The place of the page that waits.
    waiting: AtomicU64,
    /// Every other page is empty.
    has_gaps: bool,
    /// Tokens lead back to themselves.
    is_circle: bool,
    pub sent: AtomicU64,
    pub calls: AtomicU64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            numbered: 0,
            actors: Mutex::default(),
            atespaces: Mutex::new(BTreeSet::from(["demo".to_owned()])),
            workers: Mutex::default(),
            parts: Mutex::default(),
            fault: Mutex::default(),
            hold: watch::channel(NOWHERE).0,
            waiting: AtomicU64::new(NOWHERE),
            has_gaps: false,
            is_circle: false,
            sent: AtomicU64::new(0),
            calls: AtomicU64::new(0),
        }
    }
}

impl State {
    pub fn with(numbered: u64) -> Self {
        Self { numbered, ..Self::default() }
    }

    pub fn with_gaps(self) -> Self {
        Self { has_gaps: true, ..self }
    }

    pub fn in_a_circle(self) -> Self {
        Self { is_circle: true, ..self }
    }
}

impl Fake {
    pub fn start(numbered: u64) -> Self {
        Self::start_as(State::with(numbered), None)
    }

    pub fn start_as(state: State, identity: Option<Identity>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(state);
        let mut server = Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        let service = ControlServer::new(Service(Arc::clone(&state)));
        let served = server
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        runtime.spawn(async { served.await.unwrap() });
        Self { addr, state, runtime: Some(runtime) }
    }

    /// From now on, pages that begin there or later wait.
    pub fn hold_at(&self, place: u64) {
        self.state.hold.send_replace(place);
    }

    /// Waits until a page waits.
    pub fn until_held(&self) -> u64 {
        testkit::wait::until("a page to be held", PATIENCE, || {
            Some(self.state.waiting.load(Ordering::SeqCst)).filter(|place| *place != NOWHERE)
        })
        .unwrap()
    }

    pub fn put(&self, actor: Actor) {
        let key = format!("{}/{}", actor.atespace, actor.actor_id);
        self.state.actors.lock().insert(key, actor);
    }

    /// Takes it away, with its connections.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn actor(name: &str, version: i64) -> Actor {
    let mut actor = Actor {
        actor_id: name.to_owned(),
        atespace: "demo".to_owned(),
        version,
        actor_template_namespace: "default".to_owned(),
        actor_template_name: "counter".to_owned(),
        ..Default::default()
    };
    actor.set_status(actor::Status::Suspended);
    actor
}

pub fn numbered(index: u64) -> Actor {
    let snapshot_uri_prefix = format!("gs://bucket/demo/actor-{index:07}/1");
    let data = Some(snapshot_info::Data::External(ExternalSnapshotInfo { snapshot_uri_prefix }));
    let r#type = SnapshotType::External.into();
    Actor {
        latest_snapshot_info: Some(SnapshotInfo { r#type, data }),
        ..actor(&format!("actor-{index:07}"), 1)
    }
}

struct Service(Arc<State>);

impl Service {
    fn find(&self, name: Option<ActorRef>) -> Result<(String, Actor), Status> {
        let name = name.unwrap_or_default();
        let key = format!("{}/{}", name.atespace, name.name);
        let found = self.0.actors.lock().get(&key).cloned();
        let missing = || Status::not_found(format!("actors \"{key}\" not found"));
        found.ok_or_else(missing).map(|actor| (key.clone(), actor))
    }

    fn change(&self, name: Option<ActorRef>, change: impl FnOnce(&mut Actor)) -> Result<Actor, Status> {
        let (key, mut actor) = self.find(name)?;
        actor.version += 1;
        change(&mut actor);
        self.0.actors.lock().insert(key, actor.clone());
        Ok(actor)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn answer<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

#[tonic::async_trait]
impl Control for Service {
    async fn list_actors(&self, request: Request<ListActorsRequest>) -> Answer<ListActorsResponse> {
        let request = request.into_inner();
        let state = &self.0;
        state.calls.fetch_add(1, Ordering::SeqCst);
        let (place, is_gap) = match request.page_token.as_str() {
            "" => (0, state.has_gaps),
            token => {
                let (place, gap) = token
                    .strip_prefix("at-")
                    .and_then(|rest| rest.split_once('-'))
                    .ok_or_else(|| Status::invalid_argument("page_token: it is not one of ours"))?;
                (place.parse::<u64>().unwrap(), gap == "gap")
            }
        };
        let mut hold = state.hold.subscribe();
        if place >= *hold.borrow() {
            state.waiting.store(place, Ordering::SeqCst);
        }
        hold.wait_for(|hold| place < *hold).await.unwrap();
        state.waiting.store(NOWHERE, Ordering::SeqCst);
        if let Some((from, times, code)) = state.fault.lock().as_mut()
            && place >= *from
            && *times > 0
        {
            *times -= 1;
            return Err(Status::new(*code, "the store is away"));
        }
        if is_gap {
            return answer(ListActorsResponse {
                actors: vec![],
                next_page_token: format!("at-{place}-full"),
            });
        }
        let real: Vec<Actor> = state.actors.lock().values().cloned().collect();
        let total = real.len() as u64 + state.numbered;
        let end = total.min(place + u64::try_from(request.page_size).unwrap());
        let one = |index: u64| match real.get(index as usize) {
            Some(actor) => actor.clone(),
            None => numbered(index - real.len() as u64),
        };
        let actors: Vec<Actor> = (place..end)
            .map(one)
            .filter(|actor| ["", &actor.atespace].contains(&request.atespace.as_str()))
            .collect();
        state.sent.fetch_add(actors.len() as u64, Ordering::SeqCst);
        let next_page_token = match end {
            _ if state.is_circle => {
                return answer(ListActorsResponse { actors: vec![], next_page_token: "at-0-full".into() });
            }
            end if end == total => String::new(),
            end => format!("at-{end}-{}", if state.has_gaps { "gap" } else { "full" }),
        };
        answer(ListActorsResponse { actors, next_page_token })
    }

    async fn get_actor(&self, request: Request<GetActorRequest>) -> Answer<GetActorResponse> {
        let (_, actor) = self.find(request.into_inner().actor_ref)?;
        answer(GetActorResponse { actor: Some(actor) })
    }

    async fn create_actor(&self, request: Request<CreateActorRequest>) -> Answer<CreateActorResponse> {
        let request = request.into_inner();
        let name = request.actor_ref.unwrap_or_default();
        if !self.0.atespaces.lock().contains(&name.atespace) {
            return Err(Status::failed_precondition(format!("there is no atespace \"{}\"", name.atespace)));
        }
        let key = format!("{}/{}", name.atespace, name.name);
        let mut actor = actor(&name.name, 1);
        actor.atespace = name.atespace;
        actor.actor_template_namespace = request.actor_template_namespace;
        actor.actor_template_name = request.actor_template_name;
        actor.worker_selector = request.worker_selector;
        self.0.calls.fetch_add(1, Ordering::SeqCst);
        let place = self.0.actors.lock().len() as u64;
        let mut hold = self.0.hold.subscribe();
        if place >= *hold.borrow() {
            self.0.waiting.store(place, Ordering::SeqCst);
        }
        hold.wait_for(|hold| place < *hold).await.unwrap();
        let mut actors = self.0.actors.lock();
        if actors.contains_key(&key) {
            return Err(Status::already_exists(format!("actors \"{key}\" already exists")));
        }
        actors.insert(key, actor.clone());
        answer(CreateActorResponse { actor: Some(actor) })
    }

    async fn update_actor(&self, request: Request<UpdateActorRequest>) -> Answer<UpdateActorResponse> {
        let request = request.into_inner();
        let actor =
            self.change(request.actor_ref, |actor| actor.worker_selector = request.worker_selector)?;
        answer(UpdateActorResponse { actor: Some(actor) })
    }

    async fn suspend_actor(&self, request: Request<SuspendActorRequest>) -> Answer<SuspendActorResponse> {
        let status = actor::Status::Suspended;
        let actor = self.change(request.into_inner().actor_ref, |actor| actor.set_status(status))?;
        answer(SuspendActorResponse { actor: Some(actor) })
    }

    async fn pause_actor(&self, request: Request<PauseActorRequest>) -> Answer<PauseActorResponse> {
        let status = actor::Status::Paused;
        let actor = self.change(request.into_inner().actor_ref, |actor| actor.set_status(status))?;
        answer(PauseActorResponse { actor: Some(actor) })
    }

    async fn resume_actor(&self, request: Request<ResumeActorRequest>) -> Answer<ResumeActorResponse> {
        let request = request.into_inner();
        let actor = self.change(request.actor_ref, |actor| {
            actor.set_status(actor::Status::Running);
            actor.ateom_pod_namespace = "workers".into();
            actor.ateom_pod_name = if request.boot { "booted" } else { "restored" }.into();
        })?;
        answer(ResumeActorResponse { actor: Some(actor) })
    }

    async fn delete_actor(&self, request: Request<DeleteActorRequest>) -> Answer<DeleteActorResponse> {
        let (key, actor) = self.find(request.into_inner().actor_ref)?;
        if actor.status() != actor::Status::Suspended {
            return Err(Status::failed_precondition(format!("actor \"{key}\" is not suspended")));
        }
        self.0.actors.lock().remove(&key);
        answer(DeleteActorResponse {})
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersResponse> {
        answer(ListWorkersResponse { workers: self.0.workers.lock().clone() })
    }

    async fn create_atespace(
        &self,
        request: Request<CreateAtespaceRequest>,
    ) -> Answer<CreateAtespaceResponse> {
        let name = request.into_inner().name;
        if !self.0.atespaces.lock().insert(name.clone()) {
            return Err(Status::already_exists(format!("atespaces \"{name}\" already exists")));
        }
        answer(CreateAtespaceResponse { atespace: Some(Atespace { name }) })
    }

    async fn get_atespace(&self, request: Request<GetAtespaceRequest>) -> Answer<GetAtespaceResponse> {
        let name = request.into_inner().name;
        if !self.0.atespaces.lock().contains(&name) {
            return Err(Status::not_found(format!("atespaces \"{name}\" not found")));
        }
        answer(GetAtespaceResponse { atespace: Some(Atespace { name }) })
    }

    async fn list_atespaces(&self, _: Request<ListAtespacesRequest>) -> Answer<ListAtespacesResponse> {
        let names = self.0.atespaces.lock().clone();
        answer(ListAtespacesResponse { atespaces: names.into_iter().map(|name| Atespace { name }).collect() })
    }

    async fn delete_atespace(
        &self,
        request: Request<DeleteAtespaceRequest>,
    ) -> Answer<DeleteAtespaceResponse> {
        let name = request.into_inner().name;
        let mut parts = self.0.parts.lock();
        if *parts > 0 {
            *parts -= 1;
            return Err(Status::unavailable(format!("there was no time: {GOES_ON}")));
        }
        if !self.0.atespaces.lock().remove(&name) {
            return Err(Status::not_found(format!("atespaces \"{name}\" not found")));
        }
        answer(DeleteAtespaceResponse {})
    }

    async fn debug_clear(&self, _: Request<DebugClearRequest>) -> Answer<DebugClearResponse> {
        Err(Status::permission_denied("it is not allowed"))
    }
}
