//! `verify` and `fix`: the one looks and never writes, the other writes.

use crate::args::Args;
use crate::cargo::{cargo, succeed};
use crate::{Result, tidy};

pub(crate) const VERIFY_HELP: &str = "\
Usage: cargo xtask verify

Checks the format, clippy's lints and the project's own habits (`cargo xtask tidy`), in this order,
and stops at the first that fails. It never writes; `cargo xtask fix` does.
";

pub(crate) const FIX_HELP: &str = "\
Usage: cargo xtask fix

Formats every file and lets clippy repair what it can. Look at the diff afterwards.
";

pub(crate) fn verify(args: Args) -> Result {
    args.finish()?;
    succeed(cargo().args(["fmt", "--all", "--check"]))
        .map_err(|_| "the format is off: `cargo xtask fix` puts it right")?;
    succeed(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))?;
    tidy::run()
}

pub(crate) fn fix(args: Args) -> Result {
    args.finish()?;
    succeed(cargo().args(["fmt", "--all"]))?;
    succeed(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    succeed(cargo().args(["fmt", "--all"]))
}
