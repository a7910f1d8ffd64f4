//! What can be shown: the columns of each kind of thing, one row and one function each.

use ateproto::{Actor, Atespace, SnapshotInfo, Worker, actor, snapshot_info};
use serde::Serialize;

use crate::names::Kind;

/// When a column is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Always,
    Wide,
    /// Not when the user has named an atespace.
    AnyAtespace,
}

pub struct Column<R: 'static> {
    pub title: &'static str,
    pub shown: Shown,
    /// Room for values that later pages are likely to bring.
    pub width_min: usize,
    pub text: fn(&R) -> String,
}

const fn column<R>(title: &'static str, shown: Shown, width_min: usize, text: fn(&R) -> String) -> Column<R> {
    Column { title, shown, width_min, text }
}

pub trait Resource: Serialize + Send + Sized + 'static {
    const KIND: Kind;
    const COLUMNS: &'static [Column<Self>];

    /// Its name among all of its kind: `demo/a1`.
    fn key(&self) -> String;

    /// Another one with every change.
    fn version(&self) -> i64;

    /// What is still known of one that is gone.
    fn gone(key: &str, version: i64) -> Self;
}

impl Resource for Actor {
    const KIND: Kind = Kind::Actor;
    const COLUMNS: &'static [Column<Self>] = &[
        column("ATESPACE", Shown::AnyAtespace, 8, |actor| actor.atespace.clone()),
        column("NAME", Shown::Always, 12, |actor| actor.actor_id.clone()),
        column("TEMPLATE", Shown::Always, 16, |actor| {
            pair(&actor.actor_template_namespace, &actor.actor_template_name)
        }),
        column("STATUS", Shown::Always, 10, |actor| status(actor.status())),
        column("VERSION", Shown::Wide, 7, |actor| actor.version.to_string()),
        column("WORKER", Shown::Wide, 16, |actor| pair(&actor.ateom_pod_namespace, &actor.ateom_pod_name)),
        column("IP", Shown::Wide, 11, |actor| actor.ateom_pod_ip.clone()),
        column("POOL", Shown::Wide, 8, |actor| actor.worker_pool_name.clone()),
        column("SELECTOR", Shown::Wide, 12, selector),
        column("SNAPSHOT", Shown::Wide, 8, |actor| {
            actor.latest_snapshot_info.as_ref().map_or_else(String::new, snapshot)
        }),
    ];

    fn key(&self) -> String {
        format!("{}/{}", self.atespace, self.actor_id)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn gone(key: &str, version: i64) -> Self {
        let (atespace, name) = key.split_once('/').unwrap_or(("", key));
        Self { atespace: atespace.to_owned(), actor_id: name.to_owned(), version, ..Default::default() }
    }
}

impl Resource for Worker {
    const KIND: Kind = Kind::Worker;
    const COLUMNS: &'static [Column<Self>] = &[
        column("NAMESPACE", Shown::Always, 9, |worker| worker.worker_namespace.clone()),
        column("POOL", Shown::Always, 8, |worker| worker.worker_pool.clone()),
        column("NAME", Shown::Always, 12, |worker| worker.worker_pod.clone()),
        column("ACTOR", Shown::Always, 16, |worker| pair(&worker.actor_atespace, &worker.actor_id)),
        column("VERSION", Shown::Wide, 7, |worker| worker.version.to_string()),
        column("IP", Shown::Wide, 11, |worker| worker.ip.clone()),
        column("NODE", Shown::Wide, 8, |worker| worker.node_name.clone()),
        column("TEMPLATE", Shown::Wide, 16, |worker| pair(&worker.actor_namespace, &worker.actor_template)),
    ];

    fn key(&self) -> String {
        format!("{}/{}/{}", self.worker_namespace, self.worker_pool, self.worker_pod)
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn gone(key: &str, version: i64) -> Self {
        let mut parts = key.splitn(3, '/').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Self {
            worker_namespace: part(),
            worker_pool: part(),
            worker_pod: part(),
            version,
            ..Default::default()
        }
    }
}

impl Resource for Atespace {
    const KIND: Kind = Kind::Atespace;
    const COLUMNS: &'static [Column<Self>] = &[column("NAME", Shown::Always, 4, |space| space.name.clone())];

    fn key(&self) -> String {
        self.name.clone()
    }

    fn version(&self) -> i64 {
        0
    }

    fn gone(key: &str, _: i64) -> Self {
        Self { name: key.to_owned() }
    }
}

/// `a/b`, or nothing if there is neither.
fn pair(a: &str, b: &str) -> String {
    if a.is_empty() && b.is_empty() { String::new() } else { format!("{a}/{b}") }
}

fn status(status: actor::Status) -> String {
    let text = match status {
        actor::Status::Unspecified => "Unknown",
        actor::Status::Resuming => "Resuming",
        actor::Status::Running => "Running",
        actor::Status::Suspending => "Suspending",
        actor::Status::Suspended => "Suspended",
        actor::Status::Pausing => "Pausing",
        actor::Status::Paused => "Paused",
    };
    text.to_owned()
}

fn selector(actor: &Actor) -> String {
    let labels = actor.worker_selector.iter().flat_map(|selector| &selector.match_labels);
    labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

fn snapshot(snapshot: &SnapshotInfo) -> String {
    match &snapshot.data {
        None => String::new(),
        Some(snapshot_info::Data::External(external)) => external.snapshot_uri_prefix.clone(),
        Some(snapshot_info::Data::Local(local)) => {
            format!("{}@{}", local.snapshot_prefix, local.node_vms_with_local_snapshots.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_still_has_its_name() {
        assert_eq!(Actor::gone("demo/a1", 7).key(), "demo/a1");
        assert_eq!(Worker::gone("ns/pool/pod", 1).key(), "ns/pool/pod");
        assert_eq!(Atespace::gone("demo", 0).key(), "demo");
    }

    #[test]
    fn snapshots_say_where_they_are() {
        let json = r#"{"type":"SNAPSHOT_TYPE_LOCAL","local":{"snapshotPrefix":"s","nodeVmsWithLocalSnapshots":["n1","n2"]}}"#;
        assert_eq!(snapshot(&serde_json::from_str(json).unwrap()), "s@n1,n2");
        let json = r#"{"type":"SNAPSHOT_TYPE_EXTERNAL","external":{"snapshotUriPrefix":"gs://b/s"}}"#;
        assert_eq!(snapshot(&serde_json::from_str(json).unwrap()), "gs://b/s");
    }
}
