//! The actor API as its users meet it: the real program over real stores.

mod crowds;
mod errors;
mod greedy;
mod life;
mod pages;
mod processes;
mod python;
mod rights;
mod security;
mod trouble;

use std::collections::BTreeMap;
use std::fmt::Debug;

use ateapi::Record;
use ateapi::proto::actor::Status as State;
use ateapi::proto::{
    Actor, ActorRef, CreateActorRequest, CreateAtespaceRequest, GetActorRequest, ListActorsRequest,
    ListActorsResponse, ResumeActorRequest, Selector, SuspendActorRequest, UpdateActorRequest,
};
use integration::api::{Api, Control};
use integration::listing::Target;
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Durability, Server, Spec};
use tokio::runtime::Runtime;
use tonic::{Code, Response, Status};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn redis() -> Server {
    Spec::redis().unwrap().durability(Durability::None).start().unwrap()
}

/// A Redis, and the API over it.
fn one() -> (Target, Api) {
    let store = Target::One(Box::new(redis()));
    let api = Api::over(&store.seeds(), &[]).unwrap();
    (store, api)
}

fn actor_ref(atespace: &str, name: &str) -> Option<ActorRef> {
    Some(ActorRef { atespace: atespace.into(), name: name.into() })
}

fn creation(atespace: &str, name: &str) -> CreateActorRequest {
    CreateActorRequest {
        actor_ref: actor_ref(atespace, name),
        actor_template_namespace: "default".into(),
        actor_template_name: "counter".into(),
        worker_selector: None,
    }
}

fn get(atespace: &str, name: &str) -> GetActorRequest {
    GetActorRequest { actor_ref: actor_ref(atespace, name) }
}

fn resume(atespace: &str, name: &str) -> ResumeActorRequest {
    ResumeActorRequest { actor_ref: actor_ref(atespace, name), boot: false }
}

fn suspend(atespace: &str, name: &str) -> SuspendActorRequest {
    SuspendActorRequest { actor_ref: actor_ref(atespace, name) }
}

fn update(atespace: &str, name: &str, labels: &[(&str, &str)]) -> UpdateActorRequest {
    let match_labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    UpdateActorRequest {
        actor_ref: actor_ref(atespace, name),
        worker_selector: Some(Selector { match_labels }),
    }
}

fn atespace(name: &str) -> CreateAtespaceRequest {
    CreateAtespaceRequest { name: name.into() }
}

fn page(size: i32, token: &str, atespace: &str) -> ListActorsRequest {
    ListActorsRequest { page_size: size, page_token: token.into(), atespace: atespace.into() }
}

/// Actors that rest, written past the API: `NAME-0` to `NAME-<count - 1>`.
fn fill(store: &Target, atespace: &str, name: &str, count: usize) {
    let record = |number: usize| {
        let actor = Actor {
            actor_id: format!("{name}-{number}"),
            version: 1,
            actor_template_namespace: "default".into(),
            actor_template_name: "counter".into(),
            status: State::Suspended.into(),
            atespace: atespace.into(),
            ..Actor::default()
        };
        (actor.key().to_string(), actor.encode().unwrap())
    };
    store.put(&(0..count).map(record).collect::<Vec<_>>()).unwrap();
}

/// A listing from a token to its end: the names that came, as often as they came.
async fn list_from(client: &mut Control, size: i32, token: &str, atespace: &str) -> Vec<String> {
    let (mut names, mut token) = (Vec::new(), token.to_owned());
    loop {
        let ListActorsResponse { actors, next_page_token } =
            client.list_actors(page(size, &token, atespace)).await.unwrap().into_inner();
        names.extend(actors.into_iter().map(|actor| actor.actor_id));
        if next_page_token.is_empty() {
            return names;
        }
        token = next_page_token;
    }
}

/// A call that has to be refused: how, and what has to be said.
#[track_caller]
fn is<T: Debug>(answer: Result<Response<T>, Status>, code: Code, part: &str) {
    let status = answer.unwrap_err();
    assert!(
        status.code() == code && status.message().contains(part),
        "wanted {code:?}, {part:?}: {status:?}"
    );
}

fn signal(server: &Server, signal: Signal) {
    let pid = Pid::from_raw(server.pid().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// A server that says nothing from now on, with its connections open.
fn halt(server: &Server) {
    signal(server, Signal::STOP);
}

fn go_on(server: &Server) {
    signal(server, Signal::CONT);
}
