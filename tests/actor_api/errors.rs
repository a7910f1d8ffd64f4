//! What the API refuses: with which code, and what it says about it.

use super::*;
use ateapi::proto::{
    DebugClearRequest, DeleteActorRequest, DeleteAtespaceRequest, GetAtespaceRequest, PauseActorRequest,
};
use integration::api::worker;

#[test]
fn what_is_wrong_in_a_request_is_named() {
    let (_store, api) = one();
    let invalid = Code::InvalidArgument;
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        for name in ["", "Team", "a.b", "-a", &"x".repeat(64)] {
            is(client.create_atespace(atespace(name)).await, invalid, "name must");
            is(client.get_atespace(GetAtespaceRequest { name: name.into() }).await, invalid, "name must");
            is(
                client.delete_atespace(DeleteAtespaceRequest { name: name.into() }).await,
                invalid,
                "name must",
            );
            is(client.create_actor(creation(name, "a")).await, invalid, "actor_ref.atespace must");
            is(client.create_actor(creation("team", name)).await, invalid, "actor_ref.name must");
            is(client.get_actor(get("team", name)).await, invalid, "actor_ref.name must");
            is(client.update_actor(update(name, "a", &[])).await, invalid, "actor_ref.atespace must");
            is(client.resume_actor(resume("team", name)).await, invalid, "actor_ref.name must");
            is(client.suspend_actor(suspend(name, "a")).await, invalid, "actor_ref.atespace must");
            let actor_ref = actor_ref("team", name);
            is(
                client.pause_actor(PauseActorRequest { actor_ref: actor_ref.clone() }).await,
                invalid,
                "name must",
            );
            is(client.delete_actor(DeleteActorRequest { actor_ref }).await, invalid, "actor_ref.name must");
        }
        is(client.get_actor(GetActorRequest { actor_ref: None }).await, invalid, "actor_ref must be there");
        let mut request = creation("team", "a");
        request.actor_template_namespace = "a:b".into();
        is(client.create_actor(request).await, invalid, "actor_template_namespace must");
        let mut request = creation("team", "a");
        request.actor_template_name = "A".into();
        is(client.create_actor(request).await, invalid, "actor_template_name must");
        let labels = update("team", "a", &[("a key", "x")]);
        is(client.update_actor(labels).await, invalid, "worker_selector.match_labels has");
        // None of these was worth a question to the store.
        assert_eq!(api.metric(r#"ateapi_store_call_seconds_count{operation="get"}"#).unwrap(), 0);
    });
}

#[test]
fn what_exists_and_what_is_missing_is_said() {
    let (_store, api) = one();
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        is(
            client.create_actor(creation("team", "a")).await,
            Code::FailedPrecondition,
            "the atespace team does not exist",
        );
        client.create_atespace(atespace("team")).await.unwrap();
        is(
            client.create_atespace(atespace("team")).await,
            Code::AlreadyExists,
            "the atespace team exists already",
        );
        client.create_actor(creation("team", "a")).await.unwrap();
        is(
            client.create_actor(creation("team", "a")).await,
            Code::AlreadyExists,
            "the actor team/a exists already",
        );
        let missing = "the actor team/b does not exist";
        is(client.get_actor(get("team", "b")).await, Code::NotFound, missing);
        is(client.update_actor(update("team", "b", &[])).await, Code::NotFound, missing);
        is(client.resume_actor(resume("team", "b")).await, Code::NotFound, missing);
        is(client.suspend_actor(suspend("team", "b")).await, Code::NotFound, missing);
        let actor_ref = actor_ref("team", "b");
        is(
            client.pause_actor(PauseActorRequest { actor_ref: actor_ref.clone() }).await,
            Code::NotFound,
            missing,
        );
        is(client.delete_actor(DeleteActorRequest { actor_ref }).await, Code::NotFound, missing);
        let other = GetAtespaceRequest { name: "other".into() };
        is(client.get_atespace(other).await, Code::NotFound, "the atespace other does not exist");
        let team = DeleteAtespaceRequest { name: "team".into() };
        is(client.delete_atespace(team).await, Code::FailedPrecondition, "the atespace team has actors");
    });
}

