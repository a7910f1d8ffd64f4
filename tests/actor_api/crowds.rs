//! Many at once: nothing is lost, nothing is given twice, and nothing is left behind.

use super::*;
use ateapi::proto::ListWorkersRequest;
use futures_util::future::join_all;
use integration::api::{PATIENCE, worker};
use integration::listing::Kind;
use std::collections::BTreeSet;
use testkit::proc;

const CALLERS: usize = 100;

/// What the API may hold for some time after a crowd has gone: allocators give back memory late.
const KEPT_BYTES_MAX: u64 = 64 << 20;

/// Connections of the API to its store, as that sees them.
fn connections_to(store: &Target) -> usize {
    let mut count = 0;
    for client in &mut store.clients().unwrap() {
        let list = client.want("CLIENT LIST TYPE normal").unwrap();
        // One of them asks.
        count += String::from_utf8_lossy(list.bytes().unwrap()).lines().count() - 1;
    }
    count
}

#[test]
fn a_hundred_listings_at_once_are_all_complete() {
    const ACTORS: usize = 2000;
    let (store, api) = one();
    fill(&store, "team", "a", ACTORS);
    let runtime = runtime();
    runtime.block_on(async {
        assert_eq!(list_from(&mut api.client().unwrap(), 1000, "", "").await.len(), ACTORS);
    });
    let (connections, resident) = (connections_to(&store), proc::resident_bytes(api.pid()).unwrap());
    runtime.block_on(async {
        let listing = |caller: usize| {
            // Each has a connection of its own, and pages of another size.
            let mut client = api.client().unwrap();
            async move { list_from(&mut client, 40 + caller as i32 * 9, "", "").await }
        };
        for names in join_all((0..CALLERS).map(listing)).await {
            let different: BTreeSet<&String> = names.iter().collect();
            assert_eq!((names.len(), different.len()), (ACTORS, ACTORS));
        }
    });
    api.wait_for_metric("ateapi_calls_in_flight", |count| count == 0).unwrap();
    // The clients are gone with their runtime.
    drop(runtime);
    api.wait_for_metric("ateapi_connections", |count| count == 0).unwrap();
    assert_eq!(connections_to(&store), connections);
    let grown = proc::resident_bytes(api.pid()).unwrap().saturating_sub(resident);
    assert!(grown < KEPT_BYTES_MAX, "{} KiB are still held", grown >> 10);
}

/// A hundred changes of one actor, by so many replicas.
fn changes_are_all_made(replicas: usize) {
    let store = Target::One(Box::new(redis()));
    let apis: Vec<Api> = (0..replicas).map(|_| Api::over(&store.seeds(), &[]).unwrap()).collect();
    runtime().block_on(async {
        let mut clients: Vec<Control> = apis.iter().map(|api| api.client().unwrap()).collect();
        clients[0].create_atespace(atespace("team")).await.unwrap();
        clients[0].create_actor(creation("team", "a")).await.unwrap();
        let change = |caller: usize| {
            let mut client = clients[caller % replicas].clone();
            async move {
                loop {
                    let label = caller.to_string();
                    match client.update_actor(update("team", "a", &[("caller", &label)])).await {
                        Ok(changed) => break changed.into_inner().actor.unwrap(),
                        // Others have come before it again and again: it was not made.
                        Err(status) => {
                            assert_eq!((status.code(), replicas > 1), (Code::Aborted, true), "{status:?}");
                        }
                    }
                }
            }
        };
        let changed = join_all((0..CALLERS).map(change)).await;
        let versions: BTreeSet<i64> = changed.iter().map(|actor| actor.version).collect();
        assert_eq!(versions, (2..=1 + CALLERS as i64).collect(), "each change has a version of its own");
        let last = clients[0].get_actor(get("team", "a")).await.unwrap().into_inner().actor.unwrap();
        assert_eq!(changed.iter().find(|actor| actor.version == last.version), Some(&last));
        assert_eq!(last.version, 1 + CALLERS as i64);
    });
}

#[test]
fn a_hundred_changes_of_one_actor_are_all_made() {
    changes_are_all_made(1);
}

#[test]
fn changes_of_one_actor_by_several_replicas_are_all_made() {
    changes_are_all_made(3);
}

/// Which actor is on which worker, by the records of the workers.
async fn claims(client: &mut Control) -> BTreeMap<String, String> {
    let workers = client.list_workers(ListWorkersRequest {}).await.unwrap().into_inner().workers;
    let busy = workers.into_iter().filter(|worker| !worker.actor_id.is_empty());
    busy.map(|worker| (worker.actor_id, worker.worker_pod)).collect()
}

