//! `verify` and `fix`: the one looks and never writes, the other writes.

use crate::args::Args;
use crate::cargo::{cargo, succeed};
use crate::{Result, tidy};

pub(crate) const VERIFY_HELP: &str = "\
Usage: cargo xtask verify

Checks the format, clippy's lints (of what is tested, and of what is shipped) and the project's own
habits (`cargo xtask tidy`), in this order, and stops at the first that fails. It never writes; `cargo xtask fix` does.
";

pub(crate) const FIX_HELP: &str = "\
Usage: cargo xtask fix

Formats every file and lets clippy repair what it can. Look at the diff afterwards.
";

pub(crate) fn verify(args: Args) -> Result {
    args.finish()?;
    succeed(cargo().args(["fmt", "--all", "--check"]))
        .map_err(|_| "the format is off: `cargo xtask fix` puts it right")?;
    let lint = |what: &str| {
        succeed(cargo().args(["clippy", "--workspace", what, "--locked", "--", "-D", "warnings"]))
    };
    lint("--all-targets")?;
    // Without debug assertions, as it is shipped, there are other lines: no test is built so.
    lint("--release")?;
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
