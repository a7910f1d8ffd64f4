//! What a server shows of itself with all that this program adds to a node: every option, and every metric.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use ateapi::serve::Host;
use clap::CommandFactory;
use server::Node;
use tempfile::TempDir;
use testkit::tls::Authority;
use testkit::{Client, Reply};

use crate::cli::{self, Options};
use crate::{actors, serve};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// A server with everything switched on, stopped when it goes out of scope.
struct Server {
    node: Arc<Node>,
    host: Host,
    file: PathBuf,
    _dir: TempDir,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let identity = Authority::new("tests").unwrap().issue("server").unwrap();
        let (cert, key) = identity.write(dir.path(), "server").unwrap();
        let file = dir.path().join("bulkhead.toml");
        let text = format!(
            "tls-cert = {cert:?}\ntls-key = {key:?}\ndata = {:?}\nbackground-cpus = 1\nlog-format = \"json\"\n",
            dir.path().join("data")
        );
        std::fs::write(&file, text).unwrap();
        let any = "127.0.0.1:0";
        let line = format!(
            "bulkhead serve --listen {any} --http {any} --ateapi {any} --tls-listen {any} --config {}",
            file.display()
        );
        let options = cli::parse(line.split(' ').map(Into::into)).unwrap();
        let bound = actors::bind(&options).unwrap().unwrap();
        let node = Node::start(serve::config(&options).unwrap()).unwrap();
        let host = actors::serve(bound, &node).unwrap();
        Self { node, host, file, _dir: dir }
    }

    /// What CONFIG GET says of one setting.
    fn setting(&self, client: &mut Client, name: &str) -> Option<String> {
        let Reply::Array(found) = client.line(&format!("CONFIG GET {name}")).unwrap() else { return None };
        let value = found.get(1)?.bytes()?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// The names of all metrics.
    fn metrics(&self) -> BTreeSet<String> {
        let mut stream = TcpStream::connect(self.node.http_address().unwrap()).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        names.map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.host.stop();
        self.node.stop();
    }
}

#[test]
fn every_option_is_a_setting_that_is_shown() {
    let server = Server::start();
    let mut client = Client::connect(server.node.addresses()[0]).unwrap();
    let command = Options::command();
    let names: Vec<&str> = command.get_arguments().filter_map(|option| option.get_long()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(server.setting(&mut client, name).is_some(), "--{name} is not in CONFIG GET");
    }
    let file = server.file.display().to_string();
    for (name, value) in [
        ("background-cpus", "1"),
        ("config", &*file),
        ("listen-any", "off"),
        ("log-format", "json"),
        ("log-level", "info,openraft=warn"),
    ] {
        assert_eq!(server.setting(&mut client, name).as_deref(), Some(value), "{name}");
    }
}

#[test]
fn the_metrics_that_there_are_and_those_that_are_documented_are_the_same() {
    let metrics = Server::start().metrics();
    assert!(["bulkhead_", "ateapi_"].iter().all(|of| metrics.iter().any(|name| name.starts_with(of))));
    for name in &metrics {
        assert!(OPERATIONS.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = OPERATIONS.split(|c| !is_of_name(c)).filter(|word| !word.ends_with('_'));
    for word in words.filter(|word| word.starts_with("bulkhead_") || word.starts_with("ateapi_")) {
        let name = word.strip_suffix("_bucket").unwrap_or(word);
        assert!(metrics.contains(name), "there is no {word}, which docs/operations.md names");
    }
}
