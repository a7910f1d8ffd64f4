//! The files that are checked.

use super::lexer::{self, Line};
use crate::Result;
use std::fs;
use std::path::Path;

/// Folders of the workspace that hold files of ours.
const FOLDERS: &[&str] = &["crates", "bins", "tests", "xtask", "docs"];
const EXTENSIONS: &[&str] = &["rs", "toml", "md"];

#[derive(Debug)]
pub(super) struct Source {
    /// From the root of the workspace, with '/'.
    pub(super) path: String,
    pub(super) text: String,
    /// Of Rust files: each line without its comments and the contents of its strings.
    pub(super) lines: Vec<Line>,
}

impl Source {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let is_rust = path.ends_with(".rs");
        let mut lines = if is_rust { lexer::lines(text) } else { Vec::new() };
        if is_rust && is_test_file(path) {
            for line in &mut lines {
                line.is_test = true;
            }
        }
        Self { path: path.to_owned(), text: text.to_owned(), lines }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

pub(super) fn load(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        load_folder(root, &root.join(folder), &mut sources)?;
    }
    for entry in fs::read_dir(root)? {
        load_file(root, &entry?.path(), &mut sources)?;
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn load_folder(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> Result {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
            load_folder(root, &path, sources)?;
        } else {
            load_file(root, &path, sources)?;
        }
    }
    Ok(())
}

fn load_file(root: &Path, path: &Path, sources: &mut Vec<Source>) -> Result {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if path.is_file() && EXTENSIONS.contains(&extension.as_ref()) {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let relative = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
        sources.push(Source::new(&relative, &text));
    }
    Ok(())
}
