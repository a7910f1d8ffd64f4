//! An actor's whole life, over every store.

use super::*;
use ateapi::proto::snapshot_info::Data;
use ateapi::proto::{
    DeleteActorRequest, DeleteAtespaceRequest, GetAtespaceRequest, ListAtespacesRequest, ListWorkersRequest,
    PauseActorRequest, SnapshotType, Worker,
};
use integration::api::worker;
use integration::listing::Kind;

async fn workers(client: &mut Control) -> Vec<Worker> {
    client.list_workers(ListWorkersRequest {}).await.unwrap().into_inner().workers
}

async fn state(client: &mut Control) -> (State, i64, String) {
    let actor = client.get_actor(get("team", "a")).await.unwrap().into_inner().actor.unwrap();
    (actor.status(), actor.version, actor.ateom_pod_name)
}

/// From its creation to its first run: on the only worker that it may run on.
async fn begins(client: &mut Control) {
    client.create_atespace(atespace("team")).await.unwrap();
    let found = client.get_atespace(GetAtespaceRequest { name: "team".into() }).await.unwrap();
    assert_eq!(found.into_inner().atespace.unwrap().name, "team");
    let all = client.list_atespaces(ListAtespacesRequest {}).await.unwrap().into_inner().atespaces;
    assert_eq!(all.iter().map(|one| &*one.name).collect::<Vec<_>>(), ["team"]);

    let made = client.create_actor(creation("team", "a")).await.unwrap().into_inner().actor.unwrap();
    assert_eq!((made.status(), made.version, &*made.atespace), (State::Suspended, 1, "team"));
    let found = client.get_actor(get("team", "a")).await.unwrap().into_inner().actor.unwrap();
    assert_eq!(found, made);
    let updated = client.update_actor(update("team", "a", &[("node", "n2")])).await.unwrap();
    let updated = updated.into_inner().actor.unwrap();
    assert_eq!((updated.version, updated.worker_selector.unwrap().match_labels["node"].as_str()), (2, "n2"));
    assert_eq!(list_from(client, 0, "", "team").await, ["a"]);

    let running = client.resume_actor(resume("team", "a")).await.unwrap().into_inner().actor.unwrap();
    assert_eq!((running.status(), running.version), (State::Running, 4));
    let place = (&*running.ateom_pod_namespace, &*running.worker_pool_name, &*running.ateom_pod_name);
    assert_eq!(place, ("workers", "small", "w2"));
    assert_eq!((&*running.ateom_pod_ip, &*running.ateom_pod_uid), ("10.0.0.7", "u-w2"));
    let claimed = workers(client).await.into_iter().find(|worker| worker.worker_pod == "w2").unwrap();
    assert_eq!((&*claimed.actor_atespace, &*claimed.actor_id, claimed.version), ("team", "a", 2));
    assert_eq!((&*claimed.actor_namespace, &*claimed.actor_template), ("default", "counter"));
}

/// To rest in both ways, and up again in between.
async fn rests(client: &mut Control) {
    let pause = || PauseActorRequest { actor_ref: actor_ref("team", "a") };
    let paused = client.pause_actor(pause()).await.unwrap().into_inner().actor.unwrap();
    assert_eq!((paused.status(), &*paused.ateom_pod_name), (State::Paused, ""));
    let info = paused.latest_snapshot_info.unwrap();
    assert_eq!(info.r#type(), SnapshotType::Local);
    let Some(Data::Local(local)) = info.data else { panic!("{info:?}") };
    assert_eq!(local.node_vms_with_local_snapshots, ["n2"]);
    assert!(workers(client).await.iter().all(|worker| worker.actor_id.is_empty()));

    client.resume_actor(resume("team", "a")).await.unwrap();
    assert_eq!(state(client).await.2, "w2");
    let suspended = client.suspend_actor(suspend("team", "a")).await.unwrap().into_inner().actor.unwrap();
    assert_eq!((suspended.status(), &*suspended.in_progress_snapshot), (State::Suspended, ""));
    let Some(Data::External(external)) = suspended.latest_snapshot_info.unwrap().data else { panic!() };
    assert!(external.snapshot_uri_prefix.contains("team/a/"), "{external:?}");
    // Again: it is so already, and nothing changes.
    let before = state(client).await;
    client.suspend_actor(suspend("team", "a")).await.unwrap();
    assert_eq!(state(client).await, before);
}

async fn ends(client: &mut Control) {
    let delete = || DeleteActorRequest { actor_ref: actor_ref("team", "a") };
    client.delete_actor(delete()).await.unwrap();
    is(client.delete_actor(delete()).await, Code::NotFound, "the actor team/a");
    is(client.get_actor(get("team", "a")).await, Code::NotFound, "the actor team/a");
    let delete = || DeleteAtespaceRequest { name: "team".into() };
    client.delete_atespace(delete()).await.unwrap();
    is(client.delete_atespace(delete()).await, Code::NotFound, "the atespace team");
    let all = client.list_atespaces(ListAtespacesRequest {}).await.unwrap().into_inner().atespaces;
    assert_eq!((all.len(), workers(client).await.len()), (0, 2));
}

fn lives_over(kind: Kind) {
    let store = Target::start(kind).unwrap();
    store.put(&[worker("w1", "n1"), worker("w2", "n2")]).unwrap();
    let api = Api::over(&store.seeds(), &[]).unwrap();
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        begins(&mut client).await;
        rests(&mut client).await;
        ends(&mut client).await;
    });
}

#[test]
fn an_actor_lives_over_redis() {
    lives_over(Kind::Redis);
}

#[test]
fn an_actor_lives_over_a_redis_cluster() {
    lives_over(Kind::RedisCluster);
}

#[test]
fn an_actor_lives_over_a_valkey_cluster() {
    lives_over(Kind::ValkeyCluster);
}

#[test]
fn an_actor_lives_over_bulkhead() {
    lives_over(Kind::Bulkhead { groups: 1 });
}

#[test]
fn an_actor_lives_over_bulkhead_with_groups() {
    lives_over(Kind::Bulkhead { groups: 4 });
}
