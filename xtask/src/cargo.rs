//! `run` and `test`: the two commands of the README.

use crate::args::Args;
use crate::{Result, install};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const RUN_HELP: &str = "\
Usage: cargo xtask run [-- ARGS]

Builds the release binary and runs `bulkhead serve ARGS`. The server takes this process' place, so
signals reach it and its exit code is yours.

  cargo xtask run                                    a durable single node on 127.0.0.1:6379
  cargo xtask run -- --listen 127.0.0.1:7000 --data /tmp/trial
  cargo xtask run -- --help                          every option of the server
";

pub(crate) const TEST_HELP: &str = "\
Usage: cargo xtask test [FILTER] [NEXTEST OPTIONS]

Installs what the tests need where it is missing, then runs every test of the workspace with
cargo-nextest. FILTER picks tests by a part of their name; everything else goes to nextest as it is.

  cargo xtask test
  cargo xtask test differential
  cargo xtask test -p store
  cargo xtask test --no-capture a_single_test

The peers (Redis, Valkey, client libraries) are kept in target/tools, or where BULKHEAD_TOOLS says.
Once they are there, plain `cargo nextest run` works as well, if `cargo build --bins` came first.
";

/// The packages whose programs the integration tests start.
const TESTED: [&str; 3] = ["bulkhead", "ateapi-server", "kubectl-ate"];

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Where cargo puts what it builds: this program lies in `<target>/debug`.
pub(crate) fn target_dir() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.to_owned()))
        .unwrap_or_else(|| root().join("target"))
}

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).env("CARGO_TARGET_DIR", target_dir());
    command
}

/// Runs a command and wants it to succeed.
pub(crate) fn succeed(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// Builds the release server and tells where it is.
pub(crate) fn release_server() -> Result<PathBuf> {
    succeed(cargo().args(["build", "--release", "--locked", "--package", "bulkhead"]))?;
    Ok(target_dir().join("release/bulkhead"))
}

/// Builds a release program that lists actors and runs it, on a kind of store. It is of the package of the integration
/// tests, and looks beside itself for the API.
pub(crate) fn run_lister(program: &str, words: &[String], store: &str) -> Result {
    let server = if store.starts_with("bulkhead") { Some(release_server()?) } else { None };
    let built =
        ["--package", "integration", "--bin", program, "--package", "ateapi-server", "--bin", "ateapi"];
    succeed(cargo().args(["build", "--release", "--locked"]).args(built))?;
    let mut command = Command::new(target_dir().join("release").join(program));
    if let Some(server) = server {
        command.env("BULKHEAD_BIN", server);
    }
    succeed(command.args(words))
}

/// Builds the server with debug assertions, which has faults to switch on.
pub(crate) fn debug_server() -> Result<PathBuf> {
    succeed(cargo().args(["build", "--locked", "--package", "bulkhead"]))?;
    Ok(target_dir().join("debug/bulkhead"))
}

pub(crate) fn run(args: Args) -> Result {
    let server = release_server()?;
    let error = Command::new(&server).arg("serve").args(args.into_all()).exec();
    Err(format!("{}: {error}", server.display()).into())
}

pub(crate) fn test(args: Args) -> Result {
    let path = install::everything()?;
    let args = args.into_all();
    let is_part = args.iter().any(|arg| arg == "-p" || arg == "--package" || arg.starts_with("--package="));
    // The programs under test are other packages' binaries: nextest alone would not build them.
    if !is_part {
        succeed(cargo().args(["build", "--locked", "--workspace", "--bins", "--tests"]))?;
    } else if args.iter().any(|arg| arg.contains("integration")) {
        succeed(
            cargo().args(["build", "--locked"]).args(TESTED.map(|package| format!("--package={package}"))),
        )?;
    }
    let mut command = cargo();
    command.args(["nextest", "run", "--locked"]);
    if !is_part {
        command.arg("--workspace");
    }
    command.env("PATH", path).env("BULKHEAD_TOOLS", testkit::tools::dir());
    succeed(command.args(args))
}
