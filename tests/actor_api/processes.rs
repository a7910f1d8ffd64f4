//! The API as a process: how it says that it is well, how it stops, and what happens when it is started again.

use super::*;
use ateapi::proto::GetAtespaceRequest;
use futures_util::StreamExt;
use integration::api::PATIENCE;
use std::collections::BTreeSet;
use std::net::TcpStream;
use testkit::wait;
use tokio::task::spawn_blocking;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ErrorResponse, ServerReflectionRequest};

fn asked(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

#[test]
fn health_tells_of_the_server_and_of_its_store() {
    let mut store = redis();
    let api = Api::start(&store).unwrap();
    let runtime = runtime();
    let _inside = runtime.enter();
    let mut client = HealthClient::new(api.channel().unwrap());
    let mut check = |service: &str| {
        let checked = runtime.block_on(client.check(asked(service)));
        checked.map(|response| response.into_inner().status())
    };
    let mut becomes = |service: &str, status: ServingStatus| {
        let is_so = || (check(service).ok()? == status).then_some(());
        wait::until(&format!("{service:?} to be {status:?}"), PATIENCE, is_so).unwrap();
    };
    becomes("", ServingStatus::Serving);
    becomes("ateapi.Control", ServingStatus::Serving);
    wait::until("readiness", PATIENCE, || api.http("/readyz").ok()?.contains(" 200 ").then_some(())).unwrap();
    store.kill().unwrap();
    becomes("ateapi.Control", ServingStatus::NotServing);
    let why = api.http("/readyz").unwrap();
    assert!(why.contains(" 503 ") && why.contains(&store.addr().to_string()), "{why}");
    // No restart of the API would help.
    becomes("", ServingStatus::Serving);
    assert!(api.http("/healthz").unwrap().contains(" 200 "));
    store.restart().unwrap();
    becomes("ateapi.Control", ServingStatus::Serving);
    assert_eq!(check("nobody").unwrap_err().code(), Code::NotFound);
}

#[test]
fn whoever_watches_the_health_is_told_of_each_change() {
    let mut store = redis();
    let api = Api::start(&store).unwrap();
    runtime().block_on(async {
        let mut client = HealthClient::new(api.channel().unwrap());
        let mut changes = client.watch(asked("ateapi.Control")).await.unwrap().into_inner();
        let mut next = async |wanted: ServingStatus| {
            loop {
                if changes.next().await.unwrap().unwrap().status() == wanted {
                    break;
                }
            }
        };
        next(ServingStatus::Serving).await;
        store.kill().unwrap();
        next(ServingStatus::NotServing).await;
        store.restart().unwrap();
        next(ServingStatus::Serving).await;
    });
}

#[test]
fn reflection_describes_the_service() {
    let (_store, api) = one();
    runtime().block_on(async {
        let mut client = ServerReflectionClient::new(api.channel().unwrap());
        let ask = |what| ServerReflectionRequest { host: String::new(), message_request: Some(what) };
        let questions = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol("ateapi.Control.ListActors".into()),
            MessageRequest::FileContainingSymbol("ateapi.Nothing".into()),
        ];
        let questions = futures_util::stream::iter(questions.map(ask));
        let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
        let mut next = async || answers.next().await.unwrap().unwrap().message_response.unwrap();
        let MessageResponse::ListServicesResponse(services) = next().await else { panic!() };
        let names: BTreeSet<String> = services.service.into_iter().map(|service| service.name).collect();
        for name in ["ateapi.Control", "grpc.health.v1.Health"] {
            assert!(names.contains(name), "{names:?}");
        }
        let MessageResponse::FileDescriptorResponse(files) = next().await else { panic!() };
        let text = String::from_utf8_lossy(&files.file_descriptor_proto[0]).into_owned();
        assert!(text.contains("ListActorsRequest") && text.contains("next_page_token"), "{text}");
    });
}

#[test]
fn what_reflection_does_not_know_is_an_error_of_that_question() {
    let (_store, api) = one();
    runtime().block_on(async {
        let mut client = ServerReflectionClient::new(api.channel().unwrap());
        let what = Some(MessageRequest::FileContainingSymbol("ateapi.Nothing".into()));
        let question = ServerReflectionRequest { host: String::new(), message_request: what };
        let answers = client.server_reflection_info(futures_util::stream::iter([question])).await;
        let answer = match answers {
            Ok(answers) => answers.into_inner().next().await.unwrap(),
            Err(status) => Err(status),
        };
        match answer {
            Ok(answer) => {
                let Some(MessageResponse::ErrorResponse(ErrorResponse { error_code, .. })) =
                    answer.message_response
                else {
                    panic!("{answer:?}")
                };
                assert_eq!(error_code, Code::NotFound as i32);
            }
            Err(status) => assert_eq!(status.code(), Code::NotFound, "{status:?}"),
        }
    });
}

