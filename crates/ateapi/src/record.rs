//! Records: messages as the canonical JSON text that the store holds, and back.
//!
//! The texts are shared with other implementations of the API. Reading ignores the fields of newer
//! versions, is bounded in size, and reports a record that is not what its key says.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::names::Key;
use crate::proto::{Actor, Atespace, Worker};

/// The largest record, as text. An actor has some 500 bytes; each label, and each node that has its
/// snapshot, adds some 50: there is room for thousands. A page of 3 MiB holds twelve of the largest.
pub const RECORD_BYTES_MAX: usize = 256 << 10;

/// Why a text is not the record that it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the record has {bytes} bytes, more than the {RECORD_BYTES_MAX} that are allowed")]
    TooLarge { bytes: usize },
    #[error("the record is not understood: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the key says {key}, the record {content}")]
    Mislabelled { key: String, content: String },
}

/// What is kept under a key of its own.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is called when people are told about it.
    const KIND: &'static str;

    /// The names of its fields in JSON: what else a text has is of a newer version, or of others.
    const FIELDS: &'static [&'static str];

    /// Its key, from what it holds.
    fn key(&self) -> Key<'_>;

    /// Its text.
    fn encode(&self) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec(self)?;
        check_size(&text)?;
        Ok(text)
    }

    /// The record of a text that was found under a key.
    fn decode(key: &[u8], text: &[u8]) -> Result<Self, Error> {
        check_size(text)?;
        let record: Self = serde_json::from_slice(text)?;
        let content = record.key().to_string();
        if content.as_bytes() == key {
            Ok(record)
        } else {
            Err(Error::Mislabelled { key: String::from_utf8_lossy(key).into_owned(), content })
        }
    }
}

pub(crate) fn check_size(text: &[u8]) -> Result<(), Error> {
    if text.len() > RECORD_BYTES_MAX { Err(Error::TooLarge { bytes: text.len() }) } else { Ok(()) }
}

impl Record for Actor {
    const KIND: &'static str = "actor";
    const FIELDS: &'static [&'static str] = &[
        "actorId",
        "version",
        "actorTemplateNamespace",
        "actorTemplateName",
        "status",
        "ateomPodNamespace",
        "ateomPodName",
        "ateomPodIp",
        "inProgressSnapshot",
        "ateomPodUid",
        "latestSnapshotInfo",
        "workerSelector",
        "workerPoolName",
        "atespace",
    ];

    fn key(&self) -> Key<'_> {
        Key::Actor { atespace: &self.atespace, id: &self.actor_id }
    }
}

impl Record for Atespace {
    const KIND: &'static str = "atespace";
    const FIELDS: &'static [&'static str] = &["name"];

    fn key(&self) -> Key<'_> {
        Key::Atespace { name: &self.name }
    }
}

