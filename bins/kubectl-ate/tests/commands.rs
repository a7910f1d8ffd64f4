//! Everything but listings: one behaviour a test.

use std::process::Stdio;

use ateproto::Worker;
use tonic::transport::Identity;

use crate::fake::{Fake, State, actor};
use crate::program::{bare, command, finish, ok, run};

#[track_caller]
fn fails(fake: &Fake, line: &str, stderr: &str) {
    let said = run(fake, line);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (1, "", stderr), "{line}");
}

#[test]
fn an_actor_lives_through_all_commands() {
    let fake = Fake::start(0);
    assert_eq!(ok(&fake, "create atespace trial"), "atespace/trial created\n");
    let line = "create actor a1 -a trial --template default/counter --selector-label disk=ssd";
    assert_eq!(ok(&fake, line), "actor/trial/a1 created\n");
    assert_eq!(ok(&fake, "resume actor a1 -a trial"), "actor/trial/a1 resumed\n");
    let wide = ok(&fake, "get actor a1 -a trial -o wide --no-headers");
    let words: Vec<&str> = wide.split_whitespace().collect();
    assert_eq!(
        words,
        "trial a1 default/counter Running 2 workers/restored <none> <none> disk=ssd <none>"
            .split(' ')
            .collect::<Vec<_>>()
    );
    assert_eq!(ok(&fake, "pause actor trial/a1"), "actor/trial/a1 paused\n");
    assert_eq!(ok(&fake, "resume actor/trial/a1 --boot -o name"), "actor/trial/a1\n");
    assert_eq!(ok(&fake, "suspend actor a1 -a trial"), "actor/trial/a1 suspended\n");
    assert_eq!(
        ok(&fake, "update actor a1 -a trial --selector-label a=b --selector-label c=d"),
        "actor/trial/a1 updated\n"
    );
    let json = ok(&fake, "get actor a1 -a trial -o json");
    let found: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(found["workerSelector"]["matchLabels"], serde_json::json!({"a": "b", "c": "d"}));
    let cleared = ok(&fake, "update actor a1 -a trial --clear-selector -o yaml");
    assert!(!cleared.contains("workerSelector") && cleared.contains("\nversion: \"7\"\n"), "{cleared}");
    assert_eq!(ok(&fake, "delete actor a1 -a trial"), "actor \"trial/a1\" deleted\n");
    assert_eq!(ok(&fake, "delete atespace trial"), "atespace \"trial\" deleted\n");
}

#[test]
fn an_atespace_that_is_deleted_in_parts_is_deleted_in_the_end() {
    let fake = Fake::start(0);
    *fake.state.parts.lock() = 10;
    assert_eq!(ok(&fake, "delete atespace demo"), "atespace \"demo\" deleted\n");
    assert_eq!(*fake.state.parts.lock(), 0);
}

#[test]
fn errors_of_the_server_read_as_kubectls() {
    let fake = Fake::start(0);
    fails(&fake, "get actor x -a demo", "Error from server (NotFound): actors \"demo/x\" not found\n");
    fails(
        &fake,
        "create atespace demo",
        "Error from server (AlreadyExists): atespaces \"demo\" already exists\n",
    );
    fails(
        &fake,
        "create actor x -a none --template a/b",
        "Error from server (FailedPrecondition): there is no atespace \"none\"\n",
    );
}

#[test]
fn mistakes_on_the_command_line_end_with_one() {
    let fake = Fake::start(0);
    fails(
        &fake,
        "get actor x",
        "error: which atespace is actor \"x\" in? Give -a ATESPACE (or ATE_ATESPACE), or say ATESPACE/x\n",
    );
    fails(&fake, "create actor x -a demo", "error: an actor needs --template NAMESPACE/NAME\n");
    fails(&fake, "delete actor -a demo", "error: a resource was given, but no name\n");
    fails(&fake, "get workers -a demo", "error: workers are in no atespace: leave -a out\n");
    fails(&fake, "get atespaces --limit 3", "error: --limit and --page-token are for listings of actors\n");
    for line in ["get pods", "get actors --colour", "frobnicate"] {
        let said = run(&fake, line);
        assert_eq!((said.code, said.stdout.as_str()), (1, ""), "{line}");
        assert!(said.stderr.starts_with("error: "), "{line}: {}", said.stderr);
    }
}

#[test]
fn several_names_are_done_although_some_fail() {
    let fake = Fake::start(0);
    for name in ["a", "c"] {
        fake.put(actor(name, 1));
    }
    let missing = "Error from server (NotFound): actors \"demo/b\" not found\n";
    let said = run(&fake, "get actors a b c -a demo -o name");
    assert_eq!(
        (said.code, said.stdout.as_str(), said.stderr.as_str()),
        (1, "actor/demo/a\nactor/demo/c\n", missing)
    );
    let said = run(&fake, "delete actor/demo/a actor/demo/b actor/demo/c");
    let deleted = "actor \"demo/a\" deleted\nactor \"demo/c\" deleted\n";
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (1, deleted, missing));
}

