//! The settings, one row each: how a setting is shown, and what may be set.

use std::time::Duration;

use base::limits;
use wal::Fsync;

use command::events::Classes;

use super::tls_files::{
    AUTH_CLIENTS, CLIENT_AUTH, set_ca, set_cert, set_key, set_word, show_ca, show_cert, show_key, show_word,
};
use super::values::{bytes, integer, memory};
use crate::admission::memory::Thresholds;
use crate::engine::node::Node;
use crate::engine::node::inside::Hosted;
use crate::net::output_limits::{self, Class, Limit};
use crate::process;
use certs::TlsFiles;

/// A row.
pub(super) struct Setting {
    pub name: &'static str,
    get: fn(&Node) -> String,
    set: Set,
}

/// What CONFIG SET may do with a setting.
enum Set {
    /// Given when the server starts.
    Immutable,
    /// Nothing but what it is: there for clients that set what they rely on.
    Same,
    Live(fn(&[u8]) -> Result<Change, String>),
    /// A number that the groups look at.
    OfGroup(OfGroup),
    /// One of the files of TLS, or what is made of them: whatever is set, all of them are read anew.
    Tls(TlsSetting),
}

/// One of the sizes up to which collections are packed, or of the budgets of a network thread.
type OfGroup = fn(&store::Group) -> &store::Setting;

/// How a setting of TLS is shown and set.
#[derive(Clone, Copy)]
pub(super) struct TlsSetting {
    get: fn(&TlsFiles) -> String,
    set: fn(&mut TlsFiles, &str) -> Result<(), String>,
}

/// A value that was understood.
pub(super) enum Change {
    Nothing,
    SlowerThan(i64),
    SlowlogLen(usize),
    LatencyThreshold(u64),
    Connections(usize),
    PerPeer(usize),
    MemorySoft(u64),
    MemoryHard(u64),
    Idle(u64),
    Password(Vec<u8>),
    BusyAfter(u64),
    AclLogLen(usize),
    OutputLimits(Vec<(Class, Limit)>),
    HeavyThreads(usize),
    HeavyQueue(usize),
    HeavyTimeout(u64),
    StallTimeout(u64),
    TrackedKeys(usize),
    KeyEvents(Classes),
    SampleKeys(bool),
    OfGroup(OfGroup, i64),
    Tls(TlsSetting, String),
}

impl Setting {
    pub(super) fn show(&self, node: &Node) -> String {
        match (&self.set, node.groups.first()) {
            (Set::OfGroup(of), Some(group)) => of(&group.store).get().to_string(),
            (Set::Tls(setting), _) => {
                (setting.get)(&node.tls.as_ref().map_or_else(TlsFiles::default, |tls| tls.files()))
            }
            _ => (self.get)(node),
        }
    }

    pub(super) fn parse(&self, node: &Node, value: &[u8]) -> Result<Change, String> {
        match self.set {
            Set::Immutable => Err("can't set immutable config".into()),
            Set::Live(parse) => parse(value),
            Set::OfGroup(of) => {
                let least = if self.name.starts_with("list") { i32::MIN.into() } else { 0 };
                Ok(Change::OfGroup(of, integer(value, least, i64::MAX)?))
            }
            Set::Tls(setting) => {
                let value = std::str::from_utf8(value).map_err(|error| error.to_string())?;
                let tls =
                    node.tls.as_ref().ok_or("TLS is off: the server was started without --tls-listen")?;
                (setting.set)(&mut tls.files(), value)?;
                Ok(Change::Tls(setting, value.to_owned()))
            }
            Set::Same if self.is_current(node, value) => Ok(Change::Nothing),
            Set::Same => Err(format!("this server has no other value than '{}'", self.show(node))),
        }
    }

    fn is_current(&self, node: &Node, value: &[u8]) -> bool {
        let current = self.show(node);
        let bytes = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| memory(text.trim()));
        value.eq_ignore_ascii_case(current.as_bytes())
            || (bytes(value).is_some() && bytes(value) == bytes(current.as_bytes()))
    }
}

impl Change {
    /// The thresholds of memory with this change.
    pub(super) fn thresholds(&self, before: Thresholds) -> Thresholds {
        match *self {
            Self::MemorySoft(soft_bytes) => Thresholds { soft_bytes, ..before },
            Self::MemoryHard(hard_bytes) => Thresholds { hard_bytes, ..before },
            _ => before,
        }
    }

