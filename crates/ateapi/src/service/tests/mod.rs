//! The service on a simulated store: what calls do, what they leave behind when they fail half-way, and
//! what is true whatever runs at the same time.

mod atespaces;
mod faults;
mod life;
mod races;
mod search;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::runtime::WorkerRuntime;
use super::{Acknowledge, Error, Options, Service};
use crate::names::Key;
use crate::proto::actor::Status;
use crate::proto::{Actor, ActorRef, CreateActorRequest, Selector, Worker};
use crate::store::Store;
use crate::store::sim::{Plan, Sim};

const SHARDS: usize = 3;

fn sim() -> Sim {
    Sim::new(Plan::new(SHARDS, 1))
}

fn service_of(sim: &Sim) -> Service<Sim> {
    Service::new(Arc::new(sim.clone()), Acknowledge, Options::default())
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn key(id: &str) -> Key<'_> {
    Key::Actor { atespace: "team", id }
}

fn selector(labels: &[(&str, &str)]) -> Selector {
    Selector { match_labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect() }
}

fn creation(atespace: &str, id: &str) -> CreateActorRequest {
    CreateActorRequest {
        actor_ref: Some(ActorRef { atespace: atespace.into(), name: id.into() }),
        actor_template_namespace: "default".into(),
        actor_template_name: "shell".into(),
        worker_selector: None,
    }
}

/// Puts a free worker into the store.
fn put_worker(sim: &Sim, pod: &str, node: &str) {
    let record = json!({
        "workerNamespace": "ns",
        "workerPool": "pool",
        "workerPod": pod,
        "ip": "10.0.0.7",
        "version": "1",
        "workerPodUid": format!("uid-{pod}"),
        "nodeName": node,
        "labels": {"arch": "arm"},
    });
    sim.put(&format!("worker:ns:pool:{pod}"), record.to_string());
}

/// An atespace `team` with an actor `a`.
async fn one_actor(service: &Service<Sim, impl WorkerRuntime>) {
    service.create_atespace("team", soon()).await.unwrap();
    service.create_actor(creation("team", "a"), soon()).await.unwrap();
}

async fn worker(sim: &Sim, pod: &str) -> Worker {
    serde_json::from_value(json_of(sim, &format!("worker:ns:pool:{pod}")).await).unwrap()
}

async fn json_of(sim: &Sim, key: &str) -> Value {
    serde_json::from_slice(&sim.get(key, soon()).await.unwrap().unwrap()).unwrap()
}

async fn has_mark(sim: &Sim) -> bool {
    json_of(sim, "atespace:team").await.get("deleting").is_some()
}

/// Begins to delete the atespace, and is given up when it is marked, and looked through.
async fn delete_half_way(sim: &Sim, service: &Service<Sim>) {
    sim.set_delay(Duration::from_secs(1));
    assert!(timeout(Duration::from_millis(3500), service.delete_atespace("team", soon())).await.is_err());
    sim.set_delay(Duration::ZERO);
    assert!(has_mark(sim).await);
}

async fn actor(sim: &Sim, id: &str) -> Actor {
    serde_json::from_value(json_of(sim, &key(id).to_string()).await).unwrap()
}

#[track_caller]
fn is<T: std::fmt::Debug>(outcome: Result<T, Error>, code: Code, text: &str) {
    let error = outcome.unwrap_err();
    assert!(error.code() == code && error.to_string().contains(text), "{:?}: {error}", error.code());
}

/// What must hold when nothing is going on: an actor has its worker to itself, or none.
async fn is_consistent(sim: &Sim, actors: &[String], pods: &[String]) {
    for id in actors {
        let Some(text) = sim.get(&key(id).to_string(), soon()).await.unwrap() else { continue };
        let actor: Actor = serde_json::from_slice(&text).unwrap();
        match actor.status() {
            Status::Running => {
                let worker = worker(sim, &actor.ateom_pod_name).await;
                assert_eq!((&worker.actor_id, &*worker.actor_atespace), (id, "team"), "{actor:?}");
            }
            Status::Suspended | Status::Paused => {
                assert_eq!((&*actor.ateom_pod_name, &*actor.in_progress_snapshot), ("", ""), "{actor:?}");
            }
            status => panic!("{id} is {status:?}"),
        }
    }
    for pod in pods {
        let worker = worker(sim, pod).await;
        if !worker.actor_id.is_empty() {
            let actor = actor(sim, &worker.actor_id).await;
            assert_eq!((actor.status(), &actor.ateom_pod_name), (Status::Running, pod), "{worker:?}");
        }
    }
}
