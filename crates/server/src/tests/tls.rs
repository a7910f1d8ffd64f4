//! TLS on a node: who is let in, how many at a time, and what becomes of files that change.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tempfile::TempDir;
use testkit::tls::rustls::{ALL_VERSIONS, ClientConfig};
use testkit::tls::{Authority, Identity, TlsClient, client_config};
use testkit::{Reply, wait};

use super::harness::{PATIENCE, TestNode, check, field, is_like, text};
use crate::config::{ClientAuth, TlsFiles, TlsOptions};

/// A node with TLS, and the authority that its certificate is from.
struct Secured {
    node: TestNode,
    authority: Authority,
    dir: TempDir,
}

impl Secured {
    fn start() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut TlsOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("tests").unwrap();
        std::fs::write(dir.path().join("ca.crt"), authority.cert()).unwrap();
        let (cert, key) = authority.issue("server").unwrap().write(dir.path(), "server").unwrap();
        let files = TlsFiles { cert, key, ..TlsFiles::default() };
        let mut options = TlsOptions::new(([127, 0, 0, 1], 0).into(), files);
        change(&mut options);
        let node = TestNode::with(|config| {
            config.http = Some(([127, 0, 0, 1], 0).into());
            config.tls = Some(options);
        });
        Self { node, authority, dir }
    }

    fn addr(&self) -> SocketAddr {
        self.node.node.tls_address().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn config(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        client_config(&self.authority, identity, ALL_VERSIONS).unwrap()
    }

    fn client(&self) -> TlsClient {
        TlsClient::connect(self.addr(), &self.config(None)).unwrap()
    }

    fn tls(&self) -> &crate::net::tls::Tls {
        self.node.node.tls.as_ref().unwrap()
    }
}

#[track_caller]
fn check_tls(client: &mut TlsClient, line: &str, expected: &str) {
    let reply = client.line(line).map_or_else(|error| format!("no reply: {error}"), |r| format!("{r:?}"));
    assert!(is_like(&reply, expected), "{line}\n answered {reply}\n expected {expected}");
}

#[test]
fn commands_are_answered_and_what_the_node_shows_fits() {
    let node = Secured::start();
    let mut client = node.client();
    check_tls(&mut client, "SET a 1", "+OK");
    check_tls(&mut client, "GET a", "\"1\"");
    check_tls(&mut client, "BLPOP nothing 0.01", "(null array)");
    let port = node.addr().port();
    let plain = &mut node.node.client();
    check(plain, "GET a", "\"1\"");
    check(plain, "CONFIG GET tls-port", &format!("[\"tls-port\", \"{port}\"]"));
    check(plain, "CONFIG GET tls-listen", &format!("[\"tls-listen\", \"127.0.0.1:{port}\"]"));
    check(plain, "CONFIG GET tls-auth-clients", "[\"tls-auth-clients\", \"no\"]");
    let info = text(plain, "INFO everything");
    assert_eq!(field(&info, "listener1"), format!("name=tls,bind=127.0.0.1,port={port}"));
    assert_eq!(field(&info, "tls_handshakes"), "1");
    let metrics = node.node.page("/metrics");
    assert!(metrics.contains("\nbulkhead_tls_handshakes_total 1\n"), "{metrics}");
}

#[test]
fn pipelines_and_large_values_come_through() {
    let node = Secured::start();
    let mut client = node.client();
    let value = vec![b'x'; 8 << 20];
    assert_eq!(client.call(&[&b"SET"[..], b"big", &value]).unwrap(), Reply::Simple("OK".into()));
    let mut pipeline = Vec::new();
    for _ in 0..4 {
        testkit::client::encode(&["GET", "big"], &mut pipeline);
    }
    for number in 0..2_000 {
        testkit::client::encode(&["INCRBY", "sum", &number.to_string()], &mut pipeline);
    }
    client.send_raw(&pipeline).unwrap();
    for _ in 0..4 {
        assert!(client.receive().unwrap().bytes() == Some(&value[..]));
    }
    for number in 0..2_000 {
        assert_eq!(client.receive().unwrap(), Reply::Integer((0..=number).sum()));
    }
}

