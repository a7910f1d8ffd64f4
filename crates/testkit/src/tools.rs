//! Where the programs are that the tests run beside ours: peers, client libraries, and our own server.
//!
//! `cargo xtask test` installs them. A test never skips because one is missing: it fails, and says so.

use crate::Result;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder the tools are installed in: `BULKHEAD_TOOLS`, or `target/tools` of the workspace.
pub fn dir() -> PathBuf {
    env::var_os("BULKHEAD_TOOLS").map_or_else(|| workspace().join("target/tools"), PathBuf::from)
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// Looks for a program among the tools, then on the search path.
pub fn find(program: &str) -> Option<PathBuf> {
    let own = [dir().join("bin"), dir().join("cargo/bin")];
    let path = env::var_os("PATH").unwrap_or_default();
    own.into_iter().chain(env::split_paths(&path)).map(|dir| dir.join(program)).find(|path| path.is_file())
}

/// Like [`find`], but says what to do if it is missing.
pub fn need(program: &str) -> Result<PathBuf> {
    find(program).ok_or_else(|| missing(program))
}

/// The Python that has the client libraries.
pub fn python() -> Result<PathBuf> {
    let python = dir().join("venv/bin/python3");
    if python.is_file() { Ok(python) } else { Err(missing("the Python clients")) }
}

/// The folder whose `node_modules` has the client libraries.
pub fn node_modules() -> Result<PathBuf> {
    let modules = dir().join("node/node_modules");
    if modules.is_dir() { Ok(modules) } else { Err(missing("the Node.js clients")) }
}

/// The server under test: `BULKHEAD_BIN`, or the one that was built beside this test.
pub fn bulkhead() -> Result<PathBuf> {
    if let Some(path) = env::var_os("BULKHEAD_BIN") {
        return Ok(PathBuf::from(path));
    }
    built("bulkhead")
}

/// A program of ours: the one that was built beside this test.
pub fn built(program: &str) -> Result<PathBuf> {
    // A test lies in <target>/<profile>/deps, a binary in <target>/<profile>.
    let exe = env::current_exe()?;
    let built = exe.ancestors().skip(1).take(2).map(|dir| dir.join(program)).find(|path| path.is_file());
    let built = built.ok_or_else(|| missing(&format!("the binary `{program}`")))?;
    if let Some(source) = newer_source(&built) {
        eprintln!(
            "WARNING: {} is newer than the program under test; `cargo xtask test` builds it anew",
            source.display()
        );
    }
    Ok(built)
}

fn missing(what: &str) -> crate::Error {
    format!("{what} is missing: run `cargo xtask test`, which brings what the tests need").into()
}

/// A source file that was changed after `binary` was built from it, by cargo's own list of them.
fn newer_source(binary: &Path) -> Option<PathBuf> {
    let built = fs::metadata(binary).ok()?.modified().ok()?;
    let list = fs::read_to_string(binary.with_extension("d")).ok()?;
    let (_, sources) = list.split_once(": ")?;
    // Spaces in names are escaped in this format.
    sources
        .replace("\\ ", "\0")
        .split_whitespace()
        .map(|name| PathBuf::from(name.replace('\0', " ")))
        .find(|source| fs::metadata(source).and_then(|data| data.modified()).is_ok_and(|time| time > built))
}