    pub(super) fn apply(self, node: &Node) {
        match self {
            // What may fail has been set before.
            Self::Nothing | Self::Tls(..) | Self::HeavyThreads(_) => {}
            Self::SlowerThan(us) => node.live.set_slower_than_us(us),
            Self::SlowlogLen(len) => node.live.set_slowlog_len_max(len),
            Self::LatencyThreshold(ms) => node.stats.latency.set_threshold_ms(ms),
            Self::Connections(count) => node.live.set_connections_max(count),
            Self::PerPeer(count) => node.live.set_per_peer_max(count),
            Self::MemorySoft(_) | Self::MemoryHard(_) => {
                let memory = &node.admission.memory;
                memory.set_thresholds(self.thresholds(memory.thresholds()));
            }
            Self::AclLogLen(len) => node.live.set_acl_log_len_max(len),
            Self::OutputLimits(all) => {
                all.into_iter().for_each(|(class, limit)| node.live.output_limits.set(class, limit));
            }
            Self::TrackedKeys(keys) => node.tracker.set_keys_max(keys),
            Self::KeyEvents(classes) => node.hub.key_events.set(classes),
            Self::HeavyQueue(places) => node.heavy.set_queue_max(places),
            Self::HeavyTimeout(ms) => node.live.set_heavy_timeout_ms(ms),
            Self::StallTimeout(seconds) => node.live.set_stall_timeout_ms(seconds.saturating_mul(1000)),
            Self::SampleKeys(is_on) => node.sampling.set_on(is_on),
            Self::Idle(seconds) => node.live.set_idle_s_max(seconds),
            Self::BusyAfter(ms) => node.live.set_busy_after(Duration::from_millis(ms)),
            Self::Password(password) => node.users.set_password(&password),
            Self::OfGroup(of, value) => node.groups.iter().for_each(|group| of(&group.store).set(value)),
        }
    }
}

/// Sets how many threads the heavy pool has, if that is among the changes. It keeps those that it has if there can be no
/// more.
pub(super) fn apply_threads(node: &Node, changes: &[Change]) -> Result<(), String> {
    let Some(threads) = changes.iter().find_map(|change| match change {
        Change::HeavyThreads(threads) => Some(*threads),
        _ => None,
    }) else {
        return Ok(());
    };
    let started = node.heavy.set_threads(threads);
    started.map_err(|error| format!("there can be no more threads than {}: {error}", node.heavy.threads()))
}

/// Sets what belongs to TLS, all of it or none. This reads files.
pub(super) fn apply_tls(node: &Node, changes: &[Change]) -> Result<(), String> {
    let Some(tls) = &node.tls else { return Ok(()) };
    tls.reload(|files| {
        for change in changes {
            if let Change::Tls(setting, value) = change {
                (setting.set)(files, value)?;
            }
        }
        Ok(())
    })
}

fn slower_than(value: &[u8]) -> Result<Change, String> {
    Ok(Change::SlowerThan(integer(value, -1, i64::MAX)?))
}

/// A script that has run for so long counts as one to be killed.
fn busy_after(node: &Node) -> String {
    node.live.busy_after().as_millis().to_string()
}

fn set_busy_after(value: &[u8]) -> Result<Change, String> {
    Ok(Change::BusyAfter(integer(value, 0, i64::MAX)? as u64))
}

/// Slow commands kept at most: each holds up to 32 arguments of 128 bytes.
const SLOWLOG_LEN_MAX: i64 = 1 << 16;

fn slowlog_len(value: &[u8]) -> Result<Change, String> {
    Ok(Change::SlowlogLen(integer(value, 0, SLOWLOG_LEN_MAX)? as usize))
}

fn threshold(value: &[u8]) -> Result<Change, String> {
    Ok(Change::LatencyThreshold(integer(value, 0, i64::MAX)? as u64))
}

/// Refusals kept at most: each holds the client's line and what it asked for.
const ACL_LOG_LEN_MAX: i64 = 1 << 16;

fn acl_log_len(value: &[u8]) -> Result<Change, String> {
    Ok(Change::AclLogLen(integer(value, 0, ACL_LOG_LEN_MAX)? as usize))
}

