//! CLUSTER: how the slots lie, as far as a single node can tell.

use base::slot;
use command::{Args, Class, Command, Error, Flags, arg, flags};
use resp::Reply;

use super::rows::{self, CONTAINER, HELP, reply, text};
use super::{Context, SessionRun, client, cluster_keys};
use crate::engine::node::{Node, inside};

const fn row(name: &'static str, arity: i32, flags: &[Flags], run: SessionRun) -> Command<SessionRun> {
    rows::row("cluster", name, arity, flags, run)
}

pub(super) const DISABLED: &str = "ERR This instance has cluster support disabled";
const STALE: &[Flags] = &[flags::STALE];
const TIPS: &[&str] = &["nondeterministic_output"];
const NODES: &str = "O(N) where N is the total number of Cluster nodes";

pub(super) const COMMANDS: &[Command<SessionRun>] = &[
    row("cluster", -2, CONTAINER, client::unknown).docs(
        "3.0.0",
        "Depends on subcommand.",
        "Holds the commands about the cluster.",
    ),
    row("cluster|countkeysinslot", 3, STALE, cluster_keys::count)
        .class(Class::Scan)
        .docs(
            "3.0.0",
            "O(N) where N is the number of keys in the slot",
            "Returns how many keys a slot holds.",
        )
        .takes(&[arg::integer("slot")]),
    row("cluster|getkeysinslot", 4, STALE, cluster_keys::keys)
        .class(Class::Scan)
        .docs("3.0.0", "O(N) where N is the number of requested keys", "Returns keys of a slot.")
        .tips(TIPS)
        .takes(&[arg::integer("slot"), arg::integer("count")]),
    row("cluster|help", 2, HELP, help).docs("5.0.0", "O(1)", "Returns what the subcommands do."),
    row("cluster|info", 2, STALE, info).docs("3.0.0", "O(1)", "Returns how the cluster is.").tips(TIPS),
    row("cluster|keyslot", 3, STALE, key_slot)
        .docs("3.0.0", "O(N) where N is the number of bytes in the key", "Returns a key's slot.")
        .takes(&[arg::string("key")]),
    row("cluster|myid", 2, STALE, my_id).docs("3.0.0", "O(1)", "Returns this node's id."),
    row("cluster|nodes", 2, STALE, nodes).docs("3.0.0", NODES, "Lists the nodes and their slots.").tips(TIPS),
    row("cluster|shards", 2, STALE, shards)
        .docs("7.0.0", NODES, "Lists ranges of slots and their nodes.")
        .tips(TIPS),
    row("cluster|slots", 2, STALE, slots)
        .docs("3.0.0", NODES, "Lists ranges of slots and their nodes.")
        .tips(TIPS)
        .deprecated("7.0.0", "`CLUSTER SHARDS`"),
];

const LINES: &[&str] = &[
    "COUNTKEYSINSLOT <slot>",
    "    Return the number of keys in <slot>.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return key names stored by current node in a slot.",
    "INFO",
    "    Return information about the cluster.",
    "KEYSLOT <key>",
    "    Return the hash slot for <key>.",
    "MYID",
    "    Return the node id.",
    "NODES",
    "    Return cluster configuration seen by node. Output format:",
    "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "SLOTS",
    "    Return information about slots range mappings. Each range is made of:",
    "    start, end, master and replicas IP addresses, ports and ids",
    "SHARDS",
    "    Return information about slot range mappings and the nodes associated with them.",
];

pub(super) fn enabled(node: &Node) -> command::Result<()> {
    if node.groups.len() > 1 { Ok(()) } else { Err(Error::line(DISABLED)) }
}

fn help(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    enabled(context.node)?;
    rows::help("CLUSTER", LINES)
}

/// Forty hexadecimal digits, as cluster clients expect them.
pub(super) fn id(node: &Node) -> String {
    format!("{:040x}", node.config.node_id)
}

/// Where clients like this one reach this node.
fn address(context: &Context<'_>) -> (String, u16) {
    if context.session.client.peer.is_inside() {
        return (inside::HOST.to_owned(), inside::PORT);
    }
    let address = context.node.address_for(context.session.client.is_tls);
    address.map_or_else(|| (String::new(), 0), |at| (at.ip().to_string(), at.port()))
}

/// The slots of each group, from and to, both inclusive.
fn ranges(node: &Node) -> impl Iterator<Item = (u16, u16)> {
    let last = |group: u16| match group + 1 {
        next if usize::from(next) < node.groups.len() => node.first_slot(next) - 1,
        _ => slot::SLOTS - 1,
    };
    node.groups.iter().map(move |group| (node.first_slot(group.id), last(group.id)))
}

fn info(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    enabled(context.node)?;
    let state = if context.node.is_leading() { "ok" } else { "fail" };
    let epoch = super::info::term(context.node);
    text(format!(
        "cluster_state:{state}\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n\
         cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:1\r\ncluster_size:1\r\n\
         cluster_current_epoch:{epoch}\r\ncluster_my_epoch:{epoch}\r\ncluster_stats_messages_sent:0\r\n\
         cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n"
    ))
}

fn key_slot(context: &mut Context<'_>, args: &Args<'_>) -> rows::Result {
    enabled(context.node)?;
    reply(i64::from(slot::of(args.get(2))))
}

fn my_id(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    enabled(context.node)?;
    reply(Reply::bulk(id(context.node)))
}

fn nodes(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    enabled(node)?;
    let (host, port) = address(context);
    let slots: Vec<String> = ranges(node).map(|(from, to)| format!("{from}-{to}")).collect();
    text(format!(
        "{} {host}:{port}@0 myself,master - 0 0 {} connected {}\n",
        id(node),
        super::info::term(node),
        slots.join(" ")
    ))
}

fn integer(value: u16) -> Reply {
    Reply::Integer(value.into())
}

fn slots(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    enabled(node)?;
    let (host, port) = address(context);
    let range = |(from, to)| {
        let at =
            vec![Reply::bulk(host.clone()), integer(port), Reply::bulk(id(node)), Reply::Array(Vec::new())];
        Reply::Array(vec![integer(from), integer(to), Reply::Array(at)])
    };
    reply(Reply::Array(ranges(node).map(range).collect()))
}

fn shards(context: &mut Context<'_>, _: &Args<'_>) -> rows::Result {
    let node = context.node;
    enabled(node)?;
    let (host, port) = address(context);
    let fields = [
        ("id", Reply::bulk(id(node))),
        ("port", integer(port)),
        ("ip", Reply::bulk(host.clone())),
        ("endpoint", Reply::bulk(host)),
        ("role", Reply::bulk("master")),
        ("replication-offset", Reply::Integer(super::info::replication_offset(node))),
        ("health", Reply::bulk("online")),
    ];
    let about = Reply::Map(fields.map(|(name, value)| (Reply::bulk(name), value)).into());
    let slots = ranges(node).flat_map(|(from, to)| [integer(from), integer(to)]).collect();
    reply(Reply::Array(vec![Reply::Map(vec![
        (Reply::bulk("slots"), Reply::Array(slots)),
        (Reply::bulk("nodes"), Reply::Array(vec![about])),
    ])]))
}
