//! The search for workers among many other keys: it outlives the calls that wait for it, and its result
//! serves others for a while.

use super::*;
use crate::store;
use tokio::sync::oneshot;
use tokio::time::advance;

/// More keys than a call has time for, at this speed.
const OTHERS: usize = 60_000;
const DELAY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(400);

async fn crowded() -> (Sim, Service<Sim>) {
    let sim = sim();
    (0..OTHERS).for_each(|number| sim.put(&format!("other:{number}"), "?"));
    let service = service_of(&sim);
    one_actor(&service).await;
    sim.set_delay(DELAY);
    (sim, service)
}

async fn resume(service: &Service<Sim>) -> Result<Actor, Error> {
    service.resume_actor(&key("a"), false, Instant::now() + PATIENCE).await
}

/// Calls until one is told something else than that its time is over. How many were told that.
async fn until_answered(service: &Service<Sim>) -> (usize, Error) {
    let mut late = 0;
    loop {
        match resume(service).await.unwrap_err() {
            Error::Store(store::Error::Deadline) => late += 1,
            error => return (late, error),
        }
        assert!(late < 20, "no answer");
    }
}

#[tokio::test(start_paused = true)]
async fn a_search_that_takes_longer_than_a_call_comes_to_its_end() {
    let (sim, service) = crowded().await;
    let (late, error) = until_answered(&service).await;
    assert!(late > 0, "it took no longer than a call");
    is::<()>(Err(error), Code::ResourceExhausted, "there is no worker");
    assert_eq!(service.counts().worker_walks, 1);
    assert!(sim.counts().scans <= (OTHERS / 1000 + 40) as u64, "{:?}", sim.counts());
}

#[tokio::test(start_paused = true)]
async fn a_search_that_the_store_has_interrupted_goes_on_where_it_was() {
    let (sim, service) = crowded().await;
    let calls = sim.counts().calls;
    sim.at_call(calls + 40, |sim| (0..SHARDS).for_each(|node| sim.set_up(node, false)));
    let (_, error) = until_answered(&service).await;
    is::<()>(Err(error), Code::Unavailable, "is down");
    (0..SHARDS).for_each(|node| sim.set_up(node, true));
    let (_, error) = until_answered(&service).await;
    is::<()>(Err(error), Code::ResourceExhausted, "there is no worker");
    assert_eq!(service.counts().worker_walks, 1);
    assert!(sim.counts().scans <= (OTHERS / 1000 + 40) as u64, "{:?}", sim.counts());
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_long_search_serves_others_for_a_while_and_no_longer() {
    let (sim, service) = crowded().await;
    until_answered(&service).await;
    put_worker(&sim, "pod-0", "vm-0");
    // Nobody looks again so soon.
    let began = Instant::now();
    is(resume(&service).await, Code::ResourceExhausted, "there is no worker");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    assert_eq!(service.counts().worker_walks, 1);
    // Later somebody does, and those who have no time for that are told what is known, at once.
    advance(Duration::from_secs(10)).await;
    let mut news = service.search.news();
    is(resume(&service).await, Code::ResourceExhausted, "there is no worker");
    news.changed().await.unwrap();
    assert_eq!(resume(&service).await.unwrap().ateom_pod_name, "pod-0");
    assert_eq!(service.counts().worker_walks, 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_worker_gets_it_when_it_is_met_and_not_at_the_end_of_the_search() {
    let (sim, service) = crowded().await;
    put_worker(&sim, "pod-0", "vm-0");
    assert_eq!(service.resume_actor(&key("a"), false, soon()).await.unwrap().status(), Status::Running);
    let needed = sim.counts().scans;
    // Whoever comes now waits for its end.
    let mut news = service.search.news();
    news.changed().await.unwrap();
    assert!(sim.counts().scans > needed, "it had met all keys by then");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_worker_keeps_nobody_from_suspending() {
    let (sim, service) = crowded().await;
    let (is_searching, searching) = oneshot::channel();
    let calls = sim.counts().calls;
    sim.at_call(calls + 10, move |_| is_searching.send(()).unwrap());
    let suspend = async {
        searching.await.unwrap();
        let began = Instant::now();
        service.suspend_actor(&key("a"), soon()).await.unwrap();
        began.elapsed()
    };
    let name = key("a");
    let (resumed, took) = tokio::join!(service.resume_actor(&name, false, soon()), suspend);
    is(resumed, Code::ResourceExhausted, "there is no worker");
    assert!(took <= 3 * DELAY, "{took:?}");
}
