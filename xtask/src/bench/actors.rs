//! `bench actors`: how fast many actors are listed through the API, and with how much memory.
//!
//! It needs crates of the product, which this command line does without: so it is a program of the package of the
//! integration tests, beside the one of `stress listing`.

use crate::args::Args;
use crate::{Result, cargo, install};

/// What the page is about.
const ACTORS: u64 = 10_000_000;

pub(super) fn run(mut args: Args) -> Result {
    let store = args.option("--store")?.unwrap_or_else(|| "redis".to_owned());
    let actors: u64 = args.option("--actors")?.unwrap_or(ACTORS);
    let mut words = vec!["--store".to_owned(), store.clone(), "--actors".to_owned(), actors.to_string()];
    for name in ["--rounds", "--seconds"] {
        if let Some(value) = args.option::<String>(name)? {
            words.extend([name.to_owned(), value]);
        }
    }
    let out: Option<String> = args.option("--out")?;
    args.finish()?;
    let page = || cargo::root().join("docs/benchmarks-actors.md").display().to_string();
    let is_whole = actors == ACTORS && store == "redis" && words.len() == 4;
    if let Some(out) = out.or_else(|| is_whole.then(page)) {
        words.extend(["--out".to_owned(), out]);
    }
    install::servers()?;
    cargo::run_lister("actors", &words, &store)
}
