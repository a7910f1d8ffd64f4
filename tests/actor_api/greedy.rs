//! Callers that take and do not give back: they feel it themselves, and nobody else does.

use super::*;
use integration::api::PATIENCE;
use std::io::{Read, Write};
use std::net::TcpStream;
use testkit::tls::Authority;
use testkit::{temp_dir, wait};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{self, Request};
use tonic::transport::Channel;

/// A listing whose answer is never read. `Ok` when it has begun to come.
async fn list_and_leave(mut channel: Channel) -> Option<http::Response<Body>> {
    std::future::poll_fn(|context| channel.poll_ready(context)).await.ok()?;
    // A message without fields, in the frame of gRPC.
    let request = Request::post("/ateapi.Control/ListActors").header("content-type", "application/grpc");
    channel.call(request.body(Body::new("\0\0\0\0\0".to_owned())).unwrap()).await.ok()
}

#[test]
fn who_never_reads_keeps_its_places_until_its_time_is_over() {
    let store = Target::One(Box::new(redis()));
    let api = Api::over(&store.seeds(), &["--max-calls", "6"]).unwrap();
    fill(&store, "team", "a", 100);
    let runtime = runtime();
    let _inside = runtime.enter();
    let narrow = api.endpoint().unwrap().initial_stream_window_size(100).connect_lazy();
    let begin = |_| runtime.block_on(list_and_leave(narrow.clone())).unwrap();
    let answers: Vec<_> = (0..3).map(begin).collect();
    for answer in &answers {
        assert!(answer.headers().get("grpc-status").is_none(), "{answer:?}");
    }
    assert_eq!(api.metric("ateapi_calls_in_flight").unwrap(), 3);
    // Half of the places are another peer's.
    is(
        runtime.block_on(api.client().unwrap().get_actor(get("team", "a-1"))),
        Code::ResourceExhausted,
        "too many calls from your address",
    );
    assert_eq!(api.metric("ateapi_calls_in_flight").unwrap(), 3);
    drop(answers);
    // Whoever goes away gives its places back at once.
    api.wait_for_metric("ateapi_calls_in_flight", |count| count == 0).unwrap();
    runtime.block_on(api.client().unwrap().get_actor(get("team", "a-1"))).unwrap();
}

#[test]
fn who_never_reads_is_cut_off() {
    let store = Target::One(Box::new(redis()));
    let api = Api::over(&store.seeds(), &["--max-deadline", "500ms"]).unwrap();
    fill(&store, "team", "a", 100);
    let runtime = runtime();
    let _inside = runtime.enter();
    // The whole answer is in the transport's hands, or none of it.
    for window in [100, 0] {
        let before =
            api.metric("ateapi_calls_total{method=\"ListActors\",code=\"DEADLINE_EXCEEDED\"}").unwrap();
        let narrow = api.endpoint().unwrap().initial_stream_window_size(window).connect_lazy();
        let answer = runtime.block_on(list_and_leave(narrow)).unwrap();
        api.wait_for_metric("ateapi_calls_in_flight", |count| count == 0).unwrap();
        api.wait_for_metric("ateapi_connections", |count| count == 0).unwrap();
        let late =
            api.metric("ateapi_calls_total{method=\"ListActors\",code=\"DEADLINE_EXCEEDED\"}").unwrap();
        assert_eq!(late - before, 1);
        drop(answer);
    }
}

/// Waits until the other end has closed.
fn is_closed(socket: &mut TcpStream) -> bool {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // What it says at first may still come.
    let mut bytes = [0; 64];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn one_byte_is_no_first_word() {
    let (_store, api) = one();
    let mut socket = TcpStream::connect(api.address()).unwrap();
    socket.write_all(b"P").unwrap();
    assert!(is_closed(&mut socket));
}

#[test]
fn one_peer_has_only_so_many_connections() {
    let (store, api) = {
        let store = Target::One(Box::new(redis()));
        let api = Api::over(&store.seeds(), &["--max-connections-per-peer", "2"]).unwrap();
        (store, api)
    };
    fill(&store, "team", "a", 1);
    let first = TcpStream::connect(api.address()).unwrap();
    let _second = TcpStream::connect(api.address()).unwrap();
    api.wait_for_metric("ateapi_connections", |count| count == 2).unwrap();
    assert!(is_closed(&mut TcpStream::connect(api.address()).unwrap()), "a third one");
    assert_eq!(api.metric("ateapi_connections_refused_total").unwrap(), 1);
    drop(first);
    api.wait_for_metric("ateapi_connections", |count| count == 1).unwrap();
    runtime().block_on(async { api.client().unwrap().get_actor(get("team", "a-0")).await }).unwrap();
}

#[test]
fn handshakes_that_do_not_go_on_hold_nobody_up() {
    const SILENT: usize = 100;
    let authority = Authority::new("tests").unwrap();
    let files = temp_dir().unwrap();
    let (cert, key) = authority.issue("server").unwrap().write(files.path(), "server").unwrap();
    let [cert, key] = [cert, key].map(|path| path.to_str().unwrap().to_owned());
    let store = redis();
    let options = ["--tls-cert", &cert, "--tls-key", &key];
    let api = Api::over(&store.addr().to_string(), &options).unwrap();
    let silent: Vec<_> = (0..SILENT).map(|_| TcpStream::connect(api.address()).unwrap()).collect();
    // All of them are let in, and what they wait for is their own.
    wait::until("all to be let in", PATIENCE, || {
        (api.metric("ateapi_connections").ok()? == SILENT as u64).then_some(())
    })
    .unwrap();
    assert_eq!(api.metric("ateapi_handshakes_failed_total").unwrap(), 0, "none has run out of time yet");
    drop(silent);
}