impl Record for Worker {
    const KIND: &'static str = "worker";
    const FIELDS: &'static [&'static str] = &[
        "workerNamespace",
        "workerPool",
        "workerPod",
        "actorNamespace",
        "actorTemplate",
        "actorId",
        "ip",
        "version",
        "workerPodUid",
        "nodeName",
        "actorAtespace",
    ];

    fn key(&self) -> Key<'_> {
        Key::Worker { namespace: &self.worker_namespace, pool: &self.worker_pool, pod: &self.worker_pod }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::actor::Status;
    use crate::proto::snapshot_info::Data;
    use crate::proto::{ExternalSnapshotInfo, LocalSnapshotInfo, Selector, SnapshotInfo, SnapshotType};
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;
    use std::fmt::Debug;

    #[track_caller]
    fn check<R: Record + PartialEq + Debug>(record: &R, key: &str, text: &str) {
        assert_eq!(String::from_utf8(record.encode().unwrap()).unwrap(), text);
        assert_eq!(&R::decode(key.as_bytes(), text.as_bytes()).unwrap(), record);
    }

    fn actor() -> Actor {
        let local = LocalSnapshotInfo {
            snapshot_prefix: "snap/7".into(),
            node_vms_with_local_snapshots: vec!["vm-1".into(), "vm-2".into()],
        };
        Actor {
            actor_id: "a-1".into(),
            version: 7,
            actor_template_namespace: "default".into(),
            actor_template_name: "shell".into(),
            status: Status::Running.into(),
            ateom_pod_namespace: "ns".into(),
            ateom_pod_name: "pod-0".into(),
            ateom_pod_ip: "10.0.0.7".into(),
            in_progress_snapshot: String::new(),
            ateom_pod_uid: "uid-1".into(),
            latest_snapshot_info: Some(SnapshotInfo {
                r#type: SnapshotType::Local.into(),
                data: Some(Data::Local(local)),
            }),
            worker_selector: Some(Selector {
                match_labels: [("arch".into(), "arm".into()), ("zone".into(), "b".into())].into(),
            }),
            worker_pool_name: "pool".into(),
            atespace: "team".into(),
        }
    }

    #[test]
    fn an_actor_has_this_text() {
        check(
            &actor(),
            "actor:team:a-1",
            concat!(
                r#"{"actorId":"a-1","version":"7","actorTemplateNamespace":"default","#,
                r#""actorTemplateName":"shell","status":"STATUS_RUNNING","ateomPodNamespace":"ns","#,
                r#""ateomPodName":"pod-0","ateomPodIp":"10.0.0.7","ateomPodUid":"uid-1","#,
                r#""latestSnapshotInfo":{"type":"SNAPSHOT_TYPE_LOCAL","local":{"snapshotPrefix":"snap/7","#,
                r#""nodeVmsWithLocalSnapshots":["vm-1","vm-2"]}},"workerSelector":{"matchLabels":"#,
                r#"{"arch":"arm","zone":"b"}},"workerPoolName":"pool","atespace":"team"}"#
            ),
        );
    }

    #[test]
    fn a_worker_has_this_text() {
        let worker = Worker {
            worker_namespace: "ns".into(),
            worker_pool: "pool".into(),
            worker_pod: "pod-0".into(),
            actor_namespace: "default".into(),
            actor_template: "shell".into(),
            actor_id: "a-1".into(),
            ip: "10.0.0.7".into(),
            version: 2,
            worker_pod_uid: "uid-1".into(),
            node_name: "vm-1".into(),
            actor_atespace: "team".into(),
        };
        check(
            &worker,
            "worker:ns:pool:pod-0",
            concat!(
                r#"{"workerNamespace":"ns","workerPool":"pool","workerPod":"pod-0","#,
                r#""actorNamespace":"default","actorTemplate":"shell","actorId":"a-1","ip":"10.0.0.7","#,
                r#""version":"2","workerPodUid":"uid-1","nodeName":"vm-1","actorAtespace":"team"}"#
            ),
        );
    }

    #[test]
    fn an_atespace_has_this_text() {
        check(&Atespace { name: "team".into() }, "atespace:team", r#"{"name":"team"}"#);
    }

    #[test]
    fn a_record_under_a_wrong_key_is_reported() {
        let error = Atespace::decode(b"atespace:a", br#"{"name":"b"}"#).unwrap_err();
        assert_eq!(error.to_string(), "the key says atespace:a, the record atespace:b");
    }

    #[test]
    fn what_is_no_record_is_reported() {
        for text in
            ["", "null", "[]", "{", r#"{"name":1}"#, r#"{"name":"a"} x"#, r#"{"name":"a","name":"a"}"#]
        {
            let error = Atespace::decode(b"atespace:a", text.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_too_large_is_neither_written_nor_read() {
        let name = "x".repeat(RECORD_BYTES_MAX);
        let text = format!(r#"{{"name":"{name}"}}"#);
        assert!(matches!(Atespace { name }.encode(), Err(Error::TooLarge { .. })));
        assert!(matches!(Atespace::decode(b"", text.as_bytes()), Err(Error::TooLarge { .. })));
    }

    fn snapshots() -> impl Strategy<Value = SnapshotInfo> {
        let external = any::<String>()
            .prop_map(|snapshot_uri_prefix| Data::External(ExternalSnapshotInfo { snapshot_uri_prefix }));
        let local = (any::<String>(), vec(any::<String>(), 0..3)).prop_map(|(snapshot_prefix, vms)| {
            Data::Local(LocalSnapshotInfo { snapshot_prefix, node_vms_with_local_snapshots: vms })
        });
        (0..3, option::of(prop_oneof![external, local]))
            .prop_map(|(kind, data)| SnapshotInfo { r#type: kind, data })
    }

    fn actors() -> impl Strategy<Value = Actor> {
        let selectors = btree_map(any::<String>(), any::<String>(), 0..3)
            .prop_map(|match_labels| Selector { match_labels });
        let fields = (vec(any::<String>(), 10), any::<i64>(), 0..7);
        (fields, option::of(snapshots()), option::of(selectors)).prop_map(
            |((texts, version, status), latest_snapshot_info, worker_selector)| {
                let mut texts = texts.into_iter();
                let mut text = || texts.next().unwrap();
                Actor {
                    actor_id: text(),
                    version,
                    actor_template_namespace: text(),
                    actor_template_name: text(),
                    status,
                    ateom_pod_namespace: text(),
                    ateom_pod_name: text(),
                    ateom_pod_ip: text(),
                    in_progress_snapshot: text(),
                    ateom_pod_uid: text(),
                    latest_snapshot_info,
                    worker_selector,
                    worker_pool_name: text(),
                    atespace: text(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_the_same(actor in actors()) {
            let text = actor.encode().unwrap();
            prop_assert_eq!(Actor::decode(actor.key().to_string().as_bytes(), &text).unwrap(), actor);
        }

        #[test]
        fn no_text_is_too_strange_to_be_refused(text: Vec<u8>) {
            let _ = Actor::decode(b"actor:a:b", &text);
        }
    }
}
