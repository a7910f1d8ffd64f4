//! `stress listing`: many actors on real servers, listed whatever happens to these.
//!
//! It needs crates of the product, which this command line does without: so it is a program of the package of
//! the integration tests, which share it.

use crate::args::Args;
use crate::{Result, cargo, install};

pub(super) fn run(mut args: Args, seed: u64) -> Result {
    let store = args.option("--store")?.unwrap_or_else(|| "redis-cluster".to_owned());
    let mut words = vec!["--seed".to_owned(), seed.to_string(), "--store".to_owned(), store.clone()];
    for name in ["--actors", "--minutes", "--page-size"] {
        if let Some(value) = args.option::<String>(name)? {
            words.extend([name.to_owned(), value]);
        }
    }
    for name in ["--calm", "--model"] {
        if args.flag(name) {
            words.push(name.to_owned());
        }
    }
    args.finish()?;
    install::servers()?;
    cargo::run_lister("listing", &words, &store)
}
