//! MONITOR: a client is told every command that runs on this node, as it was said. Costs one load where
//! nobody monitors; a line is made once, and sent to the network threads of those who do.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use base::limits;
use command::{Args, Command, flags};

use super::rows::{self, ADMIN};
use super::{Answer, Context, SessionRun, slowlog};
use crate::admission::Origin;
use crate::engine::clients::Client;
use crate::engine::node::Node;
use crate::table::{Entry, table};

pub(super) const COMMANDS: &[Command<SessionRun>] = &[rows::row("server", "monitor", 1, ADMIN, monitor)
    .docs("1.0.0", "", "Tells the client every command that runs, until RESET.")];

/// Who monitors.
#[derive(Default)]
pub struct Monitors {
    count: AtomicUsize,
    /// Clients that did not take their lines.
    pub cut_off: AtomicU64,
}

/// A client that monitors, until this is dropped.
pub struct Monitoring {
    monitors: Arc<Monitors>,
    client: Arc<Client>,
    /// Which of its thread's lines is its first one.
    pub from: u64,
}

impl Monitors {
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    pub fn begin(self: &Arc<Self>, client: &Arc<Client>) -> Monitoring {
        self.count.fetch_add(1, Relaxed);
        client.monitors.store(true, Relaxed);
        let from = client.mailbox.feed.add(client.id);
        Monitoring { monitors: self.clone(), client: client.clone(), from }
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        self.client.mailbox.feed.remove(self.client.id);
        self.client.monitors.store(false, Relaxed);
        self.monitors.count.fetch_sub(1, Relaxed);
    }
}

/// Whoever monitors already is not even answered, as in Redis.
fn monitor(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    Ok(if context.session.monitoring.is_some() { Answer::Silent } else { Answer::Monitor })
}

/// Who called a command.
#[derive(Clone, Copy, Debug)]
pub enum From {
    Client(Origin),
    Script,
}

/// A command has run: tells those who monitor. Secrets and administrators' commands are left out.
pub fn saw(node: &Node, database: u64, from: From, args: &Args<'_>) {
    if node.clients.monitors.count() > 0 && !args.is_empty() {
        tell(node, database, from, args);
    }
}

/// As [`saw`], of a client's command.
pub fn saw_from(node: &Node, client: &Client, args: &Args<'_>) {
    saw(node, client.database.load(Relaxed), From::Client(client.peer), args);
}

/// A client's script runs: told before what it calls, which is why it is not told with other commands.
pub fn saw_script(node: &Node, database: u64, client: &Client, args: &Args<'_>) {
    if let Some(entry) = called(args) {
        send(node, database, From::Client(client.peer), entry, args);
    }
}

#[cold]
fn tell(node: &Node, database: u64, from: From, args: &Args<'_>) {
    let Some(entry) = called(args) else { return };
    if entry.row.flags.has(flags::SKIP_MONITOR) || entry.row.flags.has(flags::ADMIN) {
        return;
    }
    send(node, database, from, entry, args);
}

fn send(node: &Node, database: u64, from: From, entry: &Entry, args: &Args<'_>) {
    let line = line(node.wall_us(), database, from, entry.row.name, args);
    for mailbox in node.mailboxes() {
        mailbox.tell(&line);
    }
}

fn called(args: &Args<'_>) -> Option<&'static Entry> {
    let entry = table().find(args.get(0))?;
    let names_sub = !entry.subcommands.is_empty() && args.len() > 1;
    if names_sub { table().find_sub(entry, args.get(1)) } else { Some(entry) }
}

/// `+1339518083.107412 [0 127.0.0.1:60866] "keys" "*"`
fn line(now_us: u64, database: u64, from: From, name: &str, args: &Args<'_>) -> Vec<u8> {
    let mut line = format!("+{}.{:06} [{database} ", now_us / 1_000_000, now_us % 1_000_000);
    let _ = match from {
        From::Client(peer) => write!(line, "{peer}]"),
        From::Script => write!(line, "lua]"),
    };
    let mut line = line.into_bytes();
    let secrets = slowlog::secrets(name, args);
    for at in 0..args.len() {
        if line.len() > limits::MONITOR_LINE_BYTES_MAX {
            line.extend_from_slice(format!(" ... ({} more arguments)", args.len() - at).as_bytes());
            break;
        }
        line.push(b' ');
        let arg = if secrets.contains(&at) { b"(redacted)" } else { args.get(at) };
        let room = limits::MONITOR_LINE_BYTES_MAX.saturating_sub(line.len());
        quote(arg.get(..room).unwrap_or(arg), &mut line);
        if arg.len() > room {
            line.extend_from_slice(format!("... ({} more bytes)", arg.len() - room).as_bytes());
        }
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// As Redis' `sdscatrepr`.
pub fn quote(arg: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &byte in arg {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            0x20..0x7f => line.push(byte),
            other => line.extend_from_slice(format!("\\x{other:02x}").as_bytes()),
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use command::OwnedArgs;

    fn shown(from: From, args: &[&[u8]]) -> String {
        let args = OwnedArgs::of(args.iter().copied());
        let name = String::from_utf8_lossy(args.as_args().get(0)).to_lowercase();
        String::from_utf8(line(1_339_518_083_007_412, 3, from, &name, &args.as_args())).unwrap()
    }

    #[test]
    fn a_line_is_as_redis_writes_it() {
        let peer = From::Client(Origin::Network(([127, 0, 0, 1], 60866).into()));
        assert_eq!(
            shown(peer, &[b"keys", b"*"]),
            "+1339518083.007412 [3 127.0.0.1:60866] \"keys\" \"*\"\r\n"
        );
        assert_eq!(
            shown(From::Script, &[b"SeT", b"a\"\\\x01\x7f\xff", b"\n\r\t\x07\x08", b""]),
            "+1339518083.007412 [3 lua] \"SeT\" \"a\\\"\\\\\\x01\\x7f\\xff\" \"\\n\\r\\t\\a\\b\" \"\"\r\n"
        );
        assert_eq!(
            shown(From::Script, &[b"AUTH", b"me", b"hunter2"]),
            "+1339518083.007412 [3 lua] \"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"
        );
    }

    #[test]
    fn a_line_is_bounded() {
        let long = vec![b'x'; limits::MONITOR_LINE_BYTES_MAX];
        let line = shown(From::Script, &[b"SET", &long, b"a", b"b"]);
        assert!(
            line.ends_with("\"... (33 more bytes) ... (2 more arguments)\r\n"),
            "{}",
            &line[line.len() - 80..]
        );
        assert!(line.len() < limits::MONITOR_LINE_BYTES_MAX + 200);
    }
}