fn connections(value: &[u8]) -> Result<Change, String> {
    let count = integer(value, 1, u32::MAX.into())? as usize;
    match process::room_for(count) {
        room if room < count => Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {room}"
        )),
        _ => Ok(Change::Connections(count)),
    }
}

fn soft_bytes(node: &Node) -> String {
    node.admission.memory.thresholds().soft_bytes.to_string()
}

fn hard_bytes(node: &Node) -> String {
    node.admission.memory.thresholds().hard_bytes.to_string()
}

fn per_peer(value: &[u8]) -> Result<Change, String> {
    Ok(Change::PerPeer(integer(value, 0, u32::MAX.into())? as usize))
}

fn output_limits(value: &[u8]) -> Result<Change, String> {
    let text = std::str::from_utf8(value).map_err(|error| error.to_string())?;
    Ok(Change::OutputLimits(output_limits::parse(text, memory)?))
}

fn key_events(value: &[u8]) -> Result<Change, String> {
    const WHY: &str = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    Classes::parse(value).map(Change::KeyEvents).ok_or_else(|| WHY.into())
}

fn tracked_keys(value: &[u8]) -> Result<Change, String> {
    Ok(Change::TrackedKeys(integer(value, 0, i64::MAX)? as usize))
}

fn heavy_threads(value: &[u8]) -> Result<Change, String> {
    Ok(Change::HeavyThreads(integer(value, 1, limits::HEAVY_THREADS_MAX as i64)? as usize))
}

fn heavy_queue(value: &[u8]) -> Result<Change, String> {
    Ok(Change::HeavyQueue(integer(value, 0, limits::HEAVY_QUEUE_MAX as i64)? as usize))
}

fn heavy_timeout(value: &[u8]) -> Result<Change, String> {
    Ok(Change::HeavyTimeout(integer(value, 0, i64::MAX)? as u64))
}

/// In seconds, as Redis' `timeout`; a part of one counts as a whole.
fn stall_timeout(node: &Node) -> String {
    node.live.stall_timeout_ms().div_ceil(1000).to_string()
}

fn set_stall_timeout(value: &[u8]) -> Result<Change, String> {
    Ok(Change::StallTimeout(integer(value, 0, i32::MAX.into())? as u64))
}

fn idle(value: &[u8]) -> Result<Change, String> {
    Ok(Change::Idle(integer(value, 0, i32::MAX.into())? as u64))
}

fn password(value: &[u8]) -> Result<Change, String> {
    Ok(Change::Password(value.to_vec()))
}

const fn immutable(name: &'static str, get: fn(&Node) -> String) -> Setting {
    Setting { name, get, set: Set::Immutable }
}

const fn same(name: &'static str, get: fn(&Node) -> String) -> Setting {
    Setting { name, get, set: Set::Same }
}

const fn live(
    name: &'static str,
    get: fn(&Node) -> String,
    set: fn(&[u8]) -> Result<Change, String>,
) -> Setting {
    Setting { name, get, set: Set::Live(set) }
}

const fn of_group(name: &'static str, of: OfGroup) -> Setting {
    Setting { name, get: |_| String::new(), set: Set::OfGroup(of) }
}

const fn tls(
    name: &'static str,
    get: fn(&TlsFiles) -> String,
    set: fn(&mut TlsFiles, &str) -> Result<(), String>,
) -> Setting {
    Setting { name, get: |_| String::new(), set: Set::Tls(TlsSetting { get, set }) }
}

fn show_yes(is: bool) -> String {
    if is { "yes".into() } else { "no".into() }
}

fn sample_keys(value: &[u8]) -> Result<Change, String> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Ok(Change::SampleKeys(true)),
        b"no" => Ok(Change::SampleKeys(false)),
        _ => Err("argument must be 'yes' or 'no'".into()),
    }
}

fn address(address: Option<std::net::SocketAddr>) -> String {
    address.map_or_else(|| "off".into(), |address| address.to_string())
}

fn fsync(node: &Node) -> String {
    match node.config.fsync {
        Fsync::Always => "always".into(),
        Fsync::EverySec => "everysec".into(),
    }
}

fn port(node: &Node) -> String {
    node.addresses().first().map_or_else(|| "0".into(), |address| address.port().to_string())
}

fn tls_port(node: &Node) -> String {
    node.tls_address().map_or(0, |address| address.port()).to_string()
}