#[test]
fn what_is_missing_can_be_ignored() {
    let fake = Fake::start(0);
    assert_eq!(ok(&fake, "get actor x -a demo --ignore-not-found"), "");
    assert_eq!(ok(&fake, "delete actor x -a demo --ignore-not-found"), "");
}

#[test]
fn workers_are_shown_with_what_they_run() {
    let fake = Fake::start(0);
    let worker = |pod: &str, actor: &str| Worker {
        worker_namespace: "ns".into(),
        worker_pool: "pool".into(),
        worker_pod: pod.into(),
        actor_atespace: if actor.is_empty() { "" } else { "demo" }.into(),
        actor_id: actor.into(),
        version: 3,
        ..Default::default()
    };
    fake.state.workers.lock().extend([worker("w1", "a1"), worker("w2", "")]);
    let expected = "\
NAMESPACE   POOL       NAME           ACTOR
ns          pool       w1             demo/a1
ns          pool       w2             <none>
";
    assert_eq!(ok(&fake, "get workers"), expected);
    assert_eq!(ok(&fake, "get worker w2 -o name"), "worker/ns/pool/w2\n");
    let json: serde_json::Value = serde_json::from_str(&ok(&fake, "get wk -o json")).unwrap();
    assert_eq!(json["items"][0]["actorId"], "a1");
}

#[test]
fn atespaces_are_shown() {
    let fake = Fake::start(0);
    assert_eq!(ok(&fake, "get atespaces"), "NAME\ndemo\n");
    assert_eq!(ok(&fake, "get atespace demo -o json"), "{\n  \"name\": \"demo\"\n}\n");
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let mut fake = Fake::start(0);
    fake.stop();
    let expected = format!("Unable to connect to the server: {}: connection refused\n", fake.addr);
    testkit::wait::until("the port to be closed", crate::fake::PATIENCE, || {
        std::net::TcpStream::connect(fake.addr).is_err().then_some(())
    })
    .unwrap();
    fails(&fake, "get actors", &expected);
    fails(&fake, "delete actor a -a demo", &expected);
    let said = run(&fake, "version");
    assert_eq!((said.code, said.stderr), (1, expected));
    assert!(said.stdout.starts_with("Client Version: "));
}

#[test]
fn the_version_is_of_the_program_and_the_server_is_asked_for_its_health() {
    let fake = Fake::start(0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(ok(&fake, "version --client"), format!("Client Version: {version}\n"));
    let expected = format!("Client Version: {version}\nServer: {} (health unknown)\n", fake.addr);
    assert_eq!(ok(&fake, "version"), expected);
    let json: serde_json::Value = serde_json::from_str(&ok(&fake, "version -o json")).unwrap();
    assert_eq!(json["clientVersion"], version);
}

#[test]
fn shells_get_scripts_and_kubectl_gets_answers() {
    let fake = Fake::start(0);
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(&fake, &format!("completion {shell}")).contains("kubectl-ate"), "{shell}");
    }
    assert_eq!(ok(&fake, "__complete get w"), "workers\n:4\n");
    let said = finish(command(&fake, "__complete get actors -o").arg("").spawn().unwrap());
    assert_eq!(said.stdout, "table\nwide\njson\nyaml\nname\n:4\n");
}

#[test]
fn help_is_on_stdout_and_has_examples() {
    let fake = Fake::start(0);
    for line in ["--help", "help", "get --help", "help get", "admin load --help", "completion --help"] {
        assert!(ok(&fake, line).contains("Examples:\n  "), "{line}");
    }
}

#[test]
fn tls_checks_the_server_against_the_authority_that_is_given() {
    let authority = testkit::tls::Authority::new("ours").unwrap();
    let identity = authority.issue("server").unwrap();
    let fake = Fake::start_as(State::with(3), Some(Identity::from_pem(&identity.cert, &identity.key)));
    let dir = tempfile::tempdir().unwrap();
    let ours = dir.path().join("ours.pem");
    std::fs::write(&ours, authority.cert()).unwrap();
    let theirs = dir.path().join("theirs.pem");
    std::fs::write(&theirs, testkit::tls::Authority::new("theirs").unwrap().cert()).unwrap();
    let get = |ca: &std::path::Path, more: &str| {
        let mut command = command(&fake, "get actors -o name --limit 1 --ca-cert");
        finish(command.arg(ca).args(more.split_whitespace()).spawn().unwrap())
    };
    assert_eq!(get(&ours, "").stdout, "actor/demo/actor-0000000\n");
    assert_eq!(get(&ours, "--server-name localhost").code, 0);
    for said in [get(&theirs, ""), get(&ours, "--server-name elsewhere")] {
        assert_eq!((said.code, said.stdout.as_str()), (1, ""));
        let expected = format!("Unable to connect to the server: {}: invalid peer certificate", fake.addr);
        assert!(said.stderr.starts_with(&expected), "{said:?}");
    }
    let said = get(&dir.path().join("missing.pem"), "");
    assert!(said.stderr.starts_with("error: ") && said.stderr.contains("missing.pem"), "{said:?}");
}

#[test]
fn without_a_server_help_and_completion_work() {
    let said = finish(bare("completion bash --endpoint 127.0.0.1:1").stderr(Stdio::null()).spawn().unwrap());
    assert_eq!(said.code, 0);
}
