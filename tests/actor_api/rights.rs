//! What the store's user may do: all that the API needs, as docs/operations.md has it, or less.

use super::*;
use ateapi::proto::{
    DebugClearRequest, DeleteActorRequest, DeleteAtespaceRequest, ListAtespacesRequest, ListWorkersRequest,
    PauseActorRequest,
};
use integration::api::worker;
use integration::listing::Kind;

const MANUAL: &str = include_str!("../../docs/operations.md");

/// The rules of the user in the manual.
fn rules() -> Vec<&'static str> {
    let line = MANUAL.lines().find_map(|line| line.strip_prefix("ACL SETUSER ateapi on >PASSWORD "));
    line.unwrap().split(' ').collect()
}

/// Makes the user on every node, with these rules.
fn allow(store: &Target, rules: &[&str]) {
    for client in &mut store.clients().unwrap() {
        client.want(&format!("ACL SETUSER ateapi reset on >secret {}", rules.join(" "))).unwrap();
    }
}

fn api_of_user(store: &Target, options: &[&str]) -> Api {
    Api::over(&format!("ateapi:secret@{}", store.seeds()), options).unwrap()
}

async fn live(client: &mut Control) {
    client.create_atespace(atespace("team")).await.unwrap();
    for name in ["a", "b"] {
        client.create_actor(creation("team", name)).await.unwrap();
    }
    client.update_actor(update("team", "a", &[("pool", "small")])).await.unwrap();
    client.resume_actor(resume("team", "a")).await.unwrap();
    client.pause_actor(PauseActorRequest { actor_ref: actor_ref("team", "a") }).await.unwrap();
    client.suspend_actor(suspend("team", "a")).await.unwrap();
    assert_eq!(list_from(client, 1, "", "").await.len(), 2);
    assert_eq!(client.list_workers(ListWorkersRequest {}).await.unwrap().into_inner().workers.len(), 1);
    let atespaces = client.list_atespaces(ListAtespacesRequest {}).await.unwrap().into_inner().atespaces;
    assert_eq!(atespaces.len(), 1);
    for name in ["a", "b"] {
        client.delete_actor(DeleteActorRequest { actor_ref: actor_ref("team", name) }).await.unwrap();
    }
    client.delete_atespace(DeleteAtespaceRequest { name: "team".into() }).await.unwrap();
    client.debug_clear(DebugClearRequest {}).await.unwrap();
}

/// What only a cluster needs.
const OF_CLUSTERS: [&str; 6] =
    ["%R~[0-9]*", "+exists", "+asking", "+cluster|myid", "+cluster|nodes", "+cluster|info"];

fn rules_without(left_out: &[&str]) -> Vec<&'static str> {
    let (left_out, kept): (Vec<_>, Vec<_>) = rules().into_iter().partition(|rule| left_out.contains(rule));
    assert!(!left_out.is_empty(), "they are not in the manual");
    kept
}

fn check(kind: Kind, rules: &[&str]) {
    let store = Target::start(kind).unwrap();
    allow(&store, rules);
    let api = api_of_user(&store, &["--allow-debug-clear"]);
    store.put(&[worker("w1", "n1")]).unwrap();
    runtime().block_on(async { live(&mut api.client().unwrap()).await });
}

#[test]
fn the_rules_in_the_manual_are_enough_for_a_redis() {
    check(Kind::Redis, &rules_without(&OF_CLUSTERS));
}

#[test]
fn the_rules_in_the_manual_are_enough_for_a_cluster() {
    check(Kind::RedisCluster, &rules());
}

#[test]
fn the_rules_in_the_manual_are_enough_for_a_bulkhead() {
    check(Kind::Bulkhead { groups: 4 }, &rules_without(&["+asking"]));
}

#[test]
fn no_list_ends_as_if_what_may_not_be_read_were_not_there() {
    let store = Target::One(Box::new(redis()));
    fill(&store, "team", "a", 300);
    store.put(&[worker("w1", "n1")]).unwrap();
    allow(&store, &rules());
    let api = api_of_user(&store, &[]);
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        let first = client.list_actors(page(100, "", "")).await.unwrap().into_inner();
        allow(&store, &rules_without(&["+getrange"]));
        let gone = Code::Unavailable;
        is(client.list_actors(page(100, &first.next_page_token, "")).await, gone, "NOPERM");
        is(client.list_workers(ListWorkersRequest {}).await, gone, "NOPERM");
        is(client.get_actor(get("team", "a-1")).await, gone, "NOPERM");
        assert_eq!(api.metric("ateapi_listing_unparsable_total").unwrap(), 0);
        // The same token goes on.
        allow(&store, &rules());
        let rest = list_from(&mut client, 100, &first.next_page_token, "").await;
        assert_eq!(first.actors.len() + rest.len(), 300);
    });
}
