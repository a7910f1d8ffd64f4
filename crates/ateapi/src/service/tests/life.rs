//! What each call does when nothing goes wrong, and what it says when it cannot.

use super::*;
use crate::proto::snapshot_info::Data;
use crate::proto::{SnapshotType, control_server::Control};
use crate::store;
use tonic::Request;

#[tokio::test(start_paused = true)]
async fn an_actor_lives_from_its_creation_to_its_end() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    put_worker(&sim, "pod-0", "vm-1");
    service.create_atespace("team", at).await.unwrap();
    let made = service.create_actor(creation("team", "a"), at).await.unwrap();
    assert_eq!((made.status(), made.version, &*made.actor_template_name), (Status::Suspended, 1, "shell"));
    assert_eq!(service.get_actor(&key("a"), at).await.unwrap(), made);

    let running = service.resume_actor(&key("a"), false, at).await.unwrap();
    assert_eq!((running.status(), running.version), (Status::Running, 3));
    let place = (&*running.ateom_pod_namespace, &*running.worker_pool_name, &*running.ateom_pod_name);
    assert_eq!(place, ("ns", "pool", "pod-0"));
    assert_eq!((&*running.ateom_pod_ip, &*running.ateom_pod_uid), ("10.0.0.7", "uid-pod-0"));
    let claimed = worker(&sim, "pod-0").await;
    assert_eq!((&*claimed.actor_atespace, &*claimed.actor_id, claimed.version), ("team", "a", 2));
    assert_eq!((&*claimed.actor_namespace, &*claimed.actor_template), ("default", "shell"));
    // It runs already.
    assert_eq!(service.resume_actor(&key("a"), false, at).await.unwrap(), running);

    let paused = service.pause_actor(&key("a"), at).await.unwrap();
    assert_eq!((paused.status(), &*paused.ateom_pod_name), (Status::Paused, ""));
    let info = paused.latest_snapshot_info.clone().unwrap();
    let Some(Data::Local(local)) = &info.data else { panic!("{info:?}") };
    assert_eq!(
        (info.r#type(), &local.node_vms_with_local_snapshots[..]),
        (SnapshotType::Local, &["vm-1".to_owned()][..])
    );
    assert_eq!(worker(&sim, "pod-0").await.actor_id, "");
    assert_eq!(service.pause_actor(&key("a"), at).await.unwrap(), paused);

    service.resume_actor(&key("a"), false, at).await.unwrap();
    let suspended = service.suspend_actor(&key("a"), at).await.unwrap();
    assert_eq!((suspended.status(), &*suspended.in_progress_snapshot), (Status::Suspended, ""));
    let info = suspended.latest_snapshot_info.clone().unwrap();
    let Some(Data::External(external)) = &info.data else { panic!("{info:?}") };
    assert!(external.snapshot_uri_prefix.contains("team/a/"), "{external:?}");
    assert_eq!((worker(&sim, "pod-0").await.actor_id, worker(&sim, "pod-0").await.version), ("".into(), 5));
    assert_eq!(service.suspend_actor(&key("a"), at).await.unwrap(), suspended);

    service.delete_actor(&key("a"), at).await.unwrap();
    is(service.get_actor(&key("a"), at).await, Code::NotFound, "the actor team/a does not exist");
    service.delete_atespace("team", at).await.unwrap();
    is(service.get_atespace("team", at).await, Code::NotFound, "the atespace team");
}

#[tokio::test(start_paused = true)]
async fn names_are_checked_and_their_fields_named() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    let bad = |atespace: &str, id: &str| creation(atespace, id);
    is(service.create_actor(bad("Team", "a"), at).await, Code::InvalidArgument, "actor_ref.atespace must be");
    is(service.create_actor(bad("team", ""), at).await, Code::InvalidArgument, "actor_ref.name must not");
    let mut request = creation("team", "a");
    request.actor_template_namespace = "a:b".into();
    is(service.create_actor(request, at).await, Code::InvalidArgument, "actor_template_namespace");
    let mut request = creation("team", "a");
    request.worker_selector = Some(selector(&[("", "x")]));
    is(service.create_actor(request, at).await, Code::InvalidArgument, "worker_selector.match_labels");
    is(service.create_atespace("a.b", at).await, Code::InvalidArgument, "name must be");
    let none = crate::proto::GetActorRequest { actor_ref: None };
    let status = Control::get_actor(&service, Request::new(none)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "actor_ref must be there"));
    assert_eq!(sim.counts().calls, 0, "nothing was asked of the store");
}

