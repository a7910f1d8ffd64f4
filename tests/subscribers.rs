//! Sessions of clients that hear something, compared byte for byte with those of a real Redis and a real Valkey.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use testkit::{Flavour, Server};

use crate::sessions::{LIMIT, peers, start};

/// A connection whose bytes are compared.
struct Raw {
    stream: TcpStream,
    marks: usize,
}

impl Raw {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self { stream, marks: 0 }
    }

    /// Says lines at once; gives what comes up to the answer to a PING behind them.
    fn say(&mut self, lines: &str) -> String {
        self.marks += 1;
        let mark = format!("mark-{}\r\n", self.marks);
        let said: String = lines.split(';').map(|line| format!("{}\r\n", line.trim())).collect();
        self.stream.write_all(format!("{said}PING {mark}").as_bytes()).unwrap();
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        while !got.ends_with(mark.as_bytes()) {
            match self.stream.read(&mut buffer).unwrap() {
                0 => panic!("closed after {:?}", String::from_utf8_lossy(&got)),
                read => got.extend_from_slice(&buffer[..read]),
            }
        }
        String::from_utf8(got).unwrap()
    }
}

/// What is said by a subscriber (`<`), and by another client (`>`).
const SCRIPT: &[&str] = &[
    "< SUBSCRIBE a b a",
    "< PSUBSCRIBE p* p*",
    "< SSUBSCRIBE s",
    "< PING; PING hi; PING a b",
    "< GET x; HELLO 3; MULTI; CLIENT INFO; nosuch; CONFIG GET x",
    "< SUBSCRIBE; PSUBSCRIBE; SSUBSCRIBE",
    "> PUBLISH a hello; PUBLISH pa hello; SPUBLISH s hello; PUBLISH s x; SPUBLISH a x; PUBLISH p ''",
    "<",
    "> PUBSUB NUMSUB a b c; PUBSUB NUMPAT; PUBSUB SHARDNUMSUB s a; PUBSUB SHARDCHANNELS; PUBSUB CHANNELS a*",
    "> PUBSUB CHANNELS x*; PUBSUB NUMSUB; PUBSUB SHARDNUMSUB; PUBSUB SHARDCHANNELS [s]",
    "> PUBSUB; PUBSUB CHANNELS x y; PUBSUB NUMPAT x; PUBSUB NOSUCH; PUBSUB SHARDCHANNELS x y",
    "> PUBLISH; PUBLISH a; SPUBLISH a; PUBLISH a b c",
    "< UNSUBSCRIBE a x; PUNSUBSCRIBE; UNSUBSCRIBE; UNSUBSCRIBE; PUNSUBSCRIBE; PUNSUBSCRIBE x",
    "< PING; GET x",
    "< SUNSUBSCRIBE x; SUNSUBSCRIBE; SUNSUBSCRIBE; SUNSUBSCRIBE y",
    "< PING; GET x",
    "< MULTI; SUBSCRIBE a; SSUBSCRIBE s; PING; EXEC",
    "< GET x; UNSUBSCRIBE; GET x",
    "< MULTI; SUBSCRIBE a b; UNSUBSCRIBE a; UNSUBSCRIBE; SUNSUBSCRIBE; GET x; EXEC",
    "< SUBSCRIBE a; RESET; GET x",
    "> PUBLISH a nobody",
    "< CLIENT REPLY OFF; SUBSCRIBE a; UNSUBSCRIBE a; GET x; CLIENT REPLY ON",
    "< CLIENT REPLY OFF; MULTI; SUBSCRIBE a b; GET x; UNSUBSCRIBE b; UNSUBSCRIBE a; EXEC; CLIENT REPLY ON",
    "< CLIENT REPLY SKIP; GET x; SUBSCRIBE a; UNSUBSCRIBE",
    "< HELLO 3; SUBSCRIBE a; PSUBSCRIBE a*; SSUBSCRIBE s",
    "> PUBLISH a hello; SPUBLISH s hello; PUBLISH ab hello",
    "< PING; PING x; GET x; SET x 1; MULTI; SUBSCRIBE c; PING; GET x; EXEC",
    "> MULTI; PUBLISH a 1; PUBLISH c 2; GET x; PUBLISH nobody 3; EXEC",
    "<",
    "> EVAL \"return redis.call('PUBLISH','a','by script')\" 0",
    "> EVAL \"redis.call('PUBLISH','a',1) return redis.call('SPUBLISH','s',2)\" 0",
    "> EVAL \"return redis.pcall('SUBSCRIBE','a')\" 0; EVAL \"return redis.call('PUBSUB','NUMSUB','a')\" 0",
    "<",
    "< UNSUBSCRIBE a; PUNSUBSCRIBE a*; SUNSUBSCRIBE; UNSUBSCRIBE; UNSUBSCRIBE; PUNSUBSCRIBE; SUNSUBSCRIBE",
    "< CLIENT REPLY SKIP; GET x; UNSUBSCRIBE",
    "< CLIENT REPLY OFF; MULTI; SUBSCRIBE a b; GET x; SSUBSCRIBE s; EXEC; CLIENT REPLY ON",
    "< CLIENT REPLY OFF; MULTI; GET x; UNSUBSCRIBE b; PSUBSCRIBE p; PUNSUBSCRIBE; UNSUBSCRIBE; EXEC; CLIENT REPLY ON",
    "< CLIENT REPLY OFF; MULTI; GET x; CLIENT REPLY ON; GET x; SUBSCRIBE a; UNSUBSCRIBE; EXEC",
    "< CLIENT REPLY OFF; MULTI; GET x; CLIENT REPLY SKIP; GET x; EXEC; CLIENT REPLY ON",
    "< HELLO 2; SUBSCRIBE a; QUITE; PING",
    "> COMMAND GETKEYS SPUBLISH a b; COMMAND GETKEYS PUBLISH a b; COMMAND GETKEYSANDFLAGS SSUBSCRIBE a",
];

fn session(server: &Server) -> Vec<String> {
    let (mut hears, mut says) = (Raw::connect(server.addr()), Raw::connect(server.addr()));
    let run = |step: &&str| match step.split_at(1) {
        ("<", lines) => format!("{step}: {}", hears.say(lines)),
        (_, lines) => format!("{step}: {}", says.say(lines)),
    };
    let mut said: Vec<String> = SCRIPT.iter().map(run).collect();
    // Names and numbers of the server are its own.
    for text in &mut said {
        if let Some(at) = text.find("$6\r\nserver") {
            let end = text.find("$7\r\nmodules").unwrap_or(text.len());
            text.replace_range(at..end, "");
        }
    }
    said
}

#[test]
fn sessions_are_those_of_redis_byte_for_byte() {
    let (server, _) = start();
    let ours = session(&server);
    for (peer, _) in peers() {
        for (ours, theirs) in ours.iter().zip(session(&peer)) {
            // What Lua says of an error has another form in Valkey: it is not compared here.
            if !ours.contains("pcall") || peer.flavour() == Flavour::Redis {
                assert_eq!(*ours, theirs, "{:?}", peer.flavour());
            }
        }
    }
}
