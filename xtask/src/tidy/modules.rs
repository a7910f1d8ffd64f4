//! No dead files: each file of Rust is reached from the root of its crate by `mod`.

use super::{Finding, Source};
use std::collections::BTreeSet;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let paths: BTreeSet<&str> =
        sources.iter().filter(|source| source.is_rust()).map(|source| source.path.as_str()).collect();
    let mut reached = BTreeSet::new();
    let mut todo: Vec<String> =
        paths.iter().filter(|path| is_root(path)).map(|path| (*path).to_owned()).collect();
    todo.extend(manifest_targets(sources));
    while let Some(path) = todo.pop() {
        let source = sources.iter().find(|source| source.path == path);
        if let Some(source) = source.filter(|_| reached.insert(path.clone())) {
            todo.extend(children(source).into_iter().filter(|child| paths.contains(child.as_str())));
        }
    }
    let message = "no `mod` leads to this file: use it or remove it";
    paths.iter().filter(|path| !reached.contains(**path)).map(|path| Finding::new(path, 1, message)).collect()
}

/// Files that cargo finds by itself.
fn is_root(path: &str) -> bool {
    let Some((folder, name)) = path.rsplit_once('/') else { return false };
    let in_package = |folder: &str| folder.starts_with("crates/") || folder.starts_with("bins/");
    let package_root = folder
        .strip_suffix("/src")
        .is_some_and(|package| package.matches('/').count() <= 1 && matches!(name, "lib.rs" | "main.rs"));
    package_root
        || name == "build.rs" && !folder.contains("/src")
        || folder.ends_with("/src/bin")
        || (folder.ends_with("/benches") || folder.ends_with("/examples") || folder.ends_with("/tests"))
            && in_package(folder)
            && !folder.contains("/src/")
}

/// `path = "main.rs"` in the manifest of a package.
fn manifest_targets(sources: &[Source]) -> Vec<String> {
    let mut targets = Vec::new();
    for manifest in sources {
        let Some(folder) = manifest.path.strip_suffix("/Cargo.toml") else { continue };
        for line in manifest.text.lines() {
            let value = line.strip_prefix("path = \"").and_then(|rest| rest.strip_suffix('"'));
            targets.extend(
                value.filter(|value| value.ends_with(".rs")).map(|value| format!("{folder}/{value}")),
            );
        }
    }
    targets
}

/// Where the modules that a file declares may lie.
fn children(source: &Source) -> Vec<String> {
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = name.strip_suffix(".rs").unwrap_or(name);
    let is_crate_root = is_root(&source.path) || folder.matches('/').count() == 0;
    let own = if stem == "mod" || is_crate_root { folder.to_owned() } else { format!("{folder}/{stem}") };
    let mut children = Vec::new();
    let original: Vec<&str> = source.text.lines().collect();
    for (index, line) in source.lines.iter().enumerate() {
        let code = line.code.trim();
        // The attribute `path` holds a string, which the stripped code has lost.
        let text = original.get(index).map_or("", |text| text.trim());
        if let Some((_, path)) = text.split_once("#[path = \"").filter(|_| code.contains("#[path")) {
            children.push(format!("{folder}/{}", path.split('"').next().unwrap_or_default()));
        }
        let Some(declared) = code.strip_suffix(';').and_then(|code| code.rsplit_once("mod ")) else {
            continue;
        };
        if declared.0.is_empty() || declared.0.ends_with([' ', ']']) {
            children.push(format!("{own}/{}.rs", declared.1));
            children.push(format!("{own}/{}/mod.rs", declared.1));
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        check(&sources).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn a_file_that_no_mod_leads_to_is_found() {
        let files = [
            ("crates/a/src/lib.rs", "pub mod b;\n#[cfg(test)]\nmod tests;\n// mod forgotten;"),
            ("crates/a/src/b.rs", "mod c;"),
            ("crates/a/src/b/c.rs", "pub(crate) mod d;"),
            ("crates/a/src/b/c/d/mod.rs", "#[path = \"odd-name.rs\"]\nmod odd;"),
            ("crates/a/src/b/c/d/odd-name.rs", ""),
            ("crates/a/src/tests/mod.rs", ""),
            ("crates/a/src/forgotten.rs", "mod child;"),
            ("crates/a/src/forgotten/child.rs", ""),
            ("crates/a/benches/codec.rs", ""),
        ];
        assert_eq!(dead(&files), ["crates/a/src/forgotten.rs", "crates/a/src/forgotten/child.rs"]);
    }

    #[test]
    fn targets_of_a_manifest_are_alive() {
        let files = [
            ("tests/Cargo.toml", "[[test]]\nname = \"x\"\npath = \"main.rs\"\n"),
            ("tests/main.rs", "mod a;"),
            ("tests/a.rs", ""),
            ("tests/b.rs", ""),
        ];
        assert_eq!(dead(&files), ["tests/b.rs"]);
    }
}
