//! What we depend on: licences, duplicates of what is heavy, and no git dependencies.

use super::Finding;
use crate::Result;
use crate::cargo::cargo;
use std::collections::BTreeMap;

/// Licences that let us ship. An expression passes if one of its alternatives does.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "Zlib",
];

/// Crates of which there must be one version: they are slow to build, or their types meet.
const SINGLE: &[&str] = &[
    "axum",
    "bytes",
    "fjall",
    "hyper",
    "lsm-tree",
    "mio",
    "openraft",
    "parking_lot",
    "prost",
    "rustls",
    "tokio",
    "tonic",
];

const LOCK: &str = "Cargo.lock";

pub(super) fn check(lock: &str, licences: &[(String, String)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for (index, line) in lock.lines().enumerate() {
        let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(value) = value("name") {
            name = value;
        } else if let Some(version) = value("version") {
            versions.entry(name).or_default().push(version);
        } else if let Some(source) = value("source").filter(|source| source.starts_with("git+")) {
            let message =
                format!("{name} comes from {source}: only registry releases can be audited and cached");
            findings.push(Finding::new(LOCK, index + 1, message));
        }
    }
    for name in SINGLE {
        let versions = versions.get(name).map_or(&[][..], Vec::as_slice);
        if versions.len() > 1 {
            findings.push(Finding::new(LOCK, 1, format!("{name} is there in {versions:?}: keep one")));
        }
    }
    for (package, licence) in licences {
        if !is_allowed(licence) {
            findings.push(Finding::new(
                LOCK,
                1,
                format!("{package}: licence '{licence}' is not in the list"),
            ));
        }
    }
    findings
}

/// Every package that any target of the workspace needs, with its licence expression.
pub(super) fn licences() -> Result<Vec<(String, String)>> {
    let output = cargo()
        .args(["tree", "--locked", "--workspace", "--target=all", "--edges=all", "--prefix=none"])
        .args(["--no-dedupe", "--format={p}\t{l}"])
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut licences: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(package, licence)| (package.to_owned(), licence.trim().to_owned()))
        .collect();
    licences.sort();
    licences.dedup();
    Ok(licences)
}

/// Evaluates an SPDX expression (`OR`, `AND`, brackets, and the old '/').
fn is_allowed(expression: &str) -> bool {
    let spaced =
        expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "~");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any(&mut words);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any(words: &mut Words<'_>) -> bool {
    let mut allowed = all(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all(words);
    }
    allowed
}

fn all(words: &mut Words<'_>) -> bool {
    let mut allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => any(words) && words.next() == Some(")"),
        Some(licence) => LICENCES.contains(&licence.replace('~', " WITH ").as_str()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_licence(expression: &str, allowed: bool) {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }

    #[test]
    fn licences_are_expressions() {
        check_licence("MIT", true);
        check_licence("MIT/Apache-2.0", true);
        check_licence("GPL-3.0-only OR MIT", true);
        check_licence("GPL-3.0-only AND MIT", false);
        check_licence("(MIT OR GPL-3.0-only) AND Unicode-3.0", true);
        check_licence("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only", true);
        check_licence("AGPL-3.0-only", false);
        check_licence("", false);
        check_licence("(MIT", false);
    }

    #[test]
    fn a_bad_licence_is_found() {
        let licences = [("good v1".into(), "MIT".into()), ("bad v1".into(), "SSPL-1.0".into())];
        assert_eq!(check("", &licences).len(), 1);
    }

    #[test]
    fn a_second_version_of_a_heavy_crate_is_found() {
        let lock = "[[package]]\nname = \"tokio\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"itoa\"\nversion = \"1.0.0\"\n";
        assert_eq!(check(lock, &[]).len(), 0);
        let again = format!("{lock}\n[[package]]\nname = \"tokio\"\nversion = \"2.0.0\"\n{lock}")
            .replacen("tokio", "bytes", 1);
        assert_eq!(check(&again, &[]).len(), 1);
    }

    #[test]
    fn a_git_dependency_is_found() {
        let lock = "name = \"x\"\nversion = \"1.0.0\"\nsource = \"git+https://example.org/x#abc\"\n";
        assert_eq!(check(lock, &[]).len(), 1);
    }
}
