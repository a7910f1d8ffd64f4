//! Names and keys: the only place that checks the ones, and builds and parses the others.
//!
//! | record | key |
//! | --- | --- |
//! | actor | `actor:<atespace>:<id>` |
//! | atespace | `atespace:<name>` |
//! | worker | `worker:<namespace>:<pool>:<pod>` |
//!
//! Atespaces and actors are named by DNS-1123 labels. Workers are named by Kubernetes: a namespace is a
//! label, pools and pods are objects whose names may be subdomains (labels joined by dots). None has a
//! ':', so that a key falls apart in one way only, nor what is special in the pattern of a SCAN.
//!
//! Parsing a key checks its shape only: stores are shared with other implementations, and a record whose
//! name they allowed must not be invisible here.

use std::fmt;
use std::str;

const LABEL_BYTES_MAX: usize = 63;
const SUBDOMAIN_BYTES_MAX: usize = 253;

/// Of a key that is read: more than three names of the greatest length.
pub(crate) const KEY_BYTES_MAX: usize = 1024;

const ACTOR: &str = "actor";
const ATESPACE: &str = "atespace";
const WORKER: &str = "worker";

/// A name that cannot be one, with the field that it came in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidName {
    pub field: &'static str,
    pub problem: &'static str,
}

const LABEL: &str = "must be a DNS-1123 label: a-z, 0-9 and '-', with no '-' at either end";
const SUBDOMAIN: &str = "must be a DNS-1123 subdomain: labels of a-z, 0-9 and '-', joined by dots";

/// Checks what must be a DNS-1123 label. `field` is what the caller named it, such as `actor_ref.name`.
pub fn label(field: &'static str, name: &str) -> Result<(), InvalidName> {
    let invalid = |problem| Err(InvalidName { field, problem });
    match name.len() {
        0 => invalid("must not be empty"),
        1..=LABEL_BYTES_MAX if is_label(name) => Ok(()),
        1..=LABEL_BYTES_MAX => invalid(LABEL),
        _ => invalid("must not be longer than 63 characters"),
    }
}

/// Checks what must be a DNS-1123 subdomain.
pub fn subdomain(field: &'static str, name: &str) -> Result<(), InvalidName> {
    let invalid = |problem| Err(InvalidName { field, problem });
    match name.len() {
        0 => invalid("must not be empty"),
        1..=SUBDOMAIN_BYTES_MAX if name.split('.').all(is_label) => Ok(()),
        1..=SUBDOMAIN_BYTES_MAX => invalid(SUBDOMAIN),
        _ => invalid("must not be longer than 253 characters"),
    }
}

fn is_label(name: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    !name.is_empty()
        && name.len() <= LABEL_BYTES_MAX
        && name.as_bytes().iter().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key<'a> {
    Actor { atespace: &'a str, id: &'a str },
    Atespace { name: &'a str },
    Worker { namespace: &'a str, pool: &'a str, pod: &'a str },
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor { atespace, id } => write!(f, "{ACTOR}:{atespace}:{id}"),
            Self::Atespace { name } => write!(f, "{ATESPACE}:{name}"),
            Self::Worker { namespace, pool, pod } => write!(f, "{WORKER}:{namespace}:{pool}:{pod}"),
        }
    }
}

impl<'a> Key<'a> {
    /// Takes a key apart. `None`: it is of something else.
    pub fn parse(key: &'a [u8]) -> Option<Self> {
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        let mut parts = str::from_utf8(key).ok()?.split(':');
        let kind = parts.next()?;
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let parsed = match kind {
            ACTOR => Self::Actor { atespace: part()?, id: part()? },
            ATESPACE => Self::Atespace { name: part()? },
            WORKER => Self::Worker { namespace: part()?, pool: part()?, pod: part()? },
            _ => return None,
        };
        parts.next().is_none().then_some(parsed)
    }
}

/// What SCAN must match to find the actors of an atespace, or all.
pub fn actor_pattern(atespace: Option<&str>) -> String {
    match atespace {
        Some(atespace) => format!("{ACTOR}:{atespace}:*"),
        None => format!("{ACTOR}:*"),
    }
}

/// What SCAN must match to find all atespaces.
pub const ATESPACE_PATTERN: &str = "atespace:*";

/// What SCAN must match to find all workers.
pub const WORKER_PATTERN: &str = "worker:*";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(name: &str, is_good_label: bool, is_good_subdomain: bool) {
        assert_eq!(label("name", name).is_ok(), is_good_label, "{name:?} as a label");
        assert_eq!(subdomain("name", name).is_ok(), is_good_subdomain, "{name:?} as a subdomain");
    }

    #[test]
    fn names_are_those_of_dns() {
        for name in ["a", "0", "a-b", "a--b", "9lives", &"x".repeat(63)] {
            check(name, true, true);
        }
        for name in ["", "-", "-a", "a-", "A", "a_b", "a b", "ä", "a:b", "a*", "a\n", &"x".repeat(64)] {
            check(name, false, false);
        }
        check("pod-0.pool.example", false, true);
        for name in [".", "a.", ".a", "a..b", "a.-b"] {
            check(name, false, false);
        }
        check(&["x"; 127].join("."), false, true);
        check(&["x"; 128].join("."), false, false);
    }

    #[test]
    fn errors_name_the_field() {
        let error = label("actor_ref.name", "No").unwrap_err();
        assert_eq!(error.to_string().split(' ').next(), Some("actor_ref.name"));
        assert_eq!(label("name", "").unwrap_err().to_string(), "name must not be empty");
    }

    #[test]
    fn keys_look_as_other_implementations_write_them() {
        for (key, text) in [
            (Key::Actor { atespace: "team", id: "a-1" }, "actor:team:a-1"),
            (Key::Atespace { name: "team" }, "atespace:team"),
            (Key::Worker { namespace: "ns", pool: "pool", pod: "pod-0.x" }, "worker:ns:pool:pod-0.x"),
        ] {
            assert_eq!(key.to_string(), text);
            assert_eq!(Key::parse(text.as_bytes()), Some(key));
        }
    }

    #[test]
    fn what_is_no_key_of_ours_is_not_parsed() {
        for text in ["", "actor", "actor:", "actor:a", "actor:a:", "actor::b", "actor:a:b:c", "actors:a:b"] {
            assert_eq!(Key::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Key::parse(b"actor:a:\xff"), None);
        assert_eq!(Key::parse(format!("atespace:{}", "x".repeat(2000)).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn a_key_of_names_falls_apart_into_them(a in "[a-z0-9.-]{1,20}", b in "[a-z0-9.-]{1,20}", c in "[a-z0-9.-]{1,20}") {
            for key in [
                Key::Actor { atespace: &a, id: &b },
                Key::Atespace { name: &c },
                Key::Worker { namespace: &a, pool: &b, pod: &c },
            ] {
                let text = key.to_string();
                prop_assert_eq!(Key::parse(text.as_bytes()), Some(key));
            }
        }

        #[test]
        fn whatever_is_parsed_is_written_the_same(bytes: Vec<u8>) {
            if let Some(key) = Key::parse(&bytes) {
                prop_assert_eq!(key.to_string().into_bytes(), bytes);
            }
        }
    }
}
