//! Many callers at once, on several replicas.

use super::*;
use crate::document::random;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::sleep_until;

#[tokio::test(start_paused = true)]
async fn of_many_changes_at_once_none_is_lost() {
    let sim = sim();
    sim.set_delay(Duration::from_millis(1));
    let replicas = [service_of(&sim), service_of(&sim), service_of(&sim)];
    one_actor(&replicas[0]).await;
    let change = |number: usize| {
        let service = &replicas[number % 3];
        let wanted = selector(&[("number", &number.to_string())]);
        async move { service.update_actor(&key("a"), Some(wanted), soon()).await }
    };
    let changed = join_all((0..100).map(change)).await;
    let mut versions: Vec<i64> = changed.into_iter().filter_map(|it| it.ok()).map(|it| it.version).collect();
    let made = versions.len() as i64;
    assert_eq!(actor(&sim, "a").await.version, 1 + made);
    versions.sort_unstable();
    assert_eq!(versions, (2..2 + made).collect::<Vec<_>>());
    assert!(made > 90, "{made}: few lose sixteen races in a row");
}

#[tokio::test(start_paused = true)]
async fn of_many_creations_of_one_actor_one_succeeds() {
    let sim = sim();
    sim.set_delay(Duration::from_millis(1));
    let replicas = [service_of(&sim), service_of(&sim)];
    replicas[0].create_atespace("team", soon()).await.unwrap();
    let create = |number: usize| replicas[number % 2].create_actor(creation("team", "a"), soon());
    let made = join_all((0..100).map(create)).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    let others = made.into_iter().filter_map(Result::err);
    assert!(others.into_iter().all(|error| error.code() == Code::AlreadyExists));
}

#[tokio::test(start_paused = true)]
async fn of_many_resumes_of_one_actor_all_succeed_with_one_worker() {
    let sim = sim();
    put_worker(&sim, "pod-0", "vm-0");
    let replicas = [service_of(&sim), service_of(&sim)];
    one_actor(&replicas[0]).await;
    sim.set_delay(Duration::from_millis(1));
    let name = key("a");
    let resumed = (0..100).map(|number| replicas[number % 2].resume_actor(&name, false, soon()));
    for outcome in join_all(resumed).await {
        assert_eq!(outcome.unwrap().status(), Status::Running);
    }
    is_consistent(&sim, &["a".into()], &["pod-0".into()]).await;
}

#[tokio::test(start_paused = true)]
async fn of_two_who_want_one_worker_one_gets_it() {
    for offset in 0..12 {
        let sim = sim();
        put_worker(&sim, "pod-0", "vm-0");
        let replicas = [service_of(&sim), service_of(&sim)];
        one_actor(&replicas[0]).await;
        replicas[0].create_actor(creation("team", "b"), soon()).await.unwrap();
        sim.set_delay(Duration::from_millis(2));
        let late = async {
            sleep_until(Instant::now() + Duration::from_millis(offset)).await;
            replicas[1].resume_actor(&key("b"), false, soon()).await
        };
        let early = async { replicas[0].resume_actor(&key("a"), false, soon()).await };
        let (one, other) = tokio::join!(early, late);
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        let lost = one.err().or(other.err()).unwrap();
        assert_eq!(lost.code(), Code::ResourceExhausted, "{lost}");
        is_consistent(&sim, &["a".into(), "b".into()], &["pod-0".into()]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_actors_as_workers_all_get_one() {
    let sim = sim();
    let replicas = [service_of(&sim), service_of(&sim)];
    replicas[0].create_atespace("team", soon()).await.unwrap();
    let (mut ids, mut pods) = (Vec::new(), Vec::new());
    for number in 0..40 {
        ids.push(format!("a-{number}"));
        pods.push(format!("pod-{number}"));
        put_worker(&sim, &pods[number], "vm-0");
        replicas[0].create_actor(creation("team", &ids[number]), soon()).await.unwrap();
    }
    sim.set_delay(Duration::from_millis(1));
    let resumed = join_all(ids.iter().enumerate().map(|(number, id)| {
        let service = &replicas[number % 2];
        async move { service.resume_actor(&key(id), false, soon()).await }
    }));
    for outcome in resumed.await {
        outcome.unwrap();
    }
    is_consistent(&sim, &ids, &pods).await;
}

/// What one caller does: to which actor, what, when it begins, and after how long it gives up.
type Act = (usize, u8, u64, Option<u64>);

async fn act(service: &Service<Sim>, id: &str, what: u8, at: Instant) {
    // Whatever comes of it: others are at it, too.
    let key = key(id);
    let _ = match what {
        0 | 1 => service.resume_actor(&key, what == 1, at).await.map(drop),
        2 => service.suspend_actor(&key, at).await.map(drop),
        3 => service.pause_actor(&key, at).await.map(drop),
        4 => service.update_actor(&key, None, at).await.map(drop),
        5 => service.delete_actor(&key, at).await,
        _ => service.create_actor(creation("team", id), at).await.map(drop),
    };
}

async fn chaos(acts: &[Act]) {
    let sim = Sim::new(Plan::new(SHARDS, random()));
    let ids: Vec<String> = (0..3).map(|number| format!("a-{number}")).collect();
    let pods: Vec<String> = (0..2).map(|number| format!("pod-{number}")).collect();
    let replicas = [service_of(&sim), service_of(&sim)];
    replicas[0].create_atespace("team", soon()).await.unwrap();
    for id in &ids {
        replicas[0].create_actor(creation("team", id), soon()).await.unwrap();
    }
    pods.iter().for_each(|pod| put_worker(&sim, pod, "vm-0"));
    sim.set_delay(Duration::from_millis(3));
    let began = Instant::now();
    let all = acts.iter().enumerate().map(|(number, (id, what, begin, patience))| {
        let (service, id) = (&replicas[number % 2], &ids[*id]);
        async move {
            sleep_until(began + Duration::from_millis(*begin)).await;
            let patience = Duration::from_millis(patience.unwrap_or(1_000_000));
            let _ = timeout(patience, act(service, id, *what, soon())).await;
        }
    });
    join_all(all).await;
    sim.set_delay(Duration::ZERO);
    // Whatever was left half-way is brought to its end, by calls that repeat it.
    for id in &ids {
        for what in [2, 3, 0] {
            act(&replicas[0], id, what, soon()).await;
        }
    }
    let fresh = service_of(&sim);
    fresh.create_atespace("other", soon()).await.unwrap();
    // One who finds no free worker looks for claims that nobody wants.
    for number in 0..3 {
        let id = format!("z-{number}");
        fresh.create_actor(creation("other", &id), soon()).await.unwrap();
        let _ = fresh.resume_actor(&Key::Actor { atespace: "other", id: &id }, false, soon()).await;
    }
    for number in 0..3 {
        let id = format!("z-{number}");
        fresh.suspend_actor(&Key::Actor { atespace: "other", id: &id }, soon()).await.unwrap();
    }
    is_consistent(&sim, &ids, &pods).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn actors_and_workers_agree_whatever_is_done_at_once_and_given_up(
        acts in prop::collection::vec((0usize..3, 0u8..7, 0u64..60, prop::option::of(1u64..60)), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(chaos(&acts));
    }
}