#[test]
fn a_client_that_has_said_all_gets_its_replies_and_a_good_bye() {
    let node = Secured::start();
    let mut client = node.client();
    client.send(&["SET", "a", "1"]).unwrap();
    client.send(&["GET", "a"]).unwrap();
    client.finish().unwrap();
    assert_eq!(client.receive().unwrap(), Reply::Simple("OK".into()));
    assert_eq!(client.receive().unwrap(), Reply::Bulk(b"1".to_vec()));
    assert!(client.is_closed().unwrap());
    // The same without TLS, where the end comes with the last command.
    for _ in 0..50 {
        let mut plain = TcpStream::connect(node.node.node.addresses()[0]).unwrap();
        plain.write_all(b"GET a\r\n").unwrap();
        plain.shutdown(Shutdown::Write).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut replies = String::new();
        plain.read_to_string(&mut replies).unwrap();
        assert_eq!(replies, "$1\r\n1\r\n");
    }
}

#[test]
fn a_client_that_waits_and_goes_is_forgotten() {
    let node = Secured::start();
    let mut client = node.client();
    check_tls(&mut client, "PING", "+PONG");
    client.send(&["BLPOP", "nothing", "0"]).unwrap();
    drop(client);
    let gone = || node.node.node.clients.is_empty().then_some(());
    wait::until("the client to be gone", PATIENCE, gone).unwrap();
}

#[test]
fn handshakes_have_little_time() {
    let node = Secured::with(|tls| tls.handshake_timeout = Duration::from_secs(1));
    let mut silent = TcpStream::connect(node.addr()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = silent.read_to_end(&mut Vec::new()).unwrap();
    let failures = || (node.tls().stats.failures.load(Relaxed) == 1).then_some(());
    wait::until("a failure", PATIENCE, failures).unwrap();
    let given_back = || (node.tls().handshakes() == 0).then_some(());
    wait::until("its place to be free", PATIENCE, given_back).unwrap();
    // Who is through has all the time there is.
    let mut client = node.client();
    check_tls(&mut client, "PING", "+PONG");
    check_tls(&mut client, "BLPOP nothing 1.5", "(null array)");
    check_tls(&mut client, "PING", "+PONG");
}

#[test]
fn handshakes_above_the_limit_wait_for_a_place() {
    let node = Secured::with(|tls| tls.handshakes_max = 2);
    let silent = [(); 2].map(|()| TcpStream::connect(node.addr()).unwrap());
    let full = || (node.tls().handshakes() == 2).then_some(());
    wait::until("both to be accepted", PATIENCE, full).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| check_tls(&mut node.client(), "PING", "+PONG"));
        // Others go on meanwhile.
        check(&mut node.node.client(), "PING", "+PONG");
        assert_eq!(node.tls().stats.handshakes.load(Relaxed), 0);
        drop(silent);
        waiting.join().unwrap();
    });
    let mut clients: Vec<_> = (0..20).map(|_| node.client()).collect();
    for client in &mut clients {
        check_tls(client, "PING", "+PONG");
    }
}

#[test]
fn a_node_stops_although_somebody_shakes_hands() {
    let node = Secured::start();
    let _silent = TcpStream::connect(node.addr()).unwrap();
    let begun = || (node.tls().handshakes() == 1).then_some(());
    wait::until("a handshake", PATIENCE, begun).unwrap();
    let started = std::time::Instant::now();
    node.node.node.stop();
    assert!(started.elapsed() < Duration::from_secs(4), "clients would have had five seconds");
}

#[test]
fn clients_show_certificates_where_they_must() {
    let other = Authority::new("others").unwrap().issue("stranger").unwrap();
    for (client_auth, nobody, stranger) in [
        (ClientAuth::Off, true, true),
        (ClientAuth::Optional, true, false),
        (ClientAuth::Required, false, false),
    ] {
        let node = Secured::with(|tls| {
            tls.files.client_ca = tls.files.cert.parent().map(|dir| dir.join("ca.crt"));
            tls.files.client_auth = client_auth;
        });
        let friend = node.authority.issue("friend").unwrap();
        for (identity, is_welcome) in [(None, nobody), (Some(&other), stranger), (Some(&friend), true)] {
            let mut client = TlsClient::connect(node.addr(), &node.config(identity)).unwrap();
            let name = identity.map(|identity| &identity.cert);
            assert_eq!(client.line("PING").is_ok(), is_welcome, "{client_auth:?} {name:?}");
        }
    }
}

