//! CLIENT LIST and INFO: what is known of connections, a line each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use command::{Args, Error};

use super::Context;
use super::client::Kind;
use super::rows::{self, text};
use super::tracking::redirect;
use crate::engine::clients::{Client, Waits};
use crate::table::table;
use crate::tracking::{Mode, Options};

pub(super) fn info(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let about = About { now_ms: context.node.wall_ms(), me: context.session.client.id, said: args.bytes() };
    text(about.line(&context.session.client))
}

pub(super) fn list(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    let node = context.node;
    let clients = if args.len() == 2 {
        node.clients.list()
    } else if args.len() == 4 && args.is(2, "type") {
        let kind = Kind::parse(args.get(3))?;
        node.clients.list().into_iter().filter(|client| Kind::of(client) == kind).collect()
    } else if args.len() > 3 && args.is(2, "id") {
        let mut clients = Vec::new();
        for at in 3..args.len() {
            let id = args.int(at).map_err(|_| Error::line("ERR Invalid client ID"))?;
            clients.extend(u64::try_from(id).ok().and_then(|id| node.clients.get(id)));
        }
        clients
    } else {
        return Err(Error::SYNTAX);
    };
    let about = About { now_ms: node.wall_ms(), me: context.session.client.id, said: args.bytes() };
    text(clients.iter().map(|client| about.line(client)).collect::<String>())
}

/// A client's line, as it is for others.
pub(super) fn line(client: &Client, now_ms: u64) -> String {
    About { now_ms, me: 0, said: 0 }.line(client)
}

/// When lines are made, and by whose command, which has so many bytes.
struct About {
    now_ms: u64,
    me: u64,
    said: usize,
}

impl About {
    /// A client's line.
    fn line(&self, client: &Client) -> String {
        let details = client.details.lock().clone();
        let printable = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let seconds = |since_ms: u64| self.now_ms.saturating_sub(since_ms) / 1000;
        let last = client.last_command.load(Relaxed);
        let last = table().entries().get(last).map_or("NULL", |entry| entry.row.name);
        let number = |number: &AtomicU64| number.load(Relaxed);
        let (input, free) = (number(&client.input_bytes), number(&client.input_free_bytes));
        let (output, buffer) = (number(&client.output_bytes), number(&client.output_buffer_bytes));
        // Of those whose command neither runs now nor waits, its bytes lie in the input.
        let mine = if client.id == self.me { self.said as u64 } else { 0 };
        let argv = mine + number(&client.said_bytes);
        let queued = number(&client.queued_bytes);
        let room = free + buffer.saturating_sub(output);
        let memory = client.held_bytes() + room + mine + size_of::<Client>() as u64;
        let [channels, patterns, shards] = client.hearing.lock().counts();
        let tracking = client.tracking.lock().clone();
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} \
             multi={} qbuf={input} qbuf-free={free} argv-mem={argv} multi-mem={queued} rbs={buffer} rbp={} \
             obl={output} oll={} omem={output} tot-mem={memory} events={} cmd={last} user={} redir={} \
             resp={} lib-name={} lib-ver={}\n",
            client.id,
            client.peer,
            client.local,
            client.id,
            printable(&details.name),
            seconds(client.connected_ms),
            seconds(number(&client.last_ms)),
            flags(client),
            number(&client.database),
            channels,
            patterns,
            shards,
            i64::try_from(number(&client.queued)).unwrap_or(i64::MAX) - 1,
            number(&client.output_peak_bytes),
            number(&client.output_pieces),
            if output > 0 { "rw" } else { "r" },
            printable(&details.user),
            redirect(tracking.as_ref()),
            if client.resp3.load(Relaxed) { 3 } else { 2 },
            printable(&details.lib_name),
            printable(&details.lib_version),
        )
    }
}

/// Redis' letters, in its order.
fn flags(client: &Client) -> String {
    let tracking = client.tracking.lock().clone();
    let tracks = |how: fn(&Options) -> bool| tracking.as_ref().is_some_and(how);
    let set = |flag: &AtomicBool| flag.load(Relaxed);
    let letters = [
        (set(&client.monitors), 'O'),
        (set(&client.hears), 'P'),
        (client.queued.load(Relaxed) > 0, 'x'),
        (!matches!(*client.waits.lock(), Waits::Not), 'b'),
        (tracks(|_| true), 't'),
        (tracks(|options| options.is_broken), 'R'),
        (tracks(|options| options.mode == Mode::Broadcast), 'B'),
        (set(&client.killed), 'A'),
        (set(&client.no_evict), 'e'),
        (set(&client.no_touch), 'T'),
    ];
    let letters: String = letters.iter().filter(|(is, _)| *is).map(|(_, letter)| letter).collect();
    if letters.is_empty() { "N".into() } else { letters }
}