#[test]
fn what_an_actor_cannot_do_in_its_state_is_said() {
    let (store, api) = one();
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        client.create_atespace(atespace("team")).await.unwrap();
        client.create_actor(creation("team", "a")).await.unwrap();
        let pause = || PauseActorRequest { actor_ref: actor_ref("team", "a") };
        let delete = || DeleteActorRequest { actor_ref: actor_ref("team", "a") };
        let (state, none) = (Code::FailedPrecondition, Code::ResourceExhausted);
        is(client.pause_actor(pause()).await, state, "only a running actor can be paused");
        is(client.resume_actor(resume("team", "a")).await, none, "there is no worker");
        store.put(&[worker("w1", "n1")]).unwrap();
        client.update_actor(update("team", "a", &[("pool", "large")])).await.unwrap();
        is(client.resume_actor(resume("team", "a")).await, none, "there is no worker with pool=large");
        client.update_actor(update("team", "a", &[])).await.unwrap();
        client.resume_actor(resume("team", "a")).await.unwrap();
        is(client.delete_actor(delete()).await, state, "is running: suspend it first");
        client.create_actor(creation("team", "b")).await.unwrap();
        is(client.resume_actor(resume("team", "b")).await, none, "no worker is free: 1 are busy");
        client.pause_actor(pause()).await.unwrap();
        is(client.delete_actor(delete()).await, state, "is paused: suspend it first");
        client.suspend_actor(suspend("team", "a")).await.unwrap();
        client.delete_actor(delete()).await.unwrap();
    });
}

#[test]
fn a_record_that_is_none_is_told_where_it_is_asked_for_and_left_out_where_all_are() {
    let (store, api) = one();
    fill(&store, "team", "a", 10);
    let bad: Vec<(String, Vec<u8>)> = vec![
        ("actor:team:text".into(), b"nonsense".to_vec()),
        ("actor:team:liar".into(), br#"{"actorId":"somebody","atespace":"team"}"#.to_vec()),
        ("actor:team:huge".into(), vec![b'x'; 300 << 10]),
    ];
    store.put(&bad).unwrap();
    store.clients().unwrap()[0].want("RPUSH actor:team:list x").unwrap();
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        is(client.get_actor(get("team", "text")).await, Code::DataLoss, "actor:team:text cannot be used");
        is(client.get_actor(get("team", "liar")).await, Code::DataLoss, "the record actor:team:somebody");
        is(client.get_actor(get("team", "huge")).await, Code::DataLoss, "");
        is(client.get_actor(get("team", "list")).await, Code::DataLoss, "WRONGTYPE");
        let mut names = list_from(&mut client, 3, "", "team").await;
        names.sort_unstable();
        assert_eq!(names, (0..10).map(|number| format!("a-{number}")).collect::<Vec<_>>());
        assert_eq!(api.metric("ateapi_listing_unparsable_total").unwrap(), 4);
    });
}

#[test]
fn everything_is_cleared_only_where_that_is_allowed() {
    let (store, api) = one();
    fill(&store, "team", "a", 10);
    let bold = Api::over(&store.seeds(), &["--allow-debug-clear"]).unwrap();
    store.clients().unwrap()[0].want("SET theirs 1").unwrap();
    runtime().block_on(async {
        let mut client = api.client().unwrap();
        is(client.debug_clear(DebugClearRequest {}).await, Code::PermissionDenied, "--allow-debug-clear");
        assert_eq!(list_from(&mut client, 0, "", "").await.len(), 10);
        bold.client().unwrap().debug_clear(DebugClearRequest {}).await.unwrap();
        assert_eq!(list_from(&mut client, 0, "", "").await.len(), 0);
    });
    let left = store.clients().unwrap()[0].want("GET theirs").unwrap();
    assert_eq!(left.bytes(), Some(&b"1"[..]));
}
