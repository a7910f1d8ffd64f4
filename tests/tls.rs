//! TLS as a user sees it: clients of three languages, and a certificate that is replaced under them.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::tls::rustls::{ALL_VERSIONS, version};
use testkit::tls::{Authority, Identity, TlsClient, client_config};
use testkit::{Reply, Server, Spec, temp_dir, tools, wait};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with TLS, its authority, and their files.
struct Secured {
    server: Server,
    addr: SocketAddr,
    authority: Authority,
    files: TempDir,
}

impl Secured {
    fn start(more: &[&str]) -> Self {
        let files = temp_dir().unwrap();
        let authority = Authority::new("tests").unwrap();
        fs::write(files.path().join("ca.crt"), authority.cert()).unwrap();
        let (cert, key) = authority.issue("server").unwrap().write(files.path(), "server").unwrap();
        let mut spec = Spec::bulkhead()
            .unwrap()
            .arg("--tls-listen")
            .arg("127.0.0.1:0")
            .arg(format!("--tls-cert={}", cert.display()))
            .arg(format!("--tls-key={}", key.display()));
        for option in more {
            spec = spec.arg(option.replace("{files}", &files.path().display().to_string()));
        }
        let server = spec.start().unwrap();
        let reply = server.client().unwrap().want("CONFIG GET tls-port").unwrap();
        let Reply::Array(items) = reply else { panic!("{reply:?}") };
        let port = String::from_utf8_lossy(items[1].bytes().unwrap()).parse().unwrap();
        Self { server, addr: SocketAddr::from(([127, 0, 0, 1], port)), authority, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Runs a script with the address, this authority's files, and those of one that is not trusted.
    fn check(&self, mut command: Command) {
        let stranger = Authority::new("others").unwrap();
        fs::write(self.path("others.crt"), stranger.cert()).unwrap();
        stranger.issue("stranger").unwrap().write(self.files.path(), "stranger").unwrap();
        self.authority.issue("client").unwrap().write(self.files.path(), "client").unwrap();
        let names = ["ca.crt", "client.crt", "client.key", "others.crt", "stranger.crt", "stranger.key"];
        let output = command
            .args([self.addr.ip().to_string(), self.addr.port().to_string()])
            .args(names.map(|name| self.path(name)))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{}\n{}\nthe server's log:\n{}",
            output.status,
            String::from_utf8_lossy(&said),
            self.server.log_tail()
        );
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

#[test]
fn redis_py_works_through_tls() {
    let secured = Secured::start(&["--tls-client-ca={files}/ca.crt"]);
    let mut command = Command::new(tools::python().unwrap());
    command.arg(script("tls.py"));
    secured.check(command);
}

#[test]
fn ioredis_and_node_redis_work_through_tls() {
    let secured = Secured::start(&["--tls-client-ca={files}/ca.crt", "--tls-client-auth=required"]);
    let mut command = Command::new(tools::need("node").unwrap());
    command.arg(script("tls.mjs")).env("CLIENTS", tools::node_modules().unwrap());
    secured.check(command);
}

#[test]
fn both_versions_of_tls_are_spoken() {
    let secured = Secured::start(&[]);
    for version in [&version::TLS12, &version::TLS13] {
        let config = client_config(&secured.authority, None, &[version]).unwrap();
        let mut client = TlsClient::connect(secured.addr, &config).unwrap();
        let mut commands = Vec::new();
        for number in 0..10_000 {
            testkit::client::encode(&["SET", &format!("key:{number}"), "x"], &mut commands);
        }
        client.send_raw(&commands).unwrap();
        for _ in 0..10_000 {
            assert_eq!(client.receive().unwrap(), Reply::Simple("OK".into()));
        }
        assert_eq!(client.stream.conn.protocol_version(), Some(version.version));
    }
    assert_eq!(secured.server.client().unwrap().line("DBSIZE").unwrap(), Reply::Integer(10_000));
}

#[test]
fn a_certificate_is_replaced_while_clients_are_connected() {
    let secured = Secured::start(&[]);
    let config = client_config(&secured.authority, None, ALL_VERSIONS).unwrap();
    let mut old = TlsClient::connect(secured.addr, &config).unwrap();
    assert_eq!(old.line("SET a 1").unwrap(), Reply::Simple("OK".into()));
    let shows = |identity: &Identity| {
        let mut client = TlsClient::connect(secured.addr, &config).unwrap();
        assert_eq!(client.line("GET a").unwrap(), Reply::Bulk(b"1".to_vec()));
        (client.server_cert() == Some(&identity.der().unwrap())).then_some(())
    };
    // What an operator does: new files, and a signal.
    let new = secured.authority.issue("new").unwrap();
    new.write(secured.files.path(), "server").unwrap();
    let pid = secured.server.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    wait::until("the new certificate", PATIENCE, || shows(&new)).unwrap();
    // Without a signal it takes a moment longer.
    let newer = secured.authority.issue("newer").unwrap();
    newer.write(secured.files.path(), "server").unwrap();
    wait::until("the newer certificate", PATIENCE, || shows(&newer)).unwrap();
    // What cannot be used changes nothing.
    fs::write(secured.path("server.key"), "nonsense").unwrap();
    let failed = || secured.server.log_tail().contains("those from before still are").then_some(());
    wait::until("a line in the log", PATIENCE, failed).unwrap();
    shows(&newer).expect("the one from before");
    assert_eq!(old.line("GET a").unwrap(), Reply::Bulk(b"1".to_vec()));
}

#[test]
fn a_server_that_cannot_have_tls_does_not_start() {
    let files = temp_dir().unwrap();
    let path = |name: &str| files.path().join(name).display().to_string();
    let authority = Authority::new("tests").unwrap();
    authority.issue("a").unwrap().write(files.path(), "a").unwrap();
    authority.issue("b").unwrap().write(files.path(), "b").unwrap();
    fs::write(files.path().join("empty"), "").unwrap();
    let (a, b, empty) = (path("a.crt"), path("b.key"), path("empty"));
    for (options, expected) in [
        (vec!["--tls-cert", &a], "--tls-cert is said, but not --tls-listen"),
        (vec!["--tls-listen", "127.0.0.1:0", "--tls-cert", &a], "not --tls-key"),
        (vec!["--tls-listen", "127.0.0.1:0", "--tls-cert", &a, "--tls-key", &b], "is not the key"),
        (vec!["--tls-listen", "127.0.0.1:0", "--tls-cert", &empty, "--tls-key", &b], "is empty"),
    ] {
        let output = Command::new(tools::bulkhead().unwrap())
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--http",
                "off",
                "--ateapi",
                "off",
                "--data",
                &path("data"),
            ])
            .args(options)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected), "{said}");
    }
}
