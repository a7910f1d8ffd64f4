//! The project's habits, as checks. Style is a test: what a review would say again and again is said
//! here, with what to do instead.
//!
//! Each check is a function from texts to findings, and has a test that plants a violation and sees
//! it found.

mod deps;
mod header;
mod layers;
mod lexer;
mod links;
mod modules;
mod size;
mod source;
mod tokens;

use crate::args::Args;
use crate::{Result, cargo};
use source::Source;
use std::fmt;

pub(crate) const HELP: &str = "\
Usage: cargo xtask tidy [--ratchet]

Checks the project's own habits:

  header    every module says in its first lines what it is for
  tokens    banned tokens, each with its replacement (`// tidy-ok: REASON` above a line excuses it)
  size      files over 500 lines and functions over 70 may only shrink (xtask/src/tidy/ratchet.txt)
  modules   no file that nothing includes
  layers    which crate may depend on which
  deps      licences, duplicates of heavy crates, git dependencies
  links     links between documents lead somewhere

  --ratchet   write today's sizes, where they shrank, into the ratchet
";

/// One thing to put right.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

pub(crate) fn command(mut args: Args) -> Result {
    let ratchet = args.flag("--ratchet");
    args.finish()?;
    if ratchet {
        let sources = source::load(cargo::root())?;
        return size::write_ratchet(&sources);
    }
    run()
}

pub(crate) fn run() -> Result {
    let root = cargo::root();
    let sources = source::load(root)?;
    let rust: Vec<&Source> = sources.iter().filter(|source| source.is_rust()).collect();
    let mut findings = header::check(&rust);
    findings.extend(tokens::check(&rust));
    findings.extend(size::check(&rust, &size::read_ratchet()?));
    findings.extend(modules::check(&sources));
    findings.extend(layers::check(&sources));
    findings.extend(deps::check(&std::fs::read_to_string(root.join("Cargo.lock"))?, &deps::licences()?));
    findings.extend(links::check(&sources));
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files, nothing to complain about", sources.len());
            Ok(())
        }
        count => Err(format!("{count} things are not tidy").into()),
    }
}
