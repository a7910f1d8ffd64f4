//! The command line of the actor API against the real service over real stores.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};

use integration::api::{Api, PATIENCE, worker};
use rustix::process::{Pid, Signal, kill_process};
use testkit::{Durability, Server, Spec, tools, wait};

/// The command line, with a process of the API that it asks.
struct Ate(Api);

impl Ate {
    fn start(store: &Server) -> Self {
        Self(Api::start(store).unwrap())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(tools::built("kubectl-ate").unwrap());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATE_")) {
            command.env_remove(name);
        }
        command.env("ATE_ENDPOINT", self.0.address()).args(line.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Its exit code, and what it said on stdout and stderr.
    fn run(&self, line: &str) -> (i32, String, String) {
        let output = self.command(line).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let (code, stdout, stderr) = self.run(line);
        assert_eq!((code, stderr.as_str()), (0, ""), "{line}: {stdout}");
        stdout
    }

    /// Waits until the server's health is this.
    fn becomes(&self, health: &str) {
        let wanted = format!("Server: {} ({health})\n", self.0.address());
        wait::until(&wanted, PATIENCE, || self.ok("version").ends_with(&wanted).then_some(())).unwrap();
    }
}

fn redis() -> Server {
    Spec::redis().unwrap().durability(Durability::None).start().unwrap()
}

fn add_worker(store: &Server, pod: &str) {
    let (key, text) = worker(pod, "n1");
    store.client().unwrap().call(&[b"SET", key.as_bytes(), &text]).unwrap();
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn kubectl_ate_leads_an_actor_through_its_life() {
    let store = redis();
    add_worker(&store, "w1");
    let api = Ate::start(&store);
    api.becomes("serving");
    assert_eq!(api.ok("create atespace demo"), "atespace/demo created\n");
    assert_eq!(api.ok("create actor a1 -a demo --template default/counter"), "actor/demo/a1 created\n");
    assert_eq!(words(&api.ok("get workers --no-headers")), ["workers", "small", "w1", "<none>"]);
    assert_eq!(api.ok("resume actor a1 -a demo"), "actor/demo/a1 resumed\n");
    assert_eq!(words(&api.ok("get workers --no-headers")), ["workers", "small", "w1", "demo/a1"]);
    let wide = api.ok("get actor a1 -a demo -o wide --no-headers");
    let wide = words(&wide);
    assert_eq!((&wide[..4], wide[5]), (&["demo", "a1", "default/counter", "Running"][..], "workers/w1"));
    let (code, _, stderr) = api.run("delete actor a1 -a demo");
    assert_eq!(code, 1);
    assert!(stderr.starts_with("Error from server (FailedPrecondition): "), "{stderr}");
    assert_eq!(api.ok("suspend actor a1 -a demo"), "actor/demo/a1 suspended\n");
    assert_eq!(api.ok("update actor a1 -a demo --selector-label disk=ssd"), "actor/demo/a1 updated\n");
    assert!(
        api.ok("get actor a1 -a demo -o yaml").contains("\nworkerSelector:\n  matchLabels:\n    disk: ssd\n")
    );
    assert_eq!(api.ok("delete actor a1 -a demo"), "actor \"demo/a1\" deleted\n");
    assert_eq!(api.ok("delete atespace demo"), "atespace \"demo\" deleted\n");
    let (code, stdout, stderr) = api.run("get actors");
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", "No resources found\n"));
}

#[test]
fn kubectl_ate_tells_whether_the_store_is_there() {
    let mut store = redis();
    let api = Ate::start(&store);
    api.becomes("serving");
    store.kill().unwrap();
    api.becomes("not ready");
}

#[test]
fn kubectl_ate_tells_what_the_api_refuses() {
    let store = redis();
    let api = Ate::start(&store);
    api.ok("create atespace demo");
    for (line, reason) in [
        ("get actor nobody -a demo", "NotFound"),
        ("create atespace demo", "AlreadyExists"),
        ("create atespace Not_A_Label", "BadRequest"),
        ("create actor a -a nowhere --template a/b", "FailedPrecondition"),
        ("get actors --page-token forged", "BadRequest"),
    ] {
        let (code, stdout, stderr) = api.run(line);
        assert_eq!((code, stdout.as_str()), (1, ""), "{line}");
        assert!(stderr.starts_with(&format!("Error from server ({reason}): ")), "{line}: {stderr}");
    }
}

const COUNT: usize = 2000;

/// A listing in parts: every part asks another process of the API, and goes on as the one before says.
#[track_caller]
fn check_parts(store: &Server) {
    let (first, second) = (Ate::start(store), Ate::start(store));
    first.ok("create atespace demo");
    let said = first.ok(&format!("admin load -a demo --count {COUNT}"));
    assert!(said.starts_with("2,000 actors created, 0 were there already"), "{said}");
    let mut line = "get actors -o name --chunk-size 100 --limit 300".to_owned();
    let mut found = BTreeSet::new();
    for part in 0.. {
        let api = if part % 2 == 0 { &first } else { &second };
        let (code, stdout, stderr) = api.run(&line);
        assert_eq!(code, 0, "{stderr}");
        assert!(stdout.lines().count() <= 300);
        found.extend(stdout.lines().map(str::to_owned));
        let Some(hint) = stderr.lines().find_map(|line| line.strip_prefix("  kubectl-ate ")) else { break };
        line = hint.to_owned();
    }
    let expected: BTreeSet<String> = (0..COUNT).map(|index| format!("actor/demo/load-{index}")).collect();
    assert_eq!(found, expected);
    let said = second.ok(&format!("admin load -a demo --count {COUNT} --delete"));
    assert!(said.starts_with("2,000 actors deleted"), "{said}");
}

#[test]
fn kubectl_ate_goes_on_with_a_listing_through_another_process_over_redis() {
    check_parts(&redis());
}

#[test]
fn kubectl_ate_goes_on_with_a_listing_through_another_process_over_bulkhead() {
    check_parts(&Spec::bulkhead().unwrap().durability(Durability::EverySecond).start().unwrap());
}

#[test]
fn kubectl_ate_sees_changes_as_they_happen() {
    let store = redis();
    let api = Ate::start(&store);
    api.ok("create atespace demo");
    api.ok("create actor a1 -a demo --template default/counter");
    let mut child = api.command("get actors -a demo -w -o name --watch-interval 20ms").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let next = |lines: &mut std::io::Lines<BufReader<ChildStdout>>| lines.next().unwrap().unwrap();
    assert_eq!(next(&mut lines), "ADDED actor/demo/a1");
    api.ok("update actor a1 -a demo --selector-label disk=ssd");
    assert_eq!(next(&mut lines), "MODIFIED actor/demo/a1");
    api.ok("create actor a2 -a demo --template default/counter");
    assert_eq!(next(&mut lines), "ADDED actor/demo/a2");
    api.ok("delete actor a1 -a demo");
    assert_eq!(next(&mut lines), "DELETED actor/demo/a1");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = wait::until("the watch to end", PATIENCE, || child.try_wait().unwrap()).unwrap();
    assert_eq!(status.code(), Some(130));
}
