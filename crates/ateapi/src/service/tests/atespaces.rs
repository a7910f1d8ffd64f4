//! Atespaces that are deleted while actors are created in them.

use super::*;
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::sleep_until;

/// Who does what, when, and for how long they wait.
type Act = (bool, u64, Option<u64>);

async fn race(acts: &[Act], delay: u64) {
    let sim = sim();
    let replicas = [service_of(&sim), service_of(&sim)];
    replicas[0].create_atespace("team", soon()).await.unwrap();
    sim.set_delay(Duration::from_millis(delay));
    let began = Instant::now();
    let all = acts.iter().enumerate().map(|(number, (deletes, begin, patience))| {
        let service = &replicas[number % 2];
        let id = format!("a-{number}");
        async move {
            sleep_until(began + Duration::from_millis(*begin)).await;
            let patience = Duration::from_millis(patience.unwrap_or(1_000_000));
            let work = async {
                match deletes {
                    true => service.delete_atespace("team", soon()).await.is_ok().then(String::new),
                    false => {
                        service.create_actor(creation("team", &id), soon()).await.is_ok().then(|| id.clone())
                    }
                }
            };
            timeout(patience, work).await.ok().flatten()
        }
    });
    let done: Vec<String> = join_all(all).await.into_iter().flatten().collect();
    sim.set_delay(Duration::ZERO);
    let is_there = sim.get("atespace:team", soon()).await.unwrap().is_some();
    let made: Vec<&String> = done.iter().filter(|id| !id.is_empty()).collect();
    assert!(is_there || made.is_empty(), "the atespace is gone, and {made:?} were acknowledged");
    for id in made {
        assert_eq!(actor(&sim, id).await.version, 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_acknowledged_actor_is_left_in_a_deleted_atespace(
        acts in prop::collection::vec((any::<bool>(), 0u64..50, prop::option::weighted(0.2, 1u64..50)), 1..10),
        delay in 1u64..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(race(&acts, delay));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_creates_an_actor_stops_the_deletion() {
    let sim = sim();
    let service = service_of(&sim);
    service.create_atespace("team", soon()).await.unwrap();
    delete_half_way(&sim, &service).await;
    service.create_actor(creation("team", "a"), soon()).await.unwrap();
    assert!(!has_mark(&sim).await);
    is(service.delete_atespace("team", soon()).await, Code::FailedPrecondition, "has actors");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_takes_longer_than_a_call_goes_on_with_the_next() {
    let sim = sim();
    for number in 0..30_000 {
        sim.put(&format!("actor:other:{number}"), "{}");
    }
    let service = service_of(&sim);
    service.create_atespace("team", soon()).await.unwrap();
    sim.set_delay(Duration::from_millis(20));
    let (mut calls, mut before) = (0, String::new());
    loop {
        calls += 1;
        let outcome = service.delete_atespace("team", Instant::now() + Duration::from_millis(600)).await;
        let Err(error) = outcome else { break };
        assert!(matches!(error, Error::Unfinished(_)), "{error}");
        assert!(error.to_string().contains("repeat the call"), "{error}");
        let mark = json_of(&sim, "atespace:team").await["deleting"]["token"].to_string();
        assert_ne!(mark, before, "it goes on");
        before = mark;
    }
    assert!((3..20).contains(&calls), "{calls} calls");
    assert_eq!(sim.get("atespace:team", soon()).await, Ok(None));
}
