//! Which workers an actor may run on.
//!
//! A selector wants labels, and a worker has these: `namespace`, `pool`, `pod` and `node`, from the fields of
//! its record, and what whoever wrote the record has put into its field `labels` (an object of texts; no
//! field of the message, so it does not go over the wire). What a worker does not have matches nothing.

use serde_json::{Map, Value};

use super::error::{Error, Result};
use crate::proto::snapshot_info::Data;
use crate::proto::{Actor, Selector, Worker};

const FIELD: &str = "worker_selector.match_labels";

/// The field of a worker's record with more labels.
const LABELS: &str = "labels";

/// Labels of one selector. Nobody has use for so many, and a record has room for them.
const LABELS_MAX: usize = 64;

/// As in Kubernetes: a prefix that is a domain, a slash, a name.
const KEY_BYTES_MAX: usize = 253 + 1 + 63;

/// The names of pods are the longest values.
const VALUE_BYTES_MAX: usize = 253;

/// Checks the selector of a request.
pub fn check(selector: Option<&Selector>) -> Result<()> {
    let invalid = |problem: String| Err(Error::Invalid { field: FIELD, problem });
    let Some(selector) = selector else { return Ok(()) };
    if selector.match_labels.len() > LABELS_MAX {
        return invalid(format!("must not have more than {LABELS_MAX} labels"));
    }
    let is_text = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    for (key, value) in &selector.match_labels {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !is_text(key) {
            return invalid(format!("has {key:?}, which is not the key of a label"));
        }
        if value.len() > VALUE_BYTES_MAX || value.contains('/') || !is_text(value) {
            return invalid(format!("has {value:?} for {key}, which is not the value of a label"));
        }
    }
    Ok(())
}

/// What an actor asks of its worker.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    selector: Option<&'a Selector>,
    /// The only nodes that have its snapshot.
    nodes: &'a [String],
}

impl<'a> Wanted<'a> {
    pub fn of(actor: &'a Actor, boot: bool) -> Self {
        let nodes = match actor.latest_snapshot_info.as_ref().and_then(|info| info.data.as_ref()) {
            Some(Data::Local(local)) if !boot => local.node_vms_with_local_snapshots.as_slice(),
            _ => &[],
        };
        Self { selector: actor.worker_selector.as_ref(), nodes }
    }

    pub fn is_met_by(&self, worker: &Worker, extra: &Map<String, Value>) -> bool {
        let is_near = self.nodes.is_empty() || self.nodes.contains(&worker.node_name);
        is_near && self.selector.is_none_or(|selector| {
            selector.match_labels.iter().all(|(key, value)| label(worker, extra, key) == Some(value))
        })
    }

    /// In a message: why it may be that none is free.
    pub fn text(&self) -> String {
        let labels = self.selector.into_iter().flat_map(|selector| &selector.match_labels);
        let mut parts: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        if !self.nodes.is_empty() {
            parts.push(format!("on {}, where its local snapshot is", self.nodes.join(" or ")));
        }
        if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(", ")) }
    }
}

fn label<'a>(worker: &'a Worker, extra: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    match key {
        "namespace" => Some(&worker.worker_namespace),
        "pool" => Some(&worker.worker_pool),
        "pod" => Some(&worker.worker_pod),
        "node" => Some(&worker.node_name),
        _ => extra.get(LABELS)?.get(key)?.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{LocalSnapshotInfo, SnapshotInfo};

    fn selector(labels: &[(&str, &str)]) -> Selector {
        Selector { match_labels: labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect() }
    }

    fn worker() -> (Worker, Map<String, Value>) {
        let worker = Worker {
            worker_namespace: "ns".into(),
            worker_pool: "small".into(),
            worker_pod: "pod-0".into(),
            node_name: "vm-1".into(),
            ..Worker::default()
        };
        let extra = serde_json::from_str(r#"{"labels":{"arch":"arm","cores":4,"pool":"other"}}"#).unwrap();
        (worker, extra)
    }

    #[track_caller]
    fn matches(labels: &[(&str, &str)], expected: bool) {
        let (worker, extra) = worker();
        let actor = Actor { worker_selector: Some(selector(labels)), ..Actor::default() };
        assert_eq!(Wanted::of(&actor, false).is_met_by(&worker, &extra), expected, "{labels:?}");
    }

    #[test]
    fn labels_are_those_of_the_record() {
        matches(&[], true);
        matches(&[("namespace", "ns"), ("pool", "small"), ("pod", "pod-0"), ("node", "vm-1")], true);
        matches(&[("pool", "large")], false);
        matches(&[("arch", "arm")], true);
        matches(&[("arch", "arm"), ("pool", "large")], false);
    }

    #[test]
    fn what_a_worker_does_not_have_matches_nothing() {
        matches(&[("zone", "")], false);
        matches(&[("cores", "4")], false);
        matches(&[("pool", "other")], false);
    }

    #[test]
    fn a_local_snapshot_wants_its_node_unless_it_is_not_used() {
        let (worker, extra) = worker();
        let local = |node: &str| Data::Local(LocalSnapshotInfo {
            node_vms_with_local_snapshots: vec![node.into()],
            ..LocalSnapshotInfo::default()
        });
        for (node, boot, expected) in [("vm-1", false, true), ("vm-2", false, false), ("vm-2", true, true)] {
            let info = SnapshotInfo { data: Some(local(node)), ..SnapshotInfo::default() };
            let actor = Actor { latest_snapshot_info: Some(info), ..Actor::default() };
            assert_eq!(Wanted::of(&actor, boot).is_met_by(&worker, &extra), expected, "{node} {boot}");
        }
    }

    #[test]
    fn selectors_that_nobody_can_have_are_refused() {
        assert!(check(None).is_ok());
        assert!(check(Some(&selector(&[("example.com/arch", "arm"), ("a", "")]))).is_ok());
        let (long, many): (_, Vec<_>) = ("x".repeat(400), (0..65).map(|at| format!("a{at}")).collect());
        for labels in [vec![("", "a")], vec![("a b", "c")], vec![("a", "b/c")], vec![(&*long, "a")], vec![("a", &*long)]] {
            let error = check(Some(&selector(&labels))).unwrap_err().to_string();
            assert!(error.starts_with(FIELD), "{error}");
        }
        let many: Vec<(&str, &str)> = many.iter().map(|key| (key.as_str(), "")).collect();
        assert!(check(Some(&selector(&many))).is_err());
    }
}
