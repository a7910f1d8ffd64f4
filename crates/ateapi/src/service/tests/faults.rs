//! Calls that lose replies, stop half-way, or find the store gone.

use super::*;
use crate::proto::SnapshotType;
use crate::service::runtime::Failure;
use crate::store::sim::Lost;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// More than any call below asks of the store.
const CALLS_MAX: u64 = 60;

/// A call: an actor's life, step by step.
#[derive(Debug, Clone, Copy)]
enum Step {
    Atespace,
    Create,
    Update,
    Resume,
    Pause,
    ResumeAgain,
    Suspend,
    Delete,
    DeleteAtespace,
}

const LIFE: [Step; 9] = [
    Step::Atespace,
    Step::Create,
    Step::Update,
    Step::Resume,
    Step::Pause,
    Step::ResumeAgain,
    Step::Suspend,
    Step::Delete,
    Step::DeleteAtespace,
];

async fn go(service: &Service<Sim, impl WorkerRuntime>, step: Step) -> Result<(), Error> {
    let at = soon();
    match step {
        Step::Atespace => service.create_atespace("team", at).await.map(drop),
        Step::Create => service.create_actor(creation("team", "a"), at).await.map(drop),
        Step::Update => {
            service.update_actor(&key("a"), Some(selector(&[("arch", "arm")])), at).await.map(drop)
        }
        Step::Resume | Step::ResumeAgain => service.resume_actor(&key("a"), false, at).await.map(drop),
        Step::Pause => service.pause_actor(&key("a"), at).await.map(drop),
        Step::Suspend => service.suspend_actor(&key("a"), at).await.map(drop),
        Step::Delete => service.delete_actor(&key("a"), at).await,
        Step::DeleteAtespace => service.delete_atespace("team", at).await,
    }
}