#[tokio::test(start_paused = true)]
async fn what_exists_and_what_is_missing_is_said() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    let missing = "the atespace team does not exist";
    is(service.create_actor(creation("team", "a"), at).await, Code::FailedPrecondition, missing);
    one_actor(&service).await;
    is(service.create_atespace("team", at).await, Code::AlreadyExists, "the atespace team exists already");
    is(service.create_actor(creation("team", "a"), at).await, Code::AlreadyExists, "the actor team/a exists");
    is(service.delete_atespace("team", at).await, Code::FailedPrecondition, "the atespace team has actors");
    assert!(!has_mark(&sim).await);
    is(service.delete_atespace("other", at).await, Code::NotFound, "the atespace other");
    is(service.update_actor(&key("b"), None, at).await, Code::NotFound, "team/b");
    is(service.resume_actor(&key("b"), false, at).await, Code::NotFound, "team/b");
    is(service.suspend_actor(&key("b"), at).await, Code::NotFound, "team/b");
    is(service.delete_actor(&key("b"), at).await, Code::NotFound, "team/b");
}

#[tokio::test(start_paused = true)]
async fn states_that_do_not_follow_are_refused() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    put_worker(&sim, "pod-0", "vm-1");
    one_actor(&service).await;
    is(service.pause_actor(&key("a"), at).await, Code::FailedPrecondition, "team/a is suspended");
    service.resume_actor(&key("a"), false, at).await.unwrap();
    is(service.delete_actor(&key("a"), at).await, Code::FailedPrecondition, "team/a is running: suspend it");
    service.pause_actor(&key("a"), at).await.unwrap();
    is(service.delete_actor(&key("a"), at).await, Code::FailedPrecondition, "is paused");
    let suspended = service.suspend_actor(&key("a"), at).await.unwrap();
    let Some(Data::External(_)) = suspended.latest_snapshot_info.unwrap().data else { panic!() };
    service.delete_actor(&key("a"), at).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_status_of_a_newer_version_is_left_alone() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    sim.put("actor:team:a", r#"{"actorId":"a","atespace":"team","version":"4","status":"STATUS_DREAMING"}"#);
    is(service.update_actor(&key("a"), None, at).await, Code::FailedPrecondition, "does not know");
    is(service.resume_actor(&key("a"), false, at).await, Code::FailedPrecondition, "does not know");
    assert_eq!(json_of(&sim, "actor:team:a").await["status"], "STATUS_DREAMING");
}

#[tokio::test(start_paused = true)]
async fn what_others_have_written_beside_the_record_stays() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    put_worker(&sim, "pod-0", "vm-1");
    let text =
        r#"{"actorId":"a","atespace":"team","version":"4","status":"STATUS_SUSPENDED","mood":{"of":[1]}}"#;
    sim.put("actor:team:a", text);
    service.update_actor(&key("a"), Some(selector(&[("arch", "arm")])), at).await.unwrap();
    service.resume_actor(&key("a"), false, at).await.unwrap();
    let now = json_of(&sim, "actor:team:a").await;
    assert_eq!((&now["mood"]["of"][0], &now["version"]), (&json!(1), &json!("7")));
    assert_eq!(json_of(&sim, "worker:ns:pool:pod-0").await["labels"]["arch"], "arm");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_used_is_named() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    sim.put("actor:team:a", "{");
    is(service.get_actor(&key("a"), at).await, Code::DataLoss, "the record actor:team:a cannot be used");
    sim.put("actor:team:a", vec![b' '; crate::record::RECORD_BYTES_MAX + 1]);
    is(service.get_actor(&key("a"), at).await, Code::DataLoss, "bytes");
    sim.put("atespace:team", r#"{"name":"team"}"#);
    is(service.delete_atespace("team", at).await, Code::FailedPrecondition, "has actors");
}

#[tokio::test(start_paused = true)]
async fn a_resume_takes_a_worker_that_fits() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    one_actor(&service).await;
    is(service.resume_actor(&key("a"), false, at).await, Code::ResourceExhausted, "there is no worker");
    for (pod, node) in [("pod-0", "vm-0"), ("pod-1", "vm-1"), ("pod-2", "vm-2")] {
        put_worker(&sim, pod, node);
    }
    let wanted = |labels| Some(selector(labels));
    service.update_actor(&key("a"), wanted(&[("arch", "x86")]), at).await.unwrap();
    is(service.resume_actor(&key("a"), false, at).await, Code::ResourceExhausted, "no worker with arch=x86");
    service.update_actor(&key("a"), wanted(&[("arch", "arm"), ("node", "vm-1")]), at).await.unwrap();
    assert_eq!(service.resume_actor(&key("a"), false, at).await.unwrap().ateom_pod_name, "pod-1");
    service.create_actor(creation("team", "b"), at).await.unwrap();
    service.update_actor(&key("b"), wanted(&[("node", "vm-1")]), at).await.unwrap();
    is(service.resume_actor(&key("b"), false, at).await, Code::ResourceExhausted, "is free: 1 are busy");
    assert_eq!(actor(&sim, "b").await.status(), Status::Suspended);
}

