//! Which crate may depend on which. The workspace shows the architecture, and this keeps it so.

use super::{Finding, Source};

/// A crate of ours and those of ours that it may depend on.
const LAYERS: &[(&str, &[&str])] = &[
    ("allocator", &[]),
    ("base", &[]),
    ("threads", &[]),
    ("resp", &["base"]),
    ("rdb", &["base"]),
    ("script", &["base", "resp"]),
    ("wal", &["base", "threads"]),
    ("store", &["base", "threads"]),
    ("observe", &["base", "threads"]),
    ("certs", &["base"]),
    ("console", &[]),
    ("command", &["base", "resp", "rdb", "store"]),
    ("consensus", &["base", "threads", "wal"]),
    ("cluster", &["base", "resp", "consensus", "store", "observe"]),
    (
        "server",
        &[
            "allocator",
            "base",
            "certs",
            "threads",
            "resp",
            "rdb",
            "wal",
            "store",
            "observe",
            "command",
            "script",
            "consensus",
            "cluster",
        ],
    ),
    ("ateproto", &[]),
    ("ateapi", &["ateproto", "base", "certs", "observe", "threads"]),
    ("testkit", &["base", "resp", "wal"]),
    (
        "bulkhead",
        &[
            "allocator",
            "base",
            "certs",
            "console",
            "threads",
            "resp",
            "server",
            "observe",
            "ateapi",
            "cluster",
        ],
    ),
    ("ateapi-server", &["allocator", "ateproto", "ateapi", "certs", "console", "observe", "threads"]),
    ("kubectl-ate", &["allocator", "ateproto"]),
    ("integration", &["ateproto", "ateapi", "base", "resp", "wal", "testkit"]),
    ("xtask", &["base", "resp", "testkit"]),
];

/// Crates of others, and the only ones of ours that may use them.
const OWNERS: &[(&str, &[&str])] = &[
    ("fjall", &["store"]),
    ("openraft", &["consensus"]),
    ("openraft-multi", &["consensus"]),
    ("mio", &["server"]),
    ("socket2", &["server", "consensus", "cluster"]),
    ("axum", &["server", "observe"]),
    (
        "tonic",
        &[
            "consensus",
            "cluster",
            "server",
            "ateproto",
            "ateapi",
            "ateapi-server",
            "kubectl-ate",
            "integration",
        ],
    ),
    ("redis", &["ateapi"]),
    ("mlua", &["script"]),
    ("mimalloc", &["allocator"]),
    ("libmimalloc-sys", &["allocator"]),
];

/// Crates of ours that are synchronous.
const WITHOUT_TOKIO: &[&str] =
    &["base", "resp", "rdb", "script", "store", "command", "wal", "testkit", "xtask"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let manifests = sources.iter().filter(|source| source.path.ends_with("/Cargo.toml"));
    manifests.flat_map(check_manifest).collect()
}

fn check_manifest(manifest: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut complain =
        |line: usize, message: String| findings.push(Finding::new(&manifest.path, line, message));
    let mut section = "";
    let mut package = "";
    let mut has_lints = false;
    for (index, line) in manifest.text.lines().enumerate() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim().split('.').next().unwrap_or_default(), value.trim());
        if section == "package" && key == "name" {
            package = value.trim_matches('"');
        }
        has_lints |= section == "lints" && line.replace(' ', "") == "workspace=true";
        if section.ends_with("dependencies")
            && let Some(reason) = why_not(package, key, section.ends_with("dev-dependencies"))
        {
            complain(index + 1, reason);
        }
    }
    if !has_lints {
        complain(1, "`[lints] workspace = true` is missing: the lint wall must cover every crate".into());
    }
    if !LAYERS.iter().any(|(name, _)| *name == package) {
        complain(1, format!("{package} has no place in LAYERS (xtask/src/tidy/layers.rs): give it one"));
    }
    findings
}

fn why_not(package: &str, dependency: &str, is_dev: bool) -> Option<String> {
    let is_ours = LAYERS.iter().any(|(name, _)| *name == dependency);
    let allowed = LAYERS.iter().find(|(name, _)| *name == package).map_or(&[][..], |(_, allowed)| allowed);
    if is_ours && !allowed.contains(&dependency) && !(is_dev && dependency == "testkit") {
        return Some(format!("{package} must not know {dependency}: it may use {allowed:?}"));
    }
    let owners = OWNERS.iter().find(|(name, _)| *name == dependency).map(|(_, owners)| owners);
    if let Some(owners) = owners.filter(|owners| !owners.contains(&package)) {
        return Some(format!("{dependency} belongs to {owners:?}: {package} goes through them"));
    }
    let is_forbidden_tokio = dependency == "tokio" && !is_dev && WITHOUT_TOKIO.contains(&package);
    is_forbidden_tokio.then(|| format!("{package} is synchronous: no tokio in it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(package: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{package}\"\n\n{dependencies}\n[lints]\nworkspace = true\n");
        let source = Source::new("crates/x/Cargo.toml", &text);
        check(&[source]).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn an_edge_that_goes_up_is_found() {
        assert_eq!(findings("command", "[dependencies]\nstore.workspace = true\nbytes = \"1\"\n"), [""; 0]);
        let planted = findings("store", "[dependencies]\ncommand.workspace = true\n");
        assert!(planted[0].starts_with("store must not know command"), "{planted:?}");
        assert_eq!(findings("store", "[build-dependencies]\ncommand = { path = \"../command\" }\n").len(), 1);
    }

    #[test]
    fn every_owned_crate_is_found_elsewhere() {
        for (name, owners) in OWNERS {
            let dependencies = format!("[dependencies]\n{name}.workspace = true\n");
            assert_eq!(findings("resp", &dependencies).len(), 1, "{name}");
            if LAYERS.iter().any(|(layer, _)| layer == &owners[0]) {
                assert_eq!(findings(owners[0], &dependencies).len(), 0, "{name}");
            }
        }
    }

    #[test]
    fn tokio_is_found_in_what_is_synchronous() {
        assert_eq!(findings("store", "[dependencies]\ntokio.workspace = true\n").len(), 1);
        assert_eq!(findings("server", "[dependencies]\ntokio.workspace = true\n").len(), 0);
    }

    #[test]
    fn only_tests_know_the_testkit() {
        assert_eq!(findings("server", "[dev-dependencies]\ntestkit.workspace = true\n").len(), 0);
        assert_eq!(findings("server", "[dependencies]\ntestkit.workspace = true\n").len(), 1);
    }

    #[test]
    fn a_crate_without_lints_or_place_is_found() {
        let bare = Source::new("crates/x/Cargo.toml", "[package]\nname = \"base\"\n");
        assert_eq!(check(&[bare]).len(), 1);
        assert_eq!(findings("newcomer", "").len(), 1);
    }

    #[test]
    fn the_layers_themselves_have_no_cycle() {
        for (index, (name, allowed)) in LAYERS.iter().enumerate() {
            for dependency in *allowed {
                let below = LAYERS.iter().position(|(name, _)| name == dependency);
                let is_leaf = dependency == &"ateapi" || dependency == &"testkit";
                assert!(is_leaf || below.is_some_and(|below| below < index), "{name} -> {dependency}");
            }
        }
    }
}