#[test]
fn settings_are_replaced_together_or_not_at_all() {
    let node = Secured::start();
    let mut old = node.client();
    check_tls(&mut old, "PING", "+PONG");
    let new = node.authority.issue("new").unwrap();
    new.write(node.dir.path(), "new").unwrap();
    let (cert, key) =
        (node.path("new.crt").display().to_string(), node.path("new.key").display().to_string());
    let plain = &mut node.node.client();
    let failed = "-ERR CONFIG SET failed (possibly related to argument '…') - ";
    let unable = format!("{failed}Unable to update TLS configuration: ");
    check(plain, &format!("CONFIG SET tls-cert-file {cert}"), &format!("{unable}…is not the key of …"));
    check(plain, "CONFIG SET tls-key-file /nowhere timeout 5", &format!("{unable}/nowhere: No such file …"));
    check(plain, "CONFIG SET tls-auth-clients yes", &format!("{unable}clients' certificates cannot …"));
    check(plain, "CONFIG SET tls-auth-clients maybe", &format!("{failed}argument(s) must be one of …"));
    check(plain, "CONFIG GET timeout", "[\"timeout\", \"0\"]");
    check_tls(&mut node.client(), "PING", "+PONG");
    check(plain, &format!("CONFIG SET tls-cert-file {cert} tls-key {key} timeout 5"), "+OK");
    check(plain, "CONFIG GET timeout", "[\"timeout\", \"5\"]");
    check(plain, "CONFIG GET tls-cert", &format!("[\"tls-cert\", \"{cert}\"]"));
    let mut client = node.client();
    check_tls(&mut client, "PING", "+PONG");
    assert_eq!(client.server_cert(), Some(&new.der().unwrap()));
    check_tls(&mut old, "PING", "+PONG");
    let ca = node.path("ca.crt").display().to_string();
    check(plain, &format!("CONFIG SET tls-ca-cert-file {ca} tls-auth-clients yes"), "+OK");
    assert!(node.client().line("PING").is_err());
    check(&mut TestNode::start().client(), "CONFIG SET tls-cert-file x", &format!("{failed}TLS is off…"));
}

#[test]
fn files_that_change_are_read_anew() {
    let node = Secured::start();
    let mut old = node.client();
    check_tls(&mut old, "PING", "+PONG");
    let shown = || {
        let mut client = node.client();
        check_tls(&mut client, "PING", "+PONG");
        client.server_cert().cloned()
    };
    let first = shown();
    let new = node.authority.issue("new").unwrap();
    std::fs::write(node.path("server.crt"), &new.cert).unwrap();
    let noticed = || (node.tls().stats.failed_loads.load(Relaxed) > 0).then_some(());
    wait::until("the half to be noticed", PATIENCE, noticed).unwrap();
    assert_eq!(shown(), first, "it does not fit the key");
    std::fs::write(node.path("server.key"), &new.key).unwrap();
    let replaced = || (shown() == Some(new.der().unwrap())).then_some(());
    wait::until("the new certificate", PATIENCE, replaced).unwrap();
    check_tls(&mut old, "PING", "+PONG");
}

#[test]
fn files_that_are_wrong_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let authority = Authority::new("tests").unwrap();
    authority.issue("a").unwrap().write(dir.path(), "a").unwrap();
    authority.issue("b").unwrap().write(dir.path(), "b").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("text"), "hello").unwrap();
    let bad = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    std::fs::write(path("bad"), bad).unwrap();
    let check = |cert: &Path, key: &Path, ca: Option<PathBuf>, expected: &str| {
        let files = TlsFiles {
            cert: cert.to_owned(),
            key: key.to_owned(),
            client_auth: if ca.is_some() { ClientAuth::Required } else { ClientAuth::Off },
            client_ca: ca,
        };
        let why = files.load().map(|_| ()).unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    let (cert, key) = (path("a.crt"), path("a.key"));
    check(&path("nowhere"), &key, None, "nowhere: No such file");
    check(&path("empty"), &key, None, "empty: is empty");
    check(&path("text"), &key, None, "text: has no certificate in PEM");
    check(&path("bad"), &key, None, "bad: ");
    check(&cert, &path("empty"), None, "empty: is empty");
    check(&cert, &path("text"), None, "text: has no private key in PEM");
    check(&cert, &cert, None, "a.crt: has no private key in PEM");
    check(&cert, &path("b.key"), None, "b.key: is not the key of the certificate in");
    check(&cert, &key, Some(path("nowhere")), "nowhere: No such file");
    check(&cert, &key, Some(path("empty")), "empty: is empty");
    check(&cert, &key, Some(path("text")), "text: has no certificate in PEM");
    check(&cert, &key, Some(path("bad")), "bad: ");
}