/// Many actors want few workers, at both of two replicas.
fn workers_are_claimed_once(kind: Kind) {
    const WORKERS: usize = 8;
    const ACTORS: usize = 40;
    let store = Target::start(kind).unwrap();
    let workers: Vec<_> = (0..WORKERS).map(|number| worker(&format!("w{number}"), "n1")).collect();
    store.put(&workers).unwrap();
    let apis = [Api::over(&store.seeds(), &[]).unwrap(), Api::over(&store.seeds(), &[]).unwrap()];
    fill(&store, "team", "a", ACTORS);
    runtime().block_on(async {
        let mut clients: Vec<Control> = apis.iter().map(|api| api.client().unwrap()).collect();
        for round in 0..3 {
            let wanted = (0..ACTORS).map(|number| {
                let mut client = clients[(number + round) % 2].clone();
                let name = format!("a-{number}");
                async move { (name.clone(), client.resume_actor(resume("team", &name)).await) }
            });
            let mut running = BTreeMap::new();
            for (name, answer) in join_all(wanted).await {
                match answer {
                    Ok(actor) => {
                        let actor = actor.into_inner().actor.unwrap();
                        assert_eq!((actor.status(), &*actor.actor_id), (State::Running, &*name));
                        running.insert(name, actor.ateom_pod_name);
                    }
                    Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
                }
            }
            let pods: BTreeSet<&String> = running.values().collect();
            assert_eq!((pods.len(), running.len()), (WORKERS, WORKERS), "{running:?}");
            assert_eq!(claims(&mut clients[0]).await, running);

            let resting = (0..ACTORS).map(|number| {
                let mut client = clients[(number + round + 1) % 2].clone();
                async move { client.suspend_actor(suspend("team", &format!("a-{number}"))).await }
            });
            for answer in join_all(resting).await {
                let actor = answer.unwrap().into_inner().actor.unwrap();
                assert_eq!((actor.status(), &*actor.ateom_pod_name), (State::Suspended, ""));
            }
            assert_eq!(claims(&mut clients[1]).await, BTreeMap::new());
        }
    });
}

#[test]
fn few_workers_are_claimed_once_by_many_actors() {
    workers_are_claimed_once(Kind::Redis);
}

#[test]
fn few_workers_are_claimed_once_by_many_actors_over_a_cluster() {
    workers_are_claimed_once(Kind::RedisCluster);
}

#[test]
fn few_workers_are_claimed_once_by_many_actors_over_bulkhead() {
    workers_are_claimed_once(Kind::Bulkhead { groups: 4 });
}

#[test]
fn calls_that_are_given_up_leave_nothing_behind() {
    let (store, api) = one();
    let Target::One(server) = &store else { panic!() };
    fill(&store, "team", "a", 2000);
    let runtime = runtime();
    let _inside = runtime.enter();
    runtime.block_on(async {
        assert_eq!(list_from(&mut api.client().unwrap(), 1000, "", "").await.len(), 2000);
    });
    let (connections, resident) = (connections_to(&store), proc::resident_bytes(api.pid()).unwrap());
    for _ in 0..3 {
        halt(server);
        let mut tasks = Vec::new();
        for number in 0..CALLERS {
            let mut client = api.client().unwrap();
            tasks.push(runtime.spawn(async move {
                match number % 3 {
                    0 => drop(client.list_actors(page(1000, "", "")).await),
                    1 => drop(client.get_actor(get("team", "a-1")).await),
                    _ => drop(client.update_actor(update("team", "a-1", &[])).await),
                }
            }));
        }
        api.wait_for_metric("ateapi_calls_in_flight", |count| count == CALLERS as u64).unwrap();
        // All callers go, while the store says nothing.
        tasks.iter().for_each(|task| task.abort());
        api.wait_for_metric("ateapi_calls_in_flight", |count| count == 0).unwrap();
        api.wait_for_metric("ateapi_connections", |count| count == 0).unwrap();
        go_on(server);
    }
    let at_rest = || (connections_to(&store) <= connections).then_some(());
    testkit::wait::until("the connections to the store", PATIENCE, at_rest).unwrap();
    assert!(api.metric(r#"ateapi_calls_total{method="ListActors",code="CANCELLED"}"#).unwrap() > 0);
    let grown = proc::resident_bytes(api.pid()).unwrap().saturating_sub(resident);
    assert!(grown < KEPT_BYTES_MAX, "{} KiB are still held", grown >> 10);
    runtime.block_on(async {
        assert_eq!(list_from(&mut api.client().unwrap(), 1000, "", "").await.len(), 2000);
    });
}