/// What a step leaves when it has been made, once.
async fn check(sim: &Sim, step: Step) {
    let at = soon();
    let version = match step {
        Step::Create => 1,
        Step::Update => 2,
        Step::Resume => 4,
        Step::Pause => 7,
        Step::ResumeAgain => 9,
        Step::Suspend => 12,
        Step::Atespace | Step::Delete | Step::DeleteAtespace => {
            assert_eq!(sim.get("actor:team:a", at).await, Ok(None));
            return;
        }
    };
    assert_eq!(actor(sim, "a").await.version, version, "{step:?}");
    is_consistent(sim, &["a".into()], &["pod-0".into()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_reply_is_lost_is_made_exactly_once() {
    for lost in [Lost::BeforeItIsMade, Lost::AfterItIsMade] {
        let mut calls = 0;
        for number in 1..CALLS_MAX * 3 {
            let sim = sim();
            put_worker(&sim, "pod-0", "vm-0");
            sim.at_call(number, move |sim| sim.lose_next_write(lost));
            let service = service_of(&sim);
            for step in LIFE {
                go(&service, step)
                    .await
                    .unwrap_or_else(|error| panic!("{lost:?} {number} {step:?}: {error}"));
                check(&sim, step).await;
            }
            calls = calls.max(sim.counts().calls);
        }
        assert!(calls < CALLS_MAX * 3, "{calls} calls");
    }
}

/// Interrupts a step at every call of the store by `interrupt`, repeats it on another replica, and looks
/// whether it has ended well.
async fn interrupted(interrupt: impl Fn(&Sim, u64), mend: impl Fn(&Sim), patience: impl Fn(u64) -> Duration) {
    for (at_step, &step) in LIFE.iter().enumerate() {
        let mut interrupted = 0;
        for number in 1..CALLS_MAX {
            let sim = sim();
            put_worker(&sim, "pod-0", "vm-0");
            let service = service_of(&sim);
            for before in LIFE.iter().take(at_step) {
                go(&service, *before).await.unwrap();
            }
            interrupt(&sim, number);
            let outcome = timeout(patience(number), go(&service, step)).await;
            mend(&sim);
            if matches!(outcome, Ok(Ok(()))) {
                check_end(&sim, step).await;
                break;
            }
            interrupted += 1;
            let again = go(&service_of(&sim), step).await;
            // The first one may have been made.
            let is_made = matches!(again, Err(Error::Exists(_) | Error::Missing(_)));
            assert!(again.is_ok() || is_made, "{step:?} at call {number}: {again:?}");
            check_end(&sim, step).await;
        }
        assert!(interrupted > 0 && interrupted < CALLS_MAX - 1, "{step:?}: {interrupted}");
    }
}

/// Like [`check`], when an interrupted call may have made more versions than one.
async fn check_end(sim: &Sim, step: Step) {
    let expected = match step {
        Step::Atespace | Step::Delete | Step::DeleteAtespace => return,
        Step::Create | Step::Update | Step::Suspend => Status::Suspended,
        Step::Resume | Step::ResumeAgain => Status::Running,
        Step::Pause => Status::Paused,
    };
    let actor = actor(sim, "a").await;
    assert_eq!(actor.status(), expected, "{step:?}");
    if matches!(step, Step::Pause | Step::Suspend) {
        assert!(actor.latest_snapshot_info.is_some(), "{step:?}");
    }
    is_consistent(sim, &["a".into()], &["pod-0".into()]).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_half_way_is_repeated_and_ends_well() {
    let is_armed = Arc::new(AtomicBool::new(true));
    let down = |sim: &Sim, number: u64| {
        let is_armed = Arc::clone(&is_armed);
        is_armed.store(true, SeqCst);
        let from = sim.counts().calls + number;
        sim.at_call(from, move |sim| {
            (0..SHARDS).for_each(|node| sim.set_up(node, !is_armed.load(SeqCst)));
        });
    };
    let up = |sim: &Sim| {
        is_armed.store(false, SeqCst);
        (0..SHARDS).for_each(|node| sim.set_up(node, true));
    };
    interrupted(down, up, |_| Duration::from_secs(3600)).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_half_way_is_repeated_and_ends_well() {
    // A call of the store takes a second, and the caller goes in the middle of one.
    let slow = |sim: &Sim, _| sim.set_delay(Duration::from_secs(1));
    let fast = |sim: &Sim| sim.set_delay(Duration::ZERO);
    interrupted(slow, fast, |number| Duration::from_millis(number * 1000 - 500)).await;
}

#[tokio::test(start_paused = true)]
async fn trouble_with_the_store_is_unavailable_and_no_time_is_a_deadline() {
    let sim = sim();
    let service = service_of(&sim);
    one_actor(&service).await;
    (0..SHARDS).for_each(|node| sim.set_up(node, false));
    is(service.get_actor(&key("a"), soon()).await, Code::Unavailable, "the store is unavailable");
    (0..SHARDS).for_each(|node| sim.set_up(node, true));
    sim.set_delay(Duration::from_secs(5));
    let at = Instant::now() + Duration::from_secs(1);
    is(service.get_actor(&key("a"), at).await, Code::DeadlineExceeded, "deadline");
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_repeated_also_stops_a_deletion() {
    let sim = sim();
    let service = service_of(&sim);
    service.create_atespace("team", soon()).await.unwrap();
    delete_half_way(&sim, &service).await;
    // The actor is written, and then the store is gone.
    let calls = sim.counts().calls;
    sim.at_call(calls + 3, |sim| (0..SHARDS).for_each(|node| sim.set_up(node, false)));
    is(service.create_actor(creation("team", "a"), soon()).await, Code::Unavailable, "is down");
    (0..SHARDS).for_each(|node| sim.set_up(node, true));
    assert!(has_mark(&sim).await);
    is(service.create_actor(creation("team", "a"), soon()).await, Code::AlreadyExists, "team/a exists");
    assert!(!has_mark(&sim).await);
}

/// Fails so many times, then does as it is told.
struct Failing(AtomicUsize);

impl Failing {
    fn fail(&self) -> Result<(), Failure> {
        let left = self.0.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Err(Failure("no power".into())) } else { Ok(()) }
    }
}

impl WorkerRuntime for Failing {
    fn snapshot_prefix(&self, _: &Actor, _: SnapshotType) -> String {
        "there".into()
    }
    async fn start(&self, _: &Actor, _: &Worker, _: bool) -> Result<(), Failure> {
        self.fail()
    }
    async fn save(&self, _: &Actor, _: Option<&Worker>, _: SnapshotType) -> Result<(), Failure> {
        self.fail()
    }
    async fn clear(&self, _: &Actor, _: &Worker) -> Result<(), Failure> {
        self.fail()
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_fails_is_asked_again() {
    let sim = sim();
    put_worker(&sim, "pod-0", "vm-0");
    let machines = Failing(AtomicUsize::new(0));
    let service = Service::new(Arc::new(sim.clone()), machines, Options::default());
    one_actor(&service).await;
    for (step, between) in [(Step::Resume, Status::Resuming), (Step::Suspend, Status::Suspending)] {
        service.runtime.0.store(1, SeqCst);
        is(go(&service, step).await, Code::Unavailable, "the worker's machine: no power");
        assert_eq!(actor(&sim, "a").await.status(), between);
        go(&service, step).await.unwrap();
        check_end(&sim, step).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_cannot_end_is_given_up_by_a_suspend() {
    let sim = sim();
    put_worker(&sim, "pod-0", "vm-0");
    let machines = Failing(AtomicUsize::new(0));
    let service = Service::new(Arc::new(sim.clone()), machines, Options::default());
    one_actor(&service).await;
    go(&service, Step::Resume).await.unwrap();
    go(&service, Step::Suspend).await.unwrap();
    let before = actor(&sim, "a").await.latest_snapshot_info;
    service.runtime.0.store(1, SeqCst);
    is(go(&service, Step::Resume).await, Code::Unavailable, "no power");
    go(&service, Step::Suspend).await.unwrap();
    check_end(&sim, Step::Suspend).await;
    assert_eq!(actor(&sim, "a").await.latest_snapshot_info, before, "there was nothing to save");
    assert_eq!(worker(&sim, "pod-0").await.actor_id, "");
}

#[tokio::test(start_paused = true)]
async fn an_actor_whose_worker_is_gone_can_be_suspended_and_resumed() {
    let sim = sim();
    put_worker(&sim, "pod-0", "vm-0");
    let service = service_of(&sim);
    one_actor(&service).await;
    go(&service, Step::Resume).await.unwrap();
    sim.remove("worker:ns:pool:pod-0");
    put_worker(&sim, "pod-1", "vm-0");
    go(&service, Step::Suspend).await.unwrap();
    assert_eq!(actor(&sim, "a").await.latest_snapshot_info, None);
    assert_eq!(service.resume_actor(&key("a"), false, soon()).await.unwrap().ateom_pod_name, "pod-1");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_nobody_wants_is_found_and_given_back() {
    let sim = sim();
    let service = service_of(&sim);
    one_actor(&service).await;
    for owner in ["gone", "a"] {
        let text = json!({
            "workerNamespace": "ns", "workerPool": "pool", "workerPod": "pod-0", "version": "7",
            "actorAtespace": "team", "actorId": owner,
        });
        sim.put("worker:ns:pool:pod-0", text.to_string());
        service.create_actor(creation("team", &format!("b-{owner}")), soon()).await.unwrap();
        let running = service.resume_actor(&key(&format!("b-{owner}")), false, soon()).await.unwrap();
        assert_eq!((running.status(), &*running.ateom_pod_name), (Status::Running, "pod-0"));
        service.suspend_actor(&key(&format!("b-{owner}")), soon()).await.unwrap();
    }
}
