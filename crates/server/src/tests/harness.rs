//! Starts nodes, and compares what they answer with what is expected.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use testkit::{Client, Protocol, Reply};

use crate::{Config, Node};

/// Stands for any text in what is expected.
const ANY: char = '…';
/// A condition that does not come true by then never will.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node with data of its own, stopped when it goes out of scope.
pub struct TestNode {
    pub node: Arc<Node>,
    _data: TempDir,
}

impl TestNode {
    pub fn start() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let node = Node::start(config(&data, change)).unwrap();
        Self { node, _data: data }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.node.addresses()[0]).unwrap()
    }

    pub fn resp3(&self) -> Client {
        Client::connect_with(self.node.addresses()[0], Protocol::Resp3).unwrap()
    }

    /// Runs a script of commands and what they answer on one connection.
    #[track_caller]
    pub fn check(&self, script: &[(&str, &str)]) {
        let mut client = self.client();
        for (line, expected) in script {
            check(&mut client, line, expected);
        }
    }

    /// A page of the HTTP server, with its head.
    pub fn page(&self, path: &str) -> String {
        page(&self.node, path)
    }
}

/// A page of a node's HTTP server, with its head.
pub fn page(node: &Node, path: &str) -> String {
    let mut stream = TcpStream::connect(node.http_address().unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

impl Drop for TestNode {
    fn drop(&mut self) {
        self.node.stop();
    }
}

pub fn config(data: &TempDir, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::new(data.path().to_owned());
    config.listen = Some(([127, 0, 0, 1], 0).into());
    config.http = None;
    config.net_threads = 2;
    config.heavy_threads = 2;
    config.cache_bytes = 16 << 20;
    config.block_cache_bytes = 4 << 20;
    change(&mut config);
    config
}

/// Whether a text is as expected, in which `…` stands for any text.
pub fn is_like(text: &str, expected: &str) -> bool {
    let Some((first, others)) = expected.split_once(ANY) else { return text == expected };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let (middle, last) = others.rsplit_once(ANY).unwrap_or(("", others));
    for part in middle.split(ANY) {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    for (text, expected, alike) in [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("abc", "a…", true),
        ("abc", "…c", true),
        ("abcabc", "a…b…c", true),
        ("abc", "a…d", false),
        ("[1, [2]]", "[…]", true),
        ("ac", "a…b…c", false),
        ("ab", "ab…ab", false),
    ] {
        assert_eq!(is_like(text, expected), alike, "{text} {expected}");
    }
}

/// Sends a line (words in quotes may hold spaces) and compares the reply as testkit shows it.
#[track_caller]
pub fn check(client: &mut Client, line: &str, expected: &str) {
    let reply = client.call(&words(line)).map_or_else(|error| format!("no reply: {error}"), |r| shown(&r));
    assert!(is_like(&reply, expected), "{line}\n answered {reply}\n expected {expected}");
}

/// As testkit shows a reply, but however long it is.
pub fn shown(reply: &Reply) -> String {
    let list = |items: &[Reply]| items.iter().map(shown).collect::<Vec<_>>().join(", ");
    match reply {
        Reply::Bulk(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Reply::Verbatim(bytes) => format!("=\"{}\"", bytes.escape_ascii()),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => format!("[{}]", list(items)),
        Reply::Map(pairs) => {
            let pair = |(name, value): &(Reply, Reply)| format!("{}: {}", shown(name), shown(value));
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

/// Words of a line; in quotes they may hold spaces, or nothing.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.as_bytes().to_vec());
        } else {
            words.extend(part.split_whitespace().map(|word| word.as_bytes().to_vec()));
        }
    }
    words
}

/// A field of an INFO text.
#[track_caller]
pub fn field(text: &str, name: &str) -> String {
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("there is no {name} in {text}")).to_owned()
}

/// The text that a command answers.
#[track_caller]
pub fn text(client: &mut Client, line: &str) -> String {
    let reply = client.call(&words(line)).unwrap();
    String::from_utf8_lossy(reply.bytes().unwrap_or_else(|| panic!("{line}: {reply:?}"))).into_owned()
}
