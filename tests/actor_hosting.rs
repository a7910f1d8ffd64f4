//! The actor API that `bulkhead serve` hosts: it works whoever else may connect, and goes as cleanly as it comes.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ateapi::proto::DebugClearRequest;
use ateapi::proto::control_client::ControlClient;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use testkit::tls::Authority;
use testkit::{Client, temp_dir, tools, wait};
use tonic::Code;
use tonic::transport::Endpoint;

const PATIENCE: Duration = Duration::from_secs(60);
/// On any port; a test may say otherwise.
const ANYWHERE: [(&str, &str); 2] = [("--listen", "127.0.0.1:0"), ("--ateapi", "127.0.0.1:0")];

fn command(data: &Path, options: &str) -> Command {
    let mut command = Command::new(tools::bulkhead().unwrap());
    command.args(["serve", "--http", "off", "--data"]).arg(data.join("data"));
    for (name, value) in ANYWHERE {
        if !options.contains(name) {
            command.args([name, value]);
        }
    }
    command.args(options.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A node and what it says, killed when it goes out of scope.
struct Node {
    child: Child,
    banner: String,
    folder: TempDir,
}

impl Node {
    #[track_caller]
    fn start(options: &str) -> Self {
        Self::start_in(temp_dir().unwrap(), options)
    }

    #[track_caller]
    fn start_in(folder: TempDir, options: &str) -> Self {
        let log = File::create(folder.path().join("log")).unwrap();
        let mut child = command(folder.path(), options).stderr(log).spawn().unwrap();
        let mut banner = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut banner).unwrap();
        let node = Self { child, banner, folder };
        assert!(node.banner.starts_with("Bulkhead "), "{}", node.log());
        node
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What the banner says behind a word.
    #[track_caller]
    fn address(&self, of: &str) -> String {
        let rest = self.banner.split_once(&format!(" {of} ")).unwrap_or_else(|| panic!("{}", self.banner)).1;
        rest.split([',', ' ']).next().unwrap().to_owned()
    }

    fn client(&self) -> Client {
        Client::connect(self.address("redis").parse().unwrap()).unwrap()
    }

    fn kubectl(&self, line: &str) -> Command {
        let mut command = Command::new(tools::built("kubectl-ate").unwrap());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ATE_")) {
            command.env_remove(name);
        }
        command.env("ATE_ENDPOINT", self.address("actors")).args(line.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let output = self.kubectl(line).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{line}: {stdout}{stderr}\n{}", self.log());
        stdout
    }

    fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait::until("the node to stop", PATIENCE, || self.child.try_wait().unwrap()).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A life, and a listing of many.
#[track_caller]
fn serves_actors(node: &Node) {
    assert_eq!(node.ok("create atespace demo"), "atespace/demo created\n");
    assert_eq!(node.ok("create actor a1 -a demo --template default/counter"), "actor/demo/a1 created\n");
    assert!(node.ok("admin load -a demo --count 300").starts_with("300 actors created"));
    assert_eq!(node.ok("get actors -A -o name --chunk-size 20").lines().count(), 301);
    assert_eq!(node.ok("delete actor a1 -a demo"), "actor \"demo/a1\" deleted\n");
}

#[test]
fn a_node_serves_actors_with_a_password_that_the_api_does_not_know() {
    let node = Node::start("--requirepass secret");
    serves_actors(&node);
    let mut client = node.client();
    client.want("AUTH secret").unwrap();
    assert_eq!(
        client.want("DBSIZE").unwrap(),
        testkit::Reply::Integer(302),
        "300 actors, atespace, key of tokens"
    );
}

#[test]
fn a_node_serves_actors_without_a_listener_for_the_redis_protocol() {
    serves_actors(&Node::start("--listen off"));
}

#[test]
fn a_node_with_several_groups_serves_actors() {
    serves_actors(&Node::start("--groups 4 --listen off"));
    serves_actors(&Node::start("--groups 4 --requirepass secret"));
}

#[test]
fn a_crowd_that_takes_all_places_does_not_keep_the_api_out() {
    let node = Node::start("--max-connections 4");
    let mut clients: Vec<Client> = (0..4).map(|_| node.client()).collect();
    for client in &mut clients {
        assert_eq!(client.want("PING").unwrap(), testkit::Reply::Simple("PONG".into()));
    }
    // It has to come in anew.
    clients[0].want("CLIENT KILL ADDR ateapi:0 SKIPME yes").unwrap();
    serves_actors(&node);
    assert_eq!(clients[0].info_of_clients("connected_clients").unwrap(), 4);
}

#[test]
fn the_api_comes_again_however_often_it_is_killed() {
    let node = Node::start("");
    node.ok("create atespace demo");
    let mut client = node.client();
    for _ in 0..10 {
        client.want("CLIENT KILL TYPE normal SKIPME yes").unwrap();
        assert_eq!(node.ok("get atespace demo -o name"), "atespace/demo\n");
    }
}

#[test]
fn what_was_created_while_the_node_stops_is_there_when_it_comes_again() {
    let mut node = Node::start("");
    node.ok("create atespace demo");
    let load = node.kubectl("admin load -a demo --count 100000 --timeout 1s").spawn().unwrap();
    let mut client = node.client();
    let many = || (client.info_of_keys() > 200).then_some(());
    wait::until("some actors", PATIENCE, many).unwrap();
    assert!(node.stop().success(), "{}", node.log());
    assert!(!node.log().contains("given up"), "{}", node.log());
    let said = load.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    let created = said.split_once(" actors created").and_then(|(count, _)| count.split_whitespace().last());
    let created: usize = created.unwrap_or_else(|| panic!("{said}")).replace(',', "").parse().unwrap();
    let folder = std::mem::replace(&mut node.folder, temp_dir().unwrap());
    let again = Node::start_in(folder, "");
    let found = again.ok("get actors -a demo -o name").lines().count();
    assert!(created >= 200 && found >= created, "{found} of {created}: {said}");
}

trait Keys {
    fn info_of_keys(&mut self) -> i64;
}

impl Keys for Client {
    fn info_of_keys(&mut self) -> i64 {
        match self.want("DBSIZE").unwrap() {
            testkit::Reply::Integer(count) => count,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_address_that_is_taken_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let folder = temp_dir().unwrap();
    let output = command(folder.path(), &format!("--ateapi {address}")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let expected = format!("--ateapi: cannot listen on {address}: Address already in use");
    assert!(said.contains(&expected) && said.contains("another address, or off"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_collector_that_cannot_be_is_named_with_its_option() {
    let folder = temp_dir().unwrap();
    let output = command(folder.path(), "--ateapi-otlp-endpoint 127.0.0.1:4317").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("--ateapi-otlp-endpoint: ") && said.contains("wanted: http://HOST:PORT"), "{said}");
    assert!(!folder.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_node_without_the_api_says_so() {
    let node = Node::start("--ateapi off");
    assert_eq!(node.address("actors"), "off");
    let mut client = node.client();
    let reply = client.want("CONFIG GET ateapi").unwrap();
    assert_eq!(
        reply,
        testkit::Reply::Array(vec![testkit::Reply::bulk("ateapi"), testkit::Reply::bulk("off")])
    );
}

#[test]
fn a_node_never_lets_debug_clear_delete_everything() {
    let node = Node::start("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(async {
        let channel =
            Endpoint::from_shared(format!("http://{}", node.address("actors"))).unwrap().connect_lazy();
        ControlClient::new(channel).debug_clear(DebugClearRequest {}).await.unwrap_err()
    });
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "DebugClear deletes everything: a node that hosts the API never allows it");
}

#[test]
fn the_api_speaks_tls_with_the_files_of_the_node() {
    let files = temp_dir().unwrap();
    let authority = Authority::new("tests").unwrap();
    authority.issue("node").unwrap().write(files.path(), "node").unwrap();
    authority.issue("me").unwrap().write(files.path(), "me").unwrap();
    let ca = files.path().join("ca.crt");
    fs::write(&ca, authority.cert()).unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let ca = ca.display();
    let node = Node::start(&format!(
        "--tls-listen off --tls-cert {} --tls-key {} --tls-client-ca {ca}",
        path("node.crt"),
        path("node.key")
    ));
    assert!(node.banner.contains(" (TLS), data "), "{}", node.banner);
    let plain = node.kubectl("get atespaces --timeout 1s").output().unwrap();
    assert!(!plain.status.success());
    let trusting = format!("--ca-cert {ca}");
    let nobody = node.kubectl(&format!("{trusting} get atespaces --timeout 1s")).output().unwrap();
    assert!(!nobody.status.success(), "a certificate is asked for");
    let known = format!("{trusting} --client-cert {} --client-key {}", path("me.crt"), path("me.key"));
    assert_eq!(node.ok(&format!("{known} create atespace demo")), "atespace/demo created\n");
    // New files are read, and those from before are no use any more to whoever trusts the new authority alone.
    let other = Authority::new("others").unwrap();
    other.issue("node").unwrap().write(files.path(), "node").unwrap();
    let new_ca = files.path().join("new-ca.crt");
    fs::write(&new_ca, other.cert()).unwrap();
    let known = known.replace(&ca.to_string(), &new_ca.display().to_string());
    let line = format!("{known} get atespace demo --timeout 1s");
    let is_new = || node.kubectl(&line).output().unwrap().status.success().then_some(());
    wait::until("the new certificate", PATIENCE, is_new).unwrap();
}