fn bind(node: &Node) -> String {
    node.address_for(false).map(|address| address.ip().to_string()).unwrap_or_default()
}

fn directory(node: &Node) -> String {
    let data = &node.config.data;
    std::path::absolute(data).unwrap_or_else(|_| data.clone()).display().to_string()
}

fn cluster(node: &Node) -> String {
    show_yes(node.groups.len() > 1)
}

fn show_password(node: &Node) -> String {
    String::from_utf8_lossy(&node.users.password()).into_owned()
}

fn slower_than_us(node: &Node) -> String {
    node.live.slower_than_us().map_or_else(|| "-1".into(), |us| us.to_string())
}

pub(super) const SETTINGS: &[Setting] = &[
    // Ours, by the names that the command line has.
    immutable("ateapi", |node| address(node.inside.hosted().map(Hosted::address))),
    immutable("ateapi-otlp-endpoint", |node| node.config.program.ateapi_otlp_endpoint.clone()),
    immutable("background-cpus", |node| node.config.background_cpus.to_string()),
    of_group("budget-bytes", |group| &group.budget.bytes),
    of_group("budget-records", |group| &group.budget.records),
    of_group("budget-steps", |group| &group.budget.steps),
    immutable("cache", |node| node.config.cache().to_string()),
    immutable("config", |node| node.config.program.shown_file()),
    immutable("data", directory),
    immutable("fsync", fsync),
    immutable("groups", |node| node.config.groups.to_string()),
    live("heavy-queue", |node| node.heavy.queue_max().to_string(), heavy_queue),
    live("heavy-threads", |node| node.heavy.threads().to_string(), heavy_threads),
    live("heavy-timeout", |node| node.live.heavy_timeout_ms().to_string(), heavy_timeout),
    immutable("http", |node| address(node.config.http)),
    immutable("listen", |node| address(node.addresses().first().copied())),
    immutable("listen-any", |_| address(None)),
    immutable("log-format", |node| node.config.program.log_format.clone()),
    immutable("log-level", |node| node.config.program.log_level.clone()),
    live("tracking-table-max-keys", |node| node.tracker.keys_max().to_string(), tracked_keys),
    live("max-connections", |node| node.live.connections_max().to_string(), connections),
    live("max-connections-per-peer", |node| node.live.per_peer_max().to_string(), per_peer),
    live("memory-hard", hard_bytes, |value| Ok(Change::MemoryHard(bytes(value)?))),
    live("memory-soft", soft_bytes, |value| Ok(Change::MemorySoft(bytes(value)?))),
    immutable("net-threads", |node| node.config.net_threads.to_string()),
    immutable("node-id", |node| node.config.node_id.to_string()),
    live("sample-keys", |node| show_yes(node.sampling.is_on()), sample_keys),
    live("stall-timeout", stall_timeout, set_stall_timeout),
    tls("tls-cert", show_cert, set_cert),
    tls("tls-client-auth", |f| show_word(&CLIENT_AUTH, f), |f, value| set_word(&CLIENT_AUTH, f, value)),
    tls("tls-client-ca", show_ca, set_ca),
    tls("tls-key", show_key, set_key),
    immutable("tls-listen", |node| address(node.tls_address())),
    // Redis'.
    live("busy-reply-threshold", busy_after, set_busy_after),
    live("lua-time-limit", busy_after, set_busy_after),
    live("acllog-max-len", |node| node.live.acl_log_len_max().to_string(), acl_log_len),
    live("maxclients", |node| node.live.connections_max().to_string(), connections),
    live("requirepass", show_password, password),
    live("slowlog-log-slower-than", slower_than_us, slower_than),
    live("slowlog-max-len", |node| node.live.slowlog_len_max().to_string(), slowlog_len),
    live("timeout", |node| node.live.idle_s_max().to_string(), idle),
    same("appendfsync", fsync),
    same("appendonly", |_| "yes".into()),
    immutable("bind", bind),
    immutable("cluster-enabled", cluster),
    immutable("databases", |_| limits::DATABASES.to_string()),
    same("dir", directory),
    immutable("port", port),
    same("client-query-buffer-limit", |_| limits::COMMAND_BYTES_MAX.to_string()),
    same("proto-max-bulk-len", |_| limits::BULK_BYTES_MAX.to_string()),
    same("acl-pubsub-default", |_| "resetchannels".into()),
    immutable("aclfile", |_| String::new()),
    same("active-expire-effort", |_| "1".into()),
    same("activedefrag", |_| "no".into()),
    same("activerehashing", |_| "no".into()),
    live("client-output-buffer-limit", |node| node.live.output_limits.show(), output_limits),
    immutable("daemonize", |_| "no".into()),
    same("dbfilename", |_| String::new()),
    immutable("enable-debug-command", |_| "yes".into()),
    of_group("hash-max-listpack-entries", |group| &group.shapes.hash_max_listpack_entries),
    of_group("hash-max-listpack-value", |group| &group.shapes.hash_max_listpack_value),
    of_group("hash-max-ziplist-entries", |group| &group.shapes.hash_max_listpack_entries),
    of_group("hash-max-ziplist-value", |group| &group.shapes.hash_max_listpack_value),
    same("hz", |_| "10".into()),
    immutable("io-threads", |_| "1".into()),
    live("latency-monitor-threshold", |node| node.stats.latency.threshold_ms().to_string(), threshold),
    same("latency-tracking", |_| "yes".into()),
    same("latency-tracking-info-percentiles", |_| "50 99 99.9".into()),
    same("lazyfree-lazy-eviction", |_| "yes".into()),
    same("lazyfree-lazy-expire", |_| "yes".into()),
    same("lazyfree-lazy-server-del", |_| "yes".into()),
    same("lazyfree-lazy-user-del", |_| "yes".into()),
    same("lazyfree-lazy-user-flush", |_| "yes".into()),
    of_group("list-max-listpack-size", |group| &group.shapes.list_max_listpack_size),
    of_group("list-max-ziplist-size", |group| &group.shapes.list_max_listpack_size),
    immutable("logfile", |_| String::new()),
    same("masterauth", |_| String::new()),
    same("maxmemory", |_| "0".into()),
    same("maxmemory-clients", |_| "0".into()),
    same("maxmemory-policy", |_| "noeviction".into()),
    same("maxmemory-samples", |_| "5".into()),
    same("min-replicas-max-lag", |_| "10".into()),
    same("min-replicas-to-write", |_| "0".into()),
    same("min-slaves-to-write", |_| "0".into()),
    same("no-appendfsync-on-rewrite", |_| "no".into()),
    live("notify-keyspace-events", |node| node.hub.key_events.get().letters(), key_events),
    same("protected-mode", |_| "no".into()),
    same("rdbcompression", |_| "no".into()),
    immutable("rdbchecksum", |_| "yes".into()),
    same("replica-read-only", |_| "yes".into()),
    same("replica-serve-stale-data", |_| "no".into()),
    immutable("replicaof", |_| String::new()),
    same("save", |_| String::new()),
    of_group("set-max-intset-entries", |group| &group.shapes.set_max_intset_entries),
    of_group("set-max-listpack-entries", |group| &group.shapes.set_max_listpack_entries),
    of_group("set-max-listpack-value", |group| &group.shapes.set_max_listpack_value),
    immutable("slaveof", |_| String::new()),
    same("stop-writes-on-bgsave-error", |_| "yes".into()),
    same("stream-node-max-bytes", |_| "4096".into()),
    same("stream-node-max-entries", |_| "100".into()),
    immutable("supervised", |_| "no".into()),
    immutable("tcp-backlog", |_| "1024".into()),
    same("tcp-keepalive", |_| "0".into()),
    tls("tls-auth-clients", |f| show_word(&AUTH_CLIENTS, f), |f, value| set_word(&AUTH_CLIENTS, f, value)),
    tls("tls-ca-cert-file", show_ca, set_ca),
    tls("tls-cert-file", show_cert, set_cert),
    tls("tls-key-file", show_key, set_key),
    immutable("tls-port", tls_port),
    immutable("unixsocket", |_| String::new()),
    of_group("zset-max-listpack-entries", |group| &group.shapes.zset_max_listpack_entries),
    of_group("zset-max-listpack-value", |group| &group.shapes.zset_max_listpack_value),
    of_group("zset-max-ziplist-entries", |group| &group.shapes.zset_max_listpack_entries),
    of_group("zset-max-ziplist-value", |group| &group.shapes.zset_max_listpack_value),
];
