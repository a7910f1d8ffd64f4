//! The stream, with TLS on loopback sockets and a client that says exactly what a test wants.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream as Socket};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use resp::{Protocol, Reply};
use rustls::{ALL_VERSIONS, ClientConnection, SupportedProtocolVersion};
use testkit::tls::{Authority, client_config, session};
use testkit::wait;

use super::*;
use crate::config::{TlsFiles, TlsOptions};
use crate::net::connection::READ_BYTES_MAX;
use crate::net::output::{Output, TURN_BYTES_MAX};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client and the server's stream, on one connection. Neither side blocks.
struct Pair {
    tls: Arc<Tls>,
    server: Stream,
    client: ClientConnection,
    socket: Socket,
    buffer: Vec<u8>,
    /// What the server has understood, and what the client has.
    input: Vec<u8>,
    received: Vec<u8>,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("tests").unwrap();
        let (cert, key) = authority.issue("server").unwrap().write(dir.path(), "server").unwrap();
        let files = TlsFiles { cert, key, ..TlsFiles::default() };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let tls = Arc::new(Tls::new(&TlsOptions::new(addr, files)).unwrap());
        let socket = Socket::connect(addr).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.set_nodelay(true).unwrap();
        let (accepted, peer) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let handshake = tls.begin().unwrap();
        let server = Stream::tls(TcpStream::from_std(accepted), peer, handshake).unwrap();
        Self {
            tls,
            server,
            client: session(&client_config(&authority, None, &[version]).unwrap()).unwrap(),
            socket,
            buffer: vec![0; READ_BYTES_MAX],
            input: Vec::new(),
            received: Vec::new(),
        }
    }

    /// One whose handshake is over.
    fn greeted(version: &'static SupportedProtocolVersion) -> Self {
        let mut pair = Self::new(version);
        pair.until("the handshake", |pair| !pair.client.is_handshaking() && pair.is_greeted());
        pair
    }

    fn is_greeted(&self) -> bool {
        self.server.handshake_until().is_none()
    }

    fn read(&mut self) -> io::Result<Got> {
        self.server.read(&mut self.buffer, &mut self.input)
    }

    /// The client sends what it has and takes what has come.
    fn turn_client(&mut self) {
        while self.client.wants_write() {
            match self.client.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        match self.client.read_tls(&mut self.socket) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            Ok(_) => {
                let plain = self.client.process_new_packets().unwrap().plaintext_bytes_to_read();
                let old = self.received.len();
                self.received.resize(old + plain, 0);
                self.client.reader().read_exact(&mut self.received[old..]).unwrap();
            }
        }
    }

    /// Both sides work until something is so. The server reads and sends once at a time.
    #[track_caller]
    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let went_on = || {
            self.turn_client();
            self.read().unwrap();
            self.server.send_pending().unwrap();
            is_so(self).then_some(())
        };
        wait::until(what, PATIENCE, went_on).unwrap();
    }
}

#[test]
fn a_client_may_send_one_byte_at_a_time() {
    for version in ALL_VERSIONS {
        let mut pair = Pair::new(version);
        let mut from_client = Vec::new();
        let mut one_by_one = |pair: &mut Pair| {
            from_client.clear();
            while pair.client.wants_write() {
                pair.client.write_tls(&mut from_client).unwrap();
            }
            for byte in &from_client {
                pair.socket.write_all(&[*byte]).unwrap();
                assert_ne!(pair.read().unwrap(), Got::End);
            }
            pair.server.send_pending().unwrap();
            pair.turn_client();
        };
        while !pair.is_greeted() {
            one_by_one(&mut pair);
        }
        assert_eq!(pair.tls.handshakes(), 0, "its place is free again");
        assert_eq!(pair.tls.stats.handshakes.load(Relaxed), 1);
        pair.client.writer().write_all(b"PING\r\n").unwrap();
        while pair.input != b"PING\r\n" {
            one_by_one(&mut pair);
        }
    }
}

#[test]
fn a_client_that_goes_amid_the_handshake_leaves_no_trace() {
    for sent in [0, 1, 100] {
        let mut pair = Pair::new(ALL_VERSIONS[0]);
        let mut hello = Vec::new();
        pair.client.write_tls(&mut hello).unwrap();
        pair.socket.write_all(&hello[..sent]).unwrap();
        pair.socket.shutdown(Shutdown::Write).unwrap();
        wait::until("an error", PATIENCE, || pair.read().is_err().then_some(())).unwrap();
        assert_eq!(pair.tls.stats.failures.load(Relaxed), 1);
        assert_eq!(pair.tls.handshakes(), 1);
        let tls = pair.tls.clone();
        drop(pair);
        assert_eq!(tls.handshakes(), 0);
    }
}

