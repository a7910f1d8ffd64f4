//! When the store is gone, or silent, or changed by others: each call ends in time, and says why.

use super::*;
use ateapi::proto::{DeleteActorRequest, DeleteAtespaceRequest, ListAtespacesRequest, ListWorkersRequest};
use integration::api::PATIENCE;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::{Client, wait};
use tonic::Request;

#[test]
fn a_store_that_is_down_makes_every_call_unavailable_and_is_named() {
    let mut store = redis();
    let api = Api::start(&store).unwrap();
    let place = store.addr().to_string();
    let runtime = runtime();
    runtime.block_on(async {
        let mut client = api.client().unwrap();
        client.create_atespace(atespace("team")).await.unwrap();
        client.create_actor(creation("team", "a")).await.unwrap();
    });
    store.kill().unwrap();
    runtime.block_on(async {
        let client = api.client().unwrap();
        let with = || client.clone();
        let (gone, at) = (Code::Unavailable, &*place);
        // All at once: each of them tries for some seconds.
        tokio::join!(
            async { is(with().get_actor(get("team", "a")).await, gone, at) },
            async { is(with().create_actor(creation("team", "b")).await, gone, at) },
            async { is(with().update_actor(update("team", "a", &[])).await, gone, at) },
            async { is(with().resume_actor(resume("team", "a")).await, gone, at) },
            async { is(with().suspend_actor(suspend("team", "a")).await, gone, at) },
            async {
                let request = DeleteActorRequest { actor_ref: actor_ref("team", "a") };
                is(with().delete_actor(request).await, gone, at);
            },
            async { is(with().list_actors(page(10, "", "")).await, gone, at) },
            async { is(with().list_workers(ListWorkersRequest {}).await, gone, at) },
            async { is(with().create_atespace(atespace("other")).await, gone, at) },
            async { is(with().list_atespaces(ListAtespacesRequest {}).await, gone, at) },
            async {
                let request = DeleteAtespaceRequest { name: "team".into() };
                is(with().delete_atespace(request).await, gone, at);
            },
        );
    });
    let refused = api.metric(r#"ateapi_calls_total{method="GetActor",code="UNAVAILABLE"}"#).unwrap();
    assert_eq!(refused, 1);
    // It comes back, and nobody has to restart the API.
    store.restart().unwrap();
    assert_eq!(store.addr().to_string(), place, "the port was taken meanwhile");
    runtime.block_on(async {
        let mut client = api.client().unwrap();
        client.create_atespace(atespace("later")).await.unwrap();
    });
}

#[test]
fn a_store_that_says_nothing_is_waited_for_until_the_deadline() {
    let store = redis();
    let place = store.addr().to_string();
    let api = Api::over(&place, &["--max-deadline", "400ms"]).unwrap();
    let patient = Api::start(&store).unwrap();
    let runtime = runtime();
    runtime.block_on(async {
        for api in [&api, &patient] {
            let missing = api.client().unwrap().get_actor(get("team", "a")).await;
            is(missing, Code::NotFound, "the actor team/a");
        }
    });
    halt(&store);
    runtime.block_on(async {
        // The server's own bound.
        let (began, late) = (Instant::now(), Code::DeadlineExceeded);
        let mut client = api.client().unwrap();
        is(client.get_actor(get("team", "a")).await, late, "");
        // When its connection has been silent for long, another is tried: then the store is not there.
        for status in [
            client.list_actors(page(10, "", "")).await.unwrap_err(),
            client.list_workers(ListWorkersRequest {}).await.unwrap_err(),
            client.create_atespace(atespace("team")).await.unwrap_err(),
        ] {
            let is_gone = status.code() == Code::Unavailable && status.message().contains(&place);
            assert!(is_gone || status.code() == late, "{status:?}");
        }
        assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
        // The caller's.
        let mut request = Request::new(get("team", "a"));
        request.set_timeout(Duration::from_secs(3));
        is(patient.client().unwrap().get_actor(request).await, late, "");
    });
    let counted = |code: &str| {
        patient.metric(&format!(r#"ateapi_calls_total{{method="GetActor",code="{code}"}}"#)).unwrap()
    };
    assert_eq!((counted("DEADLINE_EXCEEDED"), counted("CANCELLED")), (1, 0));
    go_on(&store);
    runtime.block_on(async {
        is(api.client().unwrap().get_actor(get("team", "a")).await, Code::NotFound, "the actor team/a");
    });
}

#[test]
fn a_listing_with_little_time_comes_in_smaller_pieces_but_comes() {
    let (store, api) = one();
    fill(&store, "team", "a", 5000);
    runtime().block_on(async {
        let (mut client, mut token, mut count) = (api.client().unwrap(), String::new(), 0);
        loop {
            let mut request = Request::new(page(1000, &token, ""));
            request.set_timeout(Duration::from_secs(2));
            let found = client.list_actors(request).await.unwrap().into_inner();
            count += found.actors.len();
            token = found.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(count, 5000);
    });
}

#[test]
fn one_call_too_many_is_told_to_come_later() {
    let store = redis();
    let api = Api::over(&store.addr().to_string(), &["--max-calls", "6"]).unwrap();
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut client = api.client().unwrap();
    is(runtime.block_on(client.get_actor(get("team", "a"))), Code::NotFound, "");
    halt(&store);
    let call = |_| {
        let mut client = client.clone();
        runtime.spawn(async move { client.get_actor(get("team", "a")).await })
    };
    let going: Vec<_> = (0..3).map(call).collect();
    api.wait_for_metric("ateapi_calls_in_flight", |count| count == 3).unwrap();
    let refused = runtime.block_on(client.clone().get_actor(get("team", "a")));
    is(refused, Code::ResourceExhausted, "too many calls from your address are going on here");
    go_on(&store);
    for call in going {
        is(runtime.block_on(call).unwrap(), Code::NotFound, "the actor team/a");
    }
    is(runtime.block_on(client.get_actor(get("team", "a"))), Code::NotFound, "the actor team/a");
}

/// Writes another version of an actor all the while.
fn meddle(mut client: Client, key: &str, is_over: &AtomicBool) {
    let mut version = 2;
    while !is_over.load(Ordering::Acquire) {
        for _ in 0..50 {
            let text = format!(
                r#"{{"actorId":"a","version":"{version}","status":"STATUS_SUSPENDED","atespace":"team"}}"#
            );
            client.queue(&["SET", key, &text]);
            version += 1;
        }
        client.flush().unwrap();
        for _ in 0..50 {
            client.receive().unwrap();
        }
    }
}

#[test]
fn a_race_that_is_lost_again_and_again_is_aborted() {
    let store = redis();
    let api = Api::start(&store).unwrap();
    let (runtime, is_over) = (runtime(), AtomicBool::new(false));
    let _inside = runtime.enter();
    let mut client = api.client().unwrap();
    runtime.block_on(async {
        client.create_atespace(atespace("team")).await.unwrap();
        client.create_actor(creation("team", "a")).await.unwrap();
    });
    std::thread::scope(|scope| {
        let meddler = store.client().unwrap();
        scope.spawn(|| meddle(meddler, "actor:team:a", &is_over));
        // It may win now and then, if the others do not get their turn.
        let lost = wait::until("a lost race", PATIENCE, || {
            runtime.block_on(client.update_actor(update("team", "a", &[("x", "y")]))).err()
        });
        is_over.store(true, Ordering::Release);
        let status = lost.unwrap();
        assert_eq!(status.code(), Code::Aborted, "{status:?}");
        assert!(status.message().contains("the actor team/a was changed by others"), "{status:?}");
    });
    assert!(api.metric("ateapi_lost_races_total").unwrap() >= 16);
}