#[tokio::test(start_paused = true)]
async fn a_paused_actor_goes_back_to_its_snapshot_unless_it_boots() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    put_worker(&sim, "pod-0", "vm-0");
    one_actor(&service).await;
    service.create_actor(creation("team", "b"), at).await.unwrap();
    service.resume_actor(&key("a"), false, at).await.unwrap();
    service.pause_actor(&key("a"), at).await.unwrap();
    service.resume_actor(&key("b"), false, at).await.unwrap();
    put_worker(&sim, "pod-1", "vm-1");
    let text = "on vm-0, where its local snapshot is";
    is(service.resume_actor(&key("a"), false, at).await, Code::ResourceExhausted, text);
    assert_eq!(actor(&sim, "a").await.status(), Status::Paused);
    assert_eq!(service.resume_actor(&key("a"), true, at).await.unwrap().ateom_pod_name, "pod-1");
}

#[tokio::test(start_paused = true)]
async fn everything_is_listed_in_the_order_of_its_keys() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    for number in (0..300).rev() {
        service.create_atespace(&format!("team-{number:03}"), at).await.unwrap();
        put_worker(&sim, &format!("pod-{number:03}"), "vm");
    }
    sim.put("worker:ns:pool:broken", "{");
    sim.put("worker:ns:pool:list", "?");
    sim.fail_reads_of("worker:ns:pool:list", Some(store::Error::wrong_type("WRONGTYPE")));
    let atespaces = service.list_atespaces(at).await.unwrap();
    assert_eq!(atespaces.len(), 300);
    assert!(atespaces.is_sorted_by_key(|atespace| atespace.name.clone()));
    assert_eq!(service.list_workers(at).await.unwrap().len(), 300);
    assert_eq!(service.counts().unusable_records, 2);
    sim.fail_reads_of("worker:ns:pool:pod-007", Some(store::Error::refused("NOPERM")));
    is(service.list_workers(at).await, Code::Unavailable, "NOPERM");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_no_response_holds_is_an_error_and_not_the_end() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    for number in 0..50 {
        let text = json!({
            "workerNamespace": "ns", "workerPool": "pool", "workerPod": format!("pod-{number}"),
            "ip": "x".repeat(100_000),
        });
        sim.put(&format!("worker:ns:pool:pod-{number}"), text.to_string());
    }
    is(service.list_workers(at).await, Code::ResourceExhausted, "more workers than the 4 MiB");
}

#[tokio::test(start_paused = true)]
async fn pages_of_actors_are_listed() {
    let sim = sim();
    let service = service_of(&sim);
    one_actor(&service).await;
    let request = || Request::new(crate::proto::ListActorsRequest::default());
    let page = Control::list_actors(&service, request()).await.unwrap().into_inner();
    assert_eq!(page.actors, [actor(&sim, "a").await]);
    let mut negative = request();
    negative.get_mut().page_size = -1;
    let status = Control::list_actors(&service, negative).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn everything_is_cleared_only_if_that_is_allowed() {
    let (sim, at) = (sim(), soon());
    let service = service_of(&sim);
    put_worker(&sim, "pod-0", "vm-0");
    one_actor(&service).await;
    sim.put("somebody-else", "1");
    sim.put("actor:team:list", "?");
    sim.fail_reads_of("actor:team:list", Some(store::Error::wrong_type("WRONGTYPE")));
    sim.put("actor:team:broken", "{");
    is(service.debug_clear(at).await, Code::PermissionDenied, "this server does not allow it");
    let rights = Options { allow_debug_clear: true, ..Options::default() };
    let free = Service::new(Arc::new(sim.clone()), Acknowledge, rights);
    free.debug_clear(at).await.unwrap();
    for key in ["actor:team:a", "actor:team:broken", "atespace:team", "worker:ns:pool:pod-0"] {
        assert_eq!(sim.get(key, at).await, Ok(None), "{key}");
    }
    assert_eq!(free.counts().unusable_records, 1, "what is no record stays, and is told");
    assert!(sim.get("somebody-else", at).await.unwrap().is_some());
}