#[test]
fn what_is_no_tls_is_told_so() {
    let mut pair = Pair::new(ALL_VERSIONS[0]);
    pair.socket.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    wait::until("an error", PATIENCE, || pair.read().is_err().then_some(())).unwrap();
    assert_eq!(pair.tls.stats.failures.load(Relaxed), 1);
    let mut alert = [0; 1];
    let got = || pair.socket.read(&mut alert).ok();
    assert_eq!(wait::until("an alert", PATIENCE, got).unwrap(), 1);
    assert_eq!(alert, [21]);
}

#[test]
fn large_replies_go_out_in_turns_whatever_the_client_takes() {
    for version in ALL_VERSIONS {
        let mut pair = Pair::greeted(version);
        let mut output = Output::default();
        let value: Vec<u8> = (0..5_000_000u32).map(|n| n as u8).collect();
        let items = vec![Reply::Integer(1), Reply::bulk(value.clone()), Reply::Ok, Reply::bulk(value)];
        let reply = Reply::Array(items);
        output.push(&reply, Protocol::Resp2);
        let mut expected = Vec::new();
        reply.encode(Protocol::Resp2, &mut expected);
        let mut waited = false;
        while output.sendable() > 0 {
            let before = output.len();
            let writable = output.send(&mut pair.server).unwrap() && pair.server.send_pending().unwrap();
            assert!(before - output.len() <= TURN_BYTES_MAX);
            if !writable {
                waited = true;
                assert!(pair.server.has_pending());
                pair.turn_client();
            }
        }
        assert!(waited, "the socket should be full once in a while");
        let all = expected.len();
        pair.until("all of it", |pair| pair.received.len() >= all);
        assert!(pair.received == expected);
        assert!(!pair.server.has_pending());
    }
}

#[test]
fn nothing_that_was_read_stays_behind() {
    for version in ALL_VERSIONS {
        let mut pair = Pair::greeted(version);
        // Hundreds of small records, many of them in what is read at once.
        let commands: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        for command in commands.chunks(700) {
            pair.client.writer().write_all(command).unwrap();
            pair.turn_client();
            let before = pair.input.len();
            if pair.read().unwrap() == Got::All && pair.client.wants_write() {
                continue;
            }
            assert!(pair.input.len() - before <= READ_BYTES_MAX);
        }
        let all = commands.len();
        pair.until("all of it", |pair| pair.input.len() >= all);
        assert!(pair.input == commands);
        // No more than fits is read in one turn.
        pair.input.clear();
        pair.client.set_buffer_limit(None);
        pair.client.writer().write_all(&commands).unwrap();
        let mut mores = 0;
        let went_on = || {
            pair.turn_client();
            let before = pair.input.len();
            mores += usize::from(pair.read().unwrap() == Got::More);
            assert!(pair.input.len() - before <= READ_BYTES_MAX);
            (pair.input.len() == all).then_some(())
        };
        wait::until("all of it in turns", PATIENCE, went_on).unwrap();
        assert!(pair.input == commands);
        assert!(mores > 0);
    }
}

#[test]
fn a_client_that_has_said_all_is_still_answered() {
    for version in ALL_VERSIONS {
        let mut pair = Pair::greeted(version);
        pair.client.writer().write_all(b"GET a\r\n").unwrap();
        pair.client.send_close_notify();
        pair.turn_client();
        wait::until("the end", PATIENCE, || (pair.read().unwrap() == Got::End).then_some(())).unwrap();
        assert_eq!(pair.input, b"GET a\r\n");
        pair.server.write_all(b"$-1\r\n").unwrap();
        pair.server.close();
        let closed = |pair: &mut Pair| {
            pair.turn_client();
            pair.client.process_new_packets().unwrap().peer_has_closed().then_some(())
        };
        wait::until("the server's good-bye", PATIENCE, || closed(&mut pair)).unwrap();
        assert_eq!(pair.received, b"$-1\r\n");
    }
}

#[test]
fn a_client_that_forgets_to_say_good_bye_has_ended_like_one_without_tls() {
    let mut pair = Pair::greeted(ALL_VERSIONS[0]);
    pair.client.writer().write_all(b"GET a\r\nGET").unwrap();
    pair.turn_client();
    pair.socket.shutdown(Shutdown::Write).unwrap();
    wait::until("the end", PATIENCE, || (pair.read().unwrap() == Got::End).then_some(())).unwrap();
    assert_eq!(pair.input, b"GET a\r\nGET");
    assert_eq!(pair.tls.stats.failures.load(Relaxed), 0);
}