#[test]
fn a_stop_answers_what_goes_on_and_lets_nothing_new_in() {
    let store = redis();
    let mut api = Api::start(&store).unwrap();
    let runtime = runtime();
    let _inside = runtime.enter();
    runtime.block_on(async {
        let mut client = api.client().unwrap();
        client.create_atespace(atespace("team")).await.unwrap();
    });
    halt(&store);
    let mut going: Vec<_> = (0..10)
        .map(|_| {
            let mut client = api.client().unwrap();
            runtime
                .spawn(async move { client.get_atespace(GetAtespaceRequest { name: "team".into() }).await })
        })
        .collect();
    api.wait_for_metric("ateapi_calls_in_flight", |count| count == 10).unwrap();
    api.ask_to_stop().unwrap();
    // Nobody is let in any more, while those that are in still wait.
    let is_closed = || TcpStream::connect(api.address()).is_err().then_some(());
    wait::until("new connections to be refused", PATIENCE, is_closed).unwrap();
    is(runtime.block_on(api.client().unwrap().create_atespace(atespace("late"))), Code::Unavailable, "");
    assert!(going.iter().all(|call| !call.is_finished()));
    go_on(&store);
    for call in &mut going {
        let answer = runtime.block_on(call).unwrap().unwrap();
        assert_eq!(answer.into_inner().atespace.unwrap().name, "team");
    }
    assert_eq!(api.wait().unwrap().code(), Some(0));
}

#[test]
fn a_stop_waits_no_longer_than_it_is_told() {
    let store = redis();
    let mut api = Api::over(&store.addr().to_string(), &["--drain-time", "100ms"]).unwrap();
    let runtime = runtime();
    let _inside = runtime.enter();
    is(runtime.block_on(api.client().unwrap().get_actor(get("team", "a"))), Code::NotFound, "");
    halt(&store);
    let mut client = api.client().unwrap();
    let going = runtime.spawn(async move { client.get_actor(get("team", "a")).await });
    api.wait_for_metric("ateapi_calls_in_flight", |count| count == 1).unwrap();
    api.ask_to_stop().unwrap();
    assert_eq!(api.wait().unwrap().code(), Some(0));
    assert!(runtime.block_on(going).unwrap().is_err());
    go_on(&store);
}

#[test]
fn a_listing_goes_on_at_the_process_that_comes_after_the_one_that_died() {
    const ACTORS: usize = 2000;
    let (store, mut api) = one();
    fill(&store, "team", "a", ACTORS);
    let runtime = runtime();
    let _inside = runtime.enter();
    let (mut names, mut token, mut pages, mut deaths) = (BTreeSet::new(), String::new(), 0, 0);
    loop {
        if pages == 5 && deaths == 0 {
            // As a crash, while the next page is being made or not; and it has the same address again.
            let address = api.address().to_owned();
            let mut client = api.client().unwrap();
            let request = page(100, &token, "");
            let cut_off = runtime.spawn(async move { client.list_actors(request).await });
            api.kill().unwrap();
            // Whether it came in time or not, the same token goes on.
            drop(runtime.block_on(cut_off).unwrap());
            api = Api::over(&store.seeds(), &["--listen", &address]).unwrap();
            deaths += 1;
        }
        let mut client = api.client().unwrap();
        let found = runtime.block_on(client.list_actors(page(100, &token, ""))).unwrap().into_inner();
        pages += 1;
        for actor in found.actors {
            assert!(names.insert(actor.actor_id), "the store has not changed: none comes twice");
        }
        token = found.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((names.len(), deaths), (ACTORS, 1));
}

#[test]
fn listings_of_many_go_on_while_replicas_are_replaced() {
    const ACTORS: usize = 2000;
    let (store, first) = one();
    fill(&store, "team", "a", ACTORS);
    let address = first.address().to_owned();
    let mut apis = vec![first];
    let runtime = runtime();
    let _inside = runtime.enter();
    let listing = |size: i32| {
        let (client, address) = (apis[0].client().unwrap(), address.clone());
        runtime.spawn(async move {
            let (mut names, mut token) = (BTreeSet::new(), String::new());
            loop {
                match client.clone().list_actors(page(size, &token, "")).await {
                    Ok(found) => {
                        let found = found.into_inner();
                        names.extend(found.actors.into_iter().map(|actor| actor.actor_id));
                        token = found.next_page_token;
                        if token.is_empty() {
                            return names.len();
                        }
                    }
                    Err(status) => {
                        // Nobody is there, or whoever was has gone in the middle of it: nothing was answered.
                        assert!(status.metadata().is_empty(), "{status:?}");
                        let address = address.clone();
                        let is_there = move || TcpStream::connect(&address).is_ok().then_some(());
                        let waiting = spawn_blocking(|| wait::until("the next one", PATIENCE, is_there));
                        waiting.await.unwrap().unwrap();
                    }
                }
            }
        })
    };
    let listings: Vec<_> = (0..20).map(|number| listing(10 + number)).collect();
    for death in 0..4 {
        let api = apis.last_mut().unwrap();
        api.wait_for_metric("ateapi_listing_pages_total", |count| count >= 50).unwrap();
        if death % 2 == 0 {
            api.kill().unwrap();
        } else {
            api.ask_to_stop().unwrap();
            api.wait().unwrap();
        }
        apis.push(Api::over(&store.seeds(), &["--listen", &address]).unwrap());
    }
    for listing in listings {
        assert_eq!(runtime.block_on(listing).unwrap(), ACTORS);
    }
}
